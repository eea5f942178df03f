//! `doctor` on servers: what is fit is called fit, each setting that weakens a promise
//! is named, and nothing is left behind.
#![cfg(any(feature = "etcd", feature = "postgres", feature = "redis"))]
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::time::{Duration, Instant};

use common::doctor::{Report, judged_on, told};
use serde_json::Value;

/// All that it says of a server that is fit.
fn is_fit(url: &str) -> Report {
    let report = judged_on(url, &["--nodes=5"]).fit();
    assert!(report.json["directory"].is_null(), "{:#}", report.json);
    assert!(report.server("lease").is_null());
    for host in report.server("hosts").as_array().unwrap() {
        assert!(host["error"].is_null(), "{host:#}");
    }
    let probe = report.server("probe");
    assert!(probe["broken"].is_null(), "{probe:#}");
    assert!(probe["swaps"].as_u64() > Some(1), "{probe:#}");
    assert!(probe["conflicts"].as_u64() > Some(0), "{probe:#}");
    assert_eq!(probe["untold"], 0, "{probe:#}");
    assert_eq!(probe["notice"]["count"], 20, "{probe:#}");
    let measured = &report.json["measured"];
    for call in ["read", "renewal", "acquisition", "release", "connection"] {
        let ns = ["p50_ns", "p99_ns", "max_ns"].map(|p| measured[call][p].as_u64().unwrap());
        assert!(
            0 < ns[0] && ns[0] <= ns[1] && ns[1] <= ns[2],
            "{call}: {measured}"
        );
    }
    // A death costs the lease; what is told does not.
    for (case, least, most) in [
        ("leader_killed", 12, 60),
        ("machine_dies", 12, 60),
        ("run_killed", 3, 10),
        ("leader_stopped", 0, 2),
        ("handed_over", 0, 2),
        ("store_back", 14, 60),
    ] {
        let seconds = report.at_most(case).as_secs();
        assert!((least..most).contains(&seconds), "{case}: {seconds}");
    }
    assert_eq!(report.json["cost"]["looks_for_requests"], 0.0);
    assert!(report.json["smallest"]["lease_duration_ns"].as_u64() >= Some(100_000_000));
    report
}

/// In one line of the store's own, soon, and without the password.
fn is_refused(url: &str, says: &[&str]) {
    let asked = Instant::now();
    let report = judged_on(url, &[]);
    assert!(
        asked.elapsed() < Duration::from_secs(40),
        "{:?}",
        asked.elapsed()
    );
    for says in says {
        report.says("refused", says);
    }
    assert_eq!(report.code, 1, "{:#}", report.json);
    assert!(report.json["measured"].is_null(), "{:#}", report.json);
    assert!(
        !report.json.to_string().contains("swordfish"),
        "{:#}",
        report.json
    );
}

fn setting<'a>(report: &'a Report, name: &str) -> &'a Value {
    &report.server("hosts")[0]["settings"][name]
}

/// Whoever leads there is named, and not disturbed.
fn a_running_election_is_named(url: &str) {
    let cluster = common::Cluster::on(url, &["--lease-duration=5s"]);
    let mut leader = cluster.leader("node-1");
    let mut doctor = cluster.command("doctor");
    let report = told(doctor.arg("--json").output().unwrap()).fit();
    assert_eq!(report.server("lease")["term"], 1);
    assert_eq!(report.server("lease")["leader"]["node_id"], "node-1");
    report.says("note", "promised 5s, not 10s");
    assert!(leader.events("revoked").is_empty());
    leader.stop();
    assert!(leader.events("warning").is_empty(), "{:#?}", leader.all());
}

#[cfg(feature = "etcd")]
mod etcd {
    use super::*;
    use common::servers::etcd::{Etcd, is_here};

    #[test]
    fn three_members_are_fit_and_one_that_is_away_is_named() {
        if !is_here() {
            return;
        }
        let server = Etcd::start(3, &[]);
        let report = is_fit(&server.url());
        report.says("ok", "3 members, and bears the loss of 1");
        assert!(
            setting(&report, "wal_fsync_count")
                .as_str()
                .is_some_and(|n| n != "0")
        );
        assert_eq!(setting(&report, "alarms"), "");
        assert_eq!(
            server.ctl(&["get", "--prefix", "", "--keys-only"]).trim(),
            ""
        );
        let one = format!("etcd://127.0.0.1:{}", server.port(0));
        judged_on(&one, &[]).fit().says("note", "names 1 of 3");
        server.kill(2);
        let report = judged_on(&server.url(), &[]).fit();
        report.says("warning", "a member is of no use now: etcd at 127.0.0.1:");
    }

