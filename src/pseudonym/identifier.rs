//! Identifiers: what a token stands for, in the forms that it is looked up by.
//!
//! * **exact**: the bytes as written; for a field with `normalise`, [`normalise`] of them.
//! * **folded**: [`fold`] of the exact form, for `lower(x) = lower(…)` and `upper(x) = upper(…)`.
//!
//! No Unicode normalisation (NFC) takes place: `é` as one code point and as two are two identifiers, as
//! they are two strings to Postgres.

use crate::fault::{Fault, sqlstate};
use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroizing;

/// Longest identifier, in bytes as written.
pub const MAX_IDENTIFIER: usize = 1024;

/// An identifier that can't be tokenised. Never holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// More than 1024 bytes.
    #[error("an identifier has at most 1024 bytes")]
    TooLong,
    /// Bytes that are no UTF-8 text.
    #[error("an identifier must be UTF-8 text")]
    NotText,
}

impl Fault for IdentifierError {
    fn sqlstate(&self) -> &'static str {
        match self {
            Self::TooLong => sqlstate::TOO_LONG,
            Self::NotText => sqlstate::INVALID_TEXT,
        }
    }

    fn advice(&self) -> Cow<'static, str> {
        Cow::Borrowed(
            "encrypt the field instead of giving it a pseudonym, if its values are no short identifiers",
        )
    }
}

/// An identifier in its exact form. Zeroised when dropped, never printed, never cloned.
#[derive(PartialEq, Eq)]
pub struct Identifier(Zeroizing<String>);

impl Identifier {
    /// Reads an identifier as a client wrote it; `normalised` is the field's own setting.
    ///
    /// `Ok(None)` is the empty string, or one that normalises to it: it is not tokenised, but stored and
    /// compared as the empty string. (It names nobody, and `CHECK (x <> '')` and `x = ''` go on working.)
    pub fn read(written: &str, normalised: bool) -> Result<Option<Self>, IdentifierError> {
        if written.len() > MAX_IDENTIFIER {
            return Err(IdentifierError::TooLong);
        }
        let exact = Zeroizing::new(if normalised { normalise(written) } else { String::from(written) });
        Ok((!exact.is_empty()).then_some(Self(exact)))
    }

    /// [`Identifier::read`] of bytes.
    pub fn read_bytes(written: &[u8], normalised: bool) -> Result<Option<Self>, IdentifierError> {
        if written.len() > MAX_IDENTIFIER {
            return Err(IdentifierError::TooLong);
        }
        Self::read(std::str::from_utf8(written).map_err(|_| IdentifierError::NotText)?, normalised)
    }

    /// What [`crate::keys::LookupKey::exact`] takes.
    pub fn exact(&self) -> &str {
        &self.0
    }

    /// What [`crate::keys::LookupKey::fold`] takes.
    pub fn folded(&self) -> Zeroizing<String> {
        Zeroizing::new(fold(&self.0))
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[identifier]")
    }
}

/// Trims white space (Unicode `White_Space`) and lower-cases (Unicode, full mapping: `Σ` at the end of a
/// word becomes `ς`). For fields with `normalise = true`.
///
/// Applying it twice changes nothing more.
pub fn normalise(text: &str) -> String {
    text.trim().to_lowercase()
}

/// The form in which `lower()` and `upper()` comparisons are decided: each character's simple lower case of
/// its simple upper case. `Bob`, `BOB` and `bob` fold alike; so do `ς`, `σ`, `Σ`, as under `upper()`.
///
/// Simple mappings are those of one character to one, which is what Postgres's libc and builtin providers use
/// for `lower()` and `upper()`; a character whose mapping is longer stays as it is. So `straße` and `STRASSE`
/// stay two (as in Postgres), and `İ` stays apart from `i`: where locales disagree, nobody is taken for
/// somebody else. Two letters that Postgres takes for one are taken for one here as well, notably `ı` and
/// `i`, which share the upper case `I`: an application that looks people up by `upper()` has to compare
/// the address that it found with the one that was typed, with this gateway or without.
pub fn fold(text: &str) -> String {
    // No mapping more than doubles a character's bytes: no growing, which would leave clear copies behind.
    let mut folded = String::with_capacity(2 * text.len());
    folded.extend(text.chars().map(|c| {
        let upper = simple(c, c.to_uppercase());
        simple(upper, upper.to_lowercase())
    }));
    folded
}

