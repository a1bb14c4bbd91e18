//! Which protected names a text mentions, by its tokens.

use super::lex::{Kind, Token, Tokens};
use super::{Scope, ddl, filter, statement};
use hashbrown::HashSet;
use pg_raw_parse::Node;
use std::ops::Range;

/// Words after which a name may be a relation's.
const BEFORE: &[&str] = &[
    "from",
    "join",
    "into",
    "update",
    "only",
    "table",
    "using",
    "exists",
    "on",
    "references",
    "like",
    "view",
    "copy",
    "inherits",
    "inherit",
    "partition",
    "of",
    "temp",
    "temporary",
    "unlogged",
];

/// Strings within strings, beyond which a text counts as one that names something protected.
const DEEPEST: usize = 12;

/// The names of protected tables, of relations that depend on or write them, and of functions that touch them.
#[derive(Debug)]
pub(super) struct Mentions<'s> {
    names: HashSet<&'s str>,
    functions: HashSet<String>,
    /// Schemas of protected tables.
    schemas: HashSet<String>,
}

impl<'s> Mentions<'s> {
    pub(super) fn new(scope: &Scope<'s>) -> Self {
        let relations = scope.catalog.relations.values().filter(|r| r.is_watched()).map(|r| &*r.name);
        Self {
            names: scope.tables.iter().map(|t| &*t.name).chain(relations).collect(),
            functions: scope.catalog.functions.iter().map(|f| f.to_ascii_lowercase()).collect(),
            schemas: scope.tables.iter().map(|t| t.schema.to_ascii_lowercase()).collect(),
        }
    }

    fn is(&self, tokens: &Tokens<'_>, index: usize) -> bool {
        let Some(token) = tokens.get(index) else { return false };
        let named = |n: &str| self.names.contains(n) || self.functions.contains(&n.to_ascii_lowercase());
        if token.kind == Kind::UnicodeQuoted {
            return unicode_name(tokens.text(token)).is_none_or(|name| named(&name));
        }
        tokens.name(token).is_some_and(|n| named(&n))
    }

    /// Whether an identifier in the span is one of the names.
    pub(super) fn any(&self, tokens: &Tokens<'_>, span: &Range<usize>) -> bool {
        indices(tokens, span).any(|i| self.is(tokens, i))
    }

    /// Whether one stands where a relation or a function may.
    pub(super) fn may_be_relation(&self, tokens: &Tokens<'_>, span: &Range<usize>) -> bool {
        indices(tokens, span).filter(|&i| self.is(tokens, i)).any(|i| {
            let function = tokens.is_punct(i + 1, b'(')
                && tokens.get(i).and_then(|t| tokens.name(t)).is_some_and(|n| self.functions.contains(&n));
            function || relation_position(tokens, i)
        })
    }

    /// Whether one stands where a relation may, without a schema.
    pub(super) fn may_be_unqualified(&self, tokens: &Tokens<'_>, span: &Range<usize>) -> bool {
        indices(tokens, span)
            .filter(|&i| self.is(tokens, i) && (i == 0 || !tokens.is_punct(i - 1, b'.')))
            .any(|i| relation_position(tokens, i))
    }

    /// Whether a text mentions one as it is spelt there.
    fn in_text(&self, text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        self.names.iter().any(|n| lower.contains(&filter::longest_part(n).to_ascii_lowercase()))
            || self.functions.iter().any(|f| lower.contains(f.as_str()))
    }

    /// Whether a text that may run as SQL (a function's body) mentions one, also in escapes, continued strings
    /// and strings within strings; or renames a schema of theirs.
    pub(super) fn in_code(&self, text: &str) -> bool {
        self.in_code_at(text, 0)
    }

    fn in_code_at(&self, text: &str, depth: usize) -> bool {
        if depth > DEEPEST || self.in_text(text) {
            return true;
        }
        let tokens = Tokens::new(text);
        let hides = |t: &Token| match t.kind {
            Kind::UnicodeQuoted => {
                let text = tokens.text(t);
                unicode_name(text).map_or_else(|| self.in_escapes(text), |name| self.in_text(&name))
            }
            Kind::Str => self.in_string(tokens.text(t), depth),
            _ => false,
        };
        tokens.all().iter().any(hides) || self.alters_schema(&tokens, text)
    }

