//! Texts in order.

use super::database::{Db, settings};
use super::texts::to_sort;
use paravent::clear::Clear;
use paravent::pg::predicate::{Collation, Column, Expr, Key, Order, Scope, distinct, sorted};
use paravent::policy::model::Declared;

/// Our order of such values, by one key.
pub(super) fn ordered(
    values: &[Option<Clear>],
    declared: Declared,
    collation: &Collation,
    descending: bool,
) -> (Vec<usize>, Vec<usize>) {
    let columns = [Column { ty: declared, collation: Some(collation.clone()) }];
    let c = Collation::c();
    let scope = Scope { columns: &columns, slots: &[], default: &c, server_version: 150_000 };
    let key = Key { expr: Expr::Column(0), descending, nulls_first: descending };
    let order = Order::compile(&[key], &scope).unwrap().bind(Vec::new(), &settings()).unwrap();
    let keys: Vec<_> = values.iter().map(|v| order.key(&[v.as_ref()]).unwrap()).collect();
    (sorted(&keys), distinct(&keys))
}

#[test]
fn texts_are_sorted_as_on_the_server_or_as_far_from_it_as_documented() {
    let db = Db::start();
    let all = to_sort(3_000);
    let clears: Vec<Option<Clear>> = all.iter().map(|t| Some(Clear::text(t))).collect();
    // Pairs of neighbours on the server, of a thousand, that come the other way round here.
    for (name, most) in [
        ("C", 0),
        ("C.utf8", 0),
        ("und-x-icu", 0),
        ("fr-x-icu", 0),
        ("de-x-icu", 0),
        ("sv-x-icu", 0),
        ("phonebook", 0),
        ("numbers", 0),
        ("shifted", 0),
        ("upperfirst", 0),
        ("ignoring", 0),
        ("en_US.utf8", 3),
        ("fr_FR.utf8", 3),
    ] {
        let collation = db.needed(name);
        let sql = format!(
            "SELECT i FROM unnest($1::text[]) WITH ORDINALITY AS t (v, i) ORDER BY v COLLATE \"{name}\", i"
        );
        let theirs: Vec<i64> = db.all(&sql, &[&all]);
        let (ours, first) = ordered(&clears, Declared::Text, &collation, false);
        let mut place = vec![0; all.len()];
        ours.iter().enumerate().for_each(|(at, i)| place[*i] = at);
        let turned: Vec<(&str, &str)> = theirs
            .windows(2)
            .map(|w| ((w[0] - 1) as usize, (w[1] - 1) as usize))
            .filter(|(a, b)| place[*a] > place[*b])
            .map(|(a, b)| (&*all[a], &*all[b]))
            .collect();
        let share = turned.len() * 1_000 / all.len();
        println!(
            "{name}: {} of {} neighbours turned round: {:?}",
            turned.len(),
            all.len(),
            &turned[..turned.len().min(12)]
        );
        assert!(
            share <= most,
            "{name}: {share} of 1000 neighbours are turned round: {:?}",
            &turned[..turned.len().min(20)]
        );
        let sql = format!(
            "SELECT min(i) FROM unnest($1::text[]) WITH ORDINALITY AS t (v, i) GROUP BY v COLLATE \"{name}\" ORDER BY 1"
        );
        let groups: Vec<i64> = db.all(&sql, &[&all]);
        assert_eq!(first.iter().map(|i| *i as i64 + 1).collect::<Vec<_>>(), groups, "{name}");
    }
}
