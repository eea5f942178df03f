//! The search that the models share: from every world to all that can follow.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// What is to be searched, and within which bounds.
pub(crate) trait Model {
    /// All that is so at one moment.
    type World: Clone + Hash;
    /// One thing that can happen.
    type Transition;
    type Violation;
    /// What is to be seen at least once, so that the search is not empty.
    type Goals: Default;

    fn start(&self) -> Self::World;
    /// Everything that can happen next.
    fn transitions(&self, world: &Self::World) -> Vec<Self::Transition>;
    fn apply(&self, world: &mut Self::World, next: &Self::Transition, goals: &mut Self::Goals);
    /// What must hold in every state, and does not.
    fn check(&self, world: &Self::World) -> Option<Self::Violation>;
    /// Lets it happen, and says so in a line.
    fn tell(&self, world: &mut Self::World, next: &Self::Transition) -> String;
    fn most_states(&self) -> usize;
}

/// What a search found.
pub(crate) struct Found<M: Model> {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    /// Whether all that the bounds allow was seen.
    pub(crate) complete: bool,
    pub(crate) goals: M::Goals,
    pub(crate) violation: Option<(M::Violation, Story)>,
}

/// How a run came to where it is, told in lines.
pub(crate) struct Story(Vec<String>);

/// Which worlds come first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The nearest: finds the shortest story, and needs memory for it.
    Breadth,
    /// The farthest: needs little memory.
    Depth,
}

/// The way to a world, shared with those that branch off.
struct Path<T> {
    last: T,
    before: Option<Rc<Self>>,
}

pub(crate) fn search<M: Model>(model: &M, order: Order) -> Found<M> {
    let start = model.start();
    // A hash of 64 bits stands for a state: among ten million states the odds
    // that any two share one, and something is missed, are 1 in 400,000.
    let mut seen = HashSet::from([fingerprint(&start)]);
    let mut frontier = VecDeque::from([(start, None::<Rc<Path<M::Transition>>>)]);
    let mut found = Found {
        states: 1,
        transitions: 0,
        complete: true,
        goals: M::Goals::default(),
        violation: None,
    };
    while let Some((world, path)) = match order {
        Order::Breadth => frontier.pop_front(),
        Order::Depth => frontier.pop_back(),
    } {
        for transition in model.transitions(&world) {
            found.transitions += 1;
            let mut next = world.clone();
            model.apply(&mut next, &transition, &mut found.goals);
            if !seen.insert(fingerprint(&next)) {
                continue;
            }
            let path = Rc::new(Path {
                last: transition,
                before: path.clone(),
            });
            if let Some(violation) = model.check(&next) {
                found.violation = Some((violation, Story::of(&path, model)));
                return found;
            }
            found.states += 1;
            if found.states >= model.most_states() {
                found.complete = false;
                return found;
            }
            frontier.push_back((next, Some(path)));
        }
    }
    found
}

fn fingerprint(world: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

impl Story {
    fn of<M: Model>(path: &Rc<Path<M::Transition>>, model: &M) -> Self {
        let mut way = vec![path];
        while let Some(before) = &way[way.len() - 1].before {
            way.push(before);
        }
        let mut world = model.start();
        let lines = way.iter().rev();
        Self(lines.map(|p| model.tell(&mut world, &p.last)).collect())
    }
}

impl<M: Model> fmt::Display for Found<M> {
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
