//! Bracket expressions: `[a-z[:digit:]]`.

use super::super::collation::{Class, Ctype};
use super::super::fault::Fault;
use super::escape::{self, Escape};
use super::lexer::Lexer;
use super::{invalid, sets};
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// Ranges that are widened by the other case of their members.
const WIDEST: u32 = 100_000;

/// What a part of a bracket expression begins with.
enum Part {
    Char(Option<char>),
    Set(ClassUnicode),
    /// A `-` that is no character by its place.
    Dash,
    End,
}

pub(super) struct Brackets<'l, 'p> {
    pub(super) lexer: &'l mut Lexer<'p>,
    pub(super) ctype: &'l Ctype,
    pub(super) groups: usize,
}

impl Brackets<'_, '_> {
    /// Reads what follows the opening bracket, and the closing one.
    pub(super) fn read(&mut self) -> Result<ClassUnicode, Fault> {
        let negated = self.lexer.take("^");
        let mut set = ClassUnicode::empty();
        let mut first = true;
        loop {
            let part = self.part(first)?;
            first = false;
            match part {
                Part::End => break,
                Part::Dash => return Err(invalid("invalid character range")),
                Part::Set(more) => set.union(&more),
                Part::Char(from) => set.union(&self.from(from)?),
            }
        }
        if negated {
            set.negate();
            if self.lexer.options.stops_at_lines {
                set.difference(&sets::range('\n', '\n'));
            }
        }
        Ok(set)
    }

    /// A character, or the range that begins with it.
    fn from(&mut self, from: Option<char>) -> Result<ClassUnicode, Fault> {
        if !self.lexer.starts_with("-") || self.lexer.starts_with("-]") {
            return Ok(sets::one(from, self.lexer.options.ignore_case, self.ctype));
        }
        self.lexer.next();
        let to = match self.part(false)? {
            Part::Char(to) => to,
            Part::Dash => Some('-'),
            Part::Set(_) | Part::End => return Err(invalid("invalid character range")),
        };
        match (from, to) {
            (Some(a), Some(b)) if a <= b => Ok(self.range(a, b)),
            (Some(_), Some(_)) => Err(invalid("invalid character range")),
            // A surrogate or what lies beyond Unicode: no one writes that.
            _ => Err(Fault::unsupported("a regular expression with a range of what are no characters")),
        }
    }

    fn range(&self, from: char, to: char) -> ClassUnicode {
        let mut set = sets::range(from, to);
        if self.lexer.options.ignore_case {
            let last = char::from_u32(u32::from(from).saturating_add(WIDEST)).map_or(to, |c| c.min(to));
            for c in from..=last {
                for other in [self.ctype.lower_char(c), self.ctype.upper_char(c)] {
                    if !(from..=to).contains(&other) {
                        set.push(ClassUnicodeRange::new(other, other));
                    }
                }
            }
        }
        set
    }

    fn part(&mut self, first: bool) -> Result<Part, Fault> {
        let unbalanced = || invalid("brackets [] not balanced");
        let c = self.lexer.next().ok_or_else(unbalanced)?;
        Ok(match c {
            ']' if !first => Part::End,
            '-' if !first && !self.lexer.starts_with("]") => Part::Dash,
            '\\' => match escape::read(self.lexer, self.groups)? {
                Escape::Char(c) => Part::Char(c),
                Escape::Class(of, negated) => Part::Set(sets::shorthand(of, negated, self.ctype)),
                _ => return Err(invalid("invalid escape \\ sequence")),
            },
            '[' if self.lexer.take(":") => Part::Set(self.class()?),
            '[' if self.lexer.take(".") => Part::Char(Some(self.element(".]")?)),
            '[' if self.lexer.take("=") => {
                let element = self.element("=]")?;
                Part::Set(sets::one(Some(element), self.lexer.options.ignore_case, self.ctype))
            }
            c => Part::Char(Some(c)),
        })
    }

    /// The name of a class, up to `:]`.
    fn class(&mut self) -> Result<ClassUnicode, Fault> {
        let name = self.lexer.until(":]").ok_or_else(|| invalid("brackets [] not balanced"))?;
        let ignore_case = self.lexer.options.ignore_case;
        let of = |class| Ok(sets::class(class, self.ctype));
        let ascii = |ranges: &[(char, char)]| {
            Ok(ClassUnicode::new(ranges.iter().map(|(a, b)| ClassUnicodeRange::new(*a, *b))))
        };
        match name {
            "lower" | "upper" if ignore_case => of(Class::Alpha),
            "alpha" => of(Class::Alpha),
            "alnum" => of(Class::Alnum),
            "digit" => of(Class::Digit),
            "lower" => of(Class::Lower),
            "upper" => of(Class::Upper),
            "punct" => of(Class::Punct),
            "space" => of(Class::Space),
            "graph" => of(Class::Graph),
            "print" => of(Class::Print),
            "word" => Ok(sets::shorthand(escape::Shorthand::Word, false, self.ctype)),
            "ascii" => ascii(&[('\0', '\u{7f}')]),
            "blank" => ascii(&[('\t', '\t'), (' ', ' ')]),
            "cntrl" => ascii(&[('\0', '\u{1f}'), ('\u{7f}', '\u{9f}')]),
            "xdigit" => ascii(&[('0', '9'), ('a', 'f'), ('A', 'F')]),
            _ => Err(invalid("invalid character class")),
        }
    }

    /// A collating element: one character. The server knows some by name, too.
    fn element(&mut self, end: &str) -> Result<char, Fault> {
        let name = self.lexer.until(end).ok_or_else(|| invalid("brackets [] not balanced"))?;
        let mut characters = name.chars();
        match (characters.next(), characters.next()) {
            (Some(c), None) => Ok(c),
            (None, _) => Err(invalid("invalid collating element")),
            _ => Err(Fault::unsupported("collating elements of a regular expression by their names")),
        }
    }
}
