//! Parse and Close: what a name stands for from here on.

use super::client::{first_words, names_anew};
use super::encoding;
use super::expect::{Context, Expect, Show, What};
use super::failure::Failure;
use super::hidden::HiddenError;
use super::plan::Decision;
use super::statements::{Known, Undo};
use super::trust::Change;
use super::units::{Control, is_ddl, may_follow};
use super::{End, Prepared, Session};
use crate::pg::sql;
use crate::pg::wire::frame::HEADER;
use crate::pg::wire::parse_msg;
use crate::pg::wire::simple::{self, Target};

impl Session {
    /// Parse of what touches nothing protected; false for any other.
    pub(super) fn parse_now(&mut self, total: usize) -> Result<bool, End> {
        self.follow_catalog();
        let body = &self.io.client.input.bytes()[HEADER..total];
        let Ok(message) = parse_msg::read(body) else { return Ok(false) };
        let text = message.query;
        let trusted = self.trusts_filter();
        if !trusted
            || self.shared.moves_search_path(text)
            || self.may_touch(text)
            || self.runs_types(&message.types)
        {
            return Ok(false);
        }
        let (control, ddl) = first_words(text);
        let change = ddl.then(|| self.change(false, names_anew(text)));
        let name = message.name.to_vec();
        self.pass_parse(total, &name, passed(control, change))?;
        Ok(true)
    }

    pub(super) async fn parse(&mut self, total: usize) -> Result<(), End> {
        // EXECUTE runs what a name stands for.
        self.settle_names().await?;
        self.follow_catalog();
        self.settle_settings().await?;
        let rolls_back = parse_msg::read(&self.io.client.input.bytes()[HEADER..total])
            .is_ok_and(|message| first_words(message.query).0 == Some(Control::Rollback));
        let trusted = self.trust_filter(rolls_back).await;
        let body = &self.io.client.input.bytes()[HEADER..total];
        let message = match parse_msg::read(body) {
            Ok(message) => message,
            Err(error) => return self.broken_parse(total, error),
        };
        let sent = message.name.to_vec();
        let name = self.statement_name(&sent).into_owned();
        if self.skipping {
            self.pass_over_parse(total, &name);
            return Ok(());
        }
        if let Err(error) = trusted {
            self.take(total);
            return self.failed_extended(error);
        }
        if self.runs_types(&message.types) {
            self.take(total);
            self.shared.metrics.refused("function");
            return self
                .refuse_parse(&name, Failure::refusal(&sql::refuse::function("the type of a parameter")));
        }
        let text = &*encoding::read_lossy(self.settings.charset.as_deref(), message.query);
        if self.shared.moves_search_path(text) {
            self.search_path.disturb();
        }
        if !self.may_touch(text) {
            let (control, ddl) = first_words(text);
            let change = ddl.then(|| self.change(false, names_anew(text)));
            return self.pass_parse(total, &name, passed(control, change));
        }
        let body = self.copy(total);
        let message = parse_msg::read(&body)?;
        let mut room = None;
        let text = self.utf8(message.query, &mut room);
        let decision = match &text {
            Ok(text) => self.decide(text, &message.types).await,
            Err(failure) => Ok(Decision::Refuse(Box::new(failure.clone()))),
        };
        if self.skipping && matches!(decision, Ok(_) | Err(HiddenError::Skipped)) {
            // An error has come meanwhile.
            self.pass_over_parse(total, &name);
            return Ok(());
        }
        if !matches!(decision, Ok(Decision::Pass | Decision::Tied(_) | Decision::Text(_))) {
            self.io.client.input.consume(total);
        }
        let text = text.unwrap_or_default();
        match decision {
            Ok(Decision::Pass | Decision::Text(_)) => {
                let near = || self.snapshot.filter.may_name(text.as_bytes());
                let change = is_ddl(text).then(|| self.change(near(), may_follow(text)));
                let known = match passed(Control::of(text), change) {
                    Known::Kept(kept) => Known::Kept(kept),
                    _ => kept(Prepared::Passed { made: self.made(text, &message.types).into() }),
                };
                self.pass_parse(total, &name, known)
            }
            Ok(Decision::Tied(tie)) => {
                let made = self.made(text, &message.types).into();
                self.pass_parse(total, &name, kept(Prepared::Tied { tie, made }))
            }
            // That it is several statements is said even in a block that has failed.
            Ok(Decision::Refuse(failure))
                if failure.anchor == "internal" && matches!(sql::first_of(text), Some((_, Some(_)))) =>
            {
                self.parse_script(&name, &[])
            }
            Ok(Decision::Refuse(failure)) => self.refuse_parse(&name, *failure),
            Ok(Decision::Run(plan)) => self.parse_plan(&sent, &plan, self.made(text, &message.types).into()),
            // The server reads several statements as none.
            Ok(Decision::Ends(..)) => self.parse_script(&name, &[]),
            Ok(Decision::Script(script)) => self.parse_script(&name, &script),
            Err(error) => {
                let failure = Failure::no_statement(&String::from_utf8_lossy(&name));
                self.statements.fails(&name, Prepared::Refused(failure.into()));
                self.failed_extended(error)
            }
        }
    }

