//! `kill -9` at random points of a stream of inserts and erasures.

use crate::support::{Admin, Raw, World, eventually, raw};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often the gateway is killed.
const KILLS: usize = 200;

/// What clients were told, and what they had asked when the answer was lost.
#[derive(Default)]
struct Told {
    inserted: Vec<u64>,
    erased: HashSet<u64>,
    /// Erasures without an answer: done or not.
    asked: HashSet<u64>,
}

struct Stream {
    told: Mutex<Told>,
    next: AtomicU64,
    over: AtomicBool,
}

impl Stream {
    /// Inserts until the gateway is gone. Every row tells its own name in clear in `title`.
    fn insert(&self, port: u16) {
        let Ok(mut client) = Raw::try_dial(port) else { return };
        if client.try_send(&raw::startup(196_608, &[("user", "app"), ("database", "app")])).is_err() {
            return;
        }
        if client.until_ready().last().is_none_or(|m| m.tag != b'Z') {
            return;
        }
        while !self.over.load(Ordering::Relaxed) {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let insert = format!(
                "INSERT INTO people (email, first_name, title) VALUES ('e{n}@x.example', 'Nom-{n}', 'Nom-{n}') RETURNING id"
            );
            let transaction = n.is_multiple_of(3);
            let steps = if transaction { vec!["BEGIN", &insert, "COMMIT"] } else { vec![insert.as_str()] };
            let mut id = None;
            let mut done = true;
            for step in steps {
                if client.try_send(&raw::query(step)).is_err() {
                    return;
                }
                let answers = client.until_ready();
                if let Some(message) = answers.iter().find(|m| m.tag == b'D') {
                    id = message.texts()[0].as_ref().and_then(|t| t.parse().ok());
                }
                done &= answers.iter().any(|m| m.tag == b'C');
                if answers.last().is_none_or(|m| m.tag != b'Z') {
                    // The client is told by CommandComplete already, but a commit counts from ReadyForQuery on.
                    return;
                }
            }
            assert!(done, "insert {n} failed while the gateway was up");
            self.told.lock().unwrap().inserted.push(id.expect("the id is returned"));
        }
    }

    /// Erases every fourth person that was told of, until the gateway is gone.
    fn erase(&self, admin: &Admin) {
        let mut at = 0;
        while !self.over.load(Ordering::Relaxed) {
            let id = {
                let mut told = self.told.lock().unwrap();
                let found = told
                    .inserted
                    .iter()
                    .skip(at)
                    .copied()
                    .find(|id| id.is_multiple_of(4) && !told.erased.contains(id));
                at = told.inserted.len().saturating_sub(50);
                if let Some(id) = found {
                    told.asked.insert(id);
                }
                found
            };
            let Some(id) = id else {
                std::thread::yield_now();
                continue;
            };
            if admin.try_delete(&format!("/v1/subjects/person/{id}")) != Some(200) {
                return;
            }
            let mut told = self.told.lock().unwrap();
            told.asked.remove(&id);
            told.erased.insert(id);
        }
    }

    /// Answers that clients had so far.
    fn progress(&self) -> usize {
        let told = self.told.lock().unwrap();
        told.inserted.len() + told.erased.len()
    }

    fn check(&self, world: &World) {
        let told = self.told.lock().unwrap();
        let mut client = world.through();
        let mut found = HashSet::new();
        for row in client.rows("SELECT id, title, first_name, email FROM people") {
            let id: u64 = row[0].as_ref().unwrap().parse().unwrap();
            let (name, email) = (row[1].clone().unwrap(), row[3].clone().unwrap());
            let address = name.replace("Nom-", "e") + "@x.example";
            let gone = row[2].is_none() && email.is_empty();
            let here = row[2].as_ref() == Some(&name) && email == address;
            found.insert(id);
            if told.erased.contains(&id) {
                assert!(gone, "person {id} was erased, and shows {row:?}");
            } else if told.asked.contains(&id) {
                assert!(gone || here, "person {id} is half erased: {row:?}");
            } else {
                assert!(here, "person {id} should open, and shows {row:?}");
            }
        }
        for id in &told.inserted {
            assert!(found.contains(id), "row {id} was told of, and is lost");
        }
    }
}

#[test]
fn kill_9_at_two_hundred_random_points_loses_nothing_and_revives_nobody() {
    let mut world = World::new();
    let mut random = StdRng::seed_from_u64(20_261_122);
    let stream =
        Arc::new(Stream { told: Mutex::default(), next: AtomicU64::new(1), over: AtomicBool::new(false) });
    for kill in 1..=KILLS {
        stream.over.store(false, Ordering::Relaxed);
        let port = world.gateway.port();
        let mut workers = Vec::new();
        for _ in 0..2 {
            let stream = Arc::clone(&stream);
            workers.push(std::thread::spawn(move || stream.insert(port)));
        }
        let (eraser, admin) = (Arc::clone(&stream), world.gateway.admin());
        workers.push(std::thread::spawn(move || eraser.erase(&admin)));
        // After some progress, and then at any moment of what comes next.
        let goal = stream.progress() + random.random_range(0..8);
        eventually("the stream flows", || (stream.progress() >= goal).then_some(()));
        std::thread::sleep(Duration::from_micros(random.random_range(0..6_000)));
        world.gateway.kill();
        stream.over.store(true, Ordering::Relaxed);
        workers.into_iter().for_each(|w| w.join().unwrap());
        if kill % 10 == 0 {
            // Recovery itself is interrupted too.
            world.gateway.start_and_kill(Duration::from_micros(random.random_range(1_000..60_000)));
        }
        world.gateway.restart();
        if kill % 20 == 0 {
            stream.check(&world);
        }
    }
    stream.check(&world);
    let told = stream.told.lock().unwrap();
    let (inserted, erased) = (told.inserted.len(), told.erased.len());
    assert!(inserted > KILLS && erased > KILLS / 10, "only {inserted} inserts and {erased} erasures");
    let mut client = world.through();
    for id in told.inserted.iter().rev().take(50) {
        let known = client.rows(&format!("SELECT title FROM people WHERE id = {id}"));
        let address = known[0][0].clone().unwrap().replace("Nom-", "e") + "@x.example";
        let by_mail = client.rows(&format!("SELECT id FROM people WHERE email = '{address}'"));
        // Nobody knows what became of an erasure that was never answered.
        if !told.asked.contains(id) {
            assert_eq!(by_mail.len(), usize::from(!told.erased.contains(id)), "person {id}");
        }
    }
}
