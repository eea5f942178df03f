//! A node's attendance at the request register: it looks, and takes its steps.

use std::future::pending;
use std::sync::{Arc, Weak};

use super::{Desk, Step};
use crate::clock::{Clock, Timer};
use crate::driver::Command;
use crate::node::Shared;
use crate::store::{Content, LeaseStore, Observed, Swap};

/// Looks again and again, unless the store tells when to: to be woken by a file
/// would take a descriptor that the kernel is slow to close, and it may drop a dead
/// leader's lock only after that. Runs until the node ends. If a call hangs, nothing else does, and it is given
/// up as one for the lease would be.
pub(crate) async fn attend(
    shared: Weak<Shared>,
    register: Arc<dyn LeaseStore>,
    clock: Arc<dyn Clock>,
    mut timer: Box<dyn Timer>,
) {
    let Some(node) = shared.upgrade() else { return };
    let mut desk = Desk::new(node.me());
    let pause = node.timing().request_period();
    let patience = node.timing().renew_deadline();
    let ended = node.ended();
    // Kept, it would keep the node.
    drop(node);
    let looks = async {
        let mut known = Known::Nothing;
        // Whose store tells has to know what of.
        let mut look_at = match register.tells() {
            true => clock.now(),
            false => clock.now() + pause,
        };
        loop {
            tokio::select! {
                biased;
                () = news(&*register, &known) => known = Known::Nothing,
                () = timer.wait_until(look_at) => {}
            }
            if !register.tells() {
                known = Known::Nothing;
            }
            let give_up_at = clock.now() + patience;
            tokio::select! {
                biased;
                () = look(&shared, &*register, &*clock, &mut desk, &mut known) => {}
                () = timer.wait_until(give_up_at) => {}
            }
            look_at = clock.now() + pause;
        }
    };
    tokio::select! {
        () = ended => {}
        () = looks => {}
    }
}

/// What the register holds.
enum Known {
    Nothing,
    Holds(Option<Observed>),
}

/// Ends when the register no longer holds what is known, if the store tells.
async fn news(register: &dyn LeaseStore, known: &Known) {
    match known {
        Known::Holds(seen) if register.tells() => {
            register
                .moved_on(seen.as_ref().map(|seen| seen.revision))
                .await;
        }
        _ => pending().await,
    }
}

/// Takes every step there is to take now.
async fn look(
    shared: &Weak<Shared>,
    register: &dyn LeaseStore,
    clock: &dyn Clock,
    desk: &mut Desk,
    known: &mut Known,
) {
    let part = || shared.upgrade().map(|node| node.part()).unwrap_or_default();
    // Who can do nothing about a request has no need to look.
    while part().has_a_say() || register.tells() {
        let seen = match std::mem::replace(known, Known::Nothing) {
            Known::Holds(seen) => seen,
            Known::Nothing => match register.read().await {
                Ok(seen) => seen,
                Err(_) => return,
            },
        };
        let step = match &seen {
            Some(Observed {
                revision,
                content: Content::Record(record),
            }) => {
                let step = desk.consider(clock.now(), record, part());
                step.map(|step| (*revision, record.clone(), step))
            }
            _ => None,
        };
        let Some((revision, record, step)) = step else {
            *known = Known::Holds(seen);
            return;
        };
        match step {
            Step::Say(request) => {
                let next = request.record(record.term, record.lease_duration);
                let said = register.swap(Some(revision), next).await;
                // Whatever is there instead is told of, or has time until the next look.
                if !matches!(said, Ok(Swap::Swapped { .. })) {
                    *known = Known::Holds(seen);
                    return;
                }
            }
            Step::StepDown(ending, request) => {
                let term = record.term;
                if let Some(node) = shared.upgrade() {
                    node.tell(Command::StepDown {
                        term,
                        ending,
                        request,
                    });
                }
                *known = Known::Holds(seen);
                return;
            }
        }
    }
}
