//! Whole bodies, sealed in chunks (SPEC §7): streamed in and out, and opened at any chunk.

use super::field::{FieldName, MAX_FIELD_NAME};
use crate::crypto::{BulkKey, NONCE_LEN, TAG_LEN, TooLong};
use crate::ids::{FieldTag, KeyId};
use crate::keys::BodyKey;

/// First byte: AES-256-GCM in chunks, HKDF-SHA256.
pub const BODY_VERSION: u8 = 0xE2;
/// Version, key id, field tag, salt.
pub const BODY_HEADER_LEN: usize = 1 + 16 + 4 + SALT_LEN;
/// Plaintext of every chunk but the last.
pub const CHUNK_LEN: usize = 64 << 10;
/// The same, sealed.
pub const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;
/// Length of the salt.
pub const SALT_LEN: usize = 16;
/// More chunks than that are not sealed: 256 TiB.
const MAX_CHUNKS: u64 = 1 << 32;

/// Why a sealed body does not open. Names as in SPEC §7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyOpenError {
    /// Shorter than its header and one tag.
    #[error("the sealed body is cut short")]
    TooShort,
    /// No sealed body at all.
    #[error("the body is not a sealed one of version 2")]
    Version,
    /// Sealed as another field.
    #[error("the sealed body belongs to another field")]
    WrongField,
    /// A chunk was changed, moved, left out or added, or belongs to another body.
    #[error("the sealed body is not authentic")]
    NotAuthentic,
}

impl BodyOpenError {
    /// The outcome's name in the specification and the test vectors.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too-short",
            Self::Version => "version",
            Self::WrongField => "wrong-field",
            Self::NotAuthentic => "not-authentic",
        }
    }
}

/// A sealed body's first bytes, read. Nothing in it is authenticated before a chunk was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyHeader {
    bytes: [u8; BODY_HEADER_LEN],
}

impl BodyHeader {
    /// Checks length and version of the first bytes.
    ///
    /// # Errors
    /// [`BodyOpenError::TooShort`], [`BodyOpenError::Version`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BodyOpenError> {
        let bytes = *bytes.first_chunk().ok_or(BodyOpenError::TooShort)?;
        let this = Self { bytes };
        if bytes[0] == BODY_VERSION { Ok(this) } else { Err(BodyOpenError::Version) }
    }

    fn new(key: KeyId, field: FieldName<'_>, salt: [u8; SALT_LEN]) -> Self {
        let mut bytes = [BODY_VERSION; BODY_HEADER_LEN];
        bytes[1..17].copy_from_slice(&key.0);
        bytes[17..21].copy_from_slice(&field.tag().0);
        bytes[21..].copy_from_slice(&salt);
        Self { bytes }
    }

    /// Which secret sealed it.
    pub fn key_id(&self) -> KeyId {
        KeyId(part(&self.bytes, 1))
    }

    /// As which field.
    pub fn field_tag(&self) -> FieldTag {
        FieldTag(part(&self.bytes, 17))
    }

    /// What its key is derived with.
    pub fn salt(&self) -> [u8; SALT_LEN] {
        part(&self.bytes, 21)
    }

    /// The bytes themselves.
    pub fn bytes(&self) -> &[u8; BODY_HEADER_LEN] {
        &self.bytes
    }
}

fn part<const N: usize>(bytes: &[u8; BODY_HEADER_LEN], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

/// The length of a sealed body of `n` bytes; `None` beyond what is sealed.
pub fn sealed_body_len(n: u64) -> Option<u64> {
    let chunks = n.div_ceil(CHUNK_LEN as u64).max(1);
    (chunks <= MAX_CHUNKS).then(|| BODY_HEADER_LEN as u64 + n + chunks * TAG_LEN as u64)
}

/// How long the body is that `sealed` bytes hold; `None` where no body has that length sealed.
pub fn body_len(sealed: u64) -> Option<u64> {
    let rest = sealed.checked_sub(BODY_HEADER_LEN as u64)?;
    let chunks = rest.div_ceil(SEALED_CHUNK_LEN as u64);
    let n = rest.checked_sub(chunks * TAG_LEN as u64)?;
    (sealed_body_len(n) == Some(sealed)).then_some(n)
}

/// A body's key, made ready, and what every chunk is bound to.
#[derive(Debug)]
struct Chunks {
    key: BulkKey,
    aad: Vec<u8>,
}

impl Chunks {
    fn new(header: &BodyHeader, key: &BodyKey, field: FieldName<'_>) -> Result<Self, TooLong> {
        let mut aad = Vec::with_capacity(BODY_HEADER_LEN + MAX_FIELD_NAME);
        aad.extend_from_slice(&header.bytes);
        aad.extend_from_slice(field.name().as_bytes());
        Ok(Self { key: BulkKey::new(key.secret())?, aad })
    }
}

/// Counter and whether it is the last: no two chunks of a body share it, and none stands for another.
fn nonce(number: u64, last: bool) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&number.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}

