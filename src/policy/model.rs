//! The compiled policy: what the other rooms may rely on. Nothing here can be inconsistent;
//! `policy::compile` is the only maker outside tests.

use crate::ids::{FieldId, FieldTag};
use std::sync::Arc;

/// The whole policy, compiled. Shared read-only behind an `Arc`; a reload makes a new one.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Every declared field, in order of declaration, then those that routes hold in a domain of their own;
    /// [`FieldId`] indexes it.
    pub fields: Vec<Field>,
    /// Subject classes that the policy names (always holds `person`).
    pub classes: Vec<Class>,
    /// Protected tables, one list per `[[postgres]]` section, in file order.
    pub postgres: Vec<Vec<Table>>,
    /// Declared routes, one list per `[[http]]` section, in file order.
    pub http: Vec<Vec<Route>>,
}

impl Policy {
    /// The field of that id.
    ///
    /// # Panics
    /// When the id is of another policy.
    pub fn field(&self, id: FieldId) -> &Field {
        &self.fields[usize::from(id.0)]
    }
}

/// A kind of personal data, named once.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its position in [`Policy::fields`].
    pub id: FieldId,
    /// As declared: `email`.
    pub name: Arc<str>,
    /// The envelope's field tag.
    pub tag: FieldTag,
    /// How it is protected.
    pub protect: Protect,
    /// The type that clients see.
    pub ty: Declared,
    /// Purpose whose secret seals it; `default` unless declared.
    pub purpose: Arc<str>,
    /// What an erased value reads as where the column can't be NULL, in the type's text form.
    pub erased: Option<Arc<str>>,
}

impl Field {
    /// What an erased value reads as where the column can't be NULL, in the type's text form: as declared, or
    /// nothing for texts. Other types that declare none have none.
    pub fn placeholder(&self) -> Option<&str> {
        match (&self.erased, self.ty) {
            (Some(text), _) => Some(text),
            (None, Declared::Text | Declared::Varchar(_)) => Some(""),
            (None, _) => None,
        }
    }
}

/// How a field is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protect {
    /// Sealed into an envelope.
    Encrypt,
    /// Replaced by a random token.
    Pseudonym {
        /// Pseudonym domain (the field's name unless declared).
        domain: Arc<str>,
        /// The token's shape.
        kind: TokenKind,
        /// Whether identifiers are compared after case folding and trimming (`normalise = true`).
        normalise: bool,
    },
}

/// The shape of a domain's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// `psn_` and lower-case base32: any text column.
    Text,
    /// `psn_…@p.invalid`: an e-mail column.
    Email,
    /// `psn_…@p.example.com`: the same, where addresses are held against the list of top-level domains.
    Mailbox,
    /// A random (version 4) UUID.
    Uuid,
    /// A positive 63-bit integer.
    Integer,
}

/// A field's declared type, as SQL names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Declared {
    /// `text` (the default).
    Text,
    /// `varchar` or `varchar(n)`: n characters.
    Varchar(Option<u32>),
    /// `integer`.
    Integer,
    /// `bigint`.
    Bigint,
    /// `numeric` or `numeric(precision, scale)`.
    Numeric(Option<(u16, u16)>),
    /// `boolean`.
    Boolean,
    /// `date`.
    Date,
    /// `timestamptz` or `timestamptz(p)`.
    Timestamptz(Option<u8>),
    /// `uuid`.
    Uuid,
    /// `jsonb`.
    Jsonb,
    /// `bytea`.
    Bytea,
}

/// A class of subjects and what happens when one is written about after erasure.
#[derive(Debug, Clone)]
pub struct Class {
    /// `person`.
    pub name: Arc<str>,
    /// What a write about an erased subject gets.
    pub after_erasure: AfterErasure,
    /// How its ids are written where HTTP requests tell them.
    pub ids: Ids,
}

/// How a class's ids are written: services read `1.json`, `1.0` or `me` as they like, and one person must have one id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ids {
    /// Any text.
    #[default]
    Text,
    /// Whole numbers.
    Integer,
    /// UUIDs.
    Uuid,
}

impl Ids {
    /// Whether an id in its canonical spelling is one of these.
    #[must_use]
    pub fn take(self, id: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Integer => id.parse::<i64>().is_ok(),
            Self::Uuid => uuid::Uuid::try_parse(id).is_ok(),
        }
    }
}

/// What a write about an erased subject gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterErasure {
    /// An error; needs a keyed mark that outlives the subject.
    Refuse,
    /// A new secret: the id may be used again by somebody.
    New,
}

/// A table that holds protected columns.
#[derive(Debug, Clone)]
pub struct Table {
    /// `public` unless the file says `"hr.people"`.
    pub schema: Arc<str>,
    /// As in the catalog (not quoted, case as stored).
    pub name: Arc<str>,
    /// Whose data its rows hold.
    pub subject: TableSubject,
    /// The protected columns.
    pub columns: Vec<Placed>,
    /// What becomes of its values where the row that they stand in doesn't tell whose it is.
    pub bind: Bind,
}

