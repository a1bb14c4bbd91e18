use super::*;

#[tokio::test]
async fn opens_what_it_sealed_in_its_own_row_only() {
    let house = House::new().await;
    let stored = house.put(LAST_NAME, &person("42"), "Lefèvre").await;
    assert_eq!(house.show(LAST_NAME, &stored, of("42")).await, value("Lefèvre"));
    assert_eq!(house.show(LAST_NAME, &stored, Row::Unknown).await, value("Lefèvre"));
    assert_eq!(house.show(LAST_NAME, &stored, of("43")).await, Shown::Fault(OpenFault::WrongSubject));
    let other_class = Row::Of { class: "guest", id: "42" };
    assert_eq!(house.show(LAST_NAME, &stored, other_class).await, Shown::Fault(OpenFault::WrongSubject));
    assert_eq!(house.show(COMMENT, &stored, of("42")).await, Shown::Fault(OpenFault::WrongField));
}

#[tokio::test]
async fn one_secret_seals_a_subject_per_purpose() {
    let house = House::new().await;
    house.put(LAST_NAME, &person("42"), "a").await;
    house.put(COMMENT, &person("42"), "b").await;
    house.put(CONSENT, &person("42"), "c").await;
    assert_eq!(house.store.footprint(&person("42")).await.unwrap().keys.len(), 2);
}

#[tokio::test]
async fn tells_clear_values_and_damaged_envelopes_apart() {
    let house = House::new().await;
    let Stored::Envelope(good) = house.put(LAST_NAME, &person("1"), "x").await else { panic!() };
    let clear = Stored::Envelope(b"a long value in clear, longer than any header of an envelope".to_vec());
    assert_eq!(house.show(LAST_NAME, &clear, of("1")).await, Shown::Fault(OpenFault::InClear));
    for damage in [good.len() - 1, 5, 25, 34] {
        let mut bad = good.clone();
        bad[damage] ^= 1;
        let shown = house.show(LAST_NAME, &Stored::Envelope(bad), of("1")).await;
        assert_eq!(shown, Shown::Fault(OpenFault::NotAuthentic), "byte {damage}");
    }
    let cut = Stored::Envelope(good[..20].to_vec());
    assert_eq!(house.show(LAST_NAME, &cut, of("1")).await, Shown::Fault(OpenFault::NotAuthentic));
}

#[tokio::test]
async fn what_is_committed_opens_after_a_restart() {
    let house = House::new().await;
    let name = house.put(LAST_NAME, &person("42"), "Durand").await;
    let email = house.put(EMAIL, &person("42"), "d@example.org").await;
    let house = house.restart().await;
    assert_eq!(house.show(LAST_NAME, &name, of("42")).await, value("Durand"));
    assert_eq!(house.show(EMAIL, &email, of("42")).await, value("d@example.org"));
    assert_eq!(Stored::Token(house.door.find(EMAIL, "d@example.org").await.unwrap()), email);
}

#[tokio::test]
async fn a_wrong_root_key_is_named_as_such() {
    let house = House::new().await;
    let path = house.folder.path().join("other");
    FileRoots::generate(&path).unwrap();
    let roots = FileRoots::open(&path).unwrap();
    let opened = Keyring::open(house.store.clone(), &roots, Options::default()).await;
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("does not open with the root keys given"), "{error}");
}

#[tokio::test]
async fn many_tasks_at_once_each_get_their_own_back() {
    let house = Arc::new(House::new().await);
    let mut tasks = Vec::new();
    for n in 0..200 {
        let house = house.clone();
        tasks.push(tokio::spawn(async move {
            let subject = person(&(n % 50).to_string());
            let text = format!("value {n}");
            let mut unit = house.door.unit("app");
            let name = known(&mut unit, LAST_NAME, &subject, &text).await.unwrap();
            let email = known(&mut unit, EMAIL, &subject, &text).await.unwrap();
            unit.commit();
            (subject, text, name, email)
        }));
    }
    for task in tasks {
        let (subject, text, name, email) = task.await.unwrap();
        assert_eq!(house.show(LAST_NAME, &name, of(&subject.id)).await, value(&text));
        assert_eq!(house.show(EMAIL, &email, of(&subject.id)).await, value(&text));
    }
    assert_eq!(house.unsettled().await, 0);
}
