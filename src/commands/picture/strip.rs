//! Time cut into strips, so that an hour can be read like a page of text.

use std::fmt::{self, Write as _};
use std::time::Duration;

use super::{BREACH, Chart, Gap, Lane, Mark, escape, symbols};

const MS: u64 = 1_000_000;

/// Lengths of a strip, in milliseconds, that are easy to count in.
const LENGTHS: [u64; 21] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000,
    120_000, 300_000, 600_000, 1_800_000, 3_600_000,
];

/// So many changes of leader can be told apart in one strip.
const GAPS_IN_A_STRIP: u64 = 9;

/// More than that, of all elections, nobody looks at and no browser likes.
const MOST_STRIPS: usize = 800;

// In units of the picture, which are pixels on a wide screen.
const NAMES: f64 = 120.0;
const WIDTH: f64 = 1000.0;
const RIGHT: f64 = 14.0;
const LANE: f64 = 24.0;
const LABEL: f64 = 13.0;

/// A stretch of time, and where it goes.
struct Strip<'a> {
    chart: &'a Chart,
    breaches: &'a [String],
    from: u64,
    until: u64,
}

/// One of so many `charts`. Marks of breaches can be found by their number.
pub(super) fn draw(
    page: &mut String,
    chart: &Chart,
    charts: usize,
    breaches: &[String],
) -> fmt::Result {
    let mut left_out = 0;
    let mut drawn = 0;
    let length = length(chart);
    let mut from = chart.from;
    while from < chart.until.max(chart.from + 1) {
        let until = from.saturating_add(length);
        let strip = Strip {
            chart,
            breaches,
            from,
            until,
        };
        if drawn < MOST_STRIPS / charts || strip.is_broken() {
            strip.draw(page)?;
            drawn += 1;
        } else {
            left_out += 1;
        }
        from = until;
    }
    if left_out > 0 {
        let length = brief(length);
        writeln!(
            page,
            "<p class=\"left-out\">{left_out} more strips of {length} are left out.</p>"
        )?;
    }
    Ok(())
}

fn length(chart: &Chart) -> u64 {
    let total = (chart.until - chart.from).max(1);
    let strips = (chart.gaps.len() as u64).div_ceil(GAPS_IN_A_STRIP);
    let wanted = total / strips.max(1);
    // One strip takes what there is; of several each takes a round time.
    if strips <= 1 {
        return total;
    }
    let round = LENGTHS.iter().map(|ms| ms * MS).rfind(|ns| *ns <= wanted);
    round.unwrap_or(MS)
}

