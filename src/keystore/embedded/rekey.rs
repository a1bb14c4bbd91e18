//! Re-keying: new secrets in one change, identifiers moved to them, the old ones away in another.

use super::erase::remember;
use super::fail::Op;
use super::{change, rows};
use crate::ids::{KeyId, Subject};
use crate::keystore::StoreError;
use crate::keystore::model::{LedgerHead, NewSecret};
use crate::keystore::rekey::{BeginRekey, HeldUnder, RekeyRow, ResealedHolder};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;

/// A settled secret: key id, purpose, database.
type Settled = (KeyId, Box<str>, Box<str>);

/// Of a subject that is being re-keyed already: that one, and nothing changes.
pub(super) fn begin(conn: &Connection, begin: &BeginRekey) -> Op<RekeyRow> {
    remember(conn, begin.ledger.as_ref())?;
    if let Some(known) = rekeys(conn)?.into_iter().find(|row| row.subject == begin.subject) {
        return Ok(known);
    }
    let old = settled(conn, &begin.subject)?;
    let purposes: BTreeSet<&str> = old.iter().map(|(_, purpose, _)| &**purpose).collect();
    let fresh: BTreeSet<&str> = begin.secrets.iter().map(|secret| &*secret.purpose).collect();
    if old.is_empty() || purposes != fresh {
        return Err(StoreError::Changed.into());
    }
    conn.prepare_cached(
        "UPDATE secrets SET state = 'open-only', version = version + 1 \
         WHERE realm = ? AND class = ? AND id = ? AND state = 'sealing'",
    )?
    .execute(of(&begin.subject))?;
    for secret in &begin.secrets {
        change::active(conn, secret.generation)?;
        let database = old.iter().find(|(_, purpose, _)| **purpose == *secret.purpose);
        add(conn, begin, secret, database.map_or("", |(.., database)| database))?;
    }
    let Subject { realm, class, id } = &begin.subject;
    conn.prepare_cached("INSERT INTO rekeys (job, realm, class, id) VALUES (?, ?, ?, ?)")?
        .execute(params![begin.job, &**realm, &**class, &**id])?;
    for (key, ..) in &old {
        conn.prepare_cached("INSERT OR REPLACE INTO rekeyed (key_id, job) VALUES (?, ?)")?
            .execute(params![key, begin.job])?;
    }
    let row = rekeys(conn)?.into_iter().find(|row| row.job == begin.job);
    row.ok_or_else(|| StoreError::Unavailable("the re-keying just written is not there".into()).into())
}

fn of(subject: &Subject) -> [&str; 3] {
    [&subject.realm, &subject.class, &subject.id]
}

fn settled(conn: &Connection, subject: &Subject) -> Op<Vec<Settled>> {
    let mut statement = conn.prepare_cached(
        "SELECT key_id, purpose, database FROM secrets WHERE realm = ? AND class = ? AND id = ? \
         AND state <> 'provisional' ORDER BY state = 'sealing' DESC, key_id",
    )?;
    let rows = statement.query_map(of(subject), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn add(conn: &Connection, begin: &BeginRekey, secret: &NewSecret, database: &str) -> Op<()> {
    let (realm, class, id) = rows::columns(Some(&begin.subject));
    conn.prepare_cached(
        "INSERT INTO secrets (key_id, realm, class, id, purpose, state, generation, wrapped, made_at, database) \
         VALUES (?, ?, ?, ?, ?, 'sealing', ?, ?, ?, ?)",
    )?
    .execute(params![
        secret.key_id,
        realm,
        class,
        id,
        &*secret.purpose,
        secret.generation.0,
        secret.wrapped,
        begin.made_at,
        database
    ])?;
    Ok(())
}

pub(super) fn rekeys(conn: &Connection) -> Op<Vec<RekeyRow>> {
    let mut statement = conn.prepare_cached("SELECT realm, class, id, job FROM rekeys ORDER BY number")?;
    let found = statement.query_map([], |row| Ok((rows::subject_of(row)?, row.get::<_, Box<str>>(3)?)))?;
    let mut rekeys = Vec::new();
    for found in found {
        let (subject, job) = found?;
        let old: Vec<KeyId> = conn
            .prepare_cached("SELECT key_id FROM rekeyed WHERE job = ? ORDER BY key_id")?
            .query_map([&job], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let databases = databases(conn, &old)?;
        rekeys.push(RekeyRow { job, subject, old, databases });
    }
    Ok(rekeys)
}

fn databases(conn: &Connection, keys: &[KeyId]) -> Op<Vec<Box<str>>> {
    let mut all = BTreeSet::new();
    let mut statement = conn.prepare_cached(
        "SELECT database FROM secrets WHERE key_id = ?1 UNION SELECT database FROM holders WHERE key_id = ?1",
    )?;
    for key in keys {
        for database in statement.query_map([key], |row| row.get::<_, Box<str>>(0))? {
            all.insert(database?);
        }
    }
    Ok(all.into_iter().collect())
}

/// Oldest first: of two spellings the later one is shown.
pub(super) fn held_under(conn: &Connection, keys: &[KeyId]) -> Op<Vec<HeldUnder>> {
    let mut all = Vec::new();
    let mut statement = conn.prepare_cached(
        "SELECT number, domain, token, key_id, sealed FROM holders WHERE key_id = ? AND unit = x''",
    )?;
    for key in keys {
        for held in statement.query_map([key], |row| {
            let held = HeldUnder {
                domain: row.get(1)?,
                token: row.get(2)?,
                key_id: row.get(3)?,
                sealed: row.get(4)?,
            };
            Ok((row.get::<_, i64>(0)?, held))
        })? {
            all.push(held?);
        }
    }
    all.sort_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, held)| held).collect())
}

