//! HTTP services that nobody here wrote, unmodified, behind the gateway.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

#[path = "services/ask.rs"]
mod ask;
#[path = "services/both.rs"]
mod both;
#[path = "services/cable.rs"]
mod cable;
#[path = "services/gateway.rs"]
mod gateway;
#[path = "services/json_server.rs"]
mod json_server;
#[path = "services/lost.rs"]
mod lost;
