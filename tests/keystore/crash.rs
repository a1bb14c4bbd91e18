//! Killed at any point: every acknowledged value opens, every acknowledged erasure stays.

use paravent::clear::Clear;
use paravent::crypto::{SigningKey, random};
use paravent::envelope::{EnvelopeRef, field_tag};
use paravent::ids::{FieldId, Subject};
use paravent::keyring::{Keyring, Options};
use paravent::keystore::embedded::Embedded;
use paravent::policy::model::{AfterErasure, Class, Declared, Field, Policy, Protect, TokenKind};
use paravent::protect::{Door, Item, Outcome, Owner, Row, Stored};
use paravent::rights::{Ledger, Rights};
use paravent::roots::FileRoots;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const FOLDER: &str = "PARAVENT_TEST_CRASH_FOLDER";
const ROUND: &str = "PARAVENT_TEST_CRASH_ROUND";
const NAME: FieldId = FieldId(0);
const EMAIL: FieldId = FieldId(1);

fn field(id: u16, name: &str, protect: Protect) -> Field {
    Field {
        id: FieldId(id),
        name: name.into(),
        tag: field_tag(name),
        protect,
        ty: Declared::Text,
        purpose: "default".into(),
        erased: None,
    }
}

struct House {
    door: Door,
    rights: Rights,
}

async fn open(folder: &Path) -> House {
    let store = Arc::new(Embedded::open(&folder.join("test.keystore")).unwrap());
    let roots = FileRoots::open(folder.join("keys")).unwrap();
    let keyring = Keyring::open(store, &roots, Options::default()).await.unwrap();
    let ledger = Ledger::open(&folder.join("test.ledger")).unwrap();
    let rights = Rights::open(keyring.clone(), ledger, SigningKey::generate().unwrap()).await.unwrap();
    let email = Protect::Pseudonym { domain: "email".into(), kind: TokenKind::Email, normalise: false };
    let policy = Policy {
        fields: vec![field(0, "name", Protect::Encrypt), field(1, "email", email)],
        classes: vec![Class { name: "person".into(), after_erasure: AfterErasure::Refuse }],
        postgres: Vec::new(),
        http: Vec::new(),
    };
    House { door: Door::new(keyring, Arc::new(policy)).unwrap(), rights }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A parent that has enough has closed its end already.
    let _ = writeln!(out, "ACK {line}").and_then(|()| out.flush());
}

/// One committed insert; the id comes from the database for every second one.
async fn put(house: &House, id: &str, returned: bool) {
    let subject = Subject::new("person", id);
    let (name, email) = (Clear::text(&clear_name(id)), Clear::text(&clear_email(id)));
    let owner = if returned { Owner::Returned(0) } else { Owner::Known(&subject) };
    let items = [Item { field: NAME, owner, value: &name }, Item { field: EMAIL, owner, value: &email }];
    let mut unit = house.door.unit("app");
    let stored = unit.protect(&items).await.unwrap();
    if returned {
        unit.bind(&[(0, subject.clone())]).await.unwrap();
    }
    let [Stored::Envelope(envelope), Stored::Token(token)] = &stored[..] else { panic!() };
    say(&format!("put {id} {} {token}", hex::encode(envelope)));
    unit.commit();
}

fn clear_name(id: &str) -> String {
    format!("name-of-{id}")
}

fn clear_email(id: &str) -> String {
    format!("{id}@clear.example.org")
}

