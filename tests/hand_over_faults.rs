//! Requests where somebody else has had a hand in the lock directory, or where
//! it cannot be written to.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::asking::leads_on;
use common::unwritable::Unwritable;
use common::{Cluster, Node};
use leader_demo::store::{LeaseStore, Swap};
use leader_demo::{
    Asker, FileStore, LockName, Record, Request, SessionId, Stage, State, Term, Wish,
};
use rustix::fs::{CWD, FileType, Mode};

const LONG: &[&str] = &[
    "--lease-duration=10m",
    "--retry-period=200ms",
    "--heartbeat-period=50ms",
];

/// Writes requests that no asker would.
struct Hand(Arc<dyn LeaseStore>);

impl Hand {
    fn at(cluster: &Cluster) -> Self {
        let name = LockName::new("leader-election-demo").unwrap();
        let store = FileStore::existing(cluster.dir(), &name).unwrap();
        Self(store.requests().unwrap())
    }

    async fn writes(&self, term: u64, wish: Wish, stage: Stage) {
        let asker = Asker {
            session: SessionId::random().unwrap(),
            host: "h".into(),
            pid: None,
        };
        let record = Record {
            term: Term::new(term).unwrap(),
            lease_duration: Duration::from_secs(60),
            state: State::Asked(Request { asker, wish, stage }),
        };
        let expected = self.0.read().await.unwrap().map(|seen| seen.revision);
        let swap = self.0.swap(expected, record).await.unwrap();
        assert!(matches!(swap, Swap::Swapped { .. }), "{swap:?}");
    }
}

#[tokio::test]
async fn a_request_about_an_earlier_leadership_is_none_about_the_next() {
    let cluster = Cluster::new(LONG);
    let mut first = cluster.leader("node-1");
    let mut leader = cluster.follower("node-2");
    first.kill();
    leader.until("elected");
    let hand = Hand::at(&cluster);
    let successor = Some(SessionId::from_u128(7));
    for stage in [
        Stage::Open,
        Stage::Accepted { successor: None },
        Stage::Accepted { successor },
    ] {
        for term in [1, 3] {
            hand.writes(term, Wish::Resign, stage).await;
            leads_on(&mut leader);
        }
    }
    // That the hand can write what counts shows in the end.
    hand.writes(2, Wish::Resign, Stage::Open).await;
    assert_eq!(leader.until("revoked")["reason"], "resigned");
}

/// What somebody left in the place of the newest request.
/// What it is, and how to leave it in a register's directory.
type Leaving = (&'static str, fn(&Path));

fn leavings() -> [Leaving; 5] {
    [
        ("garbage", |p| fs::write(p, b"\x00\xffgarbage").unwrap()),
        ("nothing", |p| fs::write(p, "").unwrap()),
        ("a directory", |p| fs::create_dir(p).unwrap()),
        ("a link", |p| symlink("/etc/passwd", p).unwrap()),
        ("a FIFO", |p| {
            rustix::fs::mknodat(CWD, p, FileType::Fifo, Mode::RWXU, 0).unwrap();
        }),
    ]
}

#[test]
fn garbage_for_a_request_disturbs_nobody_and_is_replaced_by_the_next() {
    for (what, leave) in leavings() {
        let cluster = Cluster::new(LONG);
        let mut leader = cluster.leader("node-1");
        let mut next = cluster.follower("node-2");
        let answer = cluster.ask(&["hand-over", "--to=nobody", "--timeout=300ms"]);
        answer.is_refused(1, "nobody did not confirm");
        let requests = cluster.lease().join("request.lock");
        let newest = fs::read_dir(&requests)
            .unwrap()
            .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<u64>().ok())
            .max()
            .unwrap();
        leave(&requests.join(format!("{:020}", newest + 1)));
        leads_on(&mut leader);
        let answer = cluster.ask(&["hand-over", "--to=node-2"]);
        assert_eq!(answer.code, Some(0), "{what}: {answer:?}");
        next.until("elected");
    }
}

#[test]
fn of_an_unreadable_lease_nobody_says_that_nobody_leads() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    leader.kill();
    fs::write(cluster.lease().join(format!("{:020}", 1 << 30)), "garbage").unwrap();
    for asked in ["hand-over", "resign"] {
        let answer = cluster.ask(&[asked]);
        answer.is_refused(1, "no telling who leads: the lease record is unreadable");
    }
}

