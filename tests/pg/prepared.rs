//! Statements that are prepared by SQL, beside a clear copy; and the namespace that they share with the protocol's.

use crate::support::canary::assert_absent;
use crate::support::postgres::Options;
use crate::support::{Message, Raw, World, raw, row, tags};

/// Simple queries, in order, in one session.
const STEPS: &[&str] = &[
    "PREPARE one (text) AS SELECT id, first_name, age, birth_date, title FROM people WHERE email = $1",
    "EXECUTE one('n2@x.example')",
    "EXECUTE one(NULL)",
    "EXECUTE one('nobody@x.example')",
    "EXECUTE one()",
    "EXECUTE one('a', 'b')",
    "EXECUTE one($1)",
    "EXECUTE nothing('x')",
    "PREPARE one AS SELECT 1",
    "PREPARE one AS SELECT last_name FROM people",
    "EXECUTE one('n3@x.example')",
    "PREPARE open AS SELECT id, first_name FROM people WHERE email = $1 AND id > $2",
    "EXECUTE open('n2@x.example', 1)",
    "EXECUTE open('n2@x.example', '1')",
    "EXECUTE open('n2@x.example', 1 + 0)",
    "EXECUTE open('n2@x.example', 1.4)",
    "EXECUTE open('n2@x.example', length('a'))",
    "EXECUTE open('n2@x.example', now())",
    "EXECUTE open('n2@x.example', 'x')",
    "EXECUTE open('n2@x.example', (SELECT 1))",
    "EXECUTE open('n2@x.example', a)",
    "EXECUTE open('n2@x.example'::text, '1'::integer)",
    "PREPARE made (text, text, date, int) AS INSERT INTO people (email, first_name, birth_date, age) VALUES ($1, $2, $3, $4) RETURNING id, first_name, birth_date, age",
    "EXECUTE made('made@x.example', 'Faite', '1987-03-29', 37)",
    "EXECUTE made('made@x.example', 'Deux', NULL, NULL)",
    "EXECUTE made('made2@x.example', NULL, '2000-02-29'::date, -5)",
    "EXECUTE made('made3@x.example', 'x', 'not a date', 1)",
    "PREPARE silent AS INSERT INTO people (email, last_name, title) VALUES ($1, $2, $3)",
    "EXECUTE silent('silent@x.example', 'Muette', upper('t'))",
    "SELECT id, email, last_name, title FROM people ORDER BY id",
    "PREPARE literal AS UPDATE people SET last_name = 'Littérale', title = $1 WHERE email = 'n1@x.example' RETURNING last_name, title",
    "EXECUTE literal('t''1')",
    "EXECUTE literal(concat('t', 2))",
    "PREPARE looked (int, varchar) AS UPDATE people SET last_name = $2 WHERE dept_id = $1",
    "EXECUTE looked(1, 'Études')",
    "EXECUTE looked(1 + 1, 'Ventes')",
    "EXECUTE looked(NULL, 'Personne')",
    "SELECT id, last_name FROM people ORDER BY id",
    "PREPARE said (int, text) AS INSERT INTO comments (author_id, body) VALUES ($1, $2)",
    "EXECUTE said(1, 'Bonjour')",
    "EXECUTE said(1 + 1, 'Salut')",
    "EXECUTE said(NULL, NULL)",
    "EXECUTE said(9999, 'orphelin')",
    "SELECT author_id, body FROM comments ORDER BY id",
    "PREPARE gone AS DELETE FROM people WHERE email = $1 RETURNING id, email, first_name",
    "EXECUTE gone('silent@x.example')",
    "EXECUTE gone('silent@x.example')",
    "PREPARE many (text[]) AS SELECT id, email FROM people WHERE email = ANY($1) ORDER BY id",
    "EXECUTE many('{n1@x.example,n3@x.example}')",
    "PREPARE twice AS SELECT a.id, b.email FROM people a JOIN people b ON a.email = b.email WHERE a.email = $1 OR b.email = $1 ORDER BY 1",
    "EXECUTE twice('n1@x.example')",
    "PREPARE bare AS SELECT first_name, count(*) OVER () FROM people WHERE id < 3 ORDER BY id",
    "EXECUTE bare",
    "PREPARE up (text, text) AS INSERT INTO people (email, first_name) VALUES ($1, $2) ON CONFLICT (email) DO UPDATE SET first_name = EXCLUDED.first_name RETURNING first_name",
    "EXECUTE up('n1@x.example', 'Montée')",
    "EXECUTE up('up@x.example', 'Neuve')",
    "BEGIN",
    "EXECUTE one('n1@x.example')",
    "PREPARE within AS SELECT first_name FROM people WHERE id = $1",
    "SAVEPOINT a",
    "EXECUTE made('within@x.example', 'Dedans', NULL, 1)",
    "EXECUTE within(1)",
    "EXECUTE within('x')",
    "EXECUTE within(1)",
    "ROLLBACK TO a",
    "EXECUTE within(2)",
    "ROLLBACK",
    // Names outlive the transaction in which they were made.
    "EXECUTE within(3)",
    "SELECT count(*) FROM people WHERE email = 'within@x.example'",
    "PREPARE s AS SELECT first_name FROM people WHERE email = $1; EXECUTE s('n2@x.example'); EXECUTE s('n3@x.example'); DEALLOCATE s; PREPARE s (int) AS SELECT name FROM depts WHERE id = $1; EXECUTE s(2)",
    "EXECUTE s(1)",
    "DEALLOCATE PREPARE s; PREPARE s AS SELECT last_name FROM people WHERE email = $1",
    "EXECUTE s('n2@x.example')",
    "DEALLOCATE s; EXECUTE s('n2@x.example')",
    "EXECUTE s('n2@x.example')",
    "PREPARE t AS SELECT nick FROM people WHERE email = $1; SELECT 1 / 0",
    "EXECUTE t('n1@x.example')",
    "PREPARE \"Odd \"\"Name\" AS SELECT first_name FROM people WHERE email = $1",
    "EXECUTE \"Odd \"\"Name\"('n1@x.example')",
    "EXECUTE U&\"Odd \\0022Name\"('n1@x.example')",
    "execute /* a */ \"Odd \"\"Name\" -- b\n ('n2@x.example') ;",
    "PREPARE plain (int) AS SELECT name FROM depts WHERE id = $1",
    "EXECUTE plain(1)",
    "PREPARE bad AS SELECT nothing FROM people",
    "EXECUTE bad",
    "PREPARE bad AS SELECT $1",
    "EXECUTE bad('fine')",
    "CREATE TEMP TABLE filled AS EXECUTE plain(2)",
    "SELECT * FROM filled",
    "DEALLOCATE ALL",
    "EXECUTE one('n1@x.example')",
    "PREPARE one AS SELECT name FROM depts WHERE name = $1",
    "EXECUTE one('Ventes')",
    "DISCARD ALL",
    "EXECUTE one('Ventes')",
    "DEALLOCATE one",
    "SELECT name FROM pg_prepared_statements WHERE from_sql",
];

