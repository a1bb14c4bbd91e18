//! One person, through SQL and through HTTP: the same fields, keys, tokens, and the same end.

use crate::ask::Client;
use crate::cable::Cable;
use crate::support::gateway::Setup;
use crate::support::node::free_port;
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, row};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

const ROUTES: &str = r#"
[[http.routes]]
path    = "/people/{id}"
subject = "path:id"
fields  = { "/email" = "email", "/first_name" = "first_name", "/last_name" = "last_name" }

[[http.routes]]
path    = "/people"
methods = ["GET"]
subject = "json:/id"
fields  = { "/*/email" = "email", "/*/first_name" = "first_name", "/*/last_name" = "last_name", "query:email" = "email" }

[[http.routes]]
path    = "/people"
methods = ["POST"]
subject = "response:/id"
fields  = { "/email" = "email", "/first_name" = "first_name", "/last_name" = "last_name" }
"#;

/// A small service over the table, which knows nothing of any gateway: it stores what it gets.
fn service(pg: &Postgres) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, database) = (listener.local_addr().unwrap().port(), pg.port());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A connection may come and go unused.
            let _ = answer(&stream, database);
        }
    });
    port
}

fn answer(stream: &TcpStream, database: u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (mut length, mut head) = (0, String::new());
    while reader.read_line(&mut head)? > 2 {
        let field = head.to_ascii_lowercase();
        if let Some(n) = field.strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        head.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = line.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(()) };
    let mut sql = Raw::connect_as(database, &[("user", "postgres"), ("database", "app")]);
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let text = |name: &str| format!("'{}'", body[name].as_str().unwrap_or_default().replace('\'', "''"));
    const COLUMNS: &str = "id, email, first_name, last_name";
    let rows = match (method, target.split_once("?email="), target.strip_prefix("/people/")) {
        ("GET", Some((_, email)), _) => {
            sql.rows(&format!("SELECT {COLUMNS} FROM people WHERE email = '{}'", email.replace("%40", "@")))
        }
        ("GET", None, Some(id)) => sql.rows(&format!("SELECT {COLUMNS} FROM people WHERE id = {id}")),
        ("GET", None, None) => sql.rows(&format!("SELECT {COLUMNS} FROM people ORDER BY id")),
        ("PUT", _, Some(id)) => sql.rows(&format!(
            "UPDATE people SET email = {}, first_name = {} WHERE id = {id} RETURNING {COLUMNS}",
            text("email"),
            text("first_name")
        )),
        ("POST", ..) => sql.rows(&format!(
            "INSERT INTO people (email, first_name, last_name) VALUES ({}, {}, {}) RETURNING {COLUMNS}",
            text("email"),
            text("first_name"),
            text("last_name")
        )),
        _ => panic!("{line}"),
    };
    let items: Vec<Value> = rows
        .iter()
        .map(|r| json!({"id": r[0].as_deref().unwrap().parse::<u32>().unwrap(), "email": r[1], "first_name": r[2], "last_name": r[3]}))
        .collect();
    let one = method != "GET" || (target.starts_with("/people/") && !target.contains('?'));
    let answer = if one { items[0].to_string() } else { Value::from(items).to_string() };
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

struct World {
    gateway: Gateway,
    pg: Postgres,
    http: Client,
}

fn world() -> World {
    world_over(|port| port)
}

/// `line` gives the port of a line to the service.
fn world_over(line: impl FnOnce(u16) -> u16) -> World {
    let pg = Postgres::start();
    make_tables(&pg);
    let upstream = line(service(&pg));
    let port = free_port();
    let mut setup = Setup::new(&pg);
    setup.tables.push_str(&format!(
        "\n[[http]]\nlisten = \"127.0.0.1:{port}\"\nupstream = \"http://127.0.0.1:{upstream}\"\n{ROUTES}"
    ));
    let gateway = Gateway::with(setup);
    World { gateway, pg, http: Client::new(&format!("127.0.0.1:{port}")) }
}

impl World {
    fn sql(&self) -> Raw {
        Raw::connect(self.gateway.port(), "app")
    }

    fn stored(&self) -> Vec<Vec<Option<String>>> {
        let mut direct = Raw::connect_as(self.pg.port(), &[("user", "postgres"), ("database", "app")]);
        direct.rows("SELECT email, first_name, last_name FROM people ORDER BY id")
    }

    fn post(&self, path: &str, method: &str, body: &Value) -> Value {
        let answer = self.http.ask(method, path, "application/json", body.to_string().as_bytes());
        answer.expect(200).json()
    }
}

#[test]
fn a_person_written_through_sql_is_the_same_through_http() {
    let world = world();
    let mut sql = world.sql();
    sql.rows("INSERT INTO people (email, first_name, last_name) VALUES ('amelie@both.example', 'Amélie', 'Lefèvre')");
    let amelie =
        json!({"id": 1, "email": "amelie@both.example", "first_name": "Amélie", "last_name": "Lefèvre"});
    assert_eq!(world.http.get("/people/1").expect(200).json(), amelie);
    assert_eq!(world.http.get("/people?email=amelie%40both.example").expect(200).json(), json!([amelie]));
    assert_eq!(world.http.get("/people?email=nobody@both.example").expect(200).json(), json!([]));
    // And the other way.
    let bob = json!({"email": "bob@both.example", "first_name": "Bob \"B\"", "last_name": "Durand"});
    let made = world.post("/people", "POST", &bob);
    assert_eq!(
        made,
        json!({"id": 2, "email": "bob@both.example", "first_name": "Bob \"B\"", "last_name": "Durand"})
    );
    let found = sql.rows("SELECT id, first_name, last_name FROM people WHERE email = 'bob@both.example'");
    assert_eq!(found, [row(["2", "Bob \"B\"", "Durand"])]);
    let both = world.post(
        "/people/1",
        "PUT",
        &json!({"email": "a.lefevre@both.example", "first_name": "Amélie-Rose"}),
    );
    assert_eq!(both["first_name"], "Amélie-Rose");
    let read = sql.rows("SELECT email, first_name FROM people ORDER BY id");
    assert_eq!(
        read,
        [row(["a.lefevre@both.example", "Amélie-Rose"]), row(["bob@both.example", "Bob \"B\""])]
    );
    for cell in world.stored().into_iter().flatten().flatten() {
        assert!(cell.starts_with("psn_") || cell.starts_with("pv1."), "{cell}");
    }
    let log = String::from_utf8_lossy(&world.gateway.log()).into_owned();
    for canary in ["both.example", "Amélie", "Lefèvre", "Durand"] {
        assert!(!log.contains(canary), "{canary} in the log");
    }
}

#[test]
fn a_person_who_is_erased_is_erased_in_both() {
    let world = world();
    let mut sql = world.sql();
    sql.rows("INSERT INTO people (email, first_name, last_name) VALUES ('amelie@both.example', 'Amélie', 'Lefèvre')");
    let bob = json!({"email": "bob@both.example", "first_name": "Bob", "last_name": "Durand"});
    assert_eq!(world.post("/people", "POST", &bob)["id"], 2);
    // One was written through SQL and read through HTTP, the other written through HTTP.
    for id in [1, 2] {
        assert_eq!(world.http.get(&format!("/people/{id}")).expect(200).json()["id"], id);
        world.gateway.admin().erase(id);
        assert_eq!(
            world.http.get(&format!("/people/{id}")).expect(200).json(),
            json!({"id": id, "email": null, "first_name": null, "last_name": null})
        );
    }
    let all = world.http.get("/people").expect(200).json();
    assert_eq!(all[1], json!({"id": 2, "email": null, "first_name": null, "last_name": null}));
    assert_eq!(world.http.get("/people?email=bob@both.example").expect(200).json(), json!([]));
    let read = sql.rows("SELECT first_name, last_name FROM people ORDER BY id");
    assert_eq!(read, [row(["NULL", "NULL"]), row(["NULL", "NULL"])]);
    assert!(sql.rows("SELECT id FROM people WHERE email = 'bob@both.example'").is_empty());
    // And nobody writes about them again.
    let again = json!({"email": "bob@both.example", "first_name": "Bob"}).to_string();
    let refused = world.http.ask("PUT", "/people/2", "application/json", again.as_bytes()).expect(409);
    assert_eq!(refused.json()["type"], "docs/errors.md#erased-subject");
}

#[test]
fn a_creation_lost_in_http_is_found_by_sql_and_erased_in_both() {
    let mut cable = None;
    let world = world_over(|port| cable.insert(Cable::to(port)).port);
    let cable = cable.unwrap();
    for (id, name) in [(1, "Bob"), (2, "Eve")] {
        cable.cut();
        let body =
            json!({"email": format!("{name}@both.example"), "first_name": name, "last_name": "Durand"});
        world.http.ask("POST", "/people", "application/json", body.to_string().as_bytes()).expect(502);
        cable.mend();
        assert_eq!(world.stored().len(), id);
    }
    let mut sql = world.sql();
    let read = sql.rows("SELECT id, email, first_name, last_name FROM people WHERE id = 1");
    assert_eq!(read, [row(["1", "Bob@both.example", "Bob", "Durand"])]);
    let receipt = world.gateway.admin().erase(1);
    assert!(receipt["not_covered"].to_string().contains("1 creations"), "{receipt}");
    let nobody = json!({"id": 1, "email": null, "first_name": null, "last_name": null});
    assert_eq!(world.http.get("/people/1").expect(200).json(), nobody);
    assert_eq!(sql.rows("SELECT first_name, last_name FROM people WHERE id = 1"), [row(["NULL", "NULL"])]);
    // The other one lives, and is hers.
    assert_eq!(world.http.get("/people/2").expect(200).json()["first_name"], "Eve");
    let receipt = world.gateway.admin().erase(2);
    assert!(!receipt["not_covered"].to_string().contains("unsettled"), "{receipt}");
    assert_eq!(sql.rows("SELECT first_name, last_name FROM people WHERE id = 2"), [row(["NULL", "NULL"])]);
}
