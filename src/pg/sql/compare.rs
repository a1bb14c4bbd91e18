//! Comparisons: which of them work on tokens, and how constants in them are replaced.

use super::core::{Planner, Step};
use super::edit::Piece;
use super::names::{Env, FieldFlow, Flow};
use super::refuse::{self, operator};
use super::value::{Cast, Value, What, function_name};
use crate::pg::plan::Action;
use crate::policy::model::Protect;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::raw::A_Expr_Kind;
use pg_raw_parse::{Node, nodes};
use std::ops::Range;

/// One side of a comparison.
pub(super) enum Side<'n> {
    /// A protected column.
    Field(Box<FieldFlow>),
    /// `upper(column)` or `lower(column)`: which, the column, and the bytes of the whole call and the column.
    Folded(Fold, Box<FieldFlow>, Range<usize>, Range<usize>),
    /// A constant.
    Value(Value),
    /// `upper(constant)` or `lower(constant)`, with the bytes of the whole call.
    FoldedValue(Fold, Value, Range<usize>),
    /// Anything else.
    Other(Node<'n>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    Upper,
    Lower,
}

impl<'s> Planner<'s> {
    /// An operator.
    pub(super) fn a_expr(&mut self, e: &nodes::A_Expr, env: &Env<'_>) -> Step<()> {
        let names: Vec<&str> = e.name().iter().filter_map(|n| n.as_str()).collect();
        let op = match names.as_slice() {
            [op] | ["pg_catalog", op] => (*op).to_owned(),
            _ => "OPERATOR(…)".to_owned(),
        };
        match e.kind {
            A_Expr_Kind::AEXPR_OP => match (e.lexpr(), e.rexpr()) {
                (Node::RowExpr(l), Node::RowExpr(r)) if l.args().len() == r.args().len() => {
                    for (l, r) in l.args().iter().zip(r.args()) {
                        self.pair(l, r, &op, env)?;
                    }
                    Ok(())
                }
                (l, r) => self.pair(l, r, &op, env),
            },
            A_Expr_Kind::AEXPR_DISTINCT | A_Expr_Kind::AEXPR_NOT_DISTINCT => {
                self.pair(e.lexpr(), e.rexpr(), "IS DISTINCT FROM", env)
            }
            A_Expr_Kind::AEXPR_IN => {
                let Node::NodeList(list) = e.rexpr() else {
                    return Err(refuse::unknown("an IN of that form").into());
                };
                self.in_list(e.lexpr(), list, &op, env)
            }
            A_Expr_Kind::AEXPR_OP_ANY | A_Expr_Kind::AEXPR_OP_ALL => self.any(e, &op, env),
            _ => {
                let what = match e.kind {
                    A_Expr_Kind::AEXPR_NULLIF => "NULLIF".to_owned(),
                    A_Expr_Kind::AEXPR_LIKE => "operator LIKE".to_owned(),
                    A_Expr_Kind::AEXPR_ILIKE => "operator ILIKE".to_owned(),
                    A_Expr_Kind::AEXPR_SIMILAR => "operator SIMILAR TO".to_owned(),
                    k if (A_Expr_Kind::AEXPR_BETWEEN..=A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM).contains(&k) => {
                        "operator BETWEEN".to_owned()
                    }
                    _ => return Err(refuse::unknown("an operator of unknown kind").into()),
                };
                for side in [e.lexpr(), e.rexpr()] {
                    match side {
                        Node::NodeList(list) => self.operands(list, env, &what)?,
                        one => self.operand(one, env, &what)?,
                    }
                }
                Ok(())
            }
        }
    }

    /// An operand of an operator that no protected value may meet, not even folded.
    fn operand(&mut self, node: Node<'_>, env: &Env<'_>, what: &str) -> Step<()> {
        match self.side(node, env)? {
            Side::Field(f) | Side::Folded(_, f, ..) => Err(operator(what, f.token, &f.label).into()),
            side => self.leave(side, env, what),
        }
    }

    fn operands(&mut self, list: &NodeList, env: &Env<'_>, what: &str) -> Step<()> {
        list.iter().try_for_each(|n| self.operand(n, env, what))
    }

    fn pair(&mut self, l: Node<'_>, r: Node<'_>, op: &str, env: &Env<'_>) -> Step<()> {
        let l = self.side(l, env)?;
        let r = self.side(r, env)?;
        self.compare(l, r, op, env)
    }

    fn in_list(&mut self, l: Node<'_>, list: &NodeList, op: &str, env: &Env<'_>) -> Step<()> {
        if let Node::RowExpr(row) = l {
            for item in list {
                match item {
                    Node::RowExpr(r) if r.args().len() == row.args().len() => {
                        for (l, r) in row.args().iter().zip(r.args()) {
                            self.pair(l, r, op, env)?;
                        }
                    }
                    _ => {
                        self.plain(l, env, "operator IN")?;
                        self.plain(item, env, "operator IN")?;
                    }
                }
            }
            return Ok(());
        }
        // `upper(x) IN (…)` has no single folded form here.
        let named = |f: &FieldFlow| operator("operator IN", f.token, &f.label);
        for item in list {
            let left = self.side(l, env)?;
            let right = self.side(item, env)?;
            if let Side::Folded(_, f, ..) = &left {
                return Err(named(f).into());
            }
            if let Side::Field(f) = &left
                && !f.token
            {
                return Err(named(f).into());
            }
            self.compare(left, right, op, env)?;
        }
        Ok(())
    }

