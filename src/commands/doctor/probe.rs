//! Whether a server keeps its promises between two processes: that of any number of
//! swaps over one revision one is done, that a look shows what was answered before,
//! and that who waits is told.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use leader_demo::Term;
use leader_demo::clock::{self, BootTime};
use leader_demo::store::{Content, LeaseStore, Observed, StoreError};
use serde::Serialize;

use super::calls::{Left, disturbed, following, swap};
use super::interrupt::Interrupt;
use super::measured::Trips;
use super::rival::{Contest, Order, Rival, Said, Win, compete, look};
use crate::commands::ANSWER;

/// For how long the two compete.
const CONTEST: Duration = Duration::from_millis(600);

/// How many changes are waited for, and how long for each: a server that tells needs
/// no more than a round trip.
const CHANGES: usize = 20;
const NOTICE: Duration = Duration::from_secs(1);

/// After so many that nobody was told of there is no need for more.
const ENOUGH: usize = 2;

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Probe {
    /// Swaps that were done, by either.
    pub(super) swaps: usize,
    /// Swaps that were refused, as the other was quicker.
    pub(super) conflicts: usize,
    /// The promise that was broken, if one was.
    pub(super) broken: Option<Broken>,
    /// Changes that the other process was not told of.
    pub(super) untold: usize,
    /// From the answer to one process until the other was told.
    pub(super) notice: Trips,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Broken {
    /// Two swaps were done over one revision.
    WonTwice,
    /// Two swaps made one revision.
    SameRevision,
    /// A swap was answered, and left no trace.
    Lost,
    /// A look showed what was there before a swap that had been answered.
    OldLook,
}

impl Probe {
    fn of(broken: Broken) -> Self {
        Self {
            broken: Some(broken),
            ..Self::default()
        }
    }

    /// Whether the other process was told of all changes.
    pub(super) fn tells(&self) -> bool {
        self.untold == 0 && self.notice.count > 0
    }
}

/// Against another process that has just been started.
pub(super) async fn run(
    store: &dyn LeaseStore,
    left: &Left,
    mut rival: Rival,
    interrupt: &Interrupt,
) -> Result<Probe, StoreError> {
    let failed = |e: std::io::Error| StoreError::new(format!("the other process: {e}"));
    if !sees(&mut rival, left.at.parts()).await? {
        return Ok(Probe::of(Broken::OldLook));
    }
    rival.order(Order::Compete).map_err(failed)?;
    let end = clock::now() + CONTEST;
    let mine = compete(store, || clock::now() >= end || interrupt.asked()).await?;
    rival.order(Order::Watch).map_err(failed)?;
    let theirs = match rival.hear(ANSWER).await? {
        Some(Said::Competed(contest)) => contest,
        _ => return Err(StoreError::new("the other process says nothing")),
    };
    let mut now = look(store).await?;
    let first = (left.at.parts(), left.record.term);
    let last = (now.revision.parts(), term(&now)?);
    let mut probe = judge(first, last, &mine, &theirs);
    if !sees(&mut rival, last.0).await? {
        probe.broken.get_or_insert(Broken::OldLook);
    }

    let mut told = Vec::new();
    let mut record = left.record.clone();
    record.term = last.1;
    // The other begins to listen when it first waits: the first change is not counted.
    for round in 0..=CHANGES {
        if interrupt.asked() || probe.untold == ENOUGH || probe.broken.is_some() {
            break;
        }
        record = following(&record);
        now.revision = swap(store, Some(now.revision), &record).await?.0;
        let answered = clock::now();
        let change = now.revision.parts();
        match heard_of(&mut rival, change, interrupt).await? {
            Some(at) if round > 0 => told.push(at.since(answered)),
            Some(_) => {}
            None if interrupt.asked() => break,
            None => {
                probe.untold += usize::from(round > 0);
                rival.order(Order::Look).map_err(failed)?;
                if !sees(&mut rival, change).await? {
                    probe.broken = Some(Broken::OldLook);
                }
            }
        }
    }
    probe.notice = told.into();
    Ok(probe)
}

/// When the other was told of this change, if it was.
async fn heard_of(
    rival: &mut Rival,
    change: [u64; 4],
    interrupt: &Interrupt,
) -> Result<Option<BootTime>, StoreError> {
    let end = clock::now() + NOTICE;
    while clock::now() < end && !interrupt.asked() {
        if let Some(Said::Heard(revision, at)) = rival.hear(NOTICE / 10).await?
            && revision == change
        {
            return Ok(Some(BootTime::from_nanos(at)));
        }
    }
    Ok(None)
}

/// Whether this is what the other sees when it looks.
async fn sees(rival: &mut Rival, change: [u64; 4]) -> Result<bool, StoreError> {
    // It may have to start, and to connect.
    while let Some(said) = rival.hear(ANSWER * 2).await? {
        if let Said::Sees(revision) = said {
            return Ok(revision == Some(change));
        }
    }
    Err(StoreError::new("the other process says nothing"))
}

fn term(seen: &Observed) -> Result<Term, StoreError> {
    match &seen.content {
        Content::Record(record) => Ok(record.term),
        Content::Garbled { .. } => Err(disturbed()),
    }
}

/// From what both began with, revision and term, to what is there in the end. Each
/// swap counts the term on by one.
fn judge(
    (first, from): ([u64; 4], Term),
    (last, to): ([u64; 4], Term),
    mine: &Contest,
    theirs: &Contest,
) -> Probe {
    let wins = || mine.wins.iter().chain(&theirs.wins);
    let next: HashMap<_, _> = wins().map(|win| (win.expected, win.made)).collect();
    let made: HashSet<_> = wins().map(|win: &Win| win.made).collect();
    let swaps = wins().count();
    let steps = std::iter::successors(Some(first), |at| next.get(at).copied());
    let path: Vec<_> = steps.take(swaps + 1).collect();
    let broken = if next.len() < swaps {
        Some(Broken::WonTwice)
    } else if made.len() < swaps || made.contains(&first) {
        Some(Broken::SameRevision)
    } else if path.len() < swaps + 1
        || path.last() != Some(&last)
        || from.plus(swaps as u64) != Some(to)
    {
        Some(Broken::Lost)
    } else {
        None
    };
    Probe {
        swaps,
        conflicts: mine.conflicts + theirs.conflicts,
        broken,
        ..Probe::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contest(wins: &[(u64, u64)]) -> Contest {
        let at = |revision| [revision, 0, 0, 0];
        let win = |&(expected, made): &(u64, u64)| Win {
            expected: at(expected),
            made: at(made),
        };
        Contest {
            wins: wins.iter().map(win).collect(),
            conflicts: 1,
        }
    }

    #[test]
    fn each_swap_is_done_once_and_is_there_in_the_end() {
        for (mine, theirs, last, broken) in [
            (&[(1, 2), (3, 4)][..], &[(2, 3), (4, 5)][..], 5, None),
            (&[(1, 7)], &[], 7, None),
            (&[(1, 2)], &[(1, 3)], 3, Some(Broken::WonTwice)),
            (&[(1, 2), (2, 3)], &[(3, 2)], 2, Some(Broken::SameRevision)),
            (&[(1, 2)], &[(2, 1)], 1, Some(Broken::SameRevision)),
            // The last one has vanished, or one in between.
            (&[(1, 2), (2, 3)], &[], 2, Some(Broken::Lost)),
            (&[(1, 2)], &[(3, 4)], 4, Some(Broken::Lost)),
            (&[(1, 2)], &[], 9, Some(Broken::Lost)),
        ] {
            let at = |revision| [revision, 0, 0, 0];
            let (first, last) = (at(1), at(last));
            let term = |by: usize| Term::new(7 + by as u64).unwrap();
            let swaps = mine.len() + theirs.len();
            let judged = |grown| {
                let (mine, theirs) = (contest(mine), contest(theirs));
                judge((first, term(0)), (last, term(grown)), &mine, &theirs)
            };
            let probe = judged(swaps);
            assert_eq!(probe.broken, broken, "{mine:?} {theirs:?} {last:?}");
            assert_eq!((probe.swaps, probe.conflicts), (swaps, 2));
            // What is there must have come of all of them, too.
            let short = judged(swaps - 1).broken;
            assert_eq!(short, broken.or(Some(Broken::Lost)), "{mine:?} {theirs:?}");
        }
    }
}
