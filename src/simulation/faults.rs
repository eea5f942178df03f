//! What goes wrong, when, and for how long.

use std::time::Duration;

use super::agenda::Event;
use super::plan::Fault;
use super::report::Happening;
use super::world::World;
use crate::driver::Command;
#[cfg(test)]
use crate::election::Sabotage;
use crate::request::Wish;

impl World<'_> {
    /// One more fault, and the time of the next.
    pub(super) fn next_fault(&mut self) {
        if self.now > self.plan.duration * 2 / 3 || self.plan.faults.is_empty() {
            return;
        }
        let pause = self.random.up_to(self.plan.pause * 2);
        self.after(Duration::from_nanos(pause), Event::NextFault);
        let fault = self.random.one_of(&self.plan.faults);
        let all: Vec<_> = (0..self.seats.len()).collect();
        let leads = |n: &&usize| self.seats[**n].leads(self.now).is_some();
        let target = match all.iter().find(leads) {
            // Where it hurts.
            Some(leader) if self.random.once_in(2) => *leader,
            _ => self.random.one_of(&all),
        };
        if self.hits_all(fault) {
            self.strike(None, &all, fault);
        } else if self.seats[target].running.is_some() {
            self.strike(Some(target), &[target], fault);
        }
    }

    /// Whether all nodes suffer at once.
    fn hits_all(&self, fault: Fault) -> bool {
        match fault {
            Fault::Unreachable => true,
            // Elsewhere each node has a machine of its own.
            Fault::Sleep => self.plan.one_machine,
            _ => false,
        }
    }

    fn strike(&mut self, whom: Option<usize>, nodes: &[usize], fault: Fault) {
        let lease = self.plan.timing.lease_duration();
        let length = self.random.up_to(match fault {
            Fault::Freeze | Fault::Sleep | Fault::Partition | Fault::Unreachable => lease * 2,
            _ => lease,
        });
        let until = self.now + Duration::from_nanos(length);
        let life = whom.map_or(0, |node| self.seats[node].life);
        self.note(whom, life, Happening::Fault(fault));
        self.calm_not_before(until);
        for &node in nodes {
            #[cfg(test)]
            let until = if self.numb { self.now } else { until };
            self.seats[node].suffers(fault, until);
            #[cfg(test)]
            if fault == Fault::Sleep {
                self.seats[node].asleep_from.get_or_insert(self.now);
            }
            match fault {
                Fault::Kill => self.kill(node, until),
                Fault::Reconfigure => {
                    self.reconfigure(node);
                    self.kill(node, until);
                }
                Fault::Term => self.tell(node, Command::Stop),
                Fault::Resign if !self.plan.requests => self.tell(node, Command::Resign),
                Fault::Resign if self.leads(node) => self.ask(Wish::Resign),
                Fault::HandOver => {
                    let to = (!self.leads(node)).then(|| self.seats[node].name.clone());
                    self.ask(Wish::HandOver { to });
                }
                Fault::Freeze | Fault::Sleep => self.freeze(node),
                _ => {}
            }
        }
        if fault.lasts() {
            self.at(until, Event::Over(whom, life, fault));
        }
    }

    fn kill(&mut self, node: usize, until: Duration) {
        self.died(node);
        self.at(until, Event::Start(node));
    }

    /// From its next start on, twice as long, or as before.
    fn reconfigure(&mut self, node: usize) {
        let seat = &mut self.seats[node];
        seat.timing = match seat.timing == self.plan.timing {
            true => self.plan.longest_timing(),
            false => self.plan.timing,
        };
    }

    fn freeze(&mut self, node: usize) {
        let seat = &mut self.seats[node];
        if seat.running.is_some() {
            seat.frozen = true;
            #[cfg(test)]
            if self.sabotage == Some(Sabotage::FrozenIsDead) {
                self.wake_watchers();
            }
        }
    }

    pub(super) fn tell(&mut self, node: usize, command: Command) {
        if let Some(running) = &self.seats[node].running {
            running.node.tell(command);
            self.poll(node);
        }
    }

    /// Perhaps: another of its kind may last longer.
    pub(super) fn over(&mut self, whom: Option<usize>, life: u32, fault: Fault) {
        let all: Vec<_> = (0..self.seats.len()).collect();
        let nodes = whom.as_ref().map_or(&all[..], std::slice::from_ref);
        if nodes.iter().any(|n| self.seats[*n].has(fault, self.now)) {
            return;
        }
        // What was frozen has died; the network is no process.
        if fault == Fault::Freeze && whom.is_some_and(|node| self.seats[node].life != life) {
            return;
        }
        self.note(whom, life, Happening::Over(fault));
        for &node in nodes {
            let seat = &mut self.seats[node];
            #[cfg(test)]
            if self.sabotage == Some(Sabotage::ClockSleeps) && fault == Fault::Sleep {
                seat.wakes_with_a_clock_that_slept(self.now);
            }
            let still = [Fault::Freeze, Fault::Sleep];
            if seat.frozen && !still.into_iter().any(|why| seat.has(why, self.now)) {
                seat.frozen = false;
                self.poll(node);
            }
        }
    }
}
