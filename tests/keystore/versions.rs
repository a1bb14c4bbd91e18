//! Keystores of every older version of the schema, as the programs of their time made them, are brought up to date.

use paravent::ids::{Generation, KeyId, Subject};
use paravent::keystore::embedded::Embedded;
use paravent::keystore::model::{Found, GenerationState, Scope, Settle, State, TokenFound, UnitId};
use paravent::keystore::{Keystore, StoreError};
use std::path::Path;

const FIRST: &str = include_str!("versions/1.sql");
const SECOND: &str = include_str!("versions/2.sql");
const THIRD: &str = include_str!("versions/3.sql");

/// Two people, one of them with an older secret and an address; what a transaction has not settled, bound and unbound; and
/// somebody erased. Written in another order than that of the key ids.
const ROWS: &str = "
    INSERT INTO generations (number, wrapped, state) VALUES (1, x'01', 'active');
    INSERT INTO domains (domain, generation, wrapped) VALUES ('email', 1, x'01');
    INSERT INTO secrets (key_id, realm, class, id, purpose, state, generation, wrapped, version, unit, made_at, database) VALUES
        (x'05050505050505050505050505050505', 'main', 'person', '1', 'default', 'sealing', 1, x'55', 3, NULL, 10, 'app'),
        (x'01010101010101010101010101010101', 'main', 'person', '1', 'default', 'open-only', 1, x'11', 2, NULL, 9, 'app'),
        (x'03030303030303030303030303030303', 'main', 'person', '2', 'default', 'sealing', 1, x'33', 2, NULL, 8, 'app'),
        (x'04040404040404040404040404040404', 'main', 'person', '3', 'default', 'provisional', 1, x'44', 1,
         x'07070707070707070707070707070707', 7, 'app'),
        (x'02020202020202020202020202020202', NULL, NULL, NULL, 'default', 'provisional', 1, x'22', 1,
         x'07070707070707070707070707070707', 7, 'app');
    INSERT INTO tokens (domain, token) VALUES ('email', 't');
    INSERT INTO lookups (domain, generation, hmac, token)
        VALUES ('email', 1, x'0909090909090909090909090909090909090909090909090909090909090909', 't');
    INSERT INTO holders (domain, token, key_id, realm, class, id, sealed, made_at, database)
        VALUES ('email', 't', x'05050505050505050505050505050505', 'main', 'person', '1', x'aa', 10, 'app');
    INSERT INTO fenced_keys (key_id, receipt) VALUES (x'06060606060606060606060606060606', 'r1');
    INSERT INTO meta (name, value) VALUES ('ledger head', zeroblob(40));";

fn made(path: &Path, schema: &[&str], version: u8) {
    let conn = rusqlite::Connection::open(path).unwrap();
    let schema = schema.concat();
    let heads = format!("PRAGMA application_id = {}; PRAGMA user_version = {version};", 0x5076_6e74);
    conn.execute_batch(&format!("{heads} BEGIN; {schema} {ROWS} COMMIT;")).unwrap();
}

fn key(n: u8) -> KeyId {
    KeyId([n; 16])
}

/// Whose it is, its state, its generation, and what stands for the wrapped secret.
async fn live(store: &Embedded, n: u8) -> (Option<Subject>, State, u32, Vec<u8>) {
    match store.secrets(&[key(n)]).await.unwrap().remove(0) {
        Found::Live(row) => (row.subject, row.state, row.generation.0, row.wrapped),
        other => panic!("{n}: {other:?}"),
    }
}

fn person(id: &str) -> Option<Subject> {
    Some(Subject::new("person", id))
}

