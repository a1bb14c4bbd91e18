//! Expressions: what flows from each, and what may be done to a protected value.

use super::core::{Planner, Step};
use super::edit::Piece;
use super::names::{Env, FieldFlow, Flow};
use super::refuse::{self, operator};
use super::value::{Cast, Place, Value, function_name};
use super::{ddl, types};
use crate::pg::plan::{Action, Shown};
use crate::policy::model::{Declared, Protect};
use pg_raw_parse::list::NodeList;
use pg_raw_parse::raw::{A_Expr_Kind, SubLinkType};
use pg_raw_parse::{Node, nodes};
use std::ops::Range;

impl FieldFlow {
    pub(super) fn place(&self) -> Place<'_> {
        Place { field: self.field, label: &self.label, stored_oid: self.stored_oid }
    }
}

/// One side of a comparison.
enum Side<'n> {
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
enum Fold {
    Upper,
    Lower,
}

impl<'s> Planner<'s> {
    /// What flows from an expression.
    pub(super) fn expr(&mut self, node: Node<'_>, env: &Env<'_>) -> Step<Flow> {
        self.deeper(|p| p.expr_inner(node, env))
    }

    fn expr_inner(&mut self, node: Node<'_>, env: &Env<'_>) -> Step<Flow> {
        match node {
            Node::A_Const(c) if c.isnull => return Ok(Flow::Null),
            Node::ColumnRef(c) => return self.column(c, env),
            Node::TypeCast(cast) => return self.cast_expr(cast, env),
            Node::SubLink(link) => return self.sub_link(link, env),
            Node::None
            | Node::A_Const(_)
            | Node::SetToDefault(_)
            | Node::SQLValueFunction(_)
            | Node::CurrentOfExpr(_) => {}
            Node::ParamRef(p) => self.plain_param(p.number),
            Node::A_Expr(e) => self.a_expr(e, env)?,
            Node::BoolExpr(b) => self.plain_list(b.args(), env, "a boolean operator")?,
            Node::NullTest(t) => {
                self.expr(t.arg(), env)?;
            }
            Node::BooleanTest(t) => self.plain(t.arg(), env, "IS TRUE/FALSE")?,
            Node::FuncCall(f) => self.call(f, env)?,
            Node::CoalesceExpr(c) => self.plain_list(c.args(), env, "COALESCE")?,
            Node::MinMaxExpr(m) => self.plain_list(m.args(), env, "GREATEST/LEAST")?,
            Node::A_ArrayExpr(a) => self.plain_list(a.elements(), env, "ARRAY[…]")?,
            Node::RowExpr(r) => self.plain_list(r.args(), env, "ROW(…)")?,
            Node::CollateClause(c) => self.plain(c.arg(), env, "COLLATE")?,
            Node::GroupingFunc(g) => self.plain_list(g.args(), env, "GROUPING")?,
            Node::NamedArgExpr(n) => self.plain(n.arg(), env, "a function")?,
            Node::XmlExpr(x) => {
                self.plain_list(x.named_args(), env, "an XML function")?;
                self.plain_list(x.args(), env, "an XML function")?;
            }
            Node::XmlSerialize(x) => self.plain(x.expr(), env, "XMLSERIALIZE")?,
            Node::ResTarget(t) => self.plain(t.val(), env, "a function")?,
            Node::CaseExpr(c) => {
                self.plain(c.arg(), env, "CASE")?;
                self.plain(c.defresult(), env, "CASE")?;
                for when in c.args() {
                    let Node::CaseWhen(w) = when else { return Err(refuse::unknown("a CASE").into()) };
                    self.plain(w.expr(), env, "CASE")?;
                    self.plain(w.result(), env, "CASE")?;
                }
            }
            Node::A_Indirection(i) => {
                self.plain(i.arg(), env, "a subscript or field selection")?;
                for part in i.indirection() {
                    match part {
                        Node::A_Indices(x) => {
                            self.plain(x.lidx(), env, "a subscript")?;
                            self.plain(x.uidx(), env, "a subscript")?;
                        }
                        Node::String(_) | Node::A_Star(_) => {}
                        _ => return Err(refuse::unknown("a subscript").into()),
                    }
                }
            }
            other => return Err(refuse::unknown(&kind_name(other)).into()),
        }
        Ok(Flow::Plain(None))
    }

