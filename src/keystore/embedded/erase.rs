//! Erasure: secrets, holders, tokens and lookups go; fences stay.

use super::fail::Op;
use super::{outcome, rekey, restrict, rows};
use crate::ids::{KeyId, Subject};
use crate::keystore::StoreError;
use crate::keystore::model::{Erase, Erased, Footprint, LedgerHead};
use rusqlite::{Connection, params};
use std::collections::HashSet;

type TokenName = (Box<str>, Box<str>);

pub(super) fn footprint(conn: &Connection, subject: &Subject) -> Op<Footprint> {
    let mut statement = conn.prepare_cached(
        "SELECT key_id FROM secrets WHERE realm = ? AND class = ? AND id = ? ORDER BY key_id",
    )?;
    let keys =
        statement.query_map(params![&*subject.realm, &*subject.class, &*subject.id], |row| row.get(0))?;
    let keys: Vec<KeyId> = keys.collect::<Result<_, _>>()?;
    let mut tokens = Vec::new();
    let mut shared = 0;
    for (domain, token) in held(conn, &keys)? {
        if holders(conn, &domain, &token)?.iter().all(|key| keys.contains(key)) {
            tokens.push((domain, token));
        } else {
            shared += 1;
        }
    }
    Ok(Footprint { keys, tokens, shared })
}

/// Domain and token of everything held under these keys.
fn held(conn: &Connection, keys: &[KeyId]) -> Op<Vec<TokenName>> {
    let mut tokens = Vec::new();
    let mut seen = HashSet::new();
    let mut statement =
        conn.prepare_cached("SELECT DISTINCT domain, token FROM holders WHERE key_id = ? ORDER BY 1, 2")?;
    for key in keys {
        for name in statement.query_map([key], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let name: TokenName = name?;
            if seen.insert(name.clone()) {
                tokens.push(name);
            }
        }
    }
    Ok(tokens)
}

fn holders(conn: &Connection, domain: &str, token: &str) -> Op<Vec<KeyId>> {
    let mut statement = conn.prepare_cached("SELECT key_id FROM holders WHERE domain = ? AND token = ?")?;
    let keys = statement.query_map([domain, token], |row| row.get(0))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

pub(super) fn erase(conn: &Connection, erase: &Erase) -> Op<Erased> {
    if let Some(subject) = &erase.subject {
        let now = footprint(conn, subject)?;
        let named: HashSet<_> = erase.tokens.iter().collect();
        if now.keys.iter().any(|key| !erase.keys.contains(key))
            || now.tokens.iter().any(|t| !named.contains(t))
        {
            return Err(StoreError::Changed.into());
        }
    }
    if let Some(sweep) = &erase.sweep {
        super::sweep::add(conn, &erase.receipt, &erase.keys, sweep)?;
    }
    let mut tokens = held(conn, &erase.keys)?;
    for key in &erase.keys {
        destroy(conn, *key, &erase.receipt)?;
    }
    // On replay the ledger names tokens whose holders are already gone.
    tokens.extend(erase.tokens.iter().filter(|t| !tokens.contains(t)).cloned().collect::<Vec<_>>());
    let mut erased = Erased::default();
    for token in tokens {
        end_token(conn, token, erase, &mut erased)?;
    }
    restrict::forget_erased(conn)?;
    rekey::forget_erased(conn)?;
    record(conn, erase)?;
    Ok(erased)
}

fn destroy(conn: &Connection, key: KeyId, receipt: &str) -> Op<()> {
    conn.prepare_cached(
        "INSERT OR IGNORE INTO fenced_holders (domain, token, key_id, receipt) \
         SELECT domain, token, key_id, ? FROM holders WHERE key_id = ?",
    )?
    .execute(params![receipt, key])?;
    conn.prepare_cached("DELETE FROM holders WHERE key_id = ?")?.execute([key])?;
    conn.prepare_cached("DELETE FROM secrets WHERE key_id = ?")?.execute([key])?;
    // One that a re-keying destroyed before is erased from now on.
    conn.prepare_cached(
        "INSERT INTO fenced_keys (key_id, receipt) VALUES (?, ?) \
         ON CONFLICT (key_id) DO UPDATE SET replaced = 0, receipt = excluded.receipt WHERE replaced = 1",
    )?
    .execute(params![key, receipt])?;
    Ok(())
}

fn end_token(conn: &Connection, token: TokenName, erase: &Erase, erased: &mut Erased) -> Op<()> {
    let (domain, name) = (&*token.0, &*token.1);
    let lookups = lookups(conn, domain, name)?;
    if outcome::drop_if_unheld(conn, domain, name)? {
        conn.prepare_cached("INSERT OR IGNORE INTO fenced_tokens (domain, token, receipt) VALUES (?, ?, ?)")?
            .execute([domain, name, &erase.receipt])?;
        conn.prepare_cached("DELETE FROM fenced_holders WHERE domain = ? AND token = ?")?
            .execute([domain, name])?;
        erased.lookups.extend(lookups);
        erased.destroyed.push(token);
    } else {
        // Rows of the erased subject still hold it: from now on it is only shown where the row tells whose it is.
        conn.prepare_cached("UPDATE tokens SET ever_shared = 1 WHERE domain = ? AND token = ?")?
            .execute([domain, name])?;
        erased.surviving.push(token);
    }
    Ok(())
}

fn lookups(conn: &Connection, domain: &str, token: &str) -> Op<Vec<(Box<str>, [u8; 32])>> {
    let mut statement =
        conn.prepare_cached("SELECT domain, hmac FROM lookups WHERE domain = ? AND token = ?")?;
    let found = statement.query_map([domain, token], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn record(conn: &Connection, erase: &Erase) -> Op<()> {
    if let Some(mark) = &erase.mark {
        // The newest erasure counts: it covers what was lost before it.
        conn.prepare_cached(
            "INSERT INTO marks (mark, receipt) VALUES (?1, ?2) ON CONFLICT (mark) DO UPDATE SET receipt = ?2",
        )?
        .execute(params![mark, erase.receipt])?;
    }
    remember(conn, erase.ledger.as_ref())
}

/// Remembers the last entry of the ledger that this store has seen.
pub(super) fn remember(conn: &Connection, head: Option<&LedgerHead>) -> Op<()> {
    if let Some(head) = head {
        conn.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES ('ledger head', ?)")?
            .execute([rows::head_bytes(head)])?;
    }
    Ok(())
}

pub(super) fn keep_receipt(conn: &Connection, id: &str, document: &str) -> Op<()> {
    conn.prepare_cached(
        "INSERT INTO receipts (id, document) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET document = ?2",
    )?
    .execute([id, document])?;
    Ok(())
}
