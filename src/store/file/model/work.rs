//! Work and the files by which it is found, `work.rs`: leaders of one machine,
//! each in a term of its own, begin their work in whatever order, and a
//! collector looks at any file at any moment.
//!
//! Each may be frozen between two system calls for ever, or give up at any of
//! them, and work may last for ever. In every state at most one works.
//!
//! Not covered: other machines, whose locks say nothing; a leader that begins
//! its work twice.

use std::collections::BTreeSet;

use crate::search::{Model, Order, search};

/// Rules, broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sabotage {
    /// A leader looks for others before it can be found.
    LooksFirst,
    /// It can be found, but is locked only when it has looked.
    LocksLast,
    /// It looks for the term right before its own alone.
    LooksAtTheLastOnly,
    /// It begins although a later term's work has begun.
    BeginsTooLate,
    /// It does not ask whether its own file was collected.
    NotMissed,
    /// The collector lets go of the lock, and removes the file then.
    LetsGoTooSoon,
}

/// What a leader does before it works, in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Lock,
    Write,
    Look,
}

#[derive(Clone, Debug, Hash)]
enum Step {
    /// The stage with this number begins.
    Begins(usize),
    /// The next of these files is opened and read,
    Load(Vec<usize>),
    /// its lock is tried,
    Try(Vec<usize>, usize, Read),
    /// and let go of.
    LetGo(Vec<usize>),
    /// It waits for the locks of those that it found.
    Waits,
    Works,
    Over,
}

/// What stood in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Read {
    Nothing,
    Term(usize),
}

/// The leaders' terms are their numbers.
#[derive(Clone, Debug, Hash)]
struct Leader {
    step: Step,
    file: Option<usize>,
    locked: bool,
    /// Whose lock it has for a moment.
    looks_at: Option<usize>,
    found: Vec<usize>,
}

#[derive(Clone, Debug, Hash)]
struct File {
    read: Read,
    listed: bool,
}

#[derive(Clone, Debug, Hash)]
enum Collector {
    Idle,
    /// The lock was free, and it has it now.
    Has(usize),
    /// As before, without the lock.
    HadOnce(usize),
}

#[derive(Clone, Debug, Hash)]
struct World {
    leaders: Vec<Leader>,
    files: Vec<File>,
    collector: Collector,
    /// How many files it may yet look at.
    looks: usize,
}

#[derive(Clone, Copy, Debug)]
enum Transition {
    Runs(usize),
    /// Its work ends, or it loses its lease before that begins.
    Ends(usize),
    Collects(usize),
    Removes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Goal {
    Worked,
    WorkedAfterAnother,
    CameTooLate,
    Collected,
    MadeAgain,
}

#[derive(Clone, Copy, Debug)]
struct Setup {
    leaders: usize,
    looks: usize,
    sabotage: Option<Sabotage>,
}

impl World {
    fn is_locked(&self, file: usize) -> bool {
        let mut leaders = self.leaders.iter();
        leaders.any(|leader| leader.locked && leader.file == Some(file))
    }

    fn is_looked_at(&self, file: usize) -> bool {
        let mut leaders = self.leaders.iter();
        matches!(self.collector, Collector::Has(at) if at == file)
            || leaders.any(|leader| leader.looks_at == Some(file))
    }

    fn may_run(&self, p: usize) -> bool {
        match &self.leaders[p].step {
            Step::Works | Step::Over => false,
            Step::Waits => !self.leaders[p].found.iter().any(|f| self.is_locked(*f)),
            _ => true,
        }
    }