fn told(answers: &[Message]) -> Vec<String> {
    let line = |m: &Message| match m.tag {
        b'E' => format!("{} {}", m.sqlstate(), m.fields()[&'M']),
        _ => m.line(),
    };
    answers.iter().map(line).collect()
}

/// Where there is an error, it is the same one: the gateway finds those of arguments when they are bound, and never
/// repeats a protected value.
fn alike(through: &[String], clear: &[String]) -> bool {
    let error = |lines: &[String]| match lines {
        [.., error, ready] if ready.starts_with("ReadyForQuery") && error.as_bytes()[0].is_ascii_digit() => {
            let code = error[..5].to_owned();
            let silent = matches!(&*code, "22007" | "23505");
            Some((if silent { code } else { error.clone() }, ready.clone()))
        }
        _ => None,
    };
    through == clear || (error(through).is_some() && error(through) == error(clear))
}

fn fill(client: &mut Raw) {
    for n in 1..=4 {
        client.rows(&format!(
            "INSERT INTO people (email, first_name, last_name, nick, birth_date, age, dept_id, title) VALUES \
             ('n{n}@x.example', 'First {n}', 'Last {n}', NULL, '1990-01-0{n}', {n}, {}, 't{n}')",
            1 + n % 2
        ));
    }
}

fn compare(ask: impl Fn(&mut Raw, &str) -> Vec<Message>) {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    fill(&mut clear);
    fill(&mut through);
    let mut wrong = Vec::new();
    for sql in STEPS {
        let (t, c) = (told(&ask(&mut through, sql)), told(&ask(&mut clear, sql)));
        if !alike(&t, &c) {
            wrong.push(format!("{sql}\n  direct:  {c:?}\n  through: {t:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), STEPS.len(), wrong.join("\n"));
}

#[test]
fn what_sql_prepares_answers_as_in_a_clear_copy() {
    compare(|client, sql| client.query(sql));
}

/// PREPARE and EXECUTE are statements like others: they can be parsed, described and bound themselves.
#[test]
fn what_sql_prepares_answers_alike_by_the_extended_protocol() {
    for format in [0, 1] {
        compare(|client, sql| {
            client.send(
                &[
                    raw::parse("outer", sql, &[]),
                    raw::describe(b'S', "outer"),
                    raw::bind("", "outer", &[], &[], &[format]),
                    raw::describe(b'P', ""),
                    raw::execute("", 0),
                    raw::close(b'S', "outer"),
                    raw::sync(),
                ]
                .concat(),
            );
            let answers = client.until_ready();
            if answers.iter().any(|m| m.tag == b'E') {
                client.send(&[raw::close(b'S', "outer"), raw::sync()].concat());
                client.until_ready();
            }
            answers
        });
    }
}

#[test]
fn sql_and_the_protocol_share_their_names() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    let run = |client: &mut Raw, name: &str, values: &[Option<&str>]| {
        client.send(
            &[
                raw::describe(b'S', name),
                raw::bind_text("", name, values, &[]),
                raw::execute("", 0),
                raw::sync(),
            ]
            .concat(),
        );
        told(&client.until_ready())
    };
    let prepare = |client: &mut Raw, name: &str, sql: &str| {
        client.send(&[raw::parse(name, sql, &[]), raw::sync()].concat());
        told(&client.until_ready())
    };
    let mut seen: Vec<Vec<Vec<String>>> = Vec::new();
    for client in [&mut through, &mut clear] {
        fill(client);
        let select = "SELECT id, first_name, birth_date FROM people WHERE email = $1";
        let mut all = vec![
            told(&client.query(&format!("PREPARE a (text) AS {select}"))),
            run(client, "a", &[Some("n1@x.example")]),
            prepare(client, "a", "SELECT 1"),
            run(client, "a", &[Some("n2@x.example")]),
            prepare(client, "b", select),
            told(&client.query("EXECUTE b('n3@x.example')")),
            told(&client.query(&format!("PREPARE b AS {select}"))),
            told(&client.query("DEALLOCATE b")),
            run(client, "b", &[Some("n3@x.example")]),
            prepare(client, "b", "SELECT name FROM depts WHERE name = $1"),
            run(client, "b", &[Some("Ventes")]),
            told(&client.query("EXECUTE b('Paie')")),
        ];
        client.send(&[raw::close(b'S', "a"), raw::sync()].concat());
        all.push(told(&client.until_ready()));
        all.push(told(&client.query("EXECUTE a('n1@x.example')")));
        all.push(told(&client.query("PREPARE a AS SELECT $1::text")));
        all.push(run(client, "a", &[Some("clear")]));
        seen.push(all);
    }
    assert_eq!(seen[0], seen[1]);
}

/// The server says that it did not carry a message out: the name stands for what it stood for.
#[test]
fn a_name_stands_for_what_the_server_has_under_it() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    let mut client = world.through();
    let insert = "INSERT INTO people (email, last_name) VALUES ($1, $2)";
    let person = |n: u32| [format!("canari-{n}@people.example"), format!("Canari-Nom-{n}")];
    let steps = |n: u32| {
        let [email, name] = person(n);
        [raw::bind_text("", "s", &[Some(&email), Some(&name)], &[]), raw::execute("", 0), raw::sync()]
            .concat()
    };
    client.send(&[raw::parse("s", insert, &[]), raw::sync()].concat());
    client.until_ready();
    let spoilers: Vec<Vec<u8>> = vec![
        // The name is taken.
        [raw::parse("s", "SELECT 1", &[]), raw::sync()].concat(),
        [raw::parse("s", "SELECT first_name FROM people WHERE id = $1", &[]), raw::sync()].concat(),
        raw::query("PREPARE s AS SELECT $1::text, $2::text"),
        raw::query("PREPARE s AS SELECT first_name FROM people"),
        // Skipped after an error.
        [raw::bind_text("", "none", &[], &[]), raw::close(b'S', "s"), raw::sync()].concat(),
        [raw::bind_text("", "none", &[], &[]), raw::parse("s", "SELECT 1", &[]), raw::sync()].concat(),
        [raw::bind_text("", "none", &[], &[]), raw::parse("", "SELECT 1", &[]), raw::sync()].concat(),
        raw::query("DEALLOCATE none; DEALLOCATE s"),
        [raw::parse("", "DEALLOCATE s", &[]), raw::bind_text("", "none", &[], &[]), raw::sync()].concat(),
    ];
    for (n, spoiler) in (0..).zip(&spoilers) {
        client.send(spoiler);
        assert!(client.until_ready().iter().any(|m| m.tag == b'E'), "{n}");
        client.send(&steps(n));
        assert_eq!(tags(&client.until_ready()), "2CZ", "{n}");
    }
    // The unnamed one as well.
    client.send(&[raw::parse("", insert, &[]), raw::sync()].concat());
    client.until_ready();
    client.send(
        &[raw::bind_text("", "none", &[], &[]), raw::parse("", "SELECT $1, $2", &[]), raw::sync()].concat(),
    );
    client.until_ready();
    let [email, name] = person(90);
    client.send(
        &[raw::bind_text("", "", &[Some(&email), Some(&name)], &[]), raw::execute("", 0), raw::sync()]
            .concat(),
    );
    assert_eq!(tags(&client.until_ready()), "2CZ");
    // What could not be made protects what is bound to it all the same.
    client.send(&[raw::parse("n", insert, &[25, 16]), raw::sync()].concat());
    client.until_ready();
    let [email, name] = person(91);
    client.send(&[raw::bind_text("", "n", &[Some(&email), Some(&name)], &[]), raw::sync()].concat());
    client.until_ready();
    assert_eq!(
        client.rows("SELECT count(*) FROM people WHERE last_name IS NOT NULL"),
        [row([&format!("{}", spoilers.len() + 1)])]
    );
    let canaries: Vec<Vec<u8>> = (0..100).flat_map(|n| person(n).map(String::into_bytes)).collect();
    let canaries: Vec<&[u8]> = canaries.iter().map(Vec::as_slice).collect();
    assert_absent("the log", world.pg.log().as_bytes(), &canaries);
    let stored = world.direct().rows("SELECT email, last_name FROM people");
    assert_absent("the table", format!("{stored:?}").as_bytes(), &canaries);
}

#[test]
fn arguments_in_protected_places_never_leave_in_clear() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    let mut client = world.through();
    for sql in [
        "PREPARE p (text, text, date, text) AS INSERT INTO people (email, first_name, birth_date, last_name, title) VALUES ($1, $2, $3, 'Canari-Dedans', $4)",
        "EXECUTE p('canari@people.example', 'Canari-Prénom', '1987-03-29', 'seen')",
        "EXECUTE p('canari2@people.example', E'Canari\\x2dPr\\u00e9nom', '1987-03-29'::date, lower('SEEN'))",
        "PREPARE u AS UPDATE people SET nick = $1 WHERE email = $2 AND title = $3",
        "EXECUTE u('canari-surnom', 'canari@people.example', concat('se', 'en'))",
        "PREPARE f AS SELECT first_name FROM people WHERE email = $1 OR lower(email) = lower($2)",
        "EXECUTE f('canari@people.example', 'CANARI2@people.example')",
        "EXPLAIN EXECUTE f('canari@people.example', 'CANARI2@people.example')",
        "EXPLAIN (ANALYZE, COSTS off) EXECUTE f('canari@people.example', 'CANARI2@people.example')",
        "EXPLAIN EXECUTE p('canari3@people.example', 'Canari-Expliqué', '1987-03-29', 'seen')",
    ] {
        client.rows(sql);
    }
    for sql in [
        "EXECUTE p('canari4@people.example', upper('Canari-Calculé'), NULL, 'seen')",
        "EXECUTE p('canari4@people.example', 'Canari-Trop', NULL, 'seen', 'more')",
        "EXECUTE p('canari4@people.example', 'Canari-Typé'::xml, NULL, 'seen')",
        "EXPLAIN ANALYZE EXECUTE p('canari5@people.example', 'Canari-Expliqué', NULL, 'seen')",
        "CREATE TEMP TABLE kept AS EXECUTE f('canari@people.example', 'canari')",
        "EXPLAIN CREATE TABLE kept AS EXECUTE f('canari@people.example', 'canari')",
    ] {
        let error = client.fails(sql);
        let expected = if sql.contains("more") { "42601" } else { "0A000" };
        assert_eq!(error.sqlstate(), expected, "{sql}");
    }
    assert_eq!(
        client.rows("SELECT first_name, nick, last_name, title FROM people ORDER BY id"),
        [
            row(["Canari-Prénom", "canari-surnom", "Canari-Dedans", "seen"]),
            row(["Canari-Prénom", "NULL", "Canari-Dedans", "seen"]),
        ]
    );
    let seen = client.rows(
        "SELECT name, statement, from_sql FROM pg_prepared_statements WHERE NOT starts_with(name, '_paravent') ORDER BY name",
    );
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|row| row[2].as_deref() == Some("t")), "{seen:?}");
    let canaries: &[&[u8]] = &[
        b"canari@people",
        b"canari2@people",
        b"canari3@people",
        b"canari4@people",
        b"canari5@people",
        b"CANARI2@people",
        "Canari-Prénom".as_bytes(),
        b"canari-surnom",
        b"Canari-Dedans",
        b"Canari-Calcul",
        b"Canari-Trop",
        b"Canari-Typ",
        b"Canari-Expliqu",
        b"1987-03-29",
    ];
    assert_absent("the log", world.pg.log().as_bytes(), canaries);
    assert_absent("pg_prepared_statements", format!("{seen:?}").as_bytes(), canaries);
}

