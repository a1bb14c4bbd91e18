//! The file itself: who may open it, what is wrong with it, and a disk that fails.

use paravent::ids::{Generation, KeyId, Subject};
use paravent::keystore::embedded::Embedded;
use paravent::keystore::model::{GenerationRow, GenerationState, NewSecret, UnitId, Write};
use paravent::keystore::{Keystore, StoreError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const FILE: &str = "PARAVENT_TEST_FAILING_FILE";

fn write(n: u32) -> Write {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    let secret = NewSecret {
        key_id: KeyId(id),
        subject: Some(Subject::new("person", n.to_string())),
        mark: None,
        purpose: "default".into(),
        generation: Generation(1),
        wrapped: vec![7; 65],
    };
    Write { unit: UnitId(id), database: "app".into(), made_at: 1, secrets: vec![secret], holds: vec![] }
}

/// A keystore with its first generation.
async fn opened(path: &Path) -> Embedded {
    let store = Embedded::open(path).unwrap();
    let row = GenerationRow { number: Generation(1), wrapped: vec![1], state: GenerationState::Active };
    store.add_generation(row).await.unwrap();
    store
}

async fn filled(path: &Path) {
    let store = opened(path).await;
    for n in 0..200 {
        store.write(write(n)).await.unwrap();
    }
}

#[tokio::test]
async fn only_its_owner_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    let store = opened(&path).await;
    store.write(write(1)).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
    }
}

#[tokio::test]
async fn a_second_opener_is_told_that_it_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    let first = Embedded::open(&path).unwrap();
    let second = Embedded::open(&path).err().unwrap();
    assert!(matches!(second, StoreError::Locked(_)));
    assert!(second.to_string().contains("locked by another process"), "{second}");
    drop(first);
    Embedded::open(&path).unwrap();
}

#[tokio::test]
async fn a_newer_schema_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    filled(&path).await;
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let error = Embedded::open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
}

#[tokio::test]
async fn damage_is_named_and_never_taken_for_a_new_keystore() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    filled(&path).await;
    let whole = std::fs::read(&path).unwrap();
    let mut header = whole.clone();
    header[..16].fill(b'x');
    let mut pages = whole.clone();
    let third = 4096 * 2;
    pages[third..].fill(0xFF);
    let other = b"a text file that somebody named in keys.store by mistake, long enough".repeat(20);
    for (what, bytes) in [
        ("empty", vec![]),
        ("header", header),
        ("pages", pages),
        ("short", whole[..5000].to_vec()),
        ("text", other),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let error = Embedded::open(&path).err();
        assert!(matches!(error, Some(StoreError::Damaged(..))), "{what}: {error:?}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{what}: left as it was");
    }
    std::fs::write(&path, &whole).unwrap();
    Embedded::open(&path).unwrap();
}

#[tokio::test]
async fn a_full_disk_fails_writes_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder.path().join("k")).await;
    store.limit(1).await.unwrap();
    let mut n = 0;
    let full = loop {
        n += 1;
        if let Err(e) = store.write(write(n)).await {
            break e;
        }
    };
    assert_eq!(full, StoreError::DiskFull);
    assert_eq!(store.write(write(100_000)).await.err(), Some(StoreError::DiskFull));
    assert_eq!(store.unsettled().await.unwrap().len(), usize::try_from(n - 1).unwrap());
    store.limit(0).await.unwrap();
    store.write(write(n)).await.unwrap();
}

/// Runs only as the child of the test below, where files may not grow beyond some size.
#[test]
fn writes_until_the_disk_fails() {
    let Ok(path) = std::env::var(FILE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = opened(Path::new(&path)).await;
        for n in 0..100_000 {
            let Err(first) = store.write(write(n)).await else {
                continue;
            };
            let second = store.write(write(n)).await.err().unwrap();
            let read = store.secrets(&[KeyId([0; 16])]).await.err().unwrap();
            println!("after {n} writes: FIRST {first}; SECOND {second}; READ {read}; END");
            return;
        }
    });
}

#[test]
fn a_failed_write_stops_the_store_and_loses_nothing_that_it_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    let script =
        "trap '' XFSZ; ulimit -f 500; exec \"$0\" files::writes_until_the_disk_fails --exact --nocapture";
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .env(FILE, &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    let (_, said) = said.split_once("after ").unwrap_or_else(|| panic!("{said}"));
    let written: usize = said.split(' ').next().unwrap().parse().unwrap();
    assert_eq!(said.matches("the keystore stopped after a failed write").count(), 2, "{said}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = Embedded::open(&path).unwrap();
    assert_eq!(runtime.block_on(store.unsettled()).unwrap().len(), written);
}

#[tokio::test]
async fn a_backup_is_whole_private_and_never_replaces_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = opened(&folder.path().join("k")).await;
    store.write(write(1)).await.unwrap();
    let to = folder.path().join("b");
    store.backup(&to).await.unwrap();
    store.write(write(2)).await.unwrap();
    assert!(matches!(store.backup(&to).await, Err(StoreError::Backup(_))));
    assert!(matches!(store.backup(&folder.path().join("no/b")).await, Err(StoreError::Backup(_))));
    assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
    let copy = Embedded::open(&to).unwrap();
    assert_eq!(copy.every_secret(0, 9).await.unwrap().len(), 1);
    assert_eq!(store.every_secret(0, 9).await.unwrap().len(), 2);
    let left =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.ends_with(".part")));
}
