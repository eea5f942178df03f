//! A small world to try nodes in: virtual time, one register, a store with faults.

use std::fs::File;
use std::future::{Future, pending};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::change::Change;
use crate::clock::tests::VirtualClock;
use crate::clock::{BootTime, Clock, Timer};
use crate::lease::Record;
use crate::name::LockName;
use crate::node::{Changes, Node};
use crate::store::memory::{MemoryRegister, MemoryStore};
use crate::store::{
    Answer, Content, LeaseStore, Observed, Revision, StoreError, Swap, Wake, Witness,
};

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// One register, and nodes that keep L = 10 s, R = 6 s and P = 2 s.
pub(crate) struct World {
    clock: Arc<Watched>,
    pub(crate) register: MemoryRegister,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Watched {
            clock: VirtualClock::start(),
            reads: Mutex::default(),
            endless: AtomicBool::new(false),
        };
        Self {
            clock: Arc::new(clock),
            register: MemoryStore::new().register(&LockName::new("lock").unwrap()),
        }
    }

    pub(crate) fn node(&self, name: &str) -> Node {
        self.node_on(name, self.register.clone())
    }

    pub(crate) fn node_on(&self, name: &str, store: impl LeaseStore) -> Node {
        Node::builder(name)
            .start_with(store, self.clock.clone())
            .unwrap()
    }

    /// A node whose store can be made to misbehave.
    pub(crate) fn node_with_faults(&self, name: &str) -> (Node, Faulty) {
        let store = Faulty::new(self.register.clone());
        (self.node_on(name, store.clone()), store)
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(crate) fn now(&self) -> BootTime {
        self.clock.now()
    }

    /// What the register says now.
    pub(crate) fn record(&self) -> Option<Record> {
        record_in(&self.register)
    }

    /// As "a holds 1" or "vacant 1".
    pub(crate) fn state(&self) -> String {
        match self.record() {
            None => "absent".into(),
            Some(record) => match record.holder() {
                Some(holder) => format!("{} holds {}", holder.node_id, record.term),
                None => format!("vacant {}", record.term),
            },
        }
    }

    /// Somebody else, who plays by no rules, writes `record`.
    pub(crate) async fn overwrite(&self, record: Record) {
        let current = self.register.read().await.unwrap();
        let swap = self.register.swap(current.map(|o| o.revision), record);
        assert!(matches!(swap.await.unwrap(), Swap::Swapped { .. }));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let endless = self.clock.endless.load(Ordering::Relaxed);
        assert!(!endless || std::thread::panicking(), "this never ends");
    }
}

pub(crate) fn record_in(register: &MemoryRegister) -> Option<Record> {
    let answer = register
        .read()
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(seen)) = answer else {
        panic!("memory answers at once");
    };
    match seen?.content {
        Content::Record(record) => Some(record),
        Content::Garbled { .. } => panic!("memory is not garbled"),
    }
}

/// Virtual time stands still while a task spins, and flies while all wait for
/// what never comes. Either would hang the test; here it fails.
struct Watched {
    clock: VirtualClock,
    reads: Mutex<(BootTime, u32)>,
    endless: AtomicBool,
}

impl Clock for Watched {
    fn now(&self) -> BootTime {
        let now = self.clock.now();
        let mut reads = self.reads.lock().unwrap();
        *reads = match *reads {
            (at, times) if at == now => (at, times + 1),
            _ => (now, 0),
        };
        let endless = reads.1 > 100_000 || now > BootTime::default() + secs(24 * 3600);
        drop(reads);
        if endless {
            self.endless.store(true, Ordering::Relaxed);
            panic!("this never ends");
        }
        now
    }

    fn timer(&self) -> io::Result<Box<dyn Timer>> {
        self.clock.timer()
    }
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Nothing,
    /// Calls fail, and have no effect.
    Fails,
    /// Calls are never answered, and have no effect.
    Hangs,
    /// Calls take effect and fail all the same.
    LosesReplies,
    /// Calls take effect and are never answered.
    Swallows,
    Slow(Duration),
    Panics,
}

