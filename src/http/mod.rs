//! The HTTP gateway: the same fields, the same keys, in front of HTTP services.
//!
//! A request is decided once, from its head, by its listener's [`exchange::Gate`]: a route of the policy takes it,
//! or nothing of it is touched. What a route declares is sealed on its way in and opened on its way out;
//! everything else keeps its bytes. What can't be understood on a declared route is refused (RFC 9457).

pub(crate) mod exchange;
mod json;
pub(crate) mod problem;

mod connection;
mod forward;
mod io;
mod metrics;
mod server;
mod timer;
mod watch;

pub use server::{Gateway, Prepared, Reload, serve};
