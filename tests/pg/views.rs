//! Views on protected tables, beside a clear copy.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, World, raw, row};

const VIEWS: &[&str] = &[
    "CREATE VIEW staff AS SELECT id, email, last_name AS name, birth_date, dept_id FROM people",
    "CREATE VIEW by_dept AS SELECT d.name AS dept, s.id, s.name, s.birth_date FROM staff s JOIN depts d ON d.id = s.dept_id",
    "CREATE VIEW said AS SELECT c.id, p.first_name, c.body, c.author_id, p.id AS person FROM comments c LEFT JOIN people p ON p.id = c.author_id",
    "CREATE VIEW nameless AS SELECT last_name FROM people",
    "CREATE VIEW known AS SELECT id, nick, last_name IS NULL AS unnamed FROM people WHERE email IS NOT NULL",
    "CREATE VIEW \"Odd View\" (\"The Id\", \"The Name\") AS SELECT id, first_name FROM people",
    "CREATE MATERIALIZED VIEW kept AS SELECT id, email, first_name FROM people",
    "CREATE VIEW counted AS SELECT dept_id, count(*) AS n FROM people GROUP BY dept_id",
];

const QUERIES: &[&str] = &[
    "SELECT * FROM staff ORDER BY id",
    "SELECT name FROM staff ORDER BY id",
    "SELECT s.name, s.birth_date::text FROM staff s WHERE s.email = 'b@x.example'",
    "SELECT id FROM staff WHERE email IN ('a@x.example', 'c@x.example') ORDER BY 1",
    "SELECT * FROM by_dept ORDER BY id",
    "SELECT dept, name FROM by_dept WHERE dept = 'Ventes' ORDER BY id",
    "SELECT * FROM said ORDER BY id",
    "SELECT body, first_name FROM said ORDER BY id",
    "SELECT * FROM nameless LIMIT 0",
    "SELECT * FROM known ORDER BY id",
    "SELECT v.\"The Name\" FROM \"Odd View\" v ORDER BY v.\"The Id\"",
    "SELECT * FROM kept ORDER BY id",
    "SELECT k.first_name, p.last_name FROM kept k JOIN people p ON p.email = k.email ORDER BY p.id",
    "SELECT * FROM counted ORDER BY 1",
    "WITH x AS (SELECT name FROM staff WHERE id = 1) SELECT x.name, d.name FROM x, depts d WHERE d.id = 1",
    "SELECT count(name), count(*) FROM staff",
    "SELECT name FROM staff WHERE id = 1 UNION ALL SELECT last_name FROM people WHERE id = 2",
];

