//! Whether a text that says nothing watched is harmless: not while a name that is not watched yet may touch what is protected.

use super::Session;
use super::hidden::HiddenError;
use crate::pg::wire::simple::Status;
use std::time::Duration;

/// So many readings of the catalog are waited for before a text is looked at that may need none.
const READINGS: usize = 4;

/// So long a server is waited for that may carry out a change of the schema still, whose client has gone.
const LAST_WORD: Duration = Duration::from_secs(60);

/// What a session knows of such names.
#[derive(Default)]
pub(super) struct Trust {
    /// One may have been made by a statement since the snapshot was made, and anywhere in this transaction.
    near: bool,
    near_block: bool,
    /// How often the database had been distrusted when the text at hand was looked at.
    at: u64,
    /// The same of the earliest change of the schema in this transaction that was found to make none: it takes effect later
    /// than that, and may name by then what another session has made.
    judged: Option<u64>,
    /// The same of the private snapshot; and the version of the newest shared one when it was read.
    read: (u64, u64),
}

/// A change of the schema, as it was found to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// It may give what touches something protected a new name.
    near: bool,
    /// The rest hangs on what others have made: see [`Trust::judged`].
    judged: Option<u64>,
    /// Of the catalog by which it was found.
    version: u64,
}

impl Change {
    /// Others must hear of it.
    pub(super) fn is_told(self) -> bool {
        self.near || self.judged.is_some()
    }
}

impl Session {
    /// A change of the schema by a text that is looked at now.
    pub(super) fn change(&self, near: bool, follows: bool) -> Change {
        Change { near, judged: follows.then_some(self.trust.at), version: self.snapshot.catalog.version }
    }

    /// It is sent, to be executed.
    pub(super) fn changes(&mut self, Change { near, judged, version }: Change) {
        // What it says may have come to mean something else since it was looked at.
        let near = near || version != self.snapshot.catalog.version;
        self.trust.near |= near;
        self.trust.near_block |= near;
        self.trust.judged = [self.trust.judged, judged].into_iter().flatten().min();
    }

    /// Where the transaction commits, others must hear of it: then its answer may not wait for what follows it.
    pub(super) fn must_tell(&self) -> bool {
        self.trust.near_block || self.trust.judged.is_some()
    }

    /// A text is looked at from here on.
    pub(super) fn looks(&mut self) {
        self.trust.at = self.database.distrusts();
    }

    /// Others' names that came since the private snapshot was read are not in it.
    pub(super) fn follow_privately(&mut self) {
        if self.is_behind_newest()
            && let Some(newest) = self.database.newest()
        {
            self.trust.read.1 = newest.catalog.version;
            self.trust.near |= !self.snapshot.filter.covers(&newest.filter);
        }
    }

    /// The private snapshot is older than the newest shared one.
    pub(super) fn is_behind_newest(&self) -> bool {
        self.private && self.database.latest() != self.trust.read.1
    }

    /// The private snapshot was compared with this version of the shared one.
    pub(super) fn knows_newest(&mut self, version: u64) {
        self.trust.read.1 = version;
    }

    /// The catalog is read within the transaction from here on: what that shows.
    pub(super) fn reads_privately(&mut self) {
        self.trust.read = (self.database.distrusts(), self.database.latest());
    }

    /// Whether others made such names since the private snapshot was read; or since this transaction, of which there is none,
    /// changed the schema.
    pub(super) fn is_behind_others(&self) -> bool {
        if self.private { self.trust.read.0 != self.database.distrusts() } else { self.outran() }
    }

    fn outran(&self) -> bool {
        self.trust.judged.is_some_and(|judged| judged != self.database.distrusts())
    }

    /// Whether a text that names nothing which the snapshot watches touches nothing protected, nor runs what does.
    pub(super) fn trusts_filter(&self) -> bool {
        self.woken.is_empty() && self.knows_names_made()
    }

    fn knows_names_made(&self) -> bool {
        !self.trust.near
            && !self.may_have_ended()
            && !self.is_behind_others()
            && (self.private || (self.database.is_trusted() && self.database.is_newest(&self.snapshot)))
    }

    /// Waits until it is so; where others change the schema all the time, only for so long. `rolls_back`: with what comes next all is
    /// gone that may run code which was woken.
    pub(super) async fn trust_filter(&mut self, rolls_back: bool) -> Result<(), HiddenError> {
        for _ in 0..READINGS {
            if self.knows_names_made() {
                break;
            }
            self.all_answered().await?;
            if self.skipping || self.status == Status::Failed {
                // Nothing is executed, or only the end of the block.
                break;
            }
            self.dirty |= self.trust.near;
            self.looks();
            self.refresh(false).await?;
            self.trust.near = false;
        }
        if rolls_back { Ok(()) } else { self.check_woken().await }
    }

    /// Whether it is to be looked at what a Sync runs, by which a pipeline is committed: not where it is a change of the schema alone.
    pub(super) fn commits_unseen(&self) -> bool {
        let executed = self.order.executed;
        self.status == Status::Idle
            && executed > 0
            && !self.trusts_filter()
            && (executed > 1 || !self.trust.near)
    }

    /// A statement is sent that goes back in the transaction, or ends it and may begin another: what it changed in the
    /// schema may be undone.
    pub(super) fn undoes_ddl(&mut self) {
        if self.private || self.dirty {
            self.dirty = true;
            self.trust.near = true;
        }
    }

    /// The tag of a statement: what was changed is everybody's where it commits, also where no ReadyForQuery says so yet.
    pub(super) fn may_commit(&self, tag: &[u8]) {
        if tag.starts_with(b"COMMIT\0") || tag.starts_with(b"COMMIT PREPARED\0") {
            self.tell();
        }
    }

    /// Tells the other sessions what was changed.
    fn tell(&self) {
        if self.trust.near_block || self.outran() {
            self.database.distrust();
        } else if self.private || self.dirty {
            self.database.expire();
        }
    }

    /// The transaction is over.
    pub(super) fn settle_trust(&mut self) {
        if self.trust.near_block || self.outran() {
            self.database.distrust();
        }
        // What is on its way may be such a change itself: then that stays until it is answered.
        if self.expects.is_empty() {
            (self.trust.near, self.trust.near_block, self.trust.judged) = (false, false, None);
            self.woken.clear();
        }
    }

    /// The session is over; what it sent may be carried out still.
    pub(super) async fn tell_last(&mut self) {
        self.tell();
        if self.must_tell() {
            let leg = &mut self.io.server;
            let hung_up = async {
                while leg.fill(1).await.is_ok() {
                    leg.input.consume(leg.input.len());
                }
            };
            let _ = tokio::time::timeout(LAST_WORD, hung_up).await;
            self.tell();
        }
    }
}
