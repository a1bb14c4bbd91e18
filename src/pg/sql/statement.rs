//! A text's statements: each by its kind.

use super::core::{Planner, Step};
use super::lex::Tokens;
use super::mention::Mentions;
use super::names::Env;
use super::unnamed::{Awake, Wakes};
use super::{Planned, Scope, StatementKind, filter, prepare, refuse};
use crate::pg::plan::{CallKind, Verdict};
use crate::pg::refusal::Refusal;
use pg_raw_parse::raw::{TransactionStmtKind, VariableSetKind};
use pg_raw_parse::{ConstValue, Node, nodes};
use std::ops::Range;

/// See [`super::plan`].
pub(super) fn plan(sql: &str, declared: &[u32], scope: &Scope<'_>) -> Result<Vec<Planned>, Refusal> {
    plan_as(sql, declared, scope, false)
}

/// The same. `kept`: the server keeps the statement, and it runs later: nothing in it is evaluated.
pub(super) fn plan_as(
    sql: &str,
    declared: &[u32],
    scope: &Scope<'_>,
    kept: bool,
) -> Result<Vec<Planned>, Refusal> {
    let names = Mentions::new(scope);
    let Ok(parsed) = pg_raw_parse::parse(sql) else {
        // The server may read what this grammar does not.
        return if names.in_code(sql) || filter::may_do_more(sql) {
            Err(refuse::syntax())
        } else {
            Ok(vec![Planned::passed(0..sql.len(), StatementKind::Other)])
        };
    };
    let tokens = Tokens::new(sql);
    let mut planned = Vec::with_capacity(parsed.len());
    let mut made: Vec<String> = Vec::new();
    let mut code = Awake::default();
    for raw in parsed.iter() {
        let start = usize::try_from(raw.stmt_location).unwrap_or(0);
        let length = usize::try_from(raw.stmt_len).unwrap_or(0);
        let end = if length == 0 { sql.len() } else { start + length };
        let range = start..end.min(sql.len());
        let kind = kind(raw.stmt());
        let mentions = names.any(&tokens, &range);
        let anywhere = mentions || names.in_strings(&tokens, &range);
        let whole = Text { sql, tokens: &tokens, names: &names, mentions, anywhere, kept };
        let mut verdict = verdict(raw.stmt(), &whole, &range, declared, scope);
        if matches!(verdict, Verdict::Pass)
            && !made.is_empty()
            && uses_new(raw.stmt(), &tokens, &range, &made)
        {
            verdict = Verdict::Refuse(refuse::script_ddl("names"));
        } else if !matches!(verdict, Verdict::Refuse(_)) && code.may_run(raw.stmt()) {
            verdict = Verdict::Refuse(refuse::script_ddl("may run what names"));
        }
        made.extend(super::assigns::made(raw.stmt(), scope).map(str::to_owned));
        let mut wakes = Wakes::None;
        if mentions {
            let runs = super::unnamed::says_code(&tokens, &range, scope.catalog)
                .then(|| runs_functions(raw.stmt()))
                .flatten();
            let new = new_name(raw.stmt());
            wakes = code.hears_of(new, scope.catalog);
            made.extend(new.or(runs).map(str::to_owned));
        }
        code.learns(raw.stmt(), sql.get(range.clone()).unwrap_or_default());
        if wakes == Wakes::CodeUnderWay && !matches!(verdict, Verdict::Refuse(_)) {
            verdict = Verdict::Refuse(refuse::script_wakes());
        }
        let elsewhere = matches!(verdict, Verdict::Pass)
            && mentions
            && reads_or_writes(raw.stmt())
            && names.may_be_unqualified(&tokens, &range);
        // A script stays one text: see [`super::masked_script`].
        if matches!(verdict, Verdict::Pass) && !elsewhere && !kept && parsed.len() == 1 {
            verdict = masked(raw.stmt(), &whole, &range, declared, scope);
        }
        let wakes = wakes != Wakes::None;
        planned.push(Planned { range, verdict, mentions: anywhere, kind, elsewhere, wakes });
    }
    Ok(planned)
}

/// The first statement of a text, and where it ends if others follow; `None` for a text that this grammar does not read.
pub fn first_of(sql: &str) -> Option<(StatementKind, Option<usize>)> {
    let parsed = pg_raw_parse::parse(sql).ok()?;
    let first = parsed.iter().next()?;
    let end = match parsed.len() {
        1 => None,
        _ => Some(usize::try_from(first.stmt_location.checked_add(first.stmt_len)?).ok()?),
    };
    Some((kind(first.stmt()), end))
}

/// Whether no statement stands in a text.
pub fn is_empty(sql: &str) -> bool {
    pg_raw_parse::parse(sql).is_ok_and(|parsed| parsed.iter().next().is_none())
}

