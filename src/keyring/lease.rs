//! For how long the cache may answer without the keystore.
//!
//! Counted on the boot clock from *before* the store was asked: an answer that took long, or a machine that
//! slept meanwhile, makes the lease shorter, never longer.

use crate::clock::{Clock, Instant};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A replica's lease.
pub(super) struct Lease {
    clock: Arc<dyn Clock>,
    base: Instant,
    length: u64,
    /// Nanoseconds after `base`.
    until: AtomicU64,
}

/// How a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// More than half is left.
    Good,
    /// Runs, but should be renewed.
    Due,
    /// Over.
    Over,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Lease {
    /// A lease that is over until it is first renewed.
    pub(super) fn new(clock: Arc<dyn Clock>, length: Duration) -> Self {
        let base = clock.now();
        Self { clock, base, length: nanos(length), until: AtomicU64::new(0) }
    }

    /// Now, as the lease counts.
    pub(super) fn now(&self) -> u64 {
        nanos(self.clock.now().since(self.base))
    }

    /// How it stands at that time.
    pub(super) fn standing(&self, now: u64) -> Standing {
        let left = self.until.load(Ordering::Acquire).saturating_sub(now);
        match left {
            0 => Standing::Over,
            left if left > self.length / 2 => Standing::Good,
            _ => Standing::Due,
        }
    }

    /// The store answered a question asked at `asked`.
    pub(super) fn renew(&self, asked: u64) {
        self.until.fetch_max(asked.saturating_add(self.length), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn counts_from_before_the_store_was_asked() {
        let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
        let lease = Lease::new(Arc::new(clock.clone()), Duration::from_secs(30));
        assert_eq!(lease.standing(lease.now()), Standing::Over);
        let asked = lease.now();
        clock.advance(Duration::from_secs(10));
        lease.renew(asked);
        assert_eq!(lease.standing(lease.now()), Standing::Good);
        clock.advance(Duration::from_secs(10));
        assert_eq!(lease.standing(lease.now()), Standing::Due);
        clock.advance(Duration::from_secs(10));
        assert_eq!(lease.standing(lease.now()), Standing::Over);
    }
}
