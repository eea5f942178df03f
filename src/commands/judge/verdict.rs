//! What is said in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::failover::{Course, Failover, SEVERAL};
use super::logs::Logs;
use super::rules::{self, Breach, Rule};
use super::spans::{self, Span};
use crate::cli::make_visible;
use crate::commands::picture::words;

/// More than these say nothing new.
pub(super) const BREACHES_SHOWN: usize = 20;

pub(in crate::commands) struct Verdict<'a> {
    pub(super) logs: &'a Logs,
    pub(super) spans: Vec<Span>,
    pub(super) breaches: Vec<Breach>,
    failovers: Vec<Failover>,
}

/// All failovers after one kind of fault.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) after: String,
    pub(super) count: usize,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) worst_ns: u64,
    /// `None` where it is not judged from what ended the leadership.
    pub(super) at_most_ns: Option<u64>,
    pub(super) late: usize,
    #[serde(skip)]
    pub(super) took: Vec<u64>,
}

#[derive(Serialize)]
struct Json<'a> {
    sound: bool,
    breaches: &'a [Breach],
    leaderships: usize,
    nodes: usize,
    failovers: Vec<Row>,
    seed: Option<u64>,
    replay: Option<&'a str>,
    faults: usize,
    boots: usize,
    lines: usize,
    unknown_lines: usize,
    torn_ends: usize,
}

impl<'a> Verdict<'a> {
    pub(in crate::commands) fn on(logs: &'a Logs) -> Self {
        let mut breaches: Vec<_> = logs
            .torn
            .iter()
            .map(|place| {
                let what = format!("{} is no whole line, but not the last", logs.name(*place));
                Breach::new(Rule::Evidence, None, what)
            })
            .collect();
        let spans = spans::all(logs, &mut breaches);
        let mut failovers = Vec::new();
        for election in rules::by_election(&spans) {
            rules::one_leader(logs, election, &mut breaches);
            rules::terms_grow(logs, election, &mut breaches);
            failovers.extend(Course::of(logs, election).failovers(&mut breaches));
        }
        rules::terms_are_unique(logs, &spans, &mut breaches);
        rules::who_starts_speaks(logs, &mut breaches);
        breaches.sort_by_key(|breach| breach.rule);
        Self {
            logs,
            spans,
            breaches,
            failovers,
        }
    }

    pub(in crate::commands) fn sound(&self) -> bool {
        self.breaches.is_empty()
    }

