//! What an erased person's row shows is written back by whoever saves a whole row: it means "unchanged".

use crate::support::gateway::Setup;
use crate::support::world::tags;
use crate::support::{Gateway, Message, Postgres, Raw, raw, row};

const TABLE: &str = "CREATE TABLE people (
    id integer PRIMARY KEY,
    email text NOT NULL UNIQUE,
    login text NOT NULL UNIQUE,
    first_name text NOT NULL,
    last_name varchar(150) NOT NULL,
    birth_date bytea,
    hired bytea NOT NULL,
    status text,
    code integer UNIQUE
)";

const LOG: &str = "CREATE TABLE log (
    id integer PRIMARY KEY,
    person integer,
    name text NOT NULL,
    login text NOT NULL UNIQUE,
    hired bytea NOT NULL
)";

const FIELDS: &str = r#"
[fields]
email      = { protect = "pseudonym", kind = "email" }
login      = { protect = "pseudonym", erased = "gone" }
first_name = "encrypt"
last_name  = { protect = "encrypt", type = "varchar(150)" }
birth_date = { protect = "encrypt", type = "date" }
hired      = { protect = "encrypt", type = "date", erased = "1900-01-01" }
"#;

const POLICY: &str = "[postgres.tables.people]\nsubject = \"id\"\n\
    fields = [\"email\", \"login\", \"first_name\", \"last_name\", \"birth_date\", \"hired\"]\n\
    [postgres.tables.log]\nsubject = \"person\"\n\
    fields = { name = \"first_name\", login = \"login\", hired = \"hired\" }\n";

const SEEN: &str = "SELECT email, login, first_name, last_name, birth_date, hired FROM people WHERE id = ";
const SAVE: &str = "UPDATE people SET email = '', login = 'gone', first_name = '', last_name = '', \
    birth_date = NULL, hired = '1900-01-01', status = 'left' WHERE id = ";

/// Three people, of whom 1 and 2 are erased.
struct World {
    gateway: Gateway,
    pg: Postgres,
}

impl World {
    fn new() -> Self {
        let pg = Postgres::start();
        Raw::connect(pg.port(), "app").rows(TABLE);
        Raw::connect(pg.port(), "app").rows(LOG);
        let mut setup = Setup::new(&pg);
        FIELDS.clone_into(&mut setup.fields);
        POLICY.clone_into(&mut setup.tables);
        let world = Self { gateway: Gateway::with(setup), pg };
        let mut client = world.through();
        for (id, name) in [(1, "Ana"), (2, "Bea"), (3, "Cleo")] {
            client.rows(&format!(
                "INSERT INTO people VALUES ({id}, '{name}@x.example', '{name}', '{name}', 'Last-{name}', \
                 '1980-01-02', '2020-02-03', 'in', {id}0)"
            ));
        }
        world.gateway.admin().erase(1);
        world.gateway.admin().erase(2);
        world
    }

    fn through(&self) -> Raw {
        Raw::connect(self.gateway.port(), "app")
    }

    /// What the database holds of a person, but for what was NULLed.
    fn stored(&self, id: u32) -> Vec<Vec<Option<String>>> {
        Raw::connect(self.pg.port(), "app")
            .rows(&format!("SELECT email, login, first_name, last_name, hired FROM people WHERE id = {id}"))
    }
}

fn gone() -> Vec<Vec<Option<String>>> {
    vec![row(["", "gone", "", "", "NULL", "1900-01-01"])]
}

fn refused(error: &Message) {
    assert_eq!(error.sqlstate(), "0A000", "{error:?}");
    assert!(error.line().contains("erased"), "{error:?}");
}

#[test]
fn a_whole_row_of_the_erased_is_saved_and_keeps_what_it_held() {
    let world = World::new();
    let before = [world.stored(1), world.stored(2)];
    let mut client = world.through();
    for id in [1, 2] {
        let answers = client.query(&format!("{SAVE}{id}"));
        assert_eq!(tags(&answers), "CZ", "{answers:?}");
        assert_eq!(answers[0].command(), "UPDATE 1");
        assert_eq!(client.rows(&format!("{SEEN}{id}")), gone());
        assert_eq!(client.rows(&format!("SELECT status FROM people WHERE id = {id}")), [row(["left"])]);
    }
    assert_eq!([world.stored(1), world.stored(2)], before, "not a byte of what is protected was written");
    // In a transaction, with what it returns.
    client.rows("BEGIN");
    let returned = client.rows(&format!("{SAVE}1 RETURNING first_name, hired, status"));
    assert_eq!(returned, [row(["", "1900-01-01", "left"])]);
    client.rows("COMMIT");
    assert_eq!(world.stored(1), before[0]);
}

