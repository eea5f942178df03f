//! What the Redis store promises beyond the contract, on real servers.
#![cfg(feature = "redis")]
#![allow(missing_docs, clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leader_demo::store::{Content, LeaseStore, Server, StoreError, Swap, Wake};
use leader_demo::{LockName, Node};
use rustix::process::Signal;
use tokio::time::{sleep, timeout};

mod common;
use common::PATIENCE;
use common::record::{held, observed, swapped};
use common::servers::redis::Redis;
use common::servers::{free_port, listens};

/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Long enough for a wake-up that should not come.
const A_WHILE: Duration = Duration::from_millis(300);
/// Of a lock `x`.
const KEY: &str = "leader-demo:{x}";

type Store = Arc<dyn LeaseStore>;

fn open(url: &str) -> Store {
    let server: Server = url.parse().unwrap();
    server.open(&LockName::new("x").unwrap(), ANSWER).unwrap()
}

/// Waits until somebody listens to both keys.
fn until_heard(server: &Redis) {
    server.until_info("pubsub_channels", "2");
}

fn lasting(error: &StoreError, says: &str) {
    assert!(error.is_lasting(), "{error}");
    one_line(error, says);
}

fn passing(error: &StoreError, says: &str) {
    assert!(!error.is_lasting(), "{error}");
    one_line(error, says);
}

