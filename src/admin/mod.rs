//! The admin API: what people and tools ask of a running gateway (design.md §9). `docs/errors.md`
//! lists its problems.

mod api;
pub mod client;
mod problem;
mod server;
#[cfg(test)]
mod tests;
pub mod tokens;

pub use api::{Erasure, State, Subjects, SubjectsError};
pub use server::{Health, Server, bind};
