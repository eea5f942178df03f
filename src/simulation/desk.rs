//! A node's side of the world: its clock, its timer and its way to the store.
//!
//! What the driver asks for is left on the desk; the world takes it from there
//! and puts the answers back.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use crate::clock::{BootTime, Clock, Timer};
use crate::lease::Record;
use crate::store::{Answer, LeaseStore, Observed, Revision, StoreError, Swap, Wake};

#[derive(Default)]
pub(super) struct Desk {
    now: AtomicU64,
    lease: Place,
    requests: Place,
}

/// The two registers of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Book {
    Lease,
    Requests,
}

/// Each has a task of its own, with its timer.
#[derive(Default)]
struct Place {
    /// What the timer was set to last.
    deadline: AtomicU64,
    papers: Mutex<Papers>,
}

#[derive(Default)]
pub(super) struct Papers {
    /// Calls and watches are numbered, so that an answer to one that was
    /// abandoned is not taken for another's.
    number: u64,
    pub(super) asked: Option<(u64, Asked)>,
    answer: Option<(u64, Answered)>,
    pub(super) watches: Option<(u64, Revision)>,
    wake: Option<(u64, Wake)>,
}

pub(super) enum Asked {
    Read,
    Swap(Option<Revision>, Record),
}

pub(super) enum Answered {
    Read(Option<Observed>),
    Swap(Swap),
    NobodyKnows,
}

impl Desk {
    pub(super) fn set_clock(&self, now: BootTime) {
        self.now.store(now.as_nanos(), Relaxed);
    }

    const fn place(&self, book: Book) -> &Place {
        match book {
            Book::Lease => &self.lease,
            Book::Requests => &self.requests,
        }
    }

    pub(super) fn deadline(&self, book: Book) -> BootTime {
        BootTime::from_nanos(self.place(book).deadline.load(Relaxed))
    }

    pub(super) fn papers(&self, book: Book) -> MutexGuard<'_, Papers> {
        let papers = self.place(book).papers.lock();
        papers.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Papers {
    const fn new_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub(super) fn put_answer(&mut self, number: u64, answer: Answered) {
        self.answer = Some((number, answer));
    }

    pub(super) fn put_wake(&mut self, number: u64, wake: Wake) {
        self.wake = Some((number, wake));
    }
}

/// The desk as who looks after one of the registers has it.
pub(super) struct AtDesk(pub(super) Arc<Desk>, pub(super) Book);

impl AtDesk {
    fn ask(&self, what: Asked) -> impl Future<Output = Answered> + Send + '_ {
        let mut papers = self.0.papers(self.1);
        let number = papers.new_number();
        papers.asked = Some((number, what));
        drop(papers);
        poll_fn(move |_| {
            let mut papers = self.0.papers(self.1);
            match papers.answer.take_if(|(to, _)| *to == number) {
                Some((_, answer)) => Poll::Ready(answer),
                None => Poll::Pending,
            }
        })
    }
}

impl Clock for AtDesk {
    fn now(&self) -> BootTime {
        BootTime::from_nanos(self.0.now.load(Relaxed))
    }

    fn timer(&self) -> io::Result<Box<dyn Timer>> {
        Ok(Box::new(Self(self.0.clone(), self.1)))
    }
}

impl Timer for AtDesk {
    fn wait_until(&mut self, at: BootTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let deadline = &self.0.place(self.1).deadline;
        deadline.store(at.as_nanos(), Relaxed);
        Box::pin(poll_fn(move |_| match self.now() >= at {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }))
    }
}

impl LeaseStore for AtDesk {
    fn read(&self) -> Answer<'_, Result<Option<Observed>, StoreError>> {
        let answer = self.ask(Asked::Read);
        Box::pin(async {
            match answer.await {
                Answered::Read(current) => Ok(current),
                Answered::Swap(_) | Answered::NobodyKnows => Err(no_answer()),
            }
        })
    }

    fn swap(
        &self,
        expected: Option<Revision>,
        next: Record,
    ) -> Answer<'_, Result<Swap, StoreError>> {
        let answer = self.ask(Asked::Swap(expected, next));
        Box::pin(async {
            match answer.await {
                Answered::Swap(swap) => Ok(swap),
                Answered::Read(_) | Answered::NobodyKnows => Err(no_answer()),
            }
        })
    }

    fn changed(&self, seen: Revision) -> Answer<'_, Wake> {
        let mut papers = self.0.papers(self.1);
        let number = papers.new_number();
        papers.watches = Some((number, seen));
        Box::pin(poll_fn(move |_| {
            match self.0.papers(self.1).wake.take_if(|(to, _)| *to == number) {
                Some((_, wake)) => Poll::Ready(wake),
                None => Poll::Pending,
            }
        }))
    }

    fn requests(&self) -> Option<Arc<dyn LeaseStore>> {
        Some(Arc::new(Self(self.0.clone(), Book::Requests)))
    }
}

fn no_answer() -> StoreError {
    StoreError::new("the store cannot be reached")
}
