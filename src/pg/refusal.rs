//! A refusal: what can't be protected is not forwarded, and the client is told what to do.

/// Why a statement was refused. Never holds a value of the statement, only names of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// SQLSTATE: `0A000` unless the design names another.
    pub sqlstate: &'static str,
    /// Names construct and column: `operator = on encrypted column people.last_name`.
    pub message: String,
    /// The way out.
    pub hint: String,
    /// Anchor in `docs/errors.md`, and the `code` label of `paravent_refusals_total`.
    pub anchor: &'static str,
}
