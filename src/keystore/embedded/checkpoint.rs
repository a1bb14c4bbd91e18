//! Copying the write-ahead log into the file, beside the thread that writes: whoever waits for a commit does not
//! wait for that too (<https://sqlite.org/wal.html#avoiding_excessively_large_wal_files>).

use super::fail;
use super::writer::Stopped;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};

/// Pages in the log, as estimated, after which it is copied: 2 MiB. Each copying ends with an fsync that others' fsyncs
/// wait for, and that is the longer the more it copies.
const PAGES: u64 = 500;
/// Pages that a commit writes whatever it does.
const PAGES_OF_A_COMMIT: u64 = 3;
/// Rows on a page, where many are changed in their order.
const ROWS_ON_A_PAGE: u64 = 20;
/// A log of so many pages (64 MiB) is copied by the writer itself, which begins it anew then: while others write, it
/// only grows.
const LONGEST: i64 = 16_384;

/// What the writer knows of it.
pub(super) struct Checkpoints {
    wake: mpsc::SyncSender<()>,
    log: Arc<Log>,
    /// Rows that were changed before the last commit, and pages since the log was copied.
    changed: u64,
    pages: u64,
}

/// What both threads know of the log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Pages in it when it was last copied, none if that was all of it.
    length: AtomicI64,
    /// Held by whoever copies it: SQLite does not wait for another one that does.
    turn: Mutex<()>,
}

/// What is to be done after a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Copying, by the writer.
    Now,
}

impl Log {
    /// Copies what may be copied. Neither readers nor the writer are waited for.
    fn copy(&self, conn: &Connection) -> rusqlite::Result<()> {
        let _turn = self.turn.lock();
        let (log, copied) = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
            Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
        })?;
        // Negative where another process is at it.
        if log >= 0 {
            self.length.store(if log == copied { 0 } else { log }, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Checkpoints {
    /// And what wakes the other thread.
    pub(super) fn new() -> (Self, mpsc::Receiver<()>, Arc<Log>) {
        let (wake, woken) = mpsc::sync_channel(1);
        let log = Arc::<Log>::default();
        (Self { wake, log: log.clone(), changed: 0, pages: 0 }, woken, log)
    }

    /// Nobody copies the log while this is held.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.log.turn.lock()
    }

    /// After a commit: `changed` rows since the store was opened.
    pub(super) fn due(&mut self, changed: u64) -> Due {
        self.pages += PAGES_OF_A_COMMIT + changed.saturating_sub(self.changed) / ROWS_ON_A_PAGE;
        self.changed = changed;
        if self.pages < PAGES {
            return Due::Nothing;
        }
        self.pages = 0;
        if self.log.length.load(Ordering::Relaxed) > LONGEST {
            return Due::Now;
        }
        // It is at it already, or gone: then the log grows until the writer copies it.
        let _ = self.wake.try_send(());
        Due::Nothing
    }

    /// Copies the log at once: all of it, where no reader is in the way, since nothing is written meanwhile.
    pub(super) fn copy(&self, conn: &Connection) -> rusqlite::Result<()> {
        self.log.copy(conn)
    }
}

/// Copies the log whenever it is woken, until nobody can wake it any more.
pub(super) fn serve(
    conn: &Connection,
    path: &Path,
    stopped: &Stopped,
    woken: &mpsc::Receiver<()>,
    log: &Log,
) {
    while woken.recv().is_ok() {
        if stopped.check().is_err() {
            continue;
        }
        if let Err(e) = log.copy(conn) {
            let why = fail::classify(path, &e);
            if fail::stops(&e) {
                tracing::error!(error = %why, "the keystore stops");
                stopped.stop(&why);
            } else {
                tracing::warn!(error = %why, "the keystore's write-ahead log could not be copied; it is tried again");
            }
        }
    }
}
