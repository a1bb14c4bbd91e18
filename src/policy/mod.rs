//! The policy.

pub mod model;
