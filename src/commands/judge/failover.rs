//! What each change of leader cost: from what ended the leadership to the next
//! one, and how long that may take.
//!
//! Where faults come one upon the other, time counts from each anew, and where
//! nobody was there to take over, from when somebody was: what counts is the
//! longest time that anybody had in peace.

use super::logs::{Fault, Logs, Statement, Timing};
use super::rules::{Breach, Rule, exactly, moment};
use super::spans::Span;

const SECOND: u64 = 1_000_000_000;

/// What a busy machine may take on top of what the rules say.
pub(super) const SLACK: u64 = 2 * SECOND;

/// What it came after where something else came in between.
pub(super) const SEVERAL: &str = "several";

/// From one leader to the next.
#[derive(Clone, Debug)]
pub(super) struct Failover {
    /// A fault, or the reason that the leader gave.
    pub(super) after: String,
    pub(super) from: u64,
    pub(super) to: u64,
    /// Where nothing else came in between; none, if it lasts while a fault does.
    pub(super) at_most: Option<u64>,
    allowed: u64,
    pub(super) late: bool,
    /// Nothing in between kept anybody from taking over.
    alone: bool,
}

impl Failover {
    /// Its row of the table.
    pub(super) fn row(&self) -> &str {
        if self.alone { &self.after } else { SEVERAL }
    }
}

/// A condition that lasts, from one fault to the one that undoes it.
pub(super) struct Trouble<'a> {
    pub(super) fault: &'a Fault,
    pub(super) until: u64,
}

/// An election, and what was done to it.
pub(super) struct Course<'a> {
    logs: &'a Logs,
    spans: &'a [Span],
    pub(super) faults: Vec<&'a Fault>,
    pub(super) troubles: Vec<Trouble<'a>>,
    pub(super) presences: Vec<Presence<'a>>,
    pub(super) end: u64,
    timing: Option<Timing>,
}

/// When a session could have taken over.
pub(super) struct Presence<'a> {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) node: &'a str,
    pid: Option<u32>,
    /// Who resigned stays out: from, until.
    out: Vec<(u64, u64)>,
}

impl<'a> Course<'a> {
    /// `spans`, one or more, are of one election.
    pub(super) fn of(logs: &'a Logs, spans: &'a [Span]) -> Self {
        let election = &spans[0].election;
        let mut faults: Vec<_> = logs
            .faults
            .iter()
            .filter(|fault| fault.concerns(election))
            .collect();
        faults.sort_by_key(|fault| fault.at);
        let statements = || logs.statements.iter().filter(|s| s.election == *election);
        Self {
            logs,
            spans,
            troubles: troubles(&faults),
            presences: presences(statements(), &faults),
            end: statements().map(|s| s.at).max().unwrap_or(0),
            faults,
            timing: logs.timing(),
        }
    }

    /// All failovers. One that never came is a breach alone.
    pub(super) fn failovers(&self, breaches: &mut Vec<Breach>) -> Vec<Failover> {
        let mut found = Vec::new();
        for (before, next) in self.spans.iter().zip(self.spans.iter().skip(1)) {
            let mut failover = self.failover(before, next.start);
            let meanwhile = self.faults_between(before.start, next.start);
            // Where their directory is gone, terms go on far above.
            let unsaid = next.term > before.term.saturating_add(1)
                && !meanwhile.iter().any(|fault| fault.kind == "removed");
            self.limit(&mut failover, unsaid);
            if failover.late {
                breaches.push(self.late(&failover, before, Some(next)));
            }
            found.push(failover);
        }
        if let Some(before) = self.spans.last().filter(|span| self.is_over(span)) {
            let mut failover = self.failover(before, self.end);
            self.limit(&mut failover, false);
            if failover.late {
                breaches.push(self.late(&failover, before, None));
            }
        }
        found
    }

    /// It leads no more, or is kept from it until the end of the logs.
    fn is_over(&self, span: &Span) -> bool {
        let kept = |t: &Trouble| {
            keeps_from_leading(t.fault) && t.until >= self.end && t.fault.hits(&span.node, span.pid)
        };
        span.revoked.is_some()
            || self.faults.iter().any(|fault| ends(fault, span))
            || self.troubles.iter().any(kept)
    }

