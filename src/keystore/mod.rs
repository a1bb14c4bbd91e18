//! Where wrapped secrets, tokens, lookups and fences live.
//!
//! The store sees opaque wrapped bytes, HMACs and envelopes: never a key, never an identifier in
//! clear. It knows subjects by realm, class and id, since an erasure must find all that is theirs.
//! `docs/decisions/0002-units-and-provisional-secrets.md` says what the states mean.

pub mod embedded;
mod error;
pub mod model;
pub mod rekey;
pub mod rotation;
pub mod sweep;

pub use error::StoreError;

use crate::ids::{Generation, KeyId, Subject};
use model::{
    Bind, DomainRow, Erase, Erased, Footprint, Found, GenerationRow, Held, LedgerHead, Looked, SecretRow,
    Settle, TokenFound, UnsettledRow, Write,
};
use rekey::{BeginRekey, HeldUnder, RekeyRow, ResealedHolder};
use rotation::{Dependents, GenerationState, Passed, Rewrap, TokenLookups, Unlooked};
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use sweep::{Replacement, SealedSubject, SweepRow};

/// What a keystore call gives: boxed, so that the trait is object-safe.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Called once a settlement is durable (or can no longer become so in this process).
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A keystore. A call that changes something takes its place in the queue when it is *called*, not when
/// its future is first polled, and answers only once the change is durable. Dropping the future does
/// not undo it.
pub trait Keystore: Send + Sync + 'static {
    /// Whether the store can still answer: what a lease is renewed by.
    fn alive(&self) -> Answer<'_, ()>;

    /// Every generation, in order of number.
    fn generations(&self) -> Answer<'_, Vec<GenerationRow>>;

    /// Adds a generation, or gives the one that already has this number.
    fn add_generation(&self, row: GenerationRow) -> Answer<'_, GenerationRow>;

    /// Makes `row` the active generation, in one change with the closing of the one before it. From then on
    /// nothing is wrapped under that one.
    ///
    /// # Errors
    /// [`StoreError::Rotating`] while another generation is there that is not destroyed.
    fn rotate(&self, row: GenerationRow) -> Answer<'_, ()>;

    /// Takes a generation to its next state.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when something depends on it, or it is not in the state before.
    fn advance(&self, generation: Generation, to: GenerationState) -> Answer<'_, ()>;

    /// What depends on a generation.
    fn dependents(&self, generation: Generation) -> Answer<'_, Dependents>;

    /// Secrets that a generation wraps, in their order, after that place (0: from the first one).
    fn wrapped_by(&self, generation: Generation, after: i64, limit: u32) -> Answer<'_, Vec<Passed>>;

    /// Every secret, in their order, after that place.
    fn every_secret(&self, after: i64, limit: u32) -> Answer<'_, Vec<Passed>>;

    /// Wraps secrets again; says how many were still what they were read as. Alone among the changes it may answer before
    /// it is durable: it is when a later change is, and until then both generations are there.
    fn rewrap(&self, secrets: Vec<Rewrap>) -> Answer<'_, u64>;

    /// The secrets of a domain, newest generation first.
    fn domain(&self, domain: &str) -> Answer<'_, Vec<DomainRow>>;

    /// Every domain secret.
    fn domains(&self) -> Answer<'_, Vec<DomainRow>>;

    /// Adds a domain secret, or gives the one that is already there.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when its generation is not the active one.
    fn add_domain(&self, row: DomainRow) -> Answer<'_, DomainRow>;

    /// Forgets a domain's secret in a generation: nothing is looked up under it any more.
    fn close_domain(&self, domain: &str, generation: Generation) -> Answer<'_, ()>;

    /// Tokens of a domain that have no lookups in a generation, in order of token, after that one.
    fn unlooked(
        &self,
        domain: &str,
        generation: Generation,
        after: &str,
        limit: u32,
    ) -> Answer<'_, Vec<Unlooked>>;

    /// Adds lookups of tokens that are still there; says of how many.
    fn add_lookups(&self, domain: &str, lookups: Vec<TokenLookups>) -> Answer<'_, u64>;

    /// Deletes lookups of a generation in which their domain has no secret any more, some at a time; says how many.
    fn drop_lookups(&self, generation: Generation, limit: u32) -> Answer<'_, u64>;

    /// Writes a consistent copy of everything to a new file, durable when this answers. Blocks the caller, not
    /// the writer.
    fn backup(&self, to: &Path) -> Answer<'_, ()>;

    /// Remembers that a whole backup was verified in which nothing depends on a generation before that one.
    fn note_backup(&self, generation: Generation) -> Answer<'_, ()>;

    /// The highest generation of which [`Keystore::note_backup`] was told.
    fn noted_backup(&self) -> Answer<'_, Option<Generation>>;

    /// The secrets of these key ids, in the same order.
    fn secrets(&self, keys: &[KeyId]) -> Answer<'_, Vec<Found>>;

    /// The secret under which new values of a subject are sealed.
    fn sealing(&self, subject: &Subject, purpose: &str) -> Answer<'_, Option<SecretRow>>;

    /// A token with its holders.
    fn token(&self, domain: &str, token: &str) -> Answer<'_, TokenFound>;

    /// Tokens of a domain with their holders, in the same order.
    fn tokens(&self, domain: &str, tokens: &[&str]) -> Answer<'_, Vec<TokenFound>>;

    /// The token of an identifier, by its HMAC.
    fn lookup(&self, domain: &str, generation: Generation, hmac: &[u8; 32]) -> Answer<'_, Option<Looked>>;

    /// The tokens of every identifier that folds to the same text, by the HMAC of that text.
    fn folded(&self, domain: &str, generation: Generation, hmac: &[u8; 32]) -> Answer<'_, Vec<Box<str>>>;

    /// The receipt of the erasure that left this mark.
    fn marked(&self, mark: &[u8; 32]) -> Answer<'_, Option<Box<str>>>;

    /// What an erasure of the subject would destroy now.
    fn footprint(&self, subject: &Subject) -> Answer<'_, Footprint>;

    /// Adds what a statement needs: secrets first, then holders (in the order given). All or nothing.
    ///
    /// # Errors
    /// [`StoreError::Marked`] for a secret whose subject is marked as erased; [`StoreError::Gone`]
    /// for a holder whose key isn't there (any more); [`StoreError::Stale`] for a secret of a generation that
    /// is no longer active, or lookups that lack one of their domain's generations.
    fn write(&self, write: Write) -> Answer<'_, Vec<Held>>;

    /// Gives provisional secrets their subject, and destroys others. All or nothing. One that has that subject already
    /// stays as it is.
    ///
    /// # Errors
    /// As for [`Keystore::write`].
    fn bind(&self, bind: Bind) -> Answer<'_, ()>;

    /// Queues the outcome of what is provisional; never waits.
    fn settle(&self, settle: Settle, done: Done);

    /// Everything provisional, of every unit.
    fn unsettled(&self) -> Answer<'_, Vec<UnsettledRow>>;

    /// Destroys secrets and tokens, leaves fences, all in one durable change, and leaves no copy of them
    /// in the files that the store still holds.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when the subject has by now a key or token that the call doesn't name.
    fn erase(&self, erase: Erase) -> Answer<'_, Erased>;

    /// Erasures whose receipts are not final yet, oldest receipt first.
    fn sweeps(&self) -> Answer<'_, Vec<SweepRow>>;

    /// Seals the subject of a sweep anew, or (none) says that the sweep is over and forgets it.
    fn set_sweep(&self, receipt: &str, subject: Option<SealedSubject>) -> Answer<'_, ()>;

    /// The receipt is final: forgets what was left to do; of a sweep that was refused, only whom it was about.
    fn end_sweep(&self, receipt: &str) -> Answer<'_, ()>;

    /// The sweep went through what it could reach, and some places refused it: the receipt goes on, and the sweep is
    /// tried again.
    fn refuse_sweep(&self, receipt: &str) -> Answer<'_, ()>;

    /// Gives a subject new secrets, in one change: new values are sealed under them, and those that it had only open.
    /// Of a subject that is being re-keyed already: that re-keying, and nothing changes.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when there isn't one new secret for each purpose that has a settled one;
    /// [`StoreError::Stale`].
    fn begin_rekey(&self, begin: BeginRekey) -> Answer<'_, RekeyRow>;

    /// Re-keyings that are not over, oldest first.
    fn rekeys(&self) -> Answer<'_, Vec<RekeyRow>>;

    /// Settled identifiers held under these secrets, oldest first.
    fn held_under(&self, keys: &[KeyId]) -> Answer<'_, Vec<HeldUnder>>;

    /// Moves identifiers to another secret; says how many were still what they were read as.
    fn reseal_holders(&self, resealed: Vec<ResealedHolder>) -> Answer<'_, u64>;

    /// Ends a re-keying: with the ledger's entry its old secrets are destroyed and fenced, without they stay. False where
    /// there is none of that name (any more).
    ///
    /// # Errors
    /// [`StoreError::Changed`] while an identifier is held under one of them.
    fn end_rekey(&self, job: &str, ledger: Option<LedgerHead>) -> Answer<'_, bool>;

    /// What takes a token's place, once [`Keystore::replace`] has said so.
    fn replacement(&self, domain: &str, old: &str) -> Answer<'_, Option<Replacement>>;

    /// Gives the holders of a token that lost one a fresh token: from now on their identifier leads to `new`. The old one
    /// still stands for it, until [`Keystore::retire`]. The HMACs that led to it.
    ///
    /// # Errors
    /// [`StoreError::Taken`] for a new token that isn't; [`StoreError::Changed`] while a holder's transaction is open, or
    /// there is none left.
    fn replace(&self, domain: &str, old: &str, new: &str) -> Answer<'_, Vec<[u8; 32]>>;

    /// Destroys a token that was replaced, and fences it.
    fn retire(&self, domain: &str, old: &str, ledger: LedgerHead) -> Answer<'_, ()>;

    /// Fences stand-ins: key ids and tokens (with their domains) that never named anything, and read as erased.
    /// A token that somebody holds is left alone.
    fn fence(
        &self,
        keys: Vec<KeyId>,
        tokens: Vec<(Box<str>, Box<str>)>,
        ledger: Option<LedgerHead>,
    ) -> Answer<'_, ()>;

    /// Keeps a job's document.
    fn keep_job(&self, id: &str, document: &str) -> Answer<'_, ()>;

    /// The documents of the newest jobs, newest first.
    fn jobs(&self, limit: u32) -> Answer<'_, Vec<Box<str>>>;

    /// A job's document.
    fn job(&self, id: &str) -> Answer<'_, Option<Box<str>>>;

    /// Keeps a receipt.
    fn keep_receipt(&self, id: &str, document: &str) -> Answer<'_, ()>;

    /// The receipt of that id, as it was stored.
    fn receipt(&self, id: &str) -> Answer<'_, Option<Box<str>>>;

    /// The ids of all receipts, oldest first.
    fn receipts(&self) -> Answer<'_, Vec<Box<str>>>;

    /// The last ledger entry that this store knows of.
    fn ledger_head(&self) -> Answer<'_, Option<LedgerHead>>;

    /// Restricts a subject, or releases it; false where it has no secret. An erasure forgets the restriction.
    fn restrict(&self, subject: &Subject, on: bool) -> Answer<'_, bool>;

    /// Every restricted subject.
    fn restricted(&self) -> Answer<'_, Vec<Subject>>;
}
