//! What follows a backslash.

use super::super::collation::Class;
use super::super::fault::Fault;
use super::invalid;
use super::lexer::Lexer;

/// What an escape stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escape {
    /// A character; `None` is one that no text holds.
    Char(Option<char>),
    /// `\d`, `\s`, `\w`; the flag is that of `\D`, `\S`, `\W`.
    Class(Shorthand, bool),
    /// `\A`
    TextStart,
    /// `\Z`
    TextEnd,
    /// `\m`
    WordStart,
    /// `\M`
    WordEnd,
    /// `\y`
    WordEdge,
    /// `\Y`
    NoWordEdge,
}

/// A class that has an escape of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shorthand {
    Class(Class),
    /// Letters, digits and `_`
    Word,
}

/// Reads what follows a backslash. `groups` is how many groups have begun so far.
pub(super) fn read(lexer: &mut Lexer<'_>, groups: usize) -> Result<Escape, Fault> {
    let wrong = || invalid("invalid escape \\ sequence");
    let c = lexer.next().ok_or_else(wrong)?;
    let char = |c: char| Ok(Escape::Char(Some(c)));
    let class = |class, negated| Ok(Escape::Class(Shorthand::Class(class), negated));
    match c {
        'a' => char('\u{7}'),
        'b' => char('\u{8}'),
        'e' => char('\u{1b}'),
        'f' => char('\u{c}'),
        'n' => char('\n'),
        'r' => char('\r'),
        't' => char('\t'),
        'v' => char('\u{b}'),
        'B' => char('\\'),
        'c' => {
            let control = lexer.next().ok_or_else(wrong)?;
            Ok(Escape::Char(char::from_u32(u32::from(control) & 0o37)))
        }
        'd' | 'D' => class(Class::Digit, c == 'D'),
        's' | 'S' => class(Class::Space, c == 'S'),
        'w' | 'W' => Ok(Escape::Class(Shorthand::Word, c == 'W')),
        'A' => Ok(Escape::TextStart),
        'Z' => Ok(Escape::TextEnd),
        'm' => Ok(Escape::WordStart),
        'M' => Ok(Escape::WordEnd),
        'y' => Ok(Escape::WordEdge),
        'Y' => Ok(Escape::NoWordEdge),
        'u' => digits(lexer, 16, 4, 4),
        'U' => digits(lexer, 16, 8, 8),
        'x' => digits(lexer, 16, 1, 255),
        '0'..='9' => number(lexer, c, groups),
        _ if c.is_ascii_alphanumeric() => Err(wrong()),
        _ => char(c),
    }
}

/// `\1` is a back reference; `\12` is one where there are so many groups, and an octal number otherwise.
fn number(lexer: &mut Lexer<'_>, first: char, groups: usize) -> Result<Escape, Fault> {
    let rest = lexer.mark();
    if first != '0' {
        let more = rest.bytes().take_while(u8::is_ascii_digit).count();
        let value = format!("{first}{}", &rest[..more]).parse::<usize>().unwrap_or(usize::MAX);
        if more == 0 || value <= groups {
            return Err(Fault::unsupported("back references of a regular expression"));
        }
    }
    let mut value = 0;
    let mut length = 0;
    let mut next = Some(first);
    while let Some(digit) = next.and_then(|c| c.to_digit(8)) {
        value = value * 8 + digit;
        length += 1;
        if length > 1 {
            lexer.next();
        }
        if length == 3 {
            break;
        }
        next = lexer.peek();
    }
    if length == 0 {
        return Err(invalid("invalid escape \\ sequence"));
    }
    Ok(Escape::Char(char::from_u32(value)))
}

/// A character by its number. A number that is no character is one that no text holds.
fn digits(lexer: &mut Lexer<'_>, base: u32, least: usize, most: usize) -> Result<Escape, Fault> {
    let mut value: u32 = 0;
    let mut length = 0;
    while length < most {
        let Some(digit) = lexer.peek().and_then(|c| c.to_digit(base)) else { break };
        value = value.wrapping_mul(base).wrapping_add(digit);
        length += 1;
        lexer.next();
    }
    // The largest number that the server takes for a character.
    if length < least || value > 0x7fff_fffe {
        return Err(invalid("invalid escape \\ sequence"));
    }
    Ok(Escape::Char(char::from_u32(value)))
}
