//! The admin API: what people and tools ask of a running gateway (design.md §9). `docs/errors.md`
//! lists its problems.

mod access;
mod api;
pub mod backend;
pub mod client;
mod guard;
mod idempotency;
mod limit;
mod problem;
mod server;
#[cfg(test)]
mod tests;
pub mod tokens;

pub use api::openapi;
pub use backend::{Backend, BackendError, Erasure, Reply, State};
pub use server::{Health, Server, bind};
