//! A thread of its own waits for the end of the holder that was seen.

use super::super::sabotage::Sabotage as S;
use super::super::world::{Revision, Violation as V, World};
use super::Waiter;

impl World {
    /// Whether the waiter's next step can be taken: `flock(2)` may have to wait.
    pub(in super::super) fn waiter_is_ready(&self, p: usize) -> bool {
        let me = &self.processes[p];
        match &me.waiter {
            Waiter::None | Waiter::Died(_) => false,
            Waiter::Flock(seen) => !self.is_locked(seen.file, me.machine),
            _ => true,
        }
    }

    pub(in super::super) fn wait(&mut self, p: usize, sabotage: Option<S>) {
        use Waiter as W;
        let is = |s| sabotage == Some(s);
        let me = &self.processes[p];
        let boot = (me.machine, self.boots);
        let next = match me.waiter.clone() {
            W::Load(seen) => {
                let named = self.directories[seen.directory].numbers.get(&seen.number);
                let file = self.file(seen.file);
                let counts = file.written && !file.vacant;
                let here = file.boot == boot || is(S::ForeignLockBelieved);
                let there = self.at_path(Some(seen.directory));
                if there && named == Some(&seen.file) && counts && here {
                    W::Flock(seen)
                } else {
                    W::None
                }
            }
            W::Flock(seen) => {
                let top = self.directories[seen.directory].top;
                let moved_on = top.is_some_and(|(n, file)| n > seen.number && file != seen.file);
                W::StillThere(seen, moved_on)
            }
            W::StillThere(seen, _) if !self.at_path(Some(seen.directory)) => W::None,
            W::StillThere(seen, moved_on) if is(S::WakeUpBelieved) => {
                self.died(seen, moved_on);
                W::Died(seen)
            }
            W::StillThere(seen, moved_on) => W::Listed(seen, moved_on),
            W::Listed(seen, moved_on) => match self.directories[seen.directory].highest() {
                Some(top) => W::Highest(seen, moved_on, top),
                None => W::None,
            },
            W::Highest(seen, moved_on, top) => {
                let file = self.directories[seen.directory].numbers.get(&top);
                if file == Some(&seen.file) || file.is_some() && is(S::AnyRecordBelieved) {
                    let seen = Revision {
                        number: top,
                        ..seen
                    };
                    self.died(seen, moved_on);
                    W::Died(seen)
                } else {
                    W::None
                }
            }
            ended @ (W::None | W::Died(_)) => ended,
        };
        self.processes[p].waiter = next;
    }

    /// The judge hears that the holder of this died.
    fn died(&mut self, seen: Revision, moved_on: bool) {
        let owner = &self.processes[usize::from(self.file(seen.file).owner)];
        if owner.may_act_on(seen.file) {
            self.broken = Some(V::BuriedAlive);
        } else if moved_on {
            self.broken = Some(V::DeadButNotCurrent);
        }
    }
}
