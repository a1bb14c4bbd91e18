//! The rows and changes that a keystore knows.

use crate::ids::{Generation, KeyId, Subject};
use std::sync::Arc;

pub use super::rotation::{GenerationState, LookupPair};
pub use super::sweep::NewSweep;

/// Names a unit: what one transaction made, private to it until its outcome is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitId(pub [u8; 16]);

impl std::fmt::Debug for UnitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UnitId({})", hex::encode(self.0))
    }
}

/// A wrapping generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    /// Counted from 1.
    pub number: Generation,
    /// Its key, wrapped by its root key; empty once it is destroyed.
    pub wrapped: Vec<u8>,
    /// How far it has come.
    pub state: GenerationState,
}

/// A domain's secret in one generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRow {
    /// Pseudonym domain.
    pub domain: Arc<str>,
    /// Under which generation it is wrapped.
    pub generation: Generation,
    /// The wrapped secret.
    pub wrapped: Vec<u8>,
}

/// How far a secret has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Private to its unit, whose outcome isn't known yet.
    Provisional,
    /// New values of its subject are sealed under it.
    Sealing,
    /// Opens what it sealed; another one seals.
    OpenOnly,
}

/// A subject secret as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretRow {
    /// Its name.
    pub key_id: KeyId,
    /// Whose it is; none while unbound.
    pub subject: Option<Subject>,
    /// Purpose.
    pub purpose: Arc<str>,
    /// How far it has come.
    pub state: State,
    /// Under which generation it is wrapped.
    pub generation: Generation,
    /// The wrapped secret.
    pub wrapped: Vec<u8>,
}

/// What is known of a key id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is live.
    Live(SecretRow),
    /// It was destroyed by an erasure.
    Fenced,
    /// It was destroyed by a re-keying: its subject's values are under another one.
    Replaced,
    /// It never was here, or was undone.
    Unknown,
}

/// A subject that has an identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderRow {
    /// Whose it is; none while unbound.
    pub subject: Option<Subject>,
    /// The secret that sealed it.
    pub key_id: KeyId,
    /// The identifier's envelope.
    pub sealed: Vec<u8>,
    /// Whether its unit committed.
    pub settled: bool,
}

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenFound {
    /// It is live.
    Live {
        /// Whether two subjects held it once (and both transactions committed).
        ever_shared: bool,
        /// Its holders: settled ones first, then the newest first.
        holders: Vec<HolderRow>,
    },
    /// It was destroyed by an erasure.
    Fenced,
    /// It never was issued, or was undone.
    Unknown,
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The token.
    pub token: Box<str>,
    /// Whether a holder is settled (else the token may yet be undone).
    pub settled: bool,
}

/// A secret to be added, provisional.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// Its name.
    pub key_id: KeyId,
    /// Whose it is; none while unbound.
    pub subject: Option<Subject>,
    /// Refused when this mark is there.
    pub mark: Option<[u8; 32]>,
    /// Purpose.
    pub purpose: Arc<str>,
    /// Under which generation it is wrapped.
    pub generation: Generation,
    /// The wrapped secret.
    pub wrapped: Vec<u8>,
}

/// A holder to be added: insert-or-read of the identifier's token, then the holder, provisional
/// unless that key already holds it.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Pseudonym domain.
    pub domain: Arc<str>,
    /// The identifier's HMACs: one pair for each generation in which the domain has a secret.
    pub lookups: Vec<LookupPair>,
    /// The token to issue if there is none yet.
    pub fresh: Box<str>,
    /// The secret that sealed the identifier.
    pub key_id: KeyId,
    /// The identifier's envelope.
    pub sealed: Vec<u8>,
}

/// What one statement adds for a unit.
#[derive(Debug, Clone)]
pub struct Write {
    /// The unit.
    pub unit: UnitId,
    /// The database that its transaction runs in.
    pub database: Arc<str>,
    /// Unix time in milliseconds.
    pub made_at: i64,
    /// Secrets to add.
    pub secrets: Vec<NewSecret>,
    /// Holders to add.
    pub holds: Vec<Hold>,
}

