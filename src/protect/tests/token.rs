use super::*;

fn token(stored: &Stored) -> &str {
    match stored {
        Stored::Token(token) => token,
        Stored::Envelope(_) => panic!("an envelope"),
    }
}

#[tokio::test]
async fn an_identifier_has_one_token_per_domain() {
    let house = House::new().await;
    let email = house.put(EMAIL, &person("1"), "a@example.org").await;
    let again = house.put(EMAIL, &person("1"), "a@example.org").await;
    let login = house.put(LOGIN, &person("1"), "a@example.org").await;
    assert_eq!(email, again);
    assert_ne!(token(&email), token(&login));
    assert_eq!(&*house.door.find(EMAIL, "a@example.org").await.unwrap(), token(&email));
}

#[tokio::test]
async fn finding_never_allocates() {
    let house = House::new().await;
    let first = house.door.find(EMAIL, "nobody@example.org").await.unwrap();
    let second = house.door.find(EMAIL, "nobody@example.org").await.unwrap();
    assert_ne!(first, second);
    let shown = house.show(EMAIL, &Stored::Token(first), of("1")).await;
    assert_eq!(shown, Shown::Fault(OpenFault::NotAuthentic));
    let long = "x".repeat(5000);
    assert_ne!(&*house.door.find(EMAIL, &long).await.unwrap(), "");
}

#[tokio::test]
async fn finds_every_spelling_that_folds_alike() {
    let house = House::new().await;
    let mut tokens = Vec::new();
    for (id, email) in [("1", "Bob@example.org"), ("2", "bob@example.org"), ("3", "eve@example.org")] {
        tokens.push(house.put(EMAIL, &person(id), email).await);
    }
    let mut found = house.door.find_folded(EMAIL, "BOB@EXAMPLE.ORG").await.unwrap();
    let mut expected: Vec<Box<str>> = tokens[..2].iter().map(|stored| token(stored).into()).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn the_empty_string_is_no_identifier() {
    let house = House::new().await;
    let stored = house.put(EMAIL, &person("1"), "").await;
    assert_eq!(stored, Stored::Token("".into()));
    assert_eq!(house.show(EMAIL, &stored, of("7")).await, value(""));
    assert_eq!(&*house.door.find(EMAIL, "").await.unwrap(), "");
    assert_eq!(house.store.footprint(&person("1")).await.unwrap().keys.len(), 0);
}

#[tokio::test]
async fn a_token_is_revealed_to_its_holder_s_row_only() {
    let house = House::new().await;
    let email = house.put(EMAIL, &person("1"), "a@example.org").await;
    assert_eq!(house.show(EMAIL, &email, of("1")).await, value("a@example.org"));
    assert_eq!(house.show(EMAIL, &email, Row::Unknown).await, value("a@example.org"));
    assert_eq!(house.show(EMAIL, &email, of("2")).await, Shown::Fault(OpenFault::WrongSubject));
    let clear = Stored::Token("a@example.org".into());
    assert_eq!(house.show(EMAIL, &clear, of("1")).await, Shown::Fault(OpenFault::InClear));
}

#[tokio::test]
async fn a_shared_token_needs_the_row_s_subject() {
    let house = House::new().await;
    let email = house.put(EMAIL, &person("1"), "a@example.org").await;
    assert_eq!(house.put(EMAIL, &person("2"), "a@example.org").await, email);
    assert_eq!(house.show(EMAIL, &email, Row::Unknown).await, Shown::Fault(OpenFault::Shared));
    for id in ["1", "2"] {
        assert_eq!(house.show(EMAIL, &email, of(id)).await, value("a@example.org"));
    }
    house.rights.erase(&person("1"), "request").await.unwrap();
    assert_eq!(house.show(EMAIL, &email, of("1")).await, Shown::Erased);
    assert_eq!(house.show(EMAIL, &email, of("2")).await, value("a@example.org"));
    assert_eq!(house.show(EMAIL, &email, Row::Unknown).await, Shown::Fault(OpenFault::Shared));
    assert_eq!(&*house.door.find(EMAIL, "a@example.org").await.unwrap(), token(&email));
}

#[tokio::test]
async fn fields_of_one_domain_share_tokens_and_reveal_each_other_s() {
    let house = House::new().await;
    let email = house.put(EMAIL, &person("1"), "a@example.org").await;
    let contact = house.put(CONTACT, &person("1"), "a@example.org").await;
    assert_eq!(email, contact);
    assert_eq!(house.show(CONTACT, &email, of("1")).await, value("a@example.org"));
}

#[tokio::test]
async fn a_normalising_field_keeps_the_latest_spelling() {
    let house = House::new().await;
    let first = house.put(LOGIN, &person("1"), "Bob").await;
    assert_eq!(house.show(LOGIN, &first, of("1")).await, value("Bob"));
    let second = house.put(LOGIN, &person("1"), " BOB ").await;
    assert_eq!(first, second);
    assert_eq!(house.show(LOGIN, &first, of("1")).await, value(" BOB "));
    let mut unit = house.door.unit("app");
    known(&mut unit, LOGIN, &person("1"), "bob").await.unwrap();
    unit.rollback();
    house.settled().await;
    assert_eq!(house.show(LOGIN, &first, of("1")).await, value(" BOB "));
    assert_eq!(house.put(LOGIN, &person("1"), " BOB ").await, first);
    assert_eq!(&*house.door.find(LOGIN, "bOB").await.unwrap(), token(&first));
}

#[tokio::test]
async fn an_identifier_that_is_too_long_is_refused() {
    let house = House::new().await;
    let mut unit = house.door.unit("app");
    let refused = known(&mut unit, EMAIL, &person("1"), &"x".repeat(1025)).await;
    assert!(matches!(refused, Err(ProtectError::Identifier(_))), "{refused:?}");
    assert!(!unit.is_open());
}
