//! The three durations of an election and the inequalities between them.

use std::fmt;
use std::time::Duration;

/// How long a lease lasts, how long its holder may believe in it, and how
/// often everybody looks.
///
/// One knob is enough: [`Timing::from_lease_duration`] derives the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
}

/// One part in so many of the lease duration must stay between the leader's
/// last moment and the next one's first: it pays for clocks that run at
/// different rates.
const MARGIN: u32 = 10;

fn default_renew_deadline(lease_duration: Duration) -> Duration {
    lease_duration * 3 / 5
}

impl Timing {
    /// The shortest lease: below it, scheduling delays cost leaders their lease.
    pub const SHORTEST: Duration = Duration::from_millis(100);
    /// The longest lease. A record that claims more is not believed.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

    /// The shortest retry period.
    pub const SHORTEST_RETRY: Duration = Duration::from_millis(1);

    /// Validates the lease duration L, the renew deadline R and the retry
    /// period P; where R or P is not given it is 0.6 or 0.2 of L.
    ///
    /// # Errors
    /// [`TimingError`] unless `P < R`, `R + 0.1 L <= L`, P is at
    /// least [`SHORTEST_RETRY`](Self::SHORTEST_RETRY), and L lies between
    /// [`SHORTEST`](Self::SHORTEST) and [`LONGEST`](Self::LONGEST). It says
    /// which values would do.
    pub fn new(
        lease_duration: Duration,
        renew_deadline: Option<Duration>,
        retry_period: Option<Duration>,
    ) -> Result<Self, TimingError> {
        let l = lease_duration;
        if !(Self::SHORTEST..=Self::LONGEST).contains(&l) {
            return Err(TimingError::LeaseOutOfRange(l));
        }
        let timing = Self {
            lease_duration: l,
            renew_deadline: renew_deadline.unwrap_or(default_renew_deadline(l)),
            retry_period: retry_period.unwrap_or(l / 5),
        };
        let latest = l - l / MARGIN;
        if timing.renew_deadline > latest {
            return Err(TimingError::RenewDeadlineTooLong {
                renew_deadline: timing.renew_deadline,
                lease_duration: l,
                latest,
            });
        }
        if timing.retry_period < Self::SHORTEST_RETRY {
            return Err(TimingError::RetryPeriodTooShort(timing.retry_period));
        }
        if timing.retry_period >= timing.renew_deadline {
            return Err(TimingError::RetryPeriodTooLong {
                retry_period: timing.retry_period,
                renew_deadline: timing.renew_deadline,
            });
        }
        Ok(timing)
    }

    /// Everything from one knob: R is 0.6 and P is 0.2 of the lease duration.
    ///
    /// # Errors
    /// [`TimingError::LeaseOutOfRange`].
    pub fn from_lease_duration(lease_duration: Duration) -> Result<Self, TimingError> {
        Self::new(lease_duration, None, None)
    }

    /// How long others must see an unchanged record before they may take it (L).
    pub const fn lease_duration(&self) -> Duration {
        self.lease_duration
    }

    /// How long after *asking* for its last successful renewal a leader may
    /// still believe (R).
    pub const fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// How often a leader renews and a candidate looks, at the least (P).
    pub const fn retry_period(&self) -> Duration {
        self.retry_period
    }
}

/// L = 10 s, R = 6 s, P = 2 s.
impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(10),
            renew_deadline: Duration::from_secs(6),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// Why a [`Timing`] was refused, in the words of the command line's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimingError {
    /// The lease duration is outside what is allowed.
    LeaseOutOfRange(Duration),
    /// The leader would believe for so long that a candidate's clock, running
    /// a little faster, could end the lease first.
    RenewDeadlineTooLong {
        /// What was given.
        renew_deadline: Duration,
        /// The lease it must fit into.
        lease_duration: Duration,
        /// The longest that would do.
        latest: Duration,
    },
    /// Looking almost without a pause.
    RetryPeriodTooShort(Duration),
    /// The leader would stop before it had tried to renew.
    RetryPeriodTooLong {
        /// What was given.
        retry_period: Duration,
        /// What it must be shorter than.
        renew_deadline: Duration,
    },
}

impl fmt::Display for TimingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the spaces, so that it can be pasted.
        let show = |d| humantime::format_duration(d).to_string().replace(' ', "");
        match *self {
            Self::LeaseOutOfRange(l) => write!(
                f,
                "--lease-duration {} is out of range: use {} to {}, for example --lease-duration 10s",
                show(l),
                show(Timing::SHORTEST),
                show(Timing::LONGEST),
            ),
            Self::RenewDeadlineTooLong {
                renew_deadline,
                lease_duration,
                latest,
            } => write!(
                f,
                "--renew-deadline {} must be at most 0.9 of --lease-duration {}, that is {}: \
                 shorten the deadline, or leave it out to have {}",
                show(renew_deadline),
                show(lease_duration),
                show(latest),
                show(default_renew_deadline(lease_duration)),
            ),
            Self::RetryPeriodTooShort(p) => write!(
                f,
                "--retry-period {} must be at least {}: leave it out to have 0.2 of --lease-duration",
                show(p),
                show(Timing::SHORTEST_RETRY),
            ),
            Self::RetryPeriodTooLong {
                retry_period,
                renew_deadline,
            } => write!(
                f,
                "--retry-period {} must be shorter than --renew-deadline {} (0.6 of --lease-duration \
                 unless given): use --retry-period {} or less",
                show(retry_period),
                show(renew_deadline),
                // In whole milliseconds: to look right is worth more than to be exact.
                show(Duration::from_millis(
                    (renew_deadline / 3).as_millis() as u64
                )),
            ),
        }
    }
}

impl std::error::Error for TimingError {}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_default_is_what_its_lease_duration_implies() {
        assert_eq!(Timing::from_lease_duration(s(10)), Ok(Timing::default()));
    }

    #[test]
    fn what_is_not_safe_is_refused_with_the_flags_and_a_value_that_would_do() {
        let cases = [
            (s(0), None, None, "--lease-duration 0s is out of range"),
            (s(86_401), None, None, "is out of range"),
            (
                s(10),
                Some(s(10)),
                None,
                "--renew-deadline 10s must be at most 0.9 of --lease-duration 10s, that is 9s",
            ),
            (s(10), Some(s(11)), None, "that is 9s"),
            (
                s(10),
                None,
                Some(s(6)),
                "--retry-period 6s must be shorter than --renew-deadline 6s",
            ),
            (s(10), None, Some(s(7)), "use --retry-period 2s or less"),
            (
                s(10),
                None,
                Some(s(0)),
                "--retry-period 0s must be at least 1ms",
            ),
            (
                s(10),
                Some(s(0)),
                Some(s(1)),
                "--retry-period 1s must be shorter than --renew-deadline 0s",
            ),
        ];
        for (l, r, p, says) in cases {
            let error = Timing::new(l, r, p).unwrap_err().to_string();
            assert!(error.contains(says), "{l:?} {r:?} {p:?}: {error}");
        }
        // The boundaries themselves will do.
        assert!(Timing::new(s(10), Some(s(9)), None).is_ok());
        assert!(Timing::new(Timing::SHORTEST, None, None).is_ok());
        assert!(Timing::new(Timing::LONGEST, None, None).is_ok());
    }
}
