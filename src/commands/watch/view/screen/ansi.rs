//! Cells as the bytes that a terminal draws them for.

use std::fmt::Write;

use ratatui_core::buffer::Cell;
use ratatui_core::style::{Color, Modifier};

/// Writes these cells, each at its place.
pub(super) fn write(bytes: &mut Vec<u8>, cells: &[(u16, u16, &Cell)]) {
    let mut text = String::new();
    let mut pen = None;
    let mut cursor = None;
    for (x, y, cell) in cells {
        if cursor != Some((*x, *y)) {
            let _ = write!(text, "\x1b[{};{}H", y + 1, x + 1);
        }
        // All that is drawn is one column wide.
        cursor = Some((x + 1, *y));
        let style = (cell.fg, cell.modifier);
        if pen.replace(style) != Some(style) {
            text.push_str(&pen_of(cell));
        }
        text.push_str(cell.symbol());
    }
    if pen.is_some() {
        text.push_str("\x1b[0m");
    }
    bytes.extend(text.bytes());
}

/// `ESC [ 0 ; .. m`: what was set before is forgotten.
fn pen_of(cell: &Cell) -> String {
    let mut pen = "\x1b[0".to_owned();
    for (modifier, code) in [
        (Modifier::BOLD, ";1"),
        (Modifier::DIM, ";2"),
        (Modifier::REVERSED, ";7"),
    ] {
        if cell.modifier.contains(modifier) {
            pen.push_str(code);
        }
    }
    pen.push_str(match cell.fg {
        Color::Red => ";31",
        Color::Green => ";32",
        Color::Yellow => ";33",
        Color::Blue => ";34",
        Color::Magenta => ";35",
        Color::Cyan => ";36",
        _ => "",
    });
    pen.push('m');
    pen
}

#[cfg(test)]
mod tests {
    use ratatui_core::buffer::Buffer;
    use ratatui_core::layout::Rect;
    use ratatui_core::style::Style;

    use super::*;

    #[test]
    fn only_what_has_changed_is_written() {
        let area = Rect::new(0, 0, 8, 2);
        let (mut before, mut after) = (Buffer::empty(area), Buffer::empty(area));
        before.set_string(0, 0, "abcd", Style::new());
        after.set_string(0, 0, "abXY", Style::new());
        after.set_style(Rect::new(2, 0, 2, 1), Style::new().red().bold());
        after.set_string(6, 1, "█", Style::new());
        let mut bytes = Vec::new();
        write(&mut bytes, &before.diff(&after));
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "\x1b[1;3H\x1b[0;1;31mXY\x1b[2;7H\x1b[0m█\x1b[0m");
    }
}
