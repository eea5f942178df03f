//! The search itself: from every world to all that can follow from it.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use super::goals::Goals;
use super::transition::Transition;
use super::world::{Setup, Violation, World};
use crate::election::Change;

/// What a search found.
pub(super) struct Found {
    pub(super) states: usize,
    pub(super) transitions: usize,
    /// Whether all that the bounds allow was seen.
    pub(super) complete: bool,
    pub(super) goals: Goals,
    pub(super) violation: Option<(Violation, Story)>,
}

/// How a run came to where it is, told in lines.
pub(super) struct Story(Vec<String>);

/// Which worlds come first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The nearest: finds the shortest story, and needs memory for it.
    Breadth,
    /// The farthest: needs little memory.
    Depth,
}

/// The way to a world, shared with those that branch off.
struct Path {
    last: Transition,
    before: Option<Rc<Self>>,
}

pub(super) fn search(setup: &Setup, order: Order) -> Found {
    let start = World::new(setup);
    // A hash of 64 bits stands for a state: among ten million states the odds
    // that any two share one, and something is missed, are 1 in 400,000.
    let mut seen = HashSet::from([fingerprint(&start)]);
    let mut frontier = VecDeque::from([(start, None::<Rc<Path>>)]);
    let mut found = Found {
        states: 1,
        transitions: 0,
        complete: true,
        goals: Goals::default(),
        violation: None,
    };
    while let Some((world, path)) = match order {
        Order::Breadth => frontier.pop_front(),
        Order::Depth => frontier.pop_back(),
    } {
        for transition in world.transitions(setup) {
            found.transitions += 1;
            let mut next = world.clone();
            next.apply(&transition, setup, &mut found.goals);
            if !seen.insert(fingerprint(&next)) {
                continue;
            }
            let path = Rc::new(Path {
                last: transition,
                before: path.clone(),
            });
            if let Some(violation) = next.check(setup) {
                found.violation = Some((violation, Story::of(&path, setup)));
                return found;
            }
            found.states += 1;
            if found.states >= setup.most_states {
                found.complete = false;
                return found;
            }
            frontier.push_back((next, Some(path)));
        }
    }
    found
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

impl Story {
    fn of(path: &Rc<Path>, setup: &Setup) -> Self {
        let mut way = vec![path];
        while let Some(before) = &way[way.len() - 1].before {
            way.push(before);
        }
        let mut world = World::new(setup);
        let tell = |path: &&Rc<Path>| {
            let at = world.tick;
            let said = world.apply(&path.last, setup, &mut Goals::default());
            let said: Vec<_> = said.iter().map(brief).collect();
            format!("tick {at}: {:?}  {}", path.last, said.join(", "))
        };
        Self(way.iter().rev().map(tell).collect())
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

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match (&self.violation, self.complete) {
            (Some(_), _) => "ended by a violation",
            (None, true) => "complete within these bounds",
            (None, false) => "TRUNCATED: there is more within these bounds",
        };
        write!(
            f,
            "{} states, {} transitions, {end}",
            self.states, self.transitions
        )
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}
