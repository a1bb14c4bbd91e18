//! The story, act by act. Each tick is a check that ends the demo when it fails.

use super::api::Api;
use super::data::{Person, TOLD_POST, heroine, people};
use super::gateway::Gateway;
use super::load::{Importer, load};
use super::postgres::{DATABASE, Server, connect};
use super::scratch::Scratch;
use super::show::{self, act, check, say, sql, thousands};
use super::{DemoError, Result, admin, figures, io_error, rotate, schema, sql_error, web};
use hyper::Method;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::{Client, Config, SimpleQueryMessage, SimpleQueryRow};

const LOGIN: &str = "SELECT id, first_name FROM people WHERE email = $1";
const JOIN: &str = "SELECT p.first_name, p.last_name, c.body FROM comments c JOIN people p ON p.id = c.author_id \
                    WHERE c.post = $1 ORDER BY c.id DESC LIMIT 4";
const UPDATE: &str = "UPDATE people SET job_title = $1 WHERE email = $2";
const SEARCH: &str = "SELECT first_name, last_name, job_title FROM people WHERE last_name ILIKE $1 \
                      ORDER BY last_name, first_name LIMIT 4";
const COUNT: &str = "SELECT count(*) FROM people WHERE last_name ILIKE $1";
const REFUSED: &str = "SELECT id, last_name || ', ' || first_name FROM people";
const READ_ALL: &str =
    "SELECT id, last_name, first_name, email, biography, birth_date, skills, photo FROM people";

/// Everything on stage.
pub(super) struct Stage {
    /// The application's connection, through the gateway.
    pub(super) app: Client,
    /// Somebody who reads the database directly.
    pub(super) database: Client,
    pub(super) people: Arc<Vec<Person>>,
    pub(super) ids: Vec<i64>,
    pub(super) load_time: Duration,
    pub(super) heroine: Person,
    pub(super) id: i64,
    // Dropped in this order: clients have left when the gateway stops, and the gateway the server.
    pub(super) gateway: Gateway,
    pub(super) api: Api,
    pub(super) server: Server,
}

/// Tells the whole story with that many people.
pub(super) async fn story(scratch: &Scratch, count: usize) -> Result<()> {
    show::title("paravent: a screen between an application and its database");
    let mut stage = set(scratch, count).await?;
    one_row_two_views(&stage).await?;
    log_in(&stage).await?;
    join(&stage).await?;
    update(&mut stage).await?;
    duplicate(&stage).await?;
    refusal(&stage).await?;
    web::same_person(&stage).await?;
    let dump = nothing_in_clear(scratch, &stage).await?;
    let receipt = erase(&stage).await?;
    restore(&stage, &dump).await?;
    rotate::to_the_end(&stage, &receipt).await?;
    figures::show(&stage).await
}

async fn set(scratch: &Scratch, count: usize) -> Result<Stage> {
    act(1, "An HR directory, loaded through the gateway");
    let server = Server::start(scratch).await?;
    let api = Api::start(connect(&server.direct(DATABASE)).await?).await?;
    let gateway = Gateway::start(scratch, &server, api.address).await?;
    let through = gateway.through(&server, DATABASE);
    let (app, database) = (connect(&through).await?, connect(&server.direct(DATABASE)).await?);
    say(&format!(
        "A throwaway Postgres {} is running, and `paravent serve` in front of it. The application knows nothing of \
         the gateway: it connects to another port.",
        server.version(&database).await?
    ));
    app.batch_execute(schema::TABLES).await.map_err(sql_error("making the tables through the gateway"))?;
    let people = Arc::new(people(count));
    let started = Instant::now();
    let ids = load(&through, people.clone()).await?;
    let load_time = started.elapsed();
    let heroine = heroine();
    let importer = Importer::new(connect(&through).await?).await?;
    let id = importer.import(std::slice::from_ref(&heroine)).await?.into_iter().next().unwrap_or_default();
    let stage = Stage { server, api, gateway, app, database, people, ids, load_time, heroine, id };
    check(
        reads_back(&stage).await?,
        &format!(
            "{} people and {} rows about them went in; everyone reads back as they were written",
            thousands(count + 1),
            thousands(stage.people.iter().map(Person::rows).sum::<usize>() + stage.heroine.rows())
        ),
    )?;
    Ok(stage)
}

