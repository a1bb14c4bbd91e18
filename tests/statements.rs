//! Every statement of Postgres's own regression suite, with its tables protected at random: planned without panic,
//! and refused, or sent without a clear value. The seed is printed; `PARAVENT_SEED` repeats a run, and
//! `PARAVENT_SUITE=whole` takes every file (`make test-regress`).

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

#[path = "statements/chosen.rs"]
mod chosen;
#[path = "statements/places.rs"]
mod places;
#[path = "statements/planned.rs"]
mod planned;
#[path = "statements/runner.rs"]
mod runner;
#[path = "statements/sent.rs"]
mod sent;
#[path = "statements/split.rs"]
mod split;
#[path = "statements/suite.rs"]
mod suite;
