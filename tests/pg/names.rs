//! A name means what the server takes it for: other spellings, other schemas, paths that move, tables that shadow.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::{Raw, World, raw, row, tags};
use std::cell::Cell;

const INSERT: &str = "INSERT INTO people (email, last_name) VALUES ('canari@people.example', 'Canari-Nom')";
const CANARIES: [&[u8]; 2] = [b"canari@people", b"Canari-Nom"];

/// Beside `public.people` lies another one, which nothing protects.
fn world() -> World {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    world.direct().rows(
        "CREATE SCHEMA other; CREATE TABLE other.people (id int, email text, last_name text); \
         GRANT ALL ON SCHEMA other TO app; GRANT ALL ON other.people TO app; \
         CREATE FUNCTION switch(text) RETURNS text LANGUAGE sql AS 'SELECT set_config(''search_path'', $1, false)'",
    );
    world
}

/// Nothing of the canaries lies behind the gateway, in any table or in the log.
fn assert_closed(world: &World, what: &str) {
    for table in ["public.people", "other.people"] {
        let rows = world.direct().rows(&format!("SELECT email, last_name FROM {table}"));
        assert_absent(&format!("{what}: {table}"), format!("{rows:?}").as_bytes(), &CANARIES);
    }
    assert_absent(&format!("{what}: the log"), world.pg.log().as_bytes(), &CANARIES);
}

#[test]
fn a_table_is_protected_however_its_name_is_written() {
    let world = world();
    let mut client = world.through();
    let names = [
        "people",
        "PEOPLE",
        "\"people\"",
        "public.people",
        "Public . \"people\"",
        "\"public\"/* . */./* other */\"people\"",
        "U&\"p\\0065ople\"",
        "u&\"p!0065op!+00006ce\" UESCAPE '!'",
        "public.U&\"\\0070eople\"",
        "U&\"publi\\0063\".people",
        "app.public.people",
        "people -- other\n",
    ];
    for (n, name) in (1..).zip(names) {
        let insert = format!(
            "INSERT INTO {name} (email, last_name) VALUES ('canari@people{n}.example', 'Canari-Nom-{n}')"
        );
        client.rows(&insert);
        let seen =
            client.rows(&format!("SELECT last_name FROM {name} WHERE email = 'canari@people{n}.example'"));
        assert_eq!(seen, [row([&format!("Canari-Nom-{n}")])], "{name}");
        for update in [
            format!("UPDATE ONLY {name} SET nick = 'Canari-Nom'"),
            format!("UPDATE {name} * AS p SET nick = 'Canari-Nom'"),
        ] {
            client.rows(&format!("{update} WHERE email = 'canari@people{n}.example'"));
        }
    }
    for name in ["\"People\"", "other.\"PEOPLE\"", "U&\"P\\0065ople\"", "elsewhere.people"] {
        assert_eq!(client.fails(&format!("SELECT 1 FROM {name}")).sqlstate(), "42P01", "{name}");
    }
    assert_eq!(client.rows("SELECT count(*) FROM other.people"), [row(["0"])]);
    assert_closed(&world, "names");
}

