//! Receipts, checked without the gateway: by the command, and by the script that the README shows.

use crate::support::World;
use crate::support::python::python;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn code(out: &Output) -> Option<i32> {
    out.status.code()
}

fn text(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
}

/// The Python block of the README that reads a receipt.
fn script() -> String {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let mut blocks = readme.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.find(|block| block.contains("receipt")).expect("the README shows the script").to_owned()
}

#[test]
fn a_receipt_verifies_offline_by_the_command_and_by_the_readme_s_script() {
    let mut world = World::new();
    world.people(&["Ana", "Bea"]);
    let admin = world.gateway.admin();
    let answer = admin.delete("/v1/subjects/person/1?ground=art.%2017%20%22%C3%A9%E2%82%AC%22");
    assert_eq!(answer.status, 200, "{answer:?}");
    let receipt = answer.json();
    assert_eq!((&receipt["stage"], receipt["revision"].as_u64()), (&"live".into(), Some(1)));
    assert_eq!(receipt["keys"].as_array().unwrap().len(), 1);
    assert!(
        receipt["not_covered"].as_array().unwrap().iter().any(|entry| entry["code"] == "keystore-copies")
    );
    // From here on nothing but files.
    world.gateway.terminate();
    let home = &world.gateway.home;
    fs::write(home.path("receipt.json"), &answer.body).unwrap();
    let key = home.run(&["receipt", "key", "--config", "paravent.toml", "--pem"]);
    assert_eq!(code(&key), Some(0), "{}", text(&key));
    fs::write(home.path("receipt.pub"), &key.stdout).unwrap();

    let verify = |words: &[&str]| {
        home.run(&[&["receipt", "verify", "receipt.json", "--key", "receipt.pub"], words].concat())
    };
    let out = verify(&[]);
    assert_eq!(code(&out), Some(0), "{}", text(&out));
    assert!(text(&out).contains("live") && text(&out).contains("not covered: "), "{}", text(&out));
    assert_eq!(code(&verify(&["--subject", "person", "1"])), Some(0));
    assert_eq!(code(&verify(&["--subject", "person", "2"])), Some(1));
    let hex = home.run(&["receipt", "key", "--config", "paravent.toml"]);
    let hex = String::from_utf8(hex.stdout).unwrap();
    assert_eq!(code(&home.run(&["receipt", "verify", "receipt.json", "--key", hex.trim()])), Some(0));

    let python = python("cryptography", "cryptography>=42\n");
    fs::write(home.path("verify.py"), script()).unwrap();
    let run = |file: &str| {
        let files = ["verify.py", file, "receipt.pub"].map(|name| home.path(name));
        Command::new(&python).arg("-B").args(files).output().unwrap()
    };
    let out = run("receipt.json");
    assert!(out.status.success() && text(&out).starts_with("live "), "{}", text(&out));

    for (old, new) in
        [("\"live\"", "\"final\""), ("art. 17", "art. 18"), ("\"revision\":1", "\"revision\":2")]
    {
        let changed = answer.body.replacen(old, new, 1);
        assert_ne!(changed, answer.body, "{old}");
        fs::write(home.path("changed.json"), changed).unwrap();
        let out = home.run(&["receipt", "verify", "changed.json", "--key", "receipt.pub"]);
        assert_eq!(code(&out), Some(1), "{old}: {}", text(&out));
        assert!(!run("changed.json").status.success(), "{old}");
    }
    let out = home.run(&["receipt", "verify", "paravent.toml", "--key", "receipt.pub"]);
    assert_eq!(code(&out), Some(2), "{}", text(&out));
    let other = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    assert_eq!(code(&home.run(&["receipt", "verify", "receipt.json", "--key", other])), Some(1));
}