async fn everything_is_there(store: &Embedded) {
    assert_eq!(store.generations().await.unwrap()[0].state, GenerationState::Active);
    assert_eq!(live(store, 5).await, (person("1"), State::Sealing, 1, vec![0x55]));
    assert_eq!(live(store, 1).await, (person("1"), State::OpenOnly, 1, vec![0x11]));
    assert_eq!(live(store, 3).await, (person("2"), State::Sealing, 1, vec![0x33]));
    assert_eq!(live(store, 4).await, (person("3"), State::Provisional, 1, vec![0x44]));
    assert_eq!(live(store, 2).await, (None, State::Provisional, 1, vec![0x22]));
    assert_eq!(store.secrets(&[key(6)]).await.unwrap(), [Found::Fenced]);
    let passed = store.every_secret(0, 9).await.unwrap();
    let versions: Vec<_> = passed.iter().map(|p| (p.row.key_id, p.version)).collect();
    assert_eq!(versions, [(key(1), 2), (key(2), 1), (key(3), 2), (key(4), 1), (key(5), 3)]);
    assert_eq!(store.sealing(&person("1").unwrap(), "default").await.unwrap().unwrap().key_id, key(5));
    let TokenFound::Live { holders, .. } = store.token("email", "t").await.unwrap() else { panic!() };
    assert_eq!((holders.len(), holders[0].key_id), (1, key(5)));
    assert!(store.sweeps().await.unwrap().is_empty() && store.rekeys().await.unwrap().is_empty());
}

/// What it is used for goes on: a unit is settled, somebody new comes and goes, one secret for each subject and purpose.
async fn it_works(store: &Embedded) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let settle = Settle { unit: UnitId([7; 16]), scope: Scope::All, committed: true };
    store.settle(settle, Box::new(move |outcome| sender.send(outcome).unwrap()));
    receiver.await.unwrap().unwrap();
    assert_eq!(live(store, 4).await.1, State::Sealing);
    assert_eq!(store.secrets(&[key(2)]).await.unwrap(), [Found::Unknown], "never bound");
    assert!(store.unsettled().await.unwrap().is_empty());
    assert_eq!(store.dependents(Generation(1)).await.unwrap().secrets, 4);
    let footprint = store.footprint(&person("1").unwrap()).await.unwrap();
    assert_eq!((footprint.keys, footprint.tokens.len()), (vec![key(1), key(5)], 1));
    assert!(store.restrict(&person("2").unwrap(), true).await.unwrap());
    store.keep_job("a", "1").await.unwrap();
}

#[tokio::test]
async fn a_keystore_of_any_older_version_is_brought_up_to_date_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (version, schema) in [(1, &[FIRST][..]), (2, &[SECOND]), (3, &[SECOND, THIRD])] {
        let path = folder.path().join(version.to_string());
        made(&path, schema, version);
        let store = Embedded::open(&path).unwrap();
        everything_is_there(&store).await;
        it_works(&store).await;
        drop(store);
        // Once is enough.
        drop(Embedded::open(&path).unwrap());
        let conn = rusqlite::Connection::open(&path).unwrap();
        let shape = |conn: &rusqlite::Connection| -> Vec<(String, String)> {
            let mut names = conn
                .prepare(
                    "SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE name LIKE 'secrets%' ORDER BY 1",
                )
                .unwrap();
            let rows = names.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?))).unwrap();
            // SQLite quotes a name that it has changed.
            rows.map(|row| row.map(|(name, sql)| (name, sql.replace('"', ""))).unwrap()).collect()
        };
        let fresh = folder.path().join(format!("fresh-{version}"));
        drop(Embedded::open(&fresh).unwrap());
        assert_eq!(shape(&conn), shape(&rusqlite::Connection::open(&fresh).unwrap()), "version {version}");
    }
}

/// Killed in the middle, or without room for the copy, it is as it was before.
#[tokio::test]
async fn one_that_cannot_be_brought_up_to_date_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k");
    made(&path, &[SECOND, THIRD], 3);
    // A name that the change needs is taken.
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE secrets_3 (a)").unwrap();
    drop(conn);
    assert!(matches!(Embedded::open(&path).err(), Some(StoreError::Unavailable(..))));
    let conn = rusqlite::Connection::open(&path).unwrap();
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    let secrets: i64 = conn.query_row("SELECT count(*) FROM secrets", [], |row| row.get(0)).unwrap();
    assert_eq!((version, secrets), (3, 5));
    conn.execute_batch("DROP TABLE secrets_3").unwrap();
    drop(conn);
    everything_is_there(&Embedded::open(&path).unwrap()).await;
}
