//! What there is to say of any server: who does not answer, who reads along, and whether
//! its promises hold.

use leader_demo::store::{Kind, StoreError};

use super::{Answer, said};
use crate::commands::doctor::probe::{Broken, Probe};
use crate::commands::doctor::report::Finding;

/// One of several that is no good now.
pub(super) fn absent(kind: Kind, trouble: &StoreError) -> Finding {
    match kind {
        Kind::Etcd => Finding::warning(
            format!("a member is of no use now: {trouble}"),
            "mend it before another one fails",
        ),
        Kind::Redis | Kind::Postgres => Finding::note(
            format!("nodes would pass over one of them now: {trouble}"),
            "see that it is meant to wait for a failover",
        ),
    }
}

/// Whether others may read what is sent.
pub(super) fn on_its_way(kind: Kind, host: &Answer) -> Option<Finding> {
    if said(&host.settings, "travels") != Some("readable") {
        return None;
    }
    let address = &host.address;
    let remedy = match kind {
        Kind::Etcd => "use TLS: write etcds:// in --store",
        Kind::Redis => "use TLS: write rediss:// in --store",
        Kind::Postgres => "use TLS: sslmode=verify-full in --store",
    };
    let password = said(&host.settings, "password") == Some("yes");
    Some(match (kind, password) {
        (Kind::Etcd | Kind::Redis, true) => Finding::warning(
            format!("{address}: the password travels readable to all on its way"),
            remedy,
        ),
        // It never sends the password itself, but for servers that ask for that.
        _ => Finding::note(
            format!("{address}: who is on the way may read and change what is sent"),
            remedy,
        ),
    })
}

/// What two processes found.
pub(super) fn promises(kind: Kind, probe: &Probe) -> Vec<Finding> {
    let (swaps, conflicts, notice) = (probe.swaps, probe.conflicts, probe.notice);
    let distrust =
        "keep the lease elsewhere; see what answers at that address: more than one server?";
    let swapping = match probe.broken {
        Some(Broken::WonTwice) => "two processes won one and the same swap",
        Some(Broken::SameRevision) => "two swaps made one and the same revision",
        Some(Broken::Lost) => "a swap that was answered left no trace",
        Some(Broken::OldLook) => "a look showed what was there before a swap that was answered",
        None => "",
    };
    let mut findings = vec![match (probe.broken, conflicts) {
        (Some(_), _) => Finding::refused(swapping, distrust),
        (None, 0) => Finding::warning(
            format!("two processes never met in {swaps} swaps, so nothing was tried"),
            "try again",
        ),
        (None, _) => Finding::ok(format!(
            "two processes swapped {swaps} times and were refused {conflicts} times: each swap \
             has one winner, and none is lost"
        )),
    }];
    let remedy = match kind {
        Kind::Postgres => {
            "name the server itself in --store, or let its pooler keep sessions (pool_mode = session)"
        }
        Kind::Etcd | Kind::Redis => {
            "see whether something on the way keeps connections from staying"
        }
    };
    findings.extend(match (probe.untold, notice.count) {
        // Nothing was tried.
        (0, 0) => None,
        (0, _) => Some(Finding::ok(format!(
            "another process is told of a change after {notice}"
        ))),
        (_, 0) => Some(Finding::warning(
            "nobody is told of changes: they are found by looking, a retry period later",
            remedy,
        )),
        (untold, told) => Some(Finding::warning(
            format!(
                "of {untold} of {} changes nobody was told: they are found by looking, a retry \
                 period later",
                untold + told
            ),
            remedy,
        )),
    });
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::commands::doctor::measured::Trips;
    use crate::commands::doctor::server::tests::settings;

    fn host(travels: &'static str, password: &'static str) -> Answer {
        let said = [("travels", Some(travels)), ("password", Some(password))];
        Answer {
            address: "x at h".into(),
            error: None,
            settings: settings(&said, &[]),
        }
    }

    #[test]
    fn a_password_that_others_may_read_is_told() {
        use crate::commands::doctor::report::Mark::{Note, Warning};
        for (kind, travels, password, mark) in [
            (Kind::Redis, "readable", "yes", Some(Warning)),
            (Kind::Etcd, "readable", "yes", Some(Warning)),
            (Kind::Etcd, "readable", "no", Some(Note)),
            (Kind::Postgres, "readable", "yes", Some(Note)),
            (Kind::Redis, "here", "yes", None),
            (Kind::Redis, "encrypted", "yes", None),
        ] {
            let found = on_its_way(kind, &host(travels, password)).map(|f| f.mark);
            assert_eq!(found, mark, "{kind:?} {travels} {password}");
        }
    }

    #[test]
    fn a_promise_that_is_broken_is_refused_and_one_not_tried_is_not_called_kept() {
        use crate::commands::doctor::report::Mark::{Ok, Refused, Warning};
        let told: Trips = vec![Duration::from_millis(1)].into();
        for (broken, conflicts, untold, notice, marks) in [
            (None, 5, 0, told, &[Ok, Ok][..]),
            (None, 0, 0, told, &[Warning, Ok]),
            (Some(Broken::WonTwice), 5, 0, Trips::default(), &[Refused]),
            (Some(Broken::OldLook), 5, 1, told, &[Refused, Warning]),
            (None, 5, 2, Trips::default(), &[Ok, Warning]),
        ] {
            let probe = Probe {
                swaps: 9,
                conflicts,
                broken,
                untold,
                notice,
            };
            let found = promises(Kind::Etcd, &probe);
            let found: Vec<_> = found.iter().map(|f| f.mark).collect();
            assert_eq!(found, marks, "{probe:?}");
        }
    }
}
