//! What the process tells its operators: log lines on stderr, and metrics. Never a clear value, a
//! key or a subject's id.

mod log;
pub mod metrics;

pub use log::{LogFormat, start as start_log};
pub use metrics::{
    AUDIT_EVENTS, CACHE, CONNECTIONS, FIELDS, KEYSTORE_SECONDS, REFUSALS, Recorder, STATEMENTS, TOKEN_SORTS,
    install as install_metrics,
};
