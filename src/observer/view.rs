//! What one sees of an election without taking part: a value without clock or I/O.

use std::time::Duration;

use super::Seen;
use crate::change::Acquired;
use crate::clock::BootTime;
use crate::lease::{Holder, Record, State, Term};
use crate::store::{Content, Observed, Revision};

/// A vacancy that lasts so long is worth a word of its own.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct View {
    /// What the store had last; none before the first look, `Some(None)`: no record.
    current: Option<Option<Observed>>,
    situation: Situation,
}

#[derive(Debug, Default)]
enum Situation {
    /// Nobody leads, and that has been told.
    #[default]
    NoLeader,
    Led(Reign),
    /// A leadership has ended, and another may begin any moment.
    Between {
        since: BootTime,
        last: Reign,
        next: Option<Acquired>,
    },
}

#[derive(Clone, Debug)]
struct Reign {
    leader: Holder,
    term: Term,
    lease: Duration,
    /// When it was seen to renew last.
    sign: BootTime,
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
            Situation::Between { since, .. } => *since + WORTH_A_WORD,
        }
    }

    pub(super) fn tick(&mut self, now: BootTime, told: &mut Vec<Seen>) {
        if now < self.deadline() {
            return;
        }
        match &self.situation {
            Situation::Led(reign) => {
                let term = reign.term;
                told.push(Seen::Expired { term });
                self.ended(reign.sign, Some(Acquired::Expired));
            }
            _ => {
                told.push(Seen::NoLeader);
                self.situation = Situation::NoLeader;
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
        let Some(before) = &self.current else {
            match record(current.as_ref()) {
                Some(record) if believable && record.holder().is_some() => {
                    self.held(now, record, true, told);
                }
                _ => told.push(Seen::NoLeader),
            }
            self.warn_of(current.as_ref(), told);
            self.current = Some(current);
            return;
        };
        if before.as_ref().map(|o| o.revision) == current.as_ref().map(|o| o.revision) {
            return;
        }
        let complete = between.is_some();
        for one in between.iter().flatten().chain(&current) {
            if let Content::Record(record) = &one.content {
                match &record.state {
                    State::Held(_) => self.held(now, record, complete, told),
                    State::Vacant { successor } => {
                        let told_of = match successor {
                            Some(to) => (Seen::handed_over(record.term, *to), Acquired::HandedOver),
                            None => (Seen::Released { term: record.term }, Acquired::Vacant),
                        };
                        self.over(now, told_of, told);
                    }
                    State::Asked(_) => {}
                }
            }
        }
        if current.is_none() {
            told.push(Seen::Warning("the lease record has vanished".into()));
            if !matches!(self.situation, Situation::NoLeader) {
                told.push(Seen::NoLeader);
                self.situation = Situation::NoLeader;
            }
        }
        self.warn_of(current.as_ref(), told);
        self.current = Some(current);
    }

    /// The store knows that the holder of this revision is dead.
    pub(super) fn died(&mut self, now: BootTime, seen: Revision, told: &mut Vec<Seen>) {
        if self.at() == Some(seen)
            && let Situation::Led(reign) = &self.situation
        {
            let seen = Seen::Died { term: reign.term };
            self.over(now, (seen, Acquired::HolderDied), told);
        }
    }

    fn held(&mut self, now: BootTime, record: &Record, complete: bool, told: &mut Vec<Seen>) {
        let Some(holder) = record.holder() else {
            return;
        };
        let reign = Reign {
            leader: holder.clone(),
            term: record.term,
            lease: record.lease_duration,
            sign: now,
        };
        let (since, acquired) = match &self.situation {
            Situation::Led(before) if before.is(&reign) => {
                told.push(Seen::Renewed {
                    leader: reign.leader.clone(),
                    term: reign.term,
                    after: now.since(before.sign),
                });
                self.situation = Situation::Led(reign);
                return;
            }
            // Taken from a leader that was not seen to end.
            Situation::Led(before) => {
                let silent = now.since(before.sign) >= before.lease;
                let how = match (silent, complete) {
                    (true, _) => Some(Acquired::Expired),
                    (false, true) => Some(Acquired::HolderDied),
                    (false, false) => None,
                };
                (Some(before.sign), how)
            }
            Situation::Between { since, last, next } => {
                (Some(*since), next.filter(|_| !last.is(&reign)))
            }
            Situation::NoLeader => (None, None),
        };
        told.push(Seen::Elected {
            leader: reign.leader.clone(),
            term: reign.term,
            lease_duration: reign.lease,
            acquired,
            gap: since.map(|since| now.since(since)),
        });
        self.situation = Situation::Led(reign);
    }

    fn over(&mut self, now: BootTime, (seen, next): (Seen, Acquired), told: &mut Vec<Seen>) {
        if matches!(self.situation, Situation::Led(_)) {
            told.push(seen);
            self.ended(now, Some(next));
        }
    }

    fn ended(&mut self, since: BootTime, next: Option<Acquired>) {
        if let Situation::Led(last) = std::mem::take(&mut self.situation) {
            self.situation = Situation::Between { since, last, next };
        }
    }

    fn warn_of(&self, current: Option<&Observed>, told: &mut Vec<Seen>) {
        if let Some(seen) = current
            && record(Some(seen)).is_none()
        {
            told.push(Seen::Warning("the lease record is unreadable".into()));
        }
    }
}

impl Reign {
    fn is(&self, other: &Self) -> bool {
        self.leader.session == other.leader.session && self.term == other.term
    }
}

fn record(seen: Option<&Observed>) -> Option<&Record> {
    match &seen?.content {
        Content::Record(record) => Some(record),
        Content::Garbled { .. } => None,
    }
}
