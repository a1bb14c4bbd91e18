//! Erased means erased, and nothing is lost.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

#[path = "rights/attack.rs"]
mod attack;
#[path = "rights/crash.rs"]
mod crash;
#[path = "rights/erasure.rs"]
mod erasure;
#[path = "rights/last.rs"]
mod last;
#[path = "rights/moments.rs"]
mod moments;
#[path = "rights/openapi.rs"]
mod openapi;
#[path = "rights/receipts.rs"]
mod receipts;
#[path = "rights/records.rs"]
mod records;
#[path = "rights/rekey.rs"]
mod rekey;
