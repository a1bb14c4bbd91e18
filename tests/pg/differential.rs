//! One corpus, two connections: a clear copy asked directly, the protected tables through the gateway,
//! compared message by message.

use crate::support::world::make_tables;
use crate::support::{Message, Postgres, Raw, World, raw};

pub const CORPUS: &str = include_str!("corpus.sql");

/// One statement of the corpus.
struct Entry<'a> {
    name: &'a str,
    sql: String,
    /// Parameters as `type:text`; `None` where the entry has no `--$` line.
    params: Option<Vec<(u32, Option<&'a str>)>>,
    /// Rows in any order.
    unordered: bool,
    /// The DETAIL may differ (it may name a token, or be left out).
    detail: bool,
    /// The position may differ.
    position: bool,
    /// The error is about a protected value, which the gateway read in the server's place: it has the
    /// SQLSTATE, but never repeats the value.
    value: bool,
    /// Only by a simple Query.
    simple: bool,
    /// Only where the server knows MERGE (15).
    merge: bool,
}

fn entries(corpus: &'static str) -> Vec<Entry<'static>> {
    let mut entries: Vec<Entry<'static>> = Vec::new();
    for line in corpus.lines() {
        if let Some(head) = line.strip_prefix("-- ") {
            let (name, allowed) = head.split_once(" ! ").unwrap_or((head, ""));
            let allows = |what: &str| allowed.split(' ').any(|a| a == what);
            assert!(
                allowed.split(' ').all(|a| matches!(
                    a,
                    "" | "unordered" | "detail" | "position" | "value" | "simple" | "merge"
                )),
                "{head}"
            );
            entries.push(Entry {
                name,
                sql: String::new(),
                params: None,
                unordered: allows("unordered"),
                detail: allows("detail"),
                position: allows("position"),
                value: allows("value"),
                simple: allows("simple"),
                merge: allows("merge"),
            });
        } else if let Some(list) = line.strip_prefix("--$") {
            let entry = entries.last_mut().expect("parameters follow a statement");
            entry.params = Some(list.split('|').map(|p| parameter(p.trim())).collect());
        } else if !line.trim().is_empty() {
            let entry = entries.last_mut().expect("a statement follows its name");
            entry.sql.push_str(line);
            entry.sql.push('\n');
        }
    }
    entries
}

/// `int4:42`, `text:x`, `text:NULL`, `?:x` (no type declared).
fn parameter(text: &str) -> (u32, Option<&str>) {
    let (ty, value) = text.split_once(':').unwrap_or_else(|| panic!("a parameter is type:value, not {text}"));
    let oid = match ty {
        "?" => 0,
        "bool" => 16,
        "bytea" => 17,
        "int8" => 20,
        "int4" => 23,
        "text" => 25,
        "varchar" => 1043,
        "date" => 1082,
        "timestamptz" => 1184,
        "numeric" => 1700,
        "uuid" => 2950,
        "jsonb" => 3802,
        "text[]" => 1009,
        "int4[]" => 1007,
        _ => panic!("unknown type {ty}"),
    };
    (oid, (value != "NULL").then_some(value))
}

/// The binary form of a value, for the types where it is easy to tell.
fn binary(oid: u32, text: &str) -> Option<Vec<u8>> {
    Some(match oid {
        16 => vec![u8::from(text == "true" || text == "t")],
        17 => hex::decode(text.strip_prefix("\\x")?).ok()?,
        20 => text.parse::<i64>().ok()?.to_be_bytes().to_vec(),
        23 => text.parse::<i32>().ok()?.to_be_bytes().to_vec(),
        25 | 1043 => text.as_bytes().to_vec(),
        2950 => hex::decode(text.replace('-', "")).ok()?,
        3802 => [&[1], text.as_bytes()].concat(),
        _ => return None,
    })
}

/// How a statement is sent.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Simple,
    /// Parse, Describe, Bind, Describe, Execute, Sync; parameters and results in this format.
    Extended(i16),
}

