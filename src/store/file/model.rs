//! An exhaustive search of the file store's protocol: every order in which the
//! system calls of several processes can follow each other.
//!
//! `model/process.rs` mirrors the store's functions, one system call a step, and
//! names the function with each. `model/world.rs` is what the kernel keeps: a
//! directory, its numbers, claims, inodes that are used again, locks. A process
//! may stop between any two steps, for ever, so every freeze is in it. What else
//! goes wrong is an [`Incident`], and their number in one run is bounded, as are
//! the calls of each process.
//!
//! In every state, whatever led to it:
//!  - of any swaps that expect one revision, at most one is answered "done";
//!  - what is answered "done" replaced what it expected, was the current record,
//!    and is never undone;
//!  - no term is acquired twice, also after a power failure;
//!  - a claim that others remove is one that its owner has not locked;
//!  - "the holder died" is said of the current record, and of a process that
//!    will not act on it;
//!  - no reader meets half a record, or one older than was answered before;
//!  - whatever the others froze in, a newcomer gets the lease: nobody waits.
//!
//! Each [`Sabotage`] breaks one rule: the same search must then find what that
//! rule prevents. What holds a file of work in place has a smaller world of its
//! own, `model/work.rs`.
//!
//! That the real functions make these calls, in this order, strace(1) sees in
//! `tests/file_store_calls.rs`; and `refinement.rs` runs the real store through
//! short histories, one call after another, and compares answers and files.
//!
//! Not covered: what lies outside the bounds (each search prints its own);
//! strangers' files, and unreadable records other than those that a power
//! failure leaves; a write that fails half-way; a directory whose numbers are
//! removed while clean-up is under way, or whose folder of claims is; inodes of
//! directories that are used again (the store keeps them open); filesystems on
//! which link(2) or a listing is not atomic. What is kept below the current
//! revision is one, not sixteen.
//!
//! `MODEL_DEPTH=deep` searches farther. To see the bounds, the counts and the
//! sabotages' stories: `cargo test --lib store::file::model -- --nocapture`.

mod process;
mod refinement;
mod sabotage;
mod transition;
mod work;
mod world;

use std::collections::BTreeSet;

use crate::search::{Found, Order, search};
use sabotage::Sabotage;
use transition::{Goal, Incident, Setup};
use world::Violation;

fn deep() -> bool {
    std::env::var("MODEL_DEPTH").is_ok_and(|depth| depth == "deep")
}

/// Processes on these machines, with so many calls.
fn setup(processes: &[(u8, u8)], incidents: &'static [Incident]) -> Setup {
    Setup {
        processes: processes.to_vec(),
        incidents,
        most_incidents: u8::from(!incidents.is_empty()),
        most_states: 40_000_000,
        watch: true,
        sabotage: None,
    }
}

/// Searches it, says how far that went, and insists that no rule was broken.
fn all_is_well(setup: &Setup) -> Found<Setup> {
    let found = search(setup, Order::Depth);
    eprintln!("{setup}: {found}");
    if let Some((violation, story)) = &found.violation {
        panic!("{violation:?}:\n{story}");
    }
    assert!(found.complete, "it is to be searched to the end");
    found
}

#[test]
fn the_file_store_holds_to_its_rules() {
    use Incident as I;
    const ONE: (u8, u8) = (0, 1);
    const TWO: (u8, u8) = (0, 2);
    const ELSEWHERE: (u8, u8) = (1, 1);
    let unwatched = |processes: &[_], incidents| Setup {
        watch: false,
        ..setup(processes, incidents)
    };
    let away_and_back = Setup {
        most_incidents: 2,
        ..unwatched(&[ONE, ONE], &[I::Removed, I::Returned])
    };
    let mut searches = vec![
        unwatched(&[TWO, ONE], &[]),
        unwatched(&[ONE, ONE, ONE], &[]),
        unwatched(&[(0, 4)], &[I::Full, I::AnswerLost]),
        unwatched(&[TWO], &[I::SyncFails, I::Boot]),
        unwatched(&[ONE, ONE], &[I::Emptied]),
        away_and_back,
        setup(&[ONE, ONE], &[I::Crash]),
        setup(&[ONE, ELSEWHERE], &[I::Crash]),
    ];
    if deep() {
        searches.extend([
            setup(&[TWO, ONE], &[I::Crash]),
            setup(&[ONE, ONE, ONE], &[I::Crash]),
            setup(&[ONE, ONE, ELSEWHERE], &[]),
            setup(&[TWO, ELSEWHERE], &[I::Crash]),
            unwatched(&[(0, 3), TWO], &[]),
            unwatched(&[(0, 3), ONE], &[I::Full, I::AnswerLost]),
            unwatched(&[TWO, ONE, ONE], &[]),
            unwatched(
                &[TWO, TWO],
                &[I::Full, I::AnswerLost, I::SyncFails, I::Removed],
            ),
            unwatched(
                &[ONE, ONE, ONE],
                &[I::Full, I::AnswerLost, I::SyncFails, I::Removed],
            ),
            unwatched(&[TWO, ONE], I::ALL),
        ]);
    }
    let mut reached = BTreeSet::new();
    for setup in searches {
        reached.extend(all_is_well(&setup).goals);
    }
    assert_eq!(reached, BTreeSet::from(Goal::ALL));
}

