//! Constants: what a literal or parameter is, the casts around it, and how it is put in a protected place.

use super::core::DEEPEST;
use super::core::{Origin, Planner, Step, Use};
use super::edit::Piece;
use super::lex::Kind;
use super::names::strings;
use super::{refuse, types};
use crate::clear::Clear;
use crate::ids::FieldId;
use crate::pg::plan::{Action, ArgCast};
use crate::pg::refusal::Refusal;
use crate::policy::model::{Declared, Field, Protect};
use pg_raw_parse::{ConstValue, Node, nodes};
use std::ops::Range;
use zeroize::Zeroizing;

/// A literal, parameter or NULL, maybe in casts.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) what: What,
    /// The type of a number or boolean; 0 for what takes the type of its place.
    pub(super) oid: u32,
    /// Its bytes, without casts.
    pub(super) range: Range<usize>,
    pub(super) casts: Vec<Cast>,
}

/// What a constant is.
pub(super) enum What {
    /// NULL.
    Null,
    /// A literal in its text form.
    Literal(Zeroizing<String>),
    /// The client's parameter of that number.
    Param(u16),
}

/// Never shows the literal.
impl std::fmt::Debug for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Literal(_) => f.write_str("Literal([secret])"),
            Self::Param(n) => write!(f, "Param({n})"),
        }
    }
}

/// A cast around something.
#[derive(Debug)]
pub(super) struct Cast {
    /// OID and typmod of the (element) type, where known.
    pub(super) to: Option<(u32, i32)>,
    /// To an array.
    pub(super) array: bool,
    /// What to cut out to take it off.
    pub(super) cuts: Vec<Range<usize>>,
    /// The type's name, to name it in a refusal.
    pub(super) name: String,
    /// Where the type's name stands.
    pub(super) type_range: Range<usize>,
}

/// Where a protected value is needed.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) field: FieldId,
    pub(super) label: &'a str,
    pub(super) stored_oid: u32,
    pub(super) not_null: bool,
}

