//! Drivers see no trace of what the gateway adds to a statement.

use crate::support::{Raw, World, raw, row, tags};

fn send(client: &mut Raw, messages: &[Vec<u8>]) {
    client.send(&messages.concat());
}

#[test]
fn an_insert_without_returning_described_and_limited_gives_no_data_and_its_tag() {
    let world = World::new();
    let mut client = world.through();
    let sql = "INSERT INTO people (email, first_name) VALUES ($1, $2)";
    send(
        &mut client,
        &[
            raw::parse("", sql, &[]),
            raw::describe(b'S', ""),
            raw::bind_text("", "", &[Some("d@x.example"), Some("Dora")], &[]),
            raw::describe(b'P', ""),
            raw::execute("", 1),
            raw::sync(),
        ],
    );
    let answers = client.until_ready();
    assert_eq!(tags(&answers), "1tn2nCZ", "{answers:?}");
    assert_eq!(answers[5].command(), "INSERT 0 1");
    assert_eq!(answers[1].line(), "ParameterDescription [25, 25]");
    // The same by a named statement, described on its own first.
    send(&mut client, &[raw::parse("s", sql, &[]), raw::describe(b'S', "s"), raw::sync()]);
    assert_eq!(tags(&client.until_ready()), "1tnZ");
    for n in 0..3 {
        let email = format!("d{n}@x.example");
        send(
            &mut client,
            &[raw::bind_text("", "s", &[Some(&email), None], &[]), raw::execute("", 1), raw::sync()],
        );
        let answers = client.until_ready();
        assert_eq!(tags(&answers), "2CZ", "{answers:?}");
        assert_eq!(answers[1].command(), "INSERT 0 1");
    }
}

#[test]
fn describes_only_the_columns_that_the_client_named() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut client = world.through();
    let answers = client.query("SELECT email, first_name AS prenom FROM people");
    assert_eq!(tags(&answers), "TDCZ");
    let columns = answers[0].columns();
    let named: Vec<(&str, u32)> = columns.iter().map(|c| (c.name.as_str(), c.oid)).collect();
    assert_eq!(named, [("email", 25), ("prenom", 25)]);
    assert_eq!(answers[1].cells().len(), 2);
    let answers = client.query("INSERT INTO people (email) VALUES ('r@x.example') RETURNING email");
    assert_eq!(tags(&answers), "TDCZ");
    assert_eq!(answers[0].columns().len(), 1);
    assert_eq!(answers[1].texts(), row(["r@x.example"]));
}

#[test]
fn shows_the_declared_types() {
    let world = World::new();
    let mut client = world.through();
    let sql = "SELECT last_name, nick, birth_date, seen_at, age, points, salary, active, badge, profile, photo FROM people";
    send(&mut client, &[raw::parse("", sql, &[]), raw::describe(b'S', ""), raw::sync()]);
    let answers = client.until_ready();
    assert_eq!(tags(&answers), "1tTZ");
    let seen: Vec<(u32, i16, i32)> = answers[2].columns().iter().map(|c| (c.oid, c.len, c.typmod)).collect();
    assert_eq!(
        seen,
        [
            (1043, -1, 154),
            (1043, -1, 24),
            (1082, 4, -1),
            (1184, 8, -1),
            (23, 4, -1),
            (20, 8, -1),
            (1700, -1, (10 << 16 | 2) + 4),
            (16, 1, -1),
            (2950, 16, -1),
            (3802, -1, -1),
            (17, -1, -1)
        ]
    );
}

