//! Whole files, right and wrong.

use super::*;
use crate::policy::model::{AfterErasure, Declared, Protect, TokenKind, WhenValue};
use std::path::Path;

const EXAMPLE: &str = r#"
[keys]
root  = "file:keys"
store = "file:paravent.keystore"
ledger = "file:/var/lib/paravent.ledger"

[admin]
listen = "127.0.0.1:7400"
tokens = "file:admin.tokens"

[fields]
first_name = "encrypt"
last_name  = "encrypt"
birth_date = { protect = "encrypt", type = "date", erased = 1900-01-01 }
email      = { protect = "pseudonym", kind = "email", normalise = true }
comment    = "encrypt"

[classes.person]
after_erasure = "new"

[[postgres]]
listen   = "127.0.0.1:6432"
upstream = "postgres://paravent:s%40crēt@127.0.0.1:5433/app"

[postgres.tables.people]
subject = "id"
fields  = ["email", "first_name", "last_name", "birth_date"]

[postgres.tables."hr.comments"]
subject = { column = "author_id", class = "client_admin", when = "content_type = auth.user" }
fields  = { body = "comment" }

[[postgres]]
listen = "unix:sock"
upstream = "postgres://paravent@/app?host=/run/pg"
"#;

fn read(text: &str) -> Result<Config, ConfigError> {
    parse(Path::new("/etc/p/paravent.toml"), text, &|_| None)
}

/// What is wrong with a file, as `line: message`.
fn wrong(text: &str) -> Vec<String> {
    let lines = read(text).expect_err("the file should be refused").lines;
    lines
        .iter()
        .map(|l| l.strip_prefix("/etc/p/paravent.toml:").expect("names the file").to_owned())
        .collect()
}

