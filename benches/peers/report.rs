//! The table, and the page around it.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, Utc};
use leader_demo::clock;

use crate::chart::{Bar, Column, Look};
use crate::common::process::filesystem_of;
use crate::docs::Figures;
use crate::idle::Idle;
use crate::load::Load;
use crate::rounds::{BESIDE, Outcome};
use crate::server::Kind;
use crate::stores::Stores;
use crate::tool::Tool;

/// What was measured of one tool.
pub(crate) struct Row {
    pub(crate) tool: Tool,
    pub(crate) killed: Outcome,
    pub(crate) killed_alone: Outcome,
    pub(crate) stopped: Outcome,
    pub(crate) alone: Outcome,
    pub(crate) frozen: Outcome,
    pub(crate) idle: Idle,
}

pub(crate) struct Report {
    machine: Machine,
    rows: Vec<Row>,
    pub(crate) stores: Stores,
}

/// Where and when, as found before anything was measured.
pub(crate) struct Machine {
    date: String,
    about: String,
}

impl Machine {
    pub(crate) fn here(dir: &Path) -> Result<Self> {
        let asked = |script: &str| -> Result<String> {
            let output = Command::new("sh").args(["-c", script]).output()?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let now = DateTime::<Utc>::from(clock::wall_time());
        Ok(Self {
            date: now.format("%Y-%m-%d").to_string(),
            about: format!(
                "{} cores, Linux {}, load {} at the start, files on {}{}",
                std::thread::available_parallelism()?,
                asked("uname -r | cut -d. -f1,2")?,
                asked("cut -d' ' -f1 /proc/loadavg")?,
                filesystem_of(dir)?,
                if cfg!(debug_assertions) {
                    ", A DEBUG BUILD"
                } else {
                    ""
                }
            ),
        })
    }
}

const HEAD: [&str; 9] = [
    "",
    "`kill -9` of both",
    "`kill -9` of the wrapper",
    "SIGTERM to both",
    "SIGTERM to the wrapper",
    "frozen wrapper",
    "both commands run",
    "CPU",
    "memory",
];

impl Report {
    pub(crate) fn new(machine: Machine, rows: Vec<Row>, stores: Stores) -> Self {
        Self {
            machine,
            rows,
            stores,
        }
    }

    pub(crate) fn table(&self) -> String {
        let mut table = format!("| {} |\n|{}\n", HEAD.join(" | "), "---|".repeat(HEAD.len()));
        for row in &self.rows {
            let cells = [
                row.tool.name().to_owned(),
                cell(&row.killed),
                match row.killed_alone.both_ran() {
                    true => format!("{}; both commands run", cell(&row.killed_alone)),
                    false => cell(&row.killed_alone),
                },
                cell(&row.stopped),
                cell(&row.alone),
                cell(&row.frozen),
                beside(&row.frozen),
                percent(row.idle.percent),
                megabytes(row.idle.megabytes),
            ];
            let _ = writeln!(table, "| {} |", cells.join(" | "));
        }
        table
    }

    pub(crate) fn page(&self) -> Result<String> {
        let mut settings = String::new();
        for Row { tool, .. } in &self.rows {
            let (name, version, set) = (tool.name(), tool.version()?, tool.settings());
            writeln!(settings, " - **{name}** ({version}): {set}.")?;
        }
        Ok(format!(
            include_str!("page.md"),
            date = self.machine.date,
            machine = self.machine.about,
            table = self.table(),
            trips = self.stores.trips_table(),
            load = self.stores.load_table(),
            settings = settings,
        ))
    }

    /// For pages that somebody wrote: of lease files, etcd, Redis and PostgreSQL.
    pub(crate) fn figures(&self) -> Figures {
        let times = |of: fn(&Row) -> &Outcome| {
            let cells = PLACES.map(|place| {
                let (ours, own) = tools_of(place);
                let brief = |tool| {
                    self.row(tool)
                        .map_or_else(String::new, |row| median(of(row)))
                };
                format!("{}; `{}` {}", brief(ours), own.command(), brief(own))
            });
            cells.to_vec()
        };
        let load = PLACES.map(|place| {
            let Some(kind) = place else {
                return "none".to_owned();
            };
            let (ours, own) = tools_of(Some(kind));
            let each = |tool| {
                let load = self.stores.loads.iter().find(|load| load.tool == tool);
                load.map_or_else(String::new, Load::each_in_words)
            };
            format!("{}; `{}` {}", each(ours), own.command(), each(own))
        });
        let trips = PLACES.map(|place| {
            let trips = place.and_then(|kind| self.stores.trips_of(kind));
            trips.map_or_else(String::new, |trips| {
                let (took, promised) = (trips.handed.p50(), trips.promised());
                format!("{} of {}", brief(took), brief(promised))
            })
        });
        Figures::new(vec![
            (
                "SIGTERM, until the next command runs",
                times(|row| &row.stopped),
            ),
            (
                "`kill -9`, until the next command runs",
                times(|row| &row.killed),
            ),
            ("requests in 2 s of one that waits", load.to_vec()),
            (
                "`kill -9` of the wrapper alone",
                times(|row| &row.killed_alone),
            ),
            ("a hand-over, of two writes and a notice", trips.to_vec()),
            ("measured on", vec![self.machine.date.clone(); PLACES.len()]),
        ])
    }

    fn row(&self, tool: Tool) -> Option<&Row> {
        self.rows.iter().find(|row| row.tool == tool)
    }

