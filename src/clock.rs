//! Time: a clock for leases that no one can set back and that counts while the machine sleeps
//! (`CLOCK_BOOTTIME`, clock_gettime(2)), and the wall clock for what people read.

use jiff::Timestamp;
use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

/// A point on `CLOCK_BOOTTIME`, in nanoseconds. Only comparable within one boot of one machine.
///
/// Leases use it rather than `std::time::Instant` (`CLOCK_MONOTONIC`), which stands still while a machine is
/// suspended: a replica that slept through an erasure must wake with its lease over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(u64);

impl Instant {
    /// Now, by the system's boot clock.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Boottime);
        // Never negative: both count up from the boot.
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// Time from `earlier` to here; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates.
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Where a room takes the time from, so that tests can turn it by hand instead of waiting.
pub trait Clock: Send + Sync {
    /// The boot clock.
    fn now(&self) -> Instant;
    /// The wall clock (UTC).
    fn wall(&self) -> Timestamp;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that moves only when it is told to. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<(Instant, Timestamp)>>);

impl ManualClock {
    /// Stands at `wall`, one hour after its boot.
    pub fn at(wall: Timestamp) -> Self {
        Self(Arc::new(Mutex::new((Instant(3_600_000_000_000), wall))))
    }

    /// Moves both clocks on. The wall clock stops at the end of jiff's calendar (year 9999).
    pub fn advance(&self, by: Duration) {
        let mut time = self.0.lock();
        time.0 = time.0 + by;
        time.1 = time.1.saturating_add(by).unwrap_or(Timestamp::MAX);
    }

    /// Sets the wall clock alone, as an operator or NTP does.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.lock().1 = wall;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.0.lock().0
    }

    fn wall(&self) -> Timestamp {
        self.0.lock().1
    }
}

/// RFC 3339 in UTC, to the millisecond: `2026-01-02T03:04:05.678Z`. Fixed width, so it sorts as text.
pub fn rfc3339(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// The wall clock now, as [`rfc3339`] text.
pub fn wall_text() -> String {
    rfc3339(Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_clock_does_not_go_back() {
        let first = Instant::now();
        let second = Instant::now();
        assert!(first <= second);
        assert!(first.0 > 0);
    }

    #[test]
    fn a_lease_ends_when_the_boot_clock_says_so_whatever_the_wall_clock_does() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let end = clock.now() + Duration::from_secs(5);
        clock.set_wall(Timestamp::MAX);
        assert!(clock.now() < end);
        clock.advance(Duration::from_secs(5));
        assert!(clock.now() >= end);
        assert_eq!(clock.now().since(end), Duration::ZERO);
        assert_eq!(end.since(clock.now() + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn additions_saturate() {
        let far = Instant::now() + Duration::MAX;
        assert_eq!(far + Duration::from_secs(1), far);
    }

    #[test]
    fn writes_rfc_3339_of_fixed_width() {
        let time: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(rfc3339(time), "2026-01-02T03:04:05.000Z");
        let time: Timestamp = "2026-01-02T03:04:05.6789Z".parse().unwrap();
        assert_eq!(rfc3339(time), "2026-01-02T03:04:05.678Z");
        assert_eq!(wall_text().len(), 24);
    }
}
