//! What is odd in a database hides nothing that is protected, and keeps nobody from the rest: here texts that are none in
//! UTF-8, which a database in `SQL_ASCII` takes.

use crate::support::canary::assert_absent;
use crate::support::{Raw, World, raw, schema};

fn odd(port: u16) -> Raw {
    Raw::connect_as(port, &[("user", "postgres"), ("database", "odd")])
}

/// A Query with `\xe9` for each `é`, as Latin-1 has it.
fn latin1(client: &mut Raw, sql: &str) {
    let mut bytes: Vec<u8> = sql.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    bytes.push(0);
    client.send(&raw::other(b'Q', &bytes));
    let answers = client.until_ready();
    assert!(answers.iter().all(|m| m.tag != b'E'), "{sql}: {answers:?}");
}

#[test]
fn a_function_or_table_that_is_no_utf_8_leaves_the_others_as_they_are() {
    let world = World::new();
    let create = "CREATE DATABASE odd TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'";
    world.direct().rows(create);
    let mut direct = odd(world.pg.port());
    assert!(direct.query(schema::PROTECTED).iter().all(|m| m.tag != b'E'));
    let insert = "INSERT INTO people (email, first_name) VALUES ($1, 'Canari-9')";
    for sql in [
        "CREATE FUNCTION readable() RETURNS integer LANGUAGE sql AS 'SELECT 1'".into(),
        format!(
            "CREATE FUNCTION writes(text) RETURNS void LANGUAGE sql AS '/* é */ {}'",
            insert.replace('\'', "''")
        ),
        "CREATE TABLE \"café\" (\"été\" integer, x integer)".into(),
        "CREATE VIEW seen AS SELECT \"été\" AS y FROM \"café\"".into(),
        "CREATE VIEW \"côté\" AS SELECT id, email FROM people".into(),
    ] {
        latin1(&mut direct, &sql);
    }
    let mut client = Raw::connect_as(world.gateway.port(), &[("user", "postgres"), ("database", "odd")]);
    client.rows("INSERT INTO people (email, first_name) VALUES ('canari-1@x.example', 'Canari-1')");
    let read = "SELECT email, first_name FROM people";
    assert_eq!(client.rows(read), [[Some("canari-1@x.example".into()), Some("Canari-1".into())]]);
    assert_eq!(client.rows("SELECT readable()"), [[Some("1".into())]]);
    assert_eq!(client.rows("SELECT y FROM seen").len(), 0);
    assert_eq!(client.fails("SELECT writes('canari-2@x.example')").sqlstate(), "0A000", "it may write");
    // Within a transaction, too.
    client.rows("BEGIN");
    client.rows("CREATE TEMP TABLE own (x integer)");
    assert_eq!(client.rows(read).len(), 1);
    assert_eq!(client.fails("SELECT writes('canari-2@x.example')").sqlstate(), "0A000");
    client.rows("ROLLBACK");
    let stored = direct.rows("SELECT email, first_name FROM people");
    assert_eq!(stored.len(), 1);
    assert_absent("the table", format!("{stored:?}").as_bytes(), &[b"anari-", b"@x.example"]);
    // A trigger by it may store anything.
    latin1(
        &mut direct,
        "CREATE FUNCTION keeps() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN /* é */ RETURN NEW; END';
         CREATE TRIGGER keeps BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION keeps()",
    );
    client.rows("CREATE TABLE makes_it_look (x integer)");
    let insert = "INSERT INTO people (email, first_name) VALUES ('canari-3@x.example', 'Canari-3')";
    assert_eq!(client.fails(insert).sqlstate(), "0A000");
    assert_eq!(client.rows(read).len(), 1, "it can be read");
}