/// Runs only as the child of the test below.
#[test]
fn inserts_and_erases_until_it_is_killed() {
    let (Ok(folder), Ok(round)) = (std::env::var(FOLDER), std::env::var(ROUND)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let house = Arc::new(open(Path::new(&folder)).await);
        let mut tasks = Vec::new();
        for task in 0..4 {
            let (house, round) = (house.clone(), round.clone());
            tasks.push(tokio::spawn(async move {
                for n in 0..1000 {
                    let id = format!("{round}-{task}-{n}");
                    put(&house, &id, n % 2 == 0).await;
                    if n % 3 == 0 {
                        say(&format!("erasing {id}"));
                        house.rights.erase(&Subject::new("person", id.clone()), "test").await.unwrap();
                        say(&format!("erased {id}"));
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[derive(Default)]
struct Heard {
    put: HashMap<String, (Vec<u8>, String)>,
    erasing: HashSet<String>,
    erased: HashSet<String>,
}

impl Heard {
    fn hear(&mut self, line: &str) {
        let Some((_, line)) = line.split_once("ACK ") else { return };
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["put", id, envelope, token] => {
                self.put.insert(id.into(), (hex::decode(envelope).unwrap(), token.into()));
            }
            ["erasing", id] => drop(self.erasing.insert(id.into())),
            ["erased", id] => drop(self.erased.insert(id.into())),
            _ => panic!("unexpected line"),
        }
    }
}

/// Starts a child and kills it after some random number of acknowledgements.
fn run_and_kill(folder: &Path, round: usize, heard: &mut Heard) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::inserts_and_erases_until_it_is_killed", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let enough = 1 + usize::from(u16::from_be_bytes(random()) % 60);
    let mut line = String::new();
    let mut count = 0;
    while lines.read_line(&mut line).unwrap() > 0 {
        if line.contains("ACK ") {
            count += 1;
        }
        if count == enough {
            child.kill().unwrap();
        }
        // A line cut short by the kill acknowledges nothing.
        if line.ends_with('\n') {
            heard.hear(line.trim_end());
        }
        line.clear();
    }
    child.wait().unwrap();
    assert!(count >= enough, "the child ended by itself after {count} lines");
}

async fn recover(house: &House, heard: &Heard) {
    // What the recovery job finds in the database: the envelopes that were sent.
    let sent: HashSet<_> =
        heard.put.values().map(|(envelope, _)| EnvelopeRef::parse(envelope).unwrap().key_id()).collect();
    let unsettled = house.door.unsettled().await.unwrap();
    let found: Vec<_> = unsettled.iter().map(|one| (one, sent.contains(&one.key_id()))).collect();
    house.door.settle(&found).await.unwrap();
    assert!(house.door.unsettled().await.unwrap().is_empty());
}

/// `None` when it was erased.
async fn shown(house: &House, id: &str, field: FieldId, envelope: &[u8], token: &str) -> Option<String> {
    let row = Row::Of { class: "person", id };
    for _ in 0..8 {
        let mut out = Vec::new();
        let outcome = match field {
            NAME => house.door.open(NAME, envelope, row, &mut out),
            _ => house.door.reveal(EMAIL, token, row, &mut out),
        };
        match outcome {
            Outcome::Opened(_) => return Some(String::from_utf8(out).unwrap()),
            Outcome::Erased => return None,
            Outcome::Missing(missing) => house.door.load(&[missing]).await.unwrap(),
            Outcome::Fault(fault) => panic!("{id}: {fault}"),
        }
    }
    panic!("{id}: still missing");
}

#[tokio::test]
async fn killed_thirty_times_it_loses_no_value_and_forgets_no_erasure() {
    let folder = tempfile::tempdir().unwrap();
    FileRoots::generate(folder.path().join("keys")).unwrap();
    let mut heard = Heard::default();
    for round in 0..30 {
        run_and_kill(folder.path(), round, &mut heard);
        let house = open(folder.path()).await;
        recover(&house, &heard).await;
        for (id, (envelope, token)) in &heard.put {
            let name = shown(&house, id, NAME, envelope, token).await;
            let email = shown(&house, id, EMAIL, envelope, token).await;
            if heard.erased.contains(id) {
                assert_eq!((name, email), (None, None), "{id} was erased");
            } else if heard.erasing.contains(id) {
                // Killed in the middle: either way, but the whole of it, and for good.
                assert_eq!(name.is_none(), email.is_none(), "{id} was being erased");
                if name.is_none() {
                    heard.erased.insert(id.clone());
                }
            } else {
                assert_eq!((name, email), (Some(clear_name(id)), Some(clear_email(id))), "{id}");
            }
        }
    }
    assert!(heard.put.len() > 60 && heard.erased.len() > 20, "too little happened");
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for needle in [&b"@clear.example.org"[..], b"name-of-"] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "a clear value on disk");
        }
    }
}
