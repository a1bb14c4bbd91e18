//! A block of the gateway's own around a script: to a simple Query of several statements the server is in one, so that LOCK
//! works in it and VACUUM fails; to the pipeline as which the script is sent it is not.

use super::expect::{Context, Expect, Show, What};
use super::{End, Session};
use crate::pg::sql;
use crate::pg::wire::simple::{self, Status};
use crate::pg::wire::{WireError, bind, parse_msg};

impl Session {
    /// Begins one where the script needs it and is not in a block by the client's own BEGIN; whether it did.
    pub(super) async fn begin_block(&mut self, script: &str) -> Result<bool, End> {
        if !sql::wants_block(script) {
            return Ok(false);
        }
        self.all_answered().await?;
        if self.skipping || self.status != Status::Idle || self.in_pipeline() {
            return Ok(false);
        }
        self.begin_pipeline();
        self.order.pure = false;
        self.control("BEGIN", Context::default())?;
        Ok(true)
    }

    /// Ends it as the Query ends: all is kept, or nothing where something failed.
    pub(super) async fn end_block(&mut self) -> Result<(), End> {
        // A row that can't be shown fails the block as well.
        self.all_answered().await?;
        let end = if self.skipping {
            self.io.server.output.append_with(simple::sync);
            self.expects.push(What::Sync, Show::Hide);
            self.after_sync();
            self.all_answered().await?;
            self.begin_pipeline();
            "ROLLBACK"
        } else {
            "COMMIT"
        };
        let units = self.units.take();
        self.control(end, Context { units, ..Context::default() })?;
        self.end_simple_now()
    }

    /// Sends a statement that the client does not see; but if it fails, it does: that is how its own failed.
    fn control(&mut self, text: &str, context: Context) -> Result<(), End> {
        self.io.server.output.append_with(|out| -> Result<(), WireError> {
            parse_msg::write(out, b"", text.as_bytes(), &[])?;
            bind::BindWriter::begin(out, b"", b"", &[])?.finish(&[])?;
            simple::execute(out, b"", 0)
        })?;
        for _ in 0..2 {
            self.expects.push(What::Complete, Show::Hide);
        }
        let execute =
            Expect { what: What::Execute, show: Show::Hide, simple: true, run: None, context: None };
        self.expects.add(execute.with(context));
        Ok(())
    }
}