impl Strip<'_> {
    fn x(&self, at: u64) -> f64 {
        let inside = at.clamp(self.from, self.until) - self.from;
        let share = inside as f64 / (self.until - self.from) as f64;
        NAMES + share * (WIDTH - NAMES - RIGHT)
    }

    /// Left edge and width of what is seen of it here.
    fn seen(&self, from: u64, until: u64, at_least: f64) -> Option<(f64, f64)> {
        let overlaps = from < self.until && until >= self.from;
        let (left, right) = (self.x(from), self.x(until));
        overlaps.then(|| (left, (right - left).max(at_least)))
    }

    fn holds(&self, at: u64) -> bool {
        let last = self.until >= self.chart.until;
        (self.from..self.until).contains(&at) || (last && at >= self.until)
    }

    /// Which of those in the list it shows.
    fn breach(&self, mark: &Mark) -> Option<usize> {
        let mut breaches = self.breaches.iter();
        let is_one = mark.kind == BREACH;
        is_one.then(|| breaches.position(|text| *text == mark.text))?
    }

    fn is_broken(&self) -> bool {
        let mut marks = self.chart.lanes.iter().flat_map(|lane| &lane.marks);
        marks.any(|mark| self.holds(mark.at) && self.breach(mark).is_some())
    }

    fn draw(&self, page: &mut String) -> fmt::Result {
        let (labels, rows) = self.labels();
        let top = rows as f64 * LABEL + 4.0;
        let bottom = top + self.chart.lanes.len() as f64 * LANE;
        let height = bottom + 20.0;
        let (from, until) = (self.clock(self.from), self.clock(self.until));
        writeln!(
            page,
            "<div class=\"strip\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
             aria-label=\"Who led from {from} to {until}\">"
        )?;
        self.axis(page, top, bottom)?;
        for (i, lane) in self.chart.lanes.iter().enumerate() {
            self.lane(page, lane, top + i as f64 * LANE)?;
        }
        for gap in &self.chart.gaps {
            if let Some((x, width)) = self.seen(gap.from, gap.until, 1.5) {
                let height = bottom - top;
                write!(
                    page,
                    "<rect class=\"gap\" x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\">\
                     <title>nobody led for {} after {}</title></rect>",
                    brief(gap.until - gap.from),
                    escape(&gap.after)
                )?;
            }
        }
        for (x, row, gap) in labels {
            let y = (row + 1) as f64 * LABEL - 2.0;
            write!(
                page,
                "<path class=\"lead\" d=\"M{x:.1} {:.0}V{top}\"/>\
                 <text class=\"took\" x=\"{x:.1}\" y=\"{y}\">{}</text>",
                y + 2.0,
                brief(gap.until - gap.from)
            )?;
        }
        let broken = self.chart.lanes.iter().flat_map(|lane| &lane.marks);
        for mark in broken.filter(|mark| mark.kind == BREACH && self.holds(mark.at)) {
            let x = self.x(mark.at);
            write!(page, "<path class=\"wrong\" d=\"M{x:.1} {top}V{bottom}\"/>")?;
        }
        // Above the gaps, which they are the reason of.
        for (i, lane) in self.chart.lanes.iter().enumerate() {
            self.marks(page, lane, top + i as f64 * LANE)?;
        }
        page.push_str("</svg></div>\n");
        Ok(())
    }

    /// The gaps that end here, each with a place for its label, and the rows
    /// that takes.
    fn labels(&self) -> (Vec<(f64, usize, &Gap)>, usize) {
        let mut ends: Vec<f64> = Vec::new();
        let mut placed = Vec::new();
        for gap in self.chart.gaps.iter().filter(|gap| self.holds(gap.until)) {
            let middle = f64::midpoint(self.x(gap.from), self.x(gap.until));
            let x = middle.clamp(NAMES + 20.0, WIDTH - 28.0);
            let half = brief(gap.until - gap.from).len() as f64 * 3.3 + 3.0;
            let free = ends.iter().position(|end| *end < x - half);
            let row = free.unwrap_or(ends.len());
            // More than four rows hide more than they say; the tip still says it.
            if row < 4 {
                ends.resize(ends.len().max(row + 1), 0.0);
                ends[row] = x + half;
                placed.push((x, row, gap));
            }
        }
        (placed, ends.len().max(1))
    }

    fn axis(&self, page: &mut String, top: f64, bottom: f64) -> fmt::Result {
        let length = self.until - self.from;
        let mut steps = LENGTHS.iter().map(|ms| ms * MS);
        let step = steps.find(|step| length / step <= 10).unwrap_or(length);
        let mut at = self.from - (self.from - self.chart.from) % step;
        while at <= self.until {
            if at >= self.from {
                let x = self.x(at);
                write!(
                    page,
                    "<path class=\"tick\" d=\"M{x:.1} {top}V{bottom}\"/>\
                     <text class=\"time\" x=\"{x:.1}\" y=\"{}\">{}</text>",
                    bottom + 14.0,
                    self.clock(at)
                )?;
            }
            at += step;
        }
        Ok(())
    }

    fn lane(&self, page: &mut String, lane: &Lane, y: f64) -> fmt::Result {
        let name: String = match lane.name.chars().count() {
            ..=17 => lane.name.clone(),
            _ => lane.name.chars().take(16).chain(['…']).collect(),
        };
        write!(
            page,
            "<text class=\"name\" x=\"{}\" y=\"{}\">{}<title>{}</title></text>",
            NAMES - 8.0,
            y + 16.0,
            escape(&name),
            escape(&lane.name)
        )?;
        let boxes = |page: &mut String, class: &str, of: &[(u64, u64)], y: f64, h: f64| {
            for (from, until) in of {
                if let Some((x, width)) = self.seen(*from, *until, 1.0) {
                    write!(
                        page,
                        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{h}\"/>"
                    )?;
                }
            }
            fmt::Result::Ok(())
        };
        boxes(page, "alive", &lane.alive, y + 10.0, 4.0)?;
        for span in &lane.spans {
            if let Some((x, width)) = self.seen(span.from, span.until, 1.5) {
                let term = span.term;
                write!(
                    page,
                    "<rect class=\"leads\" x=\"{x:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"18\" rx=\"2\">\
                     <title>{} led with term {term} for {}, from {}</title></rect>",
                    y + 3.0,
                    escape(&lane.name),
                    brief(span.until - span.from),
                    self.clock(span.from),
                )?;
                let digits = term.to_string();
                if width > digits.len() as f64 * 7.0 + 6.0 {
                    write!(
                        page,
                        "<text class=\"term\" x=\"{:.1}\" y=\"{}\">{digits}</text>",
                        x + 3.5,
                        y + 16.0
                    )?;
                }
            }
        }
        boxes(page, "frozen", &lane.frozen, y + 3.0, 18.0)
    }

    fn marks(&self, page: &mut String, lane: &Lane, y: f64) -> fmt::Result {
        for mark in lane.marks.iter().filter(|mark| self.holds(mark.at)) {
            let (x, y, shape) = (self.x(mark.at), y + 12.0, symbols::shape(&mark.kind));
            let title = format!(
                "{} at {}: {}",
                symbols::words(&mark.kind),
                self.clock(mark.at),
                mark.text
            );
            let id = self
                .breach(mark)
                .map_or_else(String::new, |id| format!(" id=\"breach-{id}\""));
            write!(
                page,
                "<g class=\"mark\"{id} transform=\"translate({x:.1} {y})\"><title>{}</title>\
                 <use class=\"halo\" href=\"#f-{shape}\"/><use href=\"#f-{shape}\"/></g>",
                escape(&title)
            )?;
        }
        Ok(())
    }

    /// Since the start, as on a stop-watch.
    fn clock(&self, at: u64) -> String {
        let ms = (at - self.chart.from) / MS;
        let (minutes, seconds, ms) = (ms / 60_000, ms / 1000 % 60, ms % 1000);
        match ms {
            0 => format!("{minutes}:{seconds:02}"),
            _ => format!("{minutes}:{seconds:02}.{ms:03}"),
        }
    }
}

/// Text for the page: a short time is `<1 ms`.
fn brief(ns: u64) -> String {
    escape(&crate::commands::brief(Duration::from_nanos(ns)))
}
