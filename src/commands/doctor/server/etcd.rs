//! What the settings of an etcd mean for a lease in it.

use std::collections::BTreeSet;

use super::{Settings, count, said, unseen};
use crate::commands::doctor::report::Finding;

/// Of its quota; when that is full it takes no writes.
const NEARLY_FULL: f64 = 0.8;

/// What those members say that answered, of as many hosts as `--store` names.
pub(super) fn judge(members: &[&Settings], named: usize) -> Vec<Finding> {
    let different = |name| -> BTreeSet<&str> {
        let all = members.iter().filter_map(|member| said(member, name));
        all.collect()
    };
    let mut findings = Vec::new();
    let versions: Vec<_> = different("version").into_iter().collect();
    findings.push(match &*versions {
        [] => Finding::ok("it is an etcd"),
        [version] => Finding::ok(format!("etcd {version}")),
        versions => Finding::note(
            format!("its members differ in version: {}", versions.join(", ")),
            "finish the upgrade",
        ),
    });
    if different("cluster_id").len() > 1 {
        findings.push(Finding::refused(
            "--store names members of several clusters, each of which has a lease of its own",
            "name members of one cluster",
        ));
    }
    findings.extend(
        members
            .first()
            .map(|first| size(first, named))
            .into_iter()
            .flatten(),
    );
    // What all of them say is said once.
    for finding in members.iter().flat_map(|member| health(member)) {
        if !findings
            .iter()
            .any(|said: &Finding| said.says == finding.says)
        {
            findings.push(finding);
        }
    }
    findings
}

/// How many members it has, and of which kind.
fn size(member: &Settings, named: usize) -> Vec<Finding> {
    let Some(voters) = count(member, "members") else {
        return Vec::new();
    };
    let bears = voters.saturating_sub(1) / 2;
    let mut findings = vec![match voters {
        1 => Finding::note(
            "it has one member: while that is away nobody leads, and its disk is the only copy",
            "run three, or live with that",
        ),
        even if even % 2 == 0 => Finding::note(
            format!(
                "it has {even} members, and bears the loss of {bears}, as {} would",
                even - 1
            ),
            "run an odd number",
        ),
        odd => Finding::ok(format!(
            "it has {odd} members, and bears the loss of {bears}"
        )),
    }];
    if let Some(learners @ 1..) = count(member, "learners") {
        findings.push(Finding::note(
            format!("{learners} of its members are learners, which have no vote yet"),
            "promote them, or do not count on them",
        ));
    }
    if (named as u64) < voters {
        findings.push(Finding::note(
            format!("--store names {named} of {voters} members: nodes turn to no others"),
            "name all of them",
        ));
    }
    findings
}

/// What is wrong with one member, or soon will be.
fn health(member: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some("" | "0") = said(member, "leader") {
        findings.push(Finding::warning(
            "a member has no leader: it is cut off from the others",
            "see its log and its network",
        ));
    }
    if let Some(alarms) = said(member, "alarms").filter(|alarms| !alarms.is_empty()) {
        findings.push(Finding::refused(
            format!("it sounds an alarm: {alarms}"),
            "NOSPACE: compact, defragment and disarm with etcdctl; CORRUPT: replace that member",
        ));
    }
    let sizes = count(member, "dbSize").zip(count(member, "quota_backend_bytes"));
    if let Some((size, quota @ 1..)) = sizes
        && size as f64 > NEARLY_FULL * quota as f64
    {
        findings.push(Finding::warning(
            format!(
                "{} of {} MiB are used: when it is full nobody can renew",
                size >> 20,
                quota >> 20
            ),
            "compact and defragment it with etcdctl, or raise --quota-backend-bytes",
        ));
    }
    // To answer anything it had to sync its log.
    if count(member, "wal_fsync_count") == Some(0) {
        findings.push(Finding::refused(
            "it never syncs its log (--unsafe-no-fsync): a crash of its machine may lose what it \
             has answered",
            "start it without that",
        ));
    }
    let all = [
        "members",
        "alarms",
        "quota_backend_bytes",
        "wal_fsync_count",
    ];
    findings.extend(unseen(
        member,
        &all,
        "ask as a user who may, and where /metrics is served",
    ));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::report::Mark::{self, *};
    use crate::commands::doctor::server::tests::{Changed, settings};

    fn member(changed: &[Changed]) -> Settings {
        let usual = [
            ("version", Some("3.5.9")),
            ("cluster_id", Some("7")),
            ("leader", Some("8")),
            ("members", Some("3")),
            ("learners", Some("0")),
            ("alarms", Some("")),
            ("dbSize", Some("1000")),
            ("quota_backend_bytes", Some("2000000")),
            ("wal_fsync_count", Some("6")),
        ];
        settings(&usual, changed)
    }

    #[test]
    fn each_setting_that_weakens_it_is_found() {
        let cases: &[(&[Changed], Mark, &str)] = &[
            (&[], Ok, "bears the loss of 1"),
            (&[("members", Some("1"))], Note, "one member"),
            (&[("members", Some("4"))], Note, "as 3 would"),
            (&[("members", Some("5"))], Note, "names 3 of 5"),
            (&[("learners", Some("1"))], Note, "learners"),
            (&[("leader", Some(""))], Warning, "no leader"),
            (&[("alarms", Some("NOSPACE"))], Refused, "NOSPACE"),
            (&[("dbSize", Some("1700000"))], Warning, "can renew"),
            (&[("wal_fsync_count", Some("0"))], Refused, "no-fsync"),
            (&[("wal_fsync_count", None)], Note, "see wal_fsync_count"),
            (&[("version", Some("3.4.1"))], Note, "3.4.1, 3.5.9"),
        ];
        let usual = member(&[]);
        for (changed, mark, says) in cases {
            let changed = member(changed);
            let findings = judge(&[&changed, &usual, &usual], 3);
            let found = findings.iter().find(|f| f.says.contains(says));
            let found = found.map(|f| f.mark);
            assert_eq!(found, Some(*mark), "{changed:?}: {findings:?}");
        }
        let other = member(&[("cluster_id", Some("9"))]);
        let findings = judge(&[&usual, &other], 3);
        assert!(findings.iter().any(|f| f.mark == Refused), "{findings:?}");
        let fit = judge(&[&usual, &usual, &usual], 3);
        assert!(fit.iter().all(|f| f.mark == Ok), "{fit:?}");
    }
}
