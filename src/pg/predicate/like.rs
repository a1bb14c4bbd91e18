//! LIKE: a pattern in pieces, matched as `like_match.c` does, character by character.

use super::fault::Fault;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a pattern asks for next.
#[derive(Zeroize, ZeroizeOnDrop)]
enum Piece {
    /// These bytes.
    Exactly(Vec<u8>),
    /// `_`: one character, whichever.
    Any,
    /// `%`, and the `%` and `_` right after it: at least so many characters.
    Rest(#[zeroize(skip)] usize),
    /// A backslash with nothing after it: an error, if the match gets there with text left.
    Broken,
}

/// A compiled pattern. It is the client's constant, so it is never printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pattern([secret])")
    }
}

/// 22025, found only when a text gets there.
pub(super) fn broken() -> Fault {
    Fault::new("22025", "LIKE pattern must not end with escape character")
}

impl Pattern {
    /// Reads a pattern whose escape is the backslash.
    pub(super) fn new(pattern: &str) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut characters = pattern.chars();
        while let Some(c) = characters.next() {
            match (c, pieces.last_mut()) {
                ('%', Some(Piece::Rest(_))) => {}
                ('%', _) => pieces.push(Piece::Rest(0)),
                ('_', Some(Piece::Rest(least))) => *least += 1,
                ('_', _) => pieces.push(Piece::Any),
                ('\\', _) => match characters.next() {
                    Some(c) => literal(&mut pieces, c),
                    None => pieces.push(Piece::Broken),
                },
                _ => literal(&mut pieces, c),
            }
        }
        Self { pieces }
    }

    /// Whether the whole text is of that form.
    pub(super) fn matches(&self, text: &str) -> Result<bool, Fault> {
        let mut pieces = self.pieces.as_slice();
        let mut text = text.as_bytes();
        // Where to go on when what follows the last `%` does not fit: one character further.
        let mut again: Option<(&[Piece], &[u8])> = None;
        loop {
            match step(pieces, text)? {
                Step::Next(next, rest) => (pieces, text) = (next, rest),
                Step::Done => return Ok(true),
                Step::Over => return Ok(false),
                Step::Search(next, rest) => {
                    let Some(at) = found(next, rest) else { return Ok(false) };
                    again = Some((next, after(&rest[at..])));
                    (pieces, text) = (next, &rest[at..]);
                }
                Step::Differs => {
                    let Some((next, rest)) = again else { return Ok(false) };
                    let Some(at) = found(next, rest) else { return Ok(false) };
                    again = Some((next, after(&rest[at..])));
                    (pieces, text) = (next, &rest[at..]);
                }
            }
        }
    }
}

enum Step<'a> {
    Next(&'a [Piece], &'a [u8]),
    /// A `%` that this follows, anywhere from there on.
    Search(&'a [Piece], &'a [u8]),
    Done,
    Differs,
    /// No text is left, and a later start leaves even less.
    Over,
}

fn step<'a>(pieces: &'a [Piece], text: &'a [u8]) -> Result<Step<'a>, Fault> {
    Ok(match pieces {
        [] if text.is_empty() => Step::Done,
        [] => Step::Differs,
        [Piece::Rest(0)] => Step::Done,
        [_, ..] if text.is_empty() => Step::Over,
        [Piece::Rest(least), rest @ ..] => match (skip(text, *least), rest) {
            (None, _) => Step::Over,
            (Some(_), []) => Step::Done,
            (Some(_), [Piece::Broken, ..]) => return Err(broken()),
            (Some(text), rest) => Step::Search(rest, text),
        },
        [Piece::Any, rest @ ..] => Step::Next(rest, after(text)),
        [Piece::Broken, ..] => return Err(broken()),
        [Piece::Exactly(bytes), rest @ ..] => match text.strip_prefix(bytes.as_slice()) {
            Some(text) => Step::Next(rest, text),
            None => Step::Differs,
        },
    })
}

/// Where what follows a `%` may begin; `None` where it can't.
fn found(next: &[Piece], text: &[u8]) -> Option<usize> {
    match next {
        // Only the very end will do.
        [Piece::Exactly(bytes)] => {
            let at = text.len().checked_sub(bytes.len())?;
            (text[at..] == **bytes).then_some(at)
        }
        [Piece::Exactly(bytes), ..] => memchr::memmem::find(text, bytes),
        _ => (!text.is_empty()).then_some(0),
    }
}

