//! COPY in and out of protected tables, beside a clear copy on a direct connection.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::{Message, Postgres, Raw, World, raw, row, tags};

/// Option lists of which the same must hold.
const OPTIONS: &[&str] = &[
    "",
    "(DELIMITER '|', NULL 'nil')",
    "(DELIMITER ',', NULL '-')",
    "(HEADER)",
    "WITH CSV HEADER",
    "(FORMAT csv)",
    "(FORMAT csv, HEADER, DELIMITER ';', QUOTE '''', ESCAPE '\\', NULL 'nil')",
    "(FORMAT csv, QUOTE '%', NULL '')",
    "(FORMAT csv, ENCODING 'LATIN1')",
    "CSV DELIMITER AS E'\\t' NULL AS '' QUOTE AS '~'",
    "(FORMAT binary)",
    "BINARY",
];

const ROWS: &str = "INSERT INTO people (id, email, first_name, last_name, nick, birth_date, seen_at, age, points, salary, \
     active, badge, profile, photo, dept_id, title) VALUES
 (1, 'ana@x.example', 'Ana', 'Lefèvre', 'an', '2000-02-29', '2020-01-02 03:04:05.678+00', 42, 9007199254740993, 12.50,
  true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": [1, \"x\"]}', '\\x00ff10', 1, 'plain'),
 (2, 'b,e\"a@x.example', E'tab\\there\\nand\\\\back', '', NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL, '\\x', NULL, E'ti\\ttle\\\\'),
 (3, 'c@x.example', E'\\\\.', 'quote\"\"s, ''and'' ; | %', '', '0099-12-31 BC', 'infinity', -1, 0, 0, NULL, NULL, '\"s\"', NULL, 2, ''),
 (4, 'd@x.example', E'cr\\rlf\\r\\n', E'\\x08\\x0b\\x0c\\x01', 'nil', 'infinity', '1999-12-31 23:59:59+14', 0, -5, 99999999.99, NULL, NULL, NULL, NULL, NULL, E'x\\ny'),
 (5, '', 'é€'' ~', E'\\\\N', E'\\\\', '1970-01-01', NULL, 1, 1, 1, true, NULL, '[]', '\\x5c2e', 3, NULL)";

/// What a COPY TO gave: its data as one, and all else.
fn out(client: &mut Raw, sql: &str) -> (Vec<u8>, Vec<Message>) {
    let answers = client.query(sql);
    let (data, rest): (Vec<_>, Vec<_>) = answers.into_iter().partition(|m| m.tag == b'd');
    (data.into_iter().flat_map(|m| m.body).collect(), rest)
}

/// What a COPY FROM of this data gave, sent in pieces of that size.
pub fn load(client: &mut Raw, sql: &str, data: &[u8], size: usize) -> Vec<Message> {
    client.send(&raw::query(sql));
    let first = client.read().unwrap();
    if first.tag != b'G' {
        let mut answers = vec![first];
        answers.extend(client.until_ready());
        return answers;
    }
    for piece in data.chunks(size) {
        client.send(&raw::other(b'd', piece));
    }
    client.send(&raw::other(b'c', b""));
    let mut answers = vec![first];
    answers.extend(client.until_ready());
    answers
}

fn lines(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::line).collect()
}

const CANARIES: &[&[u8]] =
    &[b"ana@x.example", "Lefèvre".as_bytes(), b"9007199254740993", b"a0eebc99", b"2000-02-29"];

