//! SHA-256 (FIPS 180-4), HMAC-SHA256 (RFC 2104) and HKDF-Expand (RFC 5869 §2.3).

use crate::secret::Secret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

type HmacSha256 = Hmac<Sha256>;

/// A keyed HMAC. RFC 2104 §2 pads a key shorter than the 64-byte block with zeros; doing so here keeps
/// this infallible.
fn keyed(key: &Secret<32>) -> HmacSha256 {
    let mut block = [0; 64];
    block[..32].copy_from_slice(key.expose());
    let mac = HmacSha256::new((&block).into());
    block.zeroize();
    mac
}

/// HMAC-SHA256 of the parts, one after the other. Delimit parts of variable length yourself.
pub fn hmac_sha256(key: &Secret<32>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = keyed(key);
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// HMAC-SHA256 under a key of any length, for protocols that make their own (AWS Signature Version 4).
pub(super) fn hmac_of(key: &[u8], message: &[u8]) -> [u8; 32] {
    // RFC 2104 §2: a key longer than the block is hashed first; a shorter one is padded with zeros.
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&sha256(&[key]));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut mac = HmacSha256::new((&block).into());
    block.zeroize();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// SHA-256 of the parts, one after the other.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// HKDF-Expand with SHA-256: `N` bytes of output keying material from a pseudorandom key.
///
/// `info` is the concatenation of `parts`. `N` is at most 255 × 32, checked when it is compiled.
pub fn expand<const N: usize>(prk: &Secret<32>, parts: &[&[u8]]) -> Secret<N> {
    Expander::new(prk).expand(parts)
}

/// A pseudorandom key made ready to expand more than once: half of the work for a short output. Zeroised when dropped.
pub struct Expander(HmacSha256);

impl Expander {
    /// Computes HMAC's inner and outer states.
    pub fn new(prk: &Secret<32>) -> Self {
        Self(keyed(prk))
    }

    /// [`expand`] with this key.
    pub fn expand<const N: usize>(&self, parts: &[&[u8]]) -> Secret<N> {
        const { assert!(N <= 255 * 32, "RFC 5869 §2.3: L <= 255 * HashLen") };
        Secret::filled(|out: &mut [u8; N]| {
            let mut previous = [0; 32];
            let mut done = 0;
            for (counter, chunk) in (1..=255_u8).zip(out.chunks_mut(32)) {
                let mut mac = self.0.clone();
                if done > 0 {
                    mac.update(&previous);
                }
                for part in parts {
                    mac.update(part);
                }
                mac.update(&[counter]);
                previous = mac.finalize().into_bytes().into();
                chunk.copy_from_slice(&previous[..chunk.len()]);
                done += chunk.len();
            }
            previous.zeroize();
        })
    }
}

impl std::fmt::Debug for Expander {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(hex: &str) -> Secret<32> {
        Secret::from_slice(&hex::decode(hex).unwrap()).unwrap()
    }

    #[test]
    fn a_key_that_is_made_ready_is_zeroised_when_dropped() {
        fn zeroised<T: zeroize::ZeroizeOnDrop>() {}
        // What HMAC makes of a key is two states of the hash.
        zeroised::<sha2::block_api::Sha256VarCore>();
    }

    #[test]
    fn hashes_the_vectors_of_fips_180() {
        assert_eq!(
            hex::encode(sha256(&[b"a", b"", b"bc"])),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex::encode(sha256(&[])),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    /// RFC 4231 §4.2 and §4.3, whose keys (0x0b × 20, "Jefe") are zero-padded to 32 bytes here:
    /// HMAC pads any key shorter than its block with zeros, so the result is the same.
    #[test]
    fn authenticates_the_vectors_of_rfc_4231() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        assert_eq!(
            hex::encode(hmac_sha256(&Secret::new(key), &[b"Hi ", b"There"])),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            hex::encode(hmac_sha256(&Secret::new(key), &[b"what do ya want for nothing?"])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    /// RFC 5869 appendix A.1, A.2 and A.3, second step (Expand).
    #[test]
    fn expands_the_vectors_of_rfc_5869() {
        let prk = secret("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
        let info = hex::decode("f0f1f2f3f4f5f6f7f8f9").unwrap();
        assert_eq!(
            hex::encode(expand::<42>(&prk, &[&info[..3], &info[3..]]).expose()),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
        let prk = secret("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244");
        let info: Vec<u8> = (0xb0..=0xff).collect();
        assert_eq!(
            hex::encode(expand::<82>(&prk, &[&info]).expose()),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c\
             59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71\
             cc30c58179ec3e87c14c01d5c1f3434f1d87"
        );
        let prk = secret("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04");
        assert_eq!(
            hex::encode(expand::<42>(&prk, &[]).expose()),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
        );
    }

    proptest! {
        /// Another implementation agrees.
        #[test]
        fn expands_as_the_hkdf_crate_does(prk: [u8; 32], info: Vec<u8>) {
            let mut theirs = [0; 100];
            hkdf::Hkdf::<Sha256>::from_prk(&prk).unwrap().expand(&info, &mut theirs).unwrap();
            let ours = expand::<100>(&Secret::new(prk), &[&info]);
            prop_assert_eq!(ours.expose(), &theirs);
        }
    }
}
