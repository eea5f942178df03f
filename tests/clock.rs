//! Rule 12: time is `CLOCK_BOOTTIME`, when it is read and when it is waited for.
#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::process::{Command, Stdio};

use common::shell::eventually;
use common::{Cluster, Node, binary, skip};

/// As if the machine had slept for three years: that clock alone has gone on.
const SLEPT: &str = "100000000";

/// Starts what follows with a boot-time clock of its own (time_namespaces(7)).
fn after_a_sleep() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--time", "--boottime", SLEPT]);
    unshare
}

#[test]
fn a_node_reads_and_waits_by_the_clock_that_goes_on_while_the_machine_sleeps() {
    let slept = after_a_sleep()
        .arg("true")
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|exit| exit.success());
    if !slept {
        return skip("a boot-time clock of one's own: no unshare(1), or not allowed");
    }
    let cluster = Cluster::new(&[]);
    let node = binary();
    let mut command = after_a_sleep();
    for (name, _) in node.get_envs() {
        command.env_remove(name);
    }
    command.arg(node.get_program());
    command.args(["--node-id=sleeper", "--log-format=json"]);
    command.args(["--lease-duration=10m", "--retry-period=100ms"]);
    command.arg("--lock-dir").arg(cluster.dir());

    let mut node = Node::spawn("sleeper", command);
    let elected = node.until("elected");
    let at = elected["boottime_ns"].as_u64().unwrap();
    assert!(at / 1_000_000_000 > SLEPT.parse().unwrap(), "{elected}");
    // Its renewals are due by that clock, too.
    eventually("it renews", || cluster.revisions().len() > 3);
}
