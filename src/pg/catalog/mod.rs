//! The catalog: what the planner knows of each database, and how it is kept current.

mod build;
pub mod collations;
mod draw;
mod hierarchy;
pub mod mask;
pub mod model;
mod plans;
pub mod queries;
mod texts;
mod touch;
mod triggers;
mod unseen;

use crate::pg::net::connect::{Connector, Login, describe};
use crate::pg::sql::Filter;
use crate::pg::two_phase::TwoPhase;
use crate::policy::model::Table;
pub use build::{BuildError, Row};
pub use draw::Ids;
use hashbrown::HashMap;
use model::Catalog;
use parking_lot::{Mutex, RwLock};
pub use plans::{PlanKey, Plans};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use texts::Texts;
use tokio::runtime::Handle;
use tokio::sync::{MutexGuard, Notify};
use tokio_postgres::SimpleQueryMessage;
pub use unseen::Unseen;

/// How often the catalog is read again for what changed behind the gateway's back.
const REFRESH: Duration = Duration::from_secs(3);
/// How old the snapshot may be that a new connection begins with.
const YOUNG: Duration = Duration::from_secs(1);
/// How often the catalog is asked for before a client is told that it can't be read: the server fails a query that
/// meets what another session drops at that moment.
const TRIES: usize = 5;

/// What plans are made from, at one moment.
pub struct Snapshot {
    /// Relations.
    pub catalog: Catalog,
    /// Which texts can touch anything protected.
    pub filter: Filter,
    answers: Vec<Vec<Row>>,
    texts: Texts,
    /// What was planned with it.
    pub plans: Plans,
}

impl Snapshot {
    /// A snapshot from the answers of [`queries::ALL`].
    ///
    /// # Errors
    /// As `build`.
    pub fn new(answers: Vec<Vec<Row>>, tables: &[Table], version: u64) -> Result<Self, BuildError> {
        let catalog = build::build(version, &answers, tables)?;
        let filter = Filter::new(&catalog.tables, &catalog);
        Ok(Self { catalog, filter, answers, texts: Texts::default(), plans: Plans::default() })
    }

    /// Adds the texts of views.
    fn define(&mut self, texts: Texts) -> Result<(), BuildError> {
        build::define(&mut self.catalog, texts.rows())?;
        self.texts = texts;
        Ok(())
    }
}

/// The snapshots of every database that clients name on one listener.
pub struct Catalogs {
    connector: Connector,
    tables: Arc<[Table]>,
    databases: Mutex<HashMap<String, Arc<Database>>>,
    version: Arc<AtomicU64>,
    runtime: Handle,
    two_phase: Arc<TwoPhase>,
}

/// One database's shared snapshot.
pub struct Database {
    name: String,
    tables: Arc<[Table]>,
    connector: Connector,
    version: Arc<AtomicU64>,
    /// Where readings run: not on the thread of a session that asks for one, which may have hundreds of others to serve
    /// between any two steps.
    runtime: Handle,
    two_phase: Arc<TwoPhase>,
    current: RwLock<Option<(Arc<Snapshot>, Instant)>>,
    latest: AtomicU64,
    /// How often something changed the schema; and how many of these changes the snapshot shows.
    changes: AtomicU64,
    shown: AtomicU64,
    /// How often something was made that may touch what is protected under a name that is not watched yet; and
    /// how many of these the snapshot shows.
    distrusted: AtomicU64,
    trusted: AtomicU64,
    /// Held while the catalog is read.
    loading: tokio::sync::Mutex<Option<Login>>,
    /// The reading that ended last; and the word that one has ended.
    last: Mutex<Option<Reading>>,
    over: Notify,
}

/// A reading of the catalog that has ended.
struct Reading {
    began: Instant,
    /// How many changes of the schema were known when it began.
    changes: u64,
    outcome: Result<Arc<Snapshot>, String>,
}

/// What a reading is to show.
struct Need {
    asked: Instant,
    /// How old it may be.
    age: Duration,
    changes: u64,
}

