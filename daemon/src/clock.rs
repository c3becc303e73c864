//! The time, as an argument. The only place that asks the system for it.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime},
};

/// A point in time: milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// From whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// In RFC 3339, UTC, whole seconds.
    #[must_use]
    pub fn rfc_3339(self) -> String {
        jiff::Timestamp::from_second(self.secs()).map_or_else(|_| "?".to_owned(), |time| time.to_string())
    }

    /// Later by `duration`.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Earlier by `duration`.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` until this; zero if it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// How long the host has been up, suspended times included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uptime {
    /// Which boot: a name that no other has.
    pub boot: String,
    /// Since then.
    pub since: Duration,
}

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// The time since boot, which nobody can set.
    fn uptime(&self) -> Uptime;

    /// Whether a time server vouches for the wall clock.
    fn synchronised(&self) -> bool;
}

/// A name that each boot has.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The system's clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    boot: String,
}

/// What systemd-timesyncd leaves when it has set the clock.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";

impl SystemClock {
    /// Reads which boot this is. Where that cannot be read (ProcSubset=pid hides it) each start counts as one.
    #[must_use]
    pub fn new() -> Self {
        let boot = std::fs::read_to_string(BOOT).unwrap_or_else(|error| {
            tracing::error!(%error, "{BOOT}: a clock that is set forward while twinlockd is stopped is not noticed");
            let since = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map_or(0, |time| time.tv_nsec());
            format!("unknown {} {since}", std::process::id())
        });
        Self { boot: boot.trim().to_owned() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is to take")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn uptime(&self) -> Uptime {
        let since = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map(Duration::from);
        Uptime { boot: self.boot.clone(), since: since.unwrap_or_default() }
    }

    fn synchronised(&self) -> bool {
        std::path::Path::new(SYNCHRONISED).exists()
    }
}

/// A clock that stands still until it is moved: for tests.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves the clock to `now`, either way.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    /// Always of the same boot, and in step with the wall.
    fn uptime(&self) -> Uptime {
        let since = u64::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(0);
        Uptime { boot: "manual".to_owned(), since: Duration::from_millis(since) }
    }

    fn synchronised(&self) -> bool {
        false
    }
}
