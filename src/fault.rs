//! What every public error can tell besides its text: the SQLSTATE for a database client, the exit code
//! for a command, and what to do.
//!
//! Texts follow `docs/errors.md`: they name things (a file, a field, a column), never a value.

use std::borrow::Cow;

/// SQLSTATEs that Paravent itself gives (Postgres manual, appendix A, and design.md §9).
pub mod sqlstate {
    /// feature_not_supported: a refusal.
    pub const REFUSED: &str = "0A000";
    /// data_corrupted: not authentic, another field's or subject's, or in clear where it should be sealed.
    pub const NOT_AUTHENTIC: &str = "XX001";
    /// io_error: the keystore or a root key provider can't be reached, or is damaged.
    pub const KEYS_UNAVAILABLE: &str = "58030";
    /// disk_full: the keystore's disk.
    pub const DISK_FULL: &str = "53100";
    /// connection_failure: the backend is lost.
    pub const BACKEND_LOST: &str = "08006";
    /// syntax_error: a text that does not parse and names a protected table.
    pub const SYNTAX: &str = "42601";
    /// invalid_text_representation.
    pub const INVALID_TEXT: &str = "22P02";
    /// string_data_right_truncation: a value too long.
    pub const TOO_LONG: &str = "22001";
    /// invalid_parameter_value: an identifier that can't be one.
    pub const INVALID_VALUE: &str = "22023";
    /// internal_error: a bug of ours, contained.
    pub const INTERNAL: &str = "XX000";
}

/// How a command ends (design.md §9).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed at run time.
    Failed = 1,
    /// Wrong usage, configuration or policy: trying again can't help.
    Usage = 2,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows what it means outside.
pub trait Fault: std::error::Error {
    /// What a database client gets.
    fn sqlstate(&self) -> &'static str {
        sqlstate::INTERNAL
    }

    /// What a command ends with.
    fn exit(&self) -> Exit {
        Exit::Failed
    }

    /// One sentence that says what to do; empty where there is nothing to do.
    fn advice(&self) -> Cow<'static, str> {
        Cow::Borrowed("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("plain")]
    struct Plain;
    impl Fault for Plain {}

    #[test]
    fn an_error_that_says_nothing_is_an_internal_failure() {
        let fault: &dyn Fault = &Plain;
        assert_eq!((fault.sqlstate(), fault.exit(), &*fault.advice()), ("XX000", Exit::Failed, ""));
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        assert_eq!([Exit::Done as u8, Exit::Failed as u8, Exit::Usage as u8], [0, 1, 2]);
    }
}
