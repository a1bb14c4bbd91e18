//! What opens where: own field, own subject, and nothing because it looks sealed.

use crate::support::{World, row};

fn stored(world: &World, sql: &str) -> String {
    world.direct().rows(sql)[0][0].clone().unwrap()
}

#[test]
fn seals_under_the_right_person_whatever_the_where() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let mut client = world.through();
    client.rows("BEGIN");
    client.rows("UPDATE people SET last_name = 'Neuve' WHERE email = 'Bea@people.example'");
    assert_eq!(world.through().rows("SELECT last_name FROM people WHERE id = 2"), [row(["Last-Bea"])]);
    client.rows("ROLLBACK");
    assert_eq!(client.rows("SELECT last_name FROM people WHERE id = 2"), [row(["Last-Bea"])]);
    client.rows("UPDATE people SET last_name = 'Neuve' WHERE email = 'Bea@people.example'");
    world.gateway.admin().erase(1);
    assert_eq!(client.rows("SELECT last_name FROM people ORDER BY id"), [row(["NULL"]), row(["Neuve"])]);
    world.gateway.admin().erase(2);
    assert_eq!(client.rows("SELECT last_name FROM people ORDER BY id"), [row(["NULL"]), row(["NULL"])]);
}

#[test]
fn writes_one_envelope_for_each_subject() {
    let world = World::new();
    world.people(&["Ana", "Bea", "Cleo"]);
    let mut client = world.through();
    let answers =
        client.query("UPDATE people SET last_name = 'Pareil', title = 'x' WHERE id < 3 OR title IS NULL");
    assert_eq!(answers[0].command(), "UPDATE 3");
    let stored = world.direct().rows("SELECT last_name, email FROM people ORDER BY id");
    // The key id stands in bytes 1 to 16: within the first 22 characters after the armour's prefix.
    let mut keys: Vec<&str> = stored.iter().map(|r| &r[0].as_ref().unwrap()[4..26]).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 3, "three people, three keys");
    world.gateway.admin().erase(2);
    let seen = client.rows("SELECT last_name FROM people ORDER BY id");
    assert_eq!(seen, [row(["Pareil"]), row(["NULL"]), row(["Pareil"])]);
}

#[test]
fn refuses_an_envelope_that_was_copied_to_another_column() {
    let world = World::new();
    world.people(&["Ana"]);
    world.direct().rows("UPDATE people SET first_name = last_name");
    let error = world.through().fails("SELECT first_name FROM people");
    assert_eq!(error.sqlstate(), "XX001");
    assert!(!error.line().contains("Last-Ana"));
    assert_eq!(world.through().rows("SELECT last_name FROM people"), [row(["Last-Ana"])]);
}

#[test]
fn refuses_an_envelope_that_was_copied_to_another_person() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let before = world.gateway.admin().metric(&["paravent_"]);
    world
        .direct()
        .rows("UPDATE people SET last_name = (SELECT last_name FROM people WHERE id = 1) WHERE id = 2");
    for sql in [
        "SELECT last_name FROM people WHERE id = 2",
        "SELECT p.last_name FROM people p JOIN depts d ON d.id = 1 WHERE p.id = 2",
        "SELECT x.last_name FROM (SELECT * FROM people) x WHERE x.id = 2",
        "WITH w AS (SELECT id, last_name FROM people) SELECT last_name FROM w WHERE id = 2",
    ] {
        let answers = world.through().query(sql);
        assert!(!format!("{answers:?}").contains("Last-Ana"), "{sql}: {answers:?}");
        let error = answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{sql}: {answers:?}"));
        assert!(matches!(&*error.sqlstate(), "XX001" | "0A000"), "{sql}: {error:?}");
    }
    assert!(world.gateway.admin().metric(&["paravent_"]) > before);
    let log = String::from_utf8_lossy(&world.gateway.log()).into_owned();
    assert!(log.contains("audit"), "an event on target `audit`");
    // The session goes on after such an error, and so does the row itself.
    assert_eq!(world.through().rows("SELECT last_name FROM people WHERE id = 1"), [row(["Last-Ana"])]);
}

#[test]
fn refuses_a_token_that_was_copied_to_another_person() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    world.direct().rows("INSERT INTO logins (id, email) SELECT 2, email FROM people WHERE id = 1");
    let answers = world.through().query("SELECT email FROM logins WHERE id = 2");
    assert!(!format!("{answers:?}").contains("Ana@"), "{answers:?}");
}

