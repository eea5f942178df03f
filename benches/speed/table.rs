//! The table that is printed at the end.

use std::fmt;
use std::time::Duration;

/// Durations of one kind, of which there is at least one.
#[derive(Clone, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The sample that `percent` of all do not exceed (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted[rank.max(1) - 1]
    }

    pub(crate) fn p50(&self) -> Duration {
        self.percentile(50)
    }
}

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

/// In the unit that leaves a number one can read.
pub(crate) fn show(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        ..1e3 => format!("{micros:.1} us"),
        ..1e6 => format!("{:.3} ms", micros / 1e3),
        _ => format!("{:.3} s", micros / 1e6),
    }
}
