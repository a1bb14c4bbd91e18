//! What every keystore must do, whatever it is built on.

use paravent::ids::{Generation, KeyId, Subject};
use paravent::keystore::model::{
    Bind, Bound, DomainRow, Erase, Found, GenerationRow, Hold, HolderName, LedgerHead, NewSecret, Scope,
    Settle, State, TokenFound, UnitId, Write,
};
use paravent::keystore::{Keystore, StoreError};
use std::sync::Arc;

const G: Generation = Generation(1);

/// Runs every check, each on a keystore of its own.
pub async fn all(mut open: impl FnMut() -> Box<dyn Keystore>) {
    insert_or_read(&*open()).await;
    commit_makes_one_sealing_secret(&*open()).await;
    rollback_leaves_nothing(&*open()).await;
    a_unit_that_rolls_back_takes_nothing_from_another(&*open()).await;
    unbound_secrets_are_bound_or_destroyed(&*open()).await;
    a_savepoint_is_undone_alone(&*open()).await;
    a_failing_write_changes_nothing(&*open()).await;
    erasure_fences(&*open()).await;
    erasure_of_one_holder_spares_the_other(&*open()).await;
    erasure_names_everything_or_nothing(&*open()).await;
    receipts_and_ledger_head(&*open()).await;
    many_at_once(Arc::from(open())).await;
}

fn key(n: u8) -> KeyId {
    KeyId([n; 16])
}

fn unit(n: u8) -> UnitId {
    UnitId([n; 16])
}

fn person(id: &str) -> Subject {
    Subject::new("person", id)
}

fn secret(n: u8, subject: Option<&Subject>) -> NewSecret {
    NewSecret {
        key_id: key(n),
        subject: subject.cloned(),
        mark: None,
        purpose: "default".into(),
        generation: G,
        wrapped: vec![n; 65],
    }
}

fn hold(n: u8, identifier: u8, token: &str) -> Hold {
    Hold {
        domain: "email".into(),
        generation: G,
        lookup: [identifier; 32],
        folded: [identifier.wrapping_add(100); 32],
        fresh: token.into(),
        key_id: key(n),
        sealed: vec![n, identifier],
    }
}

fn write(by: u8, secrets: Vec<NewSecret>, holds: Vec<Hold>) -> Write {
    Write { unit: unit(by), database: "app".into(), made_at: 1, secrets, holds }
}

async fn settle(store: &dyn Keystore, by: u8, scope: Scope, committed: bool) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let settle = Settle { unit: unit(by), scope, committed };
    store.settle(settle, Box::new(move |outcome| sender.send(outcome).unwrap()));
    receiver.await.unwrap().unwrap();
}

async fn live(store: &dyn Keystore, n: u8) -> Option<State> {
    match store.secrets(&[key(n)]).await.unwrap().remove(0) {
        Found::Live(row) => Some(row.state),
        Found::Fenced | Found::Unknown => None,
    }
}

fn erase(subject: &Subject, keys: &[u8], tokens: &[&str]) -> Erase {
    Erase {
        subject: Some(subject.clone()),
        keys: keys.iter().map(|n| key(*n)).collect(),
        tokens: tokens.iter().map(|token| ("email".into(), (*token).into())).collect(),
        mark: Some([7; 32]),
        receipt: "r1".into(),
        ledger: Some(LedgerHead { sequence: 3, hash: [9; 32] }),
    }
}

async fn insert_or_read(store: &dyn Keystore) {
    let row = |wrapped: u8| GenerationRow { number: G, wrapped: vec![wrapped], active: true };
    assert_eq!(store.add_generation(row(1)).await.unwrap(), row(1));
    assert_eq!(store.add_generation(row(2)).await.unwrap(), row(1));
    assert_eq!(store.generations().await.unwrap(), [row(1)]);
    let row = |wrapped: u8| DomainRow { domain: "email".into(), generation: G, wrapped: vec![wrapped] };
    assert_eq!(store.domain("email", G).await.unwrap(), None);
    assert_eq!(store.add_domain(row(1)).await.unwrap(), row(1));
    assert_eq!(store.add_domain(row(2)).await.unwrap(), row(1));
    assert_eq!(store.domain("email", G).await.unwrap(), Some(row(1)));
}

