//! One node: its clock, what is wrong with it, and its election while it runs.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::desk::{AtDesk, Desk};
use super::plan::Fault;
use super::random::Random;
use crate::change::Notice;
use crate::clock::{BootTime, Clock};
use crate::driver::{Command, Driver, Standing};
use crate::election::Election;
use crate::health::Health;
use crate::lease::{Holder, SessionId, Term};
use crate::name::NodeId;
use crate::timing::Timing;

pub(super) struct Seat {
    name: NodeId,
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
    until: [Duration; Fault::ALL.len()],
    #[cfg(test)]
    pub(super) sabotage: Option<crate::election::Sabotage>,
}

/// A process.
pub(super) struct Running {
    pub(super) desk: Arc<Desk>,
    pub(super) drive: Pin<Box<dyn Future<Output = ()> + Send>>,
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) standing: watch::Receiver<Standing>,
    pub(super) notices: mpsc::UnboundedReceiver<Notice>,
    pub(super) session: SessionId,
    /// "I lead", as after its last step, and until when.
    pub(super) belief: Option<(Term, BootTime)>,
    /// What its timer is set to, by its clock.
    pub(super) alarm: BootTime,
    /// The wait for an early wake-up that it is in.
    pub(super) watches: Option<u64>,
}

const SAME: u64 = 1 << 20;

impl Running {
    /// It runs until it waits; true once it has ended.
    pub(super) fn turn(&mut self, clock: BootTime) -> bool {
        self.desk.set_clock(clock);
        let mut nobody = Context::from_waker(Waker::noop());
        let ended = self.drive.as_mut().poll(&mut nobody).is_ready();
        let standing = self.standing.borrow();
        let belief = standing.belief.as_ref();
        self.belief = belief.map(|belief| (belief.term, belief.valid_until));
        ended
    }
}

impl Seat {
    /// Its clock is at most `ratio` times as fast as ours.
    pub(super) fn new(n: usize, ratio: f64, random: &mut Random) -> Self {
        let most = ((ratio - 1.0).max(0.0) * SAME as f64) as u64;
        // The extremes are what matters most.
        let any = random.below(most + 1);
        let faster = random.one_of(&[0, most, any]);
        Self {
            name: NodeId::new(&format!("node-{}", n + 1)).expect("a name"),
            rate: SAME + faster,
            offset: random.below(1 << 50),
            life: 0,
            running: None,
            frozen: false,
            until: Default::default(),
            #[cfg(test)]
            sabotage: None,
        }
    }

    pub(super) fn start(&mut self, now: Duration, timing: Timing, random: &mut Random) {
        let session =
            SessionId::from_u128(u128::from(random.next()) << 64 | u128::from(random.next()));
        let me = Holder {
            node_id: self.name.clone(),
            session,
            host: "simulated".into(),
            pid: None,
            boot_id: None,
        };
        let desk = Arc::new(Desk::default());
        desk.set_clock(self.clock(now));
        let clock: Arc<dyn Clock> = Arc::new(AtDesk(desk.clone()));
        let timer = clock.timer().expect("a timer of ours");
        let (commands, inbox) = mpsc::unbounded_channel();
        let (publish, standing) = watch::channel(Standing::default());
        let (to, notices) = mpsc::unbounded_channel();
        for command in [Command::Watch(to), Command::Stand] {
            commands.send(command).expect("it listens");
        }
        let health = Arc::new(Health::new(self.clock(now)));
        let election = Election::new(me, timing);
        let driver = Driver::new(election, clock, inbox, publish, health, Weak::new());
        #[cfg(test)]
        let driver = driver.sabotaged(self.sabotage);
        self.life += 1;
        self.frozen = false;
        self.running = Some(Running {
            drive: Box::pin(driver.drive(AtDesk(desk.clone()), timer)),
            desk,
            commands,
            standing,
            notices,
            session,
            belief: None,
            alarm: BootTime::default(),
            watches: None,
        });
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

    pub(super) fn suffers(&mut self, fault: Fault, until: Duration) {
        let over = &mut self.until[fault as usize];
        *over = (*over).max(until);
    }

    pub(super) fn has(&self, fault: Fault, now: Duration) -> bool {
        now < self.until[fault as usize]
    }

    /// It cannot reach the store.
    pub(super) fn cut_off(&self, now: Duration) -> bool {
        self.has(Fault::Partition, now) || self.has(Fault::Unreachable, now)
    }
}
