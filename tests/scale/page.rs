//! docs/SCALE.md.

use std::time::Duration;

use super::ROUND_TRIPS;
use super::measure::{RUNS, Row, Seen};
use leader_demo::{Timing, clock};

/// Of the table for this round trip.
pub(crate) fn title(round_trip: Duration) -> String {
    format!("Round trip {round_trip:?}\n")
}

pub(crate) fn tables(rows: &[Row]) -> String {
    let table = |trip: &Duration| {
        let own = rows.iter().filter(|row| row.round_trip == *trip);
        let lines: String = own.map(|row| line(row) + "\n").collect();
        format!(
            "## {}\n\
             | candidates | lease/s | requests/s | killed elsewhere | tries | burst | killed, told | tries | burst | stopped | tries | burst |\n\
             |--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n{lines}\n",
            title(*trip)
        )
    };
    ROUND_TRIPS.iter().map(table).collect()
}

pub(crate) fn line(row: &Row) -> String {
    let idle = format!("{:.1} | {:.1}", row.idle.lease, row.idle.requests);
    let ends = row.ends.each_ref().map(in_words).join(" | ");
    format!("| {} | {idle} | {ends} |", row.candidates)
}

fn in_words(seen: &Seen) -> String {
    let Seen {
        median_gap,
        longest_gap,
        most_attempts,
        highest_burst,
    } = seen;
    format!("{median_gap:.1?}, {longest_gap:.1?} | {most_attempts} | {highest_burst}")
}

pub(crate) fn page(rows: &[Row], tables: &str) -> String {
    let timing = Timing::default();
    let date = chrono::DateTime::<chrono::Local>::from(clock::wall_time()).format("%Y-%m-%d");
    let [lease, renew, retry] = [
        timing.lease_duration(),
        timing.renew_deadline(),
        timing.retry_period(),
    ];
    let largest = rows
        .iter()
        .max_by_key(|row| (row.candidates, row.round_trip));
    let largest = largest.expect("a row");
    let nodes = (largest.candidates + 1) as f64;
    let (each, asks) = (largest.idle.lease / nodes, largest.idle.requests / nodes);
    let text = TEXT
        .replace("EACH", &format!("{each:.2}"))
        .replace("ASKS", &format!("{asks:.2}"));
    format!(
        "# One lock, 1 to 1,000 candidates\n\n\
         Written by `make sim-scale` on {date}, with L = {lease:?}, R = {renew:?}, P = {retry:?}. The real rules on virtual\n\
         time; the store answers after one round trip, however many ask. `cargo test` checks that these are the numbers.\n\n\
         ![calls and gaps against size](scale.svg)\n\n\
         {text}\n{tables}\
         Each gap: the median and the longest of {RUNS} runs; tries and burst: the most of them.\n"
    )
}

const TEXT: &str = include_str!("reading.md");
