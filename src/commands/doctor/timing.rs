//! What the durations promise: arithmetic from the rules in docs/DESIGN.md.

use std::time::Duration;

use leader_demo::Timing;
use serde::Serialize;

use super::measured::Measured;
use super::report::nanos;

/// How long one kind of failure leaves nobody leading.
#[derive(Debug, Serialize)]
pub(super) struct Failover {
    pub(super) case: &'static str,
    #[serde(skip)]
    pub(super) what: &'static str,
    #[serde(rename = "at_most_ns", serialize_with = "nanos")]
    pub(super) at_most: Duration,
    pub(super) formula: String,
}

/// What the store tells who waits, at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// A lock directory's locks: of a release, and of a death on this machine.
    Deaths,
    /// A server: of what is written, and so of a release. A guard's, too.
    Changes,
    /// A server whose word does not arrive: changes are found at the next look.
    Late,
    /// A lock directory whose locks prove nothing: a death is found by silence.
    Nothing,
}

/// From the last word of a leader to somebody's first, but for L and P: a late
/// wake-up to look, a look, a late wake-up to acquire, an acquisition.
pub(super) fn delays(measured: &Measured) -> Duration {
    measured.wake_up * 2 + measured.read.max + measured.acquisition.max
}

/// Each kind of failure, at worst.
pub(super) fn failovers(
    timing: &Timing,
    stop_grace: Option<Duration>,
    tells: Tells,
    here_alone: bool,
    measured: &Measured,
) -> Vec<Failover> {
    let (l, p) = (timing.lease_duration(), timing.retry_period());
    let delays = delays(measured);
    // Rule 3: L counts from when the last renewal was *seen*, which a look up
    // to P later does.
    let silence = (l + p + delays, "L + P + delays");
    let told = measured.hand_off + measured.acquisition.max;
    let released = measured.release.max + told;
    let killed = match tells {
        Tells::Deaths => (told, "the lock's hand-off + an acquisition"),
        Tells::Changes | Tells::Late | Tells::Nothing => silence,
    };
    let found = measured.release.max + p + delays;
    let vacant = match tells {
        Tells::Deaths => (released, "a release + hand-off + an acquisition"),
        Tells::Changes => (released, "a release + a notice + an acquisition"),
        Tells::Late | Tells::Nothing => (found, "a release + P + delays"),
    };
    let mut rows = vec![(
        "leader_killed",
        "the leader is killed, its machine lives",
        killed,
    )];
    if let Some(grace) = stop_grace {
        // The guard holds the lock until the command is gone, or gives back the lease
        // then, unless L ends first.
        let connecting = measured.connection.unwrap_or_default().max;
        let (after, formula) = match tells {
            Tells::Deaths => (grace + told, "G + hand-off + an acquisition"),
            Tells::Changes => (
                grace + connecting + released,
                "G + a connection + a release + a notice + an acquisition",
            ),
            Tells::Late => (
                grace + connecting + found,
                "G + a connection + a release + P + delays",
            ),
            Tells::Nothing => silence,
        };
        let (after, formula) = match after <= silence.0 {
            true => (after, formula),
            false => silence,
        };
        rows.push((
            "run_killed",
            "`run` is killed, its guard stops the command",
            (after, formula),
        ));
    }
    rows.extend([
        match here_alone {
            // Its boot id is not that of the record, so L counts from the first look.
            true => (
                "machine_dies",
                "its machine dies, from its start on",
                (l + delays, "L + delays"),
            ),
            false => ("machine_dies", "its machine dies", silence),
        },
        (
            "leader_frozen",
            "it is frozen, or cannot reach the store",
            silence,
        ),
        (
            "leader_stopped",
            "it stops or resigns, once its work has ended",
            vacant,
        ),
        (
            "handed_over",
            match tells {
                Tells::Changes => "it hands over, once its work has ended",
                // Its target and the leader each look at requests before that.
                Tells::Late => "it hands over, 2 P to be heard and its work's end later",
                Tells::Deaths | Tells::Nothing => {
                    "it hands over, P/2 to be heard and its work's end later"
                }
            },
            vacant,
        ),
        (
            // Candidates back off to 2 P, and may then see for the first time
            // what was written right before or after.
            "store_back",
            "the store fails for R or longer, from its return",
            (l + p * 2 + delays, "L + 2 P + delays"),
        ),
    ]);
    let rows = rows.into_iter();
    rows.map(|(case, what, (at_most, formula))| Failover {
        case,
        what,
        at_most,
        formula: formula.to_owned(),
    })
    .collect()
}

/// When two can lead at once: not at all, while clocks are that good.
#[derive(Debug, Serialize)]
pub(super) struct Overlap {
    /// None while the rates of two clocks differ by less than that (L/R).
    pub(super) none_below_rates: f64,
    /// The same for the last of a command of `run` (L/(R + G)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) none_below_rates_in_run: Option<f64>,
}

pub(super) fn overlap(timing: &Timing, stop_grace: Option<Duration>) -> Overlap {
    let (l, r) = (timing.lease_duration(), timing.renew_deadline());
    Overlap {
        none_below_rates: l.div_duration_f64(r),
        none_below_rates_in_run: stop_grace.map(|g| l.div_duration_f64(r + g)),
    }
}

