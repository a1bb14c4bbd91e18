//! Transactions that are prepared, and committed or rolled back later, perhaps by another session.

use crate::support::postgres::Options;
use crate::support::{Raw, World, eventually, raw, row};
use std::time::{Duration, Instant};

/// Recovery without a word of how such a transaction ended takes three passes, five seconds apart.
const SOON: Duration = Duration::from_secs(9);

fn world() -> World {
    World::with(&Options { settings: "max_prepared_transactions = 5\n".into(), ..Options::default() })
}

fn prepare(client: &mut Raw, id: u32, name: &str) {
    client.rows("BEGIN");
    client.rows(&format!("INSERT INTO people (id, email) VALUES ({id}, '{name}@x.example')"));
    client.rows(&format!("PREPARE TRANSACTION '{name}'"));
}

#[test]
fn an_address_is_one_persons_again_once_the_prepared_transaction_that_had_it_is_undone() {
    let world = world();
    let (mut client, mut other) = (world.through(), world.through());
    prepare(&mut client, 1, "ana");
    // One that stays, and was there before.
    prepare(&mut client, 7, "bea");
    let began = Instant::now();
    prepare(&mut client, 2, "cleo");
    other.rows("ROLLBACK PREPARED 'ana'");
    other.rows("INSERT INTO people (id, email) VALUES (3, 'ana@x.example')");
    eventually("the address has one holder", || {
        let answers = client.query("SELECT min(email) FROM people");
        answers.iter().all(|m| m.tag != b'E').then_some(())
    });
    assert_eq!(client.rows("SELECT min(email) FROM people"), [row(["ana@x.example"])]);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    assert_eq!(world.gateway.admin().state(1), None);
    // The others' outcome is open.
    assert!(world.gateway.admin().state(7).is_some() && world.gateway.admin().state(2).is_some());
    other.rows("COMMIT PREPARED 'bea'");
    other.rows("COMMIT PREPARED 'cleo'");
    let all = [row(["2", "cleo@x.example"]), row(["3", "ana@x.example"]), row(["7", "bea@x.example"])];
    assert_eq!(client.rows("SELECT id, email FROM people ORDER BY id"), all);
}

#[test]
fn a_prepared_transaction_that_ends_past_the_gateway_is_settled_too() {
    let world = world();
    let mut client = world.through();
    prepare(&mut client, 1, "ana");
    prepare(&mut client, 2, "bea");
    let mut direct = world.direct();
    direct.rows("ROLLBACK PREPARED 'ana'");
    direct.rows("COMMIT PREPARED 'bea'");
    eventually("it is known", || world.gateway.admin().state(1).is_none().then_some(()));
    assert_eq!(client.rows("SELECT id, email FROM people"), [row(["2", "bea@x.example"])]);
    assert!(world.gateway.admin().state(2).is_some());
}

#[test]
fn a_name_is_that_of_its_own_transaction() {
    let world = world();
    let (mut client, mut other) = (world.through(), world.through());
    for sql in ["BEGIN", "PREPARE TRANSACTION 'empty'", "ROLLBACK PREPARED 'empty'", "BEGIN"] {
        client.rows(sql);
    }
    client.rows("INSERT INTO people (id, email) VALUES (1, 'ana@x.example')");
    client.query("SELECT 1; PREPARE TRANSACTION 'ana'");
    prepare(&mut other, 2, "bea");
    other.rows("ROLLBACK PREPARED 'bea'");
    eventually("recovery has looked", || world.gateway.admin().state(2).is_none().then_some(()));
    client.rows("COMMIT PREPARED 'ana'");
    assert_eq!(client.rows("SELECT id, email FROM people"), [row(["1", "ana@x.example"])]);
}

#[test]
fn what_is_prepared_in_any_way_is_there_once_it_is_committed() {
    let world = world();
    let mut client = world.through();
    let insert = |id: u32| {
        format!("INSERT INTO people (id, email, first_name) VALUES ({id}, 'p{id}@x.example', 'Person {id}')")
    };
    // As one Query, in a block and with its BEGIN; by the extended protocol; after a savepoint.
    client.rows("BEGIN");
    client.query(&format!("{}; PREPARE TRANSACTION 'p1'", insert(1)));
    client.query(&format!("BEGIN; {}; PREPARE TRANSACTION 'p2'", insert(2)));
    client.query(&format!(
        "BEGIN; {}; {}; PREPARE TRANSACTION 'p3'; SELECT email FROM people",
        insert(3),
        insert(30)
    ));
    for sql in ["BEGIN", &insert(4), "PREPARE TRANSACTION 'p4'"] {
        client.send(
            &[raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0), raw::sync()]
                .concat(),
        );
        client.until_ready();
    }
    client.rows("BEGIN");
    client.rows("SAVEPOINT s");
    client.rows(&insert(5));
    client.rows("/* x */ PREPARE TRANSACTION E'p5'");
    let names = [1, 2, 3, 4, 5].map(|n| row([&format!("p{n}")]));
    assert_eq!(client.rows("SELECT gid FROM pg_prepared_xacts ORDER BY gid"), names);
    for n in 1..=5 {
        client.rows(&format!("COMMIT PREPARED 'p{n}'"));
    }
    let all = [1, 2, 3, 4, 5, 30]
        .map(|n| row([&n.to_string(), &format!("p{n}@x.example"), &format!("Person {n}")]));
    assert_eq!(client.rows("SELECT id, email, first_name FROM people ORDER BY id"), all);
}
