//! Where an expression stands in the text: the grammar's nodes tell only where some of their parts begin.

use super::core::Planner;
use super::lex::Kind;
use pg_raw_parse::raw::A_Expr_Kind;
use pg_raw_parse::{Node, nodes};
use std::ops::Range;

/// First and last token.
type Span = (usize, usize);

impl Planner<'_> {
    /// The bytes of an expression, with the brackets that it needs; `None` for a form that isn't followed.
    /// Every constant and parameter of the expression lies within them.
    pub(super) fn extent(&self, node: Node<'_>) -> Option<Range<usize>> {
        let (first, last) = self.balanced(self.span_of(node)?);
        Some(self.bytes_of(first).start..self.bytes_of(last).end)
    }

    /// The last of the brackets around an expression, where it stands in some by itself.
    pub(super) fn last_bracket(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let all = self.tokens.all();
        let mut first = all.partition_point(|t| t.start < range.start);
        let mut next = all.partition_point(|t| t.start < range.end);
        let mut last = None;
        while first > 0 && self.tokens.is_punct(first - 1, b'(') && self.tokens.is_punct(next, b')') {
            last = Some(self.bytes_of(next));
            (first, next) = (first - 1, next + 1);
        }
        last
    }

    fn token_of(&self, location: i32) -> Option<usize> {
        self.tokens.at(usize::try_from(location).ok()?)
    }

    fn span_of(&self, node: Node<'_>) -> Option<Span> {
        match node {
            Node::ColumnRef(c) => {
                let first = self.token_of(c.location)?;
                Some((first, self.dotted(first)))
            }
            Node::ParamRef(p) => self.token_of(p.location).map(one),
            Node::A_Const(c) => {
                let at = self.token_of(c.location)?;
                let signed = self.tokens.get(at)?.kind == Kind::Operator;
                Some((at, at + usize::from(signed)))
            }
            Node::TypeCast(cast) => self.cast_span(cast),
            Node::CollateClause(c) => {
                let at = self.token_of(c.location)?;
                Some(both(self.span_of(c.arg())?, (at, self.dotted(at + 1))))
            }
            Node::FuncCall(call) => self.call_span(call),
            Node::A_Expr(e) => self.operator_span(e),
            Node::BoolExpr(b) => {
                let args = self.span_of_all(b.args().iter())?;
                // NOT stands before its argument.
                Some(both(args, self.token_of(b.location).map_or(args, one)))
            }
            Node::NullTest(t) => Some(both(self.span_of(t.arg())?, self.is_span(t.location)?)),
            Node::BooleanTest(t) => Some(both(self.span_of(t.arg())?, self.is_span(t.location)?)),
            Node::CoalesceExpr(c) => self.bracketed(self.token_of(c.location)?),
            Node::MinMaxExpr(m) => self.bracketed(self.token_of(m.location)?),
            Node::A_ArrayExpr(a) => self.bracketed(self.token_of(a.location)?),
            Node::RowExpr(r) => self.bracketed(self.token_of(r.location)?),
            Node::NodeList(list) => self.span_of_all(list.iter()),
            _ => None,
        }
    }

    fn span_of_all<'n>(&self, nodes: impl Iterator<Item = Node<'n>>) -> Option<Span> {
        let spans: Option<Vec<Span>> = nodes.map(|node| self.span_of(node)).collect();
        spans?.into_iter().reduce(both)
    }

    /// Past the parts of a qualified name.
    fn dotted(&self, first: usize) -> usize {
        let mut last = first;
        while self.tokens.is_punct(last + 1, b'.') {
            last += 2;
        }
        last
    }

    /// A word and the brackets after it, or brackets alone.
    fn bracketed(&self, at: usize) -> Option<Span> {
        let bracket = |at| self.tokens.is_punct(at, b'(') || self.tokens.is_punct(at, b'[');
        let open = if bracket(at) { at } else { at + 1 };
        if bracket(open) { Some((at, self.tokens.closing(open)?)) } else { None }
    }

    fn cast_span(&self, cast: &nodes::TypeCast) -> Option<Span> {
        let at = self.token_of(cast.type_name()?.location)?;
        let ty = (at, self.tokens.type_end(at) - 1);
        let whole = both(self.span_of(cast.arg())?, ty);
        match self.token_of(cast.location) {
            Some(word) if self.tokens.is_word(word, "cast") => self.bracketed(word),
            Some(colons) => Some(both(whole, one(colons))),
            // `date '2000-01-01'`
            None => Some(whole),
        }
    }

    fn call_span(&self, call: &nodes::FuncCall) -> Option<Span> {
        if call.over().is_some() || !matches!(call.agg_filter(), Node::None) || call.agg_within_group {
            return None;
        }
        let name = call.funcname().iter().filter_map(|n| n.as_str()).next_back()?;
        if matches!(name, "like_escape" | "similar_to_escape") {
            // What the grammar makes of ESCAPE: it stands between its arguments.
            return self.span_of_all(call.args().iter());
        }
        let first = self.token_of(call.location)?;
        let open = self.dotted(first) + 1;
        if self.tokens.is_punct(open, b'(') { Some((first, self.tokens.closing(open)?)) } else { None }
    }

    fn operator_span(&self, e: &nodes::A_Expr) -> Option<Span> {
        let at = self.token_of(e.location)?;
        if e.kind == A_Expr_Kind::AEXPR_NULLIF {
            return self.bracketed(at);
        }
        let right = self.span_of(e.rexpr())?;
        let whole = both(one(at), right);
        match e.lexpr() {
            Node::None => Some(whole),
            left => Some(both(whole, self.span_of(left)?)),
        }
    }

    /// `IS [NOT] NULL` and the like, or one word for it.
    fn is_span(&self, location: i32) -> Option<Span> {
        let at = self.token_of(location)?;
        if !self.tokens.is_word(at, "is") {
            return Some(one(at));
        }
        Some((at, at + 1 + usize::from(self.tokens.is_word(at + 1, "not"))))
    }

    /// Extends a span over the brackets that are open within it.
    fn balanced(&self, (mut first, mut last): Span) -> Span {
        let all = self.tokens.all();
        let depth = |at: usize| all.get(at).map_or(0, |t| t.depth);
        let least = (first..=last).map(depth).min().unwrap_or(0);
        while depth(first) > least {
            let wanted = depth(first) - 1;
            match (0..first).rev().find(|&at| depth(at) == wanted) {
                Some(open) => first = open,
                None => break,
            }
        }
        while depth(last) > least {
            let wanted = depth(last) - 1;
            match (last + 1..all.len()).find(|&at| depth(at) == wanted) {
                Some(close) => last = close,
                None => break,
            }
        }
        (first, last)
    }
}

fn one(at: usize) -> Span {
    (at, at)
}

fn both(a: Span, b: Span) -> Span {
    (a.0.min(b.0), a.1.max(b.1))
}
