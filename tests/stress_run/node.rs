//! One node: starts wrappers, one after another, and does them harm, one
//! process at a time.
//!
//! It is a process of its own and a subreaper: what a wrapper and its guard
//! leave behind becomes its child. That nothing was left is `ECHILD`, then,
//! and not the result of a search.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leader_demo::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::deck::{Card, Deck, Dice, LEASE, Way, Whom};
use crate::ticker::{KINDS, Kind};
use crate::victim::{Family, Victim, below_me};
use crate::{MARK, PATIENCE, STORE};

/// How long a node is left alone at most.
const CALM: Duration = Duration::from_millis(400);
/// Longer than what a wrapper takes for an echo of a signal.
const ASK_AGAIN: Duration = Duration::from_millis(300);

struct Node {
    number: u64,
    wrappers_so_far: u64,
    dir: PathBuf,
    dice: Dice,
    cards: Deck<Card>,
    kinds: Deck<Kind>,
}

/// A wrapper, from its start until nothing of it is left.
struct Wrapper {
    id: String,
    process: Victim,
    /// Something was done to it that it may fail by.
    may_fail: bool,
    /// What became of it.
    ended: Option<WaitStatus>,
}

/// What ends a pause.
#[derive(PartialEq)]
enum Ended {
    Pause,
    Wrapper,
    /// The run is over.
    Run,
}

pub(crate) fn play(args: &[&str]) -> Result<()> {
    let [number, nodes, seed] = args else {
        bail!("not to be started by hand");
    };
    let (number, nodes, seed) = (number.parse()?, nodes.parse()?, seed.parse()?);
    // No terminal: the command gets a group of its own, and a key that is typed
    // is for whoever started this, which tells it by closing its input.
    rustix::process::setsid()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut node = Node {
        number,
        wrappers_so_far: 0,
        dir: std::env::var_os(MARK).context(MARK)?.into(),
        dice: Dice::new(seed, nodes + number),
        cards: Deck::shuffled(Card::all(), seed, number, nodes),
        kinds: Deck::shuffled(KINDS.to_vec(), seed, number, nodes),
    };
    loop {
        let mut wrapper = node.start()?;
        let ended = node.harm(&mut wrapper)?;
        if ended == Ended::Run {
            wrapper.ask_to_end()?;
        }
        wrapper.until_nothing_is_left()?;
        wrapper.report_its_end()?;
        if ended == Ended::Run {
            return Ok(());
        }
    }
}

impl Node {
    fn start(&mut self) -> Result<Wrapper> {
        self.wrappers_so_far += 1;
        let id = format!("n{}.{}", self.number, self.wrappers_so_far);
        let (kind, ()) = self.kinds.deal(|_| Some(())).context("no kinds")?;
        let mut flags = vec![];
        if self.dice.below(4) > 0 {
            flags.push("--keep");
        }
        if self.dice.below(4) == 0 {
            flags.push("--exit-on-loss");
        }
        let log = |what| {
            let name = format!("n{}.{what}", self.number);
            let mut options = File::options();
            options.append(true).create(true).open(self.dir.join(name))
        };
        let child = crate::common::binary()
            .args(["run", "--node-id", &id])
            .args(self.place())
            .arg(format!("--lease-duration={}ms", LEASE.as_millis()))
            .arg("--events")
            .arg(self.dir.join(format!("n{}.events", self.number)))
            .args(flags)
            .arg("--")
            .args(kind.command()?)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log("stderr")?)
            .spawn()?;
        let process = Victim::hold(Pid::from_child(&child)).context("no wrapper")?;
        Ok(Wrapper {
            id,
            process,
            may_fail: false,
            ended: None,
        })
    }

    /// The flags that say where the lease is.
    fn place(&self) -> [OsString; 2] {
        match std::env::var_os(STORE) {
            Some(url) => ["--store".into(), url],
            None => ["--lock-dir".into(), self.dir.clone().into()],
        }
    }

    /// One fault after another, until the wrapper or the run ends.
    fn harm(&mut self, wrapper: &mut Wrapper) -> Result<Ended> {
        loop {
            let calm = self.dice.between(Duration::ZERO, CALM);
            match wrapper.pause(calm)? {
                Ended::Pause => {}
                ended => return Ok(ended),
            }
            let mut family = Family::of(wrapper.process.pid);
            let waits = family.starter.is_some();
            // Or is about to end, with the command gone and not all that it left.
            let leads = family.guard.is_some() && !waits;
            // Most nodes wait, and it is the leader that matters.
            if waits && self.dice.below(6) > 0 {
                continue;
            }
            let wrapper_itself = Victim::hold(wrapper.process.pid);
            let mut wrapper_itself = wrapper_itself.filter(|_| leads || waits);
            let dealt = self.cards.deal(|card| match card.whom {
                _ if card.leading != leads => None,
                Whom::Wrapper => wrapper_itself.take(),
                Whom::Guard => family.guard.take(),
                Whom::Starter => family.starter.take(),
                Whom::Command => family.command.take(),
                Whom::Twin => family.twin.take(),
            });
            if let Some((card, victim)) = dealt {
                self.play(card, &victim, wrapper)?;
            }
        }
    }

    /// A fault, until the process that it was done to works again or is gone.
    fn play(&mut self, card: Card, victim: &Victim, wrapper: &mut Wrapper) -> Result<()> {
        let number = Card::all().iter().position(|c| *c == card);
        let number = number.context("no such card")?;
        say(&format!(
            "fault {} {} {number}",
            clock::now().as_nanos(),
            wrapper.id
        ))?;
        match card.way {
            Way::Kill => victim.signal(Signal::KILL),
            Way::Ask if card.whom == Whom::Wrapper => wrapper.ask_to_end()?,
            Way::Ask => victim.signal(Signal::TERM),
            Way::HandOver => self.ask_the_leader("hand-over")?,
            Way::Resign => self.ask_the_leader("resign")?,
            Way::FreezeBriefly | Way::FreezeLong | Way::FreezeAndKill => {
                let (from, to) = match card.way {
                    Way::FreezeBriefly => (Duration::ZERO, LEASE / 2),
                    _ => (LEASE, LEASE * 2),
                };
                let time = self.dice.between(from, to);
                victim.signal(Signal::STOP);
                wrapper.pause(time)?;
                let thaw = card.way != Way::FreezeAndKill;
                victim.signal(if thaw { Signal::CONT } else { Signal::KILL });
            }
        }
        let killed = matches!(card.way, Way::Kill | Way::FreezeAndKill);
        match card.whom {
            Whom::Guard if killed => wrapper.lost_its_guard(victim.pid)?,
            Whom::Starter if killed => wrapper.may_fail = true,
            _ => {}
        }
        Ok(())
    }

    /// As somebody at another terminal would; that may be another leader by now.
    fn ask_the_leader(&self, to: &str) -> Result<()> {
        let asked = crate::common::binary()
            .args([to, "--timeout=300ms"])
            .args(self.place())
            .stdin(Stdio::null())
            .output()?;
        let code = asked.status.code();
        ensure!(matches!(code, Some(0 | 1 | 3)), "{to} ended with {asked:?}");
        Ok(())
    }
}

