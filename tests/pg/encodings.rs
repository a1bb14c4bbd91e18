//! Clients in other encodings than UTF-8: the same bytes as on a direct connection, in and out.

use crate::support::message::Message;
use crate::support::world::{row, tags};
use crate::support::{Raw, World, raw};

/// An encoding, with text in it and the same in UTF-8.
const SAMPLES: &[(&str, &[u8], &str)] = &[
    ("LATIN1", b"Gr\xe2ce d'\xc9t\xe9 \xa4\x85", "Grâce d'Été ¤\u{85}"),
    ("LATIN2", b"\xa3\xf3d\xbc", "Łódź"),
    ("LATIN5", b"\xddstanbul \xde", "İstanbul Ş"),
    ("LATIN9", b"\xa4uro \xbdil", "€uro œil"),
    ("LATIN10", b"Bucure\xbati", "București"),
    ("WIN1250", b"\x8a\x9a\x8e", "ŠšŽ"),
    ("WIN1251", b"\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"),
    ("WIN1252", b"\x80 \x93\xe9\x94", "€ “é”"),
    ("WIN1253", b"\xc1\xe8\xde\xed\xe1", "Αθήνα"),
    ("WIN1258", b"\xd0\xf5", "Đơ"),
    ("WIN866", b"\x8f\xe0\xa8", "При"),
    ("WIN874", b"\xa1\xa2\x80", "กข€"),
];

/// A message of text that is not UTF-8, with `{}` where `value` goes.
fn with(sql: &str, value: &[u8]) -> Vec<u8> {
    let at = sql.find("{}").unwrap_or(sql.len());
    let rest = sql.get(at + 2..).unwrap_or("");
    [&sql.as_bytes()[..at], value, rest.as_bytes()].concat()
}

fn query(text: &[u8]) -> Vec<u8> {
    raw::other(b'Q', &[text, b"\0"].concat())
}

fn parse(name: &str, text: &[u8]) -> Vec<u8> {
    raw::other(b'P', &[name.as_bytes(), b"\0", text, b"\0\0\0"].concat())
}

/// Messages as they are, but for what tells where in the server's code an error arose.
fn bytes(messages: &[Message]) -> Vec<(char, Vec<u8>)> {
    let kept = |m: &Message| match m.tag {
        b'E' => (m.sqlstate().as_bytes()).to_vec(),
        // Table and column numbers differ between the databases.
        b'T' => m.line().into_bytes(),
        _ => m.body.clone(),
    };
    messages.iter().map(|m| (char::from(m.tag), kept(m))).collect()
}

struct Pair {
    direct: Raw,
    through: Raw,
}

impl Pair {
    fn new(world: &World, encoding: &str) -> Self {
        let connect = |port, database| {
            let parameters = [("user", "app"), ("database", database), ("client_encoding", encoding)];
            Raw::connect_as(port, &parameters)
        };
        Self { direct: connect(world.pg.port(), "clear"), through: connect(world.gateway.port(), "app") }
    }

    /// The same to both; they must answer alike. What they answered.
    fn same(&mut self, what: &str, message: &[u8]) -> Vec<Message> {
        let mut answers = [&mut self.direct, &mut self.through].map(|client| {
            client.send(message);
            client.until_ready()
        });
        let [direct, through] = &answers;
        assert_eq!(bytes(through), bytes(direct), "{what}: {through:?}\ndirect: {direct:?}");
        std::mem::take(&mut answers[1])
    }
}

