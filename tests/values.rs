//! Values as a real server reads and prints them: everything that `pg::value` writes is compared
//! with what Postgres itself writes, in both formats, under several DateStyle and TimeZone settings.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "values/arrays.rs"]
mod arrays;
#[path = "values/client.rs"]
mod client;
#[path = "values/generate.rs"]
mod generate;
#[path = "values/predicates.rs"]
mod predicates;
#[path = "values/server.rs"]
mod server;

use client::{Answer, Client};
use generate::Source;
use paravent::pg::value::{Format, Settings, ValueError, decode, encode, shown_oid};
use paravent::policy::model::Declared;

/// DateStyle, TimeZone, bytea_output.
const SESSIONS: [(&str, &str, &str); 9] = [
    ("ISO, MDY", "UTC", "hex"),
    ("ISO, DMY", "Europe/Paris", "escape"),
    ("SQL, DMY", "Europe/Paris", "hex"),
    ("SQL, MDY", "America/New_York", "hex"),
    ("Postgres, MDY", "Asia/Kathmandu", "hex"),
    ("Postgres, DMY", "Australia/Lord_Howe", "escape"),
    ("German, DMY", "<+02>-02", "hex"),
    ("ISO, YMD", "America/St_Johns", "hex"),
    ("German, YMD", "CET-1CEST,M3.5.0,M10.5.0/3", "hex"),
];

/// Every declared type, with and without limits.
const TYPES: [(&str, Declared); 17] = [
    ("text", Declared::Text),
    ("varchar", Declared::Varchar(None)),
    ("varchar(5)", Declared::Varchar(Some(5))),
    ("integer", Declared::Integer),
    ("bigint", Declared::Bigint),
    ("numeric", Declared::Numeric(None)),
    ("numeric(10,2)", Declared::Numeric(Some((10, 2)))),
    ("numeric(3,5)", Declared::Numeric(Some((3, 5)))),
    ("boolean", Declared::Boolean),
    ("date", Declared::Date),
    ("timestamptz", Declared::Timestamptz(None)),
    ("timestamptz(0)", Declared::Timestamptz(Some(0))),
    ("timestamptz(3)", Declared::Timestamptz(Some(3))),
    ("timestamptz(6)", Declared::Timestamptz(Some(6))),
    ("uuid", Declared::Uuid),
    ("jsonb", Declared::Jsonb),
    ("bytea", Declared::Bytea),
];

/// Text, binary, cast to text.
type Forms = [Vec<u8>; 3];

fn session(client: &mut Client, (style, zone, bytea): (&str, &str, &str)) -> Settings {
    client.run(&format!("SET DateStyle = '{style}'; SET TimeZone = '{zone}'; SET bytea_output = '{bytea}'"));
    Settings {
        date_style: client.parameter("DateStyle"),
        time_zone: client.parameter("TimeZone"),
        bytea_escape: bytea == "escape",
        charset: None,
        server: client.parameter("server_version").split('.').next().unwrap().parse().unwrap(),
    }
}

/// A table whose one column has that type, and the statement that writes to it.
fn prepare(client: &mut Client, sql_type: &str, oid: u32) -> Result<(), String> {
    client.run(&format!("DROP TABLE IF EXISTS v; CREATE TEMP TABLE v (c {sql_type})"));
    client.prepare("INSERT INTO v (c) VALUES ($1) RETURNING c, c, c::text", oid)
}

fn ours(
    bytes: &[u8],
    format: Format,
    oid: u32,
    declared: Declared,
    settings: &Settings,
) -> Result<Forms, ValueError> {
    let clear = decode(bytes, format, oid, declared, settings)?;
    let write = |format, as_text| -> Result<Vec<u8>, ValueError> {
        let mut out = b"before".to_vec();
        encode(clear.kind(), clear.bytes(), declared, format, as_text, settings, &mut out)?;
        Ok(out.split_off(6))
    };
    Ok([write(Format::Text, false)?, write(Format::Binary, false)?, write(Format::Binary, true)?])
}

fn printed(bytes: &[u8]) -> String {
    let shown: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
    format!("{shown:?}")
}

