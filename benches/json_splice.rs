//! JSON on its way through the HTTP gateway: three strings of each object replaced, and nothing declared at all. What
//! a value is replaced by is the same short text, so that only reading and splicing are measured. Beside it serde_json: a
//! visitor that finds the same strings as raw spans in a body that is there whole, and a document tree.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench stops at any fault")]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use paravent::http::Replacer;
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
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

/// Where the strings lie, as a visitor over raw values finds them.
struct Spans<'a> {
    body: &'a str,
    found: Vec<(usize, usize)>,
}

impl<'de> DeserializeSeed<'de> for &mut Spans<'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Spans<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("people")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            match &*name {
                "profile" => members.next_value_seed(&mut *self)?,
                "id" | "email" | "firstName" | "lastName" => {
                    let raw = members.next_value::<&'de RawValue>()?.get();
                    let start = raw.as_ptr() as usize - self.body.as_ptr() as usize;
                    self.found.push((start, start + raw.len()));
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

fn visited(body: &str, with: &[u8]) -> Vec<u8> {
    let mut spans = Spans { body, found: Vec::new() };
    spans.deserialize(&mut serde_json::Deserializer::from_str(body)).unwrap();
    let (mut out, mut from) = (Vec::with_capacity(body.len()), 0);
    for (start, end) in spans.found.into_iter().filter(|(start, _)| body.as_bytes()[*start] == b'"') {
        out.extend_from_slice(&body.as_bytes()[from..start]);
        out.extend_from_slice(with);
        from = end;
    }
    out.extend_from_slice(&body.as_bytes()[from..]);
    out
}

fn splice(c: &mut Criterion) {
    let mut group = c.benchmark_group("json_splice");
    for (name, bytes) in [("2 KB", 2_000), ("100 KB", 100_000), ("1 MB", 1_000_000)] {
        let body = Bytes::from(body(bytes));
        group.throughput(Throughput::Bytes(body.len() as u64));
        let mut three = Replacer::new(&PLACES, Some("/*/id")).unwrap();
        group.bench_function(format!("three strings of each object, {name}"), |b| {
            b.iter(|| three.replace(black_box(&body), b"\"x\"").unwrap());
        });
        let text = std::str::from_utf8(&body).unwrap();
        assert_eq!(visited(text, b"\"x\""), three.replace(&body, b"\"x\"").unwrap());
        group.bench_function(format!("serde's raw values, {name}"), |b| {
            b.iter(|| visited(black_box(text), b"\"x\""));
        });
        group.bench_function(format!("a document tree, {name}"), |b| {
            b.iter(|| serde_json::from_str::<serde_json::Value>(black_box(text)).unwrap().to_string());
        });
        let mut none = Replacer::new(&["/nowhere"], None).unwrap();
        group.bench_function(format!("nothing declared there, {name}"), |b| {
            b.iter(|| none.replace(black_box(&body), b"\"x\"").unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, splice);
criterion_main!(benches);
