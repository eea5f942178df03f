//! The faults, as cards of a deck.

use std::fmt;
use std::time::Duration;

pub(crate) use crate::common::deck::{Deck, Dice};

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