pub(super) fn reseal(conn: &Connection, resealed: &[ResealedHolder]) -> Op<u64> {
    let mut moved = 0;
    for holder in resealed {
        moved += u64::from(move_on(conn, holder)?);
    }
    Ok(moved)
}

/// A holder keeps its number, and so its place among the others. Where the new secret holds the token already, the
/// later one of the two stays.
fn move_on(conn: &Connection, holder: &ResealedHolder) -> Op<bool> {
    let before = &holder.before;
    let own: Option<i64> = conn
        .prepare_cached(
            "SELECT number FROM holders WHERE domain = ? AND token = ? AND key_id = ? AND unit = x'' AND sealed = ?",
        )?
        .query_row(params![before.domain, before.token, before.key_id, before.sealed], |row| row.get(0))
        .optional()?;
    let Some(own) = own else { return Ok(false) };
    let there: Option<i64> = conn
        .prepare_cached(
            "SELECT number FROM holders WHERE domain = ? AND token = ? AND key_id = ? AND unit = x''",
        )?
        .query_row(params![before.domain, before.token, holder.key_id], |row| row.get(0))
        .optional()?;
    let mut delete = conn.prepare_cached("DELETE FROM holders WHERE number = ?")?;
    match there {
        Some(there) if there > own => drop(delete.execute([own])?),
        other => {
            if let Some(there) = other {
                delete.execute([there])?;
            }
            conn.prepare_cached("UPDATE holders SET key_id = ?, sealed = ? WHERE number = ?")?
                .execute(params![holder.key_id, holder.sealed, own])?;
        }
    }
    Ok(true)
}

/// Ends a re-keying: its old secrets are destroyed where the ledger says so, else they stay. False where there is none.
pub(super) fn end(conn: &Connection, job: &str, ledger: Option<&LedgerHead>) -> Op<bool> {
    let Some(row) = rekeys(conn)?.into_iter().find(|row| *row.job == *job) else { return Ok(false) };
    if ledger.is_some() {
        for key in &row.old {
            destroy(conn, *key)?;
        }
    }
    forget(conn, job)?;
    remember(conn, ledger)?;
    Ok(true)
}

fn destroy(conn: &Connection, key: KeyId) -> Op<()> {
    // Settled or not: something would be lost with it.
    if conn.prepare_cached("SELECT 1 FROM holders WHERE key_id = ?")?.exists([key])? {
        return Err(StoreError::Changed.into());
    }
    let gone = conn
        .prepare_cached("DELETE FROM secrets WHERE key_id = ? AND state = 'open-only'")?
        .execute([key])?;
    if gone != 1 {
        return Err(StoreError::Changed.into());
    }
    conn.prepare_cached("INSERT OR IGNORE INTO fenced_keys (key_id, receipt, replaced) VALUES (?, '', 1)")?
        .execute([key])?;
    Ok(())
}

fn forget(conn: &Connection, job: &str) -> Op<()> {
    conn.prepare_cached("DELETE FROM rekeyed WHERE job = ?")?.execute([job])?;
    conn.prepare_cached("DELETE FROM rekeys WHERE job = ?")?.execute([job])?;
    Ok(())
}

/// Forgets the re-keyings of those of whom nothing is left: after an erasure.
pub(super) fn forget_erased(conn: &Connection) -> Op<()> {
    let jobs: Vec<Box<str>> = conn
        .prepare_cached(
            "SELECT job FROM rekeys r WHERE NOT EXISTS (SELECT 1 FROM secrets s WHERE s.realm = r.realm \
             AND s.class = r.class AND s.id = r.id)",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    jobs.iter().try_for_each(|job| forget(conn, job))
}
