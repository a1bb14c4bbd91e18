//! The receipt of an erasure: what happened, what did not, and nothing about whom.

use super::signed::Signature;
use crate::crypto::sha256;
use crate::ids::Subject;
use serde::{Deserialize, Serialize};

/// The `type` of every receipt of this form: a signature over it can't be taken for one over anything else.
pub const TYPE: &str = "paravent/receipt/v1";

/// How far an erasure has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// No replica opens the subject's envelopes or resolves its tokens any more.
    Live,
    /// Live, and what the subject's keys protected was overwritten in every place listed under `swept`.
    Swept,
    /// Swept, and every root key that a copy of the subject's secrets could be unwrapped with is destroyed.
    Final,
}

/// Whose word it is that root keys are destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Finality {
    /// The provider's, which never lets a key out (an HSM, a KMS).
    ProviderConfirmed,
    /// The operator's: copies of a key file and worn flash blocks can't be proven gone.
    OperatorAttested,
}

/// When what happened; RFC 3339, UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// The intent was durable.
    pub intent: String,
    /// Keys were destroyed and caches purged.
    pub live: String,
    /// The sweep ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub swept: Option<String>,
    /// The last root key was known to be destroyed.
    #[serde(rename = "final", skip_serializing_if = "Option::is_none", default)]
    pub fin: Option<String>,
}

/// Which replicas forgot the subject's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replicas {
    /// Said so themselves.
    pub heard: u32,
    /// Did not answer, and their lease is over: they open nothing any more.
    pub outwaited: u32,
}

/// A place that the sweep went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Swept {
    /// Database, table and column: `app public.people.email`.
    pub place: String,
    /// Rows that were overwritten.
    pub rows: u64,
}

/// A generation whose root key is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerationGone {
    /// Its number.
    pub generation: u32,
    /// When its root key was known to be destroyed; RFC 3339, UTC.
    pub at: String,
    /// By which provider: `file`, `pkcs11`, `aws-kms`.
    pub provider: String,
    /// Whether the provider can prove it (never for `file`).
    pub proven: bool,
}

/// Something that the erasure does not reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotCovered {
    /// One word for programs.
    pub code: String,
    /// What is not reached.
    pub what: String,
    /// Why not.
    pub why: String,
}

impl NotCovered {
    /// An entry of that code.
    pub fn new(code: &str, what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { code: code.to_owned(), what: what.into(), why: why.into() }
    }
}

/// An entry of the audit log, by position and hash: the receipt was issued after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditHead {
    /// Counted from 1; 0 where nothing was logged yet.
    pub sequence: u64,
    /// SHA-256 of the entry, in hex.
    pub hash: String,
}

/// Evidence of an erasure. Names no subject: only a commitment, which whoever has the salt can check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// `paravent/receipt/v1`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Random.
    pub id: String,
    /// Counted from 1: how often it was issued. A higher one replaces a lower one.
    pub revision: u32,
    /// When this revision was issued; RFC 3339, UTC.
    pub issued: String,
    /// How far it has come.
    pub stage: Stage,
    /// Of a final receipt: whose word it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub finality: Option<Finality>,
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
    /// The highest generation that existed: final needs all up to it destroyed.
    pub generation: u32,
    /// The generations that are.
    pub generations_destroyed: Vec<GenerationGone>,
    /// How many tokens were destroyed.
    pub tokens_destroyed: usize,
    /// How many tokens live on because other subjects hold them too. They no longer reveal anything in this
    /// subject's rows. Not final before the other holders have fresh ones.
    pub tokens_living_on: usize,
    /// What was done.
    pub method: String,
    /// Who forgot the keys.
    pub replicas: Replicas,
    /// Places whose rows were overwritten.
    pub swept: Vec<Swept>,
    /// What this erasure does not reach.
    pub not_covered: Vec<NotCovered>,
    /// Hash of the policy in force, if known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<String>,
    /// The audit log when this revision was issued, if there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub audit: Option<AuditHead>,
    /// The subject was erased before: under this receipt.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub repeats: Option<String>,
    /// The salt of the commitment, in hex: told once to who asked for the erasure, kept nowhere, not signed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub salt: Option<String>,
    /// Over all of the above but the salt; `docs/receipts.md` says how. None only before it is issued.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signature: Option<Signature>,
}

/// What was done.
pub(super) const METHOD: &str = "wrapped subject secrets (AES-256-GCM) deleted from the keystore and fenced; \
     tokens and lookups that no other subject needs deleted and fenced; caches purged";

/// [`NotCovered::code`]: backups of the keystore still open. Leaves the receipt when it is final.
pub(super) const KEYSTORE_COPIES: &str = "keystore-copies";
/// [`NotCovered::code`]: sealed values still lie in the database. Leaves the receipt when it is swept.
pub(super) const NOT_SWEPT: &str = "not-swept";

/// What an erasure does not reach at its first stage.
pub(super) fn not_covered() -> Vec<NotCovered> {
    vec![
        NotCovered::new(
            "clear-before-protection",
            "values that lay in clear before their column was protected: old backups, write-ahead logs, statistics, logs",
            "no key was needed to read them",
        ),
        NotCovered::new(
            KEYSTORE_COPIES,
            "copies of the keystore made before the erasure, together with the root keys of their time",
            "the wrapped secret in them opens until every root key up to the generation named here is destroyed",
        ),
        NotCovered::new(
            NOT_SWEPT,
            "sealed values and tokens in the database and its copies",
            "they open no more, and were not overwritten yet",
        ),
        NotCovered::new(
            "root-key-copies",
            "copies of root keys that the gateway doesn't know of",
            "only their owner can destroy them",
        ),
        NotCovered::new(
            "handed-out",
            "bytes already handed to a client",
            "they were out of the gateway's hands",
        ),
    ]
}

/// The commitment to a subject under a salt.
pub fn commitment(salt: &[u8; 32], subject: &Subject) -> String {
    let parts = [subject.realm.as_bytes(), subject.class.as_bytes(), subject.id.as_bytes()];
    let [r, c, i] = parts.map(|part| (part.len() as u64).to_be_bytes());
    let [realm, class, id] = parts;
    hex::encode(sha256(&[salt, &r, realm, &c, class, &i, id]))
}