/// Compares everyone, field by field, with what was loaded.
async fn reads_back(stage: &Stage) -> Result<bool> {
    let rows = stage.app.query(READ_ALL, &[]).await.map_err(sql_error(READ_ALL))?;
    let mut found = 0;
    let by_id: std::collections::HashMap<i64, &Person> =
        stage.ids.iter().copied().zip(stage.people.iter()).chain([(stage.id, &stage.heroine)]).collect();
    for row in &rows {
        let Some(p) = by_id.get(&row.get::<_, i64>(0)) else { return Ok(false) };
        let same = row.get::<_, &str>(1) == p.last_name
            && row.get::<_, &str>(2) == p.first_name
            && row.get::<_, &str>(3) == p.email
            && row.get::<_, Option<&str>>(4) == p.biography.as_deref()
            && row.get::<_, Option<jiff::civil::Date>>(5) == p.birth_date
            && row.get::<_, Option<serde_json::Value>>(6) == p.skills
            && row.get::<_, Option<&[u8]>>(7) == p.photo.as_deref();
        found += usize::from(same);
    }
    Ok(found == by_id.len() && found == rows.len())
}

async fn one_row_two_views(stage: &Stage) -> Result<()> {
    act(2, "One row, seen from both sides");
    let query = format!("SELECT * FROM people WHERE id = {}", stage.id);
    sql(&query);
    let (clear, stored) = (one(&stage.app, &query).await?, one(&stage.database, &query).await?);
    show::side_by_side(("the application sees", &clear), ("the database holds", &stored));
    let p = &stage.heroine;
    let expected = [Some(p.last_name.as_str()), Some(&p.first_name), Some(&p.email), Some("1987-03-14")];
    let seen: Vec<Option<&str>> = (1..5).map(|i| clear.get(i)).collect();
    check(seen == expected, "the application sees the row as it wrote it, types and all")?;
    let leaked = (1..10).any(|i| stored.get(i).is_none_or(|v| Some(v) == clear.get(i)));
    check(!leaked, "the database holds envelopes, and a random token for the e-mail")
}

async fn log_in(stage: &Stage) -> Result<()> {
    act(3, "Log in by e-mail, and find a colleague by a part of the name");
    sql(LOGIN);
    let rows = stage.app.query(LOGIN, &[&stage.heroine.email]).await.map_err(sql_error(LOGIN))?;
    let found = rows.first().is_some_and(|row| row.get::<_, i64>(0) == stage.id) && rows.len() == 1;
    check(found, &format!("$1 = {}: finds person {}, by an ordinary index", stage.heroine.email, stage.id))?;
    let rows = stage.app.query(LOGIN, &[&"nobody@paravent.example"]).await.map_err(sql_error(LOGIN))?;
    check(rows.is_empty(), "$1 = nobody@paravent.example: finds nobody")?;
    search(stage).await
}

/// The database can't read a name: the gateway finds and sorts, and tells it which rows.
async fn search(stage: &Stage) -> Result<()> {
    sql(SEARCH);
    let rows = stage.app.query(SEARCH, &[&"%lefèvre%"]).await.map_err(sql_error(SEARCH))?;
    let cells: Vec<Vec<Option<String>>> =
        rows.iter().map(|row| (0..3).map(|i| row.get(i)).collect()).collect();
    show::rows(&["first_name", "last_name", "job_title"], &cells);
    let named = |name: &str| name.to_lowercase().contains("lefèvre");
    let found = cells.iter().all(|cells| cells[1].as_deref().is_some_and(named));
    let count = stage.app.query_one(COUNT, &[&"%lefèvre%"]).await.map_err(sql_error(COUNT))?.get::<_, i64>(0);
    let everyone = stage.people.iter().chain([&stage.heroine]);
    let expected = everyone.filter(|person| named(&person.last_name)).count();
    check(
        found && usize::try_from(count) == Ok(expected),
        &format!("{expected} of that name, found and sorted by what the database holds sealed"),
    )
}

async fn join(stage: &Stage) -> Result<()> {
    act(4, "A join: who said what");
    sql(JOIN);
    let rows = stage.app.query(JOIN, &[&TOLD_POST]).await.map_err(sql_error(JOIN))?;
    let cells: Vec<Vec<Option<String>>> =
        rows.iter().map(|row| (0..3).map(|i| row.get(i)).collect()).collect();
    show::rows(&["first_name", "last_name", "body"], &cells);
    let hers = cells.first().is_some_and(|c| c[0].as_deref() == Some("Zoë") && c[2] == said(&stage.heroine));
    check(hers, "each value opened under the key of the person whose row it stood in")
}

