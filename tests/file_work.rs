//! What the file store promises of work: no later leader on this machine takes
//! it for gone while a process that does it lives, and none waits in vain.
#![allow(missing_docs, clippy::disallowed_methods)]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leader_demo::store::{LeaseStore, Life, Remains, Revision, Swap, Witness, Work};
use leader_demo::{FileStore, LockName, Record, State};
use tokio::time::{sleep, timeout};

mod common;

use common::PATIENCE;
use common::record::{held, vacant};

/// Long enough for news that should not come.
const A_WHILE: Duration = Duration::from_millis(300);

const NONE: [u64; 0] = [];

struct Lease(tempfile::TempDir);

impl Lease {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn name() -> LockName {
        LockName::new("x").unwrap()
    }

    fn open(&self) -> FileStore {
        FileStore::open(self.0.path(), &Self::name()).unwrap()
    }

    fn claims(&self) -> PathBuf {
        self.0.path().join("x.lock/claims")
    }

    /// The files by which work is found.
    fn works(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.claims()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.to_str().unwrap().contains("/work-"))
            .collect()
    }
}

async fn swap(
    store: &FileStore,
    expected: Option<Revision>,
    next: Record,
) -> (Revision, Option<Witness>) {
    let swapped = match store.swap(expected, next).await.unwrap() {
        Swap::Swapped { revision, witness } => (revision, witness),
        Swap::Conflict(current) => panic!("conflict with {current:?}"),
    };
    // Its clean-up is done when it answers the next call.
    store.read().await.unwrap();
    swapped
}

async fn begin(store: &FileStore, term: u64) -> Work {
    store.begin_work(held(term)).await.unwrap()
}

fn terms(before: &[Remains]) -> Vec<u64> {
    before.iter().map(|remains| remains.term.get()).collect()
}

/// A lock may outlive its last descriptor for a moment: in a child of another
/// test, between its fork and its exec.
async fn eventually(mut so: impl AsyncFnMut() -> bool) {
    let soon = async {
        while !so().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, soon).await.expect("it never came so");
}

/// A process that does the work.
struct Worker(Child);

