//! What the stores on servers have in common: two keys, a lease and the requests
//! beside it, that are compared and set on a connection of their own.
//!
//! | | |
//! |---|---|
//! | [`Backend`] | what one kind of server adds: one request, and one kind of notice |
//! | [`Register`] | the store that comes of it |
//! | `remote/latest.rs` | what the server said last, for who waits for more |
//! | `remote/examined.rs` | for who judges a server: what it says of itself |
//! | `remote/dial.rs`, `remote/tls.rs` | connections |
//! | `remote/network.rs` | what errors of the network mean |

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::lease::{self, DecodeError, Record};
use crate::store::trial::Setting;
use crate::store::{Answer, Content, LeaseStore, Observed, Revision, StoreError, Swap, Wake};

#[cfg(any(feature = "etcd", feature = "redis"))]
pub(in crate::store) mod dial;
pub(in crate::store) mod examined;
mod latest;
pub(in crate::store) mod network;
pub(in crate::store) mod tls;

use latest::Latest;

/// Between two tries to listen, at first and at most.
const RETRY: Duration = Duration::from_millis(50);
const RETRY_AT_MOST: Duration = Duration::from_secs(5);

/// A peer that is gone is noticed after this long without a word, and this many
/// questions unanswered, this far apart: ten seconds.
pub(super) const IDLE: Duration = Duration::from_secs(4);
pub(super) const QUESTIONS: u32 = 3;
pub(super) const APART: Duration = Duration::from_secs(2);

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

    /// Which of the key's changes it is: one more than the change before.
    fn count(revision: Revision) -> u64 {
        revision.parts()[0]
    }

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

    /// How the server is set up, in its own words and by its own names.
    fn settings(
        &self,
        on: &mut Self::Connection,
        attempt: usize,
    ) -> impl Future<Output = Result<Vec<Setting>, StoreError>> + Send;

    /// Deletes both keys, and what had to be made for them.
    fn delete(
        &self,
        on: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Lease,
    Requests,
}

impl Key {
    pub(super) const BOTH: [Self; 2] = [Self::Lease, Self::Requests];
}

/// What the two are called. No lock name has a colon in it.
pub(super) fn keys(lease: String) -> [String; 2] {
    let requests = format!("{lease}:request");
    [lease, requests]
}

/// A number that tells one change from all others, where the server has none that
/// never comes back.
#[cfg(any(feature = "postgres", feature = "redis"))]
pub(super) fn nonce() -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| StoreError::lasting(format!("no random numbers: {e}")))?;
    Ok(u64::from_ne_bytes(bytes))
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

/// A record as it is kept: readable to all that know records.
#[derive(Serialize, Deserialize)]
struct Stamped {
    #[serde(flatten)]
    record: Record,
    /// By the writer's clock on the wall, since 1970: for people.
    written_at_ns: Option<u64>,
}

impl Stamped {
    fn now(record: Record) -> Self {
        let since = clock::wall_time().duration_since(SystemTime::UNIX_EPOCH);
        let since = since.unwrap_or_default().as_nanos();
        Self {
            record,
            written_at_ns: u64::try_from(since).ok(),
        }
    }

    fn age(&self) -> Option<Duration> {
        let written_at = SystemTime::UNIX_EPOCH + Duration::from_nanos(self.written_at_ns?);
        let age = clock::wall_time().duration_since(written_at);
        // Clocks that differ a little make no record younger than new.
        Some(age.unwrap_or_default())
    }
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
    attempt: watch::Sender<usize>,
    /// A connection on which nothing is under way. A call that is abandoned takes
    /// its connection with it, and so what might still be answered there. More than
    /// one call at a time is rare, and each connection costs the server something.
    idle: Mutex<Option<B::Connection>>,
    latest: [Latest; 2],
}

impl<B: Backend> Register<B> {
    pub(super) fn new(backend: B, patience: Duration) -> Self {
        let hub = Hub {
            backend,
            patience,
            attempt: watch::Sender::new(0),
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
                "{address}: {name} holds something that is not a {}: \
                 choose another --lock-name, or delete it",
                match self.key {
                    Key::Lease => "lease",
                    Key::Requests => "request",
                }
            ))),
        }
    }
}

impl<B: Backend> Hub<B> {
    fn attempt(&self) -> usize {
        *self.attempt.borrow()
    }

