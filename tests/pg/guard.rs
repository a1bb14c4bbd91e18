//! The guard: the database itself refuses what is in clear, whoever writes it; and with it in place everything goes on
//! as before.

use super::differential::{Mode, compare_corpus};
use super::{differential, predicates, writes};
use crate::support::canary::assert_absent;
use crate::support::gateway::{Home, Setup};
use crate::support::postgres::Options;
use crate::support::world::make_tables;
use crate::support::{Gateway, Message, Postgres, Raw, World, eventually, raw, row};

const PERSON: &str = "INSERT INTO people (id, email, first_name, last_name, nick, birth_date, seen_at, age, points, salary, active, badge, \
     profile, photo) VALUES (1, 'ana@x.example', 'Ana', 'Lefèvre', 'an', '1990-12-31', '2020-01-02 03:04:05+00', 7, 8, 12.50, true, \
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', '\\x00ff')";

type Rows = Vec<Vec<Option<String>>>;

/// Runs the command as the owner of the tables.
pub fn guard(home: &Home, port: u16, more: &[&str]) -> (i32, String) {
    let url = format!("postgres://app@127.0.0.1:{port}/app");
    let mut args = vec!["check", "--config", "paravent.toml", "--guard", "--database", &url];
    args.extend(more);
    let out = home.run(&args);
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    (out.status.code().unwrap(), text)
}

pub fn guarded(world: World) -> World {
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert!(code == 0 && text.contains("is guarded by paravent."), "{text}");
    world
}

/// The types of a table's columns, as the catalog has them, and where the rows lie.
fn types(client: &mut Raw, table: &str) -> (Rows, Rows) {
    let columns = format!(
        "SELECT attname, format_type(atttypid, atttypmod), attcollation FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
    );
    let file = format!("SELECT relfilenode FROM pg_class WHERE oid = '{table}'::regclass");
    (client.rows(&columns), client.rows(&file))
}

/// Parse, Bind and Execute with text values.
pub fn bound(client: &mut Raw, sql: &str, values: &[Option<&str>]) -> Vec<Message> {
    let steps =
        [raw::parse("", sql, &[]), raw::bind_text("", "", values, &[]), raw::execute("", 0), raw::sync()];
    client.send(&steps.concat());
    client.until_ready()
}

fn error(answers: &[Message]) -> &Message {
    answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("it should be refused: {answers:?}"))
}

#[test]
fn who_writes_past_the_gateway_is_refused_and_no_error_tells_the_value() {
    let world = World::new();
    world.through().rows(PERSON);
    let world = guarded(world);
    let mut direct = world.direct();
    direct.rows("CREATE FUNCTION sneak(x text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'UPDATE peo' || 'ple SET first_name = $1' USING x; END $$");
    let canary = "Canary-3141";
    let canary_hex = format!("\\x{}", hex::encode(canary));
    for (sql, value) in [
        ("INSERT INTO people (email) VALUES ($1)", canary),
        ("UPDATE people SET first_name = $1", canary),
        ("UPDATE people SET last_name = $1", canary),
        ("UPDATE people SET nick = $1", canary),
        ("UPDATE people SET first_name = 'pv1.' || $1", canary),
        ("UPDATE people SET email = $1 || '@p.invalid'", canary),
        ("UPDATE people SET birth_date = $1::bytea", &canary_hex),
        ("UPDATE people SET profile = $1::bytea", &canary_hex),
        ("UPDATE people SET photo = '\\xe1'::bytea || $1::bytea", &canary_hex),
        ("INSERT INTO comments (author_id, body) VALUES (1, $1)", canary),
        ("SELECT sneak($1)", canary),
    ] {
        let answers = bound(&mut direct, sql, &[Some(value)]);
        let refused = error(&answers);
        assert_eq!(refused.sqlstate(), "23514", "{sql}: {refused:?}");
        assert_absent(sql, format!("{refused:?}").as_bytes(), &[canary.as_bytes()]);
    }
    assert_absent("the server's log", world.pg.log().as_bytes(), &[canary.as_bytes()]);
    // A function that is called through the gateway, which can't be seen into.
    let answers = bound(&mut world.through(), "SELECT sneak($1)", &[Some(canary)]);
    assert_eq!(error(&answers).sqlstate(), "23514");
    // COPY in text tells the line where it stopped (docs/threat-model.md); the row is refused all the same.
    direct.send(&raw::query("COPY comments (author_id, body) FROM STDIN"));
    assert_eq!(direct.read().unwrap().tag, b'G');
    direct.send(&[raw::other(b'd', b"1\tin clear\n"), raw::other(b'c', b"")].concat());
    assert_eq!(error(&direct.until_ready()).sqlstate(), "23514");
    // What is sealed may be copied within the database, and what is there reads as before.
    direct.rows("INSERT INTO logins (id, email) SELECT id, email FROM people");
    let mut client = world.through();
    assert_eq!(client.rows("SELECT email FROM logins"), [row(["ana@x.example"])]);
    assert_eq!(
        client.rows("SELECT first_name, last_name, birth_date, salary, profile FROM people"),
        [row(["Ana", "Lefèvre", "1990-12-31", "12.50", "{\"a\": 1}"])]
    );
}

