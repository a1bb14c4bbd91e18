//! The audit log: who opened which fields of whom, and what was done through the admin API.
//!
//! * A file of lines, each an entry in JSON and its hash, which covers the hash of the line before: nothing can be
//!   changed, removed or moved without all after it. Heads (number and hash of an entry) are signed, and can be kept elsewhere:
//!   then nothing can be cut off behind them either.
//! * The path of a row pays for handing a small record over. One thread joins what came within a moment, writes it,
//!   and makes it durable. When it can't, openings go on until a bound, and stop then.
//! * No personal value, and no subject: only its stand-in, which is derived from its secret and dies with it.

mod chain;
mod entry;
mod gather;
mod head;
mod openings;
mod queue;
mod report;
mod segment;
#[cfg(test)]
mod tests;
mod verify;
mod waiting;
mod writer;

pub use entry::{Entry, Faults, Group, Principal, event};
pub use gather::text as stand_in;
pub use head::Head;
pub use openings::Openings;
pub use queue::{Audit, Clients, Found, Options, Record, Unwritable};
pub use report::{FieldReport, Filter, PersonReport, Report, report};
pub use verify::{Broken, Expected, Verified, verify};

use crate::ids::KeyId;
use crate::keys::StandIn;
use std::collections::HashMap;
use std::path::PathBuf;

/// Knows what the log calls the subjects of keys. Called on the log's own thread; may block.
pub trait Resolver: Send + 'static {
    /// The stand-in of each key whose subject is not erased.
    ///
    /// # Errors
    /// One line, when the keystore can't be asked: the log waits, and openings stop at its bound.
    fn stand_ins(&self, keys: &[KeyId]) -> Result<HashMap<KeyId, StandIn>, String>;
}

/// Why the log can't be used.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Reading or writing failed.
    #[error("the audit log {} can't be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process writes it.
    #[error("the audit log {} is locked by another process", .0.display())]
    Locked(PathBuf),
    /// Its newest file does not hold together.
    #[error("the audit log is damaged: {0}")]
    Damaged(#[from] Broken),
}

impl crate::fault::Fault for AuditError {
    fn advice(&self) -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed(match self {
            Self::Io { .. } => "see that the directory can be written and has room",
            Self::Locked(_) => "stop the other gateway, or give this one a `path` of its own in [audit]",
            Self::Damaged(_) => {
                "keep the directory as evidence, and let [audit] `path` name a new one; `paravent audit verify` tells more"
            }
        })
    }
}
