//! Re-keying: new secrets in one change, identifiers moved to them, the old ones away in another.

use super::{G, erase, generation, hold, key, live, person, secret, settle, write};
use paravent::ids::{Generation, KeyId, Subject};
use paravent::keystore::model::{Found, LedgerHead, NewSecret, Scope, State, TokenFound};
use paravent::keystore::rekey::{BeginRekey, HeldUnder, ResealedHolder};
use paravent::keystore::{Keystore, StoreError};

const HEAD: LedgerHead = LedgerHead { sequence: 5, hash: [5; 32] };

fn begin(job: &str, subject: &Subject, secrets: Vec<NewSecret>) -> BeginRekey {
    BeginRekey { job: job.into(), subject: subject.clone(), secrets, made_at: 2, ledger: None }
}

/// A person with one settled secret and an address, "t".
async fn settled(store: &dyn Keystore) -> Subject {
    let one = person("1");
    store.write(write(1, vec![secret(1, Some(&one))], vec![hold(1, 5, "t")])).await.unwrap();
    settle(store, 1, Scope::All, true).await;
    one
}

fn moved(before: HeldUnder, to: KeyId) -> ResealedHolder {
    ResealedHolder { before, key_id: to, sealed: vec![42] }
}

pub async fn new_secrets_seal_at_once_and_the_old_ones_only_open(store: &dyn Keystore) {
    let one = settled(store).await;
    // What is provisional when it begins is none of its business.
    store.write(write(2, vec![secret(2, Some(&one))], vec![])).await.unwrap();
    let row = store.begin_rekey(begin("j", &one, vec![secret(3, Some(&one))])).await.unwrap();
    assert_eq!((&*row.job, &row.subject, &row.old[..]), ("j", &one, &[key(1)][..]));
    assert_eq!(row.databases, [Box::<str>::from("app")]);
    assert_eq!(store.sealing(&one, "default").await.unwrap().unwrap().key_id, key(3));
    assert_eq!(live(store, 1).await, Some(State::OpenOnly));
    settle(store, 2, Scope::All, true).await;
    assert_eq!(live(store, 2).await, Some(State::OpenOnly), "it settles beside the one that seals");
    let again = store.begin_rekey(begin("k", &one, vec![secret(4, Some(&one))])).await.unwrap();
    assert_eq!(again, row, "two at once are the same");
    assert_eq!(live(store, 4).await, None);
    assert_eq!(store.rekeys().await.unwrap(), [row]);
    assert_eq!(store.ledger_head().await.unwrap(), None);
}

pub async fn it_begins_with_one_secret_for_each_purpose_under_the_active_generation(store: &dyn Keystore) {
    let one = settled(store).await;
    let other = NewSecret { purpose: "marketing".into(), ..secret(2, Some(&one)) };
    store.write(write(2, vec![other], vec![])).await.unwrap();
    settle(store, 2, Scope::All, true).await;
    let short = store.begin_rekey(begin("j", &one, vec![secret(3, Some(&one))])).await;
    assert_eq!(short, Err(StoreError::Changed), "the other purpose would be left out");
    let nobody = store.begin_rekey(begin("j", &person("9"), vec![])).await;
    assert_eq!(nobody, Err(StoreError::Changed));
    store.rotate(generation(2)).await.unwrap();
    let marketing = |n: u8, generation: Generation| NewSecret {
        generation,
        purpose: "marketing".into(),
        ..secret(n, Some(&one))
    };
    let stale = vec![secret(3, Some(&one)), marketing(4, G)];
    assert_eq!(store.begin_rekey(begin("j", &one, stale)).await, Err(StoreError::Stale));
    assert_eq!((live(store, 1).await, live(store, 3).await), (Some(State::Sealing), None), "nothing changed");
    let two = Generation(2);
    let fresh = vec![NewSecret { generation: two, ..secret(3, Some(&one)) }, marketing(4, two)];
    let head = BeginRekey { ledger: Some(HEAD), ..begin("j", &one, fresh) };
    assert_eq!(store.begin_rekey(head).await.unwrap().old, [key(1), key(2)]);
    assert_eq!(store.sealing(&one, "marketing").await.unwrap().unwrap().key_id, key(4));
    assert_eq!(store.ledger_head().await.unwrap(), Some(HEAD), "a restored keystore has seen why");
}

pub async fn identifiers_move_only_as_they_were_read(store: &dyn Keystore) {
    let one = settled(store).await;
    store.begin_rekey(begin("j", &one, vec![secret(3, Some(&one))])).await.unwrap();
    let held = store.held_under(&[key(1), key(3)]).await.unwrap();
    let [before] = &held[..] else { panic!("{held:?}") };
    assert_eq!((&*before.token, before.key_id, &before.sealed[..]), ("t", key(1), &[1, 5][..]));
    let other = HeldUnder { sealed: vec![9], ..before.clone() };
    assert_eq!(store.reseal_holders(vec![moved(other, key(3))]).await.unwrap(), 0, "it is not that any more");
    assert_eq!(store.reseal_holders(vec![moved(before.clone(), key(3))]).await.unwrap(), 1);
    assert_eq!(store.reseal_holders(vec![moved(before.clone(), key(3))]).await.unwrap(), 0, "once");
    assert!(store.held_under(&[key(1)]).await.unwrap().is_empty());
    let TokenFound::Live { ever_shared, holders } = store.token("email", "t").await.unwrap() else {
        panic!()
    };
    assert_eq!((ever_shared, holders.len()), (false, 1), "nobody shares it with himself");
    assert_eq!((holders[0].key_id, &holders[0].sealed[..]), (key(3), &[42][..]));
    assert_eq!(holders[0].subject, Some(one));
}

