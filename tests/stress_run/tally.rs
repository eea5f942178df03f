//! What happened, for people, and whether it was enough to believe the judge.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use leader_demo::clock::{self, BootTime};

use crate::deck::{Card, Way};
use crate::settings::Settings;
use crate::ticker::KINDS;
use crate::ticks::Judge;

struct Fault {
    at: BootTime,
    node: String,
    card: Card,
}

pub(crate) struct Tally {
    started: BootTime,
    faults: Vec<Fault>,
    exits: BTreeMap<String, usize>,
}

impl Tally {
    pub(crate) fn start() -> Self {
        Self {
            started: clock::now(),
            faults: Vec::new(),
            exits: BTreeMap::new(),
        }
    }

    /// A line of a node.
    pub(crate) fn note(&mut self, report: &str) -> Result<()> {
        match report.split(' ').collect::<Vec<_>>()[..] {
            ["fault", at, node, card] => self.faults.push(Fault {
                at: BootTime::from_nanos(at.parse()?),
                node: node.to_owned(),
                card: *Card::all().get(card.parse::<usize>()?).context("no card")?,
            }),
            ["exit", node, how] => {
                let fell = ["101", "signal-6", "signal-11"].contains(&how);
                ensure!(!fell, "{node} fell over: {how}");
                *self.exits.entry(how.to_owned()).or_default() += 1;
            }
            _ => bail!("what does {report:?} mean?"),
        }
        Ok(())
    }

    pub(crate) fn progress(&self, judge: &Judge) -> String {
        let count = |ways: &[Way]| {
            let faults = self.faults.iter();
            faults.filter(|f| ways.contains(&f.card.way)).count()
        };
        format!(
            "{:4} s: {} killed, {} asked to end, {} to step down, {} frozen, {} frozen and killed; \
             {} terms, {} ticks, nobody ticked for {} at most",
            clock::now().since(self.started).as_secs(),
            count(&[Way::Kill]),
            count(&[Way::Ask]),
            count(&[Way::HandOver, Way::Resign]),
            count(&[Way::FreezeBriefly, Way::FreezeLong]),
            count(&[Way::FreezeAndKill]),
            judge.terms.len(),
            judge.ticks,
            millis(gaps(judge).max().unwrap_or_default()),
        )
    }

    pub(crate) fn summary(&self, judge: &Judge) -> String {
        let mut delays = self.delays(judge);
        let mut table = String::new();
        let mut line = |what: &str, cells: [String; 4]| {
            let [times, ended, median, longest] = cells;
            let _ = writeln!(
                table,
                "{what:48} {times:>6} {ended:>6} {median:>9} {longest:>9}"
            );
        };
        line(
            "fault",
            ["times", "terms", "median", "longest"].map(str::to_owned),
        );
        let cards: BTreeSet<_> = Card::all().into_iter().collect();
        for card in cards {
            let times = self.faults.iter().filter(|f| f.card == card).count();
            let delays = delays.remove(&Some(card)).unwrap_or_default();
            line(&card.to_string(), cells(Some(times), delays));
        }
        let by_itself = delays.remove(&None).unwrap_or_default();
        line(
            "none: the command ended, or its lease",
            cells(None, by_itself),
        );
        let exits: Vec<_> = self
            .exits
            .iter()
            .map(|(how, n)| format!("{n} x {how}"))
            .collect();
        let _ = writeln!(table, "{}", self.progress(judge).trim_start());
        let _ = write!(
            table,
            "terms: those that ended so; median, longest: from the fault (or the last tick) to\n\
             the next term's first tick. Wrappers exited: {}",
            exits.join(", ")
        );
        table
    }

    /// What ended each term, and how long after that the next one's command ran.
    fn delays(&self, judge: &Judge) -> BTreeMap<Option<Card>, Vec<Duration>> {
        let mut delays: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for pair in judge.terms.windows(2) {
            let [term, next] = pair else { continue };
            let cause = self.faults.iter().rev().find(|fault| {
                fault.node == term.node
                    && fault.card.ends_a_term()
                    && (term.first..next.first).contains(&fault.at)
            });
            let from = cause.map_or(term.last, |fault| fault.at);
            let delay = next.first.since(from);
            delays.entry(cause.map(|f| f.card)).or_default().push(delay);
        }
        delays
    }

    /// A run in which nothing happened proves nothing.
    pub(crate) fn was_worth_it(&self, judge: &Judge, settings: &Settings) -> Result<()> {
        let wanted = settings.duration.as_secs() / 3;
        let terms = judge.terms.len() as u64;
        ensure!(terms >= wanted, "only {terms} terms, not {wanted}");
        if settings.duration < Duration::from_secs(60) {
            return Ok(());
        }
        for card in Card::all() {
            let done = self.faults.iter().any(|fault| fault.card == card);
            ensure!(done, "never done: {card}");
        }
        for kind in KINDS {
            let ticked = |main| judge.ticked.contains(&(kind.name.to_owned(), main));
            ensure!(ticked(true), "never ran: {}", kind.name);
            ensure!(
                ticked(false) == kind.has_twin(),
                "the twin of {}: {}",
                kind.name,
                ticked(false)
            );
        }
        Ok(())
    }
}

fn gaps(judge: &Judge) -> impl Iterator<Item = Duration> {
    judge
        .terms
        .windows(2)
        .map(|pair| pair[1].first.since(pair[0].last))
}

fn cells(times: Option<usize>, mut delays: Vec<Duration>) -> [String; 4] {
    delays.sort_unstable();
    let shown = |delay: Option<&Duration>| delay.map(|d| millis(*d)).unwrap_or_default();
    [
        times.map(|n| n.to_string()).unwrap_or_default(),
        delays.len().to_string(),
        shown(delays.get(delays.len() / 2)),
        shown(delays.last()),
    ]
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
