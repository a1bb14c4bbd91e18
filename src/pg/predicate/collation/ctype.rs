//! Letters: `upper`, `lower`, and the character classes of regular expressions, as each provider has them.
//!
//! `C` knows ASCII only. The C library maps one character to one (`ß` stays). ICU maps whole texts by the full
//! mappings of the language (`ß` becomes `SS`, a Greek final sigma is kept apart).

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_locale_core::LanguageIdentifier;
use icu_properties::props::{
    Alphabetic, GeneralCategory, GeneralCategoryGroup, Lowercase, Uppercase, WhiteSpace,
};
use icu_properties::{CodePointMapData, CodePointSetData};
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

/// A class of characters whose members differ between providers.
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
        let mut out = String::with_capacity(text.len() * 2);
        out.extend(text.chars().map(|c| map(self, c)));
        Cow::Owned(out)
    }

    /// One character of a regular expression, or of a text where each is mapped by itself.
    pub(in crate::pg::predicate) fn upper_char(&self, c: char) -> char {
        match self {
            Self::Ascii => c.to_ascii_uppercase(),
            Self::Libc { turkic: true } if c == 'i' => 'İ',
            _ if c.is_ascii() => c.to_ascii_uppercase(),
            _ => MAPPER.simple_uppercase(c),
        }
    }

    /// See [`Ctype::upper_char`].
    pub(in crate::pg::predicate) fn lower_char(&self, c: char) -> char {
        match self {
            Self::Ascii => c.to_ascii_lowercase(),
            Self::Libc { turkic: true } if c == 'I' => 'ı',
            _ if c.is_ascii() => c.to_ascii_lowercase(),
            _ => MAPPER.simple_lowercase(c),
        }
    }

    /// A letter or digit, for the words of `initcap` and of `\y`.
    pub(in crate::pg::predicate) fn is_alnum(&self, c: char) -> bool {
        self.is(Class::Alnum, c)
    }

    /// Whether the character is of the class.
    pub(in crate::pg::predicate) fn is(&self, class: Class, c: char) -> bool {
        // ICU's punctuation has no signs such as `$`, and its white space has the separators U+001C to U+001F.
        let own = matches!(self, Self::Icu(_)) && matches!(class, Class::Punct | Class::Space);
        if c.is_ascii() && !own {
            return is_ascii(class, c);
        }
        match self {
            Self::Ascii => false,
            Self::Libc { .. } => is_libc(class, c),
            Self::Icu(_) => is_icu(class, c),
            Self::BuiltinSimple => is_builtin(class, c, true),
            Self::BuiltinFull => is_builtin(class, c, false),
        }
    }

    /// The characters of the class, as ranges in ascending order.
    pub(in crate::pg::predicate) fn members(&self, class: Class) -> Vec<(char, char)> {
        let last = if *self == Self::Ascii { '\u{7f}' } else { char::MAX };
        let mut ranges: Vec<(char, char)> = Vec::new();
        for c in ('\0'..=last).filter(|c| self.is(class, *c)) {
            match ranges.last_mut() {
                Some(range) if next(range.1) == Some(c) => range.1 = c,
                _ => ranges.push((c, c)),
            }
        }
        ranges
    }
}

fn next(c: char) -> Option<char> {
    char::from_u32(u32::from(c) + 1)
}

fn is_ascii(class: Class, c: char) -> bool {
    match class {
        Class::Alpha => c.is_ascii_alphabetic(),
        Class::Alnum => c.is_ascii_alphanumeric(),
        Class::Digit => c.is_ascii_digit(),
        Class::Lower => c.is_ascii_lowercase(),
        Class::Upper => c.is_ascii_uppercase(),
        Class::Punct => c.is_ascii_punctuation(),
        Class::Space => c == ' ' || ('\t'..='\r').contains(&c),
        Class::Graph => c.is_ascii_graphic(),
        Class::Print => c.is_ascii_graphic() || c == ' ',
    }
}

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

fn within(c: char, group: GeneralCategoryGroup) -> bool {
    group.contains(category(c))
}

/// glibc's `gen_unicode_ctype`.
fn is_libc(class: Class, c: char) -> bool {
    use GeneralCategory as G;
    let alpha = |c| CodePointSetData::new::<Alphabetic>().contains(c) || category(c) == G::DecimalNumber;
    let space = |c| {
        let broken = !matches!(c, '\u{a0}' | '\u{2007}' | '\u{202f}');
        broken && within(c, GeneralCategoryGroup::Separator)
    };
    let graph = |c| !space(c) && !matches!(category(c), G::Control | G::Surrogate | G::Unassigned);
    match class {
        Class::Digit => false,
        Class::Alpha | Class::Alnum => alpha(c),
        Class::Lower => {
            MAPPER.simple_uppercase(c) != c || (alpha(c) && CodePointSetData::new::<Lowercase>().contains(c))
        }
        Class::Upper => {
            MAPPER.simple_lowercase(c) != c || (alpha(c) && CodePointSetData::new::<Uppercase>().contains(c))
        }
        Class::Space => space(c),
        Class::Punct => graph(c) && !alpha(c),
        Class::Graph => graph(c),
        Class::Print => {
            let line = matches!(category(c), G::LineSeparator | G::ParagraphSeparator);
            !line && !matches!(category(c), G::Control | G::Surrogate | G::Unassigned)
        }
    }
}

/// ICU's `u_isalpha` and its like.
fn is_icu(class: Class, c: char) -> bool {
    use GeneralCategory as G;
    use GeneralCategoryGroup as Group;
    match class {
        Class::Alpha => within(c, Group::Letter),
        Class::Alnum => within(c, Group::Letter) || category(c) == G::DecimalNumber,
        Class::Digit => category(c) == G::DecimalNumber,
        Class::Lower => category(c) == G::LowercaseLetter,
        Class::Upper => category(c) == G::UppercaseLetter,
        Class::Punct => within(c, Group::Punctuation),
        Class::Space => {
            let control = matches!(c, '\t'..='\r' | '\u{1c}'..='\u{1f}' | '\u{85}');
            control || within(c, Group::Separator)
        }
        Class::Graph => {
            !within(c, Group::Separator)
                && !matches!(category(c), G::Control | G::Format | G::Surrogate | G::Unassigned)
        }
        Class::Print => !within(c, Group::Other),
    }
}

/// Postgres's own `pg_u_isalpha` and its like.
fn is_builtin(class: Class, c: char, posix: bool) -> bool {
    use GeneralCategory as G;
    use GeneralCategoryGroup as Group;
    let alpha = |c| CodePointSetData::new::<Alphabetic>().contains(c);
    let space = |c| CodePointSetData::new::<WhiteSpace>().contains(c);
    let graph = |c| !space(c) && !matches!(category(c), G::Control | G::Surrogate | G::Unassigned);
    let digit = |c| !posix && category(c) == G::DecimalNumber;
    match class {
        Class::Alpha => alpha(c),
        Class::Alnum => alpha(c) || digit(c),
        Class::Digit => digit(c),
        Class::Lower => CodePointSetData::new::<Lowercase>().contains(c),
        Class::Upper => CodePointSetData::new::<Uppercase>().contains(c),
        Class::Punct if posix => !alpha(c) && (within(c, Group::Punctuation) || within(c, Group::Symbol)),
        Class::Punct => within(c, Group::Punctuation),
        Class::Space => space(c),
        Class::Graph => graph(c),
        Class::Print => (graph(c) || category(c) == G::SpaceSeparator) && category(c) != G::Control,
    }
}
