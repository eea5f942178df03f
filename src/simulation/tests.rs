//! That the simulation is right, and that it finds what is wrong.

use super::world::World;
use super::*;
use crate::change::{Acquired, Reason};
use crate::election::Sabotage;

fn broken_by(sabotage: Sabotage, faults: &[Fault], seed: u64) -> Vec<Violation> {
    let plan = Plan {
        faults: faults.to_vec(),
        ..Plan::seeded(seed)
    };
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

/// With `--nocapture` it says which seed finds it.
#[test]
fn each_broken_rule_is_found() {
    use Violation::*;
    let lead: &[_] = &[TwoLeaders, OutsideItsLease];
    let any = &[&Fault::ALL[..], &Fault::MORE].concat()[..];
    let late = &[Fault::Slow, Fault::Partition][..];
    let mixed = &[Fault::Reconfigure, Fault::Partition][..];
    for (sabotage, faults, harms) in [
        (Sabotage::LeaderCountsFromTheReply, any, lead),
        (Sabotage::CandidateCountsFromItsAsking, late, lead),
        (Sabotage::OwnLeaseDuration, mixed, lead),
        (Sabotage::NoCompareAndSwap, any, lead),
        (Sabotage::FrozenIsDead, any, lead),
        (Sabotage::TermsStartAgain, any, &[TermReused]),
        (Sabotage::LeftoverIsSuccess, any, lead),
        (Sabotage::RetryIsSuccess, any, lead),
        (Sabotage::ErrorIsSuccess, any, lead),
        (
            Sabotage::BacksOffForEver,
            &[Fault::Unreachable],
            &[NoLeader],
        ),
        (Sabotage::LateRenewalRevives, any, lead),
        (Sabotage::CachedBoolean, any, lead),
        (Sabotage::SuccessorOverlooked, any, &[TakenFromTheSuccessor]),
        (Sabotage::ClockSleeps, &[Fault::Sleep], lead),
    ] {
        let mut found = (0..1000).flat_map(|seed| {
            let broken = broken_by(sabotage, faults, seed).into_iter();
            broken.map(move |harm| (seed, harm))
        });
        let found = found.find(|(_, harm)| harms.contains(harm));
        eprintln!("{sabotage:?}: {found:?}");
        assert!(found.is_some(), "{sabotage:?} does no harm");
    }
}

/// SIGTERM ends a node that cannot reach the store, too (rule 10).
#[test]
fn whoever_is_stopped_has_ended_within_a_renew_deadline() {
    let mut stopped = 0;
    for seed in 0..100 {
        let plan = Plan {
            faults: vec![Fault::Term, Fault::Partition, Fault::Unreachable],
            ..Plan::seeded(seed)
        };
        let report = run(&plan);
        assert_eq!(report.violations, [], "seed {seed}");
        let moments = &report.moments;
        let terms = moments.iter().enumerate();
        for (n, term) in terms.filter(|(_, m)| m.what == Happening::Fault(Fault::Term)) {
            let after = &moments[n..];
            let ended = after.iter().find(|moment| {
                moment.what == Happening::Stopped
                    && (moment.node, moment.life) == (term.node, term.life)
            });
            let most = plan.timing.renew_deadline() + check::LATEST_WAKE_UP;
            let took = ended.expect("it ends").at - term.at;
            assert!(took <= most, "seed {seed}: it took {took:?}");
            stopped += 1;
        }
    }
    assert!(stopped > 300, "{stopped}");
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
    for fault in Fault::ALL.into_iter().chain(Fault::MORE) {
        let struck = Happening::Fault(fault);
        assert!(moments().any(|moment| moment.what == struck), "{fault}");
    }
    for how in [
        Acquired::Vacant,
        Acquired::Expired,
        Acquired::HolderDied,
        Acquired::HandedOver,
    ] {
        let so = |what: &Happening| matches!(what, Happening::Elected { acquired, .. } if *acquired == how);
        assert!(moments().any(|moment| so(&moment.what)), "{how:?}");
    }
    for why in [
        Reason::RenewDeadline,
        Reason::Resigned,
        Reason::Shutdown,
        Reason::HandedOver,
    ] {
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