    fn failover(&self, before: &Span, to: u64) -> Failover {
        let (after, since) = self.cause(before, to);
        // A fault can be written down after what came of it.
        let known = since.filter(|since| *since <= to);
        Failover {
            after,
            from: match (known, since, &before.revoked) {
                (Some(known), ..) => known,
                (None, Some(_), None) => to,
                _ => before.end.min(to),
            },
            to,
            at_most: None,
            allowed: 0,
            late: false,
            alone: true,
        }
    }

    /// What ended a leadership that another followed at `to`, and since when.
    fn cause(&self, before: &Span, to: u64) -> (String, Option<u64>) {
        let during = || self.faults.iter().filter(|f| f.at > before.start);
        let kill = during().find(|f| ends(f, before));
        // What comes after the end is not what ended it.
        let by = before.revoked.as_ref().map_or(to, |_| before.end);
        // What kept it from renewing may be over by then.
        let lease = self.timing.map_or(0, |timing| timing.lease_duration);
        let recently = before.end.saturating_sub(lease).max(before.start);
        let still = match before.revoked.as_deref() {
            Some("renew_deadline") => recently,
            _ => before.end,
        };
        let held = self.troubles.iter().rev().find(|t| {
            !shakes_the_store(t.fault)
                && (of_all(t.fault) || t.fault.hits(&before.node, before.pid))
                && t.fault.at <= by
                && t.until >= still
        });
        let named = |fault: &Fault| (fault.kind.clone(), Some(fault.at));
        let reason = before.revoked.as_deref();
        match (kill, held, reason) {
            (Some(kill), None, None) => named(kill),
            (Some(kill), _, None) if kill.at <= to => named(kill),
            (_, Some(held), None | Some("renew_deadline" | "lost" | "shutdown")) => {
                // Under lesser troubles, or after short ones, it led on.
                let lasted = keeps_from_leading(held.fault) && held.until >= before.end;
                let since = lasted.then_some(held.fault.at);
                (held.fault.kind.clone(), since)
            }
            (_, _, Some("shutdown")) => during()
                .find(|f| f.kind == "term" && f.hits(&before.node, before.pid))
                .map_or(("shutdown".into(), None), |f| named(f)),
            (_, _, Some("renew_deadline" | "lost")) => during()
                .rfind(|f| (recently..=by).contains(&f.at) && shakes_the_store(f))
                .map_or((reason.unwrap_or_default().into(), None), |f| named(f)),
            (_, _, Some(reason)) => (reason.into(), None),
            (_, _, None) => ("unknown".into(), None),
        }
    }

    /// Finds out what is the most it may have taken, and whether it took more.
    /// `unsaid`: there are terms in between in which nobody said that he led.
    fn limit(&self, failover: &mut Failover, unsaid: bool) {
        let Some(timing) = self.timing.filter(|_| !self.logs.faults.is_empty()) else {
            return;
        };
        let header = self.logs.header.as_ref();
        let slack = header.and_then(|header| header.slack).unwrap_or(SLACK);
        // A call that a fault met may go unanswered for so long.
        let hangs = header.and_then(|header| header.hangs).unwrap_or(0);
        let slow = slack
            .saturating_add(timing.lease_duration)
            .saturating_add(timing.retry_period.saturating_mul(2));
        let quick = match &*failover.after {
            "kill" => header.is_none_or(|header| header.one_machine),
            "term" | "shutdown" => header.is_none_or(|header| header.releases_told),
            _ => false,
        };
        let at_most = if quick { slack } else { slow };
        let healed = self.healed(failover.from);
        let begin = failover.from.max(healed);
        let mut disturbed = self.disturbances(begin, begin.saturating_sub(slow), failover.to);
        if unsaid {
            disturbed.extend(self.last_acts(begin, failover.to));
            disturbed.sort_unstable();
        }
        let calm_before = disturbed.first().is_none_or(|(at, _)| *at >= begin);
        // Also where one was quick enough to come before the trouble was over.
        let mut alone = begin > failover.to;
        failover.allowed = slow;
        for (since, until) in calm(&disturbed, begin, failover.to) {
            for (from, to) in self.chances(since, until) {
                let allowed = match from == begin && healed == 0 && calm_before {
                    true => at_most,
                    false => slow.saturating_add(hangs),
                };
                alone |= (from, to) == (begin, failover.to);
                if to - from > allowed && !failover.late {
                    (failover.late, failover.allowed) = (true, allowed);
                }
            }
        }
        failover.at_most = (healed == 0).then_some(at_most);
        // What an earlier fault excuses is not held against the row's limit.
        let took = failover.to - failover.from;
        let fits = failover.at_most.is_none_or(|most| took <= most);
        failover.alone = alone && (failover.late || fits);
    }