#[test]
fn a_path_that_moves_unseen_lets_nothing_through() {
    let world = world();
    // First the path leads to the other table; then these lead back.
    let moves: &[&[&str]] = &[
        &["SET SCHEMA 'public'"],
        &["set /* x */ schema 'public'"],
        &["SELECT set_config('search' || '_path', 'public', false)"],
        &["SELECT pg_catalog.set_config(chr(115) || 'earch_path', 'public', false)"],
        &["SELECT switch('public')"],
        &["BEGIN", "SELECT switch('public')"],
        &["BEGIN", "SET LOCAL search_path = public"],
        &["RESET search_path"],
        &["RESET\n ALL"],
        &["DISCARD ALL"],
        &["SET U&\"search\\005fpath\" = public"],
        &["DO $$ BEGIN PERFORM switch('public'); END $$"],
        &["PREPARE m AS SELECT switch('public')", "EXECUTE m"],
        &["SELECT switch('public'); SELECT 1"],
    ];
    for steps in moves {
        let mut client = world.through();
        client.rows("SET search_path = other, public");
        client.rows("SELECT last_name FROM people");
        for sql in *steps {
            client.rows(sql);
        }
        assert_eq!(client.query(INSERT)[0].command(), "INSERT 0 1", "{steps:?}");
        assert_eq!(client.rows("SELECT last_name FROM public.people"), [row(["Canari-Nom"])], "{steps:?}");
        client.query("COMMIT");
        world.direct().rows("DELETE FROM public.people");
        assert_closed(&world, &format!("{steps:?}"));
    }
    // A savepoint, and a transaction that is undone.
    let mut client = world.through();
    for sql in [
        "BEGIN",
        "SAVEPOINT s",
        "SET search_path = other",
        "SELECT last_name FROM people",
        "ROLLBACK TO s",
        INSERT,
        "ROLLBACK",
        "BEGIN",
        "SET search_path = other",
        "SELECT last_name FROM people",
        "ROLLBACK",
        INSERT,
    ] {
        client.rows(sql);
    }
    assert_closed(&world, "transactions");
}

#[test]
fn what_was_prepared_elsewhere_is_judged_when_it_runs() {
    let world = world();
    let mut client = world.through();
    let insert = "INSERT INTO people (email, last_name) VALUES ($1, $2)";
    let values = [Some("canari@people.example"), Some("Canari-Nom")];
    client.send(&[raw::parse("back", "SET search_path = public", &[]), raw::sync()].concat());
    client.until_ready();
    let run = |client: &mut Raw, name: &str, values: &[Option<&str>]| {
        client.send(&[raw::bind_text("", name, values, &[]), raw::execute("", 0), raw::sync()].concat());
        client.until_ready()
    };
    for back in ["protocol", "function", "pipeline"] {
        client.rows("SET search_path = other, public");
        client.send(&[raw::parse("there", insert, &[]), raw::sync()].concat());
        client.until_ready();
        assert_eq!(tags(&run(&mut client, "there", &[Some("x"), Some("y")])), "2CZ");
        let answers = match back {
            "protocol" => {
                run(&mut client, "back", &[]);
                run(&mut client, "there", &values)
            }
            "function" => {
                client.rows("SELECT switch('public')");
                run(&mut client, "there", &values)
            }
            _ => {
                client.send(
                    &[
                        raw::parse("", "SELECT switch('public')", &[]),
                        raw::bind_text("", "", &[], &[]),
                        raw::execute("", 0),
                        raw::bind_text("", "there", &values, &[]),
                        raw::execute("", 0),
                        raw::sync(),
                    ]
                    .concat(),
                );
                client.until_ready()
            }
        };
        let error = answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{back}: {answers:?}"));
        assert_eq!(error.sqlstate(), "0A000", "{back}");
        client.send(&[raw::close(b'S', "there"), raw::sync()].concat());
        client.until_ready();
    }
    // In one Query nothing is known of the path between its statements.
    client.rows("SET search_path = other, public");
    client.rows("PREPARE s AS INSERT INTO people (email, last_name) VALUES ($1, $2)");
    client.rows("EXECUTE s('plain', 'plain')");
    let call = "EXECUTE s('canari@people.example', 'Canari-Nom')";
    let prepare = "PREPARE t AS INSERT INTO people (email, last_name) VALUES ($1, $2)";
    for sql in [
        format!("SELECT switch('public'); {INSERT}"),
        format!("SELECT 1; {INSERT}"),
        format!("SELECT switch('public'); {call}"),
        format!("{prepare}; SELECT switch('public'); {}", call.replace("EXECUTE s", "EXECUTE t")),
    ] {
        assert_eq!(client.fails(&sql).sqlstate(), "0A000", "{sql}");
    }
    client.rows("SELECT switch('public')");
    assert_eq!(client.fails(call).sqlstate(), "0A000");
    client.rows("SET search_path = other, public");
    // EXECUTE that was prepared itself.
    client.send(&[raw::parse("x", "EXECUTE s('plain', 'plain')", &[]), raw::sync()].concat());
    client.until_ready();
    assert_eq!(tags(&run(&mut client, "x", &[])), "2CZ");
    client.rows("SELECT switch('public')");
    assert_eq!(tags(&run(&mut client, "x", &[])), "EZ");
    client.rows("SET search_path = other, public");
    assert_eq!(
        client.query("BEGIN; INSERT INTO people VALUES (1, 'plain', 'plain'); COMMIT")[1].command(),
        "INSERT 0 1"
    );
    assert_closed(&world, "prepared");
}

