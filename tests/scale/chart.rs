//! The picture: three panels, all scales logarithmic.

use std::fmt::Write;
use std::time::Duration;

use super::measure::Row;
use super::{ROUND_TRIPS, SIZES};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 560.0;
const HIGH: f64 = 170.0;
const STEP: f64 = 250.0;

const STYLE: &str = "
  svg { color-scheme: light dark; background: #fff; font: 13px system-ui, sans-serif; }
  text { fill: #222; } .dim { fill: #666; } .grid { stroke: #ddd; }
  path { fill: none; stroke-width: 2; }
  .a { stroke: #0b62a8; } .b { stroke: #b3470b; } .c { stroke: #2c7a2c; }
  text.a, text.b, text.c { stroke: none; } text.a { fill: #0b62a8; } text.b { fill: #b3470b; } text.c { fill: #2c7a2c; }
  .trip0 { stroke-dasharray: 1 4; stroke-linecap: round; } .trip2 { stroke-dasharray: 8 4; }
  @media (prefers-color-scheme: dark) {
    svg { background: #16181c; } text { fill: #e6e6e6; } .dim { fill: #a0a0a0; } .grid { stroke: #3a3d44; }
    .a { stroke: #6db9f2; } .b { stroke: #f2a46d; } .c { stroke: #7fd07f; }
    text.a { fill: #6db9f2; } text.b { fill: #f2a46d; } text.c { fill: #7fd07f; }
  }
";

/// What one line shows of a row.
type Value = fn(&Row) -> f64;

struct Panel {
    title: &'static str,
    /// From which power of ten to which.
    decades: (i32, i32),
    unit: fn(i32) -> String,
    /// Colour, name, value.
    lines: &'static [(&'static str, &'static str, Value)],
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "Idle: calls per second, all nodes together",
        decades: (0, 4),
        unit: plain,
        lines: &[
            ("a", "looks at the lease, renewals", |row| row.idle.lease),
            ("b", "looks for requests", |row| row.idle.requests),
        ],
    },
    Panel {
        title: "Nobody leads for how long (median)",
        decades: (-5, 1),
        unit: seconds,
        lines: &[
            ("a", "killed on another machine", |row| gap(row, 0)),
            ("b", "killed, and the store tells", |row| gap(row, 1)),
            ("c", "stopped, lease given back", |row| gap(row, 2)),
        ],
    },
    Panel {
        title: "The burst: most calls in 10 ms",
        decades: (0, 4),
        unit: plain,
        lines: &[
            ("a", "killed on another machine", |row| burst(row, 0)),
            ("b", "killed, and the store tells", |row| burst(row, 1)),
            ("c", "stopped, lease given back", |row| burst(row, 2)),
        ],
    },
];

fn gap(row: &Row, end: usize) -> f64 {
    row.ends[end].median_gap.as_secs_f64()
}

fn burst(row: &Row, end: usize) -> f64 {
    row.ends[end].highest_burst as f64
}

fn plain(decade: i32) -> String {
    10_u32.pow(decade as u32).to_string()
}

fn seconds(decade: i32) -> String {
    format!("{:?}", Duration::from_secs_f64(10_f64.powi(decade)))
}

pub(crate) fn chart(rows: &[Row]) -> String {
    let height = 60.0 + STEP * PANELS.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"What one lock costs, for 1 to 1,000 candidates\">\n<style>{STYLE}</style>\n"
    );
    for (n, panel) in PANELS.iter().enumerate() {
        draw(&mut svg, panel, rows, 40.0 + STEP * n as f64);
    }
    let y = height - 20.0;
    let mut x = LEFT;
    for (n, trip) in ROUND_TRIPS.iter().enumerate() {
        let after = x + 40.0;
        let _ = writeln!(
            svg,
            "<path class=\"a trip{n}\" d=\"M{x} {}h34\"/><text x=\"{after}\" y=\"{y}\">round trip {trip:?}</text>",
            y - 4.0
        );
        x += 190.0;
    }
    svg + "</svg>\n"
}

fn draw(svg: &mut String, panel: &Panel, rows: &[Row], top: f64) {
    let bottom = top + HIGH;
    let (from, to) = panel.decades;
    let x = |candidates: usize| LEFT + (candidates as f64).log10() / 3.0 * (RIGHT - LEFT);
    let y = |value: f64| {
        let part = (value.log10() - f64::from(from)) / f64::from(to - from);
        bottom - part.clamp(0.0, 1.0) * HIGH
    };
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"600\">{}</text>",
        top - 12.0,
        panel.title
    );
    for decade in from..=to {
        let at = y(10_f64.powi(decade));
        let (text, below) = ((panel.unit)(decade), at + 4.0);
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{RIGHT}\"/><text class=\"dim\" x=\"{}\" y=\"{below:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT - 8.0
        );
    }
    for size in SIZES {
        let _ = writeln!(
            svg,
            "<text class=\"dim\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{size}</text>",
            x(size),
            bottom + 18.0
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"dim\" x=\"{}\" y=\"{}\">candidates</text>",
        RIGHT + 24.0,
        bottom + 18.0
    );
    for (n, (colour, name, value)) in panel.lines.iter().enumerate() {
        for (trip, round_trip) in ROUND_TRIPS.iter().enumerate() {
            let own = rows.iter().filter(|row| row.round_trip == *round_trip);
            let points: Vec<_> = own
                .map(|row| format!("{:.1} {:.1}", x(row.candidates), y(value(row))))
                .collect();
            let d = points.join("L");
            let _ = writeln!(svg, "<path class=\"{colour} trip{trip}\" d=\"M{d}\"/>");
        }
        let _ = writeln!(
            svg,
            "<text class=\"{colour}\" x=\"{}\" y=\"{}\">{name}</text>",
            RIGHT + 14.0,
            top + 14.0 + 20.0 * n as f64
        );
    }
}
