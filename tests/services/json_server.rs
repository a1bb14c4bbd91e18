//! json-server: a list of people in a file, with an API over it.

use crate::ask::Client;
use crate::gateway::Gateway;
use crate::support::canary::assert_absent;
use crate::support::eventually;
use crate::support::node::{Node, free_port, modules};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpStream;
use tempfile::TempDir;

const POLICY: &str = r#"
[fields]
email      = { protect = "pseudonym", kind = "email" }
first_name = "encrypt"
last_name  = "encrypt"
birth_date = { protect = "encrypt", type = "date" }
phone      = "encrypt"
"#;

const ROUTES: &str = r#"
[[http.routes]]
path    = "/people"
methods = ["POST"]
subject = "response:/id"
fields  = { "/email" = "email", "/profile/firstName" = "first_name", "/profile/lastName" = "last_name", "/birthDate" = "birth_date", "/phones/*" = "phone" }

[[http.routes]]
path    = "/people"
methods = ["GET"]
subject = "json:/*/id"
fields  = { "/*/email" = "email", "/*/profile/firstName" = "first_name", "/*/profile/lastName" = "last_name", "/*/birthDate" = "birth_date", "/*/phones/*" = "phone", "query:email" = "email" }

[[http.routes]]
path    = "/people/{id}"
subject = "path:id"
fields  = { "/email" = "email", "/profile/firstName" = "first_name", "/profile/lastName" = "last_name", "/birthDate" = "birth_date", "/phones/*" = "phone" }
"#;

/// Every personal value below.
const PERSONAL: [&str; 9] = [
    "amelie@directory.example",
    "bob@directory.example",
    "bob@new.example",
    "Amélie",
    "Lefèvre",
    "Durand",
    "1984-02-29",
    "+33 6 12 34 56 78",
    "+33 1 98 76 54 32",
];

pub struct Service {
    pub dir: TempDir,
    pub port: u16,
    _node: Node,
}

impl Service {
    pub fn start() -> Self {
        let modules = modules("json-server", &[("json-server", "0.17.4")]);
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("db.json"), "{\"people\": [], \"letters\": [], \"news\": []}").unwrap();
        let port = free_port();
        let args = ["--host", "127.0.0.1", "--port", &port.to_string(), "db.json"];
        let mut node = Node::start(&modules, "json-server", &args, dir.path(), &[]);
        eventually("json-server accepts", || {
            assert!(node.runs(), "{}", fs::read_to_string(dir.path().join("service.log")).unwrap());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self { dir, port, _node: node }
    }

    pub fn direct(&self) -> Client {
        Client::new(&format!("127.0.0.1:{}", self.port))
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.path().join(name)).unwrap()
    }
}

fn amelie() -> Value {
    json!({
        "email": "amelie@directory.example", "profile": {"firstName": "Amélie", "lastName": "Durand"},
        "birthDate": "1984-02-29", "phones": ["+33 6 12 34 56 78", "+33 1 98 76 54 32"], "team": "sales"
    })
}

fn bob() -> Value {
    json!({"email": "bob@directory.example", "profile": {"firstName": "Bob", "lastName": "Lefèvre"}, "team": "it"})
}

