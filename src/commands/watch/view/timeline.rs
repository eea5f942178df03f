//! What the view knows: who led when. A value: it reads no clock and draws nothing.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::NaiveTime;
use leader_demo::clock::BootTime;
use leader_demo::{Acquired, Holder, Seen, Term};

/// More than anybody scrolls through; the oldest go.
const KEPT: usize = 10_000;

/// A moment: by the clock that decides, and by the one on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: BootTime,
    pub(super) time: NaiveTime,
}

#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// The oldest first.
    reigns: VecDeque<Reign>,
    situation: Situation,
    /// How many nodes have been seen to lead.
    nodes: usize,
    failure: Option<String>,
    warning: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Situation {
    /// Nothing has been seen yet.
    #[default]
    Unknown,
    /// The last reign goes on.
    Led,
    /// Nobody leads, since then. None: since before anything was seen.
    Vacant(Option<Moment>),
}

/// One leadership.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub(super) leader: Holder,
    pub(super) term: Term,
    pub(super) lease: Duration,
    pub(super) began: Moment,
    pub(super) beginning: Beginning,
    /// Since the leader before.
    pub(super) gap: Option<Duration>,
    /// When it was seen to renew last.
    pub(super) renewed: BootTime,
    pub(super) ended: Option<(End, BootTime)>,
    /// The number of its node, in the order in which they were seen to lead.
    pub(super) node: usize,
}

/// How a leader came by its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It led before anybody watched.
    Before,
    /// It was given up already, and is the same leader's again.
    Again,
    Acquired(Acquired),
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Released,
    HandedOver,
    Expired,
    Died,
    /// Another leads; how that came about was not seen.
    Replaced,
    /// The record is gone.
    Vanished,
}

impl Timeline {
    pub(super) fn saw(&mut self, now: Moment, seen: Seen) {
        match seen {
            Seen::Elected {
                leader,
                term,
                lease_duration,
                acquired,
                gap,
            } => {
                let beginning = self.beginning(&leader, term, acquired);
                self.end(
                    match beginning {
                        Beginning::Acquired(Acquired::Expired) => End::Expired,
                        Beginning::Acquired(Acquired::HolderDied) => End::Died,
                        _ => End::Replaced,
                    },
                    now,
                );
                let node = self.number_of(&leader);
                self.reigns.push_back(Reign {
                    leader,
                    term,
                    lease: lease_duration,
                    began: now,
                    beginning,
                    gap,
                    renewed: now.at,
                    ended: None,
                    node,
                });
                if self.reigns.len() > KEPT {
                    self.reigns.pop_front();
                }
                self.situation = Situation::Led;
                self.warning = None;
            }
            Seen::Renewed { .. } => {
                if let Some(reign) = self.reigns.back_mut() {
                    reign.renewed = now.at;
                }
                self.warning = None;
            }
            Seen::Released { .. } => self.end(End::Released, now),
            Seen::HandedOver { .. } => self.end(End::HandedOver, now),
            Seen::Expired { .. } => self.end(End::Expired, now),
            Seen::Died { .. } => self.end(End::Died, now),
            Seen::NoLeader => {
                self.end(End::Vanished, now);
                if let Situation::Unknown = self.situation {
                    self.situation = Situation::Vacant(None);
                }
            }
            Seen::Warning(what) => self.warning = Some(what),
            Seen::StoreFailed(why) => self.failure = Some(why),
            Seen::StoreRecovered => self.failure = None,
            _ => {}
        }
    }

    fn beginning(&self, leader: &Holder, term: Term, acquired: Option<Acquired>) -> Beginning {
        let again = |last: &Reign| last.leader.session == leader.session && last.term == term;
        match (self.situation, acquired) {
            (Situation::Unknown, _) => Beginning::Before,
            (_, Some(how)) => Beginning::Acquired(how),
            (_, None) if self.reigns.back().is_some_and(again) => Beginning::Again,
            (_, None) => Beginning::Unknown,
        }
    }

    /// Ends the reign that goes on, if one does.
    fn end(&mut self, how: End, now: Moment) {
        if let Situation::Led = self.situation
            && let Some(reign) = self.reigns.back_mut()
        {
            // Of one that fell silent, its last word is all there is.
            let at = match how {
                End::Expired | End::Replaced => reign.renewed,
                _ => now.at,
            };
            reign.ended = Some((how, at));
            self.situation = Situation::Vacant(Some(now));
        }
    }

    fn number_of(&mut self, leader: &Holder) -> usize {
        let same = |reign: &&Reign| reign.leader.node_id == leader.node_id;
        match self.reigns.iter().rev().find(same) {
            Some(reign) => reign.node,
            None => {
                self.nodes += 1;
                self.nodes - 1
            }
        }
    }

    pub(super) fn situation(&self) -> Situation {
        self.situation
    }

    pub(super) fn last(&self) -> Option<&Reign> {
        self.reigns.back()
    }

    /// The reign that goes on.
    pub(super) fn current(&self) -> Option<&Reign> {
        self.last().filter(|reign| reign.ended.is_none())
    }

    /// The newest first.
    pub(super) fn reigns(&self) -> impl ExactSizeIterator<Item = &Reign> {
        self.reigns.iter().rev()
    }

    /// What people should look at.
    pub(super) fn trouble(&self) -> Option<String> {
        match (&self.failure, &self.warning) {
            (Some(why), _) => Some(format!("the store fails: {why}")),
            (None, warning) => warning.clone(),
        }
    }

    /// How long what is drawn stays true enough, if nothing happens.
    pub(super) fn next_tick(&self) -> Duration {
        const CLOCK: Duration = Duration::from_secs(1);
        const SMOOTH: Duration = Duration::from_millis(100);
        match self.current() {
            // A bar that takes minutes to drain needs no ten steps a second.
            Some(reign) => (reign.lease / 100).clamp(SMOOTH, CLOCK),
            None => CLOCK,
        }
    }
}

impl Reign {
    /// How much of the lease is left.
    pub(super) fn left(&self, now: BootTime) -> Duration {
        self.lease.saturating_sub(now.since(self.renewed))
    }

    pub(super) fn led_for(&self, now: BootTime) -> Duration {
        let until = self.ended.map_or(now, |(_, at)| at);
        until.since(self.began.at)
    }
}
