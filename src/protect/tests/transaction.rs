use super::*;

#[tokio::test]
async fn a_rollback_leaves_no_secret_no_holder_and_nothing_in_the_way() {
    let house = House::new().await;
    let mut unit = house.door.unit("app");
    let name = known(&mut unit, LAST_NAME, &person("1"), "x").await.unwrap();
    let email = known(&mut unit, EMAIL, &person("1"), "a@example.org").await.unwrap();
    assert!(unit.is_open());
    assert_eq!(house.show(LAST_NAME, &name, of("1")).await, value("x"));
    assert_eq!(house.show(EMAIL, &email, of("1")).await, value("a@example.org"));
    unit.rollback();
    assert_eq!(house.unsettled().await, 0);
    assert_eq!(house.show(LAST_NAME, &name, of("1")).await, Shown::Fault(OpenFault::NotAuthentic));
    assert_eq!(house.show(EMAIL, &email, of("1")).await, Shown::Fault(OpenFault::NotAuthentic));
    assert_eq!(house.store.footprint(&person("1")).await.unwrap(), Default::default());
    let other = house.put(EMAIL, &person("2"), "a@example.org").await;
    assert_ne!(other, email);
    assert_eq!(house.show(EMAIL, &other, Row::Unknown).await, value("a@example.org"));
}

#[tokio::test]
async fn a_rolled_back_second_holder_does_not_make_a_token_shared() {
    let house = House::new().await;
    let email = house.put(EMAIL, &person("1"), "a@example.org").await;
    let mut unit = house.door.unit("app");
    known(&mut unit, EMAIL, &person("2"), "a@example.org").await.unwrap();
    assert_eq!(house.show(EMAIL, &email, Row::Unknown).await, Shown::Fault(OpenFault::Shared));
    unit.rollback();
    house.settled().await;
    assert_eq!(house.show(EMAIL, &email, Row::Unknown).await, value("a@example.org"));
}

#[tokio::test]
async fn no_unit_seals_under_the_provisional_secret_of_another() {
    let house = House::new().await;
    let (mut one, mut two) = (house.door.unit("app"), house.door.unit("app"));
    known(&mut one, LAST_NAME, &person("1"), "from one").await.unwrap();
    let name = known(&mut two, LAST_NAME, &person("1"), "from two").await.unwrap();
    one.rollback();
    two.commit();
    house.settled().await;
    assert_eq!(house.show(LAST_NAME, &name, of("1")).await, value("from two"));
    assert_eq!(house.store.footprint(&person("1")).await.unwrap().keys.len(), 1);
}

#[tokio::test]
async fn of_two_units_that_commit_one_secret_seals_and_both_open() {
    let house = House::new().await;
    let (mut one, mut two) = (house.door.unit("app"), house.door.unit("app"));
    let a = known(&mut one, LAST_NAME, &person("1"), "a").await.unwrap();
    let b = known(&mut two, LAST_NAME, &person("1"), "b").await.unwrap();
    two.commit();
    one.commit();
    house.settled().await;
    let c = house.put(LAST_NAME, &person("1"), "c").await;
    for (stored, text) in [(&a, "a"), (&b, "b"), (&c, "c")] {
        assert_eq!(house.show(LAST_NAME, stored, of("1")).await, value(text));
    }
    assert_eq!(house.store.footprint(&person("1")).await.unwrap().keys.len(), 2);
}

