//! What will be done to whom, and when: all of it follows from the seed, and
//! nothing from what the nodes do.

use std::fmt;
use std::time::Duration;

use crate::common::deck::{Deck, Dice};
use crate::settings::{Kind, Settings, Store};

/// One fault, some time after the one before.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) after: Duration,
    pub(crate) whom: Whom,
    pub(crate) fault: Fault,
    /// Until it is healed, where it can be.
    pub(crate) lasts: Duration,
    /// For faults of several kinds.
    pub(crate) kind: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Whom {
    /// Whoever leads at that moment; if nobody does, that node.
    Leader(usize),
    Node(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// `kill -9`.
    Kill,
    /// SIGTERM.
    Term,
    /// SIGSTOP for less than the renew deadline, and SIGCONT.
    FreezeBriefly,
    /// SIGSTOP for longer than the lease, and SIGCONT.
    FreezeLong,
    /// All nodes are killed and start again at one moment.
    KillAll,
    /// All nodes are asked to end, and start again.
    TermAll,
    /// Somebody asks the leader to hand over, or to resign.
    HandOver,
    Resign,
    /// The wall clock jumps.
    Clock,
    DiskFull,
    ReadOnly,
    /// The lease is removed, when all agree on who leads.
    Removed,
    /// What is no record, or half of one, is there as the next one.
    Garbage,
    Torn,
    /// Files of another's are in the lease's directory.
    Stranger,
    /// A node is cut off from the servers, both ways.
    Parted,
    /// What it asks arrives, what is answered does not.
    Unanswered,
    /// All of that arrives late.
    Slow,
    /// The servers are away for all, for less than the lease or for longer.
    AwayBriefly,
    AwayLong,
    ServerFrozen,
    /// `kill -9`, and started again on what it had.
    ServerKilled,
    /// Another server takes over from the one that all turn to.
    StoreFailover,
    /// The lease's key holds something else for a while.
    Foreign,
}

/// What is drawn from, each as often as it shall come: what is done to nodes ..
const NODES: [(Fault, usize); 9] = [
    (Fault::Kill, 30),
    (Fault::Term, 20),
    (Fault::FreezeBriefly, 10),
    (Fault::FreezeLong, 14),
    (Fault::KillAll, 5),
    (Fault::TermAll, 3),
    (Fault::HandOver, 8),
    (Fault::Resign, 8),
    (Fault::Clock, 8),
];

/// .. to a directory ..
const DIRECTORY: [(Fault, usize); 6] = [
    (Fault::DiskFull, 4),
    (Fault::ReadOnly, 3),
    (Fault::Removed, 3),
    (Fault::Garbage, 3),
    (Fault::Torn, 2),
    (Fault::Stranger, 3),
];

/// .. and to servers: seldom to all of them, as nobody can lead meanwhile.
const SERVERS: [(Fault, usize); 10] = [
    (Fault::Parted, 12),
    (Fault::Unanswered, 8),
    (Fault::Slow, 8),
    (Fault::AwayBriefly, 2),
    (Fault::AwayLong, 2),
    (Fault::ServerFrozen, 2),
    (Fault::ServerKilled, 2),
    (Fault::StoreFailover, 4),
    (Fault::Foreign, 2),
    (Fault::Removed, 2),
];

impl Store {
    pub(crate) fn cards(&self) -> Vec<(Fault, usize)> {
        let its: &[_] = match self {
            Self::Small | Self::Directory(_) => &DIRECTORY,
            Self::Own(_) => &SERVERS,
            Self::Given(_) => &[],
        };
        [&NODES, its].concat()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kill => "kill -9",
            Self::Term => "SIGTERM",
            Self::FreezeBriefly => "frozen for less than the lease",
            Self::FreezeLong => "frozen for longer",
            Self::KillAll => "all killed at once",
            Self::TermAll => "all restarted at once",
            Self::HandOver => "hand-over",
            Self::Resign => "resign",
            Self::Clock => "wall clock set",
            Self::DiskFull => "full disk",
            Self::ReadOnly => "read-only directory",
            Self::Removed => "lease removed",
            Self::Garbage => "garbage",
            Self::Torn => "torn revision",
            Self::Stranger => "strangers' files",
            Self::Parted => "cut off",
            Self::Unanswered => "cut off one way",
            Self::Slow => "slow network",
            Self::AwayBriefly => "store away for less than the lease",
            Self::AwayLong => "store away for longer",
            Self::ServerFrozen => "server frozen",
            Self::ServerKilled => "server killed",
            Self::StoreFailover => "store failover",
            Self::Foreign => "garbage in the key",
        })
    }
}

/// An endless plan.
pub(crate) struct Plan {
    deck: Deck<Fault>,
    dice: Dice,
    nodes: usize,
    lease: Duration,
    /// Between two faults, at most.
    pause: Duration,
}

impl Plan {
    /// For one of several elections: each begins elsewhere in the deck.
    pub(crate) fn new(settings: &Settings, election: usize) -> Self {
        let (seed, number) = (settings.seed, election as u64);
        let cards = settings.store.cards();
        let cards = cards.iter().flat_map(|(fault, n)| vec![*fault; *n]);
        Self {
            deck: Deck::shuffled(cards.collect(), seed, number, settings.elections as u64),
            dice: Dice::new(seed, u64::MAX / 2 + number),
            nodes: settings.nodes,
            lease: settings.store.lease(),
            pause: settings.store.pause(),
        }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let (fault, ()) = self.deck.deal(|_| Some(()))?;
        let (ms, lease) = (Duration::from_millis, self.lease);
        let (least, most) = match fault {
            Fault::FreezeBriefly | Fault::AwayBriefly => (ms(1), lease.mul_f64(0.5)),
            Fault::FreezeLong | Fault::AwayLong => (lease.mul_f64(1.1), lease.mul_f64(2.5)),
            Fault::Parted | Fault::Unanswered | Fault::Slow => (ms(50), lease.mul_f64(2.5)),
            Fault::DiskFull | Fault::ReadOnly | Fault::Foreign => (ms(100), lease * 2),
            Fault::ServerFrozen => (ms(10), lease * 2),
            _ => (ms(1), lease / 2),
        };
        let node = self.dice.below(self.nodes as u64) as usize;
        let leader = self.dice.below(3) > 0;
        Some(Step {
            after: self.dice.between(ms(5), self.pause),
            whom: if leader {
                Whom::Leader(node)
            } else {
                Whom::Node(node)
            },
            fault,
            lasts: self.dice.between(least, most),
            kind: self.dice.below(1 << 32),
        })
    }
}

#[test]
fn one_seed_is_one_plan() {
    let plan = |seed, store: &Store, election| -> Vec<String> {
        let settings = Settings {
            store: store.clone(),
            ..Settings::small(seed)
        };
        let steps = Plan::new(&settings, election).take(500);
        steps.map(|step| format!("{step:?}")).collect()
    };
    for store in [Store::Small, Store::Own(Kind::Etcd)] {
        assert_eq!(plan(7, &store, 0), plan(7, &store, 0));
        assert_ne!(plan(7, &store, 0), plan(8, &store, 0));
        assert_ne!(plan(7, &store, 0), plan(7, &store, 1));
        for (fault, _) in store.cards() {
            let named = format!("fault: {fault:?},");
            let steps = plan(7, &store, 0);
            assert!(steps.iter().any(|s| s.contains(&named)), "no {fault:?}");
        }
    }
}
