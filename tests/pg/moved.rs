//! Values that were moved past the gateway, to another column, table or person, read in every shape of statement: an
//! error or a refusal, and never a value. What stands where it belongs is read.

use crate::support::gateway::Setup;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, raw, schema};
use std::collections::BTreeMap;

const PEOPLE: usize = 24;

/// Where values stand: table, column, and the column of the row's subject.
const PLACES: [(&str, &str, &str); 5] = [
    ("people", "first_name", "id"),
    ("people", "last_name", "id"),
    ("people", "nick", "id"),
    ("comments", "body", "author_id"),
    ("logins", "email", "id"),
];

/// How values are moved, all at once: each takes the place of others.
const MOVES: [&str; 6] = [
    "UPDATE people p SET first_name = q.first_name FROM people q WHERE q.id = p.id % 24 + 1 AND p.id % 3 <> 0",
    "UPDATE people p SET last_name = q.last_name FROM people q WHERE q.id = (p.id + 11) % 24 + 1 AND p.id % 4 <> 0",
    "UPDATE people SET first_name = last_name, last_name = first_name WHERE id % 2 = 0",
    "UPDATE people p SET nick = c.body FROM comments c WHERE c.author_id = p.id AND p.id % 5 <> 0",
    "UPDATE comments c SET body = p.first_name FROM people p WHERE p.id = c.author_id % 24 + 1 AND c.id % 3 <> 1",
    "UPDATE logins l SET email = m.email FROM logins m WHERE m.id = (l.id + 5) % 24 + 1 AND l.id % 3 <> 2",
];

/// `{t}`, `{c}`, `{s}`, `{i}`: table, column, subject's column, and the subject whose row is read.
const SHAPES: [&str; 29] = [
    "SELECT {c} FROM {t} WHERE {s} = {i}",
    "SELECT *, {c} FROM {t} WHERE {s} = {i}",
    "SELECT x.{c} FROM {t} x JOIN depts d ON d.id = 1 WHERE x.{s} = {i}",
    "SELECT x.{c} FROM depts d LEFT JOIN {t} x ON x.{s} = {i} WHERE d.id = 1",
    "SELECT x.{c} FROM (SELECT {s}, {c} FROM {t}) x WHERE x.{s} = {i}",
    "SELECT x.{c} FROM (SELECT {c} FROM {t} WHERE {s} = {i}) x",
    "WITH w AS (SELECT {s}, {c} FROM {t} WHERE {s} = {i}) SELECT {c} FROM w",
    "SELECT {s}, {c} FROM {t} WHERE {s} = {i} UNION ALL SELECT {s}, {c} FROM {t} WHERE {s} = {i}",
    "SELECT {c} FROM {t} WHERE {s} = {i} UNION ALL SELECT {c} FROM {t} WHERE {s} = {i}",
    "SELECT DISTINCT {c} FROM {t} WHERE {s} = {i}",
    "SELECT max({c}) FROM {t} WHERE {s} = {i}",
    "SELECT {c}, count(*) FROM {t} WHERE {s} = {i} GROUP BY {c}",
    "SELECT (SELECT y.{c} FROM {t} y WHERE y.{s} = {i} LIMIT 1) FROM depts WHERE id = 1",
    "SELECT {c}, lag({c}) OVER (ORDER BY {s}) FROM {t} WHERE {s} = {i}",
    "SELECT COALESCE({c}, NULL) AS v FROM {t} WHERE {s} = {i}",
    "UPDATE {t} SET {s} = {s} WHERE {s} = {i} RETURNING {c}",
    "COPY (SELECT {c} FROM {t} WHERE {s} = {i}) TO STDOUT",
    "SELECT {s} FROM {t} WHERE {s} = {i} AND {c} LIKE '%e%'",
    "SELECT {s} FROM {t} WHERE {s} = {i} ORDER BY {c}, {s}",
    "SELECT {c} FROM {t}_view WHERE {s} = {i}",
    "SELECT x.v FROM (SELECT {c} AS v, 1 AS one FROM {t} WHERE {s} = {i}) x",
    "WITH w AS (SELECT {c} FROM {t} WHERE {s} = {i}) SELECT {c} FROM w",
    "WITH w(v) AS (SELECT {c} FROM {t} WHERE {s} = {i}), z AS (SELECT v FROM w) SELECT z.v, w.v FROM z, w",
    "SELECT z.v FROM (SELECT x.v FROM (SELECT {c} AS v FROM {t} WHERE {s} = {i} LIMIT 1) x) z",
    "SELECT l.{c} FROM depts d, LATERAL (SELECT y.{c} FROM {t} y WHERE y.{s} = {i} AND d.id = 1) l WHERE d.id = 1",
    "SELECT d.id, x.v FROM depts d LEFT JOIN (SELECT {c} AS v, 1 AS id FROM {t} WHERE {s} = {i}) x USING (id) WHERE d.id = 1",
    "UPDATE depts d SET name = d.name FROM (SELECT {c} FROM {t} WHERE {s} = {i}) x WHERE d.id = 1 RETURNING x.{c}",
    "COPY (SELECT v FROM (SELECT {c} AS v FROM {t} WHERE {s} = {i}) x) TO STDOUT",
    "SELECT {c} FROM {t}_{c}",
];

