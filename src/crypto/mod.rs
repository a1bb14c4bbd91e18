//! The only place that calls an AEAD, HKDF, HMAC, SHA-256, a signature or a random number generator.
//!
//! Everything is infallible but what an attacker can make fail: [`NotAuthentic`], and a size that the
//! algorithm excludes ([`TooLong`]).

pub mod aead;
pub mod bulk;
pub mod certificate;
pub mod kdf;
pub mod random;
pub mod scram;
pub mod sign;
pub mod signed;
pub mod sigv4;

pub use aead::{NONCE_LEN, NotAuthentic, Opener, TAG_LEN, TooLong, open_append, seal_in_place};
pub use bulk::BulkKey;
pub use kdf::{Expander, expand, hmac_sha256, sha256};
pub use random::{random, random_secret};
pub use sign::{PublicKey, SigningKey};
