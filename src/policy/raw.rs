//! The policy as written, before it is checked: what `config` reads and [`super::compile`] takes.

/// A value and where it stands in the file (byte offset).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At<T> {
    /// Byte offset in the file.
    pub at: usize,
    /// The value.
    pub value: T,
}

/// Something wrong in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Byte offset in the file.
    pub at: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Everything wrong in a file: reading goes on after each, so that all are told at once.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Notes a problem.
    pub fn add(&mut self, at: usize, message: impl Into<String>) {
        self.0.push(Problem { at, message: message.into() });
    }

    /// Notes a problem and gives no value.
    pub fn none<T>(&mut self, at: usize, message: impl Into<String>) -> Option<T> {
        self.add(at, message);
        None
    }
}

/// `[fields]`, `[classes.…]` and the tables of every `[[postgres]]`.
#[derive(Debug, Clone, Default)]
pub struct RawPolicy {
    /// In file order.
    pub fields: Vec<RawField>,
    /// In file order.
    pub classes: Vec<RawClass>,
    /// One list per `[[postgres]]` section, in file order.
    pub postgres: Vec<Vec<RawTable>>,
}

/// One entry of `[fields]`.
#[derive(Debug, Clone)]
pub struct RawField {
    /// Its key.
    pub name: At<String>,
    /// `encrypt` or `pseudonym`; `None` when that was missing or unreadable (already told).
    pub protect: Option<At<String>>,
    /// `type`.
    pub ty: Option<At<String>>,
    /// `kind`.
    pub kind: Option<At<String>>,
    /// `domain`.
    pub domain: Option<At<String>>,
    /// `normalise`.
    pub normalise: Option<At<bool>>,
    /// `purpose`.
    pub purpose: Option<At<String>>,
    /// `erased`, as text.
    pub erased: Option<At<String>>,
}

/// One `[classes.NAME]`.
#[derive(Debug, Clone)]
pub struct RawClass {
    /// Its key.
    pub name: At<String>,
    /// `after_erasure`.
    pub after_erasure: Option<At<String>>,
}

/// One `[postgres.tables.NAME]`.
#[derive(Debug, Clone)]
pub struct RawTable {
    /// Its key: `people` or `hr.people`.
    pub name: At<String>,
    /// `subject`; `None` when missing or unreadable (already told).
    pub subject: Option<RawSubject>,
    /// Column and field, in file order.
    pub columns: Vec<(At<String>, At<String>)>,
}

/// `subject = "id"` or `{ column, class, when }`.
#[derive(Debug, Clone)]
pub struct RawSubject {
    /// The column (or a path, in later versions).
    pub column: At<String>,
    /// `class`, here or at the table.
    pub class: Option<At<String>>,
    /// `when`.
    pub when: Option<At<String>>,
}
