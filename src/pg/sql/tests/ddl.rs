//! DDL, statements that hide others, transactions and settings.

use super::world::world;
use crate::pg::plan::Verdict;
use crate::pg::sql::StatementKind;

#[test]
fn a_table_that_can_hold_its_fields_may_be_created() {
    let world = world();
    for sql in [
        "CREATE TABLE future (id serial PRIMARY KEY, email varchar(30) UNIQUE NOT NULL, birth_date bytea, last_name text DEFAULT '')",
        "CREATE TABLE future (id int, age int CHECK (age > 3), email text REFERENCES people (email), CHECK (email IS NOT NULL))",
        "CREATE TEMP TABLE unrelated (birth_date date)",
        "CREATE TABLE elsewhere.future (birth_date date)",
        "ALTER TABLE people ALTER COLUMN last_name TYPE varchar(300)",
        "ALTER TABLE people ADD CONSTRAINT u UNIQUE (email)",
        "ALTER TABLE contacts ADD FOREIGN KEY (email) REFERENCES people (email)",
        "ALTER TABLE articles ADD FOREIGN KEY (author_id) REFERENCES people",
        "ALTER TABLE people ALTER id TYPE bigint, ALTER id TYPE text",
        "CREATE TABLE future AS SELECT id, email, last_name FROM people",
        "CREATE TABLE future (id, last_name, job) AS SELECT id, last_name, job FROM people",
        "CREATE TABLE x AS SELECT id, job FROM people",
        "ALTER TABLE people ALTER last_name DROP DEFAULT, ALTER job SET DEFAULT 'x'",
        "ALTER TABLE people RENAME COLUMN job TO work",
        "CREATE INDEX i ON people (email varchar_pattern_ops)",
        "CREATE INDEX i ON people (job) WHERE email IS NOT NULL",
        "CREATE TRIGGER t BEFORE UPDATE ON people FOR EACH ROW WHEN (new.job = 'x') EXECUTE FUNCTION f()",
    ] {
        assert!(matches!(world.verdict(sql), Verdict::Pass), "{sql}: {:?}", world.verdict(sql));
    }
}

#[test]
fn the_declared_type_stands_for_what_it_is_stored_as() {
    let world = world();
    for (sql, sent) in [
        (
            "CREATE TABLE future (id int, birth_date date NOT NULL, email text)",
            "CREATE TABLE future (id int, birth_date bytea NOT NULL, email text)",
        ),
        (
            "ALTER TABLE people ADD COLUMN IF NOT EXISTS birth_date pg_catalog.date",
            "ALTER TABLE people ADD COLUMN IF NOT EXISTS birth_date bytea",
        ),
        (
            "CREATE TABLE future (label varchar(30), birth_date date)",
            "CREATE TABLE future (label varchar(30), birth_date bytea)",
        ),
    ] {
        assert_eq!(world.run(sql).sql, sent);
    }
}

