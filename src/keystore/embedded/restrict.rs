//! Restricted subjects: kept, and not read until they are released.

use super::fail::Op;
use crate::ids::Subject;
use rusqlite::{Connection, params};

/// Restricts or releases; false where the subject has no secret.
pub(super) fn restrict(conn: &Connection, subject: &Subject, on: bool) -> Op<bool> {
    let key = params![&*subject.realm, &*subject.class, &*subject.id];
    let known = conn
        .prepare_cached("SELECT 1 FROM secrets WHERE realm = ? AND class = ? AND id = ? LIMIT 1")?
        .exists(key)?;
    let change = match (known, on) {
        (false, _) => return Ok(false),
        (true, true) => "INSERT OR IGNORE INTO restricted (realm, class, id) VALUES (?, ?, ?)",
        (true, false) => "DELETE FROM restricted WHERE realm = ? AND class = ? AND id = ?",
    };
    conn.prepare_cached(change)?.execute(key)?;
    Ok(true)
}

/// All of them.
pub(super) fn restricted(conn: &Connection) -> Op<Vec<Subject>> {
    let mut statement = conn.prepare_cached("SELECT realm, class, id FROM restricted")?;
    let found = statement.query_map([], super::rows::subject_of)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Forgets those of whom nothing is left: after an erasure, which may not know whom it was about.
pub(super) fn forget_erased(conn: &Connection) -> Op<()> {
    conn.prepare_cached(
        "DELETE FROM restricted WHERE NOT EXISTS (SELECT 1 FROM secrets s WHERE s.realm = restricted.realm \
         AND s.class = restricted.class AND s.id = restricted.id)",
    )?
    .execute([])?;
    Ok(())
}