#[test]
fn a_temporary_table_does_not_stand_before_a_protected_one() {
    let world = world();
    let mut client = world.through();
    client.rows("PREPARE plain AS SELECT 1 AS id, ''::text AS email, ''::text AS last_name");
    for sql in [
        "CREATE TEMP TABLE people (id int, email text, last_name text)",
        "CREATE TEMPORARY TABLE U&\"p\\0065ople\" (id int, email text, last_name text)",
        "CREATE TABLE pg_temp.people (id int, email text, last_name text)",
        "SELECT 1 AS id, ''::text AS email, ''::text AS last_name INTO TEMP people",
        "CREATE TEMP TABLE people AS SELECT 1 AS id",
        "CREATE TEMP VIEW people AS SELECT 1 AS id",
        "CREATE TEMP SEQUENCE people",
        "CREATE TEMP TABLE people AS EXECUTE plain",
        "CREATE TABLE public.people AS EXECUTE plain",
        "EXPLAIN ANALYZE CREATE TEMP TABLE people AS EXECUTE plain",
        "CREATE TEMP TABLE shadow (id int, email text, last_name text); ALTER TABLE shadow RENAME TO people",
    ] {
        assert_eq!(client.fails(sql).sqlstate(), "0A000", "{sql}");
        client.rows(INSERT);
        client.rows("DELETE FROM people");
    }
    // One that was made where nobody saw it holds sealed values, and shows none.
    world.direct().rows(
        "CREATE FUNCTION shadows() RETURNS void LANGUAGE plpgsql AS \
        'BEGIN EXECUTE ''CREATE TEMP TABLE peo'' || ''ple (id serial, email text, last_name text)''; END'",
    );
    let mut client = world.through();
    client.rows("SELECT shadows()");
    client.query(INSERT);
    assert_closed(&world, "shadows");
}

#[test]
fn text_that_runs_is_written_in_the_statement() {
    let world = world();
    world.people(&["Ana"]);
    let mut client = world.through();
    client.rows("SET my.text = 'SELECT last_name FROM ' ");
    for sql in [
        "SELECT query_to_xml(current_setting('my.text') || 'peo' || 'ple', true, false, '')",
        "SELECT query_to_xml(current_setting('my.text'), true, false, '')",
        "SELECT * FROM ts_stat(concat('SELECT email FROM peo', 'ple'))",
        "SELECT query_to_xml(E'SELECT last_name FROM p\\x65ople', true, false, '')",
        "SELECT table_to_xml('peo' || 'ple', true, false, '')",
    ] {
        assert_eq!(client.fails(sql).sqlstate(), "0A000", "{sql}");
    }
    client.send(&[raw::parse("", "SELECT query_to_xml($1, true, false, '')", &[]), raw::sync()].concat());
    assert_eq!(client.until_ready()[0].sqlstate(), "0A000");
    assert_eq!(
        client.rows("SELECT query_to_xml('SELECT 1 AS one', true, false, '') IS NOT NULL"),
        [row(["t"])]
    );
    assert_eq!(
        client.rows("SELECT ts_rewrite('a'::tsquery, 'a'::tsquery, concat('b')::tsquery)"),
        [row(["'b'"])]
    );
}

