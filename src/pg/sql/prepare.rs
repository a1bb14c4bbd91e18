//! PREPARE, EXECUTE and DEALLOCATE. What PREPARE keeps is planned as a statement of its own; what EXECUTE gives
//! it is made into constants of that plan, so that values in protected places never leave in clear.

use super::core::Planner;
use super::edit::{self, quote};
use super::lex::Tokens;
use super::value::{Value, What, type_of};
use super::{Scope, StatementKind, refuse, types};
use crate::clear::Clear;
use crate::pg::plan::{Arg, ArgCast, Call, CallKind, Given, Param, Plan, Prepares, Splice, Splices, Verdict};
use crate::pg::refusal::Refusal;
use pg_raw_parse::{ConstValue, Node, nodes};
use std::ops::Range;
use std::sync::Arc;

type Planned<T> = Result<T, Refusal>;

/// What PREPARE, DEALLOCATE and DISCARD do to the names of prepared statements.
pub(super) fn kind(stmt: Node<'_>) -> Option<StatementKind> {
    Some(match stmt {
        Node::PrepareStmt(p) => StatementKind::Prepare(p.name().unwrap_or_default().into()),
        Node::DeallocateStmt(d) if !d.isall => StatementKind::Deallocate(d.name().map(Into::into)),
        Node::DeallocateStmt(_) => StatementKind::Deallocate(None),
        Node::DiscardStmt(d) if d.target == ALL => StatementKind::DiscardAll,
        Node::DiscardStmt(_) => StatementKind::Other,
        _ => return None,
    })
}

/// `DISCARD_ALL` (`parsenodes.h`).
const ALL: u32 = 0;

/// PREPARE of what may touch something protected.
pub(super) fn prepare(
    p: &nodes::PrepareStmt,
    sql: &str,
    tokens: &Tokens<'_>,
    range: &Range<usize>,
    scope: &Scope<'_>,
) -> Verdict {
    prepared(p, sql, tokens, range, scope).unwrap_or_else(Verdict::Refuse)
}

fn prepared(
    p: &nodes::PrepareStmt,
    sql: &str,
    tokens: &Tokens<'_>,
    range: &Range<usize>,
    scope: &Scope<'_>,
) -> Planned<Verdict> {
    let lost = || refuse::unknown("a PREPARE of that form");
    let first = tokens.all().partition_point(|t| t.start < range.start);
    let mut at = first + 2;
    if tokens.is_punct(at, b'(') {
        at = tokens.closing(at).ok_or_else(lost)? + 1;
    }
    if !tokens.is_word(first, "prepare") || !tokens.is_word(at, "as") {
        return Err(lost());
    }
    let start = tokens.get(at + 1).ok_or_else(lost)?.start;
    let end = tokens.all().iter().take_while(|t| t.start < range.end).last().ok_or_else(lost)?.end;
    let text = sql.get(start..end).ok_or_else(lost)?;
    let mut listed = Vec::new();
    let mut declared = Vec::new();
    for ty in p.argtypes() {
        listed.push(written(ty, sql, tokens).ok_or_else(lost)?);
        declared.push(declared_oid(ty));
    }
    let mut inner = super::statement::plan_as(text, &declared, scope, true)?;
    let (Some(inner), true) = (inner.pop(), inner.is_empty()) else { return Err(lost()) };
    let name: Box<str> = p.name().unwrap_or_default().into();
    let plan = match inner.verdict {
        Verdict::Run(plan) => plan,
        Verdict::Call(_) => return Err(lost()),
        // It fails when PREPARE runs, not when that is parsed.
        Verdict::Fails(text) => {
            let sql = format!("PREPARE {} AS {text}", quote(&name));
            return Ok(Verdict::Run(Arc::new(Plan { sql, ..Plan::default() })));
        }
        other => return Ok(other),
    };
    let header = header(&name, &listed, &plan.params)?;
    let splices = moved(sql, range.start, start, &header, &plan.splices);
    Ok(Verdict::Run(Arc::new(Plan {
        sql: format!("{header}{}", plan.sql),
        cacheable: plan.cacheable,
        splices,
        prepares: Some(Arc::new(Prepares {
            name,
            text: text.into(),
            declared: declared.into(),
            plan: Some(plan),
            mentions: true,
        })),
        ..Plan::default()
    })))
}

/// PREPARE of a query that touches nothing protected, in a text of ours.
pub(super) fn let_through(p: &nodes::PrepareStmt, planner: &Planner<'_>, mentions: bool) -> Verdict {
    let Some((sql, splices)) = edit::apply(planner.text, &planner.span, &planner.edits, |_| 0) else {
        return Verdict::Pass;
    };
    let name = p.name().unwrap_or_default().into();
    let text = planner.text.get(planner.span.clone()).unwrap_or_default().into();
    let prepares = Prepares { name, text, declared: Arc::default(), plan: None, mentions };
    Verdict::Run(Arc::new(Plan { sql, splices, prepares: Some(Arc::new(prepares)), ..Plan::default() }))
}

/// A type as it was written.
fn written(ty: &nodes::TypeName, sql: &str, tokens: &Tokens<'_>) -> Option<String> {
    let first = tokens.at(usize::try_from(ty.location).ok()?)?;
    let last = tokens.type_end(first).checked_sub(1)?;
    sql.get(tokens.get(first)?.start..tokens.get(last)?.end).map(str::to_owned)
}

/// The OID of a declared type; 0 where it is not known here.
fn declared_oid(ty: &nodes::TypeName) -> u32 {
    match (type_of(ty), ty.array_bounds().is_empty()) {
        (Ok((_, Some((oid, _)))), true) => oid,
        (Ok((_, Some((oid, _)))), false) => types::array_of(oid).unwrap_or(0),
        _ => 0,
    }
}

