//! What was measured: how long calls take, at best and at worst.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::report::{Finding, nanos, short};

/// How long the calls took that nodes make.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Measured {
    pub(super) read: Trips,
    pub(super) renewal: Trips,
    /// With the syncs that make its term durable.
    pub(super) acquisition: Trips,
    pub(super) release: Trips,
    /// To a server, and a first look there.
    pub(super) connection: Option<Trips>,
    /// From a process's kill to the moment another has its lock; on a server from the
    /// answer to one to the moment another is told.
    #[serde(rename = "hand_off_ns", serialize_with = "nanos")]
    pub(super) hand_off: Duration,
    /// How late a timer was at worst.
    #[serde(rename = "wake_up_ns", serialize_with = "nanos")]
    pub(super) wake_up: Duration,
}

impl Measured {
    /// The slowest call of all, and its name.
    pub(super) fn worst_call(&self) -> (Duration, &'static str) {
        let connection = self.connection.unwrap_or_default();
        let all = [
            // One that is lost has to be made anew, before it is too late.
            (connection.max, "connection"),
            (self.read.max, "read"),
            (self.renewal.max, "renewal"),
            (self.acquisition.max, "acquisition"),
            (self.release.max, "release"),
        ];
        all.into_iter().max().unwrap_or_default()
    }

    pub(super) fn findings(&self, an_acquisition: &str) -> Vec<Finding> {
        let mut calls = vec![
            ("a look", self.read),
            ("a renewal", self.renewal),
            (an_acquisition, self.acquisition),
            ("a release", self.release),
        ];
        let connection = self
            .connection
            .map(|trips| ("a connection, with a first look,", trips));
        calls.extend(connection);
        let takes = |(what, trips): (&str, Trips)| Finding::ok(format!("{what} takes {trips}"));
        calls.into_iter().map(takes).collect()
    }
}

/// Round trips of one kind.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Trips {
    pub(super) count: usize,
    #[serde(rename = "p50_ns", serialize_with = "nanos")]
    pub(super) p50: Duration,
    #[serde(rename = "p99_ns", serialize_with = "nanos")]
    pub(super) p99: Duration,
    #[serde(rename = "max_ns", serialize_with = "nanos")]
    pub(super) max: Duration,
}

impl fmt::Display for Trips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, 99 % up to {}, at most {} (of {})",
            short(self.p50),
            short(self.p99),
            short(self.max),
            self.count
        )
    }
}

impl From<Vec<Duration>> for Trips {
    fn from(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let share = |percent: usize| {
            let at = (all.len() * percent).div_ceil(100).saturating_sub(1);
            all.get(at).copied().unwrap_or_default()
        };
        Self {
            count: all.len(),
            p50: share(50),
            p99: share(99),
            max: share(100),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// All of a kind took as long.
    pub(in crate::commands::doctor) fn measured(
        read: Duration,
        renewal: Duration,
        acquisition: Duration,
        wake_up: Duration,
    ) -> Measured {
        Measured {
            read: vec![read].into(),
            renewal: vec![renewal].into(),
            acquisition: vec![acquisition].into(),
            wake_up,
            ..Measured::default()
        }
    }

    #[test]
    fn shares_are_of_what_there_is() {
        let ms = Duration::from_millis;
        let trips = Trips::from((1..=200).rev().map(ms).collect::<Vec<_>>());
        let said = (trips.count, trips.p50, trips.p99, trips.max);
        assert_eq!(said, (200, ms(100), ms(198), ms(200)));
        let one = Trips::from(vec![ms(7)]);
        assert_eq!((one.p50, one.p99, one.max), (ms(7), ms(7), ms(7)));
        assert_eq!(Trips::from(Vec::new()).max, Duration::ZERO);
    }

    #[test]
    fn the_worst_call_is_named() {
        let ms = Duration::from_millis;
        assert_eq!(
            measured(ms(1), ms(2), ms(9), ms(5)).worst_call(),
            (ms(9), "acquisition")
        );
        assert_eq!(
            measured(ms(1), ms(2), ms(1), ms(5)).worst_call(),
            (ms(2), "renewal")
        );
    }
}
