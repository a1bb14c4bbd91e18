//! A clear value in its type's canonical form: what is sealed, and what opening gives back.
//!
//! The canonical bytes are fixed by `src/envelope/SPEC.md`; the wire codecs (`pg::value`, later
//! `http`) translate between them and what a client sends or expects.

use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The type byte of an envelope's plaintext (never reuse a number).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// UTF-8 bytes, as sent.
    Text = 1,
    /// Raw bytes.
    Bytes = 2,
    /// One byte, 0 or 1.
    Bool = 3,
    /// i64, big endian (integer and bigint share it).
    Int = 4,
    /// Canonical decimal text, scale preserved: `-12.50`, `NaN`, `Infinity`.
    Numeric = 5,
    /// i32, big endian: days since 2000-01-01; i32::MAX and MIN are infinity and -infinity.
    Date = 6,
    /// i64, big endian: microseconds since 2000-01-01 00:00 UTC; MAX and MIN are infinities.
    Timestamptz = 7,
    /// 16 bytes.
    Uuid = 8,
    /// UTF-8 text as Postgres prints jsonb.
    Jsonb = 9,
}

impl Kind {
    /// The kind that a type byte names, if any.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Text,
            2 => Self::Bytes,
            3 => Self::Bool,
            4 => Self::Int,
            5 => Self::Numeric,
            6 => Self::Date,
            7 => Self::Timestamptz,
            8 => Self::Uuid,
            9 => Self::Jsonb,
            _ => return None,
        })
    }
}

/// An owned clear value; zeroised when dropped, never printed, never cloned.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Clear {
    #[zeroize(skip)]
    kind: Kind,
    bytes: Vec<u8>,
}

impl Clear {
    /// Takes canonical bytes of `kind`.
    pub fn new(kind: Kind, bytes: Vec<u8>) -> Self {
        Self { kind, bytes }
    }

    /// A text value.
    pub fn text(text: &str) -> Self {
        Self::new(Kind::Text, text.as_bytes().to_vec())
    }

    /// Which canonical form the bytes are in.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The canonical bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Clear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clear({:?}, [secret])", self.kind)
    }
}
