//! Functions that run without their names: by an operator, by a type whose values are checked or cast by one.

use super::lex::{Kind, Token, Tokens};
use super::{mention, refuse, statement};
use crate::pg::catalog::model::Catalog;
use crate::pg::refusal::Refusal;
use pg_raw_parse::Node;
use std::ops::Range;
use std::sync::Arc;

fn is(list: &[Arc<str>], name: &str) -> bool {
    list.iter().any(|x| x.eq_ignore_ascii_case(name))
}

/// Whether the token is an operator or the name of a type that runs what touches something protected.
fn runs(tokens: &Tokens<'_>, token: &Token, catalog: &Catalog) -> bool {
    match token.kind {
        Kind::Operator => is(&catalog.operators, tokens.text(token)),
        _ => {
            !catalog.types.is_empty()
                && mention::any_name(tokens, token).is_some_and(|name| is(&catalog.types, &name))
        }
    }
}

fn within<'t>(tokens: &'t Tokens<'_>, range: &Range<usize>) -> impl Iterator<Item = &'t Token> {
    tokens.all().iter().filter({
        let range = range.clone();
        move |t| range.contains(&t.start)
    })
}

/// Refuses a statement that runs such code. It is told by its spelling: one of that name which does nothing of the kind is refused too.
pub(super) fn check(
    stmt: Node<'_>,
    tokens: &Tokens<'_>,
    range: &Range<usize>,
    catalog: &Catalog,
) -> Result<(), Refusal> {
    let evaluates = statement::reads_or_writes(stmt)
        || matches!(
            stmt,
            Node::ExplainStmt(_) | Node::CallStmt(_) | Node::ExecuteStmt(_) | Node::AlterTableStmt(_)
        );
    if !evaluates || (catalog.operators.is_empty() && catalog.types.is_empty()) {
        return Ok(());
    }
    match within(tokens, range).find(|t| runs(tokens, t, catalog)) {
        Some(token) => {
            let what = if token.kind == Kind::Operator { "operator" } else { "type" };
            Err(refuse::function(&format!("{what} {}", tokens.text(token))))
        }
        None => Ok(()),
    }
}

/// Whether a function that touches something protected is named, or what runs one.
pub(super) fn says_code(tokens: &Tokens<'_>, range: &Range<usize>, catalog: &Catalog) -> bool {
    let watched = |name: String| catalog.functions.iter().any(|f| **f == *name);
    within(tokens, range).any(|t| runs(tokens, t, catalog) || tokens.name(t).is_some_and(watched))
}
