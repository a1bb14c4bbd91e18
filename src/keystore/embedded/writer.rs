//! The one thread that writes: many operations, one commit, one fsync.
//!
//! It takes whatever waits in the queue into one transaction, each operation in a savepoint of its own,
//! and answers all of them after the commit is durable. While one fsync runs, the next batch gathers by itself.

use super::fail::{self, Fail, Op};
use crate::keystore::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

/// At most this many operations share a commit.
const BATCH: usize = 1024;

/// What an operation asks for besides running.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    /// The WAL emptied before it is answered: deleted bytes must not stay there.
    pub(super) checkpoint: bool,
    /// Tried again while the disk is full: nobody waits who could try again.
    pub(super) patience: bool,
}

/// An operation in the queue.
pub(super) trait Job: Send {
    fn run(&mut self, conn: &Connection) -> Op<()>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
    fn needs(&self) -> Needs;
}

/// Why the store stopped, once it has.
#[derive(Debug, Default)]
pub(super) struct Stopped(Mutex<Option<StoreError>>);

impl Stopped {
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.0.lock().clone().map_or(Ok(()), Err)
    }

    fn stop(&self, why: &StoreError) {
        let text =
            format!("the keystore stopped after a failed write ({why}); restart once the disk is sound");
        self.0.lock().get_or_insert(StoreError::Unavailable(text));
    }
}

/// The writing side.
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
    pub(super) stopped: Arc<Stopped>,
}

type Verdict = Result<(), StoreError>;

impl Writer {
    /// Serves the queue until nobody can put anything into it any more.
    pub(super) fn serve(mut self, queue: &mpsc::Receiver<Box<dyn Job>>) {
        let mut kept: Vec<Box<dyn Job>> = Vec::new();
        while let Ok(first) = queue.recv() {
            let mut batch = std::mem::take(&mut kept);
            batch.push(first);
            while batch.len() < BATCH
                && let Ok(next) = queue.try_recv()
            {
                batch.push(next);
            }
            kept = self.commit(batch);
        }
        if !kept.is_empty() {
            for job in self.commit(kept) {
                job.answer(Err(StoreError::DiskFull));
            }
        }
    }

    /// Runs a batch and answers it; gives back what is to be tried again.
    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        if let Err(why) = self.stopped.check() {
            batch.into_iter().for_each(|job| job.answer(Err(why.clone())));
            return Vec::new();
        }
        let verdicts = match self.transact(&mut batch) {
            Ok(verdicts) => verdicts,
            Err(why) => {
                let _ = self.conn.execute_batch("ROLLBACK");
                vec![Err(why); batch.len()]
            }
        };
        if verdicts.iter().zip(&batch).any(|(verdict, job)| verdict.is_ok() && job.needs().checkpoint) {
            self.empty_wal();
        }
        let mut again = Vec::new();
        for (job, verdict) in batch.into_iter().zip(verdicts) {
            if verdict == Err(StoreError::DiskFull) && job.needs().patience {
                again.push(job);
            } else {
                job.answer(verdict);
            }
        }
        again
    }

    /// One transaction. An error means that none of it happened.
    fn transact(&self, batch: &mut [Box<dyn Job>]) -> Result<Vec<Verdict>, StoreError> {
        self.control("BEGIN IMMEDIATE")?;
        let mut verdicts = Vec::with_capacity(batch.len());
        for job in batch.iter_mut() {
            verdicts.push(self.attempt(job.as_mut())?);
        }
        self.control("COMMIT")?;
        Ok(verdicts)
    }

    /// One operation in its savepoint. The outer error is the whole transaction's.
    fn attempt(&self, job: &mut dyn Job) -> Result<Verdict, StoreError> {
        self.control("SAVEPOINT op")?;
        let outcome = job.run(&self.conn);
        let verdict = match outcome {
            Ok(()) => Ok(()),
            Err(Fail::Answer(answer)) => Err(answer),
            // SQLite may already have rolled everything back (it does when the disk is full).
            Err(Fail::Sqlite(e)) if self.conn.is_autocommit() || fail::stops(&e) => {
                return Err(self.failed(&e));
            }
            Err(Fail::Sqlite(e)) => Err(fail::classify(&self.path, &e)),
        };
        if verdict.is_err() {
            self.control("ROLLBACK TO op")?;
        }
        self.control("RELEASE op")?;
        Ok(verdict)
    }

    fn control(&self, sql: &str) -> Result<(), StoreError> {
        let done = self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        done.map(|_| ()).map_err(|e| self.failed(&e))
    }

    fn failed(&self, e: &rusqlite::Error) -> StoreError {
        let why = fail::classify(&self.path, e);
        if fail::stops(e) {
            tracing::error!(error = %why, "the keystore stops");
            self.stopped.stop(&why);
        }
        why
    }

    /// Copies the WAL into the file and truncates it. What is left if it can't (a reader in the way, a
    /// full disk) goes with the next one: the deletion itself is durable already.
    fn empty_wal(&self) {
        for _ in 0..3 {
            let busy = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
            match busy {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) => {
                    let why = self.failed(&e);
                    tracing::warn!(error = %why, "deleted keys stay in the keystore's write-ahead log until the next erasure");
                    return;
                }
            }
        }
        tracing::warn!(
            "deleted keys stay in the keystore's write-ahead log until the next erasure: a reader was in the way"
        );
    }
}
