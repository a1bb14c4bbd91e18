//! Tables that come after the gateway, and settings that a session changes.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::{Gateway, Postgres, Raw, World, raw, row};

const PEOPLE: &str = "CREATE TABLE people (id integer PRIMARY KEY, email text, first_name text, last_name text, \
                      nick text, birth_date bytea, seen_at bytea, age bytea, points bytea, salary bytea, \
                      active bytea, badge bytea, profile bytea, photo bytea)";

fn stored(pg: &Postgres) -> Vec<Vec<Option<String>>> {
    Raw::connect(pg.port(), "app").rows("SELECT first_name LIKE 'pv1.%', email LIKE 'psn_%' FROM people")
}

#[test]
fn a_table_made_through_the_gateway_is_protected_at_once() {
    let pg = Postgres::start();
    let gateway = Gateway::start(&pg);
    let mut client = Raw::connect(gateway.port(), "app");
    assert_eq!(client.fails("SELECT first_name FROM people").sqlstate(), "42P01");
    client.rows(PEOPLE);
    client.rows("INSERT INTO people (id, email, first_name) VALUES (1, 'a@x.example', 'Ana')");
    assert_eq!(client.rows("SELECT first_name, email FROM people"), [row(["Ana", "a@x.example"])]);
    assert_eq!(stored(&pg), [row(["t", "t"])]);
}

#[test]
fn a_table_is_protected_in_the_transaction_that_makes_it() {
    let pg = Postgres::start();
    let gateway = Gateway::start(&pg);
    let mut client = Raw::connect(gateway.port(), "app");
    client.rows("BEGIN");
    client.rows(PEOPLE);
    client.rows("INSERT INTO people (id, email, first_name) VALUES (1, 'a@x.example', 'Ana')");
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    client.rows("COMMIT");
    assert_eq!(stored(&pg), [row(["t", "t"])]);
}

#[test]
fn a_table_made_behind_the_gateway_is_protected_at_once() {
    let pg = Postgres::start();
    let gateway = Gateway::start(&pg);
    let mut client = Raw::connect(gateway.port(), "app");
    assert_eq!(client.rows("SELECT 1"), [row(["1"])]);
    Raw::connect(pg.port(), "app").rows(PEOPLE);
    client.rows("INSERT INTO people (id, email, first_name) VALUES (1, 'a@x.example', 'Ana')");
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    assert_eq!(stored(&pg), [row(["t", "t"])]);
}

#[test]
fn a_table_made_again_is_protected_in_its_new_shape() {
    let pg = Postgres::start();
    let gateway = Gateway::start(&pg);
    let mut client = Raw::connect(gateway.port(), "app");
    client.rows(PEOPLE);
    client.rows("INSERT INTO people (id, first_name) VALUES (1, 'Ana')");
    client.rows("DROP TABLE people");
    assert_eq!(client.fails("SELECT first_name FROM people").sqlstate(), "42P01");
    client.rows(
        &PEOPLE
            .replace("id integer PRIMARY KEY, email text,", "email text, title text, id bigint PRIMARY KEY,"),
    );
    client.rows("INSERT INTO people VALUES ('b@x.example', 'Dr', 2, 'Bea')");
    assert_eq!(client.rows("SELECT * FROM people")[0][..4], row(["b@x.example", "Dr", "2", "Bea"]));
    assert_eq!(stored(&pg), [row(["t", "t"])]);
}

#[test]
fn refuses_a_table_that_could_not_hold_its_envelopes() {
    let pg = Postgres::start();
    let gateway = Gateway::start(&pg);
    let mut client = Raw::connect(gateway.port(), "app");
    let error = client.fails(&PEOPLE.replace("birth_date bytea", "birth_date timestamp"));
    assert_eq!(error.sqlstate(), "0A000");
    let fields = error.fields();
    assert!(fields[&'M'].contains("birth_date"), "{error:?}");
    assert!(fields[&'H'].contains("bytea"), "the DDL that serves: {error:?}");
}

