use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::lease::{Holder, State, Term};
use crate::name::NodeId;

#[derive(Clone, Copy)]
enum Host {
    Well,
    /// Needs a hand.
    Misconfigured,
    Hangs,
}

/// Some hosts that share two keys, and tell nobody of changes.
struct Servers {
    hosts: Vec<Host>,
    keys: Mutex<[Option<Stored>; 2]>,
    changes: AtomicU64,
    /// Each connection has one, too.
    opened: Arc<()>,
}

struct Connection {
    host: usize,
    _opened: Arc<()>,
}

impl Servers {
    fn register(hosts: &[Host]) -> Register<Self> {
        let servers = Self {
            hosts: hosts.to_vec(),
            keys: Mutex::default(),
            changes: AtomicU64::new(0),
            opened: Arc::default(),
        };
        Register::new(servers, Duration::from_millis(100))
    }

    fn put(&self, key: Key, value: &[u8]) -> Revision {
        let number = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        let revision = Revision::new([number, 0, 0, 0]);
        let value = value.to_vec();
        self.keys.lock().unwrap()[key as usize] = Some(Stored { revision, value });
        revision
    }
}

impl Backend for Servers {
    type Connection = Connection;
    type Listener = ();

    fn endpoints(&self) -> usize {
        self.hosts.len()
    }

    fn address(&self, attempt: usize) -> String {
        format!("host {}", attempt % self.hosts.len())
    }

    fn name(&self, key: Key) -> String {
        format!("the key {key:?}")
    }

    async fn connect(&self, attempt: usize) -> Result<Connection, StoreError> {
        Ok(Connection {
            host: attempt % self.hosts.len(),
            _opened: self.opened.clone(),
        })
    }

    async fn ask(&self, on: &mut Connection, put: Option<&Put>) -> Result<Told, StoreError> {
        match self.hosts[on.host] {
            Host::Well => tokio::task::yield_now().await,
            Host::Misconfigured => return Err(StoreError::lasting("no such user")),
            Host::Hangs => pending().await,
        }
        let at = |key: Key| {
            let keys = self.keys.lock().unwrap();
            keys[key as usize].as_ref().map(|stored| stored.revision)
        };
        let put = put.filter(|put| at(put.key) == put.expected);
        let done = put.map(|put| self.put(put.key, &put.value));
        let now = self.keys.lock().unwrap().clone();
        Ok(Told { done, now })
    }

    async fn listen(&self, _attempt: usize) -> Result<(), StoreError> {
        Err(StoreError::new("nothing is told here"))
    }

    async fn hear(&self, _on: &mut ()) -> Result<(Key, Option<Stored>), StoreError> {
        pending().await
    }

    async fn settings(
        &self,
        _on: &mut Connection,
        _attempt: usize,
    ) -> Result<Vec<Setting>, StoreError> {
        Ok(Vec::new())
    }

    async fn delete(&self, _on: &mut Connection) -> Result<(), StoreError> {
        *self.keys.lock().unwrap() = [None, None];
        Ok(())
    }
}

fn record() -> Record {
    Record {
        term: Term::new(1).unwrap(),
        lease_duration: Duration::from_secs(10),
        state: State::Held(Holder::here(NodeId::new("n").unwrap()).unwrap()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_at_the_lease_shows_requests_too_where_nothing_is_told() {
    let lease = Servers::register(&[Host::Well]);
    let requests = lease.requests().unwrap();
    assert_eq!(requests.read().await.unwrap(), None);
    let mut asked = requests.moved_on(None);
    let quiet = timeout(Duration::from_secs(60), &mut asked).await;
    assert!(quiet.is_err(), "nothing has happened");
    lease
        .shared
        .hub
        .backend
        .put(Key::Requests, &record().encode());
    assert_eq!(lease.read().await.unwrap(), None);
    asked.await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_no_good_hides_none_that_is() {
    for bad in [Host::Misconfigured, Host::Hangs] {
        let lease = Servers::register(&[bad, Host::Well]);
        let swapped = lease.swap(None, record()).await.unwrap();
        assert!(matches!(swapped, Swap::Swapped { .. }), "{swapped:?}");
        // And it is asked from here on.
        assert_eq!(lease.shared.hub.attempt(), 1);
        assert!(lease.read().await.unwrap().is_some());
        assert_eq!(lease.shared.hub.attempt(), 1);
    }
    // What needs a hand is what is told, if nothing else helps.
    for hosts in [
        [Host::Misconfigured, Host::Hangs],
        [Host::Hangs, Host::Misconfigured],
    ] {
        let e = Servers::register(&hosts).read().await.unwrap_err();
        assert!(
            e.is_lasting() && e.to_string().ends_with(": no such user"),
            "{e}"
        );
    }
}

#[tokio::test]
async fn of_connections_for_calls_at_one_time_one_is_kept() {
    let lease = Servers::register(&[Host::Well]);
    let opened = || Arc::strong_count(&lease.shared.hub.backend.opened) - 1;
    let looks = async {
        tokio::task::yield_now().await;
        opened()
    };
    let (one, other, meanwhile) = tokio::join!(lease.read(), lease.read(), looks);
    one.and(other).unwrap();
    assert_eq!((meanwhile, opened()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn who_abandons_a_call_turns_to_another_host_with_the_next() {
    let lease = Servers::register(&[Host::Hangs, Host::Well]);
    drop(timeout(Duration::from_millis(10), lease.read()).await);
    assert_eq!(lease.shared.hub.attempt(), 1);
    assert_eq!(lease.read().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_record_is_left_alone_and_named() {
    let lease = Servers::register(&[Host::Well]);
    let servers = &lease.shared.hub.backend;
    servers.put(Key::Lease, b"a shopping list");
    for e in [
        lease.read().await.unwrap_err(),
        lease.swap(None, record()).await.unwrap_err(),
    ] {
        assert!(e.is_lasting(), "{e}");
        assert!(
            e.to_string().starts_with("host 0: the key Lease holds"),
            "{e}"
        );
    }
    servers.put(Key::Lease, br#"{"version":99}"#);
    let e = lease.read().await.unwrap_err();
    assert!(e.to_string().contains("newer version"), "{e}");
}

#[tokio::test]
async fn how_old_a_record_is_goes_by_its_writers_clock() {
    let lease = Servers::register(&[Host::Well]);
    let Swap::Swapped { revision, .. } = lease.swap(None, record()).await.unwrap() else {
        panic!("it was absent")
    };
    let age = lease.age(revision).await.unwrap().unwrap();
    assert!(age < Duration::from_secs(60), "{age:?}");
    // One of an older version, or of another hand, does not say.
    let revision = lease.shared.hub.backend.put(Key::Lease, &record().encode());
    assert!(lease.read().await.unwrap().is_some());
    assert_eq!(lease.age(revision).await.unwrap(), None);
}
