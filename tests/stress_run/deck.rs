//! The faults, as cards: each is played again and again, in no order, and none
//! is forgotten.

use std::fmt;
use std::time::Duration;

/// How long the lease of the test lasts.
pub(crate) const LEASE: Duration = Duration::from_millis(500);

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Card {
    /// Played while the node leads, or else while it waits.
    pub(crate) leading: bool,
    pub(crate) whom: Whom,
    pub(crate) way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whom {
    Wrapper,
    Guard,
    /// What becomes the command, while its node waits.
    Starter,
    Command,
    /// What the command has left in a session of its own.
    Twin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Kill,
    /// SIGTERM: a wrapper that is asked to end.
    Ask,
    /// Somebody asks the leader to hand over, or to resign.
    HandOver,
    Resign,
    /// SIGSTOP for less than the renew deadline, and SIGCONT.
    FreezeBriefly,
    /// SIGSTOP for longer than the lease, and SIGCONT.
    FreezeLong,
    /// SIGSTOP for longer than the lease, and SIGKILL.
    FreezeAndKill,
}

impl Card {
    pub(crate) fn all() -> Vec<Self> {
        use Way::{Ask, FreezeAndKill, FreezeBriefly, FreezeLong, HandOver, Kill, Resign};
        use Whom::{Command, Guard, Starter, Twin, Wrapper};
        const FREEZES: [Way; 3] = [FreezeBriefly, FreezeLong, FreezeAndKill];
        let hands: [(bool, Whom, &[&[Way]]); 7] = [
            (true, Wrapper, &[&[Kill, Ask, HandOver, Resign], &FREEZES]),
            (true, Guard, &[&[Kill, Ask], &FREEZES]),
            (true, Command, &[&[Kill, Ask], &FREEZES]),
            (true, Twin, &[&[Kill, FreezeLong]]),
            (false, Wrapper, &[&[Kill, Ask], &FREEZES]),
            (false, Guard, &[&[Kill, FreezeLong]]),
            (false, Starter, &[&[Kill, FreezeLong]]),
        ];
        let cards = hands.iter().flat_map(|(leading, whom, ways)| {
            ways.concat().into_iter().map(|way| Self {
                leading: *leading,
                whom: *whom,
                way,
            })
        });
        cards.collect()
    }

    /// Whether it ends the term of a node that leads.
    pub(crate) fn ends_a_term(self) -> bool {
        self.leading
            && match self.whom {
                Whom::Wrapper => self.way != Way::FreezeBriefly,
                Whom::Guard => matches!(self.way, Way::Kill | Way::FreezeAndKill),
                Whom::Command => {
                    matches!(self.way, Way::Kill | Way::Ask | Way::FreezeAndKill)
                }
                Whom::Starter | Whom::Twin => false,
            }
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = match self.whom {
            Whom::Wrapper => "wrapper",
            Whom::Guard => "guard",
            Whom::Starter => "starter",
            Whom::Command => "command",
            Whom::Twin => "twin",
        };
        let way = match self.way {
            Way::Kill => "kill -9",
            Way::Ask => "SIGTERM",
            Way::HandOver => "asked to hand over",
            Way::Resign => "asked to resign",
            Way::FreezeBriefly => "frozen briefly",
            Way::FreezeLong => "frozen past the lease",
            Way::FreezeAndKill => "frozen past the lease, killed",
        };
        let of = if self.leading { "leader" } else { "waiting" };
        write!(f, "{of}'s {whom}: {way}")
    }
}

/// Cards that go back into the lower half once they have been played.
pub(crate) struct Deck<T> {
    cards: Vec<T>,
    /// Which part of it is the first that this node plays.
    dice: Dice,
}

impl<T: Copy> Deck<T> {
    /// The same for all nodes, but each begins elsewhere, so that together they
    /// have soon been through all of it.
    pub(crate) fn shuffled(mut cards: Vec<T>, seed: u64, node: u64, nodes: u64) -> Self {
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
    pub(crate) fn deal<U>(&mut self, mut fits: impl FnMut(T) -> Option<U>) -> Option<(T, U)> {
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
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of one node.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
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

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    pub(crate) fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let width = (to - from).as_nanos() as u64;
        from + Duration::from_nanos(self.below(width))
    }
}
