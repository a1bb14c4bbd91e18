use super::*;
use crate::clear::Kind;
use crate::pg::value::Settings;
use crate::policy::model::Declared;

fn settings(zone: &str) -> Settings {
    Settings {
        date_style: "ISO, DMY".into(),
        time_zone: zone.into(),
        bytea_escape: false,
        charset: None,
        server: 0,
    }
}

fn icu(name: &str, locale: &str, deterministic: bool) -> Collation {
    let row = CollationRow {
        name,
        provider: 'i',
        collate: None,
        ctype: None,
        locale: Some(locale),
        rules: None,
        deterministic,
    };
    Collation::resolve(&row).unwrap()
}

/// Columns: a text in the database's collation, two of other ones, then one of each type named.
fn columns(types: &[Declared]) -> Vec<Column> {
    let of = |ty, collation| Column { ty, collation };
    let mut all = vec![
        of(Declared::Text, None),
        of(Declared::Varchar(Some(20)), Some(icu("fr", "fr", true))),
        of(Declared::Text, Some(icu("ignoring", "und-u-ks-level1", false))),
    ];
    all.extend(types.iter().map(|ty| of(*ty, None)));
    all
}

fn compile(test: &Test, types: &[Declared], slots: &[Option<Declared>]) -> Result<Predicate, Unsupported> {
    let (columns, default) = (columns(types), Collation::c());
    Predicate::compile(test, &Scope { columns: &columns, slots, default: &default, server_version: 150_000 })
}

fn equal(left: Expr, right: Expr) -> Test {
    Test::Compare(Operator::Equal, left, right)
}

const SLOT: Expr = Expr::Slot(0);

fn column(at: usize) -> Expr {
    Expr::Column(at)
}

fn cast(of: Expr, ty: Declared) -> Expr {
    Expr::Cast(Box::new(of), ty)
}

/// Tests one column of that type, the fourth, with constants.
fn tests(test: &Test, ty: Declared, value: &Clear, constants: Vec<Constant>) -> Result<Option<bool>, Fault> {
    let predicate = compile(test, &[ty], &vec![None; constants.len()]).unwrap();
    predicate.bind(constants, &settings("Europe/Paris"))?.test(&[None, None, None, Some(value)])
}

fn int(n: i64) -> Clear {
    Clear::new(Kind::Int, n.to_be_bytes().to_vec())
}

fn numeric(n: &str) -> Clear {
    Clear::new(Kind::Numeric, n.as_bytes().to_vec())
}

#[test]
fn an_unknown_constant_is_read_as_what_it_stands_beside() {
    use Declared as D;
    for (test, wanted) in [
        (equal(column(0), SLOT), D::Text),
        (equal(column(1), SLOT), D::Text),
        (equal(SLOT, column(3)), D::Date),
        (equal(cast(column(3), D::Text), SLOT), D::Text),
        (equal(column(4), SLOT), D::Numeric(None)),
        (equal(Expr::Call(Function::Length, vec![column(0)]), SLOT), D::Integer),
        (equal(Expr::Call(Function::Left, vec![column(0), SLOT]), column(0)), D::Integer),
        (equal(Expr::Call(Function::Coalesce, vec![column(3), SLOT]), column(3)), D::Date),
        (equal(cast(SLOT, D::Date), column(3)), D::Date),
    ] {
        let predicate = compile(&test, &[D::Date, D::Numeric(Some((10, 2)))], &[None]).unwrap();
        assert_eq!(predicate.slots(), [Slot { ty: wanted, array: false }], "{test:?}");
    }
    let any =
        Test::Quantified { left: column(3), operator: Operator::Equal, all: false, items: Items::Array(0) };
    let predicate = compile(&any, &[D::Date], &[None]).unwrap();
    assert_eq!(predicate.slots(), [Slot { ty: D::Date, array: true }]);
}

#[test]
fn what_the_server_has_no_operator_for_is_its_own_error() {
    use Declared as D;
    let like = |at| Test::Compare(Operator::Like, column(at), SLOT);
    for (test, slot, state) in [
        (equal(column(0), SLOT), Some(D::Integer), "42883"),
        (equal(column(3), SLOT), Some(D::Text), "42883"),
        (like(3), None, "42883"),
        (Test::Holds(column(0)), None, "42883"),
        (equal(column(0), column(1)), None, "none"),
        (equal(column(1), column(2)), None, "42P22"),
        (like(2), None, "0A000"),
        (equal(cast(column(3), D::Uuid), SLOT), None, "0A000"),
        (equal(Expr::Call(Function::Replace, vec![column(2), SLOT, SLOT]), SLOT), None, "0A000"),
        (equal(Expr::Call(Function::Initcap, vec![column(1)]), SLOT), None, "0A000"),
        (equal(column(9), SLOT), None, "0A000"),
    ] {
        let state_of = compile(&test, &[D::Date], &[slot]).err().map_or("none", |e| e.sqlstate());
        assert_eq!(state_of, state, "{test:?}");
    }
    let c = Collation::c();
    let settled = equal(Expr::Collate(Box::new(column(1)), c.clone()), column(2));
    assert!(compile(&settled, &[], &[]).is_ok());
    let twice = equal(
        Expr::Collate(Box::new(column(1)), c),
        Expr::Collate(Box::new(column(2)), icu("de", "de", true)),
    );
    assert_eq!(compile(&twice, &[], &[]).unwrap_err().sqlstate(), "42P22");
}

