//! The embedded keystore: one SQLite file, one process.
//!
//! WAL, `synchronous = FULL`, `secure_delete = ON`, and a truncating checkpoint after each erasure
//! (<https://sqlite.org/wal.html>, <https://sqlite.org/pragma.html#pragma_secure_delete>).

mod change;
mod erase;
mod fail;
mod open;
mod outcome;
mod read;
mod rows;
mod writer;

use super::model::{
    Bind, DomainRow, Erase, Erased, Footprint, Found, GenerationRow, Held, LedgerHead, Looked, SecretRow,
    Settle, TokenFound, UnsettledRow, Write,
};
use super::{Answer, Done, Keystore, StoreError};
use crate::ids::{Generation, KeyId, Subject};
use fail::{Fail, Op};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::fs::File;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use writer::{Job, Needs, Stopped, Writer};

/// Reading connections that are kept open.
const READERS: usize = 16;

/// A keystore in a file.
pub struct Embedded {
    path: PathBuf,
    stopped: Arc<Stopped>,
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    readers: Mutex<Vec<Connection>>,
    _lock: File,
}

impl Embedded {
    /// Opens the keystore, or makes it where there is none (mode 0600).
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Damaged`], [`StoreError::Newer`], or
    /// [`StoreError::Unavailable`] when the file can't be read or made.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = open::prepare(path)?;
        let stopped = Arc::new(Stopped::default());
        let writer = Writer { conn: open::writer(path)?, path: path.to_owned(), stopped: stopped.clone() };
        let (queue, jobs) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("keystore".into())
            .spawn(move || writer.serve(&jobs))
            .map_err(|e| StoreError::Unavailable(format!("no thread for the keystore: {e}")))?;
        Ok(Self {
            path: path.to_owned(),
            stopped,
            queue: Some(queue),
            thread: Some(thread),
            readers: Mutex::new(Vec::new()),
            _lock: lock,
        })
    }

    /// Lets the file grow to this many pages of 4 KiB at most (0: no limit but the disk's).
    pub fn limit(&self, pages: u32) -> Answer<'_, ()> {
        let pages = if pages == 0 { u32::MAX - 1 } else { pages };
        self.change(Needs::default(), move |conn| {
            conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
            Ok(())
        })
    }

    fn read<T: Send + 'static>(&self, query: impl FnOnce(&Connection) -> Op<T>) -> Answer<'_, T> {
        Box::pin(ready(self.read_now(query)))
    }

    fn read_now<T>(&self, query: impl FnOnce(&Connection) -> Op<T>) -> Result<T, StoreError> {
        self.stopped.check()?;
        let kept = self.readers.lock().pop();
        let conn = match kept {
            Some(conn) => conn,
            None => open::reader(&self.path)?,
        };
        let answer = query(&conn).map_err(|e| match e {
            Fail::Answer(answer) => answer,
            Fail::Sqlite(e) => fail::classify(&self.path, &e),
        });
        let mut readers = self.readers.lock();
        if readers.len() < READERS {
            readers.push(conn);
        }
        answer
    }

    fn change<T: Send + 'static>(
        &self,
        needs: Needs,
        run: impl FnMut(&Connection) -> Op<T> + Send + 'static,
    ) -> Answer<'_, T> {
        let (sender, receiver) = oneshot::channel();
        let done = move |outcome| drop(sender.send(outcome));
        self.submit(Box::new(Change { needs, run, done, out: None }));
        Box::pin(async move {
            receiver
                .await
                .unwrap_or_else(|_| Err(StoreError::Unavailable("the keystore's thread is gone".into())))
        })
    }

    fn submit(&self, job: Box<dyn Job>) {
        let refused = match &self.queue {
            Some(queue) => queue.send(job).err().map(|e| e.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            job.answer(Err(StoreError::Unavailable("the keystore's thread is gone".into())));
        }
    }
}

/// Waits for what is queued: dropping the store loses nothing. The writer's connection is the last to be closed:
/// so SQLite brings the write-ahead log home, and one whole file is left.
impl Drop for Embedded {
    fn drop(&mut self) {
        self.readers.get_mut().clear();
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// An operation with its answer.
struct Change<T, Run, Done> {
    needs: Needs,
    run: Run,
    done: Done,
    out: Option<T>,
}

impl<T, Run, Done> Job for Change<T, Run, Done>
where
    T: Send,
    Run: FnMut(&Connection) -> Op<T> + Send,
    Done: FnOnce(Result<T, StoreError>) + Send,
{
    fn run(&mut self, conn: &Connection) -> Op<()> {
        self.out = Some((self.run)(conn)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let lost = || StoreError::Unavailable("the keystore gave no answer".into());
        let Self { done, out, .. } = *self;
        done(outcome.and_then(|()| out.ok_or_else(lost)));
    }

    fn needs(&self) -> Needs {
        self.needs
    }
}

impl Keystore for Embedded {
    fn alive(&self) -> Answer<'_, ()> {
        self.read(read::alive)
    }

    fn generations(&self) -> Answer<'_, Vec<GenerationRow>> {
        self.read(read::generations)
    }

    fn add_generation(&self, row: GenerationRow) -> Answer<'_, GenerationRow> {
        self.change(Needs::default(), move |conn| change::add_generation(conn, &row))
    }

    fn domain(&self, domain: &str, generation: Generation) -> Answer<'_, Option<DomainRow>> {
        self.read(|conn| read::domain(conn, domain, generation))
    }

    fn add_domain(&self, row: DomainRow) -> Answer<'_, DomainRow> {
        self.change(Needs::default(), move |conn| change::add_domain(conn, &row))
    }

    fn secrets(&self, keys: &[KeyId]) -> Answer<'_, Vec<Found>> {
        self.read(|conn| keys.iter().map(|key| read::secret(conn, *key)).collect())
    }

    fn sealing(&self, subject: &Subject, purpose: &str) -> Answer<'_, Option<SecretRow>> {
        self.read(|conn| read::sealing(conn, subject, purpose))
    }

    fn token(&self, domain: &str, token: &str) -> Answer<'_, TokenFound> {
        self.read(|conn| read::token(conn, domain, token))
    }

    fn lookup(&self, domain: &str, generation: Generation, hmac: &[u8; 32]) -> Answer<'_, Option<Looked>> {
        self.read(|conn| read::lookup(conn, domain, generation, hmac))
    }

    fn folded(&self, domain: &str, generation: Generation, hmac: &[u8; 32]) -> Answer<'_, Vec<Box<str>>> {
        self.read(|conn| read::folded(conn, domain, generation, hmac))
    }

    fn marked(&self, mark: &[u8; 32]) -> Answer<'_, Option<Box<str>>> {
        self.read(|conn| read::marked(conn, mark))
    }

    fn footprint(&self, subject: &Subject) -> Answer<'_, Footprint> {
        self.read(|conn| erase::footprint(conn, subject))
    }

    fn write(&self, write: Write) -> Answer<'_, Vec<Held>> {
        self.change(Needs::default(), move |conn| change::write(conn, &write))
    }

    fn bind(&self, bind: Bind) -> Answer<'_, ()> {
        self.change(Needs::default(), move |conn| change::bind(conn, &bind))
    }

    fn settle(&self, settle: Settle, done: Done) {
        let needs = Needs { patience: true, checkpoint: false };
        let run = move |conn: &Connection| outcome::settle(conn, &settle);
        self.submit(Box::new(Change { needs, run, done, out: None }));
    }

    fn unsettled(&self) -> Answer<'_, Vec<UnsettledRow>> {
        self.read(outcome::unsettled)
    }

    fn erase(&self, erase: Erase) -> Answer<'_, Erased> {
        let needs = Needs { checkpoint: true, patience: false };
        self.change(needs, move |conn| erase::erase(conn, &erase))
    }

    fn keep_receipt(&self, id: &str, document: &str) -> Answer<'_, ()> {
        let (id, document) = (id.to_owned(), document.to_owned());
        self.change(Needs::default(), move |conn| erase::keep_receipt(conn, &id, &document))
    }

    fn receipt(&self, id: &str) -> Answer<'_, Option<Box<str>>> {
        self.read(|conn| read::receipt(conn, id))
    }

    fn receipts(&self) -> Answer<'_, Vec<Box<str>>> {
        self.read(read::receipts)
    }

    fn ledger_head(&self) -> Answer<'_, Option<LedgerHead>> {
        self.read(read::ledger_head)
    }
}
