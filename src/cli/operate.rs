//! The flags by which others operate a node: probes, metrics, the service manager.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;
use clap::builder::BoolishValueParser;

/// How a node can be asked how it is, and whom it tells.
#[derive(Debug, Args)]
pub(crate) struct Operate {
    /// Answer probes and Prometheus over HTTP: :8080 on this machine only,
    /// 0.0.0.0:8080 for others too
    #[arg(long, env = "LEADER_DEMO_HTTP", value_name = "ADDR", value_parser = address)]
    pub(crate) http: Option<SocketAddr>,

    /// Tell systemd when ready, who leads, and that the election goes on
    /// (Type=notify, WatchdogSec=)
    #[arg(
        long, env = "LEADER_DEMO_NOTIFY_SYSTEMD", value_name = "BOOL",
        action = clap::ArgAction::Set, value_parser = BoolishValueParser::new(),
        num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true"
    )]
    pub(crate) notify_systemd: bool,
}

/// A port alone is loopback's. No names: one may mean several addresses, and to
/// ask for them may take for ever.
fn address(text: &str) -> Result<SocketAddr, String> {
    if cfg!(not(feature = "http")) {
        return Err("this build answers no HTTP: build with --features http".into());
    }
    let port = text.strip_prefix(':').unwrap_or(text).parse();
    let loopback = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    port.map(loopback).or_else(|_| text.parse()).map_err(|_| {
        "not an address: write :8080 for this machine only, or an IP address and a port, \
         like 0.0.0.0:8080 or [::]:8080"
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(feature = "http"))]
    fn a_build_without_http_says_so() {
        let refused = address(":8080").unwrap_err();
        assert!(refused.contains("--features http"), "{refused}");
    }

    #[test]
    #[cfg(feature = "http")]
    fn a_port_alone_is_loopbacks() {
        for (text, expected) in [
            ("8080", Some("127.0.0.1:8080")),
            (":8080", Some("127.0.0.1:8080")),
            (":0", Some("127.0.0.1:0")),
            ("0.0.0.0:8080", Some("0.0.0.0:8080")),
            ("[::]:8080", Some("[::]:8080")),
            ("[::1]:0", Some("[::1]:0")),
            ("", None),
            (":", None),
            ("::", None),
            ("-1", None),
            (":65536", None),
            ("127.0.0.1", None),
            ("localhost:8080", None),
            ("http://127.0.0.1:8080", None),
            (" :8080", None),
        ] {
            let address = address(text).ok().map(|address| address.to_string());
            assert_eq!(address.as_deref(), expected, "{text:?}");
        }
    }
}
