//! Statements that are prepared under a name, by SQL: PREPARE and EXECUTE.

use super::Plan;
use crate::clear::Clear;
use std::ops::Range;
use std::sync::Arc;

/// What PREPARE makes.
#[derive(Debug)]
pub struct Prepares {
    /// The name.
    pub name: Box<str>,
    /// The statement's own text, as the client wrote it.
    pub text: Box<str>,
    /// The parameter types that are declared (0: left open).
    pub declared: Arc<[u32]>,
    /// How it runs; none where EXECUTE of it is let through. Then the text is that of the PREPARE.
    pub plan: Option<Arc<Plan>>,
    /// A name or string in it is that of something protected.
    pub mentions: bool,
}

/// EXECUTE of a planned statement: that one is bound, with the arguments as its values.
#[derive(Debug)]
pub struct Calls {
    /// The name.
    pub name: Box<str>,
    /// The plan under that name.
    pub plan: Arc<Plan>,
    /// Arguments that the server must evaluate first: the number of the parameter, from 0, and the expression.
    /// They are the client's values then, in this order.
    pub expressions: Vec<(u16, String)>,
}

/// EXECUTE, as it was written.
#[derive(Debug)]
pub struct Call {
    /// The name.
    pub name: Box<str>,
    /// What is done with it.
    pub how: CallKind,
    /// The arguments.
    pub args: Vec<Arg>,
    /// The bytes between their brackets, where there are any.
    pub list: Option<Range<usize>>,
}

/// Where EXECUTE stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// By itself.
    Run,
    /// In EXPLAIN; with ANALYZE it runs too.
    Explain {
        /// With ANALYZE.
        analyze: bool,
    },
    /// In CREATE TABLE AS.
    Fill,
}

/// An argument of EXECUTE.
#[derive(Debug)]
pub struct Arg {
    /// Its bytes.
    pub range: Range<usize>,
    /// What it is.
    pub given: Given,
}

/// A cast around an argument.
#[derive(Debug)]
pub struct ArgCast {
    /// OID and typmod of the (element) type, where known.
    pub to: Option<(u32, i32)>,
    /// To an array.
    pub array: bool,
    /// The type's name.
    pub name: String,
}

/// What an argument is.
#[derive(Debug)]
pub enum Given {
    /// NULL.
    Null,
    /// A constant.
    Literal {
        /// Its text form.
        value: Clear,
        /// It is a string or a whole number, and nothing is cast.
        bare: bool,
        /// Casts around it.
        casts: Vec<ArgCast>,
    },
    /// A parameter, which EXECUTE does not take.
    Param(u16),
    /// Anything else: the server evaluates it.
    Expression,
}
