//! Rules broken on purpose, from outside: each must be caught.

use crate::clock::BootTime;
use crate::election::{Asked, Election, Event, Reign, Role, Swapped};
use crate::lease::State;
use crate::store::{Content, Observed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// Rule 2: the leader counts from the answer, not from its asking.
    LeaderCountsFromTheReply,
    /// Rule 3: the candidate counts from its asking, not from the answer.
    CandidateCountsFromItsAsking,
    /// Rule 3: a candidate waits as long as its own flags say.
    OwnLeaseDuration,
    /// The register ignores what a swap expects.
    NoCompareAndSwap,
    /// Rule 9: leadership is what the last step said, not asked for when used.
    CachedBoolean,
    /// Rule 5: after a swap the current record is removed.
    CleanUpRemovesTooMuch,
    /// Rule 5: after a record has vanished the next term is the one after it.
    VanishedUnseen,
    /// Rule 8: a renewal that lands late makes a leader again.
    LateRenewalRevives,
    /// Rule 6: a candidate that finds its own leftover takes it for success.
    LeftoverIsSuccess,
    /// Rule 6: a leader that finds its own lost renewal counts the retry.
    RetryIsSuccess,
    /// Rule 11: a candidate takes what was left to another.
    SuccessorOverlooked,
    /// A process that may only be frozen is said to have died.
    FrozenIsDead,
    // For the simulation alone.
    /// Rule 5: the next term is counted from what was there at the start.
    #[cfg(feature = "simulate")]
    TermsStartAgain,
    /// Rule 7: a renewal that nobody knows of extends the lease.
    #[cfg(feature = "simulate")]
    ErrorIsSuccess,
    /// Rule 7: each failure doubles the wait, without end.
    #[cfg(feature = "simulate")]
    BacksOffForEver,
    /// Rule 12: the clock stands still while the machine sleeps.
    #[cfg(feature = "simulate")]
    ClockSleeps,
}

impl Sabotage {
    /// What a broken rule would have made of this event.
    pub(crate) fn patch(
        self,
        now: BootTime,
        before: &Election,
        event: &Event,
        after: &mut Election,
    ) {
        let timing = after.timing;
        let Some(call) = &before.call else { return };
        let until = call.asked_at + timing.renew_deadline();
        match (self, event) {
            (Self::LeaderCountsFromTheReply, Event::Swap(Ok(Swapped::Done(_)))) => {
                if let Role::Leader(reign, _) = &mut after.role {
                    reign.valid_until = now + timing.renew_deadline();
                }
            }
            (Self::CandidateCountsFromItsAsking, Event::Read(Ok(Some(_)))) => {
                if let Some(sight) = &mut after.sight
                    && sight.claimable_at == now + timing.lease_duration()
                {
                    sight.claimable_at = call.asked_at + timing.lease_duration();
                }
            }
            (Self::OwnLeaseDuration, Event::Read(Ok(Some(_)))) => {
                if let Some(sight) = &mut after.sight
                    && sight.claimable_at > now + timing.lease_duration()
                {
                    sight.claimable_at = now + timing.lease_duration();
                }
            }
            (
                Self::VanishedUnseen,
                Event::Read(Ok(None)) | Event::Swap(Ok(Swapped::Conflict(None))),
            ) => after.highest = before.highest,
            (Self::SuccessorOverlooked, Event::Read(Ok(Some(seen)))) => {
                if let Content::Record(record) = &seen.content
                    && matches!(record.state, State::Vacant { .. })
                    && let Some(sight) = &mut after.sight
                {
                    sight.claimable_at = now;
                }
            }
            (Self::LateRenewalRevives, Event::Swap(Ok(Swapped::Done(revision))))
                if call.what == Asked::Renew && matches!(after.role, Role::Follower) =>
            {
                let known = after.sight.clone().and_then(|sight| sight.current);
                if let Some(mut mine) = known.filter(|seen| is_mine(after, seen)) {
                    mine.revision = *revision;
                    lead(after, &mine, until);
                }
            }
            (
                Self::LeftoverIsSuccess,
                Event::Read(Ok(Some(seen))) | Event::Swap(Ok(Swapped::Conflict(Some(seen)))),
            ) if matches!(after.role, Role::Follower) && is_mine(after, seen) => {
                lead(after, seen, until);
            }
            (Self::RetryIsSuccess, Event::Swap(Ok(Swapped::Conflict(Some(_))))) => {
                if let Role::Leader(reign, _) = &mut after.role {
                    reign.valid_until = until;
                }
            }
            #[cfg(feature = "simulate")]
            (Self::TermsStartAgain, Event::Read(Ok(Some(_)))) => {
                after.highest = crate::lease::Term::ZERO;
            }
            #[cfg(feature = "simulate")]
            (Self::ErrorIsSuccess, Event::Swap(Err(_))) => {
                if let Role::Leader(reign, _) = &mut after.role {
                    reign.valid_until = until;
                }
            }
            #[cfg(feature = "simulate")]
            (Self::BacksOffForEver, Event::Read(Err(_)) | Event::Swap(Err(_))) => {
                let wait = (timing.retry_period() / 4) * (1 << after.failures.min(12));
                after.retry_at = now + wait;
            }
            _ => {}
        }
    }
}

fn is_mine(election: &Election, seen: &Observed) -> bool {
    matches!(&seen.content, Content::Record(record)
        if record.holder().is_some_and(|holder| holder.session == election.me.session))
}

fn lead(election: &mut Election, seen: &Observed, valid_until: BootTime) {
    if let Content::Record(record) = seen.content.clone() {
        let reign = Reign {
            revision: seen.revision,
            record,
            valid_until,
        };
        election.told = Some((election.me.session, reign.record.term));
        election.role = Role::Leader(reign, None);
    }
}
