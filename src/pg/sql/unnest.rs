//! `INSERT … SELECT * FROM UNNEST(array, …)` of literals or parameters: one array per column.

use super::core::{Planner, Step};
use super::edit::Piece;
use super::insert::{Draft, Target};
use super::names::FieldFlow;
use super::value::{Cast, Value, What, array_text, function_name};
use super::{refuse, types};
use crate::clear::Clear;
use crate::pg::plan::{Action, Source, SubjectSource};
use crate::pg::refusal::Refusal;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::{Node, nodes};
use zeroize::Zeroizing;

pub(super) fn form() -> Refusal {
    refuse::refusal(
        "insert-select",
        "INSERT … SELECT of what is neither a constant nor a protected value of the same field and subject",
        "Select constants, insert VALUES, or `SELECT * FROM UNNEST($1::type[], …)` with one array per column.",
    )
}

impl<'s> Planner<'s> {
    /// The rows that an UNNEST stands for.
    pub(super) fn unnest(
        &mut self,
        select: &nodes::SelectStmt,
        target: &Target<'s>,
        columns: &[usize],
    ) -> Step<Draft> {
        let args = arguments(select)?;
        if args.len() != columns.len() {
            return Err(form().into());
        }
        let mut draft = Draft::default();
        let mut subject = SubjectSource::Returned;
        let mut when = None;
        for (arg, &column) in args.into_iter().zip(columns) {
            let (value, casts) = self.array_value(arg)?;
            if let Some(field) = self.field_at(target.rel, column) {
                if !matches!(value.what, What::Null) {
                    draft.wrote((target.rel, column));
                }
                self.protect_array(value, &casts, &field)?;
                continue;
            }
            if column == target.subject || Some(column) == target.when {
                let oid = target.relation.columns[column].type_oid;
                if !casts.iter().all(|c| super::insert::keeps_spelling(c, oid)) {
                    return Err(form().into());
                }
                let source = match &value.what {
                    What::Null => SubjectSource::Nobody,
                    What::Literal(text) => SubjectSource::Each(Source::Literal(Some(Clear::text(text)))),
                    What::Param(n) => SubjectSource::Each(Source::Client(n - 1)),
                };
                if column == target.subject {
                    subject = source;
                } else {
                    when = Some(source);
                }
            }
            if let What::Param(n) = value.what {
                self.plain_param(i32::from(n));
            }
            self.plain_elements(arg)?;
        }
        let when = self.row_when(target, when)?;
        draft.rows.push(self.row_of(target, subject, when));
        Ok(draft)
    }

    /// Parameters within an array that stays as it is.
    fn plain_elements(&mut self, mut node: Node<'_>) -> Step<()> {
        while let Node::TypeCast(c) = node {
            node = c.arg();
        }
        if let Node::A_ArrayExpr(a) = node {
            self.plain_list(a.elements(), &super::names::Env::default(), "ARRAY[…]")?;
        }
        Ok(())
    }

    /// An array as one value: a parameter, an array literal, or ARRAY[…] of literals (its text form).
    fn array_value(&self, node: Node<'_>) -> Step<(Value, Vec<Cast>)> {
        if let Some(mut value) = self.value(node)? {
            let casts = std::mem::take(&mut value.casts);
            return Ok((value, casts));
        }
        let (array, casts) = self.array_in_casts(node)?;
        let array = array.ok_or_else(form)?;
        let open = self.token_at(array.location)?;
        let bracket = if self.tokens.is_word(open, "array") { open + 1 } else { open };
        let close = self.tokens.closing(bracket).ok_or_else(form)?;
        let mut elements = Vec::with_capacity(array.elements().len());
        for element in array.elements() {
            let value = self.value(element)?.ok_or_else(form)?;
            elements.push(match value.what {
                What::Null => None,
                What::Literal(text) => Some(text),
                What::Param(_) => {
                    return Err(refuse::refusal(
                        "insert-select",
                        "UNNEST of an ARRAY[…] of parameters into protected columns",
                        "Pass one array parameter per column.",
                    )
                    .into());
                }
            });
        }
        let text: Zeroizing<String> = array_text(&elements);
        let range = self.bytes_of(open).start..self.bytes_of(close).end;
        Ok((Value { what: What::Literal(text), oid: 0, range, casts: Vec::new() }, casts))
    }

    /// Each element is protected for its own row; a cast is turned into the storage type's.
    fn protect_array(&mut self, value: Value, casts: &[Cast], field: &FieldFlow) -> Step<()> {
        self.check_casts(casts, &field.place(), true)?;
        let stored = types::sql_name(field.stored_oid).ok_or_else(form)?;
        for cast in casts {
            self.edit(cast.type_range.clone(), vec![Piece::Text(format!("{stored}[]"))]);
        }
        let bare = casts.is_empty();
        let action = Action::ProtectEach { field: field.field };
        self.protect(value, &field.place(), action, true, |u| {
            let mut pieces = vec![Piece::Use(u)];
            if bare {
                pieces.push(Piece::Text(format!("::{stored}[]")));
            }
            pieces
        })
    }
}

/// Whether a SELECT has nothing but its columns, one item in FROM, and maybe ORDER BY.
pub(super) fn is_bare(s: &nodes::SelectStmt) -> bool {
    let nothing = |list: &NodeList| list.is_empty();
    s.from_clause().len() == 1
        && s.op == pg_raw_parse::raw::SetOperation::SETOP_NONE
        && s.with_clause().is_none()
        && s.into_clause().is_none()
        && s.locking_clause().is_empty()
        && [s.distinct_clause(), s.group_clause(), s.window_clause()].into_iter().all(nothing)
        && [s.where_clause(), s.having_clause(), s.limit_count(), s.limit_offset()]
            .iter()
            .all(|n| matches!(n, Node::None))
}

/// The arguments of the UNNEST, when the SELECT is nothing but `* FROM UNNEST(…)`.
fn arguments(s: &nodes::SelectStmt) -> Step<Vec<Node<'_>>> {
    let only = s.target_list().len() == 1 && s.sort_clause().is_empty() && is_bare(s);
    let star = s.target_list().first().is_some_and(|t| {
        matches!(t.val(), Node::ColumnRef(c) if c.fields().iter().next_back().is_some_and(|n| matches!(n, Node::A_Star(_))))
    });
    let (true, true, Some(Node::RangeFunction(f))) = (only, star, s.from_clause().first()) else {
        return Err(form().into());
    };
    if f.lateral || f.ordinality || f.is_rowsfrom || !f.coldeflist().is_empty() || f.functions().len() != 1 {
        return Err(form().into());
    }
    let call = match f.functions().first() {
        Some(Node::NodeList(pair)) => pair.first(),
        _ => None,
    };
    let Some(Node::FuncCall(call)) = call else { return Err(form().into()) };
    let (name, system) = function_name(call)?;
    if name != "unnest" || !system || call.func_variadic {
        return Err(form().into());
    }
    Ok(call.args().iter().collect())
}
