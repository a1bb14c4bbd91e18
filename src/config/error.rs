//! What is wrong with a file: `file:line: message`, one line each.

use crate::policy::raw::Problems;
use std::fmt;
use std::path::Path;

/// Everything that is wrong with a configuration file. Exit code 2. Holds no secret of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// `file:line: message`, in file order.
    pub lines: Vec<String>,
}

impl ConfigError {
    pub(super) fn of(path: &Path, text: &str, mut problems: Problems) -> Self {
        problems.0.sort_by_key(|problem| problem.at);
        problems.0.dedup();
        let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let lines =
            problems.0.iter().map(|p| format!("{}:{}: {}", path.display(), line(p.at), p.message)).collect();
        Self { lines }
    }

    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self { lines: vec![format!("{}: can't be read: {error}", path.display())] }
    }
}

/// One problem a line.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}