/// How a difference is judged.
#[derive(Clone, Copy, PartialEq)]
enum Judge {
    /// Same answer, same SQLSTATE.
    Same,
    /// An input that nobody in their senses sends: refusing what the server takes is allowed, taking what
    /// it refuses, or another value, is not.
    Careful,
}

fn compare(
    judge: Judge,
    what: &str,
    input: &[u8],
    server: &Answer,
    mine: &Result<Forms, ValueError>,
    faults: &mut Vec<String>,
) {
    let same = match (server, mine) {
        (Answer::Row(theirs), Ok(forms)) => theirs.as_slice() == forms.as_slice(),
        (Answer::Row(_), Err(_)) => judge == Judge::Careful,
        (Answer::Error(_), Ok(_)) => false,
        (Answer::Error(state), Err(e)) => judge == Judge::Careful || state == e.sqlstate(),
    };
    if !same {
        let theirs = match server {
            Answer::Row(cells) => cells.iter().map(|c| printed(c)).collect::<Vec<_>>().join(" "),
            Answer::Error(state) => format!("error {state}"),
        };
        let mine = match mine {
            Ok(forms) => forms.iter().map(|c| printed(c)).collect::<Vec<_>>().join(" "),
            Err(e) => format!("error {} {e}", e.sqlstate()),
        };
        faults.push(format!("{what} {}\n     server {theirs}\n     ours   {mine}", printed(input)));
    }
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} differences\n{}", faults.len(), faults[..faults.len().min(60)].join("\n"));
}

/// The values that are sent, as text, to a column of that type.
fn inputs(sql_type: &str, round: u64) -> Vec<Vec<u8>> {
    let mut source = Source::new(sql_type, round);
    let mut all = generate::known(sql_type);
    all.extend((0..150).map(|_| source.value()));
    all
}

#[test]
fn text_reads_and_prints_as_the_server_does() {
    let server = server::start();
    let mut client = Client::connect(&server);
    let (mut faults, mut count) = (Vec::new(), 0);
    for (round, names) in SESSIONS.into_iter().enumerate() {
        let settings = session(&mut client, names);
        for (sql_type, declared) in TYPES {
            prepare(&mut client, sql_type, 0).unwrap();
            let mut given = inputs(sql_type, round as u64);
            // What the server printed is sent again.
            let printed = client.execute(&given, Format::Text);
            given.extend(printed.iter().filter_map(Answer::text));
            let answers = client.execute(&given, Format::Text);
            for (input, answer) in given.iter().zip(&answers) {
                let mine = ours(input, Format::Text, 0, declared, &settings);
                // Abbreviations of the session's own zone, such as LMT, are read by 18 alone, and refused here.
                let own = settings.server >= 18
                    && sql_type.starts_with("timestamptz")
                    && matches!(mine, Err(ValueError::Syntax(_, "22007")));
                let judge = if own { Judge::Careful } else { Judge::Same };
                compare(judge, &format!("{names:?} {sql_type}"), input, answer, &mine, &mut faults);
            }
            count += given.len();
        }
    }
    assert!(count > 20_000, "only {count} values");
    assert_none(&faults);
}

