//! Why a keystore can't answer, and what to do about it.

use crate::ids::KeyId;

/// Why a keystore call failed. No text holds a personal value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It stopped, or can't be reached.
    #[error("{0}")]
    Unavailable(String),
    /// No room; the change was not made, and later ones may succeed.
    #[error("its disk is full: free some space, and it goes on by itself")]
    DiskFull,
    /// Another process has it open.
    #[error(
        "{0} is locked by another process: an embedded keystore serves one gateway at a time; stop the other one"
    )]
    Locked(String),
    /// It is there, but can't be read.
    #[error(
        "{0} is damaged: {1}; restore it from a backup (never delete it: every sealed value depends on it)"
    )]
    Damaged(String, String),
    /// Made by a later version of this program.
    #[error("{path} has schema version {found}, and this program knows up to {known}: run the newer program")]
    Newer {
        /// The file.
        path: String,
        /// Its schema version.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// The secret of this key id isn't there (any more).
    #[error("the secret {0:?} is not in the keystore")]
    Gone(KeyId),
    /// A token offered for an identifier is another's: offer a new one.
    #[error("the token is taken")]
    Taken,
    /// Another generation has become the active one: wrap, and look up, under that.
    #[error("the keys have just been rotated; try again")]
    Stale,
    /// Another generation is not destroyed yet.
    #[error("a rotation is under way")]
    Rotating,
    /// Something depends on the generation, or it is not at the step before.
    #[error("generation {0} is in use")]
    InUse(u32),
    /// The file of a backup is there already, or can't be written.
    #[error("the backup can't be written: {0}")]
    Backup(String),
    /// The subject was erased, and its mark forbids new secrets.
    #[error("the subject was erased")]
    Marked,
    /// The subject gained keys or tokens since the erasure was planned.
    #[error("the subject gained keys or tokens meanwhile")]
    Changed,
}