fn said(person: &Person) -> Option<String> {
    person.comments.iter().find(|(post, _)| *post == TOLD_POST).map(|(_, text)| text.clone())
}

async fn update(stage: &mut Stage) -> Result<()> {
    act(5, "An UPDATE that names nobody's id");
    let title = "Directrice éditoriale";
    sql(UPDATE);
    let stored = format!("SELECT job_title FROM people WHERE id = {}", stage.id);
    let before = one(&stage.database, &stored).await?;
    let count =
        stage.app.execute(UPDATE, &[&title, &stage.heroine.email]).await.map_err(sql_error(UPDATE))?;
    let (seen, after) = (one(&stage.app, &stored).await?, one(&stage.database, &stored).await?);
    check(count == 1 && seen.get(0) == Some(title), &format!("the application reads: {title}"))?;
    check(
        before.get(0) != after.get(0) && after.get(0) != Some(title),
        "the database got a new envelope, under the same person's key",
    )?;
    stage.heroine.job_title = Some(title.to_owned());
    Ok(())
}

async fn duplicate(stage: &Stage) -> Result<()> {
    act(6, "The database still guards its own rules");
    let insert = "INSERT INTO people (last_name, first_name, email) VALUES ($1, $2, $3)";
    sql(insert);
    let email = &stage.heroine.email;
    let Err(error) = stage.app.execute(insert, &[&"Autre", &"Personne", email]).await else {
        return check(false, "a second person with the same e-mail is refused");
    };
    show::server_error(&error);
    check(code(&error) == "23505", "the UNIQUE constraint works on tokens; its error reads as ever")?;
    let rows = stage.app.query(LOGIN, &[email]).await.map_err(sql_error(LOGIN))?;
    check(rows.len() == 1, "and the failed sign-up left nothing behind: the address is still hers alone")
}

async fn refusal(stage: &Stage) -> Result<()> {
    act(7, "What can't be protected is refused, never passed on");
    sql(REFUSED);
    let Err(error) = stage.app.query(REFUSED, &[]).await else {
        return check(false, "a computation with encrypted columns is refused");
    };
    show::server_error(&error);
    let hint = error.as_db_error().and_then(|e| e.hint()).is_some();
    check(code(&error) == "0A000" && hint, "a clear refusal, with a way out; the session goes on")?;
    stage.app.simple_query("SELECT 1").await.map(drop).map_err(sql_error("SELECT 1 after the refusal"))
}

/// Dumps the database and looks for clear values there, in the server's log and the keystore.
async fn nothing_in_clear(scratch: &Scratch, stage: &Stage) -> Result<PathBuf> {
    act(9, "Nothing in clear behind the gateway");
    let dump = scratch.directory("backup")?.join("before.sql");
    stage.server.dump(DATABASE, &dump).await?;
    say("A backup is taken now, with pg_dump, straight from the server. It will be needed.");
    let telling = stage.people.iter().chain([&stage.heroine]).flat_map(Person::telling);
    let needles: Vec<&[u8]> = telling.map(|text| ending(text).as_bytes()).collect();
    let count = needles.len();
    let search = aho_corasick::AhoCorasick::new(needles)
        .map_err(|e| DemoError::Program(format!("preparing the search: {e}")))?;
    let mut files = vec![dump.clone(), stage.server.log()];
    for entry in std::fs::read_dir(stage.gateway.home()).map_err(io_error("listing the keystore"))?.flatten()
    {
        // Not the folder for backups, which is empty yet.
        files.extend(Some(entry.path()).filter(|path| path.is_file()));
    }
    let (mut megabytes, mut found) = (0.0, 0);
    for path in &files {
        let bytes = std::fs::read(path).map_err(io_error(format!("reading {}", path.display())))?;
        #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let size = bytes.len() as f64 / 1e6;
        megabytes += size;
        found += search.find_iter(&bytes).count();
    }
    let token = one(&stage.database, &format!("SELECT email FROM people WHERE id = {}", stage.id)).await?;
    let text = std::fs::read_to_string(&dump).map_err(io_error("reading the backup"))?;
    let sound =
        token.get(0).is_some_and(|token| text.contains(token)) && search.is_match(&stage.heroine.email);
    check(sound, "the backup holds her token, and the search would know her e-mail if it saw it")?;
    check(
        found == 0,
        &format!(
            "{} clear values looked for in {megabytes:.1} MB (the backup, the server's log with every statement and \
             parameter, the gateway's keystore, ledger and log): none found",
            thousands(count)
        ),
    )?;
    Ok(dump)
}

