//! The sweep: what an erased subject's keys and tokens protected is overwritten, in every declared place.
//!
//! It opens no more; this takes the sealed bytes themselves out of the tables. A column that may be NULL becomes NULL.
//! Another gets a stand-in that reads as erased: an envelope under a dead key, or a dead token, fresh for each row, since
//! the column may be UNIQUE. Found by key id and token, wherever a row was copied to; and in the subject's own rows, where
//! something may lie in clear from before the column was protected.

use super::catalog::rows;
use super::net::connect::{Connector, describe_without_data};
use super::recovery::{envelope_head, literal, quoted};
use crate::config::Upstream;
use crate::ids::KeyId;
use crate::policy::model::{Placed, Protect, Table};
use crate::protect::places::{Answer, DomainToken, Erased, Fence, Places, Replaced, Swept};
use crate::protect::{Door, armour};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::io;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Rows that are changed by one statement: their locks are held for so long.
const BATCH: usize = 500;
/// How long a statement waits for rows that others hold.
const PATIENCE: &str =
    "SET lock_timeout = '5s'; SET statement_timeout = '10min'; SET standard_conforming_strings = on";

/// The tables behind one listener.
pub struct Sweeper {
    connector: Connector,
    door: Door,
    tables: Vec<Table>,
    /// How far each is there.
    replaced: Mutex<HashMap<ReplacedIn, Stage>>,
}

/// A database and a replaced token.
type ReplacedIn = (Box<str>, Box<str>);

/// How far a replaced token has come in one database.
#[derive(Clone, Copy)]
enum Stage {
    /// Seen once. What was on its way to the server then has arrived at the next pass.
    Seen,
    /// Transactions from this id on began after it.
    Before(u64),
}

/// Why a place was not swept.
enum Stop {
    /// Not now: rows are held, the server is away.
    Later(String),
    /// Not at all, unless somebody changes something.
    Missed(String),
}

/// A column of a table, as it is in one database.
struct Column<'a> {
    table: &'a Table,
    placed: &'a Placed,
    type_name: String,
    binary: bool,
    not_null: bool,
    sealed: bool,
}

/// A row whose value is to go.
struct Row {
    table: String,
    at: String,
    /// What tells whose it was, and that it still is: the envelope's head, the token, or the clear value.
    mark: String,
    /// The row's subject, as text.
    whose: Option<String>,
}

impl Sweeper {
    /// Of the tables `number` of the door's policy.
    ///
    /// # Errors
    /// TLS files that can't be read.
    pub fn new(upstream: Upstream, door: Door, number: usize) -> io::Result<Self> {
        let tables = door.policy().postgres.get(number).cloned().unwrap_or_default();
        Ok(Self { connector: Connector::new(upstream)?, door, tables, replaced: Mutex::default() })
    }

    async fn run(&self, erased: &[Erased], fence: &dyn Fence) -> Result<Vec<Swept>, String> {
        let mut swept = vec![Swept::default(); erased.len()];
        let own: Box<str> = self.connector.database().into();
        let named = erased.iter().flat_map(|e| e.databases.iter().cloned());
        let databases: BTreeSet<Box<str>> = named.chain([own.clone()]).collect();
        for database in databases {
            match self.connector.own_login(&database).await {
                Ok(client) => {
                    rows(&client, PATIENCE).await.map_err(|e| e.to_string())?;
                    self.database(&client, &database, erased, fence, &mut swept).await?;
                }
                Err(error) if database == own => return Err(error.to_string()),
                Err(error) => {
                    for (erased, swept) in erased.iter().zip(&mut swept) {
                        if erased.databases.contains(&database) {
                            swept
                                .missed
                                .push((format!("{database} (the whole database)"), error.to_string()));
                        }
                    }
                }
            }
        }
        Ok(swept)
    }

