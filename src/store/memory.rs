//! The memory store: elections within one process, for tests and embedding.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::lease::Record;
use crate::name::LockName;
use crate::store::{Answer, Content, LeaseStore, Observed, Revision, StoreError, Swap, Wake};

/// A space of named registers. Clones share it.
///
/// ```
/// # use leader_demo::{LockName, MemoryStore};
/// let space = MemoryStore::new();
/// let store = space.register(&LockName::new("my-service")?);
/// # Ok::<(), leader_demo::NameError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    registers: Arc<Mutex<HashMap<LockName, MemoryRegister>>>,
}

/// How many swaps there were, and what the last one left.
type Slot = (u64, Option<Record>);

impl MemoryStore {
    /// A new, empty space.
    pub fn new() -> Self {
        Self::default()
    }

    /// The register with this name; the same one for everybody who asks.
    pub fn register(&self, name: &LockName) -> MemoryRegister {
        self.lock().entry(name.clone()).or_default().clone()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LockName, MemoryRegister>> {
        // Nothing that can panic leaves the map half changed.
        self.registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One register of a [`MemoryStore`].
#[derive(Clone, Debug, Default)]
pub struct MemoryRegister {
    lease: Arc<watch::Sender<Slot>>,
    requests: Arc<watch::Sender<Slot>>,
}

fn observed((number, record): &Slot) -> Option<Observed> {
    record.clone().map(|record| Observed {
        revision: revision(*number),
        content: Content::Record(record),
    })
}

const fn revision(number: u64) -> Revision {
    Revision::new([number, 0, 0, 0])
}

impl LeaseStore for MemoryRegister {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        Box::pin(async { Ok(observed(&self.lease.borrow())) })
    }

    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        Box::pin(async move {
            let mut answer = Swap::Conflict(None);
            self.lease.send_if_modified(|slot| {
                let current = observed(slot);
                if current.as_ref().map(|o| o.revision) != expected {
                    answer = Swap::Conflict(current);
                    return false;
                }
                *slot = (slot.0 + 1, Some(next));
                answer = Swap::Swapped {
                    revision: revision(slot.0),
                    witness: None,
                };
                true
            });
            Ok(answer)
        })
    }

    fn changed(&self, seen: Revision) -> Answer<'_, Wake> {
        let mut slot = self.lease.subscribe();
        Box::pin(async move {
            let changed = slot.wait_for(|(number, _)| revision(*number) != seen).await;
            // The sender lives as long as `self`, so this can only end well.
            Wake::Changed(changed.ok().and_then(|slot| observed(&slot)))
        })
    }

    fn moved_on(&self, seen: Option<Revision>) -> Answer<'_, ()> {
        let mut slot = self.lease.subscribe();
        Box::pin(async move {
            let at = |slot: &Slot| observed(slot).map(|o| o.revision);
            let _ = slot.wait_for(|slot| at(slot) != seen).await;
        })
    }

    fn requests(&self) -> Option<Arc<dyn LeaseStore>> {
        Some(Arc::new(Self {
            lease: self.requests.clone(),
            requests: Arc::default(),
        }))
    }
}
