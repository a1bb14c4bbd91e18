//! Copying the write-ahead log into the file, beside the thread that writes: whoever waits for a commit does not
//! wait for that too (<https://sqlite.org/wal.html#avoiding_excessively_large_wal_files>).

use super::fail;
use super::writer::Stopped;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};

/// Pages in the log, as estimated, after which it is copied: 16 MiB. Each copying ends with an fsync that others' fsyncs wait for.
const PAGES: u64 = 4_000;
/// Pages that a commit writes whatever it does.
const PAGES_OF_A_COMMIT: u64 = 3;
/// Rows on a page, where many are changed in their order.
const ROWS_ON_A_PAGE: u64 = 20;
/// A log of this size is copied by the writer itself, which starts it anew: while others write, it only grows.
const LONGEST: u64 = 64 << 20;

/// What the writer knows of it.
pub(super) struct Checkpoints {
    wake: mpsc::SyncSender<()>,
    log: PathBuf,
    /// Rows that were changed before the last commit, and pages since the log was copied.
    changed: u64,
    pages: u64,
}

/// What is to be done after a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// By the writer, now.
    Empty,
}

impl Checkpoints {
    /// And what wakes the other thread.
    pub(super) fn new(path: &Path) -> (Self, mpsc::Receiver<()>) {
        let (wake, woken) = mpsc::sync_channel(1);
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        (Self { wake, log: log.into(), changed: 0, pages: 0 }, woken)
    }

    /// After a commit: `changed` rows since the store was opened.
    pub(super) fn due(&mut self, changed: u64) -> Due {
        self.pages += PAGES_OF_A_COMMIT + changed.saturating_sub(self.changed) / ROWS_ON_A_PAGE;
        self.changed = changed;
        if self.pages < PAGES {
            return Due::Nothing;
        }
        self.pages = 0;
        if std::fs::metadata(&self.log).is_ok_and(|log| log.len() > LONGEST) {
            return Due::Empty;
        }
        // It is at it already, or gone: then the log grows until the writer empties it.
        let _ = self.wake.try_send(());
        Due::Nothing
    }
}

/// Copies the log whenever it is woken, until nobody can wake it any more.
pub(super) fn serve(conn: &Connection, path: &Path, stopped: &Arc<Stopped>, woken: &mpsc::Receiver<()>) {
    while woken.recv().is_ok() {
        if stopped.check().is_err() {
            continue;
        }
        if let Err(e) = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
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
