//! Who led when: a line for each leadership, the newest first.

use leader_demo::clock::BootTime;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style, Stylize};
use ratatui_core::text::{Line, Span};
use ratatui_core::widgets::Widget;

use super::{Frame, Margin, Rest};
use crate::commands::watch::view::timeline::{End, Reign, Timeline};
use crate::commands::watch::view::words;

/// Which lines are seen.
#[derive(Debug, Default)]
pub(in crate::commands::watch::view) struct Scroll {
    /// How many newer ones are above.
    above: usize,
    /// How many fit.
    page: usize,
    /// How many there are.
    all: usize,
}

impl Scroll {
    pub(in crate::commands::watch::view) fn by_lines(&mut self, lines: isize) {
        self.above = self.above.saturating_add_signed(lines);
        self.clamp();
    }

    pub(in crate::commands::watch::view) fn by_pages(&mut self, pages: isize) {
        self.by_lines(pages * self.page.saturating_sub(1).max(1) as isize);
    }

    pub(in crate::commands::watch::view) fn newest(&mut self) {
        self.above = 0;
    }

    pub(in crate::commands::watch::view) fn oldest(&mut self) {
        self.above = self.all;
        self.clamp();
    }

    fn fit(&mut self, page: usize, all: usize) {
        // Who reads about the past is not disturbed by the present.
        if self.above > 0 {
            self.above += all.saturating_sub(self.all);
        }
        (self.page, self.all) = (page, all);
        self.clamp();
    }

    fn clamp(&mut self) {
        self.above = self.above.min(self.all.saturating_sub(self.page));
    }

    fn below(&self) -> usize {
        self.all.saturating_sub(self.above + self.page)
    }
}

pub(super) fn draw(
    frame: &Frame<'_>,
    timeline: &Timeline,
    scroll: &mut Scroll,
    now: BootTime,
    area: Rect,
    buf: &mut Buffer,
) {
    let mut rest = Rest::of(area.inner_margin());
    let columns = Columns::for_width(rest.0.width, timeline);
    let heads = if area.height >= 3 {
        rest.top(1)
    } else {
        rest.top(0)
    };
    scroll.fit(rest.0.height.into(), timeline.reigns().len());
    columns.heads(scroll, heads, buf);
    let seen = timeline.reigns().skip(scroll.above);
    for (row, reign) in rest.0.rows().zip(seen) {
        columns.line(frame, reign, now).render(row, buf);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Mark,
    Since,
    Node,
    Term,
    Gap,
    How,
    Led,
    Ended,
}

/// As they are shown, with their heads.
const COLUMNS: [(Column, &str); 8] = [
    (Column::Mark, ""),
    (Column::Since, "since"),
    (Column::Node, "leader"),
    (Column::Term, "term"),
    (Column::Gap, "gap"),
    (Column::How, "how it began"),
    (Column::Led, "led for"),
    (Column::Ended, "and then"),
];

/// The important ones first.
const WANTED: [Column; 8] = [
    Column::Node,
    Column::Term,
    Column::Gap,
    Column::Since,
    Column::Led,
    Column::Ended,
    Column::How,
    Column::Mark,
];

const BETWEEN: usize = 2;

/// Those that there is room for.
struct Columns {
    shown: Vec<(Column, &'static str)>,
    node: usize,
    term: usize,
}

impl Columns {
    fn for_width(width: u16, timeline: &Timeline) -> Self {
        let width = usize::from(width);
        let nodes = timeline.reigns().map(|reign| reign.leader.node_id.as_str());
        let node = nodes.map(str::len).max().unwrap_or(0).max("leader".len());
        let terms = timeline.reigns().map(|reign| reign.term).max();
        let mut columns = Self {
            shown: Vec::new(),
            node: node.min((width / 3).max("leader".len())),
            term: terms.map_or(0, |term| term.to_string().len()).max(5),
        };
        let mut used = 0;
        for column in WANTED {
            let needs = columns.width_of(column) + BETWEEN;
            if used + needs > width + BETWEEN {
                break;
            }
            used += needs;
            columns
                .shown
                .extend(COLUMNS.iter().find(|(known, _)| *known == column));
        }
        let place = |column: &(Column, _)| COLUMNS.iter().position(|known| known == column);
        columns.shown.sort_by_key(place);
        columns
    }

    fn width_of(&self, column: Column) -> usize {
        match column {
            Column::Mark => 1,
            Column::Since => 8,
            Column::Node => self.node,
            Column::Term => self.term,
            Column::Gap => 7,
            Column::How => 13,
            Column::Led => 7,
            Column::Ended => 11,
        }
    }

    fn heads(&self, scroll: &Scroll, area: Rect, buf: &mut Buffer) {
        let heads = self
            .shown
            .iter()
            .flat_map(|(column, head)| self.cell(*column, (*head).to_owned(), Style::new().dim()));
        Line::from_iter(heads).render(area, buf);
        let (above, below) = (scroll.above, scroll.below());
        let hidden: Vec<_> = [('↑', above), ('↓', below)]
            .into_iter()
            .filter(|(_, lines)| *lines > 0)
            .map(|(arrow, lines)| format!("{arrow}{lines}"))
            .collect();
        Line::from(hidden.join(" ").dim())
            .right_aligned()
            .render(area, buf);
    }

    fn line(&self, frame: &Frame<'_>, reign: &Reign, now: BootTime) -> Line<'static> {
        let node = frame.node(reign);
        let current = reign.ended.is_none();
        let cells = self.shown.iter().flat_map(|(column, _)| {
            let (text, style) = match column {
                Column::Mark => ((if current { "●" } else { "○" }).into(), node),
                Column::Since => (reign.began.time.format("%T").to_string(), Style::new()),
                Column::Node => (reign.leader.node_id.to_string(), node),
                Column::Term => (reign.term.to_string(), Style::new()),
                Column::Gap => gap(frame, reign),
                Column::How => (words::beginning(reign.beginning).into(), Style::new().dim()),
                Column::Led => (led(reign, now), Style::new()),
                Column::Ended => match reign.ended {
                    Some((how, _)) => (words::end(how).into(), Style::new().dim()),
                    None => ("leads".into(), node),
                },
            };
            let dim = style.add_modifier.contains(Modifier::DIM);
            let style = if current && !dim { style.bold() } else { style };
            self.cell(*column, text, style)
        });
        cells.collect()
    }

    fn cell(&self, column: Column, text: String, style: Style) -> [Span<'static>; 2] {
        let width = self.width_of(column);
        let text = match column {
            Column::Mark => text,
            // Numbers by their ends, words by their beginnings.
            Column::Term | Column::Gap | Column::Led => format!("{text:>width$}"),
            _ => format!("{text:<width$.width$}"),
        };
        [Span::styled(text, style), " ".repeat(BETWEEN).into()]
    }
}

/// What nobody notices is green; what took a lease is not.
fn gap(frame: &Frame<'_>, reign: &Reign) -> (String, Style) {
    let Some(gap) = reign.gap else {
        return ("-".into(), Style::new().dim());
    };
    let colour = if gap.as_millis() < 1000 {
        Color::Green
    } else {
        Color::Red
    };
    (words::measured(gap), frame.paint(colour))
}

fn led(reign: &Reign, now: BootTime) -> String {
    match reign.ended {
        // Nothing was heard of it again: it led for longer than no time.
        Some((End::Expired | End::Replaced, at)) if at == reign.began.at => "-".into(),
        Some(_) => words::measured(reign.led_for(now)),
        None => words::clock(reign.led_for(now)),
    }
}
