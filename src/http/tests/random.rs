//! Random documents and random routes through the gate, there and back.

use super::*;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

/// Members that routes name; others are drawn beside them.
const NAMES: [&str; 5] = ["email", "name", "note", "profile", "list"];

/// What a value may be that is protected: marked, so that it is found in any spelling.
fn secret() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-zé\"\\\\🦊]{0,6}".prop_map(|s| json!(format!("CANARY{s}"))),
        (1_000_000u64..u64::MAX).prop_map(|n| json!(n)),
        "[a-z]{0,4}".prop_map(|s| json!({"CANARY": s, "x": [1.5, null]})),
        Just(Value::Null),
    ]
}

fn harmless() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,5}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("o[a-z]{1,3}", inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A person with some of the declared members, in any order.
fn person() -> impl Strategy<Value = Value> {
    let declared = (
        prop::option::of("[a-z]{1,5}"),
        prop::option::of(secret()),
        prop::option::of(secret()),
        prop::option::of(prop::option::of(secret())),
        prop::option::of(prop::collection::vec(secret(), 0..3)),
    );
    let others = prop::collection::vec(("o[a-z]{1,4}", harmless()), 0..4);
    (1u32..500, declared, others).prop_map(|(id, (email, name, note, profile, list), others)| {
        let mut members: Vec<(String, Value)> = vec![("id".into(), json!(id))];
        members.extend(email.map(|e| ("email".into(), json!(format!("CANARY{e}@x.org")))));
        members.extend(name.map(|v| ("name".into(), v)));
        members.extend(note.map(|v| ("note".into(), v)));
        members.extend(profile.map(|v| {
            (
                "profile".into(),
                match v {
                    Some(v) => json!({"name": v, "other": 1}),
                    None => json!({}),
                },
            )
        }));
        members.extend(list.map(|v| ("list".into(), Value::from(v))));
        members.extend(others.into_iter().filter(|(name, _)| !NAMES.contains(&name.as_str())));
        let turn = members.len() / 2;
        members.rotate_left(turn);
        Value::Object(members.into_iter().collect())
    })
}

/// The places of a person, below where the person stands.
fn route(path: &str, base: &str, subject: &str) -> String {
    format!(
        "[[http.routes]]\npath = \"{path}\"\nsubject = \"{subject}\"\nfields = {{ \"{base}/email\" = \"email\", \
         \"{base}/name\" = \"first_name\", \"{base}/note\" = \"first_name\", \"{base}/profile/name\" = \"first_name\", \
         \"{base}/list/*\" = \"first_name\" }}\n"
    )
}

#[tokio::test]
async fn whatever_is_declared_is_sealed_and_comes_back_byte_for_byte() {
    let routes = [
        ("/one", "", "json:/id"),
        ("/all", "/*", "json:/*/id"),
        ("/deep", "/data/items/*", "json:/data/items/*/id"),
        ("/wrapped", "/data", "json:/data/id"),
    ];
    let text: String = routes.iter().map(|(path, base, subject)| route(path, base, subject)).collect();
    let world = World::new(&text).await;
    let mut runner = TestRunner::new(Config { cases: 1, ..Config::default() });
    for round in 0..120usize {
        let people = prop::collection::vec(person(), 1..6).new_tree(&mut runner).unwrap().current();
        let (path, ..) = routes[round % routes.len()];
        let document = match path {
            "/one" => people[0].clone(),
            "/all" => Value::from(people),
            "/deep" => json!({"data": {"items": people, "total": 1.0}, "meta": [null]}),
            _ => json!({"data": people[0], "x": "y"}),
        };
        // Spaced at random, so that spacing must survive.
        let body = if round.is_multiple_of(2) {
            document.to_string()
        } else {
            serde_json::to_string_pretty(&document).unwrap()
        };
        let chunks: Vec<Vec<u8>> = body.as_bytes().chunks(1 + round % 37).map(<[u8]>::to_vec).collect();
        let request =
            Request::put(path).header("content-type", "application/json").body(frames(chunks, None)).unwrap();
        let sent = world.request(request).await.unwrap();
        let stored = sent.text().to_owned();
        assert!(!stored.contains("CANARY"), "{stored}");
        for number in numbers(&document) {
            assert!(!stored.contains(&number), "{number} in {stored}");
        }
        serde_json::from_str::<Value>(&stored).unwrap();
        let got = sent.exchange.json(200, &stored).await.unwrap();
        assert_eq!(String::from_utf8(got.body).unwrap(), body);
    }
}

/// The large numbers of a document: all of them are protected.
fn numbers(value: &Value) -> Vec<String> {
    match value {
        Value::Number(n) if n.as_u64().is_some_and(|n| n > 1_000_000_000_000) => vec![n.to_string()],
        Value::Array(items) => items.iter().flat_map(numbers).collect(),
        Value::Object(members) => members.values().flat_map(numbers).collect(),
        _ => Vec::new(),
    }
}