impl Planner<'_> {
    /// The constant that a node is, if it is one.
    pub(super) fn value(&self, node: Node<'_>) -> Step<Option<Value>> {
        let constant = |what, oid, range| Ok(Some(Value { what, oid, range, casts: Vec::new() }));
        match node {
            Node::A_Const(c) => {
                let at = self.token_at(c.location)?;
                let (text, oid) = match (c.isnull, c.val()) {
                    (true, _) => (None, 0),
                    (_, Some(ConstValue::String(s))) => (Some(s.to_owned()), 0),
                    (_, Some(ConstValue::Integer(i))) => (Some(i.to_string()), types::INT4),
                    (_, Some(ConstValue::Float(f))) => (Some(f.to_owned()), number(f)),
                    (_, Some(ConstValue::Boolean(b))) => (Some(b.to_string()), types::BOOL),
                    _ => return Err(refuse::unknown("a bit string").into()),
                };
                let words = matches!(oid, types::BOOL) || text.is_none();
                let what = text.map_or(What::Null, |text| What::Literal(text.into()));
                let mut range = self.bytes_of(at);
                let kind = self.tokens.get(at).map(|t| t.kind);
                match kind {
                    Some(Kind::Operator) if self.text.get(range.clone()) == Some("-") => {
                        if self.tokens.get(at + 1).map(|t| t.kind) != Some(Kind::Number) {
                            return Err(refuse::unknown("a signed constant").into());
                        }
                        range.end = self.bytes_of(at + 1).end;
                    }
                    Some(Kind::Str | Kind::Number) => {}
                    Some(Kind::Word) if words => {}
                    _ => return Err(refuse::unknown("a constant in a form that can't be located").into()),
                }
                constant(what, oid, range)
            }
            Node::ParamRef(p) => {
                let at = self.token_at(p.location)?;
                match self.tokens.get(at).map(|t| t.kind) {
                    Some(Kind::Param(n)) if i32::from(n) == p.number && n > 0 => {
                        constant(What::Param(n), 0, self.bytes_of(at))
                    }
                    _ => Err(refuse::unknown("a parameter of that form").into()),
                }
            }
            Node::TypeCast(_) => {
                let (mut casts, mut inner) = (Vec::new(), node);
                while let Node::TypeCast(cast) = inner {
                    casts.push(cast);
                    inner = cast.arg();
                }
                if casts.len() > DEEPEST {
                    return Err(refuse::too_deep().into());
                }
                let Some(mut value) = self.value(inner)? else { return Ok(None) };
                for cast in casts.into_iter().rev() {
                    value.casts.push(self.cast(cast, Some(&value.range))?);
                }
                Ok(Some(value))
            }
            _ => Ok(None),
        }
    }

    /// What a cast is, and how to take it off.
    pub(super) fn cast(&self, cast: &nodes::TypeCast, literal: Option<&Range<usize>>) -> Step<Cast> {
        let lost = || refuse::unknown("a cast of that form");
        let ty = cast.type_name().ok_or_else(lost)?;
        let type_at = self.token_at(ty.location)?;
        let type_end = self.bytes_of(self.tokens.type_end(type_at) - 1).end;
        let type_range = self.bytes_of(type_at).start..type_end;
        let cuts = match usize::try_from(cast.location) {
            // `date '2000-01-01'`
            Err(_) => {
                let literal = literal.ok_or_else(lost)?;
                if literal.start < type_range.start {
                    return Err(lost().into());
                }
                std::iter::once(type_range.start..literal.start).collect()
            }
            Ok(_) => {
                let at = self.token_at(cast.location)?;
                let token = self.bytes_of(at);
                if self.text.get(token.clone()) == Some("::") {
                    std::iter::once(token.start..type_end).collect()
                } else if self.tokens.is_word(at, "cast") {
                    let close = self.tokens.closing(at + 1).ok_or_else(lost)?;
                    if type_at == 0 || !self.tokens.is_word(type_at - 1, "as") {
                        return Err(lost().into());
                    }
                    vec![token, self.bytes_of(type_at - 1).start..self.bytes_of(close).start]
                } else {
                    return Err(lost().into());
                }
            }
        };
        let (name, to) = type_of(ty)?;
        Ok(Cast { to, array: !ty.array_bounds().is_empty(), cuts, name, type_range })
    }

    /// Takes casts off.
    pub(super) fn strip(&mut self, casts: &[Cast]) {
        for cut in casts.iter().flat_map(|c| &c.cuts) {
            self.edit(cut.clone(), Vec::new());
        }
    }

    /// Whether the casts around a value (or a column) keep it what the field declares.
    pub(super) fn check_casts(&self, casts: &[Cast], place: &Place<'_>, array: bool) -> Step<()> {
        let field = self.field(place.field)?;
        for cast in casts {
            if cast.array != array || !cast.to.is_some_and(|to| fits(to, field)) {
                return Err(misfit(&cast.name, place.label).into());
            }
        }
        Ok(())
    }

    /// Puts a constant in a protected place: takes its casts off and makes it a parameter.
    pub(super) fn protect(
        &mut self,
        value: Value,
        place: &Place<'_>,
        action: Action,
        array: bool,
        pieces: impl FnOnce(usize) -> Vec<Piece>,
    ) -> Step<()> {
        let field = self.field(place.field)?;
        let read_as = match value.casts.as_slice() {
            _ if array => 0,
            [] if is_search(&action) => 0,
            [] => constant_as(value.oid, field, place.label)?,
            casts => assigned(casts, field),
        };
        if read_as == 0 {
            self.check_casts(&value.casts, place, array)?;
        }
        self.strip(&value.casts);
        let oid = types::parameter_oid(place.stored_oid);
        let client = match (read_as, described(&value.casts, field)) {
            (0, Some(oid)) => oid,
            (0, None) => client_oid(field, place.stored_oid),
            (read_as, _) => read_as,
        };
        let in_array = |oid| {
            types::array_of(oid)
                .ok_or_else(|| refuse::unknown(&format!("an array for column {}", place.label)))
        };
        let many = array || matches!(action, Action::FindFolded { .. } | Action::ProtectPerSubject { .. });
        let oid = if many { in_array(oid)? } else { oid };
        let client_oid = if array { in_array(client)? } else { client };
        let origin = match value.what {
            What::Null => return Ok(()),
            What::Literal(text) => {
                self.literals = true;
                Origin::Literal(Some(Clear::text(&text)))
            }
            What::Param(n) => Origin::Param(n),
        };
        let (origin, action) = if self.explain && !is_search(&action) {
            match origin {
                Origin::Param(n) => (Origin::Param(n), Action::Null),
                _ => (Origin::Nothing, Action::Null),
            }
        } else {
            (origin, action)
        };
        let index =
            self.use_value(Use { origin, action, oid, client_oid, read_as, not_null: place.not_null });
        self.edit(value.range, pieces(index));
        Ok(())
    }

    /// A constant compared with a token.
    pub(super) fn find_value(&mut self, value: Value, place: &Place<'_>, array: bool) -> Step<()> {
        let field = place.field;
        let action = if array { Action::FindEach { field } } else { Action::Find { field } };
        self.protect(value, place, action, array, |u| vec![Piece::Use(u)])
    }
}

