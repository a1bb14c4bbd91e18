//! The Postgres gateway.

pub mod catalog;
pub mod copy;
pub mod evaluation;
pub mod export;
mod login;
mod metrics;
pub mod net;
pub mod plan;
pub mod predicate;
mod recovery;
pub mod refusal;
mod server;
mod session;
pub mod sql;
mod startup;
mod sweep;
mod two_phase;
pub mod value;
pub mod wire;

pub use net::backends::Backends;
pub use server::{Gateway, Reload, serve};
pub use sweep::Sweeper;
