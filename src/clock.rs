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
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;
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

/// How long this machine has slept since it started.
pub fn slept() -> Duration {
    // Read first: what passes in between must not look like a negative sleep.
    let awake = rustix::time::clock_gettime(ClockId::Monotonic);
    let awake = Duration::new(awake.tv_sec.unsigned_abs(), awake.tv_nsec as u32);
    Duration::from_nanos(now().0).saturating_sub(awake)
}

/// Reads the wall clock. For people to read, and for hints; nothing that must be
/// safe is ever decided by it.
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
        // Deprecated for descriptors that somebody else may close; an OwnedFd is
        // nobody else's, and the replacement is `unsafe`, which is forbidden here.
        #[allow(deprecated)]
        let alarm = AsyncFd::with_interest(Alarm::new()?, Interest::READABLE)?;
        Ok(Box::new(BootTimer { alarm }))
    }
}

struct BootTimer {
    alarm: AsyncFd<Alarm>,
}

impl Timer for BootTimer {
    fn wait_until(&mut self, at: BootTime) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let set = self.alarm.get_ref().set(at);
            debug_assert!(set.is_ok(), "the descriptor is a timer");
            // Setting forgets an earlier expiry, so what is seen here is this one's.
            let _ = self
                .alarm
                .async_io(Interest::READABLE, |alarm| match alarm.has_rung()? {
                    true => Ok(()),
                    false => Err(io::ErrorKind::WouldBlock.into()),
                })
                .await;
        })
    }
}

/// A timer on the boot-time clock, as a descriptor that is readable once it has
/// rung ([`timerfd_create(2)`]). It may be shared with other processes: whoever
/// sets it, it rings for all, also while the one who set it is frozen.
///
/// [`timerfd_create(2)`]: https://man7.org/linux/man-pages/man2/timerfd_create.2.html
#[derive(Debug)]
pub struct Alarm(OwnedFd);

impl Alarm {
    /// An alarm that is not set.
    ///
    /// # Errors
    /// What `timerfd_create(2)` said: no descriptor left.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(rustix::time::timerfd_create(
            TimerfdClockId::Boottime,
            flags,
        )?))
    }

    /// Sets it to ring at `at`, at once if that has passed; an earlier setting,
    /// and that it has rung, are forgotten.
    ///
    /// # Errors
    /// The descriptor it was made [from](Self::from) is not a timer.
    pub fn set(&self, at: BootTime) -> io::Result<()> {
        // Zero would disarm the timer, and seconds are signed.
        let nanos = at.0.clamp(1, i64::MAX as u64);
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: (nanos / 1_000_000_000) as i64,
                tv_nsec: (nanos % 1_000_000_000) as _,
            },
        };
        rustix::time::timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &once)?;
        Ok(())
    }

    /// Whether it has rung since it was set last. Says so once.
    ///
    /// # Errors
    /// The descriptor it was made [from](Self::from) is not a timer.
    pub fn has_rung(&self) -> io::Result<bool> {
        match rustix::io::read(&self.0, &mut [0; 8]) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}

/// An alarm that another process made.
impl From<OwnedFd> for Alarm {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
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
    fn an_alarm_rings_once_for_each_time_it_is_set() {
        let alarm = Alarm::new().unwrap();
        assert!(!alarm.has_rung().unwrap());
        alarm.set(now()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        assert!(alarm.has_rung().unwrap());
        assert!(!alarm.has_rung().unwrap());
        // Set again, it forgets that it has rung.
        alarm.set(now()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        alarm.set(now() + Duration::from_secs(600)).unwrap();
        assert!(!alarm.has_rung().unwrap());
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
