//! Re-keying: every value that lies under a key that is being left is sealed again, wherever it stands; and when none is left,
//! and none can come any more, says so.

use super::super::recovery::{envelope_head, literal, quoted};
use super::column::{Column, IDLE, Stop, asked, columns};
use super::waits::{self, Wait};
use super::{RekeyedIn, Sweeper};
use crate::pg::net::connect::Login;
use crate::protect::places::{Rekeyed, Resealed};
use crate::protect::{Again, armour};
use tokio_postgres::Client;

/// Values that are changed by one statement.
const BATCH: usize = 200;
/// Bytes of values that are held at once, unless one is larger.
const MOST_BYTES: usize = 8 << 20;
/// Values that don't open, in one column: more are not looked for.
const MOST_UNREADABLE: usize = 10_000;
/// Characters of the text form that hold version, key, field and nonce: no two envelopes share them.
const TEXT_IDENTITY: usize = "pv1.".len() + 44;

/// A value that lies under a key that is left.
struct Found {
    /// Of the table (or partition), and the row's place in it.
    row: (String, String),
    bytes: usize,
}

/// One pass through a database.
#[derive(Default)]
struct Pass {
    rows: u64,
    missed: Vec<(String, String)>,
}

impl Sweeper {
    pub(super) async fn reseal_everywhere(&self, rekeyed: &Rekeyed) -> Result<Resealed, String> {
        let mut databases = self.databases().await.map_err(|e| e.to_string())?;
        databases.extend(rekeyed.databases.iter().filter(|d| !crate::protect::Door::is_outside(d)).cloned());
        let mut all = Resealed { over: true, ..Resealed::default() };
        for database in databases {
            let client = match self.login(&database).await {
                Ok(client) => client,
                Err(error) if *database == *self.connector.database() => return Err(error.to_string()),
                Err(error) => {
                    // Whatever lies there could not be seen.
                    all.over = false;
                    all.missed.push((format!("{database} (the whole database)"), error.to_string()));
                    continue;
                }
            };
            self.reseal_in(&client, &database, rekeyed, &mut all).await?;
        }
        Ok(all)
    }

    /// One database, as far as it gets without waiting.
    async fn reseal_in(
        &self,
        client: &Login,
        database: &str,
        rekeyed: &Rekeyed,
        all: &mut Resealed,
    ) -> Result<(), String> {
        let text = |e: std::io::Error| e.to_string();
        let key: RekeyedIn = (database.into(), rekeyed.job.clone());
        let known = self.waits.lock().get(&key).cloned();
        let mut wait = match known {
            Some(wait) => wait,
            None if self.has_nothing(client).await? => Wait::Over,
            None if waits::is_standby(client).await.map_err(text)? => {
                all.over = false;
                let why = "it is a standby: what it has not received yet can't be sealed again here";
                all.missed.push((format!("{database} (the whole database)"), why.to_owned()));
                return Ok(());
            }
            None => {
                self.pass(client, database, rekeyed, all).await?;
                Wait::Units
            }
        };
        loop {
            let next = match &wait {
                Wait::Over => wait.clone(),
                Wait::Units if !rekeyed.units_over => wait.clone(),
                Wait::Units => {
                    Wait::Connections(waits::strangers(client, &self.connector).await.map_err(text)?)
                }
                Wait::Pass | Wait::LastPass => match self.pass(client, database, rekeyed, all).await? {
                    None => wait.clone(),
                    Some(0) if wait == Wait::LastPass => Wait::Over,
                    Some(0) => Wait::Readers(waits::transactions(client).await.map_err(text)?),
                    Some(_) => Wait::Pass,
                },
                _ => wait.clone().next(client, &self.connector).await.map_err(text)?,
            };
            let stays = next == wait && !matches!(wait, Wait::Pass);
            wait = next;
            self.waits.lock().insert(key.clone(), wait.clone());
            if stays || !all.missed.is_empty() {
                break;
            }
        }
        all.over &= wait == Wait::Over;
        all.waits.extend(wait.told(database));
        Ok(())
    }

