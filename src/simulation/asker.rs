//! Who asks the leader to step down, as `hand-over` and `resign` do.

use std::time::Duration;

use super::agenda::Event;
use super::world::World;
use crate::lease::{SessionId, State};
use crate::request::{Asker, Request, Stage, Wish};

impl World<'_> {
    /// Puts a request to whoever holds the lease. Some time later, the asker
    /// has lost patience.
    pub(super) fn ask(&mut self, wish: Wish) {
        let Some(held) = self
            .register
            .record()
            .filter(|held| held.holder().is_some())
        else {
            return;
        };
        if self.asked().is_some_and(|request| is_accepted(&request)) {
            return;
        }
        let (term, stands) = (held.term, held.lease_duration);
        let number = self.random.next();
        let request = Request {
            asker: Asker {
                session: SessionId::from_u128(number.into()),
                host: "simulated".into(),
                pid: None,
            },
            wish,
            stage: Stage::Open,
        };
        let known = self.requests.revision();
        self.requests.swap(known, request.record(term, stands));
        let patience = self.now + Duration::from_nanos(self.random.up_to(stands));
        self.calm_not_before(patience);
        self.at(patience, Event::Withdrawal(number));
    }

    /// Unless it was granted, or somebody else asks for something by now.
    pub(super) fn withdraw(&mut self, asker: u64) {
        let session = SessionId::from_u128(asker.into());
        let withdrawn = self
            .asked()
            .filter(|request| request.asker.session == session && !is_accepted(request));
        if let (Some(request), Some(record)) = (withdrawn, self.requests.record()) {
            let next = Request {
                stage: Stage::Withdrawn,
                ..request
            };
            let next = next.record(record.term, record.lease_duration);
            let known = self.requests.revision();
            self.requests.swap(known, next);
        }
    }

    /// What is asked of the one who leads now.
    fn asked(&self) -> Option<Request> {
        let record = self.requests.record()?;
        match &record.state {
            State::Asked(request) if record.term == self.register.record()?.term => {
                Some(request.clone())
            }
            _ => None,
        }
    }
}

const fn is_accepted(request: &Request) -> bool {
    matches!(request.stage, Stage::Accepted { .. })
}
