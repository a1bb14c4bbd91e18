//! Random schedules of inserts, erasures, rotations, backups, restores and kills, with faults at every durable step. After
//! each kill: no acknowledged value without its key, no erased subject readable, no receipt ahead of the fact.
//!
//! `PARAVENT_SCHEDULES` says how many (500 unless given) and `PARAVENT_SCHEDULES_FROM` the number of the first one, so that
//! each night has others; `PARAVENT_SCHEDULE` is one alone. One that fails is named, and the others go on.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "schedules/faults.rs"]
mod faults;
#[path = "schedules/world.rs"]
mod world;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use world::World;

/// So often somebody who watches is told how far it is.
const TELL: Duration = Duration::from_secs(15);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

async fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::new(&mut random).await;
    for _ in 0..random.random_range(6..22) {
        match random.random_range(0..21) {
            0..=8 => world.insert(&mut random).await,
            9..=11 => world.erase(&mut random).await,
            12..=13 => world.rotate().await,
            14..=15 => world.back_up().await,
            16 => world.restore(&mut random).await,
            17 => world.rekey(&mut random).await,
            _ => world.kill(&mut random).await,
        }
    }
    world.kill(&mut random).await;
    world.finish().await;
}

/// How far it is.
struct Progress {
    begun: Instant,
    count: u64,
    done: AtomicU64,
    told: Mutex<Instant>,
    failed: Mutex<Vec<u64>>,
}

impl Progress {
    fn of(count: u64) -> Self {
        let begun = Instant::now();
        Self { begun, count, done: AtomicU64::new(0), told: Mutex::new(begun), failed: Mutex::default() }
    }

    fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let mut told = self.told.lock().unwrap();
        if done == self.count || told.elapsed() >= TELL {
            *told = Instant::now();
            println!("{}", self.line(done));
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn line(&self, done: u64) -> String {
        let took = self.begun.elapsed().as_secs_f64();
        let rate = done as f64 / took;
        let left = (self.count - done) as f64 / rate;
        let failed = self.failed.lock().unwrap().len();
        format!(
            "{done} of {} schedules in {took:.0} s, {failed} failed, {rate:.2} a second, {left:.0} s left",
            self.count
        )
    }
}

#[test]
fn whatever_fails_and_whenever_nothing_is_lost_and_nobody_comes_back() {
    let only = number("PARAVENT_SCHEDULE");
    let count = only.map_or_else(|| number("PARAVENT_SCHEDULES").unwrap_or(500), |_| 1);
    let first = only.or_else(|| number("PARAVENT_SCHEDULES_FROM")).unwrap_or(0);
    let next = AtomicU64::new(first);
    let progress = Progress::of(count);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let one = AssertUnwindSafe(|| {
                        let mut runtime = tokio::runtime::Builder::new_current_thread();
                        runtime.enable_all().build().unwrap().block_on(run(seed));
                    });
                    if catch_unwind(one).is_err() {
                        println!("schedule {seed} failed: again with PARAVENT_SCHEDULE={seed}");
                        progress.failed.lock().unwrap().push(seed);
                    }
                    progress.one_more();
                }
            });
        }
    });
    let failed = progress.failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {count} failed: {failed:?}", failed.len());
}
