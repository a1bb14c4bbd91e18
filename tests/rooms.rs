//! Which room may know which (design: "Rooms and doors"): read from the sources' own `crate::…` paths.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What every room may know: names, secrets, time, errors.
const COMMON: &[&str] = &["ids", "secret", "clock", "fault"];

/// What else each room may know. A room that isn't listed must be added here, on purpose.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ids", &[]),
    ("secret", &[]),
    ("clock", &[]),
    ("fault", &[]),
    ("clear", &[]),
    ("crypto", &[]),
    ("telemetry", &[]),
    ("keys", &["crypto"]),
    ("roots", &["crypto", "keys"]),
    ("keystore", &["crypto", "keys", "telemetry"]),
    ("keyring", &["crypto", "keys", "roots", "keystore", "telemetry"]),
    ("envelope", &["crypto", "keys", "clear"]),
    ("pseudonym", &["crypto", "keys", "clear", "policy"]),
    ("policy", &[]),
    (
        "protect",
        &[
            "audit",
            "clear",
            "policy",
            "keyring",
            "keystore",
            "keys",
            "envelope",
            "pseudonym",
            "crypto",
            "telemetry",
        ],
    ),
    ("net", &["config"]),
    ("scram", &["crypto"]),
    ("pg", &["protect", "policy", "clear", "telemetry", "config", "net", "scram"]),
    ("http", &["protect", "policy", "clear", "telemetry", "config", "net"]),
    ("rights", &["audit", "policy", "keyring", "keystore", "keys", "crypto", "protect", "telemetry"]),
    ("config", &["policy"]),
    ("jobs", &["crypto", "keyring", "keystore", "policy", "protect", "rights", "roots", "telemetry"]),
    ("admin", &["audit", "config", "telemetry", "crypto", "jobs", "policy", "rights"]),
    ("audit", &["crypto", "keys", "telemetry"]),
    ("coverage", &["config", "pg", "policy", "pseudonym"]),
    ("demo", &["admin", "config"]),
    (
        "app",
        &[
            "admin",
            "audit",
            "config",
            "coverage",
            "crypto",
            "http",
            "jobs",
            "keyring",
            "keys",
            "keystore",
            "pg",
            "policy",
            "net",
            "protect",
            "rights",
            "roots",
            "scram",
            "telemetry",
        ],
    ),
    (
        "cli",
        &[
            "admin",
            "app",
            "audit",
            "config",
            "coverage",
            "crypto",
            "demo",
            "jobs",
            "pg",
            "policy",
            "pseudonym",
            "rights",
            "roots",
            "telemetry",
        ],
    ),
];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

/// The room that a file belongs to: `src/pg/wire/row.rs` is `pg`'s, `src/app.rs` is `app`'s.
fn room(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next()?.as_os_str().to_str()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(room, "lib" | "main")).then(|| room.to_owned())
}

