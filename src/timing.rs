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

fn default_stop_grace(lease_duration: Duration) -> Duration {
    lease_duration * 3 / 10
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
        let latest = timing.latest();
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

    /// How much of the lease duration is left, once belief has ended, to stop
    /// the work before anybody else may lead (G): what is wanted, or 0.3 L.
    /// Zero means to kill at once.
    ///
    /// # Errors
    /// [`TimingError::StopGraceTooLong`] unless `R + G + 0.1 L <= L`. It says
    /// which values would do.
    pub fn stop_grace(&self, wanted: Option<Duration>) -> Result<Duration, TimingError> {
        let stop_grace = wanted.unwrap_or(default_stop_grace(self.lease_duration));
        if stop_grace > self.latest() - self.renew_deadline {
            return Err(TimingError::StopGraceTooLong {
                stop_grace,
                timing: *self,
            });
        }
        Ok(stop_grace)
    }

    /// How much of a lease its holder may use up.
    fn latest(&self) -> Duration {
        self.lease_duration - self.lease_duration / MARGIN
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

    /// By how much each session shortens its retry period, at the most
    /// (rule 13).
    pub fn jitter(&self) -> Duration {
        self.retry_period / 4
    }

    /// How often a node looks for requests to the leader (rule 11).
    pub fn request_period(&self) -> Duration {
        self.retry_period / 4
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
    /// The work could still be stopping when somebody else may lead.
    StopGraceTooLong {
        /// What was given, or follows from the lease duration.
        stop_grace: Duration,
        /// What it must fit into.
        timing: Timing,
    },
}

/// What to give instead of a stop grace that is too long, one of these at a time.
fn ways_out(stop_grace: Duration, timing: &Timing) -> Vec<String> {
    // In whole milliseconds: to look right is worth more than to be exact.
    let at_most = |d: Duration| match Duration::from_millis(d.as_millis() as u64) {
        Duration::ZERO => "0s".into(),
        d => format!("{} or less", show(d)),
    };
    let mut ways = vec![format!(
        "--stop-grace {}",
        at_most(timing.latest() - timing.renew_deadline)
    )];
    let renew_deadline = timing.latest().saturating_sub(stop_grace);
    if renew_deadline.as_millis() > timing.retry_period.as_millis() {
        ways.push(format!("--renew-deadline {}", at_most(renew_deadline)));
    }
    if let Some(lease_duration) = long_enough(stop_grace, timing) {
        ways.push(format!("--lease-duration {} or more", show(lease_duration)));
    }
    ways
}

/// A lease duration that has room for them, where one may be as long.
fn long_enough(stop_grace: Duration, timing: &Timing) -> Option<Duration> {
    let (l, r) = (timing.lease_duration, timing.renew_deadline);
    let [grace, deadline] = [stop_grace, r].map(|d| d.as_nanos());
    let mut enough = ((grace + deadline) * 10).div_ceil(9);
    // What looks like a default may be one, and would grow with the lease.
    if r == default_renew_deadline(l) {
        enough = enough.max((grace * 10).div_ceil(3));
    }
    if stop_grace == default_stop_grace(l) {
        enough = enough.max((deadline * 10).div_ceil(6));
    }
    // To two digits: to look right is worth more than to be the shortest.
    let digit = 10u128.pow(enough.ilog10().saturating_sub(1));
    let nanos = u64::try_from(enough.next_multiple_of(digit)).ok()?;
    Some(Duration::from_nanos(nanos)).filter(|lease| *lease <= Timing::LONGEST)
}

/// Without the spaces, so that it can be pasted.
fn show(d: Duration) -> String {
    humantime::format_duration(d).to_string().replace(' ', "")
}

impl fmt::Display for TimingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
            Self::StopGraceTooLong { stop_grace, timing } => {
                let (l, r) = (timing.lease_duration, timing.renew_deadline);
                let margin = l / MARGIN;
                write!(
                    f,
                    "--renew-deadline {} + --stop-grace {} + {} (a tenth, for clocks that drift) = {} \
                     is longer than --lease-duration {}: use ",
                    show(r),
                    show(stop_grace),
                    show(margin),
                    show(r.saturating_add(stop_grace).saturating_add(margin)),
                    show(l),
                )?;
                match &ways_out(stop_grace, &timing)[..] {
                    [ways @ .., last] if ways.len() > 1 => {
                        write!(f, "{}, or {last}", ways.join(", "))
                    }
                    ways => f.write_str(&ways.join(" or ")),
                }
            }
        }
    }
}

