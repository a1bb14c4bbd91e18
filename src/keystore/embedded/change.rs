//! What statements add: secrets, holders, bindings.

use super::fail::{Fail, Op};
use super::{outcome, read, rows};
use crate::ids::{Generation, KeyId, Subject};
use crate::keystore::StoreError;
use crate::keystore::model::{
    Bind, DomainRow, GenerationRow, GenerationState, Held, Hold, LookupPair, NewSecret, UnitId, Write,
};
use rusqlite::{Connection, OptionalExtension, params};

pub(super) fn add_generation(conn: &Connection, row: &GenerationRow) -> Op<GenerationRow> {
    conn.prepare_cached("INSERT OR IGNORE INTO generations (number, wrapped, state) VALUES (?, ?, ?)")?
        .execute(params![row.number.0, row.wrapped, row.state])?;
    let found = read::generations(conn)?.into_iter().find(|found| found.number == row.number);
    found.ok_or_else(|| lost("generation"))
}

pub(super) fn add_domain(conn: &Connection, row: &DomainRow) -> Op<DomainRow> {
    active(conn, row.generation)?;
    conn.prepare_cached("INSERT OR IGNORE INTO domains (domain, generation, wrapped) VALUES (?, ?, ?)")?
        .execute(params![&*row.domain, row.generation.0, row.wrapped])?;
    let found = read::domain(conn, &row.domain)?.into_iter().find(|found| found.generation == row.generation);
    found.ok_or_else(|| lost("domain"))
}

/// Nothing is wrapped under a generation that is being left.
pub(super) fn active(conn: &Connection, generation: Generation) -> Op<()> {
    let state: Option<GenerationState> = conn
        .prepare_cached("SELECT state FROM generations WHERE number = ?")?
        .query_row([generation.0], |row| row.get(0))
        .optional()?;
    if state == Some(GenerationState::Active) { Ok(()) } else { Err(StoreError::Stale.into()) }
}

fn lost(what: &str) -> Fail {
    Fail::Answer(StoreError::Unavailable(format!("the {what} just written is not there")))
}

pub(super) fn write(conn: &Connection, write: &Write) -> Op<Vec<Held>> {
    for secret in &write.secrets {
        active(conn, secret.generation)?;
        unmarked(conn, secret.mark.as_ref())?;
        add_secret(conn, write, secret)?;
    }
    write.holds.iter().map(|hold| add_holder(conn, write, hold)).collect()
}

fn unmarked(conn: &Connection, mark: Option<&[u8; 32]>) -> Op<()> {
    match mark {
        Some(mark) if read::marked(conn, mark)?.is_some() => Err(StoreError::Marked.into()),
        _ => Ok(()),
    }
}

fn add_secret(conn: &Connection, write: &Write, secret: &NewSecret) -> Op<()> {
    let (realm, class, id) = rows::columns(secret.subject.as_ref());
    conn.prepare_cached(
        "INSERT INTO secrets (key_id, realm, class, id, purpose, state, generation, wrapped, unit, made_at, database) \
         VALUES (?, ?, ?, ?, ?, 'provisional', ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        secret.key_id,
        realm,
        class,
        id,
        &*secret.purpose,
        secret.generation.0,
        secret.wrapped,
        write.unit,
        write.made_at,
        &*write.database
    ])?;
    Ok(())
}

fn add_holder(conn: &Connection, write: &Write, hold: &Hold) -> Op<Held> {
    let owner = conn
        .prepare_cached("SELECT realm, class, id FROM secrets WHERE key_id = ?")?
        .query_row([hold.key_id], |row| rows::subject(row, 0))
        .optional()?;
    let Some(owner) = owner else { return Err(StoreError::Gone(hold.key_id).into()) };
    let token = issue(conn, hold)?;
    let held = conn
        .prepare_cached("SELECT 1 FROM holders WHERE domain = ? AND token = ? AND key_id = ? AND unit = x''")?
        .exists(params![&*hold.domain, token, hold.key_id])?;
    if held {
        return Ok(Held { token, added: false });
    }
    let (realm, class, id) = rows::columns(owner.as_ref());
    let added = conn
        .prepare_cached(
            "INSERT OR IGNORE INTO holders (domain, token, key_id, unit, realm, class, id, sealed, made_at, database) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            &*hold.domain,
            token,
            hold.key_id,
            write.unit,
            realm,
            class,
            id,
            hold.sealed,
            write.made_at,
            &*write.database
        ])?;
    Ok(Held { token, added: added > 0 })
}

