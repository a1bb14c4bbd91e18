//! real and double precision, as far as they are assigned to integers and numerics.

use super::numeric::{self, Numeric};
use super::{Format, ValueError, fixed, trim};

/// Reads a float in either format. `single` is real.
pub(super) fn read(bytes: &[u8], format: Format, single: bool) -> Result<f64, ValueError> {
    let name = if single { "real" } else { "double precision" };
    if format == Format::Binary {
        return Ok(if single {
            f64::from(f32::from_be_bytes(fixed(bytes, name)?))
        } else {
            f64::from_be_bytes(fixed(bytes, name)?)
        });
    }
    let syntax = ValueError::Syntax(name, "22P02");
    let text = std::str::from_utf8(trim(bytes)).map_err(|_| syntax.clone())?;
    let value = match single {
        true => text.parse::<f32>().map(f64::from),
        false => text.parse::<f64>(),
    };
    match value {
        // A number too large reads as infinity here, and is an error there.
        Ok(v) if v.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) => Err(ValueError::Range(name)),
        Ok(v) => Ok(v),
        Err(_) => Err(syntax),
    }
}

/// Rounded to the nearest integer, ties to even (`dtoi8`).
pub(super) fn to_i64(value: f64, name: &'static str) -> Result<i64, ValueError> {
    let rounded = value.round_ties_even();
    // 2⁶³ is the first that doesn't fit; -2⁶³ does.
    let limit = 9_223_372_036_854_775_808.0;
    if rounded.is_nan() || rounded >= limit || rounded < -limit {
        return Err(ValueError::Range(name));
    }
    Ok(rounded as i64)
}

/// With the 15 (real: 6) significant digits that its type guarantees (`float8_numeric`).
pub(super) fn to_numeric(value: f64, single: bool) -> Result<Numeric, ValueError> {
    if value.is_nan() {
        return numeric::parse(b"NaN");
    }
    if value.is_infinite() {
        return numeric::parse(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    }
    let text = if single { format!("{value:.5e}") } else { format!("{value:.14e}") };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    numeric::parse(format!("{mantissa}e{exponent}").as_bytes())
}
