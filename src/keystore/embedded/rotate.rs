//! Rotation: from one generation to the next, in steps that each leave the store whole.

use super::change::add_pair;
use super::fail::Op;
use super::read;
use super::rows::Names;
use super::writer::{Job, Needs};
use crate::ids::Generation;
use crate::keystore::StoreError;
use crate::keystore::model::{GenerationRow, GenerationState, HolderRow};
use crate::keystore::rotation::{Dependents, Passed, Rewrap, TokenLookups, Unlooked};
use rusqlite::{Connection, OptionalExtension, Rows, params};
use tokio::sync::oneshot;

pub(super) fn rotate(conn: &Connection, row: &GenerationRow) -> Op<()> {
    let busy = conn
        .prepare_cached("SELECT 1 FROM generations WHERE state IN ('closing', 'empty') OR number >= ?")?
        .exists([row.number.0])?;
    if busy {
        return Err(StoreError::Rotating.into());
    }
    conn.prepare_cached("UPDATE generations SET state = 'closing' WHERE state = 'active'")?.execute([])?;
    conn.prepare_cached("INSERT INTO generations (number, wrapped, state) VALUES (?, ?, 'active')")?
        .execute(params![row.number.0, row.wrapped])?;
    Ok(())
}

/// Whether a generation may go to that state; on a reading connection, since it reads every secret. What it says
/// stays true: nothing is ever wrapped under a generation that is closing.
pub(super) fn may_advance(conn: &Connection, generation: Generation, to: GenerationState) -> Op<bool> {
    Ok(step(conn, generation, to)? && dependents(conn, generation)?.none())
}

/// Whether it is in that state, or in the one before.
fn step(conn: &Connection, generation: Generation, to: GenerationState) -> Op<bool> {
    let found: Option<GenerationState> = conn
        .prepare_cached("SELECT state FROM generations WHERE number = ?")?
        .query_row([generation.0], |row| row.get(0))
        .optional()?;
    Ok(match to {
        GenerationState::Empty => matches!(found, Some(GenerationState::Closing | GenerationState::Empty)),
        GenerationState::Destroyed => {
            matches!(found, Some(GenerationState::Empty | GenerationState::Destroyed))
        }
        GenerationState::Active | GenerationState::Closing => false,
    })
}

pub(super) fn advance(conn: &Connection, generation: Generation, to: GenerationState) -> Op<()> {
    if !step(conn, generation, to)? {
        return Err(StoreError::InUse(generation.0).into());
    }
    conn.prepare_cached(
        "UPDATE generations SET state = ?1, wrapped = CASE WHEN ?1 = 'destroyed' THEN x'' ELSE wrapped END \
         WHERE number = ?2",
    )?
    .execute(params![to, generation.0])?;
    Ok(())
}

/// Reads every secret: fresh ones come under the active generation only, so what is counted never grows.
pub(super) fn dependents(conn: &Connection, generation: Generation) -> Op<Dependents> {
    let count = |sql: &str| -> Op<u64> {
        let found: i64 = conn.prepare_cached(sql)?.query_row([generation.0], |row| row.get(0))?;
        Ok(found.unsigned_abs())
    };
    Ok(Dependents {
        secrets: count("SELECT count(*) FROM secrets WHERE generation = ?")?,
        domains: count("SELECT count(*) FROM domains WHERE generation = ?")?,
        sweeps: count("SELECT count(*) FROM sweeps WHERE generation = ?")?,
    })
}

pub(super) fn wrapped_by(
    conn: &Connection,
    generation: Generation,
    after: i64,
    limit: u32,
) -> Op<Vec<Passed>> {
    let mut statement = conn.prepare_cached(
        "SELECT key_id, realm, class, id, purpose, state, generation, wrapped, version, number FROM secrets \
         WHERE number > ? AND generation = ? ORDER BY number LIMIT ?",
    )?;
    all_passed(statement.query(params![after, generation.0, limit])?, limit)
}

pub(super) fn every_secret(conn: &Connection, after: i64, limit: u32) -> Op<Vec<Passed>> {
    let mut statement = conn.prepare_cached(
        "SELECT key_id, realm, class, id, purpose, state, generation, wrapped, version, number FROM secrets \
         WHERE number > ? ORDER BY number LIMIT ?",
    )?;
    all_passed(statement.query(params![after, limit])?, limit)
}

fn all_passed(mut rows: Rows<'_>, limit: u32) -> Op<Vec<Passed>> {
    let mut names = Names::default();
    let mut all = Vec::with_capacity(limit as usize);
    while let Some(row) = rows.next()? {
        let (version, place) = (row.get(8)?, row.get(9)?);
        all.push(Passed { row: read::next_secret_row(row, &mut names)?, version, place });
    }
    Ok(all)
}

/// Secrets that are wrapped again between two looks at who else waits.
const SLICE: usize = 64;

/// Wraps secrets again, a slice at a time.
pub(super) struct Rewrapping {
    secrets: Vec<Rewrap>,
    next: usize,
    changed: u64,
    done: oneshot::Sender<Result<u64, StoreError>>,
}