    async fn database(
        &self,
        client: &Client,
        database: &str,
        erased: &[Erased],
        fence: &dyn Fence,
        swept: &mut [Swept],
    ) -> Result<(), String> {
        for table in &self.tables {
            let columns = columns(client, table, &self.door).await.map_err(|e| e.to_string())?;
            for column in columns {
                let place = format!("{database} {}.{}.{}", table.schema, table.name, column.placed.column);
                match self.column(client, &column, erased, fence).await {
                    Ok(counts) => {
                        for (count, swept) in counts.into_iter().zip(swept.iter_mut()).filter(|(n, _)| *n > 0)
                        {
                            swept.places.push((place.clone(), count));
                        }
                    }
                    Err(Stop::Later(why)) => return Err(format!("{place}: {why}")),
                    Err(Stop::Missed(why)) => {
                        for swept in swept.iter_mut() {
                            swept.missed.push((place.clone(), why.clone()));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows overwritten in one column, for each erasure.
    async fn column(
        &self,
        client: &Client,
        column: &Column<'_>,
        erased: &[Erased],
        fence: &dyn Fence,
    ) -> Result<Vec<u64>, Stop> {
        let mut counts = vec![0; erased.len()];
        let owners = self.owners(column, erased);
        if !owners.is_empty() {
            let marks: Vec<&String> = owners.keys().collect();
            let test = column.any_of(&marks);
            let owner = |row: &Row| owners.get(&row.mark).copied();
            self.overwrite(client, column, &test, fence, owner, &mut counts).await?;
        }
        let subjects = subjects(column, erased);
        if !subjects.is_empty() {
            let ids: Vec<String> = subjects.keys().map(|id| literal(id)).collect();
            let whose = format!("{} = ANY(ARRAY[{}]::text[])", column.whose(), ids.join(", "));
            let test = format!("{whose} AND {}", column.in_clear());
            let owner = |row: &Row| {
                let clear = !self.door.is_token(column.placed.field, &row.mark);
                subjects.get(row.whose.as_deref().filter(|_| clear)?).copied()
            };
            self.overwrite(client, column, &test, fence, owner, &mut counts).await?;
        }
        Ok(counts)
    }

    /// Which erasure each mark belongs to.
    fn owners(&self, column: &Column<'_>, erased: &[Erased]) -> HashMap<String, usize> {
        let mut owners = HashMap::new();
        let domain = match &self.door.policy().field(column.placed.field).protect {
            Protect::Encrypt => None,
            Protect::Pseudonym { domain, .. } => Some(domain),
        };
        for (number, erased) in erased.iter().enumerate() {
            match domain {
                None => owners
                    .extend(erased.keys.iter().map(|key| (envelope_head(column.binary, &key.0), number))),
                Some(domain) => {
                    let own = erased.tokens.iter().filter(|(of, _)| **of == **domain);
                    owners.extend(own.map(|(_, token)| (token.to_string(), number)));
                }
            }
        }
        owners
    }

    /// Overwrites whatever meets `test` and has an owner, some rows at a time, until nothing is left.
    async fn overwrite(
        &self,
        client: &Client,
        column: &Column<'_>,
        test: &str,
        fence: &dyn Fence,
        owner: impl Fn(&Row) -> Option<usize>,
        counts: &mut [u64],
    ) -> Result<(), Stop> {
        let mut idle = 0;
        loop {
            let found = column.find(client, test).await?;
            let found: Vec<Row> = found.into_iter().filter(|row| owner(row).is_some()).collect();
            if found.is_empty() {
                return Ok(());
            }
            let stand_ins = self.stand_ins(column, found.len(), fence).await?;
            let changed = column.replace(client, &found, &stand_ins).await?;
            for row in changed.iter().filter_map(|number| found.get(*number)) {
                if let Some(count) = owner(row).and_then(|number| counts.get_mut(number)) {
                    *count += 1;
                }
            }
            // Others change them at the same time; or a trigger or a policy keeps them as they are.
            idle = if changed.is_empty() { idle + 1 } else { 0 };
            if idle > 5 {
                return Err(Stop::Missed(format!(
                    "{} rows stay as they are when they are updated",
                    found.len()
                )));
            }
        }
    }

    /// What goes in the places of so many values: none where the column may be NULL.
    async fn stand_ins(
        &self,
        column: &Column<'_>,
        count: usize,
        fence: &dyn Fence,
    ) -> Result<Vec<Option<String>>, Stop> {
        if !column.not_null {
            return Ok(vec![None; count]);
        }
        let wrong = |e: crate::protect::ProtectError| Stop::Missed(e.to_string());
        let (mut keys, mut tokens, mut texts) = (Vec::new(), Vec::<DomainToken>::new(), Vec::new());
        let field = column.placed.field;
        if column.sealed {
            let key: KeyId = Door::dead_key();
            for _ in 0..count {
                let envelope = self.door.dead_envelope(field, key).map_err(wrong)?;
                texts.push(Some(if column.binary {
                    format!("\\x{}", hex::encode(envelope))
                } else {
                    armour::write(&envelope)
                }));
            }
            keys.push(key);
        } else {
            for _ in 0..count {
                let (domain, token) = self.door.dead_token(field).map_err(wrong)?;
                texts.push(Some(token.to_string()));
                tokens.push((domain, token));
            }
        }
        fence.fence(keys, tokens).await.map_err(Stop::Later)?;
        Ok(texts)
    }
}

/// Whose rows in that table hold nothing that may stay: erasure by subject id.
fn subjects<'a>(column: &Column<'_>, erased: &'a [Erased]) -> HashMap<&'a str, usize> {
    let here = &column.table.subject;
    let mut subjects = HashMap::new();
    for (number, erased) in erased.iter().enumerate() {
        let Some(subject) = &erased.subject else { continue };
        // Where a condition says whether a row is anybody's, a clear value may be nobody's.
        if here.class == subject.class && here.when.is_none() {
            subjects.insert(&*subject.id, number);
        }
    }
    subjects
}

impl Sweeper {
    async fn replace_everywhere(&self, replaced: &Replaced, fence: &dyn Fence) -> Result<bool, String> {
        let own: Box<str> = self.connector.database().into();
        let databases: BTreeSet<Box<str>> = replaced.databases.iter().cloned().chain([own]).collect();
        let mut over = true;
        for database in databases {
            let client = self.connector.own_login(&database).await.map_err(|e| e.to_string())?;
            rows(&client, PATIENCE).await.map_err(|e| e.to_string())?;
            let mut changed = false;
            for table in &self.tables {
                for column in columns(&client, table, &self.door).await.map_err(|e| e.to_string())? {
                    let done = self.replace_in(&client, &column, replaced, fence).await;
                    changed |= done.map_err(|(Stop::Later(why) | Stop::Missed(why))| {
                        format!("{database} {}.{}.{}: {why}", table.schema, table.name, column.placed.column)
                    })?;
                }
            }
            let over_here = self.is_over(&client, &database, &replaced.old, changed).await;
            over &= over_here.map_err(|e| e.to_string())?;
        }
        Ok(over)
    }

    /// Whether any row had it.
    async fn replace_in(
        &self,
        client: &Client,
        column: &Column<'_>,
        replaced: &Replaced,
        fence: &dyn Fence,
    ) -> Result<bool, Stop> {
        match &self.door.policy().field(column.placed.field).protect {
            Protect::Pseudonym { domain, .. } if **domain == *replaced.domain => {}
            _ => return Ok(false),
        }
        let old = replaced.old.to_string();
        let here = column.any_of(&[&old]);
        let holders = replaced.holders.iter().filter(|holder| holder.class == column.table.subject.class);
        let ids: Vec<String> = holders.map(|holder| literal(&holder.id)).collect();
        let (mut changed, mut idle) = (false, 0);
        while !ids.is_empty() {
            let test = format!("{here} AND {} = ANY(ARRAY[{}]::text[])", column.whose(), ids.join(", "));
            let found = column.find(client, &test).await?;
            if found.is_empty() {
                break;
            }
            changed = true;
            let new = vec![Some(replaced.new.to_string()); found.len()];
            let done = column.replace(client, &found, &new).await?;
            idle = if done.is_empty() { idle + 1 } else { 0 };
            if idle > 5 {
                return Err(Stop::Missed(format!(
                    "{} rows stay as they are when they are updated",
                    found.len()
                )));
            }
        }
        // What is left is nobody's any more.
        let mut counts = [0];
        self.overwrite(client, column, &here, fence, |_| Some(0), &mut counts).await?;
        Ok(changed || counts[0] > 0)
    }

    /// As recovery does: once a pass found nothing, and every transaction that began before it has ended.
    async fn is_over(&self, client: &Client, database: &str, old: &str, changed: bool) -> io::Result<bool> {
        let (xmin, xmax) = horizon(client).await?;
        let mut replaced = self.replaced.lock();
        let key = (Box::from(database), Box::from(old));
        match replaced.get(&key).copied() {
            None => drop(replaced.insert(key, Stage::Seen)),
            Some(Stage::Seen) => drop(replaced.insert(key, Stage::Before(xmax))),
            Some(Stage::Before(end)) => return Ok(!changed && xmin >= end),
        }
        Ok(false)
    }
}

/// The oldest transaction that still runs, and the next one to begin.
async fn horizon(client: &Client) -> io::Result<(u64, u64)> {
    let horizon = rows(
        client,
        "SELECT pg_catalog.pg_snapshot_xmin(s)::text, pg_catalog.pg_snapshot_xmax(s)::text \
         FROM pg_catalog.pg_current_snapshot() AS s",
    )
    .await?;
    let number = |i: usize| horizon.first()?.get(i)?.as_ref()?.parse::<u64>().ok();
    let both = number(0).zip(number(1));
    both.ok_or_else(|| io::Error::other("the transaction horizon could not be read"))
}

impl Places for Sweeper {
    fn replace<'a>(
        &'a self,
        replaced: &'a Replaced,
        fence: &'a dyn Fence,
    ) -> Answer<'a, Result<bool, String>> {
        Box::pin(self.replace_everywhere(replaced, fence))
    }

    fn overwrite<'a>(
        &'a self,
        erased: &'a [Erased],
        fence: &'a dyn Fence,
    ) -> Answer<'a, Result<Vec<Swept>, String>> {
        Box::pin(self.run(erased, fence))
    }
}

/// The table's protected columns in this database: none where it has no such table.
async fn columns<'a>(client: &Client, table: &'a Table, door: &Door) -> io::Result<Vec<Column<'a>>> {
    let name = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    let query = format!(
        "SELECT a.attname::text, coalesce(nullif(t.typbasetype, 0), t.oid)::int8, a.attnotnull OR t.typnotnull, \
         pg_catalog.format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_attribute a \
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE a.attrelid = pg_catalog.to_regclass({}) \
         AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''",
        literal(&name)
    );
    let mut found = Vec::new();
    for row in rows(client, &query).await? {
        let [Some(name), Some(oid), Some(not_null), Some(type_name)] = &row[..] else { continue };
        for placed in table.columns.iter().filter(|placed| *placed.column == **name) {
            found.push(Column {
                table,
                placed,
                type_name: type_name.clone(),
                binary: oid == "17",
                not_null: not_null == "t",
                sealed: door.policy().field(placed.field).protect == Protect::Encrypt,
            });
        }
    }
    Ok(found)
}

