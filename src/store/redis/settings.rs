//! What a server says of itself, for who judges it.

use std::collections::HashMap;

use redis::Cmd;

use super::link::{Link, Place};
use crate::store::StoreError;
use crate::store::remote::examined::if_allowed;
use crate::store::trial::Setting;

/// By CONFIG GET, which a hosted server may not have; and by INFO, where that has it too.
const CONFIG: [(&str, Option<&str>); 6] = [
    ("appendonly", Some("aof_enabled")),
    ("appendfsync", None),
    ("maxmemory", Some("maxmemory")),
    ("maxmemory-policy", Some("maxmemory_policy")),
    ("min-replicas-to-write", None),
    ("min-replicas-max-lag", None),
];

/// By INFO alone.
const INFO: [&str; 3] = ["redis_version", "redis_mode", "connected_slaves"];

pub(super) async fn of_server(on: &mut Link, place: &Place) -> Result<Vec<Setting>, StoreError> {
    let info: Option<String> = if_allowed(on.ask(place, &Cmd::new().arg("INFO").take()).await)?;
    let told = |name: &str| {
        let mut lines = info.as_deref()?.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(value.trim().to_owned())
    };
    let mut settings: Vec<_> = INFO.into_iter().map(|name| (name, told(name))).collect();
    for (name, in_info) in CONFIG {
        let get = Cmd::new().arg("CONFIG").arg("GET").arg(name).take();
        let found: Option<HashMap<String, String>> = if_allowed(on.ask(place, &get).await)?;
        let value = found.and_then(|mut found| found.remove(name));
        let value = value.or_else(|| {
            told(in_info?).map(|value| match (name, &*value) {
                // INFO counts what CONFIG names.
                ("appendonly", "0") => "no".into(),
                ("appendonly", _) => "yes".into(),
                _ => value,
            })
        });
        settings.push((name, value));
    }
    Ok(settings)
}
