//! Code in the database that writes a protected table, and runs without its name being said.

use crate::support::{Raw, World, raw};

/// Everything is made before there is a view of the protected table; then that view closes it.
const CODE: &str = r#"
CREATE FUNCTION writes(a text) RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
  $$BEGIN INSERT INTO later (email) VALUES (a); RETURN a; END$$;
CREATE FUNCTION shown(a text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN writes(a); END$$;
CREATE FUNCTION holds(a text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM writes(a); RETURN true; END$$;
CREATE FUNCTION ordered(a text, b text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM writes(a); RETURN 0; END$$;
CREATE FUNCTION adds(a text, b text) RETURNS text LANGUAGE plpgsql AS $$BEGIN PERFORM writes(b); RETURN a; END$$;
CREATE OPERATOR =#= (rightarg = text, function = writes);
CREATE AGGREGATE gathers (text) (sfunc = adds, stype = text, initcond = '');
CREATE TYPE pair AS (x text);
CREATE FUNCTION to_pair(a text) RETURNS pair LANGUAGE plpgsql AS $$BEGIN PERFORM writes(a); RETURN row(a); END$$;
CREATE CAST (text AS pair) WITH FUNCTION to_pair(text);
CREATE DOMAIN checked AS text CHECK (holds(value));
CREATE DOMAIN defaulted AS text DEFAULT writes('canari@x.example');
CREATE OPERATOR CLASS odd FOR TYPE text USING btree AS FUNCTION 1 ordered(text, text);
CREATE TYPE held AS (y checked);
CREATE OPERATOR CLASS more FOR TYPE text USING btree AS FUNCTION 1 ordered(text, text);
CREATE FUNCTION same(a varchar, b varchar) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN holds(b); END$$;
CREATE SCHEMA odd; GRANT USAGE ON SCHEMA odd TO app; CREATE OPERATOR odd.~~ (leftarg = varchar, rightarg = varchar, function = same);
CREATE FUNCTION plain_trigger() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN new; END$$;

CREATE TABLE by_attribute (x held);
CREATE TABLE plain (x text);
CREATE TABLE by_index (x text); CREATE INDEX ON by_index (shown(x));
CREATE TABLE by_domain (x checked);
CREATE TABLE by_array (x checked[]);
CREATE TABLE by_domain_default (x defaulted, y int);
CREATE TABLE by_when (x text);
CREATE TRIGGER w BEFORE INSERT ON by_when FOR EACH ROW WHEN (holds(new.x)) EXECUTE FUNCTION plain_trigger();
CREATE TABLE by_policy (x text); ALTER TABLE by_policy ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON by_policy USING (true) WITH CHECK (holds(x));
CREATE TABLE by_key (x text) PARTITION BY LIST (shown(x)); CREATE TABLE by_key_rest PARTITION OF by_key DEFAULT;
CREATE TABLE by_class (x text); CREATE INDEX ON by_class (x odd);
CREATE TABLE by_default (x text DEFAULT writes('canari@x.example'), y int);
CREATE TABLE by_check (x text CHECK (holds(x)));
CREATE TABLE by_generation (x text, y text GENERATED ALWAYS AS (shown(x)) STORED);

CREATE FUNCTION by_operator(a text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN =#= a; END$$;
CREATE FUNCTION by_argument(a text, b text DEFAULT writes('canari@x.example')) RETURNS text LANGUAGE sql AS 'select a';
CREATE FUNCTION by_window(a text) RETURNS text LANGUAGE plpgsql WINDOW AS $$BEGIN PERFORM writes('canari@x.example'); RETURN a; END$$;
CREATE FUNCTION escaped(a text) RETURNS int LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO U&"lat\0065r" (email) VALUES (a); RETURN 1; END$$;
CREATE FUNCTION escaped_text(a text) RETURNS int LANGUAGE plpgsql AS
  $$BEGIN EXECUTE E'INSERT INTO lat\x65r (email) VALUES ($1)' USING a; RETURN 1; END$$;
CREATE FUNCTION continued_text(a text) RETURNS int LANGUAGE plpgsql AS $$BEGIN EXECUTE 'INSERT INTO lat' -- x
  'er (email) VALUES ($1)' USING a; RETURN 1; END$$;
CREATE FUNCTION quoted(a text) RETURNS int LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO "la""ter" (email) VALUES (a); RETURN 1; END$$;
CREATE FUNCTION wr(p plain) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN writes('canari@x.example'); END$$;
CREATE FUNCTION x(p by_key) RETURNS text LANGUAGE plpgsql AS $$BEGIN RETURN writes('canari@x.example'); END$$;
CREATE TABLE by_row (c by_domain);
CREATE FUNCTION of_row(a by_domain) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION writes_always() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM writes('canari@x.example'); RETURN new; END$$;
CREATE TABLE named (x text PRIMARY KEY, wr text);
CREATE TABLE loose (a text PRIMARY KEY); CREATE TABLE refers (a text REFERENCES loose);
CREATE TRIGGER t AFTER UPDATE OR DELETE ON refers FOR EACH ROW EXECUTE FUNCTION writes_always();
CREATE TABLE above_truncate (x text); CREATE TABLE by_truncate () INHERITS (above_truncate);
CREATE TRIGGER t BEFORE TRUNCATE ON by_truncate FOR EACH STATEMENT EXECUTE FUNCTION writes_always();
GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
"#;

/// Bodies that are kept parsed (from Postgres 14 on).
const ATOMIC: &str = "
CREATE FUNCTION atomic(a text) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT =#= a; END;
CREATE FUNCTION atomic_aggregate(a text) RETURNS text LANGUAGE sql BEGIN ATOMIC
  SELECT gathers(x) FROM (VALUES (a)) v (x); END;
";

/// What is harmless, beside it: it reads the protected table to choose rows, or only has a like name.
const HARMLESS: &str = "
CREATE FUNCTION may_see(a text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS
  'SELECT count(*) >= 0 FROM people';
CREATE TABLE notes (x text); ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON notes USING (may_see(x)) WITH CHECK (may_see(x));
CREATE FUNCTION twice(a int) RETURNS int LANGUAGE sql AS 'SELECT 2 * a';
CREATE OPERATOR =##= (rightarg = int, function = twice);
GRANT ALL ON ALL TABLES IN SCHEMA public TO app";

fn closed() -> (World, Raw) {
    let world = World::new();
    world.direct().rows(CODE);
    world.direct().rows(HARMLESS);
    if world.direct().server_major() >= 14 {
        world.direct().rows(ATOMIC);
    }
    let mut client = world.through();
    client.rows("CREATE VIEW later AS SELECT id, email FROM people");
    client.rows("CREATE VIEW \"la\"\"ter\" AS SELECT id, email FROM people");
    world.direct().rows("GRANT ALL ON ALL TABLES IN SCHEMA public TO app");
    (world, client)
}

#[test]
fn a_function_that_writes_a_protected_table_is_found_wherever_it_runs_without_its_name() {
    let (world, mut client) = closed();
    for sql in [
        "SELECT writes('canari@x.example')",
        "SELECT =#= 'canari@x.example'::text",
        "SELECT OPERATOR(public.=#=) 'canari@x.example'::text",
        "SELECT gathers(x) FROM (VALUES ('canari@x.example')) v (x)",
        "SELECT 'canari@x.example'::text::pair",
        "SELECT CAST('canari@x.example' AS U&\"p\\0061ir\")",
        "SELECT 'canari@x.example'::checked",
        "EXPLAIN ANALYZE SELECT 'canari@x.example'::checked",
        "INSERT INTO by_domain VALUES ('canari@x.example')",
        "INSERT INTO by_array VALUES ('{canari@x.example}')",
        "INSERT INTO by_domain_default (y) VALUES (1)",
        "INSERT INTO by_index VALUES ('canari@x.example')",
        "INSERT INTO by_when VALUES ('canari@x.example')",
        "INSERT INTO by_policy VALUES ('canari@x.example')",
        "INSERT INTO by_key VALUES ('canari@x.example')",
        "INSERT INTO by_class VALUES ('canari@x.example')",
        "INSERT INTO by_default (y) VALUES (1)",
        "INSERT INTO by_check VALUES ('canari@x.example')",
        "INSERT INTO by_generation VALUES ('canari@x.example')",
        "COPY by_check FROM STDIN",
        "INSERT INTO by_attribute VALUES (row('canari@x.example'))",
        "SELECT row('canari@x.example')::held",
        "SELECT 1 WHERE 'a'::varchar LIKE 'canari@x.example'::varchar",
        "CREATE INDEX ON plain (shown(x))",
        "CREATE INDEX ON plain (x) WHERE holds(x)",
        "CREATE INDEX ON plain (x more)",
        "ALTER TABLE plain ALTER x TYPE text USING shown(x)",
        "ALTER TABLE plain ADD CHECK (holds(x))",
        "ALTER TABLE plain ADD y text GENERATED ALWAYS AS (shown(x)) STORED",
        "SELECT schema_to_xml('public', true, true, '')",
        "SELECT database_to_xml_and_xmlschema(true, true, '')",
        "SELECT by_operator('canari@x.example')",
        "SELECT by_argument('x')",
        "SELECT by_window('a') OVER () FROM (VALUES (1)) v",
        "SELECT escaped('canari@x.example')",
        "SELECT escaped_text('canari@x.example')",
        "SELECT continued_text('canari@x.example')",
        "SELECT quoted('canari@x.example')",
        "SELECT p.wr FROM plain p",
        "SELECT public.plain.wr FROM plain",
        "SELECT \"p\".U&\"w\\0072\" FROM plain p",
        "SELECT (row('a')::plain).wr",
        "SELECT (p).wr FROM plain p",
        "SELECT s.wr FROM (SELECT * FROM plain) s",
        "WITH s AS (SELECT * FROM plain) SELECT s.wr FROM s",
        "UPDATE plain SET x = plain.wr",
        "DELETE FROM plain WHERE plain.wr IS NULL",
        "INSERT INTO plain VALUES ('a') RETURNING plain.wr",
        "COPY (SELECT p.wr FROM plain p) TO STDOUT",
        "DECLARE c CURSOR WITH HOLD FOR SELECT p.wr FROM plain p",
        "ALTER TABLE plain ADD CHECK (plain.wr IS NOT NULL)",
        "SELECT '(canari@x.example)'::by_domain",
        "SELECT row('canari@x.example')::by_domain",
        "SELECT '{\"(canari@x.example)\"}'::by_domain[]",
        "SELECT json_populate_record(null::by_domain, '{\"x\": \"canari@x.example\"}')",
        "SELECT of_row('(canari@x.example)')",
        "SELECT by_domain('(canari@x.example)')",
        "INSERT INTO by_row (c.x) VALUES ('canari@x.example')",
        "PREPARE p (by_domain) AS SELECT $1",
        "TRUNCATE by_truncate",
        "TRUNCATE plain, above_truncate",
    ] {
        assert_eq!(client.fails(sql).sqlstate(), "0A000", "{sql}");
    }
    let atomic = ["SELECT atomic('canari@x.example')", "SELECT atomic_aggregate('canari@x.example')"];
    let kept_parsed = client.server_major() >= 14;
    for sql in atomic.iter().filter(|_| kept_parsed) {
        assert_eq!(client.fails(sql).sqlstate(), "0A000", "{sql}");
    }
    for name in ["checked", "held", "by_domain", "_checked", "_by_domain"] {
        let oid = &world.direct().rows(&format!("SELECT '{name}'::regtype::oid"))[0][0].clone().unwrap();
        let value = if name.starts_with('_') { "{canari@x.example}" } else { "canari@x.example" };
        for sql in ["SELECT $1", "SELECT $1 FROM people"] {
            let parse = raw::parse("", sql, &[oid.parse().unwrap()]);
            client.send(
                &[parse, raw::bind_text("", "", &[Some(value)], &[]), raw::execute("", 0), raw::sync()]
                    .concat(),
            );
            assert_eq!(client.until_ready()[0].sqlstate(), "0A000", "a parameter of {name}");
        }
    }
    assert_nothing_in_clear(&world);
}

#[test]
fn a_policy_that_only_reads_closes_nothing_and_other_operators_pass() {
    let (_world, mut client) = closed();
    client.rows("INSERT INTO notes VALUES ('x')");
    assert_eq!(client.rows("SELECT x FROM notes"), [[Some("x".to_owned())]]);
    assert_eq!(client.rows("SELECT =##= 21"), [[Some("42".to_owned())]]);
    let other = client.rows("SELECT schema_to_xml('odd', true, true, '') IS NOT NULL");
    assert_eq!(other, [[Some("t".to_owned())]], "nothing protected is in that schema");
    assert_eq!(client.rows("SELECT count(*) FROM by_index"), [[Some("0".to_owned())]], "it may be read");
    for sql in [
        "SELECT by_domain.x FROM by_domain",
        "SELECT plain.x FROM plain, by_domain",
        "SELECT d.x FROM public.by_domain AS d",
        "SELECT k.x FROM by_key k",
        "SELECT by_key.x FROM public.by_key",
        "UPDATE loose SET a = 'b'",
        "DELETE FROM loose",
        "INSERT INTO named VALUES ('a', 'b') ON CONFLICT (x) DO UPDATE SET wr = excluded.wr",
        "SELECT n.wr, named.wr FROM named n, named",
        "TRUNCATE plain",
    ] {
        client.rows(sql);
    }
}

/// It reaches the table on the same server by its name over there.
#[test]
fn a_foreign_table_that_stands_for_a_protected_one_is_not_written() {
    let world = World::new();
    world.direct().rows(
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER here FOREIGN DATA WRAPPER nowhere; \
         CREATE FOREIGN TABLE outside (email text) SERVER here OPTIONS (schema_name 'public', table_name 'people'); \
         CREATE FOREIGN TABLE elsewhere (email text) SERVER here OPTIONS (table_name 'articles'); \
         GRANT ALL ON ALL TABLES IN SCHEMA public TO app",
    );
    let mut client = world.through();
    client.rows("CREATE TABLE settled (x int)");
    assert_eq!(client.fails("INSERT INTO outside VALUES ('canari@x.example')").sqlstate(), "0A000");
    assert_eq!(
        client.fails("INSERT INTO elsewhere VALUES ('x')").sqlstate(),
        "55000",
        "the server's own error"
    );
}

fn assert_nothing_in_clear(world: &World) {
    let found = world.direct().rows("SELECT id FROM people WHERE email LIKE '%canari%'");
    assert!(found.is_empty(), "{found:?}");
}

/// A function, and what runs it, are made while the name says nothing; then one Query gives it a meaning.
#[test]
fn code_that_says_a_name_does_not_run_behind_the_statement_that_gives_it_to_a_protected_table() {
    const MADE: &str = "CREATE FUNCTION writes(a text) RETURNS int LANGUAGE plpgsql AS \
         $$BEGIN INSERT INTO later (id, email) VALUES (9, a); RETURN 1; END$$; \
         CREATE FUNCTION by_trigger() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN PERFORM writes('canari@x.example'); RETURN NEW; END$$; \
         CREATE TABLE guests (x int DEFAULT 1); CREATE TABLE nothing (id int, email text); \
         CREATE VIEW other AS SELECT id, email FROM people; \
         CREATE TRIGGER t BEFORE INSERT ON guests FOR EACH ROW EXECUTE FUNCTION by_trigger(); \
         GRANT ALL ON ALL TABLES IN SCHEMA public TO app; ALTER VIEW other OWNER TO app";
    const NAMES: [&str; 4] = [
        "CREATE VIEW later AS SELECT id, email FROM people",
        "BEGIN; CREATE TABLE later () INHERITS (people)",
        "SAVEPOINT s; CREATE VIEW later AS SELECT id, email FROM people",
        "ALTER VIEW other RENAME TO later",
    ];
    const RUNS: [&str; 5] = [
        "SELECT writes('canari@x.example')",
        "SELECT first_name, writes('canari@x.example') FROM people",
        "INSERT INTO guests VALUES (1)",
        "EXECUTE kept",
        "DO $$BEGIN PERFORM writes('canari@x.example'); END$$",
    ];
    let world = World::new();
    world.people(&["Ana"]);
    world.direct().rows(MADE);
    let mut client = world.through();
    client.rows("CREATE TABLE settled (x int)");
    client.rows("PREPARE kept AS SELECT writes('canari@x.example')");
    for name in NAMES {
        for run in RUNS {
            client.rows("BEGIN");
            let script = format!("{name}; {run}");
            assert_eq!(client.fails(&script).sqlstate(), "0A000", "{script}");
            client.rows("ROLLBACK");
        }
    }
    let here = "CREATE FUNCTION more(a text) RETURNS int LANGUAGE sql AS 'INSERT INTO latest (email) VALUES (a) RETURNING 1'";
    let script = format!(
        "SET check_function_bodies = off; {here}; CREATE VIEW latest AS SELECT id, email FROM people; SELECT more('canari@x.example')"
    );
    assert_eq!(client.fails(&script).sqlstate(), "0A000");
    assert_nothing_in_clear(&world);
    // A name that no function says may be given, and the script goes on.
    client.rows("CREATE VIEW staff AS SELECT id, email FROM people; INSERT INTO nothing VALUES (1, 'x')");
}
