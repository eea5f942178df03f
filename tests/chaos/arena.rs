//! One election: the nodes, and the place where their lease is.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leader_demo::Timing;
use leader_demo::clock::{self, BootTime};
use rustix::process::Signal;

use crate::common;
use crate::node::{Node, State};
use crate::place::{self, News, Place};
use crate::plan::Fault;
use crate::settings::Settings;
use crate::story::Story;
use crate::tally::Tally;
use crate::wall_clock::WallClock;

/// More than a busy machine takes beyond what is promised.
const SLACK: Duration = Duration::from_secs(2);

/// One election.
pub(crate) struct Arena<'a> {
    pub(crate) nodes: Vec<Node>,
    pub(crate) place: Box<dyn Place>,
    pub(crate) story: Story,
    pub(crate) tally: &'a Tally,
    pub(crate) timing: Timing,
    /// Those that ask the leader to step down.
    pub(crate) askers: Vec<Child>,
    /// Who knows of nothing must not start before: the documented hole.
    pub(crate) no_newcomer_before: BootTime,
}

impl<'a> Arena<'a> {
    pub(crate) fn open(settings: &Settings, election: usize, tally: &'a Tally) -> Result<Self> {
        let timing = Timing::new(settings.store.lease(), None, None)?;
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
        Ok(Self {
            nodes,
            story: Story::begin(&logs, &lock_name, settings, timing)?,
            place: place::open(settings, &lock_name)?,
            tally,
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
        let news = self.place.look(now)?;
        self.tell(news)
    }

    /// What was done to the place, or came of it.
    pub(crate) fn tell(&mut self, news: Vec<News>) -> Result<()> {
        for News {
            at,
            word,
            node,
            message,
        } in news
        {
            // Whichever process of the node it is.
            let node = node.map(|node| (&self.nodes[node], None));
            self.story.tell(at, word, node, &message)?;
        }
        Ok(())
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
            State::Down(until)
                if *until.max(&self.no_newcomer_before) <= now && self.place.admits() =>
            {
                node.start(self.timing.lease_duration(), self.place.flags(Some(at)))?;
                let pid = node.pid();
                self.story.tell(now, "start", Some((node, pid)), "")?;
            }
            _ => {}
        }
        Ok(())
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
                Some((_, term))
                    if agreed
                        && term >= least
                        && self.askers.is_empty()
                        && self.place.is_sound() =>
                {
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
        self.place.heal();
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
        let deadline = clock::now() + common::PATIENCE;
        while !self.place.is_sound() {
            ensure!(clock::now() < deadline, "the store is not as it was");
            self.live_until(clock::now() + Duration::from_millis(5))?;
        }
        let healed = clock::now();
        let limit = self.timing.lease_duration() + 2 * self.timing.retry_period() + SLACK;
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
