//! The picture of an election: one page that needs nothing else, a lane for
//! each node, drawn from plain data, whoever has it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use leader_demo::clock;

use crate::cli::make_visible;

mod spread;
mod strip;
mod symbols;

pub(crate) use symbols::words;

/// Of a mark: here a rule was broken.
pub(crate) const BREACH: &str = "breach";

/// All that is on the page. Times are in nanoseconds of one clock.
pub(crate) struct Picture {
    pub(crate) title: String,
    pub(crate) sound: bool,
    pub(crate) verdict: String,
    pub(crate) breaches: Vec<String>,
    /// Names and values.
    pub(crate) facts: Vec<(&'static str, String)>,
    /// The command that does it again.
    pub(crate) replay: Option<String>,
    pub(crate) remarks: Vec<String>,
    pub(crate) table: Vec<Row>,
    pub(crate) charts: Vec<Chart>,
}

/// Failovers after one kind of fault.
pub(crate) struct Row {
    pub(crate) after: String,
    pub(crate) count: usize,
    pub(crate) p50: String,
    pub(crate) p99: String,
    pub(crate) worst: String,
    pub(crate) at_most: String,
    pub(crate) spread: Spread,
}

/// What is drawn of them, in nanoseconds: nothing if it is empty.
#[derive(Default)]
pub(crate) struct Spread {
    pub(crate) took: Vec<u64>,
    pub(crate) at_most: Option<u64>,
}

/// One election.
pub(crate) struct Chart {
    pub(crate) name: String,
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) gaps: Vec<Gap>,
}

/// One node, or all of them and the store.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) name: String,
    /// From, until.
    pub(crate) alive: Vec<(u64, u64)>,
    pub(crate) frozen: Vec<(u64, u64)>,
    pub(crate) spans: Vec<Span>,
    pub(crate) marks: Vec<Mark>,
}

/// A leadership.
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) term: u64,
}

/// A fault; or of the kind [`BREACH`], with the text of one of the breaches, which
/// then leads there.
pub(crate) struct Mark {
    pub(crate) at: u64,
    pub(crate) kind: String,
    pub(crate) text: String,
}

/// Nobody led.
pub(crate) struct Gap {
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) after: String,
}

impl Picture {
    /// The page. It is XML too, so that it can be checked for being well-formed.
    pub(crate) fn page(&self) -> String {
        let mut page = String::new();
        self.write(&mut page)
            .expect("a string takes all that is written");
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        let title = escape(&self.title);
        write!(
            page,
            "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head>\
             <meta charset=\"utf-8\"/><title>{title}</title>\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\
             <meta name=\"color-scheme\" content=\"light dark\"/>\n<style>{}</style></head>\n<body>\n\
             <h1>{title}</h1>\n",
            include_str!("picture/style.css")
        )?;
        let class = if self.sound { "sound" } else { "broken" };
        writeln!(
            page,
            "<p class=\"verdict {class}\">{}</p>",
            escape(&self.verdict)
        )?;
        self.breaches(page)?;
        self.facts(page)?;
        self.table(page)?;
        list(page, "remarks", &self.remarks)?;
        self.legend(page)?;
        self.elections(page)?;
        for (i, chart) in self.charts.iter().enumerate() {
            writeln!(page, "<h2 id=\"election-{i}\">{}</h2>", escape(&chart.name))?;
            strip::draw(page, chart, self.charts.len(), &self.breaches)?;
        }
        page.push_str("</body></html>\n");
        Ok(())
    }

    /// Each leads to its mark, if there is one.
    fn breaches(&self, page: &mut String) -> std::fmt::Result {
        if self.breaches.is_empty() {
            return Ok(());
        }
        let marked: BTreeSet<&str> = self.marks().map(|mark| &*mark.text).collect();
        page.push_str("<ul class=\"breaches\">");
        for (i, breach) in self.breaches.iter().enumerate() {
            let text = escape(breach);
            match marked.contains(&**breach) {
                true => write!(page, "<li><a href=\"#breach-{i}\">{text}</a></li>")?,
                false => write!(page, "<li>{text}</li>")?,
            }
        }
        page.push_str("</ul>\n");
        Ok(())
    }

