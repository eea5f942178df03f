//! What will be done to whom, and when: all of it follows from the seed, and
//! nothing from what the nodes do.

use std::fmt;
use std::time::Duration;

use crate::LEASE;
use crate::common::deck::{Deck, Dice};
use crate::settings::Settings;

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
    /// The lease's directory is removed, when all agree on who leads.
    Removed,
    /// What is no record, or half of one, is there as the next one.
    Garbage,
    Torn,
    /// Files of another's are in the lease's directory.
    Stranger,
}

/// What is drawn from, each as often as it shall come.
pub(crate) const CARDS: [(Fault, usize); 15] = [
    (Fault::Kill, 30),
    (Fault::Term, 20),
    (Fault::FreezeBriefly, 10),
    (Fault::FreezeLong, 14),
    (Fault::KillAll, 5),
    (Fault::TermAll, 3),
    (Fault::HandOver, 8),
    (Fault::Resign, 8),
    (Fault::Clock, 8),
    (Fault::DiskFull, 4),
    (Fault::ReadOnly, 3),
    (Fault::Removed, 3),
    (Fault::Garbage, 3),
    (Fault::Torn, 2),
    (Fault::Stranger, 3),
];

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
            Self::Removed => "directory removed",
            Self::Garbage => "garbage",
            Self::Torn => "torn revision",
            Self::Stranger => "strangers' files",
        })
    }
}

/// An endless plan.
pub(crate) struct Plan {
    deck: Deck<Fault>,
    dice: Dice,
    nodes: usize,
}

impl Plan {
    /// For one of several elections: each begins elsewhere in the deck.
    pub(crate) fn new(settings: &Settings, election: usize) -> Self {
        let (seed, number) = (settings.seed, election as u64);
        let cards = CARDS.iter().flat_map(|(fault, n)| vec![*fault; *n]);
        Self {
            deck: Deck::shuffled(cards.collect(), seed, number, settings.elections as u64),
            dice: Dice::new(seed, u64::MAX / 2 + number),
            nodes: settings.nodes,
        }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let (fault, ()) = self.deck.deal(|_| Some(()))?;
        let ms = Duration::from_millis;
        let (least, most) = match fault {
            Fault::FreezeBriefly => (ms(1), LEASE.mul_f64(0.5)),
            Fault::FreezeLong => (LEASE.mul_f64(1.1), LEASE.mul_f64(2.5)),
            Fault::DiskFull | Fault::ReadOnly => (ms(100), LEASE * 2),
            _ => (ms(1), LEASE / 2),
        };
        let node = self.dice.below(self.nodes as u64) as usize;
        let leader = self.dice.below(3) > 0;
        Some(Step {
            after: self.dice.between(ms(5), ms(250)),
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
    let plan = |seed, election| -> Vec<String> {
        let steps = Plan::new(&Settings::small(seed), election).take(500);
        steps.map(|step| format!("{step:?}")).collect()
    };
    assert_eq!(plan(7, 0), plan(7, 0));
    assert_ne!(plan(7, 0), plan(8, 0));
    assert_ne!(plan(7, 0), plan(7, 1));
    for (fault, _) in CARDS {
        let named = format!("fault: {fault:?},");
        assert!(
            plan(7, 0).iter().any(|s| s.contains(&named)),
            "no {fault:?}"
        );
    }
}