#[test]
fn answers_in_mixed_result_formats() {
    let world = World::new();
    let mut client = world.through();
    client.rows("INSERT INTO people (id, email, first_name, age) VALUES (258, 'm@x.example', 'Mia', 515)");
    for (formats, expected) in [
        (vec![0, 1, 0, 1], ["258".into(), b"m@x.example".to_vec(), b"515".to_vec(), vec![0, 0, 2, 3]]),
        (vec![1, 0, 1, 0], [vec![0, 0, 1, 2], b"m@x.example".to_vec(), vec![0, 0, 2, 3], b"515".to_vec()]),
        (vec![1], [vec![0, 0, 1, 2], b"m@x.example".to_vec(), vec![0, 0, 2, 3], vec![0, 0, 2, 3]]),
        (vec![], ["258".into(), b"m@x.example".to_vec(), b"515".to_vec(), b"515".to_vec()]),
    ] {
        send(
            &mut client,
            &[
                raw::parse("", "SELECT id, email, age, age AS again FROM people", &[]),
                raw::bind("", "", &[], &[], &formats),
                raw::describe(b'P', ""),
                raw::execute("", 0),
                raw::sync(),
            ],
        );
        let answers = client.until_ready();
        assert_eq!(tags(&answers), "12TDCZ");
        let told: Vec<i16> = answers[2].columns().iter().map(|c| c.format).collect();
        let asked: Vec<i16> = (0..4).map(|n| *formats.get(n).or(formats.first()).unwrap_or(&0)).collect();
        assert_eq!(told, asked);
        assert_eq!(answers[3].cells(), expected.map(Some), "formats {formats:?}");
    }
    // A count of formats that fits neither the statement nor one or none: refused as Postgres does.
    send(
        &mut client,
        &[
            raw::parse("", "SELECT id, email, age FROM people", &[]),
            raw::bind("", "", &[], &[], &[0, 1]),
            raw::execute("", 0),
            raw::sync(),
        ],
    );
    let answers = client.until_ready();
    assert_eq!(tags(&answers), "1EZ");
    assert_eq!(answers[1].sqlstate(), "08P01");
}

#[test]
fn suspends_a_portal_and_goes_on() {
    let world = World::new();
    world.people(&["A", "B", "C", "D", "E"]);
    let mut client = world.through();
    client.rows("BEGIN");
    send(
        &mut client,
        &[
            raw::parse("", "SELECT first_name FROM people ORDER BY id", &[]),
            raw::bind("p", "", &[], &[], &[]),
            raw::execute("p", 2),
            raw::flush(),
        ],
    );
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(client.read().unwrap());
    }
    assert_eq!(tags(&seen), "12DDs");
    assert_eq!(seen[2].texts(), row(["A"]));
    send(&mut client, &[raw::execute("p", 2), raw::execute("p", 2), raw::sync()]);
    let seen = client.until_ready();
    assert_eq!(tags(&seen), "DDsDCZ");
    assert_eq!(seen[0].texts(), row(["C"]));
    assert_eq!(seen[4].command(), "SELECT 1");
    client.rows("COMMIT");
}

#[test]
fn suspends_an_insert_with_returning() {
    let world = World::new();
    let mut client = world.through();
    client.rows("BEGIN");
    let sql = "INSERT INTO people (email, first_name) VALUES ('1@x.example', 'Un'), ('2@x.example', 'Deux'), ('3@x.example', 'Trois') RETURNING first_name";
    send(
        &mut client,
        &[
            raw::parse("", sql, &[]),
            raw::bind("p", "", &[], &[], &[]),
            raw::execute("p", 2),
            raw::execute("p", 0),
            raw::sync(),
        ],
    );
    let seen = client.until_ready();
    assert_eq!(tags(&seen), "12DDsDCZ", "{seen:?}");
    assert_eq!(seen[5].texts(), row(["Trois"]));
    // Postgres runs such a statement whole at the first Execute, and tells all its rows at the end.
    assert!(seen[6].command().starts_with("INSERT 0 "));
    client.rows("COMMIT");
    assert_eq!(client.rows("SELECT count(*) FROM people"), [row(["3"])]);
}

#[test]
fn takes_a_pipeline_without_waiting() {
    let world = World::new();
    let mut client = world.through();
    let mut bytes = Vec::new();
    for n in 0..10 {
        let id = n.to_string();
        bytes.extend(raw::parse("", "INSERT INTO people (id, email, first_name) VALUES ($1, $2, $3)", &[]));
        bytes.extend(raw::bind_text(
            "",
            "",
            &[Some(&id), Some(&format!("{n}@x.example")), Some(&format!("N{n}"))],
            &[],
        ));
        bytes.extend(raw::execute("", 0));
        bytes.extend(raw::parse("", "SELECT first_name FROM people WHERE email = $1", &[]));
        bytes.extend(raw::bind_text("", "", &[Some(&format!("{n}@x.example"))], &[]));
        bytes.extend(raw::describe(b'P', ""));
        bytes.extend(raw::execute("", 0));
        bytes.extend(raw::parse("", "UPDATE people SET first_name = $1 WHERE email = $2", &[]));
        bytes.extend(raw::bind_text(
            "",
            "",
            &[Some(&format!("New{n}")), Some(&format!("{n}@x.example"))],
            &[],
        ));
        bytes.extend(raw::execute("", 0));
        bytes.extend(raw::sync());
    }
    client.send(&bytes);
    for n in 0..10 {
        let seen = client.until_ready();
        assert_eq!(tags(&seen), "12C12TDC12CZ", "round {n}: {seen:?}");
        assert_eq!(seen[6].texts(), row([&format!("N{n}")]));
    }
    let names = client.rows("SELECT first_name FROM people ORDER BY id");
    assert_eq!(names, (0..10).map(|n| row([&format!("New{n}")])).collect::<Vec<_>>());
}