    #[test]
    fn one_member_is_noted_and_a_full_one_refused() {
        if !is_here() {
            return;
        }
        let server = Etcd::start(1, &["--quota-backend-bytes", "4000000"]);
        is_fit(&server.url()).says("note", "one member");
        a_running_election_is_named(&server.url());
        let much = "x".repeat(100_000);
        let mut fills = 0..100;
        while fills.next().is_some() {
            if !server.try_ctl(&["put", "filler", &much]) {
                break;
            }
        }
        let report = judged_on(&server.url(), &[]).refused("it sounds an alarm: NOSPACE");
        report.says("warning", "MiB are used");
        report.says("refused", "database space exceeded");
    }

    #[test]
    fn who_may_not_come_in_is_told_so() {
        if !is_here() {
            return;
        }
        let server = Etcd::start(1, &[]);
        for args in [
            &["user", "add", "root:swordfish"][..],
            &["user", "grant-role", "root", "root"],
            &["user", "add", "node:swordfish"],
            &["role", "add", "node"],
            &["user", "grant-role", "node", "node"],
            &["auth", "enable"],
        ] {
            server.ctl(args);
        }
        let host = server.hosts();
        is_refused(
            &format!("etcd://node:wrong@{host}"),
            &["etcd at 127", "put right the user"],
        );
        is_refused(
            &format!("etcd://{host}"),
            &["etcd at 127", "USER:PASSWORD@"],
        );
        is_refused(
            &format!("etcd://node:swordfish@{host}"),
            &["grant-permission"],
        );
        let root = ["--user", "root:swordfish"];
        let grant = [
            "role",
            "grant-permission",
            "node",
            "readwrite",
            "--prefix",
            "leader-demo/",
        ];
        server.ctl(&[&root[..], &grant].concat());
        let report = is_fit(&format!("etcd://node:swordfish@{host}"));
        assert_eq!(setting(&report, "password"), "yes");
        assert!(!report.json.to_string().contains("swordfish"));
    }
}

#[cfg(feature = "redis")]
mod redis {
    use super::*;
    use common::binary;
    use common::servers::redis::Redis;

    #[test]
    fn one_that_keeps_what_it_answered_is_fit() {
        if !Redis::is_here() {
            return;
        }
        let server = Redis::start(&["--appendfsync", "always"]);
        let report = is_fit(&server.url());
        report.says("ok", "appendfsync always");
        assert_eq!(setting(&report, "appendfsync"), "always");
        report.says("note", "no replica");
        assert!(
            report.findings().all(|f| f["mark"] != "warning"),
            "{:#}",
            report.json
        );
        assert_eq!(server.cli(&["KEYS", "*"]), "");
        a_running_election_is_named(&server.url());
    }

    #[test]
    fn each_setting_that_weakens_it_is_found() {
        if !Redis::is_here() {
            return;
        }
        let server = Redis::start(&["--maxmemory-policy", "allkeys-lru"]);
        let report = is_fit(&server.url());
        report.says("note", "allkeys-lru");
        report.says("warning", "appendfsync everysec");
        server.cli(&["CONFIG", "SET", "maxmemory", "100mb"]);
        server.cli(&["CONFIG", "SET", "appendonly", "no"]);
        let report = judged_on(&server.url(), &[]).refused("may evict the lease");
        report.says("warning", "appendonly no");

        let port = server.port.to_string();
        server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        let replica = Redis::start(&["--replicaof", "127.0.0.1", &port]);
        server.until_info("connected_slaves", "1");
        let report = judged_on(&server.url(), &[]).fit();
        report.says("warning", "min-replicas-to-write 0");
        report.says("note", "before its replicas (1) know");
        // A replica serves nobody.
        is_refused(&replica.url(), &["it is a replica"]);
        let both = format!("{},127.0.0.1:{}", server.url(), replica.port);
        let report = judged_on(&both, &[]).fit();
        report.says("note", "pass over one of them now: Redis at");
    }

