//! The picture: a panel for each measurement, a bar for each tool.

use std::fmt::Write;

pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) under: &'static str,
    pub(crate) scale: &'static str,
    pub(crate) bars: Vec<Bar>,
}

pub(crate) struct Bar {
    /// From 0 to 1.
    pub(crate) length: f64,
    pub(crate) text: String,
    pub(crate) look: Look,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Look {
    Plain,
    Ours,
    /// What nobody wants.
    Bad,
    /// No end was seen.
    Never,
}

impl Bar {
    pub(crate) fn new(length: f64, text: String, look: Look) -> Self {
        Self { length, text, look }
    }
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Ours => "ours",
            Self::Bad => "bad",
            Self::Never => "never",
        }
    }
}

const NAMES: usize = 210;
const PANEL: usize = 200;
const BAR: usize = 125;
const LINE: usize = 22;
const HEAD: usize = 66;
/// Panels side by side.
const ABREAST: usize = 4;

/// With a ground of its own, so that it reads on any page.
const STYLE: &str = "
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.small { font-size: 10px; fill: #59636e }
.name { text-anchor: end }
.ground { fill: #ffffff }
.plain { fill: #8c959f }
.ours { fill: #0969da }
.bad { fill: #cf222e }
.never { fill: none; stroke: #8c959f; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.small { fill: #9198a1 }
.ground { fill: #0d1117 }
.plain { fill: #6e7681 }
.ours { fill: #4493f8 }
.bad { fill: #f85149 }
}
";

pub(crate) fn draw(names: &[&str], columns: &[Column], note: &str) -> String {
    let band = HEAD + names.len() * LINE;
    let bands = columns.len().div_ceil(ABREAST);
    let (width, height) = (NAMES + ABREAST * PANEL, bands * band + 30);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>leader-demo run beside other ways to run one command at a time</title>\n\
         <style>{STYLE}</style>\n<rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n"
    );
    for (number, columns) in columns.chunks(ABREAST).enumerate() {
        let top = number * band;
        for (line, name) in names.iter().enumerate() {
            text(&mut svg, "name", NAMES - 12, baseline(top, line), name);
        }
        for (place, column) in columns.iter().enumerate() {
            panel(&mut svg, column, NAMES + place * PANEL, top);
        }
    }
    text(&mut svg, "small", 12, height - 10, note);
    svg + "</svg>\n"
}

fn panel(svg: &mut String, column: &Column, left: usize, top: usize) {
    text(svg, "title", left, top + 24, column.title);
    text(svg, "small", left, top + 38, column.under);
    text(svg, "small", left, top + 51, column.scale);
    for (line, bar) in column.bars.iter().enumerate() {
        let y = baseline(top, line);
        // What is next to nothing can still be seen.
        let wide = (bar.length * BAR as f64).max(1.5);
        let _ = writeln!(
            svg,
            "<rect class=\"{}\" x=\"{left}\" y=\"{}\" width=\"{wide:.1}\" height=\"14\" rx=\"2\"/>",
            bar.look.class(),
            y - 11
        );
        text(svg, "value", left + wide as usize + 6, y, &bar.text);
    }
}

fn baseline(top: usize, line: usize) -> usize {
    top + HEAD + line * LINE + 12
}

fn text(svg: &mut String, class: &str, x: usize, y: usize, text: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"
    );
}
