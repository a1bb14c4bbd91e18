//! What every keystore must do, whatever it is built on.

#[path = "conformance/rekey.rs"]
mod rekey;
#[path = "conformance/sweeps.rs"]
mod sweeps;

use paravent::ids::{Generation, KeyId, Subject};
use paravent::keystore::model::{
    Bind, Bound, DomainRow, Erase, Found, GenerationRow, GenerationState, Hold, HolderName, LedgerHead,
    LookupPair, NewSecret, NewSweep, Scope, Settle, State, TokenFound, UnitId, Write,
};
use paravent::keystore::rotation::{Passed, Rewrap, TokenLookups};
use paravent::keystore::sweep::SealedSubject;
use paravent::keystore::{Keystore, StoreError};
use std::sync::Arc;

const G: Generation = Generation(1);

/// Runs every check, each on a keystore of its own.
pub async fn all(mut new: impl FnMut() -> Box<dyn Keystore>) {
    insert_or_read(&*new()).await;
    let mut stores = Vec::new();
    for _ in 0..CHECKS {
        let store = new();
        store.add_generation(generation(1)).await.unwrap();
        let domain = DomainRow { domain: "email".into(), generation: G, wrapped: vec![1] };
        store.add_domain(domain).await.unwrap();
        stores.push(store);
    }
    let mut open = || stores.pop().unwrap();
    commit_makes_one_sealing_secret(&*open()).await;
    rollback_leaves_nothing(&*open()).await;
    a_unit_that_rolls_back_takes_nothing_from_another(&*open()).await;
    unbound_secrets_are_bound_or_destroyed(&*open()).await;
    a_savepoint_is_undone_alone(&*open()).await;
    a_failing_write_changes_nothing(&*open()).await;
    erasure_fences(&*open()).await;
    erasure_of_one_holder_spares_the_other(&*open()).await;
    a_token_that_lived_on_reads_as_erased_once_its_last_holder_is_undone(&*open()).await;
    erasure_names_everything_or_nothing(&*open()).await;
    receipts_and_ledger_head(&*open()).await;
    nothing_new_under_a_generation_that_is_left(&*open()).await;
    wraps_again_what_is_still_what_was_read(&*open()).await;
    a_token_is_one_under_two_generations(&*open()).await;
    a_generation_ends_step_by_step(&*open()).await;
    a_sweep_is_kept_until_it_ends(&*open()).await;
    stand_ins_read_as_erased(&*open()).await;
    jobs_are_kept_in_order(&*open()).await;
    rekey::new_secrets_seal_at_once_and_the_old_ones_only_open(&*open()).await;
    rekey::it_begins_with_one_secret_for_each_purpose_under_the_active_generation(&*open()).await;
    rekey::identifiers_move_only_as_they_were_read(&*open()).await;
    rekey::of_two_spellings_the_later_one_stays(&*open()).await;
    rekey::the_old_secrets_go_once_nothing_is_held_under_them(&*open()).await;
    rekey::without_the_ledger_the_old_secrets_stay(&*open()).await;
    rekey::an_erasure_ends_a_re_keying_and_names_what_was_replaced(&*open()).await;
    sweeps::a_sweep_goes_on_under_the_next_generation(&*open()).await;
    sweeps::a_sweep_that_some_places_refuse_is_kept_and_forgets_whom_it_was_about(&*open()).await;
    sweeps::a_replay_raises_what_a_sweep_waits_for_and_forgets_nothing(&*open()).await;
    sweeps::who_shared_an_identifier_gets_a_fresh_token(&*open()).await;
    sweeps::a_token_is_not_replaced_by_one_that_is_taken_or_while_an_outcome_is_open(&*open()).await;
    sweeps::a_stand_in_takes_nothing_from_anybody(&*open()).await;
    sweeps::a_restriction_ends_with_a_release_or_an_erasure(&*open()).await;
    many_at_once(Arc::from(open())).await;
    assert!(stores.is_empty(), "a check is not run");
}

/// Checks that begin with generation 1 and a domain.
const CHECKS: usize = 33;

fn generation(number: u32) -> GenerationRow {
    let state = GenerationState::Active;
    GenerationRow { number: Generation(number), wrapped: vec![u8::try_from(number).unwrap()], state }
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
        lookups: vec![pair(1, identifier)],
        fresh: token.into(),
        key_id: key(n),
        sealed: vec![n, identifier],
    }
}

