//! Prepared statements by SQL: PREPARE makes one under a name of the protocol's own namespace, EXECUTE is bound to
//! it, DEALLOCATE and DISCARD take it away.

use super::encoding;
use super::expect::{Context, Show, What};
use super::failure::Failure;
use super::hidden::{HiddenError, HiddenParam};
use super::plan::Decision;
use super::running::Running;
use super::statements::NameChange;
use super::{End, Made, Prepared, Session, Tie};
use crate::pg::plan::{Plan, Prepares, Verdict};
use crate::pg::sql::execute::{self, Called};
use crate::pg::sql::{self, Planned, StatementKind};
use crate::pg::value::Format;
use crate::pg::wire::frame::HEADER;
use crate::pg::wire::simple::{self, Target};
use crate::pg::wire::{WireError, bind, parse_msg};
use hashbrown::HashMap;
use std::sync::Arc;

/// The statement by which arguments of EXECUTE are evaluated.
const HELPER: &str = "_paravent_arguments";

/// The text under a name. The statement that asks for it stands under one as well.
const UNSEEN: &str = "SELECT statement FROM pg_catalog.pg_prepared_statements \
                      WHERE name OPERATOR(pg_catalog.=) $1 AND name OPERATOR(pg_catalog.<>) '_paravent'";
const TEXT: u32 = 25;

/// What the statements of one text do to the names, before they have run.
#[derive(Default)]
struct Ahead {
    names: HashMap<Box<str>, Stands>,
    all_gone: bool,
}

/// What a name will stand for.
enum Stands {
    Nothing,
    Planned(Arc<Prepares>),
    /// A statement that is let through; whether that hangs on the search path.
    Plain(bool),
}

/// What EXECUTE of a name is.
enum Callee {
    /// Of a planned statement: its plan and declared types.
    Planned(Arc<Plan>, Arc<[u32]>),
    /// Of one under which nothing protected is known; whether that hangs on the search path.
    Plain(bool),
    /// Of none.
    Missing,
}

impl Session {
    /// EXECUTE runs as the statement under its name is planned. Gives the name of one that is let through.
    pub(super) async fn plan_calls(
        &mut self,
        text: &str,
        planned: &mut [Planned],
    ) -> Result<Result<Option<Box<str>>, Failure>, HiddenError> {
        let mut ahead = Ahead::default();
        let mut plain = None;
        for statement in planned {
            match (&statement.kind, &statement.verdict) {
                (StatementKind::Prepare(name), Verdict::Run(plan)) => {
                    let made = plan.prepares.clone().map_or(Stands::Nothing, Stands::Planned);
                    ahead.names.insert(name.clone(), made);
                }
                (StatementKind::Prepare(name), _) => {
                    ahead.names.insert(name.clone(), Stands::Plain(statement.elsewhere));
                }
                (StatementKind::Deallocate(Some(name)), _) => {
                    ahead.names.insert(name.clone(), Stands::Nothing);
                }
                (StatementKind::Deallocate(None) | StatementKind::DiscardAll, _) => {
                    ahead = Ahead { all_gone: true, ..Ahead::default() };
                }
                _ => {}
            }
            let Verdict::Call(call) = &statement.verdict else { continue };
            let callee = match self.callee(&call.name, &ahead).await? {
                Ok(callee) => callee,
                Err(failure) => return Ok(Err(failure)),
            };
            statement.verdict = match callee {
                // The server would say so too, and log the arguments with it.
                Callee::Missing if !call.args.is_empty() => Verdict::Missing(call.name.clone()),
                Callee::Missing => {
                    plain = Some(call.name.clone());
                    Verdict::Pass
                }
                Callee::Plain(elsewhere) => {
                    plain = Some(call.name.clone());
                    statement.elsewhere = elsewhere;
                    self.elsewhere |= elsewhere;
                    Verdict::Pass
                }
                Callee::Planned(plan, declared) => {
                    let called = Called { plan: &plan, declared: &declared };
                    let range = &statement.range;
                    let made =
                        self.under_path(false, |scope| execute::execute(call, text, range, called, scope));
                    match made.await? {
                        Ok(plan) => Verdict::Run(Arc::new(plan)),
                        Err(refusal) => Verdict::Refuse(refusal),
                    }
                }
            };
        }
        Ok(Ok(plain))
    }

