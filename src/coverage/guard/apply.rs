//! `paravent check --guard`.

use super::column::{Target, note, targets, wrong};
use super::live::{self, COMMENT, quoted};
use super::session::{Refused, Session};
use super::{Guard, Said};
use crate::policy::guard::SCHEMA;
use crate::policy::model::Table;
use std::collections::BTreeMap;

/// Domains that there are, and whether their constraint is this version's.
type Domains = BTreeMap<String, bool>;

pub(super) async fn run(
    guard: &Guard<'_>,
    session: &Session,
    tell: &mut dyn FnMut(Said),
) -> Result<(), String> {
    let mut domains = match live::domains(session, &guard.tables).await? {
        Some(domains) => domains.into_iter().map(|d| (d.name, d.current)).collect(),
        None => match make_schema(session).await {
            Ok(said) => {
                tell(said);
                Domains::new()
            }
            Err(refused) => {
                refused.go_on()?;
                tell(left(format!("schema {SCHEMA}: {}", refused.why), &refused));
                return Ok(());
            }
        },
    };
    for table in &guard.tables {
        let (targets, said) = targets(guard.policy, table, &live::of_table(session, table).await?);
        said.into_iter().for_each(&mut *tell);
        for target in &targets {
            column(session, target, &mut domains, tell).await?;
        }
        analyze(session, table, tell).await?;
    }
    Ok(())
}

/// Anybody may name its domains in casts, as the gateway's own login does.
async fn make_schema(session: &Session) -> Result<Said, Refused> {
    let sql = vec![
        format!("CREATE SCHEMA {SCHEMA}"),
        format!("COMMENT ON SCHEMA {SCHEMA} IS '{COMMENT}'"),
        format!("GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC"),
    ];
    session.run(&sql).await?;
    Ok(Said { wrong: false, text: format!("schema {SCHEMA}: made"), sql })
}

async fn column(
    session: &Session,
    target: &Target,
    domains: &mut Domains,
    tell: &mut dyn FnMut(Said),
) -> Result<(), String> {
    let at = target.live.label();
    let clear = match session.count(&target.count()).await {
        Ok(clear) => clear,
        Err(refused) => {
            refused.go_on()?;
            tell(wrong(format!("{at}: its values can't be looked at: {}", refused.why)));
            return Ok(());
        }
    };
    let known = domains.get(&target.domain).copied();
    if target.is_guarded() {
        if known != Some(true) {
            let sql = target.renew();
            match session.run(&sql).await {
                Ok(()) => drop(domains.insert(target.domain.clone(), true)),
                Err(refused) => {
                    refused.go_on()?;
                    tell(left(format!("{at}: {}", refused.why), &refused));
                }
            }
        }
        tell(match clear {
            0 => note(format!("{at} is guarded by {SCHEMA}.{}", target.domain)),
            n => wrong(format!("{at} is guarded, and holds {} from before", in_clear(n))),
        });
        return Ok(());
    }
    if clear > 0 {
        tell(wrong(format!(
            "{at} holds {}: it is left alone, unguarded. Write them through the gateway, and run this again",
            in_clear(clear)
        )));
        return Ok(());
    }
    let sql = target.statements(known.is_some());
    if let Err(refused) = session.run(&sql).await {
        refused.go_on()?;
        tell(Said { sql, ..left(format!("{at} is left alone, unguarded: {}", refused.why), &refused) });
        return Ok(());
    }
    domains.insert(target.domain.clone(), true);
    tell(Said { wrong: false, text: format!("{at} is guarded by {SCHEMA}.{}", target.domain), sql });
    // All who wrote before have ended, and nobody writes in clear any more: this look misses nothing.
    match session.count(&target.count()).await {
        Ok(0) => {}
        Ok(n) => tell(wrong(format!("{at} got {} while this ran", in_clear(n)))),
        Err(refused) => {
            refused.go_on()?;
            tell(wrong(format!("{at} can't be looked at again: {}. Run this again", refused.why)));
        }
    }
    Ok(())
}

/// Columns of a table that was analysed, of which nothing is known. From 18 on ALTER TYPE also forgets how many rows there are: then the other
/// columns tell that it was.
const UNKNOWN: &str = "
SELECT a.attname::text FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = ANY ($3::text[]) AND c.relkind IN ('r', 'p')
   AND a.attstattarget IS DISTINCT FROM 0
   AND (c.reltuples > 0 OR EXISTS (SELECT FROM pg_catalog.pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_stats s
                    WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname)
 ORDER BY a.attnum";

/// ALTER TYPE forgets what was known of the values; the planner goes by it. What was never analysed stays so. What a run
/// that was interrupted has left is found too.
pub(super) async fn analyze(
    session: &Session,
    table: &Table,
    tell: &mut dyn FnMut(Said),
) -> Result<(), String> {
    let names: Vec<&str> = table.columns.iter().map(|placed| &*placed.column).collect();
    let rows = session.rows(UNKNOWN, &[&&*table.schema, &&*table.name, &names]).await?;
    let unknown: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    let unknown: Vec<String> =
        unknown.map_err(|error| error.to_string())?.iter().map(|n| quoted(n)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let relation = format!("{}.{}", quoted(&table.schema), quoted(&table.name));
    let sql = vec![format!("ANALYZE {relation} ({})", unknown.join(", "))];
    if let Err(refused) = session.run(&sql).await {
        refused.go_on()?;
        tell(Said { sql, ..note(format!("{relation} could not be analysed: {}", refused.why)) });
    }
    Ok(())
}

fn in_clear(count: i64) -> String {
    if count == 1 { "1 value in clear".into() } else { format!("{count} values in clear") }
}

pub(super) fn left(text: String, refused: &Refused) -> Said {
    wrong(if refused.hint.is_empty() { text } else { format!("{text}. {}", refused.hint) })
}
