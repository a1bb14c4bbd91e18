//! A gateway's keys in this process, what its clients were told, and what must be true of both.

use super::faults::{Fault, LedgerDisk, Plan, Roots, Store};
use paravent::clear::Clear;
use paravent::crypto::SigningKey;
use paravent::envelope::{EnvelopeRef, field_tag};
use paravent::ids::{FieldId, KeyId, Subject};
use paravent::jobs::{self, JobError, Jobs};
use paravent::keyring::{Keyring, KeyringError};
use paravent::keystore::Keystore;
use paravent::keystore::embedded::Embedded;
use paravent::keystore::model::Found;
use paravent::policy::model::{AfterErasure, Class, Declared, Field, Policy, Protect, TokenKind};
use paravent::protect::places::{Answer, Erased, Fence, Places, Rekeyed, Replaced, Resealed, Swept};
use paravent::protect::{Door, Item, Outcome, Owner, Row, Stored};
use paravent::rights::{Ledger, Rights, RightsError, Stage};
use paravent::roots::{FileRoots, RootProvider};
use parking_lot::Mutex;
use rand::RngExt as _;
use rand::rngs::StdRng;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const NAME: FieldId = FieldId(0);
const EMAIL: FieldId = FieldId(1);
/// So many people at most: they are erased, and others share their address.
const PEOPLE: u32 = 12;

fn policy() -> Arc<Policy> {
    let field = |id: u16, name: &str, protect| Field {
        id: FieldId(id),
        name: name.into(),
        tag: field_tag(name),
        protect,
        ty: Declared::Text,
        purpose: "default".into(),
        erased: None,
    };
    let email = Protect::Pseudonym { domain: "email".into(), kind: TokenKind::Email, normalise: false };
    Arc::new(Policy {
        fields: vec![field(0, "name", Protect::Encrypt), field(1, "email", email)],
        classes: vec![Class {
            name: "person".into(),
            after_erasure: AfterErasure::Refuse,
            ids: Default::default(),
        }],
        ..Policy::default()
    })
}

/// What clients know of a person: acknowledged, or asked for and never answered.
#[derive(Default, Clone)]
struct Known {
    /// Everything that was sent to the database: envelope and token.
    rows: Vec<(Vec<u8>, Box<str>)>,
    erased: bool,
    /// An erasure was asked for, and failed: done or not.
    asked: bool,
}

/// Envelopes of each person's rows.
#[derive(Default)]
struct Tables(Mutex<BTreeMap<u32, Vec<Vec<u8>>>>);

/// The database, as re-keyings see it.
struct Rows {
    tables: Arc<Tables>,
    door: Door,
}

impl Rows {
    async fn seal_again(&self, rekeyed: &Rekeyed) -> Result<Resealed, String> {
        let again = self.door.again(&rekeyed.keys).await.map_err(|e| e.to_string())?;
        let mut resealed = Resealed { over: rekeyed.units_over, ..Resealed::default() };
        for envelope in self.tables.0.lock().values_mut().flatten() {
            let key = EnvelopeRef::parse(envelope).unwrap().key_id();
            if rekeyed.keys.contains(&key) {
                match again.envelope(envelope) {
                    Some(new) => *envelope = new,
                    None => resealed.over = false,
                }
                resealed.rows += 1;
            }
        }
        Ok(resealed)
    }
}

impl Places for Rows {
    fn overwrite<'a>(
        &'a self,
        erased: &'a [Erased],
        _: &'a dyn Fence,
    ) -> Answer<'a, Result<Vec<Swept>, String>> {
        let none = vec![Swept::default(); erased.len()];
        Box::pin(async move { Ok(none) })
    }

    fn replace<'a>(&'a self, _: &'a Replaced, _: &'a dyn Fence) -> Answer<'a, Result<bool, String>> {
        Box::pin(async { Ok(true) })
    }

    fn reseal<'a>(&'a self, rekeyed: &'a Rekeyed) -> Answer<'a, Result<Resealed, String>> {
        Box::pin(self.seal_again(rekeyed))
    }

    fn keeps(&self, _: &str) -> Vec<(String, String)> {
        Vec::new()
    }

    fn forget(&self, _: &str) {}
}

