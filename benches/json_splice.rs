//! JSON on its way through the HTTP gateway: three strings of each object replaced, and nothing declared at all. What
//! a value is replaced by is the same short text, so that only reading and splicing are measured.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench stops at any fault")]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use paravent::http::replace;
use std::hint::black_box;

/// A person of a directory, about 500 bytes.
fn person(n: usize) -> String {
    format!(
        r#"{{"id":{n},"email":"person.{n}@directory.example","profile":{{"firstName":"Amélie","lastName":"Lefèvre","title":"Responsable des achats","skills":["négociation","droit","anglais"]}},"createdAt":"2024-03-01T09:30:00.000Z","active":true,"salary":41250.50,"address":{{"street":"14 bis, rue des Tanneurs","city":"Lille","zip":"59000"}},"bio":"Arrivée en 2016, elle suit les fournisseurs du nord et forme les nouveaux venus. Elle aime la voile.","tags":[1,2,3,null]}}"#
    )
}

fn body(bytes: usize) -> String {
    let mut items = Vec::new();
    let mut length = 0;
    while length < bytes {
        let item = person(items.len());
        length += item.len() + 1;
        items.push(item);
    }
    format!("[{}]", items.join(","))
}

const PLACES: [&str; 3] = ["/*/email", "/*/profile/firstName", "/*/profile/lastName"];

fn splice(c: &mut Criterion) {
    let mut group = c.benchmark_group("json_splice");
    for (name, bytes) in [("2 KB", 2_000), ("100 KB", 100_000), ("1 MB", 1_000_000)] {
        let body = Bytes::from(body(bytes));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("three strings of each object, {name}"), |b| {
            b.iter(|| replace(&PLACES, Some("/*/id"), black_box(&body), b"\"x\"").unwrap());
        });
        group.bench_function(format!("nothing declared there, {name}"), |b| {
            b.iter(|| replace(&["/nowhere"], None, black_box(&body), b"\"x\"").unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, splice);
criterion_main!(benches);
