//! What the keyring's and the formats' errors mean at the door.

use super::ProtectError;
use crate::envelope::SealError;
use crate::fault::{Fault, sqlstate};
use crate::keyring::KeyringError;
use crate::keystore::StoreError;
use crate::pseudonym::IdentifierError;

impl From<KeyringError> for ProtectError {
    fn from(e: KeyringError) -> Self {
        match e {
            KeyringError::Store(StoreError::DiskFull) => Self::DiskFull,
            KeyringError::Store(StoreError::Marked) => Self::ErasedSubject,
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<IdentifierError> for ProtectError {
    fn from(e: IdentifierError) -> Self {
        Self::Identifier(match e {
            IdentifierError::TooLong => "it has more than 1024 bytes",
            IdentifierError::NotText => "it is not UTF-8 text",
        })
    }
}

impl From<SealError> for ProtectError {
    fn from(e: SealError) -> Self {
        Self::Value(match e {
            SealError::TooLong => "it is longer than 512 MiB",
            SealError::NotCanonical => "it is not in its type's canonical form",
        })
    }
}

impl Fault for ProtectError {
    fn sqlstate(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => sqlstate::KEYS_UNAVAILABLE,
            Self::DiskFull => sqlstate::DISK_FULL,
            Self::ErasedSubject => sqlstate::REFUSED,
            Self::Identifier(_) => sqlstate::INVALID_VALUE,
            Self::Value(_) => sqlstate::TOO_LONG,
            Self::Stored { .. } => sqlstate::NOT_AUTHENTIC,
        }
    }
}