#[test]
fn what_is_copied_in_comes_out_as_from_a_clear_copy() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    clear.rows(ROWS);
    let headers = clear.server_major() >= 15;
    // Headers in the text format are Postgres 15's.
    for (n, options) in OPTIONS.iter().enumerate().filter(|(_, o)| headers || **o != "(HEADER)") {
        let latin = options.contains("LATIN1");
        if latin {
            clear.rows("UPDATE people SET first_name = 'é' WHERE id = 5");
        }
        let (expected, direct) = out(&mut clear, &format!("COPY people TO STDOUT {options}"));
        assert!(expected.len() > 400, "{options}: {direct:?}");
        through.rows("TRUNCATE people, comments");
        let answers = load(&mut through, &format!("COPY people FROM STDIN {options}"), &expected, n * 7 + 1);
        assert_eq!(tags(&answers), "GCZ", "{options}: {answers:?}");
        assert_eq!(answers[1].command(), "COPY 5");
        let (seen, answers) = out(&mut through, &format!("COPY people TO STDOUT {options}"));
        assert_eq!(String::from_utf8_lossy(&seen), String::from_utf8_lossy(&expected), "{options}");
        assert!(seen == expected, "{options}: other bytes");
        assert_eq!(lines(&answers), lines(&direct), "{options}");
        assert_absent("the database", world.pg.dump("app").as_bytes(), CANARIES);
        let stored = world
            .direct()
            .rows("SELECT first_name, email, encode(birth_date, 'hex') FROM people WHERE id = 1");
        let cell = |i: usize| stored[0][i].clone().unwrap();
        assert!(
            cell(0).starts_with("pv1.") && cell(1).starts_with("psn_") && cell(2).starts_with("e1"),
            "{stored:?}"
        );
    }
}

#[test]
fn any_columns_in_any_order_come_out_alike() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    clear.rows(ROWS);
    let (data, _) = out(&mut clear, "COPY people TO STDOUT");
    load(&mut through, "COPY people FROM STDIN", &data, 1000);
    for sql in [
        "COPY people (last_name) TO STDOUT",
        "COPY people (last_name) TO STDOUT CSV",
        "COPY people (photo, birth_date, id, email) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (birth_date, id))",
        "COPY people (email, nick, last_name) TO STDOUT (FORMAT csv, FORCE_QUOTE *)",
        "COPY people (id, title, dept_id) TO STDOUT",
        "COPY \"public\".people (\"first_name\", id) TO STDOUT (FORMAT 'binary')",
        "COPY public.people(first_name) TO STDOUT WITH NULL 'x'",
        "COPY BINARY people (age) TO STDOUT",
        "COPY people (salary, active) TO STDOUT USING DELIMITERS ':'",
        "COPY (SELECT last_name, id FROM people ORDER BY id DESC) TO STDOUT",
        "COPY (SELECT first_name, title FROM people WHERE id > 1 ORDER BY id) TO STDOUT (FORMAT csv, HEADER)",
        "COPY (SELECT p.first_name AS \"the, name\", p.profile FROM people p ORDER BY p.id) TO STDOUT CSV HEADER FORCE QUOTE profile",
        "COPY (SELECT first_name FROM people WHERE email = 'ana@x.example') TO STDOUT",
        "COPY (SELECT id, email FROM people WHERE email IN ('ana@x.example', 'd@x.example', 'none') ORDER BY id) TO STDOUT",
        "COPY (SELECT count(*) FROM people WHERE lower(email) = lower('ANA@x.example')) TO STDOUT",
        "COPY (SELECT birth_date::text, seen_at, age FROM people ORDER BY id) TO STDOUT (FORMAT binary)",
        "COPY (SELECT count(*) FROM people) TO STDOUT",
        "COPY (SELECT title FROM people WHERE false) TO STDOUT",
        "COPY (SELECT first_name FROM people WHERE false) TO STDOUT BINARY",
        "COPY depts TO STDOUT",
        "COPY people (nothing) TO STDOUT",
    ] {
        let (expected, direct) = out(&mut clear, sql);
        let (seen, answers) = out(&mut through, sql);
        assert_eq!(String::from_utf8_lossy(&seen), String::from_utf8_lossy(&expected), "{sql}");
        assert!(seen == expected, "{sql}: other bytes");
        let told = |m: &Message| match m.tag {
            b'E' => format!("{} {}", m.sqlstate(), m.fields()[&'M']),
            _ => m.line(),
        };
        let seen: Vec<_> = answers.iter().map(told).collect();
        assert_eq!(seen, direct.iter().map(told).collect::<Vec<_>>(), "{sql}");
    }
}