/// Everything that runs.
struct Open {
    keyring: Keyring,
    door: Door,
    rights: Rights,
    jobs: Jobs,
    store: Arc<Store>,
    plan: Arc<Plan>,
}

/// Sizes up to which the files are surely on disk.
#[derive(Clone, Copy, Default)]
struct Durable {
    wal: u64,
    ledger: u64,
}

pub struct World {
    folder: TempDir,
    open: Option<Open>,
    people: BTreeMap<u32, Known>,
    /// Backups, with what was known when each was made.
    backups: Vec<(PathBuf, BTreeMap<u32, Known>)>,
    /// What the database holds, while jobs go through it.
    tables: Arc<Tables>,
    durable: Durable,
    next: u32,
    /// A keystore from before took the place of a newer one, whose root keys may still be there.
    restored: bool,
}

impl World {
    pub async fn new(random: &mut StdRng) -> Self {
        let folder = memory();
        FileRoots::generate(folder.path().join("keys")).unwrap();
        let mut world = Self {
            folder,
            open: None,
            people: BTreeMap::new(),
            backups: Vec::new(),
            tables: Arc::default(),
            durable: Durable::default(),
            next: 0,
            restored: false,
        };
        world.start(Plan::at(random.random_range(3..60), any(random))).await.unwrap();
        world.note();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn start(&mut self, plan: Arc<Plan>) -> Result<(), String> {
        let text = |e: &dyn std::fmt::Display| e.to_string();
        let inner: Arc<dyn Keystore> =
            Arc::new(Embedded::open(&self.path("k")).map_err(|e| text(&KeyringError::from(e)))?);
        let store = Arc::new(Store { inner, plan: plan.clone() });
        let roots = Roots { inner: FileRoots::open(self.path("keys")).unwrap(), plan: plan.clone() };
        let roots: Arc<dyn RootProvider> = Arc::new(roots);
        let keyring =
            Keyring::open(store.clone(), &*roots, Default::default()).await.map_err(|e| text(&e))?;
        let disk = Box::new(LedgerDisk { plan: plan.clone() });
        let ledger = Ledger::open_on(&self.path("ledger"), disk).map_err(|e| text(&e))?;
        let key = SigningKey::generate().unwrap();
        let rights = Rights::open(keyring.clone(), ledger, key).await.map_err(|e| text(&e))?;
        let door = Door::new(keyring.clone(), policy()).unwrap();
        rights.set_policy(policy(), None);
        let options = jobs::Options {
            rotate_every: None,
            backups: Some(self.folder.path().to_owned()),
            ..jobs::Options::default()
        };
        let jobs = Jobs::open(keyring.clone(), door.clone(), rights.clone(), roots, options);
        let jobs = jobs.await.map_err(|e| text(&e))?;
        jobs.set_places(vec![Arc::new(Rows { tables: self.tables.clone(), door: door.clone() })]);
        self.open = Some(Open { keyring, door, rights, jobs, store, plan });
        Ok(())
    }

    /// Everything that was answered until now is on disk.
    fn note(&mut self) {
        let length = |name: &str| fs::metadata(self.path(name)).map_or(0, |m| m.len());
        self.durable = Durable { wal: length("k-wal"), ledger: length("ledger") };
    }

    fn open(&self) -> &Open {
        self.open.as_ref().unwrap()
    }

    /// A committed transaction about one person, who may be there already.
    pub async fn insert(&mut self, random: &mut StdRng) {
        let id =
            if random.random_range(0..3) == 0 { random.random_range(0..PEOPLE) } else { self.next % PEOPLE };
        self.next += 1;
        let known = self.people.entry(id).or_default();
        if known.erased || known.asked {
            return;
        }
        let subject = person(id);
        let (name, email) = (Clear::text(&name(id)), Clear::text(&email(id)));
        let returned = random.random_range(0..3) == 0;
        let owner = if returned { Owner::Returned(0) } else { Owner::Known(&subject) };
        let items = [Item { field: NAME, owner, value: &name }, Item { field: EMAIL, owner, value: &email }];
        let open = self.open.as_ref().unwrap();
        let mut unit = open.door.unit("app");
        let Ok(stored) = unit.protect(&items).await else { return unit.rollback() };
        if returned && unit.bind(&[(0, subject.clone())]).await.is_err() {
            return unit.rollback();
        }
        let [Stored::Envelope(envelope), Stored::Token(token)] = &stored[..] else {
            panic!("an envelope and a token")
        };
        if random.random_range(0..6) == 0 {
            return unit.rollback();
        }
        // The database has it now, whatever becomes of the keystore's outcome.
        known.rows.push((envelope.clone(), token.clone()));
        unit.commit();
        self.settled().await;
    }

    /// The queue keeps its order: what was asked for before is done.
    async fn settled(&mut self) {
        let _ = self.open().store.inner.fence(Vec::new(), Vec::new(), None).await;
        self.note();
    }

    pub async fn erase(&mut self, random: &mut StdRng) {
        let id = random.random_range(0..PEOPLE);
        let Some(known) = self.people.get_mut(&id) else { return };
        match self.open.as_ref().unwrap().rights.erase(&person(id), "request").await {
            Ok(_) => known.erased = true,
            Err(RightsError::NotFound) => assert!(known.rows.is_empty() || known.asked, "{id} is not found"),
            Err(_) => known.asked = true,
        }
        self.note();
    }

    pub async fn rotate(&mut self) {
        let jobs = self.open().jobs.clone();
        if jobs.rotate().await.is_ok() {
            self.pass().await;
        }
        self.note();
        self.receipts_are_true().await;
    }

    /// Re-keys somebody, and goes on with it for a while: it may stay half done.
    pub async fn rekey(&mut self, random: &mut StdRng) {
        let id = random.random_range(0..PEOPLE);
        let Some(known) = self.people.get(&id) else { return };
        let jobs = self.open().jobs.clone();
        match jobs.rekey(&person(id)).await {
            Ok(_) => {
                for _ in 0..random.random_range(0..5) {
                    jobs.resume();
                    self.pass().await;
                }
            }
            Err(JobError::Rights(RightsError::Erased)) => {
                assert!(known.erased || known.asked, "{id} is erased");
            }
            Err(JobError::Rights(RightsError::NotFound)) => {
                assert!(known.rows.is_empty() || known.asked, "{id} is not found");
            }
            Err(_) => {}
        }
        self.note();
    }

    /// The jobs go once through everything, the database too.
    async fn pass(&mut self) {
        let rows = |known: &Known| known.rows.iter().map(|(envelope, _)| envelope.clone()).collect();
        *self.tables.0.lock() = self.people.iter().map(|(id, known)| (*id, rows(known))).collect();
        self.open().jobs.pass().await;
        for (id, rows) in std::mem::take(&mut *self.tables.0.lock()) {
            let Some(known) = self.people.get_mut(&id) else { continue };
            for ((envelope, _), now) in known.rows.iter_mut().zip(rows) {
                *envelope = now;
            }
        }
    }

    pub async fn back_up(&mut self) {
        let to = self.path(&format!("backup-{}", self.backups.len()));
        let keyring = self.open().keyring.clone();
        if jobs::back_up(&keyring, &to).await.is_ok() {
            self.backups.push((to, self.people.clone()));
        }
        self.note();
    }

    /// Puts some backup in the keystore's place, if today's keys and ledger take it.
    pub async fn restore(&mut self, random: &mut StdRng) {
        if self.backups.is_empty() {
            return;
        }
        let number = random.random_range(0..self.backups.len());
        self.kill(random).await;
        let (file, then) = self.backups[number].clone();
        self.stop();
        let kept = jobs::restore(&file, &self.path("k")).unwrap().unwrap();
        match self.start(Plan::sound()).await {
            Ok(()) => {
                self.restored = true;
                // What came after the backup is lost, but for the erasures.
                let now = std::mem::replace(&mut self.people, then);
                for (id, known) in now {
                    let here = self.people.entry(id).or_default();
                    here.erased |= known.erased;
                    here.asked |= known.asked;
                }
                self.recover().await;
                self.check().await;
            }
            Err(_) => {
                // Its root key is destroyed: nothing of it opens, and the keystore of today is put back.
                self.stop();
                fs::rename(&kept, self.path("k")).unwrap();
                self.start(Plan::sound()).await.unwrap();
                self.check().await;
            }
        }
        self.note();
    }

    fn stop(&mut self) {
        self.open = None;
    }

    /// Power fails: what was not on disk may be torn. Then it starts again, maybe fails while it does, and everything is
    /// looked at.
    pub async fn kill(&mut self, random: &mut StdRng) {
        let folder = memory();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if !name.ends_with("-shm") && !name.ends_with(".lock") {
                fs::copy(entry.path(), folder.path().join(&name)).unwrap();
            }
        }
        self.stop();
        tear(&folder.path().join("k-wal"), self.durable.wal, random);
        tear(&folder.path().join("ledger"), self.durable.ledger, random);
        for (file, _) in &mut self.backups {
            *file = folder.path().join(file.file_name().unwrap());
        }
        self.folder = folder;
        // A start that fails half way, once or twice.
        for _ in 0..random.random_range(0..3) {
            let fault = any(random);
            let _ = self.start(Plan::at(random.random_range(0..6), fault)).await;
            self.stop();
        }
        self.start(Plan::sound()).await.unwrap();
        self.recover().await;
        self.check().await;
        // And now something is about to fail.
        self.stop();
        let fault = any(random);
        let step = random.random_range(3..60);
        if self.start(Plan::at(step, fault)).await.is_err() {
            self.stop();
            self.start(Plan::sound()).await.unwrap();
        }
        self.note();
    }