#[test]
fn ddl_under_which_values_would_be_unprotected_is_refused() {
    let world = world();
    for (sql, anchor) in [
        ("CREATE TABLE future (id int, birth_date timestamp)", "ddl-type"),
        ("CREATE TABLE future (id int, birth_date date[])", "ddl-type"),
        ("CREATE TABLE IF NOT EXISTS public.future (id int, email char(20))", "ddl-type"),
        ("CREATE TABLE future (id int, last_name text DEFAULT 'x')", "ddl-default"),
        ("CREATE TABLE future (id int, email text CHECK (email LIKE '%@%'))", "token-operator"),
        ("CREATE TABLE future (id int, email text, CHECK (email <> 'x'))", "ddl-check"),
        ("CREATE TABLE future (id int, last_name text UNIQUE)", "encrypted-operator"),
        (
            "CREATE TABLE future (last_name text, l text GENERATED ALWAYS AS (lower(last_name)) STORED)",
            "encrypted-operator",
        ),
        ("CREATE TABLE future (id int, email text) PARTITION BY HASH (email)", "hierarchy"),
        ("CREATE TABLE future (id int, email text) PARTITION BY LIST ((email::text))", "hierarchy"),
        ("CREATE TABLE future (id int, email text) PARTITION BY LIST (lower(email))", "token-operator"),
        ("CREATE TABLE future (LIKE people)", "ddl-type"),
        ("CREATE TABLE future AS SELECT 1 AS id, 'x' AS email", "create-table-as"),
        ("CREATE TABLE future AS SELECT id, job AS email FROM people", "create-table-as"),
        ("CREATE TABLE future AS SELECT id, email, last_name AS name FROM people", "create-table-as"),
        ("CREATE TABLE future AS SELECT email FROM people", "create-table-as"),
        ("CREATE TABLE future AS SELECT id, last_name AS email FROM people", "create-table-as"),
        ("CREATE TABLE future (email, id) AS SELECT id, email FROM people", "create-table-as"),
        ("CREATE TABLE future AS SELECT p.id, o.email FROM people p, people o", "create-table-as"),
        ("CREATE TEMP TABLE x AS SELECT id, email FROM people", "create-table-as"),
        ("SELECT id, email INTO x FROM people", "select-into"),
        ("SELECT id, email INTO TEMP x FROM people", "select-into"),
        ("SELECT job AS email INTO future FROM people", "select-into"),
        ("CREATE MATERIALIZED VIEW future AS SELECT id FROM people", "create-table-as"),
        ("CREATE TABLE x (mail text REFERENCES people (email))", "ddl-foreign"),
        ("CREATE TABLE x (mail text, FOREIGN KEY (mail) REFERENCES people (email))", "ddl-foreign"),
        (
            "ALTER TABLE articles ADD CONSTRAINT f FOREIGN KEY (title) REFERENCES people (email)",
            "ddl-foreign",
        ),
        ("ALTER TABLE people ADD FOREIGN KEY (email) REFERENCES articles (title)", "ddl-foreign"),
        ("ALTER TABLE people ADD FOREIGN KEY (badge) REFERENCES contacts (email)", "ddl-foreign"),
        ("ALTER TABLE people ALTER id TYPE text USING 'x' || id", "subject-change"),
        ("ALTER TABLE people ALTER id TYPE varchar(3)", "subject-change"),
        ("ALTER TABLE people ALTER birth_date TYPE date", "ddl-type"),
        ("ALTER TABLE people ALTER last_name TYPE varchar(9) USING last_name::varchar(9)", "ddl-type"),
        ("ALTER TABLE people ALTER last_name SET DEFAULT 'x'", "ddl-default"),
        ("ALTER TABLE people RENAME TO persons", "ddl-rename"),
        ("ALTER TABLE people RENAME email TO mail", "ddl-rename"),
        ("ALTER TABLE people SET SCHEMA hr", "ddl-rename"),
        ("ALTER TABLE articles RENAME TO people", "ddl-rename"),
        ("CREATE INDEX i ON people (upper(email))", "token-operator"),
        ("CREATE UNIQUE INDEX i ON people (last_name)", "encrypted-operator"),
        ("CREATE POLICY p ON people USING (email = 'x')", "ddl-check"),
        (
            "CREATE TRIGGER t BEFORE UPDATE ON people FOR EACH ROW WHEN (new.email = 'x') EXECUTE FUNCTION f()",
            "ddl-check",
        ),
        ("CREATE VIEW v AS SELECT upper(last_name) FROM people", "encrypted-operator"),
        ("CREATE VIEW v AS SELECT id FROM people WHERE email = 'a@x.example'", "view"),
        ("CREATE TABLE x AS SELECT last_name FROM people", "create-table-as"),
        ("CREATE MATERIALIZED VIEW x AS SELECT max(last_name) FROM people", "encrypted-operator"),
        ("CREATE RULE r AS ON INSERT TO people DO NOTHING", "rules"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'select 1 from people'", "function"),
        ("DO $$ begin delete from people; end $$", "dynamic-sql"),
        ("CALL touch_people()", "function"),
        ("COPY people FROM STDIN WHERE last_name = 'x'", "copy"),
        ("COPY people FROM '/tmp/x'", "copy-file"),
        ("COPY people TO PROGRAM 'cat'", "copy-file"),
        ("COPY (SELECT * FROM people) TO '/tmp/x'", "copy-file"),
        ("COPY (DELETE FROM people RETURNING last_name) TO STDOUT", "copy"),
        ("COPY (SELECT last_name FROM people WHERE email = $1) TO STDOUT", "copy"),
        ("COPY people (email, email) FROM STDIN", "copy"),
        ("COPY people FROM STDIN (ON_ERROR ignore)", "copy-option"),
        ("COPY people FROM STDIN (DELIMITER 'ab')", "copy-option"),
        ("COPY people FROM STDIN (FORMAT csv, FORMAT csv)", "copy-option"),
        ("COPY people FROM STDIN (FORMAT binary, HEADER)", "copy-option"),
        ("COPY people FROM STDIN (QUOTE 'x')", "copy-option"),
        ("COPY parted FROM STDIN", "hierarchy"),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.last_name := ''x''; RETURN NEW; END'",
            "trigger-assigns",
        ),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF true THEN new.\"email\" = 'x'; END IF; RETURN NEW; END $$",
            "trigger-assigns",
        ),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SELECT 'x' INTO NEW.body; RETURN NEW; END $$",
            "trigger-assigns",
        ),
        (
            "CREATE TRIGGER t BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION Sets_Names()",
            "trigger-assigns",
        ),
        ("DECLARE c BINARY CURSOR FOR SELECT * FROM people", "cursor"),
        ("DECLARE c CURSOR FOR SELECT upper(last_name) FROM people", "encrypted-operator"),
        ("CREATE FOREIGN TABLE future (id int) SERVER s", "unknown-construct"),
    ] {
        // A CREATE FOREIGN TABLE names its table where none of ours may stand.
        assert_eq!(world.refusal(sql).anchor, anchor, "{sql}");
    }
}