/// A text, and what of it is protected's in the statement at hand.
struct Text<'t> {
    sql: &'t str,
    tokens: &'t Tokens<'t>,
    names: &'t Mentions<'t>,
    mentions: bool,
    anywhere: bool,
    kept: bool,
}

impl<'t> Text<'t> {
    fn planner(&self, range: &Range<usize>, declared: &'t [u32], scope: &'t Scope<'t>) -> Planner<'t> {
        let mut planner = Planner::new(scope, self.sql, self.tokens, self.names, range.clone());
        planner.declared = declared;
        planner
    }
}

fn verdict(
    stmt: Node<'_>,
    text: &Text<'_>,
    range: &Range<usize>,
    declared: &[u32],
    scope: &Scope<'_>,
) -> Verdict {
    if let Err(refusal) = super::settings::check(stmt, text.tokens, range) {
        return Verdict::Refuse(refusal);
    }
    if let Err(refusal) = super::ddl::unseen_text(text.tokens, range, scope) {
        return Verdict::Refuse(refusal);
    }
    if let Err(refusal) = super::unnamed::check(stmt, text.tokens, range, scope.catalog) {
        return Verdict::Refuse(refusal);
    }
    if let Err(refusal) = super::assigns::check(stmt, scope) {
        return Verdict::Refuse(refusal);
    }
    if let Err(refusal) = super::schema::renamed_schema(stmt, scope) {
        return Verdict::Refuse(refusal);
    }
    if let Some(call) = prepare::call(stmt) {
        return called(stmt, call, text, range, declared, scope);
    }
    if !text.anywhere {
        return Verdict::Pass;
    }
    if let Node::PrepareStmt(p) = stmt {
        return prepare::prepare(p, text.sql, text.tokens, range, scope);
    }
    let mut planner = text.planner(range, declared, scope);
    planner.evaluating.off = text.kept;
    let result = planner.statement(stmt, text.mentions);
    planner.finish(result)
}

/// A statement that touches nothing protected, and may ask the catalog for types.
fn masked(
    stmt: Node<'_>,
    text: &Text<'_>,
    range: &Range<usize>,
    declared: &[u32],
    scope: &Scope<'_>,
) -> Verdict {
    let mut planner = text.planner(range, declared, scope);
    if !planner.mask(stmt) {
        return Verdict::Pass;
    }
    planner.touched = true;
    if let Node::PrepareStmt(p) = stmt {
        return prepare::let_through(p, &planner, text.anywhere);
    }
    match planner.finish(Ok(())) {
        Verdict::Run(plan) => Verdict::Run(plan),
        _ => Verdict::Pass,
    }
}

/// EXECUTE: what it runs is known by name only. Its arguments are judged as in any statement.
fn called(
    stmt: Node<'_>,
    call: (&nodes::ExecuteStmt, CallKind),
    text: &Text<'_>,
    range: &Range<usize>,
    declared: &[u32],
    scope: &Scope<'_>,
) -> Verdict {
    let mut planner = text.planner(range, declared, scope);
    planner.evaluating.off = true;
    let read = prepare::read_call(call, text.tokens, range, |node| planner.value(node).ok().flatten());
    let judged = match text.anywhere {
        true => planner.executed(stmt, call.0),
        false => Ok(()),
    };
    match (planner.finish(judged), read) {
        (Verdict::Pass, Ok(call)) => Verdict::Call(Box::new(call)),
        (Verdict::Pass, Err(refusal)) => Verdict::Refuse(refusal),
        (other, _) => other,
    }
}

impl<'s> Planner<'s> {
    /// EXECUTE: the table that it fills, and its arguments.
    fn executed(&mut self, stmt: Node<'_>, call: &nodes::ExecuteStmt) -> Step<()> {
        let inner = if let Node::ExplainStmt(x) = stmt { x.query() } else { stmt };
        if let Node::CreateTableAsStmt(c) = inner {
            self.made_by(c)?;
        }
        call.params().iter().try_for_each(|arg| self.call_argument(arg))
    }

    /// An argument of EXECUTE. A constant is nobody's yet.
    fn call_argument(&mut self, arg: Node<'_>) -> Step<()> {
        match self.value(arg) {
            Ok(Some(_)) => Ok(()),
            _ => self.plain(arg, &Env::default(), "an argument of EXECUTE"),
        }
    }

