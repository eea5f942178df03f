//! Each node's way to each of the servers, which can fail for itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::common::servers::proxy::{Network, Proxy};

pub(crate) struct Networks {
    /// Of each node, one to each server.
    proxies: Vec<Vec<Proxy>>,
    weather: Mutex<Weather>,
}

struct Weather {
    of: Vec<Network>,
    /// The servers are away for everybody.
    away: bool,
}

impl Networks {
    pub(crate) fn new(nodes: usize, ports: &[u16]) -> Self {
        let to_all = || ports.iter().map(|port| Proxy::to(*port)).collect();
        Self {
            proxies: (0..nodes).map(|_| to_all()).collect(),
            weather: Mutex::new(Weather {
                of: vec![Network::Well; nodes],
                away: false,
            }),
        }
    }

    /// Where this node finds the servers.
    pub(crate) fn ports(&self, node: usize) -> Vec<u16> {
        self.proxies[node].iter().map(Proxy::port).collect()
    }

    pub(crate) fn of(&self, node: usize) -> Network {
        self.weather().of[node]
    }

    pub(crate) fn becomes(&self, node: usize, network: Network) {
        let mut weather = self.weather();
        weather.of[node] = network;
        self.apply(&weather, node);
    }

    pub(crate) fn are_away(&self, away: bool) {
        let mut weather = self.weather();
        weather.away = away;
        for node in 0..self.proxies.len() {
            self.apply(&weather, node);
        }
    }

    fn apply(&self, weather: &Weather, node: usize) {
        let network = match weather.away {
            true => Network::Gone,
            false => weather.of[node],
        };
        for proxy in &self.proxies[node] {
            proxy.becomes(network);
        }
    }

    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