#[test]
fn literals_and_rows_are_in_the_client_s_encoding() {
    let world = World::new();
    for (n, (encoding, sample, utf8)) in SAMPLES.iter().enumerate() {
        let mut pair = Pair::new(&world, encoding);
        let quoted =
            [b"'", sample.split(|b| *b == b'\'').collect::<Vec<_>>().join(&b"''"[..]).as_slice(), b"'"]
                .concat();
        let id = n + 1;
        let steps = [
            with(
                &format!(
                    "INSERT INTO people (id, email, first_name, title) VALUES ({id}, 'e{n}@x.example', {{}}, 't') RETURNING first_name"
                ),
                &quoted,
            ),
            with(
                &format!(
                    "UPDATE people SET last_name = {{}} WHERE email = 'e{n}@x.example' RETURNING last_name, first_name"
                ),
                &quoted,
            ),
            with(
                &format!(
                    "INSERT INTO people (email, nick, profile) VALUES ({{}} || '', 'x', '{{\"k\": 1}}') /* {id} */"
                ),
                b"'g'",
            ),
            with("INSERT INTO people (email, title) VALUES ({}, 'as address')", &quoted),
            with("SELECT email, title FROM people WHERE email = {}", &quoted),
            with("SELECT count(*) FROM people WHERE lower(email) = lower({})", &quoted),
            with("DELETE FROM people WHERE email IN ('none', {}) RETURNING email", &quoted),
            with("SELECT {} AS relayed", &quoted),
            with("SELECT p.first_name AS \"{}\", title FROM people p ORDER BY id", sample),
        ];
        for sql in steps {
            // An expression is refused through the gateway.
            if sql.windows(2).any(|w| w == b"||") {
                continue;
            }
            pair.same(encoding, &query(&sql));
        }
        // A client in UTF-8 sees the same text.
        let seen = world.through().rows(&format!("SELECT first_name, last_name FROM people WHERE id = {id}"));
        assert_eq!(seen, [[Some((*utf8).to_owned()), Some((*utf8).to_owned())]], "{encoding}");
        let clear = world.clear().rows(&format!("SELECT first_name FROM people WHERE id = {id}"));
        assert_eq!(clear, [[Some((*utf8).to_owned())]], "{encoding}");
    }
}

#[test]
fn parameters_are_in_the_client_s_encoding_in_either_format() {
    let world = World::new();
    for (n, (encoding, sample, utf8)) in SAMPLES.iter().enumerate() {
        let mut pair = Pair::new(&world, encoding);
        for format in [0, 1] {
            let email = format!("p{n}.{format}@x.example");
            let json = [b"{\"k\": \"", *sample, b"\"}"].concat();
            let json = if format == 1 { [b"\x01", json.as_slice()].concat() } else { json };
            let sql = b"INSERT INTO people (email, first_name, profile, title) VALUES ($1, $2, $3, $4) RETURNING first_name, profile, title";
            let values: [Option<&[u8]>; 4] =
                [Some(email.as_bytes()), Some(sample), Some(&json), Some(sample)];
            let steps = [
                parse("", sql),
                raw::describe(b'S', ""),
                raw::bind("", "", &[format], &values, &[format]),
                raw::execute("", 0),
                raw::sync(),
            ];
            let answers = pair.same(encoding, &steps.concat());
            assert_eq!(tags(&answers), "1tT2DCZ", "{answers:?}");
            let steps = [
                parse("", b"UPDATE people SET last_name = $1 WHERE first_name IS NOT NULL AND email = $2 RETURNING last_name"),
                raw::bind("", "", &[format], &[Some(sample), Some(email.as_bytes())], &[format]),
                raw::execute("", 0),
                raw::sync(),
            ];
            let answers = pair.same(encoding, &steps.concat());
            assert_eq!(tags(&answers), "12DCZ", "{answers:?}");
            let seen = world
                .through()
                .rows(&format!("SELECT last_name, profile FROM people WHERE email = '{email}'"));
            assert_eq!(seen[0][0].as_deref(), Some(*utf8), "{encoding}");
            assert_eq!(seen[0][1].as_deref(), Some(&*format!("{{\"k\": \"{utf8}\"}}")), "{encoding}");
        }
    }
}

