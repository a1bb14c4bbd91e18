//! Bad input, bad neighbours and bad luck: for each one clear answer, and the others go on.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

#[path = "hostile/backend.rs"]
mod backend;
#[path = "hostile/keystore.rs"]
mod keystore;
#[path = "hostile/messages.rs"]
mod messages;
#[path = "hostile/policy.rs"]
mod policy;
#[path = "hostile/startup.rs"]
mod startup;
