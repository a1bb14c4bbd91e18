//! EXECUTE: a prepared statement's plan with the arguments in the place of its parameters.

use super::core::copy;
use super::edit::{quote, quote_text};
use super::value::cast_argument;
use super::{Scope, refuse};
use crate::ids::FieldId;
use crate::pg::plan::{
    Action, Arg, Call, CallKind, Calls, Constants, Given, Param, Plan, RowSubject, Source, SubjectSource,
    Write,
};
use crate::pg::refusal::Refusal;
use std::ops::Range;
use std::sync::Arc;

/// The statement that was prepared under the name.
#[derive(Debug, Clone, Copy)]
pub struct Called<'a> {
    /// Its plan.
    pub plan: &'a Arc<Plan>,
    /// The parameter types that it declares.
    pub declared: &'a [u32],
}

/// The plan of an EXECUTE that stands at `span` of `text`.
///
/// # Errors
/// It can't be protected.
pub fn execute(
    call: &Call,
    text: &str,
    span: &Range<usize>,
    called: Called<'_>,
    scope: &Scope<'_>,
) -> Result<Plan, Refusal> {
    let plan = called.plan;
    if call.how == CallKind::Fill {
        let message = format!("CREATE TABLE AS EXECUTE of {}, which touches a protected table", call.name);
        let hint = "Create the table, then copy through the application.";
        return Err(refuse::refusal("create-table-as", message, hint));
    }
    let (taken, given) = (plan.client_params.len(), call.args.len());
    let param = call.args.iter().find_map(|a| if let Given::Param(n) = a.given { Some(n) } else { None });
    if taken != given || param.is_some() {
        return Ok(miscalled(call, plan, param.filter(|_| taken == given)));
    }
    if !plan.evaluations.is_empty() {
        return Err(refuse::refusal(
            "execute",
            format!(
                "EXECUTE of {}, which was prepared by the protocol and has conditions or an order that the gateway evaluates",
                call.name
            ),
            "Bind it by the protocol, or send its text.",
        ));
    }
    let made = Arguments { args: &call.args, evaluated: evaluated(call, plan) };
    let mut params = Vec::with_capacity(plan.params.len());
    for (i, param) in plan.params.iter().enumerate() {
        params.push(made.param(param, called.declared.get(i).copied().unwrap_or(0), scope)?);
    }
    if let CallKind::Explain { analyze } = call.how {
        return explain(call, text, span, plan, params, analyze);
    }
    let expression = |&i: &u16| {
        let range = call.args.get(usize::from(i)).map(|a| a.range.clone());
        (i, range.and_then(|r| text.get(r)).unwrap_or_default().to_owned())
    };
    let expressions = made.evaluated.iter().map(expression).collect();
    let sql = stub(&call.name, &vec!["NULL"; params.len()]);
    Ok(Plan {
        write: plan.write.as_ref().map(|w| made.write(w)),
        sorts_by_token: plan.sorts_by_token,
        modifies: plan.modifies,
        keep: plan.keep.clone(),
        calls: Some(Calls { name: call.name.clone(), plan: Arc::clone(plan), expressions }),
        params,
        ..plan.read_by(sql)
    })
}

/// What the client's own statement is upstream: it tells what the result looks like, and is never run where there
/// are values.
fn stub(name: &str, args: &[&str]) -> String {
    if args.is_empty() {
        format!("EXECUTE {}", quote(name))
    } else {
        format!("EXECUTE {} ({})", quote(name), args.join(", "))
    }
}

/// An EXECUTE that the server is to complain of when it runs: of the number of its arguments, or of a parameter,
/// which it can't have.
fn miscalled(call: &Call, plan: &Plan, param: Option<u16>) -> Plan {
    let needed = plan.params.len();
    let dollar = param.map(|n| format!("${n}"));
    let args = match &dollar {
        Some(dollar) => std::iter::once(&**dollar).chain(vec!["NULL"; needed.saturating_sub(1)]).collect(),
        // Never so many as would be right.
        None if call.args.len() == needed => vec!["NULL"; needed + 1],
        None => vec!["NULL"; call.args.len()],
    };
    let sql = stub(&call.name, &args);
    match call.how {
        CallKind::Explain { .. } => Plan { sql: format!("EXPLAIN {sql}"), ..Plan::default() },
        _ => plan.read_by(sql),
    }
}

