//! Real servers for the outside tests: a throwaway Postgres, the built gateway, clients for both.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub mod admin;
pub mod canary;
pub mod clients;
pub mod finder;
pub mod gateway;
pub mod message;
pub mod node;
pub mod postgres;
pub mod psql;
pub mod python;
pub mod raw;
pub mod schema;
pub mod story;
pub mod tls;
pub mod world;

pub use admin::Admin;
pub use clients::{clear_copy, direct, through};
pub use gateway::Gateway;
pub use message::Message;
pub use postgres::Postgres;
pub use raw::Raw;
pub use world::{World, row, tags};

use std::time::{Duration, Instant};

/// Asks again and again until `check` gives something, within half a minute.
pub fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < end, "waited half a minute in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