/// Without so many characters, if it has them.
fn skip(mut text: &[u8], count: usize) -> Option<&[u8]> {
    for _ in 0..count {
        if text.is_empty() {
            return None;
        }
        text = after(text);
    }
    Some(text)
}

/// Without its first character.
fn after(text: &[u8]) -> &[u8] {
    let end = text.iter().skip(1).position(|b| b & 0xc0 != 0x80).map_or(text.len(), |at| at + 1);
    &text[end..]
}

fn literal(pieces: &mut Vec<Piece>, c: char) {
    let mut buffer = [0; 4];
    let bytes = c.encode_utf8(&mut buffer).as_bytes();
    match pieces.last_mut() {
        Some(Piece::Exactly(text)) => text.extend_from_slice(bytes),
        _ => pieces.push(Piece::Exactly(bytes.to_vec())),
    }
}

/// A pattern with another escape, turned into one with the backslash (`like_escape`). 22025 for more than one
/// character.
pub(super) fn with_escape(pattern: &str, escape: &str) -> Result<String, Fault> {
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut characters = escape.chars();
    let escape = match (characters.next(), characters.next()) {
        (None, _) => None,
        (Some(c), None) => Some(c),
        _ => return Err(Fault::new("22025", "invalid escape string")),
    };
    if escape == Some('\\') {
        out.push_str(pattern);
        return Ok(out);
    }
    let mut escaped = false;
    for c in pattern.chars() {
        if Some(c) == escape && !escaped {
            out.push('\\');
            escaped = true;
            continue;
        }
        if c == '\\' && !escaped {
            out.push('\\');
        }
        out.push(c);
        escaped = false;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(text: &str, pattern: &str) -> Result<bool, Fault> {
        Pattern::new(pattern).matches(text)
    }

    #[test]
    fn wildcards_stand_for_characters_not_bytes() {
        for (text, pattern, is) in [
            ("", "", true),
            ("", "%", true),
            ("", "_", false),
            ("é", "_", true),
            ("é", "__", false),
            ("😀é", "_é", true),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "a_c", true),
            ("abc", "a%_", true),
            ("abc", "%_%_%_%", true),
            ("ab", "%_%_%_%", false),
            ("abab", "%ab", true),
            ("abab", "%aba", false),
            ("aab", "%ab%", true),
            ("Dupont", "dup%", false),
            ("100%", r"100\%", true),
            ("1000", r"100\%", false),
            (r"a\b", r"a\\b", true),
            ("mississippi", "%iss%ip%", true),
            ("mississippi", "m%iss%iss%iss%", false),
        ] {
            assert_eq!(like(text, pattern), Ok(is), "{text} {pattern}");
        }
    }

    #[test]
    fn a_pattern_that_ends_in_its_escape_fails_where_the_match_gets_there() {
        assert_eq!(like("a", r"a\"), Ok(false));
        assert_eq!(like("b", r"a\"), Ok(false));
        assert_eq!(like("ab", r"a\"), Err(broken()));
        assert_eq!(like("", r"%\"), Ok(false));
        assert_eq!(like("x", r"%\"), Err(broken()));
        assert_eq!(like("x", r"%_\"), Err(broken()));
        assert_eq!(like("x", r"_%\"), Ok(false));
    }

    #[test]
    fn another_escape_becomes_the_backslash() {
        for (pattern, escape, is) in [
            ("a!%b", "!", r"a\%b"),
            ("a!!b", "!", r"a\!b"),
            (r"a\%", "!", r"a\\%"),
            (r"a\%", r"\", r"a\%"),
            (r"a\%", "", r"a\\%"),
            (r"a!\", "!", r"a\\"),
            ("aé%", "é", r"a\%"),
        ] {
            assert_eq!(with_escape(pattern, escape).as_deref(), Ok(is), "{pattern} {escape}");
        }
        assert_eq!(with_escape("a", "ab").unwrap_err().sqlstate, "22025");
    }
}
