//! `paravent check --guard`.

use super::column::{Target, note, targets, wrong};
use super::live::{self, COMMENT, quoted};
use super::session::{Refused, Session};
use super::{Guard, Said};
use crate::policy::guard::SCHEMA;
use std::collections::{BTreeMap, BTreeSet};

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
                tell(left(format!("schema {SCHEMA}: {}", refused.why), &refused));
                return Ok(());
            }
        },
    };
    for table in &guard.tables {
        let (targets, said) = targets(guard.policy, table, &live::of_table(session, table).await?);
        said.into_iter().for_each(&mut *tell);
        let mut changed = BTreeSet::new();
        for target in &targets {
            if column(session, target, &mut domains, tell).await? {
                changed.insert(quoted(&target.live.name));
            }
        }
        if let Some(target) = targets.first().filter(|_| !changed.is_empty()) {
            analyze(session, target, changed, tell).await;
        }
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

/// Whether the column was changed.
async fn column(
    session: &Session,
    target: &Target,
    domains: &mut Domains,
    tell: &mut dyn FnMut(Said),
) -> Result<bool, String> {
    let at = target.live.label();
    let clear = match session.count(&target.count()).await {
        Ok(clear) => clear,
        Err(why) => {
            tell(wrong(format!("{at}: its values can't be looked at: {why}")));
            return Ok(false);
        }
    };
    let known = domains.get(&target.domain).copied();
    if target.is_guarded() {
        if known != Some(true) {
            let sql = target.renew();
            match session.run(&sql).await {
                Ok(()) => drop(domains.insert(target.domain.clone(), true)),
                Err(refused) => tell(left(format!("{at}: {}", refused.why), &refused)),
            }
        }
        tell(match clear {
            0 => note(format!("{at} is guarded by {SCHEMA}.{}", target.domain)),
            n => wrong(format!("{at} is guarded, and holds {} from before", in_clear(n))),
        });
        return Ok(false);
    }
    if clear > 0 {
        tell(wrong(format!(
            "{at} holds {}: it is left alone, unguarded. Write them through the gateway, and run this again",
            in_clear(clear)
        )));
        return Ok(false);
    }
    let sql = target.statements(known.is_some());
    if let Err(refused) = session.run(&sql).await {
        tell(Said { sql, ..left(format!("{at} is left alone, unguarded: {}", refused.why), &refused) });
        return Ok(false);
    }
    domains.insert(target.domain.clone(), true);
    tell(Said { wrong: false, text: format!("{at} is guarded by {SCHEMA}.{}", target.domain), sql });
    // All who wrote before have ended, and nobody writes in clear any more: this look misses nothing.
    if let Ok(n @ 1..) = session.count(&target.count()).await {
        tell(wrong(format!("{at} got {} while this ran", in_clear(n))));
    }
    Ok(true)
}

/// ALTER TYPE forgets what was known of the values; the planner goes by it. What was never analysed stays so.
async fn analyze(session: &Session, target: &Target, columns: BTreeSet<String>, tell: &mut dyn FnMut(Said)) {
    let known = format!(
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE oid = {}::pg_catalog.regclass AND reltuples > 0",
        literal(&target.live.relation())
    );
    if !matches!(session.count(&known).await, Ok(1)) {
        return;
    }
    let columns: Vec<String> = columns.into_iter().collect();
    let sql = vec![format!("ANALYZE {} ({})", target.live.relation(), columns.join(", "))];
    if let Err(refused) = session.run(&sql).await {
        tell(Said {
            sql,
            ..note(format!("{} could not be analysed: {}", target.live.relation(), refused.why))
        });
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn in_clear(count: i64) -> String {
    if count == 1 { "1 value in clear".into() } else { format!("{count} values in clear") }
}

pub(super) fn left(text: String, refused: &Refused) -> Said {
    wrong(if refused.hint.is_empty() { text } else { format!("{text}. {}", refused.hint) })
}