fn one_line(error: &StoreError, says: &str) {
    let said = error.to_string();
    assert!(said.starts_with("Redis at "), "{said}");
    assert!(said.contains(says), "{said}");
    assert!(!said.contains('\n'), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

async fn trouble(url: &str) -> StoreError {
    open(url).read().await.unwrap_err()
}

macro_rules! on {
    ($($(#[$meta:meta])* async fn $name:ident($server:ident: $start:expr) $body:block)*) => {$(
        $(#[$meta])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            if Redis::is_here() {
                #[allow(unused_mut)]
                let mut $server: Redis = $start;
                $body
            }
        }
    )*};
}

on! {
    async fn a_wake_up_carries_the_record(server: Redis::start(&[])) {
        let (a, b) = (open(&server.url()), open(&server.url()));
        let mut at = swapped(&a, None, &held(1)).await;
        for term in 2..10 {
            let wait = b.changed(at);
            tokio::pin!(wait);
            assert!(timeout(A_WHILE / 10, &mut wait).await.is_err());
            until_heard(&server);
            let next = held(term);
            at = swapped(&a, Some(at), &next).await;
            let wake = timeout(PATIENCE, wait).await.expect("a wake-up");
            assert_eq!(wake, Wake::Changed(observed(at, &next)));
        }
    }

    async fn each_call_is_one_round_trip(server: Redis::start(&[])) {
        let store = open(&server.url());
        let mut at = swapped(&store, None, &held(1)).await;
        server.cli(&["CONFIG", "RESETSTAT"]);
        for term in 2..12 {
            store.read().await.unwrap();
            at = swapped(&store, Some(at), &held(term)).await;
        }
        // However slow: it is the store's patience that counts.
        server.signal(Signal::STOP);
        let slow = tokio::spawn(async move { store.read().await });
        sleep(ANSWER / 2).await;
        server.signal(Signal::CONT);
        slow.await.unwrap().unwrap();
        assert!(server.info("cmdstat_eval").starts_with("calls=21,"));
        assert_eq!(server.info("cmdstat_hello"), "", "it connected again");
    }

    async fn a_server_that_restarts_is_turned_to_again(server: Redis::start(&[])) {
        let store = open(&server.url());
        let node = Node::builder("n")
            .lease_duration(Duration::from_secs(3))
            .retry_period(Duration::from_millis(200))
            .start(store.clone())
            .unwrap();
        node.stand();
        timeout(PATIENCE, until(|| node.is_leader())).await.unwrap();
        let before = store.read().await.unwrap().unwrap();
        server.restart();
        let is_renewed = || async {
            let now = store.read().await.ok().flatten();
            now.is_some_and(|now| now.revision != before.revision) && node.is_leader()
        };
        let again = async {
            while !is_renewed().await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, again).await.expect("it leads");
        // Whoever listens hears again, too.
        let seen = store.read().await.unwrap().unwrap().revision;
        timeout(PATIENCE, open(&server.url()).changed(seen)).await.unwrap();
    }

    async fn a_frozen_server_is_not_waited_for(server: Redis::start(&[])) {
        let store = open(&server.url());
        assert_eq!(store.read().await.unwrap(), None);
        server.signal(Signal::STOP);
        let asked = Instant::now();
        passing(&store.read().await.unwrap_err(), "no answer within 2s");
        passing(&store.read().await.unwrap_err(), "no answer within 2s");
        assert!(asked.elapsed() < 3 * ANSWER);
        server.signal(Signal::CONT);
        assert_eq!(store.read().await.unwrap(), None);
    }

    async fn a_swap_whose_reply_was_lost_conflicts_with_itself(server: Redis::start(&[])) {
        let store = open(&server.url());
        assert_eq!(store.read().await.unwrap(), None);
        server.signal(Signal::STOP);
        let mine = held(1);
        passing(&store.swap(None, mine.clone()).await.unwrap_err(), "no answer");
        server.signal(Signal::CONT);
        let there = until(|| server.cli(&["EXISTS", KEY]) == "1");
        timeout(PATIENCE, there).await.expect("it was sent");
        match store.swap(None, mine.clone()).await.unwrap() {
            Swap::Conflict(Some(current)) => assert_eq!(current.content, Content::Record(mine)),
            other => panic!("{other:?}"),
        }
    }

    async fn what_is_no_lease_is_named_and_heals(server: Redis::start(&[])) {
        let store = open(&server.url());
        for strange in [
            &["SET", KEY, "strange"][..],
            &["RPUSH", KEY, "strange"],
            &["HSET", KEY, "strange", "1"],
            &["HSET", KEY, "revision", "x", "nonce", "y", "record", "z"],
            &["HSET", KEY, "revision", "1", "nonce", "1", "record", "{}"],
        ] {
            server.cli(strange);
            let error = store.read().await.unwrap_err();
            lasting(&error, "the key leader-demo:{x} holds something that is not a lease");
            // Nor is it overwritten by who thinks that nothing is there.
            store.swap(None, held(1)).await.unwrap_err();
            // What is beside it is not to blame.
            assert_eq!(store.requests().unwrap().read().await.unwrap(), None);
            server.cli(&["DEL", KEY]);
            assert_eq!(store.read().await.unwrap(), None);
        }
        server.cli(&["SET", &format!("{KEY}:request"), "strange"]);
        assert_eq!(store.read().await.unwrap(), None);
    }

    async fn a_key_that_is_deleted_is_noticed_by_the_next_look(server: Redis::start(&[])) {
        let store = open(&server.url());
        let at = swapped(&store, None, &held(1)).await;
        let wait = store.changed(at);
        tokio::pin!(wait);
        assert!(timeout(A_WHILE, &mut wait).await.is_err());
        server.cli(&["DEL", KEY]);
        assert_eq!(store.read().await.unwrap(), None);
        let wake = timeout(PATIENCE, wait).await.expect("a wake-up");
        assert_eq!(wake, Wake::Changed(None));
        // Made anew it counts from one again, and is another revision all the same.
        let anew = swapped(&store, None, &held(1)).await;
        assert_ne!(anew, at);
        match store.swap(Some(at), held(2)).await.unwrap() {
            Swap::Conflict(Some(current)) => assert_eq!(current.revision, anew),
            other => panic!("{other:?}"),
        }
    }

    async fn a_lease_does_not_expire(server: Redis::start(&[])) {
        let store = open(&server.url());
        swapped(&store, None, &held(1)).await;
        server.cli(&["EXPIRE", KEY, "600"]);
        store.read().await.unwrap();
        assert_eq!(server.cli(&["TTL", KEY]), "-1");
    }

    async fn databases_do_not_hear_each_other(server: Redis::start(&[])) {
        let (zero, one) = (open(&server.url()), open(&format!("{}/1", server.url())));
        let at = swapped(&zero, None, &held(1)).await;
        let wait = zero.changed(at);
        tokio::pin!(wait);
        assert!(timeout(A_WHILE, &mut wait).await.is_err());
        until_heard(&server);
        let first = swapped(&one, None, &held(7)).await;
        swapped(&one, Some(first), &held(8)).await;
        assert!(timeout(A_WHILE, &mut wait).await.is_err(), "that was another database");
        assert_eq!(zero.read().await.unwrap().unwrap().revision, at);
        lasting(&trouble(&format!("{}/99", server.url())).await, "no database 99");
    }

    async fn what_is_dropped_is_closed(server: Redis::start(&[])) {
        let store = open(&server.url());
        let at = swapped(&store, None, &held(1)).await;
        let _ = timeout(A_WHILE, store.changed(at)).await;
        for _ in 0..10 {
            drop(store.read());
            let _ = timeout(Duration::from_micros(50), store.read()).await;
        }
        until_heard(&server);
        drop(store);
        // That of who asks.
        timeout(PATIENCE, until(|| server.info("connected_clients") == "1")).await.unwrap();
    }

    async fn who_listens_asks_whether_the_server_is_still_there(server: Redis::start(&[])) {
        let store = open(&server.url());
        let at = swapped(&store, None, &held(1)).await;
        let _ = timeout(A_WHILE, store.changed(at)).await;
        until_heard(&server);
        // As proc_net_tcp(5) has it: 2 is the timer of keepalive.
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let remote = format!(":{:04X}", server.port);
        let timers: Vec<_> = sockets
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields[2].ends_with(&remote) && fields[3] == "01")
            .map(|fields| fields[5].to_owned())
            .collect();
        assert_eq!(timers.len(), 2, "who asks, and who listens");
        for timer in timers {
            let (kind, ticks) = timer.split_once(':').unwrap();
            assert_eq!(kind, "02");
            assert!(u64::from_str_radix(ticks, 16).unwrap() <= 400, "{ticks}");
        }
    }

    async fn a_cluster_keeps_both_keys_in_one_place(
        server: Redis::start(&[
            "--cluster-enabled", "yes", "--cluster-port", &free_port().to_string(),
        ])
    ) {
        let store = open(&server.url());
        passing(&store.read().await.unwrap_err(), "CLUSTER INFO");
        server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        let served = until(|| server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
        timeout(PATIENCE, served).await.unwrap();
        let at = swapped(&store, None, &held(1)).await;
        let wait = store.changed(at);
        tokio::pin!(wait);
        assert!(timeout(A_WHILE, &mut wait).await.is_err());
        until_heard(&server);
        swapped(&open(&server.url()), Some(at), &held(2)).await;
        timeout(PATIENCE, wait).await.expect("a wake-up");
        lasting(&trouble(&format!("{}/1", server.url())).await, "no database 1");
        lasting(&trouble(&format!("{}?prefix={{}}", server.url())).await, "a prefix without {}");
    }

    async fn scripts_may_be_flushed(server: Redis::start(&[])) {
        let store = open(&server.url());
        let at = swapped(&store, None, &held(1)).await;
        server.cli(&["SCRIPT", "FLUSH"]);
        swapped(&store, Some(at), &held(2)).await;
    }

    async fn when_all_is_flushed_nobody_leads_until_the_lease_is_over(server: Redis::start(&[])) {
        let lease = Duration::from_secs(3);
        let nodes: Vec<_> = (0..3)
            .map(|i| {
                let node = Node::builder(format!("n{i}"))
                    .lease_duration(lease)
                    .retry_period(Duration::from_millis(200))
                    .start(open(&server.url()))
                    .unwrap();
                node.stand();
                node
            })
            .collect();
        let leaders = || nodes.iter().filter(|node| node.is_leader()).count();
        timeout(PATIENCE, until(|| leaders() == 1)).await.unwrap();
        let store = open(&server.url());
        let before = store.read().await.unwrap().unwrap().revision;
        server.cli(&["FLUSHALL"]);
        timeout(PATIENCE, until(|| leaders() == 0)).await.expect("it steps down");
        let gone = Instant::now();
        let again = until(|| {
            assert!(leaders() <= 1);
            leaders() == 1
        });
        timeout(PATIENCE, again).await.expect("another leads");
        assert!(gone.elapsed() > lease / 2, "the lease had not run out");
        assert_ne!(store.read().await.unwrap().unwrap().revision, before);
    }

    async fn a_replica_is_asked_for_nothing_until_it_is_promoted(server: Redis::start(&[])) {
        let port = server.port.to_string();
        let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
        replica.until_info("master_link_status", "up");
        let store = open(&server.url());
        let at = swapped(&store, None, &held(1)).await;
        let copy = open(&replica.url());
        passing(&copy.read().await.unwrap_err(), "it is a replica");
        passing(&copy.swap(Some(at), held(2)).await.unwrap_err(), "it is a replica");
        // One that takes writes would keep them to itself.
        replica.cli(&["CONFIG", "SET", "replica-read-only", "no"]);
        passing(&copy.read().await.unwrap_err(), "it is a replica");
        replica.cli(&["CONFIG", "SET", "replica-read-only", "yes"]);
        // Whoever names both is served by that which takes writes.
        let both = open(&format!("redis://127.0.0.1:{},127.0.0.1:{port}", replica.port));
        assert_eq!(both.read().await.unwrap().unwrap().revision, at);
        // They change places, under open connections.
        timeout(PATIENCE, until(|| replica.cli(&["EXISTS", KEY]) == "1")).await.unwrap();
        replica.cli(&["REPLICAOF", "NO", "ONE"]);
        server.cli(&["REPLICAOF", "127.0.0.1", &replica.port.to_string()]);
        passing(&store.read().await.unwrap_err(), "it is a replica");
        assert_eq!(copy.read().await.unwrap().unwrap().revision, at);
        let at = swapped(&both, Some(at), &held(2)).await;
        assert_eq!(copy.read().await.unwrap().unwrap().revision, at);
    }

    async fn a_wrong_password_is_said_without_it(server: Redis::start(&["--requirepass", "pass"])) {
        let port = server.port;
        lasting(&trouble(&server.url()).await, "it wants a password: give it in REDISCLI_AUTH");
        for url in [
            format!("redis://:secret@127.0.0.1:{port}"),
            format!("redis://nobody:secret@127.0.0.1:{port}"),
            format!("redis://nobody@127.0.0.1:{port}"),
        ] {
            lasting(&trouble(&url).await, "wrong user or password");
        }
        assert_eq!(open(&format!("redis://:pass@127.0.0.1:{port}")).read().await.unwrap(), None);
        // From the environment, which is that of a process of its own.
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_read_of_another_process", "--ignored"])
            .env("REDISCLI_AUTH", "pass")
            .env("REDIS_URL", server.url())
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
    }

    async fn the_rights_that_are_missing_are_named_and_enough(server: Redis::start(&[])) {
        server.cli(&["ACL", "SETUSER", "bob", "on", ">secret"]);
        let url = format!("redis://bob:secret@127.0.0.1:{}/1", server.port);
        let error = trouble(&url).await;
        lasting(&error, "ACL SETUSER bob ~leader-demo:* &leader-demo:* ");
        let said = error.to_string();
        let rights = said.split_once("ACL SETUSER bob ").unwrap().1;
        let mut grant = vec!["ACL", "SETUSER", "bob"];
        grant.extend(rights.split(' '));
        server.cli(&grant);
        let (store, other) = (open(&url), open(&url));
        let at = swapped(&store, None, &held(1)).await;
        let wait = other.changed(at);
        tokio::pin!(wait);
        assert!(timeout(A_WHILE, &mut wait).await.is_err());
        until_heard(&server);
        let at = swapped(&store, Some(at), &held(2)).await;
        timeout(PATIENCE, wait).await.expect("a wake-up");
        // What the script asks for is asked of the user, too.
        server.cli(&["ACL", "SETUSER", "bob", "-persist"]);
        lasting(&store.read().await.unwrap_err(), "ACL SETUSER bob");
        server.cli(&["ACL", "SETUSER", "bob", "+persist"]);
        // Who may not publish does not write either.
        server.cli(&["ACL", "SETUSER", "bob", "resetchannels"]);
        lasting(&store.swap(Some(at), held(3)).await.unwrap_err(), "&leader-demo:*");
        assert_eq!(store.read().await.unwrap().unwrap().revision, at);
        server.cli(&["ACL", "SETUSER", "bob", "resetkeys", "~other:*", "&*"]);
        lasting(&store.read().await.unwrap_err(), "~leader-demo:*");
        // Another prefix is another key.
        let other = open(&format!("{url}?prefix=other:"));
        swapped(&other, None, &held(1)).await;
        assert_eq!(server.cli(&["-n", "1", "EXISTS", "other:{x}"]), "1");
    }

    async fn what_passes_by_itself_is_said_to(server: Redis::start(&[])) {
        let store = open(&server.url());
        let at = swapped(&store, None, &held(1)).await;
        // A lease is too small to be refused where memory is full.
        server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        let at = swapped(&store, Some(at), &held(2)).await;
        server.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
        passing(&store.read().await.unwrap_err(), "too few replicas");
        server.cli(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        assert_eq!(store.read().await.unwrap().unwrap().revision, at);
        server.kill();
        passing(&store.read().await.unwrap_err(), "nobody listens there");
    }
}

#[tokio::test]
#[ignore = "is run by another test, in an environment of its own"]
async fn a_read_of_another_process() {
    let url = std::env::var("REDIS_URL").unwrap();
    assert_eq!(open(&url).read().await.unwrap(), None);
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        sleep(Duration::from_millis(5)).await;
    }
}

/// What answers a HELLO thus is no server for us.
#[tokio::test]
async fn what_other_servers_say_is_understood() {
    for (answer, is_lasting, says) in [
        // Redis 5 and 3.
        (
            "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `secret`, \r\n",
            true,
            "use Redis 6 or newer",
        ),
        (
            "-ERR unknown command 'HELLO'\r\n",
            true,
            "use Redis 6 or newer",
        ),
        (
            "-NOPROTO unsupported protocol version\r\n",
            true,
            "use Redis 6",
        ),
        (
            "-DENIED Redis is running in protected mode.\r\n",
            true,
            "protected mode",
        ),
        ("HTTP/1.1 400 Bad Request\r\n\r\n", true, "no Redis"),
        (
            "-ERR max number of clients reached\r\n",
            false,
            "max number of clients",
        ),
        (
            "-LOADING Redis is loading the dataset\r\n",
            false,
            "it is loading",
        ),
        (
            "-MASTERDOWN Link with MASTER is down\r\n",
            false,
            "lost its primary",
        ),
        (
            "-MISCONF Redis is configured to save\r\n",
            false,
            "is the disk full?",
        ),
        (
            "-BUSY Redis is busy running a script.\r\n",
            false,
            "SCRIPT KILL",
        ),
        (
            "-CLUSTERDOWN The cluster is down\r\n",
            false,
            "CLUSTER INFO",
        ),
        (
            "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
            false,
            "its memory is full",
        ),
        ("-MOVED 7 10.0.0.1:6379\r\n", false, "another node"),
        // As Redis 6 has it, in a script.
        (
            "-ERR Error running script (call to f_1): @user_script:8: -READONLY You can't write\r\n",
            false,
            "it is a replica",
        ),
        (
            "%2\r\n$4\r\nmode\r\n$8\r\nsentinel\r\n$4\r\nrole\r\n$6\r\nmaster\r\n",
            true,
            "it is a Sentinel",
        ),
        // Killed in the middle of an answer, and before it.
        (
            "%2\r\n$4\r\nmode\r\n$8\r\nstanda",
            false,
            "it closed the connection",
        ),
        ("", false, "it closed the connection"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 1000];
            while stream.read(&mut asked).is_ok_and(|n| n > 0) {
                let _ = stream.write_all(answer.as_bytes());
                if !answer.ends_with('\n') {
                    break;
                }
            }
        });
        let error = trouble(&format!("redis://:secret@127.0.0.1:{port}")).await;
        assert_eq!(error.is_lasting(), is_lasting, "{error}");
        one_line(&error, says);
        server.join().unwrap();
    }
    passing(
        &trouble("redis://no.such.host.invalid").await,
        "Redis at no.such.host.invalid:6379: that name has no address",
    );
}

