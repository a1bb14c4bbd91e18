//! What drivers, ORMs and tools read in the catalog: the declared types, with the guard and without it, and none of the guard's
//! objects. Compared with a clear copy.

use super::guard::guarded;
use crate::support::canary::assert_absent;
use crate::support::{Raw, World, postgres, raw, row};
use std::process::Command;

const QUERIES: &[&str] = &[
    "SELECT * FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN ('people', 'comments') ORDER BY table_name, ordinal_position",
    "SELECT column_name, data_type, character_maximum_length, udt_name, domain_name FROM information_schema.columns \
     WHERE table_name = 'people' AND data_type = 'date' ORDER BY ordinal_position",
    "SELECT information_schema.columns.column_name FROM information_schema.columns WHERE udt_name = 'numeric' AND table_schema = 'public'",
    // As Django does it.
    "SELECT a.attname AS column_name, NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)) AS is_nullable, \
     pg_get_expr(ad.adbin, ad.adrelid) AS column_default, CASE WHEN collname = 'default' THEN NULL ELSE collname END AS collation \
     FROM pg_attribute a LEFT JOIN pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum \
     LEFT JOIN pg_collation co ON a.attcollation = co.oid JOIN pg_type t ON a.atttypid = t.oid JOIN pg_class c ON a.attrelid = c.oid \
     JOIN pg_namespace n ON c.relnamespace = n.oid WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v') AND c.relname = 'people' \
     AND n.nspname NOT IN ('pg_catalog', 'pg_toast') AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY a.attnum",
    // As SQLAlchemy does it.
    "SELECT pg_catalog.pg_attribute.attname AS name, pg_catalog.format_type(pg_catalog.pg_attribute.atttypid, pg_catalog.pg_attribute.atttypmod) AS format_type, \
     pg_catalog.pg_attribute.attnotnull AS not_null, pg_catalog.pg_class.relname AS table_name FROM pg_catalog.pg_class \
     LEFT OUTER JOIN pg_catalog.pg_attribute ON pg_catalog.pg_class.oid = pg_catalog.pg_attribute.attrelid AND pg_catalog.pg_attribute.attnum > 0 \
     AND NOT pg_catalog.pg_attribute.attisdropped JOIN pg_catalog.pg_namespace ON pg_catalog.pg_namespace.oid = pg_catalog.pg_class.relnamespace \
     WHERE pg_catalog.pg_class.relkind = ANY (ARRAY['r', 'p', 'f', 'v', 'm']) AND pg_catalog.pg_table_is_visible(pg_catalog.pg_class.oid) \
     AND pg_catalog.pg_namespace.nspname != 'pg_catalog' ORDER BY pg_catalog.pg_class.relname, pg_catalog.pg_attribute.attnum",
    // As JDBC does it.
    "SELECT * FROM (SELECT n.nspname,c.relname,a.attname,t.typname,a.attnotnull OR (t.typtype = 'd' AND t.typnotnull) AS attnotnull,a.atttypmod,a.attlen,t.typtypmod,\
     row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum) AS attnum, nullif(a.attidentity, '') as attidentity,nullif(a.attgenerated, '') as attgenerated,\
     pg_catalog.pg_get_expr(def.adbin, def.adrelid) AS adsrc,dsc.description,t.typbasetype,t.typtype FROM pg_catalog.pg_namespace n \
     JOIN pg_catalog.pg_class c ON (c.relnamespace = n.oid) JOIN pg_catalog.pg_attribute a ON (a.attrelid=c.oid) JOIN pg_catalog.pg_type t ON (a.atttypid = t.oid) \
     LEFT JOIN pg_catalog.pg_attrdef def ON (a.attrelid=def.adrelid AND a.attnum = def.adnum) LEFT JOIN pg_catalog.pg_description dsc ON (c.oid=dsc.objoid AND a.attnum = dsc.objsubid) \
     WHERE c.relkind in ('r','p','v','f','m') and a.attnum > 0 AND NOT a.attisdropped AND n.nspname LIKE 'public') c WHERE true ORDER BY nspname,c.relname,attnum",
    "SELECT attname, attlen, attbyval, attalign, attstorage, attcollation FROM pg_attribute WHERE attrelid = 'people'::regclass ORDER BY attnum",
    "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1",
    "SELECT count(*) FROM pg_type WHERE typtype = 'd'",
    "SELECT schema_name FROM information_schema.schemata ORDER BY 1",
    "SELECT domain_schema, domain_name FROM information_schema.domains ORDER BY 1, 2",
    "SELECT attname FROM pg_attribute NATURAL JOIN (VALUES ('people'::regclass::oid)) v(attrelid) WHERE attnum = 6",
    "SELECT x.atttypid::regtype FROM (SELECT * FROM ONLY pg_attribute) x WHERE x.attrelid = 'depts'::regclass AND x.attnum = 1",
    "SELECT \"column_name\" FROM \"information_schema\".\"columns\" \"c\" WHERE c.nonsense = 1",
];

