//! A claim, from its making to its number.

use super::super::sabotage::Sabotage as S;
use super::super::world::{File, World};
use super::{Asks, Call, Claim, Step, Turn};

impl World {
    /// `Register::source`
    pub(super) fn source(&mut self, turn: Turn) -> Step {
        let process = &mut self.processes[turn.process];
        let Some(call) = &mut process.call else {
            return Step::Idle;
        };
        match call.asks {
            Asks::Renew => call.source = process.leading,
            Asks::Acquire => {
                let term = process.highest + 1;
                let ready = process.staged.filter(|c| {
                    let file = &self.files[usize::from(c.file)];
                    file.term == term && (file.synced || turn.is(S::BurntClaimUsed))
                });
                call.source = ready;
                process.staged = ready;
            }
            Asks::Read | Asks::Release => {}
        }
        match call.source {
            Some(_) => Step::Link,
            None => Step::Open,
        }
    }

    pub(super) fn stages(&mut self, turn: Turn, step: &Step, call: &Call) -> Step {
        let p = turn.process;
        let d = self.processes[p].directory.unwrap_or_default();
        let spared = match turn.sabotage {
            Some(S::GivesUpTheCurrent) => 0,
            Some(S::GivesUpTheOneBefore) => 1,
            _ => 2,
        };
        match (step, call.source) {
            (Step::Open, _) => self.makes(turn, call.asks),
            (Step::Lock, Some(claim)) => self.locks_it(turn, d, claim),
            (Step::Write, Some(claim)) => {
                self.files[usize::from(claim.file)].written = true;
                match call.asks {
                    Asks::Acquire if turn.is(S::NamedBeforeWritten) => Step::Lock,
                    Asks::Acquire if !turn.is(S::ClaimNotSynced) => Step::Sync,
                    _ => Step::Link,
                }
            }
            (Step::Sync, Some(claim)) if turn.fails => {
                if !turn.is(S::BurntClaimUsed) {
                    self.directories[d].claims.remove(&claim.name);
                    self.processes[p].staged = None;
                }
                Step::Idle
            }
            (Step::Sync, Some(claim)) => {
                self.files[usize::from(claim.file)].synced = true;
                Step::Link
            }
            (Step::Link, Some(claim)) => self.links(turn, d, call, claim),
            (Step::Oldest, _) => match self.directories[d].numbers.keys().next() {
                Some(&oldest) if oldest + spared < call.number => Step::GivesUp(oldest),
                _ => Step::Idle,
            },
            (Step::GivesUp(oldest), _) => {
                self.directories[d].numbers.remove(oldest);
                Step::Link
            }
            _ => unreachable!("{step:?} stages nothing"),
        }
    }

    fn makes(&mut self, turn: Turn, asks: Asks) -> Step {
        let p = turn.process;
        let process = &self.processes[p];
        let (d, serial) = (process.directory.unwrap_or_default(), process.serial);
        let name = (p as u8, serial);
        let file = self.new_file(File {
            owner: p as u8,
            boot: (process.machine, self.boots),
            term: process.highest + u8::from(asks == Asks::Acquire),
            vacant: asks == Asks::Release,
            written: false,
            synced: false,
        });
        self.directories[d].claims.insert(name, file);
        let claim = Claim {
            name,
            file,
            locked: false,
        };
        let process = &mut self.processes[p];
        process.serial += 1;
        process.made.push(name);
        if asks == Asks::Acquire {
            process.staged = Some(claim);
        }
        self.take(p, claim);
        match asks {
            Asks::Release => Step::Write,
            _ if turn.is(S::NamedBeforeWritten) => Step::Link,
            _ if turn.is(S::NamedBeforeLocked) => Step::Write,
            _ => Step::Lock,
        }
    }

    fn locks_it(&mut self, turn: Turn, d: usize, mut claim: Claim) -> Step {
        let p = turn.process;
        if self.is_looked_at(claim.file, self.processes[p].machine) {
            // A collector looked at it the moment it was made.
            self.directories[d].claims.remove(&claim.name);
            self.forget(p);
            return Step::Open;
        }
        claim.locked = true;
        self.processes[p].staged = Some(claim);
        self.take(p, claim);
        match turn.is(S::NamedBeforeLocked) || turn.is(S::NamedBeforeWritten) {
            true => Step::Numbers,
            false => Step::Write,
        }
    }

    fn links(&mut self, turn: Turn, d: usize, call: &Call, claim: Claim) -> Step {
        let p = turn.process;
        let number = match self.directories[d].numbers.contains_key(&call.number) {
            true if turn.is(S::NoCompareAndSwap) => call.number + 1,
            true => return self.conflict(p),
            false => call.number,
        };
        if !self.directories[d].claims.contains_key(&claim.name) {
            // A renewal fails; what was collected is staged again.
            self.forget(p);
            return if call.asks == Asks::Renew {
                Step::Idle
            } else {
                Step::Open
            };
        }
        if turn.fails {
            return Step::Oldest;
        }
        let followed = call.expected.is_none_or(|e| self.names(d, e));
        self.directories[d].numbers.insert(number, claim.file);
        if let Some(call) = &mut self.processes[p].call {
            call.number = number;
            call.facts.followed = followed;
            call.facts.lasted = true;
            call.facts.emptied = false;
        }
        // So that it is known already when the answer follows at once.
        self.observe();
        match call.asks {
            Asks::Acquire if turn.is(S::NamedBeforeWritten) => Step::Write,
            Asks::Acquire if turn.is(S::NamedBeforeLocked) => Step::Lock,
            _ if turn.is(S::NoCompareAndSwap) => self.took_effect(p, Vec::new()),
            _ => Step::Numbers,
        }
    }

    fn take(&mut self, p: usize, claim: Claim) {
        if let Some(call) = &mut self.processes[p].call {
            call.source = Some(claim);
        }
    }

    /// Closes what it staged in this call.
    fn forget(&mut self, p: usize) {
        let process = &mut self.processes[p];
        if let Some(call) = &mut process.call
            && call.asks != Asks::Renew
        {
            process.staged = process.staged.filter(|_| call.asks == Asks::Release);
            call.source = None;
        }
    }
}
