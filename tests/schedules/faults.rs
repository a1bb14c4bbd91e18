//! Things that fail: a keystore, a root key provider and a disk that do as they should, until a plan says otherwise.

use paravent::ids::{Generation, KeyId, Subject};
use paravent::keys::GenerationKey;
use paravent::keystore::model::{
    Bind, DomainRow, Erase, Erased, Footprint, Found, GenerationRow, GenerationState, Held, LedgerHead,
    Looked, SecretRow, Settle, TokenFound, UnsettledRow, Write,
};
use paravent::keystore::rekey::{BeginRekey, HeldUnder, RekeyRow, ResealedHolder};
use paravent::keystore::rotation::{Dependents, Passed, Rewrap, TokenLookups, Unlooked};
use paravent::keystore::sweep::{Replacement, SealedSubject, SweepRow};
use paravent::keystore::{Answer, Done, Keystore, StoreError};
use paravent::rights::Disk;
use paravent::roots::{RootError, RootInfo, RootProvider, RootWrapped};
use std::fs::File;
use std::future::ready;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What goes wrong at a durable step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full: the step was not taken, and the next one may be.
    Full,
    /// The step was not taken, and nothing works any more until a restart (EIO, a failed fsync).
    Broken,
    /// The step was taken, and nobody was told; nothing works any more until a restart.
    Unheard,
}

/// When something goes wrong: at the step of that number, counted down.
pub struct Plan {
    left: AtomicU32,
    fault: Fault,
    stopped: AtomicBool,
}

impl Plan {
    /// Nothing goes wrong.
    pub fn sound() -> Arc<Self> {
        Self::at(u32::MAX, Fault::Full)
    }

    /// At the step of that number from now, counted from 0.
    pub fn at(step: u32, fault: Fault) -> Arc<Self> {
        Arc::new(Self { left: AtomicU32::new(step), fault, stopped: AtomicBool::new(false) })
    }

    /// What goes wrong at this step.
    fn next(&self) -> Option<Fault> {
        if self.stopped.load(Ordering::SeqCst) {
            return Some(Fault::Broken);
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
            return None;
        }
        self.left.store(u32::MAX, Ordering::SeqCst);
        self.stopped.store(self.fault != Fault::Full, Ordering::SeqCst);
        Some(self.fault)
    }

    /// Whether nothing works any more.
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

fn broken() -> StoreError {
    StoreError::Unavailable("injected".into())
}

/// A keystore whose durable steps fail as planned.
pub struct Store {
    pub inner: Arc<dyn Keystore>,
    pub plan: Arc<Plan>,
}

impl Store {
    fn read<'a, T: Send + 'a>(&'a self, ask: impl FnOnce() -> Answer<'a, T>) -> Answer<'a, T> {
        if self.plan.stopped() { Box::pin(ready(Err(broken()))) } else { ask() }
    }

    fn change<'a, T: Send + 'a>(&'a self, change: impl FnOnce() -> Answer<'a, T>) -> Answer<'a, T> {
        match self.plan.next() {
            None => change(),
            Some(Fault::Full) => Box::pin(ready(Err(StoreError::DiskFull))),
            Some(Fault::Broken) => Box::pin(ready(Err(broken()))),
            Some(Fault::Unheard) => {
                let done = change();
                Box::pin(async move {
                    drop(done.await);
                    Err(broken())
                })
            }
        }
    }
}

macro_rules! delegate {
    ($how:ident: $($name:ident($($arg:ident: $ty:ty),*) -> $out:ty;)*) => {
        $(fn $name(&self, $($arg: $ty),*) -> Answer<'_, $out> {
            self.$how(|| self.inner.$name($($arg),*))
        })*
    };
}