/// What becomes of a value where a statement's shape leaves no room for its row's subject, or a row has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bind {
    /// It opens as whoever's it says that it is.
    #[default]
    Allow,
    /// The statement is refused, and the row an error.
    Refuse,
}

/// Whose data a table's rows hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSubject {
    /// The column with the subject's id.
    pub column: Arc<str>,
    /// The subject's class.
    pub class: Arc<str>,
    /// Rows for which it holds; elsewhere the row is nobody's and its values stay clear.
    pub when: Option<When>,
}

/// `when = "content_type_id = 4"` or, by natural key, `when = "content_type = auth.user"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// For a literal: the column itself. For a natural key: the name whose foreign key column is
    /// `name` or `name_id`.
    pub column: Arc<str>,
    /// What it must equal.
    pub equals: WhenValue,
}

/// The right side of a `when`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhenValue {
    /// A literal in the column's text form.
    Literal(Arc<str>),
    /// Natural key parts, in the order of the referenced table's text-only UNIQUE key.
    NaturalKey(Vec<Arc<str>>),
}

/// A field at a column.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Column name as in the catalog.
    pub column: Arc<str>,
    /// What it holds.
    pub field: FieldId,
}

/// Requests and answers that hold protected places.
#[derive(Debug, Clone)]
pub struct Route {
    /// As written: `/people/{id}`.
    pub path: Arc<str>,
    /// The same, in parts.
    pub segments: Vec<Segment>,
    /// Upper case; empty: all. GET covers HEAD.
    pub methods: Vec<Arc<str>>,
    /// Its protected places.
    pub places: Vec<RoutePlace>,
    /// Whose a whole body is, and as which field it is sealed.
    pub body: Option<RouteBody>,
    /// Members of answers that hold addresses of this listener.
    pub links: Vec<Pointer>,
    /// Whether the address in an answer's `Location` is turned around.
    pub location: bool,
    /// Query parameters that may pass undeclared; `None`: all.
    pub parameters: Option<Vec<Arc<str>>>,
    /// Requests are GraphQL: their operation's text (`query`) must hold no values.
    pub graphql: bool,
    /// How deep JSON may nest.
    pub depth: u16,
    /// Bytes of JSON that are held until the person they are about is known.
    pub item_bytes: u32,
}

/// A part of a route's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// These characters, unescaped.
    Literal(Arc<str>),
    /// `{name}`: one segment.
    Param(Arc<str>),
    /// `{*name}`: all that is left.
    Rest(Arc<str>),
}

/// A field at a place of a request or answer.
#[derive(Debug, Clone)]
pub struct RoutePlace {
    /// Where.
    pub spot: Spot,
    /// What stands there.
    pub field: FieldId,
    /// Whose it is.
    pub owner: RouteOwner,
    /// Compared with, never stored.
    pub find: bool,
    /// How a comparison is written: members of an object that the value may be (`_eq`), or what a parameter begins
    /// with (`eq.`).
    pub operators: Vec<Arc<str>>,
}

/// A whole body as one field.
#[derive(Debug, Clone)]
pub struct RouteBody {
    /// The field.
    pub field: FieldId,
    /// Whose it is.
    pub owner: RouteOwner,
}

/// Where the person that a value is about is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteOwner {
    /// The subject's class.
    pub class: Arc<str>,
    /// The first that is there counts.
    pub sources: Vec<RouteSubject>,
}

impl RouteOwner {
    /// Whether the answer to a creation may tell.
    pub fn returned(&self) -> bool {
        self.sources.iter().any(|s| matches!(s, RouteSubject::Response(_) | RouteSubject::ResponseLocation))
    }
}

/// A source of a subject's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteSubject {
    /// A segment of the path.
    Path(Arc<str>),
    /// A request header (lower case).
    Header(Arc<str>),
    /// A query parameter.
    Query(Arc<str>),
    /// A control of the form.
    Form(Arc<str>),
    /// A claim of the request's verified token.
    Jwt(Arc<str>),
    /// A member of the body. Without `*` it is sought from the item that the value stands in.
    Json(Pointer),
    /// A member of the answer to a creation.
    Response(Pointer),
    /// The last segment of the answer's `Location`.
    ResponseLocation,
}

/// A place in a request or answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// A JSON member or item.
    Json(Pointer),
    /// A form's control: urlencoded or multipart.
    Form(Arc<str>),
    /// A query parameter.
    Query(Arc<str>),
    /// A member of the JSON that a query parameter holds, however that is spelled (`filter={…}`, `filter[a][b]=…`).
    Filter(Arc<str>, Pointer),
    /// A segment of the path.
    Path(Arc<str>),
    /// A header (lower case).
    Header(Arc<str>),
}

/// A JSON pointer (RFC 6901) with `*` for every item of an array, and `**` for any depth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pointer(pub Vec<Step>);

/// One reference of a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member of that name; of an array, the item of that number.
    Key(Arc<str>),
    /// `*`: every item of an array.
    Each,
    /// `**`: any number of members and items.
    Deep,
}
