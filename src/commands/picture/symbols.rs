//! A shape for each fault, so that it is told apart without colours.

/// Kind, what it says in the legend, and the path in a box from -6 to 6.
const SHAPES: [(&str, &str, &str); 34] = [
    (
        super::BREACH,
        "a rule broken",
        "M0-8L8 0L0 8L-8 0ZM0-4V1M0 3.5V4",
    ),
    ("kill", "kill -9", "M-5-5L5 5M5-5L-5 5"),
    ("term", "SIGTERM", "M-5-4H5L0 5Z"),
    ("stop", "frozen", "M-3-5V5M3-5V5"),
    ("cont", "goes on", "M-4-5L5 0L-4 5Z"),
    ("start", "started", "M-5 4H5L0-5Z"),
    ("partition", "cut off", "M-6 0H-2M2 0H6M-2-5V5M2-5V5"),
    ("heal", "connected again", "M-6 0H6M0-4V4"),
    (
        "sleep",
        "the machine sleeps",
        "M2-6A6 6 0 1 0 6 3A5 5 0 0 1 2-6Z",
    ),
    (
        "wake",
        "it wakes",
        "M-6 3H6M-3 3A3 3 0 0 1 3 3M0-5V-3M-5-2L-4-1M5-2L4-1",
    ),
    (
        "unreachable",
        "the store cut off",
        "M-5-4H5V4H-5ZM-5-4L5 4M5-4L-5 4",
    ),
    ("reachable", "the store is back", "M-5-4H5V4H-5Z"),
    ("resign", "asked to resign", "M0-6V5M-4 1L0 5L4 1"),
    (
        "hand_over",
        "asked to hand over",
        "M-5-4L0 0L-5 4M0-4L5 0L0 4",
    ),
    (
        "late_write",
        "a late write lands",
        "M0-6V4M-3 1L0 4L3 1M-5 6H5",
    ),
    (
        "lost_replies",
        "answers are lost",
        "M5 0H-5M-2-3L-5 0L-2 3M2-5V5",
    ),
    ("late_writes", "writes are late", "M-4-6H4L-4 6H4Z"),
    (
        "conflicts",
        "false conflicts",
        "M-5-5L-1 0L-5 5M5-5L1 0L5 5",
    ),
    ("errors", "the store fails at times", "M0-6V1M0 4V5"),
    ("slow", "the store is slow", "M-6 0Q-3-6 0 0T6 0"),
    ("lost_replies_over", "answers arrive again", OVER),
    ("late_writes_over", "writes are in time again", OVER),
    ("conflicts_over", "no more conflicts", OVER),
    ("errors_over", "no more failures", OVER),
    ("slow_over", "the store is quick again", OVER),
    ("disk_full", "disk full", "M-5-5H5V5H-5ZM-5 1H5M-5-2H5"),
    ("disk_free", "room on the disk", "M-5-5H5V5H-5Z"),
    ("read_only", "read-only", "M0-6L6 0L0 6L-6 0ZM-3 0H3"),
    ("writable", "writable again", "M0-6L6 0L0 6L-6 0Z"),
    (
        "removed",
        "lock directory removed",
        "M-5-3H5M-4-3L-3 5H3L4-3M-2-6H2",
    ),
    ("garbage", "garbage", "M0-6V6M-5-3L5 3M5-3L-5 3"),
    (
        "stranger",
        "a stranger's file",
        "M-3-3Q-3-6 0-6Q3-6 3-3Q3-1 0 1V2M0 5V6",
    ),
    (
        "clock",
        "wall clock set",
        "M-6 0A6 6 0 1 1 6 0A6 6 0 1 1-6 0M0-4V0H3",
    ),
    ("other", "other", "M-4 0A4 4 0 1 1 4 0A4 4 0 1 1-4 0Z"),
];

/// A disturbance has ended.
const OVER: &str = "M-3 0A3 3 0 1 1 3 0A3 3 0 1 1-3 0Z";

fn known(kind: &str) -> Option<&'static (&'static str, &'static str, &'static str)> {
    SHAPES.iter().find(|(name, ..)| *name == kind)
}

/// To be referred to by [`shape`] from all over the page.
pub(super) fn define(page: &mut String) {
    page.push_str("<svg class=\"defs\" aria-hidden=\"true\"><defs>");
    page.push_str(
        "<pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect class=\"hatch\" width=\"2\" height=\"5\"/></pattern>",
    );
    for (name, _, path) in SHAPES {
        page.push_str(&format!("<path id=\"f-{name}\" d=\"{path}\"/>"));
    }
    page.push_str("</defs></svg>\n");
}

/// Where it stands in the legend: the harm to nodes first, unknown ones last.
pub(super) fn place(kind: &str) -> usize {
    let place = SHAPES.iter().position(|(name, ..)| *name == kind);
    place.unwrap_or(SHAPES.len())
}

pub(super) fn shape(kind: &str) -> &'static str {
    known(kind).map_or("other", |(name, ..)| name)
}

pub(crate) fn words(kind: &str) -> String {
    known(kind).map_or_else(|| kind.replace('_', " "), |(_, words, _)| (*words).into())
}

/// In a line of text; nothing for what is no fault.
pub(super) fn inline(kind: &str) -> String {
    match known(kind) {
        Some((name, ..)) => format!(
            "<svg class=\"mark\" viewBox=\"-8 -8 16 16\" aria-hidden=\"true\"><use href=\"#f-{name}\"/></svg>"
        ),
        None => String::new(),
    }
}
