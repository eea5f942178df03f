//! Three members of an etcd.

use std::sync::Mutex;

use rustix::process::Signal;

use super::Cluster;
use crate::common::servers::etcd::Etcd;
use crate::scene::Scene;

const MEMBERS: usize = 3;

pub(super) struct Members {
    etcd: Etcd,
    key: String,
    /// What was in the key before it held something else.
    kept: Mutex<String>,
}

impl Members {
    pub(super) fn start(lock_name: &str) -> Self {
        Self {
            etcd: Etcd::start(MEMBERS, &[]),
            key: format!("leader-demo/{lock_name}"),
            kept: Mutex::default(),
        }
    }
}

impl Cluster for Members {
    fn ports(&self) -> Vec<u16> {
        (0..MEMBERS).map(|member| self.etcd.port(member)).collect()
    }

    fn url(&self, ports: &[u16]) -> String {
        let hosts: Vec<_> = ports.iter().map(|p| format!("127.0.0.1:{p}")).collect();
        format!("etcd://{}", hosts.join(","))
    }

    fn signal(&self, signal: Signal) {
        for member in 0..MEMBERS {
            self.etcd.signal(member, signal);
        }
    }

    fn kill(&self) {
        for member in 0..MEMBERS {
            self.etcd.kill(member);
        }
    }

    fn start_again(&self) {
        for member in 0..MEMBERS {
            self.etcd.revive(member);
        }
    }

    fn are_one(&self) {
        for member in 0..MEMBERS {
            self.etcd.ready(member);
        }
    }

    /// The others go on without the member that leads them.
    fn fail_over(&self, scene: &Scene) {
        let leader = self.etcd.leader();
        match scene.kind % 2 {
            0 => {
                scene.they_fail("the leading member is killed");
                self.etcd.kill(leader);
                scene.they_are_back();
                scene.lasts();
                self.etcd.revive(leader);
            }
            _ => {
                scene.they_fail("the leading member is frozen");
                self.etcd.signal(leader, Signal::STOP);
                scene.they_are_back();
                scene.lasts();
                self.etcd.signal(leader, Signal::CONT);
            }
        }
    }

    fn put_garbage(&self) {
        // In one step: what is put back later must not be older than what was there.
        let before = self.etcd.ctl(&["put", "--prev-kv", &self.key, "garbage"]);
        let kept = before.strip_prefix(&format!("OK\n{}\n", self.key));
        let kept = kept.and_then(|kept| kept.strip_suffix('\n'));
        *self.kept.lock().unwrap() = kept.expect("there was a lease").to_owned();
    }

    fn take_garbage_away(&self) {
        let kept = self.kept.lock().unwrap();
        self.etcd.ctl(&["put", &self.key, &kept]);
    }

    fn remove(&self) {
        self.etcd.ctl(&["del", &self.key]);
    }
}
