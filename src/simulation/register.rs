//! The store: one linearizable compare-and-swap register.

use crate::lease::Record;
use crate::store::{Content, Observed, Revision, Swap};

#[derive(Default)]
pub(super) struct Register {
    swaps: u64,
    record: Option<Record>,
}

impl Register {
    pub(super) fn observed(&self) -> Option<Observed> {
        let record = self.record.clone()?;
        Some(Observed {
            revision: Revision::new([self.swaps, 0, 0, 0]),
            content: Content::Record(record),
        })
    }

    pub(super) const fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    pub(super) fn revision(&self) -> Option<Revision> {
        self.record
            .as_ref()
            .map(|_| Revision::new([self.swaps, 0, 0, 0]))
    }

    pub(super) fn swap(&mut self, expected: Option<Revision>, next: Record) -> Swap {
        if expected != self.revision() {
            return Swap::Conflict(self.observed());
        }
        self.swaps += 1;
        self.record = Some(next);
        Swap::Swapped {
            revision: Revision::new([self.swaps, 0, 0, 0]),
            witness: None,
        }
    }
}
