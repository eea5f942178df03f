//! The picture of an election as lines of text, for any terminal of 80 columns.

use std::fmt::Write as _;
use std::time::Duration;

use crate::commands::brief;
use crate::commands::picture::{BREACH, Chart, Gap, Lane, words};

/// Of a line; with the names before them they fill 78.
const COLUMNS: usize = 60;
const NAMES: usize = 16;

/// Whoever wants more has the page.
const MOST_STRIPS: usize = 8;

const MS: u64 = 1_000_000;

/// What a column may stand for, in milliseconds.
const STEPS: [u64; 20] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000,
    120_000, 300_000, 600_000, 1_800_000,
];

/// Of what has no sign of its own for that.
const OVER: char = '·';

const MARKS: [(&str, char); 20] = [
    ("kill", '✗'),
    ("term", '▽'),
    ("resign", '↓'),
    ("hand_over", '»'),
    (BREACH, '#'),
    ("start", '△'),
    ("stop", '‖'),
    ("cont", '▷'),
    ("partition", '≠'),
    ("heal", '='),
    ("sleep", '('),
    ("wake", ')'),
    ("unreachable", '{'),
    ("reachable", '}'),
    ("late_write", '*'),
    ("lost_replies", '?'),
    ("late_writes", '@'),
    ("conflicts", '%'),
    ("errors", '!'),
    ("slow", '~'),
];

/// A colour, as a terminal is told of it.
type Pen = &'static str;
const PLAIN: Pen = "";
const FAINT: Pen = "2";
const LEADS: Pen = "1;32";
const FROZEN: Pen = "36";
const MARK: Pen = "1;33";
const NOBODY: Pen = "31";

/// A line as it is drawn, column by column.
type Row = Vec<(char, Pen)>;

/// A stretch of time.
#[derive(Clone, Copy)]
struct Strip {
    from: u64,
    /// Of one column.
    step: u64,
}

/// Time cut into strips, in each a lane for each node; strips in which nothing
/// happens are left out.
pub(super) fn draw(chart: &Chart, lease: Duration, colours: bool) -> String {
    let wanted = lease.as_nanos() as u64 / 6;
    let step = STEPS.iter().map(|ms| ms * MS).rfind(|ns| *ns <= wanted);
    let step = step.unwrap_or(MS);
    let starts = (chart.from..chart.until).step_by(step as usize * COLUMNS);
    let (busy, quiet): (Vec<Strip>, Vec<Strip>) = starts
        .map(|from| Strip { from, step })
        .partition(|strip| strip.is_busy(chart));
    let mut text = String::new();
    for strip in busy.iter().take(MOST_STRIPS) {
        text.push('\n');
        for row in strip.rows(chart) {
            write_row(&mut text, &row, colours);
        }
    }
    text.push('\n');
    text += &legend(chart);
    if let Some(more @ 1..) = busy.len().checked_sub(MOST_STRIPS) {
        let _ = writeln!(
            text,
            "And {more} more such pieces of time: --html PAGE draws all."
        );
    }
    if let (Some(_), Some(_)) = (busy.first(), quiet.first()) {
        let time = clock(quiet.len() as u64 * step * COLUMNS as u64);
        let _ = writeln!(text, "Nothing happens in {time} more.");
    }
    text
}

impl Strip {
    fn until(self) -> u64 {
        self.from + self.step * COLUMNS as u64
    }

    fn holds(self, at: u64) -> bool {
        (self.from..self.until()).contains(&at)
    }

    fn is_busy(self, chart: &Chart) -> bool {
        let mut marks = chart.lanes.iter().flat_map(|lane| &lane.marks);
        let gap = |gap: &Gap| gap.from < self.until() && gap.until >= self.from;
        self.from == chart.from
            || marks.any(|mark| self.holds(mark.at))
            || chart.gaps.iter().any(gap)
    }

    fn column(self, at: u64) -> usize {
        (at.clamp(self.from, self.until()) - self.from).div_euclid(self.step) as usize
    }

    /// The columns that this takes: one at least, if any of it is here.
    fn columns(self, from: u64, until: u64) -> std::ops::Range<usize> {
        if from >= self.until() || until < self.from {
            return 0..0;
        }
        let first = self.column(from).min(COLUMNS - 1);
        first..self.column(until).max(first + 1)
    }

