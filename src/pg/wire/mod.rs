//! Messages of the Postgres protocol, version 3 (Postgres manual, chapter 55, "Frontend/Backend
//! Protocol"; the formats are those of §55.7, "Message Formats"). No I/O happens here.
//!
//! A message is a type byte, a length (i32, counts itself, not the type byte) and a body. Readers
//! take a *body* and give borrowed slices or ranges into it; writers append a *whole message* to a
//! `Vec<u8>`. All integers are big endian. Names are bytes: their encoding is the session's.
//! Nothing here panics, whatever the input.

pub mod bind;
pub mod describe;
pub mod error;
pub mod frame;
pub mod parse_msg;
pub mod reader;
pub mod row;
pub mod simple;
pub mod startup;

#[cfg(test)]
mod hostile_tests;

/// A message that doesn't read, or can't be written. Never holds any of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The body ends before a part that its format requires.
    #[error("{0} message ends too early")]
    Truncated(&'static str),
    /// A string within the body has no end.
    #[error("{0} message has a string without end")]
    Unterminated(&'static str),
    /// The body goes on after its format's end.
    #[error("{0} message has bytes after its end")]
    Trailing(&'static str),
    /// The length is below the minimum, or negative.
    #[error("invalid message length")]
    Length,
    /// The length is above the limit in force.
    #[error("message of {0} bytes is longer than the limit")]
    TooLong(usize),
    /// A count, code or length within the message is impossible.
    #[error("{0} message is malformed: {1}")]
    Malformed(&'static str, &'static str),
    /// The start-up packet asks for another major version.
    #[error("unsupported frontend protocol {0}.{1}")]
    Version(u16, u16),
}

impl WireError {
    /// SQLSTATE to answer with: `08P01` (protocol violation), `54000` (limit), `0A000` (version).
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "54000",
            Self::Version(..) => "0A000",
            _ => "08P01",
        }
    }
}
