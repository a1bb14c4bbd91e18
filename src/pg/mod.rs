//! The Postgres gateway.

pub mod catalog;
pub mod plan;
pub mod refusal;
pub mod session;
pub mod sql;
pub mod value;
pub mod wire;
