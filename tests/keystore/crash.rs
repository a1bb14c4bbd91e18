//! Killed at any point: every acknowledged value opens, every acknowledged erasure stays.

use paravent::clear::Clear;
use paravent::crypto::{SigningKey, random};
use paravent::envelope::{EnvelopeRef, field_tag};
use paravent::ids::{FieldId, Generation, KeyId, Subject};
use paravent::keyring::{Keyring, Options};
use paravent::keystore::Keystore;
use paravent::keystore::embedded::Embedded;
use paravent::keystore::model::{self, Found, GenerationRow, GenerationState, NewSecret, UnitId};
use paravent::keystore::rotation::{Passed, Rewrap};
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
        classes: vec![Class {
            name: "person".into(),
            after_erasure: AfterErasure::Refuse,
            ids: Default::default(),
        }],
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

/// A keystore whose first generation is being left: its files, with the log cut to that length.
fn cut(folder: &Path, length: u64, to: &Path) -> Embedded {
    std::fs::create_dir_all(to).unwrap();
    std::fs::copy(folder.join("k"), to.join("k")).unwrap();
    let log = std::fs::read(folder.join("k-wal")).unwrap();
    std::fs::write(to.join("k-wal"), &log[..usize::try_from(length).unwrap()]).unwrap();
    Embedded::open(&to.join("k")).unwrap()
}

/// Wrapping again is not made durable by itself: what is lost is wrapped again, and what came after is there with it.
#[tokio::test]
async fn whatever_the_power_takes_of_a_rotation_every_secret_is_under_one_generation_or_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("k")).unwrap();
    let generation =
        |n: u32| GenerationRow { number: Generation(n), wrapped: vec![1], state: GenerationState::Active };
    store.add_generation(generation(1)).await.unwrap();
    let secret = |n: u8, generation: u32| NewSecret {
        key_id: KeyId([n; 16]),
        subject: Some(Subject::new("person", n.to_string())),
        mark: None,
        purpose: "default".into(),
        generation: Generation(generation),
        wrapped: vec![1; 65],
    };
    let write = |secrets| model::Write {
        unit: UnitId([0; 16]),
        database: "app".into(),
        made_at: 1,
        secrets,
        holds: Vec::new(),
    };
    store.write(write((0..250).map(|n| secret(n, 1)).collect())).await.unwrap();
    store.rotate(generation(2)).await.unwrap();
    let length = || std::fs::metadata(folder.path().join("k-wal")).unwrap().len();
    let durable = length();
    let to = Generation(2);
    let again = |found: Passed| Rewrap {
        place: found.place,
        key_id: found.row.key_id,
        version: found.version,
        from: Generation(1),
        to,
        wrapped: vec![2; 65],
    };
    let found = store.wrapped_by(Generation(1), 0, 1000).await.unwrap();
    assert_eq!(store.rewrap(found.into_iter().map(again).collect()).await.unwrap(), 250);
    let wrapped = length();
    store.write(write(vec![secret(250, 2)])).await.unwrap();
    let after = length();
    assert!(durable < wrapped && wrapped < after, "{durable} {wrapped} {after}");
    let mut moved = HashSet::new();
    for step in 0..=8 {
        let at = durable + (wrapped - durable) * step / 8;
        let copy = cut(folder.path(), at, &folder.path().join(step.to_string()));
        let all = copy.every_secret(0, 1000).await.unwrap();
        assert_eq!(all.len(), 250);
        for Passed { row, .. } in &all {
            assert_eq!(u32::from(row.wrapped[0]), row.generation.0, "its bytes are of its generation");
        }
        let left = copy.dependents(Generation(1)).await.unwrap().secrets;
        moved.insert(250 - left);
        // What is left goes on from there.
        let left = copy.wrapped_by(Generation(1), 0, 1000).await.unwrap();
        copy.rewrap(left.into_iter().map(again).collect()).await.unwrap();
        assert_eq!(copy.dependents(Generation(1)).await.unwrap().secrets, 0);
    }
    assert!(moved.contains(&0) && moved.contains(&250), "{moved:?}");
    let copy = cut(folder.path(), after, &folder.path().join("after"));
    assert_eq!(copy.dependents(Generation(1)).await.unwrap().secrets, 0, "it lies before what was answered");
    assert!(matches!(copy.secrets(&[KeyId([250; 16])]).await.unwrap()[0], Found::Live(_)));
}
