//! Counters that cost nothing per field: a thread adds up, and a batch's end (or 256 fields) publishes.

use metrics::{Counter, Histogram};
use std::cell::Cell;

/// What is counted.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub(super) enum Event {
    Sealed,
    Opened,
    Tokenised,
    Revealed,
    Hit,
    Miss,
}

const EVENTS: usize = 6;

thread_local! {
    static COUNTS: [Cell<u32>; EVENTS] = const { [const { Cell::new(0) }; EVENTS] };
}

/// Handles, made once: install the metrics recorder before the door.
pub(super) struct Tally {
    counters: [Counter; EVENTS],
    /// How long the keystore took to answer, in seconds.
    pub(super) seconds: Histogram,
}

impl Tally {
    pub(super) fn new() -> Self {
        let fields = |op: &'static str| metrics::counter!("paravent_fields_total", "op" => op);
        let cache = |result: &'static str| metrics::counter!("paravent_cache_total", "result" => result);
        Self {
            counters: [
                fields("sealed"),
                fields("opened"),
                fields("tokenised"),
                fields("revealed"),
                cache("hit"),
                cache("miss"),
            ],
            seconds: metrics::histogram!("paravent_keystore_seconds"),
        }
    }

    /// Counts one.
    pub(super) fn count(&self, event: Event) {
        let index = event as usize;
        COUNTS.with(|counts| {
            let count = counts[index].get() + 1;
            if count < 256 {
                counts[index].set(count);
            } else {
                counts[index].set(0);
                self.counters[index].increment(count.into());
            }
        });
    }

    /// Publishes what this thread has added up.
    pub(super) fn publish(&self) {
        COUNTS.with(|counts| {
            for (count, counter) in counts.iter().zip(&self.counters) {
                match count.take() {
                    0 => {}
                    count => counter.increment(count.into()),
                }
            }
        });
    }
}
