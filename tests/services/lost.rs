//! Creations whose answer never came: the service has them, and nobody told the gateway whom it made. With kills.

use crate::ask::Client;
use crate::cable::Cable;
use crate::gateway::Gateway;
use crate::json_server::Service;
use crate::support::canary::assert_absent;
use crate::support::eventually;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

const POLICY: &str = r#"
[fields]
email      = { protect = "pseudonym", kind = "email" }
first_name = "encrypt"
letter     = "encrypt"
"#;

const ROUTES: &str = r#"
[[http.routes]]
path    = "/people"
methods = ["POST"]
subject = "response:/id"
fields  = { "/email" = "email", "/name" = "first_name" }

[[http.routes]]
path    = "/people"
methods = ["GET"]
subject = "json:/*/id"
fields  = { "/*/email" = "email", "/*/name" = "first_name" }

[[http.routes]]
path    = "/people/{id}"
subject = "path:id"
fields  = { "/email" = "email", "/name" = "first_name" }

[[http.routes]]
path    = "/letters"
subject = "json:/author"
fields  = { "/text" = "letter" }
"#;

struct World {
    service: Service,
    cable: Cable,
    gateway: Gateway,
}

fn person(n: u64) -> Value {
    json!({"email": format!("person{n}@lost.example"), "name": format!("Nameless {n}")})
}

impl World {
    fn new() -> Self {
        let service = Service::start();
        let cable = Cable::to(service.port);
        let gateway = Gateway::start(&format!("http://127.0.0.1:{}", cable.port), POLICY, ROUTES);
        Self { service, cable, gateway }
    }

    fn client(&self) -> Client {
        self.gateway.client()
    }

    /// A creation whose answer is lost on its way.
    fn lose(&self, n: u64) {
        self.cable.cut();
        self.client().send("POST", "/people", &person(n)).expect(502);
        self.cable.mend();
        let stored = self.service.direct().get(&format!("/people/{n}")).expect(200).json();
        assert!(stored["name"].as_str().unwrap().starts_with("pv1."), "{stored}");
    }

    /// Person `n` has written something: the gateway knows of them.
    fn writes(&self, n: u64) {
        let letter = json!({"author": n, "text": "Dear neighbour"});
        self.client().send("POST", "/letters", &letter).expect(201);
    }

    fn unsettled(&self) -> Vec<Value> {
        let answer = self.gateway.admin().get("/v1/unsettled");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["creations"].as_array().unwrap().clone()
    }

    fn read(&self, n: u64) -> Value {
        self.client().get(&format!("/people/{n}")).expect(200).json()
    }

    /// A read on its way while the gateway is killed. What it showed, if anything came.
    fn read_and_kill(&mut self, n: u64, after: Duration) {
        let address = self.client().address().to_owned();
        let mut socket = TcpStream::connect(address).unwrap();
        write!(socket, "GET /people/{n} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        std::thread::sleep(after);
        self.gateway.kill();
        self.gateway.restart();
    }
}

fn shown(n: u64) -> Value {
    let mut shown = person(n);
    shown["id"] = json!(n);
    shown
}

fn erased(n: u64) -> Value {
    json!({"id": n, "email": null, "name": null})
}

#[test]
fn a_lost_creation_is_listed_until_it_is_read_and_erased_with_its_person() {
    let world = World::new();
    world.lose(1);
    let listed = world.unsettled();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["class"], &listed[0]["keys"]), (&json!("person"), &json!(1)));
    let line = world.gateway.command(&["subject", "unsettled"]);
    for part in
        [listed[0]["id"].as_str().unwrap(), " person ", listed[0]["listener"].as_str().unwrap(), " s ago"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    let told = world.gateway.admin().get("/v1/unsettled").body + &line;
    assert!(!told.contains("lost.example") && !told.contains("Nameless"), "{told}");
    // Whoever asks for its erasure now is told that it may be there.
    let unknown = world.gateway.admin().delete("/v1/subjects/person/1");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("the outcome of 1 creations"), "{unknown:?}");

    let list = world.client().get("/people").expect(200).json();
    assert_eq!(list, json!([shown(1)]));
    assert_eq!(world.unsettled(), Vec::<Value>::new());
    let receipt = world.gateway.admin().erase(1);
    assert_eq!(receipt["keys"].as_array().unwrap().len(), 1);
    assert!(!receipt["not_covered"].to_string().contains("unsettled-creations"), "{receipt}");
    assert_eq!(world.read(1), erased(1));
    for (path, bytes) in world.gateway.files() {
        assert_absent(&path.display().to_string(), &bytes, &[b"lost.example", b"Nameless"]);
    }
}

