//! Who may come in, and by which way: passwords, TLS, sockets, several servers, their versions.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

#[path = "connections/early.rs"]
mod early;
#[path = "connections/hosts.rs"]
mod hosts;
#[path = "connections/scram.rs"]
mod scram;
#[path = "connections/tls.rs"]
mod tls;
#[path = "connections/versions.rs"]
mod versions;
#[path = "connections/waiting.rs"]
mod waiting;
