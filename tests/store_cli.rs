//! The program, with its lease on real servers.
#![cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
#![allow(missing_docs, clippy::disallowed_methods)]

use std::process::Output;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

mod common;

use common::run::{LONG, Runs, SHORT, eventually, is_alive, send};
use common::{Cluster, Node, assert_one_leader_at_a_time};

/// A server that all tests share, and its URL; none where it is not installed.
trait Place {
    fn shared() -> Option<(Self, String)>
    where
        Self: Sized;
}

#[cfg(feature = "etcd")]
impl Place for std::sync::Arc<common::servers::etcd::Etcd> {
    fn shared() -> Option<(Self, String)> {
        use common::servers::etcd::{Etcd, is_here};
        is_here().then(Etcd::shared).map(|server| {
            let url = server.url();
            (server, url)
        })
    }
}

#[cfg(feature = "redis")]
impl Place for std::sync::Arc<common::servers::redis::Redis> {
    fn shared() -> Option<(Self, String)> {
        use common::servers::redis::Redis;
        Redis::is_here().then(Redis::shared).map(|server| {
            let url = server.url();
            (server, url)
        })
    }
}

#[cfg(feature = "postgres")]
impl Place for std::sync::Arc<common::servers::postgres::Postgres> {
    fn shared() -> Option<(Self, String)> {
        use common::servers::postgres::{Postgres, is_here};
        is_here().then(Postgres::shared).map(|server| {
            let url = server.url("postgres", "");
            (server, url)
        })
    }
}