#[test]
fn what_an_encoding_lacks_is_an_error_as_it_is_directly() {
    let world = World::new();
    for database in [world.clear(), world.through()].iter_mut() {
        database.rows(
            "INSERT INTO people (id, email, first_name, title) VALUES (1, 'a@x.example', 'prix: €', 'Ω')",
        );
    }
    for (encoding, lacks) in
        [("LATIN1", true), ("LATIN9", false), ("WIN1252", false), ("WIN1251", false), ("LATIN2", true)]
    {
        let mut pair = Pair::new(&world, encoding);
        let answers = pair.same(encoding, &raw::query("SELECT first_name FROM people"));
        let state = answers.iter().find(|m| m.tag == b'E').map(Message::sqlstate);
        assert_eq!(state.as_deref(), lacks.then_some("22P05"), "{encoding}");
        pair.same(encoding, &raw::query("SELECT id FROM people"));
        pair.same(encoding, &raw::query("BEGIN"));
        pair.same(encoding, &raw::query("SELECT first_name FROM people"));
        pair.same(encoding, &raw::query("SELECT id FROM people"));
        pair.same(encoding, &raw::query("ROLLBACK"));
    }
    // Bytes that are no character.
    let mut pair = Pair::new(&world, "WIN1252");
    for sql in [&b"UPDATE people SET first_name = '\x81' WHERE id = 1"[..], b"SELECT '\x81'"] {
        let answers = pair.same("WIN1252", &query(sql));
        assert_eq!(answers[0].sqlstate(), "22P05");
    }
    let steps = [
        parse("", b"UPDATE people SET first_name = $1 WHERE id = 1"),
        raw::bind("", "", &[], &[Some(b"\x81")], &[]),
        raw::execute("", 0),
        raw::sync(),
    ];
    let states = [&mut pair.direct, &mut pair.through].map(|client| {
        client.send(&steps.concat());
        let answers = client.until_ready();
        answers.iter().find(|m| m.tag == b'E').map(Message::sqlstate)
    });
    assert_eq!(states, [Some("22P05".to_owned()), Some("22P05".to_owned())]);
    let seen = world.through().rows("SELECT first_name FROM people");
    assert_eq!(seen, [[Some("prix: €".to_owned())]]);
}

#[test]
fn follows_a_change_of_the_encoding() {
    let world = World::new();
    let mut pair = Pair::new(&world, "UTF8");
    let insert = |n: u32, e: &[u8]| {
        with(&format!("INSERT INTO people (id, email, first_name) VALUES ({n}, 'f{n}@x.example', '{{}}')"), e)
    };
    let all = "SELECT id, first_name FROM people ORDER BY id";
    pair.same("utf8", &query(&insert(1, "é".as_bytes())));
    pair.same("set", &raw::query("SET client_encoding = 'iso-8859-1'"));
    pair.same("latin1", &query(&insert(2, b"\xe9")));
    pair.same("latin1", &raw::query(all));
    pair.same("names", &raw::query("SET NAMES 'WIN1251'"));
    pair.same("win1251", &query(&insert(3, b"\xe9")));
    pair.same("reset", &raw::query("RESET client_encoding"));
    pair.same("utf8 again", &query(&insert(4, "é".as_bytes())));
    pair.same("utf8 again", &raw::query(all));
    // Without waiting.
    let burst = [
        raw::query("SET client_encoding = LATIN1"),
        query(&insert(5, b"\xe9")),
        raw::query("DISCARD ALL"),
        query(&insert(6, "é".as_bytes())),
        raw::query("SELECT 'end'"),
    ];
    for client in [&mut pair.direct, &mut pair.through] {
        client.send(&burst.concat());
        for _ in 0..5 {
            let answers = client.until_ready();
            assert!(answers.iter().all(|m| m.tag != b'E'), "{answers:?}");
        }
    }
    // Within one pipeline.
    let run = |text: &[u8]| [parse("", text), raw::bind("", "", &[], &[], &[]), raw::execute("", 0)].concat();
    let pipeline = [
        run(b"SET client_encoding = LATIN1"),
        run(&insert(7, b"\xe9")),
        run(b"RESET ALL"),
        run(&insert(8, "é".as_bytes())),
        run(all.as_bytes()),
        raw::sync(),
    ];
    pair.same("pipeline", &pipeline.concat());
    // Taken back with its transaction.
    for sql in ["BEGIN", "SET client_encoding = LATIN1", "ROLLBACK"] {
        pair.same(sql, &raw::query(sql));
    }
    pair.same("after the rollback", &query(&insert(9, "é".as_bytes())));
    let seen = world.through().rows(all);
    let names: Vec<_> = seen.iter().map(|r| r[1].as_deref().unwrap()).collect();
    assert_eq!(names, ["é", "é", "й", "é", "é", "é", "é", "é", "é"]);
    let clear = world.clear().rows(all);
    assert_eq!(seen, clear);
}

