//! The sweep: what an erased subject's keys and tokens protected is overwritten, in every declared place.
//!
//! It opens no more; this takes the sealed bytes themselves out of the tables. A column that may be NULL becomes NULL.
//! Another gets a stand-in that reads as erased: an envelope under a dead key, or a dead token, fresh for each row, since
//! the column may be UNIQUE. Found by key id and token, wherever a row was copied to; and in the subject's own rows, where
//! something may lie in clear from before the column was protected.

mod column;
mod replace;
mod reseal;
mod waits;

use super::catalog::rows;
use super::net::backends::Backends;
use super::net::connect::{Connector, Login};
use super::recovery::{envelope_head, literal};
use crate::config::Upstream;
use crate::ids::KeyId;
use crate::policy::model::{Protect, Table};
use crate::protect::places::{
    Answer, DomainToken, Erased, Fence, Places, Rekeyed, Replaced, Resealed, Swept,
};
use crate::protect::{Door, armour};
use column::{Column, IDLE, Row, Stop, columns};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::io;
use tokio_postgres::Client;
use waits::Wait;
pub(super) use waits::is_standby;

/// How long a statement waits for rows that others hold. Row-level security that would hide rows is an error, so that
/// nothing is called swept which could not be seen.
const PATIENCE: &str = "SET lock_timeout = '5s'; SET statement_timeout = '10min'; \
     SET standard_conforming_strings = on; SET bytea_output = 'hex'; SET row_security = off";

/// The tables behind one listener.
pub struct Sweeper {
    connector: Connector,
    door: Door,
    tables: Vec<Table>,
    /// How far each is there.
    replaced: Mutex<HashMap<ReplacedIn, Stage>>,
    /// How far each re-keying is in each database.
    waits: Mutex<HashMap<RekeyedIn, Wait>>,
}

/// A database and a re-keying's job.
type RekeyedIn = (Box<str>, Box<str>);

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

impl Sweeper {
    /// Of the tables `number` of the door's policy.
    ///
    /// # Errors
    /// TLS files that can't be read.
    pub fn new(upstream: Upstream, door: Door, number: usize, backends: &Backends) -> io::Result<Self> {
        let tables = door.policy().postgres.get(number).cloned().unwrap_or_default();
        let connector = Connector::new(upstream)?.counted_by(backends);
        Ok(Self { connector, door, tables, replaced: Mutex::default(), waits: Mutex::default() })
    }

    /// A login that waits for nothing for long.
    async fn login(&self, database: &str) -> io::Result<Login> {
        let client = self.connector.own_login(database).await?;
        rows(&client, PATIENCE).await?;
        Ok(client)
    }

    /// Every database of the server: a policy holds in whichever a client names.
    async fn databases(&self) -> io::Result<BTreeSet<Box<str>>> {
        let client = self.connector.own_login(self.connector.database()).await?;
        let all = rows(
            &client,
            "SELECT datname::text FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate",
        );
        let names = all.await?.into_iter().filter_map(|mut row| row.pop()?.map(String::into_boxed_str));
        Ok(names.chain([self.connector.database().into()]).collect())
    }

    async fn run(&self, erased: &[Erased], fence: &dyn Fence) -> Result<Vec<Swept>, String> {
        let mut swept = vec![Swept::default(); erased.len()];
        let own: Box<str> = self.connector.database().into();
        let mut databases = self.databases().await.map_err(|e| e.to_string())?;
        let named: BTreeSet<Box<str>> = erased.iter().flat_map(|e| e.databases.iter().cloned()).collect();
        databases.extend(named.iter().filter(|database| !Door::is_outside(database)).cloned());
        // Where nothing is known to have been written a table of this name may be another application's: only what was
        // sealed is looked for there, not what lies in clear.
        let anonymous: Vec<Erased> = erased.iter().map(|e| Erased { subject: None, ..e.clone() }).collect();
        for database in databases {
            let known = database == own || named.contains(&database);
            match self.login(&database).await {
                Ok(client) => {
                    let erased = if known { erased } else { &anonymous };
                    self.database(&client, &database, known, erased, fence, &mut swept).await?;
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
        known: bool,
        erased: &[Erased],
        fence: &dyn Fence,
        swept: &mut [Swept],
    ) -> Result<(), String> {
        for table in &self.tables {
            let columns = columns(client, table, &self.door).await.map_err(|e| e.to_string())?;
            for column in columns.into_iter().filter(|column| known || column.fits) {
                let place = column.place(database);
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
        let (mut idle, mut passed_over) = (0, 0);
        loop {
            let all = column.find(client, test, passed_over).await?;
            let count = all.len();
            let found: Vec<Row> = all.into_iter().filter(|row| owner(row).is_some()).collect();
            // What is nobody's here stays, and must not hide what lies behind it.
            let more = count - found.len() > passed_over;
            passed_over = count - found.len();
            if found.is_empty() && more {
                continue;
            }
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
            if idle > IDLE {
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

    fn reseal<'a>(&'a self, rekeyed: &'a Rekeyed) -> Answer<'a, Result<Resealed, String>> {
        Box::pin(self.reseal_everywhere(rekeyed))
    }

    fn keeps(&self, _class: &str) -> Vec<(String, String)> {
        Vec::new()
    }

    fn forget(&self, job: &str) {
        self.waits.lock().retain(|(_, of), _| **of != *job);
    }
}
