//! The rules of the election: a value without I/O, clock or async.
//!
//! [`Election::step`] takes what happened and returns what to do;
//! [`Election::deadline`] says when to call it if nothing happens. The same
//! value runs in production, in the tables of `election/tests.rs` and in the
//! exhaustive search of `election/model.rs`. The rules are numbered as in
//! docs/DESIGN.md; each stands at the line that does it.

use std::time::Duration;

use crate::change::{Acquired, Change, Reason};
use crate::clock::BootTime;
use crate::lease::{Holder, Record, SessionId, State, Term};
use crate::store::{Content, Observed, Revision, Wake};
use crate::timing::Timing;

mod interface;
mod sight;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

pub(crate) use interface::{Action, Ending, Event, NobodyKnows, Swapped};
#[cfg(all(test, feature = "simulate"))]
pub(crate) use model::Sabotage;
use sight::Sight;

/// Rule 5: more terms than will have been used unseen before the record vanished.
const UNSEEN: u64 = 1_000;

/// One node's part in one election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Election {
    me: Holder,
    timing: Timing,
    campaigning: bool,
    stopping: bool,
    role: Role,
    /// What the store said last, and from when it may be taken.
    sight: Option<Sight>,
    /// The highest term ever seen, so that none is used twice.
    highest: Term,
    /// Rule 1: at most one call in flight.
    call: Option<Call>,
    /// When the next look or renewal is due.
    due: BootTime,
    /// Calls that failed in a row; the next is not made before `retry_at`.
    failures: u32,
    retry_at: BootTime,
    /// Who resigned stays out until then.
    out_until: BootTime,
    /// The term for which the store was told what to prepare.
    prepared: Term,
    /// The leader that was announced last.
    told: Option<(SessionId, Term)>,
    /// A session that was warned about: it has this node's name.
    namesake: Option<SessionId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Role {
    Follower,
    Leader(Reign, Option<Ending>),
    /// Belief has ended; what remains is to say so in the store.
    Releasing(Reign, Record),
}

/// What a leader knows of its lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Reign {
    revision: Revision,
    record: Record,
    valid_until: BootTime,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Call {
    asked_at: BootTime,
    what: Asked,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Look,
    Acquire(Record, Acquired),
    Renew,
    Release,
}

impl Election {
    pub(crate) fn new(me: Holder, timing: Timing) -> Self {
        Self {
            me,
            timing,
            campaigning: false,
            stopping: false,
            role: Role::Follower,
            sight: None,
            highest: Term::ZERO,
            call: None,
            due: BootTime::default(),
            failures: 0,
            retry_at: BootTime::default(),
            out_until: BootTime::default(),
            prepared: Term::ZERO,
            told: None,
            namesake: None,
        }
    }

    /// Rule 9: leadership is asked for at the moment of use.
    #[cfg(test)]
    pub(crate) fn leads(&self, now: BootTime) -> Option<Term> {
        let (term, valid_until) = self.belief()?;
        (now < valid_until).then_some(term)
    }

    /// The term it leads in, and until when it may believe so.
    pub(crate) fn belief(&self) -> Option<(Term, BootTime)> {
        match &self.role {
            Role::Leader(reign, _) => Some((reign.record.term, reign.valid_until)),
            Role::Follower | Role::Releasing(..) => None,
        }
    }

    /// The other node that leads as far as can be seen, and until when that holds.
    pub(crate) fn other_leader(&self) -> Option<(&Holder, Term, BootTime)> {
        let sight = self.sight.as_ref()?;
        let (holder, term) = sight.holder()?;
        // Who holds the lease looks at no other; its own leftover is nobody's.
        let other = matches!(self.role, Role::Follower) && holder.session != self.me.session;
        other.then_some((holder, term, sight.claimable_at))
    }

    /// Whether the store has answered and nothing is about to come of it.
    pub(crate) fn settled(&self) -> bool {
        self.sight.is_some() && !self.acquiring()
    }

    /// Whether this node wants to lead, and from when on.
    pub(crate) fn candidate_from(&self) -> Option<BootTime> {
        self.campaigning.then_some(self.out_until)
    }

    /// Whether leading is to end as soon as the work has stopped.
    pub(crate) fn ending(&self) -> bool {
        self.stopping || matches!(self.role, Role::Leader(_, Some(_)))
    }

