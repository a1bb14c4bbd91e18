//! Reading an envelope's layout, without copying (SPEC §1).

use crate::crypto::{NONCE_LEN, TAG_LEN};
use crate::ids::{FieldTag, KeyId};

/// First byte: AES-256-GCM, HKDF-SHA256.
pub const VERSION: u8 = 0xE1;
/// Version, key id, field tag, nonce.
pub const HEADER_LEN: usize = 1 + 16 + 4 + NONCE_LEN;
/// What an envelope adds to its plaintext.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;
/// Longest plaintext: type byte, value and padding.
pub const MAX_PLAINTEXT: usize = 1 << 29;
/// Shortest envelope: the plaintext has at least its type byte.
pub const MIN_LEN: usize = OVERHEAD + 1;
/// Longest envelope.
pub const MAX_LEN: usize = OVERHEAD + MAX_PLAINTEXT;

/// An envelope's parts, borrowed. Nothing in it is authenticated before it was opened.
#[derive(Debug, Clone, Copy)]
pub struct EnvelopeRef<'a> {
    header: &'a [u8; HEADER_LEN],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_LEN],
}

/// Why bytes are not laid out as an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Fewer than [`MIN_LEN`] bytes.
    #[error("too short for an envelope")]
    TooShort,
    /// More than [`MAX_LEN`] bytes.
    #[error("too long for an envelope")]
    TooLong,
    /// The first byte is another's.
    #[error("not an envelope of version 1")]
    Version,
}

impl<'a> EnvelopeRef<'a> {
    /// Checks length and version.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LayoutError> {
        if bytes.len() < MIN_LEN {
            return Err(LayoutError::TooShort);
        }
        if bytes.len() > MAX_LEN {
            return Err(LayoutError::TooLong);
        }
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(LayoutError::TooShort)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(LayoutError::TooShort)?;
        if header[0] != VERSION {
            return Err(LayoutError::Version);
        }
        Ok(Self { header, ciphertext, tag })
    }

    /// Which secret sealed it, if it is authentic.
    pub fn key_id(&self) -> KeyId {
        KeyId(part(self.header, 1))
    }

    /// As which field it was sealed, if it is authentic.
    pub fn field_tag(&self) -> FieldTag {
        FieldTag(part(self.header, 17))
    }

    pub(super) fn nonce(&self) -> [u8; NONCE_LEN] {
        part(self.header, 21)
    }

    /// Bytes 0 to 32: the first part of the associated data.
    pub(super) fn header(&self) -> &'a [u8; HEADER_LEN] {
        self.header
    }

    pub(super) fn ciphertext(&self) -> &'a [u8] {
        self.ciphertext
    }

    pub(super) fn tag(&self) -> &'a [u8; TAG_LEN] {
        self.tag
    }
}

/// `N` bytes of the header from `at`, which every caller keeps inside it.
fn part<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_the_parts_where_the_specification_puts_them() {
        let mut bytes: Vec<u8> = (0..=60).collect();
        bytes[0] = VERSION;
        let envelope = EnvelopeRef::parse(&bytes).unwrap();
        assert_eq!(envelope.key_id().0, bytes[1..17]);
        assert_eq!(envelope.field_tag().0, bytes[17..21]);
        assert_eq!(envelope.nonce(), bytes[21..33]);
        assert_eq!(envelope.header().as_slice(), &bytes[..33]);
        assert_eq!(envelope.ciphertext(), &bytes[33..45]);
        assert_eq!(envelope.tag().as_slice(), &bytes[45..]);
    }

    #[test]
    fn refuses_what_is_too_short_or_of_another_version() {
        let mut bytes = vec![VERSION; MIN_LEN];
        assert!(EnvelopeRef::parse(&bytes).is_ok());
        assert_eq!(EnvelopeRef::parse(&bytes[1..]).unwrap_err(), LayoutError::TooShort);
        assert_eq!(EnvelopeRef::parse(&[]).unwrap_err(), LayoutError::TooShort);
        for version in (0..=255).filter(|version| *version != VERSION) {
            bytes[0] = version;
            assert_eq!(EnvelopeRef::parse(&bytes).unwrap_err(), LayoutError::Version);
        }
    }

    #[test]
    fn refuses_what_is_too_long() {
        // Zero pages that are never written to: this costs address space, not memory.
        let bytes = vec![0; MAX_LEN + 1];
        assert_eq!(EnvelopeRef::parse(&bytes).unwrap_err(), LayoutError::TooLong);
        assert_eq!(EnvelopeRef::parse(&bytes[1..]).unwrap_err(), LayoutError::Version);
    }
}