#[test]
fn the_guard_comes_and_goes_without_a_rewrite_and_columns_get_their_types_back() {
    let world = World::new();
    world.through().rows(PERSON);
    let mut direct = world.direct();
    direct.rows("ALTER TABLE people ALTER first_name TYPE text COLLATE \"C\"");
    let before = types(&mut direct, "people");
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &["--dry-run"]);
    assert!(code == 0 && text.contains("CREATE DOMAIN paravent.\"numeric_10_2\" AS bytea;"), "{text}");
    assert!(text.contains("TYPE paravent.\"text\" COLLATE pg_catalog.\"C\";"), "{text}");
    assert_eq!(types(&mut direct, "people"), before, "nothing was changed");
    assert_eq!(direct.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'paravent'"), [[]; 0]);
    let (code, first) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert_eq!(code, 0, "{first}");
    let with = types(&mut direct, "people");
    assert_eq!(with.1, before.1, "no row was written again");
    let names: Vec<String> = with.0.iter().map(|r| r[1].clone().unwrap()).collect();
    assert_eq!(
        names,
        [
            "integer",
            "paravent.text_email_token",
            "paravent.text",
            "paravent.varchar_150_in_varchar_150",
            "paravent.varchar_20",
            "paravent.date",
            "paravent.timestamptz",
            "paravent.\"integer\"",
            "paravent.\"bigint\"",
            "paravent.numeric_10_2",
            "paravent.\"boolean\"",
            "paravent.uuid",
            "paravent.jsonb",
            "paravent.bytea",
            "integer",
            "text",
            "integer",
        ]
    );
    // Again: nothing changes.
    let (code, again) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert!(code == 0 && !again.contains("ALTER"), "{again}");
    assert_eq!(types(&mut direct, "people"), with);
    assert_eq!(world.through().rows("SELECT first_name, age FROM people"), [row(["Ana", "7"])]);
    // A column that is altered later is told.
    direct.rows("ALTER TABLE people ALTER nick TYPE text");
    let check = world.gateway.home.run(&["check", "--config", "paravent.toml"]);
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(told.contains("public.people.nick is not guarded"), "{told}");
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert!(code == 0 && text.contains("public.people.nick is guarded by paravent.varchar_20"), "{text}");
    assert_eq!(types(&mut direct, "people"), with);
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &["--remove"]);
    assert!(code == 0 && text.contains("dropped"), "{text}");
    assert_eq!(types(&mut direct, "people").0, before.0);
    assert_eq!(direct.rows("SELECT 1 FROM pg_namespace WHERE nspname = 'paravent'"), [[]; 0]);
    assert_eq!(world.through().rows("SELECT first_name, age FROM people"), [row(["Ana", "7"])]);
}

#[test]
fn a_column_with_values_in_clear_is_left_alone_and_none_is_printed() {
    let world = World::new();
    world.through().rows(PERSON);
    let mut direct = world.direct();
    direct.rows("UPDATE people SET first_name = 'Canary-3141'; INSERT INTO comments (author_id, body) VALUES (1, 'Canary-3141'), (1, 'x')");
    direct.rows("UPDATE people SET age = '\\x00'");
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert_eq!(code, 1, "{text}");
    for said in [
        "wrong: public.people.first_name holds 1 value in clear: it is left alone",
        "wrong: public.people.age holds 1 value in clear",
        "wrong: public.comments.body holds 2 values in clear",
        "guard: public.people.last_name is guarded by",
    ] {
        assert!(text.contains(said), "{text}");
    }
    assert_absent("what is printed", text.as_bytes(), &[b"Canary-3141"]);
    let mut client = world.through();
    client.rows("UPDATE people SET first_name = 'Ana', age = 8");
    client.rows("DELETE FROM comments");
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert!(code == 0 && text.contains("public.comments.body is guarded by paravent.text"), "{text}");
}

