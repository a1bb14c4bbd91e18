use super::*;
use crate::ids::Generation;
use crate::keyring::KeyringError;
use crate::keystore::Keystore;
use crate::keystore::StoreError;
use crate::keystore::embedded::Embedded;
use crate::protect::ProtectError;
use crate::protect::Stored;
use crate::protect::tests::{COMMENT, EMAIL, House, LAST_NAME, LOGIN, known, of, person, returned, value};
use crate::rights::Step;
use crate::roots::{FileRoots, RootInfo, RootProvider};

fn options(house: &House) -> Options {
    Options { backups: Some(house.folder.path().to_owned()), rotate_every: None, ..Options::default() }
}

fn roots(house: &House) -> Arc<FileRoots> {
    Arc::new(FileRoots::open(house.folder.path().join("keys")).unwrap())
}

async fn jobs(house: &House, options: Options) -> Jobs {
    let (keyring, door, rights) = (house.keyring().clone(), house.door.clone(), house.rights.clone());
    Jobs::open(keyring, door, rights, roots(house), options).await.unwrap()
}

/// Rotates to the end.
async fn rotated(house: &House) -> Job {
    let jobs = jobs(house, options(house)).await;
    let job = jobs.rotate().await.unwrap();
    jobs.pass().await;
    jobs.job(&job.id).await.unwrap()
}

/// So many people, with a name and an e-mail each.
async fn people(house: &House, count: usize) -> Vec<(Stored, Stored)> {
    let mut people = Vec::new();
    for n in 0..count {
        let (id, address) = (person(&n.to_string()), format!("p{n}@example.org"));
        people.push((
            house.put(LAST_NAME, &id, &format!("Name {n}")).await,
            house.put(EMAIL, &id, &address).await,
        ));
    }
    people
}

async fn all_there(house: &House, people: &[(Stored, Stored)]) {
    for (n, (name, email)) in people.iter().enumerate() {
        let id = n.to_string();
        assert_eq!(house.show(LAST_NAME, name, of(&id)).await, value(&format!("Name {n}")));
        assert_eq!(house.show(EMAIL, email, of(&id)).await, value(&format!("p{n}@example.org")));
        let Stored::Token(token) = email else { panic!() };
        assert_eq!(house.door.find(EMAIL, &format!("p{n}@example.org")).await.unwrap(), *token);
        let folded = house.door.find_folded(EMAIL, &format!("P{n}@EXAMPLE.org")).await.unwrap();
        assert_eq!(folded, std::slice::from_ref(token));
    }
}

fn listed(house: &House) -> Vec<u32> {
    roots(house).list().unwrap().iter().map(|root: &RootInfo| root.generation.0).collect()
}

#[tokio::test]
async fn a_rotation_moves_everything_on_and_ends_the_old_generation() {
    let house = House::new().await;
    let there = people(&house, 25).await;
    let job = rotated(&house).await;
    assert_eq!((job.state, job.from, job.to), (JobState::Done, Some(1), Some(2)), "{job:?}");
    assert_eq!(listed(&house), [2]);
    all_there(&house, &there).await;
    let house = house.restart().await;
    all_there(&house, &there).await;
    let states: Vec<_> = jobs(&house, options(&house)).await.keys().await.unwrap();
    assert_eq!(states.iter().map(|key| key.state).collect::<Vec<_>>(), ["destroyed", "active"]);
    assert_eq!((states[0].dependents, &states[0].created), (0, &None));
    assert!(states[1].dependents > 25);
    // Again and again.
    for generation in 3..6 {
        assert_eq!(rotated(&house).await.to, Some(generation));
        all_there(&house, &there).await;
    }
}

#[tokio::test]
async fn a_rotation_pauses_after_each_batch_as_long_as_it_is_told_to() {
    let house = House::new().await;
    people(&house, 3).await;
    let keyring = house.keyring();
    keyring.begin_rotation(&*roots(&house), Generation(2)).await.unwrap();
    let (begun, pause) = (std::time::Instant::now(), Duration::from_millis(30));
    let mut pauses = 0;
    let step = |_| {
        pauses += 1;
        pause
    };
    let done = keyring.rewrap(Generation(1), step).await.unwrap();
    assert_eq!(done.wrapped, done.moved);
    assert!(pauses > 0 && begun.elapsed() >= pause * pauses, "{pauses}");
}