/// The server looks at 63 bytes of a name, in its own encoding.
#[test]
fn a_name_is_what_the_server_reads_of_it() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    let insert = "INSERT INTO people (email, last_name) VALUES ($1, $2)";
    let values = [Some("canari@people.example"), Some("Canari-Nom")];
    let mut client = world.through();
    let [made, bound] = ["made", "bound"].map(|end| "n".repeat(63) + end);
    client.send(&[raw::parse(&made, insert, &[]), raw::sync()].concat());
    client.until_ready();
    client.send(&[raw::bind_text("", &bound, &values, &[]), raw::execute("", 0), raw::sync()].concat());
    assert_eq!(tags(&client.until_ready()), "2CZ");
    // Prepared in one encoding, by SQL, and bound in another.
    client
        .rows("DELETE FROM people; PREPARE \"été\" AS INSERT INTO people (email, last_name) VALUES ($1, $2)");
    client.rows("SET client_encoding = 'LATIN1'");
    let mut bind = raw::bind_text("", "xtx", &values, &[]);
    for byte in bind.iter_mut().filter(|b| **b == b'x').take(2) {
        *byte = 0xe9;
    }
    client.send(&[bind, raw::execute("", 0), raw::sync()].concat());
    assert_eq!(tags(&client.until_ready()), "2CZ");
    client.send(&raw::query("SELECT 1"));
    client.until_ready();
    let mut execute = raw::query("EXECUTE \"xtx\" ('canari2@people.example', 'Canari-Nom')");
    for byte in execute.iter_mut().skip(5).filter(|b| **b == b'x').take(2) {
        *byte = 0xe9;
    }
    client.send(&execute);
    assert_eq!(tags(&client.until_ready()), "CZ");
    client.rows("SET client_encoding = 'UTF8'");
    client.rows("DELETE FROM people WHERE email = 'canari2@people.example'");
    client.rows("EXECUTE \"été\" ('canari2@people.example', 'Canari-Nom')");
    assert_eq!(client.rows("SELECT last_name FROM people"), [row(["Canari-Nom"]), row(["Canari-Nom"])]);
    assert_absent(
        "the log",
        world.pg.log().as_bytes(),
        &[b"canari@people", b"canari2@people", b"Canari-Nom"],
    );
}