fn says(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

/// Who waits is told that the lease was given back; nobody tells of a death.
fn three_nodes_fail_over(url: &str) {
    let cluster = Cluster::on(url, SHORT);
    let mut first = cluster.leader("first");
    let (mut second, mut third) = (cluster.follower("second"), cluster.follower("third"));
    first.kill();
    let mut next = loop {
        if !second.events("elected").is_empty() {
            break &mut second;
        }
        if !third.events("elected").is_empty() {
            break &mut third;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    next.stop();
    let last = if next.id == "second" {
        &mut third
    } else {
        &mut second
    };
    last.until("elected");
    last.stop();
    assert_one_leader_at_a_time(&[&first, &second, &third]);
    next = &mut third;
    assert!(next.exit().success());
}

fn all_commands_know_it(url: &str) {
    let cluster = Cluster::on(url, LONG);
    let status = cluster.command("status").output().unwrap();
    assert_eq!(status.status.code(), Some(3), "{}", says(&status));
    assert!(
        says(&status).contains("there is no such election"),
        "{}",
        says(&status)
    );
    let mut first = cluster.leader("first");
    let mut next = cluster.follower("next");
    let status = cluster.command("status").arg("--json").output().unwrap();
    assert_eq!(status.status.code(), Some(0), "{}", says(&status));
    let answer: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (&answer["leader"], &answer["term"]),
        (&"first".into(), &1.into())
    );
    let renewed_ago = answer["renewed_ago_ns"].as_u64().unwrap();
    assert!(
        renewed_ago < common::PATIENCE.as_nanos() as u64,
        "{renewed_ago}"
    );
    let check = |term: &str| {
        let output = cluster
            .command("check")
            .args(["--term", term])
            .output()
            .unwrap();
        output.status.code()
    };
    assert_eq!((check("1"), check("2")), (Some(0), Some(1)));

    let asked = Instant::now();
    let handed = cluster
        .command("hand-over")
        .args(["--to", "next"])
        .output()
        .unwrap();
    assert!(handed.status.success(), "{}", says(&handed));
    next.until("elected");
    // It was not found at somebody's next look: those are two minutes apart.
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "{:?}",
        asked.elapsed()
    );
    let resigned = cluster.command("resign").output().unwrap();
    assert!(resigned.status.success(), "{}", says(&resigned));
    first.stop();
    next.stop();
}

/// It looks once in a second, and is told of what happens meanwhile.
fn who_watches_sees_hand_overs_and_their_gaps(url: &str) {
    let cluster = Cluster::on(url, LONG);
    let (mut first, mut next) = (cluster.leader("first"), cluster.follower("next"));
    let mut command = cluster.command("watch");
    command.arg("--json");
    let mut watch = Node::spawn("watch", command);
    watch.until("elected");
    // Nothing is said of a gap where the machine was too busy to see it.
    let mut targets = ["next", "first"].into_iter().cycle().take(20);
    let told = targets.find_map(|to| {
        std::thread::sleep(Duration::from_millis(600));
        let mut hand_over = cluster.command("hand-over");
        let handed = hand_over.args(["--to", to]).output().unwrap();
        assert!(handed.status.success(), "{}", says(&handed));
        let elected = watch.until("elected");
        assert_eq!(elected["leader"], to);
        Some(elected).filter(|elected| elected["gap_ns"].is_u64())
    });
    assert_eq!(told.expect("a gap")["acquired"], "handed_over");
    let all = watch.all();
    assert!(
        all.iter().any(|line| line["event"] == "handed_over"),
        "{all:?}"
    );
    for node in [&mut first, &mut next, &mut watch] {
        node.stop();
    }
}

/// Nobody sees a process die on a server; but its guard outlives it, and says so.
fn a_killed_wrapper_costs_a_hand_over(url: &str) {
    killed(url, |wrapper, _| send(wrapper, Signal::KILL));
}

/// As when memory runs out: the guard may see the end of the command first.
fn with_its_command_it_costs_no_more(url: &str) {
    killed(url, |wrapper, command| {
        send(command, Signal::KILL);
        send(wrapper, Signal::KILL);
    });
}

fn killed(url: &str, kill: impl Fn(Pid, Pid)) {
    let runs = Runs::on(url, LONG);
    let mut first = runs.start("first", "exec tick");
    first.says("ticking");
    let mut next = runs.follower("next", "exec tick");
    let (wrapper, command) = (first.wrapper(), first.command());
    let killed = Instant::now();
    kill(wrapper, command);
    next.says("ticking");
    // A lease is ten minutes.
    assert!(
        killed.elapsed() < Duration::from_secs(20),
        "{:?}",
        killed.elapsed()
    );
    assert!(!is_alive(command));
    assert_eq!(runs.terms_in_order(), [1, 2]);
}

fn a_frozen_wrapper_is_not_spoken_for(url: &str) {
    let runs = Runs::on(url, &["--lease-duration=5s"]);
    let mut first = runs.start("first", "exec tick");
    first.says("ticking");
    let command = first.command();
    let mut next = runs.follower("next", "exec tick");
    let frozen = Instant::now();
    first.signal(Signal::STOP);
    // After three seconds.
    eventually("its guard stops it", || !is_alive(command));
    next.says("ticking");
    // Its last renewal was a second before that, or less.
    assert!(
        frozen.elapsed() > Duration::from_millis(3500),
        "{:?}",
        frozen.elapsed()
    );
    assert_eq!(runs.terms_in_order(), [1, 2]);
    first.signal(Signal::CONT);
}

macro_rules! every_place {
    ($($(#[$on:meta])* $module:ident: $place:ty;)*) => {$(
        $(#[$on])*
        mod $module {
            use super::*;
            every_place!(@cases $place:
                three_nodes_fail_over
                all_commands_know_it
                who_watches_sees_hand_overs_and_their_gaps
                a_killed_wrapper_costs_a_hand_over
                with_its_command_it_costs_no_more
                a_frozen_wrapper_is_not_spoken_for
            );
        }
    )*};
    (@cases $place:ty: $($case:ident)*) => {$(
        #[test]
        fn $case() {
            if let Some((_server, url)) = <$place as Place>::shared() {
                super::$case(&url);
            }
        }
    )*};
}

every_place! {
    #[cfg(feature = "etcd")]
    etcd: std::sync::Arc<common::servers::etcd::Etcd>;
    #[cfg(feature = "redis")]
    redis: std::sync::Arc<common::servers::redis::Redis>;
    #[cfg(feature = "postgres")]
    postgres: std::sync::Arc<common::servers::postgres::Postgres>;
}

#[cfg(feature = "redis")]
mod secrets {
    use super::*;
    use common::binary;
    use common::servers::redis::Redis;

    const PASSWORD: &str = "swordfish";

    fn shows(text: &[u8]) -> bool {
        text.windows(PASSWORD.len())
            .any(|part| part == PASSWORD.as_bytes())
    }

    #[test]
    fn a_password_is_seen_nowhere() {
        if !Redis::is_here() {
            return;
        }
        let server = Redis::start(&["--requirepass", PASSWORD]);
        let url = server
            .url()
            .replace("redis://", &format!("redis://:{PASSWORD}@"));
        let cluster = Cluster::on(&url, &["--log-level", "trace"]);
        let mut command = cluster.command("run");
        let run = command
            .args(["--log-format", "json", "--events", "/dev/stdout", "--", "sh", "-c"])
            .arg(r#"tr '\0' ' ' <"/proc/$PPID/cmdline"; ps -o args= -p $PPID; $demo check && echo current; echo store $LEADER_DEMO_STORE"#)
            .env("demo", binary().get_program())
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", says(&run));
        // The command has it in one variable, whose name says so.
        for said in ["current", "\nstore redis://127"] {
            assert!(says(&run).contains(said), "{}", says(&run));
        }
        for name in ["status", "watch", "hand-over"] {
            let mut command = cluster.command(name);
            if name == "watch" {
                command = std::process::Command::new("timeout");
                let watch = cluster.command("watch");
                command
                    .arg("1")
                    .arg(watch.get_program())
                    .args(watch.get_args());
            }
            let output = command.output().unwrap();
            assert!(
                !shows(says(&output).as_bytes()),
                "{name}: {}",
                says(&output)
            );
        }
        assert!(!shows(says(&run).as_bytes()), "{}", says(&run));
        let help = binary()
            .arg("--help")
            .env("LEADER_DEMO_STORE", &url)
            .output()
            .unwrap();
        assert!(!shows(&help.stdout), "{}", says(&help));
        // Nor while it runs, by those who may see no more than that.
        let node = cluster.leader("n");
        let seen = std::fs::read(format!("/proc/{}/cmdline", node.pid())).unwrap();
        assert!(!shows(&seen), "{}", String::from_utf8_lossy(&seen));
        // It has its name still, though it began twice.
        let comm = std::fs::read_to_string(format!("/proc/{}/comm", node.pid()));
        assert_eq!(comm.unwrap(), "leader-demo\n");
    }

    #[test]
    fn what_does_not_pass_by_itself_ends_a_node_in_one_line() {
        if !Redis::is_here() {
            return;
        }
        let server = Redis::start(&["--requirepass", PASSWORD]);
        let right = server.url().replace("redis://", "redis://:wrong@");
        for url in [&right, &server.url()] {
            for args in [&["--node-id=n"][..], &["run", "--", "true"]] {
                let mut command = binary();
                if args[0] == "run" {
                    command.args(["run", "--store", url, "--", "true"]);
                } else {
                    command.args(args).args(["--store", url]);
                }
                let output = command.output().unwrap();
                let text = says(&output);
                let code = if args[0] == "run" { 125 } else { 1 };
                assert_eq!(output.status.code(), Some(code), "{text}");
                assert_eq!(text.lines().count(), 1, "{text}");
                assert!(text.contains("Redis at 127.0.0.1:"), "{text}");
                assert!(!text.contains("wrong@"), "{text}");
            }
        }
    }

    #[test]
    fn a_server_that_is_away_is_waited_for() {
        if !Redis::is_here() {
            return;
        }
        let mut server = Redis::start(&[]);
        let cluster = Cluster::on(&server.url(), SHORT);
        server.kill();
        let status = cluster.command("status").output().unwrap();
        assert_eq!(status.status.code(), Some(1), "{}", says(&status));
        let mut node = cluster.start("n");
        node.until("store_error");
        server.restart();
        node.until("elected");
        node.stop();
    }
}
