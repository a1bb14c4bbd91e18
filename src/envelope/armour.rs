//! The text form: `pv1.` and base64url without padding (SPEC §5; RFC 4648 §5). One spelling per envelope.

use base64_simd::{AsOut, URL_SAFE_NO_PAD};

use super::parse::{MAX_LEN, MIN_LEN};

/// What every armoured envelope starts with.
pub const ARMOUR_PREFIX: &str = "pv1.";

/// Why a text is not an armoured envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ArmourError {
    /// No `pv1.`, a foreign character, an impossible length, or loose bits at the end.
    #[error("not an armoured envelope")]
    Armour,
    /// Fewer bytes than an envelope has.
    #[error("too short for an envelope")]
    TooShort,
    /// More bytes than an envelope may have.
    #[error("too long for an envelope")]
    TooLong,
}

/// Characters that `n` envelope bytes take in a text column.
pub const fn armoured_len(n: usize) -> usize {
    ARMOUR_PREFIX.len() + n / 3 * 4 + [0, 2, 3][n % 3]
}

/// The text form of envelope bytes.
pub fn armour(envelope: &[u8]) -> String {
    let mut text = String::with_capacity(armoured_len(envelope.len()));
    text.push_str(ARMOUR_PREFIX);
    URL_SAFE_NO_PAD.encode_append(envelope, &mut text);
    text
}

/// Appends the text form (ASCII) to `out`.
pub fn armour_into(envelope: &[u8], out: &mut Vec<u8>) {
    out.reserve(armoured_len(envelope.len()));
    out.extend_from_slice(ARMOUR_PREFIX.as_bytes());
    URL_SAFE_NO_PAD.encode_append(envelope, out);
}

/// Envelope bytes of a text column's value. Strict: anything that [`armour`] doesn't write is refused.
pub fn dearmour(text: &[u8]) -> Result<Vec<u8>, ArmourError> {
    let mut out = Vec::new();
    dearmour_into(text, &mut out)?;
    Ok(out)
}

/// As [`dearmour`], appending to `out`; on an error `out` is as it was.
pub fn dearmour_into(text: &[u8], out: &mut Vec<u8>) -> Result<(), ArmourError> {
    let body = text.strip_prefix(ARMOUR_PREFIX.as_bytes()).ok_or(ArmourError::Armour)?;
    if body.len() > armoured_len(MAX_LEN) - ARMOUR_PREFIX.len() {
        return Err(ArmourError::TooLong);
    }
    let start = out.len();
    // As many bytes as this length of base64 gives; decoding refuses lengths of 1 modulo 4 itself.
    let len = body.len() / 4 * 3 + [0, 0, 1, 2][body.len() % 4];
    out.resize(start + len, 0);
    let read = match URL_SAFE_NO_PAD.decode(body, out[start..].as_out()) {
        Ok(bytes) if bytes.len() < MIN_LEN => Err(ArmourError::TooShort),
        Ok(bytes) if bytes.len() == len => Ok(()),
        Ok(_) | Err(_) => Err(ArmourError::Armour),
    };
    if read.is_err() {
        out.truncate(start);
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some(n: usize) -> Vec<u8> {
        (0..n).map(|at| u8::try_from(at * 7 % 256).unwrap()).collect()
    }

    #[test]
    fn comes_back_and_has_the_length_that_it_says() {
        for n in MIN_LEN..MIN_LEN + 10 {
            let text = armour(&some(n));
            assert_eq!(text.len(), armoured_len(n));
            assert_eq!(dearmour(text.as_bytes()).unwrap(), some(n));
            let mut out = b"x".to_vec();
            armour_into(&some(n), &mut out);
            assert_eq!(out, [b"x", text.as_bytes()].concat());
        }
        assert_eq!(armoured_len(50), 71);
        assert_eq!(armoured_len(58), 82);
    }

    #[test]
    fn refuses_every_other_spelling() {
        let text = armour(&some(58));
        let bad = |text: String| assert_eq!(dearmour(text.as_bytes()), Err(ArmourError::Armour), "{text}");
        bad(text.replacen("pv1", "PV1", 1));
        bad(text.replacen("pv1", "pv2", 1));
        bad(text.replacen("pv1.", "", 1));
        bad(format!(" {text}"));
        bad(format!("{text}\n"));
        bad(format!("{text}="));
        bad(format!("{text}=="));
        bad(format!("{text}\0"));
        bad(format!("{text}AAA"));
        for foreign in ['+', '/', ' ', '\n', '.', 'é'] {
            bad(format!("{}{foreign}{}", &text[..20], &text[21..]));
        }
    }

    /// 50 bytes leave 4 unused bits in the last character, 49 + 2 bytes leave 2: they must be zero.
    #[test]
    fn refuses_loose_bits_at_the_end() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for n in [50, 52, 53, 55, 56] {
            let text = armour(&some(n));
            let (head, last) = text.split_at(text.len() - 1);
            let accepted: Vec<_> = alphabet
                .chars()
                .filter(|other| {
                    let spelt = format!("{head}{other}");
                    dearmour(spelt.as_bytes()).is_ok_and(|bytes| bytes == some(n))
                        && *other != last.chars().next().unwrap()
                })
                .collect();
            assert!(accepted.is_empty(), "{n} bytes also read from {accepted:?}");
        }
    }

    #[test]
    fn refuses_texts_too_short_for_an_envelope() {
        assert_eq!(dearmour(b"pv1."), Err(ArmourError::TooShort));
        assert_eq!(dearmour(armour(&some(49)).as_bytes()), Err(ArmourError::TooShort));
        assert_eq!(dearmour(b""), Err(ArmourError::Armour));
        assert_eq!(dearmour(b"Lovelace"), Err(ArmourError::Armour));
    }

    #[test]
    fn leaves_the_output_alone_on_an_error() {
        let mut out = b"x".to_vec();
        assert!(dearmour_into(b"pv1.!!!!", &mut out).is_err());
        assert!(dearmour_into(armour(&some(49)).as_bytes(), &mut out).is_err());
        assert_eq!(out, b"x");
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_the_one_spelling(body in "[A-Za-z0-9_-]{60,120}") {
            let text = format!("pv1.{body}");
            if let Ok(bytes) = dearmour(text.as_bytes()) {
                prop_assert_eq!(armour(&bytes), text);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = dearmour(&bytes);
        }
    }
}
