//! The rows and changes of a rotation: from one generation to the next, while everything goes on.

use super::model::{HolderRow, SecretRow};
use crate::ids::{Generation, KeyId};

/// How far a generation has come. It only ever goes on to the next state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GenerationState {
    /// New secrets are wrapped under it: one at a time.
    Active,
    /// Nothing new is wrapped under it; what is there is being moved on.
    Closing,
    /// Nothing depends on it any more.
    Empty,
    /// Its root key is gone.
    Destroyed,
}

impl GenerationState {
    /// As the store and the admin API write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Closing => "closing",
            Self::Empty => "empty",
            Self::Destroyed => "destroyed",
        }
    }
}

/// An identifier's HMACs under one generation's domain secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LookupPair {
    /// Of the domain's secret.
    pub generation: Generation,
    /// Of the identifier.
    pub exact: [u8; 32],
    /// Of the folded identifier.
    pub folded: [u8; 32],
}

/// A secret as found by going through all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Where it lies among the others, counted from 1: the next look begins after it.
    pub place: i64,
    /// The secret.
    pub row: SecretRow,
    /// Counts its changes: what was read may be older than what is there.
    pub version: i64,
}

/// A secret, wrapped again. It is changed only if it is still what was read: never inserted, since an erased
/// row must not come back.
#[derive(Debug, Clone)]
pub struct Rewrap {
    /// Where it was found.
    pub place: i64,
    /// The secret.
    pub key_id: KeyId,
    /// As it was read.
    pub version: i64,
    /// The generation that wrapped it.
    pub from: Generation,
    /// The generation that wraps it from now on.
    pub to: Generation,
    /// The secret, wrapped by that one.
    pub wrapped: Vec<u8>,
}

/// A token without lookups in a generation, with one of its holders to compute them from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlooked {
    /// The token.
    pub token: Box<str>,
    /// Settled if there is one.
    pub holder: HolderRow,
}

/// A token's lookups in one generation. Added only while the token lives.
#[derive(Debug, Clone)]
pub struct TokenLookups {
    /// The token.
    pub token: Box<str>,
    /// Its identifier's HMACs.
    pub pair: LookupPair,
}

/// What still depends on a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dependents {
    /// Secrets wrapped under it.
    pub secrets: u64,
    /// Domain secrets wrapped under it.
    pub domains: u64,
    /// Sweeps whose subject is sealed under it.
    pub sweeps: u64,
}

impl Dependents {
    /// Nothing does.
    pub fn none(self) -> bool {
        self == Self::default()
    }
}