    fn rows(self, chart: &Chart) -> Vec<Row> {
        let mut rows = vec![self.axis(chart.from)];
        rows.extend(chart.lanes.iter().map(|lane| self.lane(lane)));
        rows.extend(self.gaps(&chart.gaps));
        rows
    }

    /// When it is, every ten columns.
    fn axis(self, start: u64) -> Row {
        let mut row = named("");
        for column in (0..COLUMNS).step_by(10) {
            let at = clock(self.from + column as u64 * self.step - start);
            row.extend(format!("{at:<10}").chars().map(|c| (c, FAINT)));
        }
        row
    }

    fn lane(self, lane: &Lane) -> Row {
        let mut cells = vec![(' ', PLAIN); COLUMNS];
        let mut paint = |of: &[(u64, u64)], with: &dyn Fn(char) -> (char, Pen)| {
            for (from, until) in of {
                for cell in &mut cells[self.columns(*from, *until)] {
                    *cell = with(cell.0);
                }
            }
        };
        paint(&lane.alive, &|_| ('─', FAINT));
        let spans: Vec<_> = lane.spans.iter().map(|s| (s.from, s.until)).collect();
        paint(&spans, &|_| ('━', LEADS));
        paint(&lane.frozen, &|before| match before {
            '━' => ('╍', FROZEN),
            _ => ('┄', FROZEN),
        });
        for mark in lane.marks.iter().filter(|mark| self.holds(mark.at)) {
            // What came at almost the same time stands beside it.
            let column = self.column(mark.at);
            let mut free = (column..COLUMNS).take(3).filter(|c| cells[*c].1 != MARK);
            let column = free.next().unwrap_or(column);
            cells[column] = (sign(&mark.kind), MARK);
        }
        for span in &lane.spans {
            let columns = self.columns(span.from, span.until);
            let term = span.term.to_string();
            let free = |at: &usize| cells[*at..*at + term.len()].iter().all(|c| c.1 != MARK);
            let last = (columns.end + 1).saturating_sub(term.len());
            if let Some(at) = (columns.start..last).find(free) {
                let place = &mut cells[at..at + term.len()];
                place
                    .iter_mut()
                    .zip(term.chars())
                    .for_each(|(cell, c)| cell.0 = c);
            }
        }
        let mut row = named(&lane.name);
        row.extend(cells);
        row
    }

    /// How long nobody led, each where it was.
    fn gaps(self, gaps: &[Gap]) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for gap in gaps {
            let columns = self.columns(gap.from, gap.until);
            if columns.is_empty() {
                continue;
            }
            let took = brief(Duration::from_nanos(gap.until - gap.from));
            let shade = "░".repeat(columns.len());
            let (text, at) = if columns.end + 1 + took.chars().count() <= COLUMNS {
                (format!("{shade} {took}"), columns.start)
            } else {
                let before = took.chars().count() + 1;
                (
                    format!("{took} {shade}"),
                    columns.start.saturating_sub(before),
                )
            };
            let at = NAMES + at;
            let row = match rows.iter_mut().find(|row| row.len() < at) {
                Some(row) => row,
                None => {
                    rows.push(named(if rows.is_empty() { "nobody leads" } else { "" }));
                    rows.last_mut().expect("it was pushed")
                }
            };
            row.resize(at.max(row.len()), (' ', PLAIN));
            row.extend(text.chars().map(|c| (c, NOBODY)));
        }
        rows
    }
}

fn named(name: &str) -> Row {
    let short: String = name.chars().take(NAMES - 2).collect();
    let name = format!("{short:<NAMES$}");
    name.chars().map(|c| (c, PLAIN)).collect()
}

fn sign(kind: &str) -> char {
    let known = MARKS.iter().find(|(name, _)| *name == kind);
    known.map_or(OVER, |(_, sign)| *sign)
}