#[test]
fn nulls_of_a_csv_file_are_what_its_options_say() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    let data = b"1,a@x.example,,\"\",\n2,b@x.example,\"\",,\"\"\n3,c@x.example,x,\"\",y\n";
    for (n, options) in [
        "(FORMAT csv)",
        "(FORMAT csv, FORCE_NULL (first_name, nick))",
        "(FORMAT csv, FORCE_NOT_NULL (first_name, title))",
        "(FORMAT csv, FORCE_NOT_NULL (last_name), FORCE_NULL (last_name, title))",
        "(FORMAT csv, NULL 'x')",
        "CSV FORCE NOT NULL nick",
    ]
    .iter()
    .enumerate()
    {
        let sql = format!("COPY people (id, email, first_name, nick, title) FROM STDIN {options}");
        let sql = sql.replace("last_name", "first_name");
        for client in [&mut clear, &mut through] {
            client.rows("DELETE FROM people");
            let answers = load(client, &sql, data, n + 3);
            assert_eq!(tags(&answers), "GCZ", "{options}: {answers:?}");
        }
        let query = "SELECT id, first_name, nick, title FROM people ORDER BY id";
        assert_eq!(through.rows(query), clear.rows(query), "{options}");
    }
}

#[test]
fn escapes_of_the_text_format_are_read_before_anything_is_sealed() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    let data = b"1\ta\\x40x.example\t\\101\\x62\\\\\\tz\t\\\\N\tx\\\ny\n2\tb@x.example\t\\N\t\t\\xC3\\251\n\\.\nignored";
    for client in [&mut clear, &mut through] {
        let answers = load(client, "COPY people (id, email, first_name, nick, title) FROM STDIN", data, 5);
        assert_eq!(tags(&answers), "GCZ", "{answers:?}");
    }
    let query = "SELECT id, email, first_name, nick, title FROM people ORDER BY id";
    assert_eq!(through.rows(query), clear.rows(query));
}

/// Data that is damaged, or that a table does not take, and what must be in it nowhere.
const DAMAGED: &[(&str, &str)] = &[
    ("", "1\tmissing@secret.example\n"),
    ("", "1\tx@secret.example\tSecret\tmore\tand\tmore\n"),
    ("", "x\tid@secret.example\tSecret\n"),
    ("", "\\N\tnull@secret.example\tSecret\n"),
    ("", "1\ta@secret.example\tSecret\n2\ta@secret.example\tSecret\n"),
    ("", "1\ta@secret.example\tSecret\r\n2\tb@secret.example\tSecret\n"),
    ("", "1\ta@secret.example\tSe\\x00cret\n"),
    ("", "1\ta@secret.example\tSe\\xffcret\n"),
    ("CSV", "1,a@secret.example,\"Secret\n"),
    ("CSV", "1,a@secret.example\n"),
    ("CSV HEADER", "id,email,first_name\n1,a@secret.example,Secret,1\n"),
    ("BINARY", "1\ta@secret.example\tSecret\n"),
    ("(FORMAT csv, HEADER MATCH)", "id,email,other\n1,a@secret.example,Secret\n"),
];