#[test]
fn an_error_amid_a_pipeline_skips_to_its_sync() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut client = world.through();
    let select = |sql: &str| {
        [raw::parse("", sql, &[]), raw::bind("", "", &[], &[], &[]), raw::execute("", 0)].concat()
    };
    for (bad, code) in [
        ("SELECT 1/0", "22012"),
        ("SELECT nothing FROM people", "42703"),
        ("SELECT length(last_name) FROM people", "0A000"),
        ("INSERT INTO people (email) VALUES ('Ana@people.example')", "23505"),
    ] {
        let good = select("SELECT first_name FROM people");
        let write = select("INSERT INTO people (email, first_name) VALUES ('skipped@x.example', 'Skipped')");
        send(&mut client, &[good.clone(), select(bad), write, good.clone(), raw::sync(), good, raw::sync()]);
        let seen = client.until_ready();
        let error = seen.iter().find(|m| m.tag == b'E').expect("an error");
        assert_eq!(error.sqlstate(), code, "{bad}");
        let told = tags(&seen);
        assert!(told.starts_with("12DC") && told.ends_with("EZ"), "{bad}: {told}");
        assert_eq!(seen.last().unwrap().line(), "ReadyForQuery I");
        let seen = client.until_ready();
        assert_eq!(tags(&seen), "12DCZ");
        assert_eq!(seen[2].texts(), row(["Ana"]));
    }
    assert_eq!(client.rows("SELECT count(*) FROM people"), [row(["1"])]);
    assert!(client.rows("SELECT id FROM people WHERE email = 'skipped@x.example'").is_empty());
}

#[test]
fn closes_and_reuses_statements_and_portals() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let mut client = world.through();
    send(
        &mut client,
        &[
            raw::parse("s", "SELECT first_name FROM people WHERE id = $1", &[23]),
            raw::bind("p", "s", &[1], &[Some(&2_i32.to_be_bytes())], &[]),
            raw::execute("p", 0),
            raw::close(b'P', "p"),
            raw::close(b'S', "s"),
            raw::parse("s", "SELECT email FROM people WHERE id = $1", &[23]),
            raw::bind_text("p", "s", &[Some("1")], &[]),
            raw::execute("p", 0),
            raw::sync(),
        ],
    );
    let seen = client.until_ready();
    assert_eq!(tags(&seen), "12DC3312DCZ", "{seen:?}");
    assert_eq!((seen[2].texts(), seen[8].texts()), (row(["Bea"]), row(["Ana@people.example"])));
    // A name in use, and a name that is gone.
    send(&mut client, &[raw::parse("s", "SELECT 1", &[]), raw::sync()]);
    assert_eq!(client.until_ready()[0].sqlstate(), "42P05");
    send(&mut client, &[raw::bind("", "gone", &[], &[], &[]), raw::sync()]);
    assert_eq!(client.until_ready()[0].sqlstate(), "26000");
    client.rows("DISCARD ALL");
    send(&mut client, &[raw::bind_text("", "s", &[Some("1")], &[]), raw::sync()]);
    assert_eq!(client.until_ready()[0].sqlstate(), "26000");
}

#[test]
fn updates_by_lookup_survive_discard_all() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut client = world.through();
    for round in 0..3 {
        let sql = format!("UPDATE people SET last_name = 'R{round}' WHERE email = 'Ana@people.example'");
        assert_eq!(client.query(&sql)[0].command(), "UPDATE 1");
        client.rows(if round == 0 { "DISCARD ALL" } else { "DEALLOCATE ALL" });
    }
    assert_eq!(client.rows("SELECT last_name FROM people"), [row(["R2"])]);
}
