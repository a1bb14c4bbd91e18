//! A wrapped secret: what a keystore row holds.
//!
//! Stable byte form, 65 bytes:
//!
//! ```text
//! offset size
//! 0      1    version, 0x01
//! 1      4    generation, u32 big endian, from 1
//! 5      12   nonce
//! 17     32   ciphertext (AES-256-GCM) of the 32-byte secret
//! 49     16   tag
//! ```
//!
//! The associated data is the length-prefixed (u64 big endian) parts that the caller names: they say whose
//! the row is, and are not stored in it.

use crate::crypto::{NONCE_LEN, TAG_LEN, open_append, random, seal_in_place};
use crate::fault::{Fault, sqlstate};
use crate::ids::Generation;
use crate::secret::Secret;
use std::borrow::Cow;
use zeroize::Zeroizing;

/// Length of [`Wrapped::bytes`]: nonce, ciphertext, tag.
const BODY: usize = NONCE_LEN + 32 + TAG_LEN;

/// Length of the stable byte form.
pub const WRAPPED_LEN: usize = 1 + 4 + BODY;

const VERSION: u8 = 1;

/// A secret wrapped under a generation key. Not secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The generation whose key wraps it.
    pub generation: Generation,
    /// Nonce (12), ciphertext (32), tag (16).
    pub bytes: [u8; BODY],
}

/// Wrapping failed. Can't happen with 32-byte secrets; a caller still must not store anything then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret could not be wrapped")]
pub struct WrapError;

impl Fault for WrapError {}

/// Why a wrapped secret does not open. Each of these means a damaged or tampered keystore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// Not 65 bytes of version 1.
    #[error("a wrapped secret in the keystore is malformed")]
    Malformed,
    /// Wrapped under another generation than the key given.
    #[error("a wrapped secret belongs to generation {}, not {}", .wrapped.0, .given.0)]
    Generation {
        /// Of the row.
        wrapped: Generation,
        /// Of the key.
        given: Generation,
    },
    /// Damaged, wrapped by another key, or moved to another subject, purpose or domain.
    #[error("a wrapped secret is not authentic")]
    NotAuthentic,
    /// It opens, but is not the secret that its key id names.
    #[error("a wrapped secret does not fit its key id")]
    KeyId,
}

impl Fault for UnwrapError {
    fn sqlstate(&self) -> &'static str {
        sqlstate::KEYS_UNAVAILABLE
    }

    fn advice(&self) -> Cow<'static, str> {
        Cow::Borrowed("the keystore is damaged or was changed: restore it from its backup, ledger included")
    }
}

impl Wrapped {
    /// Wraps `secret` under a key made for it alone, with a random nonce.
    pub(super) fn seal(
        generation: Generation,
        under: &Secret<32>,
        aad: &Aad,
        secret: &Secret<32>,
    ) -> Result<Self, WrapError> {
        let nonce = random::<NONCE_LEN>();
        let mut buf = Zeroizing::new(Vec::with_capacity(BODY));
        buf.extend_from_slice(&nonce);
        buf.extend_from_slice(secret.expose());
        seal_in_place(under, &nonce, &aad.0, &mut buf, NONCE_LEN).map_err(|_| WrapError)?;
        let bytes = buf.as_slice().try_into().map_err(|_| WrapError)?;
        Ok(Self { generation, bytes })
    }

