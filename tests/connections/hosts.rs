//! Several servers behind one listener: which of them a client gets, and what happens when one goes.

use crate::support::gateway::Setup;
use crate::support::postgres::Options;
use crate::support::psql::{run as psql, text};
use crate::support::world::make_tables;
use crate::support::{Gateway, Message, Postgres, Raw, eventually, raw, row};
use std::net::TcpListener;

fn replicated() -> Options {
    let settings = "wal_level = replica\nmax_wal_senders = 4\n".to_owned();
    Options { settings, ..Options::default() }
}

/// A primary with the standard tables, and a standby of it.
struct Pair {
    standby: Postgres,
    primary: Postgres,
}

impl Pair {
    fn new() -> Self {
        let primary = Postgres::with(&replicated());
        make_tables(&primary);
        Self { standby: primary.standby(), primary }
    }

    /// A gateway in front of both, the standby first.
    fn gateway(&self, parameters: &str) -> Gateway {
        gateway(&[self.standby.port(), self.primary.port()], parameters)
    }
}

fn gateway(ports: &[u16], parameters: &str) -> Gateway {
    let hosts: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    Gateway::with(Setup::towards(format!("postgres://paravent@{}/app?{parameters}", hosts.join(","))))
}

fn superuser(pg: &Postgres) -> Raw {
    Raw::connect_as(pg.port(), &[("user", "postgres"), ("database", "app")])
}

/// Until the standby has all that the primary wrote.
fn caught_up(pair: &Pair) {
    let now = superuser(&pair.primary).rows("SELECT pg_current_wal_lsn()")[0][0].clone().unwrap();
    let mut standby = superuser(&pair.standby);
    let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{now}'::pg_lsn");
    eventually("the standby has it all", || (standby.rows(&sql) == [row(["t"])]).then_some(()));
}

/// A first error of a connection that comes to nothing.
fn refused(port: u16) -> Message {
    let mut client = Raw::dial(port);
    client.send(&raw::startup(196_608, &[("user", "app"), ("database", "app")]));
    client.until_closed().pop().expect("one clear line")
}

#[test]
fn writes_go_to_the_primary_and_to_its_successor_and_never_to_a_standby() {
    let pair = Pair::new();
    let gateway = pair.gateway("target_session_attrs=read-write&connect_timeout=5");
    let mut client = Raw::connect(gateway.port(), "app");
    assert_eq!(client.rows("SELECT pg_is_in_recovery()"), [row(["f"])]);
    client.rows("INSERT INTO people (id, email, first_name) VALUES (1, 'zoe@x.example', 'Zoé')");
    caught_up(&pair);
    pair.primary.stop();
    let last = client.query("SELECT 1");
    assert!(!last.iter().any(|m| matches!(m.tag, b'D' | b'Z')), "the session is over: {last:?}");
    // The standby is there, and takes reads; nobody is given it for a session that may write.
    for _ in 0..5 {
        let error = refused(gateway.port());
        assert_eq!(error.sqlstate(), "08006", "{error:?}");
    }
    assert_eq!(superuser(&pair.standby).rows("SELECT pg_promote()"), [row(["t"])]);
    let mut client = eventually("the successor is found", || Raw::try_connect(gateway.port(), "app"));
    assert_eq!(client.rows("SELECT email, first_name FROM people"), [row(["zoe@x.example", "Zoé"])]);
    client.rows("INSERT INTO people (id, email, first_name) VALUES (2, 'ana@x.example', 'Ana')");
    let stored = superuser(&pair.standby).rows("SELECT first_name FROM people ORDER BY id");
    assert!(stored.iter().all(|row| row[0].as_ref().unwrap().starts_with("pv1.")), "{stored:?}");
    assert_eq!(stored.len(), 2);
}

#[test]
fn each_kind_of_target_finds_its_server() {
    let pair = Pair::new();
    let writer = pair.gateway("target_session_attrs=primary");
    Raw::connect(writer.port(), "app")
        .rows("INSERT INTO people (id, email, first_name) VALUES (1, 'z@x', 'Zoé')");
    caught_up(&pair);
    for (target, recovers) in [
        ("any", "t"),
        ("standby", "t"),
        ("prefer-standby", "t"),
        ("read-only", "t"),
        ("primary", "f"),
        ("read-write", "f"),
    ] {
        let gateway = pair.gateway(&format!("target_session_attrs={target}"));
        let mut client = Raw::connect(gateway.port(), "app");
        assert_eq!(client.rows("SELECT pg_is_in_recovery()"), [row([recovers])], "{target}");
    }
    let preferring = pair.gateway("target_session_attrs=prefer-standby");
    pair.standby.stop();
    let mut client = Raw::connect(preferring.port(), "app");
    assert_eq!(client.rows("SELECT pg_is_in_recovery()"), [row(["f"])]);
    let strict = pair.gateway("target_session_attrs=standby");
    assert_eq!(refused(strict.port()).sqlstate(), "08006");
}

