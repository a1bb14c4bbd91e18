//! Why the keyring can't give a key.

use crate::fault::{Exit, Fault, sqlstate};
use crate::keys::{UnwrapError, WrapError};
use crate::keystore::StoreError;
use std::borrow::Cow;

/// Why the keyring can't give a key. No text holds a personal value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The keystore said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The root key provider can't unwrap a generation.
    #[error("generation {generation} of the keystore does not open with the root keys given: {why}")]
    Root {
        /// Which one.
        generation: u32,
        /// What the provider said.
        why: String,
        /// What it advises.
        advice: String,
    },
    /// A row is damaged, or was moved.
    #[error("a row of the keystore is damaged or was tampered with: {0}")]
    Row(#[from] UnwrapError),
    /// Wrapping failed.
    #[error(transparent)]
    Wrap(#[from] WrapError),
    /// A row names a generation that the keystore doesn't have, or none is active.
    #[error("the keystore has no usable generation {0}; restore it from its backup")]
    Generation(u32),
    /// A purpose that is too long.
    #[error("a purpose must have between 1 and 64 bytes")]
    Purpose,
    /// The lease is over, and the store can't renew it.
    #[error("the keystore could not be asked for longer than a lease: {0}")]
    Lease(String),
    /// The root keys were out of reach for too long.
    #[error("nothing is opened: {0}")]
    Suspended(String),
    /// Erasures kept changing what was being read.
    #[error("the keystore is too busy with erasures; try again")]
    Busy,
}

impl Fault for KeyringError {
    fn sqlstate(&self) -> &'static str {
        match self {
            Self::Store(StoreError::DiskFull) => sqlstate::DISK_FULL,
            Self::Store(StoreError::Marked) => sqlstate::REFUSED,
            _ => sqlstate::KEYS_UNAVAILABLE,
        }
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }

    fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::Root { advice, .. } if !advice.is_empty() => Cow::Owned(advice.clone()),
            Self::Root { .. } => Cow::Borrowed(
                "give the root keys that this keystore was made with (keys.root in paravent.toml)",
            ),
            Self::Row(row) => row.advice(),
            _ => Cow::Borrowed(""),
        }
    }
}