/// The register as seen through a fault.
#[derive(Clone)]
pub(crate) struct Faulty {
    register: MemoryRegister,
    fault: Arc<Mutex<Fault>>,
    /// Given away at the next swap that is answered.
    witness: Arc<Mutex<Option<Witness>>>,
}

impl Faulty {
    pub(crate) fn new(register: MemoryRegister) -> Self {
        Self {
            register,
            fault: Arc::new(Mutex::new(Fault::Nothing)),
            witness: Arc::default(),
        }
    }

    pub(crate) fn has(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Gives a witness to the next who swaps; what is returned tells if it is kept.
    pub(crate) fn will_give_a_witness(&self) -> Weak<File> {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let kept = Arc::downgrade(&file);
        *self.witness.lock().unwrap() = Some(Witness::new(file));
        kept
    }

    fn through<'a, T: Send + 'a>(
        &'a self,
        call: Answer<'a, Result<T, StoreError>>,
    ) -> Answer<'a, Result<T, StoreError>> {
        let fault = *self.fault.lock().unwrap();
        Box::pin(async move {
            match fault {
                Fault::Nothing => call.await,
                Fault::Fails => Err(StoreError::new("it fails")),
                Fault::Hangs => pending().await,
                Fault::LosesReplies => {
                    let _ = call.await;
                    Err(StoreError::new("the reply is lost"))
                }
                Fault::Swallows => {
                    let _ = call.await;
                    pending().await
                }
                Fault::Slow(time) => {
                    tokio::time::sleep(time).await;
                    call.await
                }
                Fault::Panics => panic!("this store panics, as the test wants"),
            }
        })
    }
}

impl LeaseStore for Faulty {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        self.through(self.register.read())
    }

    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        let answer = self.through(self.register.swap(expected, next));
        Box::pin(async move {
            let mut answer = answer.await?;
            if let Swap::Swapped { witness, .. } = &mut answer {
                *witness = self.witness.lock().unwrap().take();
            }
            Ok(answer)
        })
    }

    fn changed(&self, seen: Revision) -> Answer<'_, Wake> {
        self.register.changed(seen)
    }

    /// With which nothing is wrong.
    fn requests(&self) -> Option<Arc<dyn LeaseStore>> {
        self.register.requests()
    }
}

/// A store that reads and swaps, and does nothing else but what is put here.
pub(crate) struct Plain<S> {
    store: S,
    pub(crate) changed: fn(&S) -> Answer<'_, Wake>,
    pub(crate) requests: fn(&S) -> Option<Arc<dyn LeaseStore>>,
}

impl<S> Plain<S> {
    pub(crate) fn new(store: S) -> Self {
        Self {
            store,
            changed: |_| Box::pin(pending()),
            requests: |_| None,
        }
    }
}

impl<S: LeaseStore> LeaseStore for Plain<S> {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        self.store.read()
    }

    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        self.store.swap(expected, next)
    }

    fn changed(&self, _: Revision) -> Answer<'_, Wake> {
        (self.changed)(&self.store)
    }

    fn requests(&self) -> Option<Arc<dyn LeaseStore>> {
        (self.requests)(&self.store)
    }
}

/// All that has been told so far and not been looked at.
pub(crate) async fn told(changes: &mut Changes) -> Vec<String> {
    // The driver's turn.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut told = Vec::new();
    while let Ok(Some(notice)) = tokio::time::timeout(Duration::ZERO, changes.next()).await {
        told.push(match notice.change {
            Change::Elected { term, acquired, .. } => format!("elected {term} ({acquired:?})"),
            Change::Asked { term, wish, .. } => format!("asked {term} ({wish:?})"),
            Change::Revoked { term, reason, .. } => format!("revoked {term} ({reason:?})"),
            Change::NewLeader { leader, term } => format!("new leader {} {term}", leader.node_id),
            Change::NoLeader => "no leader".into(),
            Change::Warning(text) => format!("warning: {text}"),
            Change::StoreFailed(why) => format!("store failed: {why}"),
            Change::StoreRecovered => "store recovered".into(),
        });
    }
    told
}

/// Whether this takes longer than anything an election ever waits for.
pub(crate) async fn takes_forever(what: impl Future) -> bool {
    tokio::time::timeout(secs(3600), what).await.is_err()
}
