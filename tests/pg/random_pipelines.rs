//! Pipelines put together at random: names used again, statements that fail anywhere, transactions, Syncs and Queries in
//! between, cut into writes anywhere. A server with a clear copy answers as the gateway does, message by message, and
//! nothing lies in clear behind it.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::world::make_tables;
use crate::support::{Message, Postgres, Raw, World, raw};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const CANARY: &[u8] = b"canari";
/// Pipelines of one pair of sessions.
const IN_A_SESSION: u64 = 8;

/// What a parameter takes. Where the name of a statement stands for another one than was thought, a canary must not come
/// where nothing is protected: so statements have different numbers of parameters, or canaries in the same places.
#[derive(Clone, Copy)]
enum Takes {
    Email,
    Name,
    Number,
    /// The same, never NULL: a row of nobody's is refused by name.
    Given,
}

use Takes::{Email, Given, Name, Number};

const STATEMENTS: &[(&str, &[Takes])] = &[
    ("SELECT id, email, first_name FROM people WHERE email = $1 AND id > $2 ORDER BY id", &[Email, Number]),
    ("UPDATE people SET first_name = $1 WHERE id = $2", &[Name, Number]),
    ("UPDATE people SET last_name = $1 WHERE id < $2 RETURNING id, last_name", &[Name, Number]),
    ("INSERT INTO people (email, first_name, id) VALUES ($1, $2, $3)", &[Email, Name, Given]),
    (
        "INSERT INTO people (email, first_name, id) VALUES ($1, $2, $3) RETURNING id, email",
        &[Email, Name, Given],
    ),
    (
        "INSERT INTO people (email, last_name, version) VALUES ($1, $2, $3) RETURNING id, last_name",
        &[Email, Name, Given],
    ),
    ("SELECT first_name, last_name FROM people ORDER BY id", &[]),
    ("SELECT id, first_name FROM people WHERE id = $1", &[Number]),
    ("SELECT first_name FROM people WHERE 6 / $1::int = 6 ORDER BY id", &[Number]),
    ("DELETE FROM people WHERE id = $1", &[Number]),
    ("SELECT 6 / $1::int", &[Number]),
    ("SELECT n FROM generate_series(1, $1::int) n", &[Number]),
    ("INSERT INTO depts (id, name) VALUES ($1, 'x')", &[Number]),
    ("SELECT count(*) FROM people", &[]),
    ("SELECT 1/0", &[]),
    (FAILS, &[]),
    ("SELECT first_name FROM people; SELECT 1", &[]),
    ("SELEC", &[]),
    ("", &[]),
    ("BEGIN", &[]),
    ("COMMIT", &[]),
    ("ROLLBACK", &[]),
    ("SAVEPOINT s", &[]),
    ("ROLLBACK TO s", &[]),
];

/// Fails on a table that is protected.
const FAILS: &str = "SELECT first_name, nothing FROM people";

const QUERIES: &[&str] = &[
    "SELECT first_name FROM people ORDER BY id",
    "UPDATE people SET first_name = 'Canari-Query' WHERE id = 2",
    "INSERT INTO people (email, first_name) VALUES ('canari-query@x.example', 'Canari-Query') RETURNING id",
    "SELECT first_name FROM people WHERE email = 'canari-1@x.example'",
    "SELECT first_name FROM people; UPDATE people SET last_name = 'Canari-Script' WHERE id = 1; SELECT 1/0",
    "SELECT 1; SELECT 2",
    "SELECT 1/0",
    FAILS,
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "DEALLOCATE ALL",
    "DEALLOCATE a",
    "",
];

const NAMES: [&str; 3] = ["", "a", "b"];
const PORTALS: [&str; 3] = ["", "p", "q"];

/// Makes messages; keeps what each name was given last.
struct Source {
    random: StdRng,
    names: [usize; 3],
    portals: [usize; 3],
    /// This pipeline has parsed the unnamed statement.
    unnamed: bool,
}

/// A message, and what it is called where a difference is reported.
type Step = (Vec<u8>, String);

