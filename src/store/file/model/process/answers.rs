//! What the caller is told, and what the judge makes of it.

use super::super::sabotage::Sabotage as S;
use super::super::world::{Revision, Violation as V, World};
use super::{Asks, Call, Chores, Claim, Step, Turn};

impl World {
    /// `read_in`
    pub(super) fn reads(&mut self, turn: Turn, step: &Step, call: &Call) -> Step {
        let p = turn.process;
        let me = &self.processes[p];
        let boot = (me.machine, self.boots);
        let d = me.directory.unwrap_or_default();
        let numbers = &self.directories[d].numbers;
        let from_three = numbers.range(3..).next_back().map(|(n, _)| *n);
        let listed = match step {
            Step::List if turn.is(S::ListedInTwoCalls) => return Step::ListRest(from_three),
            Step::ListRest(found) => {
                found.or_else(|| numbers.range(..3).next_back().map(|(n, _)| *n))
            }
            _ => self.directories[d].highest(),
        };
        let Step::Load(top) = *step else {
            return listed.map_or_else(|| self.saw(p, None), Step::Load);
        };
        let Some(&file) = numbers.get(&top) else {
            // It was cleaned up since: there is a higher one now.
            return Step::List;
        };
        if !self.file(file).written && self.file(file).boot == boot {
            self.broken = Some(V::HalfARecord);
        }
        let seen = Revision {
            directory: d,
            number: top,
            file,
        };
        // Rule 6: the answer to a renewal was lost, and here is another.
        let own = |claim: Claim| claim.file == file;
        if call.expected != Some(seen) && self.processes[p].leading.is_some_and(own) {
            self.answered(seen);
        }
        self.saw(p, Some(seen))
    }

    /// The highest number that was answered "done" at the path.
    pub(super) fn answered_last(&self) -> Option<(usize, u8)> {
        self.path
            .and_then(|d| Some((d, self.directories[d].top?.0)))
    }

    /// Answers with the current record, as `read` finds it.
    pub(super) fn conflict(&mut self, p: usize) -> Step {
        let before = self.answered_last();
        if let Some(call) = &mut self.processes[p].call {
            call.asks = Asks::Read;
            call.source = None;
            call.facts.before = before;
        }
        Step::Directory
    }

    pub(super) fn saw(&mut self, p: usize, revision: Option<Revision>) -> Step {
        let known = revision.map_or(0, |seen| {
            let directory = &self.directories[seen.directory];
            let file = self.file(seen.file);
            let below = directory.numbers.range(..seen.number).rev();
            let mut readable = below.filter(|(_, f)| self.file(**f).written);
            match (file.written, readable.next()) {
                (true, _) => file.term,
                (false, Some((number, f))) => self.file(*f).term + (seen.number - number),
                (false, None) => 0,
            }
        });
        let process = &mut self.processes[p];
        if let Some(call) = &process.call
            && let Some((d, number)) = call.facts.before
            && self.path == Some(d)
            && revision.is_none_or(|seen| seen.number < number)
        {
            self.broken = Some(V::StaleRead);
        }
        // Who is told of another's record steps down.
        process.leading = process
            .leading
            .filter(|claim| revision.is_some_and(|seen| seen.file == claim.file));
        process.highest = process.highest.max(known);
        process.seen = Some(revision);
        Step::Idle
    }

    /// The swap is answered: it took effect.
    pub(super) fn done(&mut self, p: usize, old: Vec<u8>) -> Step {
        let process = &mut self.processes[p];
        let (Some(call), Some(d)) = (process.call.clone(), process.directory) else {
            return Step::Idle;
        };
        let file = call.source.expect("it was linked").file;
        let acquired = call.asks == Asks::Acquire;
        let new = Revision {
            directory: d,
            number: call.number,
            file,
        };
        process.seen = Some(Some(new));
        let term = self.files[usize::from(file)].term;
        process.highest = process.highest.max(term);
        let collect = acquired || process.chores.as_ref().is_some_and(|c| c.collect);
        process.chores = Some(Chores { old, collect });
        let facts = call.facts;
        let broken = if !facts.was_current {
            Some(V::NeverSeen)
        } else if !facts.lasted {
            Some(V::Undone)
        } else if !facts.followed {
            Some(V::FollowsAnother)
        } else {
            None
        };
        self.broken = self.broken.or(broken);
        if facts.emptied {
            // It was answered of what is no more: nothing that follows is to
            // be measured by it.
            return Step::Idle;
        }
        self.answered(new);
        if acquired {
            let acquired = &mut self.directories[d].acquired;
            if *acquired & 1 << term != 0 {
                self.broken = self.broken.or(Some(V::TermReused));
            }
            *acquired |= 1 << term;
        }
        Step::Idle
    }

    fn answered(&mut self, new: Revision) {
        let directory = &mut self.directories[new.directory];
        let number = 1 << new.number;
        if directory.answered & number != 0 {
            self.broken = self.broken.or(Some(V::BothSwapped));
        }
        directory.answered |= number;
        directory.top = directory.top.max(Some((new.number, new.file)));
    }
}
