//! The one thread that writes: many operations, one commit, one fsync.
//!
//! It takes whatever waits in the queue into one transaction, each operation in a savepoint of its own,
//! and answers all of them after the commit is durable. While one fsync runs, the next batch gathers by itself.
//! What is long (a rotation) takes its steps in between, in transactions that nobody waits for.

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
/// So long a transaction is at most that takes steps of long operations while nobody waits for anything: below what the
/// kernel lets a thread run at a time, since everybody else's threads wait for the processor meanwhile.
const LONGEST: Duration = Duration::from_micros(400);
/// For so long the processor is theirs after it, or until something is asked for.
const BREATH: Duration = Duration::from_micros(300);
/// Between two commits that somebody waits for, steps get this share of the time that the first one took: whoever writes
/// all the time waits for less than twice as long, and a rotation goes on however many write.
const SHARE: f64 = 0.75;
/// That time is taken to be no longer than this.
const SLOWEST: Duration = Duration::from_millis(10);

/// What an operation asks for besides running.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Needs {
    /// The WAL emptied before it is answered: deleted bytes must not stay there.
    pub(super) checkpoint: bool,
    /// Tried again while the disk is full: nobody waits who could try again.
    pub(super) patience: bool,
    /// Done a step at a time, whatever comes meanwhile before the next; and all the same if only some of its steps are, or
    /// are lost with the power: no fsync is made for it.
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
    /// Whether a commit is durable when it returns.
    syncing: bool,
    /// When the last one that was ended, and for how long steps go first from then on.
    synced: Instant,
    share: Duration,
}

type Queue = mpsc::Receiver<Box<dyn Job>>;
type Verdict = Result<(), StoreError>;

impl Writer {
    pub(super) fn new(
        conn: Connection,
        path: PathBuf,
        stopped: Arc<Stopped>,
        checkpoints: Checkpoints,
    ) -> Self {
        let long = VecDeque::new();
        let (synced, share) = (Instant::now(), Duration::ZERO);
        Self { conn, path, stopped, checkpoints, long, syncing: true, synced, share }
    }

    /// Serves the queue until nobody can put anything into it any more.
    pub(super) fn serve(mut self, queue: &Queue) {
        let (mut waiting, mut kept) = (Vec::new(), Vec::new());
        loop {
            if self.long.is_empty() && waiting.is_empty() {
                let Ok(first) = queue.recv() else { break };
                self.sort(first, &mut waiting);
            }
            self.gather(queue, &mut waiting);
            if !waiting.is_empty() {
                // What a full disk kept is tried again with whatever comes next.
                kept.append(&mut waiting);
                kept = self.commit(kept);
            }
            if !self.long.is_empty() {
                self.steps(queue, &mut waiting);
                if waiting.is_empty()
                    && let Ok(next) = queue.recv_timeout(BREATH)
                {
                    self.sort(next, &mut waiting);
                }
            }
        }
        if !kept.is_empty() {
            for job in self.commit(kept) {
                job.answer(Err(StoreError::DiskFull));
            }
        }
    }

    fn sort(&mut self, job: Box<dyn Job>, waiting: &mut Vec<Box<dyn Job>>) {
        if job.needs().long { self.long.push_back(job) } else { waiting.push(job) }
    }

    /// What came meanwhile; says whether somebody waits for any of it.
    fn gather(&mut self, queue: &Queue, waiting: &mut Vec<Box<dyn Job>>) -> bool {
        let before = waiting.len();
        while waiting.len() < BATCH
            && let Ok(next) = queue.try_recv()
        {
            self.sort(next, waiting);
        }
        waiting.len() > before
    }

    /// Runs what somebody waits for, durably, and answers it; gives back what is to be tried again.
    fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let begun = Instant::now();
        let mut verdicts = Vec::with_capacity(jobs.len());
        let done = self.stopped.check().and_then(|()| self.transact(&mut jobs, &mut verdicts));
        self.share = begun.elapsed().min(SLOWEST).mul_f64(SHARE);
        if let Err(why) = done {
            self.undo();
            verdicts = vec![Err(why); jobs.len()];
        }
        if verdicts.iter().zip(&jobs).any(|(verdict, job)| verdict.is_ok() && job.needs().checkpoint) {
            self.empty_wal();
        } else {
            self.checkpoint();
        }
        self.synced = Instant::now();
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
    fn transact(&mut self, jobs: &mut [Box<dyn Job>], verdicts: &mut Vec<Verdict>) -> Result<(), StoreError> {
        self.sync(true)?;
        self.control("BEGIN IMMEDIATE")?;
        for job in jobs {
            verdicts.push(self.attempt(job.as_mut())?);
        }
        self.control("COMMIT")
    }

