//! Tokens: made at random, read strictly.

use crate::crypto::random;
use crate::fault::{Fault, sqlstate};
use crate::policy::model::TokenKind;
use std::fmt;
use uuid::{Builder, Uuid, Variant, Version};

const PREFIX: &str = "psn_";
/// RFC 2606 §2: nothing is ever delivered there.
const SUFFIX: &str = "@p.invalid";
/// RFC 2606 §3: nor there, and it ends in a top-level domain that exists.
const MAILBOX: &str = "@p.example.com";
/// RFC 4648 §6 in lower case: no 0, 1, 8, 9 to be misread.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 26 × 5 = 130 bits.
const RANDOM: usize = 26;

/// A token in its column's text form. Only made by [`Token::random`] and [`Token::parse`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(Box<str>);

/// A stored value that is not a token of its column's kind. Never holds the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is not a token of its column's kind")]
pub struct TokenError;

impl Fault for TokenError {
    fn sqlstate(&self) -> &'static str {
        sqlstate::NOT_AUTHENTIC
    }
}

impl Token {
    /// A fresh token. Integers can meet an issued one (63 bits): allocation inserts under UNIQUE and tries
    /// again; for the others nobody need count on it, but the same loop serves.
    pub fn random(kind: TokenKind) -> Self {
        let text = match kind {
            TokenKind::Text => body(String::from(PREFIX)),
            TokenKind::Email => body(String::from(PREFIX)) + SUFFIX,
            TokenKind::Mailbox => body(String::from(PREFIX)) + MAILBOX,
            TokenKind::Uuid => Builder::from_random_bytes(random()).into_uuid().hyphenated().to_string(),
            TokenKind::Integer => positive().to_string(),
        };
        Self(text.into_boxed_str())
    }

    /// Reads a stored token; accepts exactly what [`Token::random`] can make.
    pub fn parse(kind: TokenKind, text: &str) -> Result<Self, TokenError> {
        let valid = match kind {
            TokenKind::Text => text.strip_prefix(PREFIX).is_some_and(is_body),
            TokenKind::Email => is_address(text, SUFFIX),
            TokenKind::Mailbox => is_address(text, MAILBOX),
            TokenKind::Uuid => is_uuid(text),
            TokenKind::Integer => is_positive(text),
        };
        if valid { Ok(Self(Box::from(text))) } else { Err(TokenError) }
    }

    /// The column's text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the text form away.
    pub fn into_boxed_str(self) -> Box<str> {
        self.0
    }
}

/// A token singles out a person as long as its holder lives: it stays out of logs.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

/// The most characters that a token of `kind` has, so that a policy can tell a column that is too narrow.
pub const fn max_token_len(kind: TokenKind) -> usize {
    match kind {
        TokenKind::Text => PREFIX.len() + RANDOM,
        TokenKind::Email => PREFIX.len() + RANDOM + SUFFIX.len(),
        TokenKind::Mailbox => PREFIX.len() + RANDOM + MAILBOX.len(),
        TokenKind::Uuid => 36,
        TokenKind::Integer => 19,
    }
}

/// Appends 130 random bits. Each byte gives five: 256 is a multiple of 32, so all are equally likely.
fn body(mut text: String) -> String {
    text.extend(random::<RANDOM>().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])));
    text
}

fn is_body(text: &str) -> bool {
    text.len() == RANDOM && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

fn is_address(text: &str, suffix: &str) -> bool {
    text.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(suffix)).is_some_and(is_body)
}

/// 1 to 2^63 - 1, each equally likely.
fn positive() -> i64 {
    loop {
        let number = i64::from_be_bytes(random()) & i64::MAX;
        if number > 0 {
            return number;
        }
    }
}

fn is_positive(text: &str) -> bool {
    text.parse::<i64>().is_ok_and(|number| number > 0 && number.to_string() == text)
}

