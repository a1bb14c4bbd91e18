//! The lexical structure of Postgres (documentation, chapter 4.1), as far as it is needed to find
//! where a literal, a parameter, a type name or a clause ends: the grammar's nodes tell only where
//! they begin.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An unquoted identifier or a keyword.
    Word,
    /// A quoted identifier.
    Quoted,
    /// A quoted identifier with Unicode escapes.
    UnicodeQuoted,
    /// A string constant of any form, with its continuations.
    Str,
    /// A number.
    Number,
    /// A parameter: `$1`.
    Param(u16),
    /// An operator, `::` and `:=` included.
    Operator,
    /// One of `( ) [ ] , ; . :`.
    Punct(u8),
}

/// A token, by its bytes in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// What it is.
    pub(super) kind: Kind,
    /// First byte.
    pub(super) start: usize,
    /// One past its last byte.
    pub(super) end: usize,
    /// How many brackets are open around it; a bracket has the depth of what is outside it.
    pub(super) depth: u32,
}

/// All tokens of a text.
#[derive(Debug)]
pub(super) struct Tokens<'t> {
    text: &'t str,
    list: Vec<Token>,
}

impl<'t> Tokens<'t> {
    /// Splits a text. Never fails: what is not closed ends with the text (the grammar has the say).
    pub(super) fn new(text: &'t str) -> Self {
        let mut lexer = Lexer { bytes: text.as_bytes(), at: 0, depth: 0 };
        let mut list: Vec<Token> = Vec::with_capacity(text.len() / 5);
        while let Some(token) = lexer.next() {
            list.push(token);
        }
        merge_uescape(text, &mut list);
        Self { text, list }
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Token] {
        &self.list
    }

    /// A token's text.
    pub(super) fn text(&self, token: &Token) -> &'t str {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    /// Index of the token that begins at this byte.
    pub(super) fn at(&self, start: usize) -> Option<usize> {
        self.list.binary_search_by_key(&start, |t| t.start).ok()
    }

    /// The token of that index.
    pub(super) fn get(&self, index: usize) -> Option<&Token> {
        self.list.get(index)
    }

    /// Whether the token of that index is this keyword.
    pub(super) fn is_word(&self, index: usize, word: &str) -> bool {
        self.get(index).is_some_and(|t| t.kind == Kind::Word && self.text(t).eq_ignore_ascii_case(word))
    }

    /// Whether the token of that index is this punctuation.
    pub(super) fn is_punct(&self, index: usize, punct: u8) -> bool {
        self.get(index).is_some_and(|t| t.kind == Kind::Punct(punct))
    }

    /// A name as the grammar reads it: folded unless quoted, cut to 63 bytes. `None` for what is no name.
    pub(super) fn name(&self, token: &Token) -> Option<String> {
        let text = self.text(token);
        let mut name = match token.kind {
            Kind::Word => text.to_ascii_lowercase(),
            Kind::Quoted => text.get(1..text.len() - 1)?.replace("\"\"", "\""),
            _ => return None,
        };
        let mut end = name.len().min(63);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        Some(name)
    }

    /// Index of the bracket that closes the one at `open`.
    pub(super) fn closing(&self, open: usize) -> Option<usize> {
        let depth = self.get(open)?.depth;
        let rest = self.list.get(open + 1..)?;
        rest.iter().position(|t| t.depth == depth).map(|i| open + 1 + i)
    }

    /// The first keyword `word` from `from` on, before byte `end`, at this depth, that is neither
    /// a label (`AS from`), an attribute (`t.from`), nor part of `DISTINCT FROM`.
    pub(super) fn clause(&self, word: &str, from: usize, end: usize, depth: u32) -> Option<usize> {
        (from..self.list.len()).take_while(|&i| self.list[i].start < end).find(|&i| {
            self.list[i].depth == depth
                && self.is_word(i, word)
                && (i == 0 || {
                    let before = i - 1;
                    !(self.is_word(before, "as")
                        || self.is_punct(before, b'.')
                        || (word.eq_ignore_ascii_case("from") && self.is_word(before, "distinct")))
                })
        })
    }

