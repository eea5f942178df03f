//! What must hold of the leaderships of an election.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use humantime::FormattedDuration;
use serde::Serialize;

use super::failover::SLACK;
use super::logs::{Election, Fault, Logs};
use super::spans::Span;

/// Which rule was broken, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rule {
    /// Never two at one time.
    OneLeader,
    /// Each term is higher than all before it, and nobody else's.
    Terms,
    /// Who says that it leads may still.
    Claim,
    /// The next one leads in time.
    Failover,
    /// All that was said is there to be read.
    Evidence,
}

/// A rule that was broken, by whom and when, and the lines that show it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Breach {
    pub(super) rule: Rule,
    pub(super) message: String,
    #[serde(skip)]
    pub(super) spot: Option<Spot>,
}

/// Where it shows in the picture.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) election: Election,
    pub(super) node: Rc<str>,
    pub(super) at: u64,
}

impl Breach {
    pub(super) fn new(rule: Rule, spot: Option<Spot>, message: String) -> Self {
        Self {
            rule,
            message,
            spot,
        }
    }

    /// For the list and for the picture.
    pub(super) fn text(&self) -> String {
        format!("{}: {}", self.rule.as_str(), self.message)
    }
}

/// A moment, for people: in seconds, as precise as the logs.
pub(super) fn moment(boottime_ns: u64) -> String {
    let second = 1_000_000_000;
    let (whole, part) = (boottime_ns / second, boottime_ns % second);
    format!("{whole}.{part:09} s")
}

/// A duration, for people, to the nanosecond.
pub(super) fn exactly(ns: u64) -> FormattedDuration {
    humantime::format_duration(Duration::from_nanos(ns))
}

impl Rule {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::OneLeader => "two leaders",
            Self::Terms => "a term",
            Self::Claim => "a claim",
            Self::Failover => "a late failover",
            Self::Evidence => "missing evidence",
        }
    }
}

/// The leaderships of each election, in order of time.
pub(super) fn by_election(spans: &[Span]) -> Vec<&[Span]> {
    spans.chunk_by(|a, b| a.election == b.election).collect()
}

/// No two sessions lead at one boot time.
pub(super) fn one_leader(logs: &Logs, spans: &[Span], breaches: &mut Vec<Breach>) {
    let end = |span: &Span| span.kept_until(logs);
    // Of those that began so far, the one that ended last.
    let mut longest: Option<&Span> = None;
    for span in spans {
        if let Some(before) = longest.filter(|before| span.start < end(before)) {
            let until = end(before).min(end(span));
            breaches.push(Breach::new(
                Rule::OneLeader,
                span.start_spot(),
                format!(
                    "{} (term {}) led from {} to {}, {} (term {}) from {} to {}: both for {}. \
                     {} to {}, {} to {}",
                    before.node,
                    before.term,
                    moment(before.start),
                    moment(end(before)),
                    span.node,
                    span.term,
                    moment(span.start),
                    moment(end(span)),
                    exactly(until - span.start),
                    logs.name(before.first),
                    logs.name(before.last),
                    logs.name(span.first),
                    logs.name(span.last),
                ),
            ));
        }
        longest = match longest {
            Some(before) if end(before) > end(span) => Some(before),
            _ => Some(span),
        };
    }
}

/// Each term is higher than all before it.
pub(super) fn terms_grow(logs: &Logs, spans: &[Span], breaches: &mut Vec<Breach>) {
    let mut highest: Option<&Span> = None;
    for span in spans {
        let Some(before) = highest.filter(|before| span.term <= before.term) else {
            highest = Some(span);
            continue;
        };
        let what = if span.term == before.term {
            "led again"
        } else {
            "led after a higher one"
        };
        breaches.push(Breach::new(
            Rule::Terms,
            span.start_spot(),
            format!(
                "term {} {what}: {} (term {}) from {}, {} (term {}) from {}: {}, {}",
                span.term,
                before.node,
                before.term,
                moment(before.start),
                span.node,
                span.term,
                moment(span.start),
                logs.name(before.first),
                logs.name(span.first),
            ),
        ));
    }
}

/// Across boots there is no order in time, but no term comes twice either.
pub(super) fn terms_are_unique(logs: &Logs, spans: &[Span], breaches: &mut Vec<Breach>) {
    let mut led: BTreeMap<(&str, u64), &Span> = BTreeMap::new();
    for span in spans {
        let Election { lock_name, .. } = &span.election;
        match led.insert((lock_name, span.term), span) {
            Some(before) if before.election != span.election => breaches.push(Breach::new(
                Rule::Terms,
                span.start_spot(),
                format!(
                    "term {} led on two machines, by {} and by {}: {}, {}",
                    span.term,
                    before.node,
                    span.node,
                    logs.name(before.first),
                    logs.name(span.first)
                ),
            )),
            _ => {}
        }
    }
}

/// Who was started, and lived for long enough to say so, is heard.
pub(super) fn who_starts_speaks(logs: &Logs, breaches: &mut Vec<Breach>) {
    let said = logs.statements.iter();
    let mut heard: BTreeSet<_> = said.map(|s| (&*s.election.lock_name, &*s.node)).collect();
    let end = logs.statements.iter().map(|s| s.at).max().unwrap_or(0);
    let starts = logs.faults.iter().filter(|fault| fault.kind == "start");
    for start in starts {
        let (Some(node), Some(lock_name)) = (&start.node, &start.lock_name) else {
            continue;
        };
        if heard.contains(&(&**lock_name, &**node)) {
            continue;
        }
        let hurt = |fault: &&Fault| {
            fault.at > start.at && fault.lock_name == start.lock_name && fault.hits(node, start.pid)
        };
        let until = logs.faults.iter().filter(hurt).map(|fault| fault.at).min();
        if until.unwrap_or(end) > start.at.saturating_add(SLACK) {
            // Once is enough.
            heard.insert((lock_name, node));
            let place = logs.name(start.place);
            breaches.push(Breach::new(
                Rule::Evidence,
                None,
                format!("{node} was started, and nothing that it said is here: {place}"),
            ));
        }
    }
}
