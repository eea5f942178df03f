//! What stores promise to who watches an election, and of the register beside it.

use std::os::unix::fs::MetadataExt;

use super::*;

/// Nobody promises that it ends; a store that says when to look says it.
async fn ends(moved_on: impl Future<Output = ()>) {
    timeout(PATIENCE, moved_on).await.expect("a word");
}

/// It may end early, so it is asked again, and ends early now and then at most.
async fn lasts(store: &impl LeaseStore, seen: Option<Revision>) {
    let mut early = 0;
    let all = async {
        loop {
            store.moved_on(seen).await;
            early += 1;
            assert!(early < 10, "it never waits");
        }
    };
    let _: Result<(), _> = timeout(Duration::from_millis(50), all).await;
}

pub(crate) async fn who_watches_is_told_of_every_swap<H: Home>() {
    let home = H::new();
    let (a, b) = (home.open(), home.open());
    lasts(&b, None).await;
    let first = b.moved_on(None);
    let record = held(1);
    let asked = a.swap(None, record.clone());
    // Asked before it happens or after.
    let (swap, ()) = tokio::join!(asked, ends(first));
    let Swap::Swapped {
        mut revision,
        witness: _kept,
    } = swap.unwrap()
    else {
        panic!("nobody else is here")
    };
    ends(b.moved_on(None)).await;
    for _ in 0..20 {
        lasts(&b, Some(revision)).await;
        let renewed = b.moved_on(Some(revision));
        let (next, ()) = tokio::join!(swapped(&a, Some(revision), &record), ends(renewed));
        ends(b.moved_on(Some(revision))).await;
        revision = next;
    }
    let (released, vacant) = (b.moved_on(Some(revision)), vacant(1, None));
    tokio::join!(swapped(&a, Some(revision), &vacant), ends(released));
}

pub(crate) async fn what_was_between_is_all_there_or_not_said<H: Home>() {
    let home = H::new();
    let (a, b) = (home.open(), home.open());
    let record = held(1);
    let mut at = swapped(&a, None, &record).await;
    let mut all = vec![observed(at, &record).unwrap()];
    for term in 2..50 {
        for record in [held(term), vacant(term, None)] {
            at = swapped(&a, Some(at), &record).await;
            all.push(observed(at, &record).unwrap());
        }
    }
    let last = all.len() - 1;
    let mut known = 0;
    for first in 0..last {
        let between = b.between(all[first].revision, at).await.unwrap();
        if let Some(between) = between {
            assert_eq!(between, all[first + 1..last], "from {first}");
            known += 1;
        }
        // Backwards there is nothing, or nothing to tell.
        let back = b.between(at, all[first].revision).await.unwrap();
        assert!(back.is_none_or(|back| back.is_empty()), "from {first}");
    }
    assert!(known < last, "nobody keeps everything");
    let never = Revision::new([1, 7, 7, 7]);
    assert_eq!(b.between(never, at).await.unwrap(), None);
}

pub(crate) async fn requests_are_a_register_of_their_own<H: Home>() {
    let home = H::new();
    let (a, b) = (home.open(), home.open());
    let record = held(1);
    let lease = swapped(&a, None, &record).await;
    let (Some(to_a), Some(to_b)) = (a.requests(), b.requests()) else {
        panic!("it has one")
    };
    assert_eq!(to_a.read().await.unwrap(), None);
    let mut at = None;
    for term in 1..40 {
        let request = held(term);
        let next = swapped(&to_b, at, &request).await;
        let seen = to_a.read().await.unwrap();
        assert_eq!(seen, observed(next, &request), "the same for everybody");
        at = Some(next);
    }
    ends(to_a.moved_on(None)).await;
    // Neither changes the other.
    assert_eq!(a.read().await.unwrap(), observed(lease, &record));
    let lease = swapped(&a, Some(lease), &vacant(1, None)).await;
    let seen = to_a.read().await.unwrap();
    assert_eq!(seen.map(|seen| seen.revision), at);
    assert_eq!(b.read().await.unwrap(), observed(lease, &vacant(1, None)));
}

fn files() -> (tempfile::TempDir, LockName) {
    (
        tempfile::tempdir().unwrap(),
        LockName::new("contract").unwrap(),
    )
}

