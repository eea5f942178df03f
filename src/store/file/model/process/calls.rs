//! A call, from its first look at the directory to the link.

use super::super::sabotage::Sabotage as S;
use super::super::world::{Directory, Revision, World};
use super::{Asks, Call, Facts, Step, Turn};

impl World {
    pub(in super::super) fn ask(&mut self, turn: Turn, asks: Asks) {
        let before = self.answered_last();
        let process = &mut self.processes[turn.process];
        process.calls -= 1;
        let expected = process.seen.flatten();
        process.call = Some(Call {
            asks,
            expected,
            number: expected.map_or(0, |e| e.number) + 1,
            source: None,
            facts: Facts {
                before,
                ..Facts::default()
            },
        });
        process.step = Step::Directory;
        self.skip(turn);
    }

    /// The next system call of a process.
    pub(in super::super) fn run(&mut self, turn: Turn) {
        let process = &mut self.processes[turn.process];
        let step = std::mem::replace(&mut process.step, Step::Idle);
        let call = process.call.clone();
        let next = match call {
            Some(call) => self.after(turn, step, &call),
            None => self.tidying(turn, step),
        };
        let process = &mut self.processes[turn.process];
        if next == Step::Idle {
            process.call = None;
        }
        process.step = next;
        self.skip(turn);
    }

    /// Goes past a step that is no system call, or one whose outcome is certain.
    pub(super) fn skip(&mut self, turn: Turn) {
        let process = &self.processes[turn.process];
        let empty = match &process.step {
            Step::Directory | Step::StillThere(_) => {
                !turn.removable && self.at_path(process.directory)
            }
            Step::Old(old) => old.is_empty(),
            Step::Own(names) | Step::Collect(names) => names.is_empty(),
            _ => false,
        };
        if empty {
            let certain = Turn {
                sabotage: None,
                fails: false,
                ..turn
            };
            self.run(certain);
        }
    }

    fn after(&mut self, turn: Turn, step: Step, call: &Call) -> Step {
        match step {
            Step::Directory => self.opened(turn, call),
            Step::Create => {
                if self.path.is_none() {
                    self.directories.push(Directory::default());
                    self.path = Some(self.directories.len() - 1);
                }
                Step::Directory
            }
            Step::IsAt if turn.is(S::OneAtATime) && self.others_swap(turn.process) => Step::IsAt,
            Step::IsAt | Step::Expected => self.is_at(turn, &step, call),
            Step::Numbers
            | Step::Mine(_)
            | Step::Follows(_)
            | Step::StillThere(_)
            | Step::Undo
            | Step::Unlink
            | Step::TookEffect(_) => self.looks_again(turn, step, call),
            Step::List | Step::ListRest(_) | Step::Load(_) => self.reads(turn, &step, call),
            staging => self.stages(turn, &staging, call),
        }
    }

    /// `Register::directory`, and who goes on in which directory.
    fn opened(&mut self, turn: Turn, call: &Call) -> Step {
        let p = turn.process;
        if !self.at_path(self.processes[p].directory) {
            let process = &mut self.processes[p];
            process.directory = self.path;
            process.staged = None;
            process.made.clear();
        }
        match (call.asks, self.path, call.expected) {
            (Asks::Read, Some(_), _) => Step::List,
            (Asks::Read, None, _) => self.saw(p, None),
            (_, Some(_), _) if call.source.is_none() => Step::IsAt,
            (_, Some(_), _) => Step::List,
            (_, None, None) => Step::Create,
            (_, None, Some(_)) => self.saw(p, None),
        }
    }

    fn is_at(&mut self, turn: Turn, step: &Step, call: &Call) -> Step {
        let p = turn.process;
        let d = self.processes[p].directory.unwrap_or_default();
        match (step, self.directories[d].highest(), call.expected) {
            (Step::Expected, _, Some(e)) if self.names(d, e) => self.source(turn),
            (Step::IsAt, None, None) => self.source(turn),
            (Step::IsAt, Some(top), Some(e)) if top == e.number => Step::Expected,
            _ => self.conflict(p),
        }
    }

    /// Whether a number still names what it did, in this directory.
    pub(super) fn names(&self, directory: usize, at: Revision) -> bool {
        let numbers = &self.directories[directory].numbers;
        at.directory == directory && numbers.get(&at.number) == Some(&at.file)
    }

    /// Whether another is between its look and its answer.
    fn others_swap(&self, p: usize) -> bool {
        let mut others = self.processes.iter().enumerate().filter(|(o, _)| *o != p);
        others.any(|(_, o)| o.call.as_ref().is_some_and(|call| call.source.is_some()))
    }

    /// The judge's look after every step.
    pub(in super::super) fn observe(&mut self) {
        let Some(at_path) = self.path else {
            return;
        };
        let top = self.directories[at_path].numbers.last_key_value();
        for process in &mut self.processes {
            if let Some(call) = &mut process.call
                && let Some(claim) = call.source
                && process.directory == Some(at_path)
            {
                call.facts.was_current |= top == Some((&call.number, &claim.file));
            }
        }
    }
}