#[test]
fn damaged_data_is_an_error_and_leaves_nothing() {
    let world = World::new();
    let pg = Postgres::with(&Options { log_all: true, ..Options::default() });
    crate::support::world::make_tables(&pg);
    let gateway = crate::support::Gateway::start(&pg);
    let mut clear = world.clear();
    let mut through = Raw::connect(gateway.port(), "app");
    for (options, data) in DAMAGED {
        let sql = format!("COPY people (id, email, first_name) FROM STDIN {options}");
        let expected = load(&mut clear, &sql, data.as_bytes(), 4);
        let answers = load(&mut through, &sql, data.as_bytes(), 4);
        assert_eq!(tags(&answers), tags(&expected), "{options} {data:?}: {answers:?}\n{expected:?}");
        let (one, other) = (&expected[expected.len() - 2], &answers[answers.len() - 2]);
        if data.starts_with("\\N") {
            // The server would say that the column can't be NULL; nobody's data is not sealed.
            assert_eq!(other.sqlstate(), "0A000");
        } else {
            assert_eq!(other.sqlstate(), one.sqlstate(), "{options} {data:?}: {other:?} {one:?}");
        }
        assert!(!other.line().to_lowercase().contains("secret\""), "{other:?}");
        assert_eq!(answers.last().unwrap().line(), "ReadyForQuery I");
        assert_eq!(through.rows("SELECT count(*) FROM people"), [row(["0"])], "{options} {data:?}");
    }
    // Nothing of them reached the server, not even its log of what went wrong.
    assert_absent("the server's log", pg.log().as_bytes(), &[b"secret.example", b"Secret", b"Se\\x00cret"]);
}

#[test]
fn an_error_in_the_middle_ends_the_copy_and_the_session_goes_on() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    let mut long = Vec::new();
    for n in 1..=3000 {
        let dept = if n == 1700 { 99 } else { 1 };
        long.extend_from_slice(format!("{n}\tp{n}@x.example\tName {n}\t{dept}\n").as_bytes());
    }
    let sql = "COPY people (id, email, first_name, dept_id) FROM STDIN";
    for client in [&mut clear, &mut through] {
        let answers = load(client, sql, &long, 8000);
        assert_eq!(tags(&answers), "GEZ", "{answers:?}");
        assert_eq!(answers[1].sqlstate(), "23503");
        assert_eq!(client.rows("SELECT count(*) FROM people"), [row(["0"])]);
    }
    // The client gives up.
    for client in [&mut clear, &mut through] {
        client.send(&raw::query(sql));
        assert_eq!(client.read().unwrap().tag, b'G');
        client.send(&raw::other(b'd', b"1\ta@x.example\tAna\t1\n"));
        client.send(&raw::other(b'f', b"no more of Ana\0"));
        let answers = client.until_ready();
        assert_eq!(tags(&answers), "EZ");
        assert_eq!(answers[0].fields()[&'M'], "COPY from stdin failed: no more of Ana");
        assert_eq!(answers[0].sqlstate(), "57014");
        assert_eq!(client.rows("SELECT count(*) FROM people"), [row(["0"])]);
    }
    // What was made for them is gone: the address is free, the person unknown.
    through.rows("INSERT INTO people (id, email) VALUES (77, 'p1@x.example')");
    assert_eq!(through.rows("SELECT id, email FROM people"), [row(["77", "p1@x.example"])]);
    assert_eq!(world.gateway.admin().state(5), None);
}

#[test]
fn a_block_that_fails_in_a_copy_is_rolled_back_whole() {
    let world = World::new();
    let mut client = world.through();
    client.rows("BEGIN");
    client.rows("INSERT INTO people (id, email, first_name) VALUES (1, 'a@x.example', 'Ana')");
    let answers = load(&mut client, "COPY people (id, email) FROM STDIN", b"2\tb@x.example\n", 3);
    assert_eq!(answers.last().unwrap().line(), "ReadyForQuery T");
    client.rows("SAVEPOINT s");
    let answers = load(&mut client, "COPY people (id, email) FROM STDIN", b"3\n", 3);
    assert_eq!(answers.last().unwrap().line(), "ReadyForQuery E");
    client.rows("ROLLBACK TO s");
    assert_eq!(client.rows("SELECT email FROM people ORDER BY id").len(), 2);
    client.rows("COMMIT");
    assert_eq!(
        client.rows("SELECT id, email FROM people ORDER BY id"),
        [row(["1", "a@x.example"]), row(["2", "b@x.example"])]
    );
    assert!(world.gateway.admin().state(2).is_some());
    client.rows("BEGIN");
    load(&mut client, "COPY people (id, email) FROM STDIN", b"4\td@x.example\n", 3);
    client.rows("ROLLBACK");
    client.rows("INSERT INTO people (id, email) VALUES (5, 'd@x.example')");
    assert_eq!(client.rows("SELECT email FROM people WHERE id = 5"), [row(["d@x.example"])]);
    assert_eq!(world.gateway.admin().state(4), None);
}

