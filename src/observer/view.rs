//! What one sees of an election without taking part: a value without clock or I/O.

use std::time::Duration;

use super::Seen;
use crate::change::Acquired;
use crate::clock::BootTime;
use crate::lease::{Holder, Record, SessionId, State, Term};
use crate::store::{Content, Observed, Revision};

/// A vacancy that lasts so long is worth a word of its own.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

/// Who looks this often sees when things happen; who was frozen meanwhile, or
/// got no answer, does not.
const BLINK: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct View {
    /// What the store had last; none before the first look, `Some(None)`: no record.
    current: Option<Option<Observed>>,
    looked: BootTime,
    situation: Situation,
}

#[derive(Debug, Default)]
enum Situation {
    /// Nobody was seen to lead.
    #[default]
    NoLeader,
    Led(Reign),
    Ended(Ended),
}

#[derive(Clone, Debug)]
struct Reign {
    leader: Holder,
    term: Term,
    lease: Duration,
    /// When it was seen to renew last.
    sign: BootTime,
}

/// A leadership has ended, and another may begin any moment.
#[derive(Debug)]
struct Ended {
    last: Reign,
    /// When, if that was seen.
    since: Option<BootTime>,
    /// How another leader would come by the lease.
    next: Option<Acquired>,
    /// When that nobody leads is to be told.
    tell_at: BootTime,
}

/// A look that found something new.
struct Look<'a> {
    now: BootTime,
    /// Whether what is new happened about now.
    fresh: bool,
    /// Whether nothing between this look and the one before was missed.
    complete: bool,
    told: &'a mut Vec<Seen>,
}

impl Look<'_> {
    fn moment(&self) -> Option<BootTime> {
        self.fresh.then_some(self.now)
    }
}

impl View {
    /// The revision that was seen last.
    pub(super) fn at(&self) -> Option<Revision> {
        Some(self.current.as_ref()?.as_ref()?.revision)
    }

    /// When something is to be told although nothing happens.
    pub(super) fn deadline(&self) -> BootTime {
        match &self.situation {
            Situation::NoLeader => BootTime::NEVER,
            Situation::Led(reign) => reign.sign + reign.lease,
            Situation::Ended(ended) => ended.tell_at,
        }
    }

    pub(super) fn tick(&mut self, now: BootTime, told: &mut Vec<Seen>) {
        if now < self.deadline() {
            return;
        }
        match &mut self.situation {
            Situation::NoLeader => {}
            Situation::Led(reign) => {
                told.push(Seen::Expired { term: reign.term });
                let since = Some(reign.sign);
                self.ended(since, Some(Acquired::Expired), now + WORTH_A_WORD);
            }
            Situation::Ended(ended) => {
                told.push(Seen::NoLeader);
                ended.tell_at = BootTime::NEVER;
            }
        }
    }

    /// What the store has. `between`: what it had since the last look, where
    /// that is known. `believable`: what is seen first may be a dead leader's.
    pub(super) fn saw(
        &mut self,
        now: BootTime,
        current: Option<Observed>,
        between: Option<Vec<Observed>>,
        believable: bool,
        told: &mut Vec<Seen>,
    ) {
        let fresh = now.since(std::mem::replace(&mut self.looked, now)) < BLINK;
        let mut look = Look {
            now,
            fresh,
            complete: between.is_some(),
            told,
        };
        let Some(before) = &self.current else {
            match record(current.as_ref()) {
                Some(record) if believable && record.holder().is_some() => {
                    self.held(record, &mut look);
                }
                _ => look.told.push(Seen::NoLeader),
            }
            warn_of(current.as_ref(), told);
            self.current = Some(current);
            return;
        };
        if before.as_ref().map(|o| o.revision) == current.as_ref().map(|o| o.revision) {
            return;
        }
        for one in between.iter().flatten().chain(&current) {
            if let Content::Record(record) = &one.content {
                match &record.state {
                    State::Held(_) => self.held(record, &mut look),
                    State::Vacant { successor } => self.vacant(record.term, *successor, &mut look),
                    State::Asked(_) => {}
                }
            }
        }
        if current.is_none() {
            self.vanished(&mut look);
        }
        warn_of(current.as_ref(), told);
        self.current = Some(current);
    }

