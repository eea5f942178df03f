//! A deck of cards: each is played again and again, in no order, and none is
//! forgotten. One seed stands for all of it.

use std::time::Duration;

/// Cards that go back into the lower half once they have been played.
pub struct Deck<T> {
    cards: Vec<T>,
    /// Which part of it is the first that this node plays.
    dice: Dice,
}

impl<T: Copy> Deck<T> {
    /// The same for all nodes, but each begins elsewhere, so that together they
    /// have soon been through all of it.
    pub fn shuffled(mut cards: Vec<T>, seed: u64, node: u64, nodes: u64) -> Self {
        let mut dice = Dice::new(seed, u64::MAX);
        for i in (1..cards.len()).rev() {
            cards.swap(i, dice.below(i as u64 + 1) as usize);
        }
        let first = cards.len() as u64 * node / nodes;
        cards.rotate_left(first as usize);
        let dice = Dice::new(seed, node);
        Self { cards, dice }
    }

    /// The first card for which there is a victim, or whatever else it takes.
    pub fn deal<U>(&mut self, mut fits: impl FnMut(T) -> Option<U>) -> Option<(T, U)> {
        let (at, found) = self
            .cards
            .iter()
            .enumerate()
            .find_map(|(at, card)| Some((at, fits(*card)?)))?;
        let card = self.cards.remove(at);
        let half = self.cards.len() as u64 / 2;
        let back = self.cards.len() as u64 - self.dice.below(half + 1);
        self.cards.insert(back as usize, card);
        Some((card, found))
    }
}

/// SplitMix64: the numbers that a seed stands for.
pub struct Dice(u64);

impl Dice {
    /// The stream of one node.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.roll();
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let width = (to - from).as_nanos() as u64;
        from + Duration::from_nanos(self.below(width))
    }
}