/// Arguments of unprotected parameters that the server is to evaluate: all but plain constants, which it would
/// read as the parameter's type too.
fn evaluated(call: &Call, plan: &Plan) -> Vec<u16> {
    let plain = |i: u16| {
        let mut uses = plan.params.iter().filter(|p| matches!(p.source, Source::Client(n) if n == i));
        uses.all(|p| p.action == Action::Relay)
    };
    let needed = |i: &u16| {
        let given = call.args.get(usize::from(*i)).map(|a| &a.given);
        !matches!(given, None | Some(Given::Null | Given::Literal { bare: true, .. })) && plain(*i)
    };
    (0..u16::try_from(call.args.len()).unwrap_or(u16::MAX)).filter(needed).collect()
}

struct Arguments<'a> {
    args: &'a [Arg],
    /// Which of them the server evaluates: they are the client's parameters, in this order.
    evaluated: Vec<u16>,
}

impl Arguments<'_> {
    fn given(&self, i: u16) -> &Given {
        self.args.get(usize::from(i)).map_or(&Given::Null, |a| &a.given)
    }

    /// Where the value of a parameter comes from now.
    fn source(&self, source: &Source) -> Source {
        match source {
            Source::Client(i) => match (self.evaluated.iter().position(|e| e == i), self.given(*i)) {
                (Some(k), _) => Source::Client(u16::try_from(k).unwrap_or(u16::MAX)),
                (None, Given::Literal { value, .. }) => Source::Literal(Some(copy(value))),
                (None, _) => Source::Literal(None),
            },
            Source::Literal(value) => Source::Literal(value.as_ref().map(copy)),
            Source::Nothing => Source::Nothing,
        }
    }

    fn param(&self, param: &Param, declared: u32, scope: &Scope<'_>) -> Result<Param, Refusal> {
        let mut made = Param {
            source: self.source(&param.source),
            action: param.action.clone(),
            type_oid: param.type_oid,
            read_as: param.read_as,
            not_null: param.not_null,
        };
        let Source::Client(i) = param.source else { return Ok(made) };
        let Some((id, array)) = protects(&param.action) else {
            if made.type_oid == 0 {
                made.type_oid = declared;
            }
            return Ok(made);
        };
        let field = scope.policy.fields.get(usize::from(id.0));
        let field = field.ok_or_else(|| refuse::unknown("a field of another policy"))?;
        match self.given(i) {
            Given::Null => {}
            Given::Literal { casts, .. } => {
                let cast = cast_argument(casts, field, array)?;
                made.read_as = match (param.read_as, declared) {
                    _ if cast != 0 => cast,
                    (0, declared) => declared,
                    (read_as, _) => read_as,
                };
            }
            Given::Param(_) | Given::Expression => return Err(refuse::expression(&field.name)),
        }
        Ok(made)
    }

    fn subject(&self, subject: &SubjectSource) -> SubjectSource {
        match subject {
            SubjectSource::Client(i) => match self.source(&Source::Client(*i)) {
                Source::Client(k) => SubjectSource::Client(k),
                Source::Literal(Some(value)) => {
                    SubjectSource::Literal(String::from_utf8_lossy(value.bytes()).into())
                }
                Source::Literal(None) | Source::Nothing => SubjectSource::Nobody,
            },
            SubjectSource::Each(source) => SubjectSource::Each(self.source(source)),
            SubjectSource::Literal(id) => SubjectSource::Literal(id.clone()),
            SubjectSource::Returned => SubjectSource::Returned,
            SubjectSource::Found => SubjectSource::Found,
            SubjectSource::Nobody => SubjectSource::Nobody,
        }
    }

    fn write(&self, write: &Write) -> Write {
        let row = |row: &RowSubject| RowSubject {
            subject: self.subject(&row.subject),
            when: row.when.as_ref().map(|when| crate::pg::plan::RowWhen {
                value: self.subject(&when.value),
                oid: when.oid,
                equals: when.equals.clone(),
            }),
            pinned: row.pinned,
            class: Arc::clone(&row.class),
            oid: row.oid,
        };
        Write {
            class: Arc::clone(&write.class),
            inserts: write.inserts,
            rows: write.rows.iter().map(row).collect(),
            lookup: write.lookup.clone(),
            bind: write.bind.clone(),
            within: write.within.clone(),
            subject_oid: write.subject_oid,
        }
    }
}

