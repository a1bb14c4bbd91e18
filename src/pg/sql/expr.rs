//! Expressions: what flows from each, and what may be done to a protected value.

use super::compare::Side;
use super::core::{Planner, Step, Stop};
use super::evaluate::is_evaluable;
use super::names::{Env, FieldFlow, Flow};
use super::refuse::{self, operator};
use super::value::{Place, function_name};
use super::{ddl, types};
use crate::pg::plan::Shown;
use crate::policy::model::Declared;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::raw::{A_Expr_Kind, SubLinkType};
use pg_raw_parse::{Node, nodes};

/// Where rows are put together.
pub(super) const GROUP_BY: &str = "GROUP BY";

impl FieldFlow {
    pub(super) fn place(&self) -> Place<'_> {
        Place { field: self.field, label: &self.label, stored_oid: self.stored_oid, not_null: self.not_null }
    }
}

impl<'s> Planner<'s> {
    /// What flows from an expression.
    pub(super) fn expr(&mut self, node: Node<'_>, env: &Env<'_>) -> Step<Flow> {
        self.deeper(|p| p.expr_inner(node, env))
    }

    fn expr_inner(&mut self, node: Node<'_>, env: &Env<'_>) -> Step<Flow> {
        let truth = std::mem::take(&mut self.evaluating.truth);
        match node {
            Node::A_Const(c) if c.isnull => return Ok(Flow::Null),
            Node::ColumnRef(c) => return self.column(c, env),
            Node::TypeCast(cast) => return self.cast_expr(cast, env),
            Node::SubLink(link) => return self.sub_link(link, env),
            Node::None
            | Node::A_Const(_)
            | Node::SetToDefault(_)
            | Node::SQLValueFunction(_)
            | Node::MergeSupportFunc(_)
            | Node::CurrentOfExpr(_) => {}
            Node::ParamRef(p) => self.plain_param(p.number),
            Node::A_Expr(e) if e.kind == A_Expr_Kind::AEXPR_NULLIF && is_null(e.rexpr()) => {
                return self.nullif(e.lexpr(), env);
            }
            Node::A_Expr(e) => self.compared(e, env, truth)?,
            Node::BoolExpr(b) => self.boolean(b, env, truth)?,
            Node::NullTest(t) => match t.arg() {
                // Which of them it would be does not matter here.
                Node::CoalesceExpr(c) => c.args().iter().try_for_each(|a| self.expr(a, env).map(|_| ()))?,
                arg => {
                    self.expr(arg, env)?;
                }
            },
            Node::BooleanTest(t) => self.plain(t.arg(), env, "IS TRUE/FALSE")?,
            Node::FuncCall(f) if picks_a_row(f) => return self.picked(f, env),
            Node::FuncCall(f) => match self.extreme(f, env)? {
                Some(flow) => return Ok(flow),
                None => self.call(f, env)?,
            },
            Node::CoalesceExpr(c) => {
                let flows: Step<Vec<Flow>> = c.args().iter().map(|a| self.expr(a, env)).collect();
                return chosen(flows?, "COALESCE");
            }
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
                let mut flows = Vec::with_capacity(c.args().len() + 1);
                for when in c.args() {
                    let Node::CaseWhen(w) = when else { return Err(refuse::unknown("a CASE").into()) };
                    self.plain(w.expr(), env, "CASE")?;
                    flows.push(self.expr(w.result(), env)?);
                }
                flows.push(match c.defresult() {
                    Node::None => Flow::Null,
                    node => self.expr(node, env)?,
                });
                return chosen(flows, "CASE");
            }
            Node::A_Indirection(i) => {
                if let Some(flow) = self.of_row(i, env) {
                    return Ok(flow);
                }
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

    /// `(t).column`, of a relation's row: the column itself.
    fn of_row(&mut self, i: &nodes::A_Indirection, env: &Env<'_>) -> Option<Flow> {
        let (Node::ColumnRef(row), Some(Node::String(column)), 1) =
            (i.arg(), i.indirection().first(), i.indirection().len())
        else {
            return None;
        };
        let (Some(name), 1) = (row.fields().first().and_then(Node::as_str), row.fields().len()) else {
            return None;
        };
        if self.is_column(name, env) {
            return None;
        }
        let rel = self.rel_named(None, name, env)?;
        let column = column.sval()?;
        self.rels[rel].cols.iter().find(|c| c.name == column).map(|c| c.flow.clone())
    }

    /// `NULLIF(x, NULL)` is x: a varchar as text, since it is compared.
    fn nullif(&mut self, node: Node<'_>, env: &Env<'_>) -> Step<Flow> {
        Ok(match self.expr(node, env)? {
            Flow::Field(mut f) => {
                f.at = None;
                f.not_null = false;
                if f.shown.oid == types::VARCHAR {
                    f.shown = Shown { oid: types::TEXT, len: -1, typmod: -1 };
                    if f.stored_oid == types::VARCHAR {
                        f.stored_oid = types::TEXT;
                    }
                }
                Flow::Field(f)
            }
            _ => Flow::Plain(None),
        })
    }

    /// An expression from which nothing protected may flow; `what` is done to it.
    pub(super) fn plain(&mut self, node: Node<'_>, env: &Env<'_>, what: &str) -> Step<()> {
        let truth = self.evaluating.truth;
        match self.expr(node, env)? {
            Flow::Field(f) if f.shown.oid == types::BOOL && self.evaluated(node, env, truth)? => Ok(()),
            Flow::Field(f) => Err(operator(what, f.token, &f.label).into()),
            _ => Ok(()),
        }
    }

    /// A condition: of its values only true counts.
    pub(super) fn condition_on(&mut self, node: Node<'_>, env: &Env<'_>, what: &str) -> Step<()> {
        self.evaluating.truth = true;
        let done = self.plain(node, env, what);
        self.evaluating.truth = false;
        done
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
        f.cast |= (oid, typmod) != (f.shown.oid, f.shown.typmod);
        f.shown = Shown { oid, len: types::len(oid), typmod };
        Ok(Flow::Field(f))
    }

    fn call(&mut self, f: &nodes::FuncCall, env: &Env<'_>) -> Step<()> {
        let (name, system) = function_name(f)?;
        if self.scope.catalog.functions.iter().any(|x| x.eq_ignore_ascii_case(&name)) {
            self.touched = true;
            return Err(refuse::function(&format!("function {name}")).into());
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
        // An aggregate sees rows, not groups.
        let grouped = self.evaluating.grouped.take();
        let done = self.call_parts(f, &name, system, env);
        self.evaluating.grouped = grouped;
        done
    }

    fn call_parts(&mut self, f: &nodes::FuncCall, name: &str, system: bool, env: &Env<'_>) -> Step<()> {
        let count = name == "count" && system;
        for arg in f.args() {
            let flow = self.argument(arg, env)?;
            if let Flow::Field(field) = flow
                && !(count && (field.token || !f.agg_distinct || self.ranked(arg, None, env)?))
            {
                let what = if count { "count(DISTINCT …)".to_owned() } else { format!("function {name}") };
                return Err(operator(&what, field.token, &field.label).into());
            }
        }
        for sort in f.agg_order() {
            self.plain(sort.node(), env, &format!("ORDER BY in function {name}"))?;
        }
        self.condition_on(f.agg_filter(), env, "FILTER")?;
        if let Some(window) = f.over() {
            self.window(window, env)?;
        }
        Ok(())
    }

    /// A window function that gives the value of another row of its window: it is that value, whosever row it is.
    fn picked(&mut self, f: &nodes::FuncCall, env: &Env<'_>) -> Step<Flow> {
        let (name, _) = function_name(f)?;
        let mut flows = Vec::new();
        for (i, arg) in f.args().iter().enumerate() {
            match (self.argument(arg, env)?, i) {
                // The number of rows.
                (Flow::Field(field), 1) => {
                    return Err(operator(&format!("function {name}"), field.token, &field.label).into());
                }
                (_, 1) => {}
                (flow, _) => flows.push(flow),
            }
        }
        if let Some(window) = f.over() {
            self.window(window, env)?;
        }
        self.plain(f.agg_filter(), env, "FILTER")?;
        Ok(match chosen(flows, &format!("function {name}"))? {
            Flow::Field(mut field) => {
                field.subject = None;
                field.beneath = None;
                field.when = field.when.map(|_| None);
                field.shown.typmod = -1;
                Flow::Field(field)
            }
            other => other,
        })
    }

    /// A function's argument: `t.*` there is a whole row.
    fn argument(&mut self, arg: Node<'_>, env: &Env<'_>) -> Step<Flow> {
        if let Node::ColumnRef(c) = arg
            && c.fields().iter().any(|n| matches!(n, Node::A_Star(_)))
        {
            let rel = c.fields().iter().filter_map(|n| n.as_str()).next_back();
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
        let mark = self.mark();
        let refusal = match self.expr(node, env) {
            Ok(Flow::Field(f)) => Some((f.token, operator(what, f.token, &f.label))),
            Ok(_) => None,
            Err(Stop::Refuse(refusal)) if is_evaluable(&refusal) => Some((false, refusal)),
            Err(stop) => return Err(stop),
        };
        let Some((token, refusal)) = refusal else { return Ok(false) };
        // A group has other columns than this one to show: a rank would not stand for them.
        if what != GROUP_BY {
            self.back_to(mark);
            if self.ranked(node, None, env)? {
                return Ok(false);
            }
        }
        if token { Ok(true) } else { Err(refusal.into()) }
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
                    f.beneath = None;
                    f.when = f.when.map(|_| None);
                    f.not_null = false;
                    Ok(Flow::Field(f))
                }
                _ => Ok(Flow::Plain(None)),
            },
            SubLinkType::ANY_SUBLINK | SubLinkType::ALL_SUBLINK => {
                let op =
                    link.oper_name().iter().filter_map(|n| n.as_str()).next_back().unwrap_or("=").to_owned();
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
}

/// Whether it is a window function that only picks a row.
fn picks_a_row(f: &nodes::FuncCall) -> bool {
    const PICK: [&str; 5] = ["first_value", "last_value", "nth_value", "lag", "lead"];
    f.over().is_some() && function_name(f).is_ok_and(|(name, system)| system && PICK.contains(&name.as_str()))
}

/// What flows from an expression that selects among others: a protected value only when all are the same
/// field of one relation instance, stored alike, or NULL.
fn chosen(flows: Vec<Flow>, what: &str) -> Step<Flow> {
    let mut field: Option<Box<FieldFlow>> = None;
    let (mut other, mut null, mut bound, mut beneath) = (false, false, false, true);
    for flow in flows {
        match flow {
            Flow::Null => null = true,
            Flow::Plain(_) => other = true,
            Flow::Field(f) => match &field {
                Some(first)
                    if first.field != f.field
                        || first.subject != f.subject
                        || (first.stored_oid, first.shown) != (f.stored_oid, f.shown) =>
                {
                    return Err(operator(&format!("{what} among several fields"), f.token, &f.label).into());
                }
                Some(first) => {
                    bound |= f.bound;
                    beneath &= first.beneath == f.beneath;
                }
                None => field = Some(f),
            },
        }
    }
    match field {
        Some(f) if other => Err(operator(&format!("{what} with another value"), f.token, &f.label).into()),
        Some(mut f) => {
            f.at = None;
            f.not_null = false;
            f.bound |= bound;
            // Of several rows no one is the value's.
            f.beneath = f.beneath.filter(|_| beneath);
            if null {
                // A NULL has no length or precision, and so has not what is chosen from it and others.
                f.shown.typmod = -1;
            }
            Ok(Flow::Field(f))
        }
        None => Ok(Flow::Plain(None)),
    }
}

fn is_null(node: Node<'_>) -> bool {
    matches!(node, Node::A_Const(c) if c.isnull)
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