    /// What a name stands for when an EXECUTE comes to run.
    async fn callee(&mut self, name: &str, ahead: &Ahead) -> Result<Result<Callee, Failure>, HiddenError> {
        match ahead.names.get(name) {
            Some(Stands::Planned(made)) => {
                return Ok(Ok(match &made.plan {
                    Some(plan) => Callee::Planned(Arc::clone(plan), Arc::clone(&made.declared)),
                    None => Callee::Plain(false),
                }));
            }
            Some(Stands::Plain(elsewhere)) => return Ok(Ok(Callee::Plain(*elsewhere))),
            Some(Stands::Nothing) => return Ok(Ok(Callee::Missing)),
            None if ahead.all_gone => return Ok(Ok(Callee::Missing)),
            None => {}
        }
        let Some(prepared) = self.statements.get(name.as_bytes()).cloned() else {
            return match self.statements.is_plain(name.as_bytes()) {
                true if self.is_stale(name.as_bytes()) => Ok(Err(Failure::replan())),
                true => Ok(Ok(Callee::Plain(false))),
                false => self.unseen(name).await,
            };
        };
        let (made, run) = match prepared {
            Prepared::Run { run, made } => (made, Some(run)),
            Prepared::Passed { made } => (made, None),
            Prepared::Refused(failure) => return Ok(Err((*failure).clone())),
            Prepared::Control(_) | Prepared::Ddl(_) | Prepared::Tied { .. } => {
                return Ok(Err(indirect()));
            }
        };
        if run.as_ref().is_some_and(|r| r.plan.calls.is_some() || r.plan.prepares.is_some()) {
            return Ok(Err(indirect()));
        }
        let moves = self.moves;
        let holds =
            self.same_path(&made).await? && self.still_holds(&made, run.as_ref().map(|r| &*r.plan)).await?;
        // Deciding on that one was about the path of the same moment.
        self.planned_path.clone_from(&made.path);
        self.moves = moves.and(made.moves);
        Ok(match run {
            _ if !holds => Err(Failure::replan()),
            Some(run) => Ok(Callee::Planned(Arc::clone(&run.plan), Arc::clone(&made.declared))),
            None => Ok(Callee::Plain(made.elsewhere)),
        })
    }

    /// What stands under a name that was made out of sight, if anything: a function can run PREPARE. The server tells its
    /// text.
    async fn unseen(&mut self, name: &str) -> Result<Result<Callee, Failure>, HiddenError> {
        let value = match encoding::write(self.charset(), name.as_bytes()) {
            Ok(value) => Some(value.into_owned()),
            Err(failure) => return Ok(Err(failure)),
        };
        let rows = self.ask(UNSEEN, &[HiddenParam { oid: TEXT, format: Format::Text, value }]).await?;
        let Some(text) = rows.into_iter().next().and_then(|mut row| row.pop()) else {
            return Ok(Ok(Callee::Missing));
        };
        let path = self.search_path().await?;
        let planned = text.map(|text| sql::plan(&text, &[], &self.scope(path[..].into(), false)));
        let passes = |verdict: &Verdict| match verdict {
            Verdict::Pass => true,
            Verdict::Run(plan) => plan.lets_through(),
            _ => false,
        };
        let plain = |p: &Planned| passes(&p.verdict) && !p.mentions;
        let harmless = matches!(planned, Some(Ok(all)) if all.iter().all(plain));
        Ok(if harmless { Ok(Callee::Plain(false)) } else { Err(made_unseen()) })
    }

    /// One statement that changes the names and touches nothing protected.
    pub(super) fn tied(&self, text: &str, declared: &[u32], statement: &Planned) -> Decision {
        match self.change_of(text, declared, statement) {
            Some(change) => Decision::Tied(Tie::Changes(change)),
            None => Decision::Pass,
        }
    }

    /// What is kept of a PREPARE that names something protected elsewhere: with another search path it may touch it. And of
    /// one that moves a setting when it runs.
    fn prepared_text(&self, text: &str, declared: &[u32], statement: &Planned) -> Option<Box<Prepared>> {
        let text = text.get(statement.range.clone()).filter(|_| statement.mentions || self.moves.any())?;
        let made = Made { elsewhere: statement.elsewhere || self.elsewhere, ..self.made(text, declared) };
        Some(Box::new(Prepared::Passed { made: made.into() }))
    }

    /// What a statement that touches nothing protected does to the names.
    pub(super) fn change_of(&self, text: &str, declared: &[u32], statement: &Planned) -> Option<NameChange> {
        Some(match &statement.kind {
            StatementKind::Prepare(name) => {
                NameChange::Made(name.clone(), self.prepared_text(text, declared, statement))
            }
            StatementKind::Deallocate(Some(name)) => NameChange::Gone(name.clone()),
            StatementKind::Deallocate(None) | StatementKind::DiscardAll => NameChange::AllGone,
            _ => return None,
        })
    }