impl std::error::Error for TimingError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn work_has_the_time_to_stop_that_is_wanted_or_what_belief_leaves() {
        let (ten, ms) = (Timing::default(), Duration::from_millis);
        let late = Timing::new(s(10), Some(s(9)), None).unwrap();
        for (timing, wanted, grace) in [
            (ten, None, s(3)),
            (ten, Some(s(0)), s(0)),
            // The boundary itself.
            (ten, Some(s(3)), s(3)),
            (late, Some(s(0)), s(0)),
        ] {
            assert_eq!(timing.stop_grace(wanted), Ok(grace));
        }
        let over = s(3) + Duration::from_nanos(1);
        assert!(ten.stop_grace(Some(over)).is_err());
        for l in [ms(100), ms(101), ms(333), s(1), s(86_399)] {
            let timing = Timing::from_lease_duration(l).unwrap();
            assert!(timing.stop_grace(None).is_ok(), "{l:?}");
        }
    }

    #[test]
    fn a_stop_grace_that_does_not_fit_is_refused_with_numbers_that_would_do() {
        let ms = Duration::from_millis;
        let cases = [
            (
                (s(10), Some(s(7)), None),
                Some(s(3)),
                "--renew-deadline 7s + --stop-grace 3s + 1s (a tenth, for clocks that drift) = 11s \
                 is longer than --lease-duration 10s: use --stop-grace 2s or less, \
                 --renew-deadline 6s or less, or --lease-duration 12s or more",
            ),
            // The default says the same.
            (
                (s(10), Some(s(7)), None),
                None,
                "use --stop-grace 2s or less, --renew-deadline 6s or less, or --lease-duration 12s or more",
            ),
            // A renew deadline that was not given grows with the lease.
            (
                (s(10), None, None),
                Some(s(4)),
                "use --stop-grace 3s or less, --renew-deadline 5s or less, or \
                 --lease-duration 14s or more",
            ),
            // Nothing is left to stop in.
            (
                (s(10), Some(s(9)), None),
                Some(s(1)),
                "use --stop-grace 0s, --renew-deadline 8s or less, or --lease-duration 12s or more",
            ),
            // No renew deadline will do: it must stay longer than the retry period.
            (
                (s(10), None, None),
                Some(s(7)),
                "use --stop-grace 3s or less or --lease-duration 24s or more",
            ),
            // And no lease.
            (
                (s(10), None, None),
                Some(Duration::MAX),
                "is longer than --lease-duration 10s: use --stop-grace 3s or less",
            ),
            // There is no longer lease.
            (
                (s(86_400), Some(s(77_760)), None),
                None,
                "use --stop-grace 0s or --renew-deadline 14h24m or less",
            ),
            (
                (ms(500), Some(ms(350)), None),
                None,
                "--renew-deadline 350ms + --stop-grace 150ms + 50ms (a tenth, for clocks that drift) \
                 = 550ms is longer than --lease-duration 500ms: use --stop-grace 100ms or less, \
                 --renew-deadline 300ms or less, or --lease-duration 590ms or more",
            ),
        ];
        for ((l, r, p), grace, says) in cases {
            let timing = Timing::new(l, r, p).unwrap();
            let error = timing.stop_grace(grace).unwrap_err().to_string();
            assert!(error.ends_with(says), "{timing:?} {grace:?}: {error}");
        }
    }

    proptest! {
        /// With the others kept as they were, and with those that may not have
        /// been given moved along.
        #[test]
        fn all_that_is_suggested_for_a_stop_grace_would_do(
            l in 100u64..100_000, r in 0.1..0.9, p in 0.01..0.9, g in 0.0..2.0, defaults: [bool; 3],
        ) {
            let l = Duration::from_micros(l * 1009);
            let [r, p, g] = [(r, 0), (p, 1), (g, 2)]
                .map(|(part, i)| (!defaults[i]).then(|| l.mul_f64(part)));
            prop_assume!(Timing::new(l, r, p).is_ok());
            let timing = Timing::new(l, r, p).unwrap();
            let Err(refused) = timing.stop_grace(g) else { return Ok(()) };
            let said = refused.to_string();
            let (_, ways) = said.split_once(": use ").unwrap();
            let (r_kept, p_kept) = (Some(timing.renew_deadline), Some(timing.retry_period));
            let g_kept = Some(g.unwrap_or(default_stop_grace(l)));
            let given = |flag: &str| {
                let (_, after) = ways.split_once(flag)?;
                let value = after.trim_start().split([' ', ',']).next()?;
                Some(humantime::parse_duration(value).unwrap())
            };
            let grace = given("--stop-grace");
            prop_assert!(grace.is_some());
            prop_assert_eq!(timing.stop_grace(grace), Ok(grace.unwrap()));
            if let Some(deadline) = given("--renew-deadline") {
                let timing = Timing::new(l, Some(deadline), p_kept).unwrap();
                prop_assert!(timing.stop_grace(g_kept).is_ok(), "{}", said);
            }
            if let Some(lease) = given("--lease-duration") {
                let kept = Timing::new(lease, r_kept, p_kept).unwrap();
                prop_assert!(kept.stop_grace(g_kept).is_ok(), "{}", said);
                let moved = Timing::new(lease, r, p_kept).unwrap();
                prop_assert!(moved.stop_grace(g).is_ok(), "{}", said);
            }
        }
    }
}
