//! What the file store promises beyond the contract: who is dead and who is
//! not, and that no revision is ever taken for another.
#![allow(missing_docs, clippy::disallowed_methods)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use leader_demo::store::{Content, LeaseStore, Life, Observed, Revision, Swap, Wake, Witness};
use leader_demo::{FileStore, LockName, Record, State, Term};
use rustix::fs::{CWD, FileType, Mode};
use tokio::time::timeout;

mod common;

use common::PATIENCE;
use common::mounts::Mounted;
use common::record::{held, vacant};

/// Long enough for a wake-up that should not come.
const A_WHILE: Duration = Duration::from_millis(300);

struct Lease(tempfile::TempDir);

impl Lease {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> FileStore {
        FileStore::open(self.0.path(), &LockName::new("x").unwrap()).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("x.lock")
    }

    fn number(&self, number: u64) -> PathBuf {
        self.path().join(format!("{number:020}"))
    }

    fn claims(&self) -> usize {
        fs::read_dir(self.path().join("claims")).unwrap().count()
    }
}

async fn swap(
    store: &FileStore,
    expected: Option<Revision>,
    next: &Record,
) -> (Revision, Option<Witness>) {
    match store.swap(expected, next.clone()).await.unwrap() {
        Swap::Swapped { revision, witness } => (revision, witness),
        Swap::Conflict(current) => panic!("conflict with {current:?}"),
    }
}

async fn is_conflict(store: &FileStore, expected: Revision, next: Record) -> bool {
    matches!(
        store.swap(Some(expected), next).await.unwrap(),
        Swap::Conflict(_)
    )
}

#[tokio::test]
async fn the_holder_is_dead_when_the_last_of_its_witnesses_is_gone() {
    let lease = Lease::new();
    let (holder, other) = (lease.open(), lease.open());
    let mine = held(1);
    let (first, witness) = swap(&holder, None, &mine).await;
    let inherited = witness.clone();
    let mut wait = other.changed(first);
    // Renewals link the same file, so the wait for the first serves for all.
    let (second, renewed) = swap(&holder, Some(first), &mine).await;
    drop((witness, renewed));
    assert!(
        timeout(A_WHILE, &mut wait).await.is_err(),
        "a child may still act"
    );
    drop(inherited);
    let died = Wake::HolderDied(Observed {
        revision: second,
        content: Content::Record(mine),
    });
    assert_eq!(timeout(PATIENCE, wait).await.unwrap(), died);
    assert_eq!(
        timeout(PATIENCE, other.changed(second)).await.unwrap(),
        died
    );
}

#[tokio::test]
async fn a_free_lock_of_another_boot_says_nothing() {
    for boot_id in [None, Some("another".into())] {
        let lease = Lease::new();
        let mut theirs = held(1);
        if let State::Held(holder) = &mut theirs.state {
            holder.boot_id = boot_id;
        }
        let (at, witness) = swap(&lease.open(), None, &theirs).await;
        drop(witness);
        let other = lease.open();
        assert!(timeout(A_WHILE, other.changed(at)).await.is_err());
    }
}