    /// Asks one server after the other, each once; the first one again if it had
    /// closed a connection meanwhile. To put the same twice does no harm: the
    /// second is a conflict with the first.
    async fn ask(&self, put: Option<&Put>) -> Result<Told, StoreError> {
        let endpoints = self.backend.endpoints();
        let patience = self.patience / endpoints.clamp(1, 2) as u32;
        let mut left = endpoints;
        let mut lasting = None;
        loop {
            let attempt = self.attempt();
            let doubt = Doubt { hub: self, attempt };
            let kept = self.idle().take();
            let was_kept = kept.is_some();
            let answer = timeout(patience, async {
                let mut on = match kept {
                    Some(kept) => kept,
                    None => self.backend.connect(attempt).await?,
                };
                let told = self.backend.ask(&mut on, put).await?;
                Ok((on, told))
            });
            let (trouble, again) = match answer.await {
                Ok(Ok((on, told))) => {
                    doubt.dispel();
                    *self.idle() = Some(on);
                    self.note(&told.now);
                    return Ok(told);
                }
                Ok(Err(trouble)) => (trouble, was_kept),
                Err(_) => (no_answer(patience), false),
            };
            // One to the same server is no better.
            *self.idle() = None;
            if again {
                doubt.dispel();
                continue;
            }
            left -= 1;
            let trouble = trouble.at(&self.backend.address(attempt));
            if trouble.is_lasting() {
                lasting = Some(trouble.clone());
            }
            if left == 0 {
                return Err(lasting.unwrap_or(trouble));
            }
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Option<B::Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, now: &[Option<Stored>; 2]) {
        for (latest, now) in self.latest.iter().zip(now) {
            latest.note(now.clone());
        }
    }

    /// For as long as there are registers, to the server that is asked, too: one that
    /// is frozen would never say that nothing more is to be heard from it.
    async fn listen(&self) {
        let mut turned = self.attempt.subscribe();
        let mut pause = RETRY;
        let mut warned = false;
        loop {
            let attempt = *turned.borrow_and_update();
            let listener = timeout(self.patience, self.backend.listen(attempt)).await;
            let trouble = match listener.unwrap_or_else(|_| Err(no_answer(self.patience))) {
                Ok(mut listener) => {
                    pause = RETRY;
                    // What has changed before.
                    let _ = self.ask(None).await;
                    loop {
                        tokio::select! {
                            heard = self.backend.hear(&mut listener) => match heard {
                                Ok((key, now)) => self.latest[key as usize].note(now),
                                Err(trouble) => break trouble,
                            },
                            _ = turned.changed() => break StoreError::new("it gave no answer"),
                        }
                    }
                }
                Err(trouble) => trouble,
            };
            let trouble = trouble.at(&self.backend.address(attempt));
            match trouble.is_lasting() && !std::mem::replace(&mut warned, true) {
                true => tracing::warn!("{trouble}; changes are noticed a retry period late"),
                false => tracing::debug!("nothing is heard of changes: {trouble}"),
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_AT_MOST);
        }
    }
}

/// A call that has not been answered. Should it fail, or be abandoned, the next one
/// turns to another server.
struct Doubt<'a, B: Backend> {
    hub: &'a Hub<B>,
    attempt: usize,
}

impl<B: Backend> Doubt<'_, B> {
    fn dispel(self) {
        std::mem::forget(self);
    }
}

impl<B: Backend> Drop for Doubt<'_, B> {
    fn drop(&mut self) {
        self.hub.attempt.send_if_modified(|attempt| {
            let is_current = *attempt == self.attempt;
            *attempt += usize::from(is_current);
            is_current
        });
    }
}

fn no_answer(within: Duration) -> StoreError {
    let within = humantime::format_duration(within);
    StoreError::new(format!(
        "no answer within {within}: is it frozen or cut off, or not what --store says?"
    ))
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
                value: lease::encode(&Stamped::now(next)),
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

    fn between(
        &self,
        older: Revision,
        newer: Revision,
    ) -> Answer<'_, Result<Option<Vec<Observed>>, StoreError>> {
        Box::pin(async move {
            let between = self.latest().between(older, newer, B::count);
            let observed = |stored| self.observed(Some(stored)).ok().flatten();
            Ok(between.and_then(|all| all.into_iter().map(observed).collect()))
        })
    }

    fn age(&self, seen: Revision) -> Answer<'_, Result<Option<Duration>, StoreError>> {
        Box::pin(async move {
            let said = self.latest().said().filter(|said| said.revision == seen);
            let stamped = said.and_then(|said| lease::decode::<Stamped>(&said.value).ok());
            Ok(stamped.and_then(|stamped| stamped.age()))
        })
    }

    fn requests(&self) -> Option<Arc<dyn LeaseStore>> {
        Some(Arc::new(Self {
            shared: self.shared.clone(),
            key: Key::Requests,
        }))
    }
}

#[cfg(test)]
mod tests;
