//! What planning one statement gathers: edits, uses of parameters, relations; and how it ends.

use super::Scope;
use super::edit::{self, Edit, Piece};
use super::evaluate::Evaluating;
use super::lex::{Kind, Tokens};
use super::locking::Lock;
use super::mention::Mentions;
use super::names::{Rel, RelId};
use super::outward;
use super::refuse;
use super::types;
use super::value::{Value, What};
use super::within::{Inner, Part};
use crate::clear::Clear;
use crate::pg::plan::{
    Action, ClientParam, Copy, Cursor, Described, Keep, Lookup, Output, Param, Plan, Source, Verdict, Write,
};
use crate::pg::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Why planning stopped.
#[derive(Debug)]
pub(super) enum Stop {
    /// It can't be protected.
    Refuse(Refusal),
    /// A name is not in the catalog; this text makes the server say so.
    Unknown(String),
}

/// What is asked in the place of a statement to fail gets no longer than this for the sake of a position.
const PADDING: usize = 64 * 1024;

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

/// The result of a planning step.
pub(super) type Step<T> = Result<T, Stop>;

/// Where the value of a protected place comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The client's parameter of that number, from 1.
    Param(u16),
    /// A literal.
    Literal(Option<Clear>),
    /// Made by the action.
    Nothing,
}

/// A value needed in a protected place.
#[derive(Debug)]
pub(super) struct Use {
    pub(super) origin: Origin,
    pub(super) action: Action,
    /// The type upstream is told.
    pub(super) oid: u32,
    /// The type the client is told.
    pub(super) client_oid: u32,
    /// See [`Param::read_as`].
    pub(super) read_as: u32,
    /// It is written to a column that can't be NULL.
    pub(super) not_null: bool,
}

/// How the statement runs where it writes placeholders back, until numbers are known.
#[derive(Debug, Default)]
pub(super) struct KeepDraft {
    /// In place of the edits of the same ranges.
    pub(super) edits: Vec<Edit>,
    /// See [`Keep::rows`].
    pub(super) rows: Option<(String, u32)>,
}

/// The lookup of an UPDATE's subjects, until numbers are known.
#[derive(Debug)]
pub(super) struct LookupDraft {
    /// `SELECT subject FROM table`.
    pub(super) head: String,
    /// `SELECT DISTINCT subject FROM table`.
    pub(super) distinct: String,
    /// No two rows have one subject.
    pub(super) unique: bool,
    /// The statement's own WITH.
    pub(super) with: Option<Range<usize>>,
    /// The list of its own FROM.
    pub(super) from: Option<Range<usize>>,
    /// The statement's own condition.
    pub(super) condition: Option<Range<usize>>,
    /// The name of its table there.
    pub(super) of: String,
}

/// How a statement's rows come back.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) outputs: Vec<Output>,
    pub(super) visible: Option<u16>,
    pub(super) hidden: Vec<u32>,
    pub(super) swallow: bool,
}

/// Nesting beyond which a statement is refused (the walk is recursive).
pub(super) const DEEPEST: usize = 150;

/// Planning of one statement.
pub(super) struct Planner<'s> {
    pub(super) scope: &'s Scope<'s>,
    pub(super) text: &'s str,
    pub(super) tokens: &'s Tokens<'s>,
    pub(super) names: &'s Mentions<'s>,
    /// The statement's bytes, from its first token to past its last.
    pub(super) span: Range<usize>,
    pub(super) edits: Vec<Edit>,
    pub(super) plain: BTreeSet<u16>,
    pub(super) uses: Vec<Use>,
    pub(super) rels: Vec<Rel<'s>>,
    /// Queries in FROM and WITH that may pass columns on.
    pub(super) sources: Vec<outward::Source>,
    /// A protected table was met.
    pub(super) touched: bool,
    /// Relations that the catalog does not know.
    pub(super) unknown: Vec<String>,
    pub(super) sorts_by_token: bool,
    /// A literal stands in a protected place of the text.
    pub(super) literals: bool,
    /// Where constants begin by which nothing is decided, and where they end.
    pub(super) free: BTreeMap<usize, usize>,
    /// Constants of INSERT … SELECT, which are read where it is known what they are for.
    pub(super) items: super::insert_select::Items,
    pub(super) rows: Rows,
    pub(super) write: Option<Write>,
    /// Of statements in WITH.
    pub(super) parts: Vec<Part>,
    /// What the statement in WITH gives that is being planned.
    pub(super) inner: Option<Inner>,
    /// Statements in WITH that tell of their rows by the setting.
    pub(super) told: usize,
    pub(super) lookup: Option<LookupDraft>,
    pub(super) keep: Option<KeepDraft>,
    /// It is an INSERT, UPDATE or DELETE.
    pub(super) modifies: bool,
    /// It is a COPY.
    pub(super) copy: Option<Box<Copy>>,
    /// It declares a cursor of that name, which may outlive its transaction.
    pub(super) cursor: Option<(Box<str>, bool)>,
    /// Under EXPLAIN nothing is written, and rows are not the statement's.
    pub(super) explain: bool,
    /// Parameter types that the client declared.
    pub(super) declared: &'s [u32],
    /// What the gateway evaluates.
    pub(super) evaluating: Evaluating,
    /// The relations whose rows it locks.
    pub(super) locks: Vec<(RelId, Lock)>,
    depth: usize,
}