    #[test]
    fn what_may_not_be_seen_is_no_failure() {
        if !Redis::is_here() {
            return;
        }
        let server = Redis::start(&[]);
        let rules = "on >swordfish ~leader-demo:* &leader-demo:* +eval +persist +type +hmget \
                     +hset +hincrby +publish +subscribe +select";
        let rules: Vec<_> = rules.split_whitespace().collect();
        server.cli(&[&["ACL", "SETUSER", "node"], &rules[..]].concat());
        let url = server.url().replace("redis://", "redis://node:swordfish@");
        let report = is_fit(&url);
        report.says("note", "may not see redis_version");
        report.says("note", "could not be deleted: Redis at");
        assert!(!report.json.to_string().contains("swordfish"));
        // Nor is it left there for ever: the next one takes what is old.
        assert_eq!(
            server.cli(&["KEYS", "*"]),
            "leader-demo:{leader-demo-doctor-0}"
        );
        server.cli(&["ACL", "SETUSER", "node", "+del"]);
        is_fit(&url);
        let left = "leader-demo:{leader-demo-doctor-0}";
        assert_eq!(server.cli(&["KEYS", "*"]), left);
        let record = server.cli(&["HGET", left, "record"]);
        let mut record: Value = serde_json::from_str(&record).unwrap();
        let written = record["written_at_ns"].as_u64().unwrap();
        record["written_at_ns"] = (written - 61_000_000_000).into();
        server.cli(&["HSET", left, "record", &record.to_string()]);
        is_fit(&url);
        assert_eq!(server.cli(&["KEYS", "*"]), "");
    }