/// The field of a value that must not leave in clear, and whether it is an array.
fn protects(action: &Action) -> Option<(FieldId, bool)> {
    match action {
        Action::Seal { field, .. }
        | Action::Hold { field, .. }
        | Action::Find { field }
        | Action::FindFolded { field }
        | Action::ProtectPerSubject { field } => Some((*field, false)),
        Action::FindEach { field } | Action::ProtectEach { field } => Some((*field, true)),
        Action::Relay | Action::Null | Action::Answer(_) | Action::Subjects | Action::Kept => None,
    }
}

/// EXPLAIN EXECUTE: by text, since it takes no parameters. What would be sealed is NULL there.
fn explain(
    call: &Call,
    text: &str,
    span: &Range<usize>,
    plan: &Plan,
    params: Vec<Param>,
    analyze: bool,
) -> Result<Plan, Refusal> {
    if analyze && (plan.modifies || plan.write.is_some()) {
        return Err(refuse::explain_analyze());
    }
    let part = |range: Range<usize>| text.get(range).unwrap_or_default();
    let (head, tail) = match &call.list {
        Some(list) => (part(span.start..list.start).to_owned(), part(list.end..span.end).to_owned()),
        None if params.is_empty() => (part(span.clone()).to_owned(), String::new()),
        // The line break ends a comment.
        None => (format!("{}\n(", part(span.clone())), ")".to_owned()),
    };
    let mut pieces = Vec::new();
    let mut values = Vec::new();
    let (mut sql, mut piece) = (head.clone(), head);
    for (i, param) in params.into_iter().enumerate() {
        if i > 0 {
            sql.push_str(", ");
            piece.push_str(", ");
        }
        match (&param.action, call.args.get(i)) {
            (Action::Relay, Some(arg)) => {
                sql.push_str(part(arg.range.clone()));
                piece.push_str(part(arg.range.clone()));
            }
            (Action::Find { .. } | Action::FindEach { .. } | Action::FindFolded { .. }, _) => {
                sql.push_str("NULL");
                pieces.push((std::mem::take(&mut piece), u16::try_from(values.len()).ok()));
                values.push(param);
            }
            _ => {
                sql.push_str("NULL");
                piece.push_str("NULL");
            }
        }
    }
    sql.push_str(&tail);
    pieces.push((piece + &tail, None));
    let constants = (!values.is_empty()).then_some(Constants { pieces, values });
    Ok(Plan { sql, constants, ..Plan::default() })
}

/// The call of a helper by which the server evaluates arguments: each as the parameter's type, all others NULL.
pub fn evaluation(helper: &str, params: usize, expressions: &[(u16, String)]) -> String {
    let mut args = vec!["NULL"; params];
    for (i, expression) in expressions {
        if let Some(arg) = args.get_mut(usize::from(*i)) {
            *arg = expression;
        }
    }
    format!("EXECUTE {} ({}\n)", quote(helper), args.join(", "))
}

/// The parameter types of a prepared statement, as the server knows them: one column with an OID in each row.
pub fn parameter_types(name: &str) -> String {
    format!(
        "SELECT p.t::pg_catalog.oid::pg_catalog.text FROM pg_catalog.pg_prepared_statements s, \
         pg_catalog.unnest(s.parameter_types) WITH ORDINALITY AS p (t, n) WHERE s.name = {} ORDER BY p.n",
        quote_text(name)
    )
}