/// What was written is settled by its own transaction, whatever failed before it in another.
#[test]
fn an_error_in_a_pipeline_is_not_held_against_the_next_write() {
    let world = World::new();
    let mut client = world.through();
    client.send(&[raw::parse("", "SELECT 1 / 0, first_name FROM people", &[]), raw::flush()].concat());
    client.send(&[raw::parse("", "SELEC", &[]), raw::flush()].concat());
    while client.read().unwrap().tag != b'E' {}
    client.send(&raw::sync());
    client.until_ready();
    client.rows("INSERT INTO people (email, first_name) VALUES ('kept@x.example', 'Kept')");
    client.rows("INSERT INTO people (email, first_name) VALUES ('more@x.example', 'More')");
    assert_eq!(
        client.rows("SELECT email, first_name FROM people ORDER BY id"),
        [row(["kept@x.example", "Kept"]), row(["more@x.example", "More"])]
    );
    assert_eq!(client.fails("INSERT INTO people (email) VALUES ('kept@x.example')").sqlstate(), "23505");
}

#[test]
fn a_prepared_statement_follows_the_schema_and_the_search_path() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut client = world.through();
    client.rows("CREATE SCHEMA other");
    client.rows("CREATE TABLE other.people (id int, email text, last_name text)");
    client.rows("PREPARE p (int, text) AS UPDATE people SET last_name = $2 WHERE id = $1");
    client.rows("SET search_path = other, public");
    // There it would write in clear; here it was planned to be sealed.
    assert_eq!(client.fails("EXECUTE p(1, 'Nothing')").sqlstate(), "0A000");
    client.rows("PREPARE q (int, text) AS UPDATE people SET last_name = $2 WHERE id = $1");
    client.rows("EXECUTE q(1, 'plain')");
    client.rows("SET search_path = public");
    assert_eq!(client.fails("EXECUTE q(1, 'Canari-Nom')").sqlstate(), "0A000");
    client.rows("EXECUTE p(1, 'Sealed')");
    client.rows("ALTER TABLE people ADD COLUMN more text");
    client.rows("EXECUTE p(1, 'Sealed again')");
    assert_eq!(client.rows("SELECT last_name FROM people"), [row(["Sealed again"])]);
    // EXECUTE that was prepared itself, of a name that stands for something else by now.
    client.rows("PREPARE r (int, text) AS UPDATE other.people SET last_name = $2 WHERE id = $1");
    client.send(&[raw::parse("x", "EXECUTE r(1, 'Canari-Nom')", &[]), raw::sync()].concat());
    client.until_ready();
    client.rows("DEALLOCATE r");
    client.rows("PREPARE r (int, text) AS UPDATE people SET last_name = $2 WHERE id = $1");
    client.send(&[raw::bind_text("", "x", &[], &[]), raw::execute("", 0), raw::sync()].concat());
    let answers = client.until_ready();
    assert_eq!((tags(&answers).as_str(), answers[0].sqlstate().as_str()), ("EZ", "0A000"));
    assert_eq!(client.rows("SELECT last_name FROM people"), [row(["Sealed again"])]);
}

