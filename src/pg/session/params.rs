//! Parameters on either side of a plan: read as the client sent them, written as they are stored.

use super::encoding::{self, Words};
use super::failure::Failure;
use super::subject;
use crate::pg::plan::{Param, Source};
use crate::pg::value::{self, Charset, Format};
use crate::pg::wire::bind;
use crate::protect::{Stored, armour};
use std::sync::Arc;

/// One upstream parameter, ready.
pub(super) enum Bound {
    /// As the client sent its parameter of that index.
    Client(usize),
    Null,
    Text(Vec<u8>),
    Binary(Vec<u8>),
}

impl Bound {
    pub(super) fn format(&self, _index: usize, message: &bind::Bind<'_>) -> Format {
        match self {
            Self::Client(i) => message.formats.at(*i).unwrap_or(Format::Text),
            Self::Null | Self::Text(_) => Format::Text,
            Self::Binary(_) => Format::Binary,
        }
    }

    pub(super) fn bytes<'a>(&'a self, message: &bind::Bind<'a>) -> Option<&'a [u8]> {
        match self {
            Self::Client(i) => message.value(*i),
            Self::Null => None,
            Self::Text(bytes) | Self::Binary(bytes) => Some(bytes),
        }
    }
}

/// A value as the client sent it, text in UTF-8: bytes, format and declared type.
type Sent<'a> = (Words<'a>, Format, u32);

/// The client's parameters as it sent them.
pub(super) struct Client<'a> {
    pub(super) declared: &'a [u32],
    pub(super) message: &'a bind::Bind<'a>,
    pub(super) charset: Option<Arc<Charset>>,
}

pub(super) type Elements = Vec<Option<(Vec<u8>, Format)>>;

impl<'a> Client<'a> {
    fn oid(&self, index: usize) -> u32 {
        self.declared.get(index).copied().unwrap_or(0)
    }

    fn format(&self, index: usize) -> Result<Format, Failure> {
        self.message.formats.at(index).map_err(|e| Failure::malformed(&e))
    }

