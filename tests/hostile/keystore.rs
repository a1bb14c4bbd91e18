//! A keystore whose disk is full, or that is locked, damaged, or under another root key.

use crate::support::gateway::{Home, Setup};
use crate::support::world::make_tables;
use crate::support::{Gateway, Postgres, Raw, World, row};
use std::path::Path;
use std::process::Command;

/// A small file system of the test's own, with what it takes to write there.
enum Disk {
    /// Mounted at this directory (root only).
    Mounted(std::path::PathBuf),
    /// Files can't grow beyond a limit: the gateway runs under this wrapper.
    Limited,
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Mounted(dir) = self {
            Command::new("umount").arg("-l").arg(dir).status().ok();
        }
    }
}

fn small_disk(dir: &Path) -> Disk {
    std::fs::create_dir_all(dir).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir).output();
    if mounted.is_ok_and(|out| out.status.success()) { Disk::Mounted(dir.to_owned()) } else { Disk::Limited }
}

#[test]
fn a_full_disk_under_the_keystore_refuses_writes_and_loses_nothing() {
    let pg = Postgres::start();
    make_tables(&pg);
    let mut setup = Setup::new(&pg);
    setup.store = "file:store/paravent.keystore".to_owned();
    "warn".clone_into(&mut setup.log);
    let mut home = Home::new(setup);
    let disk = small_disk(&home.path("store"));
    if matches!(disk, Disk::Limited) {
        // The signal is ignored across exec, so that a write beyond the limit fails as on a full disk.
        let script = "trap '' XFSZ; ulimit -f 600; exec \"$@\"";
        home.setup.wrapper = ["sh", "-c", script, "sh"].map(str::to_owned).to_vec();
    }
    let mut gateway = Gateway::at(home);
    let mut client = Raw::connect(gateway.port(), "app");
    let mut told = 0;
    let refused = loop {
        let n = told + 1;
        let answers = client
            .query(&format!("INSERT INTO people (email, first_name) VALUES ('{n}@x.example', 'Name-{n}')"));
        if let Some(error) = answers.iter().find(|m| m.tag == b'E') {
            break error.clone();
        }
        told = n;
        assert!(told < 20_000, "the disk never fills");
    };
    match disk {
        Disk::Mounted(_) => assert_eq!(refused.sqlstate(), "53100", "{refused:?}"),
        Disk::Limited => assert!(matches!(&*refused.sqlstate(), "53100" | "58030"), "{refused:?}"),
    }
    assert!(refused.fields()[&'M'].contains("keystore"), "{refused:?}");
    // The session and the others go on, and what was told of opens.
    assert_eq!(client.rows("SELECT 1"), [row(["1"])]);
    let mut other = Raw::connect(gateway.port(), "app");
    let seen = other.rows("SELECT first_name FROM people ORDER BY id");
    assert_eq!(seen.len(), told);
    for (n, found) in seen.iter().enumerate() {
        assert_eq!(found[0], Some(format!("Name-{}", n + 1)));
    }
    assert!(gateway.alive());
    if let Disk::Mounted(dir) = &disk {
        // With room again, after a restart at the latest, writing goes on.
        let grown = Command::new("mount").args(["-o", "remount,size=8m"]).arg(dir).status().unwrap();
        assert!(grown.success());
        gateway.restart();
        let mut client = Raw::connect(gateway.port(), "app");
        client.rows("INSERT INTO people (email, first_name) VALUES ('after@x.example', 'After')");
        let found = client.rows("SELECT first_name FROM people WHERE email = 'after@x.example'");
        assert_eq!(found, [row(["After"])]);
    }
    gateway.kill();
}

