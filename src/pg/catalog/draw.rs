//! Ids that the database would make for a column, drawn beforehand on the gateway's own login.

use super::Database;
use crate::pg::net::connect::describe;
use std::io;

/// Where a column's ids come from. Only what is certain to do nothing else: a default may call any function,
/// with this login's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// `nextval` of the sequence of that name, quoted and qualified.
    Sequence(String),
    /// Random UUIDs.
    Uuid,
}

/// Schema, table, column: the sequence of an identity column or of a default that is just `nextval`, or `uuid`.
const SOURCE: &str = "\
SELECT COALESCE(
  (SELECT pg_catalog.format('%I.%I', n.nspname, s.relname)
   FROM pg_catalog.pg_depend x
   JOIN pg_catalog.pg_class s ON s.oid = x.objid AND s.relkind = 'S'
   JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
   WHERE x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
     AND x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
     AND x.refobjid = a.attrelid AND x.refobjsubid = a.attnum AND x.deptype = 'i'),
  (SELECT pg_catalog.format('%I.%I', n.nspname, s.relname)
   FROM pg_catalog.pg_attrdef d
   JOIN pg_catalog.pg_depend x ON x.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND x.objid = d.oid
     AND x.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
   JOIN pg_catalog.pg_class s ON s.oid = x.refobjid AND s.relkind = 'S'
   JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
   WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
     AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) ~ '^nextval[(]''[^'']*''::regclass[)]$'),
  (SELECT 'uuid' FROM pg_catalog.pg_attrdef d
   WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum
     AND pg_catalog.pg_get_expr(d.adbin, d.adrelid) = 'gen_random_uuid()'))
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3";

impl Database {
    /// How the ids of a column can be drawn; `None` where they can't, or the column is not committed yet.
    ///
    /// # Errors
    /// The login or the query fails.
    pub async fn ids(&self, table: (&str, &str), column: &str) -> io::Result<Option<Ids>> {
        let row = self.ask(SOURCE, &[&table.0, &table.1, &column]).await?.into_iter().next();
        let source: Option<String> = match row {
            Some(row) => row.try_get(0).map_err(io::Error::other)?,
            None => None,
        };
        Ok(source.map(|s| if s == "uuid" { Ids::Uuid } else { Ids::Sequence(s) }))
    }

    /// That many fresh ids, as text.
    ///
    /// # Errors
    /// The login fails, or may not use the sequence ([`io::ErrorKind::PermissionDenied`]).
    pub async fn draw(&self, ids: &Ids, count: usize) -> io::Result<Vec<String>> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let rows = match ids {
            Ids::Sequence(name) => {
                let sql = "SELECT pg_catalog.nextval($1::text::pg_catalog.regclass)::text \
                           FROM pg_catalog.generate_series(1, $2::bigint)";
                self.ask(sql, &[name, &count]).await?
            }
            Ids::Uuid => {
                let sql = "SELECT pg_catalog.gen_random_uuid()::text \
                           FROM pg_catalog.generate_series(1, $1::bigint)";
                self.ask(sql, &[&count]).await?
            }
        };
        rows.iter().map(|row| row.try_get(0).map_err(io::Error::other)).collect()
    }

    async fn ask(
        &self,
        sql: &str,
        params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> io::Result<Vec<tokio_postgres::Row>> {
        let mut own = self.loading.lock().await;
        let client = match own.take() {
            Some(client) if !client.is_closed() => client,
            _ => self.login().await?,
        };
        let answer = client.query(sql, params).await.map_err(|e| {
            let denied = e.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE);
            let kind = if denied { io::ErrorKind::PermissionDenied } else { io::ErrorKind::Other };
            io::Error::new(kind, describe(&e))
        });
        *own = Some(client);
        answer
    }

    /// The role of the gateway's own login.
    pub fn own_role(&self) -> &str {
        self.connector.user()
    }
}
