//! From a text to what is done with it: the snapshot brought up to date, the plan looked up or made.

use super::cursor::has_word;
use super::failure::Failure;
use super::hidden::HiddenError;
use super::moves::Moves;
use super::sql_names::changes_names;
use super::statements::NameChange;
use super::trust::Change;
use super::units::may_follow;
use super::{End, Made, Path, Session, Tie};
use crate::pg::catalog::PlanKey;
use crate::pg::plan::{Plan, Verdict};
use crate::pg::refusal::Refusal;
use crate::pg::sql::{self, Planned, Schemas, Scope, StatementKind};
use crate::pg::wire::simple::Status;
use crate::policy::model::Declared;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Schemas in the order in which unqualified names are searched, with the session's temporary one.
const SEARCH_PATH: &str = "SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))::pg_catalog.text";

/// What is done with a text.
pub(super) enum Decision {
    /// Nothing protected: relayed.
    Pass,
    /// The same, of one statement that is tied to prepared statements.
    Tied(Tie),
    /// The same, of a script: relayed in a text of ours.
    Text(Script),
    /// The first statement of a script ends a block that has failed, or goes back in it; where that ends in the text. What
    /// follows is decided on once it has run.
    Ends(StatementKind, usize),
    /// Refused, or failed before it was sent.
    Refuse(Box<Failure>),
    /// One statement, planned.
    Run(Arc<Plan>),
    /// Several statements, some of them planned; or one that is not just run.
    Script(Vec<Planned>),
}

/// A script that touches nothing protected, in a text of ours.
pub(super) struct Script {
    pub(super) plan: Arc<Plan>,
    /// It changes the schema.
    pub(super) ddl: bool,
    /// It undoes what was changed before.
    pub(super) undoes: bool,
}