    /// The term whose lease this session leads by, or is giving back.
    pub(crate) fn holds(&self) -> Option<Term> {
        match &self.role {
            Role::Leader(reign, _) | Role::Releasing(reign, _) => Some(reign.record.term),
            Role::Follower => None,
        }
    }

    /// Whether what proves this session alive must be kept.
    pub(crate) fn needs_witness(&self) -> bool {
        self.holds().is_some() || self.acquiring()
    }

    /// Whether it was stopped and has given back what it held.
    pub(crate) fn finished(&self) -> bool {
        self.stopping && matches!(self.role, Role::Follower) && !self.acquiring()
    }

    fn acquiring(&self) -> bool {
        matches!(
            self.call,
            Some(Call {
                what: Asked::Acquire(..),
                ..
            })
        )
    }

    /// When to call [`step`](Self::step) with a [`Event::Tick`] at the latest:
    /// before that, a tick does nothing.
    pub(crate) fn deadline(&self) -> BootTime {
        if self.finished() {
            return BootTime::NEVER;
        }
        let end_of_belief = match &self.role {
            Role::Leader(reign, _) | Role::Releasing(reign, _) => reign.valid_until,
            Role::Follower => BootTime::NEVER,
        };
        let end_of_other = match (&self.told, self.other_leader()) {
            (Some(_), Some((_, _, until))) => until,
            _ => BootTime::NEVER,
        };
        let next_call = match &self.call {
            Some(call) => call.asked_at + self.timing.renew_deadline(),
            None => self.next_call_at(),
        };
        end_of_belief.min(end_of_other).min(next_call)
    }

    /// Of a node that has not finished.
    fn next_call_at(&self) -> BootTime {
        let at = match &self.role {
            Role::Leader(..) => self.due,
            Role::Releasing(..) => BootTime::default(),
            Role::Follower => self.due.min(self.acquire_at()),
        };
        at.max(self.retry_at)
    }

    /// When a candidate may take what it saw last.
    fn acquire_at(&self) -> BootTime {
        match &self.sight {
            Some(sight) if self.campaigning && self.highest < Term::MAX => match sight.as_what {
                // It was named: staying out is for those who were not.
                Acquired::HandedOver => sight.claimable_at,
                _ => sight.claimable_at.max(self.out_until),
            },
            _ => BootTime::NEVER,
        }
    }

    /// What happened, and what to do about it.
    pub(crate) fn step(&mut self, now: BootTime, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        // Rule 8: before anything else, what has expired ends.
        self.expire(now, &mut actions);
        match event {
            Event::Tick => {}
            Event::Read(answer) => self.on_read(now, answer, &mut actions),
            Event::Swap(answer) => self.on_swap(now, answer, &mut actions),
            Event::Wake(wake) => self.on_wake(now, wake, &mut actions),
            Event::Campaign(wanted) => self.campaigning = wanted && !self.stopping,
            Event::End(ending) => {
                if let Role::Leader(_, end @ None) = &mut self.role {
                    *end = Some(ending);
                }
            }
            Event::WorkStopped => self.work_stopped(now, &mut actions),
            Event::Stop => {
                self.stopping = true;
                self.campaigning = false;
                // Rule 11: what was promised to a successor holds.
                if let Role::Leader(_, end) = &mut self.role
                    && !matches!(end, Some(Ending::HandedOver(_)))
                {
                    *end = Some(Ending::Shutdown);
                }
            }
        }
        self.abandon_overdue(now, &mut actions);
        self.call_if_due(now, &mut actions);
        self.tell(now, &mut actions);
        actions
    }

    fn expire(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        match &self.role {
            Role::Leader(reign, _) if now >= reign.valid_until => {
                let ended = reign.valid_until;
                self.step_down(now, Reason::RenewDeadline, ended, actions);
            }
            // Rule 10: a release that hangs never delays the stop.
            Role::Releasing(reign, _) if now >= reign.valid_until => self.leave(now, actions),
            _ => {}
        }
    }

    /// The lease is lost: there is nothing to give back.
    fn step_down(
        &mut self,
        now: BootTime,
        reason: Reason,
        ended: BootTime,
        actions: &mut Vec<Action>,
    ) {
        let Role::Leader(reign, _) = &self.role else {
            return;
        };
        actions.push(Action::Announce(Change::Revoked {
            term: reign.record.term,
            reason,
            ended,
            stays_out_until: None,
        }));
        self.leave(now, actions);
    }

