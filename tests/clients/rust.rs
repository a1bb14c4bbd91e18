//! The story on tokio-postgres, in this process.

use crate::support::story::{path, tell_with};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use std::error::Error as StdError;
use tokio_postgres::types::{Format, FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, Error, NoTls, Row, SimpleQueryMessage};

/// A value in the binary form of the column's type, or in text where it has none that is easily made.
#[derive(Debug)]
struct Given(Option<String>);

type Any = Box<dyn StdError + Sync + Send>;

impl ToSql for Given {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Any> {
        let Some(text) = &self.0 else { return Ok(IsNull::Yes) };
        match *ty {
            Type::INT4 => text.parse::<i32>()?.to_sql(ty, out),
            Type::INT8 => text.parse::<i64>()?.to_sql(ty, out),
            Type::BOOL => (text == "true").to_sql(ty, out),
            Type::BYTEA => hex::decode(text)?.to_sql(ty, out),
            Type::DATE => text.parse::<jiff::civil::Date>()?.to_sql(ty, out),
            Type::TIMESTAMPTZ => text.parse::<jiff::Timestamp>()?.to_sql(ty, out),
            Type::JSONB => serde_json::from_str::<Value>(text)?.to_sql(ty, out),
            _ => text.to_sql(&Type::TEXT, out),
        }
    }

