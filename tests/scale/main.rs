//! One lock, 1 to 1,000 candidates: `make sim-scale` writes docs/SCALE.md and
//! docs/scale.svg. Under `cargo test`: what stands there is what comes out.

mod chart;
mod measure;
mod page;

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use measure::{Row, measure};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/SCALE.md");
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scale.svg");

const SIZES: [usize; 7] = [1, 3, 10, 30, 100, 300, 1000];
const ROUND_TRIPS: [Duration; 3] = [
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(50),
];

/// Those that take a second or two without optimisation.
const CHECKED: [(usize, usize); 5] = [(1, 0), (1, 1), (10, 1), (10, 2), (30, 1)];

fn main() -> ExitCode {
    let named: Vec<_> = std::env::args().skip(1).collect();
    let other = |arg: &String| !arg.starts_with('-') && !"scale".contains(arg.as_str());
    if named.iter().any(other) {
        // `cargo test NAME` asks for other tests than this one.
    } else if named.iter().any(|arg| arg == "--list") {
        println!("scale: test");
    } else if std::env::var_os("SIM_SCALE").is_some() {
        write();
    } else {
        return check();
    }
    ExitCode::SUCCESS
}

fn write() {
    let cells = ROUND_TRIPS
        .iter()
        .flat_map(|trip| SIZES.map(|size| (size, *trip)));
    let rows = measure(cells.collect());
    let tables = page::tables(&rows);
    println!("{tables}");
    fs::write(PAGE, page::page(&rows, &tables)).expect("docs/SCALE.md can be written");
    fs::write(CHART, chart::chart(&rows)).expect("docs/scale.svg can be written");
    println!("written: docs/SCALE.md, docs/scale.svg");
}

fn check() -> ExitCode {
    let written = fs::read_to_string(PAGE).expect("docs/SCALE.md");
    let cells = CHECKED.map(|(size, trip)| (size, ROUND_TRIPS[trip]));
    let rows = measure(cells.into());
    for row in &rows {
        let (
            line,
            Row {
                candidates,
                round_trip,
                ..
            },
        ) = (page::line(row), row);
        let tables = written
            .split("## ")
            .find(|part| part.starts_with(&page::title(*round_trip)));
        if !tables.is_some_and(|table| table.contains(&line)) {
            println!(
                "docs/SCALE.md has other numbers for {candidates} candidates at {round_trip:?} than\n{line}\nTo write it anew: make sim-scale"
            );
            return ExitCode::FAILURE;
        }
    }
    println!(
        "{} lines of docs/SCALE.md come out as they are written",
        rows.len()
    );
    ExitCode::SUCCESS
}