#[test]
fn a_table_made_with_its_declared_types_is_stored_as_they_are_and_protected_at_once() {
    let pg = Postgres::start();
    let gateway = Gateway::start(&pg);
    let mut client = Raw::connect(gateway.port(), "app");
    let declared = [
        ("birth_date bytea", "birth_date date"),
        ("last_name text", "last_name varchar(150)"),
        ("salary bytea", "salary numeric(10, 2)"),
        (" badge bytea,", ""),
    ];
    let declared = declared.iter().fold(PEOPLE.to_owned(), |sql, (from, to)| sql.replace(from, to));
    client.rows("BEGIN");
    client.rows(&declared);
    let name = "x".repeat(150);
    client.rows(&format!(
        "INSERT INTO people (id, birth_date, last_name, salary) VALUES (1, '1990-12-31', '{name}', 1.5)"
    ));
    client.rows("COMMIT");
    let error = client.fails(&format!("INSERT INTO people (id, last_name) VALUES (2, '{name}x')"));
    assert_eq!(error.sqlstate(), "22001");
    let seen = "SELECT birth_date, last_name, salary FROM people";
    assert_eq!(client.rows(seen), [row(["1990-12-31", &name, "1.50"])]);
    client.rows("ALTER TABLE people ADD COLUMN badge uuid");
    client.rows("UPDATE people SET badge = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'");
    let mut direct = Raw::connect(pg.port(), "app");
    let types = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'people'::regclass \
         AND attname IN ('birth_date', 'last_name', 'salary', 'badge') ORDER BY attname";
    assert_eq!(direct.rows(types), [row(["bytea"]), row(["bytea"]), row(["text"]), row(["bytea"])]);
    let stored = "SELECT left(last_name, 4), get_byte(birth_date, 0), get_byte(badge, 0) FROM people";
    assert_eq!(direct.rows(stored), [row(["pv1.", "225", "225"])]);
}

#[test]
fn a_column_too_narrow_for_an_envelope_gives_22001_and_nothing_else_suffers() {
    let pg = Postgres::start();
    let gateway = Gateway::start(&pg);
    let mut client = Raw::connect(gateway.port(), "app");
    client.rows(&PEOPLE.replace("first_name text", "first_name varchar(100)"));
    client.rows("INSERT INTO people (id, first_name) VALUES (1, 'short')");
    let error =
        client.fails("INSERT INTO people (id, first_name) VALUES (2, 'a name of more than thirty bytes')");
    assert_eq!(error.sqlstate(), "22001");
    let said = error.line();
    assert!(said.contains("TYPE text") && !said.contains("thirty"), "{said}");
    assert_eq!(client.rows("SELECT id, first_name FROM people"), [row(["1", "short"])]);
}

#[test]
fn follows_search_path_and_schemas() {
    let pg = Postgres::start();
    let gateway = Gateway::start(&pg);
    let mut client = Raw::connect(gateway.port(), "app");
    client.rows(PEOPLE);
    client.rows("CREATE SCHEMA other");
    client.rows("CREATE TABLE other.people (id integer, first_name text)");
    client.rows("SET search_path = other, public");
    client.rows("INSERT INTO people (id, first_name) VALUES (1, 'clear')");
    client.rows("INSERT INTO public.people (id, first_name) VALUES (1, 'Ana')");
    client.rows("RESET search_path");
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    let mut direct = Raw::connect(pg.port(), "app");
    assert_eq!(direct.rows("SELECT first_name FROM other.people"), [row(["clear"])]);
    assert_eq!(direct.rows("SELECT first_name LIKE 'pv1.%' FROM public.people"), [row(["t"])]);
}