    fn make(&mut self, p: usize) {
        self.files.push(File {
            read: Read::Nothing,
            listed: true,
        });
        let leader = &mut self.leaders[p];
        leader.file = Some(self.files.len() - 1);
        leader.locked = false;
    }
}

impl Leader {
    fn end(&mut self) {
        *self = Self {
            step: Step::Over,
            file: None,
            locked: false,
            looks_at: None,
            found: Vec::new(),
        };
    }
}

impl Setup {
    fn is(self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    const fn stages(self) -> [Stage; 4] {
        match self.sabotage {
            Some(Sabotage::LooksFirst) => [Stage::Look, Stage::Open, Stage::Lock, Stage::Write],
            Some(Sabotage::LocksLast) => [Stage::Open, Stage::Write, Stage::Look, Stage::Lock],
            _ => [Stage::Open, Stage::Lock, Stage::Write, Stage::Look],
        }
    }

    fn run(self, world: &mut World, p: usize, goals: &mut BTreeSet<Goal>) {
        let step = std::mem::replace(&mut world.leaders[p].step, Step::Over);
        let next = match step {
            Step::Begins(stage) => self.begin(world, p, stage, goals),
            Step::Load(mut rest) => match rest.pop() {
                Some(file) => Step::Try(rest, file, world.files[file].read),
                None => self.after(world, p, Stage::Look),
            },
            Step::Try(rest, file, read) => match (world.is_locked(file), read) {
                (false, _) => {
                    world.leaders[p].looks_at = Some(file);
                    Step::LetGo(rest)
                }
                (true, Read::Term(term)) if term < p => {
                    if !self.is(Sabotage::LooksAtTheLastOnly) || term + 1 == p {
                        world.leaders[p].found.push(file);
                    }
                    Step::Load(rest)
                }
                (true, Read::Term(_)) if !self.is(Sabotage::BeginsTooLate) => {
                    goals.insert(Goal::CameTooLate);
                    return world.leaders[p].end();
                }
                (true, _) => Step::Load(rest),
            },
            Step::LetGo(rest) => {
                world.leaders[p].looks_at = None;
                Step::Load(rest)
            }
            Step::Waits => {
                goals.insert(Goal::WorkedAfterAnother);
                world.leaders[p].found.clear();
                Step::Works
            }
            done @ (Step::Works | Step::Over) => done,
        };
        if matches!(next, Step::Works) {
            goals.insert(Goal::Worked);
        }
        world.leaders[p].step = next;
    }

    fn begin(self, world: &mut World, p: usize, stage: usize, goals: &mut BTreeSet<Goal>) -> Step {
        let stage = self.stages()[stage];
        match (stage, world.leaders[p].file) {
            (Stage::Open, _) => world.make(p),
            (Stage::Lock, Some(file)) if world.is_looked_at(file) => {
                // Somebody looked at it the moment it was made.
                world.files[file].listed = false;
                goals.insert(Goal::MadeAgain);
                return Step::Begins(0);
            }
            (Stage::Lock, Some(_)) => world.leaders[p].locked = true,
            (Stage::Write, Some(file)) => world.files[file].read = Read::Term(p),
            (Stage::Look, own) => {
                let missed = own.is_some_and(|file| !world.files[file].listed);
                if missed && !self.is(Sabotage::NotMissed) {
                    goals.insert(Goal::MadeAgain);
                    return Step::Begins(0);
                }
                let all = world.files.iter().enumerate();
                let others = all.filter(|(at, file)| file.listed && own != Some(*at));
                return Step::Load(others.map(|(at, _)| at).collect());
            }
            (_, None) => unreachable!("it is opened first"),
        }
        self.after(world, p, stage)
    }

    fn after(self, world: &World, p: usize, done: Stage) -> Step {
        let stage = self.stages().iter().position(|stage| *stage == done);
        match stage.map(|stage| stage + 1) {
            Some(next) if next < self.stages().len() => Step::Begins(next),
            _ if world.leaders[p].found.is_empty() => Step::Works,
            _ => Step::Waits,
        }
    }
}

impl Model for Setup {
    type World = World;
    type Transition = Transition;
    /// Both of them work.
    type Violation = (usize, usize);
    type Goals = BTreeSet<Goal>;

    fn start(&self) -> World {
        let mut leader = Leader {
            step: Step::Over,
            file: None,
            locked: false,
            looks_at: None,
            found: Vec::new(),
        };
        leader.step = Step::Begins(0);
        World {
            leaders: vec![leader; self.leaders],
            files: Vec::new(),
            collector: Collector::Idle,
            looks: self.looks,
        }
    }

