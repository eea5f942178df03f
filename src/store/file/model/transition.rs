//! The verbs: what can happen next, and what bounds a search.

use std::collections::BTreeSet;
use std::fmt;

use super::process::{Asks, Process, Step, Turn, Waiter};
use super::sabotage::Sabotage;
use super::world::{Directory, Violation, World, unsynced};
use crate::search::Model;

/// One search: the processes, and what bounds it.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// Which machine each process is on, and how many calls it makes.
    pub(super) processes: Vec<(u8, u8)>,
    pub(super) incidents: &'static [Incident],
    pub(super) most_incidents: u8,
    pub(super) most_states: usize,
    /// Whether they also wait for the end of a holder, in threads of their own.
    pub(super) watch: bool,
    pub(super) sabotage: Option<Sabotage>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incident {
    /// A process is killed.
    Crash,
    /// The directory is moved away. Whoever has it open may go on in it.
    Removed,
    /// It is moved back, before another is made.
    Returned,
    /// A person removes all numbers.
    Emptied,
    /// A sync fails, of a claim or of the directory.
    SyncFails,
    /// There is no room for another name.
    Full,
    /// The disk fails while a process looks again: it is not told whether its
    /// swap took effect.
    AnswerLost,
    /// The power fails, and all processes start anew.
    Boot,
}

impl Incident {
    pub(super) const ALL: &[Self] = &[
        Self::Crash,
        Self::Removed,
        Self::SyncFails,
        Self::Full,
        Self::AnswerLost,
        Self::Boot,
    ];

    /// What can go wrong with a system call.
    const fn of(step: &Step) -> Option<Self> {
        Some(match step {
            Step::Sync | Step::TookEffect(_) => Self::SyncFails,
            Step::Link => Self::Full,
            Step::Numbers | Step::Mine(_) | Step::Follows(_) | Step::StillThere(_) => {
                Self::AnswerLost
            }
            _ => return None,
        })
    }
}

/// One thing that can happen. The number says to which process.
#[derive(Clone, Debug)]
pub(super) enum Transition {
    Asks(usize, Asks),
    /// The next system call of the thread that reads and swaps.
    Runs(usize),
    Tidies(usize),
    /// It watches for the end of the holder that it saw last.
    Watches(usize),
    /// The next system call of the thread that waits.
    Waits(usize),
    /// The lease is over for who led: its witness is closed.
    StepsDown(usize),
    Crash(usize),
    /// Its next system call fails.
    Fails(usize),
    Removed,
    Returned,
    Emptied,
    /// What was not synced is lost, but for what these bits name.
    Boot(u32),
}

/// What a search must have seen at least once, so that it is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Goal {
    TakenOver,
    Renewed,
    Released,
    HolderDied,
    /// A link came too late and was taken back.
    LinkUndone,
    LostTheRace,
    /// A claim was collected before it could be linked.
    StagedAgain,
    /// The answer to a renewal was lost, and it went on from there: rule 6.
    WentOn,
    /// On a full disk the oldest revision gave up its name.
    MadeRoom,
    /// A collector looked at a claim before it was locked.
    LookedAt,
    Collected,
}

impl Goal {
    pub(super) const ALL: [Self; 11] = [
        Self::TakenOver,
        Self::Renewed,
        Self::Released,
        Self::HolderDied,
        Self::LinkUndone,
        Self::LostTheRace,
        Self::StagedAgain,
        Self::WentOn,
        Self::MadeRoom,
        Self::LookedAt,
        Self::Collected,
    ];

    fn of(before: &Process, after: &Process) -> Option<Self> {
        Some(match (&before.step, &after.step) {
            (Step::TookEffect(_), Step::Idle) if after.highest > 1 && after.leading.is_some() => {
                Self::TakenOver
            }
            (Step::Follows(_) | Step::StillThere(_), Step::Idle) => match after.leading {
                Some(_) => Self::Renewed,
                None => Self::Released,
            },
            (Step::Unlink, _) => Self::LinkUndone,
            (Step::Link, Step::List) => Self::LostTheRace,
            (Step::Link, Step::Open) => Self::StagedAgain,
            (Step::Load(_), Step::Idle) if after.leading.is_some() => Self::WentOn,
            (Step::GivesUp(_), _) => Self::MadeRoom,
            (Step::Lock, Step::Open) => Self::LookedAt,
            (Step::Remove { .. }, _) => Self::Collected,
            _ if before.waiter != after.waiter && matches!(after.waiter, Waiter::Died(_)) => {
                Self::HolderDied
            }
            _ => return None,
        })
    }
}

impl Setup {
    fn removable(&self, world: &World) -> bool {
        world.left > 0 && self.incidents.contains(&Incident::Removed)
    }

    /// Everybody else is frozen for ever: can a newcomer take the lease?
    fn is_blocked(&self, world: &World) -> bool {
        let mut world = world.clone();
        let newcomer = world.processes.len();
        let process = Process::new(0, 2);
        world.processes.push(process);
        let turn = Turn {
            sabotage: self.sabotage,
            ..Turn::of(newcomer)
        };
        for asks in [Asks::Read, Asks::Acquire] {
            world.ask(turn, asks);
            for _ in 0..40 {
                if world.processes[newcomer].step == Step::Idle {
                    break;
                }
                world.run(turn);
                world.observe();
            }
        }
        world.processes[newcomer].leading.is_none()
    }
}