#[test]
fn data_that_does_not_wait_is_taken_in_both_protocols() {
    let world = World::new();
    let mut client = world.through();
    let sql = "COPY people (id, email, first_name) FROM STDIN";
    let data = raw::other(b'd', b"1\ta@x.example\tAna\n");
    let done = raw::other(b'c', b"");
    client.send(
        &[raw::query(sql), data.clone(), done.clone(), raw::query("SELECT first_name FROM people")].concat(),
    );
    assert_eq!(tags(&client.until_ready()), "GCZ");
    assert_eq!(tags(&client.until_ready()), "TDCZ");
    client.rows("DELETE FROM people");
    // tokio-postgres: the first Sync comes before the data, and is passed over.
    let start = [
        raw::parse("", sql, &[]),
        raw::describe(b'S', ""),
        raw::bind_text("", "", &[], &[]),
        raw::execute("", 0),
        raw::sync(),
    ];
    client.send(&start.concat());
    let mut seen = Vec::new();
    while seen.last() != Some(&b'G') {
        seen.push(client.read().unwrap().tag);
    }
    assert_eq!(seen, b"1tn2G");
    client.send(&[data.clone(), raw::flush(), raw::sync(), done.clone(), raw::sync()].concat());
    assert_eq!(tags(&client.until_ready()), "CZ");
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    client.rows("DELETE FROM people");
    // All in one go.
    client.send(&[&start[..4].concat(), &data[..], &done, &raw::sync()].concat());
    assert_eq!(tags(&client.until_ready()), "1tn2GCZ");
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Ana"])]);
    // Extended, failing: what follows is passed over up to Sync.
    let bad = raw::other(b'd', b"2\tb@x.example\n");
    client.send(
        &[&start[..4].concat(), &bad[..], &data, &done, &raw::sync(), &raw::query("SELECT 1")].concat(),
    );
    assert_eq!(tags(&client.until_ready()), "1tn2GEZ");
    assert_eq!(tags(&client.until_ready()), "TDCZ");
    // Out.
    client.send(
        &[
            raw::parse(
                "c",
                "COPY (SELECT first_name FROM people WHERE email = 'a@x.example') TO STDOUT",
                &[],
            ),
            raw::bind_text("", "c", &[], &[]),
            raw::execute("", 0),
            raw::parse("", "SELECT 7", &[]),
            raw::bind_text("", "", &[], &[]),
            raw::execute("", 0),
            raw::sync(),
        ]
        .concat(),
    );
    let answers = client.until_ready();
    assert_eq!(tags(&answers), "12HdcC12DCZ", "{answers:?}");
    assert_eq!(answers[3].body, b"Ana\n");
}

