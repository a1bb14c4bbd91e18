//! A generation key as its root key wrapped it: what the keystore keeps.
//!
//! Stable byte form, 69 bytes:
//!
//! ```text
//! offset size
//! 0      1    version, 0x01
//! 1      8    root id: Expand(root key, "paravent/v1/root-id", 8)
//! 9      12   nonce
//! 21     32   ciphertext (AES-256-GCM under Expand(root key, "paravent/v1/root-wrap", 32))
//! 53     16   tag
//! ```
//!
//! Associated data: bytes 0 to 8, then the generation (u32 big endian). A provider that wraps by itself (an
//! HSM, a KMS) has a version and a layout of its own, after the version byte.

use super::error::RootError;
use crate::crypto::{NONCE_LEN, TAG_LEN, expand, open_append, random, seal_in_place};
use crate::ids::Generation;
use crate::keys::{GenerationKey, labels};
use crate::secret::Secret;
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const ID_LEN: usize = 8;
const HEAD_LEN: usize = 1 + ID_LEN;

/// Length of the form that `file` roots write.
pub const ROOT_WRAPPED_LEN: usize = HEAD_LEN + NONCE_LEN + 32 + TAG_LEN;

/// Opaque bytes, not secret, not empty, at most 1024 bytes. Their first byte is the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootWrapped(Box<[u8]>);

impl RootWrapped {
    /// Takes stored bytes; their meaning is checked when they are unwrapped.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RootError> {
        if bytes.is_empty() || bytes.len() > 1024 {
            Err(RootError::Malformed)
        } else {
            Ok(Self(bytes.into()))
        }
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Wraps with a root key that is at hand.
    pub(super) fn seal(root: &Secret<32>, key: &GenerationKey) -> Result<Self, RootError> {
        let nonce = random::<NONCE_LEN>();
        let mut out = Zeroizing::new(Vec::with_capacity(ROOT_WRAPPED_LEN));
        out.push(VERSION);
        out.extend_from_slice(&root_id(root));
        let aad = aad(&out, key.number());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(key.secret().expose());
        seal_in_place(&wrapping_key(root), &nonce, &aad, &mut out, HEAD_LEN + NONCE_LEN)
            .map_err(|_| RootError::Malformed)?;
        Ok(Self(out.as_slice().into()))
    }

    /// Unwraps with a root key that is at hand.
    pub(super) fn open(&self, root: &Secret<32>, generation: Generation) -> Result<GenerationKey, RootError> {
        let (head, rest) = self.0.split_first_chunk::<HEAD_LEN>().ok_or(RootError::Malformed)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(RootError::Malformed)?;
        let (sealed, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(RootError::Malformed)?;
        if head[0] != VERSION || sealed.len() != 32 {
            return Err(RootError::Malformed);
        }
        if head[1..] != root_id(root) {
            return Err(RootError::WrongRoot(generation));
        }
        let mut out = Zeroizing::new(Vec::with_capacity(32));
        open_append(&wrapping_key(root), nonce, &aad(head, generation), sealed, tag, &mut out)
            .map_err(|_| RootError::NotAuthentic(generation))?;
        let key = Secret::from_slice(&out).ok_or(RootError::Malformed)?;
        Ok(GenerationKey::from_parts(generation, key))
    }
}

/// Tells root keys apart, so that a wrong key file has a message of its own.
fn root_id(root: &Secret<32>) -> [u8; ID_LEN] {
    *expand::<ID_LEN>(root, &[labels::ROOT_ID]).expose()
}

fn wrapping_key(root: &Secret<32>) -> Secret<32> {
    expand(root, &[labels::ROOT_WRAP])
}

fn aad(head: &[u8], generation: Generation) -> Vec<u8> {
    [head, &generation.0.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped() -> RootWrapped {
        let key = GenerationKey::from_parts(Generation(2), Secret::new([9; 32]));
        RootWrapped::seal(&Secret::new([1; 32]), &key).unwrap()
    }

    #[test]
    fn has_the_documented_length_and_version() {
        assert_eq!(wrapped().as_bytes().len(), 69);
        assert_eq!(wrapped().as_bytes()[0], 1);
    }

    #[test]
    fn every_damaged_byte_is_found_out() {
        let bytes = wrapped().as_bytes().to_vec();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            let damaged = RootWrapped::from_bytes(&bytes).unwrap();
            let error = damaged.open(&Secret::new([1; 32]), Generation(2)).unwrap_err();
            match at {
                0 => assert!(matches!(error, RootError::Malformed)),
                1..=8 => assert!(matches!(error, RootError::WrongRoot(_))),
                _ => assert!(matches!(error, RootError::NotAuthentic(_))),
            }
        }
        for n in 1..bytes.len() {
            let cut = RootWrapped::from_bytes(&bytes[..n]).unwrap();
            assert!(matches!(cut.open(&Secret::new([1; 32]), Generation(2)), Err(RootError::Malformed)));
        }
    }

    #[test]
    fn refuses_no_bytes_and_too_many() {
        assert!(RootWrapped::from_bytes(&[]).is_err());
        assert!(RootWrapped::from_bytes(&[1; 1025]).is_err());
    }
}