#[tokio::test]
async fn a_directory_made_again_continues_nothing() {
    let (dir, name) = files();
    let path = dir.path().join("contract.lock");
    let watcher = FileStore::existing(dir.path(), &name).unwrap();
    let one = {
        let store = FileStore::open(dir.path(), &name).unwrap();
        swapped(&store, None, &held(1)).await
    };
    let seen = watcher.read().await.unwrap();
    assert_eq!(seen.map(|seen| seen.revision), Some(one));
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(watcher.read().await.unwrap(), None);
    assert_eq!(watcher.age(one).await.unwrap(), None);
    let store = FileStore::open(dir.path(), &name).unwrap();
    let again = swapped(&store, None, &held(1)).await;
    let later = swapped(&store, Some(again), &held(2)).await;
    assert_ne!(again, one);
    ends(watcher.moved_on(Some(one))).await;
    assert_eq!(watcher.between(one, later).await.unwrap(), None);
    assert_eq!(watcher.age(one).await.unwrap(), None);
    assert_eq!(watcher.between(again, later).await.unwrap(), Some(vec![]));
}

#[tokio::test]
async fn a_directory_that_was_removed_is_noticed() {
    let (dir, name) = files();
    let store = FileStore::open(dir.path(), &name).unwrap();
    let one = swapped(&store, None, &held(1)).await;
    let mut moved_on = store.moved_on(Some(one));
    assert!(
        timeout(Duration::from_millis(50), &mut moved_on)
            .await
            .is_err()
    );
    std::fs::remove_dir_all(store.path()).unwrap();
    ends(moved_on).await;
    assert_eq!(store.read().await.unwrap(), None);
    ends(store.moved_on(Some(one))).await;
}

#[tokio::test]
async fn a_directory_that_was_moved_away_is_noticed() {
    let (dir, name) = files();
    let path = dir.path().join("contract.lock");
    let store = FileStore::open(dir.path(), &name).unwrap();
    let one = swapped(&store, None, &held(1)).await;
    let mut moved_on = store.moved_on(Some(one));
    assert!(
        timeout(Duration::from_millis(50), &mut moved_on)
            .await
            .is_err()
    );
    std::fs::rename(&path, dir.path().join("away")).unwrap();
    ends(moved_on).await;
}

#[tokio::test]
async fn a_missing_directory_reads_as_nothing_and_stays_missing() {
    let (dir, name) = files();
    let store = FileStore::existing(dir.path().join("none"), &name).unwrap();
    assert_eq!(store.read().await.unwrap(), None);
    lasts(&store, None).await;
    let never = Revision::new([1; 4]);
    assert_eq!(store.between(never, never).await.unwrap(), None);
    assert_eq!(store.age(never).await.unwrap(), None);
    assert_eq!(store.requests().unwrap().read().await.unwrap(), None);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn how_old_a_revision_is_counts_from_its_own_swap() {
    let (dir, name) = files();
    let store = FileStore::open(dir.path(), &name).unwrap();
    let Swap::Swapped {
        revision: one,
        witness: _kept,
    } = store.swap(None, held(1)).await.unwrap()
    else {
        panic!("nobody else is here")
    };
    std::thread::sleep(Duration::from_millis(300));
    let old = store.age(one).await.unwrap().expect("it is there");
    assert!(old >= Duration::from_millis(290), "{old:?}");
    // A renewal links the same file once more.
    let two = swapped(&store, Some(one), &held_again(&store).await).await;
    let new = store.age(two).await.unwrap().expect("it is there");
    assert!(new < old, "{new:?}");
}

async fn held_again(store: &FileStore) -> Record {
    match store.read().await.unwrap() {
        Some(Observed {
            content: Content::Record(record),
            ..
        }) => record,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_request_brings_no_deleted_lease_back() {
    let (dir, name) = files();
    let path = dir.path().join("contract.lock");
    let store = FileStore::open(dir.path(), &name).unwrap();
    swapped(&store, None, &held(1)).await;
    let requests = store.requests().unwrap();
    let one = swapped(&requests, None, &held(1)).await;
    std::fs::remove_dir_all(&path).unwrap();
    assert!(requests.swap(None, held(2)).await.is_err());
    assert_eq!(conflict(&requests, Some(one), held(2)).await, None);
    assert!(!path.exists());
    assert_eq!(store.read().await.unwrap(), None);
}

#[tokio::test]
async fn requests_have_the_permissions_of_the_lease() {
    for (shared, mode) in [(false, 0o700), (true, 0o2770)] {
        let (dir, name) = files();
        let store = if shared {
            FileStore::open_shared(dir.path(), &name).unwrap()
        } else {
            FileStore::open(dir.path(), &name).unwrap()
        };
        swapped(&store, None, &held(1)).await;
        swapped(&store.requests().unwrap(), None, &held(1)).await;
        let folder = store.path().join("request.lock");
        for path in [store.path(), &folder, &folder.join("claims")] {
            let is = std::fs::metadata(path).unwrap().mode() & 0o7777;
            assert_eq!(is, mode, "{}", path.display());
        }
        let of = |name: &str| std::fs::metadata(folder.join(name)).unwrap().mode() & 0o777;
        let file = if shared { 0o640 } else { 0o600 };
        assert_eq!(of("00000000000000000001"), file);
    }
}
