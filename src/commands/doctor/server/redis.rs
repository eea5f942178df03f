//! What the settings of a Redis mean for a lease in it.

use super::{Settings, count, said, unseen};
use crate::commands::doctor::report::Finding;

/// What one server says of itself.
pub(super) fn judge(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(version) = said(settings, "redis_version") {
        let mode = said(settings, "redis_mode").unwrap_or("unknown");
        findings.push(Finding::ok(format!("Redis {version}, {mode}")));
    }
    findings.extend(eviction(settings));
    findings.extend(durability(settings));
    findings.extend(replication(settings));
    if said(settings, "redis_mode") == Some("cluster") {
        findings.push(Finding::note(
            "it is a cluster: the lease is on one of its nodes, which may move or fail over",
            "name them all in --store",
        ));
    }
    let all = [
        "redis_version",
        "maxmemory",
        "maxmemory-policy",
        "appendonly",
        "appendfsync",
        "connected_slaves",
        "min-replicas-to-write",
        "min-replicas-max-lag",
    ];
    findings.extend(unseen(
        settings,
        &all,
        "let it see INFO and CONFIG GET (ACL SETUSER .. +info +config|get), or ask who may",
    ));
    findings
}

fn eviction(settings: &Settings) -> Option<Finding> {
    let policy = said(settings, "maxmemory-policy")?;
    let maxmemory = count(settings, "maxmemory")?;
    let remedy = "maxmemory-policy noeviction, or a server of its own for leases";
    Some(match (policy.starts_with("allkeys-"), maxmemory) {
        (false, _) => Finding::ok(format!("it evicts no lease (maxmemory-policy {policy})")),
        (true, 0) => Finding::note(
            format!("with a maxmemory it could evict the lease (maxmemory-policy {policy})"),
            remedy,
        ),
        (true, _) => Finding::refused(
            format!("it may evict the lease, held or not (maxmemory-policy {policy})"),
            remedy,
        ),
    })
}

fn durability(settings: &Settings) -> Option<Finding> {
    let remedy = "appendonly yes and appendfsync always";
    Some(match said(settings, "appendonly")? {
        "yes" => match said(settings, "appendfsync")? {
            "always" => Finding::ok("it answers when a write is on disk (appendfsync always)"),
            fsync => Finding::warning(
                format!(
                    "when its machine crashes it forgets the last writes (appendfsync {fsync}): \
                     two may lead then, and terms are used twice"
                ),
                remedy,
            ),
        },
        _ => Finding::warning(
            "when it crashes it forgets the lease, or goes back to an old one (appendonly no): \
             two may lead then, and terms are used twice",
            remedy,
        ),
    })
}

fn replication(settings: &Settings) -> Vec<Finding> {
    let Some(replicas) = count(settings, "connected_slaves") else {
        return Vec::new();
    };
    if replicas == 0 {
        return vec![Finding::note(
            "no replica is connected: when its machine is lost nobody leads until it is back",
            "add one, or live with that",
        )];
    }
    let mut findings = vec![Finding::note(
        format!(
            "it answers before its replicas ({replicas}) know: when one is promoted two may lead \
             until the first renews"
        ),
        "send the term along, and refuse those lower than the highest seen; or take another store",
    )];
    let goes_on = |for_how_long: &str, why: &str| {
        Some(Finding::warning(
            format!(
                "cut off from its replicas it goes on{for_how_long} with writes that will be lost \
                 ({why})"
            ),
            "min-replicas-to-write 1 and min-replicas-max-lag 1",
        ))
    };
    let least = count(settings, "min-replicas-to-write");
    let lag = count(settings, "min-replicas-max-lag");
    findings.extend(match (least, lag) {
        (Some(0), _) => goes_on("", "min-replicas-to-write 0"),
        // As if there were no limit.
        (_, Some(0)) => goes_on("", "min-replicas-max-lag 0"),
        (Some(_), Some(1)) => Some(Finding::ok(
            "cut off from its replicas it takes no more writes after a second",
        )),
        (Some(_), Some(lag)) => goes_on(
            &format!(" for {lag}s"),
            &format!("min-replicas-max-lag {lag}"),
        ),
        _ => None,
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::report::Mark::{self, *};
    use crate::commands::doctor::server::tests::{Changed, settings};

    fn server(changed: &[Changed]) -> Settings {
        let usual = [
            ("redis_version", Some("7.0.15")),
            ("redis_mode", Some("standalone")),
            ("connected_slaves", Some("1")),
            ("appendonly", Some("yes")),
            ("appendfsync", Some("always")),
            ("maxmemory", Some("0")),
            ("maxmemory-policy", Some("noeviction")),
            ("min-replicas-to-write", Some("1")),
            ("min-replicas-max-lag", Some("1")),
        ];
        settings(&usual, changed)
    }

    #[test]
    fn each_setting_that_weakens_it_is_found() {
        let lru = ("maxmemory-policy", Some("allkeys-lru"));
        let cases: &[(&[Changed], Mark, &str)] = &[
            (&[], Note, "before its replicas (1) know"),
            (&[("connected_slaves", Some("0"))], Note, "no replica"),
            (&[lru], Note, "could evict"),
            (&[lru, ("maxmemory", Some("1000"))], Refused, "allkeys-lru"),
            (&[("appendonly", Some("no"))], Warning, "appendonly no"),
            (&[("appendfsync", Some("everysec"))], Warning, "everysec"),
            (&[("min-replicas-to-write", Some("0"))], Warning, "write 0"),
            (&[("min-replicas-max-lag", Some("0"))], Warning, "lag 0"),
            (&[("min-replicas-max-lag", Some("10"))], Warning, "for 10s"),
            (&[("redis_mode", Some("cluster"))], Note, "a cluster"),
            (&[("appendfsync", None)], Note, "may not see appendfsync"),
            (&[("maxmemory", None)], Note, "may not see maxmemory"),
        ];
        for (changed, mark, says) in cases {
            let findings = judge(&server(changed));
            let found = findings.iter().find(|f| f.says.contains(says));
            let found = found.map(|f| f.mark);
            assert_eq!(found, Some(*mark), "{changed:?}: {findings:?}");
        }
        let usual = judge(&server(&[]));
        assert!(usual.iter().all(|f| f.mark <= Note), "{usual:?}");
    }
}