async fn commit_makes_one_sealing_secret(store: &dyn Keystore) {
    let one = person("1");
    store.write(write(1, vec![secret(1, Some(&one))], vec![])).await.unwrap();
    store.write(write(2, vec![secret(2, Some(&one))], vec![])).await.unwrap();
    assert_eq!(store.sealing(&one, "default").await.unwrap(), None);
    assert_eq!(live(store, 1).await, Some(State::Provisional));
    settle(store, 2, Scope::All, true).await;
    settle(store, 1, Scope::All, true).await;
    assert_eq!(store.sealing(&one, "default").await.unwrap().unwrap().key_id, key(2));
    assert_eq!(live(store, 1).await, Some(State::OpenOnly));
    assert_eq!(store.sealing(&one, "other").await.unwrap(), None);
    assert!(store.unsettled().await.unwrap().is_empty());
}

async fn rollback_leaves_nothing(store: &dyn Keystore) {
    let one = person("1");
    let held = store.write(write(1, vec![secret(1, Some(&one))], vec![hold(1, 5, "t")])).await.unwrap();
    assert_eq!((&*held[0].token, held[0].added), ("t", true));
    assert!(!store.lookup("email", G, &[5; 32]).await.unwrap().unwrap().settled);
    let waiting = store.unsettled().await.unwrap();
    assert_eq!((waiting.len(), waiting[0].tokens.len()), (1, 1));
    settle(store, 1, Scope::All, false).await;
    assert_eq!(live(store, 1).await, None);
    assert_eq!(store.token("email", "t").await.unwrap(), TokenFound::Unknown);
    assert_eq!(store.lookup("email", G, &[5; 32]).await.unwrap(), None);
    assert!(store.folded("email", G, &[105; 32]).await.unwrap().is_empty());
    assert_eq!(store.footprint(&one).await.unwrap(), Default::default());
}

async fn a_unit_that_rolls_back_takes_nothing_from_another(store: &dyn Keystore) {
    let one = person("1");
    store.write(write(1, vec![secret(1, Some(&one))], vec![])).await.unwrap();
    settle(store, 1, Scope::All, true).await;
    let a = store.write(write(2, vec![], vec![hold(1, 5, "t")])).await.unwrap();
    let b = store.write(write(3, vec![], vec![hold(1, 5, "u")])).await.unwrap();
    assert_eq!((&*a[0].token, &*b[0].token), ("t", "t"));
    settle(store, 2, Scope::All, false).await;
    settle(store, 3, Scope::All, true).await;
    let TokenFound::Live { ever_shared, holders } = store.token("email", "t").await.unwrap() else {
        panic!()
    };
    assert_eq!((ever_shared, holders.len(), holders[0].settled), (false, 1, true));
    let again = store.write(write(4, vec![], vec![hold(1, 5, "v")])).await.unwrap();
    assert!(!again[0].added);
    assert_eq!(live(store, 1).await, Some(State::Sealing));
}