    /// A parameter's value, format and declared type; `None` for NULL.
    pub(super) fn value<'p>(&self, param: &'p Param) -> Result<Option<Sent<'p>>, Failure>
    where
        'a: 'p,
    {
        match &param.source {
            Source::Client(i) => {
                let i = usize::from(*i);
                let oid = match (self.oid(i), param.read_as) {
                    (0 | UNKNOWN, cast) => cast,
                    (declared, 0) => declared,
                    (declared, cast) if declared == cast => cast,
                    _ => return Err(cast_of_parameter()),
                };
                match self.message.value(i) {
                    Some(bytes) => Ok(Some((self.text_form(i, bytes)?, self.format(i)?, oid))),
                    None => Ok(None),
                }
            }
            Source::Literal(Some(clear)) => {
                Ok(Some((Words::Sent(clear.bytes()), Format::Text, param.read_as)))
            }
            Source::Literal(None) | Source::Nothing => Ok(None),
        }
    }

    /// A value in text form, in UTF-8; one in binary form as it is.
    fn text_form(&self, index: usize, bytes: &'a [u8]) -> Result<Words<'a>, Failure> {
        match self.format(index)? {
            Format::Text => self.words(bytes),
            Format::Binary => Ok(Words::Sent(bytes)),
        }
    }

    fn words<'b>(&self, bytes: &'b [u8]) -> Result<Words<'b>, Failure> {
        encoding::read(self.charset.as_deref(), bytes).map_err(|e| Failure::value(&e, "of a parameter"))
    }

    /// A parameter as it is, for a row whose values stay clear.
    pub(super) fn plain(&self, param: &Param) -> Result<Bound, Failure> {
        Ok(match &param.source {
            Source::Client(i) => Bound::Client(usize::from(*i)),
            Source::Literal(Some(clear)) => {
                Bound::Text(encoding::write(self.charset.as_deref(), clear.bytes())?.into_owned())
            }
            Source::Literal(None) | Source::Nothing => Bound::Null,
        })
    }

    /// A client parameter, its format and declared type; `None` for NULL.
    pub(super) fn raw(&self, index: usize) -> Result<Option<Sent<'a>>, Failure> {
        let Some(bytes) = self.message.value(index) else { return Ok(None) };
        let (format, oid) = (self.format(index)?, self.oid(index));
        let bytes = if format == Format::Text || encoding::is_words(oid) {
            self.words(bytes)?
        } else {
            Words::Sent(bytes)
        };
        Ok(Some((bytes, format, oid)))
    }

    /// One element of an array, its format and type (0: not declared).
    pub(super) fn nth(
        &self,
        source: &Source,
        element: usize,
    ) -> Result<Option<(Vec<u8>, Format, u32)>, Failure> {
        let (bytes, format, oid) = match source {
            Source::Client(i) => match self.raw(usize::from(*i))? {
                Some(raw) => raw,
                None => return Ok(None),
            },
            Source::Literal(Some(clear)) => (Words::Sent(clear.bytes()), Format::Text, 0),
            Source::Literal(None) | Source::Nothing => return Ok(None),
        };
        let array =
            value::decode_array(&bytes, format, oid).map_err(|e| Failure::value(&e, "of an array"))?;
        let oid = value::element_oid(oid).unwrap_or(0);
        let Some(bytes) = array.into_iter().nth(element).flatten() else { return Ok(None) };
        let binary_words = format == Format::Binary && encoding::is_words(oid);
        let bytes = if binary_words { self.words(&bytes)?.to_vec() } else { bytes };
        Ok(Some((bytes, format, oid)))
    }

    /// A client parameter as the text of a subject id.
    pub(super) fn text(&self, index: usize, column_oid: u32) -> Result<Option<String>, Failure> {
        let Some(bytes) = self.message.value(index) else { return Ok(None) };
        let oid = match self.oid(index) {
            0 => column_oid,
            oid => oid,
        };
        let format = self.format(index)?;
        subject::text_in(self.charset.as_deref(), oid, format, bytes).map(Some).ok_or_else(|| {
            Failure::new(
                "22P02",
                "subject-id",
                "paravent: the subject's id could not be read",
                "send it as text, or as an integer or uuid in binary",
            )
        })
    }

    /// An array's elements and their type; `None` for a NULL array.
    pub(super) fn elements(&self, param: &Param) -> Result<Option<(Elements, u32)>, Failure> {
        let Some((bytes, format, oid)) = self.value(param)? else { return Ok(None) };
        let array =
            value::decode_array(&bytes, format, oid).map_err(|e| Failure::value(&e, "of an array"))?;
        let elements = array.into_iter().map(|e| e.map(|bytes| (bytes, format))).collect();
        Ok(Some((elements, value::element_oid(oid).unwrap_or(0))))
    }

    /// An array's elements as texts of subject ids.
    pub(super) fn texts(&self, source: &Source, column_oid: u32) -> Result<Vec<Option<String>>, Failure> {
        let (bytes, format, oid): (Words<'_>, Format, u32) = match source {
            Source::Client(i) => {
                let i = usize::from(*i);
                match self.message.value(i) {
                    Some(bytes) => (self.text_form(i, bytes)?, self.format(i)?, self.oid(i)),
                    None => return Ok(Vec::new()),
                }
            }
            Source::Literal(Some(clear)) => (Words::Sent(clear.bytes()), Format::Text, 0),
            Source::Literal(None) | Source::Nothing => return Ok(Vec::new()),
        };
        let array =
            value::decode_array(&bytes, format, oid).map_err(|e| Failure::value(&e, "of an array"))?;
        let oid = value::element_oid(oid).unwrap_or(column_oid);
        array
            .into_iter()
            .map(|element| match element {
                None => Ok(None),
                Some(bytes) => {
                    // Text form was converted with the whole array.
                    let id = match format {
                        Format::Text => subject::text(oid, format, &bytes),
                        Format::Binary => subject::text_in(self.charset.as_deref(), oid, format, &bytes),
                    };
                    id.map(Some).ok_or_else(nobody)
                }
            })
            .collect()
    }
}

/// `unknown`: a type left open.
const UNKNOWN: u32 = 705;

fn cast_of_parameter() -> Failure {
    Failure::new(
        "0A000",
        "cast",
        "paravent: a parameter is declared as one type and cast to another, in the place of a protected value",
        "declare the type that it is cast to, or leave the cast out",
    )
}

/// What is stored, as one parameter.
pub(super) fn single(stored: Stored, oid: u32) -> Bound {
    match stored {
        Stored::Envelope(envelope) if oid == 17 => Bound::Binary(envelope),
        Stored::Envelope(envelope) => Bound::Text(armour::write(&envelope).into_bytes()),
        Stored::Token(token) => Bound::Text(token.into_string().into_bytes()),
    }
}

/// What is stored, as an element of an array in text form.
pub(super) fn element(stored: Stored, array_oid: u32) -> Vec<u8> {
    match stored {
        Stored::Envelope(envelope) if array_oid == 1001 => {
            format!("\\x{}", hex::encode(envelope)).into_bytes()
        }
        Stored::Envelope(envelope) => armour::write(&envelope).into_bytes(),
        Stored::Token(token) => token.into_string().into_bytes(),
    }
}

pub(super) fn array_literal<T: AsRef<[u8]>>(elements: &[Option<T>]) -> Vec<u8> {
    let mut out = vec![b'{'];
    for (i, element) in elements.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        match element {
            None => out.extend_from_slice(b"NULL"),
            Some(bytes) => {
                out.push(b'"');
                for b in bytes.as_ref() {
                    if matches!(b, b'"' | b'\\') {
                        out.push(b'\\');
                    }
                    out.push(*b);
                }
                out.push(b'"');
            }
        }
    }
    out.push(b'}');
    out
}

pub(super) fn nobody() -> Failure {
    Failure::new(
        "0A000",
        "null-subject",
        "paravent: a protected value in a row whose subject is NULL",
        "give the subject column a value: nobody's data can't be sealed",
    )
}
