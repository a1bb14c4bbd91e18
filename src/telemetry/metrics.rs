//! Metrics: their names, and the recorder behind `/metrics`. Labels never hold a value or a subject.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

/// Statements, by `outcome`: `passed`, `protected`, `refused`, `failed`.
pub const STATEMENTS: &str = "paravent_statements_total";
/// HTTP requests, by `outcome`: `passed`, `protected`, `refused`, `failed`.
pub const HTTP_REQUESTS: &str = "paravent_http_requests_total";
/// Refusals, by `code`: the anchor in `docs/errors.md`.
pub const REFUSALS: &str = "paravent_refusals_total";
/// Field values, by `op`: `sealed`, `opened`, `tokenised`, `revealed`.
pub const FIELDS: &str = "paravent_fields_total";
/// Lookups in the key cache, by `result`: `hit`, `miss`.
pub const CACHE: &str = "paravent_cache_total";
/// How long the keystore took to answer, in seconds.
pub const KEYSTORE_SECONDS: &str = "paravent_keystore_seconds";
/// Client connections that are open.
pub const CONNECTIONS: &str = "paravent_connections";
/// Audit events, by `event`.
pub const AUDIT_EVENTS: &str = "paravent_audit_events_total";

/// ORDER BY on a token: statements whose order is stable but arbitrary.
pub const TOKEN_SORTS: &str = "paravent_token_sorts_total";

/// From a cached read to a disk that struggles.
const KEYSTORE_BUCKETS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// What `/metrics` renders.
#[derive(Clone)]
pub struct Recorder(PrometheusHandle);

impl Recorder {
    /// The Prometheus text format (version 0.0.4).
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Installs the recorder for the whole process; further calls give the same one, since the `metrics`
/// facade holds one recorder per process (several gateways in a test share it).
///
/// # Errors
/// When something else installed a recorder first.
pub fn install() -> Result<Recorder, String> {
    static INSTALLED: OnceLock<Result<Recorder, String>> = OnceLock::new();
    INSTALLED
        .get_or_init(|| {
            let handle = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Full(KEYSTORE_SECONDS.into()), KEYSTORE_BUCKETS)
                .and_then(PrometheusBuilder::install_recorder)
                .map_err(|error| format!("metrics can't start: {error}"))?;
            describe();
            Ok(Recorder(handle))
        })
        .clone()
}

fn describe() {
    describe_counter!(STATEMENTS, "Statements, by outcome");
    describe_counter!(HTTP_REQUESTS, "HTTP requests, by outcome");
    describe_counter!(REFUSALS, "Refused statements and requests, by anchor in docs/errors.md");
    describe_counter!(FIELDS, "Field values sealed, opened, tokenised and revealed");
    describe_counter!(CACHE, "Lookups in the key cache, by result");
    describe_histogram!(KEYSTORE_SECONDS, Unit::Seconds, "Time that the keystore took to answer");
    describe_gauge!(CONNECTIONS, "Open client connections");
    describe_counter!(AUDIT_EVENTS, "Audit events, by event");
    describe_counter!(TOKEN_SORTS, "Statements with ORDER BY on a token");
    // Present from the first scrape on, so that a rate over them has a beginning.
    for outcome in ["passed", "protected", "refused", "failed"] {
        metrics::counter!(STATEMENTS, "outcome" => outcome).increment(0);
        metrics::counter!(HTTP_REQUESTS, "outcome" => outcome).increment(0);
    }
    for op in ["sealed", "opened", "tokenised", "revealed"] {
        metrics::counter!(FIELDS, "op" => op).increment(0);
    }
    for result in ["hit", "miss"] {
        metrics::counter!(CACHE, "result" => result).increment(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_was_raised_is_rendered_with_its_label_and_description() {
        let recorder = install().unwrap();
        metrics::counter!(REFUSALS, "code" => "copy").increment(2);
        let text = recorder.render();
        assert!(text.contains("paravent_refusals_total{code=\"copy\"}"), "{text}");
        assert!(text.contains("# HELP paravent_refusals_total Refused statements and requests"), "{text}");
        assert!(text.contains("paravent_statements_total{outcome=\"protected\"}"), "{text}");
    }

    #[test]
    fn keystore_times_are_a_histogram_in_seconds() {
        let recorder = install().unwrap();
        metrics::histogram!(KEYSTORE_SECONDS, "for" => "test").record(0.002);
        let text = recorder.render();
        assert!(text.contains("paravent_keystore_seconds_bucket{for=\"test\",le=\"0.0025\"} 1"), "{text}");
    }
}
