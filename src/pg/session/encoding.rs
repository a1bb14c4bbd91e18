//! The client's encoding, where it is not UTF-8. Within the session all text is UTF-8: what the client sends is
//! converted as it is read, what it is to see and what goes to the server as it is written. Messages that are
//! relayed are not touched: the server speaks the client's encoding too.

use super::Session;
use super::failure::Failure;
use crate::pg::plan::{Plan, Verdict};
use crate::pg::sql::Planned;
use crate::pg::value::{Charset, ClientEncoding, Format, ValueError};
use crate::pg::wire::frame::{self, HEADER};
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes in UTF-8: as they were sent, or converted.
pub(super) enum Words<'a> {
    Sent(&'a [u8]),
    Converted(Zeroizing<Vec<u8>>),
}

impl Deref for Words<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Sent(bytes) => bytes,
            Self::Converted(bytes) => bytes,
        }
    }
}

/// What was sent in the client's encoding, in UTF-8.
pub(super) fn read<'a>(charset: Option<&Charset>, bytes: &'a [u8]) -> Result<Words<'a>, ValueError> {
    let Some(charset) = charset else { return Ok(Words::Sent(bytes)) };
    Ok(match charset.read(bytes)? {
        Cow::Borrowed(text) => Words::Sent(text.as_bytes()),
        Cow::Owned(text) => Words::Converted(text.into_bytes().into()),
    })
}

/// The same for what is only looked at: U+FFFD stands for what is no character.
pub(super) fn read_lossy<'a>(charset: Option<&Charset>, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    match charset {
        None => Cow::Borrowed(bytes),
        Some(charset) => match charset.read_lossy(bytes) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
    }
}

/// UTF-8 in the client's encoding.
pub(super) fn write<'a>(charset: Option<&Charset>, text: &'a [u8]) -> Result<Cow<'a, [u8]>, Failure> {
    match charset {
        None => Ok(Cow::Borrowed(text)),
        Some(charset) => charset.write(text).map_err(|_| lacking(charset)),
    }
}

/// A message of the gateway's own, in the client's encoding; one of the server's is so already.
pub(super) fn spoken(charset: Option<&Charset>, frame: Vec<u8>) -> Vec<u8> {
    let Some(charset) = charset.filter(|_| !frame.is_ascii()) else { return frame };
    let Some(Ok(text)) = frame.get(HEADER..).map(std::str::from_utf8) else { return frame };
    let mut out = Vec::with_capacity(frame.len());
    let begun = frame::begin(&mut out, frame[0]);
    out.extend_from_slice(&charset.spoken(text));
    if frame::finish(&mut out, begun).is_err() { frame } else { out }
}

/// Whether a binary value of that type is text in the client's encoding.
pub(super) fn is_words(oid: u32) -> bool {
    matches!(oid, 18 | 19 | 25 | 114 | 1042 | 1043 | 3802)
}

/// What a `client_encoding` means for the session; `None` where it is not supported.
pub(super) fn charset(name: &str) -> Option<Option<Arc<Charset>>> {
    Some(match ClientEncoding::named(name)? {
        ClientEncoding::Utf8 => None,
        ClientEncoding::Charset(charset) => Some(Arc::from(charset)),
    })
}

fn lacking(charset: &Charset) -> Failure {
    Failure::new(
        "0A000",
        "encoding",
        format!("paravent: the statement needs a name that client_encoding {} lacks", charset.name()),
        "set client_encoding to UTF8",
    )
}

impl Session {
    /// The client's encoding, where it is not UTF-8.
    pub(super) fn charset(&self) -> Option<&Charset> {
        self.settings.charset.as_deref()
    }

    /// The name of a prepared statement as it is kept here: in UTF-8, as in SQL.
    pub(super) fn statement_name<'a>(&self, name: &'a [u8]) -> Cow<'a, [u8]> {
        read_lossy(self.charset(), name)
    }

    /// The client's texts are UTF-8 for certain.
    pub(super) fn reads_at_once(&self) -> bool {
        self.settings.charset.is_none() && self.following.is_settled()
    }

    /// A text of the client, in UTF-8; `room` holds it where it was converted.
    pub(super) fn utf8<'a>(
        &self,
        bytes: &'a [u8],
        room: &'a mut Option<Words<'a>>,
    ) -> Result<&'a str, Failure> {
        let words = read(self.charset(), bytes).map_err(|e| Failure::statement_encoding(&e))?;
        std::str::from_utf8(room.insert(words)).map_err(|_| Failure::not_utf8())
    }

    /// Refuses what can't be sent to the server in the client's encoding.
    pub(super) fn check_encoding(&self, planned: &[Planned]) -> Result<(), Failure> {
        if self.settings.charset.is_none() {
            return Ok(());
        }
        for statement in planned {
            match &statement.verdict {
                Verdict::Run(plan) => self.check_plan(plan)?,
                Verdict::Fails(text) => drop(write(self.charset(), text.as_bytes())?),
                _ => {}
            }
        }
        Ok(())
    }

    /// The same, of one plan.
    pub(super) fn check_plan(&self, plan: &Plan) -> Result<(), Failure> {
        let lookup = plan.write.as_ref().and_then(|w| w.lookup.as_ref()).map(|l| &l.sql);
        let keep = plan.keep.as_ref().map(|k| &k.sql);
        for text in [Some(&plan.sql), lookup, keep].into_iter().flatten() {
            write(self.charset(), text.as_bytes())?;
        }
        Ok(())
    }
}

/// A binary value in UTF-8, where it is text; `field_words`: so is a value whose type was left open.
pub(super) fn read_binary<'a>(
    charset: Option<&Charset>,
    bytes: &'a [u8],
    format: Format,
    oid: u32,
    field_words: bool,
) -> Result<Words<'a>, ValueError> {
    let words = is_words(oid) || (matches!(oid, 0 | 705) && field_words);
    if format == Format::Binary && words { read(charset, bytes) } else { Ok(Words::Sent(bytes)) }
}
