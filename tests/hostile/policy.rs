//! A policy that is wrong in itself, or doesn't fit the database.

use crate::support::gateway::{Home, Setup};
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, row};

#[test]
fn a_wrong_policy_is_refused_with_every_error_at_once() {
    let pg = Postgres::start();
    let cases: &[(&str, &[&str])] = &[
        ("[fields]\nname = \"encrypted\"\n", &["encrypt"]),
        ("[fields]\nname = { protect = \"encrypt\", type = \"int4range\" }\n", &["int4range"]),
        ("[fields]\nname = { protect = \"encrypt\", typ = \"date\" }\n", &["typ", "type"]),
        ("[fields]\nname = \"encrypt\"\nmail = { protect = \"pseudonym\", kind = \"mail\" }\n", &["email"]),
        ("[feilds]\nname = \"encrypt\"\n", &["fields"]),
        (
            "[fields]\nname = \"encrypt\"\na = { protect = \"x\" }\nb = { protect = \"encrypt\", type = \"dat\" }\n",
            &["x", "dat"],
        ),
        ("[fields]\nname = \n", &["paravent.toml"]),
    ];
    for (fields, words) in cases {
        let home = Home::new(Setup::new(&pg));
        let mut wrong = home.setup.clone();
        (*fields).clone_into(&mut wrong.fields);
        "[postgres.tables.people]\nsubject = \"id\"\nfields = [\"name\"]\n".clone_into(&mut wrong.tables);
        std::fs::write(home.path("paravent.toml"), wrong.toml()).unwrap();
        let (code, said) = home.refused();
        assert_eq!(code, 2, "{fields}\n{said}");
        for word in *words {
            assert!(said.contains(word), "no `{word}` in:\n{said}");
        }
    }
}

#[test]
fn sections_of_later_versions_are_refused_by_name() {
    let pg = Postgres::start();
    let home = Home::new(Setup::new(&pg));
    let text = home.setup.toml() + "\n[retention]\ncomment = \"90d\"\n";
    std::fs::write(home.path("paravent.toml"), text).unwrap();
    let (code, said) = home.refused();
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("retention") && said.contains("not in this version"), "{said}");
}

#[test]
fn wrong_usage_exits_with_2() {
    let pg = Postgres::start();
    let home = Home::new(Setup::new(&pg));
    for args in [
        &["serve", "--nonsense"][..],
        &["no-such-command"],
        &["serve", "--config", "nowhere.toml"],
        &["admin", "token"],
    ] {
        let out = home.run(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn a_missing_column_is_named_in_the_log_and_protected_once_it_is_there() {
    let pg = Postgres::start();
    make_tables(&pg);
    let mut setup = Setup::new(&pg);
    setup.fields.push_str("nickname = \"encrypt\"\n");
    let fields = "\"email\", \"first_name\", \"last_name\"";
    setup.tables = setup.tables.replace(fields, &format!("\"nickname\", {fields}"));
    let gateway = Gateway::with(setup);
    let mut client = Raw::connect(gateway.port(), "app");
    // What does not name the column goes on; what does gets the server's own answer, without the value.
    client.rows("INSERT INTO people (email, first_name) VALUES ('a@x.example', 'Ana')");
    let error = client.fails("UPDATE people SET nickname = 'Nana'");
    assert_eq!(error.sqlstate(), "42703");
    let log = String::from_utf8(gateway.log()).unwrap();
    let line = log.lines().find(|l| l.contains("WARN") && l.contains("nickname"));
    assert!(line.is_some_and(|l| l.contains("people")), "one line says what to do");
    client.rows("ALTER TABLE people ADD COLUMN nickname text");
    client.rows("UPDATE people SET nickname = 'Nana'");
    assert_eq!(client.rows("SELECT first_name, nickname FROM people"), [row(["Ana", "Nana"])]);
    let stored = Raw::connect(pg.port(), "app").rows("SELECT nickname LIKE 'pv1.%' FROM people");
    assert_eq!(stored, [row(["t"])]);
}

#[test]
fn a_column_of_another_storage_type_is_named_and_nothing_is_sent() {
    let pg = Postgres::start();
    Raw::connect(pg.port(), "app").rows(
        "CREATE TABLE people (id integer PRIMARY KEY, email text, first_name text, last_name text, nick text, \
         birth_date date, seen_at bytea, age bytea, points bytea, salary bytea, active bytea, badge bytea, \
         profile bytea, photo bytea)",
    );
    let gateway = Gateway::start(&pg);
    let mut client = Raw::connect(gateway.port(), "app");
    let error = client.fails("INSERT INTO people (id, birth_date) VALUES (1, '1987-03-29')");
    assert_eq!(error.sqlstate(), "0A000");
    let fields = error.fields();
    assert!(fields[&'M'].contains("birth_date") && fields[&'H'].contains("bytea"), "{error:?}");
    assert_eq!(Raw::connect(pg.port(), "app").rows("SELECT count(*) FROM people"), [row(["0"])]);
}
