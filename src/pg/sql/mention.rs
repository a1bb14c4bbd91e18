//! Which protected names a text mentions, by its tokens.

use super::Scope;
use super::lex::{Kind, Tokens};
use hashbrown::HashSet;
use std::ops::Range;

/// Words after which a name may be a relation's.
const BEFORE: [&str; 14] = [
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
            let after = |w: &str| i > 0 && tokens.is_word(i - 1, w);
            let punct = |p| i > 0 && tokens.is_punct(i - 1, p);
            tokens.is_punct(i + 1, b'(')
                || BEFORE.iter().any(|w| after(w))
                || punct(b',')
                || punct(b'(')
                || punct(b'.')
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

fn indices(tokens: &Tokens<'_>, span: &Range<usize>) -> impl Iterator<Item = usize> + use<> {
    let from = tokens.all().partition_point(|t| t.start < span.start);
    let to = tokens.all().partition_point(|t| t.start < span.end);
    from..to
}
