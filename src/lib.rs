//! Paravent: a field-level encryption and pseudonymisation gateway.
//!
//! It stands between an application and its data store, seals personal fields under
//! per-person keys, replaces identifiers by random tokens, and makes destroying one key
//! erase one person everywhere that person's data was ever copied.
//!
//! A value walks one way in and one way out: wire → plan → [`protect`] → wire. The
//! [`protect`] room is the only door between clear values and keys.

pub mod admin;
pub mod app;
pub mod audit;
pub mod clear;
pub mod cli;
pub mod clock;
pub mod config;
pub mod coverage;
pub mod crypto;
pub mod demo;
pub mod envelope;
pub mod fault;
pub mod http;
pub mod ids;
pub mod jobs;
pub mod keyring;
pub mod keys;
pub mod keystore;
pub mod net;
pub mod pg;
pub mod policy;
pub mod protect;
pub mod pseudonym;
pub mod rights;
pub mod roots;
pub mod scram;
pub mod secret;
pub mod telemetry;