    /// Relays a simple Query of one such statement. Nothing else is looked at before it is known to have run.
    pub(super) async fn pass_tied_query(&mut self, total: usize, tie: Tie) -> Result<(), End> {
        self.shared.metrics.passed.increment(1);
        let (change, declares) = match tie {
            Tie::Changes(change) => (Some(change), Vec::new()),
            Tie::Calls(_) => (None, Vec::new()),
            Tie::Declares(names) => (None, names),
        };
        self.note_passed(change.as_ref());
        let units = self.units.take();
        let context = Context { units, change, declares, ..Context::default() };
        self.expects.push_with(What::Query, Show::Relay, context);
        self.order.ends = self.expects.sent();
        self.pipeline = false;
        self.relay_rest(total).await?;
        let sent = self.expects.sent();
        self.wait_until(|s| s.expects.answered() >= sent).await
    }

    /// Execute of such a statement.
    pub(super) async fn execute_tied(&mut self, total: usize, tie: Tie) -> Result<(), End> {
        let (change, declares) = match tie {
            Tie::Changes(change) => (Some(change), Vec::new()),
            Tie::Declares(names) => (None, names),
            Tie::Calls(name) if !self.calls_plain(&name) => {
                self.take(total);
                self.shared.metrics.refused("replan");
                return self.refuse_extended(Failure::replan().response());
            }
            Tie::Calls(_) => {
                self.forward(total, What::Execute);
                return Ok(());
            }
        };
        self.shared.metrics.passed.increment(1);
        self.note_passed(change.as_ref());
        self.pipeline = true;
        let context = Context { change, declares, ..Context::default() };
        self.expects.push_with(What::Execute, Show::Relay, context);
        self.relay_rest(total).await?;
        self.wait_for_all().await
    }

    /// A statement that was let through since more names are protected is no stale one.
    fn note_passed(&mut self, change: Option<&NameChange>) {
        if let (Some(NameChange::Made(name, None)), Some(since)) = (change, &mut self.passed_since) {
            since.insert(name.as_bytes().into());
        }
    }

    /// Relays all of a message.
    pub(super) async fn relay_rest(&mut self, total: usize) -> Result<(), End> {
        self.relay_client(total);
        while self.client_rest > 0 {
            Box::pin(self.client_message()).await?;
        }
        Ok(())
    }

    /// Waits until all that was sent in this pipeline is answered.
    pub(super) async fn wait_for_all(&mut self) -> Result<(), End> {
        self.io.server.output.append_with(simple::flush);
        let sent = self.expects.sent();
        self.wait_until(|s| s.expects.answered() >= sent).await
    }

    /// Execute of PREPARE: the name stands for the statement once the server has made it.
    pub(super) async fn execute_prepare(
        &mut self,
        portal: &[u8],
        run: &Arc<Running>,
        prepares: &Arc<Prepares>,
        simple: bool,
    ) -> Result<(), End> {
        let (path, version, moves) = match self.portals.get(portal).map(|p| &p.prepared) {
            Some(Prepared::Run { made, .. }) => (made.path.clone(), made.version, made.moves),
            _ => (self.planned_path.clone(), self.snapshot.catalog.version, self.moves),
        };
        let (text, declared) = (prepares.text.clone(), Arc::clone(&prepares.declared));
        let made = Arc::new(Made { text, declared, path, version, elsewhere: false, moves, alters: None });
        let kept = match &prepares.plan {
            Some(plan) => Some(Prepared::Run { run: Running::text(plan, &prepares.declared), made }),
            None => (prepares.mentions || moves.any()).then_some(Prepared::Passed { made }),
        };
        let kept = kept.map(Box::new);
        let change = Some(NameChange::Made(prepares.name.clone(), kept));
        self.note_passed(change.as_ref());
        self.io.server.output.append_with(|out| simple::execute(out, portal, 0))?;
        let expect = self.counted_run(run, None, simple);
        self.expects.add(expect.with(Context { change, ..Context::default() }));
        self.pipeline = true;
        self.wait_for_all().await
    }

    /// Whether an EXECUTE that was prepared by the protocol still runs the statement that it was planned for.
    pub(super) fn calls_the_same(&self, prepared: &Prepared) -> bool {
        match prepared {
            Prepared::Tied { tie: Tie::Calls(name), .. } => self.calls_plain(name),
            Prepared::Run { run, .. } => run.plan.calls.as_ref().is_none_or(|calls| {
                matches!(self.statements.get(calls.name.as_bytes()),
                    Some(Prepared::Run { run, .. }) if Arc::ptr_eq(&run.plan, &calls.plan))
            }),
            _ => true,
        }
    }

