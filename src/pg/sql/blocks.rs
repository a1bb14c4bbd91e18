//! Scripts of which some statement hangs on being in a transaction block, as a simple Query of several statements is to the
//! server (`IsTransactionBlock`), and a pipeline is not.

use pg_raw_parse::raw::{TransactionStmtKind, VariableSetKind};
use pg_raw_parse::{Node, nodes};

/// `CURSOR_OPT_HOLD`: the cursor outlives its transaction.
const HOLD: i32 = 0x0020;

/// Whether a script must run in a block of its own, to give what it gives as one Query: a statement in it must, or must not,
/// be in one. False where it begins or ends transactions itself, or goes back in one: a block around it would change them.
pub fn wants_block(sql: &str) -> bool {
    let Ok(parsed) = pg_raw_parse::parse(sql) else { return false };
    let mut minds = false;
    for raw in parsed.iter() {
        match raw.stmt() {
            Node::TransactionStmt(t) if controls(t) => return false,
            stmt => minds |= minds_block(stmt),
        }
    }
    minds && parsed.len() > 1
}

/// The name under which a text prepares its transaction.
pub fn prepared_name(sql: &str) -> Option<Box<str>> {
    let parsed = pg_raw_parse::parse(sql).ok()?;
    match parsed.iter().next()?.stmt() {
        Node::TransactionStmt(t) if t.kind == TransactionStmtKind::TRANS_STMT_PREPARE => {
            // In another encoding the server may have it in other letters.
            t.gid().filter(|gid| gid.is_ascii()).map(Into::into)
        }
        _ => None,
    }
}

/// COMMIT PREPARED and ROLLBACK PREPARED end another transaction; they must not be in a block.
fn controls(t: &nodes::TransactionStmt) -> bool {
    use TransactionStmtKind as Kind;
    !matches!(t.kind, Kind::TRANS_STMT_COMMIT_PREPARED | Kind::TRANS_STMT_ROLLBACK_PREPARED)
}

/// Whether a statement may ask the server whether it is in a block (`RequireTransactionBlock`, `WarnNoTransactionBlock`,
/// `PreventInTransactionBlock`, `IsInTransactionBlock`, the non-atomic contexts of procedures).
fn minds_block(stmt: Node<'_>) -> bool {
    match stmt {
        Node::DeclareCursorStmt(d) => d.options & HOLD == 0,
        Node::VariableSetStmt(v) => v.is_local || v.kind == VariableSetKind::VAR_SET_MULTI,
        Node::LockStmt(_)
        | Node::ConstraintsSetStmt(_)
        | Node::TransactionStmt(_)
        | Node::CallStmt(_)
        | Node::DoStmt(_)
        | Node::VacuumStmt(_)
        | Node::ClusterStmt(_)
        | Node::ReindexStmt(_)
        | Node::IndexStmt(_)
        | Node::DropStmt(_)
        | Node::DiscardStmt(_)
        | Node::CreatedbStmt(_)
        | Node::DropdbStmt(_)
        | Node::AlterDatabaseStmt(_)
        | Node::CreateTableSpaceStmt(_)
        | Node::DropTableSpaceStmt(_)
        | Node::AlterSystemStmt(_)
        | Node::AlterTableStmt(_)
        | Node::CreateSubscriptionStmt(_)
        | Node::AlterSubscriptionStmt(_)
        | Node::DropSubscriptionStmt(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::wants_block;

    #[test]
    fn tells_what_hangs_on_a_block() {
        for script in [
            "LOCK a; SELECT 1",
            "SELECT 1; DECLARE c CURSOR FOR SELECT 1",
            "DECLARE c BINARY SCROLL CURSOR FOR SELECT 1; FETCH c",
            "SELECT 1; SET LOCAL x.y = 1",
            "SET TRANSACTION READ ONLY; SELECT 1",
            "SET CONSTRAINTS ALL IMMEDIATE; SELECT 1",
            "SELECT 1; VACUUM a",
            "SELECT 1; COMMIT PREPARED 'x'",
            "CALL a(); SELECT 1",
        ] {
            assert!(wants_block(script), "{script}");
        }
        for script in [
            "LOCK a",
            "LOCK a;;",
            "SELECT 1; UPDATE a SET x = 1",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1; FETCH c",
            "SET x.y = 1; SELECT 1",
            "BEGIN; LOCK a; COMMIT",
            "LOCK a; COMMIT",
            "LOCK a; SAVEPOINT s",
            "LOCK a; SELECT 1 FROM",
        ] {
            assert!(!wants_block(script), "{script}");
        }
    }
}
