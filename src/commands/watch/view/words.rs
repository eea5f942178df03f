//! How the view says things.

use std::time::Duration;

use leader_demo::Acquired;
use leader_demo::clock::BootTime;

use crate::commands::brief;

use super::timeline::{Beginning, End, Reign, Situation, Timeline};

/// A time that was measured: three digits at most, and as in lines if it is short.
pub(super) fn measured(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    match ms {
        ..99.95 => brief(time),
        ..999.5 => format!("{ms:.0} ms"),
        ..9_995.0 => format!("{:.2} s", ms / 1e3),
        ..59_950.0 => format!("{:.1} s", ms / 1e3),
        _ => clock(time),
    }
}

/// A time that goes on: whole seconds, and never more than two units.
pub(super) fn clock(time: Duration) -> String {
    let s = time.as_secs();
    let (m, h, d) = (s / 60, s / 3600, s / 86400);
    match (d, h, m) {
        (0, 0, 0) => format!("{s} s"),
        (0, 0, _) => format!("{m}m {:02}s", s % 60),
        (0, _, _) => format!("{h}h {:02}m", m % 60),
        _ => format!("{d}d {:02}h", h % 24),
    }
}

pub(super) fn beginning(how: Beginning) -> &'static str {
    match how {
        Beginning::Before => "led already",
        Beginning::Again => "came back",
        Beginning::Acquired(Acquired::Vacant) => "was free",
        Beginning::Acquired(Acquired::Expired) => "lease expired",
        Beginning::Acquired(Acquired::HolderDied) => "leader died",
        Beginning::Acquired(Acquired::HandedOver) => "handed over",
        _ => "",
    }
}

pub(super) fn end(how: End) -> &'static str {
    match how {
        End::Released => "released",
        End::HandedOver => "handed over",
        End::Expired => "expired",
        End::Died => "died",
        End::Replaced => "replaced",
        End::Vanished => "record gone",
    }
}

/// How long the leader leads.
pub(super) fn leads_for(reign: &Reign, now: BootTime) -> String {
    let least = match reign.beginning {
        Beginning::Before => "at least ",
        _ => "",
    };
    format!("for {least}{}", clock(reign.led_for(now)))
}

pub(super) fn process(reign: &Reign) -> String {
    let host = &reign.leader.host;
    match reign.leader.pid {
        Some(pid) => format!("pid {pid} on {host}"),
        None => format!("on {host}"),
    }
}

/// The state of things, in one line.
pub(super) fn summary(timeline: &Timeline, now: BootTime) -> String {
    let id = |reign: &Reign| reign.leader.node_id.to_string();
    match (timeline.situation(), timeline.last()) {
        (Situation::Led, Some(leader)) => format!(
            "{} leads in term {}, {} ({})",
            id(leader),
            leader.term,
            leads_for(leader, now),
            process(leader)
        ),
        (Situation::Vacant(Some(since)), Some(last)) => format!(
            "nobody leads, since {}; last was {} in term {}",
            since.time.format("%T"),
            id(last),
            last.term
        ),
        (Situation::Unknown, _) => "nobody knows who leads: the store has not answered".into(),
        _ => "nobody leads".into(),
    }
}