impl Session {
    /// Decides what is done with a text that may touch something protected.
    pub(super) async fn decide(&mut self, text: &str, declared: &[u32]) -> Result<Decision, HiddenError> {
        self.moves = Moves::default();
        self.elsewhere = false;
        self.alters = None;
        if self.has_failed().await? {
            // The server answers 25P02 to all but the end of the transaction, and plans need a catalog.
            return Ok(match sql::first_of(text) {
                Some((kind, None)) if ends_failed(&kind) => Decision::Pass,
                Some((kind, Some(end))) if ends_failed(&kind) => Decision::Ends(kind, end),
                None if sql::is_empty(text) => Decision::Pass,
                // It tells first what it can't read.
                None => self.refused(&sql::refuse::syntax()),
                _ => Decision::Refuse(Box::new(Failure::internal("the transaction has failed"))),
            });
        }
        if sql::is_discard_all(text) {
            self.settings.bytea_escape = false;
            self.moves = Moves::ALL;
            return Ok(Decision::Tied(Tie::Changes(NameChange::AllGone)));
        }
        // What names nothing that may touch something protected means the same by an older catalog.
        if !self.is_fresh() && (!self.trusts_filter() || self.snapshot.filter.may_name(text.as_bytes())) {
            self.refresh(false).await?;
        }
        if self.names_unseen(text.as_bytes()) {
            return Ok(self.refuses(Failure::old_snapshot()));
        }
        self.planned_path = self.search_path.known.clone();
        let key = |path: &Option<Path>| {
            let search_path = path.clone()?;
            Some(PlanKey { text: text.into(), declared: declared.into(), search_path })
        };
        if let Some(plan) = key(&self.planned_path).and_then(|key| self.snapshot.plans.of_key(&key)) {
            if self.charset().is_some()
                && let Err(failure) = self.check_plan(&plan)
            {
                return Ok(self.refuses(failure));
            }
            return Ok(Decision::Run(plan));
        }
        let mut planned = self.under_path(false, |scope| sql::plan(text, declared, scope)).await?;
        if matches!(&planned, Ok(list) if list.iter().any(|p| matches!(p.verdict, Verdict::NeedsCatalog))) {
            self.refresh(true).await?;
            planned = self.under_path(true, |scope| sql::plan(text, declared, scope)).await?;
        }
        let mut planned = match planned {
            Ok(planned) => planned,
            Err(refusal) => return Ok(self.refused(&refusal)),
        };
        if self.planned_path.is_none() && planned.iter().any(|p| matches!(p.verdict, Verdict::Run(_))) {
            // Plans are found again by the path.
            self.planned_path = Some(self.search_path().await?);
        }
        if planned.iter().any(|p| p.elsewhere) {
            // That hangs on the path of this very moment: a function may have moved it.
            self.search_path.known = None;
            let now = self.search_path().await?;
            let before = self.planned_path.replace(now);
            if before != self.planned_path {
                planned = match self.under_path(true, |scope| sql::plan(text, declared, scope)).await? {
                    Ok(planned) => planned,
                    Err(refusal) => return Ok(self.refused(&refusal)),
                };
                self.planned_path = self.search_path.known.clone();
            }
            self.elsewhere = true;
        }
        self.plan_fetches(text, &mut planned);
        if text.contains("U&") || text.contains("u&") || text.contains('\\') {
            // An escape may spell a setting's name.
            self.search_path.disturb();
        }
        if planned.len() > 1
            && planned.iter().any(|p| p.mentions)
            && self.shared.moves_search_path(text.as_bytes())
        {
            // The later statements would be planned with the path that the earlier ones leave behind.
            return Ok(self.refuses(path_in_script()));
        }
        let calls = match Box::pin(self.plan_calls(text, &mut planned)).await? {
            Ok(calls) => calls,
            Err(failure) => {
                return Ok(self.refuses(failure));
            }
        };
        let moves = Moves::of(text, &planned);
        self.moves = self.moves.and(moves);
        let several = planned.len() > 1;
        if several && moves.encoding && planned.iter().any(|p| !matches!(p.verdict, Verdict::Pass)) {
            // What follows it was read in the encoding before it, and would be answered in the new one.
            return Ok(self.refuses(Failure::new(
                "0A000",
                "encoding",
                "paravent: client_encoding is changed in one Query with statements on a protected table",
                "send the statement that changes client_encoding by itself",
            )));
        }
        let runs = |p: &Planned| matches!(p.verdict, Verdict::Run(_));
        if several && moves.style && planned.iter().any(runs) && self.has_dates() {
            // Its dates were read in the style before it, and would be shown in that.
            return Ok(self.refuses(Failure::new(
                "0A000",
                "date-style",
                "paravent: DateStyle or TimeZone is changed in one Query with statements on a protected table",
                "send the statement that changes it by itself",
            )));
        }
        if several && self.is_in_transaction() && planned.iter().any(|p| p.wakes) {
            // Of what the transaction has begun nothing is known here: it is looked at after each statement.
            return Ok(self.refused(&sql::refuse::script_wakes()));
        }
        let begins = |p: &Planned| matches!(p.kind, StatementKind::Begin);
        if planned.iter().skip_while(|p| begins(p)).skip(1).any(|p| p.elsewhere) {
            // What stands before it may move the path.
            return Ok(self.refuses(path_in_script()));
        }
        if let Err(failure) = self.check_encoding(&planned) {
            return Ok(self.refuses(failure));
        }
        let copies = |p: &Planned| matches!(&p.verdict, Verdict::Run(plan) if plan.copy.is_some());
        if planned.len() > 1 && planned.iter().any(copies) {
            return Ok(self.refuses(Failure::new(
                "0A000",
                "copy",
                "paravent: COPY of a protected table in one Query with other statements",
                "send the COPY by itself",
            )));
        }
        let mut after_ddl = false;
        for statement in &planned {
            if after_ddl && matches!(statement.verdict, Verdict::Run(_)) {
                // It was planned with the schema that the DDL before it changes.
                return Ok(self.refuses(Failure::new(
                    "0A000",
                    "script-ddl",
                    "paravent: a statement on a protected table follows a change of the schema in one Query",
                    "send the statements that change the schema by themselves",
                )));
            }
            after_ddl |= matches!(statement.kind, StatementKind::Ddl);
            match &statement.verdict {
                Verdict::Refuse(refusal) => return Ok(self.refused(refusal)),
                Verdict::NeedsCatalog => {
                    return Ok(Decision::Refuse(Box::new(Failure::internal("the catalog does not settle"))));
                }
                Verdict::Pass
                | Verdict::Run(_)
                | Verdict::Call(_)
                | Verdict::Missing(_)
                | Verdict::Fails(_) => {}
            }
            match statement.kind {
                StatementKind::SetByteaOutput(escape) => {
                    self.settings.bytea_escape = escape.unwrap_or(false);
                }
                StatementKind::DiscardAll | StatementKind::ResetAll => self.settings.bytea_escape = false,
                _ => {}
            }
        }
        if after_ddl {
            let near = self.snapshot.filter.may_name(text.as_bytes());
            self.alters = Some(self.change(near, may_follow(text)));
        }
        if planned.iter().all(|p| matches!(p.verdict, Verdict::Pass)) {
            let tied = |p: &Planned| changes_names(&p.kind);
            let hidden = self.hidden_cursors(planned.iter());
            // With others in one Query, DISCARD ALL fails.
            let several = planned.len() > 1;
            let tied = |p: &Planned| tied(p) && !(several && matches!(p.kind, StatementKind::DiscardAll));
            return Ok(match (planned.as_slice(), calls) {
                ([one], _) if tied(one) => self.tied(text, declared, one),
                ([_], Some(name)) => Decision::Tied(Tie::Calls(name)),
                (all, _) if all.iter().any(tied) => {
                    planned.retain(|p| !p.range.is_empty());
                    Decision::Script(planned)
                }
                (all, _) if self.commits_within(all) => {
                    planned.retain(|p| !p.range.is_empty());
                    Decision::Script(planned)
                }
                _ if !hidden.is_empty() => Decision::Tied(Tie::Declares(hidden)),
                (all, _) if all.len() > 1 => {
                    self.masked(text, all).await?.map_or(Decision::Pass, Decision::Text)
                }
                _ => Decision::Pass,
            });
        }
        if planned.len() == 1
            && let Some(Planned { verdict: Verdict::Run(plan), .. }) = planned.first()
        {
            let plan = Arc::clone(plan);
            // What moves a setting, or changes the schema, does so each time; another text of its shape may move one.
            if plan.cacheable
                && !self.moves.any()
                && self.alters.is_none()
                && !has_word(text.as_bytes(), &[b"set_config"])
                && let Some(key) = key(&self.planned_path)
            {
                self.snapshot.plans.keep(key, &plan);
            }
            return Ok(Decision::Run(plan));
        }
        planned.retain(|p| !p.range.is_empty());
        Ok(Decision::Script(planned))
    }

