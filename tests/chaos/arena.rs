//! The nodes, their lock directory, and what is done to them.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leader_demo::Timing;
use leader_demo::clock::{self, BootTime};
use rustix::process::Signal;

use crate::directory::{self, Directory};
use crate::node::{Node, State};
use crate::plan::{Fault, Step, Whom};
use crate::settings::Settings;
use crate::story::Story;
use crate::tally::Tally;
use crate::wall_clock::WallClock;
use crate::{LEASE, common};

/// More than a busy machine takes beyond what is promised.
const SLACK: Duration = Duration::from_secs(2);

/// One election.
pub(crate) struct Arena<'a> {
    pub(crate) nodes: Vec<Node>,
    story: Story,
    tally: &'a Tally,
    directory: Directory,
    timing: Timing,
    /// Those that ask the leader to step down.
    askers: Vec<Child>,
    /// Who knows of nothing must not start before: the documented hole.
    no_newcomer_before: BootTime,
}

impl<'a> Arena<'a> {
    pub(crate) fn open(settings: &Settings, election: usize, tally: &'a Tally) -> Result<Self> {
        let timing = Timing::new(LEASE, None, None)?;
        let lock_name = format!("chaos-{:02}", election + 1);
        let logs = settings.logs().join(&lock_name);
        fs::create_dir_all(&logs)?;
        let mut nodes = Vec::new();
        for number in 1..=settings.nodes {
            // Every other node, so that they disagree.
            let clock = match number % 2 {
                0 => WallClock::new(&format!("node-{number}"), &logs)?,
                _ => None,
            };
            nodes.push(Node::new(number, &logs, clock)?);
        }
        let directory = Directory::new(settings.dir.as_deref(), &lock_name)?;
        if !directory.can_be_full() {
            let why = "the lock directory is not on a filesystem of our own";
            tally.cannot(Fault::DiskFull, why);
        }
        Ok(Self {
            nodes,
            story: Story::begin(&logs, &lock_name, settings, timing)?,
            tally,
            directory,
            timing,
            askers: Vec::new(),
            no_newcomer_before: BootTime::default(),
        })
    }