    /// When a trouble of all that began then was over; 0, if none began.
    fn healed(&self, from: u64) -> u64 {
        let of_all = |t: &&Trouble| t.fault.at == from && of_all(t.fault);
        self.troubles.iter().find(of_all).map_or(0, |t| t.until)
    }

    /// What could keep everybody from taking over, up to `to`: from, until. Time
    /// counts anew after each.
    fn disturbances(&self, begin: u64, near: u64, to: u64) -> Vec<(u64, u64)> {
        let shocks = self.faults_between(near, to).iter();
        let shocks = shocks.filter(|fault| shakes_the_store(fault));
        let mut found: Vec<_> = shocks.map(|fault| (fault.at, fault.at)).collect();
        for Trouble { fault, until } in &self.troubles {
            // What is done at the start is what this failover is about.
            if fault.at == begin || *until == begin {
                continue;
            }
            match of_all(fault) {
                true => found.push((fault.at, *until)),
                // It may hold up the others at its beginning, and at its end.
                false => found.extend([(fault.at, fault.at), (*until, *until)]),
            }
        }
        found.retain(|(at, until)| *at <= to && *until >= near);
        found.sort_unstable();
        found
    }

    /// Whoever took the lease and was killed before it could say so is waited for
    /// like any leader.
    fn last_acts(&self, begin: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
        let later = self.faults_between(begin.saturating_add(1), to).iter();
        let ends = later.filter(|fault| matches!(&*fault.kind, "kill" | "term"));
        ends.map(|fault| (fault.at, fault.at))
    }

    fn faults_between(&self, from: u64, to: u64) -> &[&'a Fault] {
        let first = self.faults.partition_point(|fault| fault.at < from);
        let end = self.faults.partition_point(|fault| fault.at <= to);
        &self.faults[first..end.max(first)]
    }

    /// When each node could have taken over, from `from` to `to`. Each has to see
    /// the silence for itself, from its beginning to its end.
    fn chances(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut there = Vec::new();
        // Only what is near: an hour has thousands of both.
        let meanwhile = |t: &&Trouble| t.fault.at <= to && t.until >= from;
        let troubles: Vec<_> = self.troubles.iter().filter(meanwhile).collect();
        let present = |p: &&Presence| p.first <= to && p.last >= from;
        for presence in self.presences.iter().filter(present) {
            let out = presence.out.iter().copied();
            let held = troubles.iter().filter_map(|t| {
                let hit = t.fault.hits(presence.node, presence.pid);
                hit.then_some((t.fault.at, t.until))
            });
            let mut away: Vec<_> = out.chain(held).collect();
            away.sort_unstable();
            there.extend(calm(&away, presence.first.max(from), presence.last.min(to)));
        }
        there
    }

    fn late(&self, failover: &Failover, before: &Span, next: Option<&Span>) -> Breach {
        let took = failover.to - failover.from;
        let what = match next {
            Some(next) => format!("{} (term {}) led", next.node, next.term),
            None => "and still nobody led".into(),
        };
        let shown = next.map_or(String::new(), |next| {
            format!(", {}", self.logs.name(next.first))
        });
        Breach::new(
            Rule::Failover,
            next.unwrap_or(before).spot(failover.to),
            format!(
                "{} after {} of {} (term {}) at {}, {what}, allowed are {}: {}{shown}",
                exactly(took),
                failover.after,
                before.node,
                before.term,
                moment(failover.from),
                exactly(failover.allowed),
                self.logs.name(before.last),
            ),
        )
    }
}

