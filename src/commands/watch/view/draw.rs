//! What the view looks like, from 200 columns down to one.
//!
//! The smaller the terminal, the less there is: first goes what is only
//! beautiful, last who leads.

use std::time::Duration;

use leader_demo::clock::BootTime;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Style, Stylize};
use ratatui_core::text::{Line, Span};
use ratatui_core::widgets::Widget;

use super::letters::{self, Size};
use super::timeline::{Reign, Situation, Timeline};
use super::words;

mod table;
#[cfg(test)]
mod tests;

pub(super) use table::Scroll;

/// Whose election this is, and how to show it.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) lock: &'a str,
    pub(super) store: &'a str,
    /// Colours are welcome.
    pub(super) colours: bool,
}

/// Left of everything, where there is room.
const MARGIN: u16 = 2;

const KEYS: [(&str, &str); 2] = [("q", "quit"), ("↑ ↓ PgUp PgDn Home End", "scroll")];

/// A colour for each node, in the order in which they lead. Red is for trouble.
const NODES: [Color; 6] = [
    Color::Cyan,
    Color::Magenta,
    Color::Yellow,
    Color::Blue,
    Color::Green,
    Color::White,
];

/// Draws all of it.
pub(super) fn draw(
    frame: &Frame<'_>,
    timeline: &Timeline,
    scroll: &mut Scroll,
    now: BootTime,
    buf: &mut Buffer,
) {
    let mut rest = Rest::of(buf.area);
    let height = rest.0.height;
    let roomy = height >= 16;
    if height >= 10 {
        header(frame, rest.top(1), buf);
    }
    if height >= 12 {
        rest.bottom(1, |area| footer(area, buf));
    }
    rest.skip(roomy);
    leader(frame, timeline, now, &mut rest, buf);
    rest.skip(roomy);
    if let Some(reign) = timeline.current() {
        lease(frame, reign, now, rest.top(1), buf);
    } else if height >= 6 {
        // The table stays where it is.
        rest.top(1);
    }
    if let Some(trouble) = timeline.trouble() {
        let said = Line::from(frame.red(format!("! {trouble}")).bold());
        said.render(rest.top(1).inner_margin(), buf);
    }
    rest.skip(roomy);
    table::draw(frame, timeline, scroll, now, rest.0, buf);
}

impl Frame<'_> {
    fn paint(&self, colour: Color) -> Style {
        if self.colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    fn red(&self, text: impl Into<String>) -> Span<'static> {
        Span::styled(text.into(), self.paint(Color::Red))
    }

    fn node(&self, reign: &Reign) -> Style {
        self.paint(NODES[reign.node % NODES.len()])
    }
}

/// The part of the screen that is still empty.
struct Rest(Rect);

impl Rest {
    fn of(area: Rect) -> Self {
        Self(area)
    }

    /// Takes up to so many rows from the top.
    fn top(&mut self, rows: u16) -> Rect {
        let rows = rows.min(self.0.height);
        let taken = Rect {
            height: rows,
            ..self.0
        };
        self.0.y += rows;
        self.0.height -= rows;
        taken
    }

    fn bottom(&mut self, rows: u16, draw: impl FnOnce(Rect)) {
        let rows = rows.min(self.0.height);
        self.0.height -= rows;
        draw(Rect {
            y: self.0.bottom(),
            height: rows,
            ..self.0
        });
    }

    fn skip(&mut self, really: bool) {
        self.top(u16::from(really));
    }
}

trait Margin {
    fn inner_margin(self) -> Self;
}

impl Margin for Rect {
    /// Without the margin, where there is room for one.
    fn inner_margin(self) -> Self {
        match self.width {
            40.. => Self {
                x: self.x + MARGIN,
                width: self.width - 2 * MARGIN,
                ..self
            },
            _ => self,
        }
    }
}

fn header(frame: &Frame<'_>, area: Rect, buf: &mut Buffer) {
    let inner = area.inner_margin();
    Line::from(frame.lock.bold()).render(inner, buf);
    let used = frame.lock.len() + 2;
    if used + frame.store.len() <= usize::from(inner.width) {
        Line::from(frame.store.dim())
            .right_aligned()
            .render(inner, buf);
    }
}

fn footer(area: Rect, buf: &mut Buffer) {
    let area = area.inner_margin();
    let keys = KEYS
        .iter()
        .map(|(keys, what)| Line::from_iter([keys.bold(), format!(" {what}").dim()]));
    joined(keys, "   ", area.width).render(area, buf);
}

/// Who leads: as large as there is room for.
fn leader(
    frame: &Frame<'_>,
    timeline: &Timeline,
    now: BootTime,
    rest: &mut Rest,
    buf: &mut Buffer,
) {
    let said = Said::about(frame, timeline, now);
    let width = rest.0.inner_margin().width;
    let sizes = match rest.0.height {
        28.. => &[Size::Six, Size::Three][..],
        9.. => &[Size::Three],
        _ => &[],
    };
    let widest_fact = said.facts.iter().map(Line::width).max().unwrap_or(0);
    let fits = |size: &&Size| size.columns(&said.name) + 4 + widest_fact <= usize::from(width);
    match sizes.iter().find(fits) {
        Some(size) => said.large(*size, rest, buf),
        None if width < 24 => said.stacked(rest, buf),
        None => said.line(rest, buf),
    }
}