impl Column<'_> {
    fn name(&self) -> String {
        format!("c.{}", quoted(&self.placed.column))
    }

    fn whose(&self) -> String {
        format!("c.{}::text", quoted(&self.table.subject.column))
    }

    fn relation(&self) -> String {
        format!("{}.{} AS c", quoted(&self.table.schema), quoted(&self.table.name))
    }

    /// What tells a row's owner, as text.
    fn mark(&self) -> String {
        let name = self.name();
        match (self.sealed, self.binary) {
            (true, true) => format!("pg_catalog.encode(pg_catalog.substring({name}, 1, 17), 'hex')"),
            (true, false) => format!("pg_catalog.left({name}::text, {HEAD})"),
            (false, _) => format!("{name}::text"),
        }
    }

    /// Whether the value is one of these marks; a token is compared as the column's own type, so that an index serves.
    fn any_of(&self, marks: &[&String]) -> String {
        let list: Vec<String> = marks.iter().map(|mark| literal(mark)).collect();
        let list = format!("ARRAY[{}]::text[]", list.join(", "));
        if self.sealed {
            format!("{} = ANY({list})", self.mark())
        } else {
            format!("{} = ANY({list}::{}[])", self.name(), self.type_name)
        }
    }

    /// Whether the value is neither sealed nor empty.
    fn in_clear(&self) -> String {
        let name = self.name();
        match (self.sealed, self.binary) {
            (true, true) => format!("pg_catalog.substring({name}, 1, 1) <> '\\xe1'"),
            (true, false) => format!("{name}::text <> '' AND pg_catalog.left({name}::text, 4) <> 'pv1.'"),
            (false, _) => format!("{name}::text <> ''"),
        }
    }

    async fn find(&self, client: &Client, test: &str) -> Result<Vec<Row>, Stop> {
        let query = format!(
            "SELECT c.tableoid::int8::text, c.ctid::text, {}, {} FROM {} WHERE {test} LIMIT {BATCH}",
            self.mark(),
            self.whose(),
            self.relation()
        );
        let found = asked(client, &query).await?;
        let row = |cells: Vec<Option<String>>| {
            let [table, at, mark, whose] = <[Option<String>; 4]>::try_from(cells).ok()?;
            Some(Row { table: table?, at: at?, mark: mark?, whose })
        };
        Ok(found.into_iter().filter_map(row).collect())
    }

    /// Overwrites those rows that are still where and what they were; which of them.
    async fn replace(
        &self,
        client: &Client,
        found: &[Row],
        stand_ins: &[Option<String>],
    ) -> Result<Vec<usize>, Stop> {
        let values: Vec<String> = found
            .iter()
            .zip(stand_ins)
            .enumerate()
            .map(|(number, (row, new))| {
                let new = new.as_ref().map_or("NULL".to_owned(), |text| literal(text));
                format!("({number}, {}, {}, {}, {new})", row.table, literal(&row.at), literal(&row.mark))
            })
            .collect();
        let query = format!(
            "UPDATE {} SET {} = v.new::text::{} FROM (VALUES {}) AS v (number, o, at, mark, new) WHERE c.tableoid::int8 = v.o \
             AND c.ctid = v.at::tid AND {} = v.mark RETURNING v.number::text",
            self.relation(),
            quoted(&self.placed.column),
            self.type_name,
            values.join(", "),
            self.mark()
        );
        let changed = asked(client, &query).await?;
        Ok(changed.into_iter().filter_map(|mut cells| cells.pop()??.parse().ok()).collect())
    }
}

/// Length of the text form's head that hangs on version and key id alone.
const HEAD: usize = "pv1.".len() + 22;

async fn asked(client: &Client, query: &str) -> Result<Vec<Vec<Option<String>>>, Stop> {
    let messages = client.simple_query(query).await.map_err(|error| {
        let why = describe_without_data(&error);
        let class = error.code().map_or("", |code| code.code().get(..2).unwrap_or(""));
        match class {
            // The connection, resources, an operator's intervention, locks, serialisation.
            "" | "08" | "53" | "55" | "57" | "58" | "40" => Stop::Later(why),
            _ => Stop::Missed(why),
        }
    })?;
    let row = |message: SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
        _ => None,
    };
    Ok(messages.into_iter().filter_map(row).collect())
}