/// A change of the schema that is undone leaves everything protected that was so before it, also for what is on its way
/// meanwhile.
#[test]
fn a_change_of_the_schema_that_is_undone_is_forgotten() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    let mut client = world.through();
    client.rows("CREATE SCHEMA app");
    client.rows("CREATE VIEW staff AS SELECT id, email, first_name FROM people");
    let run = |sql: &str| {
        [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)].concat()
    };
    let made = "CREATE TABLE app.people (id integer, email text, first_name text)";
    let seen = "SELECT count(*) FROM people";
    let dropped = "DROP VIEW staff";
    let simple: &[&[&str]] = &[
        &["BEGIN", "SAVEPOINT s", made, seen, "ROLLBACK TO SAVEPOINT s", "INSERT", "COMMIT"],
        &["BEGIN", "SAVEPOINT s", made, seen, "SELECT 1; ROLLBACK TO s", "INSERT", "COMMIT"],
        &["BEGIN", made, seen, "ROLLBACK", "INSERT"],
        &["BEGIN", made, seen, "ROLLBACK AND CHAIN", "INSERT", "COMMIT"],
        &["BEGIN", made, seen, "SELECT 1 / 0", "ROLLBACK", "INSERT"],
        &["BEGIN", "SAVEPOINT s", dropped, seen, "ROLLBACK TO SAVEPOINT s", "VIEW", "COMMIT"],
        &["BEGIN", dropped, seen, "ROLLBACK", "VIEW"],
        &["BEGIN", dropped, seen, "ROLLBACK AND CHAIN", "VIEW", "COMMIT"],
        // By scripts, and with queries of the catalog, which are sent in other texts.
        &["BEGIN", made, seen, "SELECT 1 FROM pg_namespace LIMIT 1; ROLLBACK", "INSERT"],
        &["BEGIN", made, seen, "ROLLBACK; SELECT 1 FROM pg_namespace LIMIT 1", "INSERT"],
        &["BEGIN", made, seen, "ROLLBACK; SELECT 1 FROM pg_namespace LIMIT 1; BEGIN", "INSERT", "COMMIT"],
        &["BEGIN", made, seen, "SELECT 1 / 0", "ROLLBACK; SELECT 1 FROM pg_namespace LIMIT 1", "INSERT"],
        &[
            "BEGIN",
            "SAVEPOINT s",
            dropped,
            seen,
            "ROLLBACK TO s; SELECT 1 FROM pg_namespace",
            "VIEW",
            "COMMIT",
        ],
        &[
            "BEGIN",
            "SAVEPOINT s",
            dropped,
            "SELECT 1 / 0",
            "ROLLBACK TO s; SELECT 1 FROM people",
            "VIEW",
            "COMMIT",
        ],
        &[
            "BEGIN",
            dropped,
            "DECLARE c CURSOR FOR SELECT attname FROM pg_attribute",
            "FETCH c",
            "ROLLBACK",
            "VIEW",
        ],
        &[
            "BEGIN",
            made,
            "PREPARE p AS SELECT 1 FROM pg_attribute",
            "EXECUTE p",
            "DEALLOCATE p",
            "ROLLBACK",
            "INSERT",
        ],
        &["BEGIN", made, "COPY (SELECT attname FROM pg_attribute LIMIT 1) TO STDOUT", "ROLLBACK", "INSERT"],
    ];
    let mut told = Vec::new();
    for (n, steps) in simple.iter().enumerate() {
        for (way, at_once) in [(0, false), (1, true), (2, true)] {
            let insert = format!(
                "INSERT INTO people (email, first_name) VALUES ('canari-{n}-{way}@people.example', 'Canari-{n}-{way}')"
            );
            let steps: Vec<String> = steps
                .iter()
                .map(|step| match *step {
                    "INSERT" => insert.clone(),
                    "VIEW" => insert.replace("INTO people", "INTO staff"),
                    other => other.to_owned(),
                })
                .collect();
            let message = |sql: &String| match way {
                2 if !sql.contains("; ") => [run(sql), raw::sync()].concat(),
                _ => raw::query(sql),
            };
            let mut answers = Vec::new();
            if at_once {
                client.send(&steps.iter().flat_map(message).collect::<Vec<_>>());
                steps.iter().for_each(|_| answers.extend(client.until_ready()));
            } else {
                for step in &steps {
                    answers.extend(client.query(step));
                }
            }
            if client.query("SELECT 1").last().unwrap().body != b"I" {
                told.push(format!("{n} {way}: {answers:?}"));
                client.query("ROLLBACK");
            }
        }
    }
    // An implicit transaction that fails; and one that goes back within its pipeline.
    let insert = |n: u32| {
        run(&format!(
            "INSERT INTO people (email, first_name) VALUES ('canari-x{n}@people.example', 'Canari-x{n}')"
        ))
    };
    client.send(&[run(made), run(seen), run("SELECT 1 / 0"), raw::sync(), insert(1), raw::sync()].concat());
    client.until_ready();
    client.until_ready();
    client.rows("BEGIN");
    client.rows("SAVEPOINT s");
    client
        .send(&[run(made), run(seen), run("ROLLBACK TO s"), insert(2), run("COMMIT"), raw::sync()].concat());
    client.until_ready();
    assert!(told.is_empty(), "{told:#?}");
    let stored = world.direct().rows("SELECT email, first_name FROM people");
    assert!(stored.len() > 10, "{stored:?}");
    assert_absent("the table", format!("{stored:?}").as_bytes(), &[b"anari-"]);
    assert_absent("the log", world.pg.log().as_bytes(), &[b"anari-"]);
    assert_eq!(
        client.rows("SELECT count(*) FROM people WHERE first_name LIKE 'Canari-%'"),
        [row([&stored.len().to_string()])]
    );
}