impl<'s> Planner<'s> {
    pub(super) fn new(
        scope: &'s Scope<'s>,
        text: &'s str,
        tokens: &'s Tokens<'s>,
        names: &'s Mentions<'s>,
        span: Range<usize>,
    ) -> Self {
        Self {
            scope,
            text,
            tokens,
            names,
            span,
            edits: Vec::new(),
            plain: BTreeSet::new(),
            uses: Vec::new(),
            rels: Vec::new(),
            sources: Vec::new(),
            touched: false,
            unknown: Vec::new(),
            sorts_by_token: false,
            literals: false,
            free: BTreeMap::new(),
            items: BTreeMap::new(),
            rows: Rows::default(),
            write: None,
            parts: Vec::new(),
            inner: None,
            told: 0,
            lookup: None,
            keep: None,
            modifies: false,
            copy: None,
            cursor: None,
            explain: false,
            declared: &[],
            evaluating: Evaluating::default(),
            locks: Vec::new(),
            depth: 0,
        }
    }

    /// Of a text that stands in for a part of this one's: a view's definition.
    pub(super) fn inside<'i>(
        &self,
        scope: &'i Scope<'i>,
        text: &'i str,
        tokens: &'i Tokens<'i>,
    ) -> Planner<'i>
    where
        's: 'i,
    {
        let mut inner = Planner::new(scope, text, tokens, self.names, 0..text.len());
        inner.depth = self.depth + DEEPEST / 10;
        // Its text is the database's: nothing can stand in the place of a part of it.
        inner.evaluating.off = true;
        inner
    }

    /// Runs a step one level deeper.
    pub(super) fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> Step<T>) -> Step<T> {
        if self.depth >= DEEPEST {
            return Err(refuse::too_deep().into());
        }
        self.depth += 1;
        let result = step(self);
        self.depth -= 1;
        result
    }

    /// Records an edit.
    pub(super) fn edit(&mut self, range: Range<usize>, pieces: Vec<Piece>) {
        self.edits.push(Edit { range, pieces });
    }

    /// Records a use and gives its index.
    pub(super) fn use_value(&mut self, u: Use) -> usize {
        self.uses.push(u);
        self.uses.len() - 1
    }

    /// Marks a constant by which nothing is decided.
    pub(super) fn free_constant(&mut self, value: &Value) {
        if matches!(value.what, What::Literal(_)) && value.casts.is_empty() {
            self.free.insert(value.range.start, value.range.end);
        }
    }

    /// Marks a client parameter as used in an unprotected place.
    pub(super) fn plain_param(&mut self, number: i32) {
        if let Ok(n) = u16::try_from(number) {
            self.plain.insert(n);
        }
    }

    /// The index of the token that begins at a node's location.
    pub(super) fn token_at(&self, location: i32) -> Step<usize> {
        usize::try_from(location)
            .ok()
            .and_then(|l| self.tokens.at(l))
            .ok_or_else(|| refuse::unknown("a constant in a form that can't be located").into())
    }

    /// The text that makes the server say so, moved to where what it complains of (`skip` bytes into it) stands in
    /// the client's: the server's position is then the client's.
    pub(super) fn missing_at(&self, stop: Stop, skip: usize, location: i32) -> Stop {
        let Stop::Unknown(text) = stop else { return stop };
        let chars = |text: &str, end: usize| text.get(..end).map(|before| before.chars().count());
        let at = usize::try_from(location).ok().and_then(|end| chars(self.text, end));
        match at.zip(chars(&text, skip)).and_then(|(at, own)| at.checked_sub(own)) {
            Some(missing @ ..PADDING) => Stop::Unknown(" ".repeat(missing) + &text),
            _ => Stop::Unknown(text),
        }
    }

    /// The bytes of a token.
    pub(super) fn bytes_of(&self, index: usize) -> Range<usize> {
        self.tokens.get(index).map_or(self.span.end..self.span.end, |t| t.start..t.end)
    }

    /// The verdict once the whole statement was walked.
    pub(super) fn finish(mut self, result: Step<()>) -> Verdict {
        // A walk that stopped has not seen everything.
        self.touched |= result.is_err()
            && (self.names.may_be_relation(self.tokens, &self.span)
                || self.names.in_text_that_runs(self.tokens, &self.span));
        if !self.touched {
            return Verdict::Pass;
        }
        let result = match self.unknown.pop() {
            Some(text) => Err(Stop::Unknown(text)),
            None => result,
        };
        match result {
            Err(Stop::Refuse(r)) => Verdict::Refuse(r),
            Err(Stop::Unknown(text)) if self.scope.refreshed => Verdict::Fails(text),
            Err(Stop::Unknown(_)) => Verdict::NeedsCatalog,
            Ok(()) => match self.assemble() {
                Ok(plan) => Verdict::Run(Arc::new(plan)),
                Err(r) => Verdict::Refuse(r),
            },
        }
    }

    fn assemble(mut self) -> Result<Plan, Refusal> {
        let mut write = self.combined()?;
        let mentioned = self.tokens.all().iter().filter(|t| self.span.contains(&t.start));
        let highest =
            mentioned.filter_map(|t| if let Kind::Param(n) = t.kind { Some(n) } else { None }).max();
        let count = usize::from(highest.unwrap_or(0)).max(self.declared.len());
        let numbers = Numbering::new(&self, count)?;
        let clash = || refuse::unknown("a construct whose parts overlap");
        let number = |u: usize| numbers.of_use.get(u).copied().unwrap_or(0);
        let (sql, splices) = edit::apply(self.text, &self.span, &self.edits, number).ok_or_else(clash)?;
        let evaluations = self.evaluations(&number, numbers.params.len())?;
        if let (Some(write), Some(draft)) = (&mut write, self.lookup.take()) {
            write.lookup = Some(self.look_up(&draft, number, numbers.params.len()).ok_or_else(clash)?);
        }
        let keep = match self.keep.take().filter(|_| write.is_some()) {
            Some(draft) => {
                let mut edits = self.edits.clone();
                edits.retain(|e| e.range.is_empty() || draft.edits.iter().all(|k| k.range != e.range));
                edits.extend(draft.edits);
                let (sql, _) = edit::apply(self.text, &self.span, &edits, number).ok_or_else(clash)?;
                Some(Keep { sql, rows: draft.rows })
            }
            None => None,
        };
        let mut sql = sql;
        let mut params = numbers.params;
        let mut constants = None;
        if self.copy.is_some() {
            let (text, values) = super::copy::without_parameters(&sql, &mut params)?;
            sql = text;
            constants = Some(values);
        }
        let cursor = self.cursor.take().map(|(name, hold)| {
            let Rows { outputs, visible, hidden, .. } = std::mem::take(&mut self.rows);
            Arc::new(Cursor { name, hold, outputs, visible, hidden })
        });
        Ok(Plan {
            sql,
            keep,
            copy: self.copy,
            cursor,
            prepares: None,
            calls: None,
            constants,
            cacheable: !self.literals,
            client_params: numbers.client,
            params,
            write,
            outputs: self.rows.outputs,
            visible: self.rows.visible,
            hidden: self.rows.hidden,
            swallow_rows: self.rows.swallow,
            sorts_by_token: self.sorts_by_token,
            modifies: self.modifies,
            free: self.free.into_iter().map(|(start, end)| start..end).collect(),
            splices,
            described: Described::default(),
            evaluations,
        })
    }
}