fn compare(world: &World) {
    let (mut clear, mut through) = (world.clear(), world.through());
    let mut different = Vec::new();
    for sql in QUERIES {
        let answers = |client: &mut Raw| -> Vec<String> {
            let database = |line: String| line.replace("\"clear\"", "\"app\"");
            let same = |m: &crate::support::Message| matches!(m.tag, b'D' | b'C' | b'E');
            client.query(sql).iter().filter(|m| same(m)).map(|m| database(m.line())).collect()
        };
        let (expected, seen) = (answers(&mut clear), answers(&mut through));
        if expected != seen {
            let only = |these: &[String], others: &[String]| {
                these.iter().filter(|l| !others.contains(l)).cloned().collect::<Vec<_>>().join("\n    ")
            };
            different.push(format!(
                "{sql}\n  direct: {}\n  through: {}",
                only(&expected, &seen),
                only(&seen, &expected)
            ));
        }
        if sql.contains("nonsense") {
            assert!(expected.iter().any(|l| l.contains("42703")));
        } else {
            assert!(expected.len() > 1, "{sql}");
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn the_catalog_shows_the_declared_types() {
    compare(&World::new());
}

#[test]
fn the_catalog_shows_the_declared_types_of_guarded_columns_and_no_guard() {
    compare(&guarded(World::new()));
}

/// Ways to ask, other than a query by itself: what is sent in turn, with the query in place of `{q}`.
const WAYS: [&[&str]; 5] = [
    &["BEGIN", "DECLARE c CURSOR FOR {q}", "FETCH 3 FROM c", "FETCH ALL FROM c", "COMMIT"],
    &["PREPARE p AS {q}", "EXECUTE p", "EXECUTE p", "DEALLOCATE p"],
    &["COPY ({q}) TO STDOUT", "COPY ({q}) TO STDOUT (FORMAT csv, HEADER)"],
    &["SELECT 1; {q}; SELECT 2", "SET application_name = 'x'; {q}"],
    &["BEGIN; {q}; COMMIT"],
];

/// All that is answered, and by Parse and Execute too where that may be.
fn asked(client: &mut Raw, way: &[&str], query: &str, extended: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for step in way {
        let sql = step.replace("{q}", query);
        let answers = if extended {
            client.send(&raw::extended(&sql));
            client.until_ready()
        } else {
            client.query(&sql)
        };
        let kept = |m: &&crate::support::Message| matches!(m.tag, b'D' | b'd' | b'C' | b'E');
        lines.extend(answers.iter().filter(kept).map(|m| m.line().replace("\"clear\"", "\"app\"")));
    }
    lines
}

#[test]
fn cursors_prepared_statements_copies_and_scripts_show_the_declared_types_too() {
    for world in [World::new(), guarded(World::new())] {
        let (mut clear, mut through) = (world.clear(), world.through());
        for query in [
            "SELECT column_name, data_type, character_maximum_length FROM information_schema.columns WHERE table_name = 'people' ORDER BY ordinal_position",
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = 'people'::regclass AND a.attnum > 0 ORDER BY a.attnum",
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1",
        ] {
            for way in WAYS {
                for extended in [false, true] {
                    if extended && way.iter().any(|step| step.contains("; ")) {
                        continue;
                    }
                    let expected = asked(&mut clear, way, query, extended);
                    assert!(expected.len() > way.len(), "{way:?}: {query}");
                    assert_eq!(asked(&mut through, way, query, extended), expected, "{way:?}: {query}");
                }
            }
        }
    }
}

#[test]
fn a_cursor_on_the_catalog_takes_the_place_of_one_on_a_protected_table() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut client = world.through();
    client.rows("BEGIN");
    client.rows("DECLARE c CURSOR FOR SELECT last_name FROM people");
    assert_eq!(client.rows("FETCH c"), [row(["Last-Ana"])]);
    client.rows("CLOSE c");
    for name in ["birth_date", "salary"] {
        client.rows(&format!(
            "DECLARE c CURSOR FOR SELECT attname, attnum FROM pg_attribute WHERE attrelid = 'people'::regclass AND attname = '{name}'"
        ));
        assert_eq!(client.rows("FETCH c")[0][0].as_deref(), Some(name));
        client.rows("CLOSE c");
    }
    client.rows("COMMIT");
}

#[test]
fn a_prepared_query_of_the_catalog_keeps_its_parameters_types() {
    let world = World::new();
    let mut client = world.through();
    let prepare = "PREPARE p(regclass, name) AS SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1 AND attname = $2";
    client.rows(prepare);
    assert_eq!(client.rows("EXECUTE p('peo' || 'ple', 'birth_date')"), [row(["date"])]);
    client.rows("DEALLOCATE p");
    assert_eq!(client.fails("EXECUTE p('people', 'birth_date')").sqlstate(), "26000");
}

#[test]
fn an_error_in_a_script_tells_its_place_in_the_clients_text() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    let sql = "SELECT 1 FROM pg_attribute; SELECT 'é', nonsense FROM pg_attribute";
    let place = |client: &mut Raw| client.fails(sql).fields().get(&'P').cloned();
    assert!(place(&mut clear).is_some());
    assert_eq!(place(&mut through), place(&mut clear));
}

#[test]
fn parameters_and_views_work_in_queries_of_the_catalog() {
    let world = guarded(World::new());
    let mut client = world.through();
    let sql = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = $1::regclass AND attname = $2";
    let answers = super::guard::bound(&mut client, sql, &[Some("people"), Some("salary")]);
    let rows: Vec<_> = answers.iter().filter(|m| m.tag == b'D').map(|m| m.texts()).collect();
    assert_eq!(rows, [row(["numeric(10,2)"])]);
    let mut view = world.through();
    view.rows("CREATE VIEW staff AS SELECT id, birth_date, last_name FROM people");
    let types = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'staff'::regclass ORDER BY attnum";
    assert_eq!(view.rows(types), [row(["integer"]), row(["date"]), row(["character varying(150)"])]);
}

fn tool(name: &str, port: u16, database: &str, args: &[&str], input: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("input.sql");
    std::fs::write(&file, input).unwrap();
    let out = Command::new(postgres::program(name))
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "app", "-d", database])
        .args(args)
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{name}: {error}");
    String::from_utf8(out.stdout).unwrap() + &error
}