    /// What it held is a leftover now, seen from here on like anybody's.
    fn leave(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        let (Role::Leader(reign, _) | Role::Releasing(reign, _)) =
            std::mem::replace(&mut self.role, Role::Follower)
        else {
            return;
        };
        let leftover = Observed {
            revision: reign.revision,
            content: Content::Record(reign.record),
        };
        self.saw(now, Some(leftover), actions);
    }

    fn on_read(
        &mut self,
        now: BootTime,
        answer: Result<Option<Observed>, NobodyKnows>,
        actions: &mut Vec<Action>,
    ) {
        let Some(call) = self.call.take() else { return };
        debug_assert_eq!(call.what, Asked::Look, "a read answers a look");
        let Ok(current) = answer else {
            return self.failed(now);
        };
        self.succeeded();
        let before = self.other_leader().map(|(_, term, _)| term);
        self.saw(now, current, actions);
        self.prepare_on_second_sight(before, actions);
    }

    fn on_swap(
        &mut self,
        now: BootTime,
        answer: Result<Swapped, NobodyKnows>,
        actions: &mut Vec<Action>,
    ) {
        let Some(call) = self.call.take() else { return };
        // Rule 7: an error neither extends a lease nor ends one; R does.
        let Ok(answer) = answer else {
            return self.failed(now);
        };
        self.succeeded();
        match (call.what, answer) {
            (Asked::Acquire(record, how), Swapped::Done(revision)) => {
                self.acquired(now, call.asked_at, record, how, revision, actions);
            }
            (Asked::Renew, Swapped::Done(revision)) => match &mut self.role {
                Role::Leader(reign, _) => {
                    reign.revision = revision;
                    // Rule 2: the leader counts from when it asked.
                    reign.valid_until = call.asked_at + self.timing.renew_deadline();
                    self.due = call.asked_at + self.period();
                    self.expire(now, actions);
                }
                Role::Releasing(reign, _) => reign.revision = revision,
                // Rule 8: what lands too late revives nothing.
                Role::Follower => {}
            },
            (Asked::Release, Swapped::Done(revision)) => {
                if let Role::Releasing(_, vacant) =
                    std::mem::replace(&mut self.role, Role::Follower)
                {
                    let content = Content::Record(vacant);
                    self.saw(now, Some(Observed { revision, content }), actions);
                }
            }
            (_, Swapped::Conflict(current)) => self.conflict(now, current, actions),
            (Asked::Look, Swapped::Done(_)) => debug_assert!(false, "a swap answers no look"),
        }
    }

    /// The store has this session as the holder now.
    fn acquired(
        &mut self,
        now: BootTime,
        asked_at: BootTime,
        record: Record,
        how: Acquired,
        revision: Revision,
        actions: &mut Vec<Action>,
    ) {
        let term = record.term;
        self.highest = self.highest.max(term);
        // Rule 2: counted from when it asked.
        let valid_until = asked_at + self.timing.renew_deadline();
        let reign = Reign {
            revision,
            record,
            valid_until,
        };
        if !self.campaigning {
            // It changed its mind meanwhile: give it back unused.
            let valid_until = now + self.timing.renew_deadline();
            self.release(
                Reign {
                    valid_until,
                    ..reign
                },
                None,
            );
        } else if now < valid_until {
            self.role = Role::Leader(reign, None);
            self.due = asked_at + self.period();
            actions.push(Action::Announce(Change::Elected {
                term,
                acquired: how,
                valid_until,
            }));
        } else {
            // Rule 7: too late to believe; a fresh renewal must succeed first.
            // Until then it is a record that was seen, and may vanish.
            let seen = Observed {
                revision,
                content: Content::Record(reign.record.clone()),
            };
            self.saw(now, Some(seen), actions);
            self.call(
                now,
                Asked::Acquire(reign.record.clone(), how),
                Some(revision),
                reign.record,
                actions,
            );
        }
    }

    /// Rule 6: a conflict carries the current record.
    fn conflict(&mut self, now: BootTime, current: Option<Observed>, actions: &mut Vec<Action>) {
        if let (Role::Leader(reign, _) | Role::Releasing(reign, _), Some(seen)) =
            (&mut self.role, &current)
            && seen.content == Content::Record(reign.record.clone())
        {
            // Mine, in this term: an answer of mine was lost. Go on from here,
            // with a new `asked_at`: the lost one must not count.
            if std::mem::replace(&mut reign.revision, seen.revision) == seen.revision {
                self.failed(now);
            }
            self.due = now;
            return;
        }
        match &self.role {
            Role::Leader(..) => self.step_down(now, Reason::Lost, now, actions),
            Role::Releasing(..) => self.leave(now, actions),
            Role::Follower => {
                if self
                    .sight
                    .as_ref()
                    .is_some_and(|s| s.shows(current.as_ref()))
                {
                    // A store that names as the obstacle what was expected must
                    // not be asked again at once.
                    self.failed(now);
                }
            }
        }
        self.saw(now, current, actions);
    }