    fn count<T: Ord>(&self, of: impl Fn(&'a super::logs::Statement) -> T) -> usize {
        self.logs
            .statements
            .iter()
            .map(of)
            .collect::<BTreeSet<_>>()
            .len()
    }

    pub(super) fn nodes(&self) -> usize {
        self.count(|statement| (&statement.election.lock_name, &statement.node))
    }

    pub(super) fn boots(&self) -> usize {
        self.count(|statement| &statement.election.boot_id)
    }

    /// Failovers by what they came after, the most frequent first; at the end those
    /// with more faults in between, after each of which time counts anew.
    pub(super) fn table(&self) -> Vec<Row> {
        let mut by_fault: BTreeMap<&str, Vec<&Failover>> = BTreeMap::new();
        for failover in &self.failovers {
            by_fault.entry(failover.row()).or_default().push(failover);
        }
        let row = |(after, all): (&str, Vec<&Failover>)| {
            let mut took: Vec<_> = all.iter().map(|f| f.to - f.from).collect();
            took.sort_unstable();
            // The nearest rank: one that was measured.
            let rank = |percent: usize| took[(took.len() * percent).div_ceil(100) - 1];
            Row {
                after: after.into(),
                count: all.len(),
                p50_ns: rank(50),
                p99_ns: rank(99),
                worst_ns: rank(100),
                // None for all, if one depends on how long the fault lasts.
                at_most_ns: match after {
                    SEVERAL => None,
                    _ => all.iter().map(|f| f.at_most).min().flatten(),
                },
                late: all.iter().filter(|f| f.late).count(),
                took,
            }
        };
        let mut rows: Vec<_> = by_fault.into_iter().map(row).collect();
        rows.sort_by_key(|row| (row.after == SEVERAL, std::cmp::Reverse(row.count)));
        rows
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        let header = self.logs.header.as_ref();
        let json = Json {
            sound: self.sound(),
            breaches: &self.breaches,
            leaderships: self.spans.len(),
            nodes: self.nodes(),
            failovers: self.table(),
            seed: header.and_then(|header| header.seed),
            replay: header.and_then(|header| header.replay.as_deref()),
            faults: self.logs.faults.len(),
            boots: self.boots(),
            lines: self.logs.lines,
            unknown_lines: self.logs.unknown,
            torn_ends: self.logs.torn_ends,
        };
        Ok(serde_json::to_string(&json)? + "\n")
    }

    /// In one line.
    pub(super) fn summary(&self) -> String {
        let seen = format!(
            "{} by {} in {} lines",
            counted(self.spans.len(), "leadership"),
            counted(self.nodes(), "node"),
            self.logs.lines
        );
        match self.breaches.len() {
            0 => format!("Sound: {seen}, never two at one time."),
            n => format!("BROKEN: {} among {seen}.", counted(n, "breach")),
        }
    }

    /// What to know about what was read.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.boots() > 1 {
            remarks.push(format!(
                "The logs are of {} boots or machines: each is judged by itself, but for its terms.",
                self.boots()
            ));
        }
        if self.logs.unknown > 0 {
            let lines = counted(self.logs.unknown, "line");
            remarks.push(format!("{lines} of others left aside."));
        }
        if self.logs.torn_ends > 0 {
            let lines = counted(self.logs.torn_ends, "last line");
            remarks.push(format!("{lines} torn, as a killed process leaves it."));
        }
        if self.logs.faults.is_empty() {
            remarks.push("No fault is told of: how long failovers took was not judged.".into());
        } else if self.logs.timing().is_none() {
            remarks.push("No lease duration was given: failovers were not judged.".into());
        }
        if self
            .failovers
            .iter()
            .any(|failover| failover.row() == SEVERAL)
        {
            remarks.push(
                "Several: more went wrong, or nobody was there; time counts anew after each."
                    .into(),
            );
        }
        remarks
    }

    pub(in crate::commands) fn text(&self) -> String {
        let mut text = self.summary() + "\n";
        for breach in self.breaches.iter().take(BREACHES_SHOWN) {
            let _ = writeln!(text, "  {}", make_visible(&breach.text()));
        }
        if let Some(more @ 1..) = self.breaches.len().checked_sub(BREACHES_SHOWN) {
            let _ = writeln!(text, "  and {more} more");
        }
        for remark in self.remarks() {
            let _ = writeln!(text, "{remark}");
        }
        let rows = self.table();
        if !rows.is_empty() {
            let _ = writeln!(
                text,
                "\n{:<22} {:>6} {:>10} {:>10} {:>10} {:>10}",
                "next leader after", "count", "p50", "p99", "worst", "at most"
            );
        }
        for row in rows {
            let _ = writeln!(
                text,
                "{:<22} {:>6} {:>10} {:>10} {:>10} {:>10}",
                make_visible(&words(&row.after)),
                row.count,
                brief(row.p50_ns),
                brief(row.p99_ns),
                brief(row.worst_ns),
                row.at_most_ns.map_or_else(|| "-".into(), brief),
            );
        }
        let header = self.logs.header.as_ref();
        if let Some(replay) = header.and_then(|header| header.replay.as_deref()) {
            let _ = writeln!(text, "\nAgain: {}", make_visible(replay));
        }
        text
    }
}

fn counted(n: usize, what: &str) -> String {
    let plural = if what.ends_with("ch") { "es" } else { "s" };
    format!("{n} {what}{}", if n == 1 { "" } else { plural })
}

pub(super) fn brief(ns: u64) -> String {
    crate::commands::brief(Duration::from_nanos(ns))
}
