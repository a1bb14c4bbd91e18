//! The rows and changes of a re-keying: a subject goes on under other secrets.

use super::model::{LedgerHead, NewSecret};
use crate::ids::{KeyId, Subject};

/// A re-keying that begins.
#[derive(Debug, Clone)]
pub struct BeginRekey {
    /// The job that carries it out.
    pub job: Box<str>,
    /// Whose secrets are replaced.
    pub subject: Subject,
    /// One for each purpose that the subject has a settled secret for: new values are sealed under them at once.
    pub secrets: Vec<NewSecret>,
    /// Unix time in milliseconds.
    pub made_at: i64,
    /// The ledger's entry, where the ledger asks for it (a restored keystore).
    pub ledger: Option<LedgerHead>,
}

/// A re-keying that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RekeyRow {
    /// The job that carries it out.
    pub job: Box<str>,
    /// Whose secrets are replaced.
    pub subject: Subject,
    /// The secrets that are left. What was provisional when it began, and what came later, is not among them.
    pub old: Vec<KeyId>,
    /// Where values were sealed under them, as far as is known: databases, and services (`http:…`).
    pub databases: Vec<Box<str>>,
}

/// An identifier held under a secret that is being left, settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldUnder {
    /// Pseudonym domain.
    pub domain: Box<str>,
    /// The token.
    pub token: Box<str>,
    /// The secret that sealed the identifier.
    pub key_id: KeyId,
    /// The identifier's envelope.
    pub sealed: Vec<u8>,
}

/// The same identifier, sealed again. Changed only if it is still what was read.
#[derive(Debug, Clone)]
pub struct ResealedHolder {
    /// As it was read.
    pub before: HeldUnder,
    /// The secret that seals it from now on.
    pub key_id: KeyId,
    /// The identifier's envelope under that one.
    pub sealed: Vec<u8>,
}
