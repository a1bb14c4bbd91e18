//! The door: the only way between clear values and keys.
//!
//! Wires (`pg`, later `http`) bring a value with its field and subject, and get what may be stored;
//! or bring what was stored with the row it stood in, and get what may be shown. They never see a key.
//!
//! Reading never blocks and never allocates keys: [`Door::open`] and [`Door::reveal`] answer from the
//! cache, or say what is [`Outcome::Missing`]; [`Door::load`] fetches it. Writing goes through a
//! [`Unit`], one per transaction, so that what a rolled-back transaction made is undone.

pub mod armour;

use crate::clear::{Clear, Kind};
use crate::ids::{FieldId, KeyId, Subject};
use crate::policy::model::Policy;
use std::sync::Arc;

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    inner: Arc<Inner>,
}

struct Inner {}

/// Whose row a stored value stood in.
#[derive(Debug, Clone, Copy)]
pub enum Row<'a> {
    /// The row's subject is known.
    Of {
        /// Its class.
        class: &'a str,
        /// Its id, as text.
        id: &'a str,
    },
    /// The statement's shape doesn't tell, or the row's subject is NULL: the envelope stands for itself.
    Unknown,
}

/// What became of a stored value.
#[derive(Debug)]
pub enum Outcome {
    /// Opened: canonical bytes of this kind were appended to the caller's buffer.
    Opened(Kind),
    /// Its subject was erased.
    Erased,
    /// Not in the cache: call [`Door::load`] with it, then try again.
    Missing(Missing),
    /// Must not be shown.
    Fault(OpenFault),
}

/// What the cache lacked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Missing {
    /// The secret of this key id.
    Key(KeyId),
    /// The holders of this token, in this field's domain.
    Token(FieldId, Box<str>),
}

/// Why a stored value is not shown (SQLSTATE XX001). Each is an audit event and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenFault {
    /// The envelope is another field's.
    #[error("the envelope belongs to another field")]
    WrongField,
    /// The envelope or token is another subject's.
    #[error("the value belongs to another subject")]
    WrongSubject,
    /// Damaged, forged, or of an unknown key.
    #[error("the value is not authentic")]
    NotAuthentic,
    /// A clear value stands in a sealed column.
    #[error("a value in clear stands in a protected column")]
    InClear,
    /// A token with several holders, in a row whose subject isn't known.
    #[error("the identifier has several holders, and the row's subject is not known")]
    Shared,
}

/// Why the door could not answer.
#[derive(Debug, thiserror::Error)]
pub enum ProtectError {
    /// The keystore can't be reached or is damaged (SQLSTATE 58030).
    #[error("the keystore is not available: {0}")]
    Unavailable(String),
    /// The keystore's disk is full (SQLSTATE 53100).
    #[error("the keystore's disk is full")]
    DiskFull,
    /// A write about an erased subject whose class refuses it (SQLSTATE 0A000).
    #[error("the subject was erased, and its class refuses new data about it")]
    ErasedSubject,
    /// The value can't be held as an identifier (not UTF-8 text, too long).
    #[error("the value can't be an identifier: {0}")]
    Identifier(&'static str),
}

/// A value to be written.
#[derive(Debug)]
pub struct Item<'a> {
    /// Which field it is; the policy says whether it is sealed or tokenised.
    pub field: FieldId,
    /// Whose it is.
    pub owner: Owner<'a>,
    /// The clear value.
    pub value: &'a Clear,
}

/// Whose a value is.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    /// A subject known before the row leaves.
    Known(&'a Subject),
    /// The subject of the row of that number in this statement, known only from what the database
    /// returns: sealed under a provisional secret until [`Unit::bind`].
    Returned(u32),
}

/// What is stored in the place of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Envelope bytes (armoured by the caller where the column is text).
    Envelope(Vec<u8>),
    /// A token in its column's text form.
    Token(Box<str>),
}

/// A savepoint within a [`Unit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub u32);

/// What one transaction wrote: its new secrets and holders are provisional until it commits.
/// Dropped without an outcome (the connection was lost at COMMIT), they wait for recovery.
pub struct Unit {
    _door: Door,
}

impl Door {
    /// The policy that this door applies.
    pub fn policy(&self) -> &Arc<Policy> {
        todo!()
    }

    /// Checks the lease: before a batch of rows is opened and again before it is released.
    pub fn lease(&self) -> Result<(), ProtectError> {
        let _ = &self.inner;
        todo!()
    }

    /// Opens an envelope (raw bytes) that stood in `row`, appending its canonical bytes to `out`.
    pub fn open(&self, field: FieldId, envelope: &[u8], row: Row<'_>, out: &mut Vec<u8>) -> Outcome {
        let _ = (field, envelope, row, out);
        todo!()
    }

    /// Reveals the identifier behind a token (column text form) that stood in `row`.
    pub fn reveal(&self, field: FieldId, token: &str, row: Row<'_>, out: &mut Vec<u8>) -> Outcome {
        let _ = (field, token, row, out);
        todo!()
    }

    /// Fetches what was missing into the cache.
    pub async fn load(&self, missing: &[Missing]) -> Result<(), ProtectError> {
        let _ = missing;
        todo!()
    }

    /// The token to compare with: the identifier's own, or a fresh unissued one (never allocates).
    pub async fn find(&self, field: FieldId, identifier: &str) -> Result<Box<str>, ProtectError> {
        let _ = (field, identifier);
        todo!()
    }

    /// All tokens whose identifier folds as this one does (maybe none).
    pub async fn find_folded(&self, field: FieldId, identifier: &str) -> Result<Vec<Box<str>>, ProtectError> {
        let _ = (field, identifier);
        todo!()
    }

    /// A unit of work for a transaction in `database` (kept with what is provisional, for recovery).
    pub fn unit(&self, database: &str) -> Unit {
        let _ = database;
        todo!()
    }
}

impl Unit {
    /// Protects the values of one statement: keys and tokens are durable when this returns.
    /// `Stored` come in the order of `items`.
    pub async fn protect(&mut self, items: &[Item<'_>]) -> Result<Vec<Stored>, ProtectError> {
        let _ = items;
        todo!()
    }

    /// The row (of [`Owner::Returned`], last statement) whose provisional secret sealed this envelope.
    pub fn row_of_envelope(&self, envelope: &[u8]) -> Option<u32> {
        let _ = envelope;
        todo!()
    }

    /// A row (last statement) not yet taken that holds this token; takes it. Rows with the same
    /// tokens and no envelope are interchangeable.
    pub fn take_row_of_token(&mut self, token: &str) -> Option<u32> {
        let _ = token;
        todo!()
    }

    /// Binds the rows that came back to their subjects and destroys what the others had; durable
    /// when this returns. They stay provisional until the unit's outcome.
    pub async fn bind(&mut self, rows: &[(u32, Subject)]) -> Result<(), ProtectError> {
        let _ = rows;
        todo!()
    }

    /// Whether anything provisional waits for this unit's outcome.
    pub fn is_open(&self) -> bool {
        todo!()
    }

    /// What was made up to here.
    pub fn mark(&self) -> Mark {
        todo!()
    }

    /// ROLLBACK TO: what was made since is destroyed.
    pub fn rollback_to(&mut self, mark: Mark) {
        let _ = mark;
        todo!()
    }

    /// The transaction committed: what it made is settled (queued, in order before any later write).
    pub fn commit(self) {
        todo!()
    }

    /// The transaction rolled back: what it made is destroyed (queued).
    pub fn rollback(self) {
        todo!()
    }
}