#[tokio::test]
async fn rows_get_the_subjects_that_came_back_and_the_others_are_destroyed() {
    let house = House::new().await;
    let mut unit = house.door.unit("app");
    let rows = [
        (0, LAST_NAME, "zero"),
        (0, EMAIL, "0@example.org"),
        (1, LAST_NAME, "one"),
        (1, EMAIL, "1@example.org"),
        (2, LAST_NAME, "two"),
        (2, EMAIL, "2@example.org"),
    ];
    let stored = returned(&mut unit, &rows).await;
    let Stored::Envelope(last) = &stored[4] else { panic!() };
    assert_eq!(unit.row_of_envelope(last), Some(2));
    unit.bind(&[(2, person("12")), (0, person("10"))]).await.unwrap();
    assert_eq!(house.show(LAST_NAME, &stored[0], of("10")).await, value("zero"));
    assert_eq!(house.show(EMAIL, &stored[1], of("10")).await, value("0@example.org"));
    unit.commit();
    house.settled().await;
    assert_eq!(house.show(LAST_NAME, &stored[4], of("12")).await, value("two"));
    assert_eq!(house.show(EMAIL, &stored[5], of("12")).await, value("2@example.org"));
    assert_eq!(house.show(LAST_NAME, &stored[4], of("10")).await, Shown::Fault(OpenFault::WrongSubject));
    assert_eq!(house.show(LAST_NAME, &stored[2], of("11")).await, Shown::Fault(OpenFault::NotAuthentic));
    assert_eq!(house.show(EMAIL, &stored[3], Row::Unknown).await, Shown::Fault(OpenFault::NotAuthentic));
}

#[tokio::test]
async fn rows_without_envelopes_are_found_by_their_tokens_each_once() {
    let house = House::new().await;
    let mut unit = house.door.unit("app");
    let rows = [(0, EMAIL, "a@example.org"), (1, EMAIL, "a@example.org"), (2, EMAIL, "b@example.org")];
    let stored = returned(&mut unit, &rows).await;
    assert_eq!(stored[0], stored[1]);
    let Stored::Token(a) = &stored[0] else { panic!() };
    let Stored::Token(b) = &stored[2] else { panic!() };
    assert_eq!(unit.take_row_of_token(b), Some(2));
    assert_eq!(unit.take_row_of_token(a), Some(0));
    assert_eq!(unit.take_row_of_token(a), Some(1));
    assert_eq!(unit.take_row_of_token(a), None);
    unit.bind(&[(0, person("1")), (1, person("2")), (2, person("3"))]).await.unwrap();
    unit.commit();
    house.settled().await;
    assert_eq!(house.show(EMAIL, &stored[0], of("2")).await, value("a@example.org"));
    assert_eq!(house.show(EMAIL, &stored[0], Row::Unknown).await, Shown::Fault(OpenFault::Shared));
}

#[tokio::test]
async fn an_upsert_into_another_row_is_erased_with_that_row_s_person() {
    let house = House::new().await;
    let old = house.put(LAST_NAME, &person("42"), "old").await;
    let mut unit = house.door.unit("app");
    let stored = returned(&mut unit, &[(0, LAST_NAME, "new")]).await.remove(0);
    unit.bind(&[(0, person("42"))]).await.unwrap();
    let later = known(&mut unit, COMMENT, &person("42"), "later").await.unwrap();
    unit.commit();
    house.settled().await;
    assert_eq!(house.show(LAST_NAME, &stored, of("42")).await, value("new"));
    assert_eq!(house.show(COMMENT, &later, of("42")).await, value("later"));
    let receipt = house.rights.erase(&person("42"), "request").await.unwrap().receipt;
    assert_eq!(receipt.keys.len(), 2);
    for (field, stored) in [(LAST_NAME, &old), (LAST_NAME, &stored), (COMMENT, &later)] {
        assert_eq!(house.show(field, stored, of("42")).await, Shown::Erased);
    }
}

#[tokio::test]
async fn two_rows_of_one_subject_are_both_bound() {
    let house = House::new().await;
    let mut unit = house.door.unit("app");
    let stored = returned(&mut unit, &[(0, COMMENT, "a"), (1, COMMENT, "b")]).await;
    unit.bind(&[(0, person("1")), (1, person("1"))]).await.unwrap();
    unit.commit();
    house.settled().await;
    assert_eq!(house.show(COMMENT, &stored[0], of("1")).await, value("a"));
    assert_eq!(house.show(COMMENT, &stored[1], of("1")).await, value("b"));
}