/// What the server would say, and log with the arguments, is said without them.
#[test]
fn execute_of_a_name_that_stands_for_nothing_sends_no_argument() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    let (mut clear, mut through) = (world.clear(), world.through());
    let error = |answers: &[Message]| {
        let error = answers.iter().find(|m| m.tag == b'E').unwrap_or_else(|| panic!("{answers:?}"));
        (error.sqlstate(), error.fields()[&'M'].clone())
    };
    for sql in [
        "EXECUTE nothing('{}')",
        "EXECUTE nothing(lower('{}'), $${}$$)",
        "EXPLAIN EXECUTE nothing('{}')",
        "CREATE TEMP TABLE filled AS EXECUTE nothing('{}')",
        "EXPLAIN CREATE TABLE filled AS EXECUTE nothing('{}')",
        "SELECT 1; EXECUTE nothing('{}')",
        "PREPARE made (text) AS SELECT $1; DEALLOCATE made; EXECUTE made('{}')",
        "PREPARE made (text) AS SELECT $1; DEALLOCATE ALL; EXECUTE made('{}')",
        "EXECUTE \"été \"\"\"('{}')",
        "EXECUTE _paravent('{}')",
    ] {
        let [t, c] = [sql.replace("{}", "Canari-Nom"), sql.replace("{}", "seen")];
        assert_eq!(error(&through.query(&t)), error(&clear.query(&c)), "{sql}");
        assert_eq!(error(&through.query(&t)).0, "26000", "{sql}");
        if sql.contains(';') {
            continue;
        }
        let run = |sql: &str| {
            [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0), raw::sync()]
                .concat()
        };
        through.send(&run(&t));
        clear.send(&run(&c));
        assert_eq!(error(&through.until_ready()), error(&clear.until_ready()), "{sql}");
    }
    // A name that a message of the same pipeline takes away; a Parse that fails leaves none.
    for before in [
        [raw::parse("s", "SELECT $1::text", &[]), raw::close(b'S', "s")].concat(),
        [raw::parse("s", "SELEC", &[]), raw::sync()].concat(),
    ] {
        through.send(&[before, raw::parse("", "EXECUTE s('Canari-Nom')", &[]), raw::sync()].concat());
        let first = through.until_ready();
        let failed = first.iter().any(|m| m.tag == b'E' && m.sqlstate() == "42601");
        let answers = if failed { through.until_ready() } else { first };
        assert_eq!(error(&answers).0, "26000");
    }
    // In a transaction it fails that, as any error does; and names that stand for something go on.
    through.rows("PREPARE plain (text) AS SELECT $1");
    through.rows("BEGIN");
    through.fails("EXECUTE nothing('Canari-Nom')");
    assert_eq!(through.fails("EXECUTE plain('x')").sqlstate(), "25P02");
    through.rows("ROLLBACK");
    assert_eq!(through.rows("EXECUTE plain('x')"), [row(["x"])]);
    // What does not parse is no EXECUTE to the grammar.
    through.rows("PREPARE p (text) AS UPDATE people SET last_name = $1");
    assert_eq!(through.fails("EXECUTE p('Canari-Nom', )").sqlstate(), "42601");
    assert_absent("the log", world.pg.log().as_bytes(), &[b"Canari-Nom"]);
}