impl Planner<'_> {
    /// The lookup of an UPDATE's subjects: its own WITH, FROM and WHERE around a SELECT.
    fn look_up(&self, draft: &LookupDraft, number: impl Fn(usize) -> usize, params: usize) -> Option<Lookup> {
        // What is only inserted around the condition is not the lookup's.
        let edits: Vec<Edit> = self.edits.iter().filter(|e| !e.range.is_empty()).cloned().collect();
        let part = |range: &Option<Range<usize>>, lead: &str| match range {
            Some(range) => {
                let (text, _) = edit::apply(self.text, range, &edits, &number)?;
                Some(if text.is_empty() { text } else { format!("{lead}{text}") })
            }
            None => Some(String::new()),
        };
        let (with, from) = (part(&draft.with, "")?, part(&draft.from, ", ")?);
        let condition = part(&draft.condition, " WHERE ")?;
        // A line break ends a comment at the end of what is the client's.
        let tail = match (&*from, &*condition) {
            ("", "") => " ".to_owned(),
            ("", condition) => format!("{condition}\n"),
            (from, condition) => format!("{from}\n{condition}\n"),
        };
        let of = if from.is_empty() { String::new() } else { format!(" OF {}", draft.of) };
        let sql = format!("{with}{}{tail}FOR UPDATE{of}", draft.head);
        let distinct = format!("{with}{}{tail}", draft.distinct);
        let uses = uses(&sql, params);
        Some(Lookup { sql, distinct, unique: draft.unique && from.is_empty(), uses })
    }
}