fn pair(generation: u32, identifier: u8) -> LookupPair {
    let mut exact = [identifier; 32];
    exact[0] = u8::try_from(generation).unwrap();
    let mut folded = [identifier.wrapping_add(100); 32];
    folded[0] = exact[0];
    LookupPair { generation: Generation(generation), exact, folded }
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
        Found::Fenced | Found::Replaced | Found::Unknown => None,
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
        sweep: None,
    }
}

async fn insert_or_read(store: &dyn Keystore) {
    let row = |wrapped: u8| GenerationRow { wrapped: vec![wrapped], ..generation(1) };
    assert_eq!(store.add_generation(row(1)).await.unwrap(), row(1));
    assert_eq!(store.add_generation(row(2)).await.unwrap(), row(1));
    assert_eq!(store.generations().await.unwrap(), [row(1)]);
    let row = |wrapped: u8| DomainRow { domain: "email".into(), generation: G, wrapped: vec![wrapped] };
    assert_eq!(store.domain("email").await.unwrap(), []);
    assert_eq!(store.add_domain(row(1)).await.unwrap(), row(1));
    assert_eq!(store.add_domain(row(2)).await.unwrap(), row(1));
    assert_eq!(store.domain("email").await.unwrap(), [row(1)]);
    assert_eq!(store.domains().await.unwrap(), [row(1)]);
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
    assert!(!store.lookup("email", G, &pair(1, 5).exact).await.unwrap().unwrap().settled);
    let waiting = store.unsettled().await.unwrap();
    assert_eq!((waiting.len(), waiting[0].tokens.len()), (1, 1));
    settle(store, 1, Scope::All, false).await;
    assert_eq!(live(store, 1).await, None);
    assert_eq!(store.token("email", "t").await.unwrap(), TokenFound::Unknown);
    assert_eq!(store.lookup("email", G, &pair(1, 5).exact).await.unwrap(), None);
    assert!(store.folded("email", G, &pair(1, 5).folded).await.unwrap().is_empty());
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
    let bound =
        Bound { key_id: key(1), subject: person("1"), mark: None, generation: G, wrapped: vec![42; 65] };
    let bind = Bind { unit: unit(1), bound: vec![bound.clone()], destroyed: vec![key(2)] };
    store.bind(bind).await.unwrap();
    let Found::Live(row) = store.secrets(&[key(1)]).await.unwrap().remove(0) else { panic!() };
    assert_eq!((row.subject, row.wrapped[0]), (Some(person("1")), 42));
    assert_eq!(live(store, 2).await, None);
    let found = store.tokens("email", &["u", "t", "x", "t"]).await.unwrap();
    assert_eq!((&found[0], &found[2], &found[3]), (&TokenFound::Unknown, &TokenFound::Unknown, &found[1]));
    let TokenFound::Live { holders, .. } = &found[1] else { panic!() };
    assert_eq!(holders[0].subject, Some(person("1")));
    // Twice to the same subject is once: somebody may have found its value before its own unit heard whose it is.
    let twice = |subject: Subject| {
        let bound = vec![Bound { subject, ..bound.clone() }];
        Bind { unit: unit(1), bound, destroyed: vec![] }
    };
    assert_eq!(store.bind(twice(person("1"))).await, Ok(()));
    assert_eq!(store.bind(twice(person("2"))).await, Err(StoreError::Gone(key(1))));
    settle(store, 1, Scope::All, true).await;
    assert_eq!(live(store, 1).await, Some(State::Sealing));
    assert_eq!(store.bind(twice(person("1"))).await, Ok(()), "after its outcome, too");
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
    assert!(store.lookup("email", G, &pair(1, 5).exact).await.unwrap().unwrap().settled);
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
    assert_eq!(store.lookup("email", G, &pair(1, 5).exact).await.unwrap(), None);
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
    assert_eq!(&*store.lookup("email", G, &pair(1, 5).exact).await.unwrap().unwrap().token, "t");
}

