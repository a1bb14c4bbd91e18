//! Sealing and opening (SPEC §1).

use super::armour::ArmourError;
use super::canonical::is_canonical;
use super::field::{FieldName, MAX_FIELD_NAME};
use super::parse::{EnvelopeRef, HEADER_LEN, LayoutError, OVERHEAD, VERSION};
use super::plaintext::{Padding, plaintext_len, read, write};
use crate::clear::Kind;
use crate::crypto::{self, NONCE_LEN, random, seal_in_place};
use crate::fault::{Fault, sqlstate};
use crate::ids::KeyId;
use crate::keys::UserKey;
use std::borrow::Cow;
use zeroize::Zeroize;

/// Why a value can't be sealed. Never holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not in its kind's canonical form: a bug of the codec that made it.
    #[error("the value is not in the canonical form of its type")]
    NotCanonical,
    /// More than 2^29 bytes with type byte and padding.
    #[error("the value is too long to be sealed")]
    TooLong,
}

impl Fault for SealError {
    fn sqlstate(&self) -> &'static str {
        match self {
            Self::NotCanonical => sqlstate::INTERNAL,
            Self::TooLong => sqlstate::TOO_LONG,
        }
    }
}

/// Why an envelope does not open. The names in SPEC §1 are those of [`OpenError::name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Not an armoured envelope.
    #[error("the value is not an envelope")]
    Armour,
    /// Too short for an envelope.
    #[error("the envelope is cut short")]
    TooShort,
    /// Too long for an envelope.
    #[error("the envelope is too long")]
    TooLong,
    /// Another version, or no envelope at all.
    #[error("the value is not an envelope of version 1")]
    Version,
    /// Sealed under another key.
    #[error("the envelope belongs to another key")]
    WrongKey,
    /// Sealed as another field.
    #[error("the envelope belongs to another field")]
    WrongField,
    /// Damaged or forged.
    #[error("the envelope is not authentic")]
    NotAuthentic,
    /// Authentic, but its content breaks the specification.
    #[error("the envelope's content is malformed")]
    Malformed,
}

impl OpenError {
    /// The outcome's name in the specification and the test vectors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Armour => "armour",
            Self::TooShort => "too-short",
            Self::TooLong => "too-long",
            Self::Version => "version",
            Self::WrongKey => "wrong-key",
            Self::WrongField => "wrong-field",
            Self::NotAuthentic => "not-authentic",
            Self::Malformed => "malformed",
        }
    }
}

impl Fault for OpenError {
    fn sqlstate(&self) -> &'static str {
        sqlstate::NOT_AUTHENTIC
    }

    fn advice(&self) -> Cow<'static, str> {
        Cow::Borrowed("the stored value was changed or moved outside the gateway: restore it, or set it anew")
    }
}

impl From<LayoutError> for OpenError {
    fn from(error: LayoutError) -> Self {
        match error {
            LayoutError::TooShort => Self::TooShort,
            LayoutError::TooLong => Self::TooLong,
            LayoutError::Version => Self::Version,
        }
    }
}

impl From<ArmourError> for OpenError {
    fn from(error: ArmourError) -> Self {
        match error {
            ArmourError::Armour => Self::Armour,
            ArmourError::TooShort => Self::TooShort,
            ArmourError::TooLong => Self::TooLong,
        }
    }
}

/// Room for header and field name.
const AAD: [u8; HEADER_LEN + MAX_FIELD_NAME] = [0; HEADER_LEN + MAX_FIELD_NAME];

/// Header and field name, side by side in `room`, where the caller keeps them: they are not moved.
fn aad<'a>(
    header: &[u8; HEADER_LEN],
    field: FieldName<'_>,
    room: &'a mut [u8; HEADER_LEN + MAX_FIELD_NAME],
) -> &'a [u8] {
    let name = field.name().as_bytes();
    let len = HEADER_LEN + name.len();
    room[..HEADER_LEN].copy_from_slice(header);
    // `FieldName` holds at most MAX_FIELD_NAME bytes.
    room[HEADER_LEN..len].copy_from_slice(name);
    &room[..len]
}