/// The mapping's one character, or `c` itself where it has several.
fn simple(c: char, mut mapping: impl Iterator<Item = char>) -> char {
    match (mapping.next(), mapping.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(text: &str, normalised: bool) -> Option<String> {
        Identifier::read(text, normalised).unwrap().map(|identifier| identifier.exact().to_owned())
    }

    #[test]
    fn is_byte_exact_unless_the_field_normalises() {
        assert_eq!(exact(" Bob@Example.org ", false).unwrap(), " Bob@Example.org ");
        assert_eq!(exact(" Bob@Example.org\t", true).unwrap(), "bob@example.org");
        assert_eq!(exact("ÉLODIE\u{a0}", true).unwrap(), "élodie");
    }

    #[test]
    fn the_empty_string_is_not_tokenised() {
        assert_eq!(exact("", false), None);
        assert_eq!(exact("", true), None);
        assert_eq!(exact(" \t", true), None);
        assert_eq!(exact(" ", false).unwrap(), " ");
    }

    #[test]
    fn refuses_what_is_too_long_or_no_text() {
        assert!(Identifier::read(&"x".repeat(1024), false).is_ok());
        assert_eq!(Identifier::read(&"x".repeat(1025), false), Err(IdentifierError::TooLong));
        assert_eq!(Identifier::read(&"é".repeat(513), true), Err(IdentifierError::TooLong));
        assert_eq!(Identifier::read_bytes(b"\xff", false), Err(IdentifierError::NotText));
        assert_eq!(Identifier::read_bytes(&[b'x'; 1025], false), Err(IdentifierError::TooLong));
        assert_eq!(Identifier::read_bytes(b"x", false).unwrap().unwrap().exact(), "x");
    }

    #[test]
    fn folds_cases_together() {
        for text in ["bob", "BOB", "Bob", "bOb"] {
            assert_eq!(fold(text), "bob");
        }
        assert_eq!(fold("ÉLODIE"), fold("élodie"));
        assert_eq!(fold("ΟΔΟΣ"), fold("οδος"));
        assert_eq!(fold("ЖЕНЯ"), fold("женя"));
        assert_ne!(fold("bob"), fold("bob "));
        assert_ne!(fold("elodie"), fold("élodie"));
    }

    #[test]
    fn folds_special_letters_as_documented() {
        assert_ne!(fold("straße"), fold("STRASSE"));
        assert_eq!(fold("straße"), "straße");
        assert_ne!(fold("İ"), fold("i"));
        assert_eq!(fold("ı"), fold("i"));
        assert_eq!(fold("ﬁ"), "ﬁ");
    }

    /// U+023A takes two bytes, its lower case U+2C65 three.
    #[test]
    fn folds_texts_that_grow() {
        let grown = fold(&"Ⱥ".repeat(300));
        assert_eq!(grown, "ⱥ".repeat(300));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Identifier::read("bob", false)), "Ok(Some([identifier]))");
    }

    #[test]
    fn every_letter_folds_with_its_simple_upper_and_lower_case() {
        for c in '\0'..=char::MAX {
            let (upper, lower) = (simple(c, c.to_uppercase()), simple(c, c.to_lowercase()));
            let folded = fold(&c.to_string());
            assert_eq!(fold(&upper.to_string()), folded, "upper case of {c:?}");
            assert_eq!(fold(&lower.to_string()), folded, "lower case of {c:?}");
            assert!(folded.len() <= 2 * c.len_utf8(), "{c:?} more than doubles");
        }
    }

    proptest! {
        #[test]
        fn normalising_is_idempotent(text in "\\PC{0,40}") {
            let once = normalise(&text);
            prop_assert_eq!(normalise(&once), once);
        }

        #[test]
        fn folding_is_idempotent(text in "\\PC{0,40}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn ascii_folds_as_ascii(text in "[ -~]{0,40}") {
            prop_assert_eq!(fold(&text), text.to_ascii_lowercase());
        }
    }
}
