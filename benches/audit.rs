//! What the audit log costs on the path of a row: four fields of one person opened and released, as a statement that reads
//! one row does, without the log and with it (on the disk that `TMPDIR` names).
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench stops at any fault")]

use criterion::{Criterion, criterion_group, criterion_main};
use paravent::audit::{Audit, Clients, Options, Resolver};
use paravent::clear::Clear;
use paravent::crypto::SigningKey;
use paravent::envelope::field_tag;
use paravent::ids::{FieldId, KeyId, Subject};
use paravent::keyring::{Keyring, Options as RingOptions};
use paravent::keys::StandIn;
use paravent::keystore::embedded::Embedded;
use paravent::policy::model::{AfterErasure, Class, Declared, Field, Policy, Protect};
use paravent::protect::{Door, Item, Outcome, Owner, Peer, Row, Stored};
use paravent::roots::FileRoots;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// The keyring's answer is not what is measured: it is asked once for each person and moment, on another thread.
struct Known;

impl Resolver for Known {
    fn stand_ins(&self, keys: &[KeyId]) -> Result<HashMap<KeyId, StandIn>, String> {
        Ok(keys.iter().map(|key| (*key, StandIn([key.0[0]; 12]))).collect())
    }
}

fn policy() -> Policy {
    let field = |(id, name): (u16, &str)| Field {
        id: FieldId(id),
        name: name.into(),
        tag: field_tag(name),
        protect: Protect::Encrypt,
        ty: Declared::Text,
        purpose: "default".into(),
        erased: None,
    };
    let names = ["first_name", "last_name", "city", "phone"];
    Policy {
        fields: (0..).zip(names).map(field).collect(),
        classes: vec![Class {
            name: "person".into(),
            after_erasure: AfterErasure::Refuse,
            ids: Default::default(),
        }],
        ..Policy::default()
    }
}

/// One row's four envelopes.
async fn row(door: &Door, subject: &Subject) -> Vec<Vec<u8>> {
    let values = ["Amélie", "Lefèvre", "Montreuil", "+33 6 00 00 00 00"].map(Clear::text);
    let items: Vec<Item<'_>> = (0..)
        .zip(&values)
        .map(|(id, value)| Item { field: FieldId(id), owner: Owner::Known(subject), value })
        .collect();
    let mut unit = door.unit("bench");
    let stored = unit.protect(&items).await.unwrap();
    unit.commit();
    let envelope = |stored| match stored {
        Stored::Envelope(envelope) => envelope,
        Stored::Token(_) => unreachable!("every field is encrypted"),
    };
    stored.into_iter().map(envelope).collect()
}

fn read(door: &Door, envelopes: &[Vec<u8>], row: Row<'_>, out: &mut Vec<u8>) {
    door.lease().unwrap();
    for (id, envelope) in (0..).zip(envelopes) {
        out.clear();
        let outcome = door.open(FieldId(id), black_box(envelope), row, out);
        assert!(matches!(outcome, Outcome::Opened(_)));
    }
    door.lease().unwrap();
}

fn audit(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (door, envelopes) = runtime.block_on(async {
        let store = Arc::new(Embedded::open(&dir.path().join("keystore")).unwrap());
        let roots = FileRoots::generate(dir.path().join("keys")).unwrap();
        let keyring = Keyring::open(store, &roots, RingOptions::default()).await.unwrap();
        let door = Door::new(keyring, Arc::new(policy())).unwrap();
        let envelopes = row(&door, &Subject::new("person", "1")).await;
        for (id, envelope) in (0..).zip(&envelopes) {
            while let Outcome::Missing(missing) =
                door.open(FieldId(id), envelope, Row::Of { class: "person", id: "1" }, &mut Vec::new())
            {
                door.load(&[missing]).await.unwrap();
            }
        }
        (door, envelopes)
    });
    let options = Options {
        path: dir.path().join("audit"),
        keep: None,
        segment: 64 << 20,
        moment: Duration::from_millis(100),
        most: 1 << 24,
        clients: Clients::Full,
    };
    let log = Audit::open(options, Arc::new(SigningKey::generate().unwrap()), Known).unwrap();
    let peer = Peer { user: "app", via: "postgres 127.0.0.1:6432", ..Peer::default() };
    let audited = door.audited(log).witnessed(&peer);
    let of = Row::Of { class: "person", id: "1" };
    let mut out = Vec::new();
    let mut group = c.benchmark_group("audit");
    group
        .bench_function("a row of four fields, no log", |b| b.iter(|| read(&door, &envelopes, of, &mut out)));
    group.bench_function("a row of four fields, on record", |b| {
        b.iter(|| read(&audited, &envelopes, of, &mut out));
    });
    group.finish();
}

criterion_group!(benches, audit);
criterion_main!(benches);
