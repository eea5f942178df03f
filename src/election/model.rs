//! An exhaustive search: the rules, in every order in which things can happen.
//!
//! The elections are the real ones. Around them is a small world: one register
//! whose swaps are atomic, time that passes in ticks, and between a node and
//! the register calls that land late, are answered late, or neither. A node may
//! be late with anything, or never act again, so every freeze is in it. What
//! else goes wrong is an *incident*, and their number in one run is bounded, as
//! is the time.
//!
//! In every state, whatever led to it:
//!  - at most one node leads;
//!  - what was left to a successor is taken by nobody else for a lease duration;
//!  - each term that is announced is higher than all before it;
//!  - one call at most is in flight (rule 1);
//!  - before its deadline a tick does nothing, after it the deadline is a later
//!    one: who sleeps until the deadline misses nothing, and does not spin.
//!
//! A search that never saw a takeover would prove nothing, so [`Goal`] lists
//! what must have been seen. And each [`Sabotage`] breaks one rule: the same
//! search must then find what that rule prevents.
//!
//! Not covered: what lies outside the bounds (each search prints its own);
//! clocks that differ in rate; the driver; a store that is no linearizable
//! register; who never saw a record that was deleted, or none since the last
//! that was, to whom nothing is promised; and what is not about safety, such as
//! who comes first.
//!
//! `MODEL_DEPTH=deep` searches farther: minutes, and to be built with
//! optimisation. To see the bounds, the counts and the sabotages' stories:
//! `cargo test --lib model -- --nocapture`.

mod goals;
mod sabotage;
mod search;
mod transition;
mod world;

use std::collections::BTreeSet;

use crate::search::{Found, Order, search};
use goals::Goal;
pub(crate) use sabotage::Sabotage;
use transition::Incident;
use world::{Setup, Ticks, Violation};

/// Lease duration, renew deadline and retry period of most nodes.
const USUAL: Ticks = Ticks(4, 3, 1);
const SLOW: Ticks = Ticks(5, 4, 1);
const QUICK: Ticks = Ticks(3, 2, 1);
/// It looks so rarely that there is less to search.
const LAZY: Ticks = Ticks(5, 4, 3);

fn deep() -> bool {
    std::env::var("MODEL_DEPTH").is_ok_and(|depth| depth == "deep")
}

/// Nodes with these timings, for so many ticks, with so many incidents.
fn setup(nodes: &[Ticks], horizon: u32, most_incidents: u8) -> Setup {
    Setup {
        nodes: nodes.to_vec(),
        horizon,
        incidents: Incident::ALL,
        most_incidents,
        most_states: 30_000_000,
        sabotage: None,
    }
}

/// Searches it, says how far that went, and insists that no rule was broken.
fn all_is_well(setup: &Setup) -> Found<Setup> {
    let found = search(setup, Order::Depth);
    eprintln!("{setup}: {found}");
    if let Some(first) = found.violation {
        // The shortest story is the one to read, where memory allows.
        let near = Setup {
            most_states: 1_000_000,
            ..setup.clone()
        };
        let shortest = search(&near, Order::Breadth).violation;
        let (violation, story) = shortest.unwrap_or(first);
        panic!("{violation:?}:\n{story}");
    }
    found
}

#[test]
fn two_nodes_hold_to_the_rules() {
    let nodes = [USUAL; 2];
    let vanishes_twice = |horizon| Setup {
        incidents: &[Incident::Vanished],
        ..setup(&[QUICK; 2], horizon, 2)
    };
    let searches = if deep() {
        vec![
            setup(&nodes, 8, 0),
            setup(&nodes, 6, 1),
            setup(&nodes, 4, 2),
            vanishes_twice(8),
        ]
    } else {
        let stopped = Setup {
            incidents: &[Incident::Stop],
            ..setup(&nodes, 4, 1)
        };
        vec![
            setup(&[SLOW, LAZY], 6, 0),
            stopped,
            vanishes_twice(5),
            setup(&nodes, 3, 1),
        ]
    };
    let mut reached = BTreeSet::new();
    for setup in searches {
        let found = all_is_well(&setup);
        assert!(found.complete, "two nodes are to be searched to the end");
        reached.extend(found.goals.0);
    }
    assert_eq!(reached, BTreeSet::from(Goal::ALL));
}