/// The path may begin with a schema that has such a table, or gets one.
#[test]
fn a_table_of_the_same_name_that_the_path_finds_first_is_read_as_what_it_is() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut client = world.through();
    // The role is called `app`: by default its own schema stands first.
    for path in [None, Some("SET search_path = app, public")] {
        let mut other = world.through();
        for client in [&mut client, &mut other] {
            path.into_iter().for_each(|path| drop(client.rows(path)));
            assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
        }
        client.rows("CREATE SCHEMA app");
        client.rows("CREATE TABLE app.people (id integer, note text)");
        client.rows("INSERT INTO people VALUES (7, 'clear')");
        assert_eq!(client.rows("SELECT * FROM people"), [row(["7", "clear"])]);
        // A session that has not heard of it yet is told that something has changed, and goes on.
        let answers = other.query("SELECT * FROM people");
        if let Some(error) = answers.iter().find(|m| m.tag == b'E') {
            assert_eq!(error.sqlstate(), "XX000");
            assert_eq!(error.fields()[&'S'], "ERROR");
        }
        assert_eq!(other.rows("SELECT 1"), [row(["1"])]);
        client.rows("DROP SCHEMA app CASCADE");
        assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
        client.rows("RESET search_path");
    }
}

#[test]
fn no_table_made_in_the_temporary_schema_stands_before_a_protected_one() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut client = world.through();
    client.rows("SET search_path = pg_temp");
    for sql in [
        "CREATE TABLE people (id integer, first_name text)",
        "CREATE TABLE people AS SELECT 1 AS id",
        "SELECT 1 AS id INTO people",
        "CREATE VIEW people AS SELECT 1 AS id",
    ] {
        let error = client.fails(sql);
        assert_eq!(error.sqlstate(), "0A000", "{sql}");
        assert!(error.fields()[&'H'].contains("temp-shadow"), "{sql}: {error:?}");
    }
    client.rows("CREATE TABLE notes (id integer)");
    client.rows("SET search_path = public, pg_temp");
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
}

#[test]
fn a_view_that_a_script_on_the_catalog_makes_is_protected_at_once() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    let mut client = world.through();
    let mut sent = Vec::new();
    for (n, at_once) in [(1, false), (2, true)] {
        let steps = [
            format!("SELECT count(*) FROM pg_namespace; CREATE VIEW later{n} AS SELECT * FROM people"),
            format!(
                "INSERT INTO later{n} (email, first_name) VALUES ('canari-{n}@people.example', 'Canari-{n}')"
            ),
            format!("SELECT count(*) FROM pg_namespace; DROP VIEW later{n}; ROLLBACK"),
        ];
        let messages = steps.iter().map(|step| raw::query(step));
        if at_once {
            client.send(&messages.collect::<Vec<_>>().concat());
            steps.iter().for_each(|_| sent.extend(client.until_ready()));
        } else {
            messages.for_each(|message| {
                client.send(&message);
                sent.extend(client.until_ready());
            });
        }
    }
    let errors: Vec<String> = sent.iter().filter(|m| m.tag == b'E').map(|m| m.sqlstate()).collect();
    assert_eq!(errors, ["0A000", "0A000"], "{sent:?}");
    let stored = world.direct().rows("SELECT email, first_name FROM people");
    assert_absent("the table", format!("{stored:?}").as_bytes(), &[b"anari-"]);
    assert_absent("the log", world.pg.log().as_bytes(), &[b"anari-"]);
}
