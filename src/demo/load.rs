//! Loads the directory through the gateway, as an application's import would: several connections,
//! prepared statements, pipelined, ids made by the database.

use super::data::Person;
use super::postgres::connect;
use super::{Result, io_error, show, sql_error};
use console::Term;
use futures_util::future::try_join_all;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Statement};

/// Connections that load at the same time.
const CONNECTIONS: usize = 4;
/// People in one transaction; all that is theirs comes in the next.
const BATCH: usize = 25;

/// Loads everyone. Their ids come back in the order of `people`.
pub(super) async fn load(gateway: &Config, people: Arc<Vec<Person>>) -> Result<Vec<i64>> {
    let progress = Arc::new(Progress::new(people.len()));
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (people, progress, next, gateway) =
            (people.clone(), progress.clone(), next.clone(), gateway.clone());
        workers.spawn(async move {
            let importer = Importer::new(connect(&gateway).await?).await?;
            let mut done = Vec::new();
            loop {
                let from = next.fetch_add(BATCH, Ordering::Relaxed);
                let Some(batch) = people.get(from..people.len().min(from + BATCH)).filter(|b| !b.is_empty())
                else {
                    return Ok(done);
                };
                done.push((from, importer.import(batch).await?));
                progress.add(batch.len());
            }
        });
    }
    let mut batches: Vec<(usize, Vec<i64>)> = Vec::new();
    while let Some(done) = workers.join_next().await {
        batches.extend(done.map_err(|e| io_error("loading")(std::io::Error::other(e)))??);
    }
    progress.finish();
    batches.sort_unstable_by_key(|(from, _)| *from);
    Ok(batches.into_iter().flat_map(|(_, ids)| ids).collect())
}

/// One connection with its prepared statements.
pub(super) struct Importer {
    client: Client,
    person: Statement,
    address: Statement,
    phone: Statement,
    link: Statement,
    comment: Statement,
    search: Statement,
}

/// The sign-up: the database makes the id.
pub(super) const INSERT_PERSON: &str = "INSERT INTO people (last_name, first_name, email, birth_date, arrival_date, \
    job_title, skills, biography, photo) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id";
pub(super) const INSERT_COMMENT: &str = "INSERT INTO comments (author_id, post, body) VALUES ($1, $2, $3)";

impl Importer {
    pub(super) async fn new(client: Client) -> Result<Self> {
        let prepare = async |sql: &str| client.prepare(sql).await.map_err(sql_error(sql));
        Ok(Self {
            person: prepare(INSERT_PERSON).await?,
            address: prepare("INSERT INTO addresses (person_id, kind, address) VALUES ($1, $2, $3)").await?,
            phone: prepare("INSERT INTO phones (person_id, kind, number) VALUES ($1, $2, $3)").await?,
            link: prepare("INSERT INTO links (person_id, network, url) VALUES ($1, $2, $3)").await?,
            comment: prepare(INSERT_COMMENT).await?,
            search: prepare("INSERT INTO searches (person_id, query) VALUES ($1, $2)").await?,
            client,
        })
    }

    /// Signs some people up, then adds all that is theirs. Returns their ids.
    pub(super) async fn import(&self, people: &[Person]) -> Result<Vec<i64>> {
        // Polled together, so that the driver sends them without waiting for answers.
        let sign_ups = try_join_all(people.iter().map(|p| self.person(p)));
        let ids = self.transaction(sign_ups).await?;
        let belongings = try_join_all(people.iter().zip(&ids).map(|(p, id)| self.belongings(p, *id)));
        self.transaction(belongings).await?;
        Ok(ids)
    }

    async fn transaction<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.client.batch_execute("BEGIN").await.map_err(sql_error("BEGIN"))?;
        let done = work.await?;
        self.client.batch_execute("COMMIT").await.map_err(sql_error("COMMIT"))?;
        Ok(done)
    }

    async fn person(&self, p: &Person) -> Result<i64> {
        let values: [&(dyn ToSql + Sync); 9] = [
            &p.last_name,
            &p.first_name,
            &p.email,
            &p.birth_date,
            &p.arrival_date,
            &p.job_title,
            &p.skills,
            &p.biography,
            &p.photo,
        ];
        let row = self.client.query_one(&self.person, &values).await.map_err(sql_error(INSERT_PERSON))?;
        row.try_get(0).map_err(sql_error("reading the new id"))
    }

    async fn belongings(&self, p: &Person, id: i64) -> Result<()> {
        let kinds = [(&self.address, &p.addresses), (&self.phone, &p.phones), (&self.link, &p.links)];
        let owned =
            kinds.into_iter().flat_map(|(statement, rows)| rows.iter().map(move |row| (statement, row)));
        let owned =
            owned.map(async |(statement, (kind, text))| self.run(statement, &[&id, kind, text]).await);
        let comments =
            p.comments.iter().map(async |(post, text)| self.run(&self.comment, &[&id, post, text]).await);
        let searches = p.searches.iter().map(async |text| self.run(&self.search, &[&id, text]).await);
        let (a, b, c) = tokio::join!(try_join_all(owned), try_join_all(comments), try_join_all(searches));
        a.and(b).and(c).map(drop)
    }

    async fn run(&self, statement: &Statement, values: &[&(dyn ToSql + Sync)]) -> Result<()> {
        self.client.execute(statement, values).await.map(drop).map_err(sql_error("loading a row"))
    }
}

/// A bar on a terminal; a line now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    total: usize,
    done: AtomicUsize,
    plain: bool,
}

impl Progress {
    fn new(total: usize) -> Self {
        let plain = !Term::stdout().is_term();
        let target = if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stdout() };
        let bar = ProgressBar::with_draw_target(u64::try_from(total).ok(), target);
        if let Ok(style) =
            ProgressStyle::with_template("  loading {bar:48.cyan/dim} {pos}/{len} people, {elapsed}")
        {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar, total, done: AtomicUsize::new(0), plain }
    }

    fn add(&self, people: usize) {
        self.bar.inc(u64::try_from(people).unwrap_or_default());
        let before = self.done.fetch_add(people, Ordering::Relaxed);
        let quarter = |done: usize| done * 4 / self.total.max(1);
        if self.plain && quarter(before) != quarter(before + people) {
            show::say(&format!("loading: {} of {} people", before + people, self.total));
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
