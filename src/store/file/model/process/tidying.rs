//! What can wait until the caller has its answer.

use super::super::sabotage::Sabotage as S;
use super::super::world::{Name, Violation as V, World};
use super::{Chores, Step, Turn};

impl World {
    pub(in super::super) fn tidy(&mut self, p: usize) {
        let process = &mut self.processes[p];
        let old = process
            .chores
            .as_ref()
            .map_or_else(Vec::new, |c| c.old.clone());
        process.step = Step::Old(old);
        self.skip(Turn::of(p));
    }

    /// `Register::tidy` and `collector.rs`.
    pub(super) fn tidying(&mut self, turn: Turn, step: Step) -> Step {
        let p = turn.process;
        let me = self.processes[p].clone();
        let Some(d) = me.directory else {
            return Step::Idle;
        };
        let boot = (me.machine, self.boots);
        match step {
            Step::Old(mut old) => {
                if !old.is_empty() {
                    self.directories[d].numbers.remove(&old.remove(0));
                    return Step::Old(old);
                }
                let used = |name: &Name| {
                    let mut mine = me.staged.iter().chain(&me.leading);
                    mine.any(|claim| claim.name == *name)
                };
                let (made, unused) = me.made.into_iter().partition(used);
                self.processes[p].made = made;
                Step::Own(unused)
            }
            Step::Own(mut names) => {
                if !names.is_empty() {
                    self.directories[d].claims.remove(&names.remove(0));
                    return Step::Own(names);
                }
                match self.processes[p].chores.take() {
                    Some(Chores { collect: true, .. }) => Step::Claims,
                    _ => Step::Idle,
                }
            }
            Step::Claims => {
                let others = self.directories[d].claims.keys();
                Step::Collect(others.filter(|n| !me.made.contains(n)).copied().collect())
            }
            Step::Collect(mut rest) => {
                if rest.is_empty() {
                    return Step::Idle;
                }
                let name = rest.remove(0);
                let Some(&file) = self.directories[d].claims.get(&name) else {
                    return Step::Collect(rest);
                };
                let free = turn.is(S::CollectorIgnoresLocks) || !self.is_locked(file, me.machine);
                let abandoned = match self.file(file) {
                    _ if turn.is(S::CollectorTakesForeignClaims) => true,
                    // Whose it is, only a lock could say.
                    file if !file.written => self.all_on(me.machine),
                    file => file.vacant || file.boot == boot,
                };
                match free && abandoned {
                    true => Step::Remove { rest, name, file },
                    false => Step::Collect(rest),
                }
            }
            Step::Remove { rest, name, file } => {
                let owner = &self.processes[usize::from(name.0)];
                if owner.locks(file) && self.directories[d].claims.contains_key(&name) {
                    self.broken = Some(V::CollectedFromTheLiving);
                }
                self.directories[d].claims.remove(&name);
                Step::Collect(rest)
            }
            _ => Step::Idle,
        }
    }
}
