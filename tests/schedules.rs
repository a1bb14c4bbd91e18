//! Random schedules of inserts, erasures, rotations, backups, restores and kills, with faults at every durable step. After
//! each kill: no acknowledged value without its key, no erased subject readable, no receipt ahead of the fact.
//!
//! `PARAVENT_SCHEDULES` says how many (500 unless given), `PARAVENT_SCHEDULE` which one alone.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "schedules/faults.rs"]
mod faults;
#[path = "schedules/world.rs"]
mod world;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};
use std::sync::atomic::{AtomicU64, Ordering};
use world::World;

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

#[test]
fn whatever_fails_and_whenever_nothing_is_lost_and_nobody_comes_back() {
    let only = number("PARAVENT_SCHEDULE");
    let count = number("PARAVENT_SCHEDULES").unwrap_or(500);
    let next = AtomicU64::new(only.unwrap_or(0));
    let end = only.map_or(count, |one| one + 1);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let name = Named(seed);
                    runtime.block_on(run(seed));
                    drop(name);
                }
            });
        }
    });
}

/// Tells which schedule failed.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("schedule {0}: again with PARAVENT_SCHEDULE={0}", self.0);
        }
    }
}