    /// Whether others must hear of a COMMIT among these statements before what follows it has run: the server answers a
    /// Query of several only when all have.
    fn commits_within(&self, script: &[Planned]) -> bool {
        let ends = |p: &Planned| matches!(p.kind, StatementKind::Commit);
        (self.must_tell() || self.alters.is_some_and(Change::is_told))
            && script.iter().rev().skip_while(|p| p.range.is_empty()).skip(1).any(ends)
    }

    /// A script with the declared types in its queries of the catalog, where there are any, and the client's encoding has
    /// words for them.
    async fn masked(&mut self, text: &str, script: &[Planned]) -> Result<Option<Script>, HiddenError> {
        let plan = self.under_path(false, |scope| sql::masked_script(text, script, scope)).await?;
        let Some(plan) = plan.filter(|plan| self.check_plan(plan).is_ok()) else { return Ok(None) };
        let any = |of: fn(&StatementKind) -> bool| script.iter().any(|p| of(&p.kind));
        Ok(Some(Script {
            plan: Arc::new(plan),
            ddl: any(|kind| matches!(kind, StatementKind::Ddl)),
            undoes: any(|kind| matches!(kind, StatementKind::Rollback)),
        }))
    }

    /// Whether a text that was decided before is decided so now, with nothing to be asked for first.
    pub(super) fn decides_now(&self) -> bool {
        self.search_path.known.is_some() && self.status != Status::Failed && self.is_fresh()
    }

    /// [`Session::still_holds`] and [`Session::same_path`], where nothing must be asked for: false does
    /// not mean no.
    pub(super) fn holds_now(&self, made: &Made) -> bool {
        let same = |path: &Path| self.search_path.known.as_ref().is_some_and(|known| known == path);
        self.status != Status::Failed
            && made.path.as_ref().is_none_or(same)
            && self.is_fresh()
            && made.version == self.snapshot.catalog.version
    }

    /// Whether a prepared statement would be decided today as it was: its catalog may have moved on.
    pub(super) async fn still_holds(
        &mut self,
        made: &Made,
        plan: Option<&Plan>,
    ) -> Result<bool, HiddenError> {
        self.refresh(false).await?;
        if made.version == self.snapshot.catalog.version {
            return Ok(true);
        }
        Ok(match (self.decide(&made.text, &made.declared).await?, plan) {
            (Decision::Pass | Decision::Tied(_) | Decision::Text(_), None) => true,
            (Decision::Run(today), None) => today.lets_through(),
            (Decision::Run(today), Some(plan)) => today.runs_like(plan),
            _ => false,
        })
    }

    /// What a statement that is prepared now was decided with.
    pub(super) fn made(&self, text: &str, declared: &[u32]) -> Made {
        Made {
            text: text.into(),
            declared: declared.into(),
            path: self.planned_path.clone(),
            version: self.snapshot.catalog.version,
            elsewhere: self.elsewhere,
            moves: self.moves,
            alters: self.alters,
        }
    }

