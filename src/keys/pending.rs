//! An erased subject, sealed for as long as its places must still be found.
//!
//! Whoever destroys the generation key (or the row) takes the last trace of who it was.

use super::generation::GenerationKey;
use super::labels;
use super::wrapped::{Aad, UnwrapError, WrapError};
use crate::crypto::{NONCE_LEN, TAG_LEN, open_append, random, seal_in_place};
use crate::ids::Subject;
use crate::secret::Secret;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Seals a subject under Expand(G, "paravent/v1/sweep" ‖ receipt, 32): nonce (12), ciphertext, tag (16). Associated
/// data: receipt, generation. The plaintext is realm, class and id, each with its length (u32, big endian) before it.
pub fn seal_pending(key: &GenerationKey, receipt: &str, subject: &Subject) -> Result<Vec<u8>, WrapError> {
    let nonce = random::<NONCE_LEN>();
    let parts = [&*subject.realm, &*subject.class, &*subject.id];
    let length: usize = parts.iter().map(|part| 4 + part.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(NONCE_LEN + length + TAG_LEN));
    out.extend_from_slice(&nonce);
    for part in parts {
        let length = u32::try_from(part.len()).map_err(|_| WrapError)?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(part.as_bytes());
    }
    seal_in_place(&under(key, receipt), &nonce, &aad(key, receipt).0, &mut out, NONCE_LEN)
        .map_err(|_| WrapError)?;
    Ok(out.to_vec())
}

/// The inverse of [`seal_pending`].
pub fn open_pending(key: &GenerationKey, receipt: &str, sealed: &[u8]) -> Result<Subject, UnwrapError> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(UnwrapError::Malformed)?;
    let (body, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(UnwrapError::Malformed)?;
    let mut out = Zeroizing::new(Vec::with_capacity(body.len()));
    open_append(&under(key, receipt), nonce, &aad(key, receipt).0, body, tag, &mut out)
        .map_err(|_| UnwrapError::NotAuthentic)?;
    let mut rest = out.as_slice();
    let mut part = || -> Option<&str> {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        rest = after;
        std::str::from_utf8(part).ok()
    };
    let (Some(realm), Some(class), Some(id)) = (part(), part(), part()) else {
        return Err(UnwrapError::Malformed);
    };
    Ok(Subject { realm: Arc::from(realm), class: Arc::from(class), id: id.into() })
}

fn under(key: &GenerationKey, receipt: &str) -> Secret<32> {
    key.wrapping_key(&[labels::SWEEP, receipt.as_bytes()])
}

fn aad(key: &GenerationKey, receipt: &str) -> Aad {
    Aad::of(&[receipt.as_bytes(), &key.number().0.to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Generation;

    #[test]
    fn opens_under_its_receipt_and_generation_only() {
        let key = GenerationKey::generate(Generation(3));
        let subject = Subject::new("person", "4711");
        let sealed = seal_pending(&key, "rcp_1", &subject).unwrap();
        assert_eq!(open_pending(&key, "rcp_1", &sealed), Ok(subject));
        assert!(!sealed.windows(4).any(|part| part == b"4711"));
        assert_eq!(open_pending(&key, "rcp_2", &sealed), Err(UnwrapError::NotAuthentic));
        let other = GenerationKey::generate(Generation(3));
        assert_eq!(open_pending(&other, "rcp_1", &sealed), Err(UnwrapError::NotAuthentic));
        assert_eq!(open_pending(&key, "rcp_1", &sealed[..20]), Err(UnwrapError::Malformed));
    }
}