impl Wrapper {
    /// Asks until it ends: a command that is deaf is killed at the second time.
    fn ask_to_end(&mut self) -> Result<()> {
        let deadline = clock::now() + PATIENCE;
        loop {
            self.process.signal(Signal::TERM);
            if self.wait(ASK_AGAIN)? {
                return Ok(());
            }
            ensure!(clock::now() < deadline, "{} does not end", self.id);
        }
    }

    /// It ends, or has another guard: its command had just ended anyway.
    fn lost_its_guard(&mut self, guard: Pid) -> Result<()> {
        self.may_fail = true;
        let deadline = clock::now() + PATIENCE;
        while !self.wait(Duration::from_millis(5))? {
            let guard_now = Family::of(self.process.pid).guard;
            if guard_now.is_some_and(|now| now.pid != guard) {
                break;
            }
            ensure!(clock::now() < deadline, "{} has no guard", self.id);
        }
        Ok(())
    }

    fn pause(&mut self, time: Duration) -> Result<Ended> {
        let stdin = std::io::stdin();
        let mut ends = [
            PollFd::new(&self.process.held, PollFlags::IN),
            PollFd::new(&stdin, PollFlags::IN),
        ];
        poll(&mut ends, Some(&Timespec::try_from(time)?))?;
        Ok(if !ends[0].revents().is_empty() {
            Ended::Wrapper
        } else if !ends[1].revents().is_empty() {
            Ended::Run
        } else {
            Ended::Pause
        })
    }

    /// Whether it has ended within this time.
    fn wait(&self, time: Duration) -> Result<bool> {
        let mut end = [PollFd::new(&self.process.held, PollFlags::IN)];
        Ok(poll(&mut end, Some(&Timespec::try_from(time)?))? > 0)
    }

    fn until_nothing_is_left(&mut self) -> Result<()> {
        let deadline = clock::now() + PATIENCE;
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.process.pid => self.ended = Some(status),
                Ok(Some(_)) => {}
                Ok(None) => {
                    if clock::now() > deadline {
                        bail!("{} has left {:?}", self.id, below_me());
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(Errno::CHILD) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn report_its_end(&self) -> Result<()> {
        let ended = self.ended.context("a wrapper that nobody saw end")?;
        let end = match (ended.exit_status(), ended.terminating_signal()) {
            (Some(code), _) => code.to_string(),
            (None, Some(signal)) => format!("signal-{signal}"),
            (None, None) => bail!("it neither exited nor was killed"),
        };
        ensure!(
            end != "125" || self.may_fail,
            "{} failed for no reason of ours",
            self.id
        );
        say(&format!("exit {} {end}", self.id))
    }
}

/// To whoever counts.
fn say(report: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(format!("{report}\n").as_bytes())?)
}
