//! How often one principal may ask: a token bucket each. Failed log-ins share one.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Instant;

/// Buckets that are kept; idle ones make room.
const KEPT: usize = 10_000;

struct Bucket {
    left: f64,
    at: Instant,
}

/// Requests per principal.
pub(super) struct Limiter {
    per_second: f64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Limiter {
    /// So many a second, and twice as many at once.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.into(), buckets: Mutex::default() }
    }

    /// Whether one more may be answered now.
    pub(super) fn take(&self, principal: &str, now: Instant) -> bool {
        let most = self.per_second * 2.0;
        let mut buckets = self.buckets.lock();
        if buckets.len() >= KEPT && !buckets.contains_key(principal) {
            let full = |b: &Bucket| b.left + since(b.at, now) * self.per_second >= most;
            buckets.retain(|_, bucket| !full(bucket));
        }
        let bucket = buckets.entry(principal.to_owned()).or_insert(Bucket { left: most, at: now });
        bucket.left = (bucket.left + since(bucket.at, now) * self.per_second).min(most);
        bucket.at = now;
        if bucket.left < 1.0 {
            return false;
        }
        bucket.left -= 1.0;
        true
    }
}

fn since(then: Instant, now: Instant) -> f64 {
    now.saturating_duration_since(then).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_principal_that_asks_too_often_waits_and_others_do_not() {
        let (limiter, start) = (Limiter::new(5), Instant::now());
        assert_eq!((0..20).filter(|_| limiter.take("alice", start)).count(), 10);
        assert!(limiter.take("bob", start));
        assert!(!limiter.take("alice", start + Duration::from_millis(100)));
        assert!(limiter.take("alice", start + Duration::from_millis(400)));
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..20).filter(|_| limiter.take("alice", later)).count(), 10);
    }
}