impl Model for Setup {
    type World = World;
    type Transition = Transition;
    type Violation = Violation;
    type Goals = BTreeSet<Goal>;

    fn start(&self) -> World {
        // All have looked, and found nothing yet.
        let process = |(machine, calls): &(u8, u8)| {
            let mut process = Process::new(*machine, *calls);
            process.seen = Some(None);
            process
        };
        World {
            path: Some(0),
            directories: vec![Directory::default()],
            files: Vec::new(),
            processes: self.processes.iter().map(process).collect(),
            left: self.most_incidents,
            boots: 0,
            broken: None,
        }
    }

    fn transitions(&self, world: &World) -> Vec<Transition> {
        use Transition as T;
        let mut possible = Vec::new();
        let may = |incident| world.left > 0 && self.incidents.contains(&incident);
        let living = world.processes.iter().enumerate().filter(|(_, p)| p.alive);
        for (p, process) in living {
            if process.step == Step::Idle {
                let asks = [Asks::Read, Asks::Acquire, Asks::Renew, Asks::Release];
                let asks = asks.into_iter().filter(|asks| process.may_ask(*asks));
                possible.extend(asks.map(|asks| T::Asks(p, asks)));
                if process.chores.is_some() {
                    possible.push(T::Tidies(p));
                }
                if process.leading.is_some() {
                    possible.push(T::StepsDown(p));
                }
            } else {
                possible.push(T::Runs(p));
                if Incident::of(&process.step).is_some_and(may) {
                    possible.push(T::Fails(p));
                }
            }
            let watches = self.watch && process.leading.is_none() && process.waiter == Waiter::None;
            if watches && matches!(process.seen, Some(Some(_))) {
                possible.push(T::Watches(p));
            }
            if world.waiter_is_ready(p) {
                possible.push(T::Waits(p));
            }
            if may(Incident::Crash) {
                possible.push(T::Crash(p));
            }
        }
        let there = world.path.is_some();
        if may(Incident::Removed) && there {
            possible.push(T::Removed);
        }
        if may(Incident::Returned) && !there && world.directories.len() == 1 {
            possible.push(T::Returned);
        }
        if may(Incident::Emptied) && there {
            possible.push(T::Emptied);
        }
        if may(Incident::Boot) {
            let lost = world.directories.iter().map(unsynced).map(|u| u.len());
            possible.extend((0..1 << lost.max().unwrap_or(0)).map(T::Boot));
        }
        possible
    }

    fn apply(&self, world: &mut World, next: &Transition, goals: &mut BTreeSet<Goal>) {
        use Transition as T;
        let turn = |process, fails| Turn {
            process,
            sabotage: self.sabotage,
            fails,
            removable: self.removable(world),
        };
        let before = match next {
            T::Runs(p) | T::Waits(p) => Some((*p, world.processes[*p].clone())),
            _ => None,
        };
        match *next {
            T::Asks(p, asks) => world.ask(turn(p, false), asks),
            T::Runs(p) => world.run(turn(p, false)),
            T::Fails(p) => world.run(turn(p, true)),
            T::Tidies(p) => world.tidy(p),
            T::Watches(p) => {
                if let Some(Some(seen)) = world.processes[p].seen {
                    world.processes[p].waiter = Waiter::Load(seen);
                }
            }
            T::Waits(p) => world.wait(p, self.sabotage),
            T::StepsDown(p) => world.processes[p].leading = None,
            T::Crash(p) => world.processes[p].die(),
            T::Removed => world.path = None,
            T::Returned => world.path = Some(0),
            T::Emptied => world.empty(),
            T::Boot(kept) => world.boot(kept, 2),
        }
        if matches!(
            next,
            T::Crash(_) | T::Fails(_) | T::Removed | T::Returned | T::Emptied | T::Boot(_)
        ) {
            world.left -= 1;
        }
        world.observe();
        if let Some((p, before)) = before {
            goals.extend(Goal::of(&before, &world.processes[p]));
        }
    }

    fn check(&self, world: &World) -> Option<Violation> {
        let blocked = || self.is_blocked(world).then_some(Violation::Blocked);
        world.check().or_else(blocked)
    }

    fn tell(&self, world: &mut World, next: &Transition) -> String {
        use Transition as T;
        let doing = match next {
            T::Runs(p) | T::Fails(p) => format!(" {:?}", world.processes[*p].step),
            T::Waits(p) => format!(" {:?}", world.processes[*p].waiter),
            _ => String::new(),
        };
        self.apply(world, next, &mut BTreeSet::new());
        let numbers: Vec<_> = world
            .path
            .iter()
            .flat_map(|d| world.directories[*d].numbers.iter())
            .map(|(number, file)| {
                let file = world.file(*file);
                let vacant = if file.vacant { " vacant" } else { "" };
                format!("{number}: term {} of {}{vacant}", file.term, file.owner)
            })
            .collect();
        format!("{next:?}{doing}  [{}]", numbers.join(", "))
    }

    fn most_states(&self) -> usize {
        self.most_states
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            processes,
            incidents,
            most_incidents,
            ..
        } = self;
        write!(
            f,
            "processes (machine, calls) {processes:?}, at most {most_incidents} of {incidents:?}"
        )
    }
}