struct Moved {
    gateway: Gateway,
    pg: Postgres,
}

fn world() -> Moved {
    let pg = Postgres::start();
    make_tables(&pg);
    let mut tables = schema::TABLES.to_owned();
    for table in ["people", "comments", "logins"] {
        let section = format!("[postgres.tables.{table}]\n");
        assert!(tables.contains(&section));
        tables = tables.replace(&section, &format!("{section}bind = \"refuse\"\n"));
    }
    let gateway = Gateway::with(Setup { tables, log: "warn".into(), ..Setup::new(&pg) });
    let moved = Moved { gateway, pg };
    let mut client = moved.through();
    for id in 1..=PEOPLE {
        for sql in [
            format!(
                "INSERT INTO people (id, email, first_name, last_name, nick) VALUES \
                 ({id}, 'p{id}@people.example', 'Prénome{id}', 'Nomme{id}', 'Surnome{id}')"
            ),
            format!("INSERT INTO comments (author_id, body) VALUES ({id}, 'Texte {id}')"),
            format!("INSERT INTO logins (id, email) VALUES ({id}, 'l{id}@logins.example')"),
        ] {
            client.rows(&sql);
        }
    }
    for (table, column, _) in PLACES {
        client.query(&format!("CREATE VIEW {table}_view AS SELECT * FROM {table}"));
        client.rows(&format!("CREATE VIEW {table}_{column} AS SELECT {column} FROM {table}"));
    }
    moved
}

impl Moved {
    fn through(&self) -> Raw {
        Raw::connect(self.gateway.port(), "app")
    }

    fn direct(&self) -> Raw {
        Raw::connect_as(self.pg.port(), &[("user", "postgres"), ("database", "app")])
    }

    /// What is stored, by place and subject.
    fn stored(&self) -> BTreeMap<(usize, String), String> {
        let mut all = BTreeMap::new();
        for (place, (table, column, subject)) in PLACES.iter().enumerate() {
            for row in self.direct().rows(&format!("SELECT {subject}, {column} FROM {table}")) {
                all.insert((place, row[0].clone().unwrap()), row[1].clone().unwrap());
            }
        }
        all
    }
}

fn is_shown(answers: &[crate::support::Message]) -> bool {
    answers.iter().any(|m| {
        let marks: [&[u8]; 5] = [b"nome", b"Nomme", b"Surnome", b"Texte", b"logins.example"];
        matches!(m.tag, b'D' | b'd' | b'E' | b'N')
            && marks.iter().any(|w| memchr::memmem::find(&m.body, w).is_some())
    })
}

#[test]
fn a_value_that_was_moved_past_the_gateway_is_shown_in_no_shape_of_statement() {
    let moved = world();
    let home = moved.stored();
    assert_eq!(home.len(), PLACES.len() * PEOPLE);
    let mut client = moved.through();
    let (mut caught, mut refused, mut read) = (0, 0, 0);
    for change in MOVES {
        let mut direct = moved.direct();
        direct.rows("CREATE TABLE kept AS SELECT * FROM people");
        direct.rows("CREATE TABLE kept_comments AS SELECT * FROM comments");
        direct.rows("CREATE TABLE kept_logins AS SELECT * FROM logins");
        direct.rows(change);
        let now = moved.stored();
        let changed = now.iter().filter(|(at, value)| home[*at] != **value).count();
        assert!(changed >= PEOPLE / 2, "{change}");
        for ((place, id), value) in &now {
            let (table, column, subject) = PLACES[*place];
            let at_home = home[&(*place, id.clone())] == *value;
            // Of what stayed, some.
            if at_home && (id.parse::<usize>().unwrap() + place) % 4 != 0 {
                continue;
            }
            for (number, shape) in SHAPES.iter().enumerate() {
                let sql = shape
                    .replace("{t}", table)
                    .replace("{c}", column)
                    .replace("{s}", subject)
                    .replace("{i}", id);
                // Each value in every third shape: all meet many.
                if (number + place + id.parse::<usize>().unwrap()) % 3 != 0 {
                    continue;
                }
                // `*` shows the row's other columns, which may have been moved.
                if at_home && sql.contains('*') && !sql.contains("count(*)") {
                    continue;
                }
                let answers = if number % 2 == 0 || sql.starts_with("COPY") {
                    client.query(&sql)
                } else {
                    client.send(&raw::extended(&sql));
                    client.until_ready()
                };
                let error = answers.iter().find(|m| m.tag == b'E').map(|m| m.sqlstate());
                let decides = sql.contains("LIKE") || sql.contains("ORDER BY");
                match error.as_deref() {
                    Some("XX001") if !at_home => caught += 1,
                    Some("0A000") => refused += 1,
                    None if at_home => read += 1,
                    // Tokens are ordered as they are stored, and nothing of a value is told.
                    None if decides && !is_shown(&answers) && table == "logins" => {}
                    other => panic!("{change}\n{sql} (at home: {at_home}): {other:?} {answers:?}"),
                }
                assert!(at_home || !is_shown(&answers), "{sql}: {answers:?}");
            }
        }
        direct.rows("UPDATE people p SET first_name = k.first_name, last_name = k.last_name, nick = k.nick FROM kept k WHERE k.id = p.id");
        direct.rows("UPDATE comments c SET body = k.body FROM kept_comments k WHERE k.id = c.id");
        direct.rows("UPDATE logins l SET email = k.email FROM kept_logins k WHERE k.id = l.id");
        direct.rows("DROP TABLE kept, kept_comments, kept_logins");
        assert!(moved.stored() == home, "all is back");
    }
    println!("{caught} caught, {refused} refused, {read} read");
    assert!(caught > 300 && refused > 300 && read > 200, "{caught} caught, {refused} refused, {read} read");
}

