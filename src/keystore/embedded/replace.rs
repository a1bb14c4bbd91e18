//! A fresh token for those who shared one with somebody erased.

use super::erase::remember;
use super::fail::Op;
use crate::keystore::StoreError;
use crate::keystore::model::LedgerHead;
use crate::keystore::sweep::Replacement;
use rusqlite::{Connection, OptionalExtension, params};

pub(super) fn replacement(conn: &Connection, domain: &str, old: &str) -> Op<Option<Replacement>> {
    let new: Option<Box<str>> = conn
        .prepare_cached("SELECT new FROM replacements WHERE domain = ? AND old = ?")?
        .query_row([domain, old], |row| row.get(0))
        .optional()?;
    let Some(new) = new else { return Ok(None) };
    let databases = conn
        .prepare_cached("SELECT DISTINCT database FROM holders WHERE domain = ? AND token = ?")?
        .query_map([domain, old], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(Some(Replacement { new, databases }))
}

pub(super) fn replace(conn: &Connection, domain: &str, old: &str, new: &str) -> Op<Vec<[u8; 32]>> {
    let (holders, open): (i64, i64) = conn
        .prepare_cached("SELECT count(*), count(*) FILTER (WHERE unit <> x'') FROM holders WHERE domain = ? AND token = ?")?
        .query_row([domain, old], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // An outcome that is still open names its holder by the old token.
    if holders == 0 || open > 0 {
        return Err(StoreError::Changed.into());
    }
    let fenced = conn
        .prepare_cached("SELECT 1 FROM fenced_tokens WHERE domain = ? AND token = ?")?
        .exists([domain, new])?;
    let added = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO tokens (domain, token, ever_shared) SELECT ?1, ?3, 1 < count(*) FROM \
             (SELECT DISTINCT realm, class, id FROM holders WHERE domain = ?1 AND token = ?2)",
        )?
        .execute([domain, old, new])?;
    if fenced || added == 0 {
        return Err(StoreError::Taken.into());
    }
    conn.prepare_cached(
        "INSERT INTO holders (domain, token, key_id, unit, realm, class, id, sealed, made_at, database) \
         SELECT domain, ?3, key_id, unit, realm, class, id, sealed, made_at, database FROM holders \
         WHERE domain = ?1 AND token = ?2 ORDER BY number",
    )?
    .execute([domain, old, new])?;
    let hmacs = conn
        .prepare_cached("SELECT hmac FROM lookups WHERE domain = ? AND token = ?")?
        .query_map([domain, old], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for table in ["lookups", "folded"] {
        conn.prepare_cached(&format!("UPDATE {table} SET token = ?3 WHERE domain = ?1 AND token = ?2"))?
            .execute([domain, old, new])?;
    }
    conn.prepare_cached("INSERT INTO replacements (domain, old, new) VALUES (?, ?, ?)")?
        .execute([domain, old, new])?;
    Ok(hmacs)
}

pub(super) fn retire(conn: &Connection, domain: &str, old: &str, ledger: &LedgerHead) -> Op<()> {
    for sql in [
        "DELETE FROM holders WHERE domain = ? AND token = ?",
        "DELETE FROM tokens WHERE domain = ? AND token = ?",
        "DELETE FROM fenced_holders WHERE domain = ? AND token = ?",
        "DELETE FROM replacements WHERE domain = ? AND old = ?",
        "INSERT OR IGNORE INTO fenced_tokens (domain, token, receipt) VALUES (?, ?, '')",
    ] {
        conn.prepare_cached(sql)?.execute(params![domain, old])?;
    }
    remember(conn, Some(ledger))
}