#[tokio::test]
async fn a_savepoint_undoes_what_came_after_it_and_nothing_else() {
    let house = House::new().await;
    let mut unit = house.door.unit("app");
    let before = known(&mut unit, LAST_NAME, &person("1"), "before").await.unwrap();
    let mark = unit.mark();
    let gone = known(&mut unit, LAST_NAME, &person("2"), "gone").await.unwrap();
    let email = known(&mut unit, EMAIL, &person("1"), "gone@example.org").await.unwrap();
    unit.rollback_to(mark);
    let after = known(&mut unit, LAST_NAME, &person("2"), "after").await.unwrap();
    unit.commit();
    house.settled().await;
    assert_eq!(house.show(LAST_NAME, &before, of("1")).await, value("before"));
    assert_eq!(house.show(LAST_NAME, &after, of("2")).await, value("after"));
    assert_eq!(house.show(LAST_NAME, &gone, of("2")).await, Shown::Fault(OpenFault::NotAuthentic));
    assert_eq!(house.show(EMAIL, &email, of("1")).await, Shown::Fault(OpenFault::NotAuthentic));
}

#[tokio::test]
async fn a_lost_unit_waits_for_recovery_and_one_under_way_is_left_alone() {
    let house = House::new().await;
    let mut lost = house.door.unit("app");
    let name = known(&mut lost, LAST_NAME, &person("1"), "x").await.unwrap();
    known(&mut lost, EMAIL, &person("1"), "a@example.org").await.unwrap();
    assert!(house.door.unsettled().await.unwrap().is_empty());
    drop(lost);
    let found = house.door.unsettled().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].database(), found[0].subject()), ("app", Some(&person("1"))));
    assert_eq!(found[0].tokens().len(), 1);
    house.door.settle(&[(&found[0], true)]).await.unwrap();
    assert_eq!(house.show(LAST_NAME, &name, of("1")).await, value("x"));
    assert_eq!(house.unsettled().await, 0);
}

#[tokio::test]
async fn recovery_destroys_what_was_never_bound() {
    let house = House::new().await;
    let mut unit = house.door.unit("app");
    let stored = returned(&mut unit, &[(0, LAST_NAME, "x")]).await.remove(0);
    drop(unit);
    let house = house.restart().await;
    let found = house.door.unsettled().await.unwrap();
    assert_eq!(found.len(), 1);
    house.door.settle(&[(&found[0], true)]).await.unwrap();
    assert_eq!(house.unsettled().await, 0);
    assert_eq!(house.show(LAST_NAME, &stored, Row::Unknown).await, Shown::Fault(OpenFault::NotAuthentic));
}

#[tokio::test]
async fn a_full_disk_fails_the_write_and_nothing_else() {
    let house = House::new().await;
    let name = house.put(LAST_NAME, &person("1"), "x").await;
    let mut waiting = house.door.unit("app");
    let early = known(&mut waiting, LAST_NAME, &person("early"), "early").await.unwrap();
    house.store.limit(1).await.unwrap();
    let mut full = None;
    for n in 0..500 {
        let mut unit = house.door.unit("app");
        if let Err(e) = known(&mut unit, LAST_NAME, &person(&format!("p{n}")), "y").await {
            full = Some(e);
            break;
        }
        unit.commit();
    }
    assert!(matches!(full, Some(ProtectError::DiskFull)), "{full:?}");
    waiting.commit();
    assert_eq!(house.show(LAST_NAME, &name, of("1")).await, value("x"));
    house.store.limit(0).await.unwrap();
    house.put(LAST_NAME, &person("later"), "z").await;
    assert_eq!(house.unsettled().await, 0);
    assert_eq!(house.show(LAST_NAME, &early, of("early")).await, value("early"));
}