#[test]
fn settings_that_change_how_texts_read_are_refused() {
    let world = world();
    for (sql, anchor) in [
        ("SET standard_conforming_strings = off", "standard-conforming-strings"),
        ("SELECT set_config('standard_conforming_strings', 'off', false)", "standard-conforming-strings"),
        ("SET client_encoding TO 'SJIS'", "encoding"),
        ("SET NAMES 'euc_jp'", "encoding"),
        ("SELECT pg_catalog.set_config('client_encoding', $1, false)", "encoding"),
    ] {
        assert_eq!(world.refusal(sql).anchor, anchor, "{sql}");
    }
    for sql in [
        "SET client_encoding = 'UTF-8'",
        "SET NAMES 'latin1'",
        "RESET client_encoding",
        "SET standard_conforming_strings = on",
        "SET timezone = 'UTC'",
    ] {
        assert!(matches!(world.verdict(sql), Verdict::Pass), "{sql}");
    }
}

#[test]
fn tells_what_statements_do_to_transactions_and_settings() {
    use StatementKind as K;
    let script = "BEGIN; SAVEPOINT a; ROLLBACK TO a; RELEASE a; COMMIT; ROLLBACK; PREPARE TRANSACTION 'x'; \
                  SET bytea_output = escape; RESET bytea_output; RESET ALL; CREATE TABLE t (a int); SELECT 1";
    let kinds: Vec<_> = world().script(script, &[]).unwrap().into_iter().map(|p| p.kind).collect();
    let a = || "a".into();
    assert_eq!(
        kinds,
        [
            K::Begin,
            K::Savepoint(a()),
            K::RollbackTo(a()),
            K::Release(a()),
            K::Commit,
            K::Rollback,
            K::PrepareTransaction,
            K::SetByteaOutput(Some(true)),
            K::SetByteaOutput(None),
            K::ResetAll,
            K::Ddl,
            K::Other
        ]
    );
}

#[test]
fn each_statement_of_a_script_has_its_own_text_and_positions() {
    let script = "SELECT 'é'; INSERT INTO people (id, last_name) VALUES (1, 'x') ; COMMIT";
    let planned = world().script(script, &[]).unwrap();
    let Verdict::Run(plan) = &planned[1].verdict else { panic!("{planned:?}") };
    assert_eq!(plan.sql.trim(), "INSERT INTO people (id, last_name) VALUES (1, $1)");
    let position = |text: &str, what: &str| {
        u32::try_from(text.chars().count() - text[text.find(what).unwrap()..].chars().count() + 1).unwrap()
    };
    assert_eq!(plan.splices.original(position(&plan.sql, "last_name")), position(script, "last_name"));
}

fn refuses(list: &[(&str, &str)]) {
    let world = world();
    for (sql, anchor) in list {
        assert_eq!(world.refusal(sql).anchor, *anchor, "{sql}");
    }
}

fn passes(list: &[&str]) {
    let world = world();
    for sql in list {
        assert!(matches!(world.verdict(sql), Verdict::Pass), "{sql}: {:?}", world.verdict(sql));
    }
}