/// Which parameters a text uses.
pub(super) fn uses(sql: &str, params: usize) -> Vec<bool> {
    let mut uses = vec![false; params];
    for token in Tokens::new(sql).all() {
        if let Kind::Param(n) = token.kind
            && let Some(used) = usize::from(n).checked_sub(1).and_then(|i| uses.get_mut(i))
        {
            *used = true;
        }
    }
    uses
}

/// Upstream parameters and the number of each use.
struct Numbering {
    client: Vec<ClientParam>,
    params: Vec<Param>,
    of_use: Vec<usize>,
}

impl Numbering {
    fn new(planner: &Planner<'_>, count: usize) -> Result<Self, Refusal> {
        let mut client = vec![ClientParam::AsServer; count];
        let mut params: Vec<Param> = (0..count)
            .map(|i| Param {
                source: Source::Client(u16::try_from(i).unwrap_or(u16::MAX)),
                action: Action::Relay,
                type_oid: 0,
                read_as: 0,
                not_null: false,
            })
            .collect();
        let mut of_use = vec![0; planner.uses.len()];
        let mut by_param: BTreeMap<u16, Vec<usize>> = BTreeMap::new();
        for (i, u) in planner.uses.iter().enumerate() {
            if let Origin::Param(n) = u.origin {
                by_param.entry(n).or_default().push(i);
            }
        }
        for (n, uses) in by_param {
            if planner.plain.contains(&n) {
                return Err(refuse::mixed(n));
            }
            let Some(at) = usize::from(n).checked_sub(1).filter(|&i| i < count) else { continue };
            let first = &planner.uses[uses[0]];
            client[at] = ClientParam::Type(first.client_oid);
            let alike = uses.iter().all(|&u| {
                let u = &planner.uses[u];
                u.action == first.action && (u.oid, u.read_as) == (first.oid, first.read_as)
            });
            if alike {
                params[at].action = first.action.clone();
                params[at].type_oid = first.oid;
                params[at].read_as = first.read_as;
                params[at].not_null = uses.iter().all(|&u| planner.uses[u].not_null);
                uses.iter().for_each(|&u| of_use[u] = at + 1);
            } else {
                params[at].action = Action::Null;
                params[at].type_oid = types::TEXT;
                let source = || Source::Client(n - 1);
                for &u in &uses {
                    let Use { action, oid, read_as, not_null, .. } = &planner.uses[u];
                    params.push(Param {
                        source: source(),
                        action: action.clone(),
                        type_oid: *oid,
                        read_as: *read_as,
                        not_null: *not_null,
                    });
                    of_use[u] = params.len();
                }
            }
        }
        for (i, u) in planner.uses.iter().enumerate() {
            let source = match &u.origin {
                Origin::Param(_) => continue,
                Origin::Literal(value) => Source::Literal(value.as_ref().map(copy)),
                Origin::Nothing => Source::Nothing,
            };
            params.push(Param {
                source,
                action: u.action.clone(),
                type_oid: u.oid,
                read_as: u.read_as,
                not_null: u.not_null,
            });
            of_use[i] = params.len();
        }
        if params.len() > usize::from(u16::MAX) {
            return Err(refuse::refusal(
                "too-many-parameters",
                "the statement holds more protected values than a statement can have parameters (65535)",
                "Write the rows in smaller batches.",
            ));
        }
        Ok(Self { client, params, of_use })
    }
}

/// The same value again: planned once more, as a part of another statement.
pub(super) fn copy(value: &Clear) -> Clear {
    Clear::new(value.kind(), value.bytes().to_vec())
}
