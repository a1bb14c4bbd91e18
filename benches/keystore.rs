//! The embedded keystore on the disk that `TMPDIR` names: a durable insert alone, a hundred at once
//! (they share an fsync), and reads by key id and by token.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench stops at any fault")]

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::future::try_join_all;
use paravent::ids::{Generation, KeyId, Subject};
use paravent::keystore::Keystore;
use paravent::keystore::embedded::Embedded;
use paravent::keystore::model::{
    DomainRow, Found, GenerationRow, GenerationState, Hold, LookupPair, NewSecret, TokenFound, UnitId, Write,
};
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

/// So many tokens are read together.
const TOGETHER: usize = 256;

/// The token that the subject of that number holds: random, as tokens are.
fn token(number: u64) -> String {
    format!("psn_{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The same write with an identifier.
fn holding(number: u64) -> Write {
    let mut all = write(number);
    let mut hmac = [0; 32];
    hmac[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    let lookup = LookupPair { generation: Generation(1), exact: hmac, folded: hmac };
    all.holds.push(Hold {
        domain: "email".into(),
        lookups: vec![lookup],
        fresh: token(number).into(),
        key_id: all.secrets[0].key_id,
        sealed: vec![0xe1; 70],
    });
    all
}

fn keystore(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(&directory.path().join("bench.keystore")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = GenerationRow { number: Generation(1), wrapped: vec![0; 69], state: GenerationState::Active };
    runtime.block_on(store.add_generation(first)).unwrap();
    let domain = DomainRow { domain: "email".into(), generation: Generation(1), wrapped: vec![0; 69] };
    runtime.block_on(store.add_domain(domain)).unwrap();
    for from in (0..FILLED).step_by(1_000) {
        let writes = (from..from + 1_000).map(|number| store.write(holding(number)));
        runtime.block_on(try_join_all(writes)).unwrap();
    }
    let mut next = FILLED;
    let mut fresh = |count: u64| -> Vec<Write> {
        next += count;
        (next - count..next).map(write).collect()
    };
    let mut random = 0_u64;
    let mut some = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % FILLED
    };

    let mut group = c.benchmark_group("keystore");
    group.bench_function("read by key id", |b| {
        b.iter(|| {
            let found =
                runtime.block_on(store.secrets(black_box(&[write(some()).secrets[0].key_id]))).unwrap();
            assert!(matches!(found[0], Found::Live(_)));
        });
    });
    let tokens: Vec<String> = (0..TOGETHER).map(|_| token(some())).collect();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let live = |found: &TokenFound| matches!(found, TokenFound::Live { holders, .. } if holders.len() == 1);
    group.bench_function("read 256 tokens, one by one", |b| {
        b.iter(|| {
            let each = tokens.iter().map(|token| store.token("email", black_box(token)));
            assert!(each.map(|found| runtime.block_on(found).unwrap()).all(|found| live(&found)));
        });
    });
    group.bench_function("read 256 tokens at once", |b| {
        b.iter(|| {
            let found = runtime.block_on(store.tokens("email", black_box(&tokens))).unwrap();
            assert!(found.iter().all(live));
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
