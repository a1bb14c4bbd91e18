//! A server with collations of every kind, and predicates on one text column held against it.

use crate::server::{self, Server};
use paravent::clear::Clear;
use paravent::pg::predicate::{
    Collation, CollationRow, Column, Constant, Expr, Fault, Operator, Predicate, Scope, Test,
};
use paravent::pg::value::Settings;
use paravent::policy::model::Declared;
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSqlOwned, ToSql};

/// A connection, used as if it were a blocking one.
pub(super) struct Db {
    runtime: Runtime,
    client: tokio_postgres::Client,
    _server: Server,
}

/// Evaluates an expression on two texts: what it gives as text, or `!` and the SQLSTATE.
pub(super) const TRIED: &str = r"
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
    pub(super) fn start() -> Self {
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

    pub(super) fn all<T: FromSqlOwned>(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Vec<T> {
        let rows = self.runtime.block_on(self.client.query(sql, params)).unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// What the expression gives for each pair; `$1` and `$2` stand for it.
    pub(super) fn tried(&self, expression: &str, pairs: &[(String, String)]) -> Vec<Option<String>> {
        let (a, b): (Vec<&str>, Vec<&str>) = pairs.iter().map(|(a, b)| (&**a, &**b)).unzip();
        self.all(
            "SELECT tried($1, a, b) FROM unnest($2::text[], $3::text[]) AS t (a, b)",
            &[&expression, &a, &b],
        )
    }

    /// A collation by its name, from the catalog; none where the server has no such one.
    pub(super) fn collation(&self, name: &str) -> Option<Collation> {
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

    pub(super) fn needed(&self, name: &str) -> Collation {
        self.collation(name).unwrap_or_else(|| panic!("the server has no collation {name}: run `make deps`"))
    }

    pub(super) fn collations(&self, names: &[&'static str]) -> Vec<(&'static str, Collation)> {
        names.iter().map(|name| (*name, self.needed(name))).collect()
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        date_style: "ISO, MDY".into(),
        time_zone: "UTC".into(),
        bytea_escape: false,
        charset: None,
        server: 0,
    }
}

pub(super) fn text_column(collation: &Collation) -> Vec<Column> {
    vec![Column { ty: Declared::Text, collation: Some(collation.clone()) }]
}

/// Compiles with one text column and constants of no declared type.
pub(super) fn compiled(test: &Test, collation: &Collation, constants: usize) -> Predicate {
    let (columns, slots, c) = (text_column(collation), vec![None; constants], Collation::c());
    let scope = Scope { columns: &columns, slots: &slots, default: &c, server_version: 150_000 };
    Predicate::compile(test, &scope).unwrap()
}

pub(super) fn tested(
    predicate: &Predicate,
    constants: Vec<Constant>,
    value: Option<&str>,
) -> Result<Option<bool>, Fault> {
    let value = value.map(Clear::text);
    predicate.bind(constants, &settings()).unwrap().test(&[value.as_ref()])
}

pub(super) fn one(text: &str) -> Constant {
    Constant::One(Clear::text(text))
}

/// As `tried` prints it.
pub(super) fn shown(answer: &Result<Option<bool>, Fault>) -> Option<String> {
    match answer {
        Ok(truth) => truth.map(|t| t.to_string()),
        Err(fault) => Some(format!("!{}", fault.sqlstate)),
    }
}

/// Collects differences; prints values, which are random ones.
#[derive(Default)]
pub(super) struct Faults(Vec<String>, usize);

impl Faults {
    pub(super) fn compare(
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

    pub(super) fn none(&self, least: usize) {
        assert!(self.1 >= least, "only {} compared", self.1);
        let shown = &self.0[..self.0.len().min(40)];
        assert!(self.0.is_empty(), "{} of {} differ\n{}", self.0.len(), self.1, shown.join("\n"));
    }
}

pub(super) const DETERMINISTIC: &[&str] =
    &["C", "C.utf8", "en_US.utf8", "fr_FR.utf8", "und-x-icu", "fr-x-icu", "tr-x-icu", "el-x-icu"];

/// Holds every pair against the operator, under each collation.
pub(super) fn operator(
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