    fn on_wake(&mut self, now: BootTime, wake: Wake, actions: &mut Vec<Action>) {
        if !matches!(self.role, Role::Follower) {
            return;
        }
        match wake {
            Wake::Changed(None) => self.due = now,
            Wake::Changed(seen) => self.saw(now, seen, actions),
            Wake::HolderDied(seen) => {
                self.saw(now, Some(seen), actions);
                // Whose lock is free already will not wake anybody again.
                actions.retain(|action| !matches!(action, Action::Watch(_)));
                if let Some(sight) = &mut self.sight
                    && now < sight.claimable_at
                {
                    // Rule 4: whose holder died may be taken at once.
                    sight.claimable_at = now;
                    sight.as_what = Acquired::HolderDied;
                }
            }
        }
    }

    /// Notes what the store has.
    fn saw(&mut self, now: BootTime, current: Option<Observed>, actions: &mut Vec<Action>) {
        let before = self.sight.as_ref();
        if before.is_some_and(|before| before.shows(current.as_ref())) {
            return;
        }
        let highest_before = self.highest;
        let usual = self.timing.lease_duration();
        let sight = Sight::new(now, current, before, self.me.session, usual);
        let lease = humantime::format_duration(sight.lease);
        if let Some(seen) = &sight.current {
            actions.push(Action::Watch(seen.revision));
        }
        match sight.current.as_ref().map(|seen| &seen.content) {
            Some(Content::Record(record)) => {
                self.highest = self.highest.max(record.term);
                self.warn_of_namesake(record.holder(), actions);
            }
            Some(Content::Garbled { floor, .. }) => {
                // Rule 5: above anything it may have hidden.
                self.highest = self.highest.max(*floor);
                actions.push(warning(format!(
                    "the lease record is unreadable: taking it as held for {lease}"
                )));
            }
            None if before.is_some() => {
                self.highest = self.highest.plus(UNSEEN).unwrap_or(Term::MAX);
                actions.push(warning(format!(
                    "the lease record has vanished: waiting {lease} before making a new one, \
                     a thousand terms on"
                )));
            }
            None => {}
        }
        if self.highest == Term::MAX && highest_before < Term::MAX {
            actions.push(warning(
                "the highest term there can be may have been used: nobody can lead after it".into(),
            ));
        }
        self.sight = Some(sight);
    }

    /// Another session with this node's name that renews its lease is no
    /// leftover of an earlier run.
    fn warn_of_namesake(&mut self, holder: Option<&Holder>, actions: &mut Vec<Action>) {
        if let Some(holder) = holder
            && holder.node_id == self.me.node_id
            && let Some((before, _, _)) = self.other_leader()
            && before.session == holder.session
            && self.namesake.replace(holder.session) != Some(holder.session)
        {
            let pid = holder.pid.map_or_else(|| "?".into(), |p| p.to_string());
            actions.push(warning(format!(
                "another process uses the node id {}: pid {pid} on host {}; give each node its own",
                holder.node_id, holder.host
            )));
        }
    }

    /// Told at the second look that shows one leader, so that a hundred
    /// candidates do not all write at the moment of a takeover.
    fn prepare_on_second_sight(&mut self, before: Option<Term>, actions: &mut Vec<Action>) {
        if let Some((_, term, _)) = self.other_leader()
            && self.campaigning
            && before == Some(term)
            && let Some(next) = self.my_record()
            && next.term != self.prepared
        {
            self.prepared = next.term;
            actions.push(Action::Prepare(next));
        }
    }

    /// What it would swap in to become the leader.
    fn my_record(&self) -> Option<Record> {
        Some(Record {
            // Rule 5: the highest term ever seen, and one.
            term: self.highest.plus(1)?,
            lease_duration: self.timing.lease_duration(),
            state: State::Held(self.me.clone()),
        })
    }