    #[test]
    fn ctrl_c_leaves_nothing_behind() {
        if !Redis::is_here() {
            return;
        }
        let server = Redis::start(&[]);
        for after in [200, 700, 1100] {
            let mut doctor = binary();
            let mut doctor = doctor
                .args(["doctor", "--store", &server.url()])
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(after));
            let pid = rustix::process::Pid::from_child(&doctor);
            rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
            assert_eq!(doctor.wait().unwrap().code(), Some(130), "{after}");
            assert_eq!(server.cli(&["KEYS", "*"]), "", "{after}");
        }
    }

    /// A balancer before two servers that know nothing of each other.
    #[test]
    fn two_servers_at_one_address_are_found_out() {
        if !Redis::is_here() {
            return;
        }
        let servers = [Redis::start(&[]), Redis::start(&[])];
        let ports = servers.each_ref().map(|server| server.port);
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for (client, to) in listener.incoming().flatten().zip(ports.iter().cycle()) {
                let server = std::net::TcpStream::connect(("127.0.0.1", *to)).unwrap();
                let ways = [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server, client),
                ];
                for (mut from, mut to) in ways {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        // Of two in turn, one finds the other process where it is itself.
        let url = format!("redis://127.0.0.1:{port}");
        let refused = (0..4).any(|_| {
            let report = judged_on(&url, &[]);
            report.code == 1 && report.server("probe")["broken"] == "old_look"
        });
        assert!(refused);
    }

    /// On no command line either, not even of the other process.
    #[test]
    fn a_password_is_seen_nowhere() {
        if !Redis::is_here() {
            return;
        }
        let server = Redis::start(&["--requirepass", "swordfish"]);
        let url = server.url().replace("redis://", "redis://:swordfish@");
        let mut doctor = binary();
        let mut doctor = doctor
            .args(["doctor", "--store", &url])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = doctor.id();
        let mut seen = Vec::new();
        while doctor.try_wait().unwrap().is_none() {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let children = children.unwrap_or_default();
            for pid in children.split_whitespace() {
                seen.extend(std::fs::read_to_string(format!("/proc/{pid}/cmdline")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(seen.iter().any(|line| line.contains("__rival")), "{seen:?}");
        assert!(
            !seen.iter().any(|line| line.contains("swordfish")),
            "{seen:?}"
        );
        let output = doctor.wait_with_output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains("The server") && text.contains("two processes swapped"),
            "{text}"
        );
        assert!(!text.contains("swordfish"), "{text}");
        let wrong = url.replace("swordfish", "shark");
        is_refused(&wrong, &["Redis at 127.0.0.1:", "wrong user or password"]);
        is_refused(&server.url(), &["it wants a password"]);
    }

    #[test]
    fn where_nobody_listens_it_says_so_soon() {
        let port = common::servers::free_port();
        let asked = Instant::now();
        is_refused(
            &format!("redis://127.0.0.1:{port}"),
            &["nobody listens there"],
        );
        assert!(asked.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_slow_network_takes_a_longer_lease() {
        use common::servers::proxy::{Network, Proxy};
        if !Redis::is_here() {
            return;
        }
        let server = Redis::start(&[]);
        let proxy = Proxy::to(server.port);
        proxy.becomes(Network::Slow(Duration::from_millis(30)));
        let url = format!("redis://127.0.0.1:{}", proxy.port());
        // There and back; and ten times that is a lease.
        let report = is_fit(&url);
        let smallest = report.json["smallest"]["lease_duration_ns"].as_u64();
        assert!(smallest >= Some(600_000_000), "{smallest:?}");
        let short = judged_on(&url, &["--lease-duration=130ms"]);
        short.refused("leaders lose their leases as it is");
        proxy.becomes(Network::Parted);
        is_refused(&url, &["Redis at 127.0.0.1:", "no answer within 5s"]);
    }

    #[test]
    fn several_at_once_do_not_disturb_each_other() {
        if !Redis::is_here() {
            return;
        }
        let server = Redis::start(&[]);
        let url = server.url();
        std::thread::scope(|scope| {
            let one = scope.spawn(|| judged_on(&url, &[]));
            let other = scope.spawn(|| judged_on(&url, &[]));
            one.join().unwrap().fit();
            other.join().unwrap().fit();
        });
        assert_eq!(server.cli(&["KEYS", "*"]), "");
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use super::*;
    use common::servers::is_installed;
    use common::servers::postgres::{Postgres, is_here};

    const TABLES: &str = "SELECT count(*) FROM pg_class WHERE relname = 'leader_demo_leases'";
    const ROWS: &str = "SELECT string_agg(name, ' ') FROM leader_demo_leases";

    #[test]
    fn one_that_keeps_what_it_answered_is_fit() {
        if !is_here() {
            return;
        }
        let server = Postgres::start("");
        let url = server.url("postgres", "");
        let report = is_fit(&url);
        report.says("ok", "fsync on");
        assert_eq!(setting(&report, "fsync"), "on");
        report.says("note", "no standby");
        assert_eq!(server.sql(TABLES), "0", "it made that");
        a_running_election_is_named(&url);
        judged_on(&url, &[]).fit().says("ok", "the table survives");
        assert!(!server.sql(ROWS).contains("doctor"), "{}", server.sql(ROWS));
        let standby = server.standby();
        let report = judged_on(&url, &[]).fit();
        report.says("warning", "before its standbys (1) know");
        is_refused(&standby.url("postgres", ""), &["name the primary"]);
    }

    #[test]
    fn each_setting_that_weakens_it_is_found() {
        if !is_here() {
            return;
        }
        let server = Postgres::start("fsync = off\nfull_page_writes = off");
        let url = server.url("postgres", "");
        let report = judged_on(&url, &[]).refused("fsync off");
        report.says("warning", "full_page_writes");
        let lease = common::Cluster::on(&url, &["--lease-duration=5s"]);
        lease.leader("n").stop();
        server.sql("ALTER TABLE leader_demo_leases SET UNLOGGED");
        judged_on(&url, &[]).says("warning", "UNLOGGED");
    }

    #[test]
    fn who_may_not_come_in_is_told_so() {
        if !is_here() {
            return;
        }
        let server = Postgres::start("");
        let host = format!("127.0.0.1:{}", server.port);
        let wrong = format!("postgres://secret:swordfish@{host}/postgres");
        is_refused(&wrong, &["PostgreSQL at 127", "give user and password"]);
        is_refused(&server.url("reader", "postgres"), &["may not create it"]);
        common::Cluster::on(&server.url("postgres", ""), &[])
            .leader("n")
            .stop();
        is_refused(&server.url("reader", "postgres"), &["GRANT this user"]);
        server.sql("GRANT SELECT, INSERT, UPDATE ON leader_demo_leases TO reader");
        let report = is_fit(&server.url("reader", "postgres"));
        report.says("note", "could not be deleted");
        server.sql("REVOKE SELECT ON pg_stat_replication FROM public");
        let report = is_fit(&server.url("reader", "postgres"));
        report.says("note", "may not see fsync, full_page_writes");
    }

    #[test]
    fn behind_a_pooler_nobody_is_told_of_changes() {
        if !is_here() || !is_installed("pgbouncer", "pgbouncer") {
            return;
        }
        let server = Postgres::start("");
        let (_pooler, port) = server.pooler();
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        let report = judged_on(&url, &[]).fit();
        report.says("warning", "pool_mode = session");
        assert!(report.at_most("leader_stopped") > Duration::from_secs(2));
        assert!(report.at_most("run_killed") > Duration::from_secs(5));
        assert_eq!(report.server("probe")["broken"], Value::Null);
        assert_eq!(report.json["cost"]["looks_for_requests"], 0.0);
    }
}