/// The last characters of a value: enough to tell it, and quick to look for.
fn ending(text: &str) -> &str {
    let line = text.rsplit('\n').next().unwrap_or(text);
    let from = line.char_indices().rev().nth(39).map_or(0, |(at, _)| at);
    &line[from..]
}

/// The receipt's id.
async fn erase(stage: &Stage) -> Result<String> {
    act(10, "Erase one person");
    let path = format!("/v1/subjects/person/{}", stage.id);
    sql(&format!("DELETE {path}"));
    let asked = format!("{path}?ground=art.%2017%20GDPR");
    let (status, receipt) = admin::call(&stage.gateway, Method::DELETE, &asked).await?;
    show::json(&receipt);
    check(
        status == 200 && receipt["stage"] == "live",
        "answered with a receipt: her keys and her token are destroyed",
    )?;
    let (_, state) = admin::call(&stage.gateway, Method::GET, &path).await?;
    check(state["state"] == "erased", "the gateway knows her as erased, which is not the same as unknown")?;
    let query = format!("SELECT * FROM people WHERE id = {}", stage.id);
    sql(&query);
    let (clear, stored) = (one(&stage.app, &query).await?, one(&stage.database, &query).await?);
    show::side_by_side(("the application sees", &clear), ("the database holds, soon swept", &stored));
    is_erased(stage, &stage.app, "through the gateway").await?;
    web::is_erased(stage).await?;
    Ok(receipt["id"].as_str().unwrap_or_default().to_owned())
}

/// Restores the backup that was taken before, and looks again.
async fn restore(stage: &Stage, dump: &std::path::Path) -> Result<()> {
    act(11, "The backup from before the erasure, restored");
    stage.server.create_database("restored").await?;
    stage.server.restore("restored", dump).await?;
    say("The dump of act 9 went straight into a second database. Does she come back?");
    let restored: Config = stage.gateway.through(&stage.server, "restored");
    let app = connect(&restored).await?;
    let query = format!(
        "SELECT last_name, first_name, email, birth_date, biography FROM people WHERE id = {}",
        stage.id
    );
    let database = connect(&stage.server.direct("restored")).await?;
    let (clear, stored) = (one(&app, &query).await?, one(&database, &query).await?);
    show::side_by_side(("the application sees", &clear), ("the restored database holds", &stored));
    is_erased(stage, &app, "in the restored backup").await
}

/// She is gone, and everybody else is there.
pub(super) async fn is_erased(stage: &Stage, app: &Client, place: &str) -> Result<()> {
    let query = format!("SELECT * FROM people WHERE id = {}", stage.id);
    let row = one(app, &query).await?;
    let gone = (1..10).all(|i| row.get(i).is_none_or(str::is_empty));
    check(gone, &format!("{place}: every field of hers is empty"))?;
    let said = "SELECT body FROM comments WHERE author_id = $1";
    let comments = app.query(said, &[&stage.id]).await.map_err(sql_error(said))?;
    let removed = comments.iter().all(|row| row.get::<_, &str>(0) == "[removed]");
    check(
        removed && comments.len() == stage.heroine.comments.len(),
        &format!("{place}: her comments read [removed]"),
    )?;
    let rows = app.query(LOGIN, &[&stage.heroine.email]).await.map_err(sql_error(LOGIN))?;
    check(rows.is_empty(), &format!("{place}: her e-mail address finds nobody"))?;
    let others = "SELECT id, email FROM people WHERE id <> $1";
    let rows = app.query(others, &[&stage.id]).await.map_err(sql_error(others))?;
    let by_id: std::collections::HashMap<i64, &str> =
        stage.ids.iter().copied().zip(stage.people.iter().map(|p| p.email.as_str())).collect();
    let alive = rows.iter().filter(|row| by_id.get(&row.get(0)) == Some(&row.get::<_, &str>(1))).count();
    check(
        alive == by_id.len() && rows.len() == alive,
        &format!("{place}: the other {} people are as they were", thousands(alive)),
    )
}

/// The only row of a simple query, as text.
async fn one(client: &Client, query: &str) -> Result<SimpleQueryRow> {
    let messages = client.simple_query(query).await.map_err(sql_error(query))?;
    let mut rows = messages.into_iter().filter_map(|m| match m {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    match (rows.next(), rows.next()) {
        (Some(row), None) => Ok(row),
        _ => Err(DemoError::Broken(format!("one row comes from: {query}"))),
    }
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("", tokio_postgres::error::SqlState::code)
}
