//! The keys, as a terminal sends them.

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    /// Ctrl+Z.
    Suspend,
    /// Ctrl+L: all of it, as somebody else has written there.
    Redraw,
    /// So many lines down, or up.
    Lines(isize),
    Pages(isize),
    Newest,
    Oldest,
}

/// The keys in what was read. The rest is no business of ours.
pub(super) fn keys(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        keys.extend(match *first {
            b'q' | b'Q' | CTRL_C => Some(Key::Quit),
            CTRL_Z => Some(Key::Suspend),
            CTRL_L => Some(Key::Redraw),
            ESCAPE => match rest {
                [b'[' | b'O', rest @ ..] => {
                    let digits = rest.iter().take_while(|b| matches!(b, b'0'..=b';'));
                    let (number, rest) = rest.split_at(digits.count());
                    bytes = rest.get(1..).unwrap_or_default();
                    named(number, rest.first())
                }
                _ => None,
            },
            _ => None,
        });
    }
    keys
}

const CTRL_C: u8 = 0x03;
const CTRL_L: u8 = 0x0c;
const CTRL_Z: u8 = 0x1a;
const ESCAPE: u8 = 0x1b;

/// `ESC [ A`, `ESC O A`, `ESC [ 5 ~` and their like.
fn named(number: &[u8], last: Option<&u8>) -> Option<Key> {
    Some(match (number, last?) {
        (_, b'A') => Key::Lines(-1),
        (_, b'B') => Key::Lines(1),
        (b"5", b'~') => Key::Pages(-1),
        (b"6", b'~') => Key::Pages(1),
        (_, b'H') | (b"1" | b"7", b'~') => Key::Newest,
        (_, b'F') | (b"4" | b"8", b'~') => Key::Oldest,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_key_as_the_usual_terminals_send_it() {
        let cases: [(&[u8], &[Key]); 9] = [
            (b"q", &[Key::Quit]),
            (b"\x03", &[Key::Quit]),
            (b"\x1a", &[Key::Suspend]),
            (b"\x1b[A\x1bOB", &[Key::Lines(-1), Key::Lines(1)]),
            (b"\x1b[5~\x1b[6~", &[Key::Pages(-1), Key::Pages(1)]),
            (b"\x1b[H\x1bOH\x1b[1~", &[Key::Newest; 3]),
            (b"\x1b[F\x1bOF\x1b[4~", &[Key::Oldest; 3]),
            (b"\x1b[1;5A", &[Key::Lines(-1)]),
            // A q inside a sequence, a lonely Escape, and words.
            (b"\x1b[2q\x1b\x1b[hello", &[]),
        ];
        for (bytes, expected) in cases {
            assert_eq!(keys(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_taken(bytes: Vec<u8>) {
            let _ = keys(&bytes);
        }
    }
}
