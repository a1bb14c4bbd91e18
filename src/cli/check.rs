//! `paravent check`: the policy alone, then against the live schema.

use super::args::Check;
use super::{Stop, block_on, load, say, say_error};
use crate::coverage::{CoverageError, Finding, compare};
use crate::fault::Exit;

/// Exit code 0: the policy works with the schema. 2: it doesn't, or is wrong itself. 1: the database
/// can't be asked.
pub(super) fn run(args: &Check) -> Result<Exit, Stop> {
    let config = load(&args.config.path)?;
    let policy = &config.policy;
    let tables: usize = policy.postgres.iter().map(Vec::len).sum();
    let routes: usize = policy.http.iter().map(Vec::len).sum();
    let (path, fields) = (config.path.display(), policy.fields.len());
    say(&format!("{path}: sound; {fields} fields, {tables} tables, {routes} routes"))?;
    if args.offline {
        return Ok(Exit::Done);
    }
    if args.guard {
        return super::guard::run(args, &config);
    }
    let mut exit = Exit::Done;
    for postgres in &config.postgres {
        match block_on(async { compare(policy, postgres).await.map_err(stop) }) {
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

pub(super) fn stop(error: CoverageError) -> Stop {
    match error {
        CoverageError::Files(_) => Stop::usage(error),
        CoverageError::Unasked { .. } => Stop::failed(error),
    }
}
