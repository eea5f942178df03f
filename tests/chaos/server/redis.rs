//! A Redis and its replica, which change places.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;

use super::Cluster;
use crate::common::servers::redis::Redis;
use crate::scene::Scene;

pub(super) struct Pair {
    servers: Mutex<Servers>,
    ports: Vec<u16>,
    key: String,
}

struct Servers {
    primary: Redis,
    replica: Redis,
}

impl Pair {
    pub(super) fn start(lock_name: &str) -> Self {
        // A replica has soon what it lacks.
        let flags = ["--repl-diskless-sync-delay", "0"];
        let [primary, replica] = [Redis::start(&flags), Redis::start(&flags)];
        replica.cli(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
        let servers = Servers { primary, replica };
        servers.are_one();
        Self {
            ports: vec![servers.primary.port, servers.replica.port],
            servers: Mutex::new(servers),
            key: format!("leader-demo:{{{lock_name}}}"),
        }
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Servers {
    /// Waits until the replica has what the primary has.
    fn are_one(&self) {
        self.replica.until_info("master_link_status", "up");
    }
}

impl Cluster for Pair {
    fn ports(&self) -> Vec<u16> {
        self.ports.clone()
    }

    fn url(&self, ports: &[u16]) -> String {
        let hosts: Vec<_> = ports.iter().map(|p| format!("127.0.0.1:{p}")).collect();
        format!("redis://{}", hosts.join(","))
    }

    fn signal(&self, signal: Signal) {
        self.servers().primary.signal(signal);
    }

    fn kill(&self) {
        self.servers().primary.kill();
    }

    fn start_again(&self) {
        self.servers().primary.restart();
    }

    fn are_one(&self) {
        self.servers().are_one();
    }

    /// As it is done on purpose: nothing is lost. That a failover which nobody prepared
    /// may lose writes is documented, so it is not played.
    fn fail_over(&self, scene: &Scene) {
        let mut servers = self.servers();
        scene.they_fail("primary and replica change places");
        servers.primary.cli(&["FAILOVER"]);
        servers.primary.until_info("role", "slave");
        let Servers { primary, replica } = &mut *servers;
        std::mem::swap(primary, replica);
        scene.they_are_back();
    }

    fn put_garbage(&self) {
        const PUT: &str = "redis.call('RENAME', KEYS[1], KEYS[2]) \
                           return redis.call('SET', KEYS[1], 'garbage')";
        let servers = self.servers();
        servers.primary.cli(&["EVAL", PUT, "2", &self.key, "kept"]);
    }

    fn take_garbage_away(&self) {
        self.servers().primary.cli(&["RENAME", "kept", &self.key]);
    }

    fn remove(&self) {
        self.servers().primary.cli(&["DEL", &self.key]);
    }
}