impl Keystore for Store {
    delegate! { read:
        alive() -> ();
        generations() -> Vec<GenerationRow>;
        dependents(generation: Generation) -> Dependents;
        wrapped_by(generation: Generation, after: i64, limit: u32) -> Vec<Passed>;
        every_secret(after: i64, limit: u32) -> Vec<Passed>;
        domain(domain: &str) -> Vec<DomainRow>;
        domains() -> Vec<DomainRow>;
        unlooked(domain: &str, generation: Generation, after: &str, limit: u32) -> Vec<Unlooked>;
        noted_backup() -> Option<Generation>;
        secrets(keys: &[KeyId]) -> Vec<Found>;
        sealing(subject: &Subject, purpose: &str) -> Option<SecretRow>;
        token(domain: &str, token: &str) -> TokenFound;
        tokens(domain: &str, tokens: &[&str]) -> Vec<TokenFound>;
        lookup(domain: &str, generation: Generation, hmac: &[u8; 32]) -> Option<Looked>;
        folded(domain: &str, generation: Generation, hmac: &[u8; 32]) -> Vec<Box<str>>;
        marked(mark: &[u8; 32]) -> Option<Box<str>>;
        footprint(subject: &Subject) -> Footprint;
        unsettled() -> Vec<UnsettledRow>;
        sweeps() -> Vec<SweepRow>;
        jobs(limit: u32) -> Vec<Box<str>>;
        job(id: &str) -> Option<Box<str>>;
        receipt(id: &str) -> Option<Box<str>>;
        receipts() -> Vec<Box<str>>;
        restricted() -> Vec<Subject>;
        replacement(domain: &str, old: &str) -> Option<Replacement>;
        rekeys() -> Vec<RekeyRow>;
        held_under(keys: &[KeyId]) -> Vec<HeldUnder>;
        ledger_head() -> Option<LedgerHead>;
    }
    delegate! { change:
        add_generation(row: GenerationRow) -> GenerationRow;
        rotate(row: GenerationRow) -> ();
        advance(generation: Generation, to: GenerationState) -> ();
        rewrap(secrets: Vec<Rewrap>) -> u64;
        add_domain(row: DomainRow) -> DomainRow;
        close_domain(domain: &str, generation: Generation) -> ();
        add_lookups(domain: &str, lookups: Vec<TokenLookups>) -> u64;
        drop_lookups(generation: Generation, limit: u32) -> u64;
        backup(to: &Path) -> ();
        note_backup(generation: Generation) -> ();
        write(write: Write) -> Vec<Held>;
        bind(bind: Bind) -> ();
        erase(erase: Erase) -> Erased;
        restrict(subject: &Subject, on: bool) -> bool;
        replace(domain: &str, old: &str, new: &str) -> Vec<[u8; 32]>;
        retire(domain: &str, old: &str, ledger: LedgerHead) -> ();
        set_sweep(receipt: &str, subject: Option<SealedSubject>) -> ();
        end_sweep(receipt: &str) -> ();
        refuse_sweep(receipt: &str) -> ();
        begin_rekey(begin: BeginRekey) -> RekeyRow;
        reseal_holders(resealed: Vec<ResealedHolder>) -> u64;
        end_rekey(job: &str, ledger: Option<LedgerHead>) -> bool;
        fence(keys: Vec<KeyId>, tokens: Vec<(Box<str>, Box<str>)>, ledger: Option<LedgerHead>) -> ();
        keep_job(id: &str, document: &str) -> ();
        keep_receipt(id: &str, document: &str) -> ();
    }

    fn settle(&self, settle: Settle, done: Done) {
        match self.plan.next() {
            None => self.inner.settle(settle, done),
            Some(Fault::Full | Fault::Broken) => done(Err(broken())),
            Some(Fault::Unheard) => self.inner.settle(settle, Box::new(move |_| done(Err(broken())))),
        }
    }
}

/// Root keys whose durable steps fail as planned.
pub struct Roots<R> {
    pub inner: R,
    pub plan: Arc<Plan>,
}

impl<R: RootProvider> Roots<R> {
    fn change<T>(&self, change: impl FnOnce() -> Result<T, RootError>) -> Result<T, RootError> {
        let failed = || RootError::Provider { provider: "file", reason: "injected".into() };
        match self.plan.next() {
            None => change(),
            Some(Fault::Full | Fault::Broken) => Err(failed()),
            Some(Fault::Unheard) => change().and(Err(failed())),
        }
    }
}

impl<R: RootProvider> RootProvider for Roots<R> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn list(&self) -> Result<Vec<RootInfo>, RootError> {
        self.inner.list()
    }

    fn create(&self, generation: Generation) -> Result<(), RootError> {
        self.change(|| self.inner.create(generation))
    }

    fn wrap(&self, key: &GenerationKey) -> Result<RootWrapped, RootError> {
        self.inner.wrap(key)
    }

    fn unwrap(&self, generation: Generation, wrapped: &RootWrapped) -> Result<GenerationKey, RootError> {
        self.inner.unwrap(generation, wrapped)
    }

    fn destroy(&self, generation: Generation) -> Result<(), RootError> {
        self.change(|| self.inner.destroy(generation))
    }

    fn destruction_is_proven(&self) -> bool {
        self.inner.destruction_is_proven()
    }
}

/// A disk for the ledger: a full one takes half a line, a broken one fails to write or to sync.
pub struct LedgerDisk {
    pub plan: Arc<Plan>,
}

impl Disk for LedgerDisk {
    fn write(&self, file: &mut File, at: u64, bytes: &[u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        match self.plan.next() {
            None => file.write_all_at(bytes, at),
            Some(Fault::Full) => {
                file.write_all_at(&bytes[..bytes.len() / 2], at)?;
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(Fault::Broken) => Err(io::Error::other("injected")),
            Some(Fault::Unheard) => file.write_all_at(bytes, at).and(Err(io::Error::other("injected"))),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        match self.plan.next() {
            None => file.sync_all(),
            Some(_) => Err(io::Error::other("injected")),
        }
    }
}
