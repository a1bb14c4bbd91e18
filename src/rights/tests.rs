use super::*;
use crate::keystore::Keystore;
use crate::keystore::embedded::Embedded;
use crate::protect::tests::{CONSENT, EMAIL, House, LAST_NAME, Shown, known, of, person, returned, value};
use crate::protect::{ProtectError, Row};

#[tokio::test]
async fn an_erased_subject_is_erased_everywhere_and_stays_so() {
    let mut house = House::new().await;
    let name = house.put(LAST_NAME, &person("1"), "Durand").await;
    let consent = house.put(CONSENT, &person("1"), "yes").await;
    let email = house.put(EMAIL, &person("1"), "d@example.org").await;
    assert_eq!(house.show(LAST_NAME, &name, of("1")).await, value("Durand"));
    assert_eq!(house.show(EMAIL, &email, of("1")).await, value("d@example.org"));
    assert_eq!(house.rights.state(&person("1")).await.unwrap(), SubjectState::Live);
    let erasure = house.rights.erase(&person("1"), "request").await.unwrap();
    assert_eq!((erasure.receipt.keys.len(), erasure.receipt.tokens_destroyed), (2, 1));
    assert_eq!(house.rights.receipt(&erasure.receipt.id).await.unwrap(), erasure.receipt);
    assert_eq!(house.rights.receipts().await.unwrap().len(), 1);
    for round in ["at once", "after a restart"] {
        assert_eq!(house.show(LAST_NAME, &name, of("1")).await, Shown::Erased, "{round}");
        assert_eq!(house.show(LAST_NAME, &name, Row::Unknown).await, Shown::Erased, "{round}");
        assert_eq!(house.show(CONSENT, &consent, of("1")).await, Shown::Erased, "{round}");
        assert_eq!(house.show(EMAIL, &email, of("1")).await, Shown::Erased, "{round}");
        assert_eq!(house.rights.state(&person("1")).await.unwrap(), SubjectState::Erased, "{round}");
        house = house.restart().await;
    }
}

#[tokio::test]
async fn erasing_again_gives_a_receipt_over_nothing_and_an_unknown_subject_is_not_found() {
    let house = House::new().await;
    house.put(LAST_NAME, &person("1"), "x").await;
    let first = house.rights.erase(&person("1"), "request").await.unwrap().receipt;
    let second = house.rights.erase(&person("1"), "request").await.unwrap().receipt;
    assert_eq!((second.stage, second.keys.len()), (first.stage, 0));
    assert_eq!(second.repeats.as_deref(), Some(&*first.id));
    assert!(matches!(house.rights.erase(&person("2"), "request").await, Err(RightsError::NotFound)));
    assert_eq!(house.rights.state(&person("2")).await.unwrap(), SubjectState::Unknown);
}

#[tokio::test]
async fn whoever_has_the_salt_can_check_the_commitment() {
    let house = House::new().await;
    house.put(LAST_NAME, &person("1"), "x").await;
    let erasure = house.rights.erase(&person("1"), "request").await.unwrap();
    let salt: [u8; 32] = hex::decode(erasure.salt.unwrap()).unwrap().try_into().unwrap();
    assert_eq!(erasure.receipt.subject_commitment, Some(commitment(&salt, &person("1"))));
    assert_ne!(erasure.receipt.subject_commitment, Some(commitment(&salt, &person("2"))));
}

#[tokio::test]
async fn a_write_about_an_erased_subject_is_refused_or_starts_anew_as_its_class_says() {
    let house = House::new().await;
    let guest = Subject::new("guest", "1");
    for subject in [&person("1"), &guest] {
        house.put(LAST_NAME, subject, "before").await;
        house.rights.erase(subject, "request").await.unwrap();
    }
    let mut unit = house.door.unit("app");
    let refused = known(&mut unit, LAST_NAME, &person("1"), "after").await;
    assert!(matches!(refused, Err(ProtectError::ErasedSubject)), "{refused:?}");
    unit.rollback();
    let mut unit = house.door.unit("app");
    returned(&mut unit, &[(0, LAST_NAME, "after")]).await;
    let refused = unit.bind(&[(0, person("1"))]).await;
    assert!(matches!(refused, Err(ProtectError::ErasedSubject)), "{refused:?}");
    unit.rollback();
    let name = house.put(LAST_NAME, &guest, "after").await;
    let row = Row::Of { class: "guest", id: "1" };
    assert_eq!(house.show(LAST_NAME, &name, row).await, value("after"));
    assert_eq!(house.unsettled().await, 0);
}

#[tokio::test]
async fn a_unit_under_way_does_not_go_on_under_an_erased_secret() {
    let house = House::new().await;
    let guest = Subject::new("guest", "1");
    let row = Row::Of { class: "guest", id: "1" };
    let mut unit = house.door.unit("app");
    let before = known(&mut unit, LAST_NAME, &guest, "before").await.unwrap();
    house.rights.erase(&guest, "request").await.unwrap();
    let after = known(&mut unit, LAST_NAME, &guest, "after").await.unwrap();
    unit.commit();
    house.settled().await;
    assert_eq!(house.show(LAST_NAME, &before, row).await, Shown::Erased);
    assert_eq!(house.show(LAST_NAME, &after, row).await, value("after"));
    let mut unit = house.door.unit("app");
    known(&mut unit, LAST_NAME, &person("1"), "x").await.unwrap();
    house.rights.erase(&person("1"), "request").await.unwrap();
    let refused = known(&mut unit, LAST_NAME, &person("1"), "y").await;
    assert!(matches!(refused, Err(ProtectError::ErasedSubject)), "{refused:?}");
}