/// Side by side: the first, and as many more as there is room for, each whole.
fn joined(
    items: impl Iterator<Item = Line<'static>>,
    between: &'static str,
    width: u16,
) -> Line<'static> {
    let mut line = Line::default();
    for item in items {
        let first = line.spans.is_empty();
        if !first && line.width() + between.len() + item.width() > usize::from(width) {
            break;
        }
        if !first {
            line.push_span(between);
        }
        // Its style is of the whole line; here it is one item's.
        let style = item.style;
        line.spans
            .extend(item.into_iter().map(|span| span.patch_style(style)));
    }
    line
}

/// Who leads, and what there is to say about it, the important things first.
struct Said {
    name: String,
    style: Style,
    facts: Vec<Line<'static>>,
}

impl Said {
    fn about(frame: &Frame<'_>, timeline: &Timeline, now: BootTime) -> Self {
        let text = |text: String| Line::from(text);
        let red = frame.paint(Color::Red).bold();
        match (timeline.situation(), timeline.last()) {
            (Situation::Led, Some(reign)) => Self {
                name: reign.leader.node_id.to_string(),
                style: frame.node(reign).bold(),
                facts: vec![
                    Line::from(format!("term {}", reign.term).bold()),
                    text(format!("leads {}", words::leads_for(reign, now))),
                    text(words::process(reign)),
                ],
            },
            (Situation::Vacant(since), last) => Self {
                name: "NO LEADER".into(),
                style: red,
                facts: match since {
                    Some(since) => {
                        let clock = words::clock(now.since(since.at));
                        let was = last.map(|last| {
                            format!("{} led in term {}", last.leader.node_id, last.term)
                        });
                        vec![
                            Line::styled(format!("for {clock}"), red),
                            text(format!("since {}", since.time.format("%T"))),
                            text(was.unwrap_or_default()),
                        ]
                    }
                    None => vec![text("since before this watch".into())],
                },
            },
            _ => Self {
                name: "...".into(),
                style: Style::new(),
                facts: vec![text("looking".into())],
            },
        }
    }

    fn large(self, size: Size, rest: &mut Rest, buf: &mut Buffer) {
        let area = rest.top(size.rows() as u16).inner_margin();
        for (row, letters) in area.rows().zip(letters::rows(&self.name, size)) {
            Span::styled(letters, self.style).render(row, buf);
        }
        let x = size.columns(&self.name) as u16 + 4;
        let beside = Rect {
            x: area.x + x,
            width: area.width.saturating_sub(x),
            ..area
        };
        // In the middle of tall letters, whose last row is below the line.
        let down = (size.rows().saturating_sub(1 + self.facts.len()) / 2) as i32;
        let beside = beside.rows().skip(down as usize);
        for (row, fact) in beside.zip(self.facts) {
            fact.render(row, buf);
        }
    }

    fn line(self, rest: &mut Rest, buf: &mut Buffer) {
        let area = rest.top(1).inner_margin();
        let name = Line::from(Span::styled(self.name, self.style));
        let all = [name].into_iter().chain(self.facts);
        joined(all, "  ", area.width).render(area, buf);
    }

    /// The name above the first fact; side by side if there is one row only.
    fn stacked(self, rest: &mut Rest, buf: &mut Buffer) {
        let beside = rest.0.height == 1;
        let area = rest.top(1);
        let name = self.name.len();
        Span::styled(self.name, self.style).render(area, buf);
        let Some(fact) = self.facts.into_iter().next() else {
            return;
        };
        if !beside {
            fact.render(rest.top(1), buf);
        } else if name + fact.width() < usize::from(area.width) {
            fact.right_aligned().render(area, buf);
        }
    }
}

/// The lease: full at each renewal, and empty when others may take it.
fn lease(frame: &Frame<'_>, reign: &Reign, now: BootTime, area: Rect, buf: &mut Buffer) {
    let area = area.inner_margin();
    let left = reign.left(now);
    let share = left.as_secs_f64() / reign.lease.as_secs_f64().max(f64::MIN_POSITIVE);
    let (before, after) = match area.width {
        40.. => ("lease ", format!(" {:>6}", seconds_left(left))),
        _ => ("", String::new()),
    };
    let width = usize::from(area.width) - before.len() - after.len();
    let colour = frame.paint(match share {
        0.5.. => Color::Green,
        0.2.. => Color::Yellow,
        _ => Color::Red,
    });
    let halves = (share * 2.0 * width as f64).ceil() as usize;
    let (full, half) = (halves / 2, halves % 2);
    let bar = "━".repeat(full) + &"╸".repeat(half);
    let track = "─".repeat(width - full - half);
    Line::from(vec![
        before.into(),
        Span::styled(bar, colour),
        track.dim(),
        Span::styled(after, colour),
    ])
    .render(area, buf);
}

fn seconds_left(left: Duration) -> String {
    match left.as_secs() {
        0..60 => format!("{:.1} s", left.as_secs_f64()),
        _ => words::clock(left),
    }
}
