//! Which of two values of one type comes first, and whether they are equal, on the canonical forms.

use super::collation::Collation;
use super::fault::Fault;
use super::json;
use super::types::fixed;
use crate::clear::Kind;
use std::cmp::Ordering;

/// Compares two values of one kind, neither NULL.
pub(super) fn compare(kind: Kind, a: &[u8], b: &[u8], collation: &Collation) -> Result<Ordering, Fault> {
    Ok(match kind {
        Kind::Text => collation.compare(text(a)?, text(b)?),
        Kind::Bytes | Kind::Bool | Kind::Uuid => a.cmp(b),
        Kind::Int | Kind::Timestamptz => i64::from_be_bytes(fixed(a)?).cmp(&i64::from_be_bytes(fixed(b)?)),
        Kind::Date => i32::from_be_bytes(fixed(a)?).cmp(&i32::from_be_bytes(fixed(b)?)),
        Kind::Numeric => Number::read(a)?.cmp(&Number::read(b)?),
        Kind::Jsonb => json::compare(a, b, collation)?,
    })
}

/// Whether two values of one kind are equal, neither NULL.
pub(super) fn equal(kind: Kind, a: &[u8], b: &[u8], collation: &Collation) -> Result<bool, Fault> {
    match kind {
        Kind::Text if collation.is_deterministic() => Ok(a == b),
        Kind::Text => Ok(collation.equal(text(a)?, text(b)?)),
        Kind::Numeric | Kind::Jsonb => Ok(compare(kind, a, b, collation)?.is_eq()),
        _ => Ok(a == b),
    }
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::damaged())
}

/// A canonical numeric, in parts. The scale means nothing here: 1.0 equals 1.00.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Number<'a> {
    MinusInfinity,
    /// The larger its size, the smaller it is.
    Negative(std::cmp::Reverse<Size<'a>>),
    Zero,
    Positive(Size<'a>),
    Infinity,
    /// Equal to itself, and greater than all else.
    Nan,
}

/// 0.d₁d₂d₃… × 10^point; d₁ and the last are not 0.
#[derive(PartialEq, Eq)]
pub(super) struct Size<'a> {
    point: i64,
    /// The digits before the decimal point and those after it.
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl Size<'_> {
    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.iter().chain(self.fraction).copied()
    }
}

impl Ord for Size<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.point.cmp(&other.point).then_with(|| self.digits().cmp(other.digits()))
    }
}

impl PartialOrd for Size<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> Number<'a> {
    pub(super) fn read(canonical: &'a [u8]) -> Result<Self, Fault> {
        let (negative, digits) = match canonical {
            b"NaN" => return Ok(Self::Nan),
            b"Infinity" => return Ok(Self::Infinity),
            b"-Infinity" => return Ok(Self::MinusInfinity),
            [b'-', rest @ ..] => (true, rest),
            _ => (false, canonical),
        };
        let (whole, fraction) = match memchr::memchr(b'.', digits) {
            Some(at) => (&digits[..at], &digits[at + 1..]),
            None => (digits, &[][..]),
        };
        if whole.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
            return Err(Fault::damaged());
        }
        let Some(size) = Self::size(without_zeros_before(whole), without_zeros_after(fraction)) else {
            return Ok(Self::Zero);
        };
        Ok(if negative { Self::Negative(std::cmp::Reverse(size)) } else { Self::Positive(size) })
    }

    fn size(whole: &'a [u8], fraction: &'a [u8]) -> Option<Size<'a>> {
        let point = whole.len() as i64;
        if fraction.is_empty() {
            let whole = without_zeros_after(whole);
            return (!whole.is_empty()).then_some(Size { point, whole, fraction });
        }
        if whole.is_empty() {
            let significant = without_zeros_before(fraction);
            let point = -((fraction.len() - significant.len()) as i64);
            return Some(Size { point, whole, fraction: significant });
        }
        Some(Size { point, whole, fraction })
    }

    /// Bytes that compare as the numbers do.
    pub(super) fn write_key(&self, out: &mut Vec<u8>) {
        let size = |size: &Size<'_>, flip: u8, out: &mut Vec<u8>| {
            let point = (size.point as u64) ^ (1 << 63);
            out.extend(point.to_be_bytes().map(|b| b ^ flip));
            out.extend(size.digits().map(|d| d ^ flip));
            // The end comes before any digit.
            out.push(flip);
        };
        match self {
            Self::MinusInfinity => out.push(0),
            Self::Negative(s) => {
                out.push(1);
                size(&s.0, 0xff, out);
            }
            Self::Zero => out.push(2),
            Self::Positive(s) => {
                out.push(3);
                size(s, 0, out);
            }
            Self::Infinity => out.push(4),
            Self::Nan => out.push(5),
        }
    }
}

fn without_zeros_before(digits: &[u8]) -> &[u8] {
    let start = digits.iter().position(|d| *d != b'0').unwrap_or(digits.len());
    &digits[start..]
}

fn without_zeros_after(digits: &[u8]) -> &[u8] {
    let end = digits.iter().rposition(|d| *d != b'0').map_or(0, |at| at + 1);
    &digits[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERED: &[&[&str]] = &[
        &["-Infinity"],
        &["-1000"],
        &["-12.51"],
        &["-12.5", "-12.50"],
        &["-12"],
        &["-0.5"],
        &["-0.05", "-0.0500"],
        &["0", "0.00", "-0"],
        &["0.001"],
        &["0.0011"],
        &["0.01"],
        &["0.1"],
        &["1", "1.0", "1.00"],
        &["1.01"],
        &["9.999"],
        &["10", "10.0"],
        &["10.01"],
        &["100"],
        &["1000000000000000000000000"],
        &["Infinity"],
        &["NaN"],
    ];

    #[test]
    fn numbers_compare_by_value_whatever_their_scale() {
        let key = |n: &str| {
            let mut out = Vec::new();
            Number::read(n.as_bytes()).unwrap().write_key(&mut out);
            out
        };
        for (i, group) in ORDERED.iter().enumerate() {
            for (j, other) in ORDERED.iter().enumerate() {
                for (a, b) in group.iter().flat_map(|a| other.iter().map(move |b| (a, b))) {
                    let order = Number::read(a.as_bytes()).unwrap().cmp(&Number::read(b.as_bytes()).unwrap());
                    assert_eq!(order, i.cmp(&j), "{a} {b}");
                    assert_eq!(key(a).cmp(&key(b)), i.cmp(&j), "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_is_damaged() {
        for bad in ["", "-", ".", "1e5", "x", "1.2.3"] {
            assert!(Number::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