#[test]
fn any_other_value_about_the_erased_is_refused() {
    let world = World::new();
    let mut client = world.through();
    for set in [
        "email = 'a@x.example'",
        "email = 'gone'",
        "login = ''",
        "first_name = ' '",
        "last_name = 'gone'",
        "birth_date = '1900-01-01'",
        "hired = '1900-01-02'",
        "email = '', first_name = 'Ana'",
        "first_name = '', last_name = 'Arc', status = 'x'",
    ] {
        for condition in ["id = 1", "status = 'in' AND id < 2", "true"] {
            refused(&client.fails(&format!("UPDATE people SET {set} WHERE {condition}")));
        }
    }
    refused(&client.fails(&format!("{}, id = 1 WHERE id = 3", SAVE.replace(" WHERE id = ", ""))));
    assert_eq!(client.fails("UPDATE people SET first_name = NULL WHERE id = 1").sqlstate(), "23502");
    let seen = client.rows("SELECT first_name, status FROM people ORDER BY id");
    assert_eq!(seen, [row(["", "in"]), row(["", "in"]), row(["Cleo", "in"])]);
}

#[test]
fn placeholders_among_rows_of_the_living_concern_only_the_erased() {
    let world = World::new();
    let before = world.stored(1);
    let mut client = world.through();
    let answers = client.query("UPDATE people SET first_name = '', birth_date = NULL WHERE status = 'in'");
    assert_eq!(answers[0].command(), "UPDATE 3");
    assert_eq!(world.stored(1), before);
    // The living hold the empty text as a value like any other.
    assert_eq!(
        client.rows(&format!("{SEEN}3")),
        [row(["Cleo@x.example", "Cleo", "", "Last-Cleo", "NULL", "2020-02-03"])]
    );
    assert_eq!(client.rows(&format!("{SEEN}1")), gone());
    let sealed = Raw::connect(world.pg.port(), "app").rows("SELECT first_name FROM people WHERE id = 3");
    assert!(sealed[0][0].as_ref().unwrap().starts_with("pv1."));
    client.rows("UPDATE people SET email = '' WHERE email = 'Cleo@x.example' OR id = 2");
    assert_eq!(client.rows("SELECT email FROM people ORDER BY id"), [row([""]), row([""]), row([""])]);
}

#[test]
fn a_prepared_save_serves_the_living_and_the_erased_in_turn() {
    let world = World::new();
    let before = world.stored(1);
    let mut client = world.through();
    let sql = "UPDATE people SET email = $1, login = $2, first_name = $3, last_name = $4, birth_date = $5, \
               hired = $6, status = $7 WHERE id = $8 RETURNING first_name, status";
    let erased = ["", "gone", "", "", "1900-01-01", "now left", "1"];
    let living = ["c@x.example", "cleo", "Cléo", "Last", "2021-01-01", "still in", "3"];
    let bind = |values: [&str; 7]| {
        let [a, b, c, d, e, f, g] = values.map(Some);
        raw::bind_text("", "save", &[a, b, c, d, None, e, f, g], &[])
    };
    client.send(&[raw::parse("save", sql, &[]), raw::sync()].concat());
    assert_eq!(tags(&client.until_ready()), "1Z");
    for (values, first) in [(living, "Cléo"), (erased, ""), (living, "Cléo"), (erased, "")] {
        let steps = [bind(values), raw::describe(b'P', ""), raw::execute("", 0), raw::sync()];
        client.send(&steps.concat());
        let answers = client.until_ready();
        assert_eq!(tags(&answers), "2TDCZ", "{answers:?}");
        assert_eq!(answers[2].texts(), row([first, values[5]]));
    }
    // Without waiting, in one pipeline.
    let steps = [bind(erased), raw::execute("", 0), bind(living), raw::execute("", 0), raw::sync()];
    client.send(&steps.concat());
    let answers = client.until_ready();
    assert_eq!(tags(&answers), "2DC2DCZ", "{answers:?}");
    assert_eq!(world.stored(1), before);
    // Another value fails at its own place; what follows is skipped.
    let wrong = ["", "gone", "Ana", "", "1900-01-01", "wrong", "1"];
    client.send(&[bind(living), raw::execute("", 0), bind(wrong), raw::execute("", 0), raw::sync()].concat());
    let answers = client.until_ready();
    assert_eq!(tags(&answers), "2DCEZ", "{answers:?}");
    refused(&answers[3]);
    assert_eq!(client.rows(&format!("{SEEN}1")), gone());
}