/// `PREPARE name (types) AS `, with the types in which protected values are stored.
fn header(name: &str, listed: &[String], params: &[Param]) -> Planned<String> {
    let mut kinds = Vec::with_capacity(params.len());
    for (i, param) in params.iter().enumerate() {
        kinds.push(match (param.type_oid, listed.get(i)) {
            (0, Some(written)) => written.clone(),
            (0, None) => "unknown".to_owned(),
            (oid, _) => types::full_name(oid)
                .ok_or_else(|| refuse::unknown("a parameter of PREPARE whose type has no name here"))?,
        });
    }
    while params.len() > listed.len() && kinds.last().is_some_and(|k| k == "unknown") {
        kinds.pop();
    }
    let list = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    Ok(format!("PREPARE {}{list} AS ", quote(name)))
}

/// Where the text was changed, when the header stands before the statement's own.
fn moved(sql: &str, from: usize, start: usize, header: &str, own: &Splices) -> Splices {
    let chars = |text: Option<&str>| u32::try_from(text.map_or(0, |t| t.chars().count())).unwrap_or(u32::MAX);
    let (before, length) = (chars(sql.get(..from)), chars(Some(header)));
    let was = chars(sql.get(from..start));
    let mut all = vec![Splice { at: 0, new: length, was_at: before, was }];
    all.extend(own.0.iter().map(|s| Splice { at: s.at + length, was_at: s.was_at + before + was, ..*s }));
    Splices(all)
}

/// EXECUTE, by itself or in EXPLAIN or CREATE TABLE AS; `None` for any other statement.
pub(super) fn call(stmt: Node<'_>) -> Option<(&nodes::ExecuteStmt, CallKind)> {
    match stmt {
        Node::ExecuteStmt(e) => Some((e, CallKind::Run)),
        Node::ExplainStmt(x) => match x.query() {
            Node::ExecuteStmt(e) => Some((e, CallKind::Explain { analyze: super::statement::analyzes(x) })),
            Node::CreateTableAsStmt(c) => match c.query() {
                Node::ExecuteStmt(e) => Some((e, CallKind::Fill)),
                _ => None,
            },
            _ => None,
        },
        Node::CreateTableAsStmt(c) => match c.query() {
            Node::ExecuteStmt(e) => Some((e, CallKind::Fill)),
            _ => None,
        },
        _ => None,
    }
}

/// What EXECUTE was given.
pub(super) fn read_call(
    (stmt, how): (&nodes::ExecuteStmt, CallKind),
    tokens: &Tokens<'_>,
    range: &Range<usize>,
    value: impl Fn(Node<'_>) -> Option<Value>,
) -> Planned<Call> {
    let lost = || refuse::unknown("an EXECUTE of that form");
    let name: Box<str> = stmt.name().unwrap_or_default().into();
    let mut args = Vec::new();
    let mut list = None;
    if !stmt.params().is_empty() {
        let at = (0..tokens.all().len())
            .filter(|&i| range.contains(&tokens.all()[i].start) && tokens.is_word(i, "execute"))
            .find(|&i| tokens.is_punct(i + 2, b'('))
            .ok_or_else(lost)?;
        let (open, close) = (at + 2, tokens.closing(at + 2).ok_or_else(lost)?);
        let bounds = tokens.get(open).zip(tokens.get(close)).ok_or_else(lost)?;
        list = Some(bounds.0.end..bounds.1.start);
        let ranges = parts(tokens, open, close);
        if ranges.len() != stmt.params().len() {
            return Err(lost());
        }
        args = stmt.params().iter().zip(ranges).map(|(n, range)| argument(n, value(n), range)).collect();
    }
    Ok(Call { name, how, args, list })
}

/// The bytes of what commas separate between two brackets.
pub(super) fn parts(tokens: &Tokens<'_>, open: usize, close: usize) -> Vec<Range<usize>> {
    let depth = tokens.get(open).map_or(0, |t| t.depth + 1);
    let mut parts = Vec::new();
    let mut from = open + 1;
    for i in open + 1..=close {
        if i == close || (tokens.is_punct(i, b',') && tokens.get(i).is_some_and(|t| t.depth == depth)) {
            if let (Some(first), Some(last)) = (tokens.get(from), tokens.get(i - 1)) {
                parts.push(first.start..last.end);
            }
            from = i + 1;
        }
    }
    parts
}

fn argument(node: Node<'_>, value: Option<Value>, range: Range<usize>) -> Arg {
    let bare = matches!(node, Node::A_Const(c)
        if matches!(c.val(), Some(ConstValue::String(_) | ConstValue::Integer(_))));
    let given = match value {
        Some(Value { what: What::Null, .. }) => Given::Null,
        Some(Value { what: What::Literal(text), casts, .. }) => Given::Literal {
            value: Clear::text(&text),
            bare,
            casts: casts.into_iter().map(|c| ArgCast { to: c.to, array: c.array, name: c.name }).collect(),
        },
        Some(Value { what: What::Param(n), .. }) => Given::Param(n),
        _ => Given::Expression,
    };
    Arg { range, given }
}

/// DISCARD ALL by itself. It must be the first of what a pipeline executes, so nothing may be asked before it.
pub fn is_discard_all(text: &str) -> bool {
    let tokens = Tokens::new(text);
    let end = if tokens.is_punct(2, b';') { 3 } else { 2 };
    tokens.is_word(0, "discard") && tokens.is_word(1, "all") && tokens.all().len() == end
}