/// What the signs mean, of those that are there.
fn legend(chart: &Chart) -> String {
    let marks = || chart.lanes.iter().flat_map(|lane| &lane.marks);
    let mut items = vec!["━ leads, with its term".to_owned(), "─ runs".into()];
    if chart.lanes.iter().any(|lane| !lane.frozen.is_empty()) {
        items.push("╍┄ the same, frozen or cut off".into());
    }
    if !chart.gaps.is_empty() {
        items.push("░ nobody leads".into());
    }
    for (kind, sign) in MARKS {
        if marks().any(|mark| mark.kind == kind) {
            items.push(format!("{sign} {}", words(kind)));
        }
    }
    if marks().any(|mark| sign(&mark.kind) == OVER) {
        items.push(format!("{OVER} over"));
    }
    let mut text = String::new();
    let mut width = 0;
    for item in items {
        let long = item.chars().count();
        if width > 0 && width + 3 + long > NAMES + COLUMNS {
            text.push('\n');
            width = 0;
        }
        if width > 0 {
            text.push_str("   ");
            width += 3;
        }
        text.push_str(&item);
        width += long;
    }
    text + "\n"
}

/// Since the start, as on a stop-watch.
fn clock(ns: u64) -> String {
    let (s, ms) = (ns / (1000 * MS), ns / MS % 1000);
    match (s / 3600, ms) {
        (0, 0) => format!("{}:{:02}", s / 60, s % 60),
        (0, _) => format!("{}:{:02}.{:02}", s / 60, s % 60, ms / 10),
        (h, _) => format!("{h}:{:02}:{:02}", s / 60 % 60, s % 60),
    }
}

fn write_row(text: &mut String, row: &Row, colours: bool) {
    let end = row
        .iter()
        .rposition(|(c, _)| *c != ' ')
        .map_or(0, |at| at + 1);
    for cells in row[..end].chunk_by(|a, b| a.1 == b.1) {
        let drawn: String = cells.iter().map(|(c, _)| c).collect();
        let _ = match cells[0].1 {
            pen if colours && pen != PLAIN => write!(text, "\x1b[{pen}m{drawn}\x1b[0m"),
            _ => write!(text, "{drawn}"),
        };
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::picture::{Mark, Span};

    const SECOND: u64 = 1000 * MS;

    fn span(term: u64, from: u64, until: u64) -> Span {
        let (from, until) = (from * SECOND, until * SECOND);
        Span { from, until, term }
    }

    fn mark(at: u64, kind: &str) -> Mark {
        let (kind, text) = (kind.into(), String::new());
        let at = at * SECOND;
        Mark { at, kind, text }
    }

    #[test]
    fn who_led_when_and_what_went_wrong() {
        let lanes = vec![
            Lane {
                name: "node-1".into(),
                alive: vec![(0, 200 * SECOND)],
                spans: vec![span(1, 2, 20)],
                frozen: vec![(14 * SECOND, 30 * SECOND)],
                marks: vec![
                    mark(14, "stop"),
                    mark(14, "slow"),
                    mark(30, "cont"),
                    mark(31, "slow_over"),
                ],
            },
            Lane {
                name: "node-2".into(),
                alive: vec![(SECOND, 140 * SECOND)],
                spans: vec![span(2, 25, 140)],
                frozen: vec![],
                marks: vec![mark(140, "kill")],
            },
        ];
        let gaps = [(20, 25), (140, 178)].map(|(from, until)| Gap {
            from: from * SECOND,
            until: until * SECOND,
            after: "kill".into(),
        });
        let chart = Chart {
            name: "simulation".into(),
            from: 0,
            until: 200 * SECOND,
            lanes,
            gaps: gaps.into(),
        };
        let drawn = draw(&chart, Duration::from_secs(6), false);
        assert_eq!(drawn, DRAWN);
        let coloured = draw(&chart, Duration::from_secs(6), true);
        assert!(coloured.contains("\x1b[1;32m"), "{coloured}");
    }

    /// Two strips of a minute; in two more nothing happens.
    const DRAWN: &str = "
                0:00      0:10      0:20      0:30      0:40      0:50
node-1          ──1━━━━━━━━━━━‖~╍╍╍╍┄┄┄┄┄┄┄┄┄┄▷·────────────────────────────
node-2           ────────────────────────2━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
nobody leads                        ░░░░░ 5.0 s

                2:00      2:10      2:20      2:30      2:40      2:50
node-1          ────────────────────────────────────────────────────────────
node-2          2━━━━━━━━━━━━━━━━━━━✗
nobody leads                 38.0 s ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░

━ leads, with its term   ─ runs   ╍┄ the same, frozen or cut off
░ nobody leads   ✗ kill -9   ‖ frozen   ▷ goes on   ~ the store is slow
· over
Nothing happens in 2:00 more.
";
}
