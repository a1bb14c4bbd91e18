//! Errors that the gateway itself reports, in Postgres's form. They name constructs, columns and
//! types, never a value.

use crate::fault::{Fault as _, sqlstate};
use crate::pg::refusal::Refusal;
use crate::pg::value::ValueError;
use crate::pg::wire::WireError;
use crate::pg::wire::bind::Formats;
use crate::pg::wire::error::{Report, write};
use crate::protect::{OpenFault, ProtectError};

/// Where every error is explained.
const DOCS: &str = "docs/errors.md";

/// An error as the client is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// SQLSTATE.
    pub code: &'static str,
    /// One line.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
    /// Anchor in the documentation, and the label of the counter.
    pub anchor: &'static str,
}

impl Failure {
    pub(crate) fn new(
        code: &'static str,
        anchor: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { code, anchor, message: message.into(), hint: Some(hint.into()) }
    }

    /// Appends the ErrorResponse.
    pub(crate) fn write(&self, out: &mut Vec<u8>, severity: &str) {
        let hint = self.hint.as_deref().map(|hint| format!("{hint} (see {DOCS}#{})", self.anchor));
        let report = Report {
            severity,
            code: self.code,
            message: &self.message,
            hint: hint.as_deref(),
            // By this drivers know that they should prepare again, and do so.
            routine: (self.anchor == "replan").then_some("RevalidateCachedQuery"),
            ..Report::default()
        };
        write(out, &report);
    }

