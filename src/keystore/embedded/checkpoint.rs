//! Copying the write-ahead log into the file, beside the thread that writes: whoever waits for a commit does not
//! wait for that too (<https://sqlite.org/wal.html#avoiding_excessively_large_wal_files>).

use super::writer::Stopped;
use super::{fail, open};
use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Pages in the log, as estimated, after which it is copied: 2 MiB. Each copying ends with an fsync that others' fsyncs
/// wait for, and that is the longer the more it copies.
const PAGES: u64 = 500;
/// Pages that a commit writes whatever it does.
const PAGES_OF_A_COMMIT: u64 = 3;
/// Rows on a page, where many are changed in their order.
const ROWS_ON_A_PAGE: u64 = 20;
/// A log of so many pages (64 MiB) is copied by the writer itself, which begins it anew then: while others write, or read what is in
/// it, it only grows.
const LONGEST: i64 = 16_384;
/// How long the writer then waits for whoever reads it. They read for some microseconds each.
const PATIENCE: Duration = Duration::from_millis(20);

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
    /// Pages in it when it was last copied. (All may be copied, and the log go on: SQLite begins it anew with a commit during which
    /// nobody reads it.)
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
        let length = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1))?;
        // Negative where another process is at it.
        if length >= 0 {
            self.length.store(length, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Copies all of it, so that the next commit begins it anew. Where a reader stays in the way, it is for the next time.
    fn begin_anew(&self, conn: &Connection) -> rusqlite::Result<()> {
        let _turn = self.turn.lock();
        conn.busy_timeout(PATIENCE)?;
        let busy = conn.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| row.get::<_, i64>(0));
        conn.busy_timeout(open::PATIENCE)?;
        if busy? == 0 {
            self.length.store(0, Ordering::Relaxed);
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

    /// Copies the log at once, by the writer's connection: nothing is written meanwhile.
    pub(super) fn begin_anew(&self, conn: &Connection) -> rusqlite::Result<()> {
        self.log.begin_anew(conn)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages in the log.
    fn length(conn: &Connection) -> i64 {
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1)).unwrap()
    }

    #[test]
    fn a_long_log_is_begun_anew_as_soon_as_nobody_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; CREATE TABLE t (b BLOB)",
        )
        .unwrap();
        let reader = Connection::open(&path).unwrap();
        let rows = format!(
            "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LONGEST}) \
             SELECT zeroblob(4000) FROM n"
        );
        conn.execute_batch(&rows).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();

        // All of it is copied, and yet it goes on: the reader is in it.
        let (mut checkpoints, _woken, log) = Checkpoints::new();
        log.copy(&conn).unwrap();
        conn.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(length(&conn) > LONGEST);
        assert_eq!(checkpoints.due(PAGES * ROWS_ON_A_PAGE), Due::Now);
        checkpoints.begin_anew(&conn).unwrap();
        conn.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(length(&conn) > LONGEST, "who reads is not cut off");
        assert_eq!(checkpoints.due(2 * PAGES * ROWS_ON_A_PAGE), Due::Now);

        reader.execute_batch("COMMIT").unwrap();
        checkpoints.begin_anew(&conn).unwrap();
        conn.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        assert!(length(&conn) < 10);
        assert_eq!(checkpoints.due(3 * PAGES * ROWS_ON_A_PAGE), Due::Nothing);
    }
}