    /// Index one past a type name that begins at token `i`.
    pub(super) fn type_end(&self, mut i: usize) -> usize {
        let word = |i: usize, words: &[&str]| words.iter().any(|w| self.is_word(i, w));
        if word(i, &["setof"]) {
            i += 1;
        }
        let first = i;
        i += 1;
        while self.is_punct(i, b'.') {
            i += 2;
        }
        if word(first, &["double"]) && word(i, &["precision"]) {
            i += 1;
        }
        if word(first, &["national"]) && word(i, &["character", "char"]) {
            i += 1;
        }
        if word(first, &["character", "char", "bit", "nchar", "national"]) && word(i, &["varying"]) {
            i += 1;
        }
        if word(first, &["interval"]) {
            while word(i, &["year", "month", "day", "hour", "minute", "second", "to"]) {
                i += 1;
            }
        }
        if self.is_punct(i, b'(') {
            i = self.closing(i).map_or(i, |c| c + 1);
        }
        if word(first, &["time", "timestamp"]) && word(i, &["with", "without"]) && word(i + 1, &["time"]) {
            i += 3;
        }
        if word(i, &["array"]) {
            i += 1;
        }
        while self.is_punct(i, b'[') {
            match self.closing(i) {
                Some(c) => i = c + 1,
                None => break,
            }
        }
        i
    }
}

/// `U&'…' UESCAPE '!'` is one token.
fn merge_uescape(text: &str, list: &mut Vec<Token>) {
    let mut i = 0;
    while i + 2 < list.len() {
        let (a, b, c) = (list[i], list[i + 1], list[i + 2]);
        let unicode = matches!(a.kind, Kind::Str | Kind::UnicodeQuoted)
            && text.as_bytes().get(a.start).is_some_and(|b| b.eq_ignore_ascii_case(&b'u'));
        let escape = b.kind == Kind::Word
            && text.get(b.start..b.end).is_some_and(|w| w.eq_ignore_ascii_case("uescape"))
            && c.kind == Kind::Str;
        if unicode && escape {
            list[i].end = c.end;
            list.drain(i + 1..i + 3);
        }
        i += 1;
    }
}

