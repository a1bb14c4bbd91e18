//! A whole gateway in this process, in front of a database that is not there: what concerns no statement.

use super::*;
use crate::admin::client::Client;
use crate::admin::tokens::{Role, TokenFile};
use crate::ids::Generation;
use crate::keyring::Keyring;
use crate::keys::GenerationKey;
use crate::rights;
use crate::roots::{FileRoots, RootError, RootInfo, RootProvider, RootWrapped};
use hyper::Method;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

const FILE: &str = r#"
[keys]
root = "file:keys"
[admin]
listen = "127.0.0.1:0"
[limits]
drain_seconds = 1
[fields]
name = "encrypt"
[[postgres]]
listen = "127.0.0.1:0"
upstream = "postgres://paravent@127.0.0.1:1/app"
[postgres.tables.people]
subject = "id"
fields = ["name"]
"#;

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        home.write(FILE);
        FileRoots::generate(home.path("keys")).unwrap();
        rights::key::generate(&home.path("receipt.key")).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path("paravent.toml"), text).unwrap();
    }

    fn config(&self) -> Config {
        config::load(&self.path("paravent.toml"), &|_| None).unwrap()
    }

    async fn start(&self) -> Gateway {
        Gateway::start(self.config()).await.unwrap()
    }

    async fn get(&self, gateway: &Gateway, path: &str) -> (u16, serde_json::Value) {
        let (_, address) = gateway.listening().iter().find(|(what, _)| *what == "admin").unwrap();
        let tokens = TokenFile::new(self.path("admin.tokens"));
        let token = tokens.add(&format!("t{}", tokens.count().unwrap()), Role::Operator).unwrap();
        let client = Client::new(&format!("http://{address}"), token.to_string(), None).unwrap();
        let answer = client.send(Method::GET, path).await.unwrap();
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }
}

#[tokio::test]
async fn every_listener_accepts_once_it_is_listed_and_none_after_the_stop() {
    let home = Home::new();
    let mut gateway = home.start().await;
    let listening = gateway.listening().to_vec();
    assert_eq!(listening.iter().map(|(what, _)| *what).collect::<Vec<_>>(), ["postgres", "admin"]);
    for (_, address) in &listening {
        tokio::net::TcpStream::connect(address).await.unwrap();
    }
    assert_eq!(home.get(&gateway, "/readyz").await.0, 200);
    gateway.stop().await;
    for (_, address) in &listening {
        assert!(tokio::net::TcpStream::connect(address).await.is_err(), "{address}");
    }
}