#[test]
fn a_schema_of_protected_tables_keeps_its_name() {
    refuses(&[
        ("ALTER SCHEMA hr RENAME TO hr2", "ddl-rename"),
        ("alter schema U&\"publi\\0063\" rename to p", "ddl-rename"),
        ("ALTER SCHEMA other RENAME TO hr", "ddl-rename"),
        ("ALTER TABLE hr.\"Staff\" SET SCHEMA public", "ddl-rename"),
        ("DO $$ begin alter  schema hr rename to x; end $$", "dynamic-sql"),
        ("ALTER INDEX people RENAME TO p2", "ddl-rename"),
        ("ALTER VIEW articles RENAME TO people", "ddl-rename"),
    ]);
    passes(&["ALTER SCHEMA other RENAME TO another", "DROP SCHEMA hr CASCADE"]);
}

#[test]
fn a_name_in_escapes_is_seen_in_a_text_that_runs() {
    refuses(&[
        ("do U&'begin insert into peop\\006ce(last_name) values (''x''); end'", "dynamic-sql"),
        ("do U&'begin insert into peop!006ce(last_name) values (''x''); end' uescape '!'", "dynamic-sql"),
        ("do E'begin insert into peop\\x6ce(last_name) values (\\'x\\'); end'", "dynamic-sql"),
        ("do 'begin insert into peo'\n'ple(last_name) values (''x''); end'", "dynamic-sql"),
        ("do 'begin insert into peo' -- '\n 'ple(last_name) values (''x''); end'", "dynamic-sql"),
        ("do $$ begin insert into U&\"peop\\006ce\"(last_name) values ('x'); end $$", "dynamic-sql"),
        ("do $a$ begin execute E'insert into peop\\x6ce values (1)'; end $a$", "dynamic-sql"),
        ("do 'begin execute E''insert into peop\\x6ce values (1)''; end'", "dynamic-sql"),
        ("select query_to_xml(U&'select * from peop\\006ce where email=''x''',true,false,'')", "dynamic-sql"),
        (
            "select query_to_xml('select email from U&\"peop\\006ce\" where email=''x''',true,false,'')",
            "dynamic-sql",
        ),
        ("create function f() returns int language sql as E'select 1 from peop\\x6ce'", "function"),
        ("create procedure f() language sql as 'delete from peo'\n'ple'", "function"),
    ]);
    passes(&[
        "do $$ begin perform regexp_replace('a', '\\d+', E'\\\\x'); end $$",
        "select E'peop\\x6ce', U&'peop\\006ce', 'it''s U&\"x\"'",
        "insert into articles (title) values (E'peop\\x6ce')",
    ]);
}

#[test]
fn a_block_that_this_grammar_does_not_read_is_not_forwarded() {
    assert_eq!(world().script("DO LANGUAGE $$ x $$ NEW", &[]).unwrap_err().anchor, "syntax");
}

#[test]
fn a_text_that_runs_is_refused_beside_what_the_planner_does_not_know() {
    let world = world();
    let sql = "SELECT json_exists('{}'::jsonb, '$.a'), \
               query_to_xml('select 1 from people where email = ''x''', true, false, '')";
    assert!(matches!(world.verdict(sql), Verdict::Refuse(_)));
}

#[test]
fn no_temporary_relation_stands_before_a_protected_table() {
    refuses(&[
        ("CREATE TEMP TABLE people (id int, last_name text)", "temp-shadow"),
        ("CREATE TABLE pg_temp.people (id int)", "temp-shadow"),
        ("CREATE TEMP TABLE people AS SELECT 1 AS id", "temp-shadow"),
        ("SELECT 1 AS id INTO TEMP people", "temp-shadow"),
        ("SELECT 1 AS id INTO pg_temp.people", "temp-shadow"),
        ("SELECT 1 AS id, 'x' AS email INTO people", "select-into"),
        ("CREATE TEMP VIEW people AS SELECT 1 AS id", "temp-shadow"),
        ("CREATE TEMP SEQUENCE people", "temp-shadow"),
        ("ALTER TABLE pg_temp.x RENAME TO people", "ddl-rename"),
    ]);
    passes(&["CREATE TEMP TABLE other AS SELECT 1 AS people", "SELECT 1 AS people INTO TEMP x"]);
}

