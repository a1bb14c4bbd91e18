//! Lost creations: the service stored them, and nobody heard whom it made. A later read tells.

use super::*;
use crate::ids::Subject;
use crate::rights::Receipt;
use jiff::Timestamp;

const ROUTES: &str = r#"
[[http.routes]]
path = "/people"
methods = ["POST"]
subject = "response:/id"
fields = { "/email" = "email", "/note" = "note" }
[[http.routes]]
path = "/people/{id}"
subject = "path:id"
fields = { "/email" = "email", "/note" = "note" }
[[http.routes]]
path = "/people"
methods = ["GET"]
subject = "json:/*/id"
fields = { "/*/email" = "email", "/*/note" = "note" }
[[http.routes]]
path = "/letters"
methods = ["POST"]
subject = "response:/id"
fields = { "/email" = "email" }
[[http.routes]]
path = "/guests"
methods = ["POST"]
subject = "response:/id"
class = "guest"
fields = { "/email" = "email", "/note" = "note" }
[[http.routes]]
path = "/guests/{id}"
subject = "path:id"
class = "guest"
fields = { "/email" = "email", "/note" = "note" }
[[http.routes]]
path = "/faces"
methods = ["POST"]
subject = "response:/id"
body = "photo"
[[http.routes]]
path = "/faces/{id}"
methods = ["GET"]
subject = "path:id"
body = "photo"
"#;

const ANNA: &str = r#"{"email":"anna@x.org","note":"secret"}"#;

/// What the service stored of a creation whose answer never came.
async fn lose(world: &World, path: &str, text: &str) -> String {
    let sent = world.json(Method::POST, path, text).await.unwrap();
    let stored = sent.text().to_owned();
    sent.exchange.lost();
    stored
}

async fn put(world: &World, path: &str, text: &str) {
    world.json(Method::PUT, path, text).await.unwrap().exchange.json(200, "{}").await.unwrap();
}

async fn erase(world: &World, class: &str, id: &str) -> Receipt {
    world.house.rights.erase(&Subject::new(class, id), "asked").await.unwrap().receipt
}

/// What the receipt says of creations whose outcome was unknown.
fn unsettled(receipt: &Receipt) -> Option<&str> {
    let said = receipt.not_covered.iter().find(|not| not.code == "unsettled-creations");
    said.map(|not| not.what.split(' ').next().unwrap())
}

