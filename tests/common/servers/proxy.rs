//! A network that fails: a proxy for TCP that holds back what it is told to.
//!
//! Nothing is lost, as TCP loses nothing: what was held back arrives when the network
//! is well again, unless whoever waits for it has gone. So a request that was given up
//! may still land.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Well,
    /// Requests arrive, answers do not.
    NoAnswers,
    /// Neither arrives.
    Parted,
    /// Everything arrives this much later.
    Slow(Duration),
    /// All connections are closed, and new ones too.
    Gone,
}

pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    network: Mutex<Network>,
    closed: AtomicBool,
    /// Those that are not over.
    connections: Mutex<Vec<Weak<[TcpStream; 2]>>>,
    /// Pieces that clients sent: a small request is one.
    requests: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    There,
    Back,
}

impl Proxy {
    /// In front of who listens on this port.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let shared = Arc::new(Shared {
            network: Mutex::new(Network::Well),
            closed: AtomicBool::new(false),
            connections: Mutex::default(),
            requests: AtomicUsize::new(0),
        });
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            shared: shared.clone(),
        };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.closed() {
                    return;
                }
                // A server that is away: the client is hung up on.
                if *shared.network.lock().unwrap() == Network::Gone {
                    continue;
                }
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                let there = Arc::new([client, server]);
                let back = there.clone();
                {
                    let mut connections = shared.connections.lock().unwrap();
                    connections.retain(|connection| connection.strong_count() > 0);
                    connections.push(Arc::downgrade(&there));
                }
                let (to, fro) = (shared.clone(), shared.clone());
                std::thread::spawn(move || to.carry(&there[0], &there[1], Way::There));
                std::thread::spawn(move || fro.carry(&back[1], &back[0], Way::Back));
            }
        });
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn becomes(&self, network: Network) {
        *self.shared.network.lock().unwrap() = network;
        if network == Network::Gone {
            let connections = self.shared.connections.lock().unwrap();
            for connection in connections.iter().filter_map(Weak::upgrade) {
                for end in &*connection {
                    let _ = end.shutdown(Shutdown::Both);
                }
            }
        }
    }

    /// How many there were until now.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        // So that it is noticed.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn holds_back(&self, way: Way) -> bool {
        match *self.network.lock().unwrap() {
            Network::Well | Network::Slow(_) | Network::Gone => false,
            Network::NoAnswers => way == Way::Back,
            Network::Parted => true,
        }
    }

    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream, way: Way) {
        let _ = to.set_nodelay(true);
        let mut bytes = [0; 16 * 1024];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            if way == Way::There {
                self.requests.fetch_add(1, Ordering::Relaxed);
            }
            if let Network::Slow(by) = *self.network.lock().unwrap() {
                std::thread::sleep(by);
            }
            while self.holds_back(way) && !self.closed() {
                std::thread::sleep(Duration::from_millis(2));
            }
            if self.closed() || to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        // Nor does it arrive that somebody has hung up.
        while self.holds_back(way) && !self.closed() {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
