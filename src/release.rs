//! The last word of a session that can say nothing any more.

use crate::lease::{Record, SessionId, State, Term};
use crate::store::{Content, LeaseStore, Observed, StoreError, Swap};

/// Gives back what a dead session holds, in its name, so that nobody has to wait out
/// its lease; whether there was anything to give back.
///
/// Only for who *knows* that the session can never act again, and that its work has
/// stopped: that its process is gone, say, and all that it had started. What it had
/// asked the store for, and is still under way, does no harm: a renewal that lands
/// first is given back, one that lands later is a conflict.
///
/// ```
/// # use leader_demo::{LockName, MemoryStore, Node, release_for};
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = MemoryStore::new().register(&LockName::new("lock")?);
/// # let node = Node::builder("node-1").start(store.clone())?;
/// # node.stand();
/// # while !node.is_leader() { tokio::time::sleep(Duration::from_millis(1)).await }
/// # let (session, term) = (node.me().session, node.term().unwrap());
/// # drop(node); // Say that it was killed.
/// assert!(release_for(&store, session, term).await?);
/// assert!(!release_for(&store, session, term).await?);
/// # Ok(()) }
/// ```
///
/// # Errors
/// "Nobody knows": it may have been given back, or not. Try again.
pub async fn release_for(
    store: &impl LeaseStore,
    session: SessionId,
    term: Term,
) -> Result<bool, StoreError> {
    let mut current = store.read().await?;
    while let Some(Observed {
        revision,
        content: Content::Record(record),
    }) = current
        && record.term == term
        && record
            .holder()
            .is_some_and(|holder| holder.session == session)
    {
        let vacant = Record {
            state: State::Vacant { successor: None },
            ..record
        };
        match store.swap(Some(revision), vacant).await? {
            Swap::Swapped { .. } => return Ok(true),
            Swap::Conflict(now) => current = now,
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Holder;
    use crate::name::{LockName, NodeId};
    use crate::store::memory::{MemoryRegister, MemoryStore};
    use std::time::Duration;

    fn register() -> MemoryRegister {
        MemoryStore::new().register(&LockName::new("lock").unwrap())
    }

    fn held(holder: &Holder, term: u64) -> Record {
        Record {
            term: Term::new(term).unwrap(),
            lease_duration: Duration::from_secs(10),
            state: State::Held(holder.clone()),
        }
    }

    fn somebody() -> Holder {
        Holder::here(NodeId::new("n").unwrap()).unwrap()
    }

    async fn content(store: &MemoryRegister) -> Option<Content> {
        store.read().await.unwrap().map(|seen| seen.content)
    }

    #[tokio::test]
    async fn what_the_dead_held_is_vacant_and_keeps_its_term() {
        let (store, dead) = (register(), somebody());
        store.swap(None, held(&dead, 7)).await.unwrap();
        let term = Term::new(7).unwrap();
        assert!(release_for(&store, dead.session, term).await.unwrap());
        let vacant = Record {
            state: State::Vacant { successor: None },
            ..held(&dead, 7)
        };
        assert_eq!(content(&store).await, Some(Content::Record(vacant)));
        assert!(!release_for(&store, dead.session, term).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_anothers_or_of_another_term_is_left_alone() {
        let (store, dead, other) = (register(), somebody(), somebody());
        let release = |holder: &Holder, term| {
            let (store, session) = (store.clone(), holder.session);
            async move {
                release_for(&store, session, Term::new(term).unwrap())
                    .await
                    .unwrap()
            }
        };
        assert!(!release(&dead, 7).await);
        store.swap(None, held(&other, 7)).await.unwrap();
        assert!(!release(&dead, 7).await);
        assert!(!release(&other, 6).await);
        assert_eq!(
            content(&store).await,
            Some(Content::Record(held(&other, 7)))
        );
    }

    /// A store in which a renewal of the dead lands right before each swap.
    struct Haunted {
        store: MemoryRegister,
        dead: Holder,
        left: std::sync::atomic::AtomicU32,
    }

    impl LeaseStore for Haunted {
        fn read(&self) -> crate::store::Answer<'_, Result<Option<Observed>, StoreError>> {
            self.store.read()
        }

        fn swap(
            &self,
            expected: Option<crate::store::Revision>,
            next: Record,
        ) -> crate::store::Answer<'_, Result<Swap, StoreError>> {
            Box::pin(async move {
                use std::sync::atomic::Ordering::Relaxed;
                if self.left.fetch_sub(1, Relaxed) > 1 {
                    self.store.swap(expected, held(&self.dead, 7)).await?;
                }
                self.store.swap(expected, next).await
            })
        }
    }

    #[tokio::test]
    async fn a_renewal_that_was_still_under_way_is_given_back_too() {
        let (store, dead) = (register(), somebody());
        store.swap(None, held(&dead, 7)).await.unwrap();
        let haunted = Haunted {
            store: store.clone(),
            dead: dead.clone(),
            left: 3.into(),
        };
        let term = Term::new(7).unwrap();
        assert!(release_for(&haunted, dead.session, term).await.unwrap());
        let Some(Content::Record(record)) = content(&store).await else {
            panic!("it vanished")
        };
        assert_eq!(record.holder(), None);
    }
}
