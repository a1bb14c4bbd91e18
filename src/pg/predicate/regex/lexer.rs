//! The pattern as it is read: character by character, with the options that are in force.

use super::super::fault::Fault;
use super::invalid;

/// Options of a pattern: by the operator, or at its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) ignore_case: bool,
    /// `^` and `$` also match at the ends of lines.
    pub(super) anchors_at_lines: bool,
    /// `.` and `[^…]` don't match a newline.
    pub(super) stops_at_lines: bool,
    /// White space and comments mean nothing.
    pub(super) expanded: bool,
    /// All of it stands for itself.
    pub(super) literal: bool,
}

pub(super) struct Lexer<'p> {
    rest: &'p str,
    pub(super) options: Options,
}

impl<'p> Lexer<'p> {
    /// Reads what stands before the pattern: `***=`, `***:`, `(?i)`.
    pub(super) fn new(pattern: &'p str, ignore_case: bool) -> Result<Self, Fault> {
        let options = Options {
            ignore_case,
            anchors_at_lines: false,
            stops_at_lines: false,
            expanded: false,
            literal: false,
        };
        let mut lexer = Self { rest: pattern, options };
        if lexer.take("***") {
            if lexer.take("=") {
                lexer.options.literal = true;
                return Ok(lexer);
            }
            if !lexer.take(":") {
                return Err(invalid("quantifier operand invalid"));
            }
        }
        let letter = |text: &str| text.as_bytes().get(2).is_some_and(u8::is_ascii_alphabetic);
        if lexer.rest.starts_with("(?") && letter(lexer.rest) {
            lexer.rest = &lexer.rest[2..];
            lexer.embedded()?;
        }
        Ok(lexer)
    }

    fn embedded(&mut self) -> Result<(), Fault> {
        loop {
            match self.next() {
                Some(')') => return Ok(()),
                Some('i') => self.options.ignore_case = true,
                Some('c') => self.options.ignore_case = false,
                Some('n' | 'm') => self.set_lines(true, true),
                Some('p') => self.set_lines(true, false),
                Some('w') => self.set_lines(false, true),
                Some('s') => self.set_lines(false, false),
                Some('x') => self.options.expanded = true,
                Some('t') => self.options.expanded = false,
                Some('q') => self.options.literal = true,
                Some('b') => return Err(Fault::unsupported("embedded option b of a regular expression")),
                Some('e') => return Err(Fault::unsupported("embedded option e of a regular expression")),
                _ => return Err(invalid("invalid embedded option")),
            }
        }
    }

    fn set_lines(&mut self, stops: bool, anchors: bool) {
        self.options.stops_at_lines = stops;
        self.options.anchors_at_lines = anchors;
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let c = characters.next()?;
        self.rest = characters.as_str();
        Some(c)
    }

    pub(super) fn take(&mut self, text: &str) -> bool {
        let Some(rest) = self.rest.strip_prefix(text) else { return false };
        self.rest = rest;
        true
    }

    pub(super) fn starts_with(&self, text: &str) -> bool {
        self.rest.starts_with(text)
    }

    /// The text before `end`, which is passed over.
    pub(super) fn until(&mut self, end: &str) -> Option<&'p str> {
        let (before, after) = self.rest.split_once(end)?;
        self.rest = after;
        Some(before)
    }

    /// Back to where it was.
    pub(super) fn mark(&self) -> &'p str {
        self.rest
    }

    pub(super) fn reset(&mut self, mark: &'p str) {
        self.rest = mark;
    }

    /// Passes over what means nothing: comments, and white space in an expanded pattern.
    pub(super) fn skip(&mut self) {
        self.skip_expanded();
        while self.take("(?#") {
            let end = self.rest.find(')').map_or(self.rest.len(), |at| at + 1);
            self.rest = &self.rest[end..];
            self.skip_expanded();
        }
    }

    /// Passes over white space and comments up to the end of a line, in an expanded pattern.
    pub(super) fn skip_expanded(&mut self) {
        while self.options.expanded {
            self.rest = self.rest.trim_start_matches(|c| matches!(c, ' ' | '\t'..='\r'));
            if !self.take("#") {
                return;
            }
            let end = self.rest.find('\n').unwrap_or(self.rest.len());
            self.rest = &self.rest[end..];
        }
    }
}