impl Need {
    fn is_met_by(&self, reading: &Reading) -> bool {
        let age = if reading.outcome.is_ok() { self.age } else { Duration::ZERO };
        reading.began + age >= self.asked && reading.changes >= self.changes
    }
}

/// Says, however a reading ends, that it has.
struct Over<'a>(&'a Notify);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

impl Catalogs {
    /// Of the databases behind `connector`, for the tables of its policy; read on `runtime`.
    pub fn new(connector: Connector, tables: Arc<[Table]>, runtime: Handle) -> Self {
        let (databases, version, two_phase) = (Mutex::default(), Arc::default(), Arc::default());
        Self { connector, tables, databases, version, runtime, two_phase }
    }

    /// Of the same databases, for the tables of another policy.
    #[must_use]
    pub fn renewed(&self, tables: Arc<[Table]>) -> Self {
        let two_phase = Arc::clone(&self.two_phase);
        Self { two_phase, ..Self::new(self.connector.clone(), tables, self.runtime.clone()) }
    }

    /// A database by name.
    pub fn database(&self, name: &str) -> Arc<Database> {
        let mut databases = self.databases.lock();
        let entry = databases.entry_ref(name).or_insert_with(|| {
            Arc::new(Database {
                name: name.to_owned(),
                tables: Arc::clone(&self.tables),
                connector: self.connector.clone(),
                version: Arc::clone(&self.version),
                runtime: self.runtime.clone(),
                two_phase: Arc::clone(&self.two_phase),
                current: RwLock::default(),
                latest: AtomicU64::new(0),
                changes: AtomicU64::new(1),
                shown: AtomicU64::new(0),
                distrusted: AtomicU64::new(0),
                trusted: AtomicU64::new(0),
                loading: tokio::sync::Mutex::default(),
                last: Mutex::default(),
                over: Notify::default(),
            })
        });
        Arc::clone(entry)
    }

    /// How to reach the server.
    pub fn connector(&self) -> &Connector {
        &self.connector
    }

    /// The protected tables.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Transactions that were prepared.
    pub(crate) fn two_phase(&self) -> &TwoPhase {
        &self.two_phase
    }

    /// Reads every database in use again, every few seconds, for as long as it is polled.
    pub async fn refresh(&self) {
        loop {
            tokio::time::sleep(REFRESH).await;
            let used: Vec<Arc<Database>> =
                self.databases.lock().values().filter(|d| Arc::strong_count(d) > 1).cloned().collect();
            for database in used {
                if let Err(error) = database.reload(Duration::ZERO).await {
                    tracing::warn!(database = database.name, %error, "the catalog could not be read again");
                }
            }
        }
    }
}

impl Database {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Transactions that were prepared, here or in another of the server's databases.
    pub(crate) fn two_phase(&self) -> &TwoPhase {
        &self.two_phase
    }

    /// The protected tables.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The shared snapshot; read on the gateway's own login when there is none, it is known to be old,
    /// or nobody has looked for a while.
    ///
    /// # Errors
    /// The catalog can't be read.
    pub async fn snapshot(self: &Arc<Self>) -> io::Result<Arc<Snapshot>> {
        if !self.is_stale()
            && let Some((snapshot, read)) = &*self.current.read()
            && read.elapsed() < YOUNG
        {
            return Ok(Arc::clone(snapshot));
        }
        self.reload(YOUNG).await
    }

    /// Whether there is no newer snapshot than this one.
    pub fn is_newest(&self, snapshot: &Snapshot) -> bool {
        snapshot.catalog.version == self.latest.load(Ordering::Acquire)
    }

    /// The newest snapshot that there is.
    pub fn newest(&self) -> Option<Arc<Snapshot>> {
        self.current.read().as_ref().map(|(snapshot, _)| Arc::clone(snapshot))
    }

    /// Whether a session may plan with this snapshot, or must ask for [`Database::snapshot`].
    pub fn is_current(&self, snapshot: &Snapshot) -> bool {
        snapshot.catalog.version == self.latest.load(Ordering::Acquire)
            && !self.is_stale()
            && self.is_trusted()
    }

