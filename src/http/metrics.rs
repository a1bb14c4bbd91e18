//! Counters of the HTTP gateway. Handles are made once: the path of a request only adds.

use super::problem::Problem;
use crate::telemetry::metrics as telemetry;
use metrics::{Counter, counter};

/// Counters of a listener.
pub(crate) struct Metrics {
    /// Requests that no route has a say about.
    pub(crate) passed: Counter,
    /// Requests that a route rewrote.
    pub(crate) protected: Counter,
    refused: Counter,
    failed: Counter,
}

impl Metrics {
    /// Registers them.
    pub(crate) fn new() -> Self {
        let outcome = |outcome: &'static str| counter!(telemetry::HTTP_REQUESTS, "outcome" => outcome);
        Self {
            passed: outcome("passed"),
            protected: outcome("protected"),
            refused: outcome("refused"),
            failed: outcome("failed"),
        }
    }

    /// A request was refused (4xx), or failed here or behind (5xx).
    pub(crate) fn problem(&self, problem: &Problem) {
        if problem.status.is_client_error() {
            self.refused.increment(1);
            counter!(telemetry::REFUSALS, "code" => problem.code).increment(1);
        } else {
            self.failed.increment(1);
            tracing::debug!(code = problem.code, "a request failed in the gateway");
        }
    }
}
