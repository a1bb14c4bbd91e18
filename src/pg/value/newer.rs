//! Spellings of numbers that came with Postgres 16: `1_000`, `0x1F`, `0o17`, `0b11` (manual, chapter 4.1.2.6).

use zeroize::Zeroizing;

/// The server version that reads them.
const SINCE: u16 = 16;
/// More digits of another base are not turned into decimal ones, which takes their square in time.
const LONGEST: usize = 1_024;

/// Such a number in plain decimal digits; none where it is one already, where the server doesn't read it, and where it is
/// no number: then the text itself is read, or refused.
pub(super) fn plain(text: &[u8], server: u16) -> Option<Zeroizing<Vec<u8>>> {
    if server < SINCE {
        return None;
    }
    let text = super::trim(text);
    let signed = text.first().is_some_and(|b| matches!(b, b'+' | b'-'));
    let (sign, digits) = text.split_at(usize::from(signed));
    let base = match digits {
        [b'0', b'x' | b'X', ..] => 16,
        [b'0', b'o' | b'O', ..] => 8,
        [b'0', b'b' | b'B', ..] => 2,
        _ if digits.contains(&b'_') => return without_underscores(text),
        _ => return None,
    };
    let decimal = decimal(digits.get(2..)?, base)?;
    let mut out = Zeroizing::new(sign.to_vec());
    out.extend(decimal.iter().rev().map(|d| b'0' + d));
    Some(out)
}

/// Each underscore stands between two digits.
fn without_underscores(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |at: Option<usize>| at.and_then(|i| text.get(i)).is_some_and(u8::is_ascii_digit);
    let lone = |at: usize| text[at] == b'_' && !(digit(at.checked_sub(1)) && digit(Some(at + 1)));
    if (0..text.len()).any(lone) {
        return None;
    }
    Some(Zeroizing::new(text.iter().copied().filter(|b| *b != b'_').collect()))
}

/// Decimal digits, the last one first. Underscores stand before digits.
fn decimal(digits: &[u8], base: u32) -> Option<Zeroizing<Vec<u8>>> {
    if digits.is_empty() || digits.len() > LONGEST {
        return None;
    }
    let mut out = Zeroizing::new(vec![0_u8]);
    let mut bytes = digits.iter();
    while let Some(mut byte) = bytes.next() {
        if *byte == b'_' {
            byte = bytes.next()?;
        }
        let mut carry = char::from(*byte).to_digit(base)?;
        for place in out.iter_mut() {
            carry += u32::from(*place) * base;
            *place = u8::try_from(carry % 10).ok()?;
            carry /= 10;
        }
        while carry > 0 {
            out.push(u8::try_from(carry % 10).ok()?);
            carry /= 10;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<String> {
        plain(text.as_bytes(), 18).map(|p| String::from_utf8(p.to_vec()).unwrap())
    }

    #[test]
    fn newer_spellings_are_written_in_decimal_digits() {
        for (text, expected) in [
            ("0x1F", "31"),
            (" -0X_1f ", "-31"),
            ("0o17", "15"),
            ("+0b1_01", "+5"),
            ("0xFFFFFFFFFFFFFFFFFFFF", "1208925819614629174706175"),
            ("0x0", "0"),
            ("1_000", "1000"),
            ("-1_0.2_5e1_0", "-10.25e10"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_left_as_it_is() {
        for text in [
            "", "-", "12", "_1", "1_", "1__0", "1_.5", "1._5", "0x", "0x_", "0x1__0", "0b2", "0xg", "1e_5",
            "1 000",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(plain(b"0x1F", 15).is_none() && plain(b"1_000", 0).is_none());
    }
}
