//! What the catalog says of columns and domains.

use super::session::Session;
use crate::policy::guard::{CONSTRAINT, SCHEMA, Storage};
use crate::policy::model::Table;
use tokio_postgres::Row;

/// A column that may be altered.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) name: String,
    /// What it is stored as, below a domain of the guard's.
    pub(super) storage: Option<Storage>,
    /// Its type as SQL writes it.
    pub(super) shown: String,
    /// The domain of the guard's that it has.
    pub(super) domain: Option<String>,
    /// It has another domain.
    pub(super) other_domain: bool,
    /// Its collation, quoted, where that isn't its type's.
    pub(super) collation: Option<String>,
    /// It comes from a parent table.
    pub(super) inherited: bool,
}

/// A domain of the guard's.
#[derive(Debug, Clone)]
pub(super) struct Domain {
    pub(super) name: String,
    /// It has the constraint of this version, and no other.
    pub(super) current: bool,
}

const COLUMNS: &str = "
SELECT n.nspname::text, c.relname::text, a.attname::text, b.typname::text,
       CASE WHEN o.oid IS NULL THEN a.atttypmod ELSE t.typtypmod END,
       pg_catalog.format_type(a.atttypid, a.atttypmod), t.typname::text, o.oid IS NOT NULL, t.typtype = 'd',
       CASE WHEN a.attcollation NOT IN (0, t.typcollation)
            THEN pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(l.collname) END,
       a.attinhcount > 0
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f')
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_namespace o ON o.oid = t.typnamespace AND o.nspname = $1 AND t.typtype = 'd'
  JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN o.oid IS NULL THEN t.oid ELSE t.typbasetype END
  LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
  LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = l.collnamespace
 WHERE a.attnum > 0 AND NOT a.attisdropped";

/// Whether a role may own what the guard is made of, or what is altered with its rights: the login itself, a superuser,
/// or an owner of one of the policy's tables. `$2` and `$3` are their schemas and names.
fn trusted(owner: &str) -> String {
    format!(
        "({owner} IN (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolsuper OR r.rolname = current_user)
          OR {owner} IN (SELECT pc.relowner FROM pg_catalog.pg_class pc
                         JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
                         JOIN unnest($2::text[], $3::text[]) AS p(s, t) ON pn.nspname = p.s AND pc.relname = p.t))"
    )
}

/// Schemas and names of these tables.
fn names(tables: &[&Table]) -> (Vec<String>, Vec<String>) {
    tables.iter().map(|table| (table.schema.to_string(), table.name.to_string())).unzip()
}

const DOMAINS: &str = "
SELECT t.typname::text,
       (SELECT pg_catalog.array_agg(k.conname::text) FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'),
       {}
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 WHERE n.nspname = $1 AND t.typtype = 'd' ORDER BY 1";

/// The schema's comment, by which it is known.
const OWN: &str = "
SELECT pg_catalog.obj_description(n.oid, 'pg_namespace'), {} FROM pg_catalog.pg_namespace n WHERE n.nspname = $1";

/// What the comment says.
pub(super) const COMMENT: &str =
    "The guard of Paravent: paravent check --guard made it, --remove takes it away";

/// The columns of a table of the policy.
pub(super) async fn of_table(session: &Session, table: &Table) -> Result<Vec<Live>, String> {
    let query = format!("{COLUMNS} AND n.nspname = $2 AND c.relname = $3 ORDER BY a.attnum");
    let rows = session.rows(&query, &[&SCHEMA, &&*table.schema, &&*table.name]).await?;
    rows.iter().map(live).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// All columns that have a domain of the guard's, parents' before children's: those of tables that may be altered, or
/// those of strangers', whose constraints and triggers would run with the login's rights.
pub(super) async fn guarded(
    session: &Session,
    tables: &[&Table],
    strangers: bool,
) -> Result<Vec<Live>, String> {
    let (not, trusted) = (if strangers { "NOT " } else { "" }, trusted("c.relowner"));
    let query = format!("{COLUMNS} AND o.oid IS NOT NULL AND {not}{trusted} ORDER BY 1, 2, a.attnum");
    let (schemas, names) = names(tables);
    let rows = session.rows(&query, &[&SCHEMA, &schemas, &names]).await?;
    rows.iter().map(live).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn live(row: &Row) -> Result<Live, tokio_postgres::Error> {
    let (base, typmod): (String, i32) = (row.try_get(3)?, row.try_get(4)?);
    let (type_name, own): (String, bool) = (row.try_get(6)?, row.try_get(7)?);
    Ok(Live {
        schema: row.try_get(0)?,
        table: row.try_get(1)?,
        name: row.try_get(2)?,
        storage: Storage::new(&base, u32::try_from(typmod - 4).ok().filter(|_| typmod >= 4)),
        shown: row.try_get(5)?,
        domain: own.then_some(type_name),
        other_domain: row.try_get::<_, bool>(8)? && !own,
        collation: row.try_get(9)?,
        inherited: row.try_get(10)?,
    })
}

/// The guard's domains; `None` where there is no schema of that name.
///
/// # Errors
/// The catalog can't be read, or the schema is somebody else's.
pub(super) async fn domains(session: &Session, tables: &[&Table]) -> Result<Option<Vec<Domain>>, String> {
    let (schemas, names) = names(tables);
    let own = session.rows(&OWN.replace("{}", &trusted("n.nspowner")), &[&SCHEMA, &schemas, &names]).await?;
    let Some(row) = own.first() else { return Ok(None) };
    let comment: Option<String> = row.try_get(0).map_err(|error| error.to_string())?;
    if comment.as_deref() != Some(COMMENT) {
        return Err(format!(
            "there is a schema named {SCHEMA} that the guard did not make: rename it, since the guard's has that name"
        ));
    }
    let all =
        session.rows(&DOMAINS.replace("{}", &trusted("t.typowner")), &[&SCHEMA, &schemas, &names]).await?;
    let safe = |row: &Row, at: usize| row.try_get::<_, Option<bool>>(at).ok().flatten() == Some(true);
    if !safe(row, 1) || !all.iter().all(|row| safe(row, 2)) {
        return Err(format!(
            "the schema {SCHEMA}, or a domain in it, belongs to a role that owns no table of the policy: whoever owns a \
             domain may change what it lets in. Give it to the tables' owner, or drop it, and begin again"
        ));
    }
    let domain = |row: &Row| {
        let constraints: Option<Vec<String>> = row.try_get(1)?;
        Ok(Domain { name: row.try_get(0)?, current: constraints.unwrap_or_default() == [CONSTRAINT] })
    };
    let all: Result<_, tokio_postgres::Error> = all.iter().map(domain).collect();
    all.map(Some).map_err(|error| error.to_string())
}

impl Live {
    /// `"public"."people"`.
    pub(super) fn relation(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.table))
    }

    /// As messages name it.
    pub(super) fn label(&self) -> String {
        format!("{}.{}.{}", self.schema, self.table, self.name)
    }

    /// ALTER TYPE that keeps the collation.
    pub(super) fn alter(&self, ty: &str) -> String {
        let collate = self.collation.as_ref().map_or(String::new(), |name| format!(" COLLATE {name}"));
        format!("ALTER TABLE {} ALTER COLUMN {} TYPE {ty}{collate}", self.relation(), quoted(&self.name))
    }
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