fn close(kind: u8, name: &str) -> Step {
    (raw::close(kind, name), format!("Close {} {name:?}", char::from(kind)))
}

impl Source {
    fn below(&mut self, n: usize) -> usize {
        self.random.random_range(0..n)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn value(&mut self, takes: Takes) -> Option<String> {
        let n = self.below(7);
        match takes {
            Number => (!self.one_in(12)).then(|| n.to_string()),
            Given => Some(n.to_string()),
            Email => (!self.one_in(12)).then(|| format!("canari-{n}@x.example")),
            Name => (!self.one_in(6)).then(|| format!("Canari-{n}")),
        }
    }

    fn parse(&mut self, name: usize, out: &mut Vec<Step>) {
        let statement = self.below(STATEMENTS.len());
        self.names[name] = statement;
        let (sql, takes) = STATEMENTS[statement];
        let declared = match self.below(4) {
            0 => takes.iter().map(|t| if matches!(t, Number | Given) { 23 } else { 25 }).collect(),
            1 => vec![0; takes.len()],
            _ => Vec::new(),
        };
        let told = format!("Parse {:?} {declared:?} {sql}", NAMES[name]);
        out.push((raw::parse(NAMES[name], sql, &declared), told));
    }

    fn bind(&mut self, name: usize, portal: usize) -> Step {
        self.portals[portal] = self.names[name];
        let (_, takes) = STATEMENTS[self.names[name]];
        let mut values: Vec<Option<String>> = takes.iter().map(|t| self.value(*t)).collect();
        match self.below(16) {
            // The last one stays: a number, or there is no such statement of other tables.
            0 if !values.is_empty() => drop(values.remove(0)),
            1 => values.push(Some("1".to_owned())),
            _ => {}
        }
        let texts: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
        let results: &[i16] = [&[][..], &[0], &[1], &[0, 1]][self.below(16).min(3) % 4];
        (
            raw::bind_text(PORTALS[portal], NAMES[name], &texts, results),
            format!("Bind {:?} {:?} {texts:?} {results:?}", PORTALS[portal], NAMES[name]),
        )
    }

    /// What a client would send to run a statement, with steps left out and others put in.
    fn steps(&mut self, out: &mut Vec<Step>) {
        let (name, portal) = (self.below(3), self.below(3));
        if self.one_in(3) && name > 0 {
            out.push(close(b'S', NAMES[name]));
        }
        // Where the Parse of the unnamed one was skipped, what is bound to it after the Sync goes nowhere.
        if !self.one_in(3) || (name == 0 && !std::mem::replace(&mut self.unnamed, true)) {
            self.parse(name, out);
        }
        if self.one_in(5) {
            out.push((raw::describe(b'S', NAMES[name]), format!("Describe S {:?}", NAMES[name])));
        }
        if portal > 0 && self.one_in(2) {
            out.push(close(b'P', PORTALS[portal]));
        }
        if !self.one_in(8) {
            out.push(self.bind(name, portal));
        }
        if self.one_in(3) {
            out.push((raw::describe(b'P', PORTALS[portal]), format!("Describe P {:?}", PORTALS[portal])));
        }
        for _ in 0..[0, 1, 1, 1, 1, 2][self.below(6)] {
            let rows = [0, 0, 0, 1, 2][self.below(5)];
            out.push((raw::execute(PORTALS[portal], rows), format!("Execute {:?} {rows}", PORTALS[portal])));
        }
        match self.below(12) {
            0..=2 => {
                self.unnamed = false;
                out.push((raw::sync(), "Sync".to_owned()));
            }
            3 => out.push((raw::flush(), "Flush".to_owned())),
            4 => {
                self.unnamed = false;
                // A Query that is not skipped begins anew: a Sync is before it.
                out.push((raw::sync(), "Sync".to_owned()));
                let sql = QUERIES[self.below(QUERIES.len())];
                out.push((raw::query(sql), format!("Query {sql}")));
            }
            _ => {}
        }
    }

    fn pipeline(&mut self) -> Vec<Step> {
        let mut out = Vec::new();
        self.unnamed = false;
        for _ in 0..=self.below(7) {
            self.steps(&mut out);
        }
        out.push((raw::sync(), "Sync".to_owned()));
        out
    }

    /// Sends it in one write, or cut anywhere.
    fn send(&mut self, client: &mut Raw, bytes: &[u8]) {
        let mut at = 0;
        for _ in 0..[0, 0, 1, 3][self.below(4)] {
            let cut = at + self.below(bytes.len() - at);
            client.send(&bytes[at..cut]);
            at = cut;
        }
        client.send(&bytes[at..]);
    }
}

/// All answers: those of a last Query tell that no other is to come.
fn answers(client: &mut Raw) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let more = client.until_ready();
        lines.extend(more.iter().map(line));
        if more.is_empty() || lines.iter().any(|line| line == "DataRow \"the end\"") {
            return lines;
        }
    }
}

