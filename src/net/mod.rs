//! What the Postgres and the HTTP gateway have in common below their protocols: listening, TLS files, draining.

pub mod drain;
pub mod listen;
pub mod tls;
