//! Larger applications that nobody here wrote, unmodified, behind the gateway: `make test-clients`. npm takes some
//! minutes to fetch them, so `cargo test` leaves them out.

#![allow(unreachable_pub, dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

#[path = "services/ask.rs"]
mod ask;
#[path = "applications/directus.rs"]
mod directus;
#[path = "applications/drivers.rs"]
mod drivers;
#[path = "services/gateway.rs"]
mod gateway;
#[path = "applications/orms.rs"]
mod orms;
