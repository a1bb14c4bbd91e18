//! What the guard makes of a column. Pure.

use super::Said;
use super::live::{Live, quoted};
use crate::policy::guard::{CONSTRAINT, Guarded, SCHEMA};
use crate::policy::model::{Policy, Table};

/// A column that can be guarded.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) live: Live,
    pub(super) guarded: Guarded,
    pub(super) domain: String,
}

/// The columns of a table that can be guarded, and what there is to say of the others.
pub(super) fn targets(policy: &Policy, table: &Table, live: &[Live]) -> (Vec<Target>, Vec<Said>) {
    let (mut targets, mut said) = (Vec::new(), Vec::new());
    let name = format!("{}.{}", table.schema, table.name);
    if live.is_empty() {
        said.push(note(format!("{name} is not there, or no table: run this again once it is")));
        return (targets, said);
    }
    if table.subject.when.is_some() {
        said.push(note(format!(
            "{name} can't be guarded: its rows are in clear where the subject's `when` is false, and a domain sees one value alone"
        )));
        return (targets, said);
    }
    for placed in &table.columns {
        let at = format!("{name}.{}", placed.column);
        let Some(column) = live.iter().find(|column| *column.name == *placed.column) else {
            said.push(wrong(format!("{at} does not exist")));
            continue;
        };
        let guarded = column.storage.and_then(|storage| Guarded::new(policy.field(placed.field), storage));
        match guarded {
            _ if column.other_domain => said.push(wrong(format!(
                "{at} has a domain of its own, {}: it is left alone; give the column the type below that domain to have it guarded",
                column.shown
            ))),
            None => said.push(wrong(format!("{at} is {}, which can't hold its field: see `paravent check`", column.shown))),
            Some(_) if column.inherited && column.domain.is_none() => said.push(wrong(format!(
                "{at} comes from a parent table that is not guarded: name that one in the policy too"
            ))),
            // Its parent's statement changes it.
            Some(_) if column.inherited => {}
            Some(guarded) => {
                targets.push(Target { live: column.clone(), domain: guarded.name(), guarded });
            }
        }
    }
    (targets, said)
}

impl Target {
    /// It has its domain.
    pub(super) fn is_guarded(&self) -> bool {
        self.live.domain.as_deref() == Some(&self.domain)
    }

    /// How many values lie there in clear, in children too.
    pub(super) fn count(&self) -> String {
        let column = format!("c.{}", quoted(&self.live.name));
        format!(
            "SELECT pg_catalog.count(*) FROM {} AS c WHERE NOT ({})",
            self.live.relation(),
            self.guarded.check(&column)
        )
    }

    /// Makes the column one of its domain, without a look at its rows. `there`: the domain exists.
    pub(super) fn statements(&self, there: bool) -> Vec<String> {
        let domain = domain(&self.domain);
        let mut all = Vec::new();
        if there {
            all.push(format!("ALTER DOMAIN {domain} DROP CONSTRAINT IF EXISTS {CONSTRAINT}"));
        } else {
            all.push(format!("CREATE DOMAIN {domain} AS {}", self.guarded.storage));
            all.push(format!("COMMENT ON DOMAIN {domain} IS 'Clients see {}'", self.guarded.ty));
        }
        all.push(self.live.alter(&domain));
        all.push(constrain(&domain, &self.guarded));
        all
    }

    /// Puts the constraint of this version in the place of what a domain has.
    pub(super) fn renew(&self) -> Vec<String> {
        let domain = domain(&self.domain);
        vec![
            format!("ALTER DOMAIN {domain} DROP CONSTRAINT IF EXISTS {CONSTRAINT}"),
            constrain(&domain, &self.guarded),
        ]
    }
}

/// NOT VALID: it holds for what is written from now on, and no table is read or locked for it.
fn constrain(domain: &str, guarded: &Guarded) -> String {
    format!("ALTER DOMAIN {domain} ADD CONSTRAINT {CONSTRAINT} CHECK ({}) NOT VALID", guarded.check("VALUE"))
}

pub(super) fn domain(name: &str) -> String {
    format!("{SCHEMA}.{}", quoted(name))
}

pub(super) fn note(text: String) -> Said {
    Said { wrong: false, text, sql: Vec::new() }
}

pub(super) fn wrong(text: String) -> Said {
    Said { wrong: true, text, sql: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::guard::Storage;

    const POLICY: &str = r#"
[fields]
name = "encrypt"
birth = { protect = "encrypt", type = "date" }
[[postgres]]
[postgres.tables.people]
subject = "id"
fields = ["name", "birth"]
[postgres.tables.log]
subject = { column = "object_id", when = "kind = '4'" }
fields = { label = "name" }
"#;

    fn live(name: &str, storage: Option<Storage>) -> Live {
        let (schema, table) = ("public".into(), "people".into());
        Live { schema, table, name: name.into(), storage, shown: "x".into(), ..Live::default() }
    }

    fn all(change: impl FnOnce(&mut Vec<Live>)) -> (Vec<String>, Vec<String>) {
        let policy = crate::config::policy_only(POLICY).unwrap();
        let mut columns = vec![live("name", Some(Storage::Text)), live("birth", Some(Storage::Bytea))];
        change(&mut columns);
        let table = policy.postgres[0].iter().find(|t| &*t.name == "people").unwrap();
        let (targets, said) = targets(&policy, table, &columns);
        (targets.into_iter().map(|t| t.domain).collect(), said.into_iter().map(|s| s.text).collect())
    }

    #[test]
    fn each_column_gets_the_domain_of_its_declared_type() {
        assert_eq!(all(|_| {}), (vec!["text".to_owned(), "date".to_owned()], vec![]));
    }

    #[test]
    fn what_can_not_be_guarded_is_told() {
        for (change, expected) in [
            ((|c: &mut Vec<Live>| c.clear()) as fn(&mut Vec<Live>), "is not there"),
            (|c| c[1].storage = None, "can't hold its field"),
            (|c| c[1].storage = Some(Storage::Text), "can't hold its field"),
            (|c| c[1].other_domain = true, "a domain of its own"),
            (|c| c[1].inherited = true, "a parent table"),
            (|c| drop(c.pop()), "does not exist"),
        ] {
            let (_, said) = all(change);
            assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
        }
    }

    #[test]
    fn rows_that_may_be_clear_are_not_guarded() {
        let policy = crate::config::policy_only(POLICY).unwrap();
        let table = policy.postgres[0].iter().find(|t| &*t.name == "log").unwrap();
        let (targets, said) = targets(&policy, table, &[live("label", Some(Storage::Text))]);
        assert!(targets.is_empty() && said[0].text.contains("`when`"));
    }

    #[test]
    fn a_column_keeps_its_collation() {
        let mut column = live("name", Some(Storage::Text));
        column.collation = Some("pg_catalog.\"C\"".into());
        let sql = column.alter("paravent.\"text\"");
        assert_eq!(
            sql,
            "ALTER TABLE \"public\".\"people\" ALTER COLUMN \"name\" TYPE paravent.\"text\" COLLATE pg_catalog.\"C\""
        );
    }
}
