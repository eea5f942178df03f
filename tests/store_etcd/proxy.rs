//! Between a store and a server, to count what is asked and to lose what is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
pub(crate) struct Proxy {
    port: u16,
    loses: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let this = Self {
            port: listener.local_addr().unwrap().port(),
            loses: Arc::default(),
            asked: Arc::default(),
            open: Arc::default(),
        };
        let proxy = this.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let proxy = proxy.clone();
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(async move { proxy.pass(client, server).await });
            }
        });
        this
    }

    pub(crate) fn url(&self) -> String {
        format!("etcd://127.0.0.1:{}", self.port)
    }

    /// How often something was sent to the server.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Instead of the next answer, the end of its connection.
    pub(crate) fn lose_an_answer(&self) {
        self.loses.store(true, Ordering::Relaxed);
    }

    async fn pass(&self, client: TcpStream, server: TcpStream) {
        let there = async {
            while let Some(bytes) = read(&client).await {
                self.asked.fetch_add(1, Ordering::Relaxed);
                write(&server, &bytes).await;
            }
        };
        let back = async {
            while let Some(bytes) = read(&server).await {
                if self.loses.swap(false, Ordering::Relaxed) {
                    return;
                }
                write(&client, &bytes).await;
            }
        };
        self.open.fetch_add(1, Ordering::Relaxed);
        tokio::select! {
            () = there => {}
            () = back => {}
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn read(from: &TcpStream) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        from.readable().await.ok()?;
        match from.try_read(&mut bytes) {
            Ok(0) => return None,
            Ok(count) => return Some(bytes[..count].to_vec()),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
    }
}

async fn write(to: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() && to.writable().await.is_ok() {
        match to.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
