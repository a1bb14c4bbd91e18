//! What is read, each a few microseconds on a reading connection.

use super::fail::{Fail, Op};
use super::rows;
use crate::ids::{Generation, KeyId, Subject};
use crate::keystore::StoreError;
use crate::keystore::model::{
    DomainRow, Found, GenerationRow, HolderRow, LedgerHead, Looked, SecretRow, TokenFound,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(super) fn alive(conn: &Connection) -> Op<()> {
    Ok(conn.prepare_cached("SELECT count(*) FROM generations")?.query_row([], |_| Ok(()))?)
}

pub(super) fn generations(conn: &Connection) -> Op<Vec<GenerationRow>> {
    let mut statement =
        conn.prepare_cached("SELECT number, wrapped, state FROM generations ORDER BY number")?;
    let rows = statement.query_map([], |row| {
        Ok(GenerationRow { number: Generation(row.get(0)?), wrapped: row.get(1)?, state: row.get(2)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A domain's secrets, newest generation first.
pub(super) fn domain(conn: &Connection, domain: &str) -> Op<Vec<DomainRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT domain, generation, wrapped FROM domains WHERE domain = ? ORDER BY generation DESC",
    )?;
    let rows = statement.query_map([domain], domain_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn domains(conn: &Connection) -> Op<Vec<DomainRow>> {
    let mut statement =
        conn.prepare_cached("SELECT domain, generation, wrapped FROM domains ORDER BY domain, generation")?;
    let rows = statement.query_map([], domain_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn domain_row(row: &Row<'_>) -> rusqlite::Result<DomainRow> {
    let domain: Box<str> = row.get(0)?;
    Ok(DomainRow { domain: domain.into(), generation: Generation(row.get(1)?), wrapped: row.get(2)? })
}

/// From columns `key_id, realm, class, id, purpose, state, generation, wrapped`.
pub(super) fn secret_row(row: &Row<'_>) -> rusqlite::Result<SecretRow> {
    next_secret_row(row, &mut rows::Names::default())
}

/// [`secret_row`] of one row among many.
pub(super) fn next_secret_row(row: &Row<'_>, names: &mut rows::Names) -> rusqlite::Result<SecretRow> {
    Ok(SecretRow {
        key_id: row.get(0)?,
        subject: names.subject(row, 1)?,
        purpose: names.purpose(row, 4)?,
        state: row.get(5)?,
        generation: Generation(row.get(6)?),
        wrapped: row.get(7)?,
    })
}

/// Several in one look at the file: by itself each query takes and gives back its locks, which costs more than it does.
pub(super) fn secrets(conn: &Connection, keys: &[KeyId]) -> Op<Vec<Found>> {
    let _look = if keys.len() > 1 { Some(conn.unchecked_transaction()?) } else { None };
    keys.iter().map(|key| secret(conn, *key)).collect()
}

/// Fences count before rows: whatever else the files say, a destroyed key stays destroyed.
pub(super) fn secret(conn: &Connection, key: KeyId) -> Op<Found> {
    let fence: Option<bool> = conn
        .prepare_cached("SELECT replaced FROM fenced_keys WHERE key_id = ?")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    match fence {
        Some(true) => return Ok(Found::Replaced),
        Some(false) => return Ok(Found::Fenced),
        None => {}
    }
    let found = conn
        .prepare_cached(
            "SELECT key_id, realm, class, id, purpose, state, generation, wrapped FROM secrets WHERE key_id = ?",
        )?
        .query_row([key], secret_row)
        .optional()?;
    Ok(found.map_or(Found::Unknown, Found::Live))
}

pub(super) fn sealing(conn: &Connection, subject: &Subject, purpose: &str) -> Op<Option<SecretRow>> {
    Ok(conn
        .prepare_cached(
            "SELECT key_id, realm, class, id, purpose, state, generation, wrapped FROM secrets \
             WHERE realm = ? AND class = ? AND id = ? AND purpose = ? AND state = 'sealing'",
        )?
        .query_row(params![&*subject.realm, &*subject.class, &*subject.id, purpose], secret_row)
        .optional()?)
}

/// In one look at the file, as [`secrets`].
pub(super) fn tokens(conn: &Connection, domain: &str, tokens: &[&str]) -> Op<Vec<TokenFound>> {
    let _look = conn.unchecked_transaction()?;
    tokens.iter().map(|name| token(conn, domain, name)).collect()
}

pub(super) fn token(conn: &Connection, domain: &str, token: &str) -> Op<TokenFound> {
    if conn
        .prepare_cached("SELECT 1 FROM fenced_tokens WHERE domain = ? AND token = ?")?
        .exists([domain, token])?
    {
        return Ok(TokenFound::Fenced);
    }
    let shared: Option<bool> = conn
        .prepare_cached("SELECT ever_shared FROM tokens WHERE domain = ? AND token = ?")?
        .query_row([domain, token], |row| row.get(0))
        .optional()?;
    let Some(ever_shared) = shared else { return Ok(TokenFound::Unknown) };
    let mut statement = conn.prepare_cached(
        "SELECT realm, class, id, key_id, sealed, unit = x'' FROM holders WHERE domain = ? AND token = ? \
         ORDER BY unit = x'' DESC, number DESC",
    )?;
    let holders = statement.query_map([domain, token], |row| {
        Ok(HolderRow {
            subject: rows::subject(row, 0)?,
            key_id: row.get(3)?,
            sealed: row.get(4)?,
            settled: row.get(5)?,
        })
    })?;
    Ok(TokenFound::Live { ever_shared, holders: holders.collect::<Result<_, _>>()? })
}

pub(super) fn lookup(
    conn: &Connection,
    domain: &str,
    generation: Generation,
    hmac: &[u8; 32],
) -> Op<Option<Looked>> {
    Ok(conn
        .prepare_cached(
            "SELECT token, EXISTS (SELECT 1 FROM holders h WHERE h.domain = l.domain AND h.token = l.token \
             AND h.unit = x'') FROM lookups l WHERE domain = ? AND generation = ? AND hmac = ?",
        )?
        .query_row(params![domain, generation.0, hmac], |row| {
            Ok(Looked { token: row.get(0)?, settled: row.get(1)? })
        })
        .optional()?)
}

pub(super) fn folded(
    conn: &Connection,
    domain: &str,
    generation: Generation,
    hmac: &[u8; 32],
) -> Op<Vec<Box<str>>> {
    let mut statement = conn.prepare_cached(
        "SELECT token FROM folded WHERE domain = ? AND generation = ? AND hmac = ? ORDER BY token",
    )?;
    let tokens = statement.query_map(params![domain, generation.0, hmac], |row| row.get(0))?;
    Ok(tokens.collect::<Result<_, _>>()?)
}

pub(super) fn marked(conn: &Connection, mark: &[u8; 32]) -> Op<Option<Box<str>>> {
    Ok(conn
        .prepare_cached("SELECT receipt FROM marks WHERE mark = ?")?
        .query_row(params![mark], |row| row.get(0))
        .optional()?)
}

pub(super) fn receipt(conn: &Connection, id: &str) -> Op<Option<Box<str>>> {
    Ok(conn
        .prepare_cached("SELECT document FROM receipts WHERE id = ?")?
        .query_row([id], |row| row.get(0))
        .optional()?)
}

pub(super) fn receipts(conn: &Connection) -> Op<Vec<Box<str>>> {
    let mut statement = conn.prepare_cached("SELECT id FROM receipts ORDER BY number")?;
    let ids = statement.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

pub(super) fn ledger_head(conn: &Connection) -> Op<Option<LedgerHead>> {
    let bytes: Option<Vec<u8>> = conn
        .prepare_cached("SELECT value FROM meta WHERE name = 'ledger head'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(bytes) = bytes else { return Ok(None) };
    let head = rows::head(&bytes).ok_or_else(|| {
        Fail::Answer(StoreError::Damaged("the keystore".into(), "its ledger head does not read".into()))
    })?;
    Ok(Some(head))
}