#[test]
fn columns_of_domains_are_those_of_their_base_type() {
    let world = world();
    for mut client in [world.direct(), world.clear()] {
        client.rows(
            "CREATE DOMAIN name AS varchar(400); CREATE DOMAIN family_name AS public.name CHECK (VALUE <> ''); \
             ALTER TABLE people ALTER COLUMN last_name TYPE public.family_name; CREATE DOMAIN label AS text; \
             ALTER TABLE comments ALTER COLUMN body TYPE label",
        );
    }
    let (mut through, mut clear) = (world.through(), world.clear());
    for sql in [
        INSERT,
        "SELECT last_name FROM people",
        "INSERT INTO comments (author_id, body) VALUES (1, 'Canari-Nom') RETURNING body",
        "UPDATE people SET last_name = 'Canari-Nom deux' WHERE email = 'canari@people.example' RETURNING last_name",
    ] {
        let lines = |client: &mut Raw| client.query(sql).iter().map(|m| m.line()).collect::<Vec<_>>();
        let (seen, expected) = (lines(&mut through), lines(&mut clear));
        // A column's declared length is the policy's.
        let cut =
            |lines: &[String]| lines.iter().map(|l| l.replace("mod=154", "mod=404")).collect::<Vec<_>>();
        assert_eq!(cut(&seen), cut(&expected), "{sql}");
    }
    let rows = world.direct().rows("SELECT last_name, body FROM people, comments");
    assert_absent("the tables", format!("{rows:?}").as_bytes(), &CANARIES);
}

#[test]
fn a_search_path_that_is_named_like_a_protected_table_is_followed() {
    let world = World::new();
    let mut direct = world.direct();
    direct.rows("CREATE SCHEMA people AUTHORIZATION app");
    direct
        .rows("CREATE TABLE people.logins (id integer, email text); ALTER TABLE people.logins OWNER TO app");
    let mut client = world.through();
    client.rows("INSERT INTO logins (id, email) VALUES (1, 'one@logins.example')");
    client.rows("SET search_path = people");
    client.rows("INSERT INTO logins (id, email) VALUES (2, 'two@logins.example')");
    assert_eq!(client.rows("SELECT id, email FROM logins"), [row(["2", "two@logins.example"])]);
    assert_eq!(direct.rows("SELECT id, email FROM people.logins"), [row(["2", "two@logins.example"])]);
    client.rows("SET search_path = public, people");
    assert_eq!(client.rows("SELECT id, email FROM logins"), [row(["1", "one@logins.example"])]);
    let stored = direct.rows("SELECT email FROM public.logins");
    assert!(stored.len() == 1 && stored[0][0].as_ref().unwrap().starts_with("psn_"), "{stored:?}");
}

