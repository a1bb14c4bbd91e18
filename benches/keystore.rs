//! The embedded keystore on the disk that `TMPDIR` names: a durable insert alone, a hundred at once
//! (they share an fsync), and reads by key id.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench stops at any fault")]

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::future::try_join_all;
use paravent::ids::{Generation, KeyId, Subject};
use paravent::keystore::Keystore;
use paravent::keystore::embedded::Embedded;
use paravent::keystore::model::{Found, GenerationRow, GenerationState, NewSecret, UnitId, Write};
use std::hint::black_box;

/// Subjects that are there before the reads.
const FILLED: u64 = 20_000;

/// A write of one new secret, of a subject of its own.
fn write(number: u64) -> Write {
    let mut key_id = [0; 16];
    key_id[..8].copy_from_slice(&number.to_be_bytes());
    let secret = NewSecret {
        key_id: KeyId(key_id),
        subject: Some(Subject::new("person", number.to_string())),
        mark: None,
        purpose: "default".into(),
        generation: Generation(1),
        wrapped: vec![0x5a; paravent::keys::WRAPPED_LEN],
    };
    Write { unit: UnitId(key_id), database: "bench".into(), made_at: 0, secrets: vec![secret], holds: vec![] }
}

fn keystore(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(&directory.path().join("bench.keystore")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = GenerationRow { number: Generation(1), wrapped: vec![0; 69], state: GenerationState::Active };
    runtime.block_on(store.add_generation(first)).unwrap();
    let mut next = 0;
    let mut fresh = |count: u64| -> Vec<Write> {
        next += count;
        (next - count..next).map(write).collect()
    };
    for _ in 0..FILLED / 1_000 {
        let writes = fresh(1_000);
        runtime.block_on(try_join_all(writes.into_iter().map(|w| store.write(w)))).unwrap();
    }
    let mut random = 0_u64;
    let mut some_key = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        write((random >> 33) % FILLED).secrets[0].key_id
    };

    let mut group = c.benchmark_group("keystore");
    group.bench_function("read by key id", |b| {
        b.iter(|| {
            let found = runtime.block_on(store.secrets(black_box(&[some_key()]))).unwrap();
            assert!(matches!(found[0], Found::Live(_)));
        });
    });
    group.sample_size(20);
    group.bench_function("durable insert, alone", |b| {
        b.iter(|| fresh(1).into_iter().for_each(|w| drop(runtime.block_on(store.write(w)).unwrap())));
    });
    group.bench_function("durable inserts, 100 at once", |b| {
        b.iter(|| runtime.block_on(try_join_all(fresh(100).into_iter().map(|w| store.write(w)))).unwrap());
    });
    group.finish();
}

criterion_group!(benches, keystore);
criterion_main!(benches);
