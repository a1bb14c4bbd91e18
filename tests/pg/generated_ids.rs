//! Rows whose id the database makes, and upserts that land in somebody else's row.

use crate::support::{World, eventually, raw, row, tags};

/// What a rolled-back row left is removed soon after the rollback was answered.
fn unknown(world: &World, id: u32) {
    eventually("the subject is unknown", || world.gateway.admin().state(id).is_none().then_some(()));
}

#[test]
fn binds_a_generated_id_before_it_can_commit() {
    let world = World::new();
    let mut client = world.through();
    client.rows("BEGIN");
    let made =
        client.rows("INSERT INTO people (email, first_name) VALUES ('a@x.example', 'Ana') RETURNING id");
    assert_eq!(made, [row(["1"])]);
    client.rows("COMMIT");
    assert_eq!(world.gateway.admin().state(1).as_deref(), Some("live"));
    world.gateway.admin().erase(1);
    assert_eq!(client.rows("SELECT first_name, email FROM people"), [row(["NULL", ""])]);
}

#[test]
fn binds_every_row_of_one_insert_to_its_own_id() {
    let world = World::new();
    let mut client = world.through();
    client.rows(
        "INSERT INTO people (email, first_name) VALUES ('a@x.example', 'Ana'), ('b@x.example', 'Bea'), ('c@x.example', 'Cleo')",
    );
    world.gateway.admin().erase(2);
    let seen = client.rows("SELECT id, email, first_name FROM people ORDER BY id");
    assert_eq!(
        seen,
        [row(["1", "a@x.example", "Ana"]), row(["2", "", "NULL"]), row(["3", "c@x.example", "Cleo"])]
    );
}

#[test]
fn leaves_nothing_of_a_row_that_was_rolled_back() {
    let world = World::new();
    let (mut client, mut other) = (world.through(), world.through());
    client.rows("BEGIN");
    client.rows("INSERT INTO people (email, first_name) VALUES ('taken@x.example', 'Ana')");
    client.rows("ROLLBACK");
    unknown(&world, 1);
    let made = other.rows("INSERT INTO people (email) VALUES ('taken@x.example') RETURNING id, email");
    assert_eq!(made, [row(["2", "taken@x.example"])]);
    assert_eq!(other.rows("SELECT id FROM people WHERE email = 'taken@x.example'"), [row(["2"])]);
    // Nobody else holds the address: it is erased with its only holder.
    world.gateway.admin().erase(2);
    assert!(other.rows("SELECT id FROM people WHERE email = 'taken@x.example'").is_empty());
}

#[test]
fn leaves_nothing_of_a_row_that_failed() {
    let world = World::new();
    let mut client = world.through();
    let failed =
        client.fails("INSERT INTO people (email, first_name, dept_id) VALUES ('f@x.example', 'Eva', 99)");
    assert_eq!(failed.sqlstate(), "23503");
    unknown(&world, 1);
    client.rows("INSERT INTO people (email, first_name, dept_id) VALUES ('f@x.example', 'Eva', 1)");
    assert_eq!(client.rows("SELECT id, email FROM people"), [row(["2", "f@x.example"])]);
}

#[test]
fn a_savepoint_takes_back_only_what_came_after_it() {
    let world = World::new();
    let mut client = world.through();
    client.rows("BEGIN");
    client.rows("INSERT INTO people (email, first_name) VALUES ('kept@x.example', 'Kept')");
    client.rows("SAVEPOINT s");
    client.rows("INSERT INTO people (email, first_name) VALUES ('gone@x.example', 'Gone')");
    client.rows("ROLLBACK TO s");
    client.rows("INSERT INTO people (email, first_name) VALUES ('gone@x.example', 'Again')");
    client.rows("COMMIT");
    let seen = client.rows("SELECT id, email, first_name FROM people ORDER BY id");
    assert_eq!(seen, [row(["1", "kept@x.example", "Kept"]), row(["3", "gone@x.example", "Again"])]);
    unknown(&world, 2);
}

#[test]
fn a_connection_lost_before_commit_leaves_nothing() {
    let world = World::new();
    {
        let mut client = world.through();
        client.rows("BEGIN");
        client.rows("INSERT INTO people (email, first_name) VALUES ('lost@x.example', 'Lost')");
    }
    let mut client = world.through();
    client.rows("INSERT INTO people (email, first_name) VALUES ('lost@x.example', 'Found')");
    assert_eq!(client.rows("SELECT email, first_name FROM people"), [row(["lost@x.example", "Found"])]);
    unknown(&world, 1);
}

