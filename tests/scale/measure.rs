//! What is measured of each size: all from fixed seeds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use leader_demo::Timing;
use leader_demo::simulation::scale::{End, Failover, Idle, Setting, failover, idle};

/// Each end of a leadership is tried so often.
pub(crate) const RUNS: u64 = 5;

pub(crate) const ENDS: [End; 3] = [End::Silent, End::Told, End::Released];

pub(crate) struct Row {
    pub(crate) candidates: usize,
    pub(crate) round_trip: Duration,
    pub(crate) idle: Idle,
    /// In the order of [`ENDS`].
    pub(crate) ends: [Seen; 3],
}

/// Of all runs.
pub(crate) struct Seen {
    pub(crate) median_gap: Duration,
    pub(crate) longest_gap: Duration,
    pub(crate) most_attempts: u64,
    pub(crate) highest_burst: u64,
}

/// The rows, in order, made on every core.
pub(crate) fn measure(cells: Vec<(usize, Duration)>) -> Vec<Row> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some((candidates, round_trip)) = cells.get(next.fetch_add(1, Relaxed)) {
                    let row = row(*candidates, *round_trip);
                    rows.lock().unwrap().push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by_key(|row| (row.round_trip, row.candidates));
    rows
}

fn row(candidates: usize, round_trip: Duration) -> Row {
    let setting = Setting {
        candidates,
        round_trip,
        timing: Timing::default(),
    };
    Row {
        candidates,
        round_trip,
        idle: idle(&setting, 0),
        ends: ENDS.map(|end| {
            let all: Vec<_> = (0..RUNS)
                .map(|seed| failover(&setting, end, seed))
                .collect();
            seen(&all)
        }),
    }
}

fn seen(all: &[Failover]) -> Seen {
    let mut gaps: Vec<_> = all.iter().map(|one| one.gap).collect();
    gaps.sort();
    let most = |what: fn(&Failover) -> u64| all.iter().map(what).max().unwrap_or_default();
    Seen {
        median_gap: gaps[gaps.len() / 2],
        longest_gap: gaps[gaps.len() - 1],
        most_attempts: most(|one| one.attempts),
        highest_burst: most(|one| one.burst),
    }
}