    fn transitions(&self, world: &World) -> Vec<Transition> {
        use Transition as T;
        let mut possible = Vec::new();
        for (p, leader) in world.leaders.iter().enumerate() {
            if world.may_run(p) {
                possible.push(T::Runs(p));
            }
            if !matches!(leader.step, Step::Over) {
                possible.push(T::Ends(p));
            }
        }
        match world.collector {
            Collector::Idle if world.looks > 0 => {
                let free = |at: &usize| world.files[*at].listed && !world.is_locked(*at);
                possible.extend((0..world.files.len()).filter(free).map(T::Collects));
            }
            Collector::Idle => {}
            Collector::Has(_) | Collector::HadOnce(_) => possible.push(T::Removes),
        }
        possible
    }

    fn apply(&self, world: &mut World, next: &Transition, goals: &mut BTreeSet<Goal>) {
        use Transition as T;
        match *next {
            T::Runs(p) => self.run(world, p, goals),
            T::Ends(p) => world.leaders[p].end(),
            T::Collects(file) => {
                world.looks -= 1;
                world.collector = match self.is(Sabotage::LetsGoTooSoon) {
                    true => Collector::HadOnce(file),
                    false => Collector::Has(file),
                };
            }
            T::Removes => {
                if let Collector::Has(file) | Collector::HadOnce(file) = world.collector {
                    world.files[file].listed = false;
                    goals.insert(Goal::Collected);
                }
                world.collector = Collector::Idle;
            }
        }
    }

    fn check(&self, world: &World) -> Option<(usize, usize)> {
        let works = |p: &usize| matches!(world.leaders[*p].step, Step::Works);
        let mut working = (0..world.leaders.len()).filter(works);
        Some((working.next()?, working.next()?))
    }

    fn tell(&self, world: &mut World, next: &Transition) -> String {
        let doing = match next {
            Transition::Runs(p) => format!(" {:?}", world.leaders[*p].step),
            _ => String::new(),
        };
        self.apply(world, next, &mut BTreeSet::new());
        format!("{next:?}{doing}")
    }

    fn most_states(&self) -> usize {
        40_000_000
    }
}

#[test]
fn no_two_leaders_work_at_once() {
    let mut reached = BTreeSet::new();
    let searches: &[_] = match super::deep() {
        true => &[(2, 2), (3, 0), (3, 1), (3, 2)],
        false => &[(2, 2), (3, 0)],
    };
    for &(leaders, looks) in searches {
        let setup = Setup {
            leaders,
            looks,
            sabotage: None,
        };
        let found = search(&setup, Order::Depth);
        eprintln!("{setup:?}: {found}");
        if let Some((both, story)) = &found.violation {
            panic!("{both:?} work:\n{story}");
        }
        assert!(found.complete, "it is to be searched to the end");
        reached.extend(found.goals);
    }
    use Goal as G;
    let all = [
        G::Worked,
        G::WorkedAfterAnother,
        G::CameTooLate,
        G::Collected,
        G::MadeAgain,
    ];
    assert_eq!(reached, BTreeSet::from(all));
}

#[test]
fn every_sabotage_of_work_is_caught() {
    use Sabotage as S;
    for (sabotage, leaders, looks) in [
        (S::LooksFirst, 2, 0),
        (S::LocksLast, 2, 0),
        (S::LooksAtTheLastOnly, 3, 0),
        (S::BeginsTooLate, 2, 0),
        (S::NotMissed, 2, 1),
        (S::LetsGoTooSoon, 2, 1),
    ] {
        let setup = Setup {
            leaders,
            looks,
            sabotage: Some(sabotage),
        };
        let found = search(&setup, Order::Breadth);
        eprintln!("{setup:?}: {found}");
        let caught = found.violation;
        let (_, story) = caught.unwrap_or_else(|| panic!("{sabotage:?} was not caught"));
        eprintln!("{story}");
    }
}