#[test]
fn numbers_and_moments_of_two_types_compare_in_the_wider_one() {
    let less = Test::Compare(Operator::Less, column(3), cast(SLOT, Declared::Numeric(None)));
    assert_eq!(
        tests(&less, Declared::Integer, &int(2), vec![Constant::One(numeric("2.01"))]),
        Ok(Some(true))
    );
    assert_eq!(
        tests(&less, Declared::Integer, &int(2), vec![Constant::One(numeric("2.00"))]),
        Ok(Some(false))
    );
    // Midnight of 2000-01-01 in Paris is 23:00 UTC of the day before.
    let date = Clear::new(Kind::Date, 0_i32.to_be_bytes().to_vec());
    let moment = Clear::new(Kind::Timestamptz, (-3_600_000_000_i64).to_be_bytes().to_vec());
    let same = equal(column(3), cast(SLOT, Declared::Timestamptz(None)));
    assert_eq!(tests(&same, Declared::Date, &date, vec![Constant::One(moment)]), Ok(Some(true)));
}

#[test]
fn a_date_as_text_is_written_as_the_session_writes_it() {
    let date = Clear::new(Kind::Date, 0_i32.to_be_bytes().to_vec());
    let test = Test::Compare(Operator::Like, cast(column(3), Declared::Text), SLOT);
    assert_eq!(
        tests(&test, Declared::Date, &date, vec![Constant::One(Clear::text("2000-01-%"))]),
        Ok(Some(true))
    );
}

#[test]
fn a_value_sealed_when_its_field_had_another_type_is_read_as_its_type() {
    let test = equal(column(3), SLOT);
    let seven = || vec![Constant::One(int(7))];
    assert_eq!(tests(&test, Declared::Integer, &Clear::text("7"), seven()), Ok(Some(true)));
    assert_eq!(tests(&test, Declared::Integer, &Clear::text("x"), seven()).unwrap_err().sqlstate, "22P02");
    assert_eq!(tests(&test, Declared::Text, &int(7), vec![Constant::One(Clear::text("7"))]), Ok(Some(true)));
}

#[test]
fn a_wrong_pattern_fails_only_where_a_row_needs_it() {
    let test = Test::Compare(Operator::Match, column(3), SLOT);
    let predicate = compile(&test, &[Declared::Text], &[None]).unwrap();
    let bound = predicate.bind(vec![Constant::One(Clear::text("(Dupont"))], &settings("UTC")).unwrap();
    assert_eq!(bound.test(&[None, None, None, None]), Ok(None));
    let fault = bound.test(&[None, None, None, Some(&Clear::text("Durand"))]).unwrap_err();
    assert_eq!((fault.sqlstate, fault.unsupported), ("2201B", false));
    assert!(!format!("{fault} {fault:?} {bound:?} {predicate:?}").contains("Du"));
}

#[test]
fn nothing_prints_a_value() {
    let test = Test::Quantified {
        left: column(3),
        operator: Operator::Equal,
        all: false,
        items: Items::List(vec![SLOT, Expr::Slot(1)]),
    };
    let predicate = compile(&test, &[Declared::Text], &[None, None]).unwrap();
    let constants =
        vec![Constant::One(Clear::text("Dupont")), Constant::Array(vec![Some(Clear::text("Durand"))])];
    assert!(!format!("{constants:?}").contains("Du"));
    let fault = predicate.bind(constants, &settings("UTC")).unwrap_err();
    assert!(!format!("{fault:?}").contains("Du"));
    let key = Key { expr: column(3), descending: false, nulls_first: false };
    let (columns, c) = (columns(&[Declared::Text]), Collation::c());
    let scope = Scope { columns: &columns, slots: &[], default: &c, server_version: 150_000 };
    let order = Order::compile(&[key], &scope).unwrap().bind(Vec::new(), &settings("UTC")).unwrap();
    let key = order.key(&[None, None, None, Some(&Clear::text("Dupont"))]).unwrap();
    assert_eq!(format!("{key:?} {order:?}"), "SortKey([secret]) BoundOrder([secret])");
    assert!(!key.is_null() && order.key(&[None, None, None, None]).unwrap().is_null());
}

#[test]
fn rows_are_ordered_by_several_keys_and_equal_ones_stay_as_they_were() {
    let (columns, c) = (columns(&[Declared::Integer]), Collation::c());
    let scope = Scope { columns: &columns, slots: &[], default: &c, server_version: 150_000 };
    let key = |at, descending, nulls_first| Key { expr: column(at), descending, nulls_first };
    let order = Order::compile(&[key(1, false, true), key(3, true, false)], &scope).unwrap();
    let order = order.bind(Vec::new(), &settings("UTC")).unwrap();
    let rows = [
        (Some("Zoé"), Some(1)),
        (Some("élodie"), Some(1)),
        (None, Some(5)),
        (Some("Elodie"), None),
        (Some("Elodie"), Some(2)),
        (Some("Elodie"), Some(3)),
        (Some("Zoé"), Some(1)),
    ];
    let keys: Vec<SortKey> = rows
        .iter()
        .map(|(name, n)| {
            let (name, n) = (name.map(Clear::text), n.map(int));
            order.key(&[None, name.as_ref(), None, n.as_ref()]).unwrap()
        })
        .collect();
    assert_eq!(sorted(&keys), [2, 5, 4, 3, 1, 0, 6]);
    assert_eq!(distinct(&keys), [0, 1, 2, 3, 4, 5]);
}
