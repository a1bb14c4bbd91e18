//! The planner alone, on every statement of every file; without `PARAVENT_SUITE=whole` on a sample of each file's.

use super::chosen::{Candidate, Chosen, Type, choose, stored};
use super::places::{Known, Rewritten, rewrite};
use super::suite::{self, files, seed, whole};
use crate::support::{Postgres, Raw};
use paravent::pg::catalog::{Snapshot, queries};
use paravent::pg::plan::{Action, Plan, Source, Verdict};
use paravent::pg::sql::{Scope, plan};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A statement of the suite takes a few milliseconds without optimisation.
const LONGEST: Duration = Duration::from_secs(4);

/// The sample is every so many-th statement of the suite, from another one on each time.
const STEP: usize = 4;

/// What became of the statements.
#[derive(Default)]
struct Tally {
    passed: usize,
    planned: usize,
    refused: BTreeMap<String, usize>,
    fails: usize,
    /// Values of protected columns that were looked for.
    values: usize,
    faults: Vec<String>,
    longest: (Duration, String),
}

/// A server with the suite's relations as far as they can be made one by one; the first of a name counts.
fn database() -> (Postgres, Vec<Vec<Vec<Option<String>>>>) {
    let pg = Postgres::start();
    let mut client = Raw::connect_as(pg.port(), &[("user", "postgres"), ("database", "app")]);
    let defines = |sql: &str| {
        let lower = sql.to_lowercase();
        let words: Vec<&str> = lower.split_whitespace().take(4).collect();
        let what =
            ["table", "view", "materialized", "schema", "domain", "type", "function", "procedure", "trigger"];
        words.first() == Some(&"create")
            && words.iter().any(|w| what.contains(w))
            && !words.iter().any(|w| w.starts_with("temp"))
    };
    for file in std::iter::once(suite::file("test_setup")).chain(files()) {
        for statement in file.statements.iter().filter(|s| defines(&s.sql) && s.data.is_none()) {
            client.query(&statement.sql);
        }
    }
    let answers = queries::ALL.iter().map(|q| client.rows(q)).collect();
    (pg, answers)
}

fn candidates(snapshot: &Snapshot) -> (Vec<Candidate>, Known) {
    let mut tables = Vec::new();
    let mut known = Known::new();
    for relation in snapshot.catalog.relations.values() {
        let columns = || relation.columns.iter().map(|c| c.name.to_string());
        if &*relation.schema == "public" && relation.kind == paravent::pg::catalog::model::RelationKind::Table
        {
            known.insert(relation.name.to_string(), columns().collect());
            let types = relation.columns.iter().map(|c| Type::of(c.type_oid, c.typmod));
            tables.push(Candidate {
                name: relation.name.to_string(),
                columns: columns().zip(types).collect(),
                grows: false,
            });
        }
    }
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    (tables, known)
}

/// Everything that would go to the server for a plan, as far as it is settled already.
fn in_clear(plan: &Plan, values: &Rewritten) -> Option<String> {
    // A plan as it is printed holds its texts, and no value.
    let text = format!("{plan:?}");
    let relayed = |needle: &str| {
        plan.params.iter().any(|p| match (&p.source, &p.action) {
            (Source::Literal(Some(value)), Action::Relay) => {
                memchr::memmem::find(value.bytes(), needle.as_bytes()).is_some()
            }
            _ => false,
        })
    };
    let found = values.forbidden.iter().find(|(value, _)| text.contains(value.as_str()) || relayed(value));
    found.map(|(_, column)| column.clone())
}

fn judge(sql: &str, values: &Rewritten, scope: &Scope<'_>, tally: &mut Tally) {
    let begun = Instant::now();
    let planned = plan(&values.sql, &[], scope);
    let took = begun.elapsed();
    if took > tally.longest.0 {
        tally.longest = (took, sql.to_owned());
    }
    tally.values += values.forbidden.len();
    let mut fault = |what: String| tally.faults.push(format!("{what}: {sql}"));
    let mut refused: Vec<String> = Vec::new();
    let clear = |text: &str| values.forbidden.iter().find(|(v, _)| text.contains(v.as_str())).map(|(_, c)| c);
    match planned {
        Err(refusal) => refused.push(format!("{}: {}", refusal.anchor, refusal.message)),
        Ok(statements) => {
            // One that is refused holds back all that came with it.
            let any = statements.iter().any(|s| matches!(s.verdict, Verdict::Refuse(_)));
            for statement in statements {
                let text = &values.sql[statement.range.clone()];
                match statement.verdict {
                    Verdict::Refuse(refusal) => {
                        refused.push(format!("{}: {}", refusal.anchor, refusal.message));
                    }
                    Verdict::Run(plan) => {
                        tally.planned += 1;
                        if let Some(column) = in_clear(&plan, values) {
                            fault(format!("a value of {column} is in the plan {}", plan.sql));
                        }
                    }
                    Verdict::Fails(text) => {
                        tally.fails += 1;
                        if let Some(column) = clear(&text) {
                            fault(format!("a value of {column} is in what fails"));
                        }
                    }
                    Verdict::Pass | Verdict::Call(_) if !any => {
                        tally.passed += 1;
                        if let Some(column) = clear(text) {
                            fault(format!("a value of {column} passes"));
                        }
                    }
                    Verdict::Pass | Verdict::Call(_) | Verdict::Missing(_) => {}
                    Verdict::NeedsCatalog => fault("a catalog that is fresh is asked for again".into()),
                }
            }
        }
    }
    for refusal in refused {
        if refusal.contains("the parser can't show") {
            fault("the parser's bindings panicked".into());
        }
        let anchor = refusal.split(':').next().unwrap_or_default().to_owned();
        *tally.refused.entry(anchor).or_default() += 1;
    }
}

