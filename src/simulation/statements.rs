//! What a node says and believes, and whether it may.

use std::time::Duration;

use super::agenda::Event;
use super::report::{Happening, Span, Violation};
use super::world::World;
use crate::change::{Change, Notice};
use crate::clock::BootTime;
#[cfg(test)]
use crate::election::Sabotage;
use crate::lease::Term;

impl World<'_> {
    /// What hooks and event streams are told, and so whoever prints it.
    pub(super) fn said(&mut self, node: usize, notice: &Notice) {
        let seat = &self.seats[node];
        let life = seat.life;
        match &notice.change {
            Change::Elected {
                term,
                acquired,
                valid_until,
            } => {
                let (term, acquired) = (*term, *acquired);
                if notice.at >= *valid_until {
                    self.checker.broken(self.now, Violation::OutsideItsLease);
                }
                let valid_until = seat.moment(*valid_until);
                self.check_claim(node, term, valid_until);
                self.spans.push(Span {
                    node,
                    term,
                    from: self.now,
                    to: valid_until,
                });
                let what = Happening::Elected {
                    term,
                    acquired,
                    valid_until,
                };
                self.note(Some(node), life, what);
            }
            Change::Revoked {
                term,
                reason,
                ended,
                stays_out_until,
            } => {
                let stays_out_until = stays_out_until.map(|until| seat.moment(until));
                let ended = seat.moment(*ended).min(self.now);
                let said = self.spans.iter().rfind(|span| span.node == node);
                if said.is_none_or(|span| span.term != *term || ended > span.to) {
                    self.checker.broken(self.now, Violation::OutsideItsLease);
                }
                self.led_until(node, ended);
                let what = Happening::Revoked {
                    term: *term,
                    reason: *reason,
                    ended,
                    stays_out_until,
                };
                self.note(Some(node), life, what);
            }
            _ => {}
        }
    }

    /// It says whether it leads, and will again.
    pub(super) fn heartbeat(&mut self, node: usize, life: u32) {
        let Some(period) = self.plan.heartbeat.filter(|_| self.lives(node, life)) else {
            return;
        };
        let seat = &self.seats[node];
        if !seat.frozen {
            let leads = seat.leads(self.now).and(self.belief(node));
            let leads = leads.map(|(term, until)| (term, seat.moment(until)));
            self.note(Some(node), life, Happening::Heartbeat(leads));
        }
        self.after(period, Event::Heartbeat(node, life));
    }

    /// The last leadership of this node lasts until then.
    pub(super) fn led_until(&mut self, node: usize, to: Duration) {
        if let Some(span) = self.spans.iter_mut().rfind(|span| span.node == node) {
            span.to = to;
        }
    }

    /// Whoever leads after its step must be the only one, and have the record.
    pub(super) fn check_leader(&mut self, node: usize, before: Option<(Term, BootTime)>) {
        if !self.leads(node) {
            return;
        }
        let others = (0..self.seats.len()).filter(|other| *other != node);
        if others.into_iter().any(|other| self.leads(other)) {
            self.checker.broken(self.now, Violation::TwoLeaders);
        }
        if let Some((term, valid_until)) = self.belief(node) {
            let until = self.seats[node].moment(valid_until);
            self.led_until(node, until);
            self.check_claim(node, term, until);
            if before.map(|(term, _)| term) != Some(term) {
                self.checker.elected(self.now, term);
            }
        }
    }

    /// "I lead in this term until then": the store must say so, too, and nobody
    /// may take the lease sooner, however fast his clock.
    fn check_claim(&mut self, node: usize, term: Term, until: Duration) {
        self.check_record(node, term);
        let lease = self.seats[node].timing.lease_duration();
        if until > self.written + lease.div_f64(self.plan.clock_ratio) {
            self.checker.broken(self.now, Violation::OutsideItsLease);
        }
    }

    fn check_record(&mut self, leader: usize, term: Term) {
        let running = self.seats[leader].running.as_ref();
        let record = self.register.record();
        let mine = running.zip(record).is_some_and(|(running, record)| {
            let held = record.holder();
            record.term == term && held.is_some_and(|holder| holder.session == running.session)
        });
        if !mine {
            self.checker.broken(self.now, Violation::NotItsRecord);
        }
    }

    /// The record has changed.
    pub(super) fn check_all_records(&mut self) {
        for leader in 0..self.seats.len() {
            if self.leads(leader)
                && let Some((term, _)) = self.belief(leader)
            {
                self.check_record(leader, term);
            }
        }
    }

    fn belief(&self, node: usize) -> Option<(Term, BootTime)> {
        self.seats[node].running.as_ref()?.belief
    }

    pub(super) fn leads(&self, node: usize) -> bool {
        #[cfg(test)]
        if self.sabotage == Some(Sabotage::CachedBoolean) {
            return self.belief(node).is_some();
        }
        self.seats[node].leads(self.now).is_some()
    }
}