/// Seals `value`, which is in the canonical form of `kind`, as `field` under `key`. One allocation, of the
/// exact size.
pub fn seal(
    key: &UserKey,
    field: FieldName<'_>,
    kind: Kind,
    value: &[u8],
    padding: Padding,
) -> Result<Vec<u8>, SealError> {
    seal_with(key, field, kind, value, padding, &random())
}

/// [`seal`] with a given nonce, for known answers.
pub(super) fn seal_with(
    key: &UserKey,
    field: FieldName<'_>,
    kind: Kind,
    value: &[u8],
    padding: Padding,
    nonce: &[u8; NONCE_LEN],
) -> Result<Vec<u8>, SealError> {
    let len = plaintext_len(value.len(), padding).ok_or(SealError::TooLong)?;
    if !is_canonical(kind, value) {
        return Err(SealError::NotCanonical);
    }
    let header = header(key, field, nonce);
    let mut out = Vec::with_capacity(OVERHEAD + len);
    out.extend_from_slice(&header);
    write(kind, value, padding, len, &mut out);
    let mut room = AAD;
    let aad = aad(&header, field, &mut room);
    let sealed = seal_in_place(key.secret(), nonce, aad, &mut out, HEADER_LEN);
    if sealed.is_err() {
        // It holds the value in clear.
        out.zeroize();
        return Err(SealError::TooLong);
    }
    Ok(out)
}

fn header(key: &UserKey, field: FieldName<'_>, nonce: &[u8; NONCE_LEN]) -> [u8; HEADER_LEN] {
    let mut header = [VERSION; HEADER_LEN];
    header[1..17].copy_from_slice(&key.id().0);
    header[17..21].copy_from_slice(&field.tag().0);
    header[21..].copy_from_slice(nonce);
    header
}

/// A user key made ready to open several envelopes. Zeroised when dropped.
#[derive(Debug)]
pub struct Opener {
    id: KeyId,
    key: crypto::Opener,
}

impl Opener {
    /// Computes the key's schedule.
    pub fn new(key: &UserKey) -> Self {
        Self { id: key.id(), key: crypto::Opener::new(key.secret()) }
    }

    /// The id of its key.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Opens an envelope of `field`, appending the value's canonical bytes to `out`, which is as it was after an
    /// error.
    pub fn open(
        &self,
        field: FieldName<'_>,
        envelope: EnvelopeRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Kind, OpenError> {
        if envelope.key_id() != self.id {
            return Err(OpenError::WrongKey);
        }
        if envelope.field_tag() != field.tag() {
            return Err(OpenError::WrongField);
        }
        let mut room = AAD;
        let aad = aad(envelope.header(), field, &mut room);
        let start = out.len();
        self.key
            .open_append(&envelope.nonce(), aad, envelope.ciphertext(), envelope.tag(), out)
            .map_err(|_| OpenError::NotAuthentic)?;
        strip(out, start)
    }
}

/// [`Opener::open`] with a key that is used once.
pub fn open(
    key: &UserKey,
    field: FieldName<'_>,
    envelope: EnvelopeRef<'_>,
    out: &mut Vec<u8>,
) -> Result<Kind, OpenError> {
    Opener::new(key).open(field, envelope, out)
}

/// Turns the plaintext in `out[start..]` into its value alone. What is cut off is overwritten first.
fn strip(out: &mut Vec<u8>, start: usize) -> Result<Kind, OpenError> {
    let plaintext = &mut out[start..];
    let Some((kind, offset, len)) = locate(plaintext) else {
        plaintext.zeroize();
        out.truncate(start);
        return Err(OpenError::Malformed);
    };
    plaintext.copy_within(offset..offset + len, 0);
    plaintext[len..].fill(0);
    out.truncate(start + len);
    Ok(kind)
}

/// Kind, offset and length of the value in a plaintext.
fn locate(plaintext: &[u8]) -> Option<(Kind, usize, usize)> {
    let (kind, value) = read(plaintext)?;
    let offset = if plaintext.first()? & 0x80 == 0 { 1 } else { 5 };
    Some((kind, offset, value.len()))
}