#[test]
fn data_of_a_refused_copy_never_reaches_the_server() {
    let pg = Postgres::with(&Options { log_all: true, ..Options::default() });
    crate::support::world::make_tables(&pg);
    let gateway = crate::support::Gateway::start(&pg);
    let mut client = Raw::connect(gateway.port(), "app");
    let data = [raw::other(b'd', b"1\tsecret@x.example\n"), raw::other(b'c', b"")].concat();
    for sql in [
        "COPY people (id, email) FROM STDIN WHERE id > 1",
        "COPY people (id, email) FROM STDIN (FORMAT csv, FORCE_NULL (nothing))",
        "COPY people (id, email) FROM '/tmp/people'",
        "COPY people (id, email) TO '/tmp/people'",
        "COPY people (id, email) TO PROGRAM 'cat'",
        "COPY (SELECT email FROM people) TO '/tmp/people'",
        "COPY (DELETE FROM people RETURNING email) TO STDOUT",
        "COPY (SELECT length(last_name) FROM people) TO STDOUT",
        "SELECT 1; COPY people TO STDOUT",
    ] {
        client.send(&[&raw::query(sql)[..], &data, &raw::query("SELECT 1")].concat());
        let answers = client.until_ready();
        assert_eq!(tags(&answers), "EZ", "{sql}: {answers:?}");
        assert_eq!(answers[0].sqlstate(), "0A000", "{sql}: {answers:?}");
        assert_eq!(tags(&client.until_ready()), "TDCZ");
        let steps = [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)];
        client.send(&[&steps.concat(), &data[..], &raw::sync(), &data].concat());
        assert_eq!(tags(&client.until_ready()), "EZ", "{sql}");
        assert_eq!(client.rows("SELECT 1"), [row(["1"])]);
    }
    assert_absent("the server's log", pg.log().as_bytes(), &[b"secret@x"]);
    // Columns that are not protected may go to a file, as far as Postgres lets them.
    assert_eq!(client.fails("COPY people (id, title) TO '/nowhere/x'").sqlstate(), "42501");
}

#[test]
fn ids_that_the_database_makes_are_drawn_beforehand() {
    let world = World::new();
    let mut client = world.through();
    // MATCH is Postgres 15's.
    let header = if client.server_major() >= 15 { "HEADER MATCH" } else { "HEADER" };
    let sql = &format!("COPY people (email, first_name) FROM STDIN (FORMAT csv, {header})");
    let data = b"email,first_name\na@x.example,Ana\nb@x.example,\"B, ea\"\n";
    let answers = load(&mut client, sql, data, 5);
    assert_eq!(tags(&answers), "GEZ");
    assert_eq!(answers[1].sqlstate(), "0A000");
    assert!(answers[1].fields()[&'H'].contains("GRANT USAGE"), "{:?}", answers[1]);
    client.rows("GRANT USAGE ON SEQUENCE people_id_seq TO paravent");
    let answers = load(&mut client, sql, data, 5);
    assert_eq!(tags(&answers), "GCZ", "{answers:?}");
    // The client knows of two columns.
    assert_eq!(answers[0].body, [0, 0, 2, 0, 0, 0, 0]);
    let answers = load(&mut client, "COPY people (first_name, email) FROM STDIN", b"Cleo\tc@x.example", 5);
    assert_eq!(tags(&answers), "GCZ", "{answers:?}");
    let seen = client.rows("SELECT first_name, email FROM people ORDER BY id");
    assert_eq!(
        seen,
        [row(["Ana", "a@x.example"]), row(["B, ea", "b@x.example"]), row(["Cleo", "c@x.example"])]
    );
    let id = client.rows("SELECT id FROM people WHERE email = 'a@x.example'")[0][0].clone().unwrap();
    world.gateway.admin().erase(id);
    let seen = client.rows("SELECT first_name FROM people ORDER BY id");
    assert_eq!(seen, [row(["NULL"]), row(["B, ea"]), row(["Cleo"])]);
    let mut binary = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\0\0\x0bd@x.example\0\0\0\x03Dee".to_vec();
    binary.extend_from_slice(&[0xff, 0xff]);
    let answers = load(&mut client, "COPY people (email, first_name) FROM STDIN BINARY", &binary, 9);
    assert_eq!(tags(&answers), "GCZ", "{answers:?}");
    assert_eq!(client.rows("SELECT first_name FROM people WHERE email = 'd@x.example'"), [row(["Dee"])]);
    // A default that does more than draw from a sequence is not run by the gateway.
    client.rows("CREATE FUNCTION made() RETURNS integer LANGUAGE sql AS 'SELECT 999'");
    client.rows("ALTER TABLE logins ALTER id DROP IDENTITY, ALTER id SET DEFAULT made()");
    let answers = load(&mut client, "COPY logins (email) FROM STDIN", b"x@x.example\n", 5);
    assert_eq!((tags(&answers).as_str(), answers[0].sqlstate()), ("EZ", "0A000".to_owned()));
}

