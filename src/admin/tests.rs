//! The API over a real socket, with subjects held in memory.

mod memory;

use super::access::TABLE;
use super::client::{Answer, Client, ClientError, Credentials};
use super::tokens::{Role, TokenFile};
use super::*;
use crate::config::{Admin, Listen, TlsFiles};
use crate::ids::Subject;
use crate::telemetry;
use hyper::Method;
use memory::Memory;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

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
        let tokens = dir.path().join("tokens");
        let config = Admin { listen: listen(dir.path()), tokens, tls, requests_per_second: 50 };
        let server = bind(&config).await.unwrap();
        let address = server.address.clone();
        let memory = Memory::default();
        memory.states.lock().insert(Subject::new("person", "42"), State::Live);
        memory.states.lock().insert(Subject::new("person", "a/b é"), State::Restricted);
        let (health, (stop, stopped)) = (Health::default(), watch::channel(false));
        let recorder = telemetry::install_metrics().unwrap();
        let task = tokio::spawn(server.serve(Arc::new(memory.clone()), health.clone(), recorder, stopped));
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

    /// A request with headers and a body: status, head, body.
    async fn send(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.unwrap();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
        );
        headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        // The server may answer, and close, before it has read a body that it refuses.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
    }

    async fn ask(&self, token: &str, method: Method, path: &str) -> (u16, Value) {
        let client = Client::new(&format!("http://{}", self.address), token.to_owned(), None).unwrap();
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
    assert_eq!(
        (status, &body["stage"], body["keys"].as_array().map(Vec::len)),
        (200, &json!("live"), Some(1))
    );
    assert_eq!(body["salt"], "5a17");
    let (status, body) = running.ask(&token, Method::DELETE, &format!("{PERSON}?realm=main")).await;
    assert_eq!(
        (status, &body["stage"], body["keys"].as_array().map(Vec::len)),
        (200, &json!("live"), Some(0))
    );
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
        (Method::POST, PERSON, 405),
        (Method::DELETE, "/v1/receipts", 405),
        (Method::GET, "/v1/other", 404),
        (Method::GET, "/v1/subjects/person/42?reelm=x", 400),
        (Method::GET, "/v1/subjects/person/%FF", 400),
        (Method::DELETE, "/v1/keys/2", 404),
        (Method::DELETE, "/v1/keys/x", 400),
        (Method::POST, "/v1/keystore/backup?to=relative", 400),
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

/// Every route with a method, as /openapi.json names them, for what the table says.
#[tokio::test]
async fn each_role_may_what_the_table_says_and_nothing_else() {
    let routes = [
        ("subject.show", Method::GET, PERSON),
        ("subject.restrict", Method::POST, "/v1/subjects/person/42/restrict"),
        ("subject.release", Method::POST, "/v1/subjects/person/42/release"),
        ("subject.export", Method::GET, "/v1/subjects/person/42/export"),
        ("subject.rekey", Method::POST, "/v1/subjects/person/42/rekey"),
        ("subject.erase", Method::DELETE, PERSON),
        ("unsettled.show", Method::GET, "/v1/unsettled"),
        ("receipt.show", Method::GET, "/v1/receipts/rcp_1"),
        ("receipt.show", Method::GET, "/v1/receipts"),
        ("policy.show", Method::GET, "/v1/policy"),
        ("policy.reload", Method::POST, "/v1/policy/reload"),
        ("coverage.show", Method::GET, "/v1/coverage"),
        ("key.show", Method::GET, "/v1/keys"),
        ("key.rotate", Method::POST, "/v1/keys/rotate"),
        ("key.destroy", Method::DELETE, "/v1/keys/1"),
        ("keystore.backup", Method::POST, "/v1/keystore/backup"),
        ("job.show", Method::GET, "/v1/jobs"),
        ("job.show", Method::GET, "/v1/jobs/none"),
        ("job.resume", Method::POST, "/v1/jobs/resume"),
        ("audit.show", Method::GET, "/v1/audit/head"),
        ("audit.show", Method::GET, "/v1/audit"),
    ];
    for (_, name, _) in TABLE {
        assert!(routes.iter().any(|(route, ..)| route == name), "{name} has no route here");
    }
    let running = Running::local().await;
    for role in [Role::Auditor, Role::Operator, Role::Privacy] {
        let token = running.token(role);
        for (name, method, path) in &routes {
            let (_, _, roles) = TABLE.iter().find(|(_, known, _)| known == name).unwrap();
            let (status, body) = running.ask(&token, method.clone(), path).await;
            assert_eq!(status != 403, roles.contains(&role), "{role} {name}: {status} {body}");
            assert_eq!(running.ask("", method.clone(), path).await.0, 401, "{name} without a token");
        }
    }
}

#[tokio::test]
async fn what_was_done_is_noted_with_who_did_it_and_never_whom_an_erasure_was_about() {
    let running = Running::local().await;
    let token = running.token(Role::Privacy);
    running.ask(&token, Method::GET, PERSON).await;
    running.ask(&token, Method::DELETE, PERSON).await;
    running.ask("wrong", Method::DELETE, PERSON).await;
    let events = running.memory.events.lock().clone();
    let told: Vec<_> = events.iter().map(|e| (e.principal.as_str(), e.action, e.status)).collect();
    let name = "privacy-0";
    assert_eq!(told, [(name, "subject.show", 200), (name, "subject.erase", 200), ("", "admin.denied", 401)]);
    assert!(events[0].subject.is_some() && events[1].subject.is_none());
    assert_eq!(events[1].receipt.as_ref().map(String::len), Some(64));
}

#[tokio::test]
async fn nothing_is_done_that_can_not_be_recorded() {
    let running = Running::local().await;
    let token = running.token(Role::Privacy);
    *running.memory.unaccountable.lock() = true;
    assert_eq!(running.ask(&token, Method::DELETE, PERSON).await.0, 503);
    assert!(running.memory.grounds.lock().is_empty());
    assert_eq!(running.ask("", Method::GET, "/healthz").await.0, 200);
}

#[tokio::test]
async fn a_request_with_its_key_is_done_once_and_answered_again() {
    let running = Running::local().await;
    let token = running.token(Role::Privacy);
    let post = async |key: &str, path: &str, body: &str| {
        let request = [("Idempotency-Key", key), ("Content-Type", "application/json")];
        running.send(&token, "POST", path, &request, body).await
    };
    let path = "/v1/subjects/person/42/restrict";
    let first = post("k1", path, "").await;
    let again = post("k1", path, "").await;
    assert_eq!((first.0, &first.2), (200, &again.2));
    assert!(again.1.contains("idempotent-replayed: true") && !first.1.contains("idempotent-replayed"));
    assert_eq!(*running.memory.restrictions.lock(), 1);
    assert_eq!(post("k1", path, r#"{"ground":"x"}"#).await.0, 409);
    assert_eq!(post("k1", "/v1/subjects/person/42/release", "").await.0, 409);
    assert_eq!(post("k2", path, "").await.0, 200);
    assert_eq!(*running.memory.restrictions.lock(), 2);
    assert_eq!(post("two words", path, "").await.0, 400);
}

#[tokio::test]
async fn bodies_and_representations_that_do_not_fit_are_problems() {
    let running = Running::local().await;
    let token = running.token(Role::Privacy);
    let path = "/v1/subjects/person/42/restrict";
    let json = ("Content-Type", "application/json");
    let long = format!("\"{}\"", "x".repeat(70_000));
    for (headers, body, status) in [
        (vec![json], r#"{"ground":"art. 18"}"#, 200),
        (vec![json], "", 200),
        (vec![json], "null", 200),
        (vec![json], "{", 400),
        (vec![json], r#"{"ground":"two\nlines"}"#, 400),
        (vec![json], r#"{"ground":1}"#, 422),
        (vec![json], r#"{"grounds":"x"}"#, 422),
        (vec![], r#"{"ground":"x"}"#, 415),
        (vec![("Content-Type", "text/plain")], "x", 415),
        (vec![json], long.as_str(), 413),
        (vec![json, ("Accept", "text/html")], "", 406),
    ] {
        let (found, head, text) = running.send(&token, "POST", path, &headers, body).await;
        assert_eq!(found, status, "{headers:?} {body:.40}: {text}");
        let problem = head.contains("application/problem+json");
        assert_eq!(problem, status != 200, "{head}");
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_wait() {
    let running = Running::local().await;
    let token = running.token(Role::Auditor);
    let mut limited = 0;
    for _ in 0..150 {
        let (status, head, _) = running.send(&token, "GET", "/v1/policy", &[], "").await;
        limited += u32::from(status == 429 && head.to_lowercase().contains("retry-after"));
    }
    assert!(limited > 0);
    assert_ne!(running.ask(&running.token(Role::Auditor), Method::GET, "/v1/policy").await.0, 429);
}

#[tokio::test]
async fn the_description_lists_every_route_and_needs_no_token() {
    let running = Running::local().await;
    let (status, body) = running.ask("", Method::GET, "/openapi.json").await;
    assert_eq!(status, 200);
    assert_eq!(body, serde_json::to_value(openapi()).unwrap());
    let paths = body["paths"].as_object().unwrap();
    assert!(paths.len() >= 15 && paths.contains_key("/v1/subjects/{class}/{id}/export"), "{paths:?}");
    for (path, methods) in paths.iter().filter(|(path, _)| path.starts_with("/v1/")) {
        for (method, about) in methods.as_object().unwrap() {
            assert_eq!(about["security"], json!([{ "token": [] }]), "{method} {path}");
            assert!(about["responses"].get("401").is_some(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_method_that_a_resource_lacks_is_told_which_it_has() {
    let running = Running::local().await;
    let token = running.token(Role::Auditor);
    let (status, head, _) = running.send(&token, "PATCH", PERSON, &[], "").await;
    let head = head.to_lowercase();
    assert!(status == 405 && head.contains("allow: ") && head.contains("delete"), "{head}");
}

#[tokio::test]
async fn metrics_need_no_token() {
    let running = Running::local().await;
    let (status, body) = running.ask("", Method::GET, "/metrics").await;
    assert!(status == 200 && body.as_str().unwrap().contains("paravent_fields_total"), "{body}");
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
    let tokens = dir.path().join("tokens");
    let config = Admin { listen: Listen::Unix(path), tokens, tls: None, requests_per_second: 50 };
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

/// A status line over TLS, with a client's certificate or none; none where the handshake fails.
async fn with_certificate(port: &str, roots: &str, shown: Option<(&str, &str)>) -> Option<u16> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut store = rustls::RootCertStore::empty();
    store.add(der(roots)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(store);
    let config = match shown {
        Some((cert, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            config.with_client_auth_cert(vec![der(cert)], key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    let stream = tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, stream).await.ok()?;
    let request = format!("GET {PERSON} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.ok()?;
    String::from_utf8(bytes).unwrap().split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn a_client_certificate_has_the_role_of_its_line_and_none_without_one() {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
    let dir = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "an authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap(), key.serialize_pem())
    };
    let (server, known, stranger) = (issue("localhost"), issue("known"), issue("stranger"));
    let write = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let tls = TlsFiles {
        cert: write("cert.pem", &server.0.pem()),
        key: write("key.pem", &server.1),
        client_ca: Some(write("ca.pem", &root)),
    };
    let running = Running::start(Some(tls), |_| Listen::parse("127.0.0.1:0", "".as_ref()).unwrap()).await;
    let port = running.address.rsplit_once(':').unwrap().1;
    running.tokens().add_certificate("known", Role::Auditor, known.0.der()).unwrap();
    let shown = |identity: &(rcgen::Certificate, String)| (identity.0.pem(), identity.1.clone());
    let (known, stranger) = (shown(&known), shown(&stranger));
    assert_eq!(with_certificate(port, &root, Some((&known.0, &known.1))).await, Some(200));
    assert_eq!(with_certificate(port, &root, Some((&stranger.0, &stranger.1))).await, Some(401));
    assert_eq!(with_certificate(port, &root, None).await, None);
    let events = running.memory.events.lock().clone();
    assert_eq!((events[0].principal.as_str(), events[0].role), ("known", Some(Role::Auditor)));
    // As the commands do it: a certificate stands for a token; without one there is no answer.
    let files = (write("known.pem", &known.0), write("known.key", &known.1));
    let with = |certificate| Credentials { token: None, certificate };
    let (url, ca) = (format!("https://localhost:{port}"), Some(dir.path().join("ca.pem")));
    let shown = Client::new(&url, with(Some(files.clone())), ca.clone()).unwrap();
    assert_eq!(shown.send(Method::GET, "/v1/policy").await.unwrap().status, 200);
    assert_eq!(shown.send(Method::POST, "/v1/keys/rotate").await.unwrap().status, 403);
    let bare = Client::new(&url, with(None), ca.clone()).unwrap();
    assert!(matches!(bare.send(Method::GET, "/v1/policy").await, Err(ClientError::Failed(_))));
    let wrong = (files.0.clone(), write("stranger.key", &stranger.1));
    let wrong = Client::new(&url, with(Some(wrong)), ca).unwrap();
    assert!(matches!(wrong.send(Method::GET, "/v1/policy").await, Err(ClientError::Usage(_))), "not its key");
    let clear = Client::new("http://127.0.0.1:1", with(Some(files)), None);
    assert!(matches!(clear, Err(ClientError::Usage(_))), "a certificate is never thought to help there");
}

#[tokio::test]
async fn a_stopped_server_ends_although_a_client_keeps_its_connection() {
    let running = Running::local().await;
    let idle = tokio::net::TcpStream::connect(&running.address).await.unwrap();
    running.stop.send(true).unwrap();
    running.task.await.unwrap();
    drop(idle);
}