impl Entry<'_> {
    fn messages(&self, mode: Mode) -> Option<Vec<u8>> {
        let format = match mode {
            Mode::Simple => return self.params.is_none().then(|| raw::query(&self.sql)),
            Mode::Extended(_) if self.simple => return Some(raw::query(&self.sql)),
            Mode::Extended(format) => format,
        };
        let params = self.params.as_deref().unwrap_or(&[]);
        let oids: Vec<u32> = params.iter().map(|(oid, _)| *oid).collect();
        let mut formats = Vec::new();
        let mut values = Vec::new();
        for (oid, text) in params {
            let bytes = text.and_then(|t| (format == 1).then(|| binary(*oid, t)).flatten());
            formats.push(i16::from(bytes.is_some()));
            values.push(bytes.or_else(|| text.map(|t| t.as_bytes().to_vec())));
        }
        let values: Vec<Option<&[u8]>> = values.iter().map(|v| v.as_deref()).collect();
        let steps = [
            raw::parse("", &self.sql, &oids),
            raw::describe(b'S', ""),
            raw::bind("", "", &formats, &values, if format == 1 { &[1] } else { &[] }),
            raw::describe(b'P', ""),
            raw::execute("", 0),
            raw::sync(),
        ];
        Some(steps.concat())
    }

    /// What was answered, without what this entry lets differ.
    fn lines(&self, answers: &[Message]) -> Vec<String> {
        let mut answers = answers;
        if self.value {
            // The server finds a bad literal at Parse, the gateway when it is bound.
            let error = answers.iter().position(|m| m.tag == b'E').unwrap_or(0);
            answers = &answers[error..];
        }
        let mut lines: Vec<String> = answers.iter().map(|m| self.line(m)).collect();
        if self.unordered {
            let rows: Vec<usize> = (0..lines.len()).filter(|n| answers[*n].tag == b'D').collect();
            if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
                lines[*first..=*last].sort();
            }
        }
        lines
    }

    fn line(&self, message: &Message) -> String {
        if !matches!(message.tag, b'E' | b'N') {
            return message.line();
        }
        let kept: Vec<String> = message
            .fields()
            .into_iter()
            .filter(|(code, _)| !matches!(code, 'F' | 'L' | 'R' | 'V'))
            .filter(|(code, _)| !(self.detail && *code == 'D'))
            .filter(|(code, _)| !(self.value && matches!(code, 'M' | 'D' | 'H' | 'P' | 'W')))
            .filter(|(code, _)| !(self.position && *code == 'P'))
            .map(|(code, text)| format!("{code}={text:?}"))
            .collect();
        format!("{} {}", char::from(message.tag), kept.join(" "))
    }
}

fn compare(mode: Mode) {
    let world = World::new();
    compare_with(CORPUS, mode, world.clear(), world.through());
}

fn compare_with(corpus: &'static str, mode: Mode, clear: Raw, through: Raw) {
    assert!(compare_corpus(corpus, mode, clear, through) >= 100);
}