async fn unbound_secrets_are_bound_or_destroyed(store: &dyn Keystore) {
    let secrets = vec![secret(1, None), secret(2, None), secret(3, None)];
    store.write(write(1, secrets, vec![hold(1, 5, "t"), hold(2, 6, "u")])).await.unwrap();
    let bound = Bound { key_id: key(1), subject: person("1"), mark: None, wrapped: vec![42; 65] };
    let bind = Bind { unit: unit(1), bound: vec![bound.clone()], destroyed: vec![key(2)] };
    store.bind(bind).await.unwrap();
    let Found::Live(row) = store.secrets(&[key(1)]).await.unwrap().remove(0) else { panic!() };
    assert_eq!((row.subject, row.wrapped[0]), (Some(person("1")), 42));
    assert_eq!(live(store, 2).await, None);
    assert_eq!(store.token("email", "u").await.unwrap(), TokenFound::Unknown);
    let TokenFound::Live { holders, .. } = store.token("email", "t").await.unwrap() else { panic!() };
    assert_eq!(holders[0].subject, Some(person("1")));
    let twice = Bind { unit: unit(1), bound: vec![bound], destroyed: vec![] };
    assert_eq!(store.bind(twice).await, Err(StoreError::Gone(key(1))));
    settle(store, 1, Scope::All, true).await;
    assert_eq!(live(store, 1).await, Some(State::Sealing));
    assert_eq!(live(store, 3).await, None, "never bound");
}

async fn a_savepoint_is_undone_alone(store: &dyn Keystore) {
    let one = person("1");
    store.write(write(1, vec![secret(1, Some(&one))], vec![hold(1, 5, "t")])).await.unwrap();
    store.write(write(1, vec![secret(2, Some(&person("2")))], vec![hold(1, 6, "u")])).await.unwrap();
    let holder = HolderName { domain: "email".into(), token: "u".into(), key_id: key(1) };
    settle(store, 1, Scope::Parts(vec![key(2)], vec![holder]), false).await;
    assert_eq!(live(store, 2).await, None);
    assert_eq!(store.token("email", "u").await.unwrap(), TokenFound::Unknown);
    settle(store, 1, Scope::All, true).await;
    assert_eq!(live(store, 1).await, Some(State::Sealing));
    assert!(store.lookup("email", G, &[5; 32]).await.unwrap().unwrap().settled);
}

async fn a_failing_write_changes_nothing(store: &dyn Keystore) {
    let secrets = vec![secret(1, Some(&person("1")))];
    let failed = store.write(write(1, secrets, vec![hold(1, 5, "t"), hold(9, 6, "u")])).await;
    assert_eq!(failed, Err(StoreError::Gone(key(9))));
    assert_eq!(live(store, 1).await, None);
    assert_eq!(store.token("email", "t").await.unwrap(), TokenFound::Unknown);
    store.write(write(1, vec![secret(1, Some(&person("1")))], vec![hold(1, 5, "t")])).await.unwrap();
    let taken = store.write(write(1, vec![], vec![hold(1, 6, "t")])).await;
    assert_eq!(taken, Err(StoreError::Taken));
}

async fn erasure_fences(store: &dyn Keystore) {
    let one = person("1");
    store.write(write(1, vec![secret(1, Some(&one))], vec![hold(1, 5, "t")])).await.unwrap();
    settle(store, 1, Scope::All, true).await;
    store.write(write(2, vec![secret(2, Some(&one))], vec![])).await.unwrap();
    let footprint = store.footprint(&one).await.unwrap();
    assert_eq!((footprint.keys.len(), footprint.tokens.len(), footprint.shared), (2, 1, 0));
    let erased = store.erase(erase(&one, &[1, 2], &["t"])).await.unwrap();
    assert_eq!((erased.destroyed.len(), erased.lookups.len()), (1, 1));
    assert_eq!(
        store.secrets(&[key(1), key(2), key(3)]).await.unwrap(),
        [Found::Fenced, Found::Fenced, Found::Unknown]
    );
    assert_eq!(store.token("email", "t").await.unwrap(), TokenFound::Fenced);
    assert_eq!(store.lookup("email", G, &[5; 32]).await.unwrap(), None);
    assert_eq!(store.marked(&[7; 32]).await.unwrap().as_deref(), Some("r1"));
    let marked = NewSecret { mark: Some([7; 32]), ..secret(4, Some(&one)) };
    assert_eq!(store.write(write(3, vec![marked], vec![])).await, Err(StoreError::Marked));
    settle(store, 2, Scope::All, true).await;
    assert_eq!(live(store, 2).await, None, "its unit commits after the erasure");
    store.write(write(4, vec![secret(5, Some(&person("2")))], vec![])).await.unwrap();
    let reused = store.write(write(4, vec![], vec![hold(5, 5, "t")])).await;
    assert_eq!(reused, Err(StoreError::Taken));
}

