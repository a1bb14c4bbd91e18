//! Comparisons and order of every declared type.

use super::database::{Db, settings};
use super::orders::ordered;
use crate::generate::Source;
use paravent::clear::Clear;
use paravent::pg::predicate::{Collation, Column, Constant, Expr, Operator, Predicate, Scope, Test};
use paravent::pg::value::{Format, decode};
use paravent::policy::model::Declared;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const TYPES: &[(&str, Declared)] = &[
    ("text", Declared::Text),
    ("varchar(5)", Declared::Varchar(Some(5))),
    ("integer", Declared::Integer),
    ("bigint", Declared::Bigint),
    ("numeric", Declared::Numeric(None)),
    ("numeric(10,2)", Declared::Numeric(Some((10, 2)))),
    ("boolean", Declared::Boolean),
    ("date", Declared::Date),
    ("timestamptz", Declared::Timestamptz(None)),
    ("uuid", Declared::Uuid),
    ("jsonb", Declared::Jsonb),
    ("bytea", Declared::Bytea),
];

/// Values of that type that the server takes, as it prints them; some twice, so that there are equal ones.
fn values(db: &Db, sql_type: &str) -> Vec<String> {
    let mut source = Source::new(sql_type, 77);
    let mut given: Vec<String> = crate::generate::known(sql_type)
        .into_iter()
        .chain((0..400).map(|_| source.value()))
        .filter_map(|v| String::from_utf8(v).ok())
        .collect();
    if sql_type == "jsonb" {
        given.extend(
            ["[]", "{}", "null", "[[]]", "[1]", "1", "1.0", "1.00", "\"a\"", "[1.0]", "true", "false"]
                .map(Into::into),
        );
    }
    let sql = format!("tried('($1::{sql_type})::text', a, NULL)");
    let printed: Vec<Option<String>> =
        db.all(&format!("SELECT {sql} FROM unnest($1::text[]) AS t (a)"), &[&given]);
    let mut printed: Vec<String> = printed.into_iter().flatten().filter(|p| !p.starts_with("!2")).collect();
    printed.truncate(320);
    let again = printed[..printed.len() / 4].to_vec();
    printed.extend(again);
    printed
}

fn clear(text: &str, declared: Declared) -> Clear {
    decode(text.as_bytes(), Format::Text, 0, declared, &settings()).unwrap()
}

#[test]
fn values_of_every_type_compare_as_the_server_compares_them() {
    let db = Db::start();
    let mut compared = 0;
    let mut faults = Vec::new();
    for (sql_type, declared) in TYPES {
        let all = values(&db, sql_type);
        let mut random = StdRng::seed_from_u64(8);
        let pairs: Vec<(&str, &str)> = (0..2_500)
            .map(|_| (&*all[random.random_range(0..all.len())], &*all[random.random_range(0..all.len())]))
            .collect();
        let (a, b): (Vec<&str>, Vec<&str>) = pairs.iter().copied().unzip();
        let base = sql_type.split('(').next().unwrap();
        for op in ["=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM"] {
            let sql =
                format!("SELECT a::{base} {op} b::{base} FROM unnest($1::text[], $2::text[]) AS t (a, b)");
            let theirs: Vec<bool> = db.all(&sql, &[&a, &b]);
            let operator = Operator::named(op).unwrap_or(Operator::Distinct);
            let test = Test::Compare(operator, Expr::Column(0), Expr::Slot(0));
            let columns = [Column { ty: *declared, collation: None }];
            let c = Collation::c();
            let scope = Scope { columns: &columns, slots: &[None], default: &c, server_version: 150_000 };
            let predicate = Predicate::compile(&test, &scope).unwrap();
            for ((a, b), theirs) in pairs.iter().zip(theirs) {
                let constant = clear(b, predicate.slots()[0].ty);
                let bound = predicate.bind(vec![Constant::One(constant)], &settings()).unwrap();
                let value = clear(a, *declared);
                compared += 1;
                let ours = bound.test(&[Some(&value)]);
                if ours != Ok(Some(theirs)) {
                    faults.push(format!("{sql_type}: {a:?} {op} {b:?} server {theirs}, ours {ours:?}"));
                }
            }
        }
    }
    assert!(compared > 150_000);
    assert!(faults.is_empty(), "{} differ\n{}", faults.len(), faults[..faults.len().min(40)].join("\n"));
}

#[test]
fn values_of_every_type_are_ordered_and_told_apart_as_on_the_server() {
    let db = Db::start();
    for (sql_type, declared) in TYPES {
        let mut all: Vec<Option<String>> = values(&db, sql_type).into_iter().map(Some).collect();
        all.extend([None, None]);
        let clears: Vec<Option<Clear>> =
            all.iter().map(|v| v.as_deref().map(|v| clear(v, *declared))).collect();
        let base = sql_type.split('(').next().unwrap();
        for (direction, descending) in [("", false), ("DESC", true)] {
            let sql = format!(
                "SELECT i FROM unnest($1::text[]) WITH ORDINALITY AS t (v, i) ORDER BY v::{base} {direction}, i"
            );
            let theirs: Vec<i64> = db.all(&sql, &[&all]);
            let (ours, first) = ordered(&clears, *declared, &Collation::c(), descending);
            let ours: Vec<i64> = ours.into_iter().map(|i| i as i64 + 1).collect();
            assert_eq!(ours, theirs, "{sql_type} {direction}");
            let sql = format!(
                "SELECT min(i) FROM unnest($1::text[]) WITH ORDINALITY AS t (v, i) GROUP BY v::{base} ORDER BY 1"
            );
            let theirs: Vec<i64> = db.all(&sql, &[&all]);
            assert_eq!(first.into_iter().map(|i| i as i64 + 1).collect::<Vec<_>>(), theirs, "{sql_type}");
        }
    }
}