/// The text up to the first test module, without comments and string contents that look like paths.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// Rooms that a text names: `crate::x…` and each of `crate::{x…, y…}`.
fn named(code: &str) -> BTreeSet<String> {
    let word =
        |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = true;
        for (offset, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if c.is_whitespace() => {}
                _ if start => {
                    found.insert(word(&group[offset..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    found
}

/// What each room names of the others, with a file that does.
fn graph() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut graph: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for path in sources(&src) {
        let inside = path.strip_prefix(&src).unwrap().with_extension("");
        let tests = inside.components().any(|part| part.as_os_str().to_string_lossy().ends_with("tests"));
        let Some(room) = room(&path).filter(|_| !tests) else { continue };
        let names = named(&code(&fs::read_to_string(&path).unwrap()));
        let entry = graph.entry(room.clone()).or_default();
        for name in names.into_iter().filter(|name| *name != room) {
            entry.insert(name, path.clone());
        }
    }
    graph
}

#[test]
fn no_room_knows_more_than_it_may() {
    let rooms: BTreeSet<&str> = ALLOWED.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    for (room, names) in graph() {
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == room) else {
            wrong.push(format!("the room {room} is not listed in this test"));
            continue;
        };
        for (name, path) in names {
            let known = rooms.contains(name.as_str());
            if known && !allowed.contains(&name.as_str()) && !COMMON.contains(&name.as_str()) {
                wrong.push(format!("{room} names {name}, in {}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wire_never_sees_a_key() {
    for (wire, allowed) in ALLOWED.iter().filter(|(room, _)| matches!(*room, "pg" | "http")) {
        for key in ["keys", "keystore", "keyring", "envelope", "crypto", "audit", "roots", "rights"] {
            assert!(!allowed.contains(&key), "{wire} may not know {key}");
        }
    }
    let graph = graph();
    assert!(
        graph["pg"].contains_key("protect") || graph["pg"].contains_key("policy"),
        "the sources were read"
    );
}

#[test]
fn the_policy_and_the_planner_do_no_input_or_output() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for dir in ["policy", "pg/sql"] {
        for path in sources(&src.join(dir)) {
            let code = code(&fs::read_to_string(&path).unwrap());
            for io in ["std::fs", "std::net", "std::io", "std::env", "tokio", "rusqlite", "async fn"] {
                assert!(!code.contains(io), "{} uses {io}", path.display());
            }
        }
    }
}

#[test]
fn paths_are_found_in_every_form_of_use() {
    let text = "use crate::ids::KeyId;\nuse crate::{clear::{Clear, Kind}, policy};\npub(crate) fn f() -> crate::keys::X {}\n\
                // crate::comment::is_not\nlet x = $crate::macros::y;\n";
    let found = named(&code(text));
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["clear", "ids", "keys", "policy"]);
}

/// Word literals that follow a marker: `refusal("copy"`.
fn words_after<'a>(code: &'a str, marker: &str) -> Vec<&'a str> {
    let after = code.match_indices(marker).map(|(at, _)| code[at + marker.len()..].trim_start());
    after
        .filter_map(|rest| rest.strip_prefix('"')?.split('"').next())
        .filter(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .collect()
}

#[test]
fn every_refusal_and_problem_has_its_place_in_the_documentation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_to_string(root.join("docs/errors.md")).unwrap();
    let known: BTreeSet<&str> = docs.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut used = BTreeMap::new();
    for path in sources(&root.join("src/pg"))
        .into_iter()
        .chain(sources(&root.join("src/admin")))
        .chain(sources(&root.join("src/http")))
    {
        let text = fs::read_to_string(&path).unwrap();
        let code = code(&text);
        let statuses = [
            "BAD_REQUEST",
            "UNAUTHORIZED",
            "FORBIDDEN",
            "NOT_FOUND",
            "REQUEST_TIMEOUT",
            "CONFLICT",
            "PAYLOAD_TOO_LARGE",
            "UNSUPPORTED_MEDIA_TYPE",
            "RANGE_NOT_SATISFIABLE",
            "EXPECTATION_FAILED",
            "UNPROCESSABLE_ENTITY",
            "INTERNAL_SERVER_ERROR",
            "NOT_IMPLEMENTED",
            "BAD_GATEWAY",
            "SERVICE_UNAVAILABLE",
            "GATEWAY_TIMEOUT",
            "LOOP_DETECTED",
        ];
        let statuses = statuses.map(|status| format!("StatusCode::{status},"));
        let markers = [
            "refusal(",
            "anchor: ",
            "refused(",
            "Wrong::Syntax => (",
            "Wrong::Depth => (",
            "Wrong::Duplicate => (",
        ];
        for marker in markers.into_iter().chain(statuses.iter().map(String::as_str)) {
            for word in words_after(&code, marker) {
                used.insert(word.to_owned(), path.clone());
            }
        }
    }
    assert!(used.len() > 30, "the sources were read: {used:?}");
    let missing: Vec<_> = used.iter().filter(|(word, _)| !known.contains(word.as_str())).collect();
    assert!(missing.is_empty(), "not in docs/errors.md: {missing:?}");
}
