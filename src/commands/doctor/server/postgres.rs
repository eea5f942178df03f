//! What the settings of a PostgreSQL mean for a lease in it.

use super::{Settings, count, said, unseen};
use crate::commands::doctor::report::Finding;

/// What one server says of itself.
pub(super) fn judge(settings: &Settings) -> Vec<Finding> {
    let version = said(settings, "server_version").unwrap_or("of an unknown version");
    let mut findings = vec![Finding::ok(format!("PostgreSQL {version}"))];
    findings.extend(said(settings, "fsync").map(|fsync| match fsync {
        "on" => Finding::ok("it answers when a write is on disk (fsync on)"),
        fsync => Finding::refused(
            format!(
                "when its machine crashes it may lose or spoil what it has answered (fsync {fsync})"
            ),
            "fsync = on",
        ),
    }));
    if said(settings, "full_page_writes") == Some("off") {
        findings.push(Finding::warning(
            "a crash of its machine may spoil its tables (full_page_writes off)",
            "full_page_writes = on, unless its filesystem never writes half a page",
        ));
    }
    findings.extend(match said(settings, "table") {
        Some("p") => Some(Finding::ok("the table survives a crash")),
        Some("u") => Some(Finding::warning(
            "a crash of the server empties the table (it is UNLOGGED): two may lead then, and \
             terms are used twice",
            "ALTER TABLE .. SET LOGGED",
        )),
        // It is made when it is first needed.
        _ => None,
    });
    findings.extend(standbys(settings));
    let all = [
        "fsync",
        "full_page_writes",
        "synchronous_standby_names",
        "standbys",
    ];
    findings.extend(unseen(settings, &all, "ask as a member of pg_monitor"));
    findings
}

fn standbys(settings: &Settings) -> Option<Finding> {
    let standbys = count(settings, "standbys")?;
    let synchronous = said(settings, "synchronous_standby_names")?;
    Some(match (standbys, synchronous) {
        (0, "") => Finding::note(
            "no standby is connected: when its machine is lost nobody leads until it is back",
            "add one, with synchronous_standby_names, or live with that",
        ),
        (_, "") => Finding::warning(
            format!(
                "it answers before its standbys ({standbys}) know (synchronous_standby_names is \
                 empty): when one is promoted two may lead until the first renews"
            ),
            "set synchronous_standby_names to those that may be promoted",
        ),
        (_, names) => Finding::ok(format!(
            "it answers when its standbys have it, too (synchronous_standby_names {names})"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::report::Mark::{self, *};
    use crate::commands::doctor::server::tests::{Changed, settings};

    fn server(changed: &[Changed]) -> Settings {
        let usual = [
            ("server_version", Some("15.2")),
            ("fsync", Some("on")),
            ("full_page_writes", Some("on")),
            ("synchronous_standby_names", Some("*")),
            ("standbys", Some("1")),
            ("table", Some("p")),
        ];
        settings(&usual, changed)
    }

    #[test]
    fn each_setting_that_weakens_it_is_found() {
        let nobody = ("synchronous_standby_names", Some(""));
        let cases: &[(&[Changed], Mark, &str)] = &[
            (&[], Ok, "when its standbys have it"),
            (&[("fsync", Some("off"))], Refused, "fsync off"),
            (&[("full_page_writes", Some("off"))], Warning, "full_page"),
            (&[nobody], Warning, "before its standbys (1) know"),
            (&[nobody, ("standbys", Some("0"))], Note, "no standby"),
            (&[("table", Some("u"))], Warning, "UNLOGGED"),
            (&[("standbys", None)], Note, "may not see standbys"),
        ];
        for (changed, mark, says) in cases {
            let findings = judge(&server(changed));
            let found = findings.iter().find(|f| f.says.contains(says));
            let found = found.map(|f| f.mark);
            assert_eq!(found, Some(*mark), "{changed:?}: {findings:?}");
        }
        for fit in [server(&[]), server(&[("table", None)])] {
            assert!(judge(&fit).iter().all(|f| f.mark == Ok), "{fit:?}");
        }
    }
}
