//! The outcome of units: what was provisional is kept or destroyed.

use super::fail::Op;
use super::rows;
use crate::ids::KeyId;
use crate::keystore::model::{HolderName, Scope, Settle, UnitId, UnsettledRow};
use rusqlite::{Connection, params};

type TokenName = (Box<str>, Box<str>);

pub(super) fn settle(conn: &Connection, settle: &Settle) -> Op<()> {
    let (keys, holders) = match &settle.scope {
        Scope::All => (keys_of(conn, settle.unit)?, &[][..]),
        Scope::Keys(keys) => (keys.clone(), &[][..]),
        Scope::Parts(keys, holders) => (keys.clone(), &holders[..]),
    };
    for key in keys {
        if settle.committed {
            keep_key(conn, settle.unit, key)?;
        } else {
            destroy_key(conn, settle.unit, key)?;
        }
    }
    for holder in holders {
        if settle.committed {
            keep_holders(conn, settle.unit, holder.key_id)?;
        } else {
            destroy_holder(conn, settle.unit, holder)?;
        }
    }
    Ok(())
}

/// Every key of the unit: provisional ones, and those under which it has provisional holders.
fn keys_of(conn: &Connection, unit: UnitId) -> Op<Vec<KeyId>> {
    let mut statement = conn.prepare_cached(
        "SELECT key_id, made_at FROM secrets WHERE unit = ?1 UNION SELECT key_id, min(made_at) FROM holders \
         WHERE unit = ?1 AND unit <> x'' AND key_id NOT IN (SELECT key_id FROM secrets WHERE unit = ?1) \
         GROUP BY key_id ORDER BY 2, 1",
    )?;
    let keys = statement.query_map([unit], |row| row.get(0))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

fn keep_key(conn: &Connection, unit: UnitId, key: KeyId) -> Op<()> {
    // A secret that no row was bound to has sealed nothing that was stored.
    let unbound = conn
        .prepare_cached("SELECT 1 FROM secrets WHERE key_id = ? AND unit = ? AND id IS NULL")?
        .exists(params![key, unit])?;
    if unbound {
        return destroy_key(conn, unit, key);
    }
    conn.prepare_cached(
        "UPDATE secrets SET unit = NULL, version = version + 1, state = CASE WHEN EXISTS (SELECT 1 FROM secrets o \
         WHERE o.realm = secrets.realm AND o.class = secrets.class AND o.id = secrets.id \
         AND o.purpose = secrets.purpose AND o.state = 'sealing') THEN 'open-only' ELSE 'sealing' END \
         WHERE key_id = ? AND unit = ?",
    )?
    .execute(params![key, unit])?;
    keep_holders(conn, unit, key)
}

fn keep_holders(conn: &Connection, unit: UnitId, key: KeyId) -> Op<()> {
    let tokens = tokens_of(conn, unit, key)?;
    conn.prepare_cached("UPDATE OR IGNORE holders SET unit = x'' WHERE key_id = ? AND unit = ?")?
        .execute(params![key, unit])?;
    // Another unit settled the same holder first: one of them is enough.
    conn.prepare_cached("DELETE FROM holders WHERE key_id = ? AND unit = ?")?.execute(params![key, unit])?;
    for (domain, token) in tokens {
        conn.prepare_cached(
            "UPDATE tokens SET ever_shared = 1 WHERE domain = ?1 AND token = ?2 AND ever_shared = 0 AND 1 < \
             (SELECT count(*) FROM (SELECT DISTINCT realm, class, id FROM holders WHERE domain = ?1 AND token = ?2 \
             AND unit = x''))",
        )?
        .execute([&*domain, &*token])?;
    }
    Ok(())
}

fn tokens_of(conn: &Connection, unit: UnitId, key: KeyId) -> Op<Vec<TokenName>> {
    let mut statement =
        conn.prepare_cached("SELECT domain, token FROM holders WHERE key_id = ? AND unit = ?")?;
    let tokens = statement.query_map(params![key, unit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(tokens.collect::<Result<_, _>>()?)
}

/// Destroys a provisional secret and the unit's holders under it; a settled secret stays.
pub(super) fn destroy_key(conn: &Connection, unit: UnitId, key: KeyId) -> Op<()> {
    let tokens = tokens_of(conn, unit, key)?;
    conn.prepare_cached("DELETE FROM holders WHERE key_id = ? AND unit = ?")?.execute(params![key, unit])?;
    conn.prepare_cached("DELETE FROM secrets WHERE key_id = ? AND unit = ?")?.execute(params![key, unit])?;
    for (domain, token) in tokens {
        drop_undone(conn, &domain, &token)?;
    }
    Ok(())
}

fn destroy_holder(conn: &Connection, unit: UnitId, holder: &HolderName) -> Op<()> {
    conn.prepare_cached("DELETE FROM holders WHERE domain = ? AND token = ? AND key_id = ? AND unit = ?")?
        .execute(params![&*holder.domain, holder.token, holder.key_id, unit])?;
    drop_undone(conn, &holder.domain, &holder.token)?;
    Ok(())
}

/// A token whose last holder was undone. Where an erased subject held it too, its rows read as erased, not as wrong.
fn drop_undone(conn: &Connection, domain: &str, token: &str) -> Op<()> {
    if drop_if_unheld(conn, domain, token)? {
        conn.prepare_cached(
            "INSERT OR IGNORE INTO fenced_tokens (domain, token, receipt) \
             SELECT domain, token, receipt FROM fenced_holders WHERE domain = ? AND token = ? LIMIT 1",
        )?
        .execute([domain, token])?;
        conn.prepare_cached("DELETE FROM fenced_holders WHERE domain = ? AND token = ?")?
            .execute([domain, token])?;
    }
    Ok(())
}

/// Deletes a token that nobody holds, with its lookups; says whether it did.
pub(super) fn drop_if_unheld(conn: &Connection, domain: &str, token: &str) -> Op<bool> {
    if conn.prepare_cached("SELECT 1 FROM holders WHERE domain = ? AND token = ?")?.exists([domain, token])? {
        return Ok(false);
    }
    conn.prepare_cached("DELETE FROM tokens WHERE domain = ? AND token = ?")?.execute([domain, token])?;
    conn.prepare_cached("DELETE FROM lookups WHERE domain = ? AND token = ?")?.execute([domain, token])?;
    conn.prepare_cached("DELETE FROM folded WHERE domain = ? AND token = ?")?.execute([domain, token])?;
    Ok(true)
}

pub(super) fn unsettled(conn: &Connection) -> Op<Vec<UnsettledRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT unit, database, made_at, key_id, realm, class, id FROM secrets WHERE unit IS NOT NULL \
         UNION ALL SELECT unit, database, min(made_at), key_id, realm, class, id FROM holders h WHERE unit <> x'' \
         AND NOT EXISTS (SELECT 1 FROM secrets s WHERE s.key_id = h.key_id AND s.unit = h.unit) \
         GROUP BY unit, key_id ORDER BY 3, 1, 4",
    )?;
    let rows = statement.query_map([], |row| {
        Ok(UnsettledRow {
            unit: row.get(0)?,
            database: row.get(1)?,
            made_at: row.get(2)?,
            key_id: row.get(3)?,
            subject: rows::subject(row, 4)?,
            tokens: Vec::new(),
        })
    })?;
    let mut rows: Vec<UnsettledRow> = rows.collect::<Result<_, _>>()?;
    for row in &mut rows {
        row.tokens = tokens_of(conn, row.unit, row.key_id)?;
    }
    Ok(rows)
}