    /// Whether a parameter is of a type whose values run what touches something protected.
    fn runs_types(&self, declared: &[u32]) -> bool {
        let types = &self.snapshot.catalog.type_oids;
        !types.is_empty() && declared.iter().any(|oid| types.binary_search(oid).is_ok())
    }

    /// The server passes it over: the name stands for what it stood for. Where that is nothing, what is bound to it all
    /// the same was meant for this statement.
    fn pass_over_parse(&mut self, total: usize, name: &[u8]) {
        self.pass_over(total);
        let failure = Failure::no_statement(&String::from_utf8_lossy(name));
        if let Some(undo) = self.statements.put(name, kept(Prepared::Refused(failure.into()))) {
            self.statements.undo(undo);
        }
    }

    fn pass_parse(&mut self, total: usize, name: &[u8], known: Known) -> Result<(), End> {
        if let (Known::Plain, Some(since)) = (&known, &mut self.passed_since) {
            since.insert(name.into());
        }
        let undo = self.statements.put(name, known);
        self.forward_with(total, undo);
        Ok(())
    }

    /// Relays a Parse or Close, with what its name stands for if the server does not carry it out.
    fn forward_with(&mut self, total: usize, undo: Option<Undo>) {
        let context = undo.map(|undo| Box::new(Context { undo: Some(undo), ..Context::default() }));
        self.pipeline = true;
        self.expects.add(Expect {
            what: What::Complete,
            show: Show::Relay,
            simple: false,
            run: None,
            context,
        });
        self.relay_client(total);
    }

    /// The name stands for the refusal from now on: a Bind that is already on its way, with values in
    /// clear, must not reach the server.
    pub(super) fn refuse_parse(&mut self, name: &[u8], failure: Failure) -> Result<(), End> {
        let response = failure.response();
        if failure.anchor == "internal" {
            // What could not be decided (in a failed transaction) is not the name's fault.
            let missing = Failure::no_statement(&String::from_utf8_lossy(name));
            self.statements.fails(name, Prepared::Refused(missing.into()));
        } else {
            drop(self.statements.put(name, kept(Prepared::Refused(failure.into()))));
        }
        self.refuse_extended(response)
    }

    pub(super) fn close(&mut self, total: usize) -> Result<(), End> {
        let body = &self.io.client.input.bytes()[HEADER..total];
        let undo = match simple::read_target(body) {
            Ok(Target::Statement(name)) => {
                let name = self.statement_name(name).into_owned();
                self.statements.put(&name, Known::Nothing)
            }
            Ok(Target::Portal(name)) => {
                self.portals.remove(name);
                None
            }
            Err(_) => None,
        };
        self.forward_with(total, undo);
        Ok(())
    }
}

/// What is known of a statement that is let through.
fn passed(control: Option<Control>, change: Option<Change>) -> Known {
    match (control, change) {
        (Some(control), _) => kept(Prepared::Control(control)),
        (None, Some(change)) => kept(Prepared::Ddl(change)),
        (None, None) => Known::Plain,
    }
}

pub(super) fn kept(prepared: Prepared) -> Known {
    Known::Kept(Box::new(prepared))
}
