//! What a person may ask for. In this version: erasure, and what state a subject is in.
//!
//! An erasure is: the *intent* fsynced to the ledger; one durable keystore change (fences written, secrets,
//! holders, tokens and lookups deleted); every cache purged; the receipt stored; the ledger's *done*; then the
//! answer. A start completes intents that have no done, and repeats whatever a restored keystore has not seen.

mod adopt;
mod erase;
mod error;
pub mod key;
mod ledger;
mod receipt;
mod receipts;
mod rekey;
mod replay;
mod roots;
mod standins;

#[cfg(test)]
mod tests;

pub use adopt::Unsettled;
pub use erase::Erasure;
pub use error::{LedgerError, RightsError};
pub use ledger::{Disk, Entry, Ledger, What};
pub use receipt::{
    AuditHead, Finality, GenerationGone, NotCovered, Receipt, Replicas, Stage, Swept, TYPE, Times, commitment,
};
pub use receipts::{Receipts, Step};

pub use crate::crypto::signed;

use crate::crypto::SigningKey;
use crate::ids::Subject;
use crate::keyring::Keyring;
use crate::policy::model::{AfterErasure, Policy};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;

/// The rights of subjects. Cheap to clone.
#[derive(Clone)]
pub struct Rights {
    inner: Arc<Inner>,
}

struct Inner {
    keyring: Keyring,
    ledger: Arc<Ledger>,
    receipts: Receipts,
    policy: RwLock<(Arc<Policy>, Option<Box<str>>)>,
    /// One erasure at a time: the ledger's order is the order in which they happened.
    turn: tokio::sync::Mutex<()>,
    /// Root keys that the ledger tells of, and whether each came into use.
    roots: Mutex<HashMap<u32, bool>>,
    /// Somebody was erased: there is something to sweep.
    erased: tokio::sync::Notify,
}

/// What state a subject is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SubjectState {
    /// It has secrets.
    Live,
    /// It was erased, and left a mark.
    Erased,
    /// Nothing is known of it (or it was erased, and its class leaves no mark).
    Unknown,
}

impl Rights {
    /// Brings the keystore up to the ledger, then serves; receipts are signed with `key`. Call
    /// [`Rights::set_policy`] next.
    ///
    /// # Errors
    /// [`RightsError::Behind`] when the ledger is not this keystore's, or lacks entries that it has seen.
    pub async fn open(
        keyring: Keyring,
        ledger: Ledger,
        key: impl Into<Arc<SigningKey>>,
    ) -> Result<Self, RightsError> {
        let inner = Inner {
            receipts: Receipts::new(keyring.clone(), key.into()),
            keyring,
            ledger: Arc::new(ledger),
            policy: RwLock::default(),
            turn: tokio::sync::Mutex::default(),
            roots: Mutex::default(),
            erased: tokio::sync::Notify::new(),
        };
        let rights = Self { inner: Arc::new(inner) };
        rights.replay().await?;
        Ok(rights)
    }

    /// The policy in force, and its hash for receipts. Until it is set every class refuses data about
    /// erased subjects.
    pub fn set_policy(&self, policy: Arc<Policy>, hash: Option<Box<str>>) {
        *self.inner.policy.write() = (policy, hash);
    }

    /// Whether a write about an erased subject of that class is refused.
    pub fn refuses(&self, class: &str) -> bool {
        let policy = self.inner.policy.read();
        let class = policy.0.classes.iter().find(|known| &*known.name == class);
        class.is_none_or(|class| class.after_erasure == AfterErasure::Refuse)
    }

    /// What state the subject is in.
    ///
    /// # Errors
    /// [`RightsError::Keys`].
    pub async fn state(&self, subject: &Subject) -> Result<SubjectState, RightsError> {
        let store = self.inner.keyring.store();
        if !store.footprint(subject).await?.keys.is_empty() {
            return Ok(SubjectState::Live);
        }
        let mark = self.inner.keyring.mark(subject);
        Ok(if store.marked(&mark).await?.is_some() { SubjectState::Erased } else { SubjectState::Unknown })
    }

    /// A receipt, by its id.
    ///
    /// # Errors
    /// As [`Receipts::get`].
    pub async fn receipt(&self, id: &str) -> Result<Receipt, RightsError> {
        self.inner.receipts.get(id).await
    }

    /// Waits for an erasure.
    pub async fn erased(&self) {
        self.inner.erased.notified().await;
    }

    /// What issues receipts and moves them on.
    pub fn issuer(&self) -> &Receipts {
        &self.inner.receipts
    }

    /// The ids of all receipts, oldest first.
    ///
    /// # Errors
    /// [`RightsError::Keys`].
    pub async fn receipts(&self) -> Result<Vec<Box<str>>, RightsError> {
        Ok(self.inner.keyring.store().receipts().await?)
    }
}
