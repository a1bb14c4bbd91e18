//! Sealing and opening one field of 32 bytes: warm (the user key is at hand) and cold (the subject
//! secret is unwrapped and the key derived first).
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench stops at any fault")]

use criterion::{Criterion, criterion_group, criterion_main};
use paravent::clear::Kind;
use paravent::envelope::{EnvelopeRef, FieldName, Padding, armour, dearmour, open, seal};
use paravent::ids::{Generation, Subject};
use paravent::keys::{Binding, GenerationKey, Purpose, SubjectSecret};
use std::hint::black_box;

const VALUE: &[u8; 32] = b"14 bis, rue des Tanneurs, Lille!";

fn envelope(c: &mut Criterion) {
    let field = FieldName::new("postal_address").unwrap();
    let purpose = Purpose::new("default").unwrap();
    let secret = SubjectSecret::generate(purpose.clone());
    let key = secret.user_key();
    let envelope = seal(&key, field, Kind::Text, VALUE, Padding::None).unwrap();
    let text = armour(&envelope);
    let generation = GenerationKey::generate(Generation(1));
    let subject = Subject::new("person", "42");
    let wrapped = secret.wrap(&generation, Binding::To(&subject)).unwrap();
    let mut out = Vec::with_capacity(64);

    let mut group = c.benchmark_group("envelope");
    group.bench_function("seal 32 B", |b| {
        b.iter(|| seal(&key, field, Kind::Text, black_box(VALUE), Padding::None).unwrap());
    });
    group.bench_function("open 32 B", |b| {
        b.iter(|| {
            out.clear();
            open(&key, field, EnvelopeRef::parse(black_box(&envelope)).unwrap(), &mut out).unwrap()
        });
    });
    group.bench_function("open 32 B, armoured", |b| {
        b.iter(|| {
            out.clear();
            let bytes = dearmour(black_box(text.as_bytes())).unwrap();
            open(&key, field, EnvelopeRef::parse(&bytes).unwrap(), &mut out).unwrap()
        });
    });
    group.bench_function("unwrap, derive and open 32 B", |b| {
        b.iter(|| {
            out.clear();
            let key_id = secret.key_id();
            let secret = SubjectSecret::unwrap(
                black_box(&wrapped),
                &generation,
                Binding::To(&subject),
                purpose.clone(),
                key_id,
            );
            open(&secret.unwrap().user_key(), field, EnvelopeRef::parse(&envelope).unwrap(), &mut out)
                .unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, envelope);
criterion_main!(benches);