struct Lexer<'t> {
    bytes: &'t [u8],
    at: usize,
    depth: u32,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Option<Token> {
        self.skip_space();
        let start = self.at;
        let first = *self.bytes.get(start)?;
        let mut depth = self.depth;
        let kind = match first {
            b'\'' => self.string(false),
            b'"' => self.quoted(),
            b'$' => self.dollar(),
            b'e' | b'E' if self.peek(1) == b'\'' => self.prefixed(1, true),
            b'b' | b'B' | b'x' | b'X' | b'n' | b'N' if self.peek(1) == b'\'' => self.prefixed(1, false),
            b'u' | b'U' if self.peek(1) == b'&' && self.peek(2) == b'\'' => self.prefixed(2, false),
            b'u' | b'U' if self.peek(1) == b'&' && self.peek(2) == b'"' => {
                self.at += 2;
                self.quoted();
                Kind::UnicodeQuoted
            }
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_ascii_digit() => self.number(),
            b if is_word_start(b) => {
                while is_word_part(self.peek(0)) {
                    self.at += 1;
                }
                Kind::Word
            }
            b':' if matches!(self.peek(1), b':' | b'=') => {
                self.at += 2;
                Kind::Operator
            }
            b'(' | b'[' => {
                self.at += 1;
                self.depth += 1;
                Kind::Punct(first)
            }
            b')' | b']' => {
                self.at += 1;
                self.depth = self.depth.saturating_sub(1);
                depth = self.depth;
                Kind::Punct(first)
            }
            b if is_operator(b) => self.operator(),
            _ => {
                self.at += 1;
                Kind::Punct(first)
            }
        };
        self.at = self.at.clamp(start + 1, self.bytes.len());
        Some(Token { kind, start, end: self.at, depth })
    }

    fn skip_space(&mut self) {
        loop {
            match self.peek(0) {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'-' if self.peek(1) == b'-' => self.line_comment(),
                b'/' if self.peek(1) == b'*' => self.block_comment(),
                _ => return,
            }
        }
    }

    fn line_comment(&mut self) {
        while !matches!(self.peek(0), b'\n' | b'\r') && self.at < self.bytes.len() {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut open = 0u32;
        while self.at < self.bytes.len() {
            if self.peek(0) == b'/' && self.peek(1) == b'*' {
                open += 1;
                self.at += 2;
            } else if self.peek(0) == b'*' && self.peek(1) == b'/' {
                open -= 1;
                self.at += 2;
                if open == 0 {
                    return;
                }
            } else {
                self.at += 1;
            }
        }
    }

    fn prefixed(&mut self, prefix: usize, escapes: bool) -> Kind {
        self.at += prefix;
        self.string(escapes)
    }

    /// From the opening quote; a constant goes on after white space with a line break.
    fn string(&mut self, escapes: bool) -> Kind {
        loop {
            self.at += 1;
            while self.at < self.bytes.len() {
                match self.peek(0) {
                    b'\\' if escapes => self.at += 2,
                    b'\'' if self.peek(1) == b'\'' => self.at += 2,
                    b'\'' => break,
                    _ => self.at += 1,
                }
            }
            self.at += 1;
            match self.continuation() {
                Some(next) => self.at = next,
                None => return Kind::Str,
            }
        }
    }

    fn continuation(&self) -> Option<usize> {
        let mut at = self.at;
        let mut broken = false;
        loop {
            match self.bytes.get(at)? {
                b'\n' | b'\r' => broken = true,
                b' ' | b'\t' | 0x0b | 0x0c => {}
                b'-' if self.bytes.get(at + 1) == Some(&b'-') => {
                    while !matches!(self.bytes.get(at)?, b'\n' | b'\r') {
                        at += 1;
                    }
                    broken = true;
                }
                b'\'' if broken => return Some(at),
                _ => return None,
            }
            at += 1;
        }
    }

    fn quoted(&mut self) -> Kind {
        self.at += 1;
        while self.at < self.bytes.len() {
            if self.peek(0) == b'"' {
                if self.peek(1) != b'"' {
                    break;
                }
                self.at += 1;
            }
            self.at += 1;
        }
        self.at += 1;
        Kind::Quoted
    }

    fn dollar(&mut self) -> Kind {
        if self.peek(1).is_ascii_digit() {
            let mut number = 0u32;
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                number = number.saturating_mul(10).saturating_add(u32::from(self.peek(0) - b'0'));
                self.at += 1;
            }
            return Kind::Param(u16::try_from(number).unwrap_or(0));
        }
        let mut end = self.at + 1;
        while self.bytes.get(end).is_some_and(|&b| is_word_part(b) && b != b'$') {
            end += 1;
        }
        if self.bytes.get(end) != Some(&b'$') {
            self.at += 1;
            return Kind::Punct(b'$');
        }
        let tag = &self.bytes[self.at..=end];
        let body = &self.bytes[end + 1..];
        let close = memchr::memmem::find(body, tag);
        self.at = close.map_or(self.bytes.len(), |c| end + 1 + c + tag.len());
        Kind::Str
    }

    fn number(&mut self) -> Kind {
        if self.peek(0) == b'0' && matches!(self.peek(1) | 0x20, b'x' | b'o' | b'b') {
            self.at += 2;
            while is_word_part(self.peek(0)) {
                self.at += 1;
            }
            return Kind::Number;
        }
        let digits = |l: &mut Self| {
            while l.peek(0).is_ascii_digit() || (l.peek(0) == b'_' && l.peek(1).is_ascii_digit()) {
                l.at += 1;
            }
        };
        digits(self);
        if self.peek(0) == b'.' && self.peek(1) != b'.' {
            self.at += 1;
            digits(self);
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + sign).is_ascii_digit() {
                self.at += 1 + sign;
                digits(self);
            }
        }
        Kind::Number
    }

    /// An operator ends before a comment, and in `+` or `-` only when it holds one of `~!@#%^&|` + "`?".
    fn operator(&mut self) -> Kind {
        let start = self.at;
        while is_operator(self.peek(0)) {
            let comment = matches!((self.peek(0), self.peek(1)), (b'-', b'-') | (b'/', b'*'));
            if comment && self.at > start {
                break;
            }
            self.at += 1;
        }
        let special =
            |b: &u8| matches!(b, b'~' | b'!' | b'@' | b'#' | b'%' | b'^' | b'&' | b'|' | b'`' | b'?');
        if !self.bytes[start..self.at].iter().any(special) {
            while self.at > start + 1 && matches!(self.bytes[self.at - 1], b'+' | b'-') {
                self.at -= 1;
            }
        }
        Kind::Operator
    }
}

