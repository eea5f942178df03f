//! Whatever a client sends, the node answers the next one.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use crate::common::Cluster;
use crate::common::http::{HTTP, Http};
use crate::fuzz::fuzz;

/// Some requests are never whole: the node waits for the rest, we do not.
const LONG_ENOUGH: Duration = Duration::from_millis(50);

#[test]
fn requests() {
    let cluster = Cluster::new(HTTP);
    let node = cluster.leader("node-1");
    let http = Http::of(&node);
    fuzz("requests", include_str!("corpus/requests.txt"), |line| {
        let mut stream = http.connect();
        stream.set_read_timeout(Some(LONG_ENOUGH)).unwrap();
        let rest = b" HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
        // It may hang up before it has heard all.
        let _ = stream.write_all(&[line, rest].concat());
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let head = answer.get(..13).map(String::from_utf8_lossy);
        let code = head.and_then(|head| head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        assert!(answer.is_empty() || code.is_some_and(|code: u16| (200..600).contains(&code)));
        assert_eq!(http.code("/livez"), 200);
    });
}
