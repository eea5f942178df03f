//! Whatever a client sends, the node answers the next one.

use std::io::{Read, Write};
use std::time::Duration;

use crate::common::http::{HTTP, Http};
use crate::common::{Cluster, PATIENCE};
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
        // What is no HTTP at all may be hung up on, or waited for.
        let plain = line.strip_prefix(b"GET /leader?").is_some_and(|query| {
            let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"=&".contains(byte);
            query.iter().all(harmless)
        });
        let patience = if plain { PATIENCE } else { LONG_ENOUGH };
        stream.set_read_timeout(Some(patience)).unwrap();
        let rest = b" HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n";
        // It may hang up before it has heard all.
        let _ = stream.write_all(&[line, rest].concat());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let head = answer.get(..13).map(String::from_utf8_lossy);
        let code = head.and_then(|head| head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let silent = answer.is_empty() && !plain;
        assert!(silent || code.is_some_and(|code: u16| (200..600).contains(&code)));
        assert_eq!(http.code("/livez"), 200);
    });
}