/// What became of a [`Hold`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The identifier's token.
    pub token: Box<str>,
    /// Whether a provisional holder was added (else that key held it already).
    pub added: bool,
}

/// A provisional secret that gets its subject.
#[derive(Debug, Clone)]
pub struct Bound {
    /// The secret.
    pub key_id: KeyId,
    /// Whose it is.
    pub subject: Subject,
    /// Refused when this mark is there.
    pub mark: Option<[u8; 32]>,
    /// Under which generation it is wrapped now.
    pub generation: Generation,
    /// The secret, wrapped for its subject.
    pub wrapped: Vec<u8>,
}

/// The bindings of one statement.
#[derive(Debug, Clone)]
pub struct Bind {
    /// The unit.
    pub unit: UnitId,
    /// Secrets that get their subject.
    pub bound: Vec<Bound>,
    /// Provisional secrets of this unit to destroy, with their holders.
    pub destroyed: Vec<KeyId>,
}

/// A holder, named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HolderName {
    /// Pseudonym domain.
    pub domain: Arc<str>,
    /// The token.
    pub token: Box<str>,
    /// The secret that sealed the identifier.
    pub key_id: KeyId,
}

/// Which part of a unit is settled.
#[derive(Debug, Clone)]
pub enum Scope {
    /// All of it.
    All,
    /// These secrets, with all holders under them.
    Keys(Vec<KeyId>),
    /// These secrets with all holders under them, and these holders.
    Parts(Vec<KeyId>, Vec<HolderName>),
}

/// The outcome of what is provisional.
#[derive(Debug, Clone)]
pub struct Settle {
    /// The unit.
    pub unit: UnitId,
    /// How much of it.
    pub scope: Scope,
    /// Kept, or destroyed.
    pub committed: bool,
}

/// Something provisional: one key of one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsettledRow {
    /// The unit.
    pub unit: UnitId,
    /// The database that its transaction ran in.
    pub database: Box<str>,
    /// Unix time in milliseconds.
    pub made_at: i64,
    /// The secret: provisional itself, or settled and with provisional holders.
    pub key_id: KeyId,
    /// Whose it is; none while unbound.
    pub subject: Option<Subject>,
    /// Domain and token of each provisional holder under it.
    pub tokens: Vec<(Box<str>, Box<str>)>,
}

/// What an erasure of a subject would destroy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Its secrets.
    pub keys: Vec<KeyId>,
    /// Domain and token of identifiers that it alone holds.
    pub tokens: Vec<(Box<str>, Box<str>)>,
    /// How many tokens live on because others hold them too.
    pub shared: usize,
}

/// An entry of the ledger, by position and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerHead {
    /// Counted from 1.
    pub sequence: u64,
    /// SHA-256 of the entry, which covers all before it.
    pub hash: [u8; 32],
}

/// An erasure.
#[derive(Debug, Clone)]
pub struct Erase {
    /// Whose keys must all be among `keys`; none when the ledger is replayed.
    pub subject: Option<Subject>,
    /// Secrets to destroy.
    pub keys: Vec<KeyId>,
    /// Domain and token to destroy, if no other subject holds them.
    pub tokens: Vec<(Box<str>, Box<str>)>,
    /// The mark to leave, if any. Where it is there already, it goes on under this receipt.
    pub mark: Option<[u8; 32]>,
    /// The receipt's id.
    pub receipt: Box<str>,
    /// The ledger's intent.
    pub ledger: Option<LedgerHead>,
    /// What is left to do until the receipt is final; none for what needs no sweep.
    pub sweep: Option<NewSweep>,
}

/// What an erasure changed: what caches must forget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Domain and token of every token destroyed.
    pub destroyed: Vec<(Box<str>, Box<str>)>,
    /// Domain and token of every token that lives on.
    pub surviving: Vec<(Box<str>, Box<str>)>,
    /// Domain and HMAC of lookups that are gone.
    pub lookups: Vec<(Box<str>, [u8; 32])>,
}
