//! Every character: its cases, and its classes.

use super::database::{Db, compiled, one, settings, tested};
use paravent::clear::Clear;
use paravent::pg::predicate::{Collation, Expr, Function, Operator, Test};
use std::collections::BTreeSet;

const CLASSES: &[&str] = &[
    "alpha", "alnum", "digit", "lower", "upper", "punct", "space", "graph", "print", "blank", "cntrl",
    "xdigit", "word",
];

/// Every character of the planes that hold letters.
fn characters() -> Vec<String> {
    (1..0x2_0000_u32).chain(0xe_0000..0xe_0200).filter_map(char::from_u32).map(String::from).collect()
}

#[test]
fn letters_are_those_of_the_server_but_for_those_that_unicode_has_changed_since() {
    let db = Db::start();
    let all = characters();
    for (name, most) in [("C", 0), ("C.utf8", 60), ("fr_FR.utf8", 60), ("und-x-icu", 20)] {
        let collation = db.needed(name);
        let mut differ = BTreeSet::new();
        for (function, sql) in [(Function::Upper, "upper"), (Function::Lower, "lower")] {
            let sql = format!("SELECT {sql}(c COLLATE \"{name}\") FROM unnest($1::text[]) AS t (c)");
            let theirs: Vec<String> = db.all(&sql, &[&all]);
            let test = Test::Compare(
                Operator::Equal,
                Expr::Collate(Box::new(Expr::Call(function, vec![Expr::Column(0)])), Collation::c()),
                Expr::Slot(0),
            );
            let predicate = compiled(&test, &collation, 1);
            for (c, theirs) in all.iter().zip(theirs) {
                if tested(&predicate, vec![one(&theirs)], Some(c)) != Ok(Some(true)) {
                    differ.insert(c.clone());
                }
            }
        }
        let of_class = |class: &str| -> Vec<bool> {
            let pattern = format!("[[:{class}:]]");
            let sql = format!("SELECT c ~ $2 COLLATE \"{name}\" FROM unnest($1::text[]) AS t (c)");
            db.all(&sql, &[&all, &pattern])
        };
        for class in CLASSES {
            let test = Test::Compare(Operator::Match, Expr::Column(0), Expr::Slot(0));
            let predicate = compiled(&test, &collation, 1);
            let bound = predicate.bind(vec![one(&format!("[[:{class}:]]"))], &settings()).unwrap();
            for (c, theirs) in all.iter().zip(of_class(class)) {
                let value = Clear::text(c);
                if bound.test(&[Some(&value)]) != Ok(Some(theirs)) {
                    differ.insert(c.clone());
                }
            }
        }
        // What the server can't print it does not know yet.
        let known: BTreeSet<&String> =
            all.iter().zip(of_class("print")).filter(|(_, p)| *p).map(|(c, _)| c).collect();
        let changed: Vec<&String> = differ.iter().filter(|c| known.contains(c)).collect();
        println!("{name}: {} newer, changed {changed:?}", differ.len() - changed.len());
        assert!(changed.len() <= most, "{name}: {} differ: {changed:?}", changed.len());
        assert!(name != "C" || differ.is_empty());
    }
}
