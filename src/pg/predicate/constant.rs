//! What a slot is bound to.

use crate::clear::Clear;
use std::fmt;

/// A constant's value at one execution, decoded as the predicate's [`super::Slot`] says.
pub enum Constant {
    /// NULL, also of an array.
    Null,
    /// A value.
    One(Clear),
    /// The elements of an array.
    Array(Vec<Option<Clear>>),
}

impl From<Option<Clear>> for Constant {
    fn from(value: Option<Clear>) -> Self {
        value.map_or(Self::Null, Self::One)
    }
}

impl fmt::Debug for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::One(_) => "One([secret])",
            Self::Array(_) => "Array([secret])",
        })
    }
}
