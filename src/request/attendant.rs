//! A node's attendance at the request register: it looks, and takes its steps.

use std::sync::{Arc, Weak};

use super::{Desk, Step};
use crate::clock::{Clock, Timer};
use crate::driver::Command;
use crate::node::Shared;
use crate::store::{Content, LeaseStore, Swap};

/// Looks again and again: to be woken instead would take a descriptor that the
/// kernel is slow to close, and it may drop a dead leader's lock only after that.
/// Runs until the node ends. If a call hangs, nothing else does, and it is given
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
        loop {
            timer.wait_until(clock.now() + pause).await;
            let give_up_at = clock.now() + patience;
            tokio::select! {
                biased;
                () = look(&shared, &*register, &*clock, &mut desk) => {}
                () = timer.wait_until(give_up_at) => {}
            }
        }
    };
    tokio::select! {
        () = ended => {}
        () = looks => {}
    }
}

/// Takes every step there is to take now.
async fn look(
    shared: &Weak<Shared>,
    register: &dyn LeaseStore,
    clock: &dyn Clock,
    desk: &mut Desk,
) {
    let part = || shared.upgrade().map(|node| node.part()).unwrap_or_default();
    // Who can do nothing about a request has no need to look.
    while part().has_a_say()
        && let Ok(Some(seen)) = register.read().await
        && let Content::Record(record) = &seen.content
        && let Some(step) = desk.consider(clock.now(), record, part())
    {
        match step {
            Step::Say(request) => {
                let next = request.record(record.term, record.lease_duration);
                let said = register.swap(Some(seen.revision), next).await;
                // Whatever is there instead has time until the next look.
                if !matches!(said, Ok(Swap::Swapped { .. })) {
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
                return;
            }
        }
    }
}