#[test]
fn views_read_as_those_of_a_clear_copy() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    for client in [&mut clear, &mut through] {
        client.rows(
            "INSERT INTO people (id, email, first_name, last_name, nick, birth_date, dept_id) VALUES \
             (1, 'a@x.example', 'Ana', 'Lefèvre', 'an', '1990-12-31', 1), (2, 'b@x.example', 'Bea', NULL, NULL, NULL, 2), \
             (3, 'c@x.example', NULL, 'Cléo', '', '2000-01-01', 2)",
        );
        client.rows("INSERT INTO comments (author_id, body) VALUES (1, 'Un'), (2, 'Deux'), (NULL, NULL)");
        for view in VIEWS {
            client.rows(view);
        }
    }
    let mut different = Vec::new();
    for sql in QUERIES {
        let (expected, seen) = (clear.query(sql), through.query(sql));
        let lines = |m: &[crate::support::Message]| m.iter().map(|m| m.line()).collect::<Vec<_>>();
        if lines(&expected) != lines(&seen) {
            different.push(format!("{sql}\n  direct:  {expected:?}\n  through: {seen:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    // An erased person is erased in them too; what a materialised view keeps stays sealed.
    world.gateway.admin().erase(1);
    assert_eq!(through.rows("SELECT name FROM staff WHERE id = 1"), [row(["NULL"])]);
    assert_eq!(through.rows("SELECT first_name FROM kept WHERE id = 1"), [row(["NULL"])]);
    let stored = world.direct().rows("SELECT first_name, email FROM kept WHERE id = 1");
    assert!(stored[0][0].as_ref().unwrap().starts_with("pv1."), "{stored:?}");
}

#[test]
fn an_envelope_of_another_row_is_caught_in_a_view_that_does_not_show_whose_it_is() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let mut client = world.through();
    client.rows("CREATE VIEW pair AS SELECT id, first_name FROM people");
    world
        .direct()
        .rows("UPDATE people SET first_name = (SELECT first_name FROM people WHERE id = 1) WHERE id = 2");
    assert_eq!(client.fails("SELECT first_name FROM pair WHERE id = 2").sqlstate(), "XX001");
}

#[test]
fn a_view_made_behind_the_gateway_is_known_at_once_or_refused() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut client = world.through();
    client.rows("SELECT 1 FROM people");
    world.direct().rows("CREATE VIEW late AS SELECT first_name FROM people");
    world.direct().rows("GRANT SELECT ON late TO app");
    let seen = crate::support::eventually("the catalog is read again", || {
        let seen = client.query("SELECT * FROM late");
        let cell = seen.iter().find(|m| m.tag == b'D').and_then(|m| m.texts()[0].clone());
        (cell.as_deref() == Some("Ana")).then_some(cell)
    });
    assert_eq!(seen.as_deref(), Some("Ana"));
    // In the transaction that makes it, it is not seen through.
    client.rows("BEGIN");
    client.rows("CREATE VIEW fresh AS SELECT last_name FROM people");
    assert_eq!(client.fails("SELECT * FROM fresh").sqlstate(), "0A000");
    client.rows("ROLLBACK");
}

#[test]
fn nothing_in_clear_goes_through_a_view_that_was_just_made() {
    let pg = Postgres::with(&Options { log_all: true, ..Options::default() });
    make_tables(&pg);
    let gateway = Gateway::start(&pg);
    let (mut client, mut other) = (Raw::connect(gateway.port(), "app"), Raw::connect(gateway.port(), "app"));
    client.rows("INSERT INTO people (id, email, first_name) VALUES (1, 'a@x.example', 'Ana')");
    other.rows("SELECT 1");
    let write = |view: &str| format!("UPDATE {view} SET first_name = 'Canary' WHERE id = 1");
    let refused = |answers: Vec<crate::support::Message>| {
        let error = answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{answers:?}")).clone();
        assert!(matches!(error.sqlstate().as_str(), "0A000" | "25P02"), "{error:?}");
    };
    // At once, by itself, in one Query, in a block, in a pipeline, on another connection, under a new name.
    client.send(
        &[raw::query("CREATE VIEW v1 AS SELECT id, first_name FROM people"), raw::query(&write("v1"))]
            .concat(),
    );
    assert_eq!(client.until_ready()[0].tag, b'C');
    refused(client.until_ready());
    refused(other.query(&write("v1")));
    refused(client.query(&format!("CREATE VIEW v2 AS SELECT * FROM people; {}", write("v2"))));
    client.send(
        &[
            raw::query("BEGIN"),
            raw::query("CREATE VIEW v3 AS SELECT id, first_name FROM v1"),
            raw::query(&write("v3")),
            raw::query("ROLLBACK"),
        ]
        .concat(),
    );
    client.until_ready();
    client.until_ready();
    refused(client.until_ready());
    client.until_ready();
    let step = |sql: &str| {
        [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)].concat()
    };
    client.send(
        &[step("CREATE VIEW v4 AS SELECT id, first_name FROM people"), step(&write("v4")), raw::sync()]
            .concat(),
    );
    refused(client.until_ready());
    client.send(&[raw::query("ALTER VIEW v1 RENAME TO v5"), raw::query(&write("v5"))].concat());
    assert_eq!(client.until_ready()[0].tag, b'C');
    refused(client.until_ready());
    refused(other.query(&write("v5")));
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    assert_absent("the server's log", pg.log().as_bytes(), &[b"Canary"]);
}

/// A statement is let pass unread where it names nothing protected. The server analyses it again when what it
/// names has changed.
#[test]
fn what_was_prepared_before_a_view_showed_protected_values_writes_nothing_in_clear() {
    let pg = Postgres::with(&Options { log_all: true, ..Options::default() });
    make_tables(&pg);
    let gateway = Gateway::start(&pg);
    let (mut client, mut other) = (Raw::connect(gateway.port(), "app"), Raw::connect(gateway.port(), "app"));
    client.rows("INSERT INTO people (id, email, first_name) VALUES (1, 'a@x.example', 'Ana')");
    client.rows("CREATE TABLE harmless (id integer, first_name text)");
    client.rows("CREATE VIEW v AS SELECT id, first_name FROM harmless");
    let write = "UPDATE v SET first_name = $1 WHERE id = 1";
    for session in [&mut client, &mut other] {
        session.send(&[raw::parse("w", write, &[25]), raw::sync()].concat());
        assert_eq!(session.until_ready()[0].tag, b'1');
        session.rows("PREPARE p(text) AS UPDATE v SET first_name = $1 WHERE id = 1");
        assert_eq!(session.query("EXECUTE p('Before')")[0].command(), "UPDATE 0");
    }
    client.rows("CREATE OR REPLACE VIEW v AS SELECT id, first_name FROM people");
    for session in [&mut client, &mut other] {
        let bind = raw::bind_text("", "w", &[Some("Canary")], &[]);
        session.send(&[bind, raw::execute("", 0), raw::sync()].concat());
        let answers = session.until_ready();
        assert_eq!(answers[0].sqlstate(), "0A000", "{answers:?}");
        for sql in ["EXECUTE p('Canary')", "explain analyze execute p('Canary')"] {
            assert_eq!(session.fails(sql).sqlstate(), "0A000", "{sql}");
        }
        // What is prepared from now on is read with the view as it is.
        let ask = raw::parse("q", "SELECT count(*) FROM harmless WHERE id = $1", &[23]);
        session.send(
            &[ask, raw::bind_text("", "q", &[Some("1")], &[]), raw::execute("", 0), raw::sync()].concat(),
        );
        assert_eq!(session.until_ready().iter().filter(|m| m.tag == b'D').count(), 1);
    }
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    assert!(!pg.log().contains("Canary"), "nothing reached the server");
}
