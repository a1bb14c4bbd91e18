//! numeric: text and base-10000 binary form, rounding and limits (`numeric.c`).

use super::{Format, ValueError, fixed, trim};
use std::cmp::Ordering;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Most digits before the decimal point.
const MAX_POINT: i64 = 131_072;
/// Most digits after it.
const MAX_SCALE: i64 = 16_383;
const NAME: &str = "numeric";
const SYNTAX: ValueError = ValueError::Syntax(NAME, "22P02");

/// A value of type numeric.
pub(super) enum Numeric {
    Nan,
    /// Negative or not.
    Infinity(bool),
    Finite(Decimal),
}

/// ± 0.d₁d₂d₃… × 10^point, shown with `scale` digits after the decimal point.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Decimal {
    negative: bool,
    /// 0 to 9 each; the first is not 0; empty for zero.
    digits: Vec<u8>,
    point: i64,
    scale: i64,
}

impl Decimal {
    fn new(negative: bool, mut digits: Vec<u8>, mut point: i64, scale: i64) -> Self {
        let zeros = digits.iter().take_while(|d| **d == 0).count();
        digits.drain(..zeros);
        point -= zeros as i64;
        if digits.is_empty() {
            return Self { negative: false, digits, point: 0, scale };
        }
        Self { negative, digits, point, scale }
    }

    /// Rounded half away from zero to `scale` digits after the point.
    fn rounded(mut self, scale: i64) -> Self {
        let (negative, mut point) = (self.negative, self.point);
        let mut digits = std::mem::take(&mut self.digits);
        match usize::try_from(point + scale) {
            Err(_) => digits.clear(),
            Ok(keep) if keep < digits.len() => {
                let up = digits[keep] >= 5;
                digits.truncate(keep);
                if up && carry(&mut digits) {
                    point += 1;
                }
            }
            Ok(_) => {}
        }
        Self::new(negative, digits, point, scale)
    }

    fn digit(&self, index: i64) -> u8 {
        usize::try_from(index).ok().and_then(|i| self.digits.get(i)).copied().unwrap_or(0)
    }

    fn write(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        if self.point <= 0 {
            out.push(b'0');
        }
        out.extend((0..self.point).map(|i| b'0' + self.digit(i)));
        if self.scale > 0 {
            out.push(b'.');
            out.extend((0..self.scale).map(|i| b'0' + self.digit(self.point + i)));
        }
    }
}

/// Adds one in the last place; true when a digit was gained in front.
fn carry(digits: &mut Vec<u8>) -> bool {
    for d in digits.iter_mut().rev() {
        if *d < 9 {
            *d += 1;
            return false;
        }
        *d = 0;
    }
    digits.insert(0, 1);
    true
}

impl Numeric {
    /// Held to numeric(precision, scale): rounded, and 22003 when it has too many digits before the point.
    pub(super) fn limited(self, limits: Option<(u16, u16)>) -> Result<Self, ValueError> {
        let Some((precision, scale)) = limits else { return Ok(self) };
        match self {
            Self::Nan => Ok(self),
            Self::Infinity(_) => Err(ValueError::Range("numeric field")),
            Self::Finite(d) => {
                let d = d.rounded(i64::from(scale));
                if !d.digits.is_empty() && d.point > i64::from(precision) - i64::from(scale) {
                    return Err(ValueError::Range("numeric field"));
                }
                Ok(Self::Finite(d))
            }
        }
    }

    /// The canonical text: as `numeric_out` prints it. Beyond the format's limits: 22003.
    pub(super) fn canonical(&self) -> Result<Vec<u8>, ValueError> {
        match self {
            Self::Nan => Ok(b"NaN".to_vec()),
            Self::Infinity(false) => Ok(b"Infinity".to_vec()),
            Self::Infinity(true) => Ok(b"-Infinity".to_vec()),
            Self::Finite(d) if d.point > MAX_POINT || d.scale > MAX_SCALE => Err(ValueError::Range(NAME)),
            Self::Finite(d) => {
                let length = d.point.max(1) + d.scale + 2;
                let mut out = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
                d.write(&mut out);
                Ok(out)
            }
        }
    }

