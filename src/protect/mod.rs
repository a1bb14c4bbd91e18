//! The door: the only way between clear values and keys.
//!
//! Wires (`pg`, later `http`) bring a value with its field and subject, and get what may be stored;
//! or bring what was stored with the row it stood in, and get what may be shown. They never see a key.
//!
//! Reading never blocks and never allocates keys: [`Door::open`] and [`Door::reveal`] answer from the
//! cache, or say what is [`Outcome::Missing`]; [`Door::load`] fetches it. Writing goes through a
//! [`Unit`], one per transaction, so that what a rolled-back transaction made is undone.

mod adopt;
pub mod armour;
mod body;
mod door;
mod error;
mod find;
mod held;
mod identifier;
mod keep;
mod memo;
pub mod places;
mod recovery;
mod relook;
mod reseal;
mod reveal;
mod rows;
mod statement;
mod tally;
mod unit;
mod witness;

pub use body::{
    BODY_HEADER_LEN, Body, BodyOpener, BodySealer, CHUNK_LEN, SEALED_CHUNK_LEN, body_len, sealed_body_len,
};
pub use door::Door;
pub use memo::Memo;
pub use recovery::{Creation, Unsettled};
pub use relook::Relooked;
pub use reseal::{Again, InUse};
pub use unit::Unit;
pub use witness::{Peer, Principal};

use crate::clear::{Clear, Kind};
use crate::ids::{FieldId, KeyId, Subject};
use std::sync::Arc;

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
    /// No row: the client has just sent the identifier itself, so any holder may tell it.
    Sent,
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
    /// Whose this secret is: it is nobody's yet, and sealed a value of that field that stands in the subject's row.
    Owner(FieldId, KeyId, Subject),
    /// Whose this token is: it is held for nobody yet, and stands in the row of that subject, who doesn't hold it.
    Holder(FieldId, Box<str>, Subject),
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
    /// The subject is restricted: its values are kept and not shown (SQLSTATE 42501).
    #[error("the subject's data is restricted")]
    Restricted,
    /// A clear value stands in a sealed column.
    #[error("a value in clear stands in a protected column")]
    InClear,
    /// Sealed under a key that a re-keying has replaced since: in a copy from before it, or read while it ended.
    #[error("the value's key was replaced since it was sealed")]
    Replaced,
    /// A token with several holders, in a row whose subject isn't known.
    #[error("the identifier has several holders, and the row's subject is not known")]
    Shared,
}

impl OpenFault {
    /// The anchor of its entry in `docs/errors.md`.
    pub fn code(self) -> &'static str {
        match self {
            Self::WrongField => "wrong-field",
            Self::WrongSubject => "wrong-subject",
            Self::NotAuthentic => "not-authentic",
            Self::Restricted => "restricted",
            Self::InClear => "in-clear",
            Self::Replaced => "key-replaced",
            Self::Shared => "shared-token",
        }
    }
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
    /// The value can't be sealed: beyond 512 MiB, or not what its type allows (SQLSTATE 22001).
    #[error("the value can't be sealed: {0}")]
    Value(&'static str),
    /// A stored value must not be shown, as turned out while its key was fetched. Put on record already.
    #[error("field {field}: {fault}")]
    Stored {
        /// Why not.
        fault: OpenFault,
        /// The field.
        field: Arc<str>,
    },
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

impl Stored {
    /// Whether it is that token.
    pub(crate) fn is_token(&self, token: &str) -> bool {
        matches!(self, Self::Token(own) if **own == *token)
    }
}

/// A savepoint within a [`Unit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub u32);

#[cfg(test)]
pub(crate) mod tests;
