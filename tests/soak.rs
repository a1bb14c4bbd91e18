//! Two hundred clients for a quarter of an hour: mixed statements, names of prepared statements used again, errors at every
//! position of a pipeline, cancels, disconnects, crashes of the database. Each client does the same on a clear copy, directly,
//! and must see the same, message by message; the gateway must not grow, nor keep a descriptor.
//!
//! `make soak` runs it (`PARAVENT_SOAK_SECONDS`, `PARAVENT_SOAK_CONNECTIONS`, `PARAVENT_SOAK_SEED`, `PARAVENT_SOAK_CRASHES`); `cargo test` leaves it out.

#![allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

#[path = "soak/statements.rs"]
mod statements;
#[path = "soak/steps.rs"]
mod steps;
#[path = "soak/worker.rs"]
mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};
use support::gateway::Setup;
use support::postgres::Options;
use support::world::make_tables;
use support::{Gateway, Postgres, Raw, eventually};
use worker::{Shared, Worker};

/// What the gateway may hold more at the end than after a quarter of the time, in KiB.
const GROWTH_KIB: u64 = 8 << 10;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

/// Resident memory in KiB.
fn memory(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Open descriptors but for the keystore's, which keeps a few connections to its file for readers.
fn descriptors(gateway: &Gateway) -> usize {
    let all = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap();
    let targets = all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| !target.to_string_lossy().contains(".keystore")).count()
}

#[test]
fn many_clients_see_for_long_what_they_see_directly() {
    let seconds = setting("PARAVENT_SOAK_SECONDS", 60);
    let connections = setting("PARAVENT_SOAK_CONNECTIONS", 200);
    let crashes = setting("PARAVENT_SOAK_CRASHES", 5);
    let seed = setting("PARAVENT_SOAK_SEED", u64::from(std::process::id()));
    println!("{connections} connections, {seconds} s, PARAVENT_SOAK_SEED={seed}");
    // Each client has a connection to either, and one that cancels now and then.
    let room = format!("max_connections = {}\n", 4 * connections + 20);
    let pg = Postgres::with(&Options { settings: room, ..Options::default() });
    make_tables(&pg);
    let gateway = Gateway::with(Setup { log: "info".to_owned(), ..Setup::new(&pg) });
    let idle = descriptors(&gateway);
    let until = Instant::now() + Duration::from_secs(seconds);
    let shared = Arc::new(Shared::new(pg.port(), gateway.port(), until));
    let threads: Vec<_> = (0..connections)
        .map(|number| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || Worker::new(shared, number, seed).run())
        })
        .collect();

    // Eight parts of the time; the database crashes in the middle of (five of) them, but for the first two and the last.
    let mut seen = Vec::new();
    let part = Duration::from_secs(seconds) / 8;
    for n in 0..8 {
        std::thread::sleep(part / 2);
        if (2..7.min(2 + crashes)).contains(&n) {
            shared.crashing(|| pg.crash());
        }
        std::thread::sleep(until.saturating_duration_since(Instant::now()).min(part / 2));
        seen.push(memory(&gateway));
    }
    if let Ok(file) = std::env::var("PARAVENT_SOAK_LOG") {
        std::fs::write(file, gateway.log()).unwrap();
    }
    let mut failures: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().err()).collect();
    let counts = shared.counts();
    println!("{counts}; {seen:?} KiB");
    if let Some(failure) = failures.pop() {
        std::panic::resume_unwind(failure);
    }
    shared.assert_enough(connections, crashes);
    let log = String::from_utf8_lossy(&gateway.log()).into_owned();
    assert!(!log.contains("panicked"), "the gateway panicked");
    assert!(seen[7] < seen[1] + GROWTH_KIB, "it grew: {seen:?} KiB");
    eventually("every descriptor is closed", || (descriptors(&gateway) <= idle + 2).then_some(()));
    // No backend of a client is left, and nothing provisional waits.
    let mut direct = Raw::connect_as(pg.port(), &[("user", "postgres"), ("database", "app")]);
    let left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND pid <> pg_backend_pid()";
    eventually("every backend is gone", || (direct.rows(left)[0][0].as_deref() == Some("0")).then_some(()));
}