/// A function can run PREPARE: the server alone knows the name, and what stands under it.
#[test]
fn execute_of_what_a_function_has_prepared_is_judged_by_its_text() {
    let world = World::with(&Options { log_all: true, ..Options::default() });
    world.direct().rows(
        "CREATE FUNCTION prepares() RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
         EXECUTE 'PREPARE harmless (text) AS SELECT upper($1)'; \
         EXECUTE 'PREPARE sly (text) AS UPDATE peo' || 'ple SET nick = $1'; END $$",
    );
    world.people(&["Ana"]);
    let mut client = world.through();
    client.rows("SELECT prepares()");
    assert_eq!(client.rows("EXECUTE harmless('seen')"), [row(["SEEN"])]);
    client.rows("CREATE TEMP TABLE filled AS EXECUTE harmless('seen')");
    assert_eq!(client.rows("SELECT * FROM filled"), [row(["SEEN"])]);
    assert_eq!(client.fails("EXECUTE sly('canari-surnom')").sqlstate(), "0A000");
    client.send(&[raw::parse("", "EXECUTE sly('canari-surnom')", &[]), raw::sync()].concat());
    assert_eq!(client.until_ready()[0].sqlstate(), "0A000");
    assert_eq!(client.rows("SELECT nick FROM people"), [row(["NULL"])]);
    assert_absent("the log", world.pg.log().as_bytes(), &[b"canari-surnom"]);
}

