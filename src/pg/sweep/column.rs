//! A protected column as it is in one database: how its values are found, and overwritten where they still are what was
//! read.

use super::super::catalog::rows;
use super::super::net::connect::describe_without_data;
use super::super::recovery::{literal, quoted};
use crate::policy::model::{Placed, Protect, Table, TokenKind};
use crate::protect::Door;
use std::io;
use tokio_postgres::{Client, SimpleQueryMessage};

/// Rows that are changed by one statement: their locks are held for so long.
const BATCH: usize = 500;
/// So often in a row no row is changed, before a trigger or a rule is believed to keep them: others may change them each
/// time in between.
pub(super) const IDLE: usize = 50;
/// Length of the text form's head that hangs on version and key id alone.
const HEAD: usize = "pv1.".len() + 22;

/// Why a place was not swept.
pub(super) enum Stop {
    /// Not now: rows are held, the server is away.
    Later(String),
    /// Not at all, unless somebody changes something.
    Missed(String),
}

/// A column of a table, as it is in one database.
pub(super) struct Column<'a> {
    pub(super) table: &'a Table,
    pub(super) placed: &'a Placed,
    type_name: String,
    /// Whether its type can hold what stands for a value: in another database a table of this name may be another table.
    pub(super) fits: bool,
    pub(super) binary: bool,
    pub(super) not_null: bool,
    pub(super) sealed: bool,
}

/// A row whose value is to go.
pub(super) struct Row {
    pub(super) table: String,
    pub(super) at: String,
    /// What tells whose it was, and that it still is: the envelope's head, the token, or the clear value.
    pub(super) mark: String,
    /// The row's subject, as text.
    pub(super) whose: Option<String>,
}

/// The table's protected columns in this database: none where it has no such table.
pub(super) async fn columns<'a>(
    client: &Client,
    table: &'a Table,
    door: &Door,
) -> io::Result<Vec<Column<'a>>> {
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
                fits: fits(oid, &door.policy().field(placed.field).protect),
                binary: oid == "17",
                not_null: not_null == "t",
                sealed: door.policy().field(placed.field).protect == Protect::Encrypt,
            });
        }
    }
    Ok(found)
}

/// Types that hold neither text nor bytes (pg_type.dat): bool, int8, int2, int4, json, float4, float8, date, timestamp,
/// timestamptz, numeric, uuid, jsonb.
const OTHERS: [&str; 13] =
    ["16", "20", "21", "23", "114", "700", "701", "1082", "1114", "1184", "1700", "2950", "3802"];

fn fits(oid: &str, protect: &Protect) -> bool {
    match protect {
        Protect::Pseudonym { kind: TokenKind::Uuid, .. } if oid == "2950" => true,
        Protect::Pseudonym { kind: TokenKind::Integer, .. } if oid == "20" => true,
        _ => !OTHERS.contains(&oid),
    }
}

impl Column<'_> {
    /// As receipts and jobs name it.
    pub(super) fn place(&self, database: &str) -> String {
        format!("{database} {}.{}.{}", self.table.schema, self.table.name, self.placed.column)
    }

    pub(super) fn type_name(&self) -> &str {
        &self.type_name
    }

    pub(super) fn name(&self) -> String {
        format!("c.{}", quoted(&self.placed.column))
    }

    pub(super) fn whose(&self) -> String {
        format!("c.{}::text", quoted(&self.table.subject.column))
    }

    pub(super) fn relation(&self) -> String {
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
    pub(super) fn any_of(&self, marks: &[&String]) -> String {
        let list: Vec<String> = marks.iter().map(|mark| literal(mark)).collect();
        let list = format!("ARRAY[{}]::text[]", list.join(", "));
        if self.sealed {
            format!("{} = ANY({list})", self.mark())
        } else {
            format!("{} = ANY({list}::{}[])", self.name(), self.type_name)
        }
    }

    /// Whether the value is neither sealed nor empty.
    pub(super) fn in_clear(&self) -> String {
        let name = self.name();
        match (self.sealed, self.binary) {
            (true, true) => format!("pg_catalog.substring({name}, 1, 1) <> '\\xe1'"),
            (true, false) => format!("{name}::text <> '' AND pg_catalog.left({name}::text, 4) <> 'pv1.'"),
            (false, _) => format!("{name}::text <> ''"),
        }
    }

    /// Rows that meet `test`, of which the caller has passed over so many before: they are found again.
    pub(super) async fn find(
        &self,
        client: &Client,
        test: &str,
        passed_over: usize,
    ) -> Result<Vec<Row>, Stop> {
        let query = format!(
            "SELECT c.tableoid::int8::text, c.ctid::text, {}, {} FROM {} WHERE {test} LIMIT {}",
            self.mark(),
            self.whose(),
            self.relation(),
            BATCH + passed_over
        );
        let found = asked(client, &query).await?;
        let row = |cells: Vec<Option<String>>| {
            let [table, at, mark, whose] = <[Option<String>; 4]>::try_from(cells).ok()?;
            Some(Row { table: table?, at: at?, mark: mark?, whose })
        };
        Ok(found.into_iter().filter_map(row).collect())
    }

    /// Overwrites those rows that are still where and what they were; which of them.
    pub(super) async fn replace(
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

pub(super) async fn asked(client: &Client, query: &str) -> Result<Vec<Vec<Option<String>>>, Stop> {
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