/// The record's lease duration counts, for everybody.
#[test]
fn nodes_with_different_lease_durations_hold_to_the_rules() {
    let nodes = [SLOW, QUICK];
    let garbled = |horizon, times| Setup {
        incidents: &[Incident::Garbled],
        ..setup(&nodes, horizon, times)
    };
    let searches = if deep() {
        vec![setup(&nodes, 8, 0), setup(&nodes, 5, 1), garbled(6, 2)]
    } else {
        vec![garbled(4, 1)]
    };
    for setup in searches {
        assert!(all_is_well(&setup).complete);
    }
}

#[test]
fn three_nodes_hold_to_the_rules() {
    let nodes = [USUAL; 3];
    let searches = if deep() {
        vec![setup(&nodes, 4, 0), setup(&nodes, 2, 1)]
    } else {
        vec![setup(&nodes, 2, 0)]
    };
    for setup in searches {
        all_is_well(&setup);
    }
}

/// A guard that outlives its node gives the lease back for it, on a server, while
/// what the dead had asked for is still under way.
#[test]
fn who_is_spoken_for_by_who_knows_harms_nobody() {
    use Incident as I;
    let spoken_for = |nodes: &[Ticks], horizon, times| Setup {
        incidents: &[I::CrashAfar, I::SpokenFor, I::LateLanding, I::Restart],
        ..setup(nodes, horizon, times)
    };
    let searches = match deep() {
        true => vec![spoken_for(&[USUAL; 2], 6, 4), spoken_for(&[USUAL; 3], 2, 3)],
        false => vec![spoken_for(&[USUAL; 2], 4, 3)],
    };
    for setup in searches {
        let found = all_is_well(&setup);
        assert!(found.complete);
        assert!(found.goals.0.contains(&Goal::TakenWhenVacant));
    }
}

#[test]
fn every_sabotage_is_caught() {
    use Incident as I;
    let usual = &[USUAL; 2];
    let mut cases: Vec<(_, &[Ticks], _, &'static [Incident])> = vec![
        (Sabotage::LeaderCountsFromTheReply, usual, 4, &[]),
        (Sabotage::CandidateCountsFromItsAsking, usual, 4, &[]),
        (Sabotage::OwnLeaseDuration, &[SLOW, QUICK], 4, &[]),
        (Sabotage::NoCompareAndSwap, usual, 2, &[]),
        (Sabotage::CachedBoolean, usual, 4, &[]),
        (Sabotage::CleanUpRemovesTooMuch, usual, 2, &[]),
        (Sabotage::VanishedUnseen, &[QUICK; 2], 6, &[I::Vanished]),
        (Sabotage::LateRenewalRevives, usual, 4, &[I::DeathNoticed]),
        (Sabotage::LeftoverIsSuccess, usual, 4, &[I::LostReply]),
        (Sabotage::SuccessorOverlooked, usual, 4, &[I::HandOver]),
        (Sabotage::FrozenIsDead, usual, 1, &[I::DeathNoticed]),
        (Sabotage::FrozenIsDead, usual, 1, &[I::SpokenFor]),
    ];
    if deep() {
        // Only a leader that believes for long and retries early falls for it.
        cases.push((Sabotage::RetryIsSuccess, &[SLOW, LAZY], 6, &[I::LostReply]));
    }
    for (sabotage, nodes, horizon, incidents) in cases {
        let honest = Setup {
            incidents,
            ..setup(nodes, horizon, 1)
        };
        let sabotaged = Setup {
            sabotage: Some(sabotage),
            ..honest.clone()
        };
        let found = search(&sabotaged, Order::Breadth);
        eprintln!("{sabotage:?}, {sabotaged}: {found}");
        let (caught, story) = found
            .violation
            .unwrap_or_else(|| panic!("{sabotage:?} was not caught"));
        eprintln!("{caught:?}:\n{story}");
        let expected = match sabotage {
            Sabotage::SuccessorOverlooked => Violation::TakenFromTheSuccessor,
            Sabotage::VanishedUnseen => Violation::TermReused,
            _ => Violation::TwoLeaders,
        };
        assert_eq!(caught, expected, "{sabotage:?}");
        if deep() {
            all_is_well(&honest);
        }
    }
}
