//! What the PostgreSQL store promises beyond the contract, on real servers.
#![allow(missing_docs, clippy::disallowed_methods)]
#![cfg(feature = "postgres")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leader_demo::store::{Content, LeaseStore, Server, StoreError, Swap, Wake};
use leader_demo::{LockName, Node, SessionId, Term};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

mod common;
use common::PATIENCE;
use common::record::{held, observed, swapped};
use common::servers::postgres::{self, Postgres};

/// Of the stores here, for one answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Long enough for a wake-up that should not come.
const A_WHILE: Duration = Duration::from_millis(300);

type Store = Arc<dyn LeaseStore>;

fn open(url: &str) -> Store {
    open_for(url, ANSWER)
}

fn open_for(url: &str, patience: Duration) -> Store {
    let server: Server = url.parse().unwrap();
    server
        .open(&LockName::new("lock").unwrap(), patience)
        .unwrap()
}

/// What follows the host in a URL, for a table that no other test uses.
fn table() -> (String, String) {
    let table = format!("t{}", SessionId::random().unwrap());
    (format!("postgres?table={table}"), table)
}

/// One line of what went wrong, with no password in it.
#[track_caller]
fn told<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> StoreError {
    let error = answer.unwrap_err();
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains('\n'), "{text}");
        assert!(!text.contains("right") && !text.contains("wrong"), "{text}");
        assert!(text.contains("PostgreSQL at "), "{text}");
    }
    error
}