#[test]
fn execute_of_what_the_protocol_prepared_is_refused_where_its_conditions_are_evaluated_when_it_is_bound() {
    let world = World::new();
    world.people(&["Ana", "Ben"]);
    world.direct().rows("CREATE TABLE plain AS SELECT 1 AS x; GRANT ALL ON plain TO app");
    let mut client = world.through();
    for sql in [
        "SELECT id FROM people WHERE first_name = 'Ana'",
        "SELECT id FROM people ORDER BY first_name DESC",
        "SELECT min(first_name) FROM people",
        "UPDATE people SET title = 'x' WHERE first_name LIKE $1",
        "DELETE FROM plain WHERE NOT EXISTS (SELECT FROM people WHERE first_name = 'Ana')",
    ] {
        client.send(&[raw::parse("s", sql, &[]), raw::sync()].concat());
        assert!(client.until_ready().iter().all(|m| m.tag != b'E'), "{sql}");
        let arguments = if sql.contains('$') { "('A%')" } else { "" };
        for execute in
            ["EXECUTE s", "EXPLAIN EXECUTE s", "BEGIN; EXECUTE s; COMMIT", "CREATE TABLE made AS EXECUTE s"]
        {
            let execute = execute.replace("E s", &format!("E s{arguments}"));
            assert_eq!(client.fails(&execute).sqlstate(), "0A000", "{execute}: {sql}");
            client.query("ROLLBACK");
        }
        client.rows("DEALLOCATE s");
    }
    // Other statements run as they are bound.
    client.send(
        &[raw::parse("s", "SELECT id FROM people WHERE email = $1 ORDER BY id", &[]), raw::sync()].concat(),
    );
    client.until_ready();
    assert_eq!(
        client.rows("EXECUTE s('n1@x.example')").len(),
        client.rows("SELECT FROM people WHERE email = 'n1@x.example'").len()
    );
    assert_eq!(world.direct().rows("SELECT count(*) FROM plain"), [row(["1"])]);
}

