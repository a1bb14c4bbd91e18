//! Whole bodies through the door: photos, videos. Sealed and opened chunk by chunk, so that their size doesn't count.

use super::door::{known, name};
use super::{Door, Item, OpenFault, Owner, ProtectError, Row, Stored, Unit};
use crate::clear::{Clear, Kind};
use crate::crypto::TooLong;
use crate::envelope::{self, BodyHeader, BodyOpenError, EnvelopeRef};
use crate::ids::{FieldId, KeyId, Subject};
use crate::keyring::{BodyAnswer, KeyAnswer, KeyringError};

pub use crate::envelope::{BODY_HEADER_LEN, CHUNK_LEN, SEALED_CHUNK_LEN, body_len, sealed_body_len};

/// So many chunks (4 MiB) go out before the lease is asked for again.
const CHECK: u64 = 64;

/// Seals a body, chunk by chunk.
#[derive(Debug)]
pub struct BodySealer(envelope::BodySealer);

/// Opens a body, at any chunk.
pub struct BodyOpener {
    door: Door,
    field: FieldId,
    key: KeyId,
    opener: envelope::BodyOpener,
    opened: u64,
}

/// What became of a sealed body.
pub enum Body {
    /// It opens.
    Open(Box<BodyOpener>),
    /// Its subject was erased.
    Erased,
    /// It must not be shown.
    Fault(OpenFault),
}

impl Unit {
    /// What seals a body as `field` for its owner; its key is durable when this returns.
    ///
    /// # Errors
    /// [`ProtectError`]; nothing of the body must be sent then.
    pub async fn seal_body(&mut self, field: FieldId, owner: Owner<'_>) -> Result<BodySealer, ProtectError> {
        // A value of the field finds its key, or makes it durable: the body goes under the same.
        let value = Clear::new(Kind::Bytes, Vec::new());
        let stored = self.protect(&[Item { field, owner, value: &value }]).await?;
        let Some(Stored::Envelope(sealed)) = stored.first() else {
            return Err(ProtectError::Value("a pseudonym is no body"));
        };
        let id = EnvelopeRef::parse(sealed).map_err(|_| lost())?.key_id();
        let door = self.door.clone();
        let salt = crate::crypto::random();
        let answer = door.timed(door.keyring().body_key(id, None, &salt)).await?;
        let BodyAnswer::Open { key, .. } = answer else { return Err(lost()) };
        let name = name(door.field(field)?)?;
        envelope::BodySealer::salted(id, name, salt, &key).map(BodySealer).map_err(too_long)
    }
}

impl BodySealer {
    /// What the sealed body begins with.
    pub fn header(&self) -> &[u8] {
        self.0.header()
    }

    /// Seals the next chunk of [`CHUNK_LEN`] bytes, or the last of at most as many, appending it to `out`.
    ///
    /// # Errors
    /// [`ProtectError::Value`] for a body beyond 256 TiB.
    pub fn seal(&mut self, chunk: &[u8], last: bool, out: &mut Vec<u8>) -> Result<(), ProtectError> {
        self.0.seal(chunk, last, out).map_err(too_long)
    }
}

impl Door {
    /// What opens the body that begins with `header` ([`BODY_HEADER_LEN`] bytes) and stood in `row`.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn open_body(&self, field: FieldId, header: &[u8], row: Row<'_>) -> Result<Body, ProtectError> {
        self.lease()?;
        let (body, key) = self.begin_body(field, header, row).await?;
        match &body {
            // On record before the first chunk is released.
            Body::Open(opener) => self.saw(opener.key, field),
            Body::Fault(fault) => self.found(*fault, field, key),
            Body::Erased => {}
        }
        Ok(body)
    }

    async fn begin_body(
        &self,
        field: FieldId,
        header: &[u8],
        row: Row<'_>,
    ) -> Result<(Body, Option<KeyId>), ProtectError> {
        let Ok(header) = BodyHeader::parse(header) else {
            return Ok((Body::Fault(OpenFault::InClear), None));
        };
        let name = name(self.field(field)?)?;
        let key = header.key_id();
        if header.field_tag() != name.tag() {
            return Ok((Body::Fault(OpenFault::WrongField), Some(key)));
        }
        let mut answer = self.timed(self.keyring().body_key(key, known(row), &header.salt())).await?;
        if let (BodyAnswer::Unbound, Some((class, id))) = (&answer, known(row)) {
            self.adopt(field, key, &Subject::new(class, id)).await?;
            answer = self.timed(self.keyring().body_key(key, known(row), &header.salt())).await?;
        }
        let body = match answer {
            BodyAnswer::Erased => Body::Erased,
            BodyAnswer::Replaced if self.is_marked(row) => Body::Erased,
            BodyAnswer::Replaced => Body::Fault(OpenFault::Replaced),
            BodyAnswer::Unknown => Body::Fault(OpenFault::NotAuthentic),
            BodyAnswer::WrongSubject | BodyAnswer::Unbound => Body::Fault(OpenFault::WrongSubject),
            BodyAnswer::Open { restricted: true, .. } if !self.serves_rights() => {
                Body::Fault(OpenFault::Restricted)
            }
            BodyAnswer::Open { key: secret, .. } => match envelope::BodyOpener::new(&header, &secret, name) {
                Ok(opener) => {
                    Body::Open(Box::new(BodyOpener { door: self.clone(), field, key, opener, opened: 0 }))
                }
                Err(_) => Body::Fault(OpenFault::WrongField),
            },
        };
        Ok((body, Some(key)))
    }
}

impl BodyOpener {
    /// Opens the sealed chunk of that number, appending to `out`. `last`: nothing follows it. `None` says that it
    /// opened; a fault that it must not be shown.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`] when the lease ran out; [`ProtectError::ErasedSubject`] when the subject was erased
    /// meanwhile.
    pub async fn open(
        &mut self,
        number: u64,
        last: bool,
        sealed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<OpenFault>, ProtectError> {
        if self.opened.is_multiple_of(CHECK) {
            self.door.lease()?;
            match self.door.keyring().meanwhile(self.key).await? {
                KeyAnswer::Open(_) => {}
                KeyAnswer::Restricted if self.door.serves_rights() => {}
                KeyAnswer::Restricted => {
                    self.door.found(OpenFault::Restricted, self.field, Some(self.key));
                    return Ok(Some(OpenFault::Restricted));
                }
                _ => return Err(ProtectError::ErasedSubject),
            }
        }
        self.opened += 1;
        let fault = match self.opener.open(number, last, sealed, out) {
            Ok(()) => return Ok(None),
            Err(BodyOpenError::WrongField) => OpenFault::WrongField,
            Err(_) => OpenFault::NotAuthentic,
        };
        self.door.found(fault, self.field, Some(self.key));
        Ok(Some(fault))
    }
}

fn too_long(_: TooLong) -> ProtectError {
    ProtectError::Value("it is longer than 256 TiB")
}

fn lost() -> ProtectError {
    ProtectError::from(KeyringError::Busy)
}
