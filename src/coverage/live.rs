//! What the catalog says of one table (Postgres manual, chapter 51).

use super::judge::{LiveColumn, LiveTable};
use crate::policy::model::Table;
use tokio_postgres::{Client, Error};

const RELATION: &str = "
SELECT c.oid, c.relkind,
       EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND c.relkind = 'r'),
       EXISTS (SELECT FROM pg_catalog.pg_trigger t
                WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & 3 = 3),
       EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

// A domain counts as its base type, however deep.
const COLUMNS: &str = "
WITH RECURSIVE base AS (
    SELECT a.attnum, a.atttypid AS type, a.atttypmod AS typmod
      FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
    SELECT b.attnum, t.typbasetype, CASE WHEN t.typtypmod <> -1 THEN t.typtypmod ELSE b.typmod END
      FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type WHERE t.typtype = 'd')
SELECT a.attname, t.typname, pg_catalog.format_type(a.atttypid, a.atttypmod), b.typmod, a.attnotnull,
       pg_catalog.pg_get_expr(d.adbin, d.adrelid)
  FROM pg_catalog.pg_attribute a
  JOIN base b ON b.attnum = a.attnum
  JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attrelid = $1
 ORDER BY a.attnum";

// ON UPDATE CASCADE, SET NULL or SET DEFAULT; ON DELETE SET NULL or SET DEFAULT.
const CASCADES: &str = "
SELECT k.conname FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
 WHERE k.conrelid = $1 AND k.contype = 'f' AND a.attname = $2
   AND (k.confupdtype IN ('c', 'n', 'd') OR k.confdeltype IN ('n', 'd'))
 ORDER BY 1";

/// The table as it is, or `None` where there is none.
pub(super) async fn read(client: &Client, table: &Table) -> Result<Option<LiveTable>, Error> {
    let Some(relation) = client.query_opt(RELATION, &[&&*table.schema, &&*table.name]).await? else {
        return Ok(None);
    };
    let oid: u32 = relation.try_get(0)?;
    let kind: i8 = relation.try_get(1)?;
    let mut live = LiveTable {
        kind: char::from(kind.cast_unsigned()),
        rules: relation.try_get(2)?,
        before_triggers: relation.try_get(3)?,
        hierarchy: relation.try_get(4)?,
        ..LiveTable::default()
    };
    for row in client.query(COLUMNS, &[&oid]).await? {
        let (base, typmod): (String, i32) = (row.try_get(1)?, row.try_get(3)?);
        let default: Option<String> = row.try_get(5)?;
        live.columns.push(LiveColumn {
            name: row.try_get(0)?,
            limit: (base == "varchar").then(|| u32::try_from(typmod - 4).ok()).flatten(),
            base,
            shown: row.try_get(2)?,
            not_null: row.try_get(4)?,
            default: default.filter(|text| !harmless(text)),
        });
    }
    for row in client.query(CASCADES, &[&oid, &&*table.subject.column]).await? {
        live.cascades.push(row.try_get(0)?);
    }
    Ok(Some(live))
}

/// NULL or the empty text, with or without a cast: nothing personal.
fn harmless(default: &str) -> bool {
    let value = default.split("::").next().unwrap_or(default);
    matches!(value, "NULL" | "''")
}