    /// Looks after everything until then.
    pub(crate) fn live_until(&mut self, end: BootTime) -> Result<()> {
        loop {
            self.look()?;
            let left = end.since(clock::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(left.min(Duration::from_millis(5)));
        }
    }

    /// Hears what was said, and heals what is due.
    fn look(&mut self) -> Result<()> {
        let now = clock::now();
        for at in 0..self.nodes.len() {
            self.look_at(at, now)?;
        }
        let mut running = Vec::new();
        for mut asker in self.askers.drain(..) {
            if asker.try_wait()?.is_none() {
                running.push(asker);
            }
        }
        self.askers = running;
        match self.directory.state {
            directory::State::Full(until) | directory::State::ReadOnly(until) if until <= now => {
                self.heal_directory()
            }
            _ => Ok(()),
        }
    }

    fn look_at(&mut self, at: usize, now: BootTime) -> Result<()> {
        let node = &mut self.nodes[at];
        node.listen()?;
        let pid = node.pid();
        if let Some(status) = node.exited()? {
            let State::Ends(_, until) = node.state else {
                bail!("{} ended by itself: {status}", node.id);
            };
            // One that was asked before it had begun dies of it.
            let early = !node.began && status.signal() == Some(Signal::TERM.as_raw());
            ensure!(
                status.success() || early,
                "{} ended badly: {status}",
                node.id
            );
            // It is gone already; this takes note.
            node.kill(until)?;
        }
        match &node.state {
            State::Frozen(_, until) if *until <= now => {
                node.signal(Signal::CONT);
                node.thaw();
                self.story.tell(now, "cont", Some((node, pid)), "")?;
            }
            State::Down(until) if *until.max(&self.no_newcomer_before) <= now => {
                node.start(&self.directory)?;
                let pid = node.pid();
                self.story.tell(now, "start", Some((node, pid)), "")?;
            }
            _ => {}
        }
        Ok(())
    }

    fn heal_directory(&mut self) -> Result<()> {
        let at = clock::now();
        let done = self.directory.heal()?;
        self.story.tell(at, done, None, "")
    }

    /// What does not fit at present is left out.
    pub(crate) fn play(&mut self, step: &Step) -> Result<()> {
        let until = clock::now() + step.lasts;
        let done = match step.fault {
            Fault::Kill | Fault::Term | Fault::FreezeBriefly | Fault::FreezeLong => {
                match self.victim(step.whom) {
                    Some(at) => self.hurt(at, step.fault, until)?,
                    None => false,
                }
            }
            Fault::KillAll | Fault::TermAll => self.hurt_all(step.fault, until)?,
            Fault::HandOver => self.ask("hand-over")?,
            Fault::Resign => self.ask("resign")?,
            Fault::Clock => self.jump(step)?,
            Fault::DiskFull => self.fill(until)?,
            Fault::ReadOnly => self.make_read_only(until)?,
            Fault::Removed => self.remove(step)?,
            Fault::Garbage | Fault::Torn => self.put_garbage(step)?,
            Fault::Stranger => {
                self.directory.put_strangers();
                self.story.tell(clock::now(), "stranger", None, "")?;
                true
            }
        };
        match done {
            true => self.tally.was_played(step.fault),
            false => self.tally.was_left_out(),
        }
        Ok(())
    }

    /// One that runs, while another is there to take over.
    fn victim(&self, whom: Whom) -> Option<usize> {
        let leads = |node: &Node| node.view.as_ref().is_some_and(|(id, _)| *id == node.id);
        let first = match whom {
            Whom::Leader(at) => self.nodes.iter().position(leads).unwrap_or(at),
            Whom::Node(at) => at,
        };
        let count = self.nodes.len();
        let mut running = (first..first + count)
            .map(|at| at % count)
            .filter(|at| self.nodes[*at].runs());
        let victim = running.next()?;
        running.next().is_some().then_some(victim)
    }

    fn hurt(&mut self, at: usize, fault: Fault, until: BootTime) -> Result<bool> {
        let now = clock::now();
        let node = &mut self.nodes[at];
        let pid = node.pid();
        let word = match fault {
            Fault::Kill => {
                node.kill(until)?;
                "kill"
            }
            Fault::Term => {
                node.signal(Signal::TERM);
                node.ends(until);
                "term"
            }
            _ => {
                node.signal(Signal::STOP);
                node.freeze(until);
                "stop"
            }
        };
        self.story.tell(now, word, Some((node, pid)), "")?;
        Ok(true)
    }

    /// A thundering restart: all at one moment.
    fn hurt_all(&mut self, fault: Fault, until: BootTime) -> Result<bool> {
        let one = match fault {
            Fault::KillAll => Fault::Kill,
            _ => Fault::Term,
        };
        let running = (0..self.nodes.len()).filter(|at| self.nodes[*at].runs());
        let running: Vec<_> = running.collect();
        for at in &running {
            self.hurt(*at, one, until)?;
        }
        Ok(!running.is_empty())
    }

    fn ask(&mut self, what: &str) -> Result<bool> {
        let asker = common::binary()
            .arg(what)
            .args(self.directory.flags())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.askers.push(asker);
        Ok(true)
    }

    /// Up to a day, into the past or the future.
    fn jump(&mut self, step: &Step) -> Result<bool> {
        let seconds = (step.kind % 172_800) as i64 - 86_400;
        let clocks = self.nodes.iter().filter(|node| node.clock.is_some());
        let clocks: Vec<_> = clocks.collect();
        if clocks.is_empty() {
            return Ok(false);
        }
        let node = clocks[step.kind as usize / 172_800 % clocks.len()];
        let now = clock::now();
        if let Some(clock) = &node.clock {
            clock.jump(seconds)?;
        }
        let message = format!("{seconds:+} s");
        let whom = Some((node, node.pid()));
        self.story.tell(now, "clock", whom, &message)?;
        Ok(true)
    }

    fn fill(&mut self, until: BootTime) -> Result<bool> {
        if !self.directory.can_be_full() || self.directory.state != directory::State::Sound {
            return Ok(false);
        }
        let now = clock::now();
        self.directory.fill(until)?;
        self.story.tell(now, "disk_full", None, "")?;
        Ok(true)
    }

    fn make_read_only(&mut self, until: BootTime) -> Result<bool> {
        if self.directory.state != directory::State::Sound {
            return Ok(false);
        }
        let now = clock::now();
        if !self.directory.make_read_only(until) {
            let why = "this filesystem has no immutable flag, or we may not set it";
            self.tally.cannot(Fault::ReadOnly, why);
            return Ok(false);
        }
        self.story.tell(now, "read_only", None, "")?;
        Ok(true)
    }

    fn put_garbage(&mut self, step: &Step) -> Result<bool> {
        if self.directory.state != directory::State::Sound {
            return Ok(false);
        }
        let now = clock::now();
        let Some(what) = self.directory.put_garbage(step.fault, step.kind)? else {
            return Ok(false);
        };
        self.story.tell(now, "garbage", None, what)?;
        Ok(true)
    }

    /// With nobody around whose last look showed no record: those may lead at
    /// once. The documented hole; docs/DESIGN.md.
    fn remove(&mut self, step: &Step) -> Result<bool> {
        let term = self.agreed(0)?;
        let now = clock::now();
        // A leader that sleeps through it believes in its lease for longest.
        if let Some(at) = self
            .victim(Whom::Leader(0))
            .filter(|_| step.kind.is_multiple_of(2))
        {
            self.hurt(at, Fault::FreezeBriefly, now + step.lasts)?;
        }
        self.directory.remove()?;
        self.no_newcomer_before = now + LEASE + self.timing.retry_period();
        self.story.tell(now, "removed", None, "")?;
        self.live_until(now + LEASE)?;
        self.agreed(term + 1)?;
        self.live_until(self.no_newcomer_before)?;
        Ok(true)
    }

    /// Heals everything, and waits until all nodes say who leads in which term,
    /// and that is the same. Returns the term, at least `least`.
    pub(crate) fn agreed(&mut self, least: u64) -> Result<u64> {
        self.heal()?;
        let deadline = clock::now() + common::PATIENCE;
        loop {
            let first = self.nodes[0].view.clone();
            let agreed = self.nodes.iter().all(|n| n.runs() && n.view == first);
            match first {
                Some((_, term)) if agreed && term >= least && self.askers.is_empty() => {
                    return Ok(term);
                }
                _ => {}
            }
            ensure!(clock::now() < deadline, "they do not agree who leads");
            self.live_until(clock::now() + Duration::from_millis(5))?;
        }
    }

    /// Ends every fault that can be ended.
    fn heal(&mut self) -> Result<()> {
        let now = clock::now();
        if self.directory.state != directory::State::Sound {
            self.heal_directory()?;
        }
        for node in &mut self.nodes {
            match &mut node.state {
                State::Frozen(_, until) | State::Ends(_, until) | State::Down(until) => {
                    *until = now;
                }
                State::Runs(_) => {}
            }
        }
        self.look()
    }

    /// Everything is healed: soon somebody leads.
    pub(crate) fn recovers(&mut self) -> Result<()> {
        self.heal()?;
        let healed = clock::now();
        let limit = LEASE + 2 * self.timing.retry_period() + SLACK;
        loop {
            self.live_until(clock::now() + Duration::from_millis(5))?;
            let led = self.nodes.iter().map(|node| node.led).max();
            let led = led.context("there are no nodes")?;
            if led >= healed {
                return Ok(());
            }
            let waited = clock::now().since(healed);
            ensure!(waited < limit, "nobody leads {waited:?} after all was well");
        }
    }

    /// Asks everybody to end.
    pub(crate) fn close(&mut self) -> Result<()> {
        // Nobody starts again, also of those that have ended already.
        for node in &mut self.nodes {
            if let State::Ends(_, until) | State::Down(until) = &mut node.state {
                *until = BootTime::NEVER;
            }
        }
        self.hurt_all(Fault::TermAll, BootTime::NEVER)?;
        let deadline = clock::now() + common::PATIENCE;
        while self.nodes.iter().any(|node| node.pid().is_some()) || !self.askers.is_empty() {
            if clock::now() > deadline {
                bail!("a process does not end");
            }
            self.live_until(clock::now() + Duration::from_millis(5))?;
        }
        Ok(())
    }
}

impl Drop for Arena<'_> {
    fn drop(&mut self) {
        for asker in &mut self.askers {
            let _ = asker.kill();
            let _ = asker.wait();
        }
    }
}
