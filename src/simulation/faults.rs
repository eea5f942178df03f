//! What goes wrong, when, and for how long.

use std::time::Duration;

use super::plan::Fault;
use super::report::Happening;
use super::world::{Event, World};
use crate::driver::Command;

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
        if fault.hits_all() {
            self.strike(None, &all, fault);
        } else if self.seats[target].running.is_some() {
            self.strike(Some(target), &[target], fault);
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
        self.calm = self.calm.max(until);
        for &node in nodes {
            self.seats[node].suffers(fault, until);
            match fault {
                Fault::Kill => self.kill(node, until),
                Fault::Term => self.tell(node, Command::Stop),
                Fault::Resign => self.tell(node, Command::Resign),
                Fault::Freeze | Fault::Sleep => self.freeze(node),
                _ => {}
            }
        }
        if !matches!(fault, Fault::Kill | Fault::Term | Fault::Resign) {
            self.at(until, Event::Over(whom, life, fault));
        }
    }

    fn kill(&mut self, node: usize, until: Duration) {
        self.died(node);
        self.at(until, Event::Start(node));
    }

    fn freeze(&mut self, node: usize) {
        if self.seats[node].running.is_some() {
            self.seats[node].frozen = true;
            #[cfg(test)]
            if self.sabotage == Some(crate::election::Sabotage::FrozenIsDead) {
                self.wake_watchers();
            }
        }
    }

    fn tell(&mut self, node: usize, command: Command) {
        if let Some(running) = &self.seats[node].running {
            running.commands.send(command).expect("it runs");
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
            let still = [Fault::Freeze, Fault::Sleep];
            if seat.frozen && !still.into_iter().any(|why| seat.has(why, self.now)) {
                seat.frozen = false;
                self.poll(node);
            }
        }
    }
}