    /// One statement; `mentions`: an identifier (not just a string) in it is a protected name.
    pub(super) fn statement(&mut self, stmt: Node<'_>, mentions: bool) -> Step<()> {
        self.old_server()?;
        self.modifies = matches!(
            stmt,
            Node::InsertStmt(_) | Node::UpdateStmt(_) | Node::DeleteStmt(_) | Node::MergeStmt(_)
        );
        match stmt {
            Node::SelectStmt(s) => self.top_select(s),
            Node::InsertStmt(s) => self.insert(s, &Env::default()),
            Node::UpdateStmt(s) => self.update(s, &Env::default()),
            Node::DeleteStmt(s) => self.delete(s, &Env::default()),
            Node::ExplainStmt(s) => self.explain(s, mentions),
            Node::MergeStmt(s) => self.merge_into(s, &Env::default()),
            other => self.utility(other, mentions),
        }
    }

    fn explain(&mut self, s: &nodes::ExplainStmt, mentions: bool) -> Step<()> {
        if analyzes(s) && !matches!(s.query(), Node::SelectStmt(_)) {
            return Err(refuse::explain_analyze().into());
        }
        self.explain = true;
        self.statement(s.query(), mentions)?;
        if analyzes(s) && self.modifies {
            return Err(refuse::explain_analyze().into());
        }
        self.write = None;
        self.parts.clear();
        self.lookup = None;
        self.keep = None;
        Ok(())
    }