#[test]
fn names_and_errors_are_read_and_told_in_the_client_s_encoding() {
    let world = World::new();
    let mut client = Raw::connect_as(
        world.gateway.port(),
        &[("user", "app"), ("database", "app"), ("client_encoding", "LATIN1")],
    );
    // The gateway's own messages hold no byte of UTF-8 in this session.
    client.send(&raw::query("INSERT INTO people (email) SELECT name FROM depts"));
    let answers = client.until_ready();
    assert_eq!(answers[0].sqlstate(), "0A000");
    assert!(std::str::from_utf8(&answers[0].body).unwrap().contains("INSERT ... SELECT"), "{answers:?}");
    assert!(answers[0].body.is_ascii());
    // One statement among others can't change it.
    let error = client.fails("SET client_encoding = UTF8; SELECT first_name FROM people");
    assert_eq!(error.sqlstate(), "0A000");
    assert!(error.line().contains("client_encoding"));
    let error = client.fails("SET client_encoding = SJIS");
    assert_eq!(error.sqlstate(), "0A000");
    // A duplicate's DETAIL.
    client.send(&query(b"INSERT INTO people (email) VALUES ('\xe9t\xe9@x.example')"));
    client.until_ready();
    client.send(&query(b"INSERT INTO people (email) VALUES ('\xe9t\xe9@x.example')"));
    let answers = client.until_ready();
    let detail = b"(email)=(\xe9t\xe9@x.example)";
    assert!(answers[0].body.windows(detail.len()).any(|w| w == detail), "{answers:?}");
    // Nothing in clear behind, in whichever encoding.
    let dump = world.pg.dump("app");
    assert!(!dump.contains("été") && !dump.as_bytes().windows(3).any(|w| w == b"\xe9t\xe9"));
}

/// Else a character would be another one here than for the server.
#[test]
fn every_character_is_the_one_that_the_server_has() {
    use paravent::pg::value::ClientEncoding;
    let world = World::new();
    let mut direct = world.clear();
    direct.rows(
        "CREATE FUNCTION reads(b int, e text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN \
           RETURN ascii(convert_from(set_byte('\\x00', 0, b), e)); EXCEPTION WHEN OTHERS THEN RETURN -1; END $$",
    );
    direct.rows(
        "CREATE FUNCTION writes(c int, e text) RETURNS int LANGUAGE plpgsql AS $$ DECLARE out bytea; BEGIN \
           out = convert_to(chr(c), e); RETURN get_byte(out, 0); EXCEPTION WHEN OTHERS THEN RETURN -1; END $$",
    );
    let number = |row: &[Option<String>], at: usize| row[at].as_deref().unwrap().parse::<i64>().unwrap();
    let latin = (1..=10).map(|n| format!("LATIN{n}"));
    let win = [1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258, 866, 874].map(|n| format!("WIN{n}"));
    for encoding in latin.chain(win) {
        let Some(ClientEncoding::Charset(charset)) = ClientEncoding::named(&encoding) else {
            panic!("{encoding} is supported")
        };
        for row in direct.rows(&format!("SELECT b, reads(b, '{encoding}') FROM generate_series(1, 255) b")) {
            let byte = [u8::try_from(number(&row, 0)).unwrap()];
            let ours = charset
                .read(&byte)
                .ok()
                .and_then(|t| t.chars().next())
                .map_or(-1, |c| i64::from(u32::from(c)));
            assert_eq!(ours, number(&row, 1), "{encoding} {byte:x?}");
        }
        let sql = format!(
            "SELECT c, writes(c, '{encoding}') FROM generate_series(128, 12288) c \
             WHERE c < 1700 OR c BETWEEN 3584 AND 3700 OR c BETWEEN 7600 AND 8600 OR c BETWEEN 9400 AND 9700"
        );
        for row in direct.rows(&sql) {
            let c = char::from_u32(u32::try_from(number(&row, 0)).unwrap()).unwrap();
            let ours = charset.write(c.to_string().as_bytes()).map_or(-1, |b| i64::from(b[0]));
            assert_eq!(ours, number(&row, 1), "{encoding} {c:?}");
        }
    }
}