    /// Whether a statement that was planned under `path` still means the same relations: Postgres
    /// analyses a prepared statement again once the search path has changed.
    pub(super) async fn same_path(&mut self, made: &Made) -> Result<bool, HiddenError> {
        if self.has_failed().await? {
            return Ok(false);
        }
        let Some(path) = &made.path else { return Ok(true) };
        if made.elsewhere {
            self.search_path.known = None;
        }
        Ok(self.search_path().await? == *path)
    }

    /// Whether the transaction has failed. What is under way may end it, or go back to a savepoint: then its answer
    /// tells.
    async fn has_failed(&mut self) -> Result<bool, HiddenError> {
        if self.status == Status::Failed && !self.expects.is_empty() {
            self.all_answered().await?;
            if self.skipping {
                return Err(HiddenError::Skipped);
            }
        }
        Ok(self.status == Status::Failed)
    }

    /// Where a transaction ends, or a savepoint is made or gone back to, all that was written before it must be at hand: what is under
    /// way comes back with its answer.
    pub(super) async fn units_at_hand(&mut self) -> Result<(), End> {
        if self.expects.latest_units().is_some() { self.all_answered().await } else { Ok(()) }
    }

    /// Waits until the server owes nothing.
    pub(super) async fn all_answered(&mut self) -> Result<(), End> {
        if !self.expects.is_empty() {
            if self.pipeline {
                self.io.server.output.append_with(crate::pg::wire::simple::flush);
            }
            let sent = self.expects.sent();
            self.wait_until(|s| s.expects.answered() >= sent).await?;
        }
        Ok(())
    }

    /// A refusal, counted.
    fn refuses(&self, failure: Failure) -> Decision {
        self.shared.metrics.refused(failure.anchor);
        Decision::Refuse(Box::new(failure))
    }

    /// Some protected field is a date or a time.
    fn has_dates(&self) -> bool {
        let fields = &self.shared.door.policy().fields;
        fields.iter().any(|field| matches!(field.ty, Declared::Date | Declared::Timestamptz(_)))
    }

    /// What is found under the search path. The client's session is asked for that only where something hangs on it: the
    /// question would come before a statement that must be the first, and make a temporary schema that the path names.
    pub(super) async fn under_path<T>(
        &mut self,
        refreshed: bool,
        find: impl Fn(&Scope<'_>) -> T,
    ) -> Result<T, HiddenError> {
        let mut path = self.search_path.known.clone();
        let used = AtomicBool::new(false);
        let schemas = Schemas::noted(path.as_deref().unwrap_or_default(), &used);
        let mut found = find(&self.scope(schemas, refreshed));
        let used = used.into_inner();
        if used && path.is_none() {
            let asked = self.search_path().await?;
            found = find(&self.scope(asked[..].into(), refreshed));
            path = Some(asked);
        }
        self.planned_path = path.filter(|_| used);
        Ok(found)
    }

    pub(super) fn scope<'a>(&'a self, search_path: Schemas<'a>, refreshed: bool) -> Scope<'a> {
        let catalog = &self.snapshot.catalog;
        Scope {
            policy: self.shared.door.policy(),
            tables: &catalog.tables,
            catalog,
            search_path,
            refreshed,
            server_version: catalog.server_version,
        }
    }

    fn refused(&self, refusal: &Refusal) -> Decision {
        self.shared.metrics.refused(refusal.anchor);
        Decision::Refuse(Box::new(Failure::refusal(refusal)))
    }

    pub(super) async fn search_path(&mut self) -> Result<Path, HiddenError> {
        if let Some(path) = &self.search_path.known {
            return Ok(Arc::clone(path));
        }
        let rows = self.ask(SEARCH_PATH, &[]).await?;
        let path: Path = rows.into_iter().filter_map(|mut row| row.pop()?.map(Arc::from)).collect();
        self.search_path.known = Some(Arc::clone(&path));
        Ok(path)
    }
}

fn path_in_script() -> Failure {
    Failure::new(
        "0A000",
        "search-path",
        "paravent: a statement that names a protected table stands in one Query with others that may change the \
         search path by which it is found",
        "send it by itself, or qualify the table with its schema",
    )
}

/// What a block that has failed may end with.
fn ends_failed(kind: &StatementKind) -> bool {
    matches!(
        kind,
        StatementKind::Commit
            | StatementKind::Rollback
            | StatementKind::RollbackTo(_)
            | StatementKind::PrepareTransaction
    )
}
