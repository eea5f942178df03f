//! A client of `--http`, so that a test reads like sentences.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::run::eventually;
use super::{Node, PATIENCE};

/// Any port that is free.
pub const HTTP: &[&str] = &["--http", ":0"];

/// Where a node answers.
#[derive(Clone, Copy)]
pub struct Http(pub SocketAddr);

pub struct Answer {
    pub code: u16,
    pub headers: String,
    pub body: String,
}

/// One line of `/metrics`.
pub struct Sample {
    pub name: String,
    pub labels: String,
    pub value: f64,
}

impl Http {
    /// As the node itself says.
    pub fn of(node: &Node) -> Self {
        let started = || node.events("started").pop();
        eventually("a node says that it has started", || started().is_some());
        Self(
            started().unwrap()["http"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap(),
        )
    }

    pub fn connect(self) -> TcpStream {
        let stream = TcpStream::connect(self.0).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Asks, and does not wait for the answer.
    pub fn ask(self, method: &str, path: &str) -> TcpStream {
        let mut stream = self.connect();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream
    }

    pub fn request(self, method: &str, path: &str) -> Answer {
        answer(self.ask(method, path))
    }

    pub fn get(self, path: &str) -> Answer {
        self.request("GET", path)
    }

    pub fn code(self, path: &str) -> u16 {
        self.get(path).code
    }

    pub fn status(self) -> Value {
        serde_json::from_str(&self.get("/status").body).unwrap()
    }

    pub fn metrics(self) -> Vec<Sample> {
        let text = self.get("/metrics").body;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(sample).collect()
    }

    /// The only value of this name whose labels contain all these.
    #[track_caller]
    pub fn metric(self, name: &str, labels: &[&str]) -> f64 {
        let mut found = self.metrics();
        found.retain(|s| s.name == name && labels.iter().all(|label| s.labels.contains(label)));
        assert_eq!(found.len(), 1, "{name} {labels:?}");
        found[0].value
    }
}

/// All that comes until the connection is closed.
pub fn answer(mut stream: TcpStream) -> Answer {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (headers, body) = text.split_once("\r\n\r\n").expect(&text);
    Answer {
        code: headers.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}

fn sample(line: &str) -> Sample {
    let (name, rest) = line.split_once('{').expect(line);
    let (labels, value) = rest.split_once("} ").expect(line);
    Sample {
        name: name.to_owned(),
        labels: labels.to_owned(),
        value: value.parse().expect(line),
    }
}