#[track_caller]
fn says(error: &StoreError, is_lasting: bool, what: &str) {
    assert!(error.to_string().contains(what), "{error}");
    assert_eq!(error.is_lasting(), is_lasting, "{error}");
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

fn node(id: &str, store: Store) -> Node {
    node_for(id, store, Duration::from_secs(20))
}

fn node_for(id: &str, store: Store, lease_duration: Duration) -> Node {
    let node = Node::builder(id)
        .lease_duration(lease_duration)
        .retry_period(Duration::from_millis(500))
        .start(store)
        .unwrap();
    node.stand();
    node
}

/// Waits for two more records, whoever writes them: one may be under way.
async fn renewed(store: &Store) {
    let mut seen = None;
    let mut changes = 0;
    eventually("it is renewed", async || {
        if let Ok(Some(now)) = store.read().await {
            changes += usize::from(seen.replace(now.revision) != Some(now.revision));
        }
        changes > 2
    })
    .await;
}

async fn leads(node: &Node) -> Term {
    eventually("it leads", async || node.is_leader()).await;
    node.term().unwrap()
}

/// Between client and server: keeps replies, slows down, counts.
#[derive(Default)]
struct Between {
    keeps_replies: AtomicBool,
    delay_ms: AtomicU64,
    requests: AtomicU64,
}

impl Between {
    async fn start(to: u16) -> (Arc<Self>, u16) {
        let this = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let between = this.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                tokio::spawn(between.clone().carry(client, server));
            }
        });
        (this, port)
    }

    async fn carry(self: Arc<Self>, mut client: TcpStream, mut server: TcpStream) {
        let (mut asked, mut replied) = ([0; 65536], [0; 65536]);
        loop {
            tokio::select! {
                n = client.read(&mut asked) => {
                    let n = n.unwrap_or(0);
                    if n == 0 {
                        return;
                    }
                    self.requests.fetch_add(1, Ordering::SeqCst);
                    if server.write_all(&asked[..n]).await.is_err() {
                        return;
                    }
                }
                n = server.read(&mut replied) => {
                    let n = n.unwrap_or(0);
                    if n == 0 || self.keeps_replies.load(Ordering::SeqCst) {
                        return;
                    }
                    sleep(Duration::from_millis(self.delay_ms.load(Ordering::SeqCst))).await;
                    if client.write_all(&replied[..n]).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wake_up_carries_the_record_and_comes_without_polling() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::shared();
    let (path, table) = table();
    let url = server.url("postgres", &path);
    let (a, b) = (open(&url), open(&url));
    let mut at = swapped(&a, None, &held(1)).await;
    let mut quickest = Duration::MAX;
    for term in 2..30 {
        let wait = tokio::spawn({
            let b = b.clone();
            async move { (b.changed(at).await, Instant::now()) }
        });
        // Until it listens; and so that it does wait.
        sleep(Duration::from_millis(if term == 2 { 500 } else { 5 })).await;
        let (record, begun) = (held(term), Instant::now());
        at = swapped(&a, Some(at), &record).await;
        let (wake, heard) = timeout(PATIENCE, wait).await.unwrap().unwrap();
        assert_eq!(wake, Wake::Changed(observed(at, &record)));
        quickest = quickest.min(heard - begun);
    }
    let begun = Instant::now();
    for _ in 0..20 {
        b.read().await.unwrap();
    }
    let ratio = quickest.as_secs_f64() / (begun.elapsed() / 20).as_secs_f64();
    println!("a wake-up, swap included, takes {quickest:?}: {ratio:.1} reads");
    // A poll would take a period of them.
    assert!(quickest < Duration::from_millis(200), "{quickest:?}");
    assert_eq!(server.sql(&format!("SELECT count(*) FROM {table}")), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_of_one_name_in_two_schemas_are_two() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::start("");
    for role in ["plain", "reader"] {
        server.sql(&format!("CREATE SCHEMA {role} AUTHORIZATION {role}"));
    }
    let [plain, reader] = ["plain", "reader"].map(|role| open(&server.url(role, "postgres")));
    let ours = swapped(&plain, None, &held(1)).await;
    let theirs = swapped(&reader, None, &held(1)).await;
    let mut wait = Box::pin(plain.changed(ours));
    assert!(timeout(A_WHILE, &mut wait).await.is_err());
    swapped(&reader, Some(theirs), &held(2)).await;
    assert!(timeout(A_WHILE, &mut wait).await.is_err());
    let record = held(3);
    let other = open(&server.url("plain", "postgres"));
    let now = swapped(&other, Some(ours), &record).await;
    let wake = timeout(PATIENCE, wait).await.unwrap();
    assert_eq!(wake, Wake::Changed(observed(now, &record)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_one_round_trip() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::shared();
    let (path, _) = table();
    let (between, port) = Between::start(server.port).await;
    let store = open(&format!("postgres://plain@127.0.0.1:{port}/{path}"));
    server.sql("GRANT CREATE ON SCHEMA public TO plain");
    let mut at = swapped(&store, None, &held(1)).await;
    let before = between.requests.load(Ordering::SeqCst);
    between.delay_ms.store(50, Ordering::SeqCst);
    let begun = Instant::now();
    for term in 2..6 {
        at = swapped(&store, Some(at), &held(term)).await;
        store.read().await.unwrap();
    }
    let trips = begun.elapsed().as_secs_f64() / 0.050 / 8.0;
    println!("{trips:.2} round trips for each request");
    assert_eq!(between.requests.load(Ordering::SeqCst) - before, 8);
    assert!(trips < 1.9, "{trips} round trips");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_whose_reply_is_lost_meets_itself() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::shared();
    let (path, _) = table();
    let (between, port) = Between::start(server.port).await;
    let through = open(&format!("postgres://postgres@127.0.0.1:{port}/{path}"));
    let direct = open(&server.url("postgres", &path));
    let at = swapped(&through, None, &held(1)).await;
    between.keeps_replies.store(true, Ordering::SeqCst);
    let record = held(2);
    says(
        &told(through.swap(Some(at), record.clone()).await),
        false,
        "",
    );
    between.keeps_replies.store(false, Ordering::SeqCst);
    let now = direct.read().await.unwrap();
    assert_eq!(now.as_ref().unwrap().content, Content::Record(record));
    match through.swap(Some(at), held(2)).await.unwrap() {
        Swap::Conflict(current) => assert_eq!(current, now),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_goes_on_when_the_server_was_killed_and_came_back() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::start("");
    let url = server.url("postgres", "postgres");
    let (leader, store) = (node("a", open(&url)), open(&url));
    let term = leads(&leader).await;
    let before = store.read().await.unwrap().unwrap();
    let heard = tokio::spawn({
        let store = store.clone();
        async move { store.changed(before.revision).await }
    });
    server.kill();
    says(&told(store.read().await), false, "");
    server.start_again();
    eventually("the store answers", async || store.read().await.is_ok()).await;
    timeout(PATIENCE, heard).await.unwrap().unwrap();
    renewed(&store).await;
    assert_eq!(leader.term(), Some(term));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_given_up_in_time() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::start("");
    let store = open(&server.url("postgres", "postgres"));
    let (record, begun) = (held(1), Instant::now());
    let at = swapped(&store, None, &record).await;
    server.signal(Signal::STOP);
    says(&told(store.read().await), false, "no answer within 2s");
    assert!(begun.elapsed() < 5 * ANSWER, "{:?}", begun.elapsed());
    says(&told(store.swap(Some(at), held(2)).await), false, "");
    server.signal(Signal::CONT);
    eventually("the store answers", async || store.read().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_named_and_gone_when_it_is_deleted() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::shared();
    let (path, table) = table();
    let store = open(&server.url("postgres", &path));
    let first = swapped(&store, None, &held(1)).await;
    server.sql(&format!("UPDATE {table} SET record = 'x', nonce = 7"));
    let error = told(store.read().await);
    says(&error, true, "the row lock of table");
    says(&error, true, "delete it");
    server.sql(&format!("DELETE FROM {table}"));
    assert_eq!(store.read().await.unwrap(), None);
    // It counts from one again, and is another one all the same.
    let again = swapped(&store, None, &held(1)).await;
    assert_ne!(first, again);
    match store.swap(Some(first), held(2)).await.unwrap() {
        Swap::Conflict(Some(current)) => assert_eq!(current.revision, again),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_get_over_a_row_deleted_and_a_table_dropped() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::shared();
    let (path, table) = table();
    let url = server.url("postgres", &path);
    let nodes = ["a", "b"].map(|id| node_for(id, open(&url), Duration::from_secs(4)));
    let agree = async || {
        let leaders = nodes.each_ref().map(|node| node.leader());
        let one = nodes.iter().filter(|node| node.is_leader()).count() == 1;
        let [a, b] = leaders.map(|leader| leader.map(|leader| (leader.term, leader.holder)));
        one && a.is_some() && a == b
    };
    eventually("they agree", agree).await;
    for harm in [
        format!("DELETE FROM {table}"),
        format!("DROP TABLE {table}"),
    ] {
        server.sql(&harm);
        let store = open(&url);
        eventually("there is a lease again", async || {
            matches!(store.read().await, Ok(Some(_)))
        })
        .await;
        eventually("they agree again", agree).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_looks_creates_nothing_and_first_users_all_get_on() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::shared();
    let (path, table) = table();
    let url = server.url("postgres", &path);
    assert_eq!(open(&url).read().await.unwrap(), None);
    let tables = format!("SELECT count(*) FROM pg_class WHERE relname = '{table}'");
    assert_eq!(server.sql(&tables), "0");
    let stores: Vec<_> = (0..50)
        .map(|_| open_for(&url, Duration::from_secs(20)))
        .collect();
    for store in &stores {
        store.read().await.unwrap();
    }
    let users: Vec<_> = stores
        .into_iter()
        .map(|store| tokio::spawn(async move { store.swap(None, held(1)).await }))
        .collect();
    let mut first = 0;
    for user in users {
        match user.await.unwrap().unwrap() {
            Swap::Swapped { .. } => first += 1,
            Swap::Conflict(current) => assert!(current.is_some()),
        }
    }
    assert_eq!(first, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_goes_on_when_its_sessions_are_terminated() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::start("");
    server.sql("GRANT CREATE ON SCHEMA public TO reader");
    let url = server.url("reader", "postgres");
    let (a, b) = (node("a", open(&url)), open(&url));
    let term = leads(&a).await;
    let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                     WHERE usename = 'reader'";
    for _ in 0..5 {
        assert_ne!(server.sql(terminate), "0");
        renewed(&b).await;
        assert_eq!(a.term(), Some(term));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_a_stranger_locks_holds_up_nobody_for_long_or_later() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::shared();
    let (path, table) = table();
    let store = open(&server.url("postgres", &path));
    let record = held(1);
    let at = swapped(&store, None, &record).await;
    let lock = format!("BEGIN; SELECT 1 FROM {table} FOR UPDATE; SELECT pg_sleep(60)");
    let mut stranger = server.psql(&lock).spawn().unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'BEGIN; SELECT 1 FROM";
    let waits = format!("{waits} {table}%' AND wait_event = 'PgSleep'");
    eventually("it is locked", async || server.sql(&waits) == "1").await;
    says(
        &told(store.swap(Some(at), held(2)).await),
        false,
        "somebody has locked",
    );
    // To read needs no lock.
    assert_eq!(store.read().await.unwrap(), observed(at, &record));
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    server
        .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    sleep(2 * ANSWER).await;
    assert_eq!(store.read().await.unwrap(), observed(at, &record));
    swapped(&store, Some(at), &held(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_create_the_table_is_told_how_to() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::shared();
    let (path, table) = table();
    let store = open(&server.url("reader", &path));
    assert_eq!(store.read().await.unwrap(), None);
    let error = told(store.swap(None, held(1)).await);
    says(&error, true, "CREATE TABLE IF NOT EXISTS");
    let error = error.to_string();
    let (_, sql) = error.split_once("run: ").unwrap();
    server.sql(sql);
    let at = swapped(&store, None, &held(1)).await;

    server.sql(&format!("REVOKE UPDATE ON {table} FROM reader"));
    let error = told(store.swap(Some(at), held(2)).await);
    says(&error, true, "GRANT this user");
    assert!(store.read().await.unwrap().is_some());
    server.sql(&format!("REVOKE SELECT ON {table} FROM reader"));
    says(&told(store.read().await), true, "GRANT this user");
    server.sql(&format!("GRANT ALL ON {table} TO reader"));
    swapped(&store, Some(at), &held(2)).await;
    server.sql(&format!("ALTER TABLE {table} DROP COLUMN nonce"));
    says(&told(store.read().await), true, "name another as table=");
    says(&told(store.read().await), true, &table);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_setting_of_a_role_makes_a_swap_less_than_it_is() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::start("");
    server.sql(
        "ALTER ROLE plain SET synchronous_commit = off; \
         ALTER ROLE plain SET default_transaction_isolation = 'serializable'; \
         ALTER ROLE plain SET default_transaction_read_only = on; \
         ALTER ROLE plain SET standard_conforming_strings = off; \
         ALTER ROLE plain SET lock_timeout = 1; \
         ALTER ROLE plain SET statement_timeout = 1; \
         GRANT CREATE ON SCHEMA public TO plain",
    );
    let store = open(&server.url("plain", "postgres?table=odd\"'\\.table"));
    says(
        &told(store.swap(None, held(1)).await),
        true,
        "create the schema",
    );
    let store = open(&server.url("plain", "postgres?table=odd\"'\\"));
    let begun = swapped(&store, None, &held(1)).await;
    server.sql(
        "CREATE TABLE seen (setting text); GRANT INSERT ON seen TO plain; \
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN new; END $$; \
         CREATE TRIGGER see BEFORE UPDATE ON \"odd\"\"'\\\" \
         FOR EACH ROW EXECUTE FUNCTION see()",
    );
    swapped(&store, Some(begun), &held(2)).await;
    assert_eq!(server.sql("SELECT * FROM seen"), "on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused_until_it_is_promoted() {
    if !postgres::is_here() {
        return;
    }
    let primary = Postgres::start("");
    let both = open(&primary.url("postgres", "postgres"));
    let record = held(1);
    let at = swapped(&both, None, &record).await;
    let standby = primary.standby();
    let alone = open(&standby.url("postgres", "postgres"));
    says(&told(alone.read().await), false, "name the primary");
    says(
        &told(alone.swap(None, held(2)).await),
        false,
        "name the primary",
    );
    let ports = [standby.port, primary.port].map(|port| format!("127.0.0.1:{port}"));
    let both = open(&format!("postgres://postgres@{}/postgres", ports.join(",")));
    assert_eq!(both.read().await.unwrap(), observed(at, &record));
    let caught_up = "SELECT count(*) FROM pg_stat_replication \
                     WHERE replay_lsn = pg_current_wal_lsn()";
    eventually("it caught up", async || primary.sql(caught_up) == "1").await;
    primary.kill();
    standby.sql("SELECT pg_promote()");
    assert_eq!(alone.read().await.unwrap(), observed(at, &record));
    assert_eq!(both.read().await.unwrap(), observed(at, &record));
    swapped(&both, Some(at), &held(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_why_and_what_helps() {
    if !postgres::is_here() {
        return;
    }
    let server = Postgres::shared();
    let (path, _) = table();
    let nobody = postgres_at(common::servers::free_port());
    server.sql("CREATE DATABASE closed");
    server.sql("REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
    for (url, is_lasting, what) in [
        (server.url("secret:wrong", &path), true, "PGPASSWORD"),
        (server.url("secret", &path), true, "asks for a password"),
        (server.url("stranger", &path), true, "no pg_hba.conf entry"),
        (server.url("secure", &path), true, "no pg_hba.conf entry"),
        (server.url("plain", "nowhere"), true, "create the database"),
        (
            server.url("plain", "closed"),
            true,
            "GRANT this user CONNECT",
        ),
        (
            server.url("plain", "postgres?sslmode=require"),
            true,
            "sslmode=",
        ),
        (
            server.url("plain", "postgres?sslmode=verify-full"),
            true,
            "--store",
        ),
        (
            server.url("plain", "postgres?sslmode=require&sslrootcert=/nowhere.pem"),
            true,
            "/nowhere.pem",
        ),
        (nobody, false, "nobody listens there"),
        (
            "postgres:///db?host=/nowhere".into(),
            false,
            "there is no socket",
        ),
        (
            "postgres://no.such.host.invalid".into(),
            false,
            "has no address",
        ),
    ] {
        says(&told(open(&url).read().await), is_lasting, what);
    }
    let right = open(&server.url("secret:right", &path));
    assert_eq!(right.read().await.unwrap(), None);
}

fn postgres_at(port: u16) -> String {
    format!("postgres://plain:right@127.0.0.1:{port}/postgres")
}

fn openssl(dir: &Path, line: &str) {
    let mut command = Command::new("openssl");
    command.current_dir(dir).args(line.split(' '));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
}

/// An authority, and a server that it knows as localhost.
fn certificates(dir: &Path) {
    openssl(
        dir,
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem",
    );
    openssl(
        dir,
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
    );
    std::fs::write(dir.join("names"), "subjectAltName=DNS:localhost").unwrap();
    openssl(
        dir,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out server.pem",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_it_is_checked_who_answers_if_that_is_asked_for() {
    let openssl = common::servers::is_installed("openssl", "openssl");
    if !postgres::is_here() || !openssl {
        return;
    }
    let (dir, stranger) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    certificates(dir.path());
    certificates(stranger.path());
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let server = Postgres::start_with_tls(&read("server.pem"), &read("server.key"));
    let url = |host: &str, rest: &str| {
        format!("postgres://secure@{host}:{}/postgres?{rest}", server.port)
    };
    let [ours, theirs] =
        [&dir, &stranger].map(|dir| dir.path().join("ca.pem").display().to_string());
    for good in [
        url("127.0.0.1", ""),
        url("127.0.0.1", "sslmode=require"),
        url("localhost", &format!("sslrootcert={ours}")),
        url(
            "localhost",
            &format!("sslmode=verify-full&sslrootcert={ours}"),
        ),
    ] {
        assert_eq!(open(&good).read().await.unwrap(), None, "{good}");
    }
    for (bad, what) in [
        (url("localhost", "sslmode=disable"), "no encryption"),
        (url("localhost", "sslmode=verify-full"), "--store"),
        (
            url(
                "localhost",
                &format!("sslmode=require&sslrootcert={theirs}"),
            ),
            "--store",
        ),
        (
            url(
                "127.0.0.1",
                &format!("sslmode=verify-full&sslrootcert={ours}"),
            ),
            "--store",
        ),
    ] {
        says(&told(open(&bad).read().await), true, what);
    }
    let by_socket = format!("postgres://secure@h:{}/postgres?host=", server.port);
    let by_socket = open(&format!("{by_socket}{}", server.dir().display()));
    assert_eq!(by_socket.read().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_depends_on_the_session_that_a_pooler_gives() {
    let pooler = common::servers::is_installed("pgbouncer", "pgbouncer");
    if !postgres::is_here() || !pooler {
        return;
    }
    let server = Postgres::start("");
    server.sql("ALTER ROLE postgres SET synchronous_commit = off");
    let (_pooler, port) = server.pooler();
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
    // More than it has sessions.
    let nodes: Vec<_> = (0..8).map(|n| node(&format!("n{n}"), open(&url))).collect();
    let agree = async || {
        let leader = nodes[0].leader().map(|leader| leader.term);
        let same = |node: &Node| node.leader().map(|leader| leader.term) == leader;
        leader.is_some() && nodes.iter().all(same)
    };
    eventually("they agree", agree).await;
    let leads = |nodes: &[Node]| nodes.iter().position(Node::is_leader);
    let first = leads(&nodes).unwrap();
    nodes[first].resign();
    eventually("another leads", async || {
        leads(&nodes).is_some_and(|next| next != first)
    })
    .await;
    assert_eq!(nodes.iter().filter(|node| node.is_leader()).count(), 1);
}