#[test]
fn a_parse_that_fails_leaves_no_unnamed_statement() {
    let world = World::new();
    world.people(&["Ana"]);
    for (before, bound) in
        [("UPDATE people SET title = 'x' WHERE first_name = 'Ana'", 0), ("SELECT id FROM people", 0)]
    {
        for wrong in ["selec", "SELECT nothing", "SELECT 1; SELECT 2", "SELECT nothing FROM people"] {
            let answers = [world.through(), world.clear()].map(|mut client| {
                client.send(&[raw::parse("", before, &[]), raw::sync()].concat());
                client.until_ready();
                client.send(&[raw::parse("", wrong, &[]), raw::sync()].concat());
                client.until_ready();
                client
                    .send(&[raw::bind_text("", "", &[], &[]), raw::execute("", bound), raw::sync()].concat());
                client.until_ready().iter().find(|m| m.tag == b'E').map(Message::sqlstate)
            });
            assert_eq!(answers[1].as_deref(), Some("26000"), "{wrong}");
            let refused = wrong.contains("people");
            assert!(
                answers[0] == answers[1] || refused && answers[0].is_some(),
                "{wrong} after {before}: {answers:?}"
            );
        }
    }
    assert_eq!(world.direct().rows("SELECT count(*) FROM people WHERE title = 'x'"), [row(["0"])]);
}