    /// Steps of what is long, in a transaction of their own that nobody waits for, until others have waited long enough.
    fn steps(&mut self, queue: &Queue, waiting: &mut Vec<Box<dyn Job>>) {
        let mut ended = Vec::new();
        let done = self.stopped.check().and_then(|()| self.take_steps(queue, waiting, &mut ended));
        if let Err(why) = done {
            self.undo();
            // Steps that were taken back can't be told from those before.
            let all = ended.into_iter().map(|(job, _)| job).chain(self.long.drain(..));
            all.for_each(|job| job.answer(Err(why.clone())));
            return;
        }
        self.checkpoint();
        for (job, verdict) in ended {
            job.answer(verdict);
        }
    }

    fn take_steps(
        &mut self,
        queue: &Queue,
        waiting: &mut Vec<Box<dyn Job>>,
        ended: &mut Vec<(Box<dyn Job>, Verdict)>,
    ) -> Result<(), StoreError> {
        self.sync(false)?;
        self.control("BEGIN IMMEDIATE")?;
        let begun = Instant::now();
        let mut awaited = false;
        while let Some(mut job) = self.long.pop_front() {
            match self.attempt(job.as_mut()) {
                Ok(Ok(())) if job.more() => self.long.push_front(job),
                Ok(verdict) => ended.push((job, verdict)),
                Err(why) => {
                    self.long.push_front(job);
                    return Err(why);
                }
            }
            awaited |= self.gather(queue, waiting);
            let enough =
                if awaited { self.synced.elapsed() >= self.share } else { begun.elapsed() >= LONGEST };
            if enough {
                break;
            }
        }
        self.control("COMMIT")
    }

    /// Whether the next commits are durable when they return. A durable one makes those before it durable too, since all
    /// lie in one log, in their order (<https://sqlite.org/pragma.html#pragma_synchronous>).
    fn sync(&mut self, on: bool) -> Result<(), StoreError> {
        if self.syncing != on {
            let level = if on { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            self.conn.execute_batch(level).map_err(|e| self.failed(&e))?;
            self.syncing = on;
        }
        Ok(())
    }

    fn undo(&self) {
        let _ = self.conn.execute_batch("ROLLBACK");
    }

    fn checkpoint(&mut self) {
        if self.checkpoints.due(self.conn.total_changes()) == Due::Now
            && let Err(e) = self.checkpoints.begin_anew(&self.conn)
        {
            let why = self.failed(&e);
            tracing::warn!(error = %why, "the keystore's write-ahead log could not be copied; it is tried again");
        }
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
        let _turn = self.checkpoints.turn();
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
            // 2 is FULL: the commit is durable when it returns.
            let level: u32 = conn.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
            assert_eq!(level == 2, !self.long, "{}", self.name);
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
        let (checkpoints, _woken, _) = Checkpoints::new();
        Writer::new(conn, path.clone(), Arc::default(), checkpoints).serve(&jobs);
        let steps = |conn: Connection| conn.query_row("SELECT count(*) FROM steps", [], |row| row.get(0));
        (Arc::try_unwrap(answered).unwrap().into_inner(), steps(Connection::open(&path).unwrap()).unwrap())
    }

    /// A job, and where it is to be sent.
    type Request = (mpsc::Sender<Box<dyn Job>>, Box<dyn Job>);

    /// Asks for something else while it runs.
    struct Asks {
        name: &'static str,
        long: bool,
        other: Option<Request>,
        told: mpsc::Sender<&'static str>,
    }

    impl Job for Asks {
        fn run(&mut self, _: &Connection) -> Op<()> {
            if let Some((queue, job)) = self.other.take() {
                assert!(queue.send(job).is_ok());
            }
            Ok(())
        }

        fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
            outcome.unwrap();
            self.told.send(self.name).unwrap();
        }

        fn needs(&self) -> Needs {
            Needs { long: self.long, ..Needs::default() }
        }
    }

    #[test]
    fn what_came_during_the_last_step_is_done_although_nothing_else_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        let conn = Connection::open(&path).unwrap();
        let (queue, jobs) = mpsc::channel::<Box<dyn Job>>();
        let (told, heard) = mpsc::channel();
        let short = Asks { name: "short", long: false, other: None, told: told.clone() };
        let other = Some((queue.clone(), Box::new(short) as Box<dyn Job>));
        assert!(queue.send(Box::new(Asks { name: "long", long: true, other, told })).is_ok());
        let (checkpoints, _woken, _) = Checkpoints::new();
        let writer = Writer::new(conn, path, Arc::default(), checkpoints);
        let thread = std::thread::spawn(move || writer.serve(&jobs));
        for name in ["long", "short"] {
            assert_eq!(heard.recv_timeout(Duration::from_secs(30)), Ok(name));
        }
        drop(queue);
        thread.join().unwrap();
    }

    #[test]
    fn only_what_nobody_waits_for_is_not_made_durable_by_its_commit() {
        let all = [("a", 1, false, None), ("b", 9, true, None), ("c", 1, false, None), ("d", 9, true, None)];
        assert_eq!(answers(&all).0, [("a", true), ("c", true), ("b", true), ("d", true)]);
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