    /// What the recovery job finds in the database: the envelopes that were sent.
    async fn recover(&self) {
        let rows = self.people.values().flat_map(|known| &known.rows);
        let sent: HashSet<KeyId> =
            rows.map(|(envelope, _)| EnvelopeRef::parse(envelope).unwrap().key_id()).collect();
        let tokens: HashSet<&str> =
            self.people.values().flat_map(|known| known.rows.iter().map(|(_, token)| &**token)).collect();
        let door = &self.open().door;
        let unsettled = door.unsettled().await.unwrap();
        let committed = |one: &paravent::protect::Unsettled| {
            sent.contains(&one.key_id()) && one.tokens().iter().all(|(_, token)| tokens.contains(&**token))
        };
        let found: Vec<_> = unsettled.iter().map(|one| (one, committed(one))).collect();
        door.settle(&found).await.unwrap();
        assert!(door.unsettled().await.unwrap().is_empty());
    }

    /// No acknowledged value without its key, no erased subject readable, no receipt ahead of the fact.
    async fn check(&mut self) {
        let mut settled = Vec::new();
        for (id, known) in &self.people {
            let mut states = HashSet::new();
            for (envelope, token) in &known.rows {
                let (seen, revealed) = (
                    self.shown(*id, NAME, envelope, token).await,
                    self.shown(*id, EMAIL, envelope, token).await,
                );
                assert_eq!(seen.is_none(), revealed.is_none(), "{id} is half erased");
                if let (Some(seen), Some(revealed)) = (&seen, &revealed) {
                    assert_eq!((seen, revealed), (&name(*id), &email(*id)));
                    let found = self.open().door.find(EMAIL, &email(*id)).await.unwrap();
                    assert_eq!(found, *token, "{id} is not found by the address");
                }
                states.insert(seen.is_none());
            }
            assert!(states.len() < 2, "{id} is erased in some rows only");
            let gone = states.contains(&true);
            if known.erased {
                assert!(!states.contains(&false), "{id} was erased");
            } else if known.asked {
                settled.push((*id, gone));
            } else {
                assert!(!gone, "{id} is lost");
            }
        }
        for (id, gone) in settled {
            if let Some(known) = self.people.get_mut(&id).filter(|known| !known.rows.is_empty()) {
                // Either way, but for good.
                (known.erased, known.asked) = (gone, false);
            }
        }
        self.receipts_are_true().await;
    }