fn is_word_start(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_' || b >= 0x80
}

fn is_word_part(b: u8) -> bool {
    is_word_start(b) || b.is_ascii_digit() || b == b'$'
}

fn is_operator(b: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        let tokens = Tokens::new(sql);
        tokens.all().iter().map(|t| tokens.text(t)).collect()
    }

    #[test]
    fn splits_strings_of_every_form() {
        assert_eq!(
            texts("'a''b' E'c\\'d' $$e'$$ $x$f$$g$x$ U&'h' UESCAPE '!' 'i'\n 'j' 'k' 'l'"),
            ["'a''b'", "E'c\\'d'", "$$e'$$", "$x$f$$g$x$", "U&'h' UESCAPE '!'", "'i'\n 'j'", "'k'", "'l'"]
        );
    }

    #[test]
    fn a_string_goes_on_after_a_line_break_and_comments() {
        assert_eq!(texts("'a' -- b\n -- c\n 'd' -- e"), ["'a' -- b\n -- c\n 'd'"]);
        assert_eq!(texts("'a' /* b */\n'd'").len(), 2);
    }

    #[test]
    fn skips_nested_comments() {
        assert_eq!(texts("a /* b /* c */ d */ e -- f\n g"), ["a", "e", "g"]);
    }

    #[test]
    fn ends_operators_as_postgres_does() {
        assert_eq!(texts("a=-5 b@-1 c<>--d\n'e'"), ["a", "=", "-", "5", "b", "@-", "1", "c", "<>", "'e'"]);
    }

    #[test]
    fn finds_the_end_of_a_type() {
        for ty in [
            "varchar",
            "character varying(10)",
            "timestamp (3) with time zone",
            "numeric(10,2)[]",
            "pg_catalog.int4[3][]",
            "\"Odd\"",
            "double precision",
            "interval day to second (3)",
        ] {
            let sql = format!("{ty} = x");
            let tokens = Tokens::new(&sql);
            let end = tokens.type_end(0);
            assert_eq!(tokens.get(end).map(|t| tokens.text(t)), Some("="), "{ty}");
        }
    }

    #[test]
    fn finds_the_from_that_begins_the_clause() {
        let sql = "SELECT a IS DISTINCT FROM b, extract(year FROM c), d AS from, e.from FROM t";
        let tokens = Tokens::new(sql);
        let from = tokens.clause("from", 1, sql.len(), 0).unwrap();
        assert_eq!(tokens.get(from).unwrap().start, sql.len() - 6);
    }

    #[test]
    fn never_panics_on_rubbish() {
        for sql in ["'", "\"", "$", "$a", "$a$", "E'\\", "/*", "u&'", "0x", "1.", ".", "é$", "((", ")", "]"]
        {
            Tokens::new(sql);
        }
    }
}