#[test]
fn statements_of_every_file_are_refused_or_planned_without_a_value_of_a_protected_column() {
    let seed = seed();
    let begun = Instant::now();
    let (_pg, answers) = database();
    println!("the tables are made after {:?}", begun.elapsed());
    let mut all: Vec<(u64, String)> = std::iter::once(suite::file("test_setup"))
        .chain(files())
        .flat_map(|f| f.statements.into_iter().map(|s| s.sql))
        .enumerate()
        .map(|(i, sql)| (u64::try_from(i).unwrap(), sql))
        .collect();
    assert!(all.len() > 25_000, "the suite is split: {}", all.len());
    let step = if whole() { 1 } else { STEP };
    all.retain(|(i, _)| (i + seed).is_multiple_of(u64::try_from(step).unwrap()));
    let plain = Snapshot::new(answers.clone(), &[], 1).unwrap();
    let (candidates, known) = candidates(&plain);
    assert!(candidates.len() > 300, "the suite's tables are there: {}", candidates.len());
    let rounds = if whole() { 6 } else { 1 };
    for round in 0..rounds {
        // From a few of the tables to nearly all of them.
        let part = if whole() { [0.1, 0.3, 0.5, 0.7, 0.9, 1.0][round] } else { 0.6 };
        let chosen = choose(&candidates, part, seed + u64::try_from(round).unwrap());
        let policy =
            paravent::config::policy_only(&format!("{}\n[[postgres]]\n{}", chosen.fields, chosen.sections))
                .unwrap();
        let snapshot = Snapshot::new(answers.clone(), &policy.postgres[0], 2).unwrap();
        let path: Vec<Arc<str>> = vec!["public".into()];
        let scope = Scope {
            policy: &policy,
            tables: &snapshot.catalog.tables,
            catalog: &snapshot.catalog,
            search_path: path[..].into(),
            refreshed: true,
            server_version: snapshot.catalog.server_version,
        };
        let tally = plan_all(&all, &chosen, &known, &snapshot, &scope);
        let refused: usize = tally.refused.values().sum();
        println!(
            "{} tables protected: {} statements planned, {refused} refused, {} fail by name, {} pass; {} values looked for; \
             the longest took {:?}",
            chosen.tables.len(),
            tally.planned,
            tally.fails,
            tally.passed,
            tally.values,
            tally.longest.0
        );
        println!("{:?}, after {:?}", tally.refused, begun.elapsed());
        let shown = tally.faults.iter().take(20).cloned().collect::<Vec<_>>().join("\n\n");
        assert!(tally.faults.is_empty(), "{} faults:\n{shown}", tally.faults.len());
        assert!(tally.longest.0 < LONGEST, "{:?}", tally.longest);
        // With few tables protected, fewer.
        let most = if part < 0.3 { 2 } else { 1 };
        assert!(tally.planned > 200 / most / step && refused > 100 / most / step);
        assert!(tally.passed > 5_000 / step && tally.values > 300 / most / step);
    }
}

fn plan_all(
    all: &[(u64, String)],
    chosen: &Chosen,
    known: &Known,
    snapshot: &Snapshot,
    scope: &Scope<'_>,
) -> Tally {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let parts: Vec<Tally> = std::thread::scope(|s| {
        let part = |n: usize| {
            move || {
                let mut tally = Tally::default();
                for (i, sql) in all.iter().skip(n).step_by(threads) {
                    let mut values = rewrite(sql, chosen, known, Some(*i));
                    values.sql = stored(&values.sql, chosen);
                    if snapshot.filter.may_touch(values.sql.as_bytes()) {
                        judge(sql, &values, scope, &mut tally);
                    } else {
                        tally.passed += 1;
                        if let Some((_, column)) = values.forbidden.first() {
                            tally.faults.push(format!("a value of {column} is not even looked at: {sql}"));
                        }
                    }
                }
                tally
            }
        };
        // The walk is recursive, and there are statements of a thousand levels.
        let spawn = |n| std::thread::Builder::new().stack_size(32 << 20).spawn_scoped(s, part(n)).unwrap();
        let running: Vec<_> = (0..threads).map(spawn).collect();
        running.into_iter().map(|t| t.join().unwrap()).collect()
    });
    parts.into_iter().fold(Tally::default(), |mut sum, part| {
        sum.passed += part.passed;
        sum.planned += part.planned;
        sum.fails += part.fails;
        sum.values += part.values;
        sum.faults.extend(part.faults);
        for (anchor, n) in part.refused {
            *sum.refused.entry(anchor).or_default() += n;
        }
        if part.longest.0 > sum.longest.0 {
            sum.longest = part.longest;
        }
        sum
    })
}