fn is_uuid(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|uuid| {
        uuid.get_version() == Some(Version::Random)
            && uuid.get_variant() == Variant::RFC4122
            && uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const KINDS: [TokenKind; 5] =
        [TokenKind::Text, TokenKind::Email, TokenKind::Mailbox, TokenKind::Uuid, TokenKind::Integer];

    fn accepts(kind: TokenKind, text: &str) -> bool {
        Token::parse(kind, text).is_ok()
    }

    #[test]
    fn fresh_tokens_read_as_their_own_kind_only() {
        for kind in KINDS {
            for _ in 0..200 {
                let token = Token::random(kind);
                assert_eq!(Token::parse(kind, token.as_str()), Ok(token.clone()));
                assert!(token.as_str().len() <= max_token_len(kind));
                for other in KINDS.into_iter().filter(|other| *other != kind) {
                    assert!(!accepts(other, token.as_str()), "{kind:?} read as {other:?}");
                }
            }
        }
    }

    #[test]
    fn tokens_have_one_case() {
        for kind in KINDS {
            let token = Token::random(kind);
            assert_eq!(token.as_str().to_lowercase(), token.as_str());
            assert!(kind == TokenKind::Integer || !accepts(kind, &token.as_str().to_uppercase()));
        }
    }

    #[test]
    fn tokens_do_not_repeat() {
        for kind in KINDS {
            let seen: HashSet<_> = (0..2_000).map(|_| Token::random(kind)).collect();
            assert_eq!(seen.len(), 2_000);
        }
    }

    #[test]
    fn text_and_email_have_130_random_bits() {
        assert_eq!(max_token_len(TokenKind::Text), 30);
        assert_eq!(max_token_len(TokenKind::Email), 40);
        let letters: HashSet<u8> =
            (0..200).flat_map(|_| Token::random(TokenKind::Text).as_str().as_bytes()[4..].to_vec()).collect();
        assert_eq!(letters.len(), 32);
    }

    #[test]
    fn refuses_other_spellings_of_text_and_email() {
        let body = "a".repeat(26);
        assert!(accepts(TokenKind::Text, &format!("psn_{body}")));
        assert!(accepts(TokenKind::Email, &format!("psn_{body}@p.invalid")));
        assert!(accepts(TokenKind::Mailbox, &format!("psn_{body}@p.example.com")));
        for text in [
            String::new(),
            "psn_".into(),
            body.clone(),
            format!("psn_{body}a"),
            format!("psn_{}", &body[1..]),
            format!("PSN_{body}"),
            format!("psn_{}1", &body[1..]),
            format!("psn_{}A", &body[1..]),
            format!(" psn_{body}"),
            format!("psn_{body} "),
            format!("psn_{body}@P.invalid"),
            format!("psn_{body}@p.invalid."),
            format!("psn_{body}@p.example.com."),
            format!("psn_{body}@example.com"),
        ] {
            assert!(!accepts(TokenKind::Text, &text), "{text}");
            assert!(!accepts(TokenKind::Email, &text), "{text}");
            assert!(!accepts(TokenKind::Mailbox, &text), "{text}");
        }
    }

    #[test]
    fn refuses_uuids_of_other_versions_and_spellings() {
        assert!(accepts(TokenKind::Uuid, "2f1c6e5a-9b3d-4c7e-8a1f-0123456789ab"));
        for text in [
            "2F1C6E5A-9B3D-4C7E-8A1F-0123456789AB",
            "2f1c6e5a9b3d4c7e8a1f0123456789ab",
            "{2f1c6e5a-9b3d-4c7e-8a1f-0123456789ab}",
            "urn:uuid:2f1c6e5a-9b3d-4c7e-8a1f-0123456789ab",
            "2f1c6e5a-9b3d-1c7e-8a1f-0123456789ab",
            "2f1c6e5a-9b3d-4c7e-ca1f-0123456789ab",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert!(!accepts(TokenKind::Uuid, text), "{text}");
        }
    }

    #[test]
    fn integers_are_positive_and_canonical() {
        assert!(accepts(TokenKind::Integer, "1"));
        assert!(accepts(TokenKind::Integer, "9223372036854775807"));
        for text in ["", "0", "-1", "+1", "01", " 1", "1.0", "9223372036854775808", "1e3"] {
            assert!(!accepts(TokenKind::Integer, text), "{text}");
        }
    }

    #[test]
    fn debug_does_not_show_the_token() {
        assert_eq!(format!("{:?}", Token::random(TokenKind::Text)), "[token]");
    }
}