#[test]
fn what_is_read_from_a_standby_opens() {
    let pair = Pair::new();
    let gateway = pair.gateway("target_session_attrs=any");
    // While the standby is away, this gateway writes on the primary.
    pair.standby.stop();
    Raw::connect(gateway.port(), "app")
        .rows("INSERT INTO people (id, email, first_name) VALUES (7, 'z@x', 'Zoé')");
    pair.standby.crash();
    caught_up(&pair);
    let mut client = Raw::connect(gateway.port(), "app");
    assert_eq!(client.rows("SELECT pg_is_in_recovery()"), [row(["t"])]);
    assert_eq!(client.rows("SELECT first_name FROM people WHERE id = 7"), [row(["Zoé"])]);
    let error = client.fails("INSERT INTO people (id, email) VALUES (8, 'a@x')");
    assert_eq!(error.sqlstate(), "25006", "the server's own word: {error:?}");
}

#[test]
fn a_session_whose_role_only_reads_is_none_that_may_write() {
    let pg = Postgres::start();
    make_tables(&pg);
    superuser(&pg).rows("ALTER ROLE app SET default_transaction_read_only = on");
    let strict = gateway(&[pg.port()], "target_session_attrs=read-write");
    let error = refused(strict.port());
    assert_eq!(error.sqlstate(), "57P03");
    assert!(error.fields()[&'H'].contains("target-session"), "{error:?}");
    let reading = gateway(&[pg.port()], "target_session_attrs=primary");
    assert_eq!(Raw::connect(reading.port(), "app").rows("SHOW transaction_read_only"), [row(["on"])]);
}

#[test]
fn a_server_that_hangs_or_is_gone_is_passed_over() {
    let pg = Postgres::start();
    make_tables(&pg);
    // Accepts, and says nothing; and a port that nobody listens on.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = [gone, silent.local_addr().unwrap().port(), pg.port()];
    for target in ["any", "read-write"] {
        let gateway = gateway(&ports, &format!("target_session_attrs={target}&connect_timeout=1"));
        let clients: Vec<Raw> = std::thread::scope(|scope| {
            let port = gateway.port();
            let each: Vec<_> = (0..8).map(|_| scope.spawn(move || Raw::connect(port, "app"))).collect();
            each.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for mut client in clients {
            assert_eq!(client.rows("SELECT 1"), [row(["1"])]);
        }
    }
}

#[test]
fn connections_go_round_where_they_are_to_be_spread() {
    let (one, two) = (Postgres::start(), Postgres::start());
    for pg in [&one, &two] {
        make_tables(pg);
    }
    let gateway = gateway(&[one.port(), two.port()], "load_balance_hosts=random");
    let ports: Vec<_> = (0..4)
        .map(|_| Raw::connect(gateway.port(), "app").rows("SHOW port")[0][0].clone().unwrap())
        .collect();
    assert!(ports[0] != ports[1] && ports[0] == ports[2] && ports[1] == ports[3], "{ports:?}");
}

#[test]
fn a_cancel_goes_to_the_server_that_its_session_is_on() {
    let pair = Pair::new();
    let gateways =
        ["read-write", "any"].map(|target| pair.gateway(&format!("target_session_attrs={target}")));
    for (own, other) in [(0, 0), (1, 1), (0, 1)] {
        let mut client = Raw::connect(gateways[own].port(), "app");
        client.send(&raw::query("SELECT pg_sleep(60)"));
        let server = if own == 0 { &pair.primary } else { &pair.standby };
        let mut seen = superuser(server);
        let sleeping =
            "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'";
        eventually("it sleeps", || (seen.rows(sleeping) == [row(["1"])]).then_some(()));
        // Through a gateway that doesn't know the session, too.
        let mut cancel = Raw::dial(gateways[other].port());
        cancel.send(&raw::cancel(&client.key));
        assert!(cancel.drain().is_empty());
        let answers = client.until_ready();
        let error = answers.iter().find(|m| m.tag == b'E').expect("it was cancelled");
        assert_eq!(error.sqlstate(), "57014");
    }
}

#[test]
fn speaks_over_ipv6_on_both_legs() {
    let settings = "listen_addresses = '127.0.0.1, ::1'\n".to_owned();
    let pg = Postgres::with(&Options { settings, ..Options::default() });
    make_tables(&pg);
    let mut setup = Setup::new(&pg);
    setup.listen = "[::1]:0".to_owned();
    setup.upstream = format!("postgres://paravent@[::1]:{}/app", pg.port());
    let gateway = Gateway::with(setup);
    assert!(gateway.address().starts_with("[::1]:"), "{}", gateway.address());
    let words = format!("host=::1 port={}", gateway.port());
    let sql = "INSERT INTO people (id, email, first_name) VALUES (1, 'z@x', 'Zoé'); SELECT first_name, inet_server_addr() FROM people";
    assert!(text(&psql(&words, "", sql)).ends_with("Zoé|::1"));
}
