//! One lock and many candidates: what they ask of the store, and how long
//! nobody leads after the leader is gone. Nothing goes wrong here but that.

use std::time::Duration;

use super::plan::Plan;
use super::report::Calls;
use super::world::World;
use crate::driver::Command;
use crate::timing::Timing;

/// An election of a certain size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// How many wait beside the leader.
    pub candidates: usize,
    /// From asking the store to its answer. It takes that long however many ask.
    pub round_trip: Duration,
    /// The durations that all keep to.
    pub timing: Timing,
}

/// How a leadership ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The leader is killed on another machine: nobody is told.
    Silent,
    /// The leader is killed, and the store tells of it.
    Told,
    /// The leader is stopped, and gives the lease back; nobody is told.
    Released,
}

/// What the store is asked per second while all is well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Idle {
    /// Looks at the lease, and the leader's renewals.
    pub lease: f64,
    /// Looks for requests to the leader.
    pub requests: f64,
}

/// What comes of the end of a leadership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failover {
    /// How long nobody leads.
    pub gap: Duration,
    /// How many tried to take the lease; one of them did.
    pub attempts: u64,
    /// The most calls within [`MOMENT`], of either kind, while nobody leads and
    /// for two retry periods after that.
    pub burst: u64,
}

/// In so short a time a store hardly clears a queue.
pub const MOMENT: Duration = Duration::from_millis(10);

/// What the store is asked in a minute without faults.
pub fn idle(setting: &Setting, seed: u64) -> Idle {
    let minute = Duration::from_secs(60);
    let plan = plan(setting, End::Silent, seed);
    let mut world = World::new(&plan);
    let begin = settle(&mut world, setting);
    let before = world.calls;
    world.until(begin + minute);
    let asked = world.calls.since(before);
    Idle {
        lease: asked.lease() as f64 / minute.as_secs_f64(),
        requests: asked.requests as f64 / minute.as_secs_f64(),
    }
}

/// What happens when the leader goes, at a moment that the seed decides.
pub fn failover(setting: &Setting, end: End, seed: u64) -> Failover {
    let plan = plan(setting, end, seed);
    let mut world = World::new(&plan);
    settle(&mut world, setting);
    let period = setting.timing.retry_period();
    let phase = Duration::from_nanos(world.random.up_to(period));
    world.until(world.now + phase);
    let before = world.calls;
    end_leadership(&mut world, end);
    let gone = world.now;
    let led = world.spans.len();
    let mut burst = 0;
    let mut until = Duration::MAX;
    while world.now < until {
        let before = world.calls;
        world.until(world.now + MOMENT);
        burst = burst.max(world.calls.since(before).all());
        if world.spans.len() > led {
            until = until.min(world.spans[led].from + period * 2);
        }
    }
    let asked = world.calls.since(before);
    let gap = world.spans[led].from - gone;
    Failover {
        gap,
        attempts: asked.swaps - asked.swaps_done + 1,
        burst,
    }
}

/// Until a leader has led for as long as it takes to fall out of step.
fn settle(world: &mut World<'_>, setting: &Setting) -> Duration {
    let begin = setting.timing.lease_duration() * 3;
    world.until(begin);
    begin
}

fn end_leadership(world: &mut World<'_>, end: End) {
    let leads = |node: &usize| world.leads(*node);
    let leader = (0..world.seats.len()).find(leads).expect("somebody leads");
    match end {
        End::Silent | End::Told => world.died(leader),
        End::Released => world.tell(leader, Command::Stop),
    }
}

fn plan(setting: &Setting, end: End, seed: u64) -> Plan {
    Plan {
        seed,
        nodes: setting.candidates + 1,
        timing: setting.timing,
        duration: Duration::MAX,
        faults: Vec::new(),
        pause: Duration::ZERO,
        round_trip: setting.round_trip,
        clock_ratio: 1.0,
        one_machine: end == End::Told,
        // Nobody asks, but somebody might.
        requests: true,
        heartbeat: None,
    }
}

impl Calls {
    fn since(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            swaps: self.swaps - before.swaps,
            swaps_done: self.swaps_done - before.swaps_done,
            requests: self.requests - before.requests,
        }
    }

    const fn lease(self) -> u64 {
        self.reads + self.swaps
    }

    const fn all(self) -> u64 {
        self.lease() + self.requests
    }
}
