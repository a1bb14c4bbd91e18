//! Letters: `upper`, `lower`, and the character classes of regular expressions, as each provider has them.
//!
//! `C` knows ASCII only. The C library maps one character to one (`ß` stays). ICU maps whole texts by the full
//! mappings of the language (`ß` becomes `SS`, a Greek final sigma is kept apart).

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_locale_core::LanguageIdentifier;
use std::borrow::Cow;

/// Whose idea of letters it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pg::predicate) enum Ctype {
    /// `C`, `POSIX`
    Ascii,
    /// A locale of the C library, `C.UTF-8` among them. Turkic ones map `i` to `İ`.
    Libc { turkic: bool },
    /// ICU, with the language.
    Icu(LanguageIdentifier),
    /// The server's own `C.UTF-8` (from 17): simple mappings.
    BuiltinSimple,
    /// The server's own `PG_UNICODE_FAST` (from 18): full mappings of no language.
    BuiltinFull,
}

/// A class of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::pg::predicate) enum Class {
    Alpha,
    Alnum,
    Digit,
    Lower,
    Upper,
    Punct,
    Space,
    Graph,
    Print,
}

const MAPPER: CaseMapperBorrowed<'static> = CaseMapper::new();

impl Ctype {
    pub(in crate::pg::predicate) fn upper<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self {
            Self::Icu(language) => MAPPER.uppercase_to_string(text, language),
            Self::BuiltinFull => MAPPER.uppercase_to_string(text, &LanguageIdentifier::UNKNOWN),
            _ => self.each(text, Self::upper_char),
        }
    }

    pub(in crate::pg::predicate) fn lower<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self {
            Self::Icu(language) => MAPPER.lowercase_to_string(text, language),
            Self::BuiltinFull => MAPPER.lowercase_to_string(text, &LanguageIdentifier::UNKNOWN),
            _ => self.each(text, Self::lower_char),
        }
    }

    fn each<'a>(&self, text: &'a str, map: fn(&Self, char) -> char) -> Cow<'a, str> {
        if text.chars().all(|c| map(self, c) == c) {
            return Cow::Borrowed(text);
        }
        Cow::Owned(text.chars().map(|c| map(self, c)).collect())
    }

    /// One character of a regular expression, or of a text where each is mapped by itself.
    pub(in crate::pg::predicate) fn upper_char(&self, c: char) -> char {
        match self {
            Self::Ascii => c.to_ascii_uppercase(),
            Self::Libc { turkic: true } if c == 'i' => 'İ',
            _ => MAPPER.simple_uppercase(c),
        }
    }

    pub(in crate::pg::predicate) fn lower_char(&self, c: char) -> char {
        match self {
            Self::Ascii => c.to_ascii_lowercase(),
            Self::Libc { turkic: true } if c == 'I' => 'ı',
            _ => MAPPER.simple_lowercase(c),
        }
    }
}

impl Ctype {
    pub(in crate::pg::predicate) fn is_alnum(&self, c: char) -> bool {
        match self {
            Self::Ascii => c.is_ascii_alphanumeric(),
            _ => c.is_alphanumeric(),
        }
    }
}