    /// The whole ErrorResponse.
    pub(crate) fn response(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out, "ERROR");
        out
    }

    pub(crate) fn refusal(refusal: &Refusal) -> Self {
        Self {
            code: refusal.sqlstate,
            message: format!("paravent: {}", refusal.message),
            hint: Some(refusal.hint.clone()),
            anchor: refusal.anchor,
        }
    }

    pub(crate) fn value(error: &ValueError, column: &str) -> Self {
        Self {
            code: error.sqlstate(),
            message: error.to_string(),
            hint: Some(format!("the value is for the protected field {column}")),
            anchor: "value",
        }
    }

    pub(crate) fn protect(error: &ProtectError) -> Self {
        let (anchor, hint) = match error {
            ProtectError::Unavailable(_) => (
                "keystore-unavailable",
                "nothing was sent on; look at the gateway's log and /readyz, then try again",
            ),
            ProtectError::DiskFull => {
                ("keystore-full", "nothing was sent on; make room on the keystore's disk, then try again")
            }
            ProtectError::ErasedSubject => (
                "erased-subject",
                "use another id, or set after_erasure = \"new\" for the class in paravent.toml",
            ),
            ProtectError::Identifier(_) => ("identifier", "shorten it, or protect the field by \"encrypt\""),
            ProtectError::Value(_) => ("value", "store a value of this size outside the database"),
            ProtectError::Stored { fault, field } => return Self::open(*fault, field),
        };
        Self::new(error.sqlstate(), anchor, format!("paravent: {error}"), hint)
    }

    pub(crate) fn open(fault: OpenFault, field: &str) -> Self {
        let (anchor, hint) = match fault {
            OpenFault::WrongField => (
                "wrong-field",
                "a sealed value was copied between columns behind the gateway; restore it from a backup",
            ),
            OpenFault::WrongSubject => (
                "wrong-subject",
                "a sealed value was copied between rows behind the gateway; restore it from a backup",
            ),
            OpenFault::NotAuthentic => (
                "not-authentic",
                "the stored value was changed behind the gateway, or its keystore is another one",
            ),
            OpenFault::Replaced => (
                "key-replaced",
                "read it again; where it stays so, it comes from a copy that was made before the person was re-keyed",
            ),
            OpenFault::InClear => {
                ("in-clear", "the value was written behind the gateway; write it again through the gateway")
            }
            OpenFault::Restricted => {
                return Self::new(
                    "42501",
                    "restricted",
                    format!("paravent: field {field}: {fault}"),
                    "a privacy officer restricted this person; leave the row out, or have it released",
                );
            }
            OpenFault::Shared => (
                "shared-token",
                "add the table's subject column to the select list (and to GROUP BY), so that the row's person is known",
            ),
        };
        // Nothing is wrong with what is stored where only the statement doesn't tell whose it is.
        let code = if fault == OpenFault::Shared { sqlstate::REFUSED } else { sqlstate::NOT_AUTHENTIC };
        Self::new(code, anchor, format!("paravent: field {field}: {fault}"), hint)
    }

    pub(crate) fn malformed(error: &WireError) -> Self {
        Self::new("08P01", "protocol", format!("paravent: {error}"), "the client broke the Postgres protocol")
    }

    /// A message of no known type, in the server's own words.
    pub(crate) fn message_type(tag: u8) -> Self {
        let message = format!("invalid frontend message type {tag}");
        Self { code: "08P01", message, hint: None, anchor: "protocol" }
    }

    pub(crate) fn too_large(limit: u32) -> Self {
        Self::new(
            "54000",
            "too-large",
            format!("paravent: a message that must be read whole is larger than {limit} bytes"),
            "raise limits.message_bytes in paravent.toml, or send less at once",
        )
    }

    pub(crate) fn backend_lost() -> Self {
        Self::new(
            "08006",
            "backend-lost",
            "paravent: the connection to the database was lost",
            "whether the last statement took effect is not known; connect again",
        )
    }

    /// A name that stands for nothing, in the server's own words.
    pub(crate) fn no_statement(name: &str) -> Self {
        let message = match name {
            "" => "unnamed prepared statement does not exist".to_owned(),
            name => format!("prepared statement \"{name}\" does not exist"),
        };
        Self { code: "26000", message, hint: None, anchor: "execute" }
    }

    /// A Bind with another number of values than its statement has parameters, in the server's own words.
    pub(crate) fn parameters(sent: usize, statement: &str, needed: usize) -> Self {
        let message = format!(
            "bind message supplies {sent} parameters, but prepared statement \"{statement}\" requires {needed}"
        );
        Self { code: "08P01", message, hint: None, anchor: "protocol" }
    }

    /// The same, of the formats of results.
    pub(crate) fn result_formats(asked: usize, columns: usize) -> Self {
        let message = format!("bind message has {asked} result formats but query has {columns} columns");
        Self { code: "08P01", message, hint: None, anchor: "protocol" }
    }

    /// The first of these codes that is none.
    pub(crate) fn format_code(codes: Formats<'_>) -> Self {
        let code = codes.raw().chunks_exact(2).map(|c| i16::from_be_bytes([c[0], c[1]]));
        let code = code.into_iter().find(|code| !matches!(code, 0 | 1)).unwrap_or_default();
        let message = format!("unsupported format code: {code}");
        Self { code: "22023", message, hint: None, anchor: "protocol" }
    }

    pub(crate) fn replan() -> Self {
        Self::new(
            "0A000",
            "replan",
            "paravent: the statement was prepared under another search path or schema",
            "prepare it again, or qualify its tables and name its columns",
        )
    }

    /// `own`: the transaction changed the schema itself.
    pub(crate) fn woken_code(own: bool) -> Self {
        if own {
            return Self::new(
                "0A000",
                "woken-code",
                "paravent: a function in the database touches something protected since this transaction changed the schema, \
                 and a cursor, portal or deferred trigger of it may run that function",
                "change the schema in a transaction of its own, or before anything else in it",
            );
        }
        Self::new(
            "40001",
            "woken-code",
            "paravent: a function in the database touches something protected since another session changed the schema, \
             and a cursor, portal or deferred trigger of this transaction may run that function",
            "run the transaction again",
        )
    }

    pub(crate) fn old_snapshot() -> Self {
        Self::new(
            "0A000",
            "old-snapshot",
            "paravent: another session changed what is protected since the snapshot of this transaction was taken",
            "commit it, and send the statement in a new transaction",
        )
    }

    pub(crate) fn encoding(name: &str) -> Self {
        Self::new(
            "0A000",
            "encoding",
            format!("paravent: client_encoding {name} is not supported"),
            "set client_encoding to UTF8",
        )
    }

    /// The statement is not in the client's encoding.
    pub(crate) fn statement_encoding(error: &ValueError) -> Self {
        Self::new(
            error.sqlstate(),
            "encoding",
            format!("paravent: {error}"),
            "send the statement in client_encoding",
        )
    }

    pub(crate) fn not_utf8() -> Self {
        Self::new(
            "22021",
            "encoding",
            "paravent: the statement is not valid UTF-8",
            "set client_encoding to UTF8 and send UTF-8",
        )
    }

    pub(crate) fn shutdown() -> Self {
        Self::new("57P01", "shutdown", "paravent: the gateway is shutting down", "connect again")
    }

    pub(crate) fn internal(what: &'static str) -> Self {
        Self::new(
            "XX000",
            "internal",
            format!("paravent: {what}"),
            "the schema may have changed under the statement: try again; else report it",
        )
    }
}