    /// Rounded to an integer, as an assignment to `name` does; NaN and infinities are 0A000 there.
    pub(super) fn into_i64(self, name: &'static str) -> Result<i64, ValueError> {
        let Self::Finite(d) = self else { return Err(ValueError::Unsupported(1700, name)) };
        if d.point > 20 {
            return Err(ValueError::Range(name));
        }
        let mut text = Vec::with_capacity(24);
        d.rounded(0).write(&mut text);
        let value = std::str::from_utf8(&text).ok().and_then(|t| t.parse().ok());
        text.zeroize();
        value.ok_or(ValueError::Range(name))
    }
}

/// Reads either format.
pub(super) fn read(bytes: &[u8], format: Format) -> Result<Numeric, ValueError> {
    match format {
        Format::Text => parse(bytes),
        Format::Binary => read_binary(bytes),
    }
}

/// Reads the text form (`numeric_in` before Postgres 16).
pub(super) fn parse(bytes: &[u8]) -> Result<Numeric, ValueError> {
    let text = trim(bytes);
    if text.eq_ignore_ascii_case(b"nan") {
        return Ok(Numeric::Nan);
    }
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if unsigned.eq_ignore_ascii_case(b"infinity") || unsigned.eq_ignore_ascii_case(b"inf") {
        return Ok(Numeric::Infinity(negative));
    }
    decimal(negative, unsigned).map(Numeric::Finite)
}

/// Digits, maybe a point, maybe an exponent; at least one digit.
fn decimal(negative: bool, text: &[u8]) -> Result<Decimal, ValueError> {
    let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let whole = mantissa.iter().position(|b| *b == b'.').unwrap_or(mantissa.len());
    let fraction = mantissa.get(whole + 1..).unwrap_or_default();
    let mut digits = Vec::with_capacity(mantissa.len());
    for byte in mantissa[..whole].iter().chain(fraction) {
        if !byte.is_ascii_digit() {
            digits.zeroize();
            return Err(SYNTAX);
        }
        digits.push(byte - b'0');
    }
    if digits.is_empty() {
        return Err(SYNTAX);
    }
    let scale = (fraction.len() as i64 - exponent).max(0);
    let d = Decimal::new(negative, digits, whole as i64 + exponent, scale);
    if d.point > MAX_POINT || d.scale > MAX_SCALE { Err(ValueError::Range(NAME)) } else { Ok(d) }
}

fn parse_exponent(text: &[u8]) -> Result<i64, ValueError> {
    let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(SYNTAX);
    }
    let value: Option<i64> = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    match value {
        Some(e) if e.abs() < i64::from(i32::MAX / 2) => Ok(e),
        _ => Err(ValueError::Range(NAME)),
    }
}

const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xc000;
const PLUS_INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;

/// Reads the binary form: count, weight, sign, scale (i16 each), then base-10000 digits. Digits beyond
/// the scale are cut, as `numeric_recv` does.
fn read_binary(bytes: &[u8]) -> Result<Numeric, ValueError> {
    let damaged = || ValueError::Binary(NAME);
    let word = |i: usize| -> Result<[u8; 2], ValueError> {
        fixed(bytes.get(i * 2..i * 2 + 2).unwrap_or_default(), NAME)
    };
    let count = usize::from(u16::from_be_bytes(word(0)?));
    let weight = i64::from(i16::from_be_bytes(word(1)?));
    let sign = u16::from_be_bytes(word(2)?);
    let scale = i64::from(u16::from_be_bytes(word(3)?));
    if bytes.len() != 8 + count * 2 || scale > MAX_SCALE {
        return Err(damaged());
    }
    match sign {
        NAN => return Ok(Numeric::Nan),
        PLUS_INFINITY | MINUS_INFINITY => return Ok(Numeric::Infinity(sign == MINUS_INFINITY)),
        0 | NEGATIVE => {}
        _ => return Err(damaged()),
    }
    let mut digits = Vec::with_capacity(count * 4);
    for i in 0..count {
        let group = u16::from_be_bytes(word(4 + i)?);
        if group > 9999 {
            return Err(damaged());
        }
        digits.extend([group / 1000, group / 100 % 10, group / 10 % 10, group % 10].map(|d| d as u8));
    }
    let point = (weight + 1) * 4;
    digits.truncate(usize::try_from(point + scale).unwrap_or(0));
    Ok(Numeric::Finite(Decimal::new(sign == NEGATIVE, digits, point, scale)))
}

