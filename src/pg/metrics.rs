//! Counters of the Postgres gateway. Handles are made once: the path of a statement only adds.

use crate::telemetry::metrics as telemetry;
use metrics::{Counter, Gauge, counter, gauge};

/// Counters of a listener.
pub(crate) struct Metrics {
    /// Statements that touch nothing protected.
    pub passed: Counter,
    /// Statements that ran as planned.
    pub protected: Counter,
    /// Statements that sort by a token.
    pub sorted_by_token: Counter,
    /// Open connections.
    pub connections: Gauge,
    refused: Counter,
    failed: Counter,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn new() -> Self {
        let outcome = |outcome: &'static str| counter!(telemetry::STATEMENTS, "outcome" => outcome);
        Self {
            passed: outcome("passed"),
            protected: outcome("protected"),
            sorted_by_token: counter!(telemetry::TOKEN_SORTS),
            refused: outcome("refused"),
            failed: outcome("failed"),
            connections: gauge!(telemetry::CONNECTIONS),
        }
    }

    /// A statement was refused.
    pub(crate) fn refused(&self, code: &'static str) {
        self.refused.increment(1);
        counter!(telemetry::REFUSALS, "code" => code).increment(1);
    }

    /// A statement failed here for another reason.
    pub(crate) fn failed(&self, code: &'static str) {
        self.failed.increment(1);
        tracing::debug!(code, "a statement failed in the gateway");
    }
}
