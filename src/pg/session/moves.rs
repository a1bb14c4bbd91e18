//! Settings by which values are read and shown: the client's encoding, and how dates are written. The server reports a
//! change only with ReadyForQuery, so within a pipeline the gateway asks, once something was executed that may have
//! changed them, and not before: a question between a statement's Parse and its Execute would come first for the server.

use super::cursor::has_word;
use super::encoding::charset;
use super::expect::{Show, What};
use super::failure::Failure;
use super::hidden::HiddenError;
use super::{End, Session};
use crate::pg::sql::{Planned, StatementKind};
use crate::pg::value::Charset;
use crate::pg::wire::simple::Status;
use std::sync::Arc;

// By SHOW, for which the server takes no snapshot: what follows may be a statement that must come before any.
const DATE_STYLE: &str = "SHOW DateStyle";
const TIME_ZONE: &str = "SHOW TimeZone";
const ENCODING: &str = "SHOW client_encoding";

/// Which of these settings a statement may change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moves {
    pub(super) encoding: bool,
    /// DateStyle and TimeZone.
    pub(super) style: bool,
}

impl Moves {
    pub(super) const ALL: Self = Self { encoding: true, style: true };

    /// What one of a text's statements may change.
    pub(super) fn of(text: &str, planned: &[Planned]) -> Self {
        let any = |of: fn(&StatementKind) -> bool| planned.iter().any(|p| of(&p.kind));
        let by_function = || {
            has_word(text.as_bytes(), &[b"set_config"])
                && has_word(text.as_bytes(), &[b"datestyle", b"timezone"])
        };
        let all = any(|kind| matches!(kind, StatementKind::ResetAll | StatementKind::DiscardAll));
        Self {
            encoding: all || any(|kind| matches!(kind, StatementKind::SetEncoding)),
            style: all || any(|kind| matches!(kind, StatementKind::SetDateStyle)) || by_function(),
        }
    }

    pub(super) fn any(self) -> bool {
        self.encoding || self.style
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self { encoding: self.encoding || other.encoding, style: self.style || other.style }
    }
}

/// What is known of them.
#[derive(Default)]
pub(super) struct Following {
    /// What may change them whenever something is executed, or undone, up to the end of the transaction.
    moving: Moves,
    /// What may have changed since it was last known.
    moved: Moves,
    /// As the server last reported them, where it was asked since.
    reported: Option<Reported>,
    /// What it reported to the gateway alone, in the middle of the client's pipeline: the client is told where that ends.
    told: Vec<(Box<[u8]>, Vec<u8>)>,
}

struct Reported {
    date_style: String,
    time_zone: String,
    charset: Option<Arc<Charset>>,
}

impl Following {
    /// Nothing has changed.
    pub(super) fn is_settled(&self) -> bool {
        !self.moved.any()
    }

    /// Something was bound, or is about to be sent, that changes this when it runs.
    pub(super) fn binds(&mut self, moves: Moves) {
        self.moving = self.moving.and(moves);
    }
}

impl Session {
    /// Something of the client's is executed.
    pub(super) fn executed(&mut self) {
        self.order.executed += 1;
        self.following.moved = self.following.moved.and(self.following.moving);
        self.search_path.executed();
    }

    /// Before a message is read in the client's encoding, and its values in its style: waits until it is known which
    /// these are.
    pub(super) async fn settle_settings(&mut self) -> Result<(), End> {
        if self.following.moved.style {
            self.settle_style().await?;
        }
        self.settle_encoding().await
    }

    async fn settle_style(&mut self) -> Result<(), End> {
        self.all_answered().await?;
        if !self.in_pipeline() {
            self.following.moved.style = false;
            return Ok(());
        }
        if self.skipping || self.status == Status::Failed {
            return Ok(());
        }
        let Some([date_style, time_zone]) = self.shown([DATE_STYLE, TIME_ZONE]).await? else { return Ok(()) };
        self.keep_reported();
        (self.settings.date_style, self.settings.time_zone) = (date_style, time_zone);
        self.following.moved.style = false;
        Ok(())
    }

    async fn settle_encoding(&mut self) -> Result<(), End> {
        let foreign = self.settings.charset.is_some();
        let unknown = self.following.moved.encoding || (foreign && self.pipeline && !self.order.pure);
        let due = foreign && !self.expects.is_empty();
        if !unknown && !due {
            return Ok(());
        }
        self.all_answered().await?;
        if !self.in_pipeline() {
            self.following.moved.encoding = false;
            return Ok(());
        }
        if !unknown || self.skipping || self.status == Status::Failed {
            return Ok(());
        }
        let Some([name]) = self.shown([ENCODING]).await? else { return Ok(()) };
        self.keep_reported();
        let known = charset(&name).ok_or_else(|| End::Fatal(Box::new(Failure::encoding(&name))))?;
        self.settings.charset = known;
        self.following.moved.encoding = false;
        Ok(())
    }

    /// What these SHOWs give, asked at once; nothing where the pipeline has failed: no more of it is executed.
    async fn shown<const N: usize>(&mut self, shows: [&str; N]) -> Result<Option<[String; N]>, End> {
        match self.ask_all(&shows.map(|show| (show, &[][..]))).await {
            Ok(answers) => {
                let value =
                    |rows: Vec<Vec<Option<String>>>| rows.into_iter().next().and_then(|mut row| row.pop()?);
                let mut values = answers.into_iter().map(|rows| value(rows).unwrap_or_default());
                Ok(Some(std::array::from_fn(|_| values.next().unwrap_or_default())))
            }
            Err(HiddenError::End(end)) => Err(end),
            Err(_) => Ok(None),
        }
    }

    fn keep_reported(&mut self) {
        let Self { following, settings, .. } = self;
        following.reported.get_or_insert_with(|| Reported {
            date_style: settings.date_style.clone(),
            time_zone: settings.time_zone.clone(),
            charset: settings.charset.clone(),
        });
    }

    /// What was asked in the middle of a pipeline holds until the server reports what it came to, which it does only where
    /// that is another than it last reported.
    pub(super) fn restore_settings(&mut self) {
        if let Some(Reported { date_style, time_zone, charset }) = self.following.reported.take() {
            (self.settings.date_style, self.settings.time_zone) = (date_style, time_zone);
            self.settings.charset = charset;
        }
    }

    /// ParameterStatus.
    pub(super) fn report(&mut self, name: &[u8], frame: &[u8]) {
        let own = self.expects.front().is_some_and(|e| e.what == What::Sync && e.show == Show::Hide);
        self.following.told.retain(|(told, _)| **told != *name);
        if own && self.pipeline {
            self.following.told.push((name.into(), frame.to_vec()));
        } else {
            self.io.client.output.push(frame);
        }
    }

    /// The client's own ReadyForQuery follows.
    pub(super) fn tell_settings(&mut self) {
        for (_, frame) in self.following.told.drain(..) {
            self.io.client.output.push(&frame);
        }
    }

    /// ReadyForQuery: all changes are reported; `own`: to a question of the gateway's, which is no statement's end.
    pub(super) fn reported_settings(&mut self, own: bool) {
        self.restore_settings();
        if !self.expects.is_empty() {
            return;
        }
        self.following.moved = Moves::default();
        if self.status == Status::Idle && !own {
            self.following.moving = Moves::default();
        }
    }
}