async fn a_token_that_lived_on_reads_as_erased_once_its_last_holder_is_undone(store: &dyn Keystore) {
    let (one, two) = (person("1"), person("2"));
    store.write(write(1, vec![secret(1, Some(&one))], vec![hold(1, 5, "t")])).await.unwrap();
    settle(store, 1, Scope::All, true).await;
    store.write(write(2, vec![secret(2, Some(&two))], vec![hold(2, 5, "x")])).await.unwrap();
    let erased = store.erase(erase(&one, &[1], &[])).await.unwrap();
    assert_eq!((erased.destroyed.len(), erased.surviving.len()), (0, 1));
    settle(store, 2, Scope::All, false).await;
    assert_eq!(store.token("email", "t").await.unwrap(), TokenFound::Fenced);
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

async fn nothing_new_under_a_generation_that_is_left(store: &dyn Keystore) {
    store.write(write(1, vec![secret(1, None)], vec![])).await.unwrap();
    store.rotate(generation(2)).await.unwrap();
    let states: Vec<_> = store.generations().await.unwrap().iter().map(|row| row.state).collect();
    assert_eq!(states, [GenerationState::Closing, GenerationState::Active]);
    assert_eq!(store.rotate(generation(3)).await, Err(StoreError::Rotating));
    let old = write(1, vec![secret(2, Some(&person("2")))], vec![]);
    assert_eq!(store.write(old).await, Err(StoreError::Stale));
    let bound =
        Bound { key_id: key(1), subject: person("1"), mark: None, generation: G, wrapped: vec![42; 65] };
    let bind = |bound: &Bound| Bind { unit: unit(1), bound: vec![bound.clone()], destroyed: vec![] };
    assert_eq!(store.bind(bind(&bound)).await, Err(StoreError::Stale));
    store.bind(bind(&Bound { generation: Generation(2), ..bound })).await.unwrap();
    let Found::Live(row) = store.secrets(&[key(1)]).await.unwrap().remove(0) else { panic!() };
    assert_eq!((row.generation, row.wrapped[0]), (Generation(2), 42));
    let domain = DomainRow { domain: "other".into(), generation: G, wrapped: vec![1] };
    assert_eq!(store.add_domain(domain).await, Err(StoreError::Stale));
}

async fn wraps_again_what_is_still_what_was_read(store: &dyn Keystore) {
    let secrets = vec![secret(1, Some(&person("1"))), secret(2, Some(&person("2"))), secret(3, None)];
    store.write(write(1, secrets, vec![])).await.unwrap();
    store.rotate(generation(2)).await.unwrap();
    assert_eq!(store.dependents(G).await.unwrap().secrets, 3);
    let first = store.wrapped_by(G, 0, 2).await.unwrap();
    assert_eq!(first.iter().map(|d| d.row.key_id).collect::<Vec<_>>(), [key(1), key(2)]);
    let rest = store.wrapped_by(G, first[1].place, 2).await.unwrap();
    assert_eq!(rest.iter().map(|d| d.row.key_id).collect::<Vec<_>>(), [key(3)]);
    // Meanwhile one is erased and one is bound.
    store.erase(erase(&person("1"), &[1], &[])).await.unwrap();
    let to = Generation(2);
    let bound =
        Bound { key_id: key(3), subject: person("3"), mark: None, generation: to, wrapped: vec![42; 65] };
    store.bind(Bind { unit: unit(1), bound: vec![bound], destroyed: vec![] }).await.unwrap();
    let again = first.iter().chain(&rest).map(|d| Rewrap {
        place: d.place,
        key_id: d.row.key_id,
        version: d.version,
        from: G,
        to,
        wrapped: vec![7; 65],
    });
    assert_eq!(store.rewrap(again.collect()).await.unwrap(), 1);
    assert_eq!(store.secrets(&[key(1)]).await.unwrap(), [Found::Fenced], "an erased row does not come back");
    let Found::Live(row) = store.secrets(&[key(2)]).await.unwrap().remove(0) else { panic!() };
    assert_eq!((row.generation, row.wrapped[0]), (to, 7));
    let Found::Live(row) = store.secrets(&[key(3)]).await.unwrap().remove(0) else { panic!() };
    assert_eq!((row.generation, row.wrapped[0]), (to, 42), "bound since it was read");
    assert_eq!(store.dependents(G).await.unwrap().secrets, 0);
    assert_eq!(store.every_secret(0, 9).await.unwrap().len(), 2);
}

async fn a_token_is_one_under_two_generations(store: &dyn Keystore) {
    let one = person("1");
    store.write(write(1, vec![secret(1, Some(&one))], vec![hold(1, 5, "t")])).await.unwrap();
    settle(store, 1, Scope::All, true).await;
    let two = Generation(2);
    store.rotate(generation(2)).await.unwrap();
    let domain = DomainRow { domain: "email".into(), generation: two, wrapped: vec![2] };
    store.add_domain(domain).await.unwrap();
    let second = |n: u8| NewSecret { generation: two, ..secret(n, Some(&person(&n.to_string()))) };
    let both = |n: u8, identifier: u8, token: &str| Hold {
        lookups: vec![pair(1, identifier), pair(2, identifier)],
        ..hold(n, identifier, token)
    };
    let missing = store.write(write(2, vec![second(2)], vec![hold(2, 5, "u")])).await;
    assert_eq!(missing, Err(StoreError::Stale), "it would not be found under the new one");
    let held = store.write(write(2, vec![second(2)], vec![both(2, 5, "u"), both(2, 6, "v")])).await.unwrap();
    assert_eq!((&*held[0].token, &*held[1].token), ("t", "v"));
    settle(store, 2, Scope::All, true).await;
    for (identifier, token) in [(5, "t"), (6, "v")] {
        let found = store.lookup("email", two, &pair(2, identifier).exact).await.unwrap().unwrap();
        assert_eq!(&*found.token, token);
    }
    // What nobody touched is given its lookups by the job.
    store.write(write(3, vec![second(3)], vec![both(3, 7, "w")])).await.unwrap();
    assert!(store.unlooked("email", two, "", 9).await.unwrap().is_empty());
    let three = TokenLookups { token: "gone".into(), pair: pair(2, 8) };
    assert_eq!(store.add_lookups("email", vec![three]).await.unwrap(), 0, "only tokens that are there");
    assert_eq!(store.lookup("email", two, &pair(2, 8).exact).await.unwrap(), None);
    store.close_domain("email", G).await.unwrap();
    while store.drop_lookups(G, 1).await.unwrap() > 0 {}
    assert_eq!(store.lookup("email", G, &pair(1, 5).exact).await.unwrap(), None);
    assert!(store.folded("email", G, &pair(1, 5).folded).await.unwrap().is_empty());
    assert_eq!(store.folded("email", two, &pair(2, 5).folded).await.unwrap(), ["t".into()]);
    let held = store.write(write(4, vec![second(4)], vec![both(4, 5, "x")])).await.unwrap();
    assert_eq!(&*held[0].token, "t");
    assert_eq!(
        store.lookup("email", G, &pair(1, 5).exact).await.unwrap(),
        None,
        "the closed one stays closed"
    );
}

async fn a_generation_ends_step_by_step(store: &dyn Keystore) {
    store.write(write(1, vec![secret(1, Some(&person("1")))], vec![hold(1, 5, "t")])).await.unwrap();
    let (empty, destroyed) = (GenerationState::Empty, GenerationState::Destroyed);
    assert_eq!(store.advance(G, empty).await, Err(StoreError::InUse(1)), "it is active");
    store.rotate(generation(2)).await.unwrap();
    assert_eq!(store.advance(G, empty).await, Err(StoreError::InUse(1)), "a secret depends on it");
    assert_eq!(store.advance(G, destroyed).await, Err(StoreError::InUse(1)));
    let two = Generation(2);
    let found = store.wrapped_by(G, 0, 9).await.unwrap().remove(0);
    let Passed { place, version, .. } = found;
    let again = Rewrap { place, key_id: key(1), version, from: G, to: two, wrapped: vec![7; 65] };
    store.rewrap(vec![again]).await.unwrap();
    assert_eq!(store.advance(G, empty).await, Err(StoreError::InUse(1)), "a domain depends on it");
    let domain = DomainRow { domain: "email".into(), generation: two, wrapped: vec![2] };
    store.add_domain(domain).await.unwrap();
    let unlooked = store.unlooked("email", two, "", 9).await.unwrap();
    assert_eq!((&*unlooked[0].token, unlooked[0].holder.key_id), ("t", key(1)));
    assert!(store.unlooked("email", two, "t", 9).await.unwrap().is_empty());
    let lookups = vec![TokenLookups { token: "t".into(), pair: pair(2, 5) }];
    assert_eq!(store.add_lookups("email", lookups).await.unwrap(), 1);
    store.close_domain("email", G).await.unwrap();
    store.advance(G, empty).await.unwrap();
    store.advance(G, empty).await.unwrap();
    assert_eq!(store.noted_backup().await.unwrap(), None);
    store.note_backup(two).await.unwrap();
    assert_eq!(store.noted_backup().await.unwrap(), Some(two));
    store.advance(G, destroyed).await.unwrap();
    let rows = store.generations().await.unwrap();
    assert_eq!((rows[0].state, rows[0].wrapped.len()), (destroyed, 0), "it is remembered, without its key");
    assert_eq!(store.rotate(generation(2)).await, Err(StoreError::Rotating), "no number twice");
    store.rotate(generation(3)).await.unwrap();
}

async fn a_sweep_is_kept_until_it_ends(store: &dyn Keystore) {
    let (one, two) = (person("1"), person("2"));
    let secrets = vec![secret(1, Some(&one)), secret(2, Some(&two))];
    let holds = vec![hold(1, 5, "t"), hold(1, 6, "u"), hold(2, 6, "x")];
    store.write(write(1, secrets, holds)).await.unwrap();
    settle(store, 1, Scope::All, true).await;
    let subject = Some(SealedSubject { generation: G, sealed: vec![1, 2, 3] });
    let sweep = Some(NewSweep { highest: G, subject: subject.clone() });
    store.erase(Erase { sweep, ..erase(&one, &[1], &["t"]) }).await.unwrap();
    let rows = store.sweeps().await.unwrap();
    let row = &rows[0];
    assert_eq!((rows.len(), &*row.receipt, row.highest, row.swept), (1, "r1", G, false));
    assert_eq!((&row.subject, &row.databases[..]), (&subject, &["app".into()][..]));
    let name = |token: &str| (Box::from("email"), Box::from(token));
    assert_eq!(
        (&row.keys[..], &row.tokens[..], &row.shared[..]),
        (&[key(1)][..], &[name("t")][..], &[name("u")][..])
    );
    assert_eq!(store.dependents(G).await.unwrap().sweeps, 1);
    store.set_sweep("r1", None).await.unwrap();
    let row = store.sweeps().await.unwrap().remove(0);
    assert_eq!((row.swept, row.subject), (true, None));
    store.end_sweep("r1").await.unwrap();
    assert!(store.sweeps().await.unwrap().is_empty());
    store.rotate(generation(2)).await.unwrap();
    let sweep = Some(NewSweep { highest: G, subject });
    let late = store.erase(Erase { sweep, ..erase(&two, &[2], &["u"]) }).await;
    assert_eq!(late, Err(StoreError::Stale), "nothing is sealed under a generation that is left");
    assert_eq!(live(store, 2).await, Some(State::Sealing));
}

async fn stand_ins_read_as_erased(store: &dyn Keystore) {
    let head = LedgerHead { sequence: 4, hash: [8; 32] };
    store.fence(vec![key(9)], vec![("email".into(), "dead".into())], Some(head)).await.unwrap();
    assert_eq!(store.secrets(&[key(9)]).await.unwrap(), [Found::Fenced]);
    let found = store.tokens("email", &["other", "dead"]).await.unwrap();
    assert_eq!(found, [TokenFound::Unknown, TokenFound::Fenced]);
    assert_eq!(store.ledger_head().await.unwrap(), Some(head));
}

async fn jobs_are_kept_in_order(store: &dyn Keystore) {
    for (id, document) in [("a", "1"), ("b", "2"), ("a", "3")] {
        store.keep_job(id, document).await.unwrap();
    }
    assert_eq!(store.jobs(9).await.unwrap(), ["2".into(), Box::<str>::from("3")]);
    assert_eq!(store.job("a").await.unwrap().as_deref(), Some("3"));
    assert_eq!(store.job("c").await.unwrap(), None);
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
            let looked = store.lookup("email", G, &pair(1, n / 4).exact).await.unwrap().unwrap();
            assert_eq!(looked.token, held[0].token);
        }
    }
}
