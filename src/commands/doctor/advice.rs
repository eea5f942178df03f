//! How short a lease may be here: arithmetic from what was measured.
//!
//! **To keep a lease.** A renewal is due P after the last was asked for, is
//! asked for one late wake-up after that, and is answered one slow call later;
//! belief ends R after the last was asked for. So a call and a wake-up must fit
//! into R - P. What was seen within a second is not the worst there is, so
//! [`ROOM`] times as much must fit. With the default ratios R - P is 0.4 L, so
//! L >= 10 x (call + wake-up), and P is twice their sum: then one renewal may
//! also fail altogether, and the next (after P/4) may still be 1.75 times as
//! slow as the worst that was seen.
//!
//! **To stop in time.** The guard of `run` kills at R + G, one late wake-up
//! later. What is left until L must hold that, [`LATE`] times over.

use std::time::Duration;

use leader_demo::Timing;
use serde::Serialize;

use super::measured::Measured;
use super::report::nanos;

pub(super) const ROOM: u32 = 4;
pub(super) const LATE: u32 = 2;

/// Whether what was measured fits into what the durations leave for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Ample,
    /// Once, but not as often as it should.
    Tight,
    /// Not even once.
    None,
}

fn room(left: Duration, needed: Duration, times: u32) -> Room {
    match left {
        left if left < needed => Room::None,
        left if left < needed * times => Room::Tight,
        _ => Room::Ample,
    }
}

/// Is there time to renew before belief ends?
pub(super) fn room_to_renew(timing: &Timing, measured: &Measured) -> Room {
    let left = timing.renew_deadline() - timing.retry_period();
    room(left, a_renewal(measured), ROOM)
}

/// Is there time to kill before another may lead?
pub(super) fn room_to_stop(timing: &Timing, stop_grace: Duration, measured: &Measured) -> Room {
    room(left_to_stop(timing, stop_grace), measured.wake_up, LATE)
}

/// The slowest call after the latest wake-up.
fn a_renewal(measured: &Measured) -> Duration {
    measured.worst_call().0 + measured.wake_up
}

fn left_to_stop(timing: &Timing, stop_grace: Duration) -> Duration {
    timing.lease_duration() - timing.renew_deadline() - stop_grace
}

/// The shortest lease that has room enough, with the others in proportion.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Smallest {
    #[serde(rename = "to_keep_ns", serialize_with = "nanos")]
    pub(super) to_keep: Duration,
    /// With `run`.
    #[serde(rename = "to_stop_ns", serialize_with = "nanos")]
    pub(super) to_stop: Duration,
    #[serde(rename = "lease_duration_ns", serialize_with = "nanos")]
    pub(super) lease_duration: Duration,
}

pub(super) fn smallest(
    timing: &Timing,
    stop_grace: Option<Duration>,
    measured: &Measured,
) -> Smallest {
    let in_proportion = |needed: Duration, left: Duration| {
        needed.mul_f64(timing.lease_duration().div_duration_f64(left))
    };
    let renewing = timing.renew_deadline() - timing.retry_period();
    let to_keep = in_proportion(a_renewal(measured) * ROOM, renewing);
    let to_stop = stop_grace.map_or(Duration::ZERO, |grace| {
        in_proportion(measured.wake_up * LATE, left_to_stop(timing, grace))
    });
    Smallest {
        to_keep,
        to_stop,
        lease_duration: round_up(to_keep.max(to_stop).max(Timing::SHORTEST)),
    }
}

/// To two digits: to look right is worth more than to be the shortest.
fn round_up(d: Duration) -> Duration {
    let digit = 10u128.pow(d.as_nanos().max(1).ilog10().saturating_sub(1));
    let nanos = d.as_nanos().next_multiple_of(digit);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::measured::tests::measured;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn of(lease: u64) -> Timing {
        Timing::from_lease_duration(ms(lease)).unwrap()
    }

    #[test]
    fn the_shortest_lease_follows_from_the_slowest_call_and_the_latest_wake_up() {
        // With the defaults: 10 x (call + wake-up), and 20 x wake-up with `run`.
        for (call, wake_up, to_keep, to_stop, lease) in [
            (0, 0, 0, 0, 100),
            (1, 1, 20, 20, 100),
            (20, 5, 250, 100, 250),
            (1, 50, 510, 1000, 1000),
            (301, 2, 3030, 40, 3100),
        ] {
            for timing in [of(10_000), of(100), of(60_000)] {
                let measured = measured(ms(0), ms(call), ms(0), ms(wake_up));
                let grace = timing.stop_grace(None).unwrap();
                let said = smallest(&timing, Some(grace), &measured);
                let close = |is: Duration, to: u64| {
                    let off = is.abs_diff(ms(to));
                    assert!(off < Duration::from_micros(1), "{timing:?} {is:?} {to}");
                };
                close(said.to_keep, to_keep);
                close(said.to_stop, to_stop);
                close(said.lease_duration, lease);
            }
        }
    }

    #[test]
    fn other_ratios_leave_other_room() {
        let measured = measured(ms(0), ms(20), ms(0), ms(5));
        // R - P is 0.8 L instead of 0.4 L: half as long will do.
        let wide = Timing::new(ms(1000), Some(ms(900)), Some(ms(100))).unwrap();
        assert_eq!(smallest(&wide, None, &measured).to_keep, ms(125));
        // R - P is 0.01 L.
        let narrow = Timing::new(ms(1000), Some(ms(600)), Some(ms(590))).unwrap();
        assert_eq!(room_to_renew(&narrow, &measured), Room::None);
    }

    #[test]
    fn what_is_too_short_is_told_from_what_is_tight() {
        // A call of 20 ms and a wake-up of 5 ms, in 0.4 L.
        for (lease, renew) in [(250, Room::Ample), (249, Room::Tight), (100, Room::Tight)] {
            let measured = measured(ms(0), ms(20), ms(0), ms(5));
            assert_eq!(room_to_renew(&of(lease), &measured), renew, "{lease}");
        }
        let slow = measured(ms(0), ms(36), ms(0), ms(5));
        assert_eq!(room_to_renew(&of(100), &slow), Room::None);
        // A wake-up in 0.1 L.
        for (wake_up, stop) in [
            (5, Room::Ample),
            (6, Room::Tight),
            (10, Room::Tight),
            (11, Room::None),
        ] {
            let measured = measured(ms(0), ms(0), ms(0), ms(wake_up));
            assert_eq!(room_to_stop(&of(100), ms(30), &measured), stop, "{wake_up}");
        }
    }

    #[test]
    fn the_shortest_lease_has_room_for_what_it_was_made_for() {
        for (call, wake_up) in [(3, 40), (200, 7), (11, 11), (1000, 900)] {
            let measured = measured(ms(call), ms(0), ms(0), ms(wake_up));
            let timing = of(10_000);
            let lease = smallest(&timing, timing.stop_grace(None).ok(), &measured).lease_duration;
            let timing = Timing::from_lease_duration(lease).unwrap();
            let grace = timing.stop_grace(None).unwrap();
            assert_eq!(room_to_renew(&timing, &measured), Room::Ample);
            assert_eq!(room_to_stop(&timing, grace, &measured), Room::Ample);
        }
    }
}
