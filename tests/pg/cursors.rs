//! Cursors of SQL, beside a clear copy.

use crate::support::{Message, Raw, World, raw, row, tags};

const STEPS: &[&str] = &[
    "BEGIN",
    "DECLARE c CURSOR FOR SELECT first_name, title FROM people ORDER BY id",
    "FETCH c",
    "FETCH FORWARD 2 FROM c",
    "MOVE 1 FROM c",
    "FETCH ALL IN c",
    "FETCH c",
    "CLOSE c",
    "DECLARE \"Odd Name\" SCROLL CURSOR FOR SELECT p.last_name, p.birth_date::text, c.body FROM people p JOIN comments c ON c.author_id = p.id ORDER BY c.id",
    "FETCH LAST FROM \"Odd Name\"",
    "FETCH PRIOR FROM \"Odd Name\"",
    "FETCH ABSOLUTE 1 FROM \"Odd Name\"",
    "DECLARE e CURSOR FOR SELECT id, email FROM people WHERE email IN ('n2@x.example', 'n4@x.example') ORDER BY id",
    "FETCH 10 FROM e",
    "DECLARE u CURSOR FOR SELECT id, title FROM people ORDER BY id FOR UPDATE",
    "FETCH u",
    "UPDATE people SET title = 'current' WHERE CURRENT OF u",
    "UPDATE people SET last_name = 'Ici', birth_date = '2001-02-03' WHERE CURRENT OF u RETURNING id, last_name, title",
    "FETCH u",
    "UPDATE people SET first_name = 'Là', email = 'la@x.example' WHERE CURRENT OF u",
    "UPDATE comments SET body = 'Ailleurs' WHERE CURRENT OF e",
    "ROLLBACK",
    "BEGIN",
    "DECLARE u CURSOR FOR SELECT id, title FROM people ORDER BY id FOR UPDATE",
    "FETCH 2 FROM u",
    "UPDATE people SET last_name = 'Ici', birth_date = '2001-02-03', nick = NULL WHERE CURRENT OF u RETURNING id, last_name, title",
    "UPDATE people SET first_name = 'Là', email = 'la@x.example' WHERE CURRENT OF u",
    "SELECT id, first_name, last_name, email, birth_date FROM people WHERE email = 'la@x.example'",
    "DECLARE d CURSOR FOR SELECT id FROM comments WHERE author_id = 3 FOR UPDATE",
    "FETCH d",
    "DELETE FROM comments WHERE CURRENT OF d RETURNING author_id, body",
    "DELETE FROM comments WHERE author_id = 5",
    "SELECT title FROM people WHERE id = 1",
    "DECLARE h CURSOR WITH HOLD FOR SELECT first_name, last_name FROM people ORDER BY id",
    "COMMIT",
    "FETCH 2 FROM h",
    "SELECT 1",
    "FETCH NEXT FROM h",
    "BEGIN; DECLARE s CURSOR FOR SELECT first_name FROM people ORDER BY id DESC; FETCH 2 FROM s; COMMIT",
    "FETCH s",
    "CLOSE h",
    "FETCH h",
    "BEGIN",
    "DECLARE h CURSOR FOR SELECT id, name FROM depts ORDER BY id",
    "FETCH 2 FROM h",
    "SAVEPOINT a",
    "DECLARE k CURSOR FOR SELECT nick FROM people",
    "ROLLBACK TO a",
    "DECLARE k CURSOR FOR SELECT name FROM depts ORDER BY id",
    "FETCH k",
    "ROLLBACK",
];

fn lines(answers: &[Message]) -> Vec<String> {
    let told = |m: &Message| match m.tag {
        b'E' => format!("{} {}", m.sqlstate(), m.fields()[&'M']),
        _ => m.line(),
    };
    answers.iter().map(told).collect()
}

fn fill(client: &mut Raw) {
    for n in 1..=6 {
        client.rows(&format!(
            "INSERT INTO people (id, email, first_name, last_name, nick, birth_date, title) VALUES \
             ({n}, 'n{n}@x.example', 'First {n}', 'Last {n}', NULL, '1990-01-0{n}', 't{n}')"
        ));
        client.rows(&format!("INSERT INTO comments (author_id, body) VALUES ({n}, 'Said {n}')"));
    }
}

