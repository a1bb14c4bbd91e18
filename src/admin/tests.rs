//! The API over a real socket, with subjects held in memory.

use super::client::{Answer, Client};
use super::tokens::{Role, TokenFile};
use super::*;
use crate::config::{Admin, Listen, TlsFiles};
use crate::ids::Subject;
use crate::telemetry;
use hyper::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Subjects of one class, and what was asked about them.
#[derive(Clone, Default)]
struct Memory {
    states: Arc<Mutex<HashMap<Subject, State>>>,
    grounds: Arc<Mutex<Vec<Option<String>>>>,
    down: Arc<Mutex<bool>>,
}

impl Memory {
    fn up(&self) -> Result<(), SubjectsError> {
        if *self.down.lock() { Err(SubjectsError::Unavailable("the disk is gone".into())) } else { Ok(()) }
    }
}

impl Subjects for Memory {
    async fn state(&self, subject: &Subject) -> Result<Option<State>, SubjectsError> {
        self.up()?;
        Ok(self.states.lock().get(subject).copied())
    }

    async fn erase(&self, request: Erasure) -> Result<Option<Value>, SubjectsError> {
        self.up()?;
        self.grounds.lock().push(request.ground);
        let before = self.states.lock().get(&request.subject).copied();
        let Some(before) = before else { return Ok(None) };
        self.states.lock().insert(request.subject, State::Erased);
        Ok(Some(json!({ "stage": "live", "keys": if before == State::Erased { 0 } else { 1 } })))
    }

    async fn ready(&self) -> Result<(), SubjectsError> {
        self.up()
    }
}

struct Running {
    dir: tempfile::TempDir,
    address: String,
    memory: Memory,
    health: Health,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(tls: Option<TlsFiles>, listen: impl Fn(&std::path::Path) -> Listen) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Admin { listen: listen(dir.path()), tokens: dir.path().join("tokens"), tls };
        let server = bind(&config).await.unwrap();
        let address = server.address.clone();
        let memory = Memory::default();
        memory.states.lock().insert(Subject::new("person", "42"), State::Live);
        memory.states.lock().insert(Subject::new("person", "a/b é"), State::Restricted);
        let (health, (stop, stopped)) = (Health::default(), watch::channel(false));
        let recorder = telemetry::install_metrics().unwrap();
        let task = tokio::spawn(server.serve(memory.clone(), health.clone(), recorder, stopped));
        Self { dir, address, memory, health, stop, task }
    }

    async fn local() -> Self {
        Self::start(None, |_| Listen::parse("127.0.0.1:0", "".as_ref()).unwrap()).await
    }

    fn token(&self, role: Role) -> String {
        let name = format!("{role}-{}", self.tokens().count().unwrap());
        self.tokens().add(&name, role).unwrap().to_string()
    }

    fn tokens(&self) -> TokenFile {
        TokenFile::new(self.dir.path().join("tokens"))
    }

    async fn ask(&self, token: &str, method: Method, path: &str) -> (u16, Value) {
        let client = Client::new(&format!("http://{}", self.address), token.into(), None).unwrap();
        parsed(client.send(method, path).await.unwrap())
    }
}

fn parsed(answer: Answer) -> (u16, Value) {
    (answer.status, serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body)))
}

const PERSON: &str = "/v1/subjects/person/42";

#[tokio::test]
async fn a_privacy_officer_sees_a_subject_erases_it_and_sees_it_erased() {
    let running = Running::local().await;
    let token = running.token(Role::Privacy);
    let (status, body) = running.ask(&token, Method::GET, PERSON).await;
    assert_eq!((status, &body["state"]), (200, &json!("live")));
    let (status, body) = running.ask(&token, Method::DELETE, &format!("{PERSON}?ground=art.%2017")).await;
    assert_eq!((status, body), (200, json!({ "stage": "live", "keys": 1 })));
    let (status, body) = running.ask(&token, Method::DELETE, &format!("{PERSON}?realm=main")).await;
    assert_eq!((status, body), (200, json!({ "stage": "live", "keys": 0 })));
    let (_, body) = running.ask(&token, Method::GET, PERSON).await;
    assert_eq!(body["state"], "erased");
    assert_eq!(*running.memory.grounds.lock(), [Some("art. 17".into()), None]);
}

#[tokio::test]
async fn an_auditor_reads_and_may_not_erase() {
    let running = Running::local().await;
    let token = running.token(Role::Auditor);
    assert_eq!(running.ask(&token, Method::GET, PERSON).await.0, 200);
    let (status, body) = running.ask(&token, Method::DELETE, PERSON).await;
    assert_eq!((status, body["type"].as_str()), (403, Some("docs/errors.md#admin-forbidden")));
    assert!(running.memory.grounds.lock().is_empty());
}

#[tokio::test]
async fn an_operator_may_erase() {
    let running = Running::local().await;
    assert_eq!(running.ask(&running.token(Role::Operator), Method::DELETE, PERSON).await.0, 200);
}

#[tokio::test]
async fn without_a_valid_token_nothing_is_told_or_done() {
    let running = Running::local().await;
    let token = running.token(Role::Operator);
    for wrong in ["", "x", &token[..token.len() - 1], "Basic x"] {
        for method in [Method::GET, Method::DELETE] {
            let (status, body) = running.ask(wrong, method, PERSON).await;
            assert_eq!((status, body["status"].as_u64()), (401, Some(401)), "{wrong}");
        }
    }
    assert!(running.memory.grounds.lock().is_empty());
}

