//! TLS on each leg: required or offered, whom each end trusts, certificates of clients and of the gateway, TLS at once.

use crate::support::gateway::{Home, Setup};
use crate::support::postgres::{Options, PASSWORD};
use crate::support::psql::{run as psql, said, text};
use crate::support::tls::{Authority, Identity};
use crate::support::{Gateway, Postgres, Raw, eventually, raw, row};
use crate::versions;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

/// Files beside the configuration; keys are their owner's alone.
fn put(home: &Home, name: &str, text: &str) {
    fs::write(home.path(name), text).unwrap();
    fs::set_permissions(home.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

fn identity(home: &Home, name: &str, identity: &Identity) {
    put(home, &format!("{name}.crt"), &identity.cert);
    put(home, &format!("{name}.key"), &identity.key);
}

/// In front of a server without TLS, with a certificate and these words in `tls`.
pub fn secured(pg: &Postgres, authority: &Authority, more: &str) -> Gateway {
    let mut home = Home::new(Setup::new(pg));
    home.setup.postgres = format!("tls = {{ cert = \"gw.crt\", key = \"gw.key\"{more} }}\n");
    home.setup.tables.clear();
    home.write();
    identity(&home, "gw", &authority.issue());
    put(&home, "ca.crt", &authority.cert);
    Gateway::at(home)
}

fn words(gateway: &Gateway, more: &str) -> String {
    format!("host=localhost hostaddr=127.0.0.1 port={} {more}", gateway.port())
}

#[test]
fn tls_that_is_required_keeps_others_out_and_tls_that_is_offered_does_not() {
    let (pg, authority) = (Postgres::start(), Authority::new());
    for (mode, in_clear) in [("", false), (", mode = \"require\"", false), (", mode = \"offer\"", true)] {
        let gateway = secured(&pg, &authority, mode);
        assert_eq!(text(&psql(&words(&gateway, "sslmode=require"), "", "SELECT 'in'")), "in", "{mode}");
        let clear = psql(&words(&gateway, "sslmode=disable"), "", "SELECT 'in'");
        assert_eq!(clear.status.success(), in_clear, "{mode}: {}", said(&clear));
        assert!(in_clear || said(&clear).contains("TLS connections only"), "{}", said(&clear));
    }
}

#[test]
fn a_listener_with_client_ca_wants_a_certificate_that_it_signed() {
    let (pg, authority) = (Postgres::start(), Authority::new());
    let gateway = secured(&pg, &authority, ", client_ca = \"ca.crt\"");
    identity(&gateway.home, "client", &authority.issue_for(&["client"]));
    identity(&gateway.home, "stranger", &Authority::new().issue_for(&["client"]));
    let with = |name: &str| {
        let path = |end: &str| gateway.home.path(&format!("{name}.{end}")).display().to_string();
        words(&gateway, &format!("sslmode=require sslcert={} sslkey={}", path("crt"), path("key")))
    };
    assert_eq!(text(&psql(&with("client"), "", "SELECT 'in'")), "in");
    assert!(!psql(&with("stranger"), "", "SELECT 'in'").status.success());
    assert!(!psql(&words(&gateway, "sslmode=require sslcert=/nowhere"), "", "SELECT 'in'").status.success());
}

#[test]
fn a_client_that_begins_with_tls_at_once_names_the_protocol() {
    let (pg, authority) = (Postgres::start(), Authority::new());
    let gateway = secured(&pg, &authority, "");
    let mut client = Raw::dial(gateway.port()).secure_at_once(&authority, &[b"postgresql"]);
    client.start(&[("user", "app"), ("database", "app")]);
    assert_eq!(client.rows("SELECT 'in'"), [row(["in"])]);
    for alpn in [&[][..], &[&b"http/1.1"[..]]] {
        let mut other = Raw::dial(gateway.port()).secure_at_once(&authority, alpn);
        other.try_send(&raw::startup(196_608, &[("user", "app"), ("database", "app")])).ok();
        assert!(other.until_closed().is_empty(), "{alpn:?}");
    }
}

/// A server with TLS and passwords; the gateway's own login has one.
fn server(options: Options) -> (Postgres, Arc<Authority>, Setup) {
    let authority = Arc::new(Authority::new());
    let pg = Postgres::with(&Options { scram: true, tls: Some(Arc::clone(&authority)), ..options });
    let mut setup = Setup::new(&pg);
    setup.tables.clear();
    setup.env.push(("PARAVENT_UPSTREAM_PASSWORD".to_owned(), PASSWORD.to_owned()));
    (pg, authority, setup)
}

fn towards(pg: &Postgres, parameters: &str) -> String {
    format!("postgres://paravent@localhost:{}/app?{parameters}", pg.port())
}

fn superuser(pg: &Postgres) -> Raw {
    let mut client = Raw::dial_unix(&pg.socket_dir().join(format!(".s.PGSQL.{}", pg.port())));
    client.start(&[("user", "postgres"), ("database", "app")]);
    client
}

#[test]
fn verify_full_looks_at_the_name_and_verify_ca_at_the_signature_alone() {
    let (pg, authority, setup) = server(Options::default());
    let other = authority.issue_for(&["db.example"]);
    fs::write(pg.data().join("server.key"), other.key).unwrap();
    fs::write(pg.data().join("server.crt"), other.cert).unwrap();
    superuser(&pg).rows("SELECT pg_reload_conf()");
    for (mode, lets_in) in [("require", true), ("verify-ca", true), ("verify-full", false)] {
        let mut home = Home::new(setup.clone());
        put(&home, "ca.crt", &authority.cert);
        let root = if mode == "require" { "" } else { "&sslrootcert=ca.crt" };
        home.setup.upstream = towards(&pg, &format!("sslmode={mode}{root}"));
        home.write();
        let gateway = Gateway::at(home);
        let out = psql(&words(&gateway, "sslmode=disable"), PASSWORD, "SELECT 'in'");
        assert_eq!(out.status.success(), lets_in, "{mode}: {}", said(&out));
    }
}

#[test]
fn a_server_that_wants_the_gateway_s_certificate_is_shown_it() {
    let (pg, authority, setup) = server(Options::default());
    let data = pg.data();
    fs::write(data.join("root.crt"), &authority.cert).unwrap();
    fs::set_permissions(data.join("root.crt"), fs::Permissions::from_mode(0o644)).unwrap();
    let hba = "local all postgres trust\nhostssl all all all scram-sha-256 clientcert=verify-ca\n";
    fs::write(data.join("pg_hba.conf"), hba).unwrap();
    let mut root = superuser(&pg);
    root.rows("ALTER SYSTEM SET ssl_ca_file = 'root.crt'");
    root.rows("SELECT pg_reload_conf()");
    for (shown, lets_in) in [("&sslcert=own.crt&sslkey=own.key", true), ("", false)] {
        let mut home = Home::new(setup.clone());
        put(&home, "ca.crt", &authority.cert);
        identity(&home, "own", &authority.issue_for(&["paravent"]));
        home.setup.upstream = towards(&pg, &format!("sslmode=verify-full&sslrootcert=ca.crt{shown}"));
        home.write();
        let gateway = Gateway::at(home);
        let ask = || psql(&words(&gateway, "sslmode=disable"), PASSWORD, "SELECT 'in'");
        if lets_in {
            let out = eventually("the server knows its new root", || {
                Some(ask()).filter(|out| out.status.success())
            });
            assert_eq!(text(&out), "in");
        } else {
            assert!(!ask().status.success());
        }
    }
}

#[test]
fn the_server_is_spoken_to_in_tls_at_once_where_it_can() {
    for (bin, lets_in) in [(Some(versions::eighteen()), true), (None, false)] {
        let (pg, authority, setup) = server(Options { bin, ..Options::default() });
        let mut home = Home::new(setup);
        put(&home, "ca.crt", &authority.cert);
        home.setup.upstream = towards(&pg, "sslmode=verify-full&sslrootcert=ca.crt&sslnegotiation=direct");
        home.write();
        let gateway = Gateway::at(home);
        let out = psql(&words(&gateway, "sslmode=disable"), PASSWORD, "SELECT 'in'");
        assert_eq!(out.status.success(), lets_in, "{}", said(&out));
    }
}
