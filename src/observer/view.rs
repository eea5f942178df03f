//! What one sees of an election without taking part: a value without clock or I/O.

use std::time::Duration;

use super::{Found, Seen};
use crate::change::Acquired;
use crate::clock::BootTime;
use crate::lease::{Holder, Record, SessionId, State, Term};
use crate::store::{Content, Observed, Revision};

/// A vacancy that lasts so long is worth a word of its own.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

/// Who looks this often sees when things happen; who was frozen meanwhile, or
/// got no answer, does not.
pub(super) const BLINK: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct View {
    /// What the store had last; none before the first look, `Some(None)`: no record.
    current: Option<Option<Observed>>,
    /// When the last look was begun.
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
    /// By how much that may have been seen late.
    late: Duration,
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
    /// Since the look before: by so much what is new may be seen late.
    late: Duration,
    /// Whether nothing between this look and the one before was missed.
    complete: bool,
    told: &'a mut Vec<Seen>,
}

impl Look<'_> {
    /// Whether what is new happened about now.
    fn fresh(&self) -> bool {
        self.late < BLINK
    }

    fn moment(&self) -> Option<BootTime> {
        self.fresh().then_some(self.now)
    }
}

impl View {
    /// The revision that was seen last.
    pub(super) fn at(&self) -> Option<Revision> {
        Some(self.current.as_ref()?.as_ref()?.revision)
    }

    /// Nothing was new by then, as at a look.
    pub(super) fn was_quiet(&mut self, until: BootTime) {
        self.looked = self.looked.max(until);
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
        let fresh = now.since(self.looked) < BLINK;
        match &mut self.situation {
            Situation::NoLeader => {}
            Situation::Led(reign) => {
                told.push(Seen::Expired { term: reign.term });
                // Who cannot look does not know why it hears nothing.
                let next = fresh.then_some(Acquired::Expired);
                let since = reign.last_sign().filter(|_| fresh);
                self.ended(since, next, now + WORTH_A_WORD);
            }
            Situation::Ended(ended) => {
                told.push(Seen::NoLeader);
                ended.tell_at = BootTime::NEVER;
            }
        }
    }

    /// What a look has found that was begun at `asked_at`.
    pub(super) fn saw(
        &mut self,
        asked_at: BootTime,
        now: BootTime,
        found: Found,
        told: &mut Vec<Seen>,
    ) {
        let Found {
            current,
            between,
            believable,
        } = found;
        let mut look = Look {
            now,
            late: now.since(std::mem::replace(&mut self.looked, asked_at)),
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
        // One who was told of the first looked for the last.
        let before = between.iter().flatten().map(|one| (asked_at, one));
        for (seen_at, one) in before.chain(current.iter().map(|one| (now, one))) {
            look.now = seen_at;
            if let Content::Record(record) = &one.content {
                match &record.state {
                    State::Held(_) if believable => self.held(record, &mut look),
                    State::Vacant { successor } => self.vacant(record.term, *successor, &mut look),
                    State::Held(_) | State::Asked(_) => {}
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
            let since = (now.since(self.looked) < BLINK).then_some(now);
            self.ended(since, next, now + WORTH_A_WORD);
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
            // What is found first is taken for what has just happened.
            late: self.current.as_ref().map_or(Duration::ZERO, |_| look.late),
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
            // Another may have come in between, or this one long ago.
            Situation::Ended(ended) if look.fresh() || look.complete => (
                ended.since.filter(|_| look.fresh()),
                ended.next.filter(|_| !ended.last.is(&reign)),
            ),
            Situation::NoLeader if look.fresh() => (None, self.first_of(reign.term)),
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

    /// How the first leader of all that were seen came by the lease.
    fn first_of(&self, term: Term) -> Option<Acquired> {
        match self.current.as_ref()? {
            // Otherwise it was moved here.
            None => (term.get() == 1).then_some(Acquired::Vacant),
            Some(seen) => match record(Some(seen))?.state {
                State::Vacant { successor: None } => Some(Acquired::Vacant),
                State::Vacant { successor: Some(_) } => Some(Acquired::HandedOver),
                State::Held(_) | State::Asked(_) => None,
            },
        }
    }

    /// Another has the lease of a leader that was not seen to end.
    fn taken_from(&mut self, before: Reign, look: &mut Look<'_>) {
        let term = before.term;
        let silent = look.now.since(before.sign);
        // Who took it may have seen the last renewal a moment before this one.
        let enough = before.lease - before.lease / 10;
        if silent >= enough && look.fresh() {
            look.told.push(Seen::Expired { term });
            let since = before.last_sign();
            self.ended(since, Some(Acquired::Expired), look.now);
        } else if silent + before.late < enough && look.complete {
            // It did not let go of it, so only its death explains this.
            look.told.push(Seen::Died { term });
            self.ended(look.moment(), Some(Acquired::HolderDied), look.now);
        } else {
            // It may have died, or have been silent, while nobody looked.
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
    /// When it renewed last, if that was seen when it happened.
    fn last_sign(&self) -> Option<BootTime> {
        (self.late < BLINK).then_some(self.sign)
    }

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
