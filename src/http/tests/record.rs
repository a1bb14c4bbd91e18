//! The audit log: what an exchange opened is on record, whatever becomes of it.

use super::*;
use crate::audit::{Audit, Clients, Options, Resolver};
use crate::config::HttpForwarded;
use crate::crypto::SigningKey;
use crate::http::forward::Origin;
use crate::ids::KeyId;
use crate::keys::StandIn;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const ROUTES: &str = r#"
[[http.routes]]
path = "/people/{id}"
subject = "path:id"
links = ["/self"]
fields = { "/note" = "note", "/first_name" = "first_name" }
[[http.routes]]
path = "/by/{email}"
fields = { "path:email" = "email" }
"#;

struct Known;

impl Resolver for Known {
    fn stand_ins(&self, keys: &[KeyId]) -> Result<HashMap<KeyId, StandIn>, String> {
        Ok(keys.iter().map(|key| (*key, StandIn([7; 12]))).collect())
    }
}

fn log(path: &Path) -> Audit {
    let options = Options {
        path: path.to_owned(),
        keep: None,
        segment: 1 << 20,
        moment: Duration::from_millis(1),
        most: 1000,
        clients: Clients::Full,
    };
    Audit::open(options, Arc::new(SigningKey::generate().unwrap()), Known).unwrap()
}

/// The entries of that event which are durable now.
fn entries(audit: &Audit, path: &Path, event: &str) -> Vec<String> {
    audit.flush(Duration::from_secs(20)).unwrap();
    let mut all = Vec::new();
    for file in std::fs::read_dir(path).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
        all.extend(
            text.lines().filter(|line| line.contains(&format!(r#""event":"{event}""#))).map(str::to_owned),
        );
    }
    all
}

#[tokio::test]
async fn what_was_opened_for_a_refused_answer_is_on_record_while_its_connection_lives() {
    let house = House::new().await;
    let config = format!("{FIELDS}{ROUTES}");
    let config = config::parse(&house.folder.path().join("p.toml"), &config, &|_| None).unwrap();
    let path = house.folder.path().join("audit");
    let audit = log(&path);
    let door = house.door.with_policy(config.policy.clone()).unwrap().audited(audit.clone());
    let gate = Gate::new(door, &config.http[0]).unwrap();
    let connection = Origin::new(HttpForwarded::Append, Some("10.1.2.3:40000".parse().unwrap()), false);
    let ask = async |method: Method, text: &'static str| {
        let request = Request::builder().method(method).uri("/people/1");
        let request = request.header("content-type", "application/json").body(body(text)).unwrap();
        let (mut head, body) = request.into_parts();
        let verdict = gate.judge(&head);
        let caller = Some(connection.caller());
        let (body, exchange) = gate.request(verdict, &mut head, Some(body), caller).await.unwrap();
        let sent = collect(body.unwrap()).await.unwrap().0;
        (String::from_utf8(sent).unwrap(), exchange)
    };
    let (stored, written) = ask(Method::PUT, r#"{"note":"a","first_name":"b"}"#).await;
    written.json(200, "{}").await.unwrap();
    let (_, read) = ask(Method::GET, "").await;
    read.json(200, &stored).await.unwrap();
    let opened = entries(&audit, &path, "opened");
    assert!(opened.len() == 1 && opened[0].contains(r#""values":2"#), "{opened:?}");
    assert!(opened[0].contains(r#""client":"10.1.2.3""#), "{opened:?}");
    // One value opens, the other is in clear where a sealed one should stand: nothing is shown.
    let (note, _) = stored.split_once(r#","first_name""#).unwrap();
    let (_, read) = ask(Method::GET, "").await;
    let refused = read.json(200, &format!(r#"{note},"first_name":"clear"}}"#)).await.err().unwrap();
    assert_eq!(refused.code, "in-clear");
    let opened = entries(&audit, &path, "opened");
    assert!(opened.len() == 2 && opened[1].contains(r#""values":1"#), "{opened:?}");
    assert_eq!(entries(&audit, &path, "fault").len(), 1);
    // Words of the service's own, and addresses of other things: nobody touched what is stored.
    for (status, text) in
        [(422, r#"{"note":["is required"],"first_name":"too long"}"#), (200, r#"{"self":"/by/me"}"#)]
    {
        let (_, read) = ask(Method::GET, "").await;
        assert_eq!(String::from_utf8(read.json(status, text).await.unwrap().body).unwrap(), text);
    }
    let unissued = format!("/by/psn_{}.invalid", "a".repeat(26));
    let text = format!(r#"{{"self":"{unissued}"}}"#);
    let (_, read) = ask(Method::GET, "").await;
    assert_eq!(String::from_utf8(read.json(200, &text).await.unwrap().body).unwrap(), text);
    assert_eq!(entries(&audit, &path, "fault").len(), 1);
}
