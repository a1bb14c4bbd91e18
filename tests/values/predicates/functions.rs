//! Functions of texts.

use super::database::{DETERMINISTIC, Db, Faults, one, tested, text_column};
use super::texts::{LETTERS, Texts};
use paravent::clear::{Clear, Kind};
use paravent::pg::predicate::{Collation, Constant, Expr, Function, Operator, Predicate, Scope, Test};
use paravent::policy::model::Declared;

#[test]
fn functions_of_texts_give_what_the_server_gives() {
    use Function as F;
    let db = Db::start();
    let pairs = Texts::new(5).pairs(800, |texts, _| texts.of(&LETTERS[..12], 2));
    let mut faults = Faults::default();
    let a = || Expr::Column(0);
    let b = || Expr::Slot(0);
    let n = || Expr::Slot(2);
    let m = || Expr::Slot(3);
    let cases: Vec<(&str, Expr)> = vec![
        ("upper({a})", Expr::Call(F::Upper, vec![a()])),
        ("lower({a})", Expr::Call(F::Lower, vec![a()])),
        ("initcap({a})", Expr::Call(F::Initcap, vec![a()])),
        ("btrim({a})", Expr::Call(F::Btrim, vec![a()])),
        ("btrim({a}, {b})", Expr::Call(F::Btrim, vec![a(), b()])),
        ("ltrim({a}, {b})", Expr::Call(F::Ltrim, vec![a(), b()])),
        ("rtrim({a}, {b})", Expr::Call(F::Rtrim, vec![a(), b()])),
        ("left({a}, {n})", Expr::Call(F::Left, vec![a(), n()])),
        ("right({a}, {n})", Expr::Call(F::Right, vec![a(), n()])),
        ("substr({a}, {n})", Expr::Call(F::Substr, vec![a(), n()])),
        ("substr({a}, {n}, {m})", Expr::Call(F::Substr, vec![a(), n(), m()])),
        (
            "{a} || ' ' || {b}",
            Expr::Call(F::Concat, vec![Expr::Call(F::Concat, vec![a(), Expr::Slot(4)]), b()]),
        ),
        ("concat({a}, NULL::text, {b})", Expr::Call(F::ConcatAll, vec![a(), Expr::Slot(5), b()])),
        ("concat_ws({b}, {a}, NULL::text, {a})", Expr::Call(F::ConcatWs, vec![b(), a(), Expr::Slot(5), a()])),
        ("replace({a}, {b}, ' ')", Expr::Call(F::Replace, vec![a(), b(), Expr::Slot(4)])),
        ("reverse({a})", Expr::Call(F::Reverse, vec![a()])),
        ("coalesce({a}, {b})", Expr::Call(F::Coalesce, vec![a(), b()])),
        ("nullif({a}, {b})", Expr::Call(F::Nullif, vec![a(), b()])),
        ("{a}::varchar(3)", Expr::Cast(Box::new(a()), Declared::Varchar(Some(3)))),
        ("length({a})", Expr::Cast(Box::new(Expr::Call(F::Length, vec![a()])), Declared::Text)),
        ("octet_length({a})", Expr::Cast(Box::new(Expr::Call(F::OctetLength, vec![a()])), Declared::Text)),
        ("strpos({a}, {b})", Expr::Cast(Box::new(Expr::Call(F::Strpos, vec![a(), b()])), Declared::Text)),
    ];
    for (name, collation) in db.collations(DETERMINISTIC) {
        for (sql, expr) in &cases {
            if sql.starts_with("initcap") && name.ends_with("icu") {
                continue;
            }
            for (n, m) in [(2, 1), (-1, 3), (0, 2), (3, -1)] {
                if (n, m) != (2, 1) && !sql.contains("{n}") {
                    continue;
                }
                let sql = sql
                    .replace("{a}", &format!("($1 COLLATE \"{name}\")"))
                    .replace("{b}", "$2")
                    .replace("{n}", &n.to_string())
                    .replace("{m}", &m.to_string());
                let theirs = db.tried(&format!("'=' || ({sql})"), &pairs);
                let test = Test::Compare(Operator::NotDistinct, expr.clone(), Expr::Slot(1));
                let columns = text_column(&collation);
                let c = Collation::c();
                let slots = [None, None, None, None, None, None];
                let scope = Scope { columns: &columns, slots: &slots, default: &c, server_version: 150_000 };
                let predicate = Predicate::compile(&test, &scope).unwrap();
                for (pair, theirs) in pairs.iter().zip(theirs) {
                    let int = |n: i64| Constant::One(Clear::new(Kind::Int, n.to_be_bytes().to_vec()));
                    let used = |at: usize, value: Constant| match predicate.slots()[at].ty {
                        Declared::Integer => value,
                        _ => Constant::Null,
                    };
                    let wanted = theirs.as_deref().and_then(|t| t.strip_prefix('='));
                    let constants = vec![
                        one(&pair.1),
                        wanted.map_or(Constant::Null, one),
                        used(2, int(n)),
                        used(3, int(m)),
                        one(" "),
                        Constant::Null,
                    ];
                    let ours = tested(&predicate, constants, Some(&pair.0));
                    let same = match (&ours, theirs.as_deref()) {
                        (Ok(Some(same)), _) if !theirs.as_deref().is_some_and(|t| t.starts_with('!')) => {
                            *same
                        }
                        (Err(fault), Some(t)) => format!("!{}", fault.sqlstate) == t,
                        _ => false,
                    };
                    let ours = if same { theirs.clone() } else { Some(format!("{ours:?}")) };
                    faults.compare(&format!("{sql} {name} {n} {m}"), pair, &theirs, &ours);
                }
            }
        }
    }
    faults.none(20_000);
}