    /// An expression from which nothing protected may flow; `what` is done to it.
    pub(super) fn plain(&mut self, node: Node<'_>, env: &Env<'_>, what: &str) -> Step<()> {
        match self.expr(node, env)? {
            Flow::Field(f) => Err(operator(what, f.token, &f.label).into()),
            _ => Ok(()),
        }
    }

    pub(super) fn plain_list(&mut self, list: &NodeList, env: &Env<'_>, what: &str) -> Step<()> {
        list.iter().try_for_each(|n| self.plain(n, env, what))
    }

    /// A cast; around a protected column it is taken off, and remembered in what the client is shown.
    fn cast_expr(&mut self, cast: &nodes::TypeCast, env: &Env<'_>) -> Step<Flow> {
        let flow = self.expr(cast.arg(), env)?;
        let Flow::Field(mut f) = flow else {
            return Ok(if matches!(flow, Flow::Null) { Flow::Null } else { Flow::Plain(None) });
        };
        let cast = self.cast(cast, None)?;
        let field = self.field(f.field)?;
        let declared = types::declared(field.ty);
        let text_like = matches!(field.ty, Declared::Text | Declared::Varchar(_));
        let target = cast.to.filter(|&(oid, typmod)| {
            !cast.array
                && match (oid, typmod) {
                    (types::TEXT, _) => true,
                    (types::VARCHAR, -1) => text_like,
                    (oid, typmod) => [(f.shown.oid, f.shown.typmod), declared]
                        .iter()
                        .any(|own| own.0 == oid && (typmod == -1 || typmod == own.1)),
                }
        });
        let Some((oid, typmod)) = target else {
            return Err(operator(&format!("cast to {}", cast.name), f.token, &f.label).into());
        };
        self.strip(std::slice::from_ref(&cast));
        f.shown = Shown { oid, len: types::len(oid), typmod };
        Ok(Flow::Field(f))
    }

    fn call(&mut self, f: &nodes::FuncCall, env: &Env<'_>) -> Step<()> {
        let (name, system) = function_name(f)?;
        if self.scope.catalog.functions.iter().any(|x| x.eq_ignore_ascii_case(&name)) {
            self.touched = true;
            return Err(refuse::refusal(
                "function",
                format!("function {name} touches a protected table"),
                "This version can't see into functions; run its statements from the application.",
            )
            .into());
        }
        if ddl::runs_text(&name) && self.literal_names_protected(f) {
            self.touched = true;
            return Err(refuse::refusal(
                "dynamic-sql",
                format!("function {name} runs SQL text that names a protected table"),
                "Send the statement itself, so that it can be planned.",
            )
            .into());
        }
        let count = name == "count" && system;
        for arg in f.args() {
            let flow = self.argument(arg, env)?;
            if let Flow::Field(field) = flow
                && !(count && (field.token || !f.agg_distinct))
            {
                let what = if count { "count(DISTINCT …)".to_owned() } else { format!("function {name}") };
                return Err(operator(&what, field.token, &field.label).into());
            }
        }
        for sort in f.agg_order() {
            self.plain(sort.node(), env, &format!("ORDER BY in function {name}"))?;
        }
        self.plain(f.agg_filter(), env, "FILTER")?;
        if let Some(window) = f.over() {
            self.window(window, env)?;
        }
        Ok(())
    }

    /// A function's argument: `t.*` there is a whole row.
    fn argument(&mut self, arg: Node<'_>, env: &Env<'_>) -> Step<Flow> {
        if let Node::ColumnRef(c) = arg
            && c.fields().iter().any(|n| matches!(n, Node::A_Star(_)))
        {
            let rel = c.fields().iter().filter_map(|n| n.as_str()).last();
            return match rel.and_then(|r| self.rel_named(None, r, env)) {
                Some(rel) => self.whole_row(rel),
                None => Err(refuse::unknown("a row of an unknown relation").into()),
            };
        }
        self.expr(arg, env)
    }

    /// PARTITION BY, ORDER BY and frame of a window.
    pub(super) fn window(&mut self, window: &nodes::WindowDef, env: &Env<'_>) -> Step<()> {
        for part in window.partition_clause() {
            self.groupable(part, env, "PARTITION BY")?;
        }
        for sort in window.order_clause() {
            if self.groupable(sort.node(), env, "ORDER BY")? {
                self.sorts_by_token = true;
            }
        }
        self.plain(window.start_offset(), env, "a window frame")?;
        self.plain(window.end_offset(), env, "a window frame")
    }