/// An error is told by its code.
fn line(message: &Message) -> String {
    match message.tag {
        b'E' => format!("Error {}", message.sqlstate()),
        b'N' => format!("Notice {}", message.fields()[&'C']),
        _ => message.line(),
    }
}

fn fill(client: &mut Raw) {
    client.rows("TRUNCATE people RESTART IDENTITY CASCADE; DELETE FROM depts");
    for n in 1..4 {
        client.rows(&format!(
            "INSERT INTO people (email, first_name) VALUES ('canari-{n}@x.example', 'Canari-{n}')"
        ));
    }
}

/// So many pipelines of other seeds: `PARAVENT_PIPELINES=20000`; from another seed on: `PARAVENT_SEED`.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn pipelines_at_random_answer_as_a_direct_connection_does_and_leave_nothing_in_clear() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    let other = Postgres::with(&Options::default());
    make_tables(&other);
    let (mut filler, mut filler_clear) = (world.through(), Raw::connect(other.port(), "clear"));
    let mut stored = world.direct();
    let first = number("PARAVENT_SEED", 1);
    let mut different = Vec::new();
    for seed in first..first + number("PARAVENT_PIPELINES", 240) / IN_A_SESSION {
        fill(&mut filler);
        fill(&mut filler_clear);
        let (mut through, mut direct) = (world.through(), Raw::connect(other.port(), "clear"));
        let mut source =
            Source { random: StdRng::seed_from_u64(seed), names: [0; 3], portals: [0; 3], unnamed: false };
        let mut told = Vec::new();
        for _ in 0..IN_A_SESSION {
            let steps = source.pipeline();
            let end = [raw::query("ROLLBACK"), raw::query("SELECT 'the end'")].concat();
            let bytes = [steps.iter().flat_map(|(bytes, _)| bytes.clone()).collect(), end].concat();
            told.push(steps.into_iter().map(|(_, told)| told).collect::<Vec<_>>().join("\n    "));
            direct.send(&bytes);
            source.send(&mut through, &bytes);
            let (expected, seen) = (answers(&mut direct), answers(&mut through));
            let all = "SELECT id, email, first_name, last_name, version FROM people ORDER BY id";
            let (kept, lies) = (filler_clear.rows(all), filler.rows(all));
            let rows = stored.rows("SELECT email, first_name, last_name FROM people");
            assert_absent(&format!("seed {seed}"), format!("{rows:?}").to_lowercase().as_bytes(), &[CANARY]);
            if expected != seen || kept != lies {
                different.push(format!(
                    "seed {seed}:\n    {}\n  direct:  {expected:#?}\n  through: {seen:#?}\n  {kept:?}\n  {lies:?}",
                    told.join("\n  then\n    ")
                ));
                break;
            }
        }
    }
    assert!(different.is_empty(), "{} of them differ:\n{}", different.len(), different.join("\n"));
    let log = world.pg.log();
    let told = log.lines().filter(|line| line.to_lowercase().contains("canari"));
    assert_eq!(told.collect::<Vec<_>>(), [""; 0], "nothing in clear is logged");
}
