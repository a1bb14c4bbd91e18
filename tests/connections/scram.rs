//! SCRAM with TLS on both legs: one certificate, or an end at the gateway.

use crate::support::canary::assert_absent;
use crate::support::gateway::{Home, Setup};
use crate::support::postgres::{Options, PASSWORD};
use crate::support::psql::{run as psql, said, text};
use crate::support::tls::Authority;
use crate::support::{Gateway, Message, Postgres, Raw, eventually, raw};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

const TABLES: &str = "[postgres.tables.people]\nsubject = \"id\"\nfields = [\"first_name\"]\n";
const SEEN: &str = "CREATE TABLE people (id integer PRIMARY KEY, first_name text); \
                    INSERT INTO people (id, first_name) VALUES (1, 'Zoé'); SELECT first_name FROM people";

/// A server with passwords and TLS.
struct Secured {
    pg: Postgres,
    authority: Arc<Authority>,
}

impl Secured {
    fn new() -> Self {
        let authority = Arc::new(Authority::new());
        let tls = Some(Arc::clone(&authority));
        let pg = Postgres::with(&Options { scram: true, tls, ..Options::default() });
        Self { pg, authority }
    }

    /// The superuser, past every password.
    fn superuser(&self) -> Raw {
        let socket = self.pg.socket_dir().join(format!(".s.PGSQL.{}", self.pg.port()));
        let mut client = Raw::dial_unix(&socket);
        client.start(&[("user", "postgres"), ("database", "app")]);
        client
    }

    fn verifier(&self, role: &str) -> String {
        let sql = format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{role}'");
        self.superuser().rows(&sql)[0][0].clone().unwrap()
    }

    /// A gateway's directory, with TLS on both legs and these lines for its listener. Its certificate is the server's own
    /// where `same`.
    fn home(&self, same: bool, lines: &str) -> Home {
        let mut setup = Setup::new(&self.pg);
        TABLES.clone_into(&mut setup.tables);
        setup.env.push(("PARAVENT_UPSTREAM_PASSWORD".to_owned(), PASSWORD.to_owned()));
        let mut home = Home::new(setup);
        let (cert, key) = if same {
            let read = |name| fs::read_to_string(self.pg.data().join(name)).unwrap();
            (read("server.crt"), read("server.key"))
        } else {
            let identity = self.authority.issue();
            (identity.cert, identity.key)
        };
        for (name, text) in [("gw.crt", cert), ("gw.key", key), ("ca.crt", self.authority.cert.clone())] {
            fs::write(home.path(name), text).unwrap();
        }
        home.setup.upstream = format!(
            "postgres://paravent@localhost:{}/app?sslmode=verify-full&sslrootcert=ca.crt",
            self.pg.port()
        );
        home.setup.postgres = format!("tls = {{ cert = \"gw.crt\", key = \"gw.key\" }}\n{lines}\n");
        home.write();
        home
    }

    /// The same with a file of verifiers, of the role `app` as it is now.
    fn with_file(&self) -> Home {
        let home = self.home(false, "verifiers = \"file:roles\"");
        write_roles(&home, &format!("app {}\n", self.verifier("app")));
        home
    }
}

fn write_roles(home: &Home, text: &str) {
    fs::write(home.path("roles"), text).unwrap();
    fs::set_permissions(home.path("roles"), fs::Permissions::from_mode(0o600)).unwrap();
}

fn words(gateway: &Gateway, more: &str) -> String {
    let ca = gateway.home.path("ca.crt");
    format!(
        "host=localhost hostaddr=127.0.0.1 port={} sslmode=verify-full sslrootcert={} {more}",
        gateway.port(),
        ca.display()
    )
}

/// What a client is told who comes to nothing, without where it tried.
fn told(out: &std::process::Output) -> String {
    assert!(!out.status.success());
    said(out).rsplit("FATAL:").next().unwrap().trim().to_owned()
}

#[test]
fn one_certificate_on_both_legs_binds_both_ends_to_one_channel() {
    let server = Secured::new();
    let gateway = Gateway::at(server.home(true, ""));
    for binding in ["require", "prefer", "disable"] {
        let words = words(&gateway, &format!("channel_binding={binding}"));
        assert_eq!(text(&psql(&words, PASSWORD, "SELECT 'in'")), "in", "{binding}");
        let refused = psql(&words, "not this", "SELECT 1");
        assert_eq!(told(&refused), "password authentication failed for user \"app\"");
    }
    assert!(text(&psql(&words(&gateway, ""), PASSWORD, SEEN)).ends_with("Zoé"));
}

#[test]
fn a_certificate_that_is_no_longer_the_server_s_lets_nobody_in() {
    let server = Secured::new();
    let gateway = Gateway::at(server.home(true, ""));
    assert_eq!(text(&psql(&words(&gateway, ""), PASSWORD, "SELECT 'in'")), "in");
    let other = server.authority.issue();
    fs::write(server.pg.data().join("server.key"), other.key).unwrap();
    fs::write(server.pg.data().join("server.crt"), other.cert).unwrap();
    server.superuser().rows("SELECT pg_reload_conf()");
    let said = eventually("the server shows its new certificate", || {
        let out = psql(&words(&gateway, ""), PASSWORD, "SELECT 1");
        (!out.status.success()).then(|| told(&out))
    });
    assert!(
        said.contains("TLS on both legs needs one certificate") && said.contains("tls-both-legs"),
        "{said}"
    );
}