    async fn receipts_are_true(&self) {
        let Open { rights, store, plan, .. } = self.open();
        if plan.stopped() {
            return;
        }
        let roots = FileRoots::open(self.path("keys")).unwrap().list().unwrap();
        let Ok(ids) = rights.receipts().await else { return };
        for id in ids {
            let Ok(receipt) = rights.receipt(&id).await else { return };
            for key in &receipt.keys {
                let key = KeyId(hex::decode(key).unwrap().try_into().unwrap());
                let found = store.inner.secrets(&[key]).await.unwrap().remove(0);
                assert_eq!(found, Found::Fenced, "a receipt names a key that is not destroyed");
            }
            if receipt.stage == Stage::Final {
                let left = roots.iter().any(|root| root.generation.0 <= receipt.generation);
                assert!(!left, "a receipt is final, and a root key of its time is there");
            }
        }
    }

    /// `None` when it was erased.
    async fn shown(&self, id: u32, field: FieldId, envelope: &[u8], token: &str) -> Option<String> {
        let id = id.to_string();
        let row = Row::Of { class: "person", id: &id };
        let door = &self.open().door;
        for _ in 0..8 {
            let mut out = Vec::new();
            let outcome = match field {
                NAME => door.open(NAME, envelope, row, &mut out),
                _ => door.reveal(EMAIL, token, row, &mut out),
            };
            match outcome {
                Outcome::Opened(_) => return Some(String::from_utf8(out).unwrap()),
                Outcome::Erased => return None,
                Outcome::Missing(missing) => door.load(&[missing]).await.unwrap(),
                Outcome::Fault(fault) => panic!("{id}: {fault}"),
            }
        }
        panic!("{id}: still missing");
    }