    fn encode_format(&self, ty: &Type) -> Format {
        if matches!(*ty, Type::NUMERIC | Type::UUID) { Format::Text } else { Format::Binary }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// The bytes of a value as they came.
struct Bare(String);

impl<'a> FromSql<'a> for Bare {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Any> {
        Ok(Self(hex::encode(raw)))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn shown(row: &Row) -> Value {
    let cell = |n: usize| match *row.columns()[n].type_() {
        Type::TEXT | Type::VARCHAR => json!(row.get::<_, Option<String>>(n)),
        Type::DATE => json!(row.get::<_, Option<jiff::civil::Date>>(n).map(|d| d.to_string())),
        Type::JSONB => json!(row.get::<_, Option<Value>>(n)),
        _ => json!(row.get::<_, Option<Bare>>(n).map(|b| b.0)),
    };
    (0..row.len()).map(cell).collect()
}

fn failed(error: &Error) -> Value {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    let names = json!([error.schema(), error.table(), error.column(), error.constraint()]);
    json!({"code": error.code().code(), "message": error.message(), "detail": error.detail(), "hint": error.hint(), "names": names})
}

fn line(step: &str, seen: Result<Value, Error>) -> String {
    let mut seen = seen.unwrap_or_else(|error| json!({"error": failed(&error)}));
    seen["step"] = json!(step);
    format!("{seen}\n")
}

/// Name, statement, lists of parameters.
fn steps(text: &str) -> Vec<(&str, &str, Vec<Vec<Given>>)> {
    let mut found: Vec<(&str, &str, Vec<Vec<Given>>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# ") {
            found.push((name, "", Vec::new()));
        } else if let Some(list) = line.strip_prefix("> ") {
            let given = |value: &str| {
                let (_, text) = value.split_once(':').unwrap();
                Given((text != "NULL").then(|| text.to_owned()))
            };
            found.last_mut().unwrap().2.push(list.split(" | ").map(given).collect());
        } else if !line.is_empty() && !line.starts_with("//") {
            found.last_mut().unwrap().1 = line;
        }
    }
    found
}

fn refs(list: &[Given]) -> Vec<&(dyn ToSql + Sync)> {
    list.iter().map(|given| given as &(dyn ToSql + Sync)).collect()
}

async fn plain(client: &Client, sql: &str) -> Result<Value, Error> {
    let told = |message: SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => (0..row.len()).map(|n| json!(row.get(n))).collect(),
        SimpleQueryMessage::CommandComplete(count) => json!(count),
        SimpleQueryMessage::RowDescription(columns) => columns.iter().map(|c| c.name().to_owned()).collect(),
        _ => json!("another message"),
    };
    Ok(json!({"messages": client.simple_query(sql).await?.into_iter().map(told).collect::<Vec<_>>()}))
}

/// One statement for all lists; a batch goes out at once, in one pipeline.
async fn prepared(client: &Client, name: &str, sql: &str, lists: &[Vec<Given>]) -> Result<Value, Error> {
    let statement = client.prepare(sql).await?;
    let columns: Vec<Value> =
        statement.columns().iter().map(|c| json!([c.name(), c.type_().oid(), c.column_id()])).collect();
    let parameters: Vec<u32> = statement.params().iter().map(Type::oid).collect();
    let mut answers = Vec::new();
    if name.starts_with("batch") {
        let lists: Vec<_> = lists.iter().map(|list| refs(list)).collect();
        let all = lists.iter().map(|list| client.execute(&statement, list));
        answers.extend(futures_util::future::try_join_all(all).await?.into_iter().map(|count| json!(count)));
    } else {
        for list in lists {
            let rows = client.query(&statement, &refs(list)).await?;
            answers.push(rows.iter().map(shown).collect());
        }
    }
    Ok(json!({"parameters": parameters, "columns": columns, "answers": answers}))
}

async fn transactions(client: &mut Client) -> Result<Value, Error> {
    let mut outer = client.transaction().await?;
    outer.execute("UPDATE people SET first_name = $1 WHERE id = 102", &[&"Bloc-Canari"]).await?;
    let inner = outer.transaction().await?;
    let taken = "INSERT INTO people (id, email) VALUES (102, $1)";
    let error = inner.execute(taken, &[&"taken.canari@x.example"]).await.unwrap_err();
    inner.rollback().await?;
    outer.commit().await?;
    let row = client.query_one("SELECT first_name FROM people WHERE id = 102", &[]).await?;
    Ok(json!({"inner": failed(&error), "row": shown(&row)}))
}

async fn portals(client: &mut Client) -> Result<Value, Error> {
    let transaction = client.transaction().await?;
    let portal = transaction
        .bind("SELECT id, first_name, birth_date FROM people WHERE id > $1 ORDER BY id", &[&1])
        .await?;
    let mut rows = Vec::new();
    for most in [1, 3, 0] {
        let some = transaction.query_portal(&portal, most).await?;
        rows.push(some.iter().map(shown).collect::<Value>());
    }
    Ok(json!({"rows": rows}))
}

async fn copies(client: &Client) -> Result<Value, Error> {
    let sink = client.copy_in("COPY comments (author_id, body) FROM STDIN").await?;
    futures_util::pin_mut!(sink);
    for piece in ["102\tcopie-", "canari\n102\t\\N\n"] {
        sink.send(Bytes::from_static(piece.as_bytes())).await?;
    }
    let count = sink.finish().await?;
    let pieces: Vec<Bytes> = client
        .copy_out("COPY (SELECT author_id, body FROM comments ORDER BY id) TO STDOUT")
        .await?
        .try_collect()
        .await?;
    Ok(json!({"count": count, "text": String::from_utf8(pieces.concat()).unwrap()}))
}

/// Statements that were sent before the first was answered, one of them wrong.
async fn pipelined(client: &Client) -> Result<Value, Error> {
    let ask = async |id: i32, divisor: i32| {
        let sql = "SELECT first_name, $2 / (id - $1 + 1) FROM people WHERE id >= $1 ORDER BY id LIMIT 1";
        client
            .query(sql, &[&id, &divisor])
            .await
            .map_or_else(|e| failed(&e), |rows| rows.iter().map(shown).collect())
    };
    let wrong = async || {
        let sql = "UPDATE people SET first_name = $1 WHERE id = 1 / ($2 - 102)";
        client.execute(sql, &[&"Perdue-Canari", &102]).await.map_or_else(|e| failed(&e), |count| json!(count))
    };
    let (a, b, c, d) = tokio::join!(ask(1, 2), wrong(), ask(102, 3), ask(3, 4));
    Ok(json!({"answers": [a, b, c, d]}))
}

async fn story(port: u16, database: &str) -> String {
    let (mut client, connection) =
        Config::new().host("127.0.0.1").port(port).user("app").dbname(database).connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut text = format!("{}\n", json!({"driver": "tokio-postgres", "version": version()}));
    let file = std::fs::read_to_string(path("steps.txt")).unwrap();
    for (name, sql, lists) in steps(&file) {
        let seen = if lists.is_empty() {
            plain(&client, sql).await
        } else {
            prepared(&client, name, sql, &lists).await
        };
        text += &line(name, seen);
    }
    text += &line("transactions", transactions(&mut client).await);
    text += &line("portals", portals(&mut client).await);
    text += &line("copies", copies(&client).await);
    text += &line("pipelined", pipelined(&client).await);
    drop(client);
    connection.await.unwrap().unwrap();
    text
}

/// The one that Cargo.lock names.
fn version() -> &'static str {
    let (_, after) =
        include_str!("../../Cargo.lock").split_once("name = \"tokio-postgres\"\nversion = \"").unwrap();
    after.split('"').next().unwrap()
}

#[test]
fn tokio_postgres_tells_the_same_story() {
    let exercised =
        "binary values, prepared statements, pipelines, transactions and savepoints, portals, COPY";
    let runtime = tokio::runtime::Runtime::new().unwrap();
    tell_with(exercised, &["binary"], |port, database, _| runtime.block_on(story(port, database)));
}
