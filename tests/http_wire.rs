//! The wire of the HTTP gateway: raw sockets on both sides, so that every byte of both is the test's own.

#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

#[path = "http_wire/bodies.rs"]
mod bodies;
#[path = "http_wire/declared.rs"]
mod declared;
#[path = "http_wire/drain.rs"]
mod drain;
#[path = "http_wire/framing.rs"]
mod framing;
#[path = "http_wire/gateway.rs"]
mod gateway;
#[path = "http_wire/heads.rs"]
mod heads;
#[path = "http_wire/limits.rs"]
mod limits;
#[path = "http_wire/peer.rs"]
mod peer;
#[path = "http_wire/service.rs"]
mod service;
#[path = "http_wire/tls.rs"]
mod tls;
#[path = "http_wire/two.rs"]
mod two;
#[path = "http_wire/upgrades.rs"]
mod upgrades;