#[tokio::test]
async fn a_lost_creation_is_its_person_s_from_the_first_read_on() {
    let world = World::new(ROUTES).await;
    let stored = lose(&world, "/people", ANNA).await;
    assert_eq!(world.house.rights.unsettled().await.unwrap().len(), 1);
    assert_eq!(world.read("/people/43", &stored).await.unwrap(), ANNA);
    assert!(world.house.rights.unsettled().await.unwrap().is_empty());
    assert_eq!(world.house.unsettled().await, 0);
    // It is nobody else's any more.
    assert_eq!(world.read("/people/44", &stored).await.unwrap_err().code, "wrong-subject");
    let receipt = erase(&world, "person", "43").await;
    assert_eq!((receipt.keys.len(), receipt.tokens_destroyed, unsettled(&receipt)), (1, 1, None));
    assert_eq!(world.read("/people/43", &stored).await.unwrap(), r#"{"email":null,"note":"[removed]"}"#);
}

#[tokio::test]
async fn in_a_list_each_item_takes_its_own_creation() {
    let world = World::new(ROUTES).await;
    let one = lose(&world, "/people", ANNA).await;
    // The same e-mail: only the envelopes tell them apart.
    let two = lose(&world, "/people", r#"{"email":"anna@x.org","note":"other"}"#).await;
    let item = |id: u32, stored: &str| stored.replacen('{', &format!("{{\"id\":{id},"), 1);
    let list = format!("[{},{}]", item(44, &two), item(43, &one));
    let shown =
        r#"[{"id":44,"email":"anna@x.org","note":"other"},{"id":43,"email":"anna@x.org","note":"secret"}]"#;
    assert_eq!(world.read("/people", &list).await.unwrap(), shown);
    assert_eq!(world.house.unsettled().await, 0);
    assert_eq!(erase(&world, "person", "43").await.tokens_living_on, 1);
    assert_eq!(world.read("/people/44", &two).await.unwrap(), r#"{"email":"anna@x.org","note":"other"}"#);
    assert_eq!(world.read("/people/43", &one).await.unwrap(), r#"{"email":null,"note":"[removed]"}"#);
}

#[tokio::test]
async fn a_list_of_identifiers_alone_is_shown_and_costs_nobody_their_values() {
    let world = World::new(ROUTES).await;
    let one = lose(&world, "/people", ANNA).await;
    let two = lose(&world, "/people", r#"{"email":"anna@x.org","note":"other"}"#).await;
    let token = one.split('"').nth(3).unwrap();
    // Asked for the e-mails only. Which of the two creations is whose doesn't stand in that.
    let list = format!(r#"[{{"id":43,"email":"{token}"}},{{"id":44,"email":"{token}"}}]"#);
    let shown = r#"[{"id":43,"email":"anna@x.org"},{"id":44,"email":"anna@x.org"}]"#;
    assert_eq!(world.read("/people", &list).await.unwrap(), shown);
    assert_eq!(world.house.rights.unsettled().await.unwrap().len(), 2);
    assert_eq!(world.read("/people/44", &two).await.unwrap(), r#"{"email":"anna@x.org","note":"other"}"#);
    assert_eq!(world.read("/people/43", &one).await.unwrap(), ANNA);
    assert_eq!(world.house.unsettled().await, 0);
}

#[tokio::test]
async fn one_that_holds_identifiers_only_is_told_by_its_token() {
    let world = World::new(ROUTES).await;
    let stored = lose(&world, "/letters", r#"{"email":"anna@x.org"}"#).await;
    assert_eq!(world.read("/people/43", &stored).await.unwrap(), r#"{"email":"anna@x.org"}"#);
    assert_eq!(world.house.unsettled().await, 0);
    let receipt = erase(&world, "person", "43").await;
    assert_eq!((receipt.tokens_destroyed, receipt.tokens_living_on), (1, 0));
    assert_eq!(world.read("/people/43", &stored).await.unwrap(), r#"{"email":null}"#);
}

#[tokio::test]
async fn whoever_was_erased_before_it_was_found_stays_erased() {
    let world = World::new(ROUTES).await;
    put(&world, "/people/43", r#"{"note":"known"}"#).await;
    let (full, letter) = (
        lose(&world, "/people", ANNA).await,
        lose(&world, "/letters", r#"{"email":"anna@letters.org"}"#).await,
    );
    let receipt = erase(&world, "person", "43").await;
    assert_eq!(unsettled(&receipt), Some("2"));
    assert_eq!(world.read("/people/43", &full).await.unwrap(), r#"{"email":null,"note":"[removed]"}"#);
    assert_eq!(world.read("/people/43", &letter).await.unwrap(), r#"{"email":null}"#);
    // Their secrets are gone for good, each under a receipt of its own, which names the first one.
    assert_eq!(world.house.unsettled().await, 0);
    let ids = world.house.rights.receipts().await.unwrap();
    assert_eq!(ids.len(), 3);
    let later = world.house.rights.receipt(&ids[1]).await.unwrap();
    assert_eq!((later.repeats.as_deref(), later.keys.len()), (Some(&*receipt.id), 1));
    assert_eq!((later.subject_commitment, later.tokens_destroyed), (None, 1));
    // In a copy, too, nothing of it opens: for nobody, and where nothing tells whose it is.
    for path in ["/people/43", "/people/44"] {
        assert_eq!(world.read(path, &full).await.unwrap(), r#"{"email":null,"note":"[removed]"}"#);
    }
}

#[tokio::test]
async fn where_the_erased_may_come_back_what_was_lost_before_does_not() {
    let world = World::new(ROUTES).await;
    put(&world, "/guests/7", r#"{"note":"known"}"#).await;
    let before = lose(&world, "/guests", ANNA).await;
    let receipt = erase(&world, "guest", "7").await;
    assert_eq!(unsettled(&receipt), Some("1"));
    // What the service makes later under the same id is new.
    let erased: Timestamp = receipt.times.live.parse().unwrap();
    while Timestamp::now().as_millisecond() <= erased.as_millisecond() {
        tokio::task::yield_now().await;
    }
    let after = lose(&world, "/guests", r#"{"email":"new@x.org","note":"new"}"#).await;
    assert_eq!(world.read("/guests/7", &before).await.unwrap(), r#"{"email":null,"note":"[removed]"}"#);
    assert_eq!(world.read("/guests/7", &after).await.unwrap(), r#"{"email":"new@x.org","note":"new"}"#);
    assert_eq!(world.house.unsettled().await, 0);
    put(&world, "/guests/7", r#"{"note":"written"}"#).await;
}

#[tokio::test]
async fn a_creation_of_another_class_is_nobody_s() {
    let world = World::new(ROUTES).await;
    let stored = lose(&world, "/guests", ANNA).await;
    assert_eq!(world.read("/people/43", &stored).await.unwrap_err().code, "wrong-subject");
    put(&world, "/people/44", ANNA).await;
    assert_eq!(unsettled(&erase(&world, "person", "44").await), None);
    assert_eq!(world.read("/guests/43", &stored).await.unwrap(), ANNA);
}

#[tokio::test]
async fn one_that_is_read_while_it_is_under_way_is_bound_once() {
    let world = World::new(ROUTES).await;
    let sent = world.json(Method::POST, "/people", ANNA).await.unwrap();
    let stored = sent.text().to_owned();
    assert_eq!(world.read("/people/43", &stored).await.unwrap(), ANNA);
    let answer = stored.replacen('{', r#"{"id":43,"#, 1);
    let got = sent.exchange.json(201, &answer).await.unwrap();
    assert_eq!(String::from_utf8(got.body).unwrap(), ANNA.replacen('{', r#"{"id":43,"#, 1));
    // Whoever says later that it failed takes nothing away that was shown.
    let sent = world.json(Method::POST, "/people", ANNA).await.unwrap();
    let stored = sent.text().to_owned();
    assert_eq!(world.read("/people/50", &stored).await.unwrap(), ANNA);
    sent.exchange.json(409, "{}").await.unwrap();
    world.house.settled().await;
    assert_eq!(world.read("/people/50", &stored).await.unwrap(), ANNA);
    // And an answer that names somebody else doesn't take it either.
    let sent = world.json(Method::POST, "/people", ANNA).await.unwrap();
    let stored = sent.text().to_owned();
    assert_eq!(world.read("/people/51", &stored).await.unwrap(), ANNA);
    let answer = stored.replacen('{', r#"{"id":52,"#, 1);
    assert!(sent.exchange.json(201, &answer).await.is_err());
    assert_eq!(world.read("/people/51", &stored).await.unwrap(), ANNA);
}

#[tokio::test]
async fn a_lost_photo_is_its_person_s_too() {
    let world = World::new(ROUTES).await;
    let photo = vec![7; 100_000];
    let post = |photo: Vec<u8>| Request::post("/faces").header("content-type", "image/png").body(body(photo));
    let sent = world.request(post(photo.clone()).unwrap()).await.unwrap();
    let stored = sent.body.clone();
    sent.exchange.lost();
    let read = async |stored: Vec<u8>| {
        let answer = Response::builder().header("content-type", "image/png");
        let answer = answer.header("content-length", stored.len()).body(body(stored)).unwrap();
        world.get("/faces/43").await.exchange.answer(answer).await
    };
    assert_eq!(read(stored.clone()).await.unwrap().body, photo);
    assert_eq!(world.house.unsettled().await, 0);
    world.erase("person", "43").await;
    assert_eq!(read(stored).await.err().unwrap().code, "erased-body");
}

#[tokio::test]
async fn a_request_that_never_left_leaves_nothing() {
    let world = World::new(ROUTES).await;
    world.json(Method::POST, "/people", ANNA).await.unwrap().exchange.unsent();
    assert_eq!(world.house.unsettled().await, 0);
}

#[tokio::test]
async fn what_was_found_is_found_after_a_restart_and_not_brought_back_by_an_old_keystore() {
    let world = World::new(ROUTES).await;
    put(&world, "/people/43", r#"{"note":"known"}"#).await;
    let stored = lose(&world, "/people", ANNA).await;
    erase(&world, "person", "43").await;
    let backup = world.house.folder.path().join("old.keystore");
    crate::keystore::Keystore::backup(&*world.house.store, &backup).await.unwrap();
    assert_eq!(world.read("/people/43", &stored).await.unwrap(), r#"{"email":null,"note":"[removed]"}"#);
    let world = world.restart(ROUTES, &backup).await;
    // The ledger destroyed it again before anything was served: nothing is unsettled any more.
    assert_eq!(world.house.unsettled().await, 0);
    for path in ["/people/43", "/people/44"] {
        assert_eq!(world.read(path, &stored).await.unwrap(), r#"{"email":null,"note":"[removed]"}"#);
    }
}
