//! The receipt of an erasure.

use crate::crypto::sha256;
use crate::ids::Subject;
use serde::{Deserialize, Serialize};

/// How far an erasure has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// No replica opens the subject's envelopes or resolves its tokens any more.
    Live,
}

/// When what happened; RFC 3339, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The intent was durable.
    pub intent: String,
    /// Keys were destroyed and caches purged.
    pub live: String,
}

/// Evidence of an erasure. Names no subject: only a commitment, which whoever has the salt can check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Random.
    pub id: String,
    /// How far it has come.
    pub stage: Stage,
    /// SHA-256(salt ‖ realm ‖ class ‖ id), each of the three with its length (u64, big endian) before it, in hex. None
    /// when the erasure was completed at a start: the salt went nowhere.
    pub subject_commitment: Option<String>,
    /// The subject's class.
    pub class: String,
    /// Why, in the words of who asked.
    pub ground: String,
    /// When.
    pub times: Times,
    /// Key ids of the secrets destroyed, in hex.
    pub keys: Vec<String>,
    /// How many tokens were destroyed.
    pub tokens_destroyed: usize,
    /// How many tokens live on because other subjects hold them too. They no longer reveal anything in this
    /// subject's rows; a later version gives the other holders fresh ones.
    pub tokens_living_on: usize,
    /// What was done.
    pub method: String,
    /// What this erasure can't reach.
    pub not_covered: Vec<String>,
    /// Hash of the policy in force, if known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<String>,
    /// The subject was erased before: under this receipt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repeats: Option<String>,
}

/// What was done.
pub(super) const METHOD: &str = "wrapped subject secrets (AES-256-GCM) deleted from the keystore and fenced; \
     tokens and lookups that no other subject needs deleted and fenced; caches purged";

/// What no erasure of this version reaches.
pub const NOT_COVERED: [&str; 4] = [
    "values that lay in clear before their column was protected: old backups, write-ahead logs, statistics, logs",
    "backups of the keystore made before the erasure, until their generation's root key is destroyed",
    "copies of root keys that were destroyed elsewhere",
    "bytes already handed to a client",
];

/// The commitment to a subject under a salt.
pub fn commitment(salt: &[u8; 32], subject: &Subject) -> String {
    let parts = [subject.realm.as_bytes(), subject.class.as_bytes(), subject.id.as_bytes()];
    let [r, c, i] = parts.map(|part| (part.len() as u64).to_be_bytes());
    let [realm, class, id] = parts;
    hex::encode(sha256(&[salt, &r, realm, &c, class, &i, id]))
}