/// Insert-or-read of the identifier's token. During a rotation a domain has two secrets, and a token is known
/// under both.
fn issue(conn: &Connection, hold: &Hold) -> Op<Box<str>> {
    let pairs = pairs(conn, hold)?;
    for pair in &pairs {
        let Some(looked) = read::lookup(conn, &hold.domain, pair.generation, &pair.exact)? else { continue };
        if pairs.len() > 1 {
            for pair in &pairs {
                add_pair(conn, &hold.domain, &looked.token, pair)?;
            }
        }
        return Ok(looked.token);
    }
    let fenced = conn
        .prepare_cached("SELECT 1 FROM fenced_tokens WHERE domain = ? AND token = ?")?
        .exists([&*hold.domain, &*hold.fresh])?;
    let added = conn
        .prepare_cached("INSERT OR IGNORE INTO tokens (domain, token) VALUES (?, ?)")?
        .execute([&*hold.domain, &*hold.fresh])?;
    if fenced || added == 0 {
        return Err(StoreError::Taken.into());
    }
    for pair in &pairs {
        add_pair(conn, &hold.domain, &hold.fresh, pair)?;
    }
    Ok(hold.fresh.clone())
}

/// The hold's lookups in every generation that its domain has a secret in; stale if it lacks one.
fn pairs(conn: &Connection, hold: &Hold) -> Op<Vec<LookupPair>> {
    let mut statement =
        conn.prepare_cached("SELECT generation FROM domains WHERE domain = ? ORDER BY generation DESC")?;
    let open = statement.query_map([&*hold.domain], |row| Ok(Generation(row.get(0)?)))?;
    let pair = |generation| hold.lookups.iter().find(|pair| pair.generation == generation).copied();
    let found: Option<Vec<LookupPair>> = open.collect::<Result<Vec<_>, _>>()?.into_iter().map(pair).collect();
    found.filter(|found| !found.is_empty()).ok_or_else(|| StoreError::Stale.into())
}

/// Adds a token's lookups in one generation; where the identifier has one already, that one stays.
pub(super) fn add_pair(conn: &Connection, domain: &str, token: &str, pair: &LookupPair) -> Op<()> {
    let number = pair.generation.0;
    conn.prepare_cached(
        "INSERT OR IGNORE INTO lookups (domain, generation, hmac, token) VALUES (?, ?, ?, ?)",
    )?
    .execute(params![domain, number, pair.exact, token])?;
    conn.prepare_cached(
        "INSERT OR IGNORE INTO folded (domain, generation, hmac, token) VALUES (?, ?, ?, ?)",
    )?
    .execute(params![domain, number, pair.folded, token])?;
    Ok(())
}

pub(super) fn bind(conn: &Connection, bind: &Bind) -> Op<()> {
    for bound in &bind.bound {
        active(conn, bound.generation)?;
        unmarked(conn, bound.mark.as_ref())?;
        let subject = &bound.subject;
        let done = conn
            .prepare_cached(
                "UPDATE secrets SET realm = ?, class = ?, id = ?, generation = ?, wrapped = ?, version = version + 1 \
                 WHERE key_id = ? AND unit = ? AND id IS NULL",
            )?
            .execute(params![
                &*subject.realm,
                &*subject.class,
                &*subject.id,
                bound.generation.0,
                bound.wrapped,
                bound.key_id,
                bind.unit
            ])?;
        if done != 1 {
            // Somebody found its value in that subject's row before its own unit heard whose it is.
            if is_of(conn, bound.key_id, subject)? {
                continue;
            }
            return Err(StoreError::Gone(bound.key_id).into());
        }
        conn.prepare_cached("UPDATE holders SET realm = ?, class = ?, id = ? WHERE key_id = ?")?
            .execute(params![&*subject.realm, &*subject.class, &*subject.id, bound.key_id])?;
    }
    for key in &bind.destroyed {
        drop_unbound(conn, bind.unit, *key)?;
    }
    Ok(())
}

fn is_of(conn: &Connection, key: KeyId, subject: &Subject) -> Op<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM secrets WHERE key_id = ? AND realm = ? AND class = ? AND id = ?")?
        .exists(params![key, &*subject.realm, &*subject.class, &*subject.id])?)
}

fn drop_unbound(conn: &Connection, unit: UnitId, key: KeyId) -> Op<()> {
    outcome::destroy_key(conn, unit, key)
}
