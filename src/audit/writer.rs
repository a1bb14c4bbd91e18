//! The thread that writes: joins what waits, writes it, makes it durable; tries again where that fails.

use super::Resolver;
use super::gather::entries;
use super::queue::Shared;
use super::segment::Segments;
use super::waiting::{Gathered, Item, Waiting};
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(250);
/// A stop waits so many attempts for the disk.
const LAST_ATTEMPTS: u32 = 8;

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) segments: Segments,
    pub(super) resolver: Box<dyn Resolver>,
}

impl Writer {
    pub(super) fn run(mut self) {
        let shared = self.shared.clone();
        loop {
            let mut waiting = shared.waiting.lock();
            while waiting.is_empty() && !waiting.closed {
                waiting.flush = false;
                shared.wake.wait(&mut waiting);
            }
            let closed = waiting.closed;
            if !closed {
                moment(&shared, &mut waiting);
            }
            let items = waiting.take(closed);
            drop(waiting);
            let written = self.write_all(&items, closed);
            if closed || !written {
                return;
            }
        }
    }

    /// Writes, however often it takes; false when the log is closed before that succeeded.
    fn write_all(&mut self, items: &[Item], closed: bool) -> bool {
        let (count, values) = (items.len() as u64, items.iter().map(Item::values).sum::<usize>());
        let mut attempts = 0;
        loop {
            let outcome = self.write(items, closed);
            let mut waiting = self.shared.waiting.lock();
            match outcome {
                Ok(()) => {
                    waiting.values -= values;
                    waiting.written += count;
                    waiting.failed = None;
                    waiting.head = self.segments.head();
                    if waiting.values <= self.shared.options.most / 2 {
                        self.shared.over.store(false, Ordering::Release);
                    }
                    self.shared.done.notify_all();
                    return true;
                }
                Err(why) => {
                    if waiting.failed.is_none() {
                        tracing::error!(why, "the audit log can't be written; openings stop at its bound");
                    }
                    waiting.failed = Some(why);
                    self.shared.done.notify_all();
                    attempts += 1;
                    if waiting.closed && attempts > LAST_ATTEMPTS {
                        tracing::error!("the audit log was closed before everything was written");
                        return false;
                    }
                    self.shared.wake.wait_for(&mut waiting, AGAIN);
                }
            }
        }
    }

    fn write(&mut self, items: &[Item], last: bool) -> Result<(), String> {
        let mut out = Vec::new();
        let mut gathered: Vec<&Gathered> = Vec::new();
        for item in items {
            match item {
                Item::Opened(one) => gathered.push(one),
                Item::Note(note) => {
                    // What happened before a note stands before it.
                    out.extend(entries(gathered.drain(..), &*self.resolver)?);
                    out.push((**note).clone());
                }
            }
        }
        out.extend(entries(gathered.drain(..), &*self.resolver)?);
        self.segments.append(out, last).map_err(|error| error.to_string())
    }
}

/// Lets a moment pass, so that much is written at once, unless somebody waits for it.
fn moment(shared: &Shared, waiting: &mut MutexGuard<'_, Waiting>) {
    let end = std::time::Instant::now() + shared.options.moment;
    while !waiting.flush && !waiting.closed && waiting.values <= shared.options.most / 2 {
        if shared.wake.wait_until(waiting, end).timed_out() {
            break;
        }
    }
}