#[test]
fn an_erased_person_is_not_written_about_and_reads_as_erased() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let mut client = world.through();
    world.gateway.admin().erase(1);
    let (seen, _) = out(&mut client, "COPY (SELECT id, email, first_name FROM people ORDER BY id) TO STDOUT");
    assert_eq!(String::from_utf8(seen).unwrap(), "1\t\t\\N\n2\tBea@people.example\tBea\n");
    client.rows("DELETE FROM people WHERE id = 1");
    let answers =
        load(&mut client, "COPY people (id, email) FROM STDIN", b"3\tc@x.example\n1\ta@x.example\n", 9);
    assert_eq!(tags(&answers), "GEZ");
    assert_eq!(answers[1].sqlstate(), "0A000");
    assert!(answers[1].fields()[&'H'].contains("erased-subject"));
    assert_eq!(client.rows("SELECT count(*) FROM people"), [row(["1"])]);
}

#[test]
fn an_envelope_in_another_persons_row_stops_the_copy() {
    let world = World::new();
    world.people(&["Ana", "Bea", "Cleo"]);
    let mut client = world.through();
    let taken = "UPDATE people SET first_name = (SELECT first_name FROM people WHERE id = 1) WHERE id = 2";
    world.direct().rows(taken);
    for sql in [
        "COPY people (first_name) TO STDOUT",
        "COPY (SELECT first_name FROM people) TO STDOUT CSV",
        "COPY people TO STDOUT BINARY",
    ] {
        let answers = client.query(sql);
        let error = answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{sql}: {answers:?}"));
        assert_eq!(error.sqlstate(), "XX001", "{sql}");
        assert!(answers.iter().filter(|m| m.tag == b'd').count() <= 3, "{sql}: {answers:?}");
        assert_eq!(answers.last().unwrap().line(), "ReadyForQuery I");
    }
    client.rows("BEGIN");
    assert_eq!(client.query("COPY people (first_name) TO STDOUT").last().unwrap().line(), "ReadyForQuery E");
    assert_eq!(client.query("COMMIT")[0].command(), "ROLLBACK");
}

#[test]
fn a_table_larger_than_any_buffer_passes_both_ways() {
    let world = World::new();
    let mut client = world.through();
    let mut data = Vec::new();
    for n in 1..=6_000 {
        data.extend_from_slice(format!("{n}\tp{n}@x.example\tName {n}\t{}\n", "x".repeat(n % 90)).as_bytes());
    }
    let sql = "COPY people (id, email, first_name, title) FROM STDIN";
    let answers = load(&mut client, sql, &data, 31_337);
    assert_eq!(answers[1].command(), "COPY 6000");
    let (seen, rest) = out(&mut client, "COPY people (id, email, first_name, title) TO STDOUT");
    assert_eq!(tags(&rest), "HcCZ", "{rest:?}");
    // A table's rows lie where there is room.
    let sorted = |data: &[u8]| {
        let mut lines: Vec<Vec<u8>> = data.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    assert!(sorted(&seen) == sorted(&data));
    // Into another table of the same fields, as it comes.
    let answers = load(&mut client, "COPY logins (id, email) FROM STDIN CSV", b"1,p1@x.example\n", 99);
    assert_eq!(answers[1].command(), "COPY 1");
    let same = client.rows("SELECT p.id FROM people p JOIN logins l ON l.email = p.email");
    assert_eq!(same, [row(["1"])]);
}