    /// Whether no declared column that can hold sealed values is in this database.
    async fn has_nothing(&self, client: &Client) -> Result<bool, String> {
        for table in &self.tables {
            let columns = columns(client, table, &self.door).await.map_err(|e| e.to_string())?;
            if columns.iter().any(|column| column.sealed && column.fits) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes through every column; how many values were sealed again, none where a place can't be gone through.
    async fn pass(
        &self,
        client: &Client,
        database: &str,
        rekeyed: &Rekeyed,
        all: &mut Resealed,
    ) -> Result<Option<u64>, String> {
        let again = self.door.again(&rekeyed.keys).await.map_err(|e| e.to_string())?;
        let mut pass = Pass::default();
        for table in &self.tables {
            for column in columns(client, table, &self.door).await.map_err(|e| e.to_string())? {
                if !column.sealed || !column.fits {
                    continue;
                }
                match reseal_column(client, &column, rekeyed, &again).await {
                    Ok(rows) => pass.rows += rows,
                    Err(Stop::Later(why)) => return Err(format!("{}: {why}", column.place(database))),
                    Err(Stop::Missed(why)) => pass.missed.push((column.place(database), why)),
                }
            }
        }
        all.rows += pass.rows;
        let whole = pass.missed.is_empty();
        all.missed.extend(pass.missed);
        Ok(whole.then_some(pass.rows))
    }
}

/// Seals again what lies in a column, some rows at a time, until nothing is left.
async fn reseal_column(
    client: &Client,
    column: &Column<'_>,
    rekeyed: &Rekeyed,
    again: &Again,
) -> Result<u64, Stop> {
    let heads: Vec<String> = rekeyed.keys.iter().map(|key| envelope_head(column.binary, &key.0)).collect();
    let test = column.any_of(&heads.iter().collect::<Vec<_>>());
    let (mut done, mut unreadable, mut idle) = (0, 0, 0);
    loop {
        let found = find(client, column, &test, BATCH + unreadable).await?;
        let (mut changed, mut unread) = (0, 0);
        for group in groups(&found) {
            let (sealed, closed) = sealed_again(client, column, &test, group, again).await?;
            unread += closed;
            changed += update(client, column, &sealed).await?;
        }
        done += changed;
        if unread > unreadable && unread <= MOST_UNREADABLE {
            unreadable = unread;
            continue;
        }
        if unread > 0 && changed == 0 {
            return Err(Stop::Missed(format!(
                "{unread} values don't open: they are damaged, or their field is declared no more"
            )));
        }
        if found.is_empty() {
            return Ok(done);
        }
        // Others change them at the same time; or a trigger or a rule keeps them as they are.
        idle = if changed == 0 { idle + 1 } else { 0 };
        if idle > IDLE {
            return Err(Stop::Missed(format!("{} rows stay as they are when they are updated", found.len())));
        }
    }
}

async fn find(client: &Client, column: &Column<'_>, test: &str, most: usize) -> Result<Vec<Found>, Stop> {
    let query = format!(
        "SELECT c.tableoid::int8::text, c.ctid::text, pg_catalog.octet_length({})::text FROM {} WHERE {test} LIMIT {most}",
        column.name(),
        column.relation()
    );
    let found = asked(client, &query).await?;
    let row = |cells: Vec<Option<String>>| {
        let [table, at, bytes] = <[Option<String>; 3]>::try_from(cells).ok()?;
        Some(Found { row: (table?, at?), bytes: bytes?.parse().ok()? })
    };
    Ok(found.into_iter().filter_map(row).collect())
}

/// As many at once as fit in memory.
fn groups(found: &[Found]) -> Vec<&[Found]> {
    let (mut groups, mut begin, mut bytes) = (Vec::new(), 0, 0);
    for (at, one) in found.iter().enumerate() {
        if at > begin && bytes + one.bytes > MOST_BYTES {
            groups.push(&found[begin..at]);
            (begin, bytes) = (at, 0);
        }
        bytes += one.bytes;
    }
    if begin < found.len() {
        groups.push(&found[begin..]);
    }
    groups
}

/// A value that is to be put in another's place.
struct Change {
    row: (String, String),
    /// What stands there now: as much of it as no other envelope shares.
    identity: String,
    new: String,
}

/// Reads those values and seals each again; how many do not open.
async fn sealed_again(
    client: &Client,
    column: &Column<'_>,
    test: &str,
    group: &[Found],
    again: &Again,
) -> Result<(Vec<Change>, usize), Stop> {
    let at: Vec<String> = group.iter().map(|found| literal(&found.row.1)).collect();
    let query = format!(
        "SELECT c.tableoid::int8::text, c.ctid::text, {}::text FROM {} WHERE {test} AND c.ctid = ANY(ARRAY[{}]::tid[])",
        column.name(),
        column.relation(),
        at.join(", ")
    );
    let (mut changes, mut unread) = (Vec::new(), 0);
    for cells in asked(client, &query).await? {
        let Ok([Some(table), Some(at), Some(stored)]) = <[Option<String>; 3]>::try_from(cells) else {
            continue;
        };
        match replacement(column.binary, &stored, again) {
            Some((identity, new)) => changes.push(Change { row: (table, at), identity, new }),
            None => unread += 1,
        }
    }
    Ok((changes, unread))
}

/// What tells the stored value, and what takes its place, each as the database writes it.
fn replacement(binary: bool, stored: &str, again: &Again) -> Option<(String, String)> {
    if binary {
        let digits = stored.strip_prefix("\\x")?;
        let new = again.envelope(&hex::decode(digits).ok()?)?;
        return Some((digits.get(..66)?.to_owned(), format!("\\x{}", hex::encode(new))));
    }
    let mut envelope = Vec::new();
    if !armour::read(stored.as_bytes(), &mut envelope) {
        return None;
    }
    let new = again.envelope(&envelope)?;
    Some((stored.get(..TEXT_IDENTITY)?.to_owned(), armour::write(&new)))
}

/// Changes those that are still where and what they were; how many.
async fn update(client: &Client, column: &Column<'_>, changes: &[Change]) -> Result<u64, Stop> {
    if changes.is_empty() {
        return Ok(0);
    }
    let value = |change: &Change| {
        let (table, at) = &change.row;
        format!("({table}, {}, {}, {})", literal(at), literal(&change.identity), literal(&change.new))
    };
    let values: Vec<String> = changes.iter().map(value).collect();
    let name = column.name();
    let identity = if column.binary {
        format!("pg_catalog.encode(pg_catalog.substring({name}, 1, 33), 'hex')")
    } else {
        format!("pg_catalog.left({name}::text, {TEXT_IDENTITY})")
    };
    let query = format!(
        "UPDATE {} SET {} = v.new::{} FROM (VALUES {}) AS v (o, at, identity, new) WHERE c.tableoid::int8 = v.o \
         AND c.ctid = v.at::tid AND {identity} = v.identity RETURNING '1'",
        column.relation(),
        quoted(&column.placed.column),
        column.type_name(),
        values.join(", ")
    );
    Ok(asked(client, &query).await?.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sizes: &[usize]) -> Vec<Found> {
        sizes.iter().map(|bytes| Found { row: (String::new(), String::new()), bytes: *bytes }).collect()
    }

    #[test]
    fn values_are_taken_together_while_they_fit_in_memory() {
        let sizes =
            |sizes: &[usize]| -> Vec<usize> { groups(&found(sizes)).iter().map(|g| g.len()).collect() };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[1, 2, 3]), [3]);
        assert_eq!(sizes(&[MOST_BYTES, 1, 1]), [1, 2]);
        assert_eq!(sizes(&[1, MOST_BYTES * 2, 1, 1]), [1, 1, 2]);
    }
}