#[test]
fn cursors_give_what_those_of_a_clear_copy_give() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    fill(&mut clear);
    fill(&mut through);
    for sql in STEPS {
        assert_eq!(lines(&through.query(sql)), lines(&clear.query(sql)), "{sql}");
    }
    // The same by the extended protocol, in binary.
    for client in [&mut clear, &mut through] {
        client.rows("BEGIN");
    }
    let ask = |client: &mut Raw, sql: &str, params: &[Option<&str>]| {
        client.send(
            &[
                raw::parse("", sql, &[]),
                raw::describe(b'S', ""),
                raw::bind_text("", "", params, &[1]),
                raw::execute("", 0),
                raw::sync(),
            ]
            .concat(),
        );
        lines(&client.until_ready())
    };
    for (sql, params) in [
        (
            "DECLARE c CURSOR FOR SELECT id, birth_date, first_name FROM people WHERE email = $1",
            &[Some("n3@x.example")][..],
        ),
        ("FETCH ALL FROM c", &[]),
        ("MOVE ABSOLUTE 0 FROM c", &[]),
        ("CLOSE c", &[]),
    ] {
        assert_eq!(ask(&mut through, sql, params), ask(&mut clear, sql, params), "{sql}");
    }
    // A cursor is a portal, too.
    for client in [&mut clear, &mut through] {
        client.rows("DECLARE p CURSOR FOR SELECT birth_date, first_name FROM people ORDER BY id");
    }
    let fetch = [raw::describe(b'P', "p"), raw::execute("p", 2), raw::execute("p", 1), raw::sync()].concat();
    let seen = [&mut through, &mut clear].map(|client| {
        client.send(&fetch);
        lines(&client.until_ready())
    });
    assert_eq!(seen[0], seen[1]);
    assert_eq!(lines(&through.query("FETCH p")), lines(&clear.query("FETCH p")));
}

#[test]
fn an_envelope_of_another_row_is_caught_as_it_is_fetched() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let mut client = world.through();
    world
        .direct()
        .rows("UPDATE people SET first_name = (SELECT first_name FROM people WHERE id = 1) WHERE id = 2");
    client.rows("BEGIN");
    client.rows("DECLARE c CURSOR FOR SELECT first_name FROM people ORDER BY id");
    assert_eq!(client.rows("FETCH c"), [row(["Ana"])]);
    let answers = client.query("FETCH c");
    assert_eq!(
        (tags(&answers).as_str(), answers.last().unwrap().line().as_str()),
        ("TEZ", "ReadyForQuery E")
    );
    client.rows("ROLLBACK");
}

/// What Bind makes under a name is a cursor to SQL.
#[test]
fn sql_fetches_from_a_portal_of_the_protocol() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    fill(&mut clear);
    fill(&mut through);
    let bound = |name: &str, sql: &str, formats: &[i16]| {
        [raw::parse("s", sql, &[]), raw::bind_text(name, "s", &[Some("1")], formats), raw::close(b'S', "s")]
            .concat()
    };
    let seen = [&mut through, &mut clear].map(|client| {
        let mut all = Vec::new();
        client.rows("BEGIN");
        let sql = "SELECT birth_date, first_name, email FROM people WHERE id > $1 ORDER BY id";
        client.send(&[bound("One", sql, &[1]), raw::execute("One", 1), raw::sync()].concat());
        all.push(lines(&client.until_ready()));
        all.push(lines(&client.query("FETCH 2 FROM \"One\"")));
        let fetch = [
            bound("two", "SELECT id, last_name FROM people WHERE id = $1", &[]),
            raw::parse("", "FETCH FROM two", &[]),
            raw::describe(b'S', ""),
            raw::bind_text("", "", &[], &[1]),
            raw::execute("", 0),
            raw::parse("", "FETCH ALL FROM \"One\"", &[]),
            raw::bind_text("", "", &[], &[1]),
            raw::execute("", 0),
            raw::sync(),
        ];
        client.send(&fetch.concat());
        all.push(lines(&client.until_ready()));
        client.send(&[bound("plain", "SELECT name FROM depts WHERE id = $1", &[]), raw::sync()].concat());
        client.until_ready();
        all.push(lines(&client.query("FETCH plain; MOVE 1 FROM \"One\"; CLOSE \"One\"; COMMIT")));
        all.push(lines(&client.query("FETCH \"One\"")));
        all
    });
    assert_eq!(seen[0], seen[1]);
    // One that writes runs by Execute alone.
    through.rows("BEGIN");
    let write = "UPDATE people SET first_name = 'x' WHERE id = $1 RETURNING first_name";
    through.send(&[bound("w", write, &[]), raw::sync()].concat());
    through.until_ready();
    assert_eq!(through.fails("FETCH w").sqlstate(), "0A000");
    through.rows("ROLLBACK");
}

