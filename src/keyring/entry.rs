//! What the caches hold.

use crate::ids::{KeyId, Subject};
use crate::keys::StandIn;
use crate::keystore::model::{HolderRow, TokenFound};
use crate::secret::Secret;
use hashbrown::Equivalent;
use std::sync::Arc;

/// A key that can open.
pub(super) struct LiveKey {
    pub(super) secret: Secret<32>,
    pub(super) subject: Option<Subject>,
    /// The subject may not be read.
    pub(super) restricted: bool,
    /// What the audit log calls it.
    pub(super) stand_in: StandIn,
}

/// What is known of a key id. Boxed: a table that grows moves pointers, not keys.
pub(super) enum KeyEntry {
    Live(Box<LiveKey>),
    Fenced,
    /// Another one took its place.
    Replaced,
    Unknown,
}

/// A key handed out for one value.
#[derive(Debug)]
pub enum KeyAnswer {
    /// It may open: the row's subject fits, or isn't known.
    Open(Secret<32>),
    /// It is another subject's.
    WrongSubject,
    /// It is nobody's yet, and the row is somebody's.
    Unbound,
    /// Its subject is restricted: not to be read.
    Restricted,
    /// It was destroyed.
    Erased,
    /// It was destroyed, because another took its place.
    Replaced,
    /// It never was.
    Unknown,
}

/// A holder in the cache.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Whose the identifier is; none while unbound.
    pub subject: Option<Subject>,
    /// The key that opens it.
    pub key_id: KeyId,
    /// The identifier's envelope.
    pub sealed: Arc<[u8]>,
    /// Whether its transaction committed.
    pub settled: bool,
}

/// What is known of a token.
#[derive(Debug, Clone)]
pub enum TokenEntry {
    /// Its holders, settled ones first, newest first.
    Live {
        /// Whether it once had two.
        ever_shared: bool,
        /// Who holds it.
        holders: Vec<Holder>,
    },
    /// It was destroyed.
    Fenced,
    /// It never was issued.
    Unknown,
}

impl From<TokenFound> for TokenEntry {
    fn from(found: TokenFound) -> Self {
        match found {
            TokenFound::Fenced => Self::Fenced,
            TokenFound::Unknown => Self::Unknown,
            TokenFound::Live { ever_shared, holders } => {
                let holder = |row: HolderRow| Holder {
                    subject: row.subject,
                    key_id: row.key_id,
                    sealed: Arc::from(row.sealed),
                    settled: row.settled,
                };
                Self::Live { ever_shared, holders: holders.into_iter().map(holder).collect() }
            }
        }
    }
}

/// Domain and token.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    pub(super) domain: Arc<str>,
    pub(super) token: Box<str>,
}

/// The same, borrowed. Hashes as [`TokenKey`] does: field by field.
#[derive(Hash)]
pub(super) struct TokenRef<'a> {
    pub(super) domain: &'a str,
    pub(super) token: &'a str,
}

impl Equivalent<TokenKey> for TokenRef<'_> {
    fn equivalent(&self, key: &TokenKey) -> bool {
        self.token == &*key.token && self.domain == &*key.domain
    }
}

/// Domain and HMAC of an identifier.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct LookupEntry {
    pub(super) domain: Arc<str>,
    pub(super) hmac: [u8; 32],
}

/// The same, borrowed.
#[derive(Hash)]
pub(super) struct LookupRef<'a> {
    pub(super) domain: &'a str,
    pub(super) hmac: &'a [u8; 32],
}

impl Equivalent<LookupEntry> for LookupRef<'_> {
    fn equivalent(&self, key: &LookupEntry) -> bool {
        *self.hmac == key.hmac && self.domain == &*key.domain
    }
}

/// Subject and purpose.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct SealingKey {
    pub(super) subject: Subject,
    pub(super) purpose: Arc<str>,
}

/// The same, borrowed.
#[derive(Hash)]
pub(super) struct SealingRef<'a> {
    pub(super) subject: &'a Subject,
    pub(super) purpose: &'a str,
}

impl Equivalent<SealingKey> for SealingRef<'_> {
    fn equivalent(&self, key: &SealingKey) -> bool {
        self.purpose == &*key.purpose && *self.subject == key.subject
    }
}