#[test]
fn psql_describes_tables_as_those_of_a_clear_copy() {
    let world = guarded(World::new());
    let script = "\\d people\n\\d+ people\n\\d comments\n\\dt\n\\dn\n\\dT\n\\dD *.*\n\\d\n";
    let clear = tool("psql", world.pg.port(), "clear", &["-X"], script);
    let through = tool("psql", world.gateway.port(), "app", &["-X"], script);
    assert!(clear.contains("character varying(150)") && clear.contains("numeric(10,2)"), "{clear}");
    assert_eq!(through, clear);
}

/// Without what is new with each dump.
fn dump(port: u16, database: &str) -> Vec<String> {
    let text = tool("pg_dump", port, database, &[], "");
    let lines = text.lines().filter(|l| !l.starts_with("\\restrict") && !l.starts_with("\\unrestrict"));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_dump_restores_as_declared_elsewhere_and_protected_through_the_gateway() {
    let world = guarded(World::new());
    let canary = "Canary-3141";
    for mut client in [world.clear(), world.through()] {
        client.rows(&format!(
            "INSERT INTO people (id, email, first_name, birth_date, seen_at, salary, active, profile) VALUES \
             (1, '{canary}@x.example', '{canary}', '1912-06-23', '2020-01-02 03:04:05+00', 12.50, true, '{{\"a\": \"{canary}\"}}')"
        ));
    }
    let clear = dump(world.pg.port(), "clear");
    let through = dump(world.gateway.port(), "app");
    assert_eq!(through, clear, "the dump is that of a clear copy");
    let text = through.join("\n");
    world.direct().rows("CREATE DATABASE plain OWNER app");
    tool("psql", world.pg.port(), "plain", &["-X", "-q", "-v", "ON_ERROR_STOP=1"], &text);
    assert_eq!(dump(world.pg.port(), "plain"), clear);
    // Into an empty database behind the gateway, without the guard and with it.
    world.direct().rows("CREATE DATABASE again OWNER app");
    tool("psql", world.gateway.port(), "again", &["-X", "-q", "-v", "ON_ERROR_STOP=1"], &text);
    assert_absent(
        "the restored database",
        world.pg.dump("again").as_bytes(),
        &[canary.as_bytes(), b"1912-06-23"],
    );
    assert_eq!(dump(world.gateway.port(), "again"), clear);
    let mut client = world.through();
    client.rows("DROP TABLE comments, people, depts, logins");
    tool("psql", world.gateway.port(), "app", &["-X", "-q", "-v", "ON_ERROR_STOP=1"], &text);
    let mut direct = world.direct();
    assert_eq!(
        direct.rows("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'people'::regclass AND attname = 'birth_date'"),
        [row(["paravent.date"])],
        "a column that is made with the guard in place is guarded at once"
    );
    assert_eq!(dump(world.gateway.port(), "app"), clear);
}

#[test]
fn values_are_held_to_the_declared_types() {
    let world = guarded(World::new());
    let (mut clear, mut through) = (world.clear(), world.through());
    for (column, value, code) in [
        ("last_name", "x".repeat(151), "22001"),
        ("nick", "x".repeat(21), "22001"),
        ("age", "2147483648".into(), "22003"),
        ("salary", "123456789.00".into(), "22003"),
        ("birth_date", "no date".into(), "22007"),
        ("birth_date", "2020-02-30".into(), "22008"),
        ("badge", "no uuid".into(), "22P02"),
        ("active", "perhaps".into(), "22P02"),
        ("profile", "{".into(), "22P02"),
    ] {
        let sql = format!("INSERT INTO people (id, email, {column}) VALUES (1, 'a@x.example', '{value}')");
        assert_eq!(clear.fails(&sql).sqlstate(), code, "{column}");
        assert_eq!(through.fails(&sql).sqlstate(), code, "{column}");
    }
}
