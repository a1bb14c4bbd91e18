//! The canonical form of each kind of value (SPEC §3). One value, one spelling.

use crate::clear::Kind;
use serde::de::IgnoredAny;

/// Postgres's limits of `numeric` (manual, 8.1.2).
const MAX_WHOLE: usize = 131_072;
const MAX_SCALE: usize = 16_383;

/// Days since 2000-01-01 that Postgres's `date` holds: 4713-11-24 BC to 5874897-12-31.
const DATES: std::ops::RangeInclusive<i32> = -2_451_545..=2_145_031_948;

/// Microseconds since 2000-01-01 UTC that Postgres's `timestamptz` holds: to the end of 294276.
const TIMES: std::ops::RangeInclusive<i64> = -211_813_488_000_000_000..=9_223_371_331_199_999_999;

/// Whether `value` is in the canonical form of `kind`.
pub fn is_canonical(kind: Kind, value: &[u8]) -> bool {
    match kind {
        Kind::Text => value.is_ascii() || std::str::from_utf8(value).is_ok(),
        Kind::Bytes => true,
        Kind::Bool => matches!(value, [0 | 1]),
        Kind::Int => value.len() == 8,
        Kind::Numeric => is_numeric(value),
        Kind::Date => value.try_into().is_ok_and(|bytes| {
            let days = i32::from_be_bytes(bytes);
            DATES.contains(&days) || days == i32::MAX || days == i32::MIN
        }),
        Kind::Timestamptz => value.try_into().is_ok_and(|bytes| {
            let micros = i64::from_be_bytes(bytes);
            TIMES.contains(&micros) || micros == i64::MAX || micros == i64::MIN
        }),
        Kind::Uuid => value.len() == 16,
        Kind::Jsonb => is_jsonb(value),
    }
}

/// The most bytes that a canonical value of a kind of bounded length has; `None` for the others.
/// Tells how wide a column must be.
pub const fn max_len(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Bool => Some(1),
        Kind::Date => Some(4),
        Kind::Int | Kind::Timestamptz => Some(8),
        Kind::Uuid => Some(16),
        Kind::Text | Kind::Bytes | Kind::Numeric | Kind::Jsonb => None,
    }
}

