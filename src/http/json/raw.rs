//! Short raw values, kept without an allocation: the ids of subjects.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A UUID in quotes fits.
const INLINE: usize = 38;

/// A raw JSON value, cheap to clone.
#[derive(Clone)]
pub(in crate::http) enum Raw {
    Short([u8; INLINE], u8),
    Long(Arc<[u8]>),
}

impl From<&[u8]> for Raw {
    fn from(bytes: &[u8]) -> Self {
        let mut short = [0; INLINE];
        match (short.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(bytes);
                Self::Short(short, length)
            }
            _ => Self::Long(bytes.into()),
        }
    }
}

impl Deref for Raw {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(bytes, length) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Raw {}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_of_any_length_is_kept() {
        for length in [0, 1, INLINE, INLINE + 1, 1000] {
            let bytes = vec![b'7'; length];
            assert_eq!(*Raw::from(&*bytes), *bytes);
        }
        assert_ne!(Raw::from(&b"1"[..]), Raw::from(&b"10"[..]));
    }
}