/// How dates are written is a setting that the server reports only at the end of a pipeline.
#[test]
fn a_date_is_read_in_the_style_that_was_set_in_the_same_pipeline() {
    let world = World::new();
    let run = |sql: &str, values: &[Option<&str>]| {
        let bound = raw::bind_text("", "", values, &[]);
        [raw::parse("", sql, &[]), bound, raw::describe(b'P', ""), raw::execute("", 0)].concat()
    };
    let write = |id: &'static str| {
        let sql = format!(
            "INSERT INTO people (id, email, birth_date) VALUES ($1, 'p{id}@x.example', $2) RETURNING birth_date"
        );
        run(&sql, &[Some(id), Some("01/02/1977")])
    };
    let find = || raw::query("SELECT id, birth_date FROM people ORDER BY id");
    let mut seen = Vec::new();
    for mut client in [world.through(), world.clear()] {
        let pipelines: [&[Vec<u8>]; 6] = [
            &[run("SET datestyle = 'SQL, DMY'", &[]), write("1"), raw::sync()],
            &[find()],
            // What is undone is no longer the style of what follows.
            &[
                run("SELECT Set_Config('DateStyle', 'ISO, MDY', false)", &[]),
                write("2"),
                run("SELECT 1/0", &[]),
                raw::sync(),
            ],
            &[find()],
            &[run("SET LOCAL datestyle = 'German'", &[]), write("3"), raw::sync(), write("4"), raw::sync()],
            &[raw::query("SET TIME ZONE 'UTC'"), find()],
        ];
        let mut answers = Vec::new();
        for pipeline in pipelines {
            client.send(&pipeline.concat());
            let ends = |m: &Vec<u8>| usize::from(matches!(m.first(), Some(b'Q' | b'S')));
            for _ in 0..pipeline.iter().map(ends).sum::<usize>() {
                answers.extend(client.until_ready());
            }
        }
        seen.push(bytes(&answers).into_iter().filter(|(tag, _)| *tag != 'T').collect::<Vec<_>>());
    }
    assert_eq!(seen[0], seen[1]);
    let mut client = world.through();
    let script = client.query("SET datestyle = 'SQL, DMY'; SELECT birth_date FROM people");
    assert_eq!(script[0].sqlstate(), "0A000");
}

/// So is a style, or an encoding, that RESET ALL and DISCARD ALL bring back.
#[test]
fn what_a_reset_of_all_settings_brings_back_holds_for_the_rest_of_its_pipeline() {
    let world = World::new();
    let bound = |name: &str, values: &[Option<&[u8]>]| {
        [raw::bind("", name, &[], values, &[]), raw::execute("", 0)].concat()
    };
    let insert = "INSERT INTO people (id, email, first_name, birth_date) VALUES ($1, $2, $3, $4) \
                  RETURNING first_name, birth_date";
    for (n, reset) in ["RESET ALL", "DISCARD ALL", "reset /* x */ all;", " discard all;"].iter().enumerate() {
        let connect = |port, database| {
            let parameters = [
                ("user", "app"),
                ("database", database),
                ("client_encoding", "LATIN1"),
                ("datestyle", "SQL, DMY"),
            ];
            Raw::connect_as(port, &parameters)
        };
        let mut pair =
            Pair { direct: connect(world.pg.port(), "clear"), through: connect(world.gateway.port(), "app") };
        for prepared in [false, true] {
            pair.same(reset, &raw::query("SET client_encoding = UTF8"));
            pair.same(reset, &raw::query("SET datestyle = 'ISO, MDY'"));
            let id = (2 * n + usize::from(prepared)).to_string();
            let email = format!("{id}@x.example");
            let values =
                [Some(id.as_bytes()), Some(email.as_bytes()), Some(&b"\xe9"[..]), Some(&b"01/02/1977"[..])];
            let mut steps = Vec::new();
            if prepared {
                pair.same(reset, &[raw::parse("r", reset, &[]), raw::sync()].concat());
                steps.push(bound("r", &[]));
            } else {
                steps.push([raw::parse("", reset, &[]), bound("", &[])].concat());
            }
            steps.push([parse("", insert.as_bytes()), bound("", &values)].concat());
            steps.push(raw::sync());
            let answers = pair.same(reset, &steps.concat());
            // Postgres 13 reports a setting at once, later ones at the end of the pipeline.
            assert_eq!(tags(&answers).replace(['1', 'S'], ""), "2C2DCZ", "{answers:?}");
        }
    }
    let all = "SELECT id, first_name, birth_date FROM people ORDER BY id";
    let seen = world.through().rows(all);
    assert_eq!(seen, world.clear().rows(all));
    assert_eq!(seen[0], row(["0", "é", "1977-02-01"]));
}

