//! A network that fails: a proxy for TCP that holds back what it is told to.
//!
//! Nothing is lost, as TCP loses nothing: what was held back arrives when the network
//! is well again, unless whoever waits for it has gone. So a request that was given up
//! may still land.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
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
    connections: Mutex<Vec<TcpStream>>,
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
                let ends = [&client, &server].map(|end| end.try_clone().unwrap());
                let kept = [&client, &server].map(|end| end.try_clone().unwrap());
                shared.connections.lock().unwrap().extend(kept);
                let [client_too, server_too] = ends;
                let (there, back) = (shared.clone(), shared.clone());
                std::thread::spawn(move || there.carry(client, server_too, Way::There));
                std::thread::spawn(move || back.carry(server, client_too, Way::Back));
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
            for connection in self.shared.connections.lock().unwrap().drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
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

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, way: Way) {
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
