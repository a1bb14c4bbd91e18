//! Root key providers. Root key g wraps generation key g, once, and nothing else: destroying it makes every
//! secret of its generation unreadable, wherever a copy of the keystore may lie.
//!
//! The trait is synchronous. It is called at start, at a rotation and when a lease is renewed, never per
//! value; a provider that talks to an HSM or a KMS blocks, and its caller on an async runtime wraps the
//! call in `spawn_blocking`. That keeps every implementation a plain function, and this room free of a runtime.

mod error;
mod file;
mod http;
mod kms;
mod line;
mod pkcs11;
mod wrapped;

#[cfg(test)]
mod conformance;

pub use error::RootError;
pub use file::FileRoots;
pub use http::Endpoint;
pub use kms::{KmsOptions, KmsRoots};
pub use pkcs11::Pkcs11Roots;
pub use wrapped::{ROOT_WRAPPED_LEN, RootWrapped};

use crate::ids::Generation;
use crate::keys::GenerationKey;
use jiff::Timestamp;

/// A root key as lists show it. Holds no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootInfo {
    /// Its generation.
    pub generation: Generation,
    /// When it was made.
    pub created: Timestamp,
}

/// Holds root keys and wraps generation keys with them. The root keys never leave the provider.
pub trait RootProvider: Send + Sync {
    /// What messages call it: `file`, `pkcs11`, `aws-kms`.
    fn name(&self) -> &'static str;

    /// Its root keys by generation, ascending.
    fn list(&self) -> Result<Vec<RootInfo>, RootError>;

    /// Makes the root key of a generation; durable when this returns. [`RootError::Exists`] where there is one.
    fn create(&self, generation: Generation) -> Result<(), RootError>;

    /// Wraps a generation key under the root key of its number. Not stored by the provider: the keystore
    /// keeps what this returns.
    fn wrap(&self, key: &GenerationKey) -> Result<RootWrapped, RootError>;

    /// Unwraps the key of `generation`. [`RootError::WrongRoot`] where the root key is another than the one
    /// that wrapped it, [`RootError::NotAuthentic`] where the bytes are damaged.
    fn unwrap(&self, generation: Generation, wrapped: &RootWrapped) -> Result<GenerationKey, RootError>;

    /// Destroys the root key of a generation: what it wrapped is unreadable when this returns.
    /// [`RootError::Missing`] where there is none. A provider that only schedules it goes on listing the key
    /// ([`RootProvider::list`]) until it is gone for good.
    fn destroy(&self, generation: Generation) -> Result<(), RootError>;

    /// Whether a destruction can be proven, or only attested by whoever runs it (copies of a key file,
    /// worn flash blocks).
    fn destruction_is_proven(&self) -> bool;
}