    /// The secret, if the key, the associated data and every byte fit.
    pub(super) fn open(
        &self,
        generation: Generation,
        under: &Secret<32>,
        aad: &Aad,
    ) -> Result<Secret<32>, UnwrapError> {
        if self.generation != generation {
            return Err(UnwrapError::Generation { wrapped: self.generation, given: generation });
        }
        let (nonce, rest) = self.bytes.split_first_chunk::<NONCE_LEN>().ok_or(UnwrapError::Malformed)?;
        let (sealed, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(UnwrapError::Malformed)?;
        let mut out = Zeroizing::new(Vec::with_capacity(sealed.len()));
        open_append(under, nonce, &aad.0, sealed, tag, &mut out).map_err(|_| UnwrapError::NotAuthentic)?;
        Secret::from_slice(&out).ok_or(UnwrapError::Malformed)
    }

    /// The stable byte form.
    pub fn to_bytes(&self) -> [u8; WRAPPED_LEN] {
        let mut bytes = [VERSION; WRAPPED_LEN];
        bytes[1..5].copy_from_slice(&self.generation.0.to_be_bytes());
        bytes[5..].copy_from_slice(&self.bytes);
        bytes
    }

    /// Reads the stable byte form; refuses any other length or version, and generation 0.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, UnwrapError> {
        let (head, body) = bytes.split_first_chunk::<5>().ok_or(UnwrapError::Malformed)?;
        let [version, generation @ ..] = *head;
        let generation = Generation(u32::from_be_bytes(generation));
        let bytes = body.try_into().map_err(|_| UnwrapError::Malformed)?;
        if version != VERSION || generation.0 == 0 {
            return Err(UnwrapError::Malformed);
        }
        Ok(Self { generation, bytes })
    }
}

/// Associated data: parts, each with its length before it, so that no two lists of parts look alike.
pub(super) struct Aad(pub(super) Vec<u8>);

impl Aad {
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut aad = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
        for part in parts {
            aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
            aad.extend_from_slice(part);
        }
        Self(aad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Wrapped {
        Wrapped::seal(Generation(3), &Secret::new([1; 32]), &Aad::of(&[b"a", b"b"]), &Secret::new([9; 32]))
            .unwrap()
    }

    #[test]
    fn byte_form_is_stable_and_comes_back() {
        let wrapped = Wrapped { generation: Generation(0x0102_0304), bytes: [0xAA; BODY] };
        let bytes = wrapped.to_bytes();
        assert_eq!(bytes.len(), 65);
        assert_eq!(hex::encode(bytes), format!("0101020304{}", "aa".repeat(60)));
        assert_eq!(Wrapped::from_bytes(&bytes), Ok(wrapped));
    }

    #[test]
    fn refuses_other_lengths_versions_and_generation_zero() {
        let bytes = sealed().to_bytes();
        for n in 0..bytes.len() {
            assert_eq!(Wrapped::from_bytes(&bytes[..n]), Err(UnwrapError::Malformed), "{n} bytes");
        }
        let long = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Wrapped::from_bytes(&long), Err(UnwrapError::Malformed));
        let mut other = bytes;
        other[0] = 2;
        assert_eq!(Wrapped::from_bytes(&other), Err(UnwrapError::Malformed));
        let mut other = bytes;
        other[1..5].fill(0);
        assert_eq!(Wrapped::from_bytes(&other), Err(UnwrapError::Malformed));
    }

    #[test]
    fn opens_only_as_sealed() {
        let (key, aad) = (Secret::new([1; 32]), Aad::of(&[b"a", b"b"]));
        assert_eq!(sealed().open(Generation(3), &key, &aad), Ok(Secret::new([9; 32])));
        assert_eq!(
            sealed().open(Generation(4), &key, &aad),
            Err(UnwrapError::Generation { wrapped: Generation(3), given: Generation(4) })
        );
        let not = Err(UnwrapError::NotAuthentic);
        assert_eq!(sealed().open(Generation(3), &Secret::new([2; 32]), &aad), not);
        assert_eq!(sealed().open(Generation(3), &key, &Aad::of(&[b"ab"])), not);
        assert_eq!(sealed().open(Generation(3), &key, &Aad::of(&[b"ab", b""])), not);
        for at in 0..BODY {
            let mut damaged = sealed();
            damaged.bytes[at] ^= 1;
            assert_eq!(damaged.open(Generation(3), &key, &aad), not, "byte {at}");
        }
    }

    #[test]
    fn wraps_the_same_secret_differently_each_time() {
        assert_ne!(sealed().bytes, sealed().bytes);
    }
}
