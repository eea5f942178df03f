//! That the simulation is right, and that it finds what is wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use super::world::World;
use super::*;
use crate::change::{Acquired, Change, Notice, Reason};
use crate::election::Sabotage;
use crate::lease::{State, Term};
use crate::request::Stage;

fn kinds(checker: &check::Checker) -> Vec<Violation> {
    checker.violations.iter().map(|(_, what)| *what).collect()
}

fn broken_by(sabotage: Sabotage, faults: &[Fault], seed: u64) -> Vec<Violation> {
    let plan = Plan {
        faults: faults.to_vec(),
        requests: faults.contains(&Fault::HandOver),
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
        let mut pairs = report.spans.windows(2);
        assert!(pairs.all(|two| two[0].to <= two[1].from), "seed {seed}");
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
    let lead: &[_] = &[TwoLeaders, NotItsRecord, OutsideItsLease];
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
        (Sabotage::ErrorIsSuccess, any, &[NotItsRecord]),
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

#[test]
fn who_is_frozen_goes_on_or_is_killed() {
    let (mut frozen, mut killed) = (0, 0);
    for seed in 0..100 {
        let plan = Plan {
            faults: vec![Fault::Kill, Fault::Freeze],
            ..Plan::seeded(seed)
        };
        let moments = run(&plan).moments;
        let is = |m: &Moment, what| m.what == what;
        for (n, freeze) in moments.iter().enumerate() {
            if !is(freeze, Happening::Fault(Fault::Freeze)) {
                continue;
            }
            let own = |m: &&Moment| (m.node, m.life) == (freeze.node, freeze.life);
            let ends = moments[n..].iter().filter(own).find(|m| {
                is(m, Happening::Over(Fault::Freeze)) || is(m, Happening::Fault(Fault::Kill))
            });
            let ends = ends.unwrap_or_else(|| panic!("seed {seed}: for ever from {freeze:?} on"));
            frozen += 1;
            killed += u32::from(is(ends, Happening::Fault(Fault::Kill)));
        }
    }
    assert!(frozen > 300 && killed > 30, "{frozen}, {killed}");
}

#[test]
fn nothing_starts_on_a_machine_that_sleeps() {
    let mut slept = 0;
    for seed in 0..100 {
        let plan = Plan {
            faults: vec![Fault::Kill, Fault::Sleep],
            ..Plan::seeded(seed)
        };
        let mut asleep = BTreeSet::new();
        for Moment { at, node, what, .. } in run(&plan).moments {
            // On one machine it is about all.
            let machine = node.filter(|_| !plan.one_machine);
            match what {
                Happening::Fault(Fault::Sleep) => slept += u32::from(asleep.insert(machine)),
                Happening::Over(Fault::Sleep) => assert!(asleep.remove(&machine)),
                Happening::Started => assert!(!asleep.contains(&machine), "seed {seed}, {at:?}"),
                _ => {}
            }
        }
        assert!(asleep.is_empty(), "seed {seed}");
    }
    assert!(slept > 200, "{slept}");
}

/// With nobody there to take the lease, no two lead and the record stays its own.
#[test]
fn to_believe_for_too_long_is_found_where_nobody_suffers() {
    let found = (0..200).any(|seed| {
        let plan = Plan {
            nodes: 1,
            faults: vec![Fault::Slow],
            ..Plan::seeded(seed)
        };
        let mut world = World::new(&plan);
        world.sabotage = Some(Sabotage::LeaderCountsFromTheReply);
        let mut violations = world.run().violations.into_iter();
        violations.any(|(_, what)| what == Violation::OutsideItsLease)
    });
    assert!(found);
}

/// A fault that does nothing would test nothing.
#[test]
fn what_is_wrong_with_the_store_changes_who_leads() {
    let elections = |world: World| {
        let spans = world.run().spans.into_iter();
        spans.map(|span| (span.node, span.from)).collect::<Vec<_>>()
    };
    for fault in [
        Fault::Partition,
        Fault::Unreachable,
        Fault::LostReplies,
        Fault::LateWrites,
        Fault::Conflicts,
        Fault::Errors,
        Fault::Slow,
    ] {
        let felt = |seed| {
            let plan = Plan {
                faults: vec![fault],
                ..Plan::seeded(seed)
            };
            let mut numb = World::new(&plan);
            numb.numb = true;
            elections(World::new(&plan)) != elections(numb)
        };
        assert!((0..50).any(felt), "{fault}");
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
    assert!(reports.iter().any(|report| report.plan.clock_ratio > 1.5));
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
fn who_is_cut_off_hears_of_nothing() {
    let (mut cuts, mut landed) = (0, 0);
    for seed in 0..200 {
        let plan = Plan {
            faults: vec![Fault::Partition, Fault::Term],
            round_trip: Duration::from_secs(1),
            ..Plan::seeded(seed)
        };
        let mut cut_off = BTreeSet::new();
        for Moment { node, what, .. } in run(&plan).moments {
            match what {
                Happening::Fault(Fault::Partition) => cuts += u32::from(cut_off.insert(node)),
                Happening::Over(Fault::Partition) => assert!(cut_off.remove(&node)),
                Happening::Elected { .. } => assert!(!cut_off.contains(&node), "seed {seed}"),
                // The network had kept it.
                Happening::LateWrite => landed += 1,
                _ => {}
            }
        }
    }
    assert!(cuts > 300 && landed > 0, "{cuts}, {landed}");
}

#[test]
fn who_is_asked_to_resign_does() {
    let resigns = |seed| {
        let plan = Plan {
            faults: vec![Fault::Resign],
            requests: true,
            ..Plan::seeded(seed)
        };
        let mut moments = run(&plan).moments.into_iter();
        moments.any(|moment| {
            matches!(
                moment.what,
                Happening::Revoked {
                    reason: Reason::Resigned,
                    ..
                }
            )
        })
    };
    assert!((0..10).all(resigns));
}

#[test]
fn the_lease_goes_to_whom_it_is_asked_for_unless_that_is_withdrawn() {
    let (mut named, mut others, mut withdrawn) = (0, 0, 0);
    for seed in 0..100 {
        let plan = Plan {
            faults: vec![Fault::HandOver],
            requests: true,
            pause: Duration::from_secs(10),
            ..Plan::seeded(seed)
        };
        let mut world = World::new(&plan);
        world.at(plan.pause, agenda::Event::NextFault);
        world.until(plan.duration);
        let last = world.requests.record().map(|record| &record.state);
        let is_withdrawn = |state: &State| matches!(state, State::Asked(request) if request.stage == Stage::Withdrawn);
        withdrawn += u32::from(last.is_some_and(is_withdrawn));
        let (mut leader, mut asked_for) = (None, None);
        for Moment { node, what, .. } in run(&plan).moments {
            match what {
                // Struck itself, the leader leaves it to anyone.
                Happening::Fault(_) => asked_for = node.filter(|_| node != leader),
                Happening::Elected { acquired, .. } => {
                    leader = node;
                    if acquired == Acquired::HandedOver && asked_for.is_some() {
                        named += u32::from(asked_for == node);
                        others += u32::from(asked_for != node);
                    }
                }
                _ => {}
            }
        }
    }
    // One request can come while another one is being granted.
    assert!(named > 3 * others, "{named}, {others}");
    assert!(withdrawn > 0);
}

#[test]
fn what_is_said_too_late_is_noticed() {
    let plan = Plan::seeded(0);
    let mut world = World::new(&plan);
    while world.spans.is_empty() {
        world.next(plan.duration);
    }
    let (node, term) = (world.spans[0].node, world.spans[0].term);
    let valid_until = world.seats[node].clock(world.now);
    let change = Change::Elected {
        term,
        acquired: Acquired::Vacant,
        valid_until,
    };
    assert_eq!(kinds(&world.checker), []);
    let at = valid_until;
    world.said(node, &Notice { at, change });
    assert_eq!(kinds(&world.checker), [Violation::OutsideItsLease]);
}

#[test]
fn a_term_that_comes_again_is_noticed() {
    let mut checker = check::Checker::default();
    let term = |n| Term::new(n).unwrap();
    checker.elected(Duration::ZERO, term(1));
    checker.elected(Duration::ZERO, term(2));
    assert_eq!(kinds(&checker), []);
    checker.elected(Duration::ZERO, term(2));
    assert_eq!(kinds(&checker), [Violation::TermReused]);
}

#[test]
fn whoever_cannot_lead_is_noticed() {
    let mut report = run(&Plan::seeded(0));
    report.spans.clear();
    let judged = check::Checker::default().judge(report);
    assert!(matches!(judged.violations[..], [(_, Violation::NoLeader)]));
}
