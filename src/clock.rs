//! Time: the only file that reads a clock.
//!
//! Everything the election decides is decided on the kernel's boot-time clock
//! ([`CLOCK_BOOTTIME`]): it never jumps with the wall clock, and unlike Rust's
//! `Instant` and tokio's timers it goes on while the machine sleeps, so a
//! leader whose laptop lid was closed knows on waking that its lease is over.
//!
//! [`CLOCK_BOOTTIME`]: https://man7.org/linux/man-pages/man2/clock_gettime.2.html
#![allow(clippy::disallowed_methods)]

use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Add;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A reading of the boot-time clock, in nanoseconds since this machine started.
///
/// Readings of different processes on one machine lie on one time line;
/// readings of different machines are never compared.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(u64);

impl BootTime {
    /// A moment that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The moment `nanos` nanoseconds after the machine started.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the machine started.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to here; zero if `earlier` is the later one.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(by))
    }
}

impl fmt::Debug for BootTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot+{:?}", Duration::from_nanos(self.0))
    }
}

/// Reads the boot-time clock.
pub fn now() -> BootTime {
    let t = rustix::time::clock_gettime(ClockId::Boottime);
    // The kernel never reports a negative boot time.
    BootTime(t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs())
}

/// Reads the wall clock. For people to read; nothing is ever decided by it.
pub fn wall_time() -> SystemTime {
    SystemTime::now()
}

/// Where the driver takes its time from: the machine, or a test.
pub(crate) trait Clock: Send + Sync + 'static {
    fn now(&self) -> BootTime;

    /// A timer of the caller's own, made once and used for every wait: a
    /// leader must be able to wait for its deadline with no descriptor left.
    fn timer(&self) -> io::Result<Box<dyn Timer>>;
}

pub(crate) trait Timer: Send {
    /// Ends at `at`, or at once if that has passed. May be dropped and called again.
    fn wait_until(&mut self, at: BootTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Rule 12: the machine's boot-time clock, with `timerfd_create(2)` to wait by it.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> BootTime {
        now()
    }

    fn timer(&self) -> io::Result<Box<dyn Timer>> {
        let fd = rustix::time::timerfd_create(
            TimerfdClockId::Boottime,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        // Deprecated for descriptors that somebody else may close; an OwnedFd is
        // nobody else's, and the replacement is `unsafe`, which is forbidden here.
        #[allow(deprecated)]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Box::new(BootTimer { fd }))
    }
}

struct BootTimer {
    fd: AsyncFd<OwnedFd>,
}

impl Timer for BootTimer {
    fn wait_until(&mut self, at: BootTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            // Zero would disarm the timer, and seconds are signed.
            let nanos = at.0.clamp(1, i64::MAX as u64);
            let at = Timespec {
                tv_sec: (nanos / 1_000_000_000) as i64,
                tv_nsec: (nanos % 1_000_000_000) as _,
            };
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: at,
            };
            let armed =
                rustix::time::timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &once).is_ok();
            debug_assert!(armed, "the time is in range and the descriptor is a timer");
            // Arming forgets an earlier expiry, so what is read here is this one's.
            let _ = self
                .fd
                .async_io(Interest::READABLE, |fd| {
                    Ok(rustix::io::read(fd, &mut [0; 8])?)
                })
                .await;
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// tokio's paused time as a clock: it moves when every task waits.
    pub(crate) struct VirtualClock(tokio::time::Instant);

    impl VirtualClock {
        pub(crate) fn start() -> Self {
            Self(tokio::time::Instant::now())
        }
    }

    impl Clock for VirtualClock {
        fn now(&self) -> BootTime {
            BootTime::default() + self.0.elapsed()
        }

        fn timer(&self) -> io::Result<Box<dyn Timer>> {
            Ok(Box::new(VirtualTimer(self.0)))
        }
    }

    struct VirtualTimer(tokio::time::Instant);

    impl Timer for VirtualTimer {
        fn wait_until(&mut self, at: BootTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
            // A year stands for "never": tokio's clock overflows beyond.
            let wait = Duration::from_nanos(at.0).min(Duration::from_secs(365 * 24 * 3600));
            Box::pin(tokio::time::sleep_until(self.0 + wait))
        }
    }

    #[tokio::test]
    async fn a_timer_can_be_abandoned_and_set_again() {
        let mut timer = SystemClock.timer().unwrap();
        let start = now();
        let _ = tokio::time::timeout(
            Duration::from_millis(5),
            timer.wait_until(start + Duration::from_secs(600)),
        )
        .await;
        timer.wait_until(start + Duration::from_millis(20)).await;
        let waited = now().since(start);
        assert!(waited >= Duration::from_millis(20), "{waited:?}");
        assert!(waited < Duration::from_secs(60), "{waited:?}");
        // A moment that has passed is not waited for.
        timer.wait_until(start).await;
    }

    #[test]
    fn boot_time_goes_forward_and_never_overflows() {
        let a = now();
        let b = now();
        assert!(b >= a);
        assert_eq!(a.since(b + Duration::from_secs(1)), Duration::ZERO);
        assert_eq!(BootTime::NEVER + Duration::MAX, BootTime::NEVER);
    }
}