#[test]
fn refuses_a_damaged_envelope_and_a_clear_value() {
    let world = World::new();
    world.people(&["Ana", "Bea", "Cleo", "Dora"]);
    let mut direct = world.direct();
    direct.rows("UPDATE people SET last_name = overlay(last_name placing 'AAAA' from 70 for 4) WHERE id = 1");
    direct.rows("UPDATE people SET last_name = 'In Clear' WHERE id = 2");
    direct.rows("UPDATE people SET last_name = left(last_name, 40) WHERE id = 3");
    direct.rows("UPDATE people SET email = 'in.clear@people.example' WHERE id = 4");
    let mut client = world.through();
    for id in 1..4 {
        let error = client.fails(&format!("SELECT last_name FROM people WHERE id = {id}"));
        assert_eq!(error.sqlstate(), "XX001", "person {id}");
        assert!(!error.line().contains("In Clear"));
    }
    let error = client.fails("SELECT email FROM people WHERE id = 4");
    assert_eq!(error.sqlstate(), "XX001");
    assert!(!error.line().contains("in.clear"));
    assert_eq!(client.rows("SELECT first_name FROM people WHERE id = 1"), [row(["Ana"])]);
}

#[test]
fn a_shared_address_is_erased_for_one_and_stays_for_the_other() {
    let world = World::new();
    let mut client = world.through();
    client.rows("INSERT INTO logins (email) VALUES ('both@x.example')");
    client.rows("INSERT INTO logins (email) VALUES ('both@x.example')");
    let stored = world.direct().rows("SELECT DISTINCT email FROM logins");
    assert_eq!(stored.len(), 1, "one identifier, one token");
    assert_eq!(client.rows("SELECT email FROM logins"), [row(["both@x.example"]), row(["both@x.example"])]);
    let receipt = world.gateway.admin().erase(1);
    let seen = client.rows("SELECT email FROM logins ORDER BY id");
    assert_eq!(seen, [row([""]), row(["both@x.example"])]);
    let found = client.rows("SELECT id, email FROM logins WHERE email = 'both@x.example' ORDER BY id");
    assert!(found.contains(&row(["2", "both@x.example"])));
    assert!(!found.iter().any(|r| r[0].as_deref() == Some("1") && r[1].as_deref() != Some("")));
    assert!(receipt.to_string().contains("token"), "the receipt says that the token lives on: {receipt}");
    world.gateway.admin().erase(2);
    assert!(client.rows("SELECT id FROM logins WHERE email = 'both@x.example'").is_empty());
    assert_eq!(client.rows("SELECT email FROM logins ORDER BY id"), [row([""]), row([""])]);
}

#[test]
fn what_only_looks_sealed_is_a_value_like_any_other() {
    let world = World::new();
    world.people(&["Ana"]);
    let envelope = stored(&world, "SELECT last_name FROM people");
    let token = stored(&world, "SELECT email FROM people");
    let mut client = world.through();
    client.rows(&format!("UPDATE people SET first_name = '{envelope}' WHERE id = 1"));
    assert_eq!(client.rows("SELECT first_name FROM people"), [row([&envelope])]);
    assert_ne!(stored(&world, "SELECT first_name FROM people"), envelope, "it was sealed again");
    // In unprotected columns and in expressions it passes as it is, both ways.
    client.rows(&format!("UPDATE people SET title = '{envelope}' WHERE id = 1"));
    assert_eq!(client.rows("SELECT title FROM people"), [row([&envelope])]);
    assert_eq!(stored(&world, "SELECT title FROM people"), envelope);
    assert_eq!(client.rows(&format!("SELECT '{envelope}'")), [row([&envelope])]);
    // A token sent as an address is an address like any other: it finds nobody, and is tokenised.
    assert!(client.rows(&format!("SELECT id FROM people WHERE email = '{token}'")).is_empty());
    client.rows(&format!("INSERT INTO people (email) VALUES ('{token}')"));
    assert_eq!(client.rows("SELECT email FROM people WHERE id = 2"), [row([&token])]);
    assert_ne!(stored(&world, "SELECT email FROM people WHERE id = 2"), token);
}

#[test]
fn an_unknown_address_differs_from_everyone() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let mut client = world.through();
    let ids = [row(["1"]), row(["2"])];
    assert_eq!(client.rows("SELECT id FROM people WHERE email <> 'nobody@x.example' ORDER BY id"), ids);
    assert_eq!(
        client
            .rows("SELECT id FROM people WHERE email NOT IN ('nobody@x.example', 'n@x.example') ORDER BY id"),
        ids
    );
    assert_eq!(
        client.rows("SELECT id FROM people WHERE email IS DISTINCT FROM 'nobody@x.example' ORDER BY id"),
        ids
    );
    assert!(client.rows("SELECT id FROM people WHERE email = 'nobody@x.example'").is_empty());
    let stored = world.direct().rows("SELECT count(*) FROM people");
    assert_eq!(stored, [row(["2"])]);
}

#[test]
fn empty_texts_and_nulls_stay_what_they_are() {
    let world = World::new();
    let mut client = world.through();
    client.rows("INSERT INTO people (email, first_name, last_name) VALUES ('', '', NULL)");
    assert_eq!(client.rows("SELECT email, first_name, last_name FROM people"), [row(["", "", "NULL"])]);
    let stored = world.direct().rows("SELECT email, first_name LIKE 'pv1.%', last_name FROM people");
    assert_eq!(stored, [row(["", "t", "NULL"])]);
    assert_eq!(client.rows("SELECT id FROM people WHERE email = '' AND last_name IS NULL"), [row(["1"])]);
}
