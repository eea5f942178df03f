//! One node: its clock, what is wrong with it, and its election while it runs.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::mpsc;

use super::desk::{AtDesk, Book, Desk};
use super::plan::{Fault, Plan};
use super::random::Random;
use crate::change::Notice;
use crate::clock::{BootTime, Clock};
use crate::driver::Command;
use crate::lease::{Holder, SessionId, Term};
use crate::name::NodeId;
use crate::node::Shared;
use crate::request::attend;
use crate::store::LeaseStore;
use crate::timing::Timing;

pub(super) struct Seat {
    pub(super) name: NodeId,
    /// What its flags say, the next time it is started.
    pub(super) timing: Timing,
    /// In parts of [`SAME`], which is as fast as ours.
    rate: u64,
    /// What its clock said when ours said 0.
    offset: u64,
    /// How often it was started.
    pub(super) life: u32,
    /// None: it does not run.
    pub(super) running: Option<Running>,
    pub(super) frozen: bool,
    /// When each kind of fault is over.
    until: [Duration; Fault::COUNT],
    #[cfg(test)]
    pub(super) sabotage: Option<crate::election::Sabotage>,
    #[cfg(test)]
    pub(super) asleep_from: Option<Duration>,
}

/// A process.
pub(super) struct Running {
    pub(super) desk: Arc<Desk>,
    pub(super) node: Arc<Shared>,
    drive: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// It looks for requests, if this is an election in which somebody may ask.
    attend: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    pub(super) notices: mpsc::UnboundedReceiver<Notice>,
    pub(super) session: SessionId,
    /// "I lead", as after its last step, and until when.
    pub(super) belief: Option<(Term, BootTime)>,
    /// What its timers are set to, by its clock.
    pub(super) alarms: [BootTime; 2],
    /// The wait for an early wake-up that it is in.
    pub(super) watches: Option<u64>,
}

const SAME: u64 = 1 << 20;

impl Running {
    /// It runs until it waits; true once it has ended.
    pub(super) fn turn(&mut self, clock: BootTime) -> bool {
        self.desk.set_clock(clock);
        let mut nobody = Context::from_waker(Waker::noop());
        if let Some(attend) = &mut self.attend {
            // It ends only after what it tells.
            let _ = attend.as_mut().poll(&mut nobody);
        }
        let ended = self.drive.as_mut().poll(&mut nobody).is_ready();
        self.belief = self.node.belief_at(clock);
        ended
    }
}

impl Seat {
    /// Its clock is at most `plan.clock_ratio` times as fast as ours.
    pub(super) fn new(n: usize, plan: &Plan, random: &mut Random) -> Self {
        let most = ((plan.clock_ratio - 1.0).max(0.0) * SAME as f64) as u64;
        // The extremes are what matters most.
        let any = random.below(most + 1);
        let faster = random.one_of(&[0, most, any]);
        Self {
            name: NodeId::new(&format!("node-{}", n + 1)).expect("a name"),
            timing: plan.timing,
            rate: SAME + faster,
            offset: random.below(1 << 50),
            life: 0,
            running: None,
            frozen: false,
            until: Default::default(),
            #[cfg(test)]
            sabotage: None,
            #[cfg(test)]
            asleep_from: None,
        }
    }

    pub(super) fn start(&mut self, now: Duration, attends: bool, random: &mut Random) {
        let session =
            SessionId::from_u128(u128::from(random.next()) << 64 | u128::from(random.next()));
        let me = Holder {
            node_id: self.name.clone(),
            session,
            host: "simulated".into(),
            pid: NonZeroU32::new(std::process::id()),
            boot_id: None,
        };
        let desk = Arc::new(Desk::default());
        desk.set_clock(self.clock(now));
        let at = |book| AtDesk(desk.clone(), book);
        let timer = |book| at(book).timer().expect("a timer of ours");
        let (node, driver) = Shared::new(me, self.timing, Arc::new(at(Book::Lease)));
        #[cfg(test)]
        let driver = driver.sabotaged(self.sabotage);
        let (to, notices) = mpsc::unbounded_channel();
        node.tell(Command::Watch(to));
        node.tell(Command::Stand);
        let attend = at(Book::Lease)
            .requests()
            .filter(|_| attends)
            .map(|requests| {
                let clock = Arc::new(at(Book::Requests));
                let node = Arc::downgrade(&node);
                Box::pin(attend(node, requests, clock, timer(Book::Requests))) as Pin<Box<_>>
            });
        self.life += 1;
        self.running = Some(Running {
            drive: Box::pin(driver.drive(at(Book::Lease), timer(Book::Lease))),
            attend,
            node,
            notices,
            session,
            belief: None,
            alarms: Default::default(),
            watches: None,
            desk,
        });
    }

    /// Its process is gone, and with it what was done to that alone.
    pub(super) fn ends(&mut self) {
        self.running = None;
        self.frozen = false;
        self.until[Fault::Freeze as usize] = Duration::ZERO;
    }

    /// What its clock says at this moment.
    pub(super) fn clock(&self, now: Duration) -> BootTime {
        let passed = now.as_nanos() * u128::from(self.rate) / u128::from(SAME);
        BootTime::from_nanos(self.offset + passed as u64)
    }

    /// The first moment at which its clock says that.
    pub(super) fn moment(&self, clock: BootTime) -> Duration {
        let passed = u128::from(clock.as_nanos().saturating_sub(self.offset)) * u128::from(SAME);
        Duration::from_nanos(passed.div_ceil(u128::from(self.rate)) as u64)
    }

    /// Rule 9: asked at the moment of use, by its own clock.
    pub(super) fn leads(&self, now: Duration) -> Option<Term> {
        let (term, valid_until) = self.running.as_ref()?.belief?;
        (self.clock(now) < valid_until).then_some(term)
    }

    /// Rule 12, broken: while its machine slept its clock stood still.
    #[cfg(test)]
    pub(super) fn wakes_with_a_clock_that_slept(&mut self, now: Duration) {
        let slept = self
            .asleep_from
            .take()
            .map_or(0, |from| (now - from).as_nanos() as u64);
        self.offset = self.offset.saturating_sub(slept);
        if let Some(running) = &mut self.running {
            running.alarms = Default::default();
        }
    }

    /// Until then at least.
    pub(super) fn suffers(&mut self, fault: Fault, until: Duration) {
        let over = &mut self.until[fault as usize];
        *over = (*over).max(until);
    }

    pub(super) fn has(&self, fault: Fault, now: Duration) -> bool {
        now < self.lasts_until(fault)
    }

    pub(super) const fn lasts_until(&self, fault: Fault) -> Duration {
        self.until[fault as usize]
    }

    /// It cannot reach the store.
    pub(super) fn cut_off(&self, now: Duration) -> bool {
        self.has(Fault::Partition, now) || self.has(Fault::Unreachable, now)
    }
}
