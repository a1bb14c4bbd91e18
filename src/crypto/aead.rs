//! AES-256-GCM (NIST SP 800-38D) with a 96-bit nonce and a 128-bit tag.

use crate::secret::Secret;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aes::Aes256Enc;
use aes_gcm::{AeadInOut, AesGcm, Key, KeyInit, Nonce, Tag};

/// Length of a nonce, in bytes.
pub const NONCE_LEN: usize = 12;
/// Length of a tag, in bytes.
pub const TAG_LEN: usize = 16;

/// The tag does not fit the key, nonce, associated data and ciphertext. Nothing more is known, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not authentic")]
pub struct NotAuthentic;

/// Beyond what one key and nonce may seal (2^36 - 32 bytes, SP 800-38D §5.2.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too long to be sealed")]
pub struct TooLong;

/// GCM only ever encrypts blocks: the schedule that decrypts them is not computed.
type Aes256Gcm = AesGcm<Aes256Enc, U12>;

fn cipher(key: &Secret<32>) -> Aes256Gcm {
    // A reference into the secret: the key itself is not copied. The schedule is zeroised when dropped.
    Aes256Gcm::new(<&Key<Aes256Gcm>>::from(key.expose()))
}

/// Seals `buf[from..]` where it stands, and appends the 16-byte tag.
///
/// Reserve [`TAG_LEN`] more than the plaintext to keep this from allocating. The nonce must never have been
/// used under `key`. `from` beyond the end seals nothing but `aad`.
pub fn seal_in_place(
    key: &Secret<32>,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    buf: &mut Vec<u8>,
    from: usize,
) -> Result<(), TooLong> {
    let from = from.min(buf.len());
    let tag = cipher(key)
        .encrypt_inout_detached(<&Nonce<_>>::from(nonce), aad, InOutBuf::from(&mut buf[from..]))
        .map_err(|_| TooLong)?;
    buf.extend_from_slice(&tag);
    Ok(())
}

/// A key made ready: its schedule is computed once for several values. Zeroised when dropped.
pub struct Opener(Aes256Gcm);

impl Opener {
    /// Computes the schedule.
    pub fn new(key: &Secret<32>) -> Self {
        Self(cipher(key))
    }

    /// Checks `tag`, then appends the plaintext to `out`, decrypting straight into it.
    ///
    /// On failure `out` is as it was: no unauthenticated plaintext is ever written.
    pub fn open_append(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        out: &mut Vec<u8>,
    ) -> Result<(), NotAuthentic> {
        let start = out.len();
        out.resize(start + ciphertext.len(), 0);
        let opened =
            InOutBuf::new(ciphertext, &mut out[start..]).map_err(|_| NotAuthentic).and_then(|buffer| {
                self.0
                    .decrypt_inout_detached(<&Nonce<_>>::from(nonce), aad, buffer, <&Tag>::from(tag))
                    .map_err(|_| NotAuthentic)
            });
        if opened.is_err() {
            out.truncate(start);
        }
        opened
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// [`Opener::open_append`] with a key that is used once.
pub fn open_append(
    key: &Secret<32>,
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    ciphertext: &[u8],
    tag: &[u8; TAG_LEN],
    out: &mut Vec<u8>,
) -> Result<(), NotAuthentic> {
    Opener::new(key).open_append(nonce, aad, ciphertext, tag, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    struct Vector {
        key: &'static str,
        nonce: &'static str,
        aad: &'static str,
        plain: &'static str,
        cipher: &'static str,
        tag: &'static str,
    }

    /// Test cases 13 to 16 of "The Galois/Counter Mode of Operation (GCM)", McGrew and Viega, the
    /// submission to NIST that SP 800-38D specifies.
    const VECTORS: [Vector; 4] = [
        Vector {
            key: "0000000000000000000000000000000000000000000000000000000000000000",
            nonce: "000000000000000000000000",
            aad: "",
            plain: "",
            cipher: "",
            tag: "530f8afbc74536b9a963b4f1c4cb738b",
        },
        Vector {
            key: "0000000000000000000000000000000000000000000000000000000000000000",
            nonce: "000000000000000000000000",
            aad: "",
            plain: "00000000000000000000000000000000",
            cipher: "cea7403d4d606b6e074ec5d3baf39d18",
            tag: "d0d1c8a799996bf0265b98b5d48ab919",
        },
        Vector {
            key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            nonce: "cafebabefacedbaddecaf888",
            aad: "",
            plain: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                    1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
            cipher: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                     8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
            tag: "b094dac5d93471bdec1a502270e3cc6c",
        },
        Vector {
            key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            nonce: "cafebabefacedbaddecaf888",
            aad: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            plain: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                    1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            cipher: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                     8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            tag: "76fc6ece0f4e1768cddf8853bb2d551b",
        },
    ];

    #[test]
    fn seals_and_opens_the_published_vectors() {
        for v in VECTORS {
            let (key, nonce) = (Secret::new(bytes(v.key)), bytes(v.nonce));
            let aad = hex::decode(v.aad).unwrap();
            let plain = hex::decode(v.plain).unwrap();
            let mut buf = b"head".to_vec();
            buf.extend_from_slice(&plain);
            seal_in_place(&key, &nonce, &aad, &mut buf, 4).unwrap();
            assert_eq!(hex::encode(&buf[4..]), format!("{}{}", v.cipher, v.tag));
            assert_eq!(&buf[..4], b"head");
            let mut out = b"before".to_vec();
            open_append(&key, &nonce, &aad, &hex::decode(v.cipher).unwrap(), &bytes(v.tag), &mut out)
                .unwrap();
            assert_eq!(out, [b"before".as_slice(), &plain].concat());
        }
    }

    #[test]
    fn leaves_the_output_alone_when_any_input_is_wrong() {
        let v = &VECTORS[3];
        let (key, nonce) = (Secret::new(bytes(v.key)), bytes::<12>(v.nonce));
        let aad = hex::decode(v.aad).unwrap();
        let sealed = hex::decode(v.cipher).unwrap();
        let tag = bytes::<16>(v.tag);
        let mut out = b"x".to_vec();
        let flipped = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes[0] ^= 0x80;
            bytes
        };
        let other_key = Secret::from_slice(&flipped(key.expose())).unwrap();
        let other_nonce = flipped(&nonce).try_into().unwrap();
        let other_tag = flipped(&tag).try_into().unwrap();
        assert!(open_append(&other_key, &nonce, &aad, &sealed, &tag, &mut out).is_err());
        assert!(open_append(&key, &other_nonce, &aad, &sealed, &tag, &mut out).is_err());
        assert!(open_append(&key, &nonce, &flipped(&aad), &sealed, &tag, &mut out).is_err());
        assert!(open_append(&key, &nonce, &aad, &flipped(&sealed), &tag, &mut out).is_err());
        assert!(open_append(&key, &nonce, &aad, &sealed, &other_tag, &mut out).is_err());
        assert!(open_append(&key, &nonce, &aad, &sealed[1..], &tag, &mut out).is_err());
        assert_eq!(out, b"x");
    }

    #[test]
    fn does_not_allocate_when_room_was_reserved() {
        let mut buf = Vec::with_capacity(32 + TAG_LEN);
        buf.extend_from_slice(&[7; 32]);
        let before = buf.as_ptr();
        seal_in_place(&Secret::new([1; 32]), &[2; 12], b"", &mut buf, 0).unwrap();
        assert_eq!(buf.as_ptr(), before);
    }
}