    fn marks(&self) -> impl Iterator<Item = &Mark> {
        let lanes = self.charts.iter().flat_map(|chart| &chart.lanes);
        lanes.flat_map(|lane| &lane.marks)
    }

    /// Where to find each, if there are several.
    fn elections(&self, page: &mut String) -> std::fmt::Result {
        if self.charts.len() < 2 {
            return Ok(());
        }
        page.push_str("<nav>");
        for (i, chart) in self.charts.iter().enumerate() {
            write!(
                page,
                "<a href=\"#election-{i}\">{}</a> ",
                escape(&chart.name)
            )?;
        }
        page.push_str("</nav>\n");
        Ok(())
    }

    fn facts(&self, page: &mut String) -> std::fmt::Result {
        page.push_str("<dl>");
        for (name, value) in &self.facts {
            let value = escape(value);
            write!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
        }
        let made = DateTime::<Utc>::from(clock::wall_time());
        let made = made.to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(page, "<div><dt>page made</dt><dd>{made}</dd></div>")?;
        if let Some(replay) = &self.replay {
            let replay = escape(replay);
            write!(
                page,
                "<div class=\"wide\"><dt>again</dt><dd><code>{replay}</code></dd></div>"
            )?;
        }
        page.push_str("</dl>\n");
        Ok(())
    }

    fn table(&self, page: &mut String) -> std::fmt::Result {
        if self.table.is_empty() {
            return Ok(());
        }
        page.push_str(
            "<table><caption>From what ended a leadership to the next leader</caption>\
             <thead><tr><th>after</th><th>count</th><th>p50</th><th>p99</th><th>worst</th>\
             <th><i class=\"limit\"></i>at most</th><th class=\"spread\">",
        );
        let axis = spread::Axis::of(&self.table);
        axis.head(page)?;
        page.push_str("</th></tr></thead><tbody>\n");
        for row in &self.table {
            let after = escape(&symbols::words(&row.after));
            let symbol = symbols::inline(&row.after);
            let times = [&row.p50, &row.p99, &row.worst, &row.at_most];
            let [p50, p99, worst, at_most] = times.map(|time| escape(time));
            write!(
                page,
                "<tr><td>{symbol}{after}</td><td>{}</td>\
                 <td>{p50}</td><td>{p99}</td><td>{worst}</td><td>{at_most}</td><td class=\"spread\">",
                row.count
            )?;
            axis.row(page, row)?;
            page.push_str("</td></tr>\n");
        }
        page.push_str("</tbody></table>\n");
        Ok(())
    }

    /// What the shapes mean, of those that are there.
    fn legend(&self, page: &mut String) -> std::fmt::Result {
        symbols::define(page);
        page.push_str(
            "<ul class=\"legend\"><li><i class=\"leads\">7</i>leads, with its term</li>\
             <li><i class=\"alive\"></i>runs</li><li><i class=\"frozen\"></i>frozen or cut off</li>\
             <li><i class=\"gap\"></i>nobody leads</li>",
        );
        let mut kinds: Vec<_> = self.marks().map(|mark| mark.kind.as_str()).collect();
        kinds.sort_by_key(|kind| (symbols::place(kind), *kind));
        kinds.dedup();
        for kind in kinds {
            let name = escape(&symbols::words(kind));
            write!(
                page,
                "<li>{}{name}</li>",
                symbols::inline(symbols::shape(kind))
            )?;
        }
        page.push_str("</ul>\n");
        Ok(())
    }
}

fn list(page: &mut String, class: &str, items: &[String]) -> std::fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    write!(page, "<ul class=\"{class}\">")?;
    for item in items {
        write!(page, "<li>{}</li>", escape(item))?;
    }
    page.push_str("</ul>\n");
    Ok(())
}

/// Text from a log as text on a page.
fn escape(text: &str) -> String {
    let text = make_visible(text);
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has none of these.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
