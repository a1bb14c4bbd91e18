//! AES-256-GCM for large bodies, by aws-lc: several times as fast as `aead` on 64 KiB, and checked against it.

use super::{NONCE_LEN, NotAuthentic, TAG_LEN, TooLong};
use crate::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use std::fmt;

/// A key made ready. Zeroised by the library when dropped.
pub struct BulkKey(LessSafeKey);

impl BulkKey {
    /// Computes the schedule.
    ///
    /// # Errors
    /// [`TooLong`], never in practice: the length fits the algorithm.
    pub fn new(key: &Secret<32>) -> Result<Self, TooLong> {
        UnboundKey::new(&AES_256_GCM, key.expose())
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| TooLong)
    }

    /// Seals `buf[from..]` where it stands, and appends the tag. The nonce must never have been used with this key.
    ///
    /// # Errors
    /// [`TooLong`] beyond what the algorithm allows.
    pub fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        buf: &mut Vec<u8>,
        from: usize,
    ) -> Result<(), TooLong> {
        let from = from.min(buf.len());
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), &mut buf[from..]);
        buf.extend_from_slice(tag.map_err(|_| TooLong)?.as_ref());
        Ok(())
    }

    /// Opens `sealed` (ciphertext and tag), appending the plaintext to `out`, which is as it was after an error.
    ///
    /// # Errors
    /// [`NotAuthentic`].
    pub fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        aad: &[u8],
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), NotAuthentic> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN>().ok_or(NotAuthentic)?;
        let start = out.len();
        out.resize(start + ciphertext.len(), 0);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, &mut out[start..]);
        if opened.is_err() {
            out.truncate(start);
        }
        opened.map_err(|_| NotAuthentic)
    }
}

impl fmt::Debug for BulkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BulkKey([secret])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{open_append, seal_in_place};
    use proptest::prelude::*;

    proptest! {
        /// Two implementations agree, both ways.
        #[test]
        fn seals_and_opens_as_the_other_library_does(key: [u8; 32], nonce: [u8; 12], aad: Vec<u8>, plain: Vec<u8>) {
            let key = Secret::new(key);
            let bulk = BulkKey::new(&key).unwrap();
            let mut ours = plain.clone();
            bulk.seal(nonce, &aad, &mut ours, 0).unwrap();
            let mut theirs = plain.clone();
            seal_in_place(&key, &nonce, &aad, &mut theirs, 0).unwrap();
            prop_assert_eq!(&ours, &theirs);
            let mut out = b"before".to_vec();
            bulk.open(nonce, &aad, &theirs, &mut out).unwrap();
            prop_assert_eq!(&out[6..], &plain[..]);
            let (ciphertext, tag) = ours.split_last_chunk::<16>().unwrap();
            let mut out = Vec::new();
            open_append(&key, &nonce, &aad, ciphertext, tag, &mut out).unwrap();
            prop_assert_eq!(out, plain);
        }

        #[test]
        fn a_changed_bit_opens_nothing(plain: Vec<u8>, at: prop::sample::Index, bit in 0u8..8) {
            let bulk = BulkKey::new(&Secret::new([7; 32])).unwrap();
            let mut sealed = plain;
            bulk.seal([1; 12], b"aad", &mut sealed, 0).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            let mut out = b"before".to_vec();
            prop_assert_eq!(bulk.open([1; 12], b"aad", &sealed, &mut out), Err(NotAuthentic));
            prop_assert_eq!(out, b"before");
        }
    }

    #[test]
    fn shows_nothing_of_the_key() {
        assert_eq!(format!("{:?}", BulkKey::new(&Secret::new([7; 32])).unwrap()), "BulkKey([secret])");
    }
}
