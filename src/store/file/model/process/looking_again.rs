//! `look_again`: four looks, each at what another may have changed while this
//! process was frozen. Then the link is taken back, or the swap took effect.

use super::super::sabotage::Sabotage as S;
use super::super::world::{Revision, World};
use super::{Asks, Call, Step, Turn};

/// How many revisions below the current one are kept: fewer than the real ones.
const KEPT: u8 = 1;

impl World {
    pub(super) fn looks_again(&mut self, turn: Turn, step: Step, call: &Call) -> Step {
        let p = turn.process;
        let d = self.processes[p].directory.unwrap_or_default();
        let claim = call.source.expect("it was linked");
        let mine = self.names(
            d,
            Revision {
                directory: d,
                number: call.number,
                file: claim.file,
            },
        );
        match step {
            Step::Numbers | Step::Mine(_) | Step::Follows(_) | Step::StillThere(_)
                if turn.fails =>
            {
                // Nobody knows: the link stays, and this process is not told.
                Step::Idle
            }
            Step::Numbers => {
                if let Some(call) = &mut self.processes[p].call {
                    call.facts.lasted = mine;
                }
                let below = match turn.is(S::CleanUpTooGreedy) {
                    true => call.number + 1,
                    false => call.number.saturating_sub(KEPT),
                };
                let numbers = &self.directories[d].numbers;
                let old = numbers.range(..below).map(|(n, _)| *n).collect();
                let highest = self.directories[d].highest() == Some(call.number);
                if turn.is(S::NoLookAgain) {
                    self.took_effect(p, old)
                } else if highest || turn.is(S::HighestNotAsked) {
                    Step::Mine(old)
                } else {
                    Step::Undo
                }
            }
            Step::Mine(old) if mine || turn.is(S::OwnNotAsked) => Step::Follows(old),
            Step::Follows(old) => match call.expected {
                Some(e) if !self.names(d, e) && !turn.is(S::ExpectedNotAsked) => Step::Undo,
                _ if turn.is(S::NotStillThere) => self.took_effect(p, old),
                _ => Step::StillThere(old),
            },
            Step::StillThere(old) if self.at_path(Some(d)) => self.took_effect(p, old),
            Step::Mine(_) | Step::StillThere(_) => Step::Undo,
            Step::Undo if mine || turn.is(S::UndoneBlindly) => Step::Unlink,
            Step::Undo => self.conflict(p),
            Step::Unlink => {
                self.directories[d].numbers.remove(&call.number);
                self.conflict(p)
            }
            Step::TookEffect(_) if turn.fails && !turn.is(S::FailedSyncIgnored) => {
                // This claim and its term are burnt.
                self.processes[p].staged = None;
                Step::Idle
            }
            Step::TookEffect(old) => {
                if !turn.is(S::DirectoryNotSynced) && !turn.fails {
                    let directory = &mut self.directories[d];
                    directory.durable.clone_from(&directory.numbers);
                }
                self.processes[p].leading = self.processes[p].staged.take();
                self.done(p, old)
            }
            _ => unreachable!("no look"),
        }
    }

    pub(super) fn took_effect(&mut self, p: usize, old: Vec<u8>) -> Step {
        match self.processes[p].call.as_ref().map(|call| call.asks) {
            Some(Asks::Acquire) => Step::TookEffect(old),
            Some(Asks::Release) => {
                self.processes[p].leading = None;
                self.done(p, old)
            }
            _ => self.done(p, old),
        }
    }
}