impl Rewrapping {
    pub(super) fn new(secrets: Vec<Rewrap>, done: oneshot::Sender<Result<u64, StoreError>>) -> Self {
        Self { secrets, next: 0, changed: 0, done }
    }
}

impl Job for Rewrapping {
    fn run(&mut self, conn: &Connection) -> Op<()> {
        let mut statement = conn.prepare_cached(
            "UPDATE secrets SET generation = ?, wrapped = ?, version = version + 1 \
             WHERE number = ? AND key_id = ? AND generation = ? AND version = ?",
        )?;
        let slice = self.secrets.iter().skip(self.next).take(SLICE);
        for s in slice {
            let changed =
                statement.execute(params![s.to.0, s.wrapped, s.place, s.key_id, s.from.0, s.version])? as u64;
            self.changed += changed;
        }
        self.next += SLICE;
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let _ = self.done.send(outcome.map(|()| self.changed));
    }

    fn needs(&self) -> Needs {
        Needs { long: true, ..Needs::default() }
    }

    fn more(&self) -> bool {
        self.next < self.secrets.len()
    }
}

pub(super) fn close_domain(conn: &Connection, domain: &str, generation: Generation) -> Op<()> {
    conn.prepare_cached("DELETE FROM domains WHERE domain = ? AND generation = ?")?
        .execute(params![domain, generation.0])?;
    Ok(())
}

pub(super) fn unlooked(
    conn: &Connection,
    domain: &str,
    generation: Generation,
    after: &str,
    limit: u32,
) -> Op<Vec<Unlooked>> {
    let mut statement = conn.prepare_cached(
        "SELECT t.token, h.realm, h.class, h.id, h.key_id, h.sealed, h.unit = x'' FROM tokens t \
         JOIN holders h ON h.number = (SELECT number FROM holders o WHERE o.domain = t.domain \
         AND o.token = t.token ORDER BY o.unit = x'' DESC, o.number DESC LIMIT 1) \
         WHERE t.domain = ?1 AND t.token > ?2 AND NOT EXISTS (SELECT 1 FROM lookups l \
         WHERE l.domain = ?1 AND l.token = t.token AND l.generation = ?3) AND NOT EXISTS (SELECT 1 \
         FROM replacements r WHERE r.domain = ?1 AND r.old = t.token) ORDER BY t.token LIMIT ?4",
    )?;
    let rows = statement.query_map(params![domain, after, generation.0, limit], |row| {
        let subject = super::rows::subject(row, 1)?;
        let holder = HolderRow { subject, key_id: row.get(4)?, sealed: row.get(5)?, settled: row.get(6)? };
        Ok(Unlooked { token: row.get(0)?, holder })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Only of tokens that are there: one that was erased meanwhile stays without.
pub(super) fn add_lookups(conn: &Connection, domain: &str, lookups: &[TokenLookups]) -> Op<u64> {
    let mut added = 0;
    for lookup in lookups {
        let there = conn
            .prepare_cached("SELECT 1 FROM tokens WHERE domain = ? AND token = ?")?
            .exists([domain, &*lookup.token])?;
        if there {
            add_pair(conn, domain, &lookup.token, &lookup.pair)?;
            added += 1;
        }
    }
    Ok(added)
}

pub(super) fn drop_lookups(conn: &Connection, generation: Generation, limit: u32) -> Op<u64> {
    let mut dropped = 0;
    for table in ["lookups", "folded"] {
        // Only where the domain is closed in that generation: nothing can add to it any more.
        let domains: Vec<Box<str>> = conn
            .prepare_cached(&format!(
                "SELECT d FROM (WITH RECURSIVE o(d) AS (SELECT min(domain) FROM {table} UNION ALL \
                 SELECT (SELECT min(domain) FROM {table} WHERE domain > d) FROM o WHERE d IS NOT NULL) \
                 SELECT d FROM o WHERE d IS NOT NULL) WHERE NOT EXISTS \
                 (SELECT 1 FROM domains WHERE domain = d AND generation = ?)"
            ))?
            .query_map([generation.0], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let key = if table == "lookups" { "hmac" } else { "hmac, token" };
        for domain in domains {
            dropped += conn
                .prepare_cached(&format!(
                    "DELETE FROM {table} WHERE (domain, generation, {key}) IN (SELECT domain, generation, {key} \
                     FROM {table} WHERE domain = ? AND generation = ? LIMIT ?)"
                ))?
                .execute(params![domain, generation.0, limit])? as u64;
        }
    }
    Ok(dropped)
}

pub(super) fn note_backup(conn: &Connection, generation: Generation) -> Op<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO meta (name, value) VALUES ('backup', ?)")?
        .execute([generation.0.to_be_bytes().as_slice()])?;
    Ok(())
}

pub(super) fn noted_backup(conn: &Connection) -> Op<Option<Generation>> {
    let bytes: Option<[u8; 4]> = conn
        .prepare_cached("SELECT value FROM meta WHERE name = 'backup'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(bytes.map(|bytes| Generation(u32::from_be_bytes(bytes))))
}