/// Seals a body, chunk by chunk.
#[derive(Debug)]
pub struct BodySealer {
    header: BodyHeader,
    chunks: Chunks,
    next: u64,
}

impl BodySealer {
    /// Seals a body of `field`; `key` is that of the secret `id` with `salt`, which is random and used once.
    ///
    /// # Errors
    /// [`TooLong`], never in practice.
    pub fn salted(
        id: KeyId,
        field: FieldName<'_>,
        salt: [u8; SALT_LEN],
        key: &BodyKey,
    ) -> Result<Self, TooLong> {
        Self::with(BodyHeader::new(id, field, salt), key, field)
    }

    fn with(header: BodyHeader, key: &BodyKey, field: FieldName<'_>) -> Result<Self, TooLong> {
        Ok(Self { header, chunks: Chunks::new(&header, key, field)?, next: 0 })
    }

    /// What the sealed body begins with.
    pub fn header(&self) -> &[u8; BODY_HEADER_LEN] {
        &self.header.bytes
    }

    /// Seals the next chunk, appending it to `out`. Every chunk but the last has [`CHUNK_LEN`] bytes; the last has 1
    /// to that many, or none where the body is empty.
    ///
    /// # Errors
    /// [`TooLong`] for a chunk of another length, or too many.
    pub fn seal(&mut self, chunk: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let fits = match (chunk.len(), last) {
            (CHUNK_LEN, _) => true,
            (0, true) => self.next == 0,
            (n, last) => last && n < CHUNK_LEN,
        };
        if !fits || self.next >= MAX_CHUNKS {
            return Err(TooLong);
        }
        let from = out.len();
        out.extend_from_slice(chunk);
        self.chunks.key.seal(nonce(self.next, last), &self.chunks.aad, out, from)?;
        self.next += 1;
        Ok(())
    }
}

/// Opens a sealed body, at any chunk.
#[derive(Debug)]
pub struct BodyOpener {
    chunks: Chunks,
}

impl BodyOpener {
    /// An opener of the body that begins with `header`; `key` was derived with its salt.
    ///
    /// # Errors
    /// [`BodyOpenError::WrongField`].
    pub fn new(header: &BodyHeader, key: &BodyKey, field: FieldName<'_>) -> Result<Self, BodyOpenError> {
        if header.field_tag() != field.tag() {
            return Err(BodyOpenError::WrongField);
        }
        let chunks = Chunks::new(header, key, field).map_err(|_| BodyOpenError::NotAuthentic)?;
        Ok(Self { chunks })
    }

    /// Opens the sealed chunk of that number, appending to `out`, which is as it was after an error. `last`: nothing
    /// follows it.
    ///
    /// # Errors
    /// [`BodyOpenError::NotAuthentic`].
    pub fn open(
        &self,
        number: u64,
        last: bool,
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), BodyOpenError> {
        let wrong = BodyOpenError::NotAuthentic;
        let fits = match sealed.len() {
            SEALED_CHUNK_LEN => true,
            TAG_LEN => last && number == 0,
            n => last && n > TAG_LEN && n < SEALED_CHUNK_LEN,
        };
        if !fits || number >= MAX_CHUNKS {
            return Err(wrong);
        }
        self.chunks.key.open(nonce(number, last), &self.chunks.aad, sealed, out).map_err(|_| wrong)
    }
}