#[test]
fn an_upsert_that_lands_on_the_erased_keeps_their_values() {
    let world = World::new();
    let before = [world.stored(1), world.stored(2)];
    let mut client = world.through();
    let columns = "(id, email, login, first_name, last_name, hired, status)";
    let placeholders = |id: u32| format!("({id}, '', 'gone', '', '', '1900-01-01', 'again')");
    let set = "ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, login = EXCLUDED.login, \
               first_name = EXCLUDED.first_name, last_name = EXCLUDED.last_name, hired = EXCLUDED.hired, \
               status = EXCLUDED.status";
    let one = client.query(&format!("INSERT INTO people {columns} VALUES {} {set}", placeholders(1)));
    assert_eq!(one[0].command(), "INSERT 0 1", "{one:?}");
    // Among the living and the new.
    let many = format!(
        "INSERT INTO people {columns} VALUES {}, (3, 'c3@x.example', 'c3', 'Cléa', 'L', '2022-01-01', 'x'), \
         (4, 'd4@x.example', 'd4', 'Dora', 'L', '2022-01-01', 'x') {set} RETURNING id, first_name, status",
        placeholders(2)
    );
    let rows = [row(["2", "", "again"]), row(["3", "Cléa", "x"]), row(["4", "Dora", "x"])];
    assert_eq!(client.rows(&many), rows);
    client.rows(
        "INSERT INTO people (id, email, login, first_name, last_name, hired) \
         VALUES (1, '', 'gone', '', '', '1900-01-01') ON CONFLICT (id) DO UPDATE SET first_name = '', \
         status = 'literal'",
    );
    client.rows(&format!(
        "INSERT INTO people {columns} SELECT * FROM UNNEST('{{1,3}}'::integer[], \
         '{{\"\",c5@x.example}}'::text[], '{{gone,c5}}'::text[], '{{\"\",Cinq}}'::text[], \
         '{{\"\",L}}'::text[], '{{1900-01-01,2022-01-01}}'::date[], '{{un,un}}'::text[]) {set}"
    ));
    let names = client.rows("SELECT first_name, status FROM people ORDER BY id");
    assert_eq!(names, [row(["", "un"]), row(["", "again"]), row(["Cinq", "un"]), row(["Dora", "x"])]);
    assert_eq!([world.stored(1), world.stored(2)], before);
    assert_eq!(client.rows(&format!("{SEEN}1")), gone());
    // Another value, and a row that is met by another key.
    for sql in [
        format!("INSERT INTO people {columns} VALUES (1, '', 'gone', 'Ana', '', '1900-01-01', 'no') {set}"),
        "INSERT INTO people (id, email, login, first_name, last_name, hired, code) \
             VALUES (9, '', 'gone', 'New', '', '1900-01-01', 10) \
             ON CONFLICT (code) DO UPDATE SET first_name = EXCLUDED.first_name"
            .to_owned(),
    ] {
        refused(&client.fails(&sql));
    }
    let again = format!("INSERT INTO people {columns} VALUES (1, '', 'gone', '', '', '1900-01-01', 'no')");
    assert_eq!(client.fails(&again).sqlstate(), "23505", "as without the gateway");
    client.rows("DELETE FROM people WHERE id = 1");
    for _ in 0..2 {
        client.rows(&format!("INSERT INTO people {columns} VALUES {} {set}", placeholders(1)));
        assert_eq!(client.rows(&format!("{SEEN}1")), gone());
    }
    let ids = client.rows("SELECT id FROM people ORDER BY id");
    assert_eq!(ids, [row(["1"]), row(["2"]), row(["3"]), row(["4"])]);
}

#[test]
fn a_new_row_that_shows_the_erased_as_they_are_shown_is_stored_with_stand_ins() {
    let mut world = World::new();
    let mut direct = Raw::connect(world.pg.port(), "app");
    let mut client = world.through();
    let insert = |id: i32, person: i32, name: &str, login: &str, hired: &str| {
        format!("INSERT INTO log VALUES ({id}, {person}, '{name}', '{login}', '{hired}')")
    };
    for (id, person) in [(1, 1), (2, 2), (3, 1)] {
        assert_eq!(client.query(&insert(id, person, "", "gone", "1900-01-01"))[0].command(), "INSERT 0 1");
    }
    let rows = "INSERT INTO log SELECT * FROM UNNEST('{4,5}'::integer[], '{2,3}'::integer[], '{\"\",\"Cleo\"}'::text[], '{gone,cleo}'::text[], '{1900-01-01,2020-02-03}'::date[])";
    assert_eq!(client.query(rows)[0].command(), "INSERT 0 2");
    let seen = client.rows("SELECT id, name, login, hired FROM log ORDER BY id");
    let erased = |id: &str| row([id, "", "gone", "1900-01-01"]);
    assert_eq!(
        seen,
        [erased("1"), erased("2"), erased("3"), erased("4"), row(["5", "Cleo", "cleo", "2020-02-03"])]
    );
    // What is stored is nobody's: no value, no key of theirs, and no two alike in a UNIQUE column.
    let stored = direct.rows("SELECT name, login FROM log WHERE person < 3");
    assert!(stored.iter().all(|r| r[0].as_ref().unwrap().starts_with("pv1.") && r[1].as_ref().unwrap().starts_with("psn_")));
    // Still so after a restart, with what the ledger says alone.
    world.gateway.restart();
    assert_eq!(world.through().rows("SELECT id, name, login, hired FROM log WHERE id = 3"), [erased("3")]);
    // Anything else about them is refused.
    for other in [
        insert(9, 1, "Ana", "gone", "1900-01-01"),
        insert(9, 1, "", "ana", "1900-01-01"),
        insert(9, 1, "", "gone", "1900-01-02"),
    ] {
        refused(&world.through().fails(&other));
    }
}