    fn alters_schema(&self, tokens: &Tokens<'_>, text: &str) -> bool {
        let alters = |i| tokens.is_word(i, "alter") && tokens.is_word(i + 1, "schema");
        (0..tokens.all().len()).any(alters) && {
            let lower = text.to_ascii_lowercase();
            self.schemas.iter().any(|s| lower.contains(s.as_str()))
        }
    }

    fn in_string(&self, literal: &str, depth: usize) -> bool {
        match decoded(literal) {
            Some(text) => self.in_code_at(&text, depth + 1),
            // No string by the grammar: text that only looks like one, unless it hides something all the same.
            None => self.in_escapes(literal),
        }
    }

    /// Whether what is no string or name by the grammar mentions one, as it stands or however its escapes and
    /// continuations may be read. Escapes of one's own choice (UESCAPE) could spell anything.
    fn in_escapes(&self, text: &str) -> bool {
        let joined = continued(text);
        self.in_text(text)
            || text.to_ascii_lowercase().contains("uescape")
            || [unescaped(&joined, false), unescaped(&joined, true)].iter().any(|read| self.in_text(read))
    }

    /// Whether a string constant in the span mentions one.
    pub(super) fn in_strings(&self, tokens: &Tokens<'_>, span: &Range<usize>) -> bool {
        indices(tokens, span)
            .filter_map(|i| tokens.get(i))
            .any(|t| t.kind == Kind::Str && self.in_string(tokens.text(t), 0))
    }

    /// Whether the span calls a function that runs text, with a string that mentions one.
    pub(super) fn in_text_that_runs(&self, tokens: &Tokens<'_>, span: &Range<usize>) -> bool {
        let runs = |i: usize| {
            let Some(token) = tokens.get(i) else { return false };
            let named = tokens.name(token).is_some_and(|n| ddl::runs_text(&n));
            tokens.is_punct(i + 1, b'(') && (named || token.kind == Kind::UnicodeQuoted)
        };
        indices(tokens, span).any(runs) && self.in_strings(tokens, span)
    }
}

/// Whether a text has one of these as a name.
pub fn names_one_of(text: &str, names: &[&str]) -> bool {
    let tokens = Tokens::new(text);
    tokens.all().iter().filter_map(|t| tokens.name(t)).any(|name| names.contains(&name.as_str()))
}

/// A name of any form, as the grammar reads it.
pub(super) fn any_name(tokens: &Tokens<'_>, token: &Token) -> Option<String> {
    match token.kind {
        Kind::UnicodeQuoted => unicode_name(tokens.text(token)),
        _ => tokens.name(token),
    }
}

/// The names and texts that a function's body has in other letters than theirs: by escapes, doubled quotes, or as strings that go on
/// in the next line. Empty for nearly all.
pub fn spelt_otherwise(body: &str) -> String {
    let mut out = String::new();
    spell(body, 0, &mut out);
    out
}

fn spell(text: &str, depth: usize, out: &mut String) {
    let hides = text.contains('\\') || text.contains("\"\"") || continues(text);
    if depth > DEEPEST || !(hides || text.to_ascii_lowercase().contains("u&")) {
        return;
    }
    let tokens = Tokens::new(text);
    for token in tokens.all() {
        let literal = tokens.text(token);
        let read = match token.kind {
            Kind::Quoted if literal.contains("\"\"") => tokens.name(token),
            Kind::UnicodeQuoted => unicode_name(literal).or_else(|| Some(unescaped(literal, true))),
            Kind::Str => decoded(literal).or_else(|| Some(unescaped(&continued(literal), false))),
            _ => None,
        };
        let Some(read) = read.filter(|read| !text.contains(read.as_str())) else {
            // A text within the text as it stands: what it hides in turn.
            if let Some(inner) = decoded(literal).filter(|_| token.kind == Kind::Str) {
                spell(&inner, depth + 1, out);
            }
            continue;
        };
        out.push('\n');
        out.push_str(&read);
        spell(&read, depth + 1, out);
    }
}

/// Whether a string may go on in the next line.
fn continues(text: &str) -> bool {
    text.split('\'').any(|between| {
        let rest = between.trim_start();
        (rest.is_empty() || rest.starts_with("--")) && between.contains(['\n', '\r'])
    })
}