#[test]
fn scram_ends_here_and_the_key_that_it_gives_away_logs_in() {
    let server = Secured::new();
    let gateway = Gateway::at(server.with_file());
    for binding in ["require", "prefer", "disable"] {
        let words = words(&gateway, &format!("channel_binding={binding}"));
        let who = "SELECT current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        assert_eq!(text(&psql(&words, PASSWORD, who)), "app|t", "{binding}");
    }
    assert!(text(&psql(&words(&gateway, ""), PASSWORD, SEEN)).ends_with("Zoé"));
    let stored = server.superuser().rows("SELECT first_name FROM people");
    assert!(stored[0][0].as_ref().unwrap().starts_with("pv1."), "{stored:?}");
    // Whoever fails is told what the server would tell.
    let direct = format!("host=127.0.0.1 port={} sslmode=require", server.pg.port());
    for (user, password, database) in
        [("app", "not this", "app"), ("nobody", PASSWORD, "app"), ("app", PASSWORD, "nowhere")]
    {
        let who = format!("user={user} dbname={database}");
        let through = told(&psql(&format!("{} {who}", words(&gateway, "")), password, "SELECT 1"));
        assert_eq!(through, told(&psql(&format!("{direct} {who}"), password, "SELECT 1")));
    }
    let verifier = server.verifier("app");
    let keys: Vec<&[u8]> = verifier.split(['$', ':']).skip(3).map(str::as_bytes).collect();
    assert_eq!(keys.len(), 2);
    assert_absent("the gateway's log", &gateway.log(), &keys);
    assert_absent("the gateway's log", &gateway.log(), &[PASSWORD.as_bytes()]);
}

#[test]
fn verifiers_are_read_from_the_server_where_the_gateway_may() {
    let server = Secured::new();
    let gateway = Gateway::at(server.home(false, "verifiers = \"pg_authid\""));
    let words = words(&gateway, "channel_binding=require");
    // This role may read everything in the tests, pg_authid too.
    server.superuser().rows("REVOKE pg_read_all_data FROM paravent");
    let refused = told(&psql(&words, PASSWORD, "SELECT 1"));
    assert!(refused.contains("the verifiers can't be read"), "{refused}");
    server.superuser().rows("GRANT SELECT ON pg_authid TO paravent");
    assert_eq!(text(&psql(&words, PASSWORD, "SELECT current_user")), "app");
    server.superuser().rows("ALTER ROLE app PASSWORD 'another one'");
    assert_eq!(told(&psql(&words, PASSWORD, "SELECT 1")), "password authentication failed for user \"app\"");
    assert_eq!(text(&psql(&words, "another one", "SELECT current_user")), "app");
    server.superuser().rows("ALTER ROLE app PASSWORD 'past' VALID UNTIL '2001-01-01'");
    assert_eq!(told(&psql(&words, "past", "SELECT 1")), "password authentication failed for user \"app\"");
}

#[test]
fn a_verifier_of_an_older_password_lets_nobody_in() {
    let server = Secured::new();
    let gateway = Gateway::at(server.with_file());
    server.superuser().rows("ALTER ROLE app PASSWORD 'another one'");
    for password in [PASSWORD, "another one"] {
        let refused = psql(&words(&gateway, ""), password, "SELECT 1");
        assert_eq!(told(&refused), "password authentication failed for user \"app\"");
    }
    assert!(String::from_utf8_lossy(&gateway.log()).contains("the verifier is not that of the server"));
    write_roles(&gateway.home, &format!("app {}\n", server.verifier("app")));
    assert_eq!(text(&psql(&words(&gateway, ""), "another one", "SELECT current_user")), "app");
}

#[test]
fn a_file_of_verifiers_that_others_may_read_is_refused_at_start() {
    let server = Secured::new();
    let home = server.with_file();
    fs::set_permissions(home.path("roles"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, said) = home.refused();
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("chmod 600"), "{said}");
}

#[test]
fn a_role_that_the_server_asks_for_anything_else_is_refused_with_the_reason() {
    let server = Secured::new();
    let gateway = Gateway::at(server.with_file());
    let verifier = server.verifier("app");
    for (method, asked) in [("md5", "md5"), ("password", "password"), ("trust", "nothing")] {
        if method == "md5" {
            server.superuser().rows("SET password_encryption = 'md5'");
            server.superuser().rows(
                "UPDATE pg_authid SET rolpassword = 'md5' || md5('x' || rolname) WHERE rolname = 'app'",
            );
        }
        let hba = format!(
            "local all postgres trust\nhost all paravent all scram-sha-256\nhost all all all {method}\n"
        );
        fs::write(server.pg.data().join("pg_hba.conf"), hba).unwrap();
        server.superuser().rows("SELECT pg_reload_conf()");
        eventually("the server asks by its new rules", || {
            let out = psql(&words(&gateway, ""), PASSWORD, "SELECT 1");
            let said = told(&out);
            (said.contains(&format!("asks this role for {asked}")) && said.contains("SCRAM-SHA-256 alone"))
                .then_some(())
        });
    }
    server
        .superuser()
        .rows(&format!("UPDATE pg_authid SET rolpassword = '{verifier}' WHERE rolname = 'app'"));
}

