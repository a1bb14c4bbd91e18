//! Recovery: finds out what became of transactions whose end nobody saw, and settles what they made.
//!
//! Where the gateway was killed, or a connection was lost at COMMIT, secrets stay provisional. A secret
//! that was never bound to a subject can't have been committed, since a commit waits for the binding.
//! For the others the tables tell: once every transaction that may have written them has ended, either
//! an envelope or token of theirs stands in a row of their subject, or the transaction was rolled back.
//! What was made for a service (`Unsettled::outside`) is not looked for here.

use super::catalog::model::Relation;
use super::catalog::{Catalogs, rows};
use super::sweep::is_standby;
use super::two_phase::Number;
use crate::policy::model::{Policy, Protect, Table};
use crate::protect::{Door, Unsettled};
use hashbrown::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often it looks.
const PAUSE: Duration = Duration::from_secs(5);

/// How long it rests after a pass between two of these.
const REST: Duration = Duration::from_millis(100);
/// The prepared transactions of a database.
const PREPARED: &str =
    "SELECT gid FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()";

/// How far the settling of a unit has come.
#[derive(Clone, Copy)]
enum Stage {
    /// Seen once. What was on its way to the server then has arrived at the next pass.
    Seen,
    /// Transactions from this id on began after it.
    Before(u64),
}

/// Looks for what is unsettled and settles it, for as long as it is polled.
pub(super) async fn run(catalogs: Arc<Catalogs>, door: Door) {
    let mut stages: HashMap<[u8; 16], Stage> = HashMap::new();
    let two_phase = catalogs.two_phase();
    let mut next = Instant::now();
    loop {
        let due = Instant::now() >= next;
        let prepared = two_phase.all();
        match door.unsettled().await {
            Ok(mut unsettled) => {
                let is_open = |unit: &[u8; 16]| unsettled.iter().any(|u| u.unit() == *unit);
                stages.retain(|unit, _| is_open(unit));
                two_phase.forget(prepared.keys().filter(|unit| !is_open(unit)));
                // The others have yet to wait for what may be on its way.
                unsettled.retain(|item| due || prepared.contains_key(&item.unit()));
                pass(&catalogs, &door, &unsettled, &prepared, &mut stages).await;
            }
            Err(error) => tracing::warn!(%error, "what is unsettled could not be listed"),
        }
        if due {
            next = Instant::now() + PAUSE;
        } else {
            tokio::time::sleep(REST).await;
        }
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = two_phase.until_ended() => {}
        }
    }
}

async fn pass(
    catalogs: &Catalogs,
    door: &Door,
    unsettled: &[Unsettled],
    prepared: &HashMap<Number, Box<str>>,
    stages: &mut HashMap<[u8; 16], Stage>,
) {
    let mut databases: HashMap<&str, Vec<&Unsettled>> = HashMap::new();
    for item in unsettled.iter().filter(|item| !item.outside()) {
        if item.subject().is_none() {
            // Never bound: it did not commit.
            if let Err(error) = door.settle(&[(item, false)]).await {
                tracing::warn!(%error, "a provisional secret could not be settled");
            }
            continue;
        }
        databases.entry(item.database()).or_default().push(item);
    }
    for (name, items) in databases {
        if let Err(error) = settle_database(catalogs, door, name, &items, prepared, stages).await {
            tracing::warn!(database = name, %error, "unsettled writes wait: their tables can't be read");
        }
    }
}