#[test]
fn a_creation_goes_on_without_its_client() {
    // It answers once its client is gone.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let service = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::start(&format!("http://{}", service.local_addr().unwrap()), POLICY, ROUTES);
    let (came, heard) = std::sync::mpsc::channel();
    let answering = std::thread::spawn(move || {
        let (mut line, _) = service.accept().unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"\"}") {
            let mut byte = [0; 1024];
            let n = line.read(&mut byte).unwrap();
            got.extend_from_slice(&byte[..n]);
        }
        came.send(()).unwrap();
        released.recv().unwrap();
        line.write_all(
            b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"id\":7}",
        )
        .unwrap();
        line
    });
    let body = person(7).to_string();
    let mut socket = TcpStream::connect(gateway.client().address()).unwrap();
    write!(
        socket,
        "POST /people HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    heard.recv().unwrap();
    drop(socket);
    let ended = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("a client's connection ended");
    let told = || gateway.files().iter().any(|(_, bytes)| ended(bytes));
    eventually("the gateway hears of it", || told().then_some(()));
    release.send(()).unwrap();
    let unsettled = || {
        let answer = gateway.admin().get("/v1/unsettled").json();
        answer["creations"].as_array().unwrap().len()
    };
    eventually("the creation is bound", || (unsettled() == 0).then_some(()));
    assert_eq!(gateway.admin().get("/v1/subjects/person/7").status, 200);
    drop(answering.join().unwrap());
}

#[test]
fn whoever_was_erased_before_does_not_come_back() {
    let mut world = World::new();
    world.lose(1);
    world.writes(1);
    let receipt = world.gateway.admin().erase(1);
    let not_covered = receipt["not_covered"].as_array().unwrap();
    let told = not_covered.iter().find(|not| not["code"] == "unsettled-creations").unwrap();
    assert!(told["what"].as_str().unwrap().starts_with("1 creations"), "{told}");
    assert_eq!(world.unsettled().len(), 1);
    assert_eq!(world.read(1), erased(1));
    assert_eq!(world.unsettled(), Vec::<Value>::new());
    let receipts = world.gateway.admin().get("/v1/receipts").json();
    let later = receipts["receipts"][1].as_str().unwrap();
    let later = world.gateway.admin().get(&format!("/v1/receipts/{later}")).json();
    assert_eq!(later["repeats"], receipt["id"]);
    world.gateway.restart();
    assert_eq!(world.read(1), erased(1));
    assert_eq!(world.client().get("/people").expect(200).json(), json!([erased(1)]));
}

#[test]
fn the_gateway_is_killed_while_creations_are_on_their_way_and_nothing_is_lost() {
    let mut world = World::new();
    world.cable.hold();
    let address = world.client().address().to_owned();
    let mut sockets = Vec::new();
    for n in 1..=4 {
        let body = person(n).to_string();
        let mut socket = TcpStream::connect(&address).unwrap();
        write!(
            socket,
            "POST /people HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        sockets.push(socket);
        eventually("the service has it", || (world.cable.lost() >= n as u32).then_some(()));
    }
    assert_eq!(world.unsettled().len(), 4, "those on their way are unsettled, too");
    world.gateway.kill();
    world.cable.mend();
    world.gateway.restart();
    assert_eq!(world.unsettled().len(), 4);
    for n in 1..=4 {
        assert_eq!(world.read(n), shown(n));
    }
    assert_eq!(world.unsettled(), Vec::<Value>::new());
}

#[test]
fn a_kill_while_one_is_found_loses_nobody_and_brings_nobody_back() {
    let mut world = World::new();
    for (round, after) in [0, 1, 2, 3, 4, 6, 9, 14].into_iter().enumerate() {
        let (living, gone) = (2 * round as u64 + 1, 2 * round as u64 + 2);
        let after = Duration::from_millis(after);
        world.lose(living);
        world.lose(gone);
        world.writes(gone);
        world.gateway.admin().erase(gone);
        world.read_and_kill(living, after);
        assert_eq!(world.read(living), shown(living));
        world.read_and_kill(gone, after);
        assert_eq!(world.read(gone), erased(gone), "round {round}");
        world.gateway.admin().erase(living);
        assert_eq!(world.read(living), erased(living));
    }
    assert_eq!(world.unsettled(), Vec::<Value>::new());
}

#[test]
fn a_request_that_never_reached_the_service_leaves_nothing() {
    let port = crate::support::node::free_port();
    let gateway = Gateway::start(&format!("http://127.0.0.1:{port}"), POLICY, ROUTES);
    let answer = gateway.client().send("POST", "/people", &person(1));
    assert!(matches!(answer.status, 502 | 503), "{}", answer.head);
    eventually("nothing is unsettled", || {
        let creations = gateway.admin().get("/v1/unsettled").json()["creations"].as_array().unwrap().len();
        (creations == 0).then_some(())
    });
}
