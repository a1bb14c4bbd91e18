//! What is left to do after an erasure; tokens that take another's place; stand-ins; restrictions.

use super::{G, erase, generation, hold, key, live, pair, person, secret, settle, write};
use paravent::ids::Generation;
use paravent::keystore::model::{Erase, Found, LedgerHead, NewSweep, Scope, State, TokenFound};
use paravent::keystore::rotation::Dependents;
use paravent::keystore::sweep::{Replacement, SealedSubject};
use paravent::keystore::{Keystore, StoreError};

const HEAD: LedgerHead = LedgerHead { sequence: 6, hash: [6; 32] };

fn sealed(generation: Generation) -> SealedSubject {
    SealedSubject { generation, sealed: vec![1, 2, 3] }
}

/// Two people share the address "t", and the first one is erased; both were written to the database "app".
async fn one_of_two_is_erased(store: &dyn Keystore) {
    let (one, two) = (person("1"), person("2"));
    let secrets = vec![secret(1, Some(&one)), secret(2, Some(&two))];
    store.write(write(1, secrets, vec![hold(1, 5, "t"), hold(2, 5, "x")])).await.unwrap();
    settle(store, 1, Scope::All, true).await;
    let sweep = Some(NewSweep { highest: G, subject: Some(sealed(G)) });
    store.erase(Erase { sweep, ..erase(&one, &[1], &[]) }).await.unwrap();
}

pub async fn a_sweep_goes_on_under_the_next_generation(store: &dyn Keystore) {
    one_of_two_is_erased(store).await;
    store.rotate(generation(2)).await.unwrap();
    let two = Generation(2);
    assert_eq!(store.dependents(G).await.unwrap().sweeps, 1);
    store.set_sweep("r1", Some(sealed(two))).await.unwrap();
    assert_eq!(store.dependents(G).await.unwrap().sweeps, 0);
    let row = store.sweeps().await.unwrap().remove(0);
    assert_eq!((row.subject, row.highest, row.swept), (Some(sealed(two)), G, false));
    let all = store.dependents(two).await.unwrap();
    assert_eq!(all, Dependents { secrets: 0, domains: 0, sweeps: 1 });
}

pub async fn a_sweep_that_some_places_refuse_is_kept_and_forgets_whom_it_was_about(store: &dyn Keystore) {
    one_of_two_is_erased(store).await;
    store.refuse_sweep("r1").await.unwrap();
    let row = store.sweeps().await.unwrap().remove(0);
    assert_eq!((row.swept, row.refused, row.subject), (true, true, Some(sealed(G))), "it is tried again");
    store.end_sweep("r1").await.unwrap();
    let row = store.sweeps().await.unwrap().remove(0);
    assert_eq!((row.refused, row.subject, &row.keys[..]), (true, None, &[key(1)][..]));
    store.set_sweep("r1", None).await.unwrap();
    assert!(!store.sweeps().await.unwrap()[0].refused, "it worked at last");
    store.end_sweep("r1").await.unwrap();
    assert!(store.sweeps().await.unwrap().is_empty());
    store.end_sweep("r1").await.unwrap();
}

pub async fn a_replay_raises_what_a_sweep_waits_for_and_forgets_nothing(store: &dyn Keystore) {
    one_of_two_is_erased(store).await;
    let sweep = Some(NewSweep { highest: Generation(3), subject: None });
    store.erase(Erase { subject: None, sweep, ..erase(&person("1"), &[1], &[]) }).await.unwrap();
    let rows = store.sweeps().await.unwrap();
    assert_eq!((rows.len(), rows[0].highest, &rows[0].subject), (1, Generation(3), &Some(sealed(G))));
    let lower = Some(NewSweep { highest: Generation(2), subject: None });
    store.erase(Erase { subject: None, sweep: lower, ..erase(&person("1"), &[1], &[]) }).await.unwrap();
    assert_eq!(store.sweeps().await.unwrap()[0].highest, Generation(3));
}