/// What is left of the time from `start` to `end`, without those.
fn calm(without: &[(u64, u64)], mut start: u64, end: u64) -> Vec<(u64, u64)> {
    let mut left = Vec::new();
    for (from, until) in without {
        if *from > start {
            left.push((start, (*from).min(end)));
        }
        start = start.max(*until);
    }
    left.push((start, end));
    left.retain(|(start, end)| start <= end);
    left
}

/// The process that led is gone.
fn ends(fault: &Fault, span: &Span) -> bool {
    fault.kind == "kill" && fault.at >= span.start && fault.hits(&span.node, span.pid)
}

/// It can keep everybody from leading, once.
fn shakes_the_store(fault: &Fault) -> bool {
    matches!(&*fault.kind, "removed" | "garbage")
        || matches!(&*fault.kind, "disk_full" | "read_only" | "late_write")
}

fn of_all(fault: &Fault) -> bool {
    fault.node.is_none() && fault.pid.is_none()
}

/// Whoever it hits cannot renew until it is over.
pub(super) fn keeps_from_leading(fault: &Fault) -> bool {
    matches!(&*fault.kind, "stop" | "sleep" | "partition" | "unreachable")
}

/// What ends a condition that lasts.
pub(in crate::commands) fn undone_by(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "stop" => "cont",
        "sleep" => "wake",
        "partition" => "heal",
        "unreachable" => "reachable",
        "disk_full" => "disk_free",
        "read_only" => "writable",
        "lost_replies" => "lost_replies_over",
        "late_writes" => "late_writes_over",
        "conflicts" => "conflicts_over",
        "errors" => "errors_over",
        "slow" => "slow_over",
        _ => return None,
    })
}

fn troubles<'a>(faults: &[&'a Fault]) -> Vec<Trouble<'a>> {
    let begin = |(i, fault): (usize, &&'a Fault)| {
        let undone = undone_by(&fault.kind)?;
        let same = |f: &&&Fault| match (&fault.node, fault.pid) {
            (None, None) => of_all(f),
            (node, pid) => of_all(f) || f.hits(node.as_deref().unwrap_or_default(), pid),
        };
        let end = faults[i..]
            .iter()
            .filter(same)
            .find(|f| f.kind == undone || (f.kind == "kill" && fault.kind == "stop"));
        let until = end.map_or(u64::MAX, |f| f.at);
        Some(Trouble { fault, until })
    };
    faults.iter().enumerate().filter_map(begin).collect()
}

fn presences<'a>(
    statements: impl Iterator<Item = &'a Statement>,
    faults: &[&Fault],
) -> Vec<Presence<'a>> {
    let mut found: std::collections::BTreeMap<&str, Presence<'a>> = Default::default();
    let mut gone = std::collections::BTreeSet::new();
    for statement in statements {
        let line = &statement.line;
        let presence = found.entry(&statement.session).or_insert(Presence {
            first: statement.at,
            last: statement.at,
            node: &statement.node,
            pid: line.pid,
            out: Vec::new(),
        });
        presence.first = presence.first.min(statement.at);
        if let Some(until) = line.stays_out_until_ns {
            presence.out.push((statement.at, until));
        }
        if !gone.contains(&statement.session) {
            presence.last = presence.last.max(statement.at);
        }
        if matches!(line.event.as_deref(), Some("stopping" | "stopped")) {
            gone.insert(&statement.session);
        }
    }
    for presence in found.values_mut() {
        let end = faults.iter().find(|f| {
            let by_name = f.pid.is_none() || presence.pid.is_none();
            matches!(&*f.kind, "kill" | "term")
                && f.at >= presence.first
                && (!by_name || f.at <= presence.last.saturating_add(SECOND))
                && f.hits(presence.node, presence.pid)
        });
        if let Some(end) = end {
            presence.last = presence.last.min(end.at);
        }
    }
    found.into_values().collect()
}
