//! The embedded keystore: one SQLite file, one process.
//!
//! WAL, `synchronous = FULL`, `secure_delete = ON`, and a truncating checkpoint after each erasure
//! (<https://sqlite.org/wal.html>, <https://sqlite.org/pragma.html#pragma_secure_delete>).

mod backup;
mod change;
mod checkpoint;
mod erase;
mod fail;
mod open;
mod outcome;
mod read;
mod rekey;
mod replace;
mod restrict;
mod rotate;
mod rows;
mod sweep;
mod writer;

use super::model::{
    Bind, DomainRow, Erase, Erased, Footprint, Found, GenerationRow, Held, LedgerHead, Looked, SecretRow,
    Settle, TokenFound, UnsettledRow, Write,
};
use super::rekey::{BeginRekey, HeldUnder, RekeyRow, ResealedHolder};
use super::rotation::{Dependents, GenerationState, Passed, Rewrap, TokenLookups, Unlooked};
use super::sweep::{Replacement, SealedSubject, SweepRow};
use super::{Answer, Done, Keystore, StoreError};
use crate::ids::{Generation, KeyId, Subject};
use checkpoint::Checkpoints;
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
    threads: Vec<JoinHandle<()>>,
    readers: Mutex<Vec<Connection>>,
    lock: File,
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
        let (checkpoints, woken, log) = Checkpoints::new();
        let writer = Writer::new(open::writer(path)?, path.to_owned(), stopped.clone(), checkpoints);
        let (queue, jobs) = mpsc::channel();
        let (conn, own, stop) = (open::checkpointer(path)?, path.to_owned(), stopped.clone());
        let threads = vec![
            thread("keystore", move || writer.serve(&jobs))?,
            thread("keystore-log", move || checkpoint::serve(&conn, &own, &stop, &woken, &log))?,
        ];
        Ok(Self {
            path: path.to_owned(),
            stopped,
            queue: Some(queue),
            threads,
            readers: Mutex::new(Vec::new()),
            lock,
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
        Box::pin(async move { receiver.await.unwrap_or_else(|_| Err(gone())) })
    }

    fn submit(&self, job: Box<dyn Job>) {
        let refused = match &self.queue {
            Some(queue) => queue.send(job).err().map(|e| e.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            job.answer(Err(gone()));
        }
    }
}

/// Waits for what is queued: dropping the store loses nothing. The writer's connection is the last to be closed:
/// so SQLite brings the write-ahead log home, and one whole file is left.
impl Drop for Embedded {
    fn drop(&mut self) {
        self.readers.get_mut().clear();
        self.queue = None;
        for thread in self.threads.drain(..) {
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
        // A process that is being started at this moment has the file open too, until it runs its own program.
        let _ = self.lock.unlock();
    }
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map_err(|e| StoreError::Unavailable(format!("no thread for the keystore: {e}")))
}

fn gone() -> StoreError {
    StoreError::Unavailable("the keystore's thread is gone".into())
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

    fn rotate(&self, row: GenerationRow) -> Answer<'_, ()> {
        self.change(Needs::default(), move |conn| rotate::rotate(conn, &row))
    }

    fn advance(&self, generation: Generation, to: GenerationState) -> Answer<'_, ()> {
        match self.read_now(|conn| rotate::may_advance(conn, generation, to)) {
            Ok(true) => self.change(Needs::default(), move |conn| rotate::advance(conn, generation, to)),
            Ok(false) => Box::pin(ready(Err(StoreError::InUse(generation.0)))),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }

    fn dependents(&self, generation: Generation) -> Answer<'_, Dependents> {
        self.read(|conn| rotate::dependents(conn, generation))
    }

    fn wrapped_by(&self, generation: Generation, after: i64, limit: u32) -> Answer<'_, Vec<Passed>> {
        self.read(|conn| rotate::wrapped_by(conn, generation, after, limit))
    }

    fn every_secret(&self, after: i64, limit: u32) -> Answer<'_, Vec<Passed>> {
        self.read(|conn| rotate::every_secret(conn, after, limit))
    }

    fn rewrap(&self, secrets: Vec<Rewrap>) -> Answer<'_, u64> {
        let (sender, receiver) = oneshot::channel();
        self.submit(Box::new(rotate::Rewrapping::new(secrets, sender)));
        Box::pin(async move { receiver.await.unwrap_or_else(|_| Err(gone())) })
    }

    fn domain(&self, domain: &str) -> Answer<'_, Vec<DomainRow>> {
        self.read(|conn| read::domain(conn, domain))
    }

    fn domains(&self) -> Answer<'_, Vec<DomainRow>> {
        self.read(read::domains)
    }

    fn close_domain(&self, domain: &str, generation: Generation) -> Answer<'_, ()> {
        let domain = domain.to_owned();
        self.change(Needs::default(), move |conn| rotate::close_domain(conn, &domain, generation))
    }

    fn unlooked(
        &self,
        domain: &str,
        generation: Generation,
        after: &str,
        limit: u32,
    ) -> Answer<'_, Vec<Unlooked>> {
        self.read(|conn| rotate::unlooked(conn, domain, generation, after, limit))
    }

    fn add_lookups(&self, domain: &str, lookups: Vec<TokenLookups>) -> Answer<'_, u64> {
        let domain = domain.to_owned();
        self.change(Needs::default(), move |conn| rotate::add_lookups(conn, &domain, &lookups))
    }

    fn drop_lookups(&self, generation: Generation, limit: u32) -> Answer<'_, u64> {
        self.change(Needs::default(), move |conn| rotate::drop_lookups(conn, generation, limit))
    }

    fn backup(&self, to: &Path) -> Answer<'_, ()> {
        self.read(|conn| backup::backup(conn, to))
    }

    fn note_backup(&self, generation: Generation) -> Answer<'_, ()> {
        self.change(Needs::default(), move |conn| rotate::note_backup(conn, generation))
    }

    fn noted_backup(&self) -> Answer<'_, Option<Generation>> {
        self.read(rotate::noted_backup)
    }

    fn add_domain(&self, row: DomainRow) -> Answer<'_, DomainRow> {
        self.change(Needs::default(), move |conn| change::add_domain(conn, &row))
    }

    fn secrets(&self, keys: &[KeyId]) -> Answer<'_, Vec<Found>> {
        self.read(|conn| read::secrets(conn, keys))
    }

    fn sealing(&self, subject: &Subject, purpose: &str) -> Answer<'_, Option<SecretRow>> {
        self.read(|conn| read::sealing(conn, subject, purpose))
    }

    fn token(&self, domain: &str, token: &str) -> Answer<'_, TokenFound> {
        self.read(|conn| read::token(conn, domain, token))
    }

    fn tokens(&self, domain: &str, tokens: &[&str]) -> Answer<'_, Vec<TokenFound>> {
        self.read(|conn| read::tokens(conn, domain, tokens))
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
        let needs = Needs { patience: true, ..Needs::default() };
        let run = move |conn: &Connection| outcome::settle(conn, &settle);
        self.submit(Box::new(Change { needs, run, done, out: None }));
    }

    fn unsettled(&self) -> Answer<'_, Vec<UnsettledRow>> {
        self.read(outcome::unsettled)
    }

    fn erase(&self, erase: Erase) -> Answer<'_, Erased> {
        let needs = Needs { checkpoint: true, ..Needs::default() };
        self.change(needs, move |conn| erase::erase(conn, &erase))
    }

    fn sweeps(&self) -> Answer<'_, Vec<SweepRow>> {
        self.read(sweep::sweeps)
    }

    fn set_sweep(&self, receipt: &str, subject: Option<SealedSubject>) -> Answer<'_, ()> {
        let receipt = receipt.to_owned();
        let needs = Needs { checkpoint: subject.is_none(), ..Needs::default() };
        self.change(needs, move |conn| sweep::set_sweep(conn, &receipt, subject.as_ref()))
    }

    fn end_sweep(&self, receipt: &str) -> Answer<'_, ()> {
        let receipt = receipt.to_owned();
        self.change(Needs::default(), move |conn| sweep::end_sweep(conn, &receipt))
    }

    fn refuse_sweep(&self, receipt: &str) -> Answer<'_, ()> {
        let receipt = receipt.to_owned();
        self.change(Needs::default(), move |conn| sweep::refuse_sweep(conn, &receipt))
    }

    fn begin_rekey(&self, begin: BeginRekey) -> Answer<'_, RekeyRow> {
        self.change(Needs::default(), move |conn| rekey::begin(conn, &begin))
    }

    fn rekeys(&self) -> Answer<'_, Vec<RekeyRow>> {
        self.read(rekey::rekeys)
    }

    fn held_under(&self, keys: &[KeyId]) -> Answer<'_, Vec<HeldUnder>> {
        self.read(|conn| rekey::held_under(conn, keys))
    }

    fn reseal_holders(&self, resealed: Vec<ResealedHolder>) -> Answer<'_, u64> {
        self.change(Needs::default(), move |conn| rekey::reseal(conn, &resealed))
    }

    fn end_rekey(&self, job: &str, ledger: Option<LedgerHead>) -> Answer<'_, bool> {
        let job = job.to_owned();
        let needs = Needs { checkpoint: ledger.is_some(), ..Needs::default() };
        self.change(needs, move |conn| rekey::end(conn, &job, ledger.as_ref()))
    }

    fn replacement(&self, domain: &str, old: &str) -> Answer<'_, Option<Replacement>> {
        self.read(|conn| replace::replacement(conn, domain, old))
    }

    fn replace(&self, domain: &str, old: &str, new: &str) -> Answer<'_, Vec<[u8; 32]>> {
        let (domain, old, new) = (domain.to_owned(), old.to_owned(), new.to_owned());
        self.change(Needs::default(), move |conn| replace::replace(conn, &domain, &old, &new))
    }

    fn retire(&self, domain: &str, old: &str, ledger: LedgerHead) -> Answer<'_, ()> {
        let (domain, old) = (domain.to_owned(), old.to_owned());
        let needs = Needs { checkpoint: true, ..Needs::default() };
        self.change(needs, move |conn| replace::retire(conn, &domain, &old, &ledger))
    }

    fn fence(
        &self,
        keys: Vec<KeyId>,
        tokens: Vec<(Box<str>, Box<str>)>,
        ledger: Option<LedgerHead>,
    ) -> Answer<'_, ()> {
        self.change(Needs::default(), move |conn| sweep::fence(conn, &keys, &tokens, ledger.as_ref()))
    }

    fn keep_job(&self, id: &str, document: &str) -> Answer<'_, ()> {
        let (id, document) = (id.to_owned(), document.to_owned());
        self.change(Needs::default(), move |conn| sweep::keep_job(conn, &id, &document))
    }

    fn jobs(&self, limit: u32) -> Answer<'_, Vec<Box<str>>> {
        self.read(|conn| sweep::jobs(conn, limit))
    }

    fn job(&self, id: &str) -> Answer<'_, Option<Box<str>>> {
        self.read(|conn| sweep::job(conn, id))
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

    fn restrict(&self, subject: &Subject, on: bool) -> Answer<'_, bool> {
        let subject = subject.clone();
        self.change(Needs::default(), move |conn| restrict::restrict(conn, &subject, on))
    }

    fn restricted(&self) -> Answer<'_, Vec<Subject>> {
        self.read(restrict::restricted)
    }
}
