//! What is inside an envelope: type byte, perhaps padding, value (SPEC §2 and §4).

use super::canonical::is_canonical;
use super::parse::{MAX_PLAINTEXT, OVERHEAD};
use crate::clear::Kind;

/// Bit 7 of the type byte.
const PADDED: u8 = 0x80;
/// Type byte and length.
const PADDED_HEAD: usize = 5;

/// Whether the length of the value shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Padding {
    /// The envelope's length tells the value's.
    #[default]
    None,
    /// Zeros up to a multiple of that many bytes (0 counts as 1).
    Block(u16),
}

impl Padding {
    /// What a policy that asks for padding gets unless it names a block.
    pub const DEFAULT_BLOCK: Self = Self::Block(32);
}

/// Length of the plaintext of a value of `n` bytes; `None` where that is beyond what may be sealed.
pub(super) fn plaintext_len(n: usize, padding: Padding) -> Option<usize> {
    let len = match padding {
        Padding::None => n.checked_add(1)?,
        Padding::Block(block) => {
            n.checked_add(PADDED_HEAD)?.checked_next_multiple_of(usize::from(block.max(1)))?
        }
    };
    (len <= MAX_PLAINTEXT).then_some(len)
}

/// Length of the envelope of a value of `n` bytes; `None` where that is beyond what may be sealed.
pub fn sealed_len(n: usize, padding: Padding) -> Option<usize> {
    plaintext_len(n, padding).map(|len| len + OVERHEAD)
}

/// Appends a plaintext of `len` bytes, as [`plaintext_len`] gave it.
pub(super) fn write(kind: Kind, value: &[u8], padding: Padding, len: usize, out: &mut Vec<u8>) {
    let end = out.len() + len;
    match padding {
        Padding::None => out.push(kind as u8),
        Padding::Block(_) => {
            out.push(kind as u8 | PADDED);
            // Fits: a plaintext has at most 2^29 bytes.
            out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(value);
    out.resize(end, 0);
}

/// Kind and value of a plaintext, if every byte is as SPEC §2 to §4 want it.
pub(super) fn read(plaintext: &[u8]) -> Option<(Kind, &[u8])> {
    let (&head, rest) = plaintext.split_first()?;
    let kind = Kind::from_byte(head & !PADDED)?;
    let value = if head & PADDED == 0 { rest } else { unpad(rest)? };
    is_canonical(kind, value).then_some((kind, value))
}

fn unpad(rest: &[u8]) -> Option<&[u8]> {
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (value, zeros) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
    zeros.iter().all(|byte| *byte == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: &[u8], padding: Padding) -> Vec<u8> {
        let mut out = Vec::new();
        write(Kind::Bytes, value, padding, plaintext_len(value.len(), padding).unwrap(), &mut out);
        out
    }

    #[test]
    fn pads_to_whole_blocks() {
        assert_eq!(written(b"abc", Padding::None), b"\x02abc");
        assert_eq!(written(b"abc", Padding::Block(16)), b"\x82\0\0\0\x03abc\0\0\0\0\0\0\0\0");
        assert_eq!(written(b"abc", Padding::Block(8)), b"\x82\0\0\0\x03abc");
        assert_eq!(written(b"abc", Padding::Block(0)), b"\x82\0\0\0\x03abc");
        assert_eq!(written(&[9; 28], Padding::DEFAULT_BLOCK).len(), 64);
    }

    #[test]
    fn reads_back_values_that_end_in_zeros() {
        assert_eq!(read(&written(b"a\0\0", Padding::Block(32))), Some((Kind::Bytes, b"a\0\0".as_slice())));
    }

    #[test]
    fn refuses_what_is_not_laid_out_so() {
        for bad in [
            b"".as_slice(),
            b"\x00",
            b"\x0a",
            b"\x7f",
            b"\xff\0\0\0\0",
            b"\x82",
            b"\x82\0\0\0",
            b"\x82\0\0\0\x01",
            b"\x82\xff\xff\xff\xffabc",
            b"\x82\0\0\0\x01a\x01",
            b"\x82\0\0\0\x01a\0\0\x80",
            b"\x03\x02",
            b"\x83\0\0\0\x02\x01\0",
        ] {
            assert_eq!(read(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn refuses_what_is_too_long() {
        assert_eq!(plaintext_len(MAX_PLAINTEXT - 1, Padding::None), Some(MAX_PLAINTEXT));
        assert_eq!(plaintext_len(MAX_PLAINTEXT, Padding::None), None);
        assert_eq!(plaintext_len(MAX_PLAINTEXT - 4, Padding::Block(1)), None);
        assert_eq!(sealed_len(usize::MAX, Padding::Block(32)), None);
        assert_eq!(sealed_len(8, Padding::None), Some(58));
    }

    proptest! {
        #[test]
        fn comes_back_whatever_the_block(value: Vec<u8>, block: Option<u16>) {
            let padding = block.map_or(Padding::None, Padding::Block);
            let plaintext = written(&value, padding);
            prop_assert_eq!(read(&plaintext), Some((Kind::Bytes, value.as_slice())));
        }
    }
}
