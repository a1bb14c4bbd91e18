//! Constants and parameters for declared types: taken, rounded or refused as the server does where the columns are clear.

use crate::support::{Raw, World, raw};

/// Of each column, what is written to it.
const CONSTANTS: &[(&str, &[&str])] = &[
    (
        "age",
        &[
            "7",
            "7.4",
            "7.5",
            "8.5",
            "-7.5",
            "1e2",
            "1.5e0",
            "'7.4'",
            "' 7 '",
            "99999999999",
            "1e100",
            "true",
            "'x'",
        ],
    ),
    ("points", &["7.5", "99999999999", "9e18", "1e19", "'1e2'", "false"]),
    ("salary", &["7", "7.455", "1e2", "99999999999", "'1e2'", "true"]),
    ("active", &["true", "1", "0", "1.0", "'1'"]),
    (
        "birth_date",
        &[
            "'J2451187'",
            "'julian 2451187'",
            "'J0'",
            "'2024-032'",
            "'1999.008'",
            "'2023-366'",
            "'epoch'",
            "7",
            "7.4",
            "true",
        ],
    ),
    ("seen_at", &["'J2451187 04:05:06+00'", "'2024-032 12:00+00'", "7", "true"]),
    ("first_name", &["7", "007", "7.40", "1e2", "-0.50", "true", "99999999999"]),
    ("last_name", &["7.10", "false"]),
    ("badge", &["7", "true"]),
    ("profile", &["7", "true", "'7'"]),
];

fn extended(sql: &str) -> Vec<u8> {
    let steps =
        [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0), raw::sync()];
    steps.concat()
}

#[test]
fn a_constant_is_taken_as_where_the_column_is_clear() {
    let world = World::new();
    let (mut direct, mut through) = (world.clear(), world.through());
    let mut different = Vec::new();
    for (column, constants) in CONSTANTS {
        for constant in *constants {
            let insert =
                format!("INSERT INTO people (id, email, {column}) VALUES (1, 'a@x.example', {constant})");
            let update = format!("UPDATE people SET {column} = {constant} WHERE id = 1");
            for (what, bytes) in [
                ("simple", raw::query(&insert)),
                ("extended", extended(&insert)),
                ("update", raw::query(&update)),
            ] {
                let told = |client: &mut Raw| {
                    client.rows("DELETE FROM people");
                    if what == "update" {
                        client.rows("INSERT INTO people (id, email) VALUES (1, 'a@x.example')");
                    }
                    client.send(&bytes);
                    let answers = client.until_ready();
                    let error = answers.iter().find(|m| m.tag == b'E').map(|m| m.sqlstate());
                    (error, client.rows(&format!("SELECT {column} FROM people")))
                };
                let (expected, seen) = (told(&mut direct), told(&mut through));
                if expected != seen {
                    different.push(format!("{column} = {constant} ({what}): {seen:?}, not {expected:?}"));
                }
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// What hangs on the server's clock is refused by name, in a text or as a parameter.
#[test]
fn a_day_by_the_server_s_clock_is_refused_by_name() {
    let world = World::new();
    let mut through = world.through();
    for word in ["now", "today", "Tomorrow", "yesterday", "today 12:00"] {
        let sql = format!("INSERT INTO people (email, birth_date) VALUES ('a@x.example', '{word}')");
        let error = through.fails(&sql).fields();
        assert_eq!(error[&'C'], "0A000", "{word}");
        assert!(error[&'M'].contains("today"), "{error:?}");
    }
    assert_eq!(through.rows("SELECT count(*) FROM people"), [[Some("0".to_owned())]]);
}

/// Types that are left open are told as they turn out, others as the client declared them.
#[test]
fn parameters_are_described_as_on_a_direct_connection() {
    let world = World::new();
    let (mut direct, mut through) = (world.clear(), world.through());
    for sql in [
        "INSERT INTO people (email, first_name, age, id) VALUES ($1, $2, $3, $4)",
        "UPDATE people SET first_name = $2, age = $3 WHERE id = $4 AND email = $1",
        "SELECT first_name FROM people WHERE email = $1 AND title = $2 AND id IN ($3, $4)",
    ] {
        for declared in
            [&[][..], &[0, 0, 0, 0], &[705, 705, 705, 705], &[25, 1043, 23, 20], &[0, 705, 20, 21], &[1043]]
        {
            let told = |client: &mut Raw| {
                client.send(&[raw::parse("", sql, declared), raw::describe(b'S', ""), raw::sync()].concat());
                client.until_ready().iter().map(|m| m.line()).collect::<Vec<_>>()
            };
            let (expected, seen) = (told(&mut direct), told(&mut through));
            // The tables have other numbers; the columns of the results are held to elsewhere.
            assert_eq!(seen[..2], expected[..2], "{sql} {declared:?}");
        }
    }
}
