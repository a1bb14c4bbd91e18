//! Arrays as the server reads and prints them.

use crate::client::{Answer, Client};
use crate::generate::Source;
use crate::server;
use paravent::pg::value::{Format, array_oid, decode_array, element_oid, encode_array};

const ELEMENTS: [(&str, u32); 13] = [
    ("text", 25),
    ("varchar", 1043),
    ("int2", 21),
    ("int4", 23),
    ("int8", 20),
    ("uuid", 2950),
    ("bytea", 17),
    ("numeric", 1700),
    ("date", 1082),
    ("timestamptz", 1184),
    ("timestamp", 1114),
    ("bool", 16),
    ("jsonb", 3802),
];

/// Element lists for the type: what the server itself prints of random values, with NULLs between.
fn lists(client: &mut Client, element: &str) -> Vec<[Vec<Option<Vec<u8>>>; 2]> {
    client.run(&format!("DROP TABLE IF EXISTS v; CREATE TEMP TABLE v (c {element})"));
    client.prepare("INSERT INTO v (c) VALUES ($1) RETURNING c, c, c::text", 0).unwrap();
    let mut source = Source::new(element, 900);
    let values: Vec<_> = (0..120).map(|_| source.value()).collect();
    let answers = client.execute(&values, Format::Text);
    let cells: Vec<_> = answers
        .iter()
        .map(|a| (a.text(), a.binary()))
        .filter(|(t, _)| t.is_some())
        .chain([(None, None)])
        .collect();
    (0..40)
        .map(|i| {
            let list: Vec<_> =
                (0..i % 7).map(|k| cells[(i * 5 + k * (i + 3)) % cells.len()].clone()).collect();
            [list.iter().map(|c| c.0.clone()).collect(), list.iter().map(|c| c.1.clone()).collect()]
        })
        .collect()
}

#[test]
fn arrays_read_and_print_as_the_server_does() {
    let server = server::start();
    let mut client = Client::connect(&server);
    for (name, oid) in ELEMENTS {
        let lists = lists(&mut client, name);
        let array = array_oid(oid).unwrap();
        assert_eq!(element_oid(array), Some(oid));
        client.run(&format!("DROP TABLE IF EXISTS v; CREATE TEMP TABLE v (c {name}[])"));
        client.prepare("INSERT INTO v (c) VALUES ($1) RETURNING c, c, c::text", array).unwrap();
        for (at, format) in [(0, Format::Text), (1, Format::Binary)] {
            let written: Vec<_> = lists
                .iter()
                .map(|list| {
                    let mut out = Vec::new();
                    encode_array(&list[at], oid, format, &mut out).unwrap();
                    out
                })
                .collect();
            let answers = client.execute(&written, format);
            for ((list, bytes), answer) in lists.iter().zip(&written).zip(&answers) {
                let Answer::Row(cells) = answer else { panic!("{name}: {answer:?}") };
                assert_eq!(&cells[at], bytes, "{name} {format:?}");
                assert_eq!(decode_array(&cells[0], Format::Text, array).unwrap(), list[0], "{name}");
                assert_eq!(decode_array(&cells[1], Format::Binary, array).unwrap(), list[1], "{name}");
            }
        }
    }
}

#[test]
fn texts_of_arrays_read_as_the_server_reads_them() {
    let server = server::start();
    let mut client = Client::connect(&server);
    client.run("CREATE TEMP TABLE v (c text[])");
    client.prepare("INSERT INTO v (c) VALUES ($1) RETURNING c, c, c::text", 1009).unwrap();
    let known = [
        "{}",
        " { } ",
        "{a}",
        "{a,b}",
        "{ a , b c }",
        r#"{"a","b\"c","d\\e"}"#,
        "{NULL,null,\"NULL\",nUll}",
        r"{a\,b,c\ }",
        "{,}",
        "{a,}",
        "{",
        "a",
        "{a}b",
        "{\"a}",
        "{\"a\"b}",
        "{a\"b\"}",
        "{\"\"}",
        "{a b}",
        r"{\NULL}",
        "{a\tb,\n}",
    ];
    let mut given: Vec<Vec<u8>> = known.iter().map(|t| t.as_bytes().to_vec()).collect();
    let mut source = Source::new("text", 901);
    given.extend((0..600).map(|i| source.mutated(known[i % known.len()].as_bytes())));
    let answers = client.execute(&given, Format::Text);
    for (i, (input, answer)) in given.iter().zip(&answers).enumerate() {
        let mine = decode_array(input, Format::Text, 1009);
        let input = String::from_utf8_lossy(input);
        match (answer, mine) {
            (Answer::Row(cells), Ok(elements)) => {
                let mut out = Vec::new();
                encode_array(&elements, 25, Format::Binary, &mut out).unwrap();
                assert_eq!(out, cells[1], "{input}");
            }
            (Answer::Row(cells), Err(e)) => assert!(i >= known.len(), "{input}: {e} {cells:?}"),
            (Answer::Error(state), Ok(_)) => panic!("{input}: the server refuses it with {state}"),
            (Answer::Error(_), Err(_)) => {}
        }
    }
}