#[test]
fn what_stands_where_the_requests_belong_is_named_and_costs_the_leader_nothing() {
    type Leave = fn(&Path);
    let cases: [(Leave, &str); 5] = [
        (|p| fs::write(p, "a note").unwrap(), "is in the way"),
        (|p| symlink("/tmp", p).unwrap(), "is in the way"),
        (|p| symlink("/nowhere", p).unwrap(), "is in the way"),
        (|p| dir_with_mode(p, 0o777), "is writable by others"),
        (of_a_stranger, "belongs to user 65534"),
    ];
    for (leave, why) in cases {
        let cluster = Cluster::new(LONG);
        let mut leader = cluster.leader("node-1");
        let _next = cluster.follower("node-2");
        let requests = cluster.lease().join("request.lock");
        leave(&requests);
        if why.contains("65534") && !rustix::process::getuid().is_root() {
            common::skip("a directory of another user: only root can make one");
            continue;
        }
        for asked in ["hand-over", "resign"] {
            let answer = cluster.ask(&[asked, "--timeout=300ms"]);
            answer.is_refused(1, why);
            assert!(answer.stderr.contains("request.lock"), "{answer:?}");
        }
        leads_on(&mut leader);
        // Once it is gone, all is well.
        fs::remove_file(&requests)
            .or_else(|_| fs::remove_dir_all(&requests))
            .unwrap();
        cluster.ask(&["hand-over"]).is_done();
    }
}

fn dir_with_mode(path: &Path, mode: u32) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn of_a_stranger(path: &Path) {
    dir_with_mode(path, 0o700);
    // Elsewhere the test says that it is skipped.
    let _ = std::os::unix::fs::chown(path, Some(65534), Some(65534));
}

#[test]
fn what_is_removed_while_it_is_asked_costs_the_leader_nothing() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    let mut asking = cluster.asks(&["hand-over", "--to=node-2", "--timeout=1s"]);
    asking.says("asked node-1");
    fs::remove_dir_all(cluster.lease().join("request.lock")).unwrap();
    assert_eq!(asking.ends().code, Some(1));
    leads_on(&mut leader);
}

#[test]
fn where_nothing_may_be_written_nothing_is_asked() {
    let cluster = Cluster::new(LONG);
    let mut leader = cluster.leader("node-1");
    let Some(unwritable) = Unwritable::or_skip(&cluster.lease()) else {
        return;
    };
    let answer = cluster.ask(&["resign", "--timeout=300ms"]);
    drop(unwritable);
    answer.is_refused(1, "request.lock");
    leads_on(&mut leader);
}

/// The program as another user, who has a copy that he may read.
struct Other {
    program: tempfile::TempDir,
}

impl Other {
    fn user() -> Option<Self> {
        let setpriv = Command::new("setpriv").arg("--version").output().is_ok();
        if !rustix::process::getuid().is_root() || !setpriv {
            common::skip("two users: only root, with setpriv(1), can be both");
            return None;
        }
        let program = tempfile::tempdir().unwrap();
        fs::set_permissions(program.path(), Permissions::from_mode(0o755)).unwrap();
        fs::copy(common::binary().get_program(), program.path().join("demo")).unwrap();
        Some(Self { program })
    }

    fn runs(&self, args: &[&str], dir: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--groups=4242"])
            .arg(self.program.path().join("demo"))
            .args(args)
            .arg("--lock-dir")
            .arg(dir);
        command
    }
}

#[test]
fn who_may_not_have_the_lease_may_not_ask_for_it() {
    let Some(other) = Other::user() else { return };
    let cluster = Cluster::new(LONG);
    fs::set_permissions(cluster.dir(), Permissions::from_mode(0o755)).unwrap();
    let mut leader = cluster.leader("node-1");
    for asked in ["hand-over", "resign"] {
        let output = other.runs(&[asked], cluster.dir()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("you may not read it"), "{stderr}");
    }
    leads_on(&mut leader);
}

#[test]
fn users_who_share_a_directory_ask_each_other() {
    let Some(other) = Other::user() else { return };
    let shared = [LONG, &["--shared-dir"]].concat();
    let cluster = Cluster::new(&shared);
    // Of a group that both are in, and handed down to what is made in it.
    std::os::unix::fs::chown(cluster.dir(), None, Some(4242)).unwrap();
    fs::set_permissions(cluster.dir(), Permissions::from_mode(0o2770)).unwrap();
    let mut leader = cluster.leader("node-1");
    let flags = ["--node-id=node-2", "--log-format=json", "--shared-dir"];
    let command = other.runs(&[LONG, &flags].concat(), cluster.dir());
    let mut next = Node::spawn("node-2", command);
    next.until("new_leader");
    // Either asks, and either is asked.
    let asked = other.runs(&["hand-over", "--to=node-2", "--shared-dir"], cluster.dir());
    let output = { asked }.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(leader.until("revoked")["reason"], "handed_over");
    assert_eq!(next.until("elected")["acquired"], "handed_over");
    let answer = cluster.ask(&["hand-over", "--to=node-1", "--shared-dir"]);
    answer.is_done();
    assert_eq!(next.until("revoked")["reason"], "handed_over");
    cluster
        .ask(&["hand-over", "--to=node-2", "--shared-dir"])
        .is_done();
}
