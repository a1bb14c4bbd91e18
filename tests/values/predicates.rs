//! Predicates and orderings as the server evaluates them: thousands of random values and patterns, under collations
//! of every provider that it has.

use crate::generate::Source;
use crate::server::{self, Server};
use paravent::clear::{Clear, Kind};
use paravent::pg::predicate::{
    Collation, CollationRow, Column, Constant, Expr, Fault, Function, Items, Key, Operator, Order, Predicate,
    Scope, Test, distinct, sorted,
};
use paravent::pg::value::{Format, Settings, decode};
use paravent::policy::model::Declared;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSqlOwned, ToSql};

/// A connection, used as if it were a blocking one.
struct Db {
    runtime: Runtime,
    client: tokio_postgres::Client,
    _server: Server,
}

/// Evaluates an expression on two texts: what it gives as text, or `!` and the SQLSTATE.
const TRIED: &str = r"
CREATE FUNCTION tried(expression text, a text, b text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'SELECT (' || expression || ')::text' INTO answer USING a, b;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN '!' || SQLSTATE;
END $$;
CREATE COLLATION ignoring (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION phonebook (provider = icu, locale = 'de-u-co-phonebk');
CREATE COLLATION numbers (provider = icu, locale = 'en-u-kn-true');
CREATE COLLATION shifted (provider = icu, locale = 'und-u-ka-shifted-ks-level4');
CREATE COLLATION upperfirst (provider = icu, locale = 'fr-u-kf-upper');";

impl Db {
    fn start() -> Self {
        let server = server::start();
        let runtime = Runtime::new().unwrap();
        let mut config = tokio_postgres::Config::new();
        config.host_path(server.socket().parent().unwrap()).user("postgres").dbname("postgres");
        let client = runtime.block_on(async {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(TRIED).await.unwrap();
            client
        });
        Self { runtime, client, _server: server }
    }

    fn all<T: FromSqlOwned>(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<T> {
        let rows = self.runtime.block_on(self.client.query(sql, params)).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What the expression gives for each pair; `$1` and `$2` stand for it.
    fn tried(&self, expression: &str, pairs: &[(String, String)]) -> Vec<Option<String>> {
        let (a, b): (Vec<&str>, Vec<&str>) = pairs.iter().map(|(a, b)| (&**a, &**b)).unzip();
        self.all(
            "SELECT tried($1, a, b) FROM unnest($2::text[], $3::text[]) AS t (a, b)",
            &[&expression, &a, &b],
        )
    }

    /// A collation by its name, from the catalog; none where the server has no such one.
    fn collation(&self, name: &str) -> Option<Collation> {
        let rows = self.runtime.block_on(self.client.query(
            "SELECT collprovider::text, collcollate::text, collctype::text, to_jsonb(c) ->> 'colliculocale', \
             to_jsonb(c) ->> 'colllocale', collisdeterministic FROM pg_collation c WHERE collname = $1 \
             AND collencoding IN (-1, 6)",
            &[&name],
        ));
        let rows = rows.unwrap();
        let row = rows.first()?;
        let locale: Option<&str> = row.get::<_, Option<&str>>(3).or_else(|| row.get(4));
        let found = CollationRow {
            name,
            provider: row.get::<_, &str>(0).chars().next().unwrap(),
            collate: row.get(1),
            ctype: row.get(2),
            locale,
            rules: None,
            deterministic: row.get(5),
        };
        Some(Collation::resolve(&found).unwrap())
    }

    fn needed(&self, name: &str) -> Collation {
        self.collation(name).unwrap_or_else(|| panic!("the server has no collation {name}: run `make deps`"))
    }

    fn collations(&self, names: &[&'static str]) -> Vec<(&'static str, Collation)> {
        names.iter().map(|name| (*name, self.needed(name))).collect()
    }
}

fn settings() -> Settings {
    Settings { date_style: "ISO, MDY".into(), time_zone: "UTC".into(), bytea_escape: false, charset: None }
}

fn text_column(collation: &Collation) -> Vec<Column> {
    vec![Column { ty: Declared::Text, collation: Some(collation.clone()) }]
}

/// Compiles with one text column and constants of no declared type.
fn compiled(test: &Test, collation: &Collation, constants: usize) -> Predicate {
    let (columns, slots, c) = (text_column(collation), vec![None; constants], Collation::c());
    let scope = Scope { columns: &columns, slots: &slots, default: &c, server_version: 150_000 };
    Predicate::compile(test, &scope).unwrap()
}

fn tested(
    predicate: &Predicate,
    constants: Vec<Constant>,
    value: Option<&str>,
) -> Result<Option<bool>, Fault> {
    let value = value.map(Clear::text);
    predicate.bind(constants, &settings()).unwrap().test(&[value.as_ref()])
}

fn one(text: &str) -> Constant {
    Constant::One(Clear::text(text))
}

/// As `tried` prints it.
fn shown(answer: &Result<Option<bool>, Fault>) -> Option<String> {
    match answer {
        Ok(truth) => truth.map(|t| t.to_string()),
        Err(fault) => Some(format!("!{}", fault.sqlstate)),
    }
}

/// Random texts and patterns.
struct Texts(StdRng);

const LETTERS: &[&str] = &[
    "a", "b", "A", "B", "e", "é", "É", "e\u{301}", "s", "ß", "ſ", "ẞ", "i", "I", "İ", "ı", "σ", "ς", "Σ",
    "œ", "Œ", "ǆ", "ǅ", "К", "\u{212a}", "k", "%", "_", "\\", " ", "-", "'", ".", "1", "9", "٣", "\n", "\t",
    "😀", "ﬁ", "ö", "Ö", "ü", "æ", "z", "Z", "å", "日", "x", "!",
];

const PIECES: &[&str] = &[
    "a",
    "b",
    "A",
    "é",
    "É",
    "s",
    "ſ",
    "i",
    "1",
    " ",
    "-",
    ".",
    ".",
    "*",
    "+",
    "?",
    "??",
    "*?",
    "{1}",
    "{0,2}",
    "{2,}",
    "{",
    "}",
    "{,2}",
    "{300}",
    "{2,1}",
    "(",
    ")",
    "(",
    ")",
    "(?:",
    "(?i)",
    "(?n)",
    "(?x)",
    "(?#c)",
    "[",
    "]",
    "[^",
    "[a-z]",
    "[é-ü]",
    "[[:alpha:]]",
    "[[:digit:]_]",
    "[^[:space:]]",
    "[[:upper:]]",
    "[[:lower:]]",
    "[[:punct:]]",
    "[[:foo:]]",
    "[]a]",
    "[a-]",
    "[z-a]",
    "[\\d]",
    "|",
    "^",
    "$",
    "^",
    "$",
    "\\d",
    "\\D",
    "\\w",
    "\\W",
    "\\s",
    "\\S",
    "\\y",
    "\\m",
    "\\M",
    "\\Y",
    "\\A",
    "\\Z",
    "\\.",
    "\\\\",
    "\\",
    "\\q",
    "\\x41",
    "\\u00e9",
    "\\n",
    "[[:<:]]",
    "[[:>:]]",
    "#",
    "\n",
    "***=",
    "[[.a.]]",
    "[[=e=]]",
];

impl Texts {
    fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    fn of(&mut self, from: &[&str], most: usize) -> String {
        let n = self.0.random_range(0..=most);
        (0..n).map(|_| from[self.0.random_range(0..from.len())]).collect()
    }

    fn text(&mut self) -> String {
        // Half of them of few letters, so that much is equal or nearly so.
        let from = if self.0.random_range(0..2) == 0 { &LETTERS[..8] } else { LETTERS };
        self.of(from, 6)
    }

    /// A pattern made of a text, so that it often matches.
    fn like(&mut self, text: &str) -> String {
        let mut pattern = String::new();
        for c in text.chars() {
            match self.0.random_range(0..10) {
                0 => pattern.push('%'),
                1 => pattern.push('_'),
                2 => pattern.push_str("%_"),
                3 => pattern.extend(['\\', c]),
                4 => pattern.extend(c.to_uppercase()),
                5 => {}
                _ => pattern.push(c),
            }
        }
        if self.0.random_range(0..4) == 0 {
            pattern.insert(0, '%');
        }
        if self.0.random_range(0..4) == 0 {
            pattern.push(if self.0.random_range(0..4) == 0 { '\\' } else { '%' });
        }
        pattern
    }

    fn pairs(&mut self, count: usize, second: impl Fn(&mut Self, &str) -> String) -> Vec<(String, String)> {
        (0..count)
            .map(|_| {
                let text = self.text();
                let other = second(self, &text);
                (text, other)
            })
            .collect()
    }
}

/// Collects differences; prints values, which are random ones.
#[derive(Default)]
struct Faults(Vec<String>, usize);

impl Faults {
    fn compare(
        &mut self,
        what: &str,
        given: &(String, String),
        theirs: &Option<String>,
        ours: &Option<String>,
    ) {
        self.1 += 1;
        if theirs != ours {
            self.0.push(format!("{what}: {given:?} server {theirs:?}, ours {ours:?}"));
        }
    }

    fn none(&self, least: usize) {
        assert!(self.1 >= least, "only {} compared", self.1);
        let shown = &self.0[..self.0.len().min(40)];
        assert!(self.0.is_empty(), "{} of {} differ\n{}", self.0.len(), self.1, shown.join("\n"));
    }
}

const DETERMINISTIC: &[&str] =
    &["C", "C.utf8", "en_US.utf8", "fr_FR.utf8", "und-x-icu", "fr-x-icu", "tr-x-icu", "el-x-icu"];

/// Holds every pair against the operator, under each collation.
fn operator(
    db: &Db,
    operator: Operator,
    sql: &str,
    names: &[&'static str],
    pairs: &[(String, String)],
    faults: &mut Faults,
    pass: impl Fn(&str, &Fault) -> bool,
) {
    let test = Test::Compare(operator, Expr::Column(0), Expr::Slot(0));
    for (name, collation) in db.collations(names) {
        let predicate = compiled(&test, &collation, 1);
        let theirs = db.tried(&format!("$1 {sql} $2 COLLATE \"{name}\""), pairs);
        for (pair, theirs) in pairs.iter().zip(theirs) {
            let ours = tested(&predicate, vec![one(&pair.1)], Some(&pair.0));
            if ours.as_ref().is_err_and(|fault| pass(&pair.1, fault)) {
                continue;
            }
            faults.compare(&format!("{sql} {name}"), pair, &theirs, &shown(&ours));
        }
    }
}

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

/// Our order of such values, by one key.
fn ordered(
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

/// Names as they occur, and random texts.
fn to_sort(count: usize) -> Vec<String> {
    const FIRST: &[&str] = &[
        "Élodie",
        "Elodie",
        "élodie",
        "Zoé",
        "Zoë",
        "Zoe",
        "Jean-Luc",
        "Jean Luc",
        "Jeanluc",
        "Anaïs",
        "Anais",
        "Øystein",
        "Łukasz",
        "Ångström",
        "Müller",
        "Mueller",
        "Muller",
        "O'Neil",
        "ONeil",
        "D’Arc",
        "de la Tour",
        "De La Tour",
        "MacLeod",
        "Nguyễn",
        "Žižek",
        "Çelik",
        "İnci",
        "Straße",
        "Strasse",
        "Œuvre",
        "Oeuvre",
        "coté",
        "côte",
        "cote",
        "côté",
    ];
    let mut texts = Texts::new(6);
    (0..count)
        .map(|i| match i % 3 {
            0 => format!(
                "{} {}",
                FIRST[texts.0.random_range(0..FIRST.len())],
                FIRST[texts.0.random_range(0..FIRST.len())]
            ),
            1 => {
                FIRST[texts.0.random_range(0..FIRST.len())].to_owned()
                    + &texts.of(&["a", "é", "-", " ", "B", "ß", "1", "2", "10"], 3)
            }
            _ => texts.text(),
        })
        .collect()
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
