//! The grammar: branches, atoms, quantifiers, constraints.

use super::super::collation::Ctype;
use super::super::fault::Fault;
use super::bracket::Brackets;
use super::escape::{self, Escape};
use super::lexer::Lexer;
use super::{invalid, sets};
use regex_syntax::hir::{ClassUnicode, Hir, Look, Repetition};

/// Deepest nesting that is read.
const DEPTH: usize = 200;
/// Most repetitions that a bound may ask for.
const MOST: u32 = 255;

struct Parser<'p> {
    lexer: Lexer<'p>,
    ctype: &'p Ctype,
    depth: usize,
    /// Groups that have begun.
    groups: usize,
}

/// What stands where an atom may.
enum Item {
    /// An atom, which a quantifier may follow.
    Atom(Hir),
    /// A constraint, which none may follow.
    Constraint(Hir),
}

/// Reads a pattern.
pub(super) fn parse(pattern: &str, ignore_case: bool, ctype: &Ctype) -> Result<Hir, Fault> {
    let lexer = Lexer::new(pattern, ignore_case)?;
    let mut parser = Parser { lexer, ctype, depth: 0, groups: 0 };
    if parser.lexer.options.literal {
        let mut all = Vec::new();
        while let Some(c) = parser.lexer.next() {
            all.push(sets::hir(parser.one(Some(c))));
        }
        return Ok(Hir::concat(all));
    }
    let whole = parser.branches()?;
    match parser.lexer.peek() {
        None => Ok(whole),
        Some(_) => Err(invalid("parentheses () not balanced")),
    }
}