/// Writes the binary form of a canonical text.
pub(super) fn write_binary(canonical: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let d = match parse(canonical)? {
        Numeric::Finite(d) => d,
        other => {
            let (sign, scale) = match other {
                // The scale of an infinity is sent as 32, its sort position in memory; readers ignore it.
                Numeric::Infinity(true) => (MINUS_INFINITY, 32),
                Numeric::Infinity(false) => (PLUS_INFINITY, 32),
                _ => (NAN, 0),
            };
            header(0, 0, sign, scale, out);
            return Ok(());
        }
    };
    let groups = groups(&d);
    let weight = if groups.is_empty() { 0 } else { (d.point + 3).div_euclid(4) - 1 };
    let fits = |n: i64| i16::try_from(n).map_err(|_| ValueError::Range(NAME));
    let sign = if d.negative { NEGATIVE } else { 0 };
    header(fits(groups.len() as i64)?, fits(weight)?, sign, fits(d.scale)?, out);
    groups.iter().for_each(|g| out.extend_from_slice(&g.to_be_bytes()));
    Ok(())
}

fn header(count: i16, weight: i16, sign: u16, scale: i16, out: &mut Vec<u8>) {
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&scale.to_be_bytes());
}

/// Base-10000 digits without zeros at the end; the first covers the first decimal digit.
fn groups(d: &Decimal) -> Vec<u16> {
    let mut at = d.point - (d.point + 3).div_euclid(4) * 4;
    let mut groups = Vec::with_capacity(d.digits.len() / 4 + 2);
    while at.cmp(&(d.digits.len() as i64)) == Ordering::Less {
        groups.push((0..4).fold(0_u16, |g, i| g * 10 + u16::from(d.digit(at + i))));
        at += 4;
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, limits: Option<(u16, u16)>) -> Result<String, ValueError> {
        let canonical = parse(text.as_bytes())?.limited(limits)?.canonical()?;
        Ok(String::from_utf8(canonical).unwrap())
    }

    #[test]
    fn keeps_the_scale_and_takes_exponents() {
        for (given, wanted) in [
            ("1.0", "1.0"),
            ("1e2", "100"),
            ("1.50e1", "15.0"),
            ("1e-3", "0.001"),
            ("-0.00", "0.00"),
            (" +007 ", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("0e200000", "0"),
            ("-inf", "-Infinity"),
            ("nan", "NaN"),
        ] {
            assert_eq!(shown(given, None).as_deref(), Ok(wanted), "{given}");
        }
    }

    #[test]
    fn rounds_half_away_from_zero_to_the_declared_scale() {
        assert_eq!(shown("0.995", Some((10, 2))).as_deref(), Ok("1.00"));
        assert_eq!(shown("-2.345", Some((10, 2))).as_deref(), Ok("-2.35"));
        assert_eq!(shown("0.004", Some((10, 2))).as_deref(), Ok("0.00"));
        assert_eq!(shown("0.005", Some((10, 2))).as_deref(), Ok("0.01"));
        assert_eq!(shown("1e-16383", Some((10, 2))).as_deref(), Ok("0.00"));
        assert_eq!(shown("1e-16384", Some((10, 2))), Err(ValueError::Range(NAME)));
        assert_eq!(shown("999.995", Some((5, 2))), Err(ValueError::Range("numeric field")));
        assert_eq!(shown("inf", Some((5, 2))), Err(ValueError::Range("numeric field")));
    }

    #[test]
    fn refuses_what_is_no_number_and_what_is_too_large() {
        for bad in ["", ".", "1e", "1 2", "0x1f", "1_0", "+nan", "1e+", "--1", "1.2.3"] {
            assert_eq!(shown(bad, None), Err(SYNTAX), "{bad}");
        }
        assert_eq!(shown("1e131072", None), Err(ValueError::Range(NAME)));
        assert!(shown("1e131071", None).is_ok());
        assert_eq!(shown("1e-16384", None), Err(ValueError::Range(NAME)));
    }
}