#[tokio::test]
async fn the_keystore_can_be_opened_again_after_the_stop() {
    let home = Home::new();
    let mut gateway = home.start().await;
    gateway.stop().await;
    drop(gateway);
    // Tasks that were cancelled let go of the keystore when the runtime comes to them.
    for _ in 0..1000 {
        if let Ok(mut again) = Gateway::start(home.config()).await {
            again.stop().await;
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the keystore stays locked");
}

#[tokio::test]
async fn a_reload_puts_a_sound_new_policy_in_force() {
    let home = Home::new();
    let mut gateway = home.start().await;
    home.write(&FILE.replace("[fields]", "[fields]\nnick = \"encrypt\""));
    gateway.reload().unwrap();
    let expected = hex::encode(policy::hash(&home.config().policy));
    assert_eq!(home.get(&gateway, "/readyz").await.1["policy"], expected);
    gateway.stop().await;
}

#[tokio::test]
async fn a_reload_of_a_wrong_file_or_of_more_than_the_policy_changes_nothing() {
    let home = Home::new();
    let mut gateway = home.start().await;
    let before = hex::encode(policy::hash(&gateway.config.policy));
    home.write(&FILE.replace("\"encrypt\"", "\"encript\""));
    assert!(matches!(gateway.reload(), Err(ReloadError::Config(_))));
    for (old, new) in [
        ("root = \"file:keys\"", "root = \"file:keys\"\ncache = 99"),
        ("drain_seconds = 1", "drain_seconds = 2"),
        ("127.0.0.1:1/app", "127.0.0.1:2/app"),
        ("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.1:7400\""),
    ] {
        home.write(&FILE.replace(old, new).replace("[fields]", "[fields]\nnick = \"encrypt\""));
        assert!(matches!(gateway.reload(), Err(ReloadError::Restart(_))), "{new}");
    }
    assert_eq!(home.get(&gateway, "/readyz").await.1["policy"], before);
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_subject_is_unknown_to_the_real_keystore() {
    let home = Home::new();
    let mut gateway = home.start().await;
    assert_eq!(home.get(&gateway, "/v1/subjects/person/42").await.0, 404);
    gateway.stop().await;
}

#[tokio::test]
async fn without_a_root_key_nothing_starts_and_the_way_out_is_told() {
    let home = Home::new();
    std::fs::remove_file(home.path("keys")).unwrap();
    let error = Gateway::start(home.config()).await.err().unwrap();
    assert!(error.to_string().contains("paravent keys generate"), "{error}");
    assert_eq!(error.exit(), Exit::Usage);
}

#[tokio::test]
async fn without_a_key_to_sign_receipts_nothing_starts_and_the_way_out_is_told() {
    let home = Home::new();
    std::fs::remove_file(home.path("receipt.key")).unwrap();
    let error = Gateway::start(home.config()).await.err().unwrap();
    assert!(error.to_string().contains("paravent keys generate"), "{error}");
    assert_eq!(error.exit(), Exit::Usage);
}

/// A provider that goes away and comes back.
struct Away(Arc<std::sync::atomic::AtomicBool>);

impl RootProvider for Away {
    fn name(&self) -> &'static str {
        "away"
    }

    fn list(&self) -> Result<Vec<RootInfo>, RootError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(RootError::Provider { provider: "away", reason: "no answer".into() });
        }
        Ok(Vec::new())
    }

    fn create(&self, generation: Generation) -> Result<(), RootError> {
        Err(RootError::Missing(generation))
    }

    fn wrap(&self, key: &GenerationKey) -> Result<RootWrapped, RootError> {
        Err(RootError::Missing(key.number()))
    }

    fn unwrap(&self, generation: Generation, _: &RootWrapped) -> Result<GenerationKey, RootError> {
        Err(RootError::Missing(generation))
    }

    fn destroy(&self, generation: Generation) -> Result<(), RootError> {
        Err(RootError::Missing(generation))
    }

    fn destruction_is_proven(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn while_the_root_keys_are_out_of_reach_the_generation_in_memory_serves_until_its_lease_ends() {
    let home = Home::new();
    let store = Arc::new(crate::keystore::embedded::Embedded::open(&home.path("other.keystore")).unwrap());
    let roots = FileRoots::open(home.path("keys")).unwrap();
    let keyring = Keyring::open(store, &roots, crate::keyring::Options::default()).await.unwrap();
    let away = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (health, lease) = (admin::Health::default(), Duration::from_millis(40));
    let watched = open::watch_roots(Arc::new(Away(away.clone())), keyring.clone(), lease, health.clone());
    let task = tokio::spawn(watched);
    let until = async |serves: bool| {
        while keyring.lease().is_ok() != serves {
            tokio::task::yield_now().await;
        }
    };
    assert!(keyring.lease().is_ok());
    away.store(true, Ordering::SeqCst);
    let gone = std::time::Instant::now();
    until(false).await;
    assert!(gone.elapsed() > lease / 2, "not at once");
    assert!(keyring.lease().unwrap_err().to_string().contains("root keys are out of reach"));
    away.store(false, Ordering::SeqCst);
    until(true).await;
    task.abort();
}

#[tokio::test]
async fn an_address_that_is_taken_is_told() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    home.write(
        &FILE.replace(
            "[[postgres]]\nlisten = \"127.0.0.1:0\"",
            &format!("[[postgres]]\nlisten = \"{address}\""),
        ),
    );
    let error = Gateway::start(home.config()).await.err().unwrap();
    assert!(error.to_string().contains(&address), "{error}");
    assert_eq!(error.exit(), Exit::Failed);
}

#[tokio::test]
async fn the_stop_is_bounded_although_a_client_stays() {
    let home = Home::new();
    let mut gateway = home.start().await;
    let client = tokio::net::TcpStream::connect(&gateway.listening()[0].1).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), gateway.stop()).await.unwrap();
    drop(client);
}
