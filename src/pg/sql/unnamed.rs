//! Functions that run without their names: by an operator, by a type whose values are checked or cast by one.

use super::lex::{Kind, Token, Tokens};
use super::{mention, refuse, statement};
use crate::pg::catalog::model::Catalog;
use crate::pg::refusal::Refusal;
use pg_raw_parse::Node;
use std::ops::Range;
use std::sync::Arc;

/// Words that stand for operators (Postgres documentation, chapter 9.24 and others).
const IMPLIED: [(&str, &[&str]); 7] = [
    ("=", &["in", "case", "nullif", "using", "natural", "distinct", "some", "any", "all"]),
    ("<>", &["in", "all"]),
    ("~~", &["like"]),
    ("!~~", &["like"]),
    ("~~*", &["ilike"]),
    (">=", &["between"]),
    ("<=", &["between"]),
];

fn is(list: &[Arc<str>], name: &str) -> bool {
    list.iter().any(|x| x.eq_ignore_ascii_case(name))
}

/// Words by which a statement may use these operators without saying them.
pub(super) fn implied(operators: &[Arc<str>]) -> impl Iterator<Item = &str> {
    IMPLIED.iter().filter(|(operator, _)| is(operators, operator)).flat_map(|(_, words)| *words).copied()
}

/// Whether the token is an operator or the name of a type that runs what touches something protected.
fn runs(tokens: &Tokens<'_>, (at, token): (usize, &Token), catalog: &Catalog) -> bool {
    match token.kind {
        Kind::Operator => is(&catalog.operators, tokens.text(token)),
        _ => {
            let named = |name: String| {
                // A table's name is that of its rows' type too.
                let as_table = || tokens.is_punct(at + 1, b'.') || mention::relation_position(tokens, at);
                let is_table =
                    || catalog.relations.keys().any(|(_, table)| table.eq_ignore_ascii_case(&name));
                is(&catalog.types, &name) && !(as_table() && is_table())
            };
            !catalog.types.is_empty() && mention::any_name(tokens, token).is_some_and(named)
        }
    }
}

fn within<'t>(tokens: &'t Tokens<'_>, range: &Range<usize>) -> impl Iterator<Item = (usize, &'t Token)> {
    tokens.all().iter().enumerate().filter({
        let range = range.clone();
        move |(_, t)| range.contains(&t.start)
    })
}

/// The relations that a statement names, each by a name that may stand before its columns: its own, and what follows it.
fn named_relations(tokens: &Tokens<'_>, range: &Range<usize>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, token) in within(tokens, range) {
        if tokens.is_punct(at + 1, b'.') || !mention::relation_position(tokens, at) {
            continue;
        }
        let Some(name) = mention::any_name(tokens, token) else { continue };
        let alias = at + 1 + usize::from(tokens.is_word(at + 1, "as"));
        let alias = tokens.get(alias).and_then(|t| mention::any_name(tokens, t));
        found.extend(alias.map(|alias| (alias, name.clone())));
        let mut first = at;
        while first >= 2 && tokens.is_punct(first - 1, b'.') {
            first -= 2;
        }
        if first > 0 && tokens.is_word(first - 1, "into") {
            found.push(("excluded".to_owned(), name.clone()));
        }
        found.push((name.clone(), name));
    }
    found
}

/// A function in functional notation, `t.f` for `f(t)` (Postgres documentation, chapter 8.16.5), unless `f` is a column of all that `t` stands for.
fn in_functional_notation(tokens: &Tokens<'_>, range: &Range<usize>, catalog: &Catalog) -> Option<String> {
    if catalog.functions.is_empty() {
        return None;
    }
    let selected = within(tokens, range).filter_map(|(at, token)| {
        let dotted = at > 0 && tokens.is_punct(at - 1, b'.') && !tokens.is_punct(at + 1, b'(');
        let name = dotted.then(|| mention::any_name(tokens, token)).flatten();
        name.filter(|name| is(&catalog.functions, name)).map(|name| (at, name))
    });
    let mut relations = None;
    selected
        .filter(|(at, name)| {
            let of = at.checked_sub(2).and_then(|i| mention::any_name(tokens, tokens.get(i)?));
            let Some(of) = of else { return true };
            let all = |named: &str| {
                let mut with_it = catalog.relations.values().filter(|r| *r.name == *named).peekable();
                with_it.peek().is_some() && with_it.all(|r| r.column(name).is_some())
            };
            // A relation in its schema.
            let relation = catalog.relations.contains_key(&(of.as_str().into(), name.as_str().into()));
            let known = relations.get_or_insert_with(|| named_relations(tokens, range));
            let mut meant = known.iter().filter(|(known, _)| *known == of).peekable();
            let column = meant.peek().is_some() && meant.all(|(_, name)| all(name));
            !(column || relation && mention::relation_position(tokens, *at))
        })
        .map(|(_, name)| name)
        .next()
}

