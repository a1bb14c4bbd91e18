//! What a predicate is made of: operands and tests, as the planner reads them from the statement's tree.
//!
//! Constants are slots: numbered by the planner, bound at each execution. So nothing here holds a value, and
//! all of it can be printed, kept and compared.

use super::collation::Collation;
use crate::policy::model::Declared;

/// An operand.
#[derive(Debug, Clone)]
pub enum Expr {
    /// A column, by its position in [`super::Scope::columns`] and in the rows that are tested.
    Column(usize),
    /// A constant, by its position in [`super::Scope::slots`]. NULL is a constant, too.
    Slot(usize),
    /// A function or operator that gives a value.
    Call(Function, Vec<Expr>),
    /// `x::type`, `CAST(x AS type)`. A constant's own cast goes into [`super::Scope::slots`] instead.
    Cast(Box<Expr>, Declared),
    /// `x COLLATE "name"`.
    Collate(Box<Expr>, Collation),
}

/// A function, by the name that Postgres has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `upper(text)`
    Upper,
    /// `lower(text)`
    Lower,
    /// `initcap(text)`
    Initcap,
    /// `btrim(text [, text])`, `trim(both … from …)`
    Btrim,
    /// `ltrim(text [, text])`
    Ltrim,
    /// `rtrim(text [, text])`
    Rtrim,
    /// `length(text)`, `char_length(text)`; of a bytea its bytes.
    Length,
    /// `octet_length(text)`, `octet_length(bytea)`
    OctetLength,
    /// `left(text, n)`
    Left,
    /// `right(text, n)`
    Right,
    /// `substr(text, from [, count])`, `substring(text from … for …)`
    Substr,
    /// `coalesce(x, …)`
    Coalesce,
    /// `nullif(x, y)`
    Nullif,
    /// `text || text`: NULL where either is.
    Concat,
    /// `concat(x, …)`: NULL counts as nothing.
    ConcatAll,
    /// `concat_ws(separator, x, …)`
    ConcatWs,
    /// `replace(text, from, to)`
    Replace,
    /// `reverse(text)`
    Reverse,
    /// `strpos(text, part)`, `position(part in text)` with its arguments turned round
    Strpos,
    /// `like_escape(pattern, escape)`: what the grammar makes of `LIKE … ESCAPE …`.
    LikeEscape,
    /// `similar_to_escape(pattern [, escape])`: what it makes of `SIMILAR TO`.
    SimilarToEscape,
}

impl Function {
    /// The function of that name in `pg_catalog`, called with so many arguments.
    pub fn named(name: &str, arguments: usize) -> Option<Self> {
        let (function, takes) = match name {
            "upper" => (Self::Upper, 1..=1),
            "lower" => (Self::Lower, 1..=1),
            "initcap" => (Self::Initcap, 1..=1),
            "btrim" => (Self::Btrim, 1..=2),
            "ltrim" => (Self::Ltrim, 1..=2),
            "rtrim" => (Self::Rtrim, 1..=2),
            "length" | "char_length" | "character_length" => (Self::Length, 1..=1),
            "octet_length" => (Self::OctetLength, 1..=1),
            "left" => (Self::Left, 2..=2),
            "right" => (Self::Right, 2..=2),
            "substr" | "substring" => (Self::Substr, 2..=3),
            "concat" => (Self::ConcatAll, 1..=100),
            "concat_ws" => (Self::ConcatWs, 2..=100),
            "replace" => (Self::Replace, 3..=3),
            "reverse" => (Self::Reverse, 1..=1),
            "strpos" | "position" => (Self::Strpos, 2..=2),
            "like_escape" => (Self::LikeEscape, 2..=2),
            "similar_to_escape" => (Self::SimilarToEscape, 1..=2),
            _ => return None,
        };
        takes.contains(&arguments).then_some(function)
    }
}

/// A comparison, or a match against a pattern, that gives true, false or NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `IS DISTINCT FROM`: never NULL
    Distinct,
    /// `IS NOT DISTINCT FROM`: never NULL
    NotDistinct,
    /// `LIKE`, `~~`
    Like,
    /// `NOT LIKE`, `!~~`
    NotLike,
    /// `ILIKE`, `~~*`
    Ilike,
    /// `NOT ILIKE`, `!~~*`
    NotIlike,
    /// `~`, and `SIMILAR TO` with [`Function::SimilarToEscape`] on its right
    Match,
    /// `!~`
    NotMatch,
    /// `~*`
    Imatch,
    /// `!~*`
    NotImatch,
    /// `^@`, `starts_with(x, y)`
    StartsWith,
}

impl Operator {
    /// The operator that is written so.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "=" => Self::Equal,
            "<>" | "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterEqual,
            "~~" => Self::Like,
            "!~~" => Self::NotLike,
            "~~*" => Self::Ilike,
            "!~~*" => Self::NotIlike,
            "~" => Self::Match,
            "!~" => Self::NotMatch,
            "~*" => Self::Imatch,
            "!~*" => Self::NotImatch,
            "^@" => Self::StartsWith,
            _ => return None,
        })
    }

    /// As SQL writes it, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Distinct => "IS DISTINCT FROM",
            Self::NotDistinct => "IS NOT DISTINCT FROM",
            Self::Like => "LIKE",
            Self::NotLike => "NOT LIKE",
            Self::Ilike => "ILIKE",
            Self::NotIlike => "NOT ILIKE",
            Self::Match => "~",
            Self::NotMatch => "!~",
            Self::Imatch => "~*",
            Self::NotImatch => "!~*",
            Self::StartsWith => "^@",
        }
    }
}

/// What a row is held against.
#[derive(Debug, Clone)]
pub enum Test {
    /// True where all are.
    And(Vec<Test>),
    /// True where one is.
    Or(Vec<Test>),
    /// `NOT x`
    Not(Box<Test>),
    /// `x IS NULL`; `x IS NOT NULL` is its [`Test::Not`].
    IsNull(Expr),
    /// `x IS TRUE`, `x IS FALSE`, `x IS UNKNOWN` (`None`); with NOT their [`Test::Not`].
    Is(Box<Test>, Option<bool>),
    /// A boolean operand by itself.
    Holds(Expr),
    /// `left operator right`
    Compare(Operator, Expr, Expr),
    /// `left operator ANY (…)`, or ALL. `x IN (…)` is `= ANY`, `x NOT IN (…)` is `<> ALL`.
    Quantified {
        /// What is compared with each.
        left: Expr,
        /// Neither [`Operator::Distinct`] nor [`Operator::NotDistinct`].
        operator: Operator,
        /// ALL.
        all: bool,
        /// With what.
        items: Items,
    },
}

/// The right side of ANY, ALL and IN.
#[derive(Debug, Clone)]
pub enum Items {
    /// `IN (a, b)`, `ANY (ARRAY[a, b])`
    List(Vec<Expr>),
    /// `ANY ($1)`: a slot that is bound to an array.
    Array(usize),
}

impl Test {
    /// `item BETWEEN low AND high`; with NOT its [`Test::Not`].
    pub fn between(item: &Expr, low: &Expr, high: &Expr, symmetric: bool) -> Self {
        let within = |low: &Expr, high: &Expr| {
            Self::And(vec![
                Self::Compare(Operator::GreaterEqual, item.clone(), low.clone()),
                Self::Compare(Operator::LessEqual, item.clone(), high.clone()),
            ])
        };
        if symmetric { Self::Or(vec![within(low, high), within(high, low)]) } else { within(low, high) }
    }
}
