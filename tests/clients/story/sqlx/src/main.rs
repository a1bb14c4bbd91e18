//! The story on sqlx:  on-sqlx STEPS PORT DATABASE

use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgRow};
use sqlx::types::{BigDecimal, Uuid, chrono};
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Either, Executor as _, Row as _, Statement as _, TypeInfo as _, ValueRef as _};

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

struct Step {
    name: String,
    sql: String,
    lists: Vec<Vec<(String, Option<String>)>>,
}

fn steps(path: &str) -> Vec<Step> {
    let mut found: Vec<Step> = Vec::new();
    for line in std::fs::read_to_string(path).expect("the steps").lines() {
        if let Some(name) = line.strip_prefix("# ") {
            found.push(Step { name: name.to_owned(), sql: String::new(), lists: Vec::new() });
        } else if let Some(list) = line.strip_prefix("> ") {
            let given = |value: &str| {
                let (kind, text) = value.split_once(':').expect("type:value");
                (kind.to_owned(), (text != "NULL").then(|| text.to_owned()))
            };
            found.last_mut().expect("a step").lists.push(list.split(" | ").map(given).collect());
        } else if !line.is_empty() && !line.starts_with("//") {
            found.last_mut().expect("a step").sql = line.to_owned();
        }
    }
    found
}

fn bound<'q>(query: Query<'q>, (kind, text): &(String, Option<String>)) -> Query<'q> {
    fn read<T: std::str::FromStr>(text: &Option<String>) -> Option<T>
    where
        T::Err: std::fmt::Debug,
    {
        text.as_deref().map(|text| text.parse().expect("a value of its type"))
    }
    match kind.as_str() {
        "int4" => query.bind(read::<i32>(text)),
        "int8" => query.bind(read::<i64>(text)),
        "bool" => query.bind(read::<bool>(text)),
        "date" => query.bind(read::<chrono::NaiveDate>(text)),
        "timestamptz" => query.bind(read::<chrono::DateTime<chrono::FixedOffset>>(text)),
        "numeric" => query.bind(read::<BigDecimal>(text)),
        "uuid" => query.bind(read::<Uuid>(text)),
        "jsonb" => query.bind(read::<Value>(text)),
        "bytea" => query.bind(text.as_deref().map(|text| hex::decode(text).expect("hex"))),
        _ => query.bind(text.clone()),
    }
}

fn shown(row: &PgRow) -> Value {
    let cell = |n: usize| {
        if row.try_get_raw(n).expect("a cell").is_null() {
            return Value::Null;
        }
        match row.column(n).type_info().name() {
            "TEXT" | "VARCHAR" => json!(row.get::<String, _>(n)),
            "INT4" => json!(row.get::<i32, _>(n)),
            "INT8" => json!(row.get::<i64, _>(n).to_string()),
            "BOOL" => json!(row.get::<bool, _>(n)),
            "DATE" => json!(row.get::<chrono::NaiveDate, _>(n).to_string()),
            "TIMESTAMPTZ" => json!(row.get::<chrono::DateTime<chrono::Utc>, _>(n).to_string()),
            "NUMERIC" => json!(row.get::<BigDecimal, _>(n).to_string()),
            "UUID" => json!(row.get::<Uuid, _>(n).to_string()),
            "JSONB" => row.get::<Value, _>(n),
            "BYTEA" => json!(hex::encode(row.get::<Vec<u8>, _>(n))),
            other => json!(format!("a value of {other}")),
        }
    };
    (0..row.len()).map(cell).collect()
}

fn failed(error: &sqlx::Error) -> Value {
    let Some(error) = error.as_database_error().and_then(|e| e.try_downcast_ref::<PgDatabaseError>()) else {
        panic!("{error:?}");
    };
    let names = json!([error.schema(), error.table(), error.column(), error.constraint()]);
    json!({"code": error.code(), "message": error.message(), "detail": error.detail(), "hint": error.hint(), "names": names})
}

fn tell(step: &str, seen: Result<Value, sqlx::Error>) {
    let mut seen = seen.unwrap_or_else(|error| json!({"error": failed(&error)}));
    seen["step"] = json!(step);
    println!("{seen}");
}