#[test]
fn a_cursor_and_a_whole_copy_stop_at_a_value_that_was_moved() {
    let moved = world();
    moved.direct().rows("UPDATE people p SET nick = q.nick FROM people q WHERE p.id = 7 AND q.id = 8");
    let mut client = moved.through();
    client.rows("BEGIN");
    client.rows("DECLARE c CURSOR FOR SELECT nick FROM people ORDER BY id");
    assert_eq!(client.rows("FETCH 6 FROM c").len(), 6);
    assert_eq!(client.fails("FETCH 1 FROM c").sqlstate(), "XX001");
    client.query("ROLLBACK");
    for sql in ["COPY people (nick) TO STDOUT", "COPY people TO STDOUT (FORMAT csv)", "TABLE people"] {
        let answers = client.query(sql);
        let error = answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{sql}"));
        assert_eq!(error.sqlstate(), "XX001");
        // Once at home, and not where it was moved to.
        let shown = answers.iter().filter(|m| memchr::memmem::find(&m.body, b"Surnome8").is_some()).count();
        assert!(shown <= 1, "{sql}: {answers:?}");
    }
    assert_eq!(client.rows("SELECT nick FROM people WHERE id <> 7").len(), PEOPLE - 1);
}

#[test]
fn a_value_in_a_row_that_is_nobodys_is_an_error_where_rows_are_bound() {
    let moved = world();
    moved.direct().rows("UPDATE comments SET author_id = NULL WHERE author_id = 3");
    let mut client = moved.through();
    for sql in [
        "SELECT body FROM comments WHERE author_id IS NULL",
        "SELECT id FROM comments WHERE author_id IS NULL AND body LIKE 'T%'",
        "COPY (SELECT body FROM comments WHERE author_id IS NULL) TO STDOUT",
    ] {
        assert_eq!(client.fails(sql).sqlstate(), "XX001", "{sql}");
    }
    assert_eq!(client.rows("SELECT body FROM comments WHERE author_id IS NOT NULL").len(), PEOPLE - 1);
}

#[test]
fn a_star_over_a_subquery_shows_no_value_that_was_moved_and_no_column_that_was_added() {
    let moved = world();
    let mut client = moved.through();
    let sql = "WITH w AS (SELECT nick, 1 AS one FROM people ORDER BY id) SELECT * FROM w a JOIN (SELECT body FROM comments) c ON true LIMIT 1";
    assert_eq!(client.rows(sql), [crate::support::row(["Surnome1", "1", "Texte 1"])]);
    moved.direct().rows("UPDATE people p SET nick = q.nick FROM people q WHERE p.id = 1 AND q.id = 8");
    assert_eq!(client.fails(sql).sqlstate(), "XX001");
}

#[test]
fn without_it_a_value_that_has_left_its_row_speaks_for_itself() {
    let world = crate::support::World::new();
    world.people(&["Ana", "Bea"]);
    let mut client = world.through();
    client.rows("CREATE VIEW bare AS SELECT last_name, title FROM people");
    let left =
        ["SELECT (SELECT last_name FROM people WHERE id = 2)", "SELECT last_name FROM bare LIMIT 1 OFFSET 1"];
    for sql in left {
        assert_eq!(client.rows(sql), [crate::support::row(["Last-Bea"])], "{sql}");
    }
    world.direct().rows("UPDATE people SET last_name = (SELECT last_name FROM people WHERE id = 1)");
    for sql in left {
        assert_eq!(
            client.rows(sql),
            [crate::support::row(["Last-Ana"])],
            "as docs/threat-model.md says: {sql}"
        );
    }
    for sql in [
        "SELECT last_name FROM people WHERE id = 2",
        "SELECT s.last_name FROM (SELECT last_name FROM people WHERE id = 2) s",
    ] {
        assert_eq!(client.fails(sql).sqlstate(), "XX001", "{sql}");
    }
}