/// Gives how many statements were compared.
pub fn compare_corpus(corpus: &'static str, mode: Mode, mut clear: Raw, mut through: Raw) -> usize {
    let mut different = Vec::new();
    let mut compared = 0;
    let merges = clear.server_major() >= 15;
    for entry in entries(corpus).into_iter().filter(|entry| merges || !entry.merge) {
        let Some(bytes) = entry.messages(mode) else { continue };
        let ask = |client: &mut Raw| {
            client.send(&bytes);
            entry.lines(&client.until_ready())
        };
        let (expected, seen) = (ask(&mut clear), ask(&mut through));
        compared += 1;
        assert!(
            seen.last().is_some_and(|l| l.starts_with("ReadyForQuery")),
            "the connection was lost at `{}`: {seen:?}\nbefore: {}",
            entry.name,
            different.join("\n")
        );
        if expected != seen {
            let only = |these: &[String], others: &[String]| {
                let kept: Vec<&str> =
                    these.iter().filter(|l| !others.contains(l)).map(String::as_str).collect();
                if kept.is_empty() {
                    format!("(other order or number) {}", these.join("; "))
                } else {
                    kept.join("\n           ")
                }
            };
            different.push(format!(
                "`{}`: {}  direct:  {}\n  through: {}",
                entry.name,
                entry.sql,
                only(&expected, &seen),
                only(&seen, &expected)
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{} of {compared} statements differ:\n\n{}",
        different.len(),
        different.join("\n\n")
    );
    compared
}

/// Else a difference would say nothing.
#[test]
fn two_clear_copies_answer_alike() {
    let servers = [Postgres::start(), Postgres::start()];
    servers.iter().for_each(make_tables);
    let [one, two] = servers.each_ref().map(|pg| Raw::connect(pg.port(), "clear"));
    compare_with(CORPUS, Mode::Extended(1), one, two);
}

#[test]
fn simple_queries_answer_as_a_clear_copy_does() {
    compare(Mode::Simple);
}

#[test]
fn extended_queries_in_text_answer_as_a_clear_copy_does() {
    compare(Mode::Extended(0));
}

#[test]
fn extended_queries_in_binary_answer_as_a_clear_copy_does() {
    compare(Mode::Extended(1));
}

/// Plans are kept by the shape of a text: what was planned with one constant serves the next.
#[test]
fn texts_that_differ_in_their_constants_answer_as_a_clear_copy_does() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    let people = "INSERT INTO people (id, email, first_name, title, age) VALUES \
        (1, 'a@x.example', 'Ana', 'Cheffe', 30), (22, 'b@x.example', 'Béa', 'it''s', 31), (333, 'c@x.example', NULL, NULL, 32)";
    for client in [&mut clear, &mut through] {
        assert_eq!(client.query(people)[0].command(), "INSERT 0 3");
    }
    let texts = [
        (
            "SELECT id, first_name, age FROM people WHERE id = ?",
            &["1", "333", "22", "4", "99999999999", "'22'"][..],
        ),
        ("SELECT first_name FROM people WHERE id = ? ;", &["'x'", "22", "''", "'1'", "99999999999999999999"]),
        (
            "SELECT first_name FROM people WHERE title = ? ORDER BY id",
            &["'Cheffe'", "'it''s'", "''", "'é'", "7"],
        ),
        ("SELECT age, email FROM people WHERE id IN (1, ?) AND id > 0 LIMIT 5", &["22", "333", "1", "'é'"]),
        ("SELECT first_name FROM people ORDER BY id LIMIT ?", &["1", "2", "0", "'1'", "'é'"]),
        ("SELECT first_name FROM people ORDER BY id OFFSET ?", &["1", "2", "-1", "9"]),
        ("SELECT first_name, id FROM people WHERE id = 1 OR id < ? ORDER BY ?", &["2", "3"]),
        ("SELECT ?, first_name, ? FROM people WHERE id = 1", &["7", "'seven'", "8"]),
        ("SELECT first_name FROM people WHERE id / ? = 22", &["1", "0", "22"]),
        ("SELECT first_name FROM people WHERE id = ?::integer", &["1", "'22'", "'x'"]),
        ("DELETE FROM people WHERE id = ?", &["333", "4", "333"]),
    ];
    for round in 0..2 {
        for (text, constants) in texts {
            for constant in constants {
                let sql = text.replace('?', constant);
                let lines = |client: &mut Raw| {
                    client.send(&raw::query(&sql));
                    client.until_ready().iter().map(error_or_line).collect::<Vec<_>>()
                };
                assert_eq!(lines(&mut clear), lines(&mut through), "{sql} (round {round})");
            }
        }
    }
}

/// With the position of an error.
fn error_or_line(message: &Message) -> String {
    let plain = Entry {
        name: "",
        sql: String::new(),
        params: None,
        unordered: false,
        detail: false,
        position: false,
        value: false,
        simple: true,
        merge: false,
    };
    plain.line(message)
}
