//! LIKE, ILIKE, regular expressions, SIMILAR TO; equality and order under collations.

use super::database::{DETERMINISTIC, Db, Faults, compiled, one, operator, shown, tested};
use super::texts::{LETTERS, PIECES, Texts};
use paravent::pg::predicate::{Collation, Expr, Fault, Function, Operator, Test};

#[test]
fn like_and_ilike_match_as_the_server_does() {
    let db = Db::start();
    let pairs = Texts::new(1).pairs(1_500, Texts::like);
    let mut faults = Faults::default();
    for (op, sql) in [
        (Operator::Like, "LIKE"),
        (Operator::NotLike, "NOT LIKE"),
        (Operator::Ilike, "ILIKE"),
        (Operator::NotIlike, "NOT ILIKE"),
        (Operator::StartsWith, "^@"),
    ] {
        operator(&db, op, sql, DETERMINISTIC, &pairs, &mut faults, |_, _| false);
    }
    faults.none(40_000);
}

#[test]
fn an_escape_of_ones_own_means_what_it_means_there() {
    let db = Db::start();
    let pairs = Texts::new(2).pairs(1_000, Texts::like);
    let mut faults = Faults::default();
    for escape in ["!", "", "\\", "é", "%", "!!"] {
        let pattern = Expr::Call(Function::LikeEscape, vec![Expr::Slot(0), Expr::Slot(1)]);
        let predicate =
            compiled(&Test::Compare(Operator::Like, Expr::Column(0), pattern), &Collation::c(), 2);
        let mut pairs = pairs.clone();
        pairs.iter_mut().for_each(|(_, p)| *p = p.replace('\\', "!"));
        let theirs = db.tried(&format!("$1 LIKE $2 ESCAPE '{escape}'"), &pairs);
        for (pair, theirs) in pairs.iter().zip(theirs) {
            let ours = tested(&predicate, vec![one(&pair.1), one(escape)], Some(&pair.0));
            faults.compare(&format!("ESCAPE {escape}"), pair, &theirs, &shown(&ours));
        }
    }
    faults.none(5_000);
}

/// What is refused by name.
fn refused(pattern: &str, fault: &Fault) -> bool {
    let named = |word: &str, sign: &str| fault.message.contains(word) && pattern.contains(sign);
    fault.unsupported
        && (named("back references", "\\")
            || named("lookaround", "(?")
            || named("\\y", "\\")
            || named("\\y", "[[:")
            || named("collating elements", "[."))
}

#[test]
fn regular_expressions_match_as_the_server_does() {
    let db = Db::start();
    let mut texts = Texts::new(3);
    let pairs: Vec<_> = (0..6_000).map(|_| (texts.text(), texts.of(PIECES, 5))).collect();
    let mut faults = Faults::default();
    for (op, sql) in [
        (Operator::Match, "~"),
        (Operator::Imatch, "~*"),
        (Operator::NotMatch, "!~"),
        (Operator::NotImatch, "!~*"),
    ] {
        operator(&db, op, sql, &["C", "C.utf8", "fr_FR.utf8", "fr-x-icu"], &pairs, &mut faults, refused);
    }
    faults.none(40_000);
}

#[test]
fn similar_to_matches_as_the_server_does() {
    let db = Db::start();
    let mut texts = Texts::new(4);
    let pieces = [
        "a", "b", "é", "%", "_", "|", "(", ")", "*", "+", "[ab]", "[^a]", ".", "^", "$", "\\%", "{1,2}",
        "\\d",
    ];
    let pairs: Vec<_> = (0..3_000).map(|_| (texts.text(), texts.of(&pieces, 5))).collect();
    let pattern = Expr::Call(Function::SimilarToEscape, vec![Expr::Slot(0)]);
    let predicate = compiled(&Test::Compare(Operator::Match, Expr::Column(0), pattern), &Collation::c(), 1);
    let mut faults = Faults::default();
    for (pair, theirs) in pairs.iter().zip(db.tried("$1 SIMILAR TO $2 COLLATE \"C\"", &pairs)) {
        let ours = tested(&predicate, vec![one(&pair.1)], Some(&pair.0));
        faults.compare("SIMILAR TO", pair, &theirs, &shown(&ours));
    }
    faults.none(3_000);
}

#[test]
fn nondeterministic_collations_hold_equal_what_the_server_holds_equal() {
    let db = Db::start();
    let mut texts = Texts::new(9);
    let pairs: Vec<_> =
        (0..3_000).map(|_| (texts.of(&LETTERS[..8], 3), texts.of(&LETTERS[..8], 3))).collect();
    let mut faults = Faults::default();
    for (op, sql) in [
        (Operator::Equal, "="),
        (Operator::NotEqual, "<>"),
        (Operator::Less, "<"),
        (Operator::GreaterEqual, ">="),
    ] {
        operator(&db, op, sql, &["ignoring", "fr-x-icu", "C"], &pairs, &mut faults, |_, _| false);
    }
    faults.none(30_000);
}