#[tokio::test]
async fn an_unknown_subject_class_or_realm_is_404_for_reading_and_erasing() {
    let running = Running::local().await;
    let token = running.token(Role::Operator);
    for path in ["/v1/subjects/person/43", "/v1/subjects/robot/42", "/v1/subjects/person/42?realm=other"] {
        for method in [Method::GET, Method::DELETE] {
            let (status, body) = running.ask(&token, method, path).await;
            assert_eq!((status, body["type"].as_str()), (404, Some("docs/errors.md#admin-unknown-subject")));
            assert!(!body.to_string().contains("43"), "a problem must not repeat an id");
        }
    }
}

#[tokio::test]
async fn an_id_with_a_slash_and_accents_is_one_segment() {
    let running = Running::local().await;
    let path = format!("/v1/subjects/person/{}", client::segment("a/b é"));
    let (status, body) = running.ask(&running.token(Role::Auditor), Method::GET, &path).await;
    assert_eq!((status, &body["state"], &body["id"]), (200, &json!("restricted"), &json!("a/b é")));
}

#[tokio::test]
async fn other_methods_paths_and_parameters_are_problems() {
    let running = Running::local().await;
    let token = running.token(Role::Operator);
    for (method, path, status) in [
        (Method::PUT, PERSON, 405),
        (Method::POST, "/metrics", 405),
        (Method::GET, "/v1/other", 404),
        (Method::GET, "/v1/subjects/person/42?reelm=x", 400),
        (Method::GET, "/v1/subjects/person/%FF", 400),
        (Method::DELETE, "/v1/subjects/person/42?ground=a%0Ab", 400),
    ] {
        let (found, body) = running.ask(&token, method.clone(), path).await;
        assert_eq!((found, body["status"].as_u64()), (status, Some(status.into())), "{method} {path} {body}");
    }
    assert!(running.memory.grounds.lock().is_empty());
}

#[tokio::test]
async fn a_keystore_that_is_down_gives_503_and_is_not_ready() {
    let running = Running::local().await;
    running.health.set_accepts(true);
    let token = running.token(Role::Operator);
    assert_eq!(running.ask("", Method::GET, "/readyz").await.0, 200);
    *running.memory.down.lock() = true;
    for method in [Method::GET, Method::DELETE] {
        let (status, body) = running.ask(&token, method, PERSON).await;
        assert_eq!((status, body["type"].as_str()), (503, Some("docs/errors.md#keystore-unavailable")));
    }
    let (status, body) = running.ask("", Method::GET, "/readyz").await;
    assert_eq!((status, &body["ready"], &body["keystore"]), (503, &json!(false), &json!("the disk is gone")));
    assert_eq!(running.ask("", Method::GET, "/healthz").await.0, 200);
}

#[tokio::test]
async fn readiness_waits_for_the_listeners_and_tells_warnings_and_policy() {
    let running = Running::local().await;
    assert_eq!(running.ask("", Method::GET, "/readyz").await.0, 503);
    running.health.set_accepts(true);
    running.health.set_policy([0xAB; 32]);
    running.health.warn("pages are not locked");
    let (status, body) = running.ask("", Method::GET, "/readyz").await;
    assert_eq!((status, &body["warnings"]), (200, &json!(["pages are not locked"])));
    assert_eq!(body["policy"], "ab".repeat(32));
}

#[tokio::test]
async fn metrics_need_no_token_and_count_refused_ones() {
    let running = Running::local().await;
    running.ask("wrong", Method::GET, PERSON).await;
    let (status, body) = running.ask("", Method::GET, "/metrics").await;
    let text = body.as_str().unwrap();
    assert_eq!(status, 200);
    assert!(text.contains("paravent_audit_events_total{event=\"admin.denied\"}"), "{text}");
}

#[tokio::test]
async fn a_unix_socket_serves_and_is_gone_afterwards() {
    let running = Running::start(None, |dir| Listen::Unix(dir.join("admin.sock"))).await;
    let path = running.dir.path().join("admin.sock");
    assert_eq!(running.address, format!("unix:{}", path.display()));
    let client = Client::new(&running.address, running.token(Role::Auditor), None).unwrap();
    assert_eq!(client.send(Method::GET, PERSON).await.unwrap().status, 200);
    running.stop.send(true).unwrap();
    running.task.await.unwrap();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_left_by_a_kill_is_taken_over_and_one_in_use_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let config = Admin { listen: Listen::Unix(path), tokens: dir.path().join("tokens"), tls: None };
    let _server = bind(&config).await.unwrap();
    assert!(bind(&config).await.is_err());
}

#[tokio::test]
async fn tls_serves_those_who_trust_its_certificate_and_no_clear_request() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = TlsFiles { cert: cert.clone(), key, client_ca: None };
    let running = Running::start(Some(tls), |_| Listen::parse("localhost:0", "".as_ref()).unwrap()).await;
    let port = running.address.rsplit_once(':').unwrap().1;
    let token = running.token(Role::Auditor);
    let client = Client::new(&format!("https://localhost:{port}"), token.clone(), Some(cert)).unwrap();
    assert_eq!(client.send(Method::GET, PERSON).await.unwrap().status, 200);
    let clear = Client::new(&format!("http://localhost:{port}"), token, None).unwrap();
    assert!(clear.send(Method::GET, PERSON).await.is_err());
}

#[tokio::test]
async fn a_stopped_server_ends_although_a_client_keeps_its_connection() {
    let running = Running::local().await;
    let idle = tokio::net::TcpStream::connect(&running.address).await.unwrap();
    running.stop.send(true).unwrap();
    running.task.await.unwrap();
    drop(idle);
}