/// What is sent at once, and how many times the server is ready for the next.
type Burst = (&'static str, Vec<Vec<u8>>, usize);

/// In each, a Parse or Close that the server refuses or skips makes a name look harmless, or like another statement.
fn bursts() -> Vec<Burst> {
    let people = Cell::new(0);
    let insert = |name: &str| {
        people.set(people.get() + 1);
        let sql =
            format!("INSERT INTO people (email, last_name) VALUES ('p{}@people.example', $1)", people.get());
        raw::parse(name, &sql, &[])
    };
    let find = |name: &str| raw::parse(name, "SELECT id FROM people WHERE email = $1", &[]);
    let plain = |name: &str| raw::parse(name, "SELECT $1::text", &[]);
    let other = |name: &str| raw::parse(name, "SELECT id FROM people WHERE id::text = $1", &[]);
    let run = |name: &str, value: &str| {
        [raw::bind_text("", name, &[Some(value)], &[]), raw::execute("", 0), raw::sync()].concat()
    };
    let (name, mail) = ("Canari-Nom", "canari@people.example");
    let bad = || raw::parse("", "selec", &[]);
    let copy = |name: &str, table: &str| raw::parse(name, &format!("COPY {table} FROM STDIN"), &[]);
    vec![
        ("a taken name", vec![insert("s"), raw::sync(), plain("s"), raw::sync(), run("s", name)], 3),
        ("a taken name, compared", vec![find("s"), raw::sync(), plain("s"), raw::sync(), run("s", mail)], 3),
        (
            "a skipped Close",
            vec![
                insert("s"),
                raw::sync(),
                bad(),
                raw::close(b'S', "s"),
                other("s"),
                raw::sync(),
                run("s", name),
            ],
            3,
        ),
        (
            "skipped twice",
            vec![
                insert("s"),
                raw::sync(),
                bad(),
                plain("s"),
                raw::sync(),
                bad(),
                raw::close(b'S', "s"),
                plain("s"),
                raw::sync(),
                run("s", name),
            ],
            4,
        ),
        (
            "a skipped unnamed one",
            vec![
                insert(""),
                raw::sync(),
                raw::parse("x", "selec", &[]),
                plain(""),
                raw::sync(),
                run("", name),
            ],
            3,
        ),
        (
            "one that failed",
            vec![
                insert(""),
                raw::parse("x", "SELECT 1/0", &[]),
                raw::bind_text("", "x", &[], &[]),
                raw::execute("", 0),
                plain(""),
                raw::sync(),
                run("", name),
            ],
            2,
        ),
        (
            "DISCARD ALL in a block",
            vec![
                insert("s"),
                raw::sync(),
                raw::query("BEGIN"),
                raw::query("DISCARD ALL"),
                raw::query("ROLLBACK"),
                plain("s"),
                raw::sync(),
                run("s", name),
            ],
            6,
        ),
        (
            "DEALLOCATE in a script that fails",
            vec![
                insert("s"),
                raw::sync(),
                raw::query("SELECT 1/0; DEALLOCATE ALL"),
                plain("s"),
                raw::sync(),
                run("s", name),
            ],
            4,
        ),
        (
            "DEALLOCATE, and the name anew",
            vec![
                insert("s"),
                raw::sync(),
                raw::query("DEALLOCATE ALL"),
                insert("s"),
                raw::sync(),
                run("s", name),
            ],
            4,
        ),
        (
            "EXECUTE of such a name",
            vec![
                insert("s"),
                raw::sync(),
                plain("s"),
                raw::sync(),
                raw::parse("", "EXECUTE s('Canari-Nom')", &[]),
                raw::bind_text("", "", &[], &[]),
                raw::execute("", 0),
                raw::sync(),
            ],
            3,
        ),
        (
            "COPY",
            vec![
                copy("s", "people (email, last_name)"),
                raw::sync(),
                copy("s", "other.people (email, last_name)"),
                raw::sync(),
                raw::bind_text("", "s", &[], &[]),
                raw::execute("", 0),
                raw::other(b'd', b"copied@people.example\tCanari-Nom\n"),
                raw::other(b'c', b""),
                raw::sync(),
            ],
            3,
        ),
    ]
}

#[test]
fn what_is_bound_before_the_answers_came_is_bound_to_what_the_server_has() {
    let world = world();
    world.direct().rows("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO paravent");
    for (what, messages, answers) in bursts() {
        let mut client = world.through();
        client.send(&messages.concat());
        for _ in 0..answers {
            client.until_ready();
        }
        assert_closed(&world, what);
        assert_eq!(client.rows("SELECT 1"), [row(["1"])], "{what}");
    }
    let mut client = world.through();
    let written = client.rows("SELECT count(*) FROM people WHERE last_name IS NOT NULL");
    assert_eq!(written, [row(["10"])], "every one that writes ran");
}

/// A Parse that the server skipped stood for nothing, whatever was made in its place meanwhile: what comes after the Sync
/// is what counts.
#[test]
fn what_was_skipped_does_not_undo_what_came_after_it() {
    let world = world();
    world.direct().rows("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO paravent");
    let insert = "INSERT INTO people (email, last_name) VALUES ($1, 'Canari-Nom')";
    let run = |name: &str, value: &str| {
        let bound = raw::bind_text("", name, &[Some(value)], &[]);
        [bound, raw::describe(b'P', ""), raw::execute("", 0)].concat()
    };
    for name in ["", "s"] {
        let skipped = [
            raw::parse(name, insert, &[]),
            run(name, &format!("{name}canari@people.example")),
            raw::parse("x", "SELECT 1/0", &[]),
            raw::bind_text("", "x", &[], &[]),
            raw::execute("", 0),
            raw::close(b'S', name),
            raw::parse(name, "SELECT id FROM people WHERE email = $1", &[]),
            raw::sync(),
        ]
        .concat();
        let after = [
            raw::close(b'S', name),
            raw::parse(name, "SELECT $1::text", &[]),
            raw::describe(b'S', name),
            run(name, "plain"),
            raw::sync(),
        ]
        .concat();
        let mut answers = Vec::new();
        for mut client in [world.through(), world.clear()] {
            client.send(&[&*skipped, &after].concat());
            client.until_ready();
            answers.push(client.until_ready());
        }
        let row = answers[0].iter().find(|m| m.tag == b'D').map(|m| m.texts());
        assert_eq!(row, Some(vec![Some("plain".to_owned())]), "{name:?}");
        assert_eq!(format!("{:?}", answers[0]), format!("{:?}", answers[1]), "{name:?}");
    }
}

/// A ReadyForQuery ends the transaction before it, and nothing that was bound after its Sync.
#[test]
fn what_is_bound_before_the_last_transaction_s_end_has_come_is_still_opened() {
    let world = world();
    world.through().rows(INSERT);
    let find = "SELECT last_name, email FROM people WHERE id = $1";
    let bound = |sql: &str, values: &[Option<&str>]| {
        [raw::parse("", sql, &[]), raw::bind_text("", "", values, &[])].concat()
    };
    let run = [raw::describe(b'P', ""), raw::execute("", 0)].concat();
    let mut client = world.through();
    client.send(&[raw::parse("slow", "SELECT pg_sleep(0.3)", &[]), raw::sync()].concat());
    client.until_ready();
    client.send(&[&*bound(find, &[Some("1")]), &run, &raw::flush()].concat());
    while client.read().unwrap().tag != b'C' {}
    client.send(&[&*raw::bind_text("", "slow", &[], &[]), &run, &raw::sync()].concat());
    client.send(&bound(find, &[Some("1")]));
    client.until_ready();
    client.send(&[&*run, &raw::sync()].concat());
    let answers = client.until_ready();
    let row = answers.iter().find(|m| m.tag == b'D').map(|m| m.texts());
    let clear = ["Canari-Nom", "canari@people.example"].map(|text| Some(text.to_owned()));
    assert_eq!(row, Some(clear.to_vec()));
}

/// The end of a failed block may be the first of a script: what follows it is executed.
#[test]
fn what_follows_the_end_of_a_failed_block_in_its_query_is_no_part_of_it() {
    let world = world();
    let mut client = world.through();
    client.rows("CREATE TABLE notes (note text)");
    for (n, end) in
        ["ROLLBACK", "COMMIT", "/* x */ END", "abort work", "ROLLBACK TO s", "PREPARE TRANSACTION 'x'"]
            .iter()
            .enumerate()
    {
        for begin in ["BEGIN", "BEGIN; SAVEPOINT s"] {
            client.query(begin);
            client.fails("SELECT 1 / 0");
            client.query(&format!("{end}; {INSERT}"));
            client.query("ROLLBACK");
            // What touches nothing protected goes on.
            client.query(begin);
            client.fails("SELECT 1 / 0");
            client.query(&format!("{end}; INSERT INTO notes VALUES ('{n} people')"));
            client.query("COMMIT");
            assert_eq!(client.query("SELECT 1").last().unwrap().body, b"I");
        }
    }
    assert_closed(&world, "after the end of a failed block");
    // A view that another session has made meanwhile.
    client.rows("BEGIN");
    client.fails("SELECT 1 / 0");
    world.through().rows("CREATE VIEW staff AS SELECT * FROM people");
    client.query(&format!("ROLLBACK; {}", INSERT.replace("people (", "staff (")));
    client.query("ROLLBACK");
    assert_closed(&world, "after a view came");
    let notes = client.rows("SELECT count(*) FROM notes");
    assert_eq!(notes, [row(["11"])]);
}

/// What PREPARE in a script keeps for a table that is found elsewhere is judged by the path of its EXECUTE.
#[test]
fn a_statement_that_a_script_prepares_follows_the_search_path() {
    let world = world();
    let mut client = world.through();
    client.rows("SET search_path = other");
    for prepare in [
        "PREPARE p(text, text) AS INSERT INTO people (email, last_name) VALUES ($1, $2)",
        "PREPARE p(text, text) AS INSERT INTO people (email, last_name) VALUES ($1, $2); SELECT 1",
        "BEGIN; PREPARE p(text, text) AS INSERT INTO people (email, last_name) VALUES ($1, $2); COMMIT",
        "PREPARE p(text, text) AS SELECT 1 FROM people, pg_namespace WHERE email = $1 AND last_name = $2",
        "PREPARE p(text, text) AS SELECT 1 FROM people, pg_namespace WHERE email = $1 AND last_name = $2; SELECT 1",
    ] {
        client.rows("SET search_path = other");
        client.query(prepare);
        client.rows("EXECUTE p('a', 'b')");
        client.rows("SET search_path = public");
        let error = client.fails("EXECUTE p('canari@people.example', 'Canari-Nom')");
        assert_eq!(error.sqlstate(), "0A000", "{prepare}");
        client.query("DEALLOCATE p");
    }
    assert_closed(&world, "by another path");
}

/// A name that stands for a statement on a protected table goes on to, where PREPARE of another under it fails.
#[test]
fn a_query_of_the_catalog_is_not_prepared_under_a_name_that_is_taken() {
    let world = world();
    let mut client = world.through();
    client.rows("PREPARE q(text, text) AS INSERT INTO people (email, last_name) VALUES ($1, $2)");
    let taken = "PREPARE q(text, text) AS SELECT attname FROM pg_attribute WHERE attname IN ($1, $2)";
    let write = |n: u8| format!("EXECUTE q('canari@people{n}.example', 'Canari-Nom')");
    assert_eq!(client.fails(taken).sqlstate(), "42P05");
    client.rows(&write(1));
    client.send(&[raw::query(taken), raw::query(&write(2))].concat());
    assert_eq!((tags(&client.until_ready()).as_str(), tags(&client.until_ready()).as_str()), ("EZ", "CZ"));
    let run = |sql: &str| {
        let bound = raw::bind_text("", "", &[], &[]);
        [raw::parse("", sql, &[]), bound, raw::execute("", 0), raw::sync()].concat()
    };
    client.send(&[run(taken), run(&write(3))].concat());
    assert_eq!(
        (tags(&client.until_ready()).as_str(), tags(&client.until_ready()).as_str()),
        ("12EZ", "12CZ")
    );
    // One that is undone is no transaction's: it stays.
    client.rows("DEALLOCATE q");
    client.rows("BEGIN");
    client.rows(taken);
    client.rows("ROLLBACK");
    assert_eq!(client.fails("PREPARE q AS SELECT 1").sqlstate(), "42P05");
    assert_eq!(client.rows("EXECUTE q('attname', 'x')")[0], row(["attname"]));
    assert_closed(&world, "under a name that is taken");
}
