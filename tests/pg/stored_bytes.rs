//! Nothing in clear behind the gateway: every type, every way in, every place where it could come to lie.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::{Raw, World, raw, tags};

const COLUMNS: &str = "email, first_name, last_name, nick, birth_date, seen_at, age, points, salary, active, badge, profile, photo";

/// One person, in the text form of each type (`active` is too short to look for).
const TEXTS: [&str; 13] = [
    "eloise.canari@people.example",
    "Éloïse-Canari \u{1f426}",
    "D'Arc-Lefèvre-Canari",
    "canari-surnom",
    "1987-03-29",
    "1999-08-11 10:30:45.123456+00",
    "271828182",
    "314159265358979323",
    "1234567.89",
    "t",
    "6fa459ea-ee8a-4ca4-894e-db77e160355e",
    r#"{"secret": "canari-à-json"}"#,
    r"\x63616e617269ff00fe70686f746f",
];

/// The same types in binary form, of another person.
fn binary() -> Vec<Vec<u8>> {
    let days: i32 = -4_660;
    let micros: i64 = -12_345_678_901_234;
    let numeric: [u16; 7] = [3, 1, 0, 2, 987, 6543, 2100]; // 9876543.21
    let mut json = vec![1];
    json.extend(br#"{"other": "binaire-json"}"#);
    vec![
        b"binaire@people.example".to_vec(),
        "Binaire-Prénom".into(),
        "Binaire-Nom-Long".into(),
        b"binaire-nick".to_vec(),
        days.to_be_bytes().to_vec(),
        micros.to_be_bytes().to_vec(),
        161_803_398_i32.to_be_bytes().to_vec(),
        577_215_664_901_532_i64.to_be_bytes().to_vec(),
        numeric.iter().flat_map(|n| n.to_be_bytes()).collect(),
        vec![1],
        hex::decode("0123456789abcdef8123456789abcdef").unwrap(),
        json,
        hex::decode("ffd8ffe000104a46494600010161626364").unwrap(),
    ]
}

/// What must lie nowhere.
fn canaries() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = TEXTS
        .iter()
        .filter(|t| t.len() > 5)
        .map(|t| t.trim_start_matches("\\x").as_bytes().to_vec())
        .collect();
    all.extend(binary().into_iter().filter(|b| b.len() > 7));
    for text in [
        "canari-à-json",
        "eloise.canari",
        "binaire-json",
        "161803398",
        "577215664901532",
        "9876543.21",
        "Changé-Canari",
        "Refusé-Canari",
        "Cassé-Canari",
        "cherche.canari",
        "1971-13-45-canari",
        "commentaire-canari",
        "trop-long-pour-un-surnom-canari",
    ] {
        all.push(text.as_bytes().to_vec());
    }
    all.push(hex::decode("63616e617269ff00fe70686f746f").unwrap());
    all
}

/// Runs an extended statement; everything up to ReadyForQuery.
fn extended(
    client: &mut Raw,
    sql: &str,
    formats: &[i16],
    values: &[Option<&[u8]>],
    results: &[i16],
) -> String {
    let mut bytes = raw::parse("", sql, &[]);
    bytes.extend(raw::bind("", "", formats, values, results));
    bytes.extend(raw::describe(b'P', ""));
    bytes.extend(raw::execute("", 0));
    bytes.extend(raw::sync());
    client.send(&bytes);
    let answers = client.until_ready();
    assert!(answers.iter().all(|m| m.tag != b'E'), "{sql}: {answers:?}");
    tags(&answers)
}

fn literals() -> String {
    TEXTS.map(|t| format!("'{}'", t.replace('\'', "''"))).join(", ")
}