/// What the nodes ask of the store in a second, at most.
#[derive(Debug, Serialize)]
pub(super) struct Cost {
    pub(super) renewals: f64,
    pub(super) looks: f64,
    pub(super) looks_for_requests: f64,
    #[serde(rename = "busy_ns", serialize_with = "nanos")]
    pub(super) busy: Duration,
}

/// Who is told of requests does not look for them.
pub(super) fn cost(timing: &Timing, nodes: u32, tells: Tells, measured: &Measured) -> Cost {
    let times_a_second = |nodes: u32, every: Duration| f64::from(nodes) / every.as_secs_f64();
    let shortest = timing.retry_period() - timing.jitter();
    let mut cost = Cost {
        renewals: times_a_second(1, shortest),
        looks: times_a_second(nodes - 1, shortest),
        looks_for_requests: match tells {
            // A look at the lease shows them, too.
            Tells::Changes | Tells::Late => 0.0,
            Tells::Deaths | Tells::Nothing => times_a_second(nodes, timing.request_period()),
        },
        busy: Duration::ZERO,
    };
    let looks = cost.looks + cost.looks_for_requests;
    let busy = measured.renewal.p50.as_secs_f64() * cost.renewals
        + measured.read.p50.as_secs_f64() * looks;
    cost.busy = Duration::try_from_secs_f64(busy).unwrap_or(Duration::MAX);
    cost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::measured::tests::measured;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Read 1 ms, acquisition 10 ms, release 5 ms, hand-off 2 ms, wake-up 3 ms,
    /// connection 20 ms.
    fn slow() -> Measured {
        Measured {
            connection: Some(vec![ms(20)].into()),
            hand_off: ms(2),
            release: vec![ms(5)].into(),
            ..measured(ms(1), ms(4), ms(10), ms(3))
        }
    }

    #[test]
    fn each_failure_takes_what_the_rules_say() {
        let timing = Timing::default();
        let delays = ms(3 + 3 + 1 + 10);
        let s = Duration::from_secs;
        let lease = s(12) + delays;
        let looks = s(2) + ms(5) + delays;
        // A directory here, one elsewhere, a server, a server that does not tell.
        for (case, here, elsewhere, server, silent) in [
            ("leader_killed", ms(12), lease, lease, lease),
            (
                "run_killed",
                s(3) + ms(12),
                lease,
                s(3) + ms(37),
                s(3) + ms(20) + looks,
            ),
            ("machine_dies", s(10) + delays, lease, lease, lease),
            ("leader_frozen", lease, lease, lease, lease),
            ("leader_stopped", ms(17), looks, ms(17), looks),
            ("handed_over", ms(17), looks, ms(17), looks),
            (
                "store_back",
                s(14) + delays,
                s(14) + delays,
                s(14) + delays,
                s(14) + delays,
            ),
        ] {
            for (tells, here_alone, expected) in [
                (Tells::Deaths, true, here),
                (Tells::Nothing, false, elsewhere),
                (Tells::Changes, false, server),
                (Tells::Late, false, silent),
            ] {
                let rows = failovers(&timing, Some(s(3)), tells, here_alone, &slow());
                let row = rows.iter().find(|row| row.case == case).unwrap();
                assert_eq!(row.at_most, expected, "{case} {tells:?}");
            }
        }
    }

    #[test]
    fn a_guard_that_takes_longer_than_the_lease_is_not_waited_for() {
        let timing = Timing::from_lease_duration(ms(100)).unwrap();
        let dear = Measured {
            hand_off: ms(500),
            ..slow()
        };
        let rows = failovers(&timing, Some(ms(30)), Tells::Deaths, true, &dear);
        assert_eq!(rows[1].at_most, rows[3].at_most, "{rows:?}");
    }

    #[test]
    fn without_a_stop_grace_nothing_is_said_of_run() {
        let rows = failovers(&Timing::default(), None, Tells::Deaths, true, &slow());
        assert!(rows.iter().all(|row| row.case != "run_killed"));
        assert_eq!(
            overlap(&Timing::default(), None).none_below_rates_in_run,
            None
        );
    }

    #[test]
    fn overlap_is_ruled_out_up_to_a_ratio_of_clock_rates() {
        let said = overlap(&Timing::default(), Some(Duration::from_secs(3)));
        assert!((said.none_below_rates - 10.0 / 6.0).abs() < 1e-9);
        assert!((said.none_below_rates_in_run.unwrap() - 10.0 / 9.0).abs() < 1e-9);
    }

    #[test]
    fn the_cost_grows_with_the_nodes_and_shrinks_with_the_period() {
        let about =
            |is: f64, expected: f64| assert!((is - expected).abs() < 1e-9, "{is} {expected}");
        let cost_of = |nodes| cost(&Timing::default(), nodes, Tells::Deaths, &slow());
        let (one, three) = (cost_of(1), cost_of(3));
        about(one.renewals, 0.5 / 0.75);
        about(one.looks, 0.0);
        about(one.looks_for_requests, 2.0);
        about(three.renewals, 0.5 / 0.75);
        about(three.looks, 2.0 * 0.5 / 0.75);
        about(three.looks_for_requests, 6.0);
        let busy = 4.0 * three.renewals + 1.0 * (three.looks + 6.0);
        about(three.busy.as_secs_f64() * 1e3, (busy * 1e6).round() / 1e6);
        // A server tells of requests.
        let served = cost(&Timing::default(), 3, Tells::Changes, &slow());
        about(served.looks_for_requests, 0.0);
        about(served.looks, three.looks);
    }
}