impl Parser<'_> {
    fn one(&self, c: Option<char>) -> ClassUnicode {
        sets::one(c, self.lexer.options.ignore_case, self.ctype)
    }

    fn branches(&mut self) -> Result<Hir, Fault> {
        if self.depth == DEPTH {
            return Err(Fault::unsupported("a regular expression nested too deeply"));
        }
        self.depth += 1;
        let mut all = vec![self.branch()?];
        while self.lexer.take("|") {
            all.push(self.branch()?);
        }
        self.depth -= 1;
        Ok(Hir::alternation(all))
    }

    fn branch(&mut self) -> Result<Hir, Fault> {
        let mut all = Vec::new();
        loop {
            self.lexer.skip();
            match self.lexer.peek() {
                None | Some('|' | ')') => return Ok(Hir::concat(all)),
                Some(_) => match self.item()? {
                    Item::Atom(atom) => all.push(self.quantified(atom)?),
                    Item::Constraint(constraint) => all.push(constraint),
                },
            }
        }
    }

    fn item(&mut self) -> Result<Item, Fault> {
        let at_lines = self.lexer.options.anchors_at_lines;
        if self.lexer.take("[[:<:]]") {
            return Ok(Item::Constraint(self.word(Look::WordStartAscii, Look::WordStartUnicode)));
        }
        if self.lexer.take("[[:>:]]") {
            return Ok(Item::Constraint(self.word(Look::WordEndAscii, Look::WordEndUnicode)));
        }
        let operand = || invalid("quantifier operand invalid");
        let c = self.lexer.next().ok_or_else(operand)?;
        Ok(match c {
            '^' => Item::Constraint(Hir::look(if at_lines { Look::StartLF } else { Look::Start })),
            '$' => Item::Constraint(Hir::look(if at_lines { Look::EndLF } else { Look::End })),
            '*' | '+' | '?' => return Err(operand()),
            '{' => {
                self.lexer.skip_expanded();
                if self.lexer.peek().is_some_and(|c| c.is_ascii_digit()) {
                    return Err(operand());
                }
                Item::Atom(sets::hir(self.one(Some('{'))))
            }
            '.' => Item::Atom(sets::hir(sets::any(self.lexer.options.stops_at_lines))),
            '[' => {
                let mut brackets =
                    Brackets { lexer: &mut self.lexer, ctype: self.ctype, groups: self.groups };
                Item::Atom(sets::hir(brackets.read()?))
            }
            '(' => Item::Atom(self.group()?),
            '\\' => return self.escaped(),
            c => Item::Atom(sets::hir(self.one(Some(c)))),
        })
    }

    fn group(&mut self) -> Result<Hir, Fault> {
        if self.lexer.take("?") {
            if ["=", "!", "<=", "<!"].iter().any(|look| self.lexer.starts_with(look)) {
                return Err(Fault::unsupported("lookaround of a regular expression"));
            }
            if !self.lexer.take(":") {
                return Err(invalid("quantifier operand invalid"));
            }
        } else {
            self.groups += 1;
        }
        let inner = self.branches()?;
        if self.lexer.take(")") { Ok(inner) } else { Err(invalid("parentheses () not balanced")) }
    }

    fn escaped(&mut self) -> Result<Item, Fault> {
        Ok(match escape::read(&mut self.lexer, self.groups)? {
            Escape::Char(c) => Item::Atom(sets::hir(self.one(c))),
            Escape::Class(of, negated) => Item::Atom(sets::hir(sets::shorthand(of, negated, self.ctype))),
            Escape::TextStart => Item::Constraint(Hir::look(Look::Start)),
            Escape::TextEnd => Item::Constraint(Hir::look(Look::End)),
            Escape::WordStart => Item::Constraint(self.word(Look::WordStartAscii, Look::WordStartUnicode)),
            Escape::WordEnd => Item::Constraint(self.word(Look::WordEndAscii, Look::WordEndUnicode)),
            Escape::WordEdge => Item::Constraint(self.word(Look::WordAscii, Look::WordUnicode)),
            Escape::NoWordEdge => Item::Constraint(self.word(Look::WordAsciiNegate, Look::WordUnicodeNegate)),
        })
    }

    fn word(&self, ascii: Look, unicode: Look) -> Hir {
        Hir::look(if *self.ctype == Ctype::Ascii { ascii } else { unicode })
    }

    /// The atom with the quantifier that follows it, if one does.
    fn quantified(&mut self, atom: Hir) -> Result<Hir, Fault> {
        self.lexer.skip();
        let (min, max) = match self.lexer.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => {
                let mark = self.lexer.mark();
                self.lexer.next();
                self.lexer.skip_expanded();
                if !self.lexer.peek().is_some_and(|c| c.is_ascii_digit()) {
                    // It stands for itself.
                    self.lexer.reset(mark);
                    return Ok(atom);
                }
                let bound = self.bound()?;
                self.lexer.take("?");
                return Ok(repeated(atom, bound));
            }
            _ => return Ok(atom),
        };
        self.lexer.next();
        self.lexer.take("?");
        Ok(repeated(atom, (min, max)))
    }

    /// What follows `{`, up to and with `}`.
    fn bound(&mut self) -> Result<(u32, Option<u32>), Fault> {
        let count = || invalid("invalid repetition count(s)");
        let min = self.count()?;
        let max = if self.lexer.take(",") {
            self.lexer.skip_expanded();
            match self.lexer.peek() {
                Some(c) if c.is_ascii_digit() => Some(self.count()?),
                _ => None,
            }
        } else {
            Some(min)
        };
        if max.is_some_and(|max| min > max) {
            return Err(count());
        }
        self.lexer.skip_expanded();
        match self.lexer.next() {
            Some('}') => Ok((min, max)),
            Some(_) => Err(count()),
            None => Err(invalid("braces {} not balanced")),
        }
    }

    fn count(&mut self) -> Result<u32, Fault> {
        let mut n = 0;
        while let Some(digit) = self.lexer.peek().and_then(|c| c.to_digit(10)) {
            if n >= MOST {
                return Err(invalid("invalid repetition count(s)"));
            }
            n = n * 10 + digit;
            self.lexer.next();
            self.lexer.skip_expanded();
        }
        if n > MOST { Err(invalid("invalid repetition count(s)")) } else { Ok(n) }
    }
}

fn repeated(atom: Hir, (min, max): (u32, Option<u32>)) -> Hir {
    if max == Some(0) {
        return Hir::empty();
    }
    Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(atom) })
}
