//! That the simulation is right, and that it finds what is wrong.

use super::world::World;
use super::*;
use crate::change::{Acquired, Reason};
use crate::election::Sabotage;

fn broken_by(sabotage: Sabotage, seed: u64) -> Vec<Violation> {
    let plan = Plan::seeded(seed);
    let mut world = World::new(&plan);
    world.sabotage = Some(sabotage);
    let found = world.run().violations;
    found.into_iter().map(|(_, what)| what).collect()
}

#[test]
fn all_is_well() {
    for seed in 0..300 {
        let report = run(&Plan::seeded(seed));
        assert_eq!(report.violations, [], "seed {seed}: {:?}", report.plan);
        assert!(!report.spans.is_empty());
    }
}

#[test]
fn one_seed_is_one_story() {
    for seed in 0..10 {
        assert_eq!(run(&Plan::seeded(seed)), run(&Plan::seeded(seed)));
        assert_ne!(
            run(&Plan::seeded(seed)).moments,
            run(&Plan::seeded(seed + 1)).moments
        );
    }
}

#[test]
fn each_broken_rule_is_found() {
    for sabotage in [
        Sabotage::LeaderCountsFromTheReply,
        Sabotage::CandidateCountsFromItsAsking,
        Sabotage::NoCompareAndSwap,
        Sabotage::CachedBoolean,
        Sabotage::LateRenewalRevives,
        Sabotage::LeftoverIsSuccess,
        Sabotage::RetryIsSuccess,
        Sabotage::FrozenIsDead,
    ] {
        let found = (0..1000).find(|seed| !broken_by(sabotage, *seed).is_empty());
        assert!(found.is_some(), "{sabotage:?} does no harm");
    }
}

#[test]
fn clocks_that_differ_by_more_than_is_promised_make_two_leaders() {
    let two_leaders = |seed: &u64| {
        let plan = Plan {
            clock_ratio: 3.0,
            ..Plan::seeded(*seed)
        };
        let violations = run(&plan).violations;
        violations
            .iter()
            .any(|(_, what)| *what == Violation::TwoLeaders)
    };
    assert!((0..100).any(|seed| two_leaders(&seed)));
}

/// What is never seen is not checked.
#[test]
fn everything_happens() {
    let reports: Vec<_> = (0..50).map(|seed| run(&Plan::seeded(seed))).collect();
    let moments = || reports.iter().flat_map(|report| &report.moments);
    for fault in Fault::ALL {
        let struck = Happening::Fault(fault);
        assert!(moments().any(|moment| moment.what == struck), "{fault}");
    }
    for how in [Acquired::Vacant, Acquired::Expired, Acquired::HolderDied] {
        let so = |what: &Happening| matches!(what, Happening::Elected { acquired, .. } if *acquired == how);
        assert!(moments().any(|moment| so(&moment.what)), "{how:?}");
    }
    for why in [Reason::RenewDeadline, Reason::Resigned, Reason::Shutdown] {
        let so =
            |what: &Happening| matches!(what, Happening::Revoked { reason, .. } if *reason == why);
        assert!(moments().any(|moment| so(&moment.what)), "{why:?}");
    }
}

#[test]
fn whoever_cannot_lead_is_noticed() {
    let mut report = run(&Plan::seeded(0));
    report.spans.clear();
    let judged = check::Checker::default().judge(report);
    assert!(matches!(judged.violations[..], [(_, Violation::NoLeader)]));
}