#[test]
fn binary_reads_as_the_server_does() {
    let server = server::start();
    let mut client = Client::connect(&server);
    let mut faults = Vec::new();
    for (round, names) in SESSIONS.into_iter().enumerate().step_by(3) {
        let settings = session(&mut client, names);
        for (sql_type, declared) in TYPES {
            prepare(&mut client, sql_type.split('(').next().unwrap(), 0).unwrap();
            let given = client.execute(&inputs(sql_type, 100 + round as u64), Format::Text);
            let mut given: Vec<Vec<u8>> = given.iter().filter_map(Answer::binary).collect();
            prepare(&mut client, sql_type, 0).unwrap();
            let whole = given.len();
            let mut source = Source::new(sql_type, 7);
            let damaged: Vec<_> = given.iter().map(|v| source.damaged(v)).collect();
            given.extend(damaged);
            let answers = client.execute(&given, Format::Binary);
            for (i, (input, answer)) in given.iter().zip(&answers).enumerate() {
                let mine = ours(input, Format::Binary, 0, declared, &settings);
                let judge = if i < whole { Judge::Same } else { Judge::Careful };
                compare(judge, &format!("binary {names:?} {sql_type}"), input, answer, &mine, &mut faults);
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn never_takes_what_the_server_refuses_nor_reads_it_otherwise() {
    let server = server::start();
    let mut client = Client::connect(&server);
    let mut faults = Vec::new();
    for (round, names) in SESSIONS.into_iter().enumerate() {
        let settings = session(&mut client, names);
        for (sql_type, declared) in TYPES {
            prepare(&mut client, sql_type, 0).unwrap();
            let mut source = Source::new(sql_type, 200 + round as u64);
            let given: Vec<_> = inputs(sql_type, 300 + round as u64)
                .iter()
                .flat_map(|v| [source.mutated(v), source.mutated(v)])
                .chain(generate::odd(sql_type))
                .collect();
            let answers = client.execute(&given, Format::Text);
            for (input, answer) in given.iter().zip(&answers) {
                let mine = ours(input, Format::Text, 0, declared, &settings);
                compare(
                    Judge::Careful,
                    &format!("mutated {names:?} {sql_type}"),
                    input,
                    answer,
                    &mine,
                    &mut faults,
                );
            }
        }
    }
    assert_none(&faults);
}

/// Types that a client may declare for its parameter.
const DECLARED: [(&str, u32); 17] = [
    ("text", 25),
    ("varchar", 1043),
    ("bpchar", 1042),
    ("name", 19),
    ("int2", 21),
    ("int4", 23),
    ("int8", 20),
    ("float4", 700),
    ("float8", 701),
    ("numeric", 1700),
    ("bool", 16),
    ("date", 1082),
    ("timestamp", 1114),
    ("timestamptz", 1184),
    ("uuid", 2950),
    ("jsonb", 3802),
    ("bytea", 17),
];

/// Casts that the server makes and we don't: refused as not supported, never guessed.
fn left_out(oid: u32, declared: Declared) -> bool {
    let text = matches!(declared, Declared::Text | Declared::Varchar(_));
    text && matches!(oid, 700 | 701 | 1114)
}

#[test]
fn declared_parameter_types_are_cast_as_on_assignment() {
    let server = server::start();
    let mut client = Client::connect(&server);
    let (mut faults, mut pairs) = (Vec::new(), 0);
    for (round, names) in SESSIONS.into_iter().enumerate().step_by(4) {
        let settings = session(&mut client, names);
        for (source_type, oid) in DECLARED {
            prepare(&mut client, source_type, 0).unwrap();
            let texts = inputs(source_type, 400 + round as u64);
            let binaries: Vec<_> =
                client.execute(&texts, Format::Text).iter().filter_map(Answer::binary).collect();
            for (sql_type, declared) in TYPES {
                if prepare(&mut client, sql_type, oid).is_err() {
                    continue;
                }
                pairs += 1;
                for (format, given) in [(Format::Text, &texts), (Format::Binary, &binaries)] {
                    let answers = client.execute(given, format);
                    for (input, answer) in given.iter().zip(&answers) {
                        let mine = ours(input, format, oid, declared, &settings);
                        if left_out(oid, declared) {
                            assert!(matches!(mine, Err(ValueError::Unsupported(..) | ValueError::Encoding)));
                            continue;
                        }
                        let what = format!("{names:?} {format:?} {source_type} as {sql_type}");
                        compare(Judge::Same, &what, input, answer, &mine, &mut faults);
                    }
                }
            }
        }
    }
    assert!(pairs > 150, "only {pairs} pairs");
    assert_none(&faults);
}

#[test]
fn columns_are_shown_as_the_server_describes_them() {
    let server = server::start();
    let mut client = Client::connect(&server);
    for (sql_type, declared) in TYPES {
        prepare(&mut client, sql_type, 0).unwrap();
        let column = client.described()[0];
        assert_eq!(shown_oid(declared), column, "{sql_type}");
    }
}