    fn calls_plain(&self, name: &str) -> bool {
        match self.statements.get(name.as_bytes()) {
            None => !self.is_stale(name.as_bytes()),
            Some(prepared) => matches!(prepared, Prepared::Passed { .. }),
        }
    }

    /// The body of a Bind with the arguments of an EXECUTE that only the server can evaluate; none where there are
    /// none. It brings them to the parameters' types, and says what is wrong with them.
    pub(super) async fn evaluated(
        &mut self,
        run: &Arc<Running>,
        message: &bind::Bind<'_>,
    ) -> Result<Option<Vec<u8>>, HiddenError> {
        let Some(calls) = run.plan.calls.as_ref().filter(|c| !c.expressions.is_empty()) else {
            return Ok(None);
        };
        if !message.values.is_empty() {
            return Ok(None);
        }
        // In the transaction in which the statement runs.
        self.pipeline = true;
        let rows = self.hidden(&execute::parameter_types(&calls.name), &[]).await?;
        let oids: Vec<u32> = rows.iter().filter_map(|row| row.first()?.as_deref()?.parse().ok()).collect();
        let columns: Vec<String> = (1..=oids.len()).map(|n| format!("${n}::pg_catalog.text")).collect();
        let helper = format!("SELECT {}", columns.join(", "));
        self.io.server.output.append_with(|out| -> Result<(), WireError> {
            simple::close(out, Target::Statement(HELPER.as_bytes()))?;
            parse_msg::write(out, HELPER.as_bytes(), helper.as_bytes(), &oids)
        })?;
        self.expects.push(What::Complete, Show::Hide);
        self.expects.push(What::Complete, Show::Capture);
        let text = execute::evaluation(HELPER, oids.len(), &calls.expressions);
        let row = self.hidden(&text, &[]).await?.into_iter().next().unwrap_or_default();
        let body = self.body_of(&row, &calls.expressions)?;
        self.io.server.output.append_with(|out| simple::close(out, Target::Statement(HELPER.as_bytes())))?;
        self.expects.push(What::Complete, Show::Hide);
        Ok(Some(body))
    }

    fn body_of(&self, row: &[Option<String>], expressions: &[(u16, String)]) -> Result<Vec<u8>, HiddenError> {
        let mut out = Vec::new();
        let mut writer = bind::BindWriter::begin(&mut out, b"", b"", &[Format::Text])?;
        for (i, _) in expressions {
            match row.get(usize::from(*i)).and_then(Option::as_ref) {
                Some(value) => {
                    writer.value(&encoding::write(self.charset(), value.as_bytes())?)?;
                }
                None => writer.null()?,
            }
        }
        writer.finish(&[])?;
        Ok(out.split_off(HEADER))
    }

    /// The text of a statement with its values put in as constants.
    pub(super) async fn constant_text(&mut self, plan: &Plan) -> Result<Option<String>, HiddenError> {
        let Some(constants) = plan.constants.as_ref().filter(|c| !c.values.is_empty()) else {
            return Ok(None);
        };
        let body = [0; 8];
        let message = bind::read(&body)?;
        let client = super::params::Client {
            declared: &[],
            message: &message,
            charset: self.settings.charset.clone(),
        };
        let mut bound = Vec::with_capacity(constants.values.len());
        for param in &constants.values {
            bound.push(self.without_subject(param, &client).await?);
        }
        Box::pin(self.evaluate(&plan.evaluations, &constants.values, &client, &mut bound)).await?;
        let mut text = String::new();
        for (before, value) in &constants.pieces {
            text.push_str(before);
            let Some(value) = value.map(|i| bound.get(usize::from(i))) else { continue };
            match value {
                Some(super::params::Bound::Text(value)) => {
                    let value = encoding::read_lossy(self.settings.charset.as_deref(), value);
                    text.push_str(&sql::constant(&value));
                }
                _ => text.push_str("NULL"),
            }
        }
        Ok(Some(text))
    }
}

/// Whether a statement changes the names of prepared statements.
pub(super) fn changes_names(kind: &StatementKind) -> bool {
    matches!(kind, StatementKind::Prepare(_) | StatementKind::Deallocate(_) | StatementKind::DiscardAll)
}

/// EXECUTE of what a function has prepared.
fn made_unseen() -> Failure {
    Failure::new(
        "0A000",
        "execute",
        "paravent: EXECUTE of a statement that was prepared within the database and may touch a protected table",
        "prepare it by a statement of the client's own",
    )
}

/// EXECUTE of what is no query.
fn indirect() -> Failure {
    Failure::new(
        "0A000",
        "execute",
        "paravent: EXECUTE of a prepared statement that is itself a command",
        "send the command itself",
    )
}