fn is_search(action: &Action) -> bool {
    matches!(action, Action::Find { .. } | Action::FindEach { .. } | Action::FindFolded { .. })
}

/// The type that a client sees for a value of this field.
fn client_oid(field: &Field, stored: u32) -> u32 {
    types::shown(field, stored, -1).oid
}

/// The type that the innermost cast gives a parameter, where it is text as well as the field.
fn described(casts: &[Cast], field: &Field) -> Option<u32> {
    let text = matches!(field.ty, Declared::Text | Declared::Varchar(_));
    let (oid, _) = casts.first()?.to?;
    (text && types::is_text(oid)).then_some(oid)
}

/// Name, OID and typmod of a type.
pub(super) fn type_of(ty: &nodes::TypeName) -> Step<(String, Option<(u32, i32)>)> {
    let names: Vec<&str> = ty.names().iter().filter_map(|s| s.sval()).collect();
    let mods: Option<Vec<i32>> = ty
        .typmods()
        .iter()
        .map(|m| match m {
            Node::A_Const(c) => match c.val() {
                Some(ConstValue::Integer(i)) => Some(i),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let known = match (names.as_slice(), mods) {
        _ if ty.setof || ty.pct_type => None,
        ([name] | ["pg_catalog", name], Some(mods)) => types::named(name, &mods),
        _ => None,
    };
    Ok((names.last().copied().unwrap_or("unknown").to_owned(), known))
}

/// Whether a cast to this type leaves a value of the field as it is.
fn fits((oid, typmod): (u32, i32), field: &Field) -> bool {
    let (declared, declared_mod) = types::declared(field.ty);
    let integers = [types::INT2, types::INT4, types::INT8];
    let same_length = typmod == -1 || (oid == declared && typmod == declared_mod);
    if types::is_text(oid) {
        return same_length;
    }
    if let Protect::Pseudonym { .. } = field.protect
        && (matches!(oid, types::UUID) || integers.contains(&oid))
    {
        return same_length;
    }
    match field.ty {
        Declared::Integer => matches!(oid, types::INT2 | types::INT4),
        Declared::Bigint => integers.contains(&oid),
        _ => oid == declared && same_length,
    }
}

/// What an argument of EXECUTE with these casts is read as in a protected place (see `Param::read_as`).
pub(super) fn cast_argument(casts: &[ArgCast], field: &Field, array: bool) -> Result<u32, Refusal> {
    if let ([cast], false) = (casts, array)
        && let read_as @ 1.. = assigned_one(cast.to, cast.array, field)
    {
        return Ok(read_as);
    }
    match casts.iter().find(|c| c.array != array || !c.to.is_some_and(|to| fits(to, field))) {
        Some(cast) => Err(misfit(&cast.name, &field.name)),
        None => Ok(0),
    }
}

/// What a number or boolean without a cast is read as where it is assigned, as Postgres does (`pg_cast`): numbers to any
/// of them, rounded, and both to text. 0: as the field's own type.
fn constant_as(oid: u32, field: &Field, label: &str) -> Result<u32, Refusal> {
    let kind = match oid {
        types::INT4 => "integer",
        types::INT8 => "bigint",
        types::NUMERIC => "numeric",
        types::BOOL => "boolean",
        _ => return Ok(0),
    };
    match field.ty {
        _ if field.protect != Protect::Encrypt => Ok(0),
        Declared::Text | Declared::Varchar(_) => Ok(oid),
        Declared::Integer | Declared::Bigint | Declared::Numeric(_) if oid != types::BOOL => Ok(oid),
        Declared::Boolean if oid == types::BOOL => Ok(0),
        _ => Err(Refusal {
            sqlstate: "42804",
            ..refuse::refusal(
                "value",
                format!("column {label} takes no expression of type {kind}"),
                "Write the value in quotes, or in a type that Postgres turns into the column's by itself.",
            )
        }),
    }
}

/// The type of a number that is no integer: one of many digits may be a bigint.
fn number(text: &str) -> u32 {
    if text.parse::<i64>().is_ok() { types::INT8 } else { types::NUMERIC }
}

fn misfit(kind: &str, column: &str) -> Refusal {
    refuse::refusal(
        "cast",
        format!("cast to {kind} on protected column {column}"),
        "Only casts to the declared type or to text are possible; cast in the application.",
    )
}

/// The type that a single cast makes of a constant, from which Postgres would go on to the field's type by
/// assignment (`pg_cast`): a date or time among such, a number among numbers. 0 where there is none, or none is needed.
fn assigned(casts: &[Cast], field: &Field) -> u32 {
    match casts {
        [cast] => assigned_one(cast.to, cast.array, field),
        _ => 0,
    }
}

fn assigned_one(to: Option<(u32, i32)>, array: bool, field: &Field) -> u32 {
    use types::{DATE, FLOAT4, FLOAT8, INT2, INT4, INT8, NUMERIC, TIMESTAMP, TIMESTAMPTZ};
    let (Some((oid, -1)), false) = (to, array) else { return 0 };
    let family: &[u32] = match field.ty {
        Declared::Date | Declared::Timestamptz(_) => &[DATE, TIMESTAMP, TIMESTAMPTZ],
        Declared::Integer | Declared::Bigint | Declared::Numeric(_) => {
            &[INT2, INT4, INT8, NUMERIC, FLOAT4, FLOAT8]
        }
        _ => &[],
    };
    let needed = field.protect == Protect::Encrypt && !fits((oid, -1), field);
    if needed && family.contains(&oid) { oid } else { 0 }
}

/// The name of a function, with whether it may be the one of `pg_catalog`.
pub(super) fn function_name(call: &nodes::FuncCall) -> Step<(String, bool)> {
    let names = strings(call.funcname())?;
    let name = names.last().copied().unwrap_or_default().to_owned();
    Ok((name, names.len() == 1 || names.first() == Some(&"pg_catalog")))
}

/// An array literal in Postgres's text form, of these elements (`None`: NULL).
pub(super) fn array_text(elements: &[Option<Zeroizing<String>>]) -> Zeroizing<String> {
    let length = elements.iter().map(|e| e.as_ref().map_or(5, |e| 2 * e.len() + 3)).sum::<usize>();
    let mut out = Zeroizing::new(String::with_capacity(length + 2));
    out.push('{');
    for (i, element) in elements.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        match element {
            None => out.push_str("NULL"),
            Some(text) => {
                out.push('"');
                for c in text.chars() {
                    if matches!(c, '"' | '\\') {
                        out.push('\\');
                    }
                    out.push(c);
                }
                out.push('"');
            }
        }
    }
    out.push('}');
    out
}