#[test]
fn every_sabotage_is_caught() {
    use Incident as I;
    use Sabotage as S;
    use Violation as V;
    let one: &'static [_] = &[(0, 2), (0, 2)];
    let long: &'static [_] = &[(0, 3), (0, 1)];
    let two: &'static [_] = &[(0, 2), (1, 2)];
    type Case = (S, &'static [(u8, u8)], &'static [I], V);
    let cases: &[Case] = &[
        (S::NoLookAgain, long, &[], V::Undone),
        (S::HighestNotAsked, long, &[], V::NeverSeen),
        (S::OwnNotAsked, one, &[I::Emptied], V::Undone),
        (S::ExpectedNotAsked, one, &[I::Emptied], V::FollowsAnother),
        (S::NotStillThere, one, &[I::Removed], V::NeverSeen),
        (S::UndoneBlindly, one, &[I::Emptied], V::Undone),
        (S::NoCompareAndSwap, one, &[], V::TermReused),
        (S::CleanUpTooGreedy, one, &[], V::Undone),
        (
            S::CollectorIgnoresLocks,
            one,
            &[],
            V::CollectedFromTheLiving,
        ),
        (
            S::CollectorTakesForeignClaims,
            two,
            &[],
            V::CollectedFromTheLiving,
        ),
        (S::ForeignLockBelieved, two, &[], V::BuriedAlive),
        (S::NamedBeforeLocked, one, &[], V::BuriedAlive),
        (S::NamedBeforeWritten, one, &[], V::HalfARecord),
        (S::WakeUpBelieved, one, &[], V::DeadButNotCurrent),
        (S::AnyRecordBelieved, one, &[], V::DeadButNotCurrent),
        (S::ClaimNotSynced, one, &[I::Boot], V::LostAtBoot),
        (S::DirectoryNotSynced, one, &[I::Boot], V::LostAtBoot),
        (
            S::FailedSyncIgnored,
            one,
            &[I::SyncFails, I::Boot],
            V::LostAtBoot,
        ),
        (
            S::BurntClaimUsed,
            one,
            &[I::SyncFails, I::Boot],
            V::LostAtBoot,
        ),
        (S::GivesUpTheCurrent, one, &[I::Full], V::Undone),
        (S::GivesUpTheOneBefore, one, &[I::Full], V::Undone),
        (S::ListedInTwoCalls, &[(0, 4), (0, 1)], &[], V::StaleRead),
        (S::OneAtATime, one, &[], V::Blocked),
    ];
    for &(sabotage, processes, incidents, expected) in cases {
        let sabotaged = Setup {
            most_incidents: incidents.len() as u8,
            sabotage: Some(sabotage),
            watch: matches!(expected, V::BuriedAlive | V::DeadButNotCurrent),
            ..setup(processes, incidents)
        };
        let found = search(&sabotaged, Order::Breadth);
        eprintln!("{sabotage:?}, {sabotaged}: {found}");
        let (caught, story) = found
            .violation
            .unwrap_or_else(|| panic!("{sabotage:?} was not caught"));
        eprintln!("{caught:?}:\n{story}");
        assert_eq!(caught, expected, "{sabotage:?}");
    }
}