/// A DECLARE that fails leaves the cursor that has its name, and what is known of it.
#[test]
fn a_cursor_stays_where_another_of_its_name_can_not_be_declared() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    fill(&mut clear);
    fill(&mut through);
    let open = "DECLARE c CURSOR WITH HOLD FOR SELECT first_name, birth_date FROM people ORDER BY id";
    let others = [
        "DECLARE c CURSOR FOR SELECT id, name FROM depts ORDER BY id",
        "DECLARE c CURSOR FOR SELECT 1",
        "DECLARE c CURSOR FOR SELECT email, id, last_name FROM people ORDER BY id DESC",
        "DECLARE c CURSOR FOR SELECT nothing FROM people",
        "DECLARE c CURSOR FOR SELECT 1 FROM nothing",
        "DECLARE c SCROLL CURSOR FOR SELECT id FROM people FOR UPDATE",
        "SELECT 1; DECLARE c CURSOR FOR SELECT 1; FETCH c",
        "DECLARE c CURSOR FOR SELECT last_name FROM people; FETCH c",
    ];
    let seen = [&mut through, &mut clear].map(|client| {
        let mut seen = Vec::new();
        for other in others {
            for block in [false, true] {
                let mut ask = |client: &mut Raw, sql: &str| {
                    seen.push(format!("{sql} ({block})"));
                    seen.extend(lines(&client.query(sql)));
                };
                ask(client, open);
                ask(client, "FETCH c");
                if block {
                    ask(client, "BEGIN");
                    ask(client, "SAVEPOINT s");
                }
                // Before 17 a script that runs as a pipeline is in no block by itself.
                if block || !other.ends_with("people; FETCH c") {
                    ask(client, other);
                }
                if block {
                    ask(client, "ROLLBACK TO s");
                }
                ask(client, "FETCH c");
                if block {
                    ask(client, "COMMIT");
                }
                // By the protocol, without waiting; then one that is carried out.
                let run = |sql: &str| {
                    let bound = [raw::bind_text("", "", &[], &[]), raw::describe(b'P', "")].concat();
                    [raw::parse("", sql, &[]), bound, raw::execute("", 0)].concat()
                };
                let last = other.rsplit("; ").find(|sql| sql.starts_with("DECLARE")).unwrap();
                let steps = [
                    run(last),
                    raw::sync(),
                    run("FETCH c"),
                    raw::sync(),
                    raw::query("BEGIN; CLOSE c"),
                    run(last),
                    run("FETCH c"),
                    raw::describe(b'P', "c"),
                    raw::execute("c", 1),
                    raw::sync(),
                    raw::query("ROLLBACK"),
                ];
                client.send(&steps.concat());
                for _ in 0..5 {
                    seen.extend(lines(&client.until_ready()));
                }
                seen.extend(lines(&client.query("CLOSE ALL")));
            }
        }
        seen
    });
    let pairs = seen[0].iter().zip(&seen[1]);
    let differs = pairs.clone().position(|(through, direct)| through != direct);
    assert_eq!(
        differs.map(|at| &seen[0][at.saturating_sub(12)..(at + 4).min(seen[0].len())]),
        None,
        "{seen:#?}"
    );
    assert_eq!(seen[0].len(), seen[1].len());
}
