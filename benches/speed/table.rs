//! The table that is printed at the end.

use std::fmt;
use std::time::Duration;

pub(crate) use crate::common::samples::{Samples, show};

/// Where a figure should be, and what it is judged against in the same run.
pub(crate) struct Bound {
    pub(crate) against: &'static str,
    pub(crate) baseline: Duration,
    pub(crate) times: f64,
}

#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 6]>,
    notes: Vec<String>,
}

const HEAD: [&str; 6] = ["", "where", "n", "p50", "p99", "in this run"];

impl Table {
    /// Starts a group of rows.
    pub(crate) fn title(&mut self, title: &str) {
        self.rows.push(Default::default());
        let mut row: [String; 6] = Default::default();
        row[0] = title.to_owned();
        self.rows.push(row);
    }

    /// A row of samples, with whatever there is to say about them.
    pub(crate) fn samples(
        &mut self,
        what: &str,
        place: &str,
        samples: &Samples,
        remark: impl Into<String>,
    ) {
        self.rows.push([
            format!("  {what}"),
            place.to_owned(),
            samples.len().to_string(),
            show(samples.p50()),
            show(samples.percentile(99)),
            remark.into(),
        ]);
    }

    /// As [`samples`](Self::samples), with its median judged.
    pub(crate) fn judged(&mut self, what: &str, place: &str, samples: &Samples, bound: &Bound) {
        let ratio = samples.p50().as_secs_f64() / bound.baseline.as_secs_f64();
        let remark = format!(
            "{ratio:.2}x of {} ({}); target {}x: {}",
            bound.against,
            show(bound.baseline),
            bound.times,
            verdict(ratio <= bound.times)
        );
        self.samples(what, place, samples, remark);
    }

    /// As [`samples`](Self::samples), with a promise that 99 of 100 have to keep.
    pub(crate) fn promised(
        &mut self,
        what: &str,
        place: &str,
        samples: &Samples,
        (against, baseline): (&str, Duration),
        most: Duration,
    ) {
        let ratio = samples.p50().as_secs_f64() / baseline.as_secs_f64();
        let remark = format!(
            "{ratio:.2}x of {against} ({}); worst {}; target {most:?}: {}",
            show(baseline),
            show(samples.percentile(100)),
            verdict(samples.percentile(99) <= most)
        );
        self.samples(what, place, samples, remark);
    }

    /// A row with one figure.
    pub(crate) fn figure(
        &mut self,
        what: &str,
        place: &str,
        figure: impl Into<String>,
        remark: impl Into<String>,
    ) {
        self.rows.push([
            format!("  {what}"),
            place.to_owned(),
            String::new(),
            figure.into(),
            String::new(),
            remark.into(),
        ]);
    }

    /// Something that the reader must know, below the table.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        eprintln!("note: {note}");
        self.notes.push(note);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = HEAD.map(str::len);
        for row in self.rows.iter().filter(|row| !row[1].is_empty()) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let [what, place, n, p50, p99, _] = widths;
        for row in std::iter::once(&HEAD.map(String::from)).chain(&self.rows) {
            let line = format!(
                "{:what$}  {:place$}  {:>n$}  {:>p50$}  {:>p99$}  {}",
                row[0], row[1], row[2], row[3], row[4], row[5]
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        for note in &self.notes {
            writeln!(f, "\nnote: {note}")?;
        }
        Ok(())
    }
}

pub(crate) fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}
