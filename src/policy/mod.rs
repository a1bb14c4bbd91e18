//! The policy: which fields exist, how each is protected, where each occurs. Pure: no I/O.
//!
//! `config` reads the file into [`raw`], [`compile`] checks it and makes the [`model`] that the
//! other rooms rely on.

pub mod compile;
pub mod guard;
pub mod hash;
mod http;
#[cfg(test)]
mod http_tests;
pub mod model;
mod pointer;
pub mod raw;
mod suggest;
mod types;
mod when;

pub use compile::{compile, field_tag};
pub use hash::hash;
pub use suggest::suggest;
