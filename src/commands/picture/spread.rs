//! How long it took, each time: many times side by side, over a time axis on
//! which each step is ten times the one before.

use std::fmt::{self, Write as _};

use super::{Row, escape};

/// What is shorter is as good as this.
const SHORTEST: u64 = 1_000_000;

// In units of the picture.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 28.0;
const MARGIN: f64 = 20.0;
const BAR: f64 = 4.0;

/// One for all rows, so that they can be compared.
pub(super) struct Axis {
    decades: u32,
}

impl Axis {
    pub(super) fn of(rows: &[Row]) -> Self {
        let took = rows.iter().flat_map(|row| &row.spread.took).copied();
        let limits = rows.iter().filter_map(|row| row.spread.at_most);
        let longest = took.chain(limits).max().unwrap_or(0);
        let decades = (1..12).find(|n| SHORTEST * 10_u64.pow(*n) >= longest);
        Self {
            decades: decades.unwrap_or(12),
        }
    }

    fn x(&self, ns: u64) -> f64 {
        let decade = (ns.max(SHORTEST) as f64 / SHORTEST as f64).log10();
        let share = decade / f64::from(self.decades);
        MARGIN + share.min(1.0) * (WIDTH - 2.0 * MARGIN)
    }

    fn ticks(&self) -> impl Iterator<Item = u64> {
        (0..=self.decades).map(|n| SHORTEST * 10_u64.pow(n))
    }

    /// Above all rows.
    pub(super) fn head(&self, page: &mut String) -> fmt::Result {
        write!(
            page,
            "<svg class=\"spread\" viewBox=\"0 0 {WIDTH} 14\" aria-hidden=\"true\">"
        )?;
        for ns in self.ticks() {
            let at = match ns / SHORTEST {
                ms @ ..1000 => format!("{ms} ms"),
                ms => format!("{} s", ms / 1000),
            };
            write!(
                page,
                "<text class=\"time\" x=\"{:.1}\" y=\"11\">{at}</text>",
                self.x(ns)
            )?;
        }
        page.push_str("</svg>");
        Ok(())
    }

    /// A bar is the higher, the more it stands for.
    pub(super) fn row(&self, page: &mut String, row: &Row) -> fmt::Result {
        write!(
            page,
            "<svg class=\"spread\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{} times, from {} to {}\">",
            row.count,
            escape(&row.p50),
            escape(&row.worst)
        )?;
        for ns in self.ticks() {
            let x = self.x(ns);
            write!(page, "<path class=\"tick\" d=\"M{x:.1} 0V{HEIGHT}\"/>")?;
        }
        let mut bars = vec![0_u32; (WIDTH / BAR) as usize + 1];
        for ns in &row.spread.took {
            bars[(self.x(*ns) / BAR) as usize] += 1;
        }
        let most = bars.iter().copied().max().unwrap_or(1).max(1);
        for (i, times) in bars.iter().enumerate().filter(|(_, times)| **times > 0) {
            let share = (f64::from(*times) / f64::from(most)).sqrt();
            let height = 5.0 + share * (HEIGHT - 7.0);
            write!(
                page,
                "<rect class=\"times\" x=\"{:.1}\" y=\"{:.1}\" width=\"3\" height=\"{height:.1}\" rx=\"1\"/>",
                i as f64 * BAR,
                (HEIGHT - height) / 2.0
            )?;
        }
        if let Some(at_most) = row.spread.at_most {
            let x = self.x(at_most);
            write!(page, "<path class=\"limit\" d=\"M{x:.1} 0V{HEIGHT}\"/>")?;
        }
        page.push_str("</svg>");
        Ok(())
    }
}