impl Worker {
    /// Hands the witness over, in place of its standard input.
    fn start(witness: Option<Witness>) -> Self {
        let inherited = witness.unwrap().file().try_clone().unwrap();
        let child = Command::new("sleep").arg("600").stdin(inherited).spawn();
        Self(child.unwrap())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn work_lives_as_long_as_a_process_that_inherited_its_witness() {
    let lease = Lease::new();
    let (first, second) = (lease.open(), lease.open());
    let leadership = held(1);
    let work = first.begin_work(leadership.clone()).await.unwrap();
    let worker = Worker::start(work.witness);
    drop(first);
    let Work { before, .. } = begin(&second, 2).await;
    assert_eq!(terms(&before), [1]);
    let remains = &before[0];
    assert_eq!(Some(&remains.holder), leadership.holder());
    assert_eq!(remains.pids, [worker.0.id()]);

    assert!(timeout(A_WHILE, remains.gone()).await.is_err());
    drop(worker);
    let again = remains.clone();
    timeout(PATIENCE, remains.gone()).await.expect("its end");
    timeout(PATIENCE, again.gone()).await.expect("its end");
}

#[tokio::test]
async fn work_is_found_by_all_later_terms_and_not_by_the_next_alone() {
    let lease = Lease::new();
    let (first, second, third) = (lease.open(), lease.open(), lease.open());
    let _worker = Worker::start(begin(&first, 1).await.witness);
    let waited = begin(&second, 2).await;
    assert_eq!(terms(&waited.before), [1]);
    let both = begin(&third, 3).await;
    assert_eq!(terms(&both.before), [1, 2]);
    // Elected, waited, and gave up.
    drop(waited.witness);
    timeout(PATIENCE, both.before[1].gone())
        .await
        .expect("its end");
    eventually(async || terms(&begin(&third, 3).await.before) == [1]).await;
}

#[tokio::test]
async fn a_claim_is_no_work_whether_it_leads_or_waits() {
    let lease = Lease::new();
    let (leader, candidate, other) = (lease.open(), lease.open(), lease.open());
    let (_, _witness) = swap(&leader, None, held(1)).await;
    candidate.prepare(held(2));
    candidate.read().await.unwrap();
    assert_eq!(terms(&begin(&other, 3).await.before), NONE);
}

#[tokio::test]
async fn work_may_not_begin_after_that_of_a_later_term() {
    let lease = Lease::new();
    let (late, later) = (lease.open(), lease.open());
    let work = begin(&later, 2).await;
    let refused = late.begin_work(held(1)).await.unwrap_err().to_string();
    assert!(
        refused.contains("the work of term 2 has begun"),
        "{refused}"
    );
    drop(work);
    eventually(async || late.begin_work(held(1)).await.is_ok()).await;
}

#[tokio::test]
async fn a_lock_that_says_nothing_of_its_writer_is_no_work() {
    let lease = Lease::new();
    let store = lease.open();
    for boot_id in [None, Some("another".into())] {
        let mut theirs = held(1);
        if let State::Held(holder) = &mut theirs.state {
            holder.boot_id = boot_id;
        }
        let _work = store.begin_work(theirs).await.unwrap();
        assert_eq!(terms(&begin(&store, 2).await.before), NONE);
    }

    let lease = Lease::new();
    let store = lease.open();
    drop(begin(&store, 1).await);
    // As through another filesystem over the same data: the same words in
    // another inode.
    let copy = lease.claims().join("work-copy");
    fs::copy(&lease.works()[0], &copy).unwrap();
    let locked = fs::File::open(copy).unwrap();
    locked.lock().unwrap();
    eventually(async || terms(&begin(&store, 2).await.before) == NONE).await;
}

#[tokio::test]
async fn what_is_no_record_is_no_work() {
    let lease = Lease::new();
    let store = lease.open();
    let path = |name| lease.claims().join(name);
    fs::write(path("work-x"), "garbage").unwrap();
    fs::write(path("work-long"), vec![b' '; 10_000]).unwrap();
    fs::create_dir(path("work-directory")).unwrap();
    std::os::unix::fs::symlink("work-x", path("work-link")).unwrap();
    let locked = fs::File::open(path("work-x")).unwrap();
    locked.lock().unwrap();
    assert_eq!(terms(&begin(&store, 1).await.before), NONE);
    // Nor does it keep a collector from the rest.
    let (_, _witness) = swap(&store, None, held(1)).await;
    drop(locked);
    fs::write(path("zzz"), "garbage").unwrap();
    let (_, _witness) = swap(
        &lease.open(),
        store.read().await.unwrap().map(|o| o.revision),
        held(2),
    )
    .await;
    // Clean-up makes way for a new leader's first calls.
    eventually(async || !path("zzz").exists() && !path("work-x").exists()).await;
}

#[tokio::test]
async fn a_released_lease_takes_its_work_along_once_that_is_gone() {
    let lease = Lease::new();
    let store = lease.open();
    let (mut at, _) = swap(&store, None, held(1)).await;
    let witness = begin(&store, 1).await.witness;
    at = swap(&store, Some(at), vacant(1, None)).await.0;
    assert_eq!(lease.works().len(), 1, "it is alive");
    drop(witness);
    eventually(async || {
        at = swap(&store, Some(at), vacant(1, None)).await.0;
        lease.works().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_closed_store_takes_its_work_along_if_that_is_gone() {
    eventually(async || {
        let lease = Lease::new();
        let (living, ended) = (lease.open(), lease.open());
        let _work = begin(&living, 1).await;
        let alive = lease.works();
        drop(begin(&ended, 2).await);
        assert_eq!(lease.works().len(), 2);
        drop((living, ended));
        // They end in threads of their own.
        sleep(A_WHILE).await;
        let left = lease.works();
        assert!(left.contains(&alive[0]), "it is alive");
        left == alive
    })
    .await;
}

#[tokio::test]
async fn work_left_behind_is_collected_once_it_is_gone_and_never_before() {
    let lease = Lease::new();
    let first = lease.open();
    let worker = Worker::start(begin(&first, 1).await.witness);
    // Its process is killed: nobody tidies up.
    std::mem::forget(first);
    let stray = lease.claims().join("stray");
    fs::write(&stray, "garbage").unwrap();
    let (mut at, _) = swap(&lease.open(), None, held(2)).await;
    eventually(async || !stray.exists()).await;
    assert_eq!(lease.works().len(), 1, "it is alive");
    drop(worker);
    let mut term = 2;
    eventually(async || {
        term += 1;
        at = swap(&lease.open(), Some(at), held(term)).await.0;
        lease.works().is_empty()
    })
    .await;
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_collector_that_looks_all_the_time_takes_no_work_away() {
    let lease = Lease::new();
    let store = lease.open();
    let (claims, stop) = (lease.claims(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // As `collect` does, only without a pause and of everything.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for entry in fs::read_dir(&claims).unwrap().flatten() {
                    if let Ok(file) = fs::File::open(entry.path())
                        && file.try_lock_shared().is_ok()
                    {
                        let _ = fs::remove_file(entry.path());
                    }
                }
            }
        });
        // Stops it also when an assertion fails.
        let _stop = OnDrop(&stop);
        let begun = async {
            // So often because the moment to hit is a few microseconds long.
            for _ in 0..20_000 {
                let work = begin(&store, 1).await;
                assert_eq!(lease.works().len(), 1, "{work:?}");
                drop(work);
                while !lease.works().is_empty() {
                    std::thread::yield_now();
                }
            }
        };
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(begun);
    });
}

#[tokio::test]
async fn a_look_tells_the_living_from_the_dead_and_from_those_it_cannot_see() {
    let lease = Lease::new();
    let (holder, other) = (lease.open(), lease.open());
    let (first, witness) = swap(&holder, None, held(1)).await;
    assert_eq!(other.life(first).await.unwrap(), Life::Alive);
    // A look leaves no lock behind.
    let inherited = Worker::start(witness);
    assert_eq!(other.life(first).await.unwrap(), Life::Alive);
    drop(inherited);
    eventually(async || other.life(first).await.unwrap() == Life::Dead).await;
    let claim = fs::File::open(lease.0.path().join("x.lock").join(format!("{:020}", 1))).unwrap();
    claim.try_lock().expect("a look leaves no lock behind");
    drop(claim);

    // Nobody's, and one that is over.
    let (second, _) = swap(&other, Some(first), vacant(1, None)).await;
    assert_eq!(other.life(second).await.unwrap(), Life::Unknown);
    assert_eq!(other.life(first).await.unwrap(), Life::Unknown);
    // Of another boot.
    let mut theirs = held(2);
    if let State::Held(holder) = &mut theirs.state {
        holder.boot_id = Some("another".into());
    }
    let (third, kept) = swap(&holder, Some(second), theirs).await;
    assert_eq!(other.life(third).await.unwrap(), Life::Unknown);
    drop(kept);
    assert_eq!(other.life(third).await.unwrap(), Life::Unknown);
    // A stranger's.
    fs::write(
        lease.0.path().join("x.lock").join(format!("{:020}", 4)),
        "garbage",
    )
    .unwrap();
    let garbled = other.read().await.unwrap().unwrap().revision;
    assert_eq!(other.life(garbled).await.unwrap(), Life::Unknown);
}

#[tokio::test]
async fn who_only_looks_creates_nothing() {
    let lease = Lease::new();
    let missing = lease.0.path().join("missing");
    let name = Lease::name();
    for look in [
        FileStore::existing(&missing, &name),
        FileStore::existing_shared(&missing, &name),
    ] {
        let look = look.unwrap();
        assert_eq!(look.read().await.unwrap(), None);
        let never = Revision::new([1; 4]);
        assert_eq!(look.life(never).await.unwrap(), Life::Unknown);
    }
    assert!(!missing.exists());

    let file = lease.0.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = FileStore::existing(&file, &name).unwrap().read().await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("file: is not a directory"), "{refused}");

    let holder = lease.open();
    let (at, _witness) = swap(&holder, None, held(1)).await;
    let before = fs::read_dir(lease.claims()).unwrap().count();
    let look = FileStore::existing(lease.0.path(), &Lease::name()).unwrap();
    assert_eq!(look.read().await.unwrap().unwrap().revision, at);
    assert_eq!(look.life(at).await.unwrap(), Life::Alive);
    assert_eq!(fs::read_dir(lease.claims()).unwrap().count(), before);
}