fn is_numeric(value: &[u8]) -> bool {
    if matches!(value, b"NaN" | b"Infinity" | b"-Infinity") {
        return true;
    }
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let (whole, fraction) = match digits.iter().position(|byte| *byte == b'.') {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let all_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let zero = || digits.iter().all(|byte| matches!(byte, b'0' | b'.'));
    all_digits(whole)
        && (whole.len() == 1 || whole[0] != b'0')
        && whole.len() <= MAX_WHOLE
        && fraction.is_none_or(|fraction| all_digits(fraction) && fraction.len() <= MAX_SCALE)
        && !(negative && zero())
}

fn is_jsonb(value: &[u8]) -> bool {
    let space = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_whitespace);
    std::str::from_utf8(value).is_ok()
        && !space(value.first())
        && !space(value.last())
        && serde_json::from_slice::<IgnoredAny>(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(kind: Kind, values: &[&[u8]]) {
        for value in values {
            assert!(is_canonical(kind, value), "{kind:?} should take {}", value.escape_ascii());
        }
    }

    fn bad(kind: Kind, values: &[&[u8]]) {
        for value in values {
            assert!(!is_canonical(kind, value), "{kind:?} should refuse {}", value.escape_ascii());
        }
    }

    #[test]
    fn text_is_utf_8() {
        good(Kind::Text, &[b"", b"a", "Zoë 🦊".as_bytes(), b" kept "]);
        bad(Kind::Text, &[b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"]);
    }

    #[test]
    fn bytes_are_any_bytes() {
        good(Kind::Bytes, &[b"", b"\xff\x00"]);
    }

    #[test]
    fn bool_is_one_byte_zero_or_one() {
        good(Kind::Bool, &[&[0], &[1]]);
        bad(Kind::Bool, &[&[], &[2], &[255], &[0, 0], b"t"]);
    }

    #[test]
    fn numbers_and_ids_have_their_exact_length() {
        good(Kind::Int, &[&i64::MIN.to_be_bytes()]);
        bad(Kind::Int, &[&[], &[0; 4], &[0; 7], &[0; 9]]);
        good(Kind::Uuid, &[&[0; 16]]);
        bad(Kind::Uuid, &[&[], &[0; 15], &[0; 17]]);
    }

    #[test]
    fn numeric_has_one_spelling_and_keeps_its_scale() {
        good(
            Kind::Numeric,
            &[b"0", b"0.00", b"-12.50", b"1", b"100", b"-0.01", b"NaN", b"Infinity", b"-Infinity"],
        );
        bad(
            Kind::Numeric,
            &[b"", b"-", b".", b"1.", b".5", b"+1", b"007", b"00", b"-0", b"-0.00", b"1e3", b" 1", b"1 "],
        );
        bad(
            Kind::Numeric,
            &[b"1.2.3", b"--1", b"nan", b"-NaN", b"inf", b"0x1F", b"1_000", "١".as_bytes(), b"1\n"],
        );
    }

    #[test]
    fn numeric_stops_at_the_limits_of_postgres() {
        let digits = |n| "1".repeat(n);
        good(Kind::Numeric, &[format!("-{}.{}", digits(MAX_WHOLE), digits(MAX_SCALE)).as_bytes()]);
        bad(
            Kind::Numeric,
            &[digits(MAX_WHOLE + 1).as_bytes(), format!("0.{}", digits(MAX_SCALE + 1)).as_bytes()],
        );
    }

    #[test]
    fn dates_and_times_stop_at_the_limits_of_postgres() {
        for days in [*DATES.start(), 0, *DATES.end(), i32::MAX, i32::MIN] {
            good(Kind::Date, &[&days.to_be_bytes()]);
        }
        for days in [*DATES.start() - 1, *DATES.end() + 1, i32::MAX - 1, i32::MIN + 1] {
            bad(Kind::Date, &[&days.to_be_bytes()]);
        }
        for micros in [*TIMES.start(), 0, *TIMES.end(), i64::MAX, i64::MIN] {
            good(Kind::Timestamptz, &[&micros.to_be_bytes()]);
        }
        for micros in [*TIMES.start() - 1, *TIMES.end() + 1, i64::MAX - 1, i64::MIN + 1] {
            bad(Kind::Timestamptz, &[&micros.to_be_bytes()]);
        }
        bad(Kind::Date, &[&[], &[0; 3], &[0; 8]]);
        bad(Kind::Timestamptz, &[&[], &[0; 4], &[0; 9]]);
    }

    #[test]
    fn jsonb_is_json_text_without_space_around() {
        good(
            Kind::Jsonb,
            &[
                b"null",
                b"\"x\"",
                br#"{"a": [1, 2.50, true], "b": "\u0001"}"#,
                b"1e400",
                b"12345678901234567890.10",
            ],
        );
        bad(
            Kind::Jsonb,
            &[
                b"",
                b" 1",
                b"1 ",
                b"1\n",
                b"{",
                b"{\"a\"}",
                b"nul",
                b"01",
                b"1 2",
                b"\"\xff\"",
                b"\"\x01\"",
                b"NaN",
            ],
        );
    }

    #[test]
    fn deep_json_does_not_exhaust_the_stack() {
        let deep = [vec![b'['; 200_000], vec![b']'; 200_000]].concat();
        good(Kind::Jsonb, &[&deep]);
        bad(Kind::Jsonb, &[&deep[1..]]);
    }

    #[test]
    fn bounded_kinds_say_their_length() {
        for kind in (0..=255).filter_map(Kind::from_byte) {
            let Some(n) = max_len(kind) else { continue };
            good(kind, &[&vec![0; n]]);
            bad(kind, &[&vec![0; n + 1]]);
        }
    }
}