#[tokio::test]
async fn a_free_lock_of_a_file_that_its_writer_did_not_see_says_nothing() {
    let lease = Lease::new();
    let (_, _witness) = swap(&lease.open(), None, &held(1)).await;
    // As through another filesystem over the same data: the same words in
    // another inode, which is not the one that is locked.
    fs::copy(lease.number(1), lease.number(2)).unwrap();
    let other = lease.open();
    let seen = other.read().await.unwrap().unwrap();
    assert!(matches!(seen.content, Content::Record(_)));
    assert!(
        timeout(A_WHILE, other.changed(seen.revision))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn who_slept_through_a_clean_up_takes_no_number_that_was_removed() {
    let lease = Lease::new();
    let (sleeper, other) = (lease.open(), lease.open());
    let (first, _) = swap(&sleeper, None, &held(1)).await;
    let theirs = held(2);
    let (mut at, _witness) = swap(&other, Some(first), &theirs).await;
    for _ in 0..40 {
        at = swap(&other, Some(at), &theirs).await.0;
    }
    assert!(!lease.number(2).exists(), "it has been cleaned up");
    assert!(is_conflict(&sleeper, first, held(3)).await);
    assert!(!lease.number(2).exists(), "and nothing was left there");
    assert_eq!(sleeper.read().await.unwrap().unwrap().revision, at);
}

#[tokio::test]
async fn a_directory_made_again_has_other_revisions_under_the_same_numbers() {
    let lease = Lease::new();
    let (before, after) = (lease.open(), lease.open());
    let mine = held(1);
    let (first, _witness) = swap(&before, None, &mine).await;
    // Kept aside: its inode must not become that of the new one.
    fs::rename(lease.path(), lease.0.path().join("aside")).unwrap();
    assert!(before.read().await.unwrap().is_none());
    assert!(
        is_conflict(&before, first, mine.clone()).await,
        "a renewal brings nothing back"
    );
    assert!(!lease.path().exists());
    let (again, _other) = swap(&after, None, &held(1)).await;
    assert_ne!(again, first);
    assert!(is_conflict(&before, first, mine).await);
    assert_eq!(before.read().await.unwrap().unwrap().revision, again);
}

#[tokio::test]
async fn a_revision_of_a_deleted_directory_is_no_revision_of_the_next() {
    // Whether an inode is used again is the filesystem's to say, and takes luck.
    for _ in 0..20 {
        let lease = Lease::new();
        // Beside it, so that the file that is made next is likely to get an inode
        // that was in use before.
        let filler = lease.0.path().join("filler");
        fs::write(&filler, "").unwrap();
        let (sleeper, first) = (lease.open(), lease.open());
        let (before, witness) = swap(&first, None, &held(1)).await;
        assert_eq!(sleeper.read().await.unwrap().unwrap().revision, before);
        drop((first, witness));
        fs::remove_file(filler).unwrap();
        fs::remove_dir_all(lease.path()).unwrap();
        let living = lease.open();
        let (after, _witness) = swap(&living, None, &held(1)).await;
        assert_ne!(after, before);
        assert!(is_conflict(&sleeper, before, held(2)).await);
        assert_eq!(sleeper.read().await.unwrap().unwrap().revision, after);
    }
}

#[tokio::test]
async fn an_error_costs_one_wake_up_and_not_the_next() {
    let lease = Lease::new();
    let (holder, other) = (lease.open(), lease.open());
    let mine = held(1);
    let (first, witness) = swap(&holder, None, &mine).await;
    let aside = lease.0.path().join("aside");
    fs::rename(lease.path(), &aside).unwrap();
    fs::write(lease.path(), "in the way").unwrap();
    assert!(timeout(A_WHILE, other.changed(first)).await.is_err());
    fs::remove_file(lease.path()).unwrap();
    fs::rename(&aside, lease.path()).unwrap();
    let (second, renewed) = swap(&holder, Some(first), &mine).await;
    let wait = other.changed(second);
    drop((witness, renewed));
    let wake = timeout(PATIENCE, wait).await.expect("a wake-up");
    assert!(matches!(wake, Wake::HolderDied(_)), "{wake:?}");
}

#[tokio::test]
async fn what_was_prepared_for_another_record_is_not_taken_for_this_one() {
    let lease = Lease::new();
    let store = lease.open();
    store.prepare(held(1));
    let next = held(2);
    let (_, _witness) = swap(&store, None, &next).await;
    let seen = store.read().await.unwrap().unwrap();
    assert_eq!(seen.content, Content::Record(next));
}

#[tokio::test]
async fn a_vacancy_is_watched_for_who_takes_it() {
    let lease = Lease::new();
    let (store, other) = (lease.open(), lease.open());
    let (vacancy, _) = swap(&store, None, &vacant(1, None)).await;
    assert!(timeout(A_WHILE, other.changed(vacancy)).await.is_err());

    let (vacancy, _) = swap(&store, Some(vacancy), &vacant(1, None)).await;
    let taken = other.changed(vacancy);
    let (now, _witness) = swap(&store, Some(vacancy), &held(2)).await;
    let Ok(Wake::Changed(Some(seen))) = timeout(PATIENCE, taken).await else {
        panic!("nobody was told");
    };
    assert_eq!(seen.revision, now);
}

#[tokio::test]
async fn a_claim_serves_until_its_witness_is_gone_and_never_after() {
    let lease = Lease::new();
    let store = lease.open();
    let mine = held(1);
    let (first, witness) = swap(&store, None, &mine).await;
    drop(witness);
    tidied(&store).await;
    assert_eq!(lease.claims(), 0);
    // Whoever believed in it has let go: the same record is a new claim now.
    let (second, again) = swap(&store, Some(first), &mine).await;
    assert_ne!(first.parts()[2], second.parts()[2]);
    let other = lease.open();
    assert!(timeout(A_WHILE, other.changed(second)).await.is_err());
    drop(again);
}

/// The clean-up after an acquisition makes way for a few calls, and is done when
/// a later one is answered.
async fn tidied(store: &FileStore) {
    for _ in 0..5 {
        store.read().await.unwrap();
    }
}

#[tokio::test]
async fn a_claim_that_somebody_removed_is_made_again_and_a_leaders_cannot_be() {
    let lease = Lease::new();
    let store = lease.open();
    let mine = held(1);
    let remove_claims = || {
        for claim in fs::read_dir(lease.path().join("claims")).unwrap() {
            fs::remove_file(claim.unwrap().path()).unwrap();
        }
    };
    store.prepare(mine.clone());
    store.read().await.unwrap();
    remove_claims();
    let (first, _witness) = swap(&store, None, &mine).await;
    tidied(&store).await;
    remove_claims();
    // Another file would have another lock.
    let refusal = store.swap(Some(first), mine).await.unwrap_err();
    assert!(refusal.to_string().contains("No such file"), "{refusal}");
}

#[tokio::test]
async fn what_sessions_leave_behind_is_collected_and_the_living_are_spared() {
    let lease = Lease::new();
    let (living, dead) = (lease.open(), lease.open());
    let (first, witness) = swap(&dead, None, &held(1)).await;
    tidied(&dead).await;
    living.prepare(held(2));
    for litter in ["torn", "empty"] {
        fs::write(lease.path().join("claims").join(litter), litter).unwrap();
    }
    living.read().await.unwrap();
    assert_eq!(lease.claims(), 4);
    drop((dead, witness));

    let third = lease.open();
    let (_, _witness) = swap(&third, Some(first), &held(2)).await;
    tidied(&third).await;
    assert_eq!(lease.claims(), 2, "its own, and the one that waits");
}

#[tokio::test]
async fn the_dead_are_collected_on_the_machine_where_they_died_and_on_no_other() {
    let lease = Lease::new();
    let (store, next) = (lease.open(), lease.open());
    let (first, _witness) = swap(&store, None, &held(1)).await;
    let here = fs::read_to_string(lease.number(1)).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let elsewhere = here.replace(boot.trim(), "another");
    assert_ne!(here, elsewhere);
    let [here, elsewhere] = [("here", here), ("elsewhere", elsewhere)].map(|(name, claim)| {
        let at = lease.path().join("claims").join(name);
        fs::write(&at, claim).unwrap();
        at
    });
    let (_, _another) = swap(&next, Some(first), &held(2)).await;
    tidied(&next).await;
    assert!(!here.exists());
    assert!(elsewhere.exists());
}

#[tokio::test]
async fn a_strangers_fifo_among_the_claims_holds_up_nobody_and_no_link_is_followed() {
    let lease = Lease::new();
    let store = lease.open();
    let (first, witness) = swap(&store, None, &held(1)).await;
    tidied(&store).await;
    drop((store, witness));
    let [torn, fifo, link] =
        ["torn", "fifo", "link"].map(|name| lease.path().join("claims").join(name));
    let theirs = lease.0.path().join("theirs");
    for litter in [&torn, &theirs] {
        fs::write(litter, "torn").unwrap();
    }
    rustix::fs::mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    symlink(theirs, &link).unwrap();

    let next = lease.open();
    let (_, _witness) = swap(&next, Some(first), &held(2)).await;
    timeout(PATIENCE, tidied(&next)).await.unwrap();
    assert!(!torn.exists());
    assert!(link.is_symlink());
}

/// Its writer may be alive on another machine: with the claim's name gone, it
/// could not renew.
#[tokio::test]
async fn what_is_half_written_where_locks_prove_nothing_is_left_alone() {
    let Some(overlay) = Mounted::overlay() else {
        return;
    };
    let store = FileStore::open(overlay.path(), &LockName::new("x").unwrap()).unwrap();
    let half_written = store.path().join("claims/half-written");
    fs::write(&half_written, "").unwrap();
    let (_, _witness) = swap(&store, None, &held(1)).await;
    tidied(&store).await;
    assert!(half_written.exists());
}

#[tokio::test]
async fn what_a_killed_asker_leaves_behind_is_collected_by_the_next() {
    let lease = Lease::new();
    let store = lease.open();
    let (_, _witness) = swap(&store, None, &held(1)).await;
    let requests = store.requests().unwrap();
    let asked = requests.swap(None, vacant(1, None)).await.unwrap();
    let Swap::Swapped { revision, .. } = asked else {
        panic!("nobody else asks")
    };
    let claims = store.path().join("request.lock/claims");
    fs::write(claims.join("half-written"), "{").unwrap();
    requests
        .swap(Some(revision), vacant(1, None))
        .await
        .unwrap();
    drop(requests);
    let gone = async {
        while fs::read_dir(&claims).unwrap().count() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn an_unreadable_record_may_hide_a_term_for_every_number_it_stands_for() {
    let lease = Lease::new();
    let store = lease.open();
    let (_, _witness) = swap(&store, None, &held(7)).await;
    fs::write(lease.number(5), "garbage").unwrap();
    let seen = store.read().await.unwrap().unwrap();
    let floor = Term::new(7 + 4).unwrap();
    let lease_duration = Some(Duration::from_secs(10));
    let hidden = Content::Garbled {
        floor,
        lease_duration,
    };
    assert_eq!(seen.content, hidden);
}

#[tokio::test]
async fn what_is_numbered_too_far_above_the_rest_is_a_strangers_and_what_is_not_hides_terms() {
    const FARTHEST: u64 = 1 << 40;
    let lease = Lease::new();
    let store = lease.open();
    let (_, _witness) = swap(&store, None, &held(7)).await;
    fs::write(lease.number(FARTHEST), "garbage").unwrap();
    let seen = store.read().await.unwrap().unwrap();
    let Content::Garbled { floor, .. } = seen.content else {
        panic!("{seen:?} can be read")
    };
    assert_eq!(floor, Term::new(7 + FARTHEST - 1).unwrap());
    fs::write(lease.number(FARTHEST + 1), "garbage").unwrap();
    let refusal = store.read().await.unwrap_err().to_string();
    let absurd = lease.number(FARTHEST + 1);
    assert!(refusal.contains(absurd.to_str().unwrap()), "{refusal}");
}

#[tokio::test]
async fn who_missed_a_revision_is_told_of_it_while_it_is_kept() {
    let lease = Lease::new();
    let store = lease.open();
    let (first, _) = swap(&store, None, &held(1)).await;
    let missed = vacant(1, None);
    let (second, _) = swap(&store, Some(first), &missed).await;
    let (third, _witness) = swap(&store, Some(second), &held(2)).await;
    let told = lease.open().between(first, third).await.unwrap();
    let missed = Observed {
        revision: second,
        content: Content::Record(missed),
    };
    assert_eq!(told, Some(vec![missed]));
    // The numbers of a directory made again continue no earlier ones.
    fs::remove_dir_all(lease.path()).unwrap();
    let again = lease.open();
    let (mut at, _) = swap(&again, None, &held(1)).await;
    for _ in 0..2 {
        at = swap(&again, Some(at), &vacant(1, None)).await.0;
    }
    assert_eq!(again.between(first, at).await.unwrap(), None);
    drop(store);
}

#[tokio::test]
async fn who_lives_in_a_directory_made_again_is_not_who_was_seen_in_the_one_before() {
    let lease = Lease::new();
    let (watcher, store) = (lease.open(), lease.open());
    let (before, _witness) = swap(&store, None, &held(1)).await;
    assert_eq!(watcher.life(before).await.unwrap(), Life::Alive);
    fs::remove_dir_all(lease.path()).unwrap();
    let (now, _another) = swap(&lease.open(), None, &held(1)).await;
    assert_eq!(watcher.life(now).await.unwrap(), Life::Alive);
    assert_eq!(watcher.life(before).await.unwrap(), Life::Unknown);
}

#[tokio::test]
async fn a_revision_grows_older_until_it_is_renewed_and_has_no_age_when_it_is_another() {
    let lease = Lease::new();
    let store = lease.open();
    let mine = held(1);
    let (first, _witness) = swap(&store, None, &mine).await;
    tokio::time::sleep(A_WHILE).await;
    let age = store.age(first).await.unwrap().unwrap();
    // The time stamps of a filesystem are coarse.
    assert!(age > A_WHILE / 2 && age < PATIENCE, "{age:?}");
    let (second, _) = swap(&store, Some(first), &mine).await;
    let renewed = store.age(second).await.unwrap().unwrap();
    assert!(renewed < age, "{renewed:?}");
    let [number, ..] = second.parts();
    let another = Revision::new([number, 0, 0, 0]);
    assert_eq!(store.age(another).await.unwrap(), None);
}

#[tokio::test]
async fn what_is_no_file_is_no_reason_to_look_again() {
    let lease = Lease::new();
    let store = lease.open();
    let (_, _witness) = swap(&store, None, &held(1)).await;
    fs::create_dir(lease.number(2)).unwrap();
    let at = store.read().await.unwrap().unwrap().revision;
    assert!(timeout(A_WHILE, store.changed(at)).await.is_err());
}

#[tokio::test]
async fn many_elections_share_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b", "a.request"] {
        let store = FileStore::open(dir.path(), &LockName::new(name).unwrap()).unwrap();
        assert!(store.read().await.unwrap().is_none(), "{name}");
        let (_, _witness) = swap(&store, None, &held(1)).await;
    }
}

#[tokio::test]
async fn on_a_full_disk_the_oldest_makes_room_unless_it_is_one_of_the_last_two() {
    // With two left, a writer that looks again only now would not find what it
    // followed, and take its own back: nothing would be left.
    for (linked, renews) in [(1, false), (2, false), (3, true)] {
        let Some(disk) = Mounted::tmpfs("size=256k,nr_inodes=100,mode=0700") else {
            return;
        };
        let lease = Lease(tempfile::tempdir_in(disk.path()).unwrap());
        let (store, mine) = (lease.open(), held(1));
        let (mut at, _witness) = swap(&store, None, &mine).await;
        for _ in 1..linked {
            at = swap(&store, Some(at), &mine).await.0;
        }
        // What cleaned up after the last call has ended before the next answer.
        store.read().await.unwrap();
        disk.fill();
        for full in linked..20 {
            let swapped = store.swap(Some(at), mine.clone()).await;
            assert_eq!(swapped.is_ok(), renews, "{swapped:?}");
            if let Ok(Swap::Swapped { revision, .. }) = swapped {
                at = revision;
            }
            let left = if renews {
                full - 1..=full + 1
            } else {
                1..=linked
            };
            let there = (0..30).filter(|n| lease.number(*n).exists());
            assert_eq!(there.collect::<Vec<_>>(), left.collect::<Vec<_>>());
        }
    }
}
