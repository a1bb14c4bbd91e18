//! `psql`, and with it libpq: passwords, TLS and sockets as most clients do them.

use crate::support::gateway::Setup;
use crate::support::postgres::{Options, PASSWORD};
use crate::support::psql::{run as psql, text};
use crate::support::tls::Authority;
use crate::support::{Gateway, Postgres, Raw, direct, gateway::Home, raw};
use std::sync::Arc;

/// A server with passwords; the gateway's own login has one too.
fn with_passwords(tls: Option<Arc<Authority>>) -> (Postgres, Setup) {
    let pg = Postgres::with(&Options { scram: true, tls, ..Options::default() });
    let mut setup = Setup::new(&pg);
    setup.env.push(("PARAVENT_UPSTREAM_PASSWORD".to_owned(), PASSWORD.to_owned()));
    (pg, setup)
}

/// Puts a certificate for the gateway's listener beside its configuration.
fn with_listener_tls(authority: &Authority, setup: Setup) -> Home {
    let mut home = Home::new(setup);
    home.setup.postgres.push_str("tls = { cert = \"gw.crt\", key = \"gw.key\" }\n");
    home.write();
    let identity = authority.issue();
    std::fs::write(home.path("gw.crt"), identity.cert).unwrap();
    std::fs::write(home.path("gw.key"), identity.key).unwrap();
    home
}

const SEEN: &str = "CREATE TABLE people (id integer PRIMARY KEY, email text, first_name text, last_name text); \
                    INSERT INTO people (id, first_name) VALUES (1, 'Zoé'); SELECT first_name FROM people";
const TABLES: &str = "[postgres.tables.people]\nsubject = \"id\"\nfields = [\"first_name\"]\n";

#[test]
fn passes_scram_through_in_clear() {
    let (pg, mut setup) = with_passwords(None);
    TABLES.clone_into(&mut setup.tables);
    let gateway = Gateway::with(setup);
    let words = format!("host=127.0.0.1 port={} sslmode=disable", gateway.port());
    assert!(text(&psql(&words, PASSWORD, SEEN)).ends_with("Zoé"));
    let wrong = psql(&words, "not this", "SELECT 1");
    assert!(!wrong.status.success());
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("password authentication failed for user \"app\"")
    );
    drop(pg);
}

#[test]
fn passes_scram_through_with_tls_towards_the_client() {
    let authority = Authority::new();
    let (_pg, mut setup) = with_passwords(None);
    TABLES.clone_into(&mut setup.tables);
    let gateway = Gateway::at(with_listener_tls(&authority, setup));
    let ca = gateway.home.path("ca.crt");
    std::fs::write(&ca, &authority.cert).unwrap();
    // `prefer` would silently try again in clear and hide a failure.
    for mode in ["require".to_owned(), format!("verify-full sslrootcert={}", ca.display())] {
        let words = format!("host=localhost hostaddr=127.0.0.1 port={} sslmode={mode}", gateway.port());
        assert_eq!(text(&psql(&words, PASSWORD, "SELECT 'in'")), "in");
        assert!(!psql(&words, "wrong", "SELECT 1").status.success());
    }
}

#[test]
fn passes_scram_through_with_tls_towards_the_server() {
    let authority = Arc::new(Authority::new());
    let (pg, mut setup) = with_passwords(Some(Arc::clone(&authority)));
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.crt");
    std::fs::write(&ca, &authority.cert).unwrap();
    TABLES.clone_into(&mut setup.tables);
    setup.upstream = format!(
        "postgres://paravent@localhost:{}/app?sslmode=verify-full&sslrootcert={}",
        pg.port(),
        ca.display()
    );
    let gateway = Gateway::with(setup);
    let words = format!("host=127.0.0.1 port={} sslmode=disable", gateway.port());
    assert!(text(&psql(&words, PASSWORD, SEEN)).ends_with("Zoé"));
    let secure = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(text(&psql(&words, PASSWORD, secure)), "t", "the leg to the server has TLS");
    assert!(!psql(&words, "wrong", "SELECT 1").status.success());
}

#[test]
fn refuses_to_trust_a_server_of_another_authority() {
    let authority = Arc::new(Authority::new());
    let (pg, mut setup) = with_passwords(Some(authority));
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.crt");
    std::fs::write(&ca, Authority::new().cert).unwrap();
    setup.upstream = format!(
        "postgres://paravent@localhost:{}/app?sslmode=verify-full&sslrootcert={}",
        pg.port(),
        ca.display()
    );
    let gateway = Gateway::with(setup);
    let mut client = Raw::dial(gateway.port());
    client.send(&raw::startup(196_608, &[("user", "app"), ("database", "app")]));
    assert_eq!(client.until_closed().last().expect("one clear line").sqlstate(), "08006");
}

#[test]
fn refuses_two_certificates_at_start() {
    let authority = Arc::new(Authority::new());
    let (pg, mut setup) = with_passwords(Some(Arc::clone(&authority)));
    setup.upstream = format!("postgres://paravent@localhost:{}/app?sslmode=require", pg.port());
    let home = with_listener_tls(&authority, setup);
    let (code, said) = home.refused();
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("tls-both-legs"), "it says why: {said}");
}

#[test]
fn serves_a_raw_client_over_tls() {
    let authority = Authority::new();
    let pg = Postgres::start();
    let mut setup = Setup::new(&pg);
    TABLES.clone_into(&mut setup.tables);
    let gateway = Gateway::at(with_listener_tls(&authority, setup));
    let mut client = Raw::dial(gateway.port()).secure(&authority);
    client.start(&[("user", "app"), ("database", "app")]);
    let rows: Vec<_> = SEEN.split("; ").map(|sql| client.rows(sql)).collect();
    assert_eq!(rows[2], [[Some("Zoé".to_owned())]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn speaks_over_unix_sockets_on_both_legs() {
    let pg = Postgres::start();
    let dir = tempfile::tempdir().unwrap();
    let listen = dir.path().join(".s.PGSQL.6432");
    let mut setup = Setup::new(&pg);
    TABLES.clone_into(&mut setup.tables);
    setup.listen = format!("unix:{}", listen.display());
    setup.upstream = format!("postgres://paravent@:{}/app?host={}", pg.port(), pg.socket_dir().display());
    let gateway = Gateway::with(setup);
    assert_eq!(gateway.address(), format!("unix:{}", listen.display()));
    let words = format!("host={} port=6432", dir.path().display());
    assert!(text(&psql(&words, "", SEEN)).ends_with("Zoé"));
    let address = "SELECT inet_server_addr() IS NULL";
    assert_eq!(text(&psql(&words, "", address)), "t", "the leg to the server is a socket");
    let stored: String =
        direct(&pg).await.query_one("SELECT first_name FROM people", &[]).await.unwrap().get(0);
    assert!(stored.starts_with("pv1."));
    let mut raw = Raw::dial_unix(&listen);
    raw.send(&raw::ssl_request());
    assert_eq!(raw.byte(), Some(b'N'), "no TLS on a socket");
    raw.start(&[("user", "app"), ("database", "app")]);
    assert_eq!(raw.rows("SELECT first_name FROM people"), [[Some("Zoé".to_owned())]]);
}