#[test]
fn a_directory_is_kept_sealed_and_read_in_clear() {
    let service = Service::start();
    let gateway = Gateway::start(&format!("http://127.0.0.1:{}", service.port), POLICY, ROUTES);
    let client = gateway.client();

    let made = client.send("POST", "/people", &amelie()).expect(201).json();
    assert_eq!(made, with_id(amelie(), 1), "the answer to a creation is clear");
    client.send("POST", "/people", &bob()).expect(201);
    assert_eq!(client.get("/people/1").expect(200).json(), with_id(amelie(), 1));
    assert_eq!(client.get("/people").expect(200).json(), json!([with_id(amelie(), 1), with_id(bob(), 2)]));
    let zipped = gateway.client().with("Accept-Encoding", "gzip").get("/people/1").expect(200);
    assert_eq!(unzipped(&zipped), with_id(amelie(), 1));

    // By an identifier, as clients write it; it reaches the service as a token.
    let found = client.get("/people?email=bob%40directory.example").expect(200).json();
    assert_eq!(found, json!([with_id(bob(), 2)]));
    assert_eq!(client.get("/people?email=nobody%40x.example").expect(200).json(), json!([]));

    let patched = client.send("PATCH", "/people/2", &json!({"email": "bob@new.example"})).expect(200).json();
    assert_eq!((&patched["email"], &patched["team"]), (&json!("bob@new.example"), &json!("it")));
    assert_eq!(patched["profile"]["lastName"], "Lefèvre");
    assert_eq!(client.get("/people?email=bob%40new.example").expect(200).json()[0]["id"], 2);

    let stored = service.direct().get("/people/1").expect(200).json();
    assert!(stored["profile"]["lastName"].as_str().unwrap().starts_with("pv1."), "{stored}");
    assert!(stored["email"].as_str().unwrap().ends_with(".invalid"), "{stored}");
    assert_eq!(stored["team"], "sales", "what is not personal stays as it is");
    nothing_in_clear(&service, &gateway);

    // What the policy does not name passes both ways.
    client.send("POST", "/news", &json!({"title": "Hello"})).expect(201);
    assert_eq!(service.direct().get("/news/1").expect(200).json()["title"], "Hello");

    let metrics = gateway.admin().get("/metrics").body;
    for outcome in ["protected", "passed"] {
        let counted = metrics.lines().find_map(|line| {
            line.strip_prefix(&format!("paravent_http_requests_total{{outcome=\"{outcome}\"}} "))
        });
        assert!(counted.is_some_and(|n| n.parse::<u64>().unwrap() > 0), "{outcome}: {counted:?}");
    }
    assert_eq!(gateway.admin().get("/readyz").status, 200);

    client.delete("/people/2").expect(200);
    client.get("/people/2").expect(404);
}

#[test]
fn an_erased_person_is_read_no_more_whatever_copy_comes_back() {
    let service = Service::start();
    let gateway = Gateway::start(&format!("http://127.0.0.1:{}", service.port), POLICY, ROUTES);
    let client = gateway.client();
    client.send("POST", "/people", &amelie()).expect(201);
    client.send("POST", "/people", &bob()).expect(201);
    let copy = service.direct().get("/people/1").expect(200).json();

    gateway.admin().erase(1);
    let erased = client.get("/people/1").expect(200).text();
    for value in ["Amélie", "Durand", "amelie@", "1984", "+33"] {
        assert!(!erased.contains(value), "{value}: {erased}");
    }
    assert_eq!(client.get("/people/2").expect(200).json(), with_id(bob(), 2), "others are untouched");
    // A backup of the service brings the sealed values back, and nothing else.
    service.direct().send("PUT", "/people/1", &copy).expect(200);
    assert!(!client.get("/people/1").expect(200).text().contains("Durand"));
    nothing_in_clear(&service, &gateway);
}

fn with_id(mut person: Value, id: u32) -> Value {
    person["id"] = json!(id);
    person
}

fn unzipped(answer: &crate::ask::Answer) -> Value {
    use async_compression::tokio::bufread::GzipDecoder;
    use tokio::io::AsyncReadExt as _;
    if answer.field("content-encoding") != Some("gzip") {
        return answer.json();
    }
    let mut text = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(GzipDecoder::new(answer.body.as_slice()).read_to_end(&mut text)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn nothing_in_clear(service: &Service, gateway: &Gateway) {
    let canaries: Vec<&[u8]> = PERSONAL.iter().map(|value| value.as_bytes()).collect();
    assert_absent("the service's store", &service.read("db.json"), &canaries);
    assert_absent("the service's log", &service.read("service.log"), &canaries);
    for (path, bytes) in gateway.files() {
        assert_absent(&path.display().to_string(), &bytes, &canaries);
    }
}