    /// An expression by which rows are grouped or sorted: tokens may be. Gives whether it is one.
    pub(super) fn groupable(&mut self, node: Node<'_>, env: &Env<'_>, what: &str) -> Step<bool> {
        match self.expr(node, env)? {
            Flow::Field(f) if !f.token => Err(operator(what, false, &f.label).into()),
            Flow::Field(_) => Ok(true),
            _ => Ok(false),
        }
    }

    fn sub_link(&mut self, link: &nodes::SubLink, env: &Env<'_>) -> Step<Flow> {
        let Node::SelectStmt(select) = link.subselect() else {
            return Err(refuse::unknown("a subquery of that form").into());
        };
        let outputs = self.select(select, env)?.cols;
        match link.sub_link_type {
            SubLinkType::EXISTS_SUBLINK => Ok(Flow::Plain(None)),
            SubLinkType::EXPR_SUBLINK => match outputs.into_iter().next().map(|c| c.flow) {
                Some(Flow::Field(mut f)) => {
                    f.at = None;
                    f.subject = None;
                    f.when = f.when.map(|_| None);
                    f.not_null = false;
                    Ok(Flow::Field(f))
                }
                _ => Ok(Flow::Plain(None)),
            },
            SubLinkType::ANY_SUBLINK | SubLinkType::ALL_SUBLINK => {
                let op = link.oper_name().iter().filter_map(|n| n.as_str()).last().unwrap_or("=").to_owned();
                let left: Vec<Node<'_>> = match link.testexpr() {
                    Node::RowExpr(r) => r.args().iter().collect(),
                    one => vec![one],
                };
                for (i, node) in left.into_iter().enumerate() {
                    let side = self.side(node, env)?;
                    match outputs.get(i).map(|c| &c.flow) {
                        Some(Flow::Field(f)) => self.compare(side, Side::Field(f.clone()), &op, env)?,
                        _ => {
                            if let Side::Field(f) | Side::Folded(_, f, ..) = &side {
                                return Err(refuse::expression(&f.label).into());
                            }
                            self.leave(side, env, &op)?;
                        }
                    }
                }
                Ok(Flow::Plain(None))
            }
            SubLinkType::ARRAY_SUBLINK => match outputs.into_iter().next().map(|c| c.flow) {
                Some(Flow::Field(f)) => Err(operator("ARRAY(…)", f.token, &f.label).into()),
                _ => Ok(Flow::Plain(None)),
            },
            _ => Err(refuse::unknown("a subquery of that form").into()),
        }
    }

    fn a_expr(&mut self, e: &nodes::A_Expr, env: &Env<'_>) -> Step<()> {
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
    fn side<'n>(&mut self, node: Node<'n>, env: &Env<'_>) -> Step<Side<'n>> {
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
    fn leave(&mut self, side: Side<'_>, env: &Env<'_>, what: &str) -> Step<()> {
        match side {
            Side::Field(f) | Side::Folded(_, f, ..) => Err(operator(what, f.token, &f.label).into()),
            Side::Value(v) | Side::FoldedValue(_, v, _) => {
                if let super::value::What::Param(n) = v.what {
                    self.plain_param(i32::from(n));
                }
                Ok(())
            }
            Side::Other(node) => self.plain(node, env, what),
        }
    }

    fn compare(&mut self, l: Side<'_>, r: Side<'_>, op: &str, env: &Env<'_>) -> Step<()> {
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
        let value = Value { what: v.what, range: call, casts: Vec::new() };
        self.check_casts(&v.casts, &f.place(), false)?;
        if matches!(value.what, super::value::What::Null) {
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

/// The kind of a node, for a refusal: the name only, never its content.
pub(super) fn kind_name(node: Node<'_>) -> String {
    use std::fmt::Write as _;
    let mut name = Name(String::new());
    // Stops at what follows the name.
    let _ = write!(name, "{node:?}");
    format!("a construct of kind {}", name.0)
}

/// Takes the first word that is written and no more.
struct Name(String);

impl std::fmt::Write for Name {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        for c in s.chars() {
            if !(c.is_ascii_alphanumeric() || c == '_') {
                return Err(std::fmt::Error);
            }
            self.0.push(c);
        }
        Ok(())
    }
}