/// One line that an operator can act on.
fn clear_line(said: &str, word: &str) {
    let told = said.lines().any(|l| l.to_lowercase().contains(word));
    assert!(told, "no line about `{word}` in:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
}

fn with_a_person() -> (Gateway, Postgres) {
    let world = World::new();
    world.people(&["Ana"]);
    (world.gateway, world.pg)
}

/// Ends a gateway in order and copies its directory.
fn copy_of(gateway: &mut Gateway) -> Home {
    gateway.terminate();
    let copy = Home::new(gateway.home.setup.clone());
    copy_all(&gateway.home.path("."), &copy.path("."));
    copy
}

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&to).unwrap();
            copy_all(&entry.path(), &to);
        } else if !matches!(entry.file_name().to_str(), Some("log" | "admin.tokens")) {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn a_keystore_in_use_is_not_opened_twice() {
    let (gateway, _pg) = with_a_person();
    let (code, said) = gateway.home.refused();
    assert_eq!(code, 1, "{said}");
    clear_line(&said, "keystore");
    assert_eq!(Raw::connect(gateway.port(), "app").rows("SELECT first_name FROM people"), [row(["Ana"])]);
}

#[test]
fn a_keystore_under_another_root_key_is_not_opened() {
    let (mut gateway, _pg) = with_a_person();
    let copy = copy_of(&mut gateway);
    let keys = copy.path("keys");
    std::fs::remove_file(&keys).unwrap();
    assert!(copy.run(&["keys", "generate", "--config", "paravent.toml"]).status.success());
    assert_ne!(std::fs::read(&keys).unwrap(), std::fs::read(gateway.home.path("keys")).unwrap());
    let (code, said) = copy.refused();
    assert_eq!(code, 1, "{said}");
    clear_line(&said, "root");
}

#[test]
fn a_damaged_keystore_is_said_so_and_never_opens_wrongly() {
    let (mut gateway, _pg) = with_a_person();
    let whole = copy_of(&mut gateway);
    let path = whole.path("paravent.keystore");
    let bytes = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for part in 0..16 {
        let mut damaged = bytes.clone();
        let at = damaged.len() * part / 16;
        let end = (at + 512).min(damaged.len());
        damaged[at..end].iter_mut().for_each(|b| *b ^= 0x5a);
        let copy = Home::new(whole.setup.clone());
        for name in ["keys", "paravent.ledger"] {
            if whole.path(name).exists() {
                std::fs::copy(whole.path(name), copy.path(name)).unwrap();
            }
        }
        std::fs::write(copy.path("paravent.keystore"), &damaged).unwrap();
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Gateway::at(copy))) {
            Err(_) => refused += 1,
            Ok(mut gateway) => {
                let mut client = Raw::connect(gateway.port(), "app");
                let answers = client.query("SELECT first_name FROM people");
                let shown = answers.iter().find(|m| m.tag == b'D').map(crate::support::Message::texts);
                assert!(shown.is_none_or(|r| r == row(["Ana"])), "damaged at {at}: {answers:?}");
                if let Some(error) = answers.iter().find(|m| m.tag == b'E') {
                    assert!(matches!(&*error.sqlstate(), "58030" | "XX001"), "{error:?}");
                }
                assert!(gateway.alive());
            }
        }
    }
    assert!(refused > 0, "damage to the header is found at the start");
}

#[test]
fn a_keystore_that_is_cut_short_or_something_else_is_refused() {
    let (mut gateway, _pg) = with_a_person();
    let whole = copy_of(&mut gateway);
    let bytes = std::fs::read(whole.path("paravent.keystore")).unwrap();
    for content in [&bytes[..bytes.len() / 2], b"this is no keystore at all, but some text", &bytes[..100]] {
        std::fs::write(whole.path("paravent.keystore"), content).unwrap();
        for side in ["paravent.keystore-wal", "paravent.keystore-shm"] {
            std::fs::remove_file(whole.path(side)).ok();
        }
        let (code, said) = whole.refused();
        assert_eq!(code, 1, "{said}");
        clear_line(&said, "keystore");
    }
}

#[test]
fn a_restored_keystore_erases_again_and_a_lost_ledger_is_refused() {
    let (mut gateway, pg) = with_a_person();
    Raw::connect(gateway.port(), "app")
        .rows("INSERT INTO people (email, first_name) VALUES ('b@x.example', 'Bea')");
    let backup = copy_of(&mut gateway);
    gateway.restart();
    gateway.admin().erase(1);
    gateway.terminate();
    // The keystore of before the erasure, the ledger of after it.
    std::fs::copy(gateway.home.path("paravent.ledger"), backup.path("paravent.ledger")).unwrap();
    let mut restored = Gateway::at(backup);
    let seen = Raw::connect(restored.port(), "app").rows("SELECT first_name FROM people ORDER BY id");
    assert_eq!(seen, [row(["NULL"]), row(["Bea"])]);
    assert_eq!(restored.admin().state(1).as_deref(), Some("erased"));
    restored.terminate();
    std::fs::remove_file(restored.home.path("paravent.ledger")).unwrap();
    let (code, said) = restored.home.refused();
    assert_eq!(code, 1, "{said}");
    clear_line(&said, "ledger");
    drop(pg);
}

#[test]
fn root_keys_are_private_real_and_whole() {
    use std::os::unix::fs::PermissionsExt as _;
    let pg = Postgres::start();
    let home = Home::new(Setup::new(&pg));
    let keys = home.path("keys");
    let good = std::fs::read_to_string(&keys).unwrap();
    assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("keys.example");
    let example = std::fs::read_to_string(example).expect("keys.example lies beside Cargo.toml");
    for (content, word) in
        [(example.as_str(), "example"), ("", "key"), ("nonsense", "key"), (&good[..good.len() / 2], "key")]
    {
        std::fs::write(&keys, content).unwrap();
        let (code, said) = home.refused();
        assert!(matches!(code, 1 | 2), "{code} {said}");
        clear_line(&said, word);
        assert!(!said.contains(good.trim()), "a key is never shown");
    }
    std::fs::write(&keys, &good).unwrap();
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (_, said) = home.refused();
    clear_line(&said, "600");
    std::fs::remove_file(&keys).unwrap();
    let (_, said) = home.refused();
    clear_line(&said, "keys generate");
    // Generating again never overwrites what is there.
    std::fs::write(&keys, &good).unwrap();
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
    home.run(&["keys", "generate", "--config", "paravent.toml"]);
    assert!(std::fs::read_to_string(&keys).unwrap().contains(good.trim()));
}