#[test]
fn an_upsert_into_another_row_seals_under_its_person() {
    let world = World::new();
    let mut client = world.through();
    client.rows("INSERT INTO people (id, email, first_name) VALUES (42, 'anne@x.example', 'Anne')");
    client.rows(
        "INSERT INTO people (email, first_name) VALUES ('anne@x.example', 'Annette') \
         ON CONFLICT (email) DO UPDATE SET first_name = EXCLUDED.first_name",
    );
    assert_eq!(client.rows("SELECT id, first_name FROM people"), [row(["42", "Annette"])]);
    let stored = world.direct().rows("SELECT first_name FROM people");
    world.gateway.admin().erase(42);
    assert_eq!(client.rows("SELECT id, first_name FROM people"), [row(["42", "NULL"])]);
    // Nor does the value open anywhere else: the envelope stands in nobody's row.
    let envelope = stored[0][0].clone().unwrap();
    world.direct().rows(&format!("INSERT INTO comments (author_id, body) VALUES (NULL, '{envelope}')"));
    let answers = client.query("SELECT body FROM comments");
    assert!(!format!("{answers:?}").contains("Annette"));
}

#[test]
fn rows_that_conflict_do_not_shift_the_others() {
    let world = World::new();
    let mut client = world.through();
    client.rows("INSERT INTO people (id, email, first_name) VALUES (100, 'middle@x.example', 'Middle')");
    let answers = client.query(
        "INSERT INTO people (email, first_name) VALUES ('first@x.example', 'First'), \
         ('middle@x.example', 'Nobody'), ('last@x.example', 'Last') ON CONFLICT DO NOTHING",
    );
    assert_eq!(tags(&answers), "CZ");
    assert_eq!(answers[0].command(), "INSERT 0 2");
    let seen = client.rows("SELECT email, first_name FROM people ORDER BY id");
    assert_eq!(
        seen,
        [
            row(["first@x.example", "First"]),
            row(["last@x.example", "Last"]),
            row(["middle@x.example", "Middle"])
        ]
    );
    let ids = client.rows("SELECT id FROM people WHERE email = 'last@x.example'");
    world.gateway.admin().erase(ids[0][0].as_ref().unwrap());
    let seen = client.rows("SELECT first_name FROM people ORDER BY id");
    assert_eq!(seen, [row(["First"]), row(["NULL"]), row(["Middle"])]);
}

#[test]
fn an_upsert_keeps_the_columns_that_it_does_not_set() {
    let world = World::new();
    let mut client = world.through();
    client.rows(
        "INSERT INTO people (id, email, first_name, last_name) VALUES (7, 'g@x.example', 'Guy', 'Vert')",
    );
    let made = client.rows(
        "INSERT INTO people (email, first_name, title) VALUES ('g@x.example', 'Guillaume', 'Chef') \
         ON CONFLICT (email) DO UPDATE SET title = EXCLUDED.title RETURNING id, first_name, last_name, title",
    );
    assert_eq!(made, [row(["7", "Guy", "Vert", "Chef"])]);
}

#[test]
fn inserts_through_unnest_are_bound_row_by_row() {
    let world = World::new();
    let mut client = world.through();
    let answers = client.query(
        "INSERT INTO people (email, first_name) SELECT * FROM UNNEST(('{u1@x.example,u2@x.example,u3@x.example}')::text[], \
         ('{Un,NULL,Trois}')::text[]) RETURNING id",
    );
    assert_eq!(tags(&answers), "TDDDCZ", "{answers:?}");
    let seen = client.rows("SELECT email, first_name FROM people ORDER BY id");
    assert_eq!(
        seen,
        [row(["u1@x.example", "Un"]), row(["u2@x.example", "NULL"]), row(["u3@x.example", "Trois"])]
    );
    world.gateway.admin().erase(3);
    let seen = client.rows("SELECT email, first_name FROM people ORDER BY id");
    assert_eq!(seen, [row(["u1@x.example", "Un"]), row(["u2@x.example", "NULL"]), row(["", "NULL"])]);
}

#[test]
fn a_pipeline_of_inserts_binds_each_before_its_sync() {
    let world = World::new();
    let mut client = world.through();
    let mut bytes = raw::parse("ins", "INSERT INTO people (email, first_name) VALUES ($1, $2)", &[]);
    for n in 0..20 {
        let (email, name) = (format!("p{n}@x.example"), format!("Name{n}"));
        bytes.extend(raw::bind_text("", "ins", &[Some(&email), Some(&name)], &[]));
        bytes.extend(raw::execute("", 0));
    }
    bytes.extend(raw::sync());
    client.send(&bytes);
    assert_eq!(tags(&client.until_ready()), format!("1{}Z", "2C".repeat(20)));
    world.gateway.admin().erase(5);
    let seen = client.rows("SELECT first_name FROM people ORDER BY id");
    for (n, found) in seen.iter().enumerate() {
        assert_eq!(found[0], (n != 4).then(|| format!("Name{n}")));
    }
}
