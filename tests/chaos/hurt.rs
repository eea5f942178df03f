//! What is done to the nodes of an election, and to their place.

use std::process::Stdio;

use anyhow::Result;
use leader_demo::clock::{self, BootTime};
use rustix::process::Signal;

use crate::arena::Arena;
use crate::common;
use crate::node::Node;
use crate::place::{Blow, Played};
use crate::plan::{Fault, Step, Whom};

impl Arena<'_> {
    /// What does not fit at present is left out.
    pub(crate) fn play(&mut self, step: &Step) -> Result<()> {
        let until = clock::now() + step.lasts;
        let victim = self.victim(step.whom);
        let played = match (step.fault, victim) {
            (
                Fault::Kill | Fault::Term | Fault::FreezeBriefly | Fault::FreezeLong,
                Some(victim),
            ) => {
                self.hurt(victim, step.fault, until)?;
                Played::Yes
            }
            (Fault::KillAll | Fault::TermAll, _) => self.hurt_all(step.fault, until)?,
            (Fault::HandOver, _) => self.ask("hand-over")?,
            (Fault::Resign, _) => self.ask("resign")?,
            (Fault::Clock, _) => self.jump(step)?,
            (Fault::Removed, _) => self.remove(step)?,
            // Who begins would take it for what is there to stay, and end.
            (Fault::Foreign, _) if self.nodes.iter().any(Node::begins) => Played::NotNow,
            (fault, Some(node)) => {
                let blow = Blow {
                    fault,
                    node,
                    at: clock::now(),
                    lasts: step.lasts,
                    kind: step.kind,
                };
                let mut news = Vec::new();
                let played = self.place.play(&blow, &mut news)?;
                self.tell(news)?;
                played
            }
            (_, None) => Played::NotNow,
        };
        match played {
            Played::Yes => self.tally.was_played(step.fault),
            Played::NotNow => self.tally.was_left_out(),
            Played::Never(why) => self.tally.cannot(step.fault, why),
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

    fn hurt(&mut self, at: usize, fault: Fault, until: BootTime) -> Result<()> {
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
        self.story.tell(now, word, Some((node, pid)), "")
    }

    /// A thundering restart: all at one moment.
    pub(crate) fn hurt_all(&mut self, fault: Fault, until: BootTime) -> Result<Played> {
        let one = match fault {
            Fault::KillAll => Fault::Kill,
            _ => Fault::Term,
        };
        let running = (0..self.nodes.len()).filter(|at| self.nodes[*at].runs());
        let running: Vec<_> = running.collect();
        for at in &running {
            self.hurt(*at, one, until)?;
        }
        Ok(match running.is_empty() {
            true => Played::NotNow,
            false => Played::Yes,
        })
    }

    fn ask(&mut self, what: &str) -> Result<Played> {
        let asker = common::binary()
            .arg(what)
            .args(self.place.flags(None))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.askers.push(asker);
        Ok(Played::Yes)
    }

    /// Up to a day, into the past or the future.
    fn jump(&mut self, step: &Step) -> Result<Played> {
        let seconds = (step.kind % 172_800) as i64 - 86_400;
        let clocks = self.nodes.iter().filter(|node| node.clock.is_some());
        let clocks: Vec<_> = clocks.collect();
        if clocks.is_empty() {
            return Ok(Played::NotNow);
        }
        let node = clocks[step.kind as usize / 172_800 % clocks.len()];
        let now = clock::now();
        if let Some(clock) = &node.clock {
            clock.jump(seconds)?;
        }
        let message = format!("{seconds:+} s");
        let whom = Some((node, node.pid()));
        self.story.tell(now, "clock", whom, &message)?;
        Ok(Played::Yes)
    }

    /// With nobody around whose last look showed no record: those may lead at
    /// once. The documented hole; docs/DESIGN.md.
    fn remove(&mut self, step: &Step) -> Result<Played> {
        let term = self.agreed(0)?;
        let (now, lease) = (clock::now(), self.timing.lease_duration());
        // A leader that sleeps through it believes in its lease for longest.
        if let Some(at) = self
            .victim(Whom::Leader(0))
            .filter(|_| step.kind.is_multiple_of(2))
        {
            self.hurt(at, Fault::FreezeBriefly, now + step.lasts)?;
        }
        self.place.remove()?;
        // A server may have taken its time.
        let gone = clock::now();
        self.no_newcomer_before = gone + lease + self.timing.retry_period();
        self.story.tell(now, "removed", None, "")?;
        self.live_until(gone + lease)?;
        self.agreed(term + 1)?;
        self.live_until(self.no_newcomer_before)?;
        Ok(Played::Yes)
    }
}