pub async fn of_two_spellings_the_later_one_stays(store: &dyn Keystore) {
    let one = settled(store).await;
    store.begin_rekey(begin("j", &one, vec![secret(3, Some(&one))])).await.unwrap();
    // A client writes the same address again, under the new secret, before the old one is moved.
    store.write(write(4, vec![], vec![hold(3, 5, "t")])).await.unwrap();
    settle(store, 4, Scope::All, true).await;
    let before = store.held_under(&[key(1)]).await.unwrap().remove(0);
    assert_eq!(store.reseal_holders(vec![moved(before, key(3))]).await.unwrap(), 1);
    let held = store.held_under(&[key(1), key(3)]).await.unwrap();
    assert_eq!((held.len(), &held[0].sealed[..]), (1, &[3, 5][..]), "what the client wrote");
}

pub async fn the_old_secrets_go_once_nothing_is_held_under_them(store: &dyn Keystore) {
    let one = settled(store).await;
    store.begin_rekey(begin("j", &one, vec![secret(3, Some(&one))])).await.unwrap();
    assert_eq!(store.end_rekey("j", Some(HEAD)).await, Err(StoreError::Changed), "an address is held");
    let before = store.held_under(&[key(1)]).await.unwrap().remove(0);
    store.reseal_holders(vec![moved(before, key(3))]).await.unwrap();
    // A transaction that began before holds another one, and its outcome is open.
    store.write(write(2, vec![], vec![hold(1, 6, "u")])).await.unwrap();
    assert_eq!(store.end_rekey("j", Some(HEAD)).await, Err(StoreError::Changed), "it may commit");
    assert_eq!(store.ledger_head().await.unwrap(), None, "nothing happened");
    settle(store, 2, Scope::All, false).await;
    assert_eq!(store.end_rekey("j", Some(HEAD)).await, Ok(true));
    assert_eq!(store.secrets(&[key(1)]).await.unwrap(), [Found::Replaced], "which is not erased");
    assert_eq!(live(store, 3).await, Some(State::Sealing));
    assert_eq!(store.ledger_head().await.unwrap(), Some(HEAD));
    assert!(store.rekeys().await.unwrap().is_empty());
    assert_eq!(store.end_rekey("j", Some(HEAD)).await, Ok(false), "over");
    let reused = store.write(write(4, vec![], vec![hold(1, 7, "v")])).await;
    assert_eq!(reused, Err(StoreError::Gone(key(1))));
}

pub async fn without_the_ledger_the_old_secrets_stay(store: &dyn Keystore) {
    let one = settled(store).await;
    store.begin_rekey(begin("j", &one, vec![secret(3, Some(&one))])).await.unwrap();
    assert_eq!(store.end_rekey("j", None).await, Ok(true));
    assert_eq!(live(store, 1).await, Some(State::OpenOnly), "it opens what nobody could seal again");
    let row = store.begin_rekey(begin("k", &one, vec![secret(4, Some(&one))])).await.unwrap();
    assert_eq!(row.old, [key(1), key(3)], "the next one leaves both");
}

pub async fn an_erasure_ends_a_re_keying_and_names_what_was_replaced(store: &dyn Keystore) {
    let one = settled(store).await;
    store.begin_rekey(begin("j", &one, vec![secret(3, Some(&one))])).await.unwrap();
    let planned = erase(&one, &[1], &["t"]);
    assert_eq!(store.erase(planned).await.err(), Some(StoreError::Changed), "it names one secret of two");
    let before = store.held_under(&[key(1)]).await.unwrap().remove(0);
    store.reseal_holders(vec![moved(before, key(3))]).await.unwrap();
    store.end_rekey("j", Some(HEAD)).await.unwrap();
    store.begin_rekey(begin("k", &one, vec![secret(4, Some(&one))])).await.unwrap();
    // As a replay does: the ledger knows what the erased secrets took the place of.
    store.erase(erase(&one, &[1, 3, 4], &["t"])).await.unwrap();
    let fenced = store.secrets(&[key(1), key(3), key(4)]).await.unwrap();
    assert_eq!(
        fenced,
        [Found::Fenced, Found::Fenced, Found::Fenced],
        "what was replaced reads as erased, too"
    );
    assert!(store.rekeys().await.unwrap().is_empty());
    assert_eq!(store.end_rekey("k", Some(HEAD)).await, Ok(false));
    assert_eq!(store.token("email", "t").await.unwrap(), TokenFound::Fenced);
}
