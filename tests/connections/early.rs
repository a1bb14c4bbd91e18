//! Clients that don't wait for ReadyForQuery: what they send with their start-up packet or password is read once it comes.

use crate::support::tls::Authority;
use crate::support::{Gateway, Message, Postgres, Raw, World, eventually, raw, schema};
use std::fs;

const USER: [(&str, &str); 2] = [("user", "app"), ("database", "clear")];

/// Answers from a server and through a gateway, without what is another session's own.
fn lines(messages: &[Message]) -> Vec<String> {
    messages.iter().filter(|m| !matches!(m.tag, b'K' | b'S' | b'N')).map(Message::line).collect()
}

fn statements() -> Vec<u8> {
    let read = "SELECT first_name FROM people";
    let pipeline = [raw::parse("", read, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0)];
    [raw::query("SELECT 1"), pipeline.concat(), raw::sync(), raw::query(read)].concat()
}

fn ask(port: u16, database: &str, first: &[u8]) -> Vec<String> {
    let mut client = Raw::dial(port);
    let user = [USER[0], ("database", database)];
    client.send(&[&raw::startup(196_608, &user), first].concat());
    (0..4).flat_map(|_| lines(&client.until_ready())).collect()
}

#[test]
fn statements_that_come_with_the_start_up_packet_are_read() {
    let world = World::new();
    world.people(&["ana"]);
    world.clear().rows("INSERT INTO people (email, first_name) VALUES ('ana@people.example', 'ana')");
    let direct = ask(world.pg.port(), "clear", &statements());
    assert_eq!(direct.iter().filter(|line| *line == "DataRow \"ana\"").count(), 2, "{direct:?}");
    assert_eq!(ask(world.gateway.port(), "app", &statements()), direct);
    // A password that nobody asked for is no message.
    let told = |port, database| {
        let mut client = Raw::dial(port);
        let user = [USER[0], ("database", database)];
        client
            .send(&[raw::startup(196_608, &user), raw::query("SELECT 1"), raw::other(b'p', b"x\0")].concat());
        client.until_closed().last().map(Message::line)
    };
    assert_eq!(told(world.gateway.port(), "app"), told(world.pg.port(), "clear"));
}

/// A large one, in pieces, before the server has let anyone in.
#[test]
fn a_statement_that_comes_early_may_be_long() {
    let world = World::new();
    let long = "x".repeat(300_000);
    let mut client = Raw::dial(world.gateway.port());
    let statement =
        raw::query(&format!("INSERT INTO people (email, first_name) VALUES ('a@x.example', '{long}')"));
    client.send(&[raw::startup(196_608, &[USER[0], ("database", "app")]), statement].concat());
    (0..2).for_each(|_| drop(client.until_ready()));
    assert_eq!(client.rows("SELECT first_name FROM people"), [[Some(long)]]);
}

#[test]
fn statements_that_come_with_the_password_are_read_and_those_before_it_are_not() {
    let pg = Postgres::start();
    let mut setup = crate::support::gateway::Setup::new(&pg);
    setup.tables.clear();
    Raw::connect(pg.port(), "clear").rows(&schema::clear());
    let hba = "local all all trust\nhost all paravent all trust\nhost all all all password\n";
    let mut admin = Raw::connect_as(pg.port(), &[("user", "postgres"), ("database", "clear")]);
    admin.rows("ALTER ROLE app PASSWORD 'secret'");
    fs::write(pg.data().join("pg_hba.conf"), hba).unwrap();
    admin.rows("SELECT pg_reload_conf()");
    eventually("passwords are asked for", || {
        let mut client = Raw::dial(pg.port());
        client.send(&raw::startup(196_608, &USER));
        (client.read()?.body == [0, 0, 0, 3]).then_some(())
    });
    let gateway = Gateway::with(setup);
    let said = |port: u16, before: &[u8], after: &[u8], readies: usize| {
        let mut client = Raw::dial(port);
        client.send(&[&raw::startup(196_608, &USER), before].concat());
        assert_eq!(client.read().map(|m| m.body), Some(vec![0, 0, 0, 3]), "a password is asked for");
        client.try_send(after).ok();
        (0..readies).flat_map(|_| lines(&client.until_ready())).collect::<Vec<_>>()
    };
    let password = [raw::other(b'p', b"secret\0"), statements()].concat();
    assert_eq!(said(gateway.port(), b"", &password, 4), said(pg.port(), b"", &password, 4));
    let wrong = [raw::other(b'p', b"wrong\0"), statements()].concat();
    assert_eq!(said(gateway.port(), b"", &wrong, 1), said(pg.port(), b"", &wrong, 1));
    let query = raw::query("SELECT 1");
    assert_eq!(said(gateway.port(), &query, b"", 1), said(pg.port(), &query, b"", 1));
}

/// What a man in the middle puts between the request for TLS and its beginning is never read (CVE-2021-23214).
#[test]
fn nothing_in_clear_before_the_handshake_is_read_after_it() {
    let (pg, authority) = (Postgres::start(), Authority::new());
    let gateway = super::tls::secured(&pg, &authority, "");
    let mut client = Raw::dial(gateway.port());
    let start = raw::startup(196_608, &[USER[0], ("database", "app")]);
    client.send(&[&raw::ssl_request()[..], &start, &raw::query("SELECT 'put in'")].concat());
    let answered = client.drain();
    assert!(matches!(&*answered, b"" | b"S"), "{}", String::from_utf8_lossy(&answered));
}
