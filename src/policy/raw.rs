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

/// `[fields]`, `[classes.…]`, the tables of every `[[postgres]]` and the routes of every `[[http]]`.
#[derive(Debug, Clone, Default)]
pub struct RawPolicy {
    /// In file order.
    pub fields: Vec<RawField>,
    /// In file order.
    pub classes: Vec<RawClass>,
    /// One list per `[[postgres]]` section, in file order.
    pub postgres: Vec<Vec<RawTable>>,
    /// One per `[[http]]` section, in file order.
    pub http: Vec<RawHttp>,
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
    /// `id`.
    pub ids: Option<At<String>>,
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
    /// `bind`.
    pub bind: Option<At<String>>,
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

/// What one `[[http]]` section says about protection.
#[derive(Debug, Clone, Default)]
pub struct RawHttp {
    /// `class` of every route that names none.
    pub class: Option<At<String>>,
    /// `domain` of every route that names none.
    pub domain: Option<At<String>>,
    /// Whether the section can verify tokens (`jwt`).
    pub jwt: bool,
    /// `depth` and `item_bytes` of every route that names none.
    pub bounds: RawBounds,
    /// `[[http.routes]]`, in file order.
    pub routes: Vec<RawRoute>,
}

/// What a JSON body may ask of memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawBounds {
    /// `depth`: nested arrays and objects.
    pub depth: Option<u32>,
    /// `item_bytes`: what is held until the person it is about is known.
    pub item_bytes: Option<u32>,
}

/// One `[[http.routes]]`.
#[derive(Debug, Clone)]
pub struct RawRoute {
    /// Where it begins.
    pub at: usize,
    /// `path`; `None` when missing or unreadable (already told).
    pub path: Option<At<String>>,
    /// `methods`; empty: all.
    pub methods: Vec<At<String>>,
    /// `subject`: sources, the first that is there counts.
    pub subjects: Vec<At<String>>,
    /// `class`.
    pub class: Option<At<String>>,
    /// `domain`.
    pub domain: Option<At<String>>,
    /// `fields`, in file order.
    pub places: Vec<RawPlace>,
    /// `body`: the field that a whole body is.
    pub body: Option<At<String>>,
    /// `links`: members of answers that hold addresses.
    pub links: Vec<At<String>>,
    /// `location`: whether that header's address is turned around.
    pub location: Option<At<bool>>,
    /// `parameters`: query parameters that may pass; `None`: all.
    pub parameters: Option<Vec<At<String>>>,
    /// `graphql`: whether the operation's text must hold no values.
    pub graphql: Option<At<bool>>,
    /// `depth` and `item_bytes`.
    pub bounds: RawBounds,
}

/// One entry of a route's `fields`.
#[derive(Debug, Clone)]
pub struct RawPlace {
    /// Its key: `/profile/email`, `query:email`.
    pub at: At<String>,
    /// The field there.
    pub field: At<String>,
    /// Its own subject sources, in place of the route's.
    pub subjects: Vec<At<String>>,
    /// `class` of its own subjects.
    pub class: Option<At<String>>,
    /// Compared with, never stored: an unknown identifier finds nobody.
    pub find: bool,
    /// `operators`: how a comparison is written.
    pub operators: Vec<At<String>>,
}
