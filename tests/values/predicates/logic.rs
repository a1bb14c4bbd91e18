//! Three-valued logic, lists and arrays.

use super::database::{Db, compiled, tested};
use paravent::clear::Clear;
use paravent::pg::predicate::{Collation, Constant, Expr, Items, Operator, Test};

#[test]
fn nulls_and_lists_follow_three_valued_logic() {
    let db = Db::start();
    let c = Collation::c();
    let item = |at| Expr::Slot(at);
    let list = |operator, all| Test::Quantified {
        left: Expr::Column(0),
        operator,
        all,
        items: Items::List(vec![item(0), item(1)]),
    };
    let within = Test::between(&Expr::Column(0), &item(0), &item(1), false);
    let symmetric = Test::between(&Expr::Column(0), &item(0), &item(1), true);
    let compare = |op| Test::Compare(op, Expr::Column(0), item(0));
    let not = |t: Test| Test::Not(Box::new(t));
    let is = |t: Test, truth| Test::Is(Box::new(t), truth);
    let or =
        Test::Or(vec![compare(Operator::Equal), Test::Compare(Operator::Equal, Expr::Column(0), item(1))]);
    let and =
        Test::And(vec![compare(Operator::Less), Test::Compare(Operator::Greater, Expr::Column(0), item(1))]);
    let cases = vec![
        ("v IN (a, b)", list(Operator::Equal, false)),
        ("v NOT IN (a, b)", list(Operator::NotEqual, true)),
        ("v <> ANY (ARRAY[a, b])", list(Operator::NotEqual, false)),
        ("v = ALL (ARRAY[a, b])", list(Operator::Equal, true)),
        ("v < ANY (ARRAY[a, b])", list(Operator::Less, false)),
        ("v >= ALL (ARRAY[a, b])", list(Operator::GreaterEqual, true)),
        ("v LIKE ANY (ARRAY[a, b])", list(Operator::Like, false)),
        ("v NOT LIKE ALL (ARRAY[a, b])", list(Operator::NotLike, true)),
        ("v ~ ALL (ARRAY[a, b])", list(Operator::Match, true)),
        ("v BETWEEN a AND b", within.clone()),
        ("v NOT BETWEEN a AND b", not(within)),
        ("v BETWEEN SYMMETRIC a AND b", symmetric),
        ("v = a OR v = b", or.clone()),
        ("NOT (v = a OR v = b)", not(or.clone())),
        ("v < a AND v > b", and.clone()),
        ("(v < a AND v > b) IS NOT FALSE", not(is(and.clone(), Some(false)))),
        ("(v = a OR v = b) IS TRUE", is(or.clone(), Some(true))),
        ("(v = a OR v = b) IS UNKNOWN", is(or, None)),
        ("(v < a AND v > b) IS NOT UNKNOWN", not(is(and, None))),
        ("v IS DISTINCT FROM a", compare(Operator::Distinct)),
        ("v IS NOT DISTINCT FROM a", compare(Operator::NotDistinct)),
        ("v IS NULL", Test::IsNull(Expr::Column(0))),
        ("a IS NOT NULL", not(Test::IsNull(item(0)))),
        ("v = a", compare(Operator::Equal)),
        ("v <> a", compare(Operator::NotEqual)),
    ];
    let some = [None, Some("a"), Some("b"), Some("c"), Some("")];
    let rows: Vec<[Option<&str>; 3]> =
        (0..125).map(|i| [some[i / 25], some[i / 5 % 5], some[i % 5]]).collect();
    let column = |at: usize| rows.iter().map(|r| r[at]).collect::<Vec<_>>();
    for (sql, test) in cases {
        let sql = format!("SELECT {sql} FROM unnest($1::text[], $2::text[], $3::text[]) AS t (v, a, b)");
        let theirs: Vec<Option<bool>> = db.all(&sql, &[&column(0), &column(1), &column(2)]);
        let predicate = compiled(&test, &c, 2);
        for (row, theirs) in rows.iter().zip(theirs) {
            let constants = vec![row[1].map(Clear::text).into(), row[2].map(Clear::text).into()];
            assert_eq!(tested(&predicate, constants, row[0]), Ok(theirs), "{sql} {row:?}");
        }
    }
    // Arrays as parameters, the NULL array and the empty one among them.
    for (op, all) in [
        (Operator::Equal, false),
        (Operator::NotEqual, true),
        (Operator::Less, false),
        (Operator::Like, true),
    ] {
        let items = Items::Array(0);
        let predicate =
            compiled(&Test::Quantified { left: Expr::Column(0), operator: op, all, items }, &c, 1);
        let arrays: [Option<Vec<Option<&str>>>; 5] = [
            None,
            Some(vec![]),
            Some(vec![Some("a"), None]),
            Some(vec![Some("a"), Some("b")]),
            Some(vec![None]),
        ];
        let name = if op == Operator::Like { "LIKE" } else { op.name() };
        let sql = format!("SELECT $1::text {name} {} ($2::text[])", if all { "ALL" } else { "ANY" });
        for (value, array) in some.iter().flat_map(|v| arrays.iter().map(move |a| (v, a))) {
            let theirs: Vec<Option<bool>> = db.all(&sql, &[value, array]);
            let constant = match array {
                None => Constant::Null,
                Some(items) => Constant::Array(items.iter().map(|i| i.map(Clear::text)).collect()),
            };
            assert_eq!(
                tested(&predicate, vec![constant], *value),
                Ok(theirs[0]),
                "{sql} {value:?} {array:?}"
            );
        }
    }
}
