//! The door on a real keystore.

mod seal;
mod token;
mod transaction;

use super::*;
use crate::envelope::field_tag;
use crate::ids::FieldTag;
use crate::keyring::{Keyring, Options};
use crate::keystore::Keystore;
use crate::keystore::embedded::Embedded;
use crate::policy::model::{AfterErasure, Class, Declared, Field, Policy, Protect, TokenKind};
use crate::rights::{Ledger, Rights};
use crate::roots::FileRoots;
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) const LAST_NAME: FieldId = FieldId(0);
pub(crate) const COMMENT: FieldId = FieldId(1);
pub(crate) const EMAIL: FieldId = FieldId(2);
pub(crate) const LOGIN: FieldId = FieldId(3);
pub(crate) const CONTACT: FieldId = FieldId(4);
pub(crate) const CONSENT: FieldId = FieldId(5);

fn field(id: u16, name: &str, protect: Protect, purpose: &str) -> Field {
    let FieldTag(tag) = field_tag(name);
    let (name, purpose) = (name.into(), purpose.into());
    Field { id: FieldId(id), name, tag: FieldTag(tag), protect, ty: Declared::Text, purpose, erased: None }
}

fn pseudonym(domain: &str, kind: TokenKind, normalise: bool) -> Protect {
    Protect::Pseudonym { domain: domain.into(), kind, normalise }
}

/// `email` and `contact` share a domain; `login` normalises; class `guest` may come back after erasure.
pub(crate) fn policy() -> Arc<Policy> {
    let fields = vec![
        field(0, "last_name", Protect::Encrypt, "default"),
        field(1, "comment", Protect::Encrypt, "default"),
        field(2, "email", pseudonym("email", TokenKind::Email, false), "default"),
        field(3, "login", pseudonym("login", TokenKind::Text, true), "default"),
        field(4, "contact", pseudonym("email", TokenKind::Email, false), "default"),
        field(5, "consent", Protect::Encrypt, "marketing"),
    ];
    let classes = vec![
        Class { name: "person".into(), after_erasure: AfterErasure::Refuse, ids: Default::default() },
        Class { name: "guest".into(), after_erasure: AfterErasure::New, ids: Default::default() },
    ];
    Arc::new(Policy { fields, classes, postgres: Vec::new(), http: Vec::new() })
}

/// A gateway's keys, in a directory of its own.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) store: Arc<Embedded>,
    pub(crate) door: Door,
    pub(crate) rights: Rights,
}

impl House {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        FileRoots::generate(folder.path().join("keys")).unwrap();
        Self::at(folder).await
    }

    pub(crate) async fn at(folder: TempDir) -> Self {
        let path = folder.path();
        let store = Arc::new(Embedded::open(&path.join("test.keystore")).unwrap());
        let roots = FileRoots::open(path.join("keys")).unwrap();
        let keyring = Keyring::open(store.clone(), &roots, Options::default()).await.unwrap();
        let ledger = Ledger::open(&path.join("test.ledger")).unwrap();
        let key = crate::crypto::SigningKey::generate().unwrap();
        let rights = Rights::open(keyring.clone(), ledger, key).await.unwrap();
        let door = Door::new(keyring, policy()).unwrap().fencing(Arc::new(rights.clone()));
        rights.set_policy(door.policy().clone(), None);
        Self { folder, store, door, rights }
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        self.door.keyring()
    }

    /// Everything dropped and opened again, as after a restart.
    pub(crate) async fn restart(self) -> Self {
        let Self { folder, store, door, rights } = self;
        drop((door, rights));
        drop(store);
        Self::at(folder).await
    }

    /// The same, with another keystore in the place of its own.
    pub(crate) async fn restart_with(self, keystore: &std::path::Path) -> Self {
        let Self { folder, store, door, rights } = self;
        drop((door, rights));
        drop(store);
        let own = folder.path().join("test.keystore");
        for suffix in ["-wal", "-shm"] {
            let mut name = own.clone().into_os_string();
            name.push(suffix);
            let _ = std::fs::remove_file(name);
        }
        std::fs::copy(keystore, own).unwrap();
        Self::at(folder).await
    }

    /// Opens what was stored, loading what is missing.
    pub(crate) async fn show(&self, field: FieldId, stored: &Stored, row: Row<'_>) -> Shown {
        for _ in 0..8 {
            let mut out = Vec::new();
            let outcome = match stored {
                Stored::Envelope(envelope) => self.door.open(field, envelope, row, &mut out),
                Stored::Token(token) => self.door.reveal(field, token, row, &mut out),
            };
            match outcome {
                Outcome::Opened(_) => return Shown::Value(String::from_utf8(out).unwrap()),
                Outcome::Erased => return Shown::Erased,
                Outcome::Fault(fault) => return Shown::Fault(fault),
                Outcome::Missing(missing) => self.door.load(&[missing]).await.unwrap(),
            }
        }
        panic!("still missing after eight loads");
    }

    /// One committed write.
    pub(crate) async fn put(&self, field: FieldId, subject: &Subject, value: &str) -> Stored {
        let mut unit = self.door.unit("app");
        let stored = known(&mut unit, field, subject, value).await.unwrap();
        unit.commit();
        self.settled().await;
        stored
    }

    /// Waits until everything queued is done: the queue keeps its order.
    pub(crate) async fn settled(&self) {
        self.store.limit(0).await.unwrap();
    }

    pub(crate) async fn unsettled(&self) -> usize {
        self.settled().await;
        self.store.unsettled().await.unwrap().len()
    }
}

/// What a client would see.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Value(String),
    Erased,
    Fault(OpenFault),
}

pub(crate) fn value(text: &str) -> Shown {
    Shown::Value(text.into())
}

pub(crate) fn person(id: &str) -> Subject {
    Subject::new("person", id)
}

pub(crate) fn of(id: &str) -> Row<'_> {
    Row::Of { class: "person", id }
}

/// Protects one value of a known subject.
pub(crate) async fn known(
    unit: &mut Unit,
    field: FieldId,
    subject: &Subject,
    value: &str,
) -> Result<Stored, ProtectError> {
    let clear = Clear::text(value);
    let item = Item { field, owner: Owner::Known(subject), value: &clear };
    Ok(unit.protect(&[item]).await?.remove(0))
}

/// Protects one value for each row of a statement whose subjects the database will tell.
pub(crate) async fn returned(unit: &mut Unit, values: &[(u32, FieldId, &str)]) -> Vec<Stored> {
    let clear: Vec<Clear> = values.iter().map(|(.., value)| Clear::text(value)).collect();
    let items: Vec<Item<'_>> = values
        .iter()
        .zip(&clear)
        .map(|((row, field, _), value)| Item { field: *field, owner: Owner::Returned(*row), value })
        .collect();
    unit.protect(&items).await.unwrap()
}
