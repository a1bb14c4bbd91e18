//! Why a right can't be served.

use crate::fault::{Exit, Fault, sqlstate};
use crate::keyring::KeyringError;
use crate::keystore::StoreError;
use std::borrow::Cow;
use std::path::PathBuf;

/// Why a right can't be served. No text holds a personal value.
#[derive(Debug, thiserror::Error)]
pub enum RightsError {
    /// Nothing is known of that subject, or of that receipt.
    #[error("there is nothing of that name")]
    NotFound,
    /// The keystore can't answer.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The ledger can't be written or read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The keystore has seen destructions that the ledger doesn't have.
    #[error(
        "the ledger is behind the keystore: it has {found} entries, and the keystore has seen number {seen}"
    )]
    Behind {
        /// Entries in the ledger.
        found: u64,
        /// The last one that the keystore knows of.
        seen: u64,
    },
    /// The subject was erased.
    #[error("the subject was erased")]
    Erased,
    /// Nothing about the subject is committed yet.
    #[error("nothing about the subject is committed yet; try again")]
    Unsettled,
    /// The subject is written about faster than it can be erased.
    #[error("the subject gained keys all the while; stop the writes about it and try again")]
    Busy,
    /// A receipt that doesn't read.
    #[error("a receipt in the keystore is damaged")]
    Receipt,
    /// A step of a receipt that says more than what is known to have happened.
    #[error("the receipt would be ahead of the fact: {0}")]
    Premature(&'static str),
    /// The erasure's task was stopped.
    #[error("the erasure was interrupted; it will be completed at the next start")]
    Interrupted,
}

impl From<StoreError> for RightsError {
    fn from(e: StoreError) -> Self {
        Self::Keys(e.into())
    }
}

impl Fault for RightsError {
    fn sqlstate(&self) -> &'static str {
        sqlstate::KEYS_UNAVAILABLE
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }

    fn advice(&self) -> Cow<'static, str> {
        match self {
            Self::Keys(keys) => keys.advice(),
            Self::Ledger(ledger) => ledger.advice(),
            Self::Behind { .. } => Cow::Borrowed(
                "give the ledger that belongs to this keystore, in its newest state: it is never restored from an older copy",
            ),
            _ => Cow::Borrowed(""),
        }
    }
}

/// Why the ledger can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Reading or writing failed.
    #[error("the ledger {} can't be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process has it open.
    #[error("the ledger {} is locked by another process", .0.display())]
    Locked(PathBuf),
    /// An entry does not fit those before it.
    #[error("the ledger {} is damaged in entry {entry}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        entry: u64,
    },
    /// A write failed before, and nobody knows how much of it is there.
    #[error("the ledger {} stopped after a failed write; restart once the disk is sound", .0.display())]
    Stopped(PathBuf),
}

impl Fault for LedgerError {
    fn sqlstate(&self) -> &'static str {
        sqlstate::KEYS_UNAVAILABLE
    }

    fn advice(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Damaged { .. } => {
                "restore it from its newest backup: without it a restored keystore could undo erasures"
            }
            _ => "",
        })
    }
}