pub async fn who_shared_an_identifier_gets_a_fresh_token(store: &dyn Keystore) {
    one_of_two_is_erased(store).await;
    assert_eq!(store.replacement("email", "t").await.unwrap(), None);
    let hmacs = store.replace("email", "t", "new").await.unwrap();
    assert_eq!(hmacs, [pair(1, 5).exact], "what caches must forget");
    let new = Replacement { new: "new".into(), databases: vec!["app".into()] };
    assert_eq!(store.replacement("email", "t").await.unwrap(), Some(new));
    let found = store.lookup("email", G, &pair(1, 5).exact).await.unwrap().unwrap();
    assert_eq!((&*found.token, found.settled), ("new", true));
    assert_eq!(store.folded("email", G, &pair(1, 5).folded).await.unwrap(), ["new".into()]);
    for (token, shared) in [("t", true), ("new", false)] {
        let found = store.token("email", token).await.unwrap();
        let TokenFound::Live { ever_shared, holders } = found else { panic!("{token} stands for it") };
        assert_eq!((ever_shared, holders.len(), holders[0].key_id), (shared, 1, key(2)), "{token}");
    }
    assert!(store.unlooked("email", G, "", 9).await.unwrap().is_empty(), "the old one gets no lookups again");
    store.retire("email", "t", HEAD).await.unwrap();
    assert_eq!(store.token("email", "t").await.unwrap(), TokenFound::Fenced);
    assert_eq!(store.replacement("email", "t").await.unwrap(), None);
    assert!(matches!(store.token("email", "new").await.unwrap(), TokenFound::Live { .. }));
    assert_eq!(store.ledger_head().await.unwrap(), Some(HEAD));
    assert_eq!(store.footprint(&person("2")).await.unwrap().tokens, [("email".into(), "new".into())]);
}

pub async fn a_token_is_not_replaced_by_one_that_is_taken_or_while_an_outcome_is_open(store: &dyn Keystore) {
    one_of_two_is_erased(store).await;
    store.write(write(2, vec![secret(3, Some(&person("3")))], vec![hold(3, 6, "u")])).await.unwrap();
    assert_eq!(store.replace("email", "t", "u").await, Err(StoreError::Taken), "somebody has it");
    store.fence(vec![], vec![("email".into(), "dead".into())], None).await.unwrap();
    assert_eq!(store.replace("email", "t", "dead").await, Err(StoreError::Taken), "nobody may have it");
    assert_eq!(store.replace("email", "u", "new").await, Err(StoreError::Changed), "its transaction is open");
    assert_eq!(store.replace("email", "nobody's", "new").await, Err(StoreError::Changed));
    assert_eq!(store.token("email", "new").await.unwrap(), TokenFound::Unknown, "nothing changed");
}

pub async fn a_stand_in_takes_nothing_from_anybody(store: &dyn Keystore) {
    let one = person("1");
    store.write(write(1, vec![secret(1, Some(&one))], vec![hold(1, 5, "t")])).await.unwrap();
    settle(store, 1, Scope::All, true).await;
    store
        .fence(vec![key(9)], vec![("email".into(), "t".into()), ("other".into(), "t".into())], None)
        .await
        .unwrap();
    assert!(matches!(store.token("email", "t").await.unwrap(), TokenFound::Live { .. }), "it is somebody's");
    assert_eq!(store.token("other", "t").await.unwrap(), TokenFound::Fenced, "in another domain it is not");
    assert_eq!(store.ledger_head().await.unwrap(), None);
}

pub async fn a_restriction_ends_with_a_release_or_an_erasure(store: &dyn Keystore) {
    let (one, two) = (person("1"), person("2"));
    assert!(!store.restrict(&one, true).await.unwrap(), "nobody is known");
    store.write(write(1, vec![secret(1, Some(&one)), secret(2, Some(&two))], vec![])).await.unwrap();
    settle(store, 1, Scope::All, true).await;
    for subject in [&one, &one, &two] {
        assert!(store.restrict(subject, true).await.unwrap());
    }
    assert_eq!(store.restricted().await.unwrap(), [one.clone(), two.clone()]);
    assert!(store.restrict(&two, false).await.unwrap());
    assert!(store.restrict(&two, false).await.unwrap(), "twice is once");
    store.erase(erase(&one, &[1], &[])).await.unwrap();
    assert_eq!(store.restricted().await.unwrap(), [], "whoever was erased is forgotten");
    assert_eq!((live(store, 2).await, live(store, 1).await), (Some(State::Sealing), None));
    assert_eq!(store.secrets(&[key(1)]).await.unwrap(), [Found::Fenced]);
}
