//! What the shared search asks of this model.

use super::goals::Goals;
use super::transition::Transition;
use super::world::{Setup, Violation, World};
use crate::election::Change;
use crate::search::Model;

impl Model for Setup {
    type World = World;
    type Transition = Transition;
    type Violation = Violation;
    type Goals = Goals;

    fn start(&self) -> World {
        World::new(self)
    }

    fn transitions(&self, world: &World) -> Vec<Transition> {
        world.transitions(self)
    }

    fn apply(&self, world: &mut World, next: &Transition, goals: &mut Goals) {
        world.apply(next, self, goals);
    }

    fn check(&self, world: &World) -> Option<Violation> {
        world.check(self)
    }

    fn tell(&self, world: &mut World, next: &Transition) -> String {
        let at = world.tick;
        let said = world.apply(next, self, &mut Goals::default());
        let said: Vec<_> = said.iter().map(brief).collect();
        format!("tick {at}: {next:?}  {}", said.join(", "))
    }

    fn most_states(&self) -> usize {
        self.most_states
    }
}

fn brief(change: &Change) -> String {
    match change {
        Change::NewLeader { leader, term } => format!("follows {} in term {term}", leader.node_id),
        Change::Elected {
            term, valid_until, ..
        } => format!("ELECTED in term {term} until {valid_until:?}"),
        Change::Revoked { term, reason, .. } => format!("REVOKED in term {term}: {reason:?}"),
        other => format!("{other:?}"),
    }
}