#[tokio::test]
async fn a_start_completes_an_intent_that_has_no_done() {
    let house = House::new().await;
    let name = house.put(LAST_NAME, &person("1"), "x").await;
    let email = house.put(EMAIL, &person("1"), "a@example.org").await;
    let footprint = house.store.footprint(&person("1")).await.unwrap();
    let path = house.folder.path().join("test.ledger");
    let House { folder, store, door, rights } = house;
    drop((door, rights, store));
    let what = What::Intent {
        receipt: "rcp_1".into(),
        class: "person".into(),
        ground: "request".into(),
        keys: footprint.keys.iter().map(|key| hex::encode(key.0)).collect(),
        tokens: footprint.tokens.iter().map(|(d, t)| (d.to_string(), t.to_string())).collect(),
        mark: None,
        generation: 1,
    };
    Ledger::open(&path).unwrap().append("2026-01-01T00:00:00.000Z".into(), what).unwrap();
    let house = House::at(folder).await;
    assert_eq!(house.show(LAST_NAME, &name, of("1")).await, Shown::Erased);
    assert_eq!(house.show(EMAIL, &email, of("1")).await, Shown::Erased);
    assert_eq!(house.rights.receipt("rcp_1").await.unwrap().keys.len(), 1);
    let House { folder, store, door, rights } = house;
    drop((door, rights, store));
    let last = Ledger::open(&folder.path().join("test.ledger")).unwrap().take_entries().pop().unwrap().0;
    assert_eq!(last.what, What::Done { receipt: "rcp_1".into() });
}

#[tokio::test]
async fn a_restored_keystore_erases_again() {
    let house = House::new().await;
    let name = house.put(LAST_NAME, &person("1"), "x").await;
    let House { folder, store, door, rights } = house;
    drop((door, rights, store));
    let file = folder.path().join("test.keystore");
    let backup = std::fs::read(&file).unwrap();
    let house = House::at(folder).await;
    house.rights.erase(&person("1"), "request").await.unwrap();
    let House { folder, store, door, rights } = house;
    drop((door, rights, store));
    std::fs::write(&file, backup).unwrap();
    let house = House::at(folder).await;
    assert_eq!(house.show(LAST_NAME, &name, of("1")).await, Shown::Erased);
    assert_eq!(house.rights.state(&person("1")).await.unwrap(), SubjectState::Erased);
    assert_eq!(house.rights.receipts().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_ledger_behind_the_keystore_is_refused() {
    let house = House::new().await;
    house.put(LAST_NAME, &person("1"), "x").await;
    house.rights.erase(&person("1"), "request").await.unwrap();
    let House { folder, store, door, rights } = house;
    let keyring = rights.inner.keyring.clone();
    drop((door, rights));
    std::fs::remove_file(folder.path().join("test.ledger")).unwrap();
    let ledger = Ledger::open(&folder.path().join("test.ledger")).unwrap();
    let opened = Rights::open(keyring, ledger, SigningKey::generate().unwrap()).await;
    assert!(matches!(opened, Err(RightsError::Behind { found: 0, seen: 1 })));
    drop(store);
}

#[tokio::test]
async fn neither_ledger_nor_receipt_names_the_subject() {
    let house = House::new().await;
    let subject = person("subject-4711");
    house.put(EMAIL, &subject, "a@example.org").await;
    let receipt = house.rights.erase(&subject, "request").await.unwrap().receipt;
    let ledger = std::fs::read_to_string(house.folder.path().join("test.ledger")).unwrap();
    for text in [ledger, serde_json::to_string(&receipt).unwrap()] {
        assert!(!text.contains("4711") && !text.contains("a@example.org"), "{text}");
    }
}

#[tokio::test]
async fn nothing_of_the_subject_stays_in_the_keystore_s_files() {
    let house = House::new().await;
    let subject = person("subject-4711");
    house.put(EMAIL, &subject, "a@example.org").await;
    house.put(LAST_NAME, &person("2"), "y").await;
    let key = house.store.footprint(&subject).await.unwrap().keys[0];
    let wrapped = match house.store.secrets(&[key]).await.unwrap().remove(0) {
        crate::keystore::model::Found::Live(row) => row.wrapped,
        other => panic!("{other:?}"),
    };
    assert!(on_disk(&house, &wrapped) && on_disk(&house, b"subject-4711"));
    house.rights.erase(&subject, "request").await.unwrap();
    assert!(!on_disk(&house, &wrapped));
    assert!(!on_disk(&house, b"subject-4711"));
    assert!(Embedded::open(&house.folder.path().join("test.keystore")).is_err(), "still open here");
}

fn on_disk(house: &House, needle: &[u8]) -> bool {
    let files = std::fs::read_dir(house.folder.path()).unwrap();
    let holds = |path: std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    files.map(|entry| entry.unwrap().path()).any(holds)
}
