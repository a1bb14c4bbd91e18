//! Which protected names a text mentions, by its tokens.

use super::Scope;
use super::lex::{Kind, Tokens};
use hashbrown::HashSet;
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
];

/// The names of protected tables, of views that depend on them, and of functions that touch them.
#[derive(Debug)]
pub(super) struct Mentions<'s> {
    names: HashSet<&'s str>,
    functions: HashSet<String>,
}

impl<'s> Mentions<'s> {
    pub(super) fn new(scope: &Scope<'s>) -> Self {
        let views = scope.catalog.relations.values().filter(|r| r.touches_protected).map(|r| &*r.name);
        Self {
            names: scope.tables.iter().map(|t| &*t.name).chain(views).collect(),
            functions: scope.catalog.functions.iter().map(|f| f.to_ascii_lowercase()).collect(),
        }
    }

    fn is(&self, tokens: &Tokens<'_>, index: usize) -> bool {
        let Some(token) = tokens.get(index) else { return false };
        if token.kind == Kind::UnicodeQuoted {
            return true;
        }
        tokens
            .name(token)
            .is_some_and(|n| self.names.contains(&*n) || self.functions.contains(&*n.to_ascii_lowercase()))
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
            let hidden = tokens.get(i).is_some_and(|t| t.kind == Kind::UnicodeQuoted);
            function || hidden || relation_position(tokens, i)
        })
    }

    /// Whether a piece of text (a function's body) mentions one.
    pub(super) fn in_text(&self, text: &str) -> bool {
        let lower = text.to_ascii_lowercase();
        self.names.iter().any(|n| lower.contains(&n.to_ascii_lowercase()))
            || self.functions.iter().any(|f| lower.contains(f.as_str()))
    }

    /// Whether a string constant in the span mentions one.
    pub(super) fn in_strings(&self, tokens: &Tokens<'_>, span: &Range<usize>) -> bool {
        indices(tokens, span)
            .filter_map(|i| tokens.get(i))
            .any(|t| t.kind == Kind::Str && self.in_text(tokens.text(t)))
    }
}

/// Whether what begins at this token stands where a relation may: after FROM and the like, also in a list.
fn relation_position(tokens: &Tokens<'_>, index: usize) -> bool {
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
