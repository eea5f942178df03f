//! Large letters, from what terminals have: blocks.

use std::iter::repeat_n;

/// How large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Three rows: two dots share a cell, one above the other.
    Three,
    /// Six rows: a dot is as wide as two cells.
    Six,
}

/// Dots of a letter, across and down.
const ACROSS: usize = 3;
const DOWN: usize = 6;

impl Size {
    pub(super) fn rows(self) -> usize {
        match self {
            Self::Three => DOWN / 2,
            Self::Six => DOWN,
        }
    }

    pub(super) fn columns(self, text: &str) -> usize {
        let letters = text.chars().count();
        (letters * (ACROSS + 1)).saturating_sub(1) * self.stretch()
    }

    fn stretch(self) -> usize {
        match self {
            Self::Three => 1,
            Self::Six => 2,
        }
    }
}

/// The rows of `text`, from the top.
pub(super) fn rows(text: &str, size: Size) -> Vec<String> {
    let dots = |row: usize| -> Vec<bool> {
        let letters = text.chars().map(|c| shape(c) >> (3 * (DOWN - 1 - row)));
        letters
            .flat_map(|dots| [dots & 4, dots & 2, dots & 1, 0])
            .map(|dot| dot != 0)
            .collect()
    };
    let cells = |row: usize| -> String {
        match size {
            Size::Three => {
                let pairs = dots(2 * row).into_iter().zip(dots(2 * row + 1));
                pairs.map(|(upper, lower)| half(upper, lower)).collect()
            }
            Size::Six => {
                let wide = |dot| repeat_n(if dot { '█' } else { ' ' }, size.stretch());
                dots(row).into_iter().flat_map(wide).collect()
            }
        }
    };
    let all = (0..size.rows()).map(cells);
    all.map(|row| row.trim_end().to_owned()).collect()
}

fn half(upper: bool, lower: bool) -> char {
    match (upper, lower) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

/// Six rows of three dots, an octal digit each; the last is below the line.
fn shape(letter: char) -> u32 {
    match letter {
        'a'..='z' => LOWER[letter as usize - 'a' as usize],
        'A'..='Z' => UPPER[letter as usize - 'A' as usize],
        '0'..='9' => DIGITS[letter as usize - '0' as usize],
        '-' => 0o007000,
        '_' => 0o000007,
        '.' => 0o000020,
        _ => 0,
    }
}

#[rustfmt::skip]
const LOWER: [u32; 26] = [
    0o063530, 0o465560, 0o034430, 0o135530, 0o027430, 0o127220, 0o035316, // a to g
    0o465550, 0o202220, 0o101152, 0o456650, 0o222210, 0o077550, 0o065550, // h to n
    0o025520, 0o065564, 0o035531, 0o056440, 0o036360, 0o272210, 0o055530, // o to u
    0o055520, 0o055770, 0o052250, 0o055316, 0o073670, // v to z
];

#[rustfmt::skip]
const UPPER: [u32; 26] = [
    0o257550, 0o656560, 0o344430, 0o655560, 0o746470, 0o746440, 0o345530, // A to G
    0o557550, 0o722270, 0o111520, 0o556550, 0o444470, 0o577550, 0o655550, // H to N
    0o255520, 0o656440, 0o255730, 0o656550, 0o342160, 0o722220, 0o555570, // O to U
    0o555520, 0o557750, 0o552550, 0o552220, 0o712470, // V to Z
];

#[rustfmt::skip]
const DIGITS: [u32; 10] = [
    0o755570, 0o262270, 0o612470, 0o612160, 0o557110,
    0o746160, 0o347570, 0o712220, 0o757570, 0o757160,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_three_rows_and_in_six() {
        let drawn = rows("node-1", Size::Three).join("\n");
        let expected = "
▄▄   ▄   ▄█  ▄      ▄█
█ █ █ █ █ █ █▀▀ ▀▀▀  █
▀ ▀  ▀   ▀▀  ▀▀     ▀▀▀";
        assert_eq!(format!("\n{drawn}"), expected, "\n{drawn}");
        let large = rows("I", Size::Six).join("\n");
        assert_eq!(large, "██████\n  ██\n  ██\n  ██\n██████\n");
        assert_eq!(Size::Three.columns("node-1"), 23);
        assert_eq!(Size::Six.columns("I"), 6);
    }

    #[test]
    fn whatever_may_be_in_a_name_has_a_shape_of_its_own() {
        let allowed = ('a'..='z').chain('A'..='Z').chain('0'..='9');
        let mut shapes: Vec<_> = allowed.chain(['-', '_', '.']).map(shape).collect();
        let all = shapes.len();
        assert!(shapes.iter().all(|shape| *shape != 0));
        shapes.sort_unstable();
        shapes.dedup();
        assert_eq!(shapes.len(), all);
    }
}
