//! What the stores on servers have in common: two keys, a lease and the requests
//! beside it, that are compared and set on a connection of their own.
//!
//! | | |
//! |---|---|
//! | [`Backend`] | what one kind of server adds: one request, and one kind of notice |
//! | [`Register`] | the store that comes of it |
//! | `remote/latest.rs` | what the server said last, for who waits for more |
//! | `remote/tls.rs` | whom to believe to be the server |

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::lease::{DecodeError, Record};
use crate::store::{Answer, Content, LeaseStore, Observed, Revision, StoreError, Swap, Wake};

mod latest;
pub(in crate::store) mod tls;

use latest::Latest;

/// Between two tries to listen, at first and at most.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_AT_MOST: Duration = Duration::from_secs(5);

/// One kind of server.
pub(super) trait Backend: Send + Sync + 'static {
    /// Closed when dropped, whatever is under way on it.
    type Connection: Send + 'static;
    /// A connection on which the server tells of changes.
    type Listener: Send + 'static;

    /// How many servers there are to turn to.
    fn endpoints(&self) -> usize {
        1
    }

    /// The store and the server that the `attempt`th attempt turns to, for people:
    /// "etcd at 10.0.0.1:2379".
    fn address(&self, attempt: usize) -> String;

    /// What the server calls a key, for people.
    fn name(&self, key: Key) -> String;

    /// Errors are told without the address.
    fn connect(
        &self,
        attempt: usize,
    ) -> impl Future<Output = Result<Self::Connection, StoreError>> + Send;

    /// One round trip: puts, if there is something to put and it still is what was
    /// expected; and says what both keys hold right after.
    fn ask(
        &self,
        on: &mut Self::Connection,
        put: Option<&Put>,
    ) -> impl Future<Output = Result<Told, StoreError>> + Send;

    /// From its answer on, all changes are told.
    fn listen(
        &self,
        attempt: usize,
    ) -> impl Future<Output = Result<Self::Listener, StoreError>> + Send;

    /// The next change. It may be dropped and called again.
    fn hear(
        &self,
        on: &mut Self::Listener,
    ) -> impl Future<Output = Result<(Key, Option<Stored>), StoreError>> + Send;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Lease,
    Requests,
}

impl Key {
    pub(super) const BOTH: [Self; 2] = [Self::Lease, Self::Requests];
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Its first part grows with every change of a key that is not deleted.
    pub(super) revision: Revision,
    pub(super) value: Vec<u8>,
}

/// A value, and what is to be there before.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) key: Key,
    pub(super) expected: Option<Revision>,
    pub(super) value: Vec<u8>,
}

/// What the server answered.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// If something was put, and it was what was expected.
    pub(super) done: Option<Revision>,
    /// What the keys hold, as in [`Key::BOTH`].
    pub(super) now: [Option<Stored>; 2],
}

/// A lease, or the requests beside it, on a server.
pub(super) struct Register<B: Backend> {
    shared: Arc<Shared<B>>,
    key: Key,
}

impl<B: Backend> fmt::Debug for Register<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing that a backend knows: it knows passwords.
        write!(f, "{}", self.shared.hub.backend.name(self.key))
    }
}

struct Shared<B: Backend> {
    hub: Arc<Hub<B>>,
    listening: OnceLock<AbortHandle>,
}

impl<B: Backend> Drop for Shared<B> {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.get() {
            listening.abort();
        }
    }
}

/// What registers and listener share.
struct Hub<B: Backend> {
    backend: B,
    /// For one answer.
    patience: Duration,
    /// Goes on where a server failed.
    attempt: AtomicUsize,
    /// Connections on which nothing is under way. A call that is abandoned takes
    /// its connection with it, and so what might still be answered there.
    idle: Mutex<Vec<B::Connection>>,
    latest: [Latest; 2],
}

impl<B: Backend> Register<B> {
    pub(super) fn new(backend: B, patience: Duration) -> Self {
        let hub = Hub {
            backend,
            patience,
            attempt: AtomicUsize::new(0),
            idle: Mutex::default(),
            latest: Default::default(),
        };
        let shared = Shared {
            hub: Arc::new(hub),
            listening: OnceLock::new(),
        };
        Self {
            shared: Arc::new(shared),
            key: Key::Lease,
        }
    }

    fn latest(&self) -> &Latest {
        &self.shared.hub.latest[self.key as usize]
    }

    /// Begins to, at the first call.
    fn listen(&self) {
        self.shared.listening.get_or_init(|| {
            let hub = self.shared.hub.clone();
            tokio::spawn(async move { hub.listen().await }).abort_handle()
        });
    }