    /// Rule 10: the work has stopped; only now is the lease given back.
    fn work_stopped(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        let Role::Leader(reign, ending) = self.role.clone() else {
            return;
        };
        let ending = ending.unwrap_or(Ending::Released);
        // Rule 10: so that it does not win at once. A successor has no need
        // of that: nobody else may take what is left to it.
        let stays_out_until =
            (ending == Ending::Resigned).then(|| now + self.timing.lease_duration());
        self.out_until = stays_out_until.unwrap_or(self.out_until);
        actions.push(Action::Announce(Change::Revoked {
            term: reign.record.term,
            reason: ending.reason(),
            ended: now,
            stays_out_until,
        }));
        let successor = match ending {
            Ending::HandedOver(to) => Some(to),
            _ => None,
        };
        self.release(reign, successor);
    }

    fn release(&mut self, reign: Reign, successor: Option<SessionId>) {
        // Rule 5: resigning keeps the term and clears the holder.
        let vacant = Record {
            state: State::Vacant { successor },
            ..reign.record.clone()
        };
        self.role = Role::Releasing(reign, vacant);
    }

    /// Rule 7: a call is abandoned at R, and may still land.
    fn abandon_overdue(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        if let Some(call) = &self.call
            && now >= call.asked_at + self.timing.renew_deadline()
        {
            self.call = None;
            actions.push(Action::Abandon);
            self.failed(now);
        }
    }

    fn call_if_due(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        if self.call.is_some() || now < self.next_call_at() || self.finished() {
            return;
        }
        let (what, expected, next) = match &self.role {
            Role::Leader(reign, _) => (Asked::Renew, reign.revision, reign.record.clone()),
            Role::Releasing(reign, vacant) => (Asked::Release, reign.revision, vacant.clone()),
            Role::Follower => return self.look_or_acquire(now, actions),
        };
        self.call(now, what, Some(expected), next, actions);
    }

    fn look_or_acquire(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        if now >= self.acquire_at()
            && let Some(next) = self.my_record()
            && let Some(sight) = &self.sight
        {
            let expected = sight.current.as_ref().map(|o| o.revision);
            let what = Asked::Acquire(next.clone(), sight.as_what);
            self.call(now, what, expected, next, actions);
        } else {
            // Before the answer, so that a wake-up meanwhile brings another look.
            self.due = now + self.period();
            self.call = Some(Call {
                asked_at: now,
                what: Asked::Look,
            });
            actions.push(Action::Read);
        }
    }

    fn call(
        &mut self,
        asked_at: BootTime,
        what: Asked,
        expected: Option<Revision>,
        next: Record,
        actions: &mut Vec<Action>,
    ) {
        self.call = Some(Call { asked_at, what });
        actions.push(Action::Swap { expected, next });
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.retry_at = BootTime::default();
    }

    /// Backs off: P/4, P/2, P, then 2 P; a leader, who has only R, at most P.
    fn failed(&mut self, now: BootTime) {
        let period = self.period();
        let most = match self.role {
            Role::Leader(..) | Role::Releasing(..) => period,
            Role::Follower => period * 2,
        };
        let wait = (period / 4) * (1 << self.failures.min(8));
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now + wait.min(most);
    }

    /// Rule 13: the retry period, shortened by jitter. Each session has a share
    /// of it of its own, so those that fell into step fall out of it.
    fn period(&self) -> Duration {
        let scattered = self
            .me
            .session
            .as_u128()
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            >> 64;
        let share = (scattered & 0xff) as u32;
        self.timing.retry_period() - self.timing.jitter() * share / 256
    }

    /// Announces who leads, where that has changed.
    fn tell(&mut self, now: BootTime, actions: &mut Vec<Action>) {
        if let Some((term, _)) = self.belief() {
            self.told = Some((self.me.session, term));
            return;
        }
        let leader = self
            .other_leader()
            .filter(|(_, _, until)| now < *until)
            .map(|(holder, term, _)| (holder.clone(), term));
        let telling = leader
            .as_ref()
            .map(|(holder, term)| (holder.session, *term));
        if self.told == telling {
            return;
        }
        self.told = telling;
        // Who is going has no more to say than that.
        if self.stopping {
            return;
        }
        actions.push(Action::Announce(match leader {
            Some((leader, term)) => Change::NewLeader { leader, term },
            None => Change::NoLeader,
        }));
    }
}

fn warning(text: String) -> Action {
    Action::Announce(Change::Warning(text))
}
