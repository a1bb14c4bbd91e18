//! What is left to do after an erasure, and the documents of jobs.

use super::erase::remember;
use super::fail::{Fail, Op};
use crate::ids::{Generation, KeyId};
use crate::keystore::StoreError;
use crate::keystore::model::LedgerHead;
use crate::keystore::sweep::{NewSweep, SealedSubject, SweepRow};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;

type TokenName = (Box<str>, Box<str>);

/// Before the rows go: they tell which databases their values were written to.
pub(super) fn add(conn: &Connection, receipt: &str, keys: &[KeyId], sweep: &NewSweep) -> Op<()> {
    if let Some(subject) = &sweep.subject {
        super::change::active(conn, subject.generation)?;
    }
    let mut databases = BTreeSet::new();
    let mut statement = conn.prepare_cached(
        "SELECT database FROM secrets WHERE key_id = ?1 UNION SELECT database FROM holders WHERE key_id = ?1",
    )?;
    for key in keys {
        for database in statement.query_map([key], |row| row.get::<_, Box<str>>(0))? {
            databases.insert(database?);
        }
    }
    let databases = serde_json::to_string(&databases)
        .map_err(|_| Fail::Answer(StoreError::Unavailable("a sweep can't be written".into())))?;
    let subject = sweep.subject.as_ref();
    // A replay finds the row of the erasure itself: that one knows more.
    conn.prepare_cached(
        "INSERT INTO sweeps (receipt, highest, generation, subject, databases) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (receipt) DO UPDATE SET highest = max(highest, excluded.highest)",
    )?
    .execute(params![
        receipt,
        sweep.highest.0,
        subject.map(|s| s.generation.0),
        subject.map(|s| &s.sealed),
        databases
    ])?;
    Ok(())
}

pub(super) fn sweeps(conn: &Connection) -> Op<Vec<SweepRow>> {
    let mut statement = conn.prepare_cached(
        "SELECT receipt, highest, generation, subject, swept, databases, refused FROM sweeps ORDER BY number",
    )?;
    let rows = statement.query_map([], |row| {
        let generation: Option<u32> = row.get(2)?;
        let sealed: Option<Vec<u8>> = row.get(3)?;
        let subject = generation
            .zip(sealed)
            .map(|(generation, sealed)| SealedSubject { generation: Generation(generation), sealed });
        let databases: Box<str> = row.get(5)?;
        Ok(SweepRow {
            receipt: row.get(0)?,
            highest: Generation(row.get(1)?),
            subject,
            swept: row.get(4)?,
            refused: row.get(6)?,
            databases: serde_json::from_str(&databases).unwrap_or_default(),
            keys: Vec::new(),
            tokens: Vec::new(),
            shared: Vec::new(),
        })
    })?;
    let mut rows: Vec<SweepRow> = rows.collect::<Result<_, _>>()?;
    for row in &mut rows {
        row.keys = conn
            .prepare_cached("SELECT key_id FROM fenced_keys WHERE receipt = ? AND receipt <> ''")?
            .query_map([&row.receipt], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        row.tokens = tokens(conn, "fenced_tokens", &row.receipt)?;
        row.shared = tokens(conn, "fenced_holders", &row.receipt)?;
    }
    Ok(rows)
}

fn tokens(conn: &Connection, table: &str, receipt: &str) -> Op<Vec<TokenName>> {
    let sql = format!("SELECT DISTINCT domain, token FROM {table} WHERE receipt = ? AND receipt <> ''");
    let mut statement = conn.prepare_cached(&sql)?;
    let rows = statement.query_map([receipt], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn set_sweep(conn: &Connection, receipt: &str, subject: Option<&SealedSubject>) -> Op<()> {
    let Some(subject) = subject else {
        conn.prepare_cached(
            "UPDATE sweeps SET generation = NULL, subject = NULL, swept = 1, refused = 0 WHERE receipt = ?",
        )?
        .execute([receipt])?;
        return Ok(());
    };
    conn.prepare_cached("UPDATE sweeps SET generation = ?, subject = ? WHERE receipt = ?")?
        .execute(params![subject.generation.0, subject.sealed, receipt])?;
    Ok(())
}

pub(super) fn refuse_sweep(conn: &Connection, receipt: &str) -> Op<()> {
    conn.prepare_cached("UPDATE sweeps SET swept = 1, refused = 1 WHERE receipt = ?")?.execute([receipt])?;
    Ok(())
}

pub(super) fn end_sweep(conn: &Connection, receipt: &str) -> Op<()> {
    conn.prepare_cached("DELETE FROM sweeps WHERE receipt = ? AND refused = 0")?.execute([receipt])?;
    conn.prepare_cached(
        "UPDATE sweeps SET generation = NULL, subject = NULL WHERE receipt = ? AND subject IS NOT NULL",
    )?
    .execute([receipt])?;
    Ok(())
}

/// Stand-ins have no receipt: a sweep doesn't look for them.
pub(super) fn fence(
    conn: &Connection,
    keys: &[KeyId],
    tokens: &[TokenName],
    ledger: Option<&LedgerHead>,
) -> Op<()> {
    for key in keys {
        conn.prepare_cached("INSERT OR IGNORE INTO fenced_keys (key_id, receipt) VALUES (?, '')")?
            .execute([key])?;
    }
    for (domain, token) in tokens {
        conn.prepare_cached(
            "INSERT OR IGNORE INTO fenced_tokens (domain, token, receipt) SELECT ?1, ?2, '' \
             WHERE NOT EXISTS (SELECT 1 FROM tokens WHERE domain = ?1 AND token = ?2)",
        )?
        .execute([domain, token])?;
    }
    remember(conn, ledger)
}

pub(super) fn keep_job(conn: &Connection, id: &str, document: &str) -> Op<()> {
    conn.prepare_cached(
        "INSERT INTO jobs (id, document) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET document = ?2",
    )?
    .execute([id, document])?;
    Ok(())
}

pub(super) fn jobs(conn: &Connection, limit: u32) -> Op<Vec<Box<str>>> {
    let mut statement = conn.prepare_cached("SELECT document FROM jobs ORDER BY number DESC LIMIT ?")?;
    let rows = statement.query_map([limit], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn job(conn: &Connection, id: &str) -> Op<Option<Box<str>>> {
    Ok(conn
        .prepare_cached("SELECT document FROM jobs WHERE id = ?")?
        .query_row([id], |row| row.get(0))
        .optional()?)
}