#[tokio::test]
async fn nothing_of_the_old_domain_secrets_is_left() {
    let house = House::new().await;
    people(&house, 3).await;
    let old = house.store.domain("email").await.unwrap().remove(0);
    rotated(&house).await;
    let new = house.store.domain("email").await.unwrap();
    assert_eq!(new.iter().map(|row| row.generation).collect::<Vec<_>>(), [Generation(2)]);
    assert_ne!(new[0].wrapped, old.wrapped);
    let file = rusqlite::Connection::open(house.folder.path().join("test.keystore")).unwrap();
    for table in ["lookups", "folded", "domains", "secrets"] {
        let count = format!("SELECT count(*) FROM {table} WHERE generation = 1");
        assert_eq!(file.query_row(&count, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "{table}");
    }
}

#[tokio::test]
async fn erased_people_stay_erased_and_refused_through_a_rotation() {
    let house = House::new().await;
    let there = people(&house, 3).await;
    house.rights.erase(&person("1"), "request").await.unwrap();
    rotated(&house).await;
    for house in [house] {
        assert_eq!(house.show(LAST_NAME, &there[1].0, of("1")).await, crate::protect::tests::Shown::Erased);
        assert_eq!(house.show(EMAIL, &there[1].1, of("1")).await, crate::protect::tests::Shown::Erased);
        let mut unit = house.door.unit("app");
        let refused = known(&mut unit, LAST_NAME, &person("1"), "again").await;
        assert!(matches!(refused, Err(ProtectError::ErasedSubject)), "{refused:?}");
    }
}

#[tokio::test]
async fn without_a_place_for_backups_it_waits_for_one() {
    let house = House::new().await;
    let there = people(&house, 3).await;
    let jobs = jobs(&house, Options { rotate_every: None, ..Options::default() }).await;
    let asked = jobs.rotate().await.unwrap();
    jobs.pass().await;
    let job = jobs.job(&asked.id).await.unwrap();
    assert_eq!((job.state, &*job.stage), (JobState::Waiting, "backup"));
    assert!(jobs.waiting().unwrap().contains("paravent keystore backup"), "{:?}", jobs.waiting());
    assert!(matches!(jobs.destroy(Generation(1)).await, Err(JobError::InUse { generation: 1, .. })));
    assert_eq!(listed(&house), [1, 2]);
    all_there(&house, &there).await;
    assert_eq!(jobs.rotate().await.unwrap().id, asked.id, "two at once are one");
    let backup = back_up(house.keyring(), house.folder.path()).await.unwrap();
    assert!(backup.complete && backup.generation == 2 && backup.file.exists());
    jobs.pass().await;
    assert_eq!(jobs.job(&asked.id).await.unwrap().state, JobState::Done);
    assert_eq!((listed(&house), jobs.waiting()), (vec![2], None));
}

#[tokio::test]
async fn a_generation_in_use_is_not_destroyed() {
    let house = House::new().await;
    people(&house, 3).await;
    let jobs = jobs(&house, options(&house)).await;
    assert!(matches!(jobs.destroy(Generation(1)).await, Err(JobError::InUse { generation: 1, .. })));
    assert!(matches!(jobs.destroy(Generation(7)).await, Err(JobError::NotFound)));
    house.keyring().begin_rotation(&*roots(&house), Generation(2)).await.unwrap();
    assert!(matches!(jobs.destroy(Generation(1)).await, Err(JobError::InUse { generation: 1, .. })));
    let again = house.keyring().begin_rotation(&*roots(&house), Generation(3)).await;
    assert!(matches!(again, Err(KeyringError::Store(StoreError::Rotating))));
    assert_eq!(listed(&house), [1, 2]);
    jobs.rotate().await.unwrap();
    jobs.pass().await;
    jobs.destroy(Generation(1)).await.unwrap();
    assert_eq!(listed(&house), [2], "it was destroyed already");
}

#[tokio::test]
async fn a_backup_from_before_the_rotation_opens_no_more_and_one_from_it_does() {
    let house = House::new().await;
    let there = people(&house, 3).await;
    let folder = house.folder.path().to_owned();
    let before = back_up(house.keyring(), &folder.join("before")).await.unwrap().file;
    rotated(&house).await;
    let taken = folder.read_dir().unwrap().map(|e| e.unwrap().path());
    let during = taken.into_iter().find(|p| p.to_string_lossy().ends_with("-g2.keystore")).unwrap();
    let House { folder, store, door, rights } = house;
    drop((door, rights, store));
    let path = folder.path().join("test.keystore");
    restore(&before, &path).unwrap().unwrap();
    let keys = FileRoots::open(folder.path().join("keys")).unwrap();
    let store = Arc::new(Embedded::open(&path).unwrap());
    let opened = Keyring::open(store, &keys, crate::keyring::Options::default()).await;
    assert!(matches!(opened, Err(KeyringError::Root { generation: 1, .. })));
    restore(&during, &path).unwrap().unwrap();
    all_there(&House::at(folder).await, &there).await;
}

#[tokio::test]
async fn a_restored_backup_never_brings_anyone_back() {
    let house = House::new().await;
    let there = people(&house, 4).await;
    let file = back_up(house.keyring(), &house.folder.path().join("oldest")).await.unwrap().file;
    for id in ["1", "3"] {
        house.rights.erase(&person(id), "request").await.unwrap();
    }
    assert!(
        matches!(restore(&file, &house.folder.path().join("test.keystore")), Err(JobError::Keys(_))),
        "it runs"
    );
    let House { folder, store, door, rights } = house;
    drop((door, rights, store));
    restore(&file, &folder.path().join("test.keystore")).unwrap();
    let house = House::at(folder).await;
    for (id, erased) in [("0", false), ("1", true), ("2", false), ("3", true)] {
        let shown = house.show(LAST_NAME, &there[id.parse::<usize>().unwrap()].0, of(id)).await;
        assert_eq!(shown == crate::protect::tests::Shown::Erased, erased, "{id}");
    }
    assert_eq!(house.store.sweeps().await.unwrap().len(), 2, "their receipts are not final");
}

#[tokio::test]
async fn a_start_goes_on_where_a_rotation_stopped() {
    let house = House::new().await;
    let there = people(&house, 6).await;
    let keys = roots(&house);
    // Killed after each of its steps.
    house.keyring().begin_rotation(&*keys, Generation(2)).await.unwrap();
    let house = house.restart().await;
    all_there(&house, &there).await;
    house.keyring().open_domains(Generation(1)).await.unwrap();
    let late = house.put(EMAIL, &person("late"), "late@example.org").await;
    let house = house.restart().await;
    all_there(&house, &there).await;
    house.door.relook(&"email".into(), "", 2).await.unwrap();
    let house = house.restart().await;
    all_there(&house, &there).await;
    while house.door.relook(&"email".into(), "", 2).await.unwrap().last.is_some() {}
    let house = house.restart().await;
    house.keyring().close_domains(Generation(1)).await.unwrap();
    all_there(&house, &there).await;
    let house = house.restart().await;
    house.keyring().rewrap(Generation(1), |_| Duration::ZERO).await.unwrap();
    let house = house.restart().await;
    all_there(&house, &there).await;
    house.store.advance(Generation(1), GenerationState::Empty).await.unwrap();
    // The provider's part is done, and the keystore does not know it yet.
    roots(&house).destroy(Generation(1)).unwrap();
    let house = house.restart().await;
    let jobs = jobs(&house, options(&house)).await;
    jobs.pass().await;
    assert_eq!(
        jobs.keys().await.unwrap().iter().map(|k| k.state).collect::<Vec<_>>(),
        ["destroyed", "active"]
    );
    all_there(&house, &there).await;
    assert_eq!(house.show(EMAIL, &late, of("late")).await, value("late@example.org"));
    assert_eq!(house.door.find(EMAIL, "late@example.org").await.unwrap(), token(&late));
}

fn token(stored: &Stored) -> Box<str> {
    match stored {
        Stored::Token(token) => token.clone(),
        Stored::Envelope(_) => panic!("an envelope"),
    }
}

#[tokio::test]
async fn an_unfinished_rotation_is_taken_up_by_itself() {
    let house = House::new().await;
    let there = people(&house, 3).await;
    house.keyring().begin_rotation(&*roots(&house), Generation(2)).await.unwrap();
    let house = house.restart().await;
    jobs(&house, options(&house)).await.pass().await;
    assert_eq!(listed(&house), [2]);
    all_there(&house, &there).await;
}

#[tokio::test]
async fn a_generation_that_is_old_enough_is_rotated_by_itself() {
    let house = House::new().await;
    people(&house, 2).await;
    let young =
        jobs(&house, Options { rotate_every: Some(Duration::from_secs(3600)), ..options(&house) }).await;
    young.pass().await;
    assert_eq!(listed(&house), [1]);
    jobs(&house, Options { rotate_every: Some(Duration::ZERO), ..options(&house) }).await.pass().await;
    assert_eq!(listed(&house), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_writes_go_on_while_it_runs() {
    let house = Arc::new(House::new().await);
    let there = people(&house, 40).await;
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut tasks = Vec::new();
    for (task, (_, email)) in there.iter().enumerate().take(3) {
        let (house, over) = (house.clone(), over.clone());
        let email = email.clone();
        tasks.push(tokio::spawn(async move {
            let mut written = Vec::new();
            let mut n = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) || n < 10 {
                n += 1;
                let id = format!("w{task}-{n}");
                let address = format!("{id}@example.org");
                let mut unit = house.door.unit("app");
                let stored = if n % 2 == 0 {
                    let stored = returned(&mut unit, &[(0, EMAIL, &address)]).await.remove(0);
                    unit.bind(&[(0, person(&id))]).await.unwrap();
                    stored
                } else {
                    known(&mut unit, EMAIL, &person(&id), &address).await.unwrap()
                };
                unit.commit();
                assert_eq!(house.door.find(EMAIL, &address).await.unwrap(), token(&stored), "found at once");
                // Somebody who was there before, found all the while.
                assert_eq!(
                    house.door.find(EMAIL, &format!("p{task}@example.org")).await.unwrap(),
                    token(&email)
                );
                let again = house.put(EMAIL, &person(&id), &address).await;
                assert_eq!(again, stored, "one token, whichever generation it was found under");
                written.push((id, address, stored));
            }
            written
        }));
    }
    for to in 2..8 {
        assert_eq!(rotated(&house).await.to, Some(to));
    }
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    for task in tasks {
        for (id, address, stored) in task.await.unwrap() {
            assert_eq!(house.show(EMAIL, &stored, of(&id)).await, value(&address));
            assert_eq!(house.door.find(EMAIL, &address).await.unwrap(), token(&stored));
        }
    }
    all_there(&house, &there).await;
}

#[tokio::test]
async fn identifiers_that_normalise_are_found_in_every_spelling_after_it() {
    let house = House::new().await;
    let stored = house.put(LOGIN, &person("1"), " Bob ").await;
    rotated(&house).await;
    assert_eq!(house.door.find(LOGIN, "bOB").await.unwrap(), token(&stored));
    assert_eq!(house.show(LOGIN, &stored, of("1")).await, value(" Bob "));
}

#[tokio::test]
async fn a_domain_that_the_policy_forgot_holds_the_rotation_up_and_loses_nothing() {
    let house = House::new().await;
    let there = people(&house, 2).await;
    let mut without = (*crate::protect::tests::policy()).clone();
    without.fields.retain(|field| field.id == LAST_NAME || field.id == COMMENT);
    let jobs = jobs(&house, options(&house)).await;
    jobs.set_door(house.door.with_policy(Arc::new(without)).unwrap());
    let job = jobs.rotate().await.unwrap();
    jobs.pass().await;
    let waiting = jobs.job(&job.id).await.unwrap();
    assert_eq!(waiting.state, JobState::Waiting);
    assert!(waiting.detail.unwrap().contains("\"email\""));
    all_there(&house, &there).await;
    jobs.set_door(house.door.clone());
    jobs.pass().await;
    assert_eq!(jobs.job(&job.id).await.unwrap().state, JobState::Done);
    all_there(&house, &there).await;
}

#[tokio::test]
async fn a_root_key_that_a_crash_left_unused_is_the_next_one() {
    let house = House::new().await;
    people(&house, 2).await;
    // Killed between making it and using it.
    house.rights.root_is_made(Generation(2)).await.unwrap();
    roots(&house).create(Generation(2)).unwrap();
    let house = house.restart().await;
    assert_eq!(rotated(&house).await.to, Some(2));
    assert_eq!(listed(&house), [2]);
    let house = house.restart().await;
    assert_eq!(rotated(&house).await.to, Some(3), "it is in use, and not free any more");
}

#[tokio::test]
async fn an_unused_root_key_that_rotations_went_past_is_destroyed_at_a_start_and_receipts_become_final() {
    let house = House::new().await;
    people(&house, 2).await;
    house.rights.root_is_made(Generation(2)).await.unwrap();
    roots(&house).create(Generation(2)).unwrap();
    house.keyring().begin_rotation(&*roots(&house), Generation(3)).await.unwrap();
    let receipt = house.rights.erase(&person("1"), "request").await.unwrap().receipt;
    let swept = Step::Swept { places: Vec::new(), missed: Vec::new() };
    house.rights.issuer().advance(&receipt.id, swept).await.unwrap();
    let house = house.restart().await;
    let jobs = jobs(&house, options(&house)).await;
    assert!(!listed(&house).contains(&2) && jobs.waiting().is_none());
    jobs.pass().await;
    rotated(&house).await;
    assert_eq!(house.rights.receipt(&receipt.id).await.unwrap().stage, crate::rights::Stage::Final);
}

#[tokio::test]
async fn a_root_key_of_another_keystore_is_left_alone_and_told() {
    let house = House::new().await;
    people(&house, 2).await;
    roots(&house).create(Generation(7)).unwrap();
    let open = jobs(&house, options(&house)).await;
    assert!(open.waiting().unwrap().contains("root keys 7"), "{:?}", open.waiting());
    assert_eq!(rotated(&house).await.to, Some(8));
    assert_eq!(listed(&house), [7, 8]);
    open.destroy(Generation(7)).await.unwrap();
    assert_eq!((listed(&house), open.waiting()), (vec![8], None));
}

#[tokio::test]
async fn a_receipt_is_final_once_the_generations_of_its_time_are_gone() {
    let house = House::new().await;
    people(&house, 3).await;
    let receipt = house.rights.erase(&person("1"), "request").await.unwrap().receipt;
    assert_eq!(receipt.generation, 1);
    let swept = Step::Swept { places: Vec::new(), missed: Vec::new() };
    house.rights.issuer().advance(&receipt.id, swept).await.unwrap();
    rotated(&house).await;
    let last = house.rights.receipt(&receipt.id).await.unwrap();
    assert_eq!(last.stage, crate::rights::Stage::Final);
    assert!(house.store.sweeps().await.unwrap().is_empty());
    let late = house.rights.erase(&person("2"), "request").await.unwrap().receipt;
    assert_eq!(late.generation, 2, "the next rotation is what it waits for");
}

/// Re-keys a person of whom only identifiers are kept here, to the end.
async fn rekey(house: &House, id: &str) -> Job {
    let jobs = jobs(house, options(house)).await;
    jobs.set_places(Vec::new());
    let job = jobs.rekey(&person(id)).await.unwrap();
    for _ in 0..4 {
        jobs.resume();
        jobs.pass().await;
    }
    jobs.job(&job.id).await.unwrap()
}

#[tokio::test]
async fn who_was_re_keyed_and_then_erased_is_not_brought_back_by_a_keystore_from_before_both() {
    use crate::protect::tests::Shown;
    let house = House::new().await;
    let there = people(&house, 2).await;
    let before = back_up(house.keyring(), &house.folder.path().join("before")).await.unwrap().file;
    for _ in 0..2 {
        assert_eq!(rekey(&house, "1").await.state, JobState::Done);
        assert_eq!(house.show(EMAIL, &there[1].1, of("1")).await, value("p1@example.org"));
    }
    // Its intent names neither of the keys that the older keystore knows.
    house.rights.erase(&person("1"), "request").await.unwrap();
    let House { folder, store, door, rights } = house;
    drop((door, rights, store));
    restore(&before, &folder.path().join("test.keystore")).unwrap().unwrap();
    let house = House::at(folder).await;
    assert_eq!(house.show(LAST_NAME, &there[1].0, of("1")).await, Shown::Erased);
    assert_eq!(house.show(EMAIL, &there[1].1, of("1")).await, Shown::Erased);
    assert_eq!(house.show(LAST_NAME, &there[0].0, of("0")).await, value("Name 0"));
    assert!(house.store.rekeys().await.unwrap().is_empty());
    assert_eq!(house.rights.state(&person("1")).await.unwrap(), crate::rights::SubjectState::Erased);
}

#[tokio::test]
async fn a_keystore_from_before_a_re_keying_opens_what_is_as_old_and_is_re_keyed_again() {
    let house = House::new().await;
    let there = people(&house, 1).await;
    let before = back_up(house.keyring(), &house.folder.path().join("before")).await.unwrap().file;
    let old = house.store.footprint(&person("0")).await.unwrap().keys;
    assert_eq!(rekey(&house, "0").await.state, JobState::Done);
    let House { folder, store, door, rights } = house;
    drop((door, rights, store));
    restore(&before, &folder.path().join("test.keystore")).unwrap().unwrap();
    let house = House::at(folder).await;
    assert_eq!(house.show(LAST_NAME, &there[0].0, of("0")).await, value("Name 0"), "of a database as old");
    let again = house.store.rekeys().await.unwrap();
    assert_eq!((again.len(), &again[0].old), (1, &old));
    let house = house.restart().await;
    assert_eq!(house.store.rekeys().await.unwrap(), again, "once");
}