    /// A rotation to its end: whatever was left half done goes on.
    pub async fn finish(&mut self) {
        self.stop();
        self.start(Plan::sound()).await.unwrap();
        for _ in 0..2 {
            self.rotate().await;
        }
        for _ in 0..4 {
            self.open().jobs.resume();
            self.pass().await;
        }
        assert_eq!(self.open().store.rekeys().await.unwrap(), [], "a re-keying is not over");
        let keys = self.open().jobs.keys().await.unwrap();
        // A keystore from before leaves the root keys of the one that it took the place of alone.
        let over = |state: &str| state == "destroyed" || self.restored && state == "unused";
        let left = keys.iter().filter(|key| !over(key.state)).count();
        assert_eq!(left, 1, "{keys:?}");
        self.check().await;
        let Open { rights, .. } = self.open();
        for id in rights.receipts().await.unwrap() {
            let receipt = rights.receipt(&id).await.unwrap();
            assert!(
                receipt.stage == Stage::Final || receipt.tokens_living_on > 0 || self.restored,
                "{receipt:?}"
            );
        }
    }
}

fn any(random: &mut StdRng) -> Fault {
    [Fault::Full, Fault::Broken, Fault::Unheard][random.random_range(0..3)]
}

fn person(id: u32) -> Subject {
    Subject::new("person", id.to_string())
}

fn name(id: u32) -> String {
    format!("name-of-{id}")
}

fn email(id: u32) -> String {
    format!("{id}@clear.example.org")
}

/// A folder in memory, where there is such a thing: what is durable is the test's own business.
fn memory() -> TempDir {
    let shm = Path::new("/dev/shm");
    let made = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
    made.unwrap()
}

/// Whatever came after the last answer may be there, half there, or garbled.
fn tear(file: &Path, durable: u64, random: &mut StdRng) {
    let Ok(mut bytes) = fs::read(file) else { return };
    let durable = usize::try_from(durable).unwrap();
    if bytes.len() <= durable {
        return;
    }
    let cut = random.random_range(durable..=bytes.len());
    if random.random_range(0..3) == 0 {
        for byte in &mut bytes[cut..] {
            *byte = random.random();
        }
    } else {
        bytes.truncate(cut);
    }
    fs::write(file, bytes).unwrap();
}
