//! Bytes in and out: streams with or without TLS, buffers, and the one place that waits.

pub mod backends;
pub mod buffer;
pub mod connect;
pub mod duplex;
pub mod host;
pub mod stream;
pub mod tls;
