//! When something that failed is tried again: after a while, and after a longer one each time.

use std::time::{Duration, Instant};

/// One thing's next try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    pause: Duration,
    next: Option<Instant>,
}

impl Backoff {
    /// Due at once; after a failure it waits for `first`, and twice as long after each more, up to `most`.
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, pause: first, next: None }
    }

    /// Whether it should be tried.
    pub(super) fn is_due(&self) -> bool {
        self.next.is_none_or(|next| next <= Instant::now())
    }

    /// How long until it should be; none where nothing failed.
    pub(super) fn left(&self) -> Option<Duration> {
        self.next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// It did not work.
    pub(super) fn failed(&mut self) {
        self.next = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(self.most);
    }

    /// It worked, or somebody says that it may by now: due at once.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.first, self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_after_each_failure_up_to_a_bound_and_not_after_a_reset() {
        let mut backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(150));
        assert!(backoff.is_due() && backoff.left().is_none());
        for seconds in [60, 120, 150, 150] {
            backoff.failed();
            assert!(!backoff.is_due());
            let left = backoff.left().unwrap();
            assert!(
                left > Duration::from_secs(seconds - 10) && left <= Duration::from_secs(seconds),
                "{left:?}"
            );
        }
        backoff.reset();
        assert!(backoff.is_due());
    }
}
