//! `paravent check`: the policy alone, then against the live schema.

mod judge;
mod live;

use super::args::Check;
use super::{Stop, block_on, load, say, say_error};
use crate::config::{Config, PostgresConfig};
use crate::fault::Exit;
use crate::pg::net::connect::{Connector, describe};
use judge::Finding;

/// Exit code 0: the policy works with the schema. 2: it doesn't, or is wrong itself. 1: the database
/// can't be asked.
pub(super) fn run(args: &Check) -> Result<Exit, Stop> {
    let config = load(&args.config.path)?;
    let policy = &config.policy;
    let tables: usize = policy.postgres.iter().map(Vec::len).sum();
    say(&format!("{}: sound; {} fields, {tables} tables", config.path.display(), policy.fields.len()))?;
    if args.offline {
        return Ok(Exit::Done);
    }
    let mut exit = Exit::Done;
    for postgres in &config.postgres {
        match block_on(compare(&config, postgres)) {
            Ok(findings) => {
                for finding in &findings {
                    tell(finding)?;
                }
                if findings.iter().any(|finding| finding.wrong) {
                    exit = Exit::Usage;
                }
            }
            Err(stop) => {
                say_error(&stop.message);
                exit = if exit == Exit::Usage { exit } else { stop.exit };
            }
        }
    }
    Ok(exit)
}

fn tell(finding: &Finding) -> Result<(), Stop> {
    say(&format!("{}: {}", if finding.wrong { "wrong" } else { "note" }, finding.text))?;
    finding.ddl.iter().try_for_each(|ddl| say(&format!("      {ddl}")))
}

async fn compare(config: &Config, postgres: &PostgresConfig) -> Result<Vec<Finding>, Stop> {
    let connector = Connector::new(postgres.upstream.clone()).map_err(Stop::usage)?;
    let database = connector.database().to_owned();
    let unasked = |error: &dyn std::fmt::Display| {
        Stop::failed(format!(
            "the schema of \"{database}\" behind {} can't be read: {error}",
            postgres.listen
        ))
    };
    let client = connector.own_login(&database).await.map_err(|error| unasked(&error))?;
    let mut findings = Vec::new();
    for table in config.policy.postgres.get(postgres.tables).into_iter().flatten() {
        let live = live::read(&client, table).await.map_err(|error| unasked(&describe(&error)))?;
        findings.extend(judge::judge(&config.policy, table, live.as_ref()));
    }
    Ok(findings)
}