    pub(crate) fn chart(&self) -> String {
        let times = |title, of: fn(&Row) -> &Outcome| Column {
            title,
            under: "until the next command's first line",
            scale: "0.1 ms to 100 s, logarithmic",
            bars: self.bars(|row| time_bar(of(row))),
        };
        let most = |of: fn(&Row) -> f64| self.rows.iter().map(of).fold(0.0, f64::max);
        let memory = most(|row| row.idle.megabytes);
        let columns = [
            times("kill -9 of both", |row| &row.killed),
            Column {
                title: "kill -9 of the wrapper",
                under: "red: both commands run",
                scale: "0.1 ms to 100 s, logarithmic",
                bars: self.bars(|row| {
                    let bar = time_bar(&row.killed_alone);
                    match row.killed_alone.both_ran() {
                        true => Bar::new(bar.length, bar.text, Look::Bad),
                        false => bar,
                    }
                }),
            },
            times("SIGTERM to both", |row| &row.stopped),
            times("SIGTERM to the wrapper", |row| &row.alone),
            times("frozen wrapper (SIGSTOP)", |row| &row.frozen),
            Column {
                title: "frozen: both commands run",
                under: "looked at for 10 s",
                scale: "0 to 10 s",
                bars: self.bars(beside_bar),
            },
            Column {
                title: "waiting: CPU",
                under: "of one core, client only",
                scale: "0.001 to 10 %, logarithmic",
                bars: self.bars(|row| {
                    let length = (row.idle.percent.max(1e-3).log10() + 3.0) / 4.0;
                    Bar::new(length, percent(row.idle.percent), Look::Plain)
                }),
            },
            Column {
                title: "waiting: memory",
                under: "PSS, client only",
                scale: "linear",
                bars: self.bars(|row| {
                    let text = megabytes(row.idle.megabytes);
                    Bar::new(row.idle.megabytes / memory, text, Look::Plain)
                }),
            },
        ];
        let names: Vec<&str> = self.rows.iter().map(|row| row.tool.name()).collect();
        let note = format!(
            "Both: wrapper and command. Medians. {}: {}.",
            self.machine.date, self.machine.about
        );
        crate::chart::draw(&names, &columns, &note)
    }

    /// Ours stands out where nothing else is to be said.
    fn bars(&self, bar: impl Fn(&Row) -> Bar) -> Vec<Bar> {
        let ours = |row: &Row| match (row.tool, bar(row)) {
            (
                tool,
                Bar {
                    look: Look::Plain,
                    length,
                    text,
                },
            ) if tool.is_ours() => Bar::new(length, text, Look::Ours),
            (_, other) => other,
        };
        self.rows.iter().map(ours).collect()
    }
}

/// Where ours keeps its lease: in files, or on one of these.
const PLACES: [Option<Kind>; 4] = [
    None,
    Some(Kind::Etcd),
    Some(Kind::Redis),
    Some(Kind::Postgres),
];

fn tools_of(place: Option<Kind>) -> (Tool, Tool) {
    match place {
        None => (Tool::Ours, Tool::Flock),
        Some(kind) => (Tool::OursOn(kind), Tool::own_of(kind)),
    }
}

fn median(outcome: &Outcome) -> String {
    match outcome.took.len() {
        0 => "never".to_owned(),
        _ => brief(outcome.took.p50()),
    }
}

/// Median, spread and number, and whether the last one waited in vain.
fn cell(outcome: &Outcome) -> String {
    let took = &outcome.took;
    let mut text = match took.len() {
        0 => String::new(),
        1 => format!("**{}** (once)", brief(took.p50())),
        n => {
            let (least, most) = (brief(took.percentile(0)), brief(took.percentile(100)));
            format!("**{}** ({least} .. {most}, n={n})", brief(took.p50()))
        }
    };
    if let Some(waited) = outcome.in_vain {
        let waited = waited.as_secs();
        let _ = match took.len() {
            0 => write!(text, "**never** (looked for {waited} s)"),
            _ => write!(text, "; once not within {waited} s"),
        };
    }
    text
}

fn beside(frozen: &Outcome) -> String {
    if frozen.beside.len() == 0 {
        return "no: nobody follows".to_owned();
    }
    match frozen.beside.p50() {
        Duration::ZERO if frozen.beside.percentile(100).is_zero() => "**no**".to_owned(),
        time if is_endless(time) => "**yes**, until somebody sees to it".to_owned(),
        time => format!("**for {}**", brief(time)),
    }
}

/// As long as we looked, but for the time between the last two lines.
fn is_endless(beside: Duration) -> bool {
    beside + Duration::from_millis(100) >= BESIDE
}

fn time_bar(outcome: &Outcome) -> Bar {
    if outcome.took.len() == 0 {
        return Bar::new(1.0, "never".to_owned(), Look::Never);
    }
    let median = outcome.took.p50();
    let decades = (median.as_secs_f64() / 1e-4).max(1.0).log10();
    Bar::new(decades / 6.0, brief(median), Look::Plain)
}

fn beside_bar(row: &Row) -> Bar {
    let beside = &row.frozen.beside;
    if beside.len() == 0 {
        return Bar::new(0.0, "none: nobody follows".to_owned(), Look::Plain);
    }
    let time = beside.p50();
    let (text, look) = match () {
        () if beside.percentile(100).is_zero() => ("none".to_owned(), Look::Plain),
        () if is_endless(time) => ("endless".to_owned(), Look::Bad),
        () => (brief(time), Look::Bad),
    };
    Bar::new(time.div_duration_f64(BESIDE).min(1.0), text, look)
}

/// Two digits, and a unit.
pub(crate) fn brief(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    match millis {
        ..10.0 => format!("{millis:.1} ms"),
        ..1000.0 => format!("{millis:.0} ms"),
        ..10000.0 => format!("{:.1} s", millis / 1e3),
        _ => format!("{:.0} s", millis / 1e3),
    }
}

fn percent(share: f64) -> String {
    format!("{share:.3} %")
}

fn megabytes(memory: f64) -> String {
    format!("{memory:.1} MB")
}