#[test]
fn what_a_url_cannot_mean_is_refused() {
    for (url, says) in [
        ("redis://h/x", "/x is no database"),
        ("redis://h/-1", "/-1 is no database"),
        ("redis://h/0/1", "/0/1 is no database"),
        ("rediss://h?cert=a", "give both or neither"),
        ("redis://h?cacert=a", "use rediss://"),
    ] {
        let server: Server = url.parse().unwrap();
        let opened = server.open(&LockName::new("x").unwrap(), ANSWER);
        let error = opened.err().expect(url).to_string();
        assert!(error.contains(says), "{url}: {error}");
    }
}

/// Keys and certificates of a server and a client, from one CA.
fn make_certificates(dir: &std::path::Path) {
    let script = r#"
        set -e
        req() { name=$1; shift; openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout $name.key -subj /CN=$name "$@"; }
        req ca -x509 -days 2 -out ca.pem
        for name in server client; do
            req $name -out $name.csr
            printf 'subjectAltName=IP:127.0.0.1\n' > ext
            openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $name.pem
        done
        req other -x509 -days 2 -out other.pem
    "#;
    let made = Command::new("sh")
        .arg("-c")
        .arg(script)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_with_those_that_a_ca_of_ours_knows() {
    if !Redis::is_here() || !common::servers::is_installed("openssl", "openssl") {
        return;
    }
    let certificates = tempfile::tempdir().unwrap();
    make_certificates(certificates.path());
    let file = |name: &str| certificates.path().join(name).to_str().unwrap().to_owned();
    let port = free_port();
    let server = Redis::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-ca-cert-file",
        &file("ca.pem"),
        "--tls-auth-clients",
        "optional",
    ]);
    assert!(listens(port));
    let tls = format!("rediss://127.0.0.1:{port}");
    let (ca, other) = (file("ca.pem"), file("other.pem"));
    let (a, b) = (
        open(&format!("{tls}?cacert={ca}")),
        open(&format!("{tls}?cacert={ca}")),
    );
    let at = swapped(&a, None, &held(1)).await;
    let wait = b.changed(at);
    tokio::pin!(wait);
    assert!(timeout(A_WHILE, &mut wait).await.is_err());
    swapped(&a, Some(at), &held(2)).await;
    timeout(PATIENCE, wait).await.expect("a wake-up");
    for url in [&tls, &format!("{tls}?cacert={other}")] {
        lasting(&trouble(url).await, "from nobody we trust");
    }
    for (params, says) in [
        (format!("cacert={}", file("none.pem")), "none.pem"),
        (
            format!("cacert={}", file("ca.key")),
            "there is no certificate in it",
        ),
        (
            format!(
                "cacert={ca}&cert={}&key={}",
                file("client.pem"),
                file("none")
            ),
            "none",
        ),
        (
            format!(
                "cacert={ca}&cert={}&key={}",
                file("client.pem"),
                file("ca.key")
            ),
            "client.pem for TLS",
        ),
    ] {
        lasting(&trouble(&format!("{tls}?{params}")).await, says);
    }
    // To the wrong port.
    let plain = trouble(&format!("redis://127.0.0.1:{port}")).await;
    assert!(plain.to_string().contains("rediss://"), "{plain}");
    // It may wait for the end of what looks like an endless word.
    let other_way = trouble(&format!("rediss://127.0.0.1:{}?cacert={ca}", server.port)).await;
    one_line(&other_way, "");
    // Who has a certificate shows it.
    server.cli(&["CONFIG", "SET", "tls-auth-clients", "yes"]);
    lasting(
        &trouble(&format!("{tls}?cacert={ca}")).await,
        "it wants a certificate of ours",
    );
    let (cert, key) = (file("client.pem"), file("client.key"));
    let shown = open(&format!("{tls}?cacert={ca}&cert={cert}&key={key}"));
    assert!(shown.read().await.unwrap().is_some());
}

/// Whoever has a Valkey gets it tried, too.
#[tokio::test]
async fn a_valkey_is_as_good() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| dir.join("valkey-server").is_file()) {
        let server = Redis::start_program("valkey-server", &[]);
        let store = open(&server.url());
        let at = swapped(&store, None, &held(1)).await;
        let at = swapped(&store, Some(at), &held(2)).await;
        assert_eq!(store.read().await.unwrap().unwrap().revision, at);
    }
}