#[test]
fn no_clear_value_lies_behind_the_gateway() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    world.direct().rows("CREATE EXTENSION pg_stat_statements");
    let mut client = world.through();
    let places: Vec<String> = (1..=13).map(|n| format!("${n}")).collect();
    let insert = format!("INSERT INTO people ({COLUMNS}) VALUES ({})", places.join(", "));

    // Every type: literals, text parameters, binary parameters.
    client.rows(&format!("INSERT INTO people ({COLUMNS}) VALUES ({})", literals()));
    let second = TEXTS.map(|t| t.replace("eloise.canari@", "eloise.canari.2@"));
    let texts: Vec<Option<&[u8]>> = second.iter().map(|t| Some(t.as_bytes())).collect();
    assert_eq!(extended(&mut client, &insert, &[0], &texts, &[]), "12nCZ");
    let bytes = binary();
    let values: Vec<Option<&[u8]>> = bytes.iter().map(|b| Some(&b[..])).collect();
    assert_eq!(extended(&mut client, &insert, &[1], &values, &[]), "12nCZ");
    client.rows("INSERT INTO comments (author_id, body) VALUES (1, 'un commentaire-canari ici')");

    // They read back, in both formats.
    let select = format!("SELECT {COLUMNS} FROM people ORDER BY id");
    let rows = client.rows(&select);
    let texts: Vec<Option<String>> = TEXTS.iter().map(|t| Some((*t).to_owned())).collect();
    assert_eq!(rows[0], texts);
    assert_eq!(rows[1][1..], texts[1..]);
    assert_eq!(rows[2][8].as_deref(), Some("9876543.21"));
    let mut message = raw::parse("", &select, &[]);
    message.extend(raw::bind("", "", &[], &[], &[1]));
    message.extend(raw::execute("", 0));
    message.extend(raw::sync());
    client.send(&message);
    let answers = client.until_ready();
    let cells = answers.iter().filter(|m| m.tag == b'D').nth(2).expect("the third person").cells();
    assert_eq!(cells, bytes.iter().cloned().map(Some).collect::<Vec<_>>());

    // Other statements, and such as fail on the way.
    let found = client.rows("SELECT id FROM people WHERE email = 'eloise.canari@people.example'");
    assert_eq!(found, [[Some("1".to_owned())]]);
    client
        .rows("SELECT id FROM people WHERE email IN ('cherche.canari@x.example', 'binaire@people.example')");
    client.rows("UPDATE people SET last_name = 'Changé-Canari' WHERE email = 'binaire@people.example'");
    client.rows("UPDATE people SET first_name = 'Changé-Canari' WHERE id = 2");
    for (sql, code) in [
        ("INSERT INTO people (email) VALUES ('eloise.canari@people.example')", "23505"),
        ("UPDATE people SET birth_date = '1971-13-45-canari' WHERE id = 1", "22007"),
        ("UPDATE people SET nick = 'trop-long-pour-un-surnom-canari' WHERE id = 1", "22001"),
        ("SELECT last_name || 'Refusé-Canari' FROM people", "0A000"),
        ("SELECT id FROM people WHERE email = 'Cassé-Canari", "42601"),
        ("SELECT id FROM people WHERE nowhere = 1 AND email = 'cherche.canari@x.example'", "42703"),
        (
            "INSERT INTO people (email, first_name, dept_id) VALUES ('a@b.example', 'Cassé-Canari', 99)",
            "23503",
        ),
    ] {
        assert_eq!(client.fails(sql).sqlstate(), code, "{sql}");
    }

    let canaries = canaries();
    let canaries: Vec<&[u8]> = canaries.iter().map(|c| &c[..]).collect();
    let dump = world.pg.dump("app");
    assert!(dump.matches("INSERT INTO public.people").count() == 3 && dump.contains("pv1."));
    assert_absent("the database", dump.as_bytes(), &canaries);
    let log = world.pg.log();
    assert!(log.contains("INSERT INTO people"), "the server logs its statements");
    assert_absent("the server's log", log.as_bytes(), &canaries);
    let statements = world.direct().rows("SELECT query FROM pg_stat_statements");
    assert!(statements.iter().any(|r| r[0].as_ref().unwrap().contains("INSERT INTO people")));
    assert_absent("pg_stat_statements", format!("{statements:?}").as_bytes(), &canaries);
    let log = world.gateway.log();
    assert!(log.len() > 200, "the gateway logs at trace");
    assert_absent("the gateway's log", &log, &canaries);
    assert_absent("/metrics", world.gateway.admin().get("/metrics").body.as_bytes(), &canaries);
    let files = world.gateway.home.stored_files();
    assert!(files.iter().any(|(_, bytes)| bytes.len() > 1000), "the keystore holds something");
    for (path, bytes) in files {
        assert_absent(&path.display().to_string(), &bytes, &canaries);
    }
    assert!(world.gateway.admin().metric(&["paravent_fields_total"]) > 26.0);
}
