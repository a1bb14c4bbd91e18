//! Why a job can't go on.

use crate::keyring::KeyringError;
use crate::keystore::StoreError;
use crate::protect::ProtectError;
use crate::rights::RightsError;
use crate::roots::RootError;

/// Why a job can't go on, or an operation is refused. No text holds a personal value.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// No job, or no generation, of that name.
    #[error("there is nothing of that name")]
    NotFound,
    /// The generation may not be destroyed (yet).
    #[error("generation {generation} can't be destroyed: {why}")]
    InUse {
        /// Which one.
        generation: u32,
        /// What depends on it, and what to do.
        why: String,
    },
    /// It goes on as soon as somebody has done something.
    #[error("{0}")]
    Waiting(String),
    /// The keystore or a key.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The root key provider.
    #[error(transparent)]
    Roots(#[from] RootError),
    /// Receipts or the ledger.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// The door.
    #[error(transparent)]
    Protect(#[from] ProtectError),
    /// A backup.
    #[error("{0}")]
    Backup(String),
    /// A job's document in the keystore doesn't read.
    #[error("a job in the keystore is damaged")]
    Document,
}

impl From<StoreError> for JobError {
    fn from(e: StoreError) -> Self {
        Self::Keys(e.into())
    }
}
