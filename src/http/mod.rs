//! The HTTP gateway: the same fields, the same keys, in front of HTTP services.
//!
//! A request is decided once, from its head, by its listener's [`exchange::Gate`]: a route of the policy takes it,
//! or nothing of it is touched. What a route declares is sealed on its way in and opened on its way out;
//! everything else keeps its bytes. What can't be understood on a declared route is refused (RFC 9457).

mod answer;
mod budget;
mod coding;
mod compare;
mod connection;
pub(crate) mod exchange;
mod form_body;
mod forward;
mod graphql;
mod head;
mod io;
mod json;
mod json_body;
mod jwt;
mod links;
mod media;
mod metrics;
mod multipart;
mod multipart_body;
mod names;
mod opening;
mod person;
mod plan;
pub(crate) mod problem;
mod pump;
mod query;
mod range;
mod route;
mod server;
mod services;
mod shield;
mod sources;
mod streams;
mod target;
#[cfg(test)]
mod tests;
mod timer;
mod value;
mod watch;
mod written;

pub use json::Replacer;
pub use server::{Gateway, Prepared, Reload, serve};
pub use services::Services;
