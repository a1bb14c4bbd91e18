//! integer, bigint and smallint.

use super::{ValueError, fixed, trim};
use crate::policy::model::Declared;

/// White space, an optional sign, decimal digits, white space (`int4in`, before Postgres 16: no
/// `0x1F`, no `1_000`, which an older server would refuse).
pub(super) fn parse(bytes: &[u8], name: &'static str) -> Result<i64, ValueError> {
    let syntax = ValueError::Syntax(name, "22P02");
    let text = std::str::from_utf8(trim(bytes)).map_err(|_| syntax.clone())?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(syntax);
    }
    text.parse().map_err(|_| ValueError::Range(name))
}

/// Text form of an integer type of that many bytes.
pub(super) fn parse_width(bytes: &[u8], width: usize) -> Result<i64, ValueError> {
    let (name, bits) = match width {
        2 => ("smallint", 16),
        4 => ("integer", 32),
        _ => ("bigint", 64),
    };
    let value = parse(bytes, name)?;
    let limit = i64::MAX >> (64 - bits);
    if value > limit || value < -limit - 1 { Err(ValueError::Range(name)) } else { Ok(value) }
}

/// Binary form of an integer type of that many bytes.
pub(super) fn read_binary(bytes: &[u8], width: usize) -> Result<i64, ValueError> {
    Ok(match width {
        2 => i64::from(i16::from_be_bytes(fixed(bytes, "smallint")?)),
        4 => i64::from(i32::from_be_bytes(fixed(bytes, "integer")?)),
        _ => i64::from_be_bytes(fixed(bytes, "bigint")?),
    })
}

fn value(canonical: &[u8]) -> Result<i64, ValueError> {
    Ok(i64::from_be_bytes(fixed(canonical, "bigint")?))
}

pub(super) fn write_text(canonical: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    out.extend_from_slice(value(canonical)?.to_string().as_bytes());
    Ok(())
}

pub(super) fn write_binary(
    canonical: &[u8],
    declared: Declared,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let value = value(canonical)?;
    if declared == Declared::Integer {
        let narrow = i32::try_from(value).map_err(|_| ValueError::Range("integer"))?;
        out.extend_from_slice(&narrow.to_be_bytes());
    } else {
        out.extend_from_slice(&value.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_postgres_15_reads() {
        assert_eq!(parse(b" \t+42\n", "integer"), Ok(42));
        assert_eq!(parse(b"-9223372036854775808", "bigint"), Ok(i64::MIN));
        assert_eq!(parse(b"9223372036854775808", "bigint"), Err(ValueError::Range("bigint")));
        for bad in ["", " ", "+", "1 2", "0x1f", "1_000", "1.0", "--1"] {
            assert_eq!(
                parse(bad.as_bytes(), "integer"),
                Err(ValueError::Syntax("integer", "22P02")),
                "{bad}"
            );
        }
        assert_eq!(parse_width(b"32768", 2), Err(ValueError::Range("smallint")));
        assert_eq!(parse_width(b"-32768", 2), Ok(-32768));
    }
}
