//! Servers of an election's own, and what is done to them.
//!
//! | | |
//! |---|---|
//! | [`Cluster`] | what one kind of servers adds: `servers/*.rs` |
//! | `networks.rs` | the nodes' ways to them |
//! | `scene.rs` | what is done to all of them, one thing at a time |

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use leader_demo::clock::BootTime;
use rustix::process::Signal;

use crate::common::servers::proxy::Network;
use crate::networks::Networks;
use crate::place::{Blow, News, Place, Played};
use crate::plan::Fault;
use crate::scene::{Scene, Stage};
use crate::settings::Kind;

mod etcd;
mod postgres;
mod redis;

/// Servers that keep one election's lease.
pub(crate) trait Cluster: Send + Sync {
    fn ports(&self) -> Vec<u16>;

    /// The servers, or what is before them.
    fn url(&self, ports: &[u16]) -> String;

    /// To those without which nothing is answered.
    fn signal(&self, signal: Signal);

    /// `kill -9` to these.
    fn kill(&self);

    /// On what they had.
    fn start_again(&self);

    /// Waits until one of them could fail, and nothing would be lost.
    fn are_one(&self);

    /// Another of them takes over.
    fn fail_over(&self, scene: &Scene);

    /// In the place of the lease is something else, until it is put back.
    fn put_garbage(&self);
    fn take_garbage_away(&self);

    fn remove(&self);
}

/// What is so at all servers.
pub(crate) fn is_here(kind: Kind) -> bool {
    match kind {
        Kind::Etcd => crate::common::servers::etcd::is_here(),
        Kind::Redis => crate::common::servers::redis::Redis::is_here(),
        Kind::Postgres => crate::common::servers::postgres::is_here(),
    }
}

pub(crate) struct Server {
    // Ends before the servers do.
    stage: Option<Stage>,
    cluster: Arc<dyn Cluster>,
    networks: Arc<Networks>,
    /// When the way of a node is well again.
    well: Vec<Option<BootTime>>,
    /// Somebody else's value is in the lease's place.
    garbage: bool,
    lock_name: String,
}

impl Server {
    pub(crate) fn start(kind: Kind, nodes: usize, lock_name: &str) -> Result<Self> {
        let cluster: Arc<dyn Cluster> = match kind {
            Kind::Etcd => Arc::new(etcd::Members::start(lock_name)),
            Kind::Redis => Arc::new(redis::Pair::start(lock_name)),
            Kind::Postgres => Arc::new(postgres::Pair::start(lock_name)),
        };
        Ok(Self {
            stage: None,
            networks: Arc::new(Networks::new(nodes, &cluster.ports())),
            cluster,
            well: vec![None; nodes],
            garbage: false,
            lock_name: lock_name.into(),
        })
    }

    fn url(&self, node: Option<usize>) -> String {
        let ports = node.map_or_else(|| self.cluster.ports(), |node| self.networks.ports(node));
        self.cluster.url(&ports)
    }

    fn part(&mut self, blow: &Blow, news: &mut Vec<News>) -> Played {
        let node = blow.node;
        if self.well[node].is_some() {
            return Played::NotNow;
        }
        let (network, word, message) = match blow.fault {
            Fault::Parted => (Network::Parted, "partition", "both ways".into()),
            Fault::Unanswered => (Network::NoAnswers, "partition", "no answers".into()),
            _ => {
                // From what is hardly felt to what is like no answer.
                let by = Duration::from_millis(2 + blow.kind % 250);
                let message = format!("by {} ms each way", by.as_millis());
                (Network::Slow(by), "slow", message)
            }
        };
        news.push(News {
            at: blow.at,
            word,
            node: Some(node),
            message,
        });
        self.networks.becomes(node, network);
        self.well[node] = Some(blow.at + blow.lasts);
        Played::Yes
    }

    fn stage(&mut self, blow: &Blow) -> Played {
        if self.stage.is_some() {
            return Played::NotNow;
        }
        let (cluster, networks) = (self.cluster.clone(), self.networks.clone());
        let fault = blow.fault;
        self.garbage = fault == Fault::Foreign;
        let stage = Scene::begin(
            (blow.lasts, blow.kind),
            self.url(None),
            move |scene| match fault {
                Fault::AwayBriefly | Fault::AwayLong => {
                    scene.they_fail("all connections are closed");
                    networks.are_away(true);
                    scene.lasts();
                    networks.are_away(false);
                    scene.they_are_back();
                }
                Fault::Foreign => {
                    scene.they_fail("the lease's key holds something else");
                    cluster.put_garbage();
                    scene.lasts();
                    cluster.take_garbage_away();
                    scene.they_are_back();
                }
                Fault::ServerFrozen => {
                    scene.they_fail("frozen");
                    cluster.signal(Signal::STOP);
                    scene.lasts();
                    cluster.signal(Signal::CONT);
                    scene.they_are_back();
                    cluster.are_one();
                }
                Fault::ServerKilled => {
                    scene.they_fail("killed");
                    cluster.kill();
                    scene.lasts();
                    cluster.start_again();
                    scene.they_are_back();
                    cluster.are_one();
                }
                Fault::StoreFailover => {
                    cluster.fail_over(scene);
                    cluster.are_one();
                }
                other => unreachable!("{other} is not done to servers"),
            },
        );
        self.stage = Some(stage);
        Played::Yes
    }
}

impl Place for Server {
    fn flags(&self, node: Option<usize>) -> Vec<OsString> {
        let flags = ["--store", &self.url(node), "--lock-name", &self.lock_name];
        flags.map(OsString::from).into()
    }

    fn play(&mut self, blow: &Blow, news: &mut Vec<News>) -> Result<Played> {
        Ok(match blow.fault {
            Fault::Parted | Fault::Unanswered | Fault::Slow => self.part(blow, news),
            _ => self.stage(blow),
        })
    }

    fn look(&mut self, now: BootTime) -> Result<Vec<News>> {
        let mut news = Vec::new();
        for node in 0..self.well.len() {
            if self.well[node].is_some_and(|well| well <= now) {
                self.well[node] = None;
                let word = match self.networks.of(node) {
                    Network::Slow(_) => "slow_over",
                    _ => "heal",
                };
                self.networks.becomes(node, Network::Well);
                news.push(News {
                    at: now,
                    word,
                    node: Some(node),
                    message: String::new(),
                });
            }
        }
        if let Some(stage) = &mut self.stage {
            let over = stage.is_over();
            news.extend(stage.news.try_iter());
            if over {
                stage.end();
                (self.stage, self.garbage) = (None, false);
            }
        }
        Ok(news)
    }

    fn heal(&mut self) {
        for well in self.well.iter_mut().flatten() {
            *well = BootTime::default();
        }
        if let Some(stage) = &mut self.stage {
            stage.hurry();
        }
    }

    fn is_sound(&self) -> bool {
        self.stage.is_none() && self.well.iter().all(Option::is_none)
    }

    /// To who starts, what is in the key is there to stay.
    fn admits(&self) -> bool {
        !self.garbage
    }

    fn remove(&mut self) -> Result<()> {
        self.cluster.remove();
        Ok(())
    }
}