/// Whether a statement computes anything.
fn evaluates(stmt: Node<'_>) -> bool {
    statement::reads_or_writes(stmt)
        || matches!(
            stmt,
            Node::ExplainStmt(_)
                | Node::CallStmt(_)
                | Node::ExecuteStmt(_)
                | Node::AlterTableStmt(_)
                | Node::IndexStmt(_)
        )
}

/// Refuses a change of the schema that calls such a function for the rows that are there.
fn computes_by(tokens: &Tokens<'_>, range: &Range<usize>, catalog: &Catalog) -> Result<(), Refusal> {
    let calls = |i: usize| {
        let place = i.checked_sub(1).is_some_and(|before| {
            ["on", "only", "table", "exists", "references", "index"].iter().any(|w| tokens.is_word(before, w))
        });
        !place && tokens.is_punct(i + 1, b'(')
    };
    let named = (0..tokens.all().len()).filter(|&i| calls(i)).find_map(|i| {
        let token = tokens.get(i).filter(|t| range.contains(&t.start))?;
        mention::any_name(tokens, token).filter(|name| is(&catalog.functions, name))
    });
    named.map_or(Ok(()), |name| Err(refuse::function(&format!("function {name}"))))
}

/// Refuses a statement that runs such code. It is told by its spelling: one of that name which does nothing of the kind is refused too.
pub(super) fn check(
    stmt: Node<'_>,
    tokens: &Tokens<'_>,
    range: &Range<usize>,
    catalog: &Catalog,
) -> Result<(), Refusal> {
    if matches!(stmt, Node::AlterTableStmt(_) | Node::IndexStmt(_)) {
        computes_by(tokens, range, catalog)?;
    }
    if !evaluates(stmt) {
        return Ok(());
    }
    if let Some(name) = in_functional_notation(tokens, range, catalog) {
        return Err(refuse::function(&format!("function {name}")));
    }
    if catalog.operators.is_empty() && catalog.types.is_empty() {
        return Ok(());
    }
    if let Some((_, token)) = within(tokens, range).find(|t| runs(tokens, *t, catalog)) {
        let what = if token.kind == Kind::Operator { "operator" } else { "type" };
        return Err(refuse::function(&format!("{what} {}", tokens.text(token))));
    }
    let words: Vec<&str> = implied(&catalog.operators).collect();
    let said = |(_, t): (usize, &Token)| tokens.name(t).filter(|name| words.contains(&name.as_str()));
    within(tokens, range)
        .find_map(said)
        .map_or(Ok(()), |word| Err(refuse::function(&format!("the operator behind {}", word.to_uppercase()))))
}

/// Whether a function that touches something protected is named, or what runs one.
pub(super) fn says_code(tokens: &Tokens<'_>, range: &Range<usize>, catalog: &Catalog) -> bool {
    let watched = |name: String| catalog.functions.iter().any(|f| **f == *name);
    within(tokens, range).any(|t| runs(tokens, t, catalog) || tokens.name(t.1).is_some_and(watched))
}

/// What a statement makes of code that was harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wakes {
    /// It gives nothing protected a name that such code says.
    None,
    /// It does.
    Code,
    /// The same, after statements that may have left a cursor, or work for a deferred trigger.
    CodeUnderWay,
}

/// Code that was harmless until a statement of the same script gave something protected a name that it says.
#[derive(Debug, Default)]
pub(super) struct Awake {
    /// Functions that the script makes, as they are written.
    made: Vec<String>,
    awake: bool,
    /// Something was executed that may have left a cursor, or work for a deferred trigger.
    left: bool,
}

impl Awake {
    /// A statement of the script: what it makes, and what it leaves behind.
    pub(super) fn learns(&mut self, stmt: Node<'_>, text: &str) {
        self.left |= evaluates(stmt) || matches!(stmt, Node::DoStmt(_) | Node::DeclareCursorStmt(_));
        if matches!(stmt, Node::CreateFunctionStmt(_)) {
            self.made.push((text.to_owned() + &mention::spelt_otherwise(text)).to_ascii_lowercase());
        }
    }

    /// A name that stands for something protected from now on; whether code says it that was harmless, and may have been run, or
    /// may run later, by what stands before.
    pub(super) fn hears_of(&mut self, name: Option<&str>, catalog: &Catalog) -> Wakes {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return Wakes::None };
        let says = |body: &Option<Box<str>>| body.as_ref().is_none_or(|body| body.contains(&name));
        let asleep = |oid: &u32| catalog.touching.binary_search(oid).is_err();
        let wakes = catalog.bodies.iter().any(|(oid, body)| asleep(oid) && says(body))
            || self.made.iter().any(|body| body.contains(&name));
        self.awake |= wakes;
        match (wakes, self.left) {
            (false, _) => Wakes::None,
            (true, false) => Wakes::Code,
            (true, true) => Wakes::CodeUnderWay,
        }
    }

    /// Whether a statement may run it.
    pub(super) fn may_run(&self, stmt: Node<'_>) -> bool {
        self.awake && (evaluates(stmt) || matches!(stmt, Node::DoStmt(_) | Node::FetchStmt(_)))
    }
}