    /// Whether the newest snapshot knows all names under which something protected may be touched, as far as
    /// they were made through the gateway.
    pub fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::Acquire) == self.distrusted.load(Ordering::Acquire)
    }

    /// How often it was distrusted.
    pub fn distrusts(&self) -> u64 {
        self.distrusted.load(Ordering::Acquire)
    }

    /// The version of the newest snapshot.
    pub fn latest(&self) -> u64 {
        self.latest.load(Ordering::Acquire)
    }

    /// A view, or the like, on a protected table was made or renamed: no text is taken for harmless by the
    /// names that were known before.
    pub fn distrust(&self) {
        self.distrusted.fetch_add(1, Ordering::AcqRel);
        self.expire();
    }

    /// Reads the catalog on the gateway's own login, or waits for a reading that shows all changes known by now and is at
    /// most so old. All who wait go on at once: handed from one to the next, each would wait for the turn of all before it.
    ///
    /// # Errors
    /// The login or the queries fail.
    async fn reload(self: &Arc<Self>, age: Duration) -> io::Result<Arc<Snapshot>> {
        let database = Arc::clone(self);
        let need = Need { asked: Instant::now(), age, changes: self.changes.load(Ordering::Acquire) };
        self.runtime.spawn(async move { database.that_shows(need).await }).await.map_err(io::Error::other)?
    }

    async fn that_shows(&self, need: Need) -> io::Result<Arc<Snapshot>> {
        loop {
            let mut over = pin!(self.over.notified());
            over.as_mut().enable();
            if let Some(reading) = self.last.lock().as_ref().filter(|reading| need.is_met_by(reading)) {
                return reading.outcome.clone().map_err(io::Error::other);
            }
            if let Ok(own) = self.loading.try_lock() {
                let _over = Over(&self.over);
                return self.reading(own).await;
            }
            over.await;
        }
    }

    /// A reading of the catalog, for all who wait for one.
    async fn reading(&self, mut own: MutexGuard<'_, Option<Login>>) -> io::Result<Arc<Snapshot>> {
        let (changes, distrusted) =
            (self.changes.load(Ordering::Acquire), self.distrusted.load(Ordering::Acquire));
        let began = Instant::now();
        let mut tried = 1;
        let read = loop {
            match self.read(&mut own).await {
                Err(error) if tried < TRIES => {
                    tracing::debug!(database = self.name, %error, "the catalog is read once more");
                }
                read => break read,
            }
            tried += 1;
        };
        if let Ok(snapshot) = &read {
            let mut current = self.current.write();
            self.latest.store(snapshot.catalog.version, Ordering::Release);
            *current = Some((Arc::clone(snapshot), began));
            self.shown.fetch_max(changes, Ordering::AcqRel);
            self.trusted.fetch_max(distrusted, Ordering::AcqRel);
        }
        let outcome = read.as_ref().map(Arc::clone).map_err(ToString::to_string);
        *self.last.lock() = Some(Reading { began, changes, outcome });
        read
    }

    /// Reads the catalog once: the same snapshot, if it is the same. A connection that failed is not used again.
    async fn read(&self, own: &mut Option<Login>) -> io::Result<Arc<Snapshot>> {
        let client = match own.take() {
            Some(client) if client.lasts() => client,
            _ => self.login().await?,
        };
        // One question for all: each would wait for the turns of busy sessions. With the views that are known already.
        let known = self.newest();
        let views = known.as_ref().map(|known| build::seen_through(&known.catalog)).unwrap_or_default();
        let mut answers = every(&client, &queries::all_and(&views)).await?;
        let digests = answers.split_off(queries::ALL.len().min(answers.len())).concat();
        // Mostly nothing has changed: then nothing is built.
        let known = known.filter(|known| known.answers == answers);
        if let Some(known) = known.as_ref().filter(|known| known.texts.are_all_of(&digests)) {
            *own = Some(client);
            return Ok(Arc::clone(known));
        }
        let mut new = self.build(answers).map_err(io::Error::other)?;
        let views = build::seen_through(&new.catalog);
        let texts = Texts::read(&client, &views, known.as_ref().map(|known| &known.texts), &digests).await?;
        *own = Some(client);
        if let Some(known) = known.filter(|known| known.texts == texts) {
            return Ok(known);
        }
        let unread = views.len() - texts.rows().len().min(views.len());
        if unread > 0 {
            tracing::warn!(
                database = self.name,
                views = unread,
                "views are refused, since their tables are locked, or the server can't show them"
            );
        }
        new.define(texts).map_err(io::Error::other)?;
        self.warn(&new.catalog);
        Ok(Arc::new(new))
    }

    /// Says what the policy names and the database lacks.
    fn warn(&self, catalog: &Catalog) {
        for (table, column) in missing(&self.tables, catalog) {
            tracing::warn!(
                database = self.name,
                "the policy places a field in column {column} of {}.{}, which does not exist: mend its name in the \
                 policy, or add the column; from then on it is protected",
                table.schema,
                table.name
            );
        }
    }

    /// The gateway's own login, with no search path: the names that it is told are qualified. A database in `SQL_ASCII`, where
    /// a text may be no UTF-8, is asked for its bytes: else the server would refuse to show them.
    async fn login(&self) -> io::Result<Login> {
        let client = self.connector.own_login(&self.name).await?;
        const SET: &str = "SET search_path TO ''; SELECT pg_catalog.set_config('client_encoding', 'SQL_ASCII', false) \
                           WHERE pg_catalog.current_setting('server_encoding') = 'SQL_ASCII'";
        let set = client.batch_execute(SET).await;
        set.map_err(|e| io::Error::other(describe(&e)))?;
        Ok(client)
    }

    /// A snapshot from answers that a client's session read in its own transaction; not shared.
    ///
    /// # Errors
    /// As `build`.
    pub fn build(&self, answers: Vec<Vec<Row>>) -> Result<Snapshot, BuildError> {
        Snapshot::new(answers, &self.tables, self.version.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A statement that changes the schema went through: no plan is made from the snapshot any more.
    pub fn expire(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    fn is_stale(&self) -> bool {
        self.shown.load(Ordering::Acquire) != self.changes.load(Ordering::Acquire)
    }
}

/// Columns that the policy names and their tables lack.
fn missing<'t>(tables: &'t [Table], catalog: &Catalog) -> Vec<(&'t Table, &'t str)> {
    let mut found = Vec::new();
    for table in tables {
        let relation = catalog.relations.values().find(|r| r.schema == table.schema && r.name == table.name);
        let Some(relation) = relation else { continue };
        let lacks = |name: &&str| relation.column(name).is_none();
        found.extend(table.columns.iter().map(|p| &*p.column).filter(lacks).map(|name| (table, name)));
    }
    found
}

/// A query's rows as text, on the gateway's own login.
///
/// # Errors
/// The server's, in one line.
pub async fn rows(client: &tokio_postgres::Client, query: &str) -> io::Result<Vec<Row>> {
    Ok(every(client, query).await?.concat())
}

/// The rows of each of several queries.
async fn every(client: &tokio_postgres::Client, queries: &str) -> io::Result<Vec<Vec<Row>>> {
    asked(client, queries).await.map_err(|e| io::Error::other(describe(&e)))
}

async fn asked(
    client: &tokio_postgres::Client,
    queries: &str,
) -> Result<Vec<Vec<Row>>, tokio_postgres::Error> {
    let messages = client.simple_query(queries).await?;
    let (mut all, mut rows) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                let cell = |i| row.try_get(i).unwrap_or(Some(build::UNREADABLE)).map(str::to_owned);
                rows.push((0..row.len()).map(cell).collect());
            }
            SimpleQueryMessage::CommandComplete(_) => all.push(std::mem::take(&mut rows)),
            _ => {}
        }
    }
    Ok(all)
}