async fn answers(mut stream: impl futures_util::Stream<Item = Result<Either<sqlx::postgres::PgQueryResult, PgRow>, sqlx::Error>> + Unpin) -> Result<Value, sqlx::Error> {
    let mut seen = Vec::new();
    while let Some(item) = stream.try_next().await? {
        seen.push(match item {
            Either::Left(done) => json!({"count": done.rows_affected()}),
            Either::Right(row) => shown(&row),
        });
    }
    Ok(Value::from(seen))
}

async fn run(conn: &mut PgConnection, step: &Step) -> Result<Value, sqlx::Error> {
    let sql = || AssertSqlSafe(step.sql.clone());
    if step.lists.is_empty() {
        return Ok(json!({"answer": answers(conn.fetch_many(sqlx::raw_sql(sql()))).await?}));
    }
    let statement = conn.prepare(sqlx::SqlStr::from_static(step.sql.clone().leak())).await?;
    let columns: Vec<Value> = statement.columns().iter().map(|c| json!([c.name(), c.type_info().name()])).collect();
    let mut seen = Vec::new();
    for list in &step.lists {
        let query = list.iter().fold(sqlx::query(sql()), bound);
        seen.push(answers(conn.fetch_many(query)).await?);
    }
    Ok(json!({"columns": columns, "answers": seen}))
}

async fn transactions(conn: &mut PgConnection) -> Result<Value, sqlx::Error> {
    let mut outer = conn.begin().await?;
    sqlx::query("UPDATE people SET first_name = $1 WHERE id = 102").bind("Bloc-Canari").execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    let taken = sqlx::query("INSERT INTO people (id, email) VALUES (102, $1)").bind("taken.canari@x.example");
    let error = taken.execute(&mut *inner).await.expect_err("it is taken");
    inner.rollback().await?;
    outer.commit().await?;
    let row = sqlx::query("SELECT first_name FROM people WHERE id = 102").fetch_one(conn).await?;
    Ok(json!({"inner": failed(&error), "row": shown(&row)}))
}

async fn arrays(conn: &mut PgConnection) -> Result<Value, sqlx::Error> {
    let sql = "INSERT INTO comments (author_id, body) SELECT * FROM UNNEST($1::integer[], $2::text[]) RETURNING id, body";
    let bodies = ["un-canari", "deux-canari"].map(str::to_owned).to_vec();
    let rows = sqlx::query(sql).bind(vec![102, 102]).bind(bodies).fetch_all(&mut *conn).await?;
    let found = sqlx::query("SELECT id FROM people WHERE email = ANY($1) ORDER BY id").bind(vec!["bea.canari@x.example", "none.canari@x.example"]);
    let found = found.fetch_all(conn).await?;
    Ok(json!({"rows": rows.iter().chain(&found).map(shown).collect::<Vec<_>>()}))
}

async fn copies(conn: &mut PgConnection) -> Result<Value, sqlx::Error> {
    let mut sink = conn.copy_in_raw("COPY comments (author_id, body) FROM STDIN").await?;
    sink.send("102\tcopie-".as_bytes()).await?;
    sink.send("canari\n102\t\\N\n".as_bytes()).await?;
    let count = sink.finish().await?;
    let blocks: Vec<_> = conn.copy_out_raw("COPY (SELECT author_id, body FROM comments ORDER BY id) TO STDOUT").await?.try_collect().await?;
    Ok(json!({"count": count, "text": String::from_utf8_lossy(&blocks.concat())}))
}

/// The one that Cargo.lock names.
fn version() -> &'static str {
    let (_, after) = include_str!("../Cargo.lock").split_once("name = \"sqlx\"\nversion = \"").expect("sqlx is locked");
    after.split('"').next().unwrap_or_default()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), sqlx::Error> {
    let words: Vec<String> = std::env::args().collect();
    let place = PgConnectOptions::new().host("127.0.0.1").port(words[2].parse().expect("a port")).username("app").database(&words[3]);
    let mut conn = PgConnection::connect_with(&place).await?;
    println!("{}", json!({"driver": "sqlx", "version": version()}));
    for step in steps(&words[1]) {
        tell(&step.name, run(&mut conn, &step).await);
    }
    tell("transactions", transactions(&mut conn).await);
    tell("arrays", arrays(&mut conn).await);
    tell("copies", copies(&mut conn).await);
    conn.close().await
}
