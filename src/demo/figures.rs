//! The closing figures: how much was loaded, and what a statement costs either way.

use super::acts::Stage;
use super::data::{Person, TOLD_POST};
use super::load::INSERT_COMMENT;
use super::show::{act, rows, say, thousands};
use super::{Result, sql_error};
use std::time::{Duration, Instant};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

/// Timed runs of each statement on each side, in rounds that take turns.
const ROUNDS: usize = 5;
const RUNS: usize = 60;

const BY_EMAIL: &str = "SELECT id FROM people WHERE email = $1";
const BY_ID: &str = "SELECT * FROM people WHERE id = $1";
const THREAD: &str = "SELECT p.first_name, p.last_name, c.body FROM comments c JOIN people p ON p.id = c.author_id \
                      WHERE c.post = $1";
const ALL: &str = "SELECT id, last_name, first_name, email, birth_date FROM people";
const NOTHING: &str = "SELECT active FROM people WHERE id = $1";

/// Measures and prints them.
pub(super) async fn show(stage: &Stage) -> Result<()> {
    act(13, "Figures");
    let fields: usize = stage.people.iter().map(Person::fields).sum();
    say(&format!(
        "{} people, {} protected fields, loaded in {:.1} s ({} fields a second, every key on disk before its first \
         value left).",
        thousands(stage.people.len()),
        thousands(fields),
        stage.load_time.as_secs_f64(),
        thousands(per_second(fields, stage.load_time)),
    ));
    say("Median time of a prepared statement, one at a time, over loopback; direct reads the ciphertext:");
    let table = measure(stage).await?;
    rows(&["statement", "direct", "through", "more"], &table);
    say("Throughput and CPU, against pgbouncer: `make bench`, docs/performance.md.");
    Ok(())
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a shown figure"
)]
fn per_second(count: usize, time: Duration) -> usize {
    (count as f64 / time.as_secs_f64().max(0.001)) as usize
}

async fn measure(stage: &Stage) -> Result<Vec<Vec<Option<String>>>> {
    let (direct, through) = (&stage.database, &stage.app);
    for client in [direct, through] {
        // The demo's server logs every statement, to be searched; here that would only add noise.
        let quiet = "SET log_statement = 'none'; SET log_min_duration_statement = -1";
        client.batch_execute(quiet).await.map_err(sql_error(quiet))?;
    }
    let tokens = "SELECT id, email FROM people WHERE id = ANY($1)";
    let found = direct.query(tokens, &[&stage.ids]).await.map_err(sql_error(tokens))?;
    let tokens: std::collections::HashMap<i64, String> = found.iter().map(|r| (r.get(0), r.get(1))).collect();
    let author = stage.ids.first().copied().unwrap_or_default();
    let body = "Une remarque en passant.".to_owned();
    through
        .execute(INSERT_COMMENT, &[&author, &TOLD_POST, &body])
        .await
        .map_err(sql_error(INSERT_COMMENT))?;
    let last = "SELECT body FROM comments WHERE author_id = $1 ORDER BY id DESC LIMIT 1";
    let sealed: String = direct.query_one(last, &[&author]).await.map_err(sql_error(last))?.get(0);

    let id = |run: usize| stage.ids[run % stage.ids.len()];
    let email = |run: usize| stage.people[run % stage.people.len()].email.clone();
    let token = |run: usize| tokens.get(&id(run)).cloned().unwrap_or_default();
    let mut table = Vec::new();
    let mut add = |name: &str, times: (Duration, Duration)| table.push(line(name, times));
    let person = |run: usize| vec![boxed(id(run))];
    add("a column that is not protected", race(stage, NOTHING, &person, &person).await?);
    add(
        "log in by e-mail",
        race(stage, BY_EMAIL, &|run| vec![boxed(token(run))], &|run| vec![boxed(email(run))]).await?,
    );
    add("one person, nine fields", race(stage, BY_ID, &person, &person).await?);
    let post = |run: usize| vec![boxed(i32::try_from(run % 100).unwrap_or_default() + 1)];
    add("a thread with its authors", race(stage, THREAD, &post, &post).await?);
    let comment = |text: &str| {
        let text = text.to_owned();
        move |_: usize| vec![boxed(author), boxed(TOLD_POST), boxed(text.clone())]
    };
    add("write a comment", race(stage, INSERT_COMMENT, &comment(&sealed), &comment(&body)).await?);
    add("everyone, four fields each", race_of(stage, ALL, 1, &|_| vec![], &|_| vec![]).await?);
    Ok(table)
}

type Value = Box<dyn ToSql + Sync + Send>;
type Values<'a> = dyn Fn(usize) -> Vec<Value> + 'a;

fn boxed(value: impl ToSql + Sync + Send + 'static) -> Value {
    Box::new(value)
}

async fn race(
    stage: &Stage,
    sql: &str,
    direct: &Values<'_>,
    through: &Values<'_>,
) -> Result<(Duration, Duration)> {
    race_of(stage, sql, RUNS, direct, through).await
}

/// Median times of one statement on either side, in rounds that take turns.
async fn race_of(
    stage: &Stage,
    sql: &str,
    runs: usize,
    direct: &Values<'_>,
    through: &Values<'_>,
) -> Result<(Duration, Duration)> {
    let statements = (prepare(&stage.database, sql).await?, prepare(&stage.app, sql).await?);
    let mut times = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let from = round * runs;
        time(&stage.database, &statements.0, direct, from..from + runs, &mut times.0).await?;
        time(&stage.app, &statements.1, through, from..from + runs, &mut times.1).await?;
    }
    Ok((median(times.0), median(times.1)))
}

async fn prepare(client: &Client, sql: &str) -> Result<Statement> {
    client.prepare(sql).await.map_err(sql_error(sql))
}

async fn time(
    client: &Client,
    statement: &Statement,
    values: &Values<'_>,
    runs: std::ops::Range<usize>,
    times: &mut Vec<Duration>,
) -> Result<()> {
    for run in runs {
        let values = values(run);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| &**v as &(dyn ToSql + Sync)).collect();
        let started = Instant::now();
        client.query(statement, &values).await.map_err(sql_error("a timed statement"))?;
        times.push(started.elapsed());
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn line(name: &str, (direct, through): (Duration, Duration)) -> Vec<Option<String>> {
    let shown = |time: Duration| {
        let micros = time.as_secs_f64() * 1e6;
        if micros < 10_000.0 { format!("{micros:.0} µs") } else { format!("{:.1} ms", micros / 1e3) }
    };
    let more = through.saturating_sub(direct);
    [name.to_owned(), shown(direct), shown(through), format!("+{}", shown(more))]
        .into_iter()
        .map(Some)
        .collect()
}