#[test]
fn what_keeps_a_column_from_being_altered_is_told_and_the_others_are_guarded() {
    let world = World::new();
    let mut direct = world.direct();
    direct.rows("CREATE VIEW staff AS SELECT id, first_name FROM people; GRANT ALL ON staff TO app");
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("wrong: public.people.first_name is left alone"), "{text}");
    assert!(text.contains("staff") && text.contains("Drop what depends on the column"), "{text}");
    assert!(text.contains("guard: public.people.last_name is guarded"), "{text}");
    direct.rows("DROP VIEW staff");
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert_eq!(code, 0, "{text}");
    // A view that is made now has a domain's column: it keeps the guard from being taken away.
    let mut client = world.through();
    client.rows("CREATE VIEW staff AS SELECT id, first_name, birth_date FROM people");
    client.rows(PERSON);
    assert_eq!(client.rows("SELECT * FROM staff"), [row(["1", "Ana", "1990-12-31"])]);
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &["--remove"]);
    assert!(code == 1 && text.contains("public.people.first_name stays guarded"), "{text}");
    client.rows("DROP VIEW staff");
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &["--remove"]);
    assert_eq!(code, 0, "{text}");
    // Somebody else's schema of that name is not touched.
    direct.rows("CREATE SCHEMA paravent");
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert!(code == 1 && text.contains("a schema named paravent that the guard did not make"), "{text}");
    let login = world.gateway.home.run(&["check", "--config", "paravent.toml", "--guard", "--remove"]);
    assert_eq!(login.status.code(), Some(1));
}