/// Opens a sealed body that is in memory.
///
/// # Errors
/// [`BodyOpenError`]; `key` gives the key for a header that was read.
pub fn open_body(
    sealed: &[u8],
    field: FieldName<'_>,
    key: impl FnOnce(&BodyHeader) -> BodyKey,
) -> Result<Vec<u8>, BodyOpenError> {
    if sealed.len() < BODY_HEADER_LEN + TAG_LEN {
        return Err(BodyOpenError::TooShort);
    }
    let header = BodyHeader::parse(sealed)?;
    let opener = BodyOpener::new(&header, &key(&header), field)?;
    let mut out = Vec::new();
    let mut chunks = sealed[BODY_HEADER_LEN..].chunks(SEALED_CHUNK_LEN).enumerate().peekable();
    while let Some((number, chunk)) = chunks.next() {
        opener.open(number as u64, chunks.peek().is_none(), chunk, &mut out)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Purpose, SubjectSecret};
    use proptest::prelude::*;

    const FIELD: &str = "photo";

    fn field() -> FieldName<'static> {
        FieldName::new(FIELD).unwrap()
    }

    fn seal(secret: &SubjectSecret, body: &[u8]) -> Vec<u8> {
        let salt = crate::crypto::random();
        let mut sealer = BodySealer::salted(secret.key_id(), field(), salt, &secret.body_key(&salt)).unwrap();
        let mut out = sealer.header().to_vec();
        let mut rest = body;
        loop {
            let (chunk, after) = rest.split_at(rest.len().min(CHUNK_LEN));
            rest = after;
            sealer.seal(chunk, rest.is_empty(), &mut out).unwrap();
            if rest.is_empty() {
                return out;
            }
        }
    }

    fn secret() -> SubjectSecret {
        SubjectSecret::generate(Purpose::default())
    }

    fn open(secret: &SubjectSecret, sealed: &[u8]) -> Result<Vec<u8>, BodyOpenError> {
        open_body(sealed, field(), |header| secret.body_key(&header.salt()))
    }

    fn body(n: usize) -> Vec<u8> {
        (0..n).map(|i| (i / 7) as u8).collect()
    }

    #[test]
    fn bodies_of_every_length_around_a_chunk_come_back() {
        let secret = secret();
        for n in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 2 * CHUNK_LEN, 3 * CHUNK_LEN + 5] {
            let sealed = seal(&secret, &body(n));
            assert_eq!(sealed_body_len(n as u64), Some(sealed.len() as u64));
            assert_eq!(body_len(sealed.len() as u64), Some(n as u64));
            assert_eq!(open(&secret, &sealed), Ok(body(n)));
        }
    }

    #[test]
    fn no_body_has_a_length_in_between() {
        let empty = (BODY_HEADER_LEN + TAG_LEN) as u64;
        for n in (0..empty).chain([empty + CHUNK_LEN as u64 + 1, empty + CHUNK_LEN as u64 + TAG_LEN as u64]) {
            assert_eq!(body_len(n), None, "{n}");
        }
        assert_eq!(sealed_body_len(u64::MAX), None);
    }

    #[test]
    fn a_body_cut_at_a_chunk_is_noticed() {
        let secret = secret();
        let sealed = seal(&secret, &body(3 * CHUNK_LEN));
        for chunks in 0..3 {
            let cut = &sealed[..BODY_HEADER_LEN + chunks * SEALED_CHUNK_LEN];
            let expected = if chunks == 0 { BodyOpenError::TooShort } else { BodyOpenError::NotAuthentic };
            assert_eq!(open(&secret, cut), Err(expected), "{chunks} chunks");
        }
        let longer = [&sealed[..], &sealed[BODY_HEADER_LEN..]].concat();
        assert_eq!(open(&secret, &longer), Err(BodyOpenError::NotAuthentic));
    }

    #[test]
    fn chunks_that_change_places_or_bodies_are_noticed() {
        let secret = secret();
        let sealed = seal(&secret, &body(3 * CHUNK_LEN));
        let chunk =
            |n: usize| BODY_HEADER_LEN + n * SEALED_CHUNK_LEN..BODY_HEADER_LEN + (n + 1) * SEALED_CHUNK_LEN;
        let mut swapped = sealed.clone();
        swapped[chunk(0)].copy_from_slice(&sealed[chunk(1)]);
        swapped[chunk(1)].copy_from_slice(&sealed[chunk(0)]);
        assert_eq!(open(&secret, &swapped), Err(BodyOpenError::NotAuthentic));
        // The same body, sealed again under the same secret.
        let other = seal(&secret, &body(3 * CHUNK_LEN));
        let mut spliced = sealed;
        spliced[chunk(1)].copy_from_slice(&other[chunk(1)]);
        assert_eq!(open(&secret, &spliced), Err(BodyOpenError::NotAuthentic));
    }

    #[test]
    fn a_body_of_another_field_or_version_is_refused() {
        let secret = secret();
        let mut sealed = seal(&secret, b"photo");
        let as_other = open_body(&sealed, FieldName::new("video").unwrap(), |h| secret.body_key(&h.salt()));
        assert_eq!(as_other, Err(BodyOpenError::WrongField));
        sealed[0] = 0xE1;
        assert_eq!(open(&secret, &sealed), Err(BodyOpenError::Version));
        assert_eq!(open(&secret, &sealed[..20]), Err(BodyOpenError::TooShort));
    }

    #[test]
    fn only_the_last_chunk_may_be_short() {
        let secret = secret();
        let salt = crate::crypto::random();
        let mut sealer = BodySealer::salted(secret.key_id(), field(), salt, &secret.body_key(&salt)).unwrap();
        let mut out = Vec::new();
        assert_eq!(sealer.seal(b"short", false, &mut out), Err(TooLong));
        assert_eq!(sealer.seal(&[0; CHUNK_LEN + 1], true, &mut out), Err(TooLong));
        sealer.seal(&[0; CHUNK_LEN], false, &mut out).unwrap();
        assert_eq!(sealer.seal(b"", true, &mut out), Err(TooLong));
        assert_eq!(out.len(), SEALED_CHUNK_LEN);
    }

    proptest! {
        #[test]
        fn a_changed_bit_opens_nothing(n in 0usize..200, at: prop::sample::Index, bit in 0u8..8) {
            let secret = secret();
            let mut sealed = seal(&secret, &body(n));
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(open(&secret, &sealed).is_err());
        }
    }
}
