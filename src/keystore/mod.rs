//! Where wrapped secrets, tokens, lookups and fences live.
//!
//! The store sees opaque wrapped bytes, HMACs and envelopes: never a key, never an identifier in
//! clear. It knows subjects by realm, class and id, since an erasure must find all that is theirs.
//! `docs/decisions/0002-units-and-provisional-secrets.md` says what the states mean.

pub mod embedded;
mod error;
pub mod model;

pub use error::StoreError;

use crate::ids::{Generation, KeyId, Subject};
use model::{
    Bind, DomainRow, Erase, Erased, Footprint, Found, GenerationRow, Held, LedgerHead, Looked, SecretRow,
    Settle, TokenFound, UnsettledRow, Write,
};
use std::future::Future;
use std::pin::Pin;

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

    /// The secret of a domain in a generation.
    fn domain(&self, domain: &str, generation: Generation) -> Answer<'_, Option<DomainRow>>;

    /// Adds a domain secret, or gives the one that is already there.
    fn add_domain(&self, row: DomainRow) -> Answer<'_, DomainRow>;

    /// The secrets of these key ids, in the same order.
    fn secrets(&self, keys: &[KeyId]) -> Answer<'_, Vec<Found>>;

    /// The secret under which new values of a subject are sealed.
    fn sealing(&self, subject: &Subject, purpose: &str) -> Answer<'_, Option<SecretRow>>;

    /// A token with its holders.
    fn token(&self, domain: &str, token: &str) -> Answer<'_, TokenFound>;

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
    /// for a holder whose key isn't there (any more).
    fn write(&self, write: Write) -> Answer<'_, Vec<Held>>;

    /// Gives provisional secrets their subject, and destroys others. All or nothing.
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

    /// Keeps a receipt.
    fn keep_receipt(&self, id: &str, document: &str) -> Answer<'_, ()>;

    /// The receipt of that id, as it was stored.
    fn receipt(&self, id: &str) -> Answer<'_, Option<Box<str>>>;

    /// The ids of all receipts, oldest first.
    fn receipts(&self) -> Answer<'_, Vec<Box<str>>>;

    /// The last ledger entry that this store knows of.
    fn ledger_head(&self) -> Answer<'_, Option<LedgerHead>>;
}