/// What was set in a pipeline that fails is undone with it, and the server has nothing to report.
#[test]
fn an_encoding_that_is_undone_with_its_pipeline_is_no_longer_the_client_s() {
    let world = World::new();
    let mut pair = Pair::new(&world, "UTF8");
    let run = |text: &[u8]| [parse("", text), raw::bind("", "", &[], &[], &[]), raw::execute("", 0)].concat();
    let insert = |n: u32, e: &[u8]| {
        with(&format!("INSERT INTO people (id, email, first_name) VALUES ({n}, 'f{n}@x.example', '{{}}')"), e)
    };
    let steps =
        [run(b"SET client_encoding = LATIN1"), run(&insert(1, b"\xe9")), run(b"SELECT 1/0"), raw::sync()];
    pair.same("undone", &steps.concat());
    pair.same("utf8", &query(&insert(2, "é".as_bytes())));
    pair.same("utf8", &raw::query("SELECT id, first_name FROM people"));
}

/// The statement that changes the style may have been prepared long before.
#[test]
fn a_date_is_read_in_the_style_that_a_prepared_statement_set_in_the_same_pipeline() {
    let world = World::new();
    let prepared = |name: &str| [raw::bind_text("", name, &[], &[]), raw::execute("", 0)].concat();
    let run = |sql: &str| [&*raw::parse("", sql, &[]), &prepared("")].concat();
    let mut seen = Vec::new();
    for mut client in [world.through(), world.clear()] {
        client.rows("SET datestyle = 'ISO, MDY'");
        for (name, sql) in [
            ("a", "SET datestyle = 'SQL, DMY'"),
            ("b", "SELECT set_config('datestyle', 'SQL, MDY', false)"),
            ("c", "SELECT set_config('datestyle', 'SQL, DMY', false) FROM pg_attribute LIMIT 1"),
        ] {
            client.send(&[raw::parse(name, sql, &[]), raw::sync()].concat());
            client.until_ready();
        }
        client
            .rows("PREPARE d AS SELECT set_config('datestyle', 'SQL, MDY', false) FROM pg_attribute LIMIT 1");
        client.rows("PREPARE e AS SELECT set_config('datestyle', 'SQL, DMY', false)");
        client.rows("SELECT 1");
        for (id, moves) in [
            (1, prepared("a")),
            (2, prepared("b")),
            (3, prepared("c")),
            (4, run("EXECUTE d")),
            (5, run("EXECUTE e")),
            (6, run("SELECT set_config('datestyle', 'SQL, MDY', false) FROM pg_attribute LIMIT 1")),
            (7, prepared("c")),
            (8, run("SELECT set_config('datestyle', 'SQL, MDY', false) FROM pg_attribute LIMIT 1")),
        ] {
            let write = format!(
                "INSERT INTO people (id, email, birth_date) VALUES ({id}, 'p{id}@x.example', '01/02/1977')"
            );
            client.send(&[moves, run(&write), raw::sync()].concat());
            client.until_ready();
        }
        client.rows("SET datestyle = 'ISO'");
        seen.push(client.rows("SELECT id, birth_date FROM people ORDER BY id"));
    }
    assert_eq!(seen[0], seen[1]);
}