#[test]
fn rows_that_are_nobodys_are_not_guarded_and_strangers_may_not_guard() {
    let pg = Postgres::with(&Options::default());
    make_tables(&pg);
    let mut setup = Setup::new(&pg);
    setup.tables = setup.tables.replace("\"author_id\"", "{ column = \"author_id\", when = \"likes = 0\" }");
    let world = World { gateway: Gateway::with(setup), pg };
    // The gateway's own login, which owns nothing.
    let out = world.gateway.home.run(&["check", "--config", "paravent.toml", "--guard"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        out.status.code() == Some(1) && text.contains("(42501)") && text.contains("--database"),
        "{text}"
    );
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert!(code == 0 && text.contains("public.comments can't be guarded"), "{text}");
}

/// Tables with the guard in place answer as a clear copy does.
fn compare(corpus: &'static str, mode: Mode, world: World) {
    let world = guarded(world);
    compare_corpus(corpus, mode, world.clear(), world.through());
}

#[test]
fn simple_queries_on_guarded_columns_answer_as_a_clear_copy_does() {
    compare(differential::CORPUS, Mode::Simple, World::new());
}

#[test]
fn extended_queries_in_text_on_guarded_columns_answer_as_a_clear_copy_does() {
    compare(differential::CORPUS, Mode::Extended(0), World::new());
}

#[test]
fn extended_queries_in_binary_on_guarded_columns_answer_as_a_clear_copy_does() {
    compare(differential::CORPUS, Mode::Extended(1), World::new());
}

#[test]
fn conditions_on_guarded_columns_answer_as_a_clear_copy_does() {
    compare(predicates::CORPUS, Mode::Simple, World::new());
    compare(predicates::CORPUS, Mode::Extended(1), World::new());
}

#[test]
fn statements_that_write_others_and_partitions_work_on_guarded_columns() {
    compare(writes::CORPUS, Mode::Simple, writes::world());
    compare(writes::CORPUS, Mode::Extended(1), writes::world());
}

#[test]
fn erasing_and_re_keying_reach_guarded_columns() {
    let world = guarded(World::new());
    let mut client = world.through();
    client.rows(PERSON);
    client.rows(&PERSON.replace("(1, 'ana", "(2, 'bea"));
    client.rows("INSERT INTO comments (author_id, body) VALUES (1, 'Un'), (2, 'Deux')");
    world.direct().rows("GRANT UPDATE ON people, comments, logins TO paravent");
    // A connection that stays open past the gateway would be waited for.
    let stored = || {
        let sql = "SELECT email, first_name, birth_date, body FROM people p JOIN comments ON author_id = p.id WHERE p.id = 2";
        world.direct().rows(sql)
    };
    let before = stored();
    let done = world.gateway.command("privacy", &["subject", "rekey", "person", "2"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(before[0].iter().zip(&stored()[0]).skip(1).all(|(a, b)| a != b));
    world.gateway.admin().erase(1);
    eventually("the sweep is done", || {
        let left = world.direct().rows("SELECT first_name, birth_date FROM people WHERE id = 1");
        (left == [row(["NULL", "NULL"])]).then_some(())
    });
    assert_eq!(
        client.rows(
            "SELECT people.id, first_name, body FROM people JOIN comments ON author_id = people.id ORDER BY 1"
        ),
        [row(["1", "NULL", "NULL"]), row(["2", "Ana", "Deux"])]
    );
}

/// Whoever owns a domain decides what it lets in; whoever owns a table, what runs when it is altered.
#[test]
fn what_belongs_to_a_stranger_is_neither_trusted_nor_touched() {
    let world = World::with(&Options::default());
    let direct = &mut world.direct();
    direct.rows(
        "CREATE ROLE stranger; CREATE SCHEMA strange AUTHORIZATION stranger; CREATE SCHEMA paravent AUTHORIZATION stranger; \
         COMMENT ON SCHEMA paravent IS 'The guard of Paravent: paravent check --guard made it, --remove takes it away'",
    );
    let (code, text) = guard(&world.gateway.home, world.pg.port(), &[]);
    assert!(code != 0 && text.contains("belongs to a role that owns no table of the policy"), "{text}");
    direct.rows("DROP SCHEMA paravent");
    let world = guarded(world);
    let direct = &mut world.direct();
    let domain = &direct
        .rows("SELECT min(domain_name) FROM information_schema.domains WHERE domain_schema = 'paravent'")[0]
        [0];
    let domain = domain.clone().unwrap();
    direct.rows(&format!(
        "SET ROLE stranger; CREATE TABLE strange.seen (who text); \
         CREATE FUNCTION strange.look(t text) RETURNS boolean LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO strange.seen VALUES (current_user); RETURN true; END'; \
         CREATE TABLE strange.bait (v paravent.\"{domain}\" CHECK (strange.look(v::text))); \
         INSERT INTO strange.bait VALUES (NULL); RESET ROLE; DELETE FROM strange.seen",
    ));
    let (_, text) = guard(&world.gateway.home, world.pg.port(), &["--remove"]);
    assert!(text.contains("strange.bait.v") && text.contains("left alone"), "{text}");
    assert_eq!(direct.rows("SELECT count(*) FROM strange.seen"), [row(["0"])]);
}

/// It was let pass by what its names meant when it was sent.
#[test]
fn a_statement_that_the_server_has_when_its_names_come_to_mean_something_protected_is_refused_by_the_guard() {
    let world = World::new();
    world.through().rows(PERSON);
    let world = guarded(world);
    for (made, writes) in [
        ("CREATE TABLE hr (id int, email text)", "INSERT INTO hr VALUES (900, 'canari@x.example')"),
        (
            "CREATE TABLE hr (id int, email text); INSERT INTO hr SELECT 1, 'x'",
            "UPDATE hr SET email = 'canari@x.example'",
        ),
        (
            "CREATE TABLE hr (id int, email text)",
            "INSERT INTO hr SELECT i, 'canari@x.example' FROM generate_series(900, 902) i",
        ),
    ] {
        let (mut a, mut b) = (world.through(), world.through());
        a.rows(made);
        b.rows("BEGIN");
        b.rows("ALTER TABLE hr RENAME TO before");
        b.rows("CREATE VIEW hr AS SELECT id, email FROM people");
        a.send(&raw::query(writes));
        let waits = "SELECT 1 FROM pg_locks WHERE NOT granted";
        eventually("it waits for the lock", || (!world.direct().rows(waits).is_empty()).then_some(()));
        b.rows("COMMIT");
        assert_eq!(error(&a.until_ready()).sqlstate(), "23514", "{writes}");
        assert_eq!(a.fails(writes).sqlstate(), "0A000", "one that is sent after the change: {writes}");
        let clear = world.direct().rows("SELECT id FROM people WHERE email::text LIKE '%canari%'");
        assert!(clear.is_empty(), "{writes}: {clear:?}");
        b.rows("DROP VIEW hr");
        b.rows("DROP TABLE before");
    }
}
