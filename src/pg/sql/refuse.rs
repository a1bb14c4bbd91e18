//! What the planner says when it can't: every refusal is made here, from names of the schema only.

use crate::pg::refusal::Refusal;

/// A refusal with SQLSTATE 0A000.
pub fn refusal(anchor: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Refusal {
    Refusal { sqlstate: "0A000", message: message.into(), hint: hint.into(), anchor }
}

/// A text that does not parse and may name a protected table (42601): not forwarded.
pub fn syntax() -> Refusal {
    Refusal {
        sqlstate: "42601",
        message: "syntax error in a text that names a protected table or executes a prepared statement; it was not forwarded".into(),
        hint: "Correct the statement; its text is not repeated here because it may hold protected values."
            .into(),
        anchor: "syntax",
    }
}

/// A statement of a script that comes upon what touches a protected table since an earlier one.
pub(super) fn script_ddl(how: &str) -> Refusal {
    refusal(
        "script-ddl",
        format!(
            "a statement that {how} what touches a protected table by an earlier statement of the same Query"
        ),
        "Send the statements that change the schema by themselves.",
    )
}

/// A statement of a script that gives a name to something protected, after others that may have left a cursor or the like.
pub fn script_wakes() -> Refusal {
    refusal(
        "script-ddl",
        "a statement that makes a function in the database touch something protected, in one Query with others, or in one \
         transaction, which may run that function later",
        "Send the statements that change the schema by themselves, in a transaction of their own.",
    )
}

/// What runs code in the database that reads or writes a protected table.
pub fn function(what: &str) -> Refusal {
    refusal(
        "function",
        format!("{what} touches a protected table"),
        "This version can't see into functions; run its statements from the application.",
    )
}

/// A construct that the planner does not know, in a statement that touches a protected table.
pub(super) fn unknown(what: &str) -> Refusal {
    refusal(
        "unknown-construct",
        format!("{what} in a statement on a protected table"),
        "This version does not know the construct; leave it out, or run the statement without the protected table.",
    )
}

/// An operator or function on an encrypted column or a token.
pub(super) fn operator(what: &str, token: bool, column: &str) -> Refusal {
    if token {
        refusal(
            "token-operator",
            format!("{what} on pseudonymised column {column}"),
            "Tokens support =, <>, IN, ANY, IS DISTINCT FROM, joins within their domain, DISTINCT, GROUP BY and \
             upper/lower(column) = upper/lower(value); evaluate anything else in the application.",
        )
    } else {
        refusal(
            "encrypted-operator",
            format!("{what} on encrypted column {column}"),
            "An encrypted value can be selected, assigned, counted and tested for NULL; to search by it, declare \
             the field as a pseudonym, or filter in the application.",
        )
    }
}

/// The gateway would have to evaluate it, and can't tell the table's rows apart.
pub(super) fn no_key(column: &str) -> Refusal {
    refusal(
        "predicate-key",
        format!("a condition or an order on protected column {column}, whose table has no key of one column"),
        "Give the table a primary key of one integer, uuid or text column.",
    )
}

/// The gateway would have to evaluate it on rows, and they are grouped already.
pub(super) fn grouped(column: &str) -> Refusal {
    refusal(
        "predicate-group",
        format!("a condition or an order on protected column {column} of rows that are grouped"),
        "Move the condition to WHERE, or group by the table's key as well.",
    )
}

/// The gateway evaluates such things, but not this one.
pub(super) fn not_evaluated(sqlstate: &'static str, what: &str, column: &str, token: bool) -> Refusal {
    let kind = if token { "pseudonymised" } else { "encrypted" };
    Refusal {
        sqlstate,
        message: format!("{what}, on {kind} column {column}"),
        hint: "Write it with comparisons, LIKE or a simpler pattern, or evaluate it in the application."
            .into(),
        anchor: "predicate",
    }
}

/// A protected column compared with, or assigned from, something that is no constant.
pub(super) fn expression(column: &str) -> Refusal {
    refusal(
        "protected-expression",
        format!("an expression is compared with or assigned to protected column {column}"),
        "Give the value as a parameter or a literal, so that it can be protected before it leaves.",
    )
}

/// One parameter in protected and unprotected places.
pub(super) fn mixed(number: u16) -> Refusal {
    refusal(
        "mixed-parameter",
        format!("parameter ${number} is used in a protected place and in an unprotected one"),
        "Pass the value twice, as two parameters.",
    )
}

/// EXPLAIN that would write.
pub(super) fn explain_analyze() -> Refusal {
    refusal(
        "explain-analyze",
        "EXPLAIN ANALYZE of a write on a protected table",
        "It would write; use EXPLAIN without ANALYZE.",
    )
}

/// A value would be shown of which nothing tells that it is its row's, and the policy asks for that.
pub(super) fn row_binding(column: &str) -> Refusal {
    refusal(
        "row-binding",
        format!("{column} is shown where nothing tells whose row it is, and its table has bind = \"refuse\""),
        "Select the column of the row's subject as well, in every subquery, view and branch that the value comes through; \
         or declare bind = \"allow\" for the table.",
    )
}

/// Nesting that the planner does not follow.
pub(super) fn too_deep() -> Refusal {
    refusal(
        "too-deep",
        "the statement is nested too deeply",
        "Split it, or use IN and AND/OR lists instead of nested expressions.",
    )
}