/// A client on TLS, up to the offer.
fn offered(gateway: &Gateway, authority: &Authority, user: &str) -> (Raw, Message) {
    let mut client = Raw::dial(gateway.port()).secure(authority);
    client.send(&raw::startup(196_608, &[("user", user), ("database", "app")]));
    let offer = client.read().unwrap();
    (client, offer)
}

fn initial(mechanism: &str, message: &str) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    raw::other(b'p', &[mechanism.as_bytes(), &[0], &length, message.as_bytes()].concat())
}

#[test]
fn everybody_is_asked_alike_whether_known_or_not() {
    let server = Secured::new();
    server.superuser().rows("CREATE ROLE without_line LOGIN PASSWORD 'x'");
    server.superuser().rows("CREATE ROLE without_password LOGIN");
    let gateway = Gateway::at(server.with_file());
    for user in ["app", "without_line", "without_password", "nobody"] {
        let asked: Vec<String> = (0..2)
            .map(|_| {
                let (mut client, offer) = offered(&gateway, &server.authority, user);
                assert_eq!(offer.body, b"\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0", "{user}");
                client.send(&initial("SCRAM-SHA-256", "n,,n=,r=abcdefgh"));
                let challenge = client.read().unwrap();
                assert_eq!((challenge.tag, &challenge.body[..4]), (b'R', &[0, 0, 0, 11][..]), "{user}");
                let text = String::from_utf8(challenge.body[4..].to_vec()).unwrap();
                let nonce = text.strip_prefix("r=abcdefgh").unwrap().split(',').next().unwrap().to_owned();
                assert_eq!(nonce.len(), 24);
                let proof = format!("c=biws,r=abcdefgh{nonce},p={}=", "A".repeat(43));
                client.send(&raw::other(b'p', proof.as_bytes()));
                let error = client.until_closed().pop().unwrap();
                assert_eq!(error.sqlstate(), "28P01");
                let expected = format!("password authentication failed for user \"{user}\"");
                assert_eq!(error.fields()[&'M'], expected);
                assert!(!error.fields().contains_key(&'H'));
                text.replace(&nonce, "")
            })
            .collect();
        assert_eq!(asked[0], asked[1], "a salt that changes tells that there is no such role: {user}");
        assert!(asked[0].contains(",s=") && asked[0].ends_with(",i=4096"), "{asked:?}");
    }
}

#[test]
fn who_is_in_between_is_found_out() {
    let server = Secured::new();
    let gateway = Gateway::at(server.with_file());
    for (mechanism, message, code) in [
        // The client could bind, and was told that the server can't.
        ("SCRAM-SHA-256", "y,,n=,r=abcdefgh", "28000"),
        ("SCRAM-SHA-256-PLUS", "p=tls-unique,,n=,r=abcdefgh", "08P01"),
        ("SCRAM-SHA-256", "n,a=postgres,n=,r=abcdefgh", "0A000"),
        ("SCRAM-SHA-1", "n,,n=,r=abcdefgh", "08P01"),
        ("SCRAM-SHA-256", "", "08P01"),
    ] {
        let (mut client, _) = offered(&gateway, &server.authority, "app");
        client.send(&initial(mechanism, message));
        assert_eq!(client.until_closed().pop().unwrap().sqlstate(), code, "{mechanism} {message}");
    }
    // Bound to another channel.
    let (mut client, _) = offered(&gateway, &server.authority, "app");
    client.send(&initial("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abcdefgh"));
    let challenge = String::from_utf8(client.read().unwrap().body[4..].to_vec()).unwrap();
    let nonce = challenge.split(',').next().unwrap();
    let bound = "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let proof = format!("c={bound},{nonce},p={}=", "A".repeat(43));
    client.send(&raw::other(b'p', proof.as_bytes()));
    assert_eq!(client.until_closed().pop().unwrap().sqlstate(), "28000");
}

#[test]
fn a_client_that_never_proves_itself_reaches_no_session() {
    let server = Secured::new();
    let gateway = Gateway::at(server.with_file());
    for bytes in [raw::query("SELECT 1"), raw::sync(), raw::other(b'p', b""), raw::other(b'p', &[0; 300_000])]
    {
        let (mut client, _) = offered(&gateway, &server.authority, "app");
        // It may hang up before it has read a message that is too long.
        client.try_send(&bytes).ok();
        let answers = client.until_closed();
        assert!(answers.iter().all(|m| m.tag == b'E'), "{answers:?}");
    }
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND state IS NOT NULL";
    assert_eq!(server.superuser().rows(sessions), [[Some("0".to_owned())]]);
}