async fn settle_database(
    catalogs: &Catalogs,
    door: &Door,
    name: &str,
    items: &[&Unsettled],
    prepared: &HashMap<Number, Box<str>>,
    stages: &mut HashMap<[u8; 16], Stage>,
) -> io::Result<()> {
    let client = catalogs.connector().own_login(name).await?;
    if is_standby(&client).await? {
        return Err(io::Error::other(
            "only a standby answers, and what it has not seen yet can't be known there",
        ));
    }
    let horizon = rows(
        &client,
        "SELECT pg_catalog.pg_snapshot_xmin(s)::text, pg_catalog.pg_snapshot_xmax(s)::text \
         FROM pg_catalog.pg_current_snapshot() AS s",
    )
    .await?;
    let number = |i: usize| horizon.first()?.get(i)?.as_ref()?.parse::<u64>().ok();
    let (Some(xmin), Some(xmax)) = (number(0), number(1)) else {
        return Err(io::Error::other("the transaction horizon could not be read"));
    };
    let snapshot = catalogs.database(name).snapshot().await?;
    let mut open = HashSet::new();
    if items.iter().any(|item| prepared.contains_key(&item.unit())) {
        open.extend(rows(&client, PREPARED).await?.into_iter().filter_map(|mut row| row.pop()?));
    }
    let mut found = Vec::new();
    for item in items {
        let ended = match (prepared.get(&item.unit()), stages.get(&item.unit()).copied()) {
            (Some(name), _) => !open.contains(&**name),
            (None, None) => {
                stages.insert(item.unit(), Stage::Seen);
                false
            }
            (None, Some(Stage::Seen)) => {
                stages.insert(item.unit(), Stage::Before(xmax));
                false
            }
            (None, Some(Stage::Before(end))) => xmin >= end,
        };
        if ended {
            let places = places(item, catalogs.tables(), door.policy(), |table| {
                snapshot.catalog.relations.get(&(table.schema.clone(), table.name.clone())).cloned()
            });
            let mut committed = false;
            for query in places {
                committed |= !rows(&client, &query).await?.is_empty();
            }
            found.push((*item, committed));
        }
    }
    door.settle(&found).await.map_err(io::Error::other)
}

/// A query for each table where the item may stand; it gives a row where it does.
fn places(
    item: &Unsettled,
    tables: &[Table],
    policy: &Policy,
    relation: impl Fn(&Table) -> Option<Arc<Relation>>,
) -> Vec<String> {
    let Some(subject) = item.subject() else { return Vec::new() };
    let mut queries = Vec::new();
    for table in tables.iter().filter(|t| t.subject.class == subject.class) {
        let Some(relation) = relation(table) else { continue };
        let mut tests = Vec::new();
        for placed in &table.columns {
            let Some((_, column)) = relation.column(&placed.column) else { continue };
            let name = quoted(&placed.column);
            match &policy.field(placed.field).protect {
                Protect::Encrypt => tests.push(envelope_test(&name, column.type_oid, &item.key_id().0)),
                Protect::Pseudonym { domain, .. } => {
                    for (_, token) in item.tokens().iter().filter(|(of, _)| **of == **domain) {
                        tests.push(format!("{name} = {}", literal(token)));
                    }
                }
            }
        }
        if !tests.is_empty() {
            queries.push(format!(
                "SELECT '1' FROM {}.{} WHERE {} = {} AND ({}) LIMIT 1",
                quoted(&table.schema),
                quoted(&table.name),
                quoted(&table.subject.column),
                literal(&subject.id),
                tests.join(" OR ")
            ));
        }
    }
    queries
}

/// Whether a column holds an envelope of that key: it begins with the version and the key id.
fn envelope_test(column: &str, type_oid: u32, key_id: &[u8; 16]) -> String {
    if type_oid == 17 {
        let head = envelope_head(true, key_id);
        return format!("pg_catalog.substring({column}, 1, 17) = '\\x{head}'::pg_catalog.bytea");
    }
    let head = envelope_head(false, key_id);
    format!("pg_catalog.left({column}, {}) = {}", head.len(), literal(&head))
}

/// What every envelope of that key begins with: in hex for a binary column, else as the text form has it.
pub(super) fn envelope_head(binary: bool, key_id: &[u8; 16]) -> String {
    let head: Vec<u8> = std::iter::once(0xE1).chain(key_id.iter().copied()).collect();
    if binary {
        return hex::encode(head);
    }
    // 22 characters of the text form hang on these 17 bytes alone.
    let text = crate::protect::armour::write(&head);
    text.chars().take("pv1.".len() + 22).collect()
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn literal(text: &str) -> String {
    // E'' reads alike whatever standard_conforming_strings says.
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_known_by_the_head_of_its_text() {
        let key = [7; 16];
        let mut envelope = vec![0xE1];
        envelope.extend_from_slice(&key);
        envelope.extend_from_slice(&[0xff; 45]);
        let stored = crate::protect::armour::write(&envelope);
        let test = envelope_test("c", 25, &key);
        let prefix = test.split('\'').nth(1).unwrap();
        assert!(stored.starts_with(prefix), "{stored} {prefix}");
        assert_eq!(prefix.len(), 26);
    }

    #[test]
    fn literals_and_names_are_quoted() {
        assert_eq!(literal("a'b\\c"), "E'a''b\\\\c'");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