#[test]
fn a_hierarchy_is_protected_throughout() {
    refuses(&[
        ("CREATE TABLE child (x int) INHERITS (articles, public.people)", "hierarchy"),
        ("CREATE TABLE child () INHERITS (people, comments)", "hierarchy"),
        ("CREATE TABLE future (id int) INHERITS (articles)", "hierarchy"),
        ("CREATE TABLE future PARTITION OF people FOR VALUES IN (1)", "hierarchy"),
        ("CREATE TABLE child PARTITION OF people (last_name DEFAULT 'x') FOR VALUES IN (1)", "ddl-default"),
        ("CREATE TABLE child PARTITION OF people (CHECK (email <> 'x')) FOR VALUES IN (1)", "ddl-check"),
        ("CREATE TABLE child PARTITION OF people FOR VALUES IN (1) PARTITION BY LIST (email)", "hierarchy"),
        ("CREATE TABLE child (last_name text DEFAULT 'x') INHERITS (people)", "ddl-default"),
        ("ALTER TABLE child INHERIT people", "hierarchy"),
        ("ALTER TABLE people INHERIT articles", "hierarchy"),
        ("ALTER TABLE comments INHERIT people", "hierarchy"),
        ("ALTER TABLE people ATTACH PARTITION x FOR VALUES IN (1)", "hierarchy"),
        ("ALTER TABLE articles ATTACH PARTITION people FOR VALUES IN (1)", "hierarchy"),
    ]);
    passes(&[
        "CREATE TABLE child () INHERITS (people)",
        "CREATE TABLE child PARTITION OF people FOR VALUES IN (1)",
        "CREATE TABLE child PARTITION OF people (job DEFAULT 'x') FOR VALUES IN (1) PARTITION BY LIST (job)",
        "CREATE TABLE future (id int, email text) PARTITION BY RANGE (id, (abs(id)))",
        "ALTER TABLE triggered INHERIT ruled",
        "ALTER TABLE ruled ATTACH PARTITION parted FOR VALUES IN (1)",
        "ALTER TABLE ruled DETACH PARTITION parted",
        "ALTER TABLE child NO INHERIT people",
        "CREATE TABLE child () INHERITS (articles)",
    ]);
    let mut world = world();
    let mut tables = world.tables.clone();
    let child = tables.iter().find(|t| &*t.name == "ruled").cloned().unwrap();
    tables.push(crate::policy::model::Table { name: "child".into(), ..child });
    world.catalog.own = world.tables.len();
    world.catalog.tables = tables.clone().into();
    world.tables = tables;
    for (sql, passes) in [
        ("ALTER TABLE ruled DETACH PARTITION child", false),
        ("ALTER TABLE child NO INHERIT ruled", false),
        ("ALTER TABLE child RENAME TO other", true),
        ("ALTER TABLE child SET SCHEMA hr", true),
        ("ALTER TABLE ruled RENAME TO other", false),
        ("DROP TABLE child", true),
    ] {
        match world.verdict(sql) {
            Verdict::Pass => assert!(passes, "{sql}"),
            Verdict::Refuse(r) => assert!(!passes, "{sql}: {r:?}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn a_condition_or_conversion_in_the_schema_holds_no_protected_value() {
    refuses(&[
        (
            "CREATE TRIGGER t AFTER UPDATE ON people FOR EACH ROW WHEN (old.email <> 'x') EXECUTE FUNCTION f()",
            "ddl-check",
        ),
        ("ALTER TABLE people ALTER job TYPE text USING email", "unknown-construct"),
        ("ALTER TABLE people ALTER job TYPE text USING CASE WHEN email = 'x' THEN job END", "ddl-check"),
    ]);
    passes(&["ALTER TABLE people ALTER job TYPE varchar(9) USING trim(job)"]);
}

#[test]
fn a_table_that_writes_a_protected_one_can_be_read_but_not_written() {
    refuses(&[
        ("INSERT INTO copied (title) VALUES ('x')", "trigger"),
        ("INSERT INTO copied DEFAULT VALUES", "trigger"),
        ("UPDATE copied SET title = $1", "trigger"),
        ("DELETE FROM copied", "trigger"),
        (
            "WITH w AS (INSERT INTO public.copied (title) VALUES ('x') RETURNING id) SELECT * FROM w",
            "trigger",
        ),
        ("COPY copied FROM STDIN", "trigger"),
        ("MERGE INTO copied USING articles a ON a.id = copied.id WHEN MATCHED THEN DELETE", "trigger"),
    ]);
    passes(&[
        "SELECT title FROM copied",
        "INSERT INTO articles (title) SELECT title FROM copied",
        "COPY copied TO STDOUT",
    ]);
}

#[test]
fn a_text_that_this_grammar_does_not_read_passes_where_it_names_nothing_protected() {
    let world = world();
    for sql in [
        "drop function ();",
        "SELECT U&'wrong: \\061'",
        "SELECT E'wrong: \\udb99xy'",
        "CREATE OPERATOR => (leftarg = int8, procedure = factorial)",
        "CREATE PUBLICATION p FOR TABLES IN SCHEMA foo, test.foo",
        "CREATE TRIGGER t BEFORE INSERT OF a ON main_table FOR EACH ROW EXECUTE PROCEDURE f('x')",
        "SELEC names FROM x",
    ] {
        let planned = world.script(sql, &[]).unwrap_or_else(|r| panic!("{sql}: {r:?}"));
        assert!(matches!(planned[0].verdict, Verdict::Pass), "{sql}");
    }
    for sql in [
        "SELEC 1 FROM people",
        "SELEC 1 FROM U&\"peop\\006ce\"",
        "SELEC 1 FROM U&\"pe\\006fple\\wrong\"",
        "SELEC query_to_xml(E'select 1 from peop\\x6ce')",
        "SELEC query_to_xml(E'select \\udb99 1 from peop\\154e')",
        "SELEC query_to_xml(U&'wrong \\061 peop\\006ce')",
        "SELEC query_to_xml(U&'wrong \\061 peop\\+00006ce')",
        "SELEC query_to_xml(E'\\udb99 peo'\n  'ple')",
        "SELEC U&'wrong: +0061' UESCAPE '+'",
        "SELEC 1; SET NAMES 'latin1'",
        "SELEC 1; SET client_encoding = 'latin1'",
        "SELEC 1; do 'x'",
        "ALTER SCHEMA public RENAM TO x",
    ] {
        assert_eq!(world.script(sql, &[]).unwrap_err().anchor, "syntax", "{sql}");
    }
    // An identifier with escapes is the name that it spells.
    assert!(matches!(
        world.verdict("SELECT U&\"real\\00A7_name\" FROM (SELECT 1) AS x(real_name)"),
        Verdict::Pass
    ));
    assert!(matches!(
        world.verdict("SELECT last_name FROM U&\"peop\\006ce\""),
        Verdict::Run(_) | Verdict::Refuse(_)
    ));
}

#[test]
fn a_default_in_clear_that_was_set_past_the_gateway_closes_what_would_use_it() {
    let mut world = world();
    let key = ("public".into(), "people".into());
    let relation = world.catalog.relations.get_mut(&key).map(std::sync::Arc::make_mut).unwrap();
    relation.columns.iter_mut().filter(|c| &*c.name == "last_name").for_each(|c| c.defaults = true);
    for sql in [
        "INSERT INTO people (id, email) VALUES (1, 'x')",
        "INSERT INTO people VALUES (1, 'x')",
        "INSERT INTO people DEFAULT VALUES",
        "INSERT INTO people (id, last_name) VALUES (1, DEFAULT)",
        "INSERT INTO people (id, job) SELECT id, title FROM articles",
        "UPDATE people SET last_name = DEFAULT WHERE id = 1",
        "COPY people (id, email) FROM STDIN",
        "MERGE INTO people USING articles a ON people.id = 1 WHEN NOT MATCHED THEN INSERT (id) VALUES (1)",
    ] {
        assert_eq!(world.refusal(sql).anchor, "ddl-default", "{sql}");
    }
    world.run("INSERT INTO people (id, last_name) VALUES (1, NULL)");
    world.run("UPDATE people SET last_name = 'x' WHERE id = 1");
}

#[test]
fn a_table_that_is_selected_into_needs_no_hidden_column() {
    let world = world();
    for sql in ["SELECT id, email AS email INTO future FROM people", "SELECT id, job INTO x FROM people"] {
        let plan = world.run(sql);
        assert_eq!((plan.sql.as_str(), plan.outputs.len()), (sql, 0));
        assert_eq!(world.script(sql, &[]).unwrap()[0].kind, StatementKind::Ddl);
    }
    assert!(
        world
            .run("CREATE TABLE x AS SELECT id, job FROM people WHERE email = $1")
            .sql
            .ends_with("email = $1")
    );
}
