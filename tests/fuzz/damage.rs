//! Ways to damage an input, chosen by a seed.

/// What parsers stumble over.
const TOKENS: &[&[u8]] = &[
    b"0",
    b"1",
    b"-1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"9007199254740992",
    b"1e308",
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"\x1b[2J",
    b"\xff\xfe",
    "\u{202e}".as_bytes(),
    b"{",
    b"}",
    b"[[[[",
    b"null",
    b"..",
    b"/",
    b"%00",
    b"&",
    b"=",
    b" ",
    b"ms",
    b"y",
];

/// No input grows longer: what reads it stops before that.
const LONGEST: usize = 8192;

pub struct Damage(u64);

impl Damage {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of these, damaged.
    pub fn one_of(&mut self, seeds: &[&[u8]]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].to_vec();
        for _ in 0..=self.below(4) {
            self.damage(&mut input, seeds);
        }
        input.truncate(LONGEST);
        input
    }

    fn damage(&mut self, input: &mut Vec<u8>, seeds: &[&[u8]]) {
        let (from, to) = self.range(input.len());
        match self.below(7) {
            0 if from < input.len() => input[from] ^= 1 << self.below(8),
            1 if from < input.len() => input[from] = self.next() as u8,
            2 => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(from..to, token.iter().copied());
            }
            3 => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(from..from, token.iter().copied());
            }
            4 => drop(input.drain(from..to)),
            5 => {
                let again = input[from..to].repeat(1 + self.below(40));
                input.splice(from..from, again);
            }
            _ => {
                let other = seeds[self.below(seeds.len())];
                let (start, end) = self.range(other.len());
                input.splice(from..to, other[start..end].iter().copied());
            }
        }
    }

    fn range(&mut self, len: usize) -> (usize, usize) {
        let (a, b) = (self.below(len + 1), self.below(len + 1));
        (a.min(b), a.max(b))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
