//! The one thread that writes: many operations, one commit, one fsync.
//!
//! It takes whatever waits in the queue into one transaction, each operation in a savepoint of its own,
//! and answers all of them after the commit is durable. While one fsync runs, the next batch gathers by itself.

use super::checkpoint::{Checkpoints, Due};
use super::fail::{self, Fail, Op};
use crate::keystore::StoreError;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// At most this many operations share a commit.
const BATCH: usize = 1024;
/// So long a transaction is at most that does nothing but steps of long operations.
const LONGEST: Duration = Duration::from_millis(10);

/// What an operation asks for besides running.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    /// The WAL emptied before it is answered: deleted bytes must not stay there.
    pub(super) checkpoint: bool,
    /// Tried again while the disk is full: nobody waits who could try again.
    pub(super) patience: bool,
    /// Done a step at a time, whatever comes meanwhile before the next; and all the same if only some of its steps are.
    pub(super) long: bool,
}

/// An operation in the queue.
pub(super) trait Job: Send {
    fn run(&mut self, conn: &Connection) -> Op<()>;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
    fn needs(&self) -> Needs;
    /// A long one has steps left.
    fn more(&self) -> bool {
        false
    }
}

/// Why the store stopped, once it has.
#[derive(Debug, Default)]
pub(super) struct Stopped(Mutex<Option<StoreError>>);

impl Stopped {
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.0.lock().clone().map_or(Ok(()), Err)
    }

    pub(super) fn stop(&self, why: &StoreError) {
        let text =
            format!("the keystore stopped after a failed write ({why}); restart once the disk is sound");
        self.0.lock().get_or_insert(StoreError::Unavailable(text));
    }
}

/// The writing side.
pub(super) struct Writer {
    conn: Connection,
    path: PathBuf,
    stopped: Arc<Stopped>,
    checkpoints: Checkpoints,
    /// Operations of many steps, in order.
    long: VecDeque<Box<dyn Job>>,
}

type Queue = mpsc::Receiver<Box<dyn Job>>;
type Verdict = Result<(), StoreError>;

/// Operations that were run in one transaction.
#[derive(Default)]
struct Batch {
    jobs: Vec<Box<dyn Job>>,
    verdicts: Vec<Verdict>,
}

impl Writer {
    pub(super) fn new(
        conn: Connection,
        path: PathBuf,
        stopped: Arc<Stopped>,
        checkpoints: Checkpoints,
    ) -> Self {
        Self { conn, path, stopped, checkpoints, long: VecDeque::new() }
    }

    /// Serves the queue until nobody can put anything into it any more.
    pub(super) fn serve(mut self, queue: &Queue) {
        let mut kept: Vec<Box<dyn Job>> = Vec::new();
        loop {
            if self.long.is_empty() {
                let Ok(first) = queue.recv() else { break };
                self.sort(first, &mut kept);
            }
            while kept.len() < BATCH
                && let Ok(next) = queue.try_recv()
            {
                self.sort(next, &mut kept);
            }
            let jobs = std::mem::take(&mut kept);
            kept = self.commit(Batch { jobs, verdicts: Vec::new() }, queue);
        }
        if !kept.is_empty() {
            for job in self.commit(Batch { jobs: kept, verdicts: Vec::new() }, queue) {
                job.answer(Err(StoreError::DiskFull));
            }
        }
    }

    fn sort(&mut self, job: Box<dyn Job>, batch: &mut Vec<Box<dyn Job>>) {
        if job.needs().long { self.long.push_back(job) } else { batch.push(job) }
    }

    /// Runs a batch and answers it; gives back what is to be tried again.
    fn commit(&mut self, mut batch: Batch, queue: &Queue) -> Vec<Box<dyn Job>> {
        let done = self.stopped.check().and_then(|()| self.transact(&mut batch, queue));
        if let Err(why) = done {
            let _ = self.conn.execute_batch("ROLLBACK");
            // Steps that were taken back can't be told from those before.
            batch.jobs.extend(self.long.drain(..));
            batch.verdicts = vec![Err(why); batch.jobs.len()];
        }
        let Batch { jobs, verdicts } = batch;
        if verdicts.iter().zip(&jobs).any(|(verdict, job)| verdict.is_ok() && job.needs().checkpoint)
            || self.checkpoints.due(self.conn.total_changes()) == Due::Empty
        {
            self.empty_wal();
        }
        let mut again = Vec::new();
        for (job, verdict) in jobs.into_iter().zip(verdicts) {
            if verdict == Err(StoreError::DiskFull) && job.needs().patience {
                again.push(job);
            } else {
                job.answer(verdict);
            }
        }
        again
    }

