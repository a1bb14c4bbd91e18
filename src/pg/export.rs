//! What a database holds about one subject: the declared columns of its rows, opened. For a subject's right of access.
//!
//! Read with the gateway's own login, which needs SELECT on the protected tables for it.

use super::net::connect::{Connector, Login, describe_without_data};
use super::value::{self, Format, Settings};
use crate::ids::Subject;
use crate::policy::model::{Field, Placed, Protect, Table};
use crate::protect::{Door, Missing, OpenFault, Outcome, ProtectError, Row, armour};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Rows of one table that are exported at most.
const MOST_ROWS: usize = 100_000;
/// A value is asked for so often at most: another load may push it out of the cache again.
const ATTEMPTS: usize = 8;

/// Column to value, in the type's text form; none where there is no value, or an erased one.
pub type Cells = BTreeMap<String, Option<String>>;

/// The gateway's own login, ready to read.
pub struct Reader {
    client: Login,
    database: String,
}

impl Reader {
    /// Logs in.
    ///
    /// # Errors
    /// One line: the server can't be reached, or refuses the login.
    pub async fn open(connector: &Connector) -> Result<Self, String> {
        let database = connector.database().to_owned();
        let client = connector.own_login(&database).await.map_err(|error| error.to_string())?;
        client
            .batch_execute("SET bytea_output = 'hex'")
            .await
            .map_err(|error| describe_without_data(&error))?;
        Ok(Self { client, database })
    }

    /// As exports name a table: `app public.people`.
    pub fn place(&self, table: &Table) -> String {
        format!("{} {}.{}", self.database, table.schema, table.name)
    }

    /// The subject's rows of a table, their declared columns opened.
    ///
    /// # Errors
    /// One line, without a value: the table can't be read, a value does not open, there are too many rows.
    pub async fn rows(&self, door: &Door, table: &Table, subject: &Subject) -> Result<Vec<Cells>, String> {
        let sql = query(table);
        let rows =
            self.client.query(&sql, &[&&*subject.id]).await.map_err(|error| describe_without_data(&error))?;
        if rows.len() > MOST_ROWS {
            return Err(format!("there are more than {MOST_ROWS} rows"));
        }
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let mut cells = Cells::new();
            for (at, placed) in table.columns.iter().enumerate() {
                let stored: Option<String> =
                    row.try_get(at).map_err(|error| describe_without_data(&error))?;
                let value = match stored {
                    None => None,
                    Some(stored) => match opened(door, table, placed, &stored, subject).await? {
                        Opened::Value(text) => Some(text),
                        Opened::Erased => None,
                        // A row for which the table's `when` does not hold is nobody's.
                        Opened::Clear => continue,
                    },
                };
                cells.insert(placed.column.to_string(), value);
            }
            if !cells.is_empty() {
                found.push(cells);
            }
        }
        door.lease().map_err(|error| error.to_string())?;
        Ok(found)
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn query(table: &Table) -> String {
    let columns: Vec<String> =
        table.columns.iter().map(|placed| format!("{}::text", quoted(&placed.column))).collect();
    format!(
        "SELECT {} FROM {}.{} WHERE {}::text = $1 LIMIT {}",
        columns.join(", "),
        quoted(&table.schema),
        quoted(&table.name),
        quoted(&table.subject.column),
        MOST_ROWS + 1
    )
}

enum Opened {
    Value(String),
    Erased,
    Clear,
}

async fn opened(
    door: &Door,
    table: &Table,
    placed: &Placed,
    stored: &str,
    subject: &Subject,
) -> Result<Opened, String> {
    let field = door.policy().field(placed.field);
    let row = Row::Of { class: &subject.class, id: &subject.id };
    let mut out = Zeroizing::new(Vec::new());
    for _ in 0..ATTEMPTS {
        out.clear();
        match open(door, field, stored, row, &mut out) {
            Outcome::Opened(kind) => {
                let settings = Settings {
                    date_style: "ISO, YMD".into(),
                    time_zone: "UTC".into(),
                    bytea_escape: false,
                    charset: None,
                    server: 0,
                };
                let mut text = Vec::new();
                value::encode(kind, &out, field.ty, Format::Text, false, &settings, &mut text)
                    .map_err(|error| format!("column {}: {error}", placed.column))?;
                let text = String::from_utf8(text)
                    .map_err(|_| format!("column {}: the value is not UTF-8", placed.column))?;
                return Ok(Opened::Value(text));
            }
            Outcome::Erased => return Ok(Opened::Erased),
            Outcome::Missing(missing) => load(door, missing).await.map_err(|error| error.to_string())?,
            Outcome::Fault(OpenFault::InClear) if table.subject.when.is_some() => return Ok(Opened::Clear),
            Outcome::Fault(fault) => return Err(format!("column {}: {fault}", placed.column)),
        }
    }
    Err(format!("column {}: the key cache is too small to hold its key", placed.column))
}

async fn load(door: &Door, missing: Missing) -> Result<(), ProtectError> {
    door.load(&[missing]).await
}

/// Opens a cell in the text form that a cast to text gives: `\x…` for bytea, else the text armour or a token.
fn open(door: &Door, field: &Field, stored: &str, row: Row<'_>, out: &mut Vec<u8>) -> Outcome {
    if matches!(field.protect, Protect::Pseudonym { .. }) {
        return door.reveal(field.id, stored, row, out);
    }
    let mut envelope = Vec::new();
    let sealed = match stored.strip_prefix("\\x").map(hex::decode) {
        Some(Ok(bytes)) => {
            envelope = bytes;
            true
        }
        Some(Err(_)) => false,
        None => armour::read(stored.as_bytes(), &mut envelope),
    };
    if sealed { door.open(field.id, &envelope, row, out) } else { Outcome::Fault(OpenFault::InClear) }
}