    /// Constants that this grammar and an older server read differently.
    fn old_server(&mut self) -> Step<()> {
        if self.scope.server_version >= 160_000 {
            return Ok(());
        }
        let odd = self.tokens.all().iter().filter(|t| self.span.contains(&t.start)).any(|t| {
            t.kind == super::lex::Kind::Number && {
                let text = self.tokens.text(t).as_bytes();
                text.contains(&b'_') || matches!(text, [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..])
            }
        });
        if odd {
            return Err(refuse::refusal(
                "version-syntax",
                "a number with underscores, or not decimal, which this server reads differently",
                "Write the number in plain decimal digits.",
            )
            .into());
        }
        Ok(())
    }
}

/// Whether a statement reads or writes rows of relations that it names, now or when it is executed.
pub(super) fn reads_or_writes(stmt: Node<'_>) -> bool {
    matches!(
        stmt,
        Node::SelectStmt(_)
            | Node::InsertStmt(_)
            | Node::UpdateStmt(_)
            | Node::DeleteStmt(_)
            | Node::MergeStmt(_)
            | Node::CopyStmt(_)
            | Node::PrepareStmt(_)
            | Node::DeclareCursorStmt(_)
            | Node::CreateTableAsStmt(_)
    )
}

/// Whether EXPLAIN runs its statement.
pub(super) fn analyzes(s: &nodes::ExplainStmt) -> bool {
    let off = |o: &nodes::DefElem| match o.arg() {
        Node::String(s) => matches!(s.sval(), Some("off" | "false" | "0")),
        Node::Boolean(b) => !b.boolval,
        Node::Integer(i) => i.ival == 0,
        _ => false,
    };
    s.options().iter().any(|o| o.defname() == Some("analyze") && !off(o))
}

/// The name under which a statement makes known what may touch something protected.
fn new_name(stmt: Node<'_>) -> Option<&str> {
    match stmt {
        Node::ViewStmt(v) => v.view()?.relname(),
        Node::CreateTableAsStmt(c) => c.into()?.rel()?.relname(),
        Node::RenameStmt(r) => r.newname(),
        Node::SelectStmt(s) => s.into_clause()?.rel()?.relname(),
        Node::CreateStmt(c) if !c.inh_relations().is_empty() => c.relation()?.relname(),
        _ => None,
    }
}

/// The relation for which a statement sets functions that run when it is written.
fn runs_functions(stmt: Node<'_>) -> Option<&str> {
    match stmt {
        Node::CreateTrigStmt(t) => t.relation()?.relname(),
        Node::AlterTableStmt(a) => a.relation()?.relname(),
        Node::CreateStmt(c) => c.relation()?.relname(),
        Node::IndexStmt(i) => i.relation()?.relname(),
        Node::RuleStmt(r) => r.relation()?.relname(),
        _ => None,
    }
}

/// Whether a statement reads or writes by one of these names, which are not watched yet.
fn uses_new(stmt: Node<'_>, tokens: &Tokens<'_>, range: &Range<usize>, made: &[String]) -> bool {
    let harmless = matches!(
        stmt,
        Node::GrantStmt(_)
            | Node::CommentStmt(_)
            | Node::DropStmt(_)
            | Node::AlterOwnerStmt(_)
            | Node::RefreshMatViewStmt(_)
    );
    let named = |t: &super::lex::Token| tokens.name(t).is_none_or(|n| made.contains(&n));
    !harmless
        && tokens
            .all()
            .iter()
            .filter(|t| range.contains(&t.start))
            .filter(|t| !matches!(t.kind, super::lex::Kind::Number | super::lex::Kind::Operator))
            .filter(|t| !matches!(t.kind, super::lex::Kind::Punct(_) | super::lex::Kind::Param(_)))
            .any(|t| match t.kind {
                super::lex::Kind::Str => made.iter().any(|m| tokens.text(t).contains(m.as_str())),
                _ => named(t),
            })
}

/// What a statement does to transactions, relations and settings.
fn kind(stmt: Node<'_>) -> StatementKind {
    if let Some(kind) = prepare::kind(stmt) {
        return kind;
    }
    match stmt {
        Node::TransactionStmt(t) => transaction(t),
        Node::VariableSetStmt(v) => setting(v),
        Node::ExecuteStmt(_) => StatementKind::Execute,
        Node::ExplainStmt(e) if matches!(e.query(), Node::ExecuteStmt(_)) => StatementKind::Execute,
        Node::CreateTableAsStmt(c) if matches!(c.query(), Node::ExecuteStmt(_)) => StatementKind::Execute,
        Node::DeclareCursorStmt(d) => StatementKind::Declare(d.portalname().unwrap_or_default().into()),
        Node::FetchStmt(f) if !f.ismove => StatementKind::Fetch(f.portalname().unwrap_or_default().into()),
        Node::SelectStmt(s) if s.into_clause().is_some() => StatementKind::Ddl,
        Node::SelectStmt(_)
        | Node::InsertStmt(_)
        | Node::UpdateStmt(_)
        | Node::DeleteStmt(_)
        | Node::MergeStmt(_)
        | Node::ExplainStmt(_)
        | Node::VariableShowStmt(_)
        | Node::FetchStmt(_)
        | Node::ClosePortalStmt(_)
        | Node::CopyStmt(_)
        | Node::LockStmt(_)
        | Node::NotifyStmt(_)
        | Node::ListenStmt(_)
        | Node::UnlistenStmt(_)
        | Node::ConstraintsSetStmt(_)
        | Node::CheckPointStmt(_)
        | Node::VacuumStmt(_)
        | Node::ReindexStmt(_)
        | Node::ClusterStmt(_)
        | Node::TruncateStmt(_)
        | Node::CommentStmt(_)
        | Node::GrantStmt(_) => StatementKind::Other,
        _ => StatementKind::Ddl,
    }
}

fn transaction(t: &nodes::TransactionStmt) -> StatementKind {
    let name = || t.savepoint_name().unwrap_or_default().into();
    match t.kind {
        TransactionStmtKind::TRANS_STMT_BEGIN | TransactionStmtKind::TRANS_STMT_START => StatementKind::Begin,
        TransactionStmtKind::TRANS_STMT_COMMIT => StatementKind::Commit,
        TransactionStmtKind::TRANS_STMT_ROLLBACK => StatementKind::Rollback,
        TransactionStmtKind::TRANS_STMT_PREPARE => StatementKind::PrepareTransaction,
        TransactionStmtKind::TRANS_STMT_SAVEPOINT => StatementKind::Savepoint(name()),
        TransactionStmtKind::TRANS_STMT_ROLLBACK_TO => StatementKind::RollbackTo(name()),
        TransactionStmtKind::TRANS_STMT_RELEASE => StatementKind::Release(name()),
        TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED => StatementKind::Ddl,
        _ => StatementKind::Other,
    }
}

fn setting(v: &nodes::VariableSetStmt) -> StatementKind {
    if v.kind == VariableSetKind::VAR_RESET_ALL {
        return StatementKind::ResetAll;
    }
    if v.name().is_some_and(|n| n.eq_ignore_ascii_case("client_encoding")) {
        return StatementKind::SetEncoding;
    }
    if v.name().is_some_and(|n| ["datestyle", "timezone"].iter().any(|style| n.eq_ignore_ascii_case(style))) {
        return StatementKind::SetDateStyle;
    }
    if !v.name().is_some_and(|n| n.eq_ignore_ascii_case("bytea_output")) {
        return StatementKind::Other;
    }
    let value = super::settings::set_value(v);
    StatementKind::SetByteaOutput(value.map(|v| v.eq_ignore_ascii_case("escape")))
}

/// The text of a constant in SET.
pub(super) fn constant(mut node: Node<'_>) -> Option<String> {
    while let Node::TypeCast(t) = node {
        node = t.arg();
    }
    match node {
        Node::A_Const(c) => match c.val()? {
            ConstValue::String(s) | ConstValue::Float(s) => Some(s.to_owned()),
            ConstValue::Integer(i) => Some(i.to_string()),
            ConstValue::Boolean(b) => Some(b.to_string()),
            _ => None,
        },
        _ => None,
    }
}
