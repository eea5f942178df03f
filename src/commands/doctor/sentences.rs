//! What the numbers mean, in sentences.

use super::advice::{self, Room, Smallest};
use super::measured::Measured;
use super::report::{Finding, long, short};
use super::timing::{self, Cost, Failover, Overlap};
use crate::cli;

pub(super) fn promises(doctor: &cli::Doctor, overlap: &Overlap) -> Vec<Finding> {
    let timing = &doctor.election.timing;
    let (l, r) = (timing.lease_duration(), timing.renew_deadline());
    let run = match (doctor.stop_grace, overlap.none_below_rates_in_run) {
        (Ok(grace), rates) => Finding::ok(format!(
            "`run`: the command is gone R + G = {} after a renewal was asked for (G is {}), before \
             another leads, up to a ratio of {:.2}",
            long(r + grace),
            long(grace),
            rates.unwrap_or_default(),
        )),
        (Err(e), _) => Finding::warning("`run` would not start with these", e.to_string()),
    };
    vec![
        Finding::ok(format!(
            "lease duration L {}, renew deadline R {}, retry period P {}",
            long(l),
            long(r),
            long(timing.retry_period())
        )),
        Finding::ok(format!(
            "two never lead at once, while no clock runs {:.2} times as fast as another (L/R)",
            overlap.none_below_rates
        )),
        run,
        Finding::note(
            "a leader frozen between asking and acting acts late: no lease prevents that",
            "send the term along, and refuse those lower than the highest seen",
        ),
    ]
}

pub(super) fn expense(nodes: u32, cost: &Cost, measured: bool) -> Finding {
    let busy = match measured {
        true => format!(": {} of work", short(cost.busy)),
        false => String::new(),
    };
    let (renewals, looks) = (cost.renewals, cost.looks);
    let at_most = format!("{nodes} nodes ask the store for at most {renewals:.1} renewals");
    Finding::ok(match cost.looks_for_requests {
        0.0 => format!("{at_most} and {looks:.1} looks a second; of requests it tells"),
        requests => {
            format!(
                "{at_most}, {looks:.1} looks and {requests:.1} looks for requests a second{busy}"
            )
        }
    })
}

pub(super) fn outages(failovers: &[Failover], measured: Option<&Measured>) -> Vec<Finding> {
    let line = |row: &Failover| {
        let at_most = short(row.at_most);
        Finding::ok(format!("{:<55} {at_most:>7} = {}", row.what, row.formula))
    };
    let mut lines: Vec<_> = failovers.iter().map(line).collect();
    let delays = measured.map_or_else(
        || "which could not be measured".into(),
        |measured| format!("at worst {}", short(timing::delays(measured))),
    );
    lines.push(Finding::ok(format!(
        "delays are two late wake-ups, a look and an acquisition, {delays}"
    )));
    lines
}

pub(super) fn shortest(
    doctor: &cli::Doctor,
    measured: &Measured,
    smallest: &Smallest,
) -> Vec<Finding> {
    let timing = &doctor.election.timing;
    let (call, which) = measured.worst_call();
    let wake_up = measured.wake_up;
    let mut findings = vec![Finding::ok(format!(
        "R - P >= {} x (slowest call, {which} {} + latest wake-up {}): L >= {}",
        advice::ROOM,
        short(call),
        short(wake_up),
        short(smallest.to_keep),
    ))];
    let stopping = doctor.stop_grace.ok().map(|grace| {
        findings.push(Finding::ok(format!(
            "`run`: L - R - G >= {} x latest wake-up {}: L >= {}",
            advice::LATE,
            short(wake_up),
            short(smallest.to_stop),
        )));
        advice::room_to_stop(timing, grace, measured)
    });
    let lease = long(smallest.lease_duration);
    let longer = format!("use --lease-duration {lease} or more, or find out what is so slow");
    let found = match advice::room_to_renew(timing, measured) {
        Room::Ample => None,
        Room::Tight => Some(Finding::warning(
            "with these durations a leader may lose its lease when the machine is busier",
            &*longer,
        )),
        Room::None => Some(Finding::refused(
            "with these durations leaders lose their leases as it is",
            &*longer,
        )),
    };
    findings.extend(found);
    let found = match stopping {
        None | Some(Room::Ample) => None,
        Some(Room::Tight) => Some(Finding::warning(
            "with these durations a command of `run` may outlive its lease when the machine is busier",
            &*longer,
        )),
        Some(Room::None) => Some(Finding::refused(
            "with these durations a command of `run` may outlive its lease",
            &*longer,
        )),
    };
    findings.extend(found);
    findings.push(Finding::ok(format!(
        "so L is at least {lease} here and now, with the others in proportion (never below {})",
        long(leader_demo::Timing::SHORTEST)
    )));
    findings
}