async fn erasure_of_one_holder_spares_the_other(store: &dyn Keystore) {
    let (one, two) = (person("1"), person("2"));
    let secrets = vec![secret(1, Some(&one)), secret(2, Some(&two))];
    store.write(write(1, secrets, vec![hold(1, 5, "t"), hold(2, 5, "x")])).await.unwrap();
    settle(store, 1, Scope::All, true).await;
    let TokenFound::Live { ever_shared, holders } = store.token("email", "t").await.unwrap() else {
        panic!()
    };
    assert_eq!((ever_shared, holders.len()), (true, 2));
    assert_eq!(store.footprint(&one).await.unwrap().shared, 1);
    let erased = store.erase(erase(&one, &[1], &[])).await.unwrap();
    assert_eq!((erased.destroyed.len(), erased.surviving.len()), (0, 1));
    let TokenFound::Live { ever_shared, holders } = store.token("email", "t").await.unwrap() else {
        panic!()
    };
    assert_eq!((ever_shared, holders.len()), (true, 1));
    assert_eq!(&*store.lookup("email", G, &[5; 32]).await.unwrap().unwrap().token, "t");
}

async fn erasure_names_everything_or_nothing(store: &dyn Keystore) {
    let one = person("1");
    store.write(write(1, vec![secret(1, Some(&one))], vec![])).await.unwrap();
    let planned = erase(&one, &[1], &[]);
    store.write(write(1, vec![], vec![hold(1, 5, "t")])).await.unwrap();
    assert_eq!(store.erase(planned).await, Err(StoreError::Changed));
    assert_eq!(live(store, 1).await, Some(State::Provisional));
    assert_eq!(store.ledger_head().await.unwrap(), None);
}

async fn receipts_and_ledger_head(store: &dyn Keystore) {
    store.keep_receipt("b", "1").await.unwrap();
    store.keep_receipt("a", "2").await.unwrap();
    store.keep_receipt("b", "3").await.unwrap();
    assert_eq!(store.receipt("b").await.unwrap().as_deref(), Some("3"));
    assert_eq!(store.receipt("c").await.unwrap(), None);
    assert_eq!(store.receipts().await.unwrap(), ["b".into(), Box::<str>::from("a")]);
    store.write(write(1, vec![secret(1, Some(&person("1")))], vec![])).await.unwrap();
    store.erase(erase(&person("1"), &[1], &[])).await.unwrap();
    assert_eq!(store.ledger_head().await.unwrap(), Some(LedgerHead { sequence: 3, hash: [9; 32] }));
}

async fn many_at_once(store: Arc<dyn Keystore>) {
    let mut tasks = Vec::new();
    for n in 0..200_u8 {
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            let subject = person(&n.to_string());
            // Every tenth fails, alone; identifiers are shared by four.
            let holder = if n % 10 == 0 { 255 } else { n };
            let holds = vec![hold(holder, n / 4, &format!("t{n}"))];
            let done = store.write(write(n, vec![secret(n, Some(&subject))], holds)).await;
            settle(&*store, n, Scope::All, true).await;
            (n, done)
        }));
    }
    for task in tasks {
        let (n, done) = task.await.unwrap();
        assert_eq!(done.is_ok(), n % 10 != 0, "{n}: {done:?}");
        assert_eq!(live(&*store, n).await, done.is_ok().then_some(State::Sealing));
        if let Ok(held) = done {
            let looked = store.lookup("email", G, &[n / 4; 32]).await.unwrap().unwrap();
            assert_eq!(looked.token, held[0].token);
        }
    }
}
