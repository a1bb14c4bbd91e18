//! `paravent check --guard`: domains in the database that let nothing in clear into protected columns.

use super::args::Check;
use super::check::stop;
use super::{Stop, block_on, say};
use crate::config::{Config, Password, PostgresConfig, Upstream};
use crate::coverage::guard::{Deed, Guard, Said};
use crate::fault::Exit;
use std::path::Path;

/// Where the password of `--database` may stand: on a command line anybody sees it.
const PASSWORD: &str = "PARAVENT_DATABASE_PASSWORD";

/// Exit code 0: all that can be guarded is (or nothing is any more, with `--remove`). 1: something is left to do.
pub(super) fn run(args: &Check, config: &Config) -> Result<Exit, Stop> {
    let deed = if args.remove { Deed::Remove } else { Deed::Apply };
    if args.dry_run {
        say("dry run: nothing is changed")?;
    }
    let mut exit = Exit::Done;
    for guard in guards(args, config)? {
        let mut told = Ok(());
        let mut tell = |said: Said| {
            if said.wrong {
                exit = Exit::Failed;
            }
            if told.is_ok() {
                told = print(&said);
            }
        };
        block_on(async { guard.run(deed, &mut tell).await.map_err(stop) })?;
        told?;
    }
    Ok(exit)
}

fn print(said: &Said) -> Result<(), Stop> {
    say(&format!("{}: {}", if said.wrong { "wrong" } else { "guard" }, said.text))?;
    let several = said.sql.len() > 1;
    let ends = |word: &'static str| several.then_some(word).into_iter();
    let lines = ends("BEGIN").chain(said.sql.iter().map(String::as_str)).chain(ends("COMMIT"));
    lines.into_iter().try_for_each(|line| say(&format!("      {line};")))
}

/// One for each database: of `--database`, or of each listener's own login.
fn guards<'a>(args: &Check, config: &'a Config) -> Result<Vec<Guard<'a>>, Stop> {
    let own = |listeners: &[&PostgresConfig], upstream: Upstream| {
        Guard::new(&config.policy, listeners, upstream, args.dry_run)
    };
    let Some(url) = &args.database else {
        // Two listeners may stand before one database.
        let mut all: Vec<Vec<&PostgresConfig>> = Vec::new();
        for postgres in &config.postgres {
            match all.iter_mut().find(|listeners| listeners.iter().any(|l| l.upstream == postgres.upstream)) {
                Some(listeners) => listeners.push(postgres),
                None => all.push(vec![postgres]),
            }
        }
        let guards =
            all.iter().filter_map(|listeners| Some(own(listeners, listeners.first()?.upstream.clone())));
        return Ok(guards.collect());
    };
    let base = config.path.parent().unwrap_or(Path::new("."));
    let password = std::env::var(PASSWORD).ok().filter(|text| !text.is_empty()).map(Password::new);
    let upstream = Upstream::parse(url, password, base)
        .map_err(|errors| Stop::usage(format!("--database: {}", errors.join("; "))))?;
    let same =
        |postgres: &&PostgresConfig| postgres.upstream.hosts.iter().any(|host| upstream.hosts.contains(host));
    let mut listeners: Vec<&PostgresConfig> = config.postgres.iter().filter(same).collect();
    if listeners.is_empty() && config.postgres.len() == 1 {
        listeners.extend(&config.postgres);
    }
    if listeners.is_empty() {
        return Err(Stop::usage(
            "--database: no [[postgres]] section has this host and port in its `upstream`, and there are several: \
             which tables are meant can't be told",
        ));
    }
    Ok(vec![own(&listeners, upstream)])
}
