//! What goes wrong: what this room can't evaluate, and what Postgres itself would find wrong with a value.
//! Neither holds a value.

use crate::pg::value::ValueError;

/// A predicate that can't be evaluated here, or that the server would not run either. Found when it is
/// compiled, before any value is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    /// What this room does not evaluate: `function initcap under an ICU collation`.
    #[error("{0}")]
    Construct(String),
    /// 42883, 42804: types that don't go together: the server would fail as well.
    #[error("{0}")]
    Types(String),
    /// 42P22: no collation can be told, since the operands have different ones.
    #[error("could not determine which collation to use: \"{0}\" and \"{1}\" conflict")]
    Collation(String, String),
}

impl Unsupported {
    pub(super) fn construct(what: impl Into<String>) -> Self {
        Self::Construct(what.into())
    }

    pub(super) fn types(what: impl Into<String>) -> Self {
        Self::Types(what.into())
    }

    /// `0A000`, or what the server itself would say.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Construct(_) => "0A000",
            Self::Types(_) => "42883",
            Self::Collation(..) => "42P22",
        }
    }
}

/// Why a row could not be tested, or a predicate not bound. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What Postgres gives for it, or `0A000` where this room can't evaluate what a pattern holds.
    pub sqlstate: &'static str,
    /// Names the construct.
    pub message: String,
    /// It is this room that can't, not the value that is wrong.
    pub unsupported: bool,
}

impl Fault {
    pub(super) fn new(sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self { sqlstate, message: message.into(), unsupported: false }
    }

    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        Self { sqlstate: "0A000", message: what.into(), unsupported: true }
    }

    /// A clear value that is not in its kind's canonical form.
    pub(super) fn damaged() -> Self {
        Self::new("XX001", "a value is not in the canonical form of its type")
    }
}

impl From<ValueError> for Fault {
    fn from(e: ValueError) -> Self {
        Self {
            sqlstate: e.sqlstate(),
            message: e.to_string(),
            unsupported: matches!(e, ValueError::Unsupported(..)),
        }
    }
}