    /// One transaction. An error means that none of it happened.
    fn transact(&mut self, batch: &mut Batch, queue: &Queue) -> Result<(), StoreError> {
        self.control("BEGIN IMMEDIATE")?;
        for job in &mut batch.jobs {
            batch.verdicts.push(self.attempt(job.as_mut())?);
        }
        self.steps(batch, queue)?;
        self.control("COMMIT")
    }

    /// A step of what is long, and more while nobody waits who is not: what comes is done at once, and committed.
    fn steps(&mut self, batch: &mut Batch, queue: &Queue) -> Result<(), StoreError> {
        let begun = Instant::now();
        while let Some(mut job) = self.long.pop_front() {
            let verdict = self.attempt(job.as_mut());
            if verdict == Ok(Ok(())) && job.more() {
                self.long.push_front(job);
            } else {
                batch.jobs.push(job);
                batch.verdicts.push(verdict?);
            }
            while batch.jobs.len() < BATCH
                && let Ok(next) = queue.try_recv()
            {
                self.run_late(next, batch)?;
            }
            if !batch.jobs.is_empty() || begun.elapsed() >= LONGEST {
                break;
            }
        }
        Ok(())
    }

    /// An operation that came while a transaction is open.
    fn run_late(&mut self, job: Box<dyn Job>, batch: &mut Batch) -> Result<(), StoreError> {
        if job.needs().long {
            self.long.push_back(job);
            return Ok(());
        }
        batch.jobs.push(job);
        if let Some(job) = batch.jobs.last_mut() {
            batch.verdicts.push(self.attempt(job.as_mut())?);
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Says when it is answered.
    struct Steps {
        name: &'static str,
        left: u32,
        long: bool,
        fails_at: Option<u32>,
        answered: Arc<Mutex<Vec<(&'static str, bool)>>>,
    }

    impl Job for Steps {
        fn run(&mut self, conn: &Connection) -> Op<()> {
            self.left -= 1;
            if self.fails_at == Some(self.left) {
                return Err(StoreError::Stale.into());
            }
            conn.execute("INSERT INTO steps VALUES (?)", [self.name])?;
            Ok(())
        }

        fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
            self.answered.lock().push((self.name, outcome.is_ok()));
        }

        fn needs(&self) -> Needs {
            Needs { long: self.long, ..Needs::default() }
        }

        fn more(&self) -> bool {
            self.left > 0
        }
    }

    type Given = (&'static str, u32, bool, Option<u32>);

    /// In which order these were answered, how well, and the steps that stayed.
    fn answers(given: &[Given]) -> (Vec<(&'static str, bool)>, u32) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE steps (name TEXT)").unwrap();
        let (queue, jobs) = mpsc::channel();
        let answered = Arc::new(Mutex::new(Vec::new()));
        for (name, left, long, fails_at) in given {
            let answered = answered.clone();
            let job = Steps { name, left: *left, long: *long, fails_at: *fails_at, answered };
            assert!(queue.send(Box::new(job) as Box<dyn Job>).is_ok());
        }
        drop(queue);
        let (checkpoints, _woken) = Checkpoints::new(&path);
        Writer::new(conn, path.clone(), Arc::default(), checkpoints).serve(&jobs);
        let steps = |conn: Connection| conn.query_row("SELECT count(*) FROM steps", [], |row| row.get(0));
        (Arc::try_unwrap(answered).unwrap().into_inner(), steps(Connection::open(&path).unwrap()).unwrap())
    }

    #[test]
    fn what_is_short_does_not_wait_for_what_is_long() {
        let (answered, steps) =
            answers(&[("rotation", 500, true, None), ("write", 1, false, None), ("another", 3, true, None)]);
        assert_eq!(answered, [("write", true), ("rotation", true), ("another", true)]);
        assert_eq!(steps, 504);
    }

    #[test]
    fn a_long_operation_that_fails_keeps_the_steps_before() {
        let (answered, steps) = answers(&[("rotation", 10, true, Some(4)), ("write", 1, false, None)]);
        assert_eq!(answered, [("write", true), ("rotation", false)]);
        assert_eq!(steps, 6, "five of the rotation's and the write's");
    }
}
