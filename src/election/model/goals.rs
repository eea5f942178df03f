//! What a search must have seen at least once, so that it is not empty.

use std::collections::BTreeSet;

use crate::clock::BootTime;
use crate::election::{Acquired, Asked, Change, Election, Event, Reason, Role, Swapped};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Goal {
    /// A later term was acquired after the lease duration.
    TakenAfterExpiry,
    /// One was acquired because the holder had died.
    TakenFromTheDead,
    /// One was acquired by the successor that a vacant record named.
    HandedOver,
    /// One was acquired that had been given back.
    TakenWhenVacant,
    /// A swap that made a candidate the holder was never answered.
    AcquisitionReplyLost,
    /// An acquisition was answered too late, and led only after a renewal.
    LateAcquisition,
    /// A leader met its own renewal, unanswered, in a conflict (rule 6).
    RenewalReplyLost,
    /// A leader heard nothing for a renew deadline.
    RenewDeadline,
    /// A renewal was answered after its asker had stepped down (rule 8).
    LateRenewal,
    /// A leader that was late found another one leading.
    FrozenLeader,
    /// A leader found its record taken or gone.
    Lost,
    /// Two candidates tried at once, and one failed.
    LostTheRace,
    /// Leadership was given back.
    Released,
    /// It could not be given back in time.
    ReleaseGivenUp,
    /// A node was stopped and gave back what it held.
    Stopped,
}

impl Goal {
    pub(super) const ALL: [Self; 15] = [
        Self::TakenAfterExpiry,
        Self::TakenFromTheDead,
        Self::HandedOver,
        Self::TakenWhenVacant,
        Self::AcquisitionReplyLost,
        Self::LateAcquisition,
        Self::RenewalReplyLost,
        Self::RenewDeadline,
        Self::LateRenewal,
        Self::FrozenLeader,
        Self::Lost,
        Self::LostTheRace,
        Self::Released,
        Self::ReleaseGivenUp,
        Self::Stopped,
    ];
}

#[derive(Clone, Debug, Default)]
pub(super) struct Goals(pub(super) BTreeSet<Goal>);

impl Goals {
    /// An answer that the register gave never arrives.
    pub(super) fn lost(&mut self, asker: &Election, answer: &Event) {
        if let Some(call) = &asker.call
            && let (Asked::Acquire(..), Event::Swap(Ok(Swapped::Done(_)))) = (&call.what, answer)
        {
            self.0.insert(Goal::AcquisitionReplyLost);
        }
    }

    pub(super) fn step(
        &mut self,
        now: BootTime,
        before: &Election,
        event: &Event,
        after: &Election,
        said: &[Change],
        rival: bool,
    ) {
        for change in said {
            match change {
                Change::Elected { term, acquired, .. } if term.get() > 1 => {
                    self.0.insert(match acquired {
                        Acquired::Vacant => Goal::TakenWhenVacant,
                        Acquired::Expired => Goal::TakenAfterExpiry,
                        Acquired::HolderDied => Goal::TakenFromTheDead,
                        Acquired::HandedOver => Goal::HandedOver,
                    });
                }
                Change::Revoked {
                    reason: Reason::RenewDeadline,
                    ended,
                    ..
                } => {
                    self.0.insert(Goal::RenewDeadline);
                    if *ended < now && rival {
                        self.0.insert(Goal::FrozenLeader);
                    }
                }
                Change::Revoked {
                    reason: Reason::Lost,
                    ..
                } => {
                    self.0.insert(Goal::Lost);
                }
                _ => {}
            }
        }
        if matches!(before.role, Role::Releasing(..)) && matches!(after.role, Role::Follower) {
            self.0.insert(match event {
                Event::Swap(Ok(Swapped::Done(_))) if before.stopping => Goal::Stopped,
                Event::Swap(Ok(Swapped::Done(_))) => Goal::Released,
                _ => Goal::ReleaseGivenUp,
            });
        }
        if let (Some(call), Event::Swap(Ok(answer))) = (&before.call, event) {
            let goal = match (&call.what, answer, &after.role) {
                (Asked::Renew, Swapped::Done(_), Role::Follower) => Goal::LateRenewal,
                (Asked::Renew, Swapped::Conflict(Some(_)), Role::Leader(..)) => {
                    Goal::RenewalReplyLost
                }
                (Asked::Acquire(..), Swapped::Conflict(_), _) => Goal::LostTheRace,
                (Asked::Acquire(..), Swapped::Done(_), Role::Follower) if after.acquiring() => {
                    Goal::LateAcquisition
                }
                _ => return,
            };
            self.0.insert(goal);
        }
    }
}