    fn any(&mut self, e: &nodes::A_Expr, op: &str, env: &Env<'_>) -> Step<()> {
        let what = format!("operator {op} ANY/ALL");
        let left = self.side(e.lexpr(), env)?;
        let f = match left {
            Side::Field(f) => f,
            Side::Folded(_, f, ..) => return Err(operator(&what, f.token, &f.label).into()),
            other => {
                self.leave(other, env, &what)?;
                return self.plain(e.rexpr(), env, &what);
            }
        };
        if !f.token || !matches!(op, "=" | "<>") {
            return Err(operator(&what, f.token, &f.label).into());
        }
        if let Some(value) = self.value(e.rexpr())? {
            return self.find_value(value, &f.place(), true);
        }
        let (array, casts) = self.array_in_casts(e.rexpr())?;
        let Some(array) = array else { return Err(refuse::expression(&f.label).into()) };
        self.check_casts(&casts, &f.place(), true)?;
        if !array.elements().is_empty() {
            self.strip(&casts);
        }
        for element in array.elements() {
            let Some(value) = self.value(element)? else { return Err(refuse::expression(&f.label).into()) };
            self.find_value(value, &f.place(), false)?;
        }
        Ok(())
    }

    /// `ARRAY[…]` within its casts.
    pub(super) fn array_in_casts<'n>(
        &self,
        mut node: Node<'n>,
    ) -> Step<(Option<&'n nodes::A_ArrayExpr>, Vec<Cast>)> {
        let mut casts = Vec::new();
        while let Node::TypeCast(cast) = node {
            casts.push(self.cast(cast, None)?);
            node = cast.arg();
        }
        Ok(match node {
            Node::A_ArrayExpr(a) => (Some(a), casts),
            _ => (None, casts),
        })
    }

    /// What stands on one side of a comparison. Constants aren't counted yet.
    pub(super) fn side<'n>(&mut self, node: Node<'n>, env: &Env<'_>) -> Step<Side<'n>> {
        match node {
            Node::A_Const(_) | Node::ParamRef(_) => {
                // What can't be located is a constant all the same: it is left to where it matters.
                return Ok(match self.value(node) {
                    Ok(Some(v)) => Side::Value(v),
                    _ => Side::Other(node),
                });
            }
            Node::TypeCast(_) => {
                if let Ok(Some(v)) = self.value(node) {
                    return Ok(Side::Value(v));
                }
            }
            Node::FuncCall(f) => {
                if let Some(side) = self.folded(f, env)? {
                    return Ok(side);
                }
            }
            Node::ColumnRef(_) | Node::SubLink(_) => {}
            other => return Ok(Side::Other(other)),
        }
        Ok(match self.expr(node, env)? {
            Flow::Field(f) => Side::Field(f),
            _ => Side::Other(Node::None),
        })
    }

    /// `upper(x)` or `lower(x)` of a token column or a constant.
    fn folded<'n>(&mut self, f: &'n nodes::FuncCall, env: &Env<'_>) -> Step<Option<Side<'n>>> {
        let (name, system) = function_name(f)?;
        let fold = match name.as_str() {
            "upper" if system => Fold::Upper,
            "lower" if system => Fold::Lower,
            _ => return Ok(None),
        };
        if f.args().len() != 1 || f.over().is_some() {
            return Ok(None);
        }
        let Some(arg) = f.args().first() else { return Ok(None) };
        let start = self.token_at(f.location)?;
        let whole = |p: &Self| {
            let mut open = start;
            while !p.tokens.is_punct(open, b'(') {
                open += 1;
                if p.tokens.get(open).is_none() {
                    return Err(refuse::unknown("a function call of that form"));
                }
            }
            let close =
                p.tokens.closing(open).ok_or_else(|| refuse::unknown("a function call of that form"))?;
            Ok(p.bytes_of(start).start..p.bytes_of(close).end)
        };
        if let Ok(Some(value)) = self.value(arg) {
            return Ok(Some(Side::FoldedValue(fold, value, whole(self)?)));
        }
        let mut inner = arg;
        while let Node::TypeCast(c) = inner {
            inner = c.arg();
        }
        let Node::ColumnRef(column) = inner else { return Ok(None) };
        let Flow::Field(field) = self.expr(inner, env)? else { return Ok(None) };
        if !field.token {
            return Err(operator(&format!("function {name}"), false, &field.label).into());
        }
        let mut casts = Vec::new();
        let mut node = arg;
        while let Node::TypeCast(c) = node {
            casts.push(self.cast(c, None)?);
            node = c.arg();
        }
        self.check_casts(&casts, &field.place(), false)?;
        let first = self.token_at(column.location)?;
        let mut last = first;
        while self.tokens.is_punct(last + 1, b'.') {
            last += 2;
        }
        let bytes = self.bytes_of(first).start..self.bytes_of(last).end;
        Ok(Some(Side::Folded(fold, field, whole(self)?, bytes)))
    }

    /// Takes a side as it stands: nothing protected is on the other.
    pub(super) fn leave(&mut self, side: Side<'_>, env: &Env<'_>, what: &str) -> Step<()> {
        match side {
            Side::Field(f) | Side::Folded(_, f, ..) => Err(operator(what, f.token, &f.label).into()),
            Side::Value(v) | Side::FoldedValue(_, v, _) => {
                if let What::Param(n) = v.what {
                    self.plain_param(i32::from(n));
                }
                self.free_constant(&v);
                Ok(())
            }
            Side::Other(node) => self.plain(node, env, what),
        }
    }

    pub(super) fn compare(&mut self, l: Side<'_>, r: Side<'_>, op: &str, env: &Env<'_>) -> Step<()> {
        let what = if op == "IS DISTINCT FROM" { op.to_owned() } else { format!("operator {op}") };
        let equality = matches!(op, "=" | "<>" | "IS DISTINCT FROM");
        match (l, r) {
            (Side::Field(a), Side::Field(b)) => {
                for f in [&a, &b] {
                    if !f.token || !equality {
                        return Err(operator(&what, f.token, &f.label).into());
                    }
                }
                self.same_domain(&a, &b)
            }
            (Side::Field(f), Side::Value(v)) | (Side::Value(v), Side::Field(f)) => {
                if !f.token || !equality {
                    return Err(operator(&what, f.token, &f.label).into());
                }
                self.find_value(v, &f.place(), false)
            }
            (Side::Folded(fold, f, whole, column), Side::FoldedValue(other, v, call))
            | (Side::FoldedValue(other, v, call), Side::Folded(fold, f, whole, column))
                if fold == other && matches!(op, "=" | "<>") =>
            {
                self.find_folded(&f, v, op, (whole, column, call))
            }
            (Side::Folded(_, f, ..), _) | (_, Side::Folded(_, f, ..)) => Err(refuse::refusal(
                "token-operator",
                format!("{what} with upper or lower on pseudonymised column {}", f.label),
                "Write the same function on both sides: upper(column) = upper(value).",
            )
            .into()),
            (Side::Field(f), other) | (other, Side::Field(f)) => {
                if !f.token || !equality {
                    return Err(operator(&what, f.token, &f.label).into());
                }
                self.leave(other, env, &what)?;
                Err(refuse::expression(&f.label).into())
            }
            (l, r) => {
                self.leave(l, env, &what)?;
                self.leave(r, env, &what)
            }
        }
    }

    /// `upper(col) = upper(value)` becomes `col = ANY(tokens)`.
    fn find_folded(
        &mut self,
        f: &FieldFlow,
        v: Value,
        op: &str,
        (whole, column, call): (Range<usize>, Range<usize>, Range<usize>),
    ) -> Step<()> {
        let value = Value { what: v.what, oid: v.oid, range: call, casts: Vec::new() };
        self.check_casts(&v.casts, &f.place(), false)?;
        if matches!(value.what, What::Null) {
            return Ok(());
        }
        let column_text = self.text.get(column.clone()).unwrap_or_default().to_owned();
        // Casts within the call were recorded as taken off: the whole call is replaced instead.
        self.edits.retain(|e| !(whole.start <= e.range.start && e.range.end <= whole.end));
        self.edit(whole.clone(), vec![Piece::Text(column_text)]);
        let any = if op == "=" { "ANY(" } else { "ALL(" };
        let first = whole.start < value.range.start;
        let place = f.place();
        let action = Action::FindFolded { field: f.field };
        if !first {
            // The value stands on the left: both sides change places.
            let left = value.range.clone();
            self.edits.retain(|e| e.range != whole);
            let text = self.text.get(column).unwrap_or_default().to_owned();
            self.edit(left, vec![Piece::Text(text)]);
            let value = Value { range: whole, ..value };
            return self.protect(value, &place, action, false, |u| {
                vec![Piece::Text(any.into()), Piece::Use(u), Piece::Text(")".into())]
            });
        }
        self.protect(value, &place, action, false, |u| {
            vec![Piece::Text(any.into()), Piece::Use(u), Piece::Text(")".into())]
        })
    }

    /// Tokens compare only within their domain.
    pub(super) fn same_domain(&self, a: &FieldFlow, b: &FieldFlow) -> Step<()> {
        let (x, y) = (self.field(a.field)?, self.field(b.field)?);
        match (&x.protect, &y.protect) {
            (Protect::Pseudonym { domain: p, .. }, Protect::Pseudonym { domain: q, .. }) if p == q => Ok(()),
            _ => Err(refuse::refusal(
                "token-domain",
                format!(
                    "{} and {} are compared, but their tokens are of different domains",
                    a.label, b.label
                ),
                "Declare both fields in one `domain`, or compare in the application.",
            )
            .into()),
        }
    }
}