/// The example with one line changed, which must give exactly one problem, there.
fn wrong_line(old: &str, new: &str) -> String {
    assert_eq!(EXAMPLE.matches(old).count(), 1, "{old}");
    let text = EXAMPLE.replace(old, new);
    let line = 1 + EXAMPLE[..EXAMPLE.find(old).unwrap()].matches('\n').count();
    let mut found = wrong(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    let one = found.remove(0);
    one.strip_prefix(&format!("{line}: ")).unwrap_or_else(|| panic!("not at line {line}: {one}")).to_owned()
}

#[test]
fn the_design_s_example_is_read_as_it_says() {
    let config = read(EXAMPLE).unwrap();
    assert_eq!(config.keys.root.file(), Some(Path::new("/etc/p/keys")));
    assert_eq!(config.keys.ledger, Path::new("/var/lib/paravent.ledger"));
    assert_eq!(config.admin.as_ref().unwrap().tokens, Path::new("/etc/p/admin.tokens"));
    let policy = &config.policy;
    let names: Vec<&str> = policy.fields.iter().map(|f| &*f.name).collect();
    assert_eq!(names, ["first_name", "last_name", "birth_date", "email", "comment"]);
    assert_eq!(policy.fields[0].erased.as_deref(), Some(""));
    assert_eq!(policy.fields[2].ty, Declared::Date);
    assert_eq!(policy.fields[2].erased.as_deref(), Some("1900-01-01"));
    let email = Protect::Pseudonym { domain: "email".into(), kind: TokenKind::Email, normalise: true };
    assert_eq!(policy.fields[3].protect, email);
    assert_eq!(policy.classes[0].after_erasure, AfterErasure::New);
    assert_eq!(policy.classes[1].after_erasure, AfterErasure::Refuse);
    let [people, comments] = &policy.postgres[0][..] else { panic!() };
    assert_eq!((&*people.schema, &*people.name, &*people.subject.class), ("public", "people", "person"));
    assert_eq!(people.columns.len(), 4);
    assert_eq!(
        (&*comments.schema, &*comments.name, &*comments.subject.class),
        ("hr", "comments", "client_admin")
    );
    assert_eq!(&*policy.field(comments.columns[0].field).name, "comment");
    let when = comments.subject.when.as_ref().unwrap();
    assert_eq!(when.equals, WhenValue::NaturalKey(vec!["auth".into(), "user".into()]));
    assert!(policy.postgres[1].is_empty());
}

#[test]
fn tables_belong_to_the_postgres_section_above_them() {
    let config = read(EXAMPLE).unwrap();
    assert_eq!(config.postgres.iter().map(|p| p.tables).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(config.policy.postgres[0].len(), 2);
}

#[test]
fn the_upstream_url_is_taken_apart() {
    let config = read(EXAMPLE).unwrap();
    let first = &config.postgres[0].upstream;
    assert_eq!(first.hosts[0], Address::Tcp { host: "127.0.0.1".into(), port: 5433 });
    assert_eq!((first.user.as_str(), first.database.as_str()), ("paravent", "app"));
    assert_eq!(first.password.as_ref().unwrap().reveal(), "s@crēt");
    assert_eq!(first.sslmode, SslMode::Disable);
    let second = &config.postgres[1];
    assert_eq!(second.listen, Listen::Unix("/etc/p/sock".into()));
    assert_eq!(second.upstream.hosts[0].socket().unwrap(), Path::new("/run/pg/.s.PGSQL.5432"));
}

#[test]
fn the_environment_s_password_goes_before_the_url_s() {
    let env = |name: &str| (name == "PARAVENT_UPSTREAM_PASSWORD").then(|| "from-env".to_owned());
    let config = parse(Path::new("p.toml"), EXAMPLE, &env).unwrap();
    for postgres in &config.postgres {
        assert_eq!(postgres.upstream.password.as_ref().unwrap().reveal(), "from-env");
    }
}

#[test]
fn no_password_shows_in_debug_output_or_messages() {
    let config = read(EXAMPLE).unwrap();
    assert!(!format!("{config:?}").contains("s@crēt"));
    let text = EXAMPLE
        .replace("postgres://paravent:", "mysql://paravent:")
        .replace("[admin]\n", "[admin]\ncolour=1\n");
    assert!(!wrong(&text).join("\n").contains("cr"), "{:?}", wrong(&text));
}

#[test]
fn every_problem_is_told_at_once_with_its_line_and_a_suggestion() {
    let text = "[keys]\nrot = \"file:keys\"\n[fields]\nemail = \"pseudonim\"\nname = { protect = \"encrypt\", tipe = \"date\" }\n\
                [[postgres]]\nlisten = \"127.0.0.1\"\nusptream = \"x\"\n[postgres.tables.people]\nsubjct = \"id\"\nfields = [\"nme\"]\n[feilds]\n";
    let found = wrong(text);
    let expected = [
        "1: [keys] needs `root`",
        "2: [keys]: unknown key \"rot\"; did you mean \"root\"?",
        "4: field \"email\": unknown protection \"pseudonim\"; did you mean \"pseudonym\"?",
        "5: field \"name\": unknown key \"tipe\"; did you mean \"type\"?",
        "6: [[postgres]] needs `upstream`",
        "7: [[postgres]]: listen: expected \"host:port\" or \"unix:/path\"",
        "8: [[postgres]]: unknown key \"usptream\"; did you mean \"upstream\"?",
        "9: table \"people\" needs `subject`: the column with the person's id",
        "10: table \"people\": unknown key \"subjct\"; did you mean \"subject\"?",
        "11: table \"people\": no field \"nme\" in [fields]; did you mean \"name\"?",
        "12: the file: unknown key \"feilds\"; did you mean \"fields\"?",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let found = wrong("[keys]\nroot = \"file:keys\nstore = 1\n");
    assert!(found.iter().any(|l| l.starts_with("2: not TOML")), "{found:?}");
}

#[test]
fn sections_of_later_versions_are_refused_by_name() {
    for section in ["[purposes.hr]\nx = 1", "[retention]", "[breach]"] {
        let found = wrong(&format!("{EXAMPLE}\n{section}\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ends_with("is not in this version"), "{found:?}");
    }
    for (old, new) in [
        ("file:keys", "vault:transit/keys"),
        ("file:keys", "gcp-kms:projects/x"),
        ("file:paravent.keystore", "postgres://keys@h/db"),
        (
            "{ protect = \"pseudonym\", kind = \"email\", normalise = true }",
            "{ protect = \"pseudonym\", was = \"mail\" }",
        ),
        ("{ protect = \"pseudonym\", kind = \"email\", normalise = true }", "{ protect = \"media\" }"),
        ("subject = \"id\"", "subject = \"order_id -> orders.customer_id\""),
    ] {
        let message = wrong_line(old, new);
        assert!(message.contains("not in this version"), "{message}");
    }
}

#[test]
fn a_wrong_value_is_refused_at_its_line() {
    for (old, new, says) in [
        ("\"file:keys\"", "\"keys\"", "\"file:path\""),
        ("\"file:keys\"", "7", "a string, not a number"),
        ("127.0.0.1:7400", "0.0.0.0:7400", "needs `tls`"),
        ("\"date\"", "\"dat\"", "did you mean \"date\"?"),
        ("\"date\"", "\"bigint\"", "does not read as bigint"),
        ("kind = \"email\"", "kind = \"uuid\", type = \"text\"", "a column of type uuid"),
        ("kind = \"email\"", "kind = \"mail\"", "did you mean \"email\"?"),
        ("kind = \"email\", normalise = true", "type = \"integer\"", "must be bigint"),
        ("kind = \"email\", normalise = true", "type = \"date\"", "encrypt the field"),
        ("kind = \"email\"", "kind = \"uuid\"", "only text is normalised"),
        (
            "comment    = \"encrypt\"",
            "comment = { protect = \"encrypt\", kind = \"text\" }",
            "for pseudonyms",
        ),
        ("comment    = \"encrypt\"", "comment = 3", "not a number"),
        ("\"new\"", "\"nwe\"", "did you mean \"new\"?"),
        ("[postgres.tables.people]", "[postgres.tables.\"a.b.c\"]", "no table name"),
        ("[postgres.tables.people]", "[postgres.tables.\"pg_catalog.pg_class\"]", "can't be protected"),
        ("[postgres.tables.people]", "[postgres.tables.\"\"]", "no table name"),
        ("{ body = \"comment\" }", "{ body = \"comment\", author_id = \"comment\" }", "subject column"),
        ("{ body = \"comment\" }", "{ body = \"comment\", content_type = \"comment\" }", "(when)"),
        ("{ body = \"comment\" }", "[]", "fields is empty"),
        ("{ body = \"comment\" }", "\"comment\"", "not a string"),
        ("when = \"content_type = auth.user\"", "when = \"content_type = user\"", "in quotes"),
        ("\"first_name\", \"last_name\"", "\"first_name\", \"first_name\"", "listed twice"),
        (
            "listen = \"unix:sock\"",
            "listen = \"127.0.0.1:6432\"",
            "two [[postgres]] sections listen on 127.0.0.1:6432",
        ),
        ("host=/run/pg", "host=/run/pg&sslmode=prefer", "falls back to clear"),
        ("host=/run/pg", "host=/run/pg&sslmode=allow", "falls back to clear"),
        ("host=/run/pg", "host=/run/pg&sslmod=disable", "did you mean \"sslmode\"?"),
        ("host=/run/pg", "host=/run/pg&sslmode=require", "Unix socket"),
        ("postgres://paravent@/app?host=/run/pg", "postgres://db/app", "no user"),
        ("postgres://paravent@/app?host=/run/pg", "postgres://paravent@/app", "no host"),
        ("postgres://paravent@/app?host=/run/pg", "postgres://p@h:0/app", "from 1 to 65535"),
        ("postgres://paravent@/app?host=/run/pg", "postgres://p%4@h/app", "percent"),
        ("postgres://paravent@/app?host=/run/pg", "postgres://p@a,,b/app", "names no host"),
        (
            "postgres://paravent@/app?host=/run/pg",
            "postgres://p@a/app?target_session_attrs=master",
            "unknown target",
        ),
        (
            "postgres://paravent@/app?host=/run/pg",
            "postgres://p@h/app?sslmode=verify-full",
            "need sslrootcert",
        ),
    ] {
        let message = wrong_line(old, new);
        assert!(message.contains(says), "{new}: {message}");
    }
}

#[test]
fn a_pseudonym_in_a_table_with_a_condition_is_refused() {
    let found = wrong(&EXAMPLE.replace("{ body = \"comment\" }", "{ body = \"comment\", mail = \"email\" }"));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("column \"mail\" holds the pseudonym \"email\""), "{found:?}");
}

#[test]
fn a_schema_without_quotes_is_explained() {
    let message = wrong_line("[postgres.tables.\"hr.comments\"]", "[postgres.tables.hr.comments]");
    assert_eq!(message, "a table of another schema is quoted: [postgres.tables.\"hr.comments\"]");
}

#[test]
fn one_table_under_two_names_is_refused() {
    let message = wrong_line("[postgres.tables.\"hr.comments\"]", "[postgres.tables.\"public.people\"]");
    assert!(message.contains("declared twice"), "{message}");
}

#[test]
fn one_bracket_instead_of_two_is_explained() {
    let found = wrong("[keys]\nroot = \"file:k\"\n[postgres]\nlisten = \"127.0.0.1:1\"\n");
    assert_eq!(found, ["3: postgres is a list: write [[postgres]], with two brackets"]);
}

#[test]
fn tls_towards_clients_is_required_unless_it_is_only_offered() {
    let tls = |more: &str| {
        let tls = format!("listen = \"0.0.0.0:1\"\ntls = {{ cert = \"c\", key = \"k\"{more} }}");
        read(&EXAMPLE.replace("listen = \"unix:sock\"", &tls)).map(|config| config.postgres[1].tls_required)
    };
    assert!(tls("").unwrap() && tls(", mode = \"require\"").unwrap() && !tls(", mode = \"offer\"").unwrap());
    for (more, expected) in [
        (", mode = \"prefer\"", "not \"prefer\""),
        (", mode = \"offer\", client_ca = \"ca\"", "keep nobody out"),
    ] {
        let error = tls(more).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn verifiers_come_from_a_file_or_from_the_server() {
    let verifiers = |text: &str| {
        let text = format!("listen = \"unix:sock\"\nverifiers = \"{text}\"");
        read(&EXAMPLE.replace("listen = \"unix:sock\"", &text))
            .map(|config| config.postgres[1].verifiers.clone())
    };
    assert_eq!(verifiers("file:roles").unwrap(), Some(Verifiers::File("/etc/p/roles".into())));
    assert_eq!(verifiers("pg_authid").unwrap(), Some(Verifiers::Server));
    assert!(verifiers("roles").is_err() && verifiers("file:").is_err());
}

#[test]
fn tls_on_one_leg_is_taken() {
    let text = EXAMPLE.replace(
        "listen = \"unix:sock\"",
        "listen = \"0.0.0.0:1\"\ntls = { cert = \"c.pem\", key = \"/k.pem\", client_ca = \"ca.pem\" }",
    );
    let tls = read(&text).unwrap().postgres[1].tls.clone().unwrap();
    assert_eq!(
        tls,
        TlsFiles {
            cert: "/etc/p/c.pem".into(),
            key: "/k.pem".into(),
            client_ca: Some("/etc/p/ca.pem".into())
        }
    );
    let text = EXAMPLE.replace("@/app?host=/run/pg", "@h/app?sslmode=verify-full&sslrootcert=ca.pem");
    let upstream = read(&text).unwrap().postgres[1].upstream.clone();
    assert_eq!((upstream.sslmode, upstream.sslrootcert), (SslMode::VerifyFull, Some("/etc/p/ca.pem".into())));
}

#[test]
fn an_admin_listener_with_tls_may_be_public() {
    let text = EXAMPLE.replace(
        "listen = \"127.0.0.1:7400\"",
        "listen = \"0.0.0.0:7400\"\ntls = { cert = \"c\", key = \"k\" }",
    );
    assert!(read(&text).unwrap().admin.unwrap().tls.is_some());
}

#[test]
fn limits_have_defaults_and_bounds() {
    assert_eq!(read(EXAMPLE).unwrap().limits, Limits::default());
    let with = |line: &str| format!("{EXAMPLE}\n[limits]\n{line}\n");
    let limits = read(&with("connections = 7\ndrain_seconds = 0")).unwrap().limits;
    assert_eq!((limits.connections, limits.drain), (7, Duration::ZERO));
    assert!(wrong(&with("connections = 0"))[0].contains("from 1 to 1000000"));
    assert!(wrong(&with("conections = 1"))[0].contains("did you mean \"connections\"?"));
}

#[test]
fn fields_of_one_domain_have_one_kind() {
    let two = "{ protect = \"pseudonym\", kind = \"text\", domain = \"email\" }";
    let text = EXAMPLE.replace("comment    = \"encrypt\"", &format!("comment = \"encrypt\"\nother = {two}"));
    let found = wrong(&text);
    assert!(found[0].contains("share the domain \"email\""), "{found:?}");
}

#[test]
fn two_field_names_with_one_tag_are_refused() {
    let mut seen = std::collections::HashMap::new();
    let (a, b) = (0..1_000_000u32)
        .find_map(|n| {
            let tag = crate::policy::field_tag(&format!("f{n}")).0;
            seen.insert(tag, n).map(|other| (other, n))
        })
        .expect("four bytes collide long before a million names");
    let found = wrong(&EXAMPLE.replace(
        "comment    = \"encrypt\"",
        &format!("comment = \"encrypt\"\nf{a} = \"encrypt\"\nf{b} = \"encrypt\""),
    ));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("share a field tag"), "{found:?}");
}

#[test]
fn the_hash_names_what_a_policy_means_not_how_it_is_laid_out() {
    let hash = |text: &str| crate::policy::hash(&read(text).unwrap().policy);
    let same = EXAMPLE.replace("[fields]", "# a comment\n[fields]").replace(
        "[\"email\", \"first_name\", \"last_name\", \"birth_date\"]",
        "[\"birth_date\", \"first_name\", \"last_name\", \"email\"]",
    );
    assert_eq!(hash(EXAMPLE), hash(&same));
    for (old, new) in [
        ("\"new\"", "\"refuse\""),
        ("type = \"date\"", "type = \"text\""),
        ("normalise = true", "normalise = false"),
        ("subject = \"id\"", "subject = \"person_id\""),
        ("auth.user", "auth.group"),
        (", \"birth_date\"]", "]"),
        ("[postgres.tables.people]", "[postgres.tables.persons]"),
    ] {
        assert_ne!(hash(EXAMPLE), hash(&EXAMPLE.replace(old, new)), "{new}");
    }
}

#[test]
fn a_policy_alone_can_be_read_for_tests() {
    let policy = policy_only(
        "[fields]\nname = \"encrypt\"\n[[postgres]]\n[postgres.tables.people]\nsubject = \"id\"\nfields = [\"name\"]\n",
    )
    .unwrap();
    assert_eq!(policy.postgres[0][0].columns.len(), 1);
    assert!(policy_only("[feilds]\n").is_err());
}

#[test]
fn a_file_that_is_not_there_is_said_so() {
    let error = load(Path::new("/nonexistent/p.toml"), &|_| None).unwrap_err();
    assert!(error.to_string().starts_with("/nonexistent/p.toml: can't be read"), "{error}");
}

#[test]
fn rotations_come_by_themselves_and_as_gently_as_it_says() {
    let keys = |line: &str| {
        read(&EXAMPLE.replace("root  = \"file:keys\"", &format!("root = \"file:keys\"\n{line}")))
            .map(|config| config.keys)
    };
    let days = |n: u64| Some(Duration::from_secs(n * 86_400));
    let usual = keys("").unwrap();
    assert_eq!((usual.rotate_every, usual.rotate_pause), (days(30), 0));
    assert_eq!(keys("rotate_every = \"7d\"").unwrap().rotate_every, days(7));
    assert_eq!(keys("rotate_every = \"never\"").unwrap().rotate_every, None);
    assert_eq!(keys("rotate_pause = 9").unwrap().rotate_pause, 9);
    for wrong in ["rotate_every = \"30\"", "rotate_every = \"0d\"", "rotate_every = 30", "rotate_pause = 101"]
    {
        assert!(keys(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_becomes_of_values_outside_of_their_rows_is_refuse_or_allow() {
    use crate::policy::model::Bind;
    let of = |bind: &str| {
        let text = EXAMPLE.replacen("subject = \"id\"", &format!("subject = \"id\"\n{bind}"), 1);
        read(&text).map(|config| config.policy.postgres[0][0].bind).map_err(|e| e.to_string())
    };
    assert_eq!(of(""), Ok(Bind::Allow));
    assert_eq!(of("bind = \"allow\""), Ok(Bind::Allow));
    assert_eq!(of("bind = \"refuse\""), Ok(Bind::Refuse));
    let message = of("bind = \"refused\"").unwrap_err();
    assert!(
        message.contains("unknown bind \"refused\": did you mean \"refuse\"?") || message.contains("refuse"),
        "{message}"
    );
}