    fn observed(&self, stored: Option<Stored>) -> Result<Option<Observed>, StoreError> {
        let Some(stored) = stored else {
            return Ok(None);
        };
        let hub = &self.shared.hub;
        let (name, address) = (
            hub.backend.name(self.key),
            hub.backend.address(hub.attempt()),
        );
        match Record::decode(&stored.value) {
            Ok(record) => Ok(Some(Observed {
                revision: stored.revision,
                content: Content::Record(record),
            })),
            Err(e @ DecodeError::Newer(_)) => Err(StoreError::lasting(format!(
                "{address}: {name} was {e}: use that version"
            ))),
            // Unlike a file among ours it may be what somebody else keeps there.
            Err(DecodeError::Garbled) => Err(StoreError::lasting(format!(
                "{address}: {name} holds something that is not a lease: \
                 choose another --lock-name, or delete it"
            ))),
        }
    }
}

impl<B: Backend> Hub<B> {
    fn attempt(&self) -> usize {
        self.attempt.load(Ordering::Relaxed)
    }

    /// Asks one server after the other, each once; the first one again if it had
    /// closed a connection meanwhile. To put the same twice does no harm: the
    /// second is a conflict with the first.
    async fn ask(&self, put: Option<&Put>) -> Result<Told, StoreError> {
        let endpoints = self.backend.endpoints();
        let patience = self.patience / endpoints.clamp(1, 2) as u32;
        let mut left = endpoints;
        loop {
            let attempt = self.attempt();
            let kept = self.idle().pop();
            let was_kept = kept.is_some();
            let answer = timeout(patience, async {
                let mut on = match kept {
                    Some(kept) => kept,
                    None => self.backend.connect(attempt).await?,
                };
                let told = self.backend.ask(&mut on, put).await?;
                Ok((on, told))
            });
            let (trouble, in_time) = match answer.await {
                Ok(Ok((on, told))) => {
                    self.idle().push(on);
                    self.note(&told.now);
                    return Ok(told);
                }
                Ok(Err(trouble)) => (trouble, true),
                Err(_) => (no_answer(patience), false),
            };
            let again = was_kept && in_time;
            if !again {
                left -= 1;
                self.attempt.fetch_add(1, Ordering::Relaxed);
            }
            // Those to the same server are no better.
            self.idle().clear();
            if left == 0 || trouble.is_lasting() {
                return Err(trouble.at(&self.backend.address(attempt)));
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<B::Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, now: &[Option<Stored>; 2]) {
        for (latest, now) in self.latest.iter().zip(now) {
            latest.note(now.clone());
        }
    }

    /// For as long as there are registers.
    async fn listen(&self) {
        let mut pause = RETRY;
        loop {
            let attempt = self.attempt();
            let listener = timeout(self.patience, self.backend.listen(attempt)).await;
            let trouble = match listener.unwrap_or_else(|_| Err(no_answer(self.patience))) {
                Ok(mut listener) => {
                    pause = RETRY;
                    // What has changed before.
                    let _ = self.ask(None).await;
                    loop {
                        match self.backend.hear(&mut listener).await {
                            Ok((key, now)) => self.latest[key as usize].note(now),
                            Err(trouble) => break trouble,
                        }
                    }
                }
                Err(trouble) => trouble,
            };
            let trouble = trouble.at(&self.backend.address(attempt));
            tracing::debug!("nothing is heard of changes: {trouble}");
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_AT_MOST);
        }
    }
}

fn no_answer(within: Duration) -> StoreError {
    let within = humantime::format_duration(within);
    StoreError::new(format!("no answer within {within}"))
}

impl<B: Backend> LeaseStore for Register<B> {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        Box::pin(async {
            let mut told = self.shared.hub.ask(None).await?;
            self.observed(told.now[self.key as usize].take())
        })
    }

    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        Box::pin(async move {
            let put = Put {
                key: self.key,
                expected,
                value: next.encode(),
            };
            let mut told = self.shared.hub.ask(Some(&put)).await?;
            match told.done {
                Some(revision) => Ok(Swap::Swapped {
                    revision,
                    witness: None,
                }),
                None => {
                    let current = told.now[self.key as usize].take();
                    self.observed(current).map(Swap::Conflict)
                }
            }
        })
    }

    fn changed(&self, seen: Revision) -> Answer<'_, Wake> {
        Box::pin(async move {
            self.listen();
            let changed = self.latest().other_than(Some(seen)).await;
            // What cannot be read is told to who reads it.
            Wake::Changed(self.observed(changed).ok().flatten())
        })
    }

    fn moved_on(&self, seen: Option<Revision>) -> Answer<'_, ()> {
        Box::pin(async move {
            self.listen();
            self.latest().other_than(seen).await;
        })
    }

    fn tells(&self) -> bool {
        true
    }

    fn requests(&self) -> Option<Arc<dyn LeaseStore>> {
        Some(Arc::new(Self {
            shared: self.shared.clone(),
            key: Key::Requests,
        }))
    }
}
