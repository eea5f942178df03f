//! A PostgreSQL and its synchronous standby, which takes over when it is killed.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;

use super::Cluster;
use crate::common::run::eventually;
use crate::common::servers::postgres::Postgres;
use crate::scene::Scene;

pub(super) struct Pair {
    servers: Mutex<Servers>,
    ports: Vec<u16>,
    lock_name: String,
}

struct Servers {
    primary: Postgres,
    standby: Postgres,
}

impl Pair {
    pub(super) fn start(lock_name: &str) -> Self {
        // A standby comes back as soon as its primary does: until then nothing is answered.
        let primary = Postgres::start(
            "synchronous_commit = remote_apply\nwal_retrieve_retry_interval = 100ms",
        );
        let standby = primary.standby();
        let servers = Servers { primary, standby };
        servers.are_one();
        Self {
            ports: vec![servers.primary.port, servers.standby.port],
            servers: Mutex::new(servers),
            lock_name: lock_name.into(),
        }
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Servers {
    /// From then on nothing is answered before both have it.
    fn are_one(&self) {
        let says = |what, column, value| {
            let sql = format!("SELECT {column} FROM pg_stat_replication");
            eventually(what, || self.primary.sql(&sql) == value);
        };
        says("the standby follows", "state", "streaming");
        self.require("*");
        says("it is waited for", "sync_state", "sync");
    }

    /// Which standbys are waited for.
    fn require(&self, standbys: &str) {
        let set = "ALTER SYSTEM SET synchronous_standby_names =";
        self.primary.sql(&format!("{set} '{standbys}'"));
        self.primary.sql("SELECT pg_reload_conf()");
    }
}

impl Cluster for Pair {
    fn ports(&self) -> Vec<u16> {
        self.ports.clone()
    }

    fn url(&self, ports: &[u16]) -> String {
        let hosts: Vec<_> = ports.iter().map(|p| format!("127.0.0.1:{p}")).collect();
        format!("postgres://postgres@{}/postgres", hosts.join(","))
    }

    fn signal(&self, signal: Signal) {
        self.servers().primary.signal(signal);
    }

    fn kill(&self) {
        self.servers().primary.kill();
    }

    fn start_again(&self) {
        self.servers().primary.start_again();
    }

    fn are_one(&self) {
        self.servers().are_one();
    }

    /// The dead one is made anew from the one that took over.
    fn fail_over(&self, scene: &Scene) {
        let mut servers = self.servers();
        scene.they_fail("the primary is killed, the standby takes over");
        servers.primary.kill();
        scene.lasts();
        servers.standby.sql("SELECT pg_promote()");
        let Servers { primary, standby } = &mut *servers;
        std::mem::swap(primary, standby);
        // There is nobody else to have it.
        servers.require("");
        scene.they_are_back();
        servers.standby = servers.primary.standby_at(servers.standby.port);
    }

    fn put_garbage(&self) {
        let name = &self.lock_name;
        self.servers().primary.sql(&format!(
            "UPDATE leader_demo_leases SET name = 'kept' WHERE name = '{name}'; \
             INSERT INTO leader_demo_leases (name, revision, nonce, record) \
             VALUES ('{name}', 1, 1, 'garbage')"
        ));
    }

    fn take_garbage_away(&self) {
        let name = &self.lock_name;
        self.servers().primary.sql(&format!(
            "DELETE FROM leader_demo_leases WHERE name = '{name}'; \
             UPDATE leader_demo_leases SET name = '{name}' WHERE name = 'kept'"
        ));
    }

    fn remove(&self) {
        let name = &self.lock_name;
        let delete = "DELETE FROM leader_demo_leases WHERE name =";
        self.servers().primary.sql(&format!("{delete} '{name}'"));
    }
}