    /// The store knows that the holder of this revision is dead.
    pub(super) fn died(&mut self, now: BootTime, seen: Revision, told: &mut Vec<Seen>) {
        if self.at() == Some(seen)
            && let Situation::Led(reign) = &self.situation
        {
            told.push(Seen::Died { term: reign.term });
            let next = Some(Acquired::HolderDied);
            self.ended(Some(now), next, now + WORTH_A_WORD);
        }
    }

    fn held(&mut self, record: &Record, look: &mut Look<'_>) {
        let Some(holder) = record.holder() else {
            return;
        };
        let now = look.now;
        let reign = Reign {
            leader: holder.clone(),
            term: record.term,
            lease: record.lease_duration,
            sign: now,
        };
        if let Situation::Led(before) = &self.situation {
            if before.is(&reign) {
                look.told.push(Seen::Renewed {
                    leader: reign.leader.clone(),
                    term: reign.term,
                    after: now.since(before.sign),
                });
                self.situation = Situation::Led(reign);
                return;
            }
            self.taken_from(before.clone(), look);
        }
        let (since, acquired) = match &self.situation {
            Situation::Ended(ended) => (ended.since, ended.next.filter(|_| !ended.last.is(&reign))),
            _ => (None, None),
        };
        look.told.push(Seen::Elected {
            leader: reign.leader.clone(),
            term: reign.term,
            lease_duration: reign.lease,
            acquired,
            gap: since.map(|since| now.since(since)),
        });
        self.situation = Situation::Led(reign);
    }

    /// Another has the lease of a leader that was not seen to end.
    fn taken_from(&mut self, before: Reign, look: &mut Look<'_>) {
        let term = before.term;
        // Who took it may have seen the last renewal a moment before this one.
        if look.now.since(before.sign) >= before.lease - before.lease / 10 {
            look.told.push(Seen::Expired { term });
            self.ended(Some(before.sign), Some(Acquired::Expired), look.now);
        } else if look.complete {
            // It did not let go of it, so only its death explains this.
            look.told.push(Seen::Died { term });
            self.ended(look.moment(), Some(Acquired::HolderDied), look.now);
        } else {
            self.ended(None, None, look.now);
        }
    }

    fn vacant(&mut self, term: Term, successor: Option<SessionId>, look: &mut Look<'_>) {
        let Situation::Led(reign) = &self.situation else {
            return;
        };
        let (seen, next) = match successor {
            Some(to) => (Seen::HandedOver { term, to }, Acquired::HandedOver),
            None => (Seen::Released { term }, Acquired::Vacant),
        };
        // Given back by a leader that was missed: the end of the one before was too.
        let seen = if reign.term == term {
            seen
        } else {
            Seen::NoLeader
        };
        let tell_at = match seen {
            Seen::NoLeader => BootTime::NEVER,
            _ => look.now + WORTH_A_WORD,
        };
        look.told.push(seen);
        self.ended(look.moment(), Some(next), tell_at);
    }

    fn vanished(&mut self, look: &mut Look<'_>) {
        look.told
            .push(Seen::Warning("the lease record has vanished".into()));
        match &mut self.situation {
            Situation::NoLeader => {}
            Situation::Led(_) => {
                look.told.push(Seen::NoLeader);
                self.ended(look.moment(), None, BootTime::NEVER);
            }
            Situation::Ended(ended) => {
                if std::mem::replace(&mut ended.tell_at, BootTime::NEVER) != BootTime::NEVER {
                    look.told.push(Seen::NoLeader);
                }
            }
        }
    }

    fn ended(&mut self, since: Option<BootTime>, next: Option<Acquired>, tell_at: BootTime) {
        if let Situation::Led(last) = std::mem::take(&mut self.situation) {
            self.situation = Situation::Ended(Ended {
                last,
                since,
                next,
                tell_at,
            });
        }
    }
}

fn warn_of(current: Option<&Observed>, told: &mut Vec<Seen>) {
    if let Some(seen) = current
        && record(Some(seen)).is_none()
    {
        told.push(Seen::Warning("the lease record is unreadable".into()));
    }
}

impl Reign {
    fn is(&self, other: &Self) -> bool {
        self.leader.session == other.leader.session && self.term == other.term
    }
}

fn record(seen: Option<&Observed>) -> Option<&Record> {
    match &seen?.content {
        Content::Record(record) if !matches!(record.state, State::Asked(_)) => Some(record),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
