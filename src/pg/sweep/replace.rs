//! A token that others hold too, replaced in their rows and taken out of all others.

use super::super::catalog::rows;
use super::super::recovery::literal;
use super::column::{Column, IDLE, Stop, columns};
use super::{PATIENCE, Stage, Sweeper};
use crate::policy::model::Protect;
use crate::protect::places::{Fence, Replaced};
use std::collections::BTreeSet;
use std::io;
use tokio_postgres::Client;

impl Sweeper {
    pub(super) async fn replace_everywhere(
        &self,
        replaced: &Replaced,
        fence: &dyn Fence,
    ) -> Result<bool, String> {
        let own: Box<str> = self.connector.database().into();
        let databases: BTreeSet<Box<str>> = replaced.databases.iter().cloned().chain([own]).collect();
        let mut over = true;
        for database in databases {
            let client = self.connector.own_login(&database).await.map_err(|e| e.to_string())?;
            rows(&client, PATIENCE).await.map_err(|e| e.to_string())?;
            // Read before the tables are: what commits in between is found by the pass after.
            let horizon = horizon(&client).await.map_err(|e| e.to_string())?;
            let mut changed = false;
            for table in &self.tables {
                for column in columns(&client, table, &self.door).await.map_err(|e| e.to_string())? {
                    let done = self.replace_in(&client, &column, replaced, fence).await;
                    changed |= done.map_err(|(Stop::Later(why) | Stop::Missed(why))| {
                        format!("{}: {why}", column.place(&database))
                    })?;
                }
            }
            over &= self.is_over(horizon, &database, &replaced.old, changed);
        }
        Ok(over)
    }

    /// Whether any row had it.
    async fn replace_in(
        &self,
        client: &Client,
        column: &Column<'_>,
        replaced: &Replaced,
        fence: &dyn Fence,
    ) -> Result<bool, Stop> {
        match &self.door.policy().field(column.placed.field).protect {
            Protect::Pseudonym { domain, .. } if **domain == *replaced.domain => {}
            _ => return Ok(false),
        }
        let old = replaced.old.to_string();
        let here = column.any_of(&[&old]);
        let holders = replaced.holders.iter().filter(|holder| holder.class == column.table.subject.class);
        let ids: Vec<String> = holders.map(|holder| literal(&holder.id)).collect();
        let (mut changed, mut idle) = (false, 0);
        while !ids.is_empty() {
            let test = format!("{here} AND {} = ANY(ARRAY[{}]::text[])", column.whose(), ids.join(", "));
            let found = column.find(client, &test, 0).await?;
            if found.is_empty() {
                break;
            }
            changed = true;
            let new = vec![Some(replaced.new.to_string()); found.len()];
            let done = column.replace(client, &found, &new).await?;
            idle = if done.is_empty() { idle + 1 } else { 0 };
            if idle > IDLE {
                return Err(Stop::Missed(format!(
                    "{} rows stay as they are when they are updated",
                    found.len()
                )));
            }
        }
        // What is left is nobody's any more.
        let mut counts = [0];
        self.overwrite(client, column, &here, fence, |_| Some(0), &mut counts).await?;
        Ok(changed || counts[0] > 0)
    }

    /// As recovery does: once every transaction that began before a pass has ended, and the pass after found nothing.
    fn is_over(&self, (xmin, xmax): (u64, u64), database: &str, old: &str, changed: bool) -> bool {
        let mut replaced = self.replaced.lock();
        let key = (Box::from(database), Box::from(old));
        match replaced.get(&key).copied() {
            None => drop(replaced.insert(key, Stage::Seen)),
            Some(Stage::Seen) => drop(replaced.insert(key, Stage::Before(xmax))),
            Some(Stage::Before(end)) => return !changed && xmin >= end,
        }
        false
    }
}

/// The oldest transaction that still runs, and the next one to begin.
async fn horizon(client: &Client) -> io::Result<(u64, u64)> {
    let horizon = rows(
        client,
        "SELECT pg_catalog.pg_snapshot_xmin(s)::text, pg_catalog.pg_snapshot_xmax(s)::text \
         FROM pg_catalog.pg_current_snapshot() AS s",
    )
    .await?;
    let number = |i: usize| horizon.first()?.get(i)?.as_ref()?.parse::<u64>().ok();
    let both = number(0).zip(number(1));
    both.ok_or_else(|| io::Error::other("the transaction horizon could not be read"))
}
