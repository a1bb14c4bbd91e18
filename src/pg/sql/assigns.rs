//! Trigger functions that put a value of their own into a column: `NEW.last_name := …`. It would go into a
//! protected column in clear.

use super::lex::{Kind, Tokens};
use super::{Scope, refuse, statement};
use crate::pg::refusal::Refusal;
use crate::policy::model::Table;
use pg_raw_parse::Node;

/// Words after which a statement of PL/pgSQL begins.
const BEFORE: [&str; 4] = ["begin", "then", "else", "loop"];

/// Whether the body of a function assigns one of the tables' protected columns of NEW, or all of NEW.
pub fn assigns_protected(body: &str, tables: &[Table]) -> bool {
    let tokens = Tokens::new(body);
    let protected = |name: &str| tables.iter().flat_map(|t| &t.columns).any(|p| *p.column == *name);
    (0..tokens.all().len()).filter(|&i| tokens.is_word(i, "new")).any(|i| {
        let operator =
            |at: usize| tokens.get(at).filter(|t| t.kind == Kind::Operator).map_or("", |t| tokens.text(t));
        let (name, after) = if tokens.is_punct(i + 1, b'.') {
            (tokens.get(i + 2).and_then(|t| tokens.name(t)), i + 3)
        } else {
            (None, i + 1)
        };
        let begins = i == 0
            || tokens.is_punct(i - 1, b';')
            || operator(i - 1) == ">>"
            || BEFORE.iter().any(|w| tokens.is_word(i - 1, w));
        let assigned = operator(after) == ":="
            || (begins && operator(after) == "=")
            || (i > 0 && (tokens.is_word(i - 1, "into") || tokens.is_word(i - 1, "strict")));
        assigned && name.is_none_or(|name| protected(&name))
    })
}

/// The name of such a function, where a statement makes one.
pub(super) fn made<'n>(stmt: Node<'n>, scope: &Scope<'_>) -> Option<&'n str> {
    let Node::CreateFunctionStmt(f) = stmt else { return None };
    let returns = f.return_type().and_then(|t| t.names().iter().filter_map(|s| s.sval()).next_back());
    let assigns = |node: Node<'_>| match node {
        Node::NodeList(list) => {
            list.iter().filter_map(|n| n.as_str()).any(|body| assigns_protected(body, scope.tables))
        }
        other => statement::constant(other).is_some_and(|body| assigns_protected(&body, scope.tables)),
    };
    let bodies = f.options().iter().filter(|o| o.defname() == Some("as")).map(|o| o.arg());
    let assigns = returns == Some("trigger") && bodies.into_iter().any(assigns);
    f.funcname().iter().filter_map(|n| n.as_str()).next_back().filter(|_| assigns)
}

/// Refuses to put such a function in the place of one that a protected table's trigger calls. Where a trigger is
/// made later, that is refused.
pub(super) fn check(stmt: Node<'_>, scope: &Scope<'_>) -> Result<(), Refusal> {
    let called = |name: &str| scope.catalog.triggered.iter().any(|f| f.eq_ignore_ascii_case(name));
    match made(stmt, scope).filter(|name| called(name)) {
        Some(_) => Err(assigning("a function of a protected table's trigger")),
        None => Ok(()),
    }
}

/// The refusal of what assigns a protected column inside the database.
pub(super) fn assigning(what: &str) -> Refusal {
    refuse::refusal(
        "trigger-assigns",
        format!("{what} that assigns a column of NEW which the policy protects"),
        "The database can't protect a value that it makes: do it in the application.",
    )
}