/// What a string constant of any form stands for.
fn decoded(literal: &str) -> Option<String> {
    if let Some(body) = literal.strip_prefix('$') {
        let tag = body.find('$')? + 2;
        return literal.get(tag..literal.len().checked_sub(tag)?).map(str::to_owned);
    }
    if literal.starts_with('\'') && !literal.contains('\n') && !literal.contains('\r') {
        return Some(literal.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'"));
    }
    // Escapes and continuations are the grammar's to read.
    let parsed = pg_raw_parse::parse(&format!("SELECT {}", without_comments(literal))).ok()?;
    let raw = parsed.iter().next()?;
    match raw.stmt() {
        Node::SelectStmt(s) => statement::constant(s.target_list().first()?.val()),
        _ => None,
    }
}

/// The name that a quoted identifier with Unicode escapes stands for.
fn unicode_name(text: &str) -> Option<String> {
    let parsed = pg_raw_parse::parse(&format!("SELECT 1 AS {}", without_comments(text))).ok()?;
    let raw = parsed.iter().next()?;
    match raw.stmt() {
        Node::SelectStmt(s) => s.target_list().first()?.name().map(str::to_owned),
        _ => None,
    }
}

/// A text whose strings are read on after a pause: `'a' 'b'` as `'ab'`.
fn continued(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.split('\'') {
        if !part.trim().is_empty() || out.is_empty() {
            out.push_str(part);
        }
    }
    out
}

/// A text with its escapes read as those of `E'…'`, or of `U&'…'`.
fn unescaped(text: &str, unicode: bool) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let (skip, digits, radix) = match (unicode, after.first()) {
            (true, Some(b'+')) => (1, 6, 16),
            (true, _) => (0, 4, 16),
            (false, Some(b'x' | b'X')) => (1, 2, 16),
            (false, Some(b'u')) => (1, 4, 16),
            (false, Some(b'U')) => (1, 8, 16),
            (false, _) => (0, 3, 8),
        };
        let number = &after[skip.min(after.len())..];
        let is_digit = |b: &&u8| char::from(**b).is_digit(radix);
        let len = number.iter().take(digits).take_while(is_digit).count();
        let code = std::str::from_utf8(&number[..len]).ok().and_then(|d| u32::from_str_radix(d, radix).ok());
        match code {
            // A byte of a character, or a whole one.
            Some(code) if !unicode && digits < 4 => out.extend(u8::try_from(code & 0xff)),
            Some(code) => {
                let mut room = [0; 4];
                let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut room).as_bytes());
            }
            None => continue,
        }
        rest = &number[len..];
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A string constant without the comments between its parts: the bindings' grammar does not read a string on
/// after one, as the server does.
fn without_comments(literal: &str) -> String {
    let escapes = literal.starts_with(['E', 'e']);
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal.chars().peekable();
    let mut quoted = false;
    while let Some(c) = rest.next() {
        if !quoted && c == '-' && rest.peek() == Some(&'-') {
            while rest.next_if(|c| !matches!(c, '\n' | '\r')).is_some() {}
            continue;
        }
        quoted ^= c == '\'';
        out.push(c);
        if quoted && escapes && c == '\\' {
            out.extend(rest.next());
        }
    }
    out
}

/// Whether what begins at this token stands where a relation may: after FROM and the like, also in a list.
pub(super) fn relation_position(tokens: &Tokens<'_>, index: usize) -> bool {
    let mut first = index;
    while first >= 2 && tokens.is_punct(first - 1, b'.') {
        first -= 2;
    }
    let Some(before) = first.checked_sub(1) else { return false };
    if tokens.is_punct(before, b'(') {
        return relation_position(tokens, before);
    }
    let is_any = |i: usize, words: &[&str]| words.iter().any(|w| tokens.is_word(i, w));
    if !tokens.is_punct(before, b',') {
        return is_any(before, BEFORE);
    }
    // In a list: whose list it is.
    let depth = tokens.get(before).map(|t| t.depth);
    let mut at = before;
    while at > 0 {
        at -= 1;
        let Some(token) = tokens.get(at) else { return true };
        if Some(token.depth) < depth {
            return tokens.is_punct(at, b'(') && relation_position(tokens, at);
        }
        if Some(token.depth) == depth {
            if is_any(at, BEFORE) {
                return true;
            }
            if is_any(at, &["select", "by", "values", "set", "returning", "distinct", "where"]) {
                return false;
            }
        }
    }
    true
}

fn indices(tokens: &Tokens<'_>, span: &Range<usize>) -> impl Iterator<Item = usize> + use<> {
    let from = tokens.all().partition_point(|t| t.start < span.start);
    let to = tokens.all().partition_point(|t| t.start < span.end);
    from..to
}
