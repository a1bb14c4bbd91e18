//! `paravent check --guard --remove`.

use super::Said;
use super::apply::{analyze, left};
use super::column::{domain, note, wrong};
use super::live::{self, Live};
use super::session::Session;
use crate::policy::guard::SCHEMA;
use crate::policy::model::Table;

pub(super) async fn run(
    tables: &[&Table],
    session: &Session,
    tell: &mut dyn FnMut(Said),
) -> Result<(), String> {
    let Some(domains) = live::domains(session, tables).await? else {
        tell(note("there is no guard".into()));
        return Ok(());
    };
    for column in live::guarded(session, tables, false).await?.iter().filter(|column| !column.inherited) {
        restore(session, column, tell).await?;
    }
    for table in tables {
        analyze(session, table, tell).await?;
    }
    for column in live::guarded(session, tables, true).await? {
        let at = column.label();
        tell(wrong(format!(
            "{at} has a domain of the guard's, and its table belongs to another role: left alone"
        )));
    }
    let mut left_over = false;
    for found in domains {
        let sql = vec![format!("DROP DOMAIN {}", domain(&found.name))];
        if let Err(refused) = session.run(&sql).await {
            refused.go_on()?;
            left_over = true;
            tell(left(format!("domain {SCHEMA}.{} stays: {}", found.name, refused.why), &refused));
        }
    }
    if left_over {
        return Ok(());
    }
    let sql = vec![format!("DROP SCHEMA {SCHEMA}")];
    match session.run(&sql).await {
        Ok(()) => tell(Said { wrong: false, text: format!("schema {SCHEMA} and its domains: dropped"), sql }),
        Err(refused) => {
            refused.go_on()?;
            tell(left(format!("schema {SCHEMA} stays: {}", refused.why), &refused));
        }
    }
    Ok(())
}

async fn restore(session: &Session, column: &Live, tell: &mut dyn FnMut(Said)) -> Result<(), String> {
    let at = column.label();
    let Some(storage) = column.storage else {
        tell(wrong(format!("{at} has a domain of the guard's schema that the guard did not make")));
        return Ok(());
    };
    let sql = vec![column.alter(&storage.to_string())];
    match session.run(&sql).await {
        Ok(()) => tell(Said { wrong: false, text: format!("{at} is {storage} again"), sql }),
        Err(refused) => {
            refused.go_on()?;
            tell(Said { sql, ..left(format!("{at} stays guarded: {}", refused.why), &refused) });
        }
    }
    Ok(())
}
