//! COPY FROM STDIN of what is not protected: its data is passed on; when it begins and ends must be known, since the server passes
//! over every Sync in between (Postgres documentation, chapter 55.2.6), and fails at anything else.

use super::failure::Failure;
use super::{End, Session};
use std::collections::VecDeque;

/// What has been seen of such data.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// Of each CopyDone or CopyFail that was passed on, for which the server has not asked yet: how many messages had been sent.
    ends: VecDeque<u64>,
    /// The server waits for data, and the client has not ended it.
    waits: bool,
}

impl Passing {
    /// The server waits for the data of the message with this number. Gives the number of the last message that was sent before the
    /// end of the data, if that was sent.
    fn begins(&mut self, number: u64) -> Option<u64> {
        while self.ends.front().is_some_and(|end| *end < number) {
            self.ends.pop_front();
        }
        let end = self.ends.pop_front();
        self.waits = end.is_none();
        end
    }

    /// The server has ended it by itself, or it is over.
    pub(super) fn is_over(&mut self) {
        self.waits = false;
    }

    /// All that was sent is answered.
    pub(super) fn settle(&mut self) {
        self.waits = false;
        self.ends.clear();
    }
}

impl Session {
    /// The server waits for data: it passes over the Syncs that were sent before the data's end.
    pub(super) fn copy_begins(&mut self) {
        let passed = self
            .expects
            .front()
            .is_some_and(|front| front.run.as_ref().is_none_or(|run| run.plan.copy.is_none()));
        let end = if passed { self.passing.begins(self.expects.answered() + 1) } else { None };
        for mut ignored in self.expects.ignore_syncs(end.unwrap_or(u64::MAX)) {
            if let Some(context) = &mut ignored.context {
                self.units.put_back(context.units.take());
            }
        }
        if let Some(copy) = &mut self.copy_in {
            copy.begin();
        }
    }

    /// A message while the server waits for data that is passed on; false for one that is treated as ever.
    ///
    /// # Errors
    /// The server would fail at it, and lose its place in what follows.
    pub(super) fn passes_data(&mut self, tag: u8, total: usize) -> Result<bool, End> {
        if matches!(tag, b'c' | b'f') && !self.expects.is_empty() {
            match self.passing.waits {
                true => self.passing.waits = false,
                false => self.passing.ends.push_back(self.expects.sent()),
            }
            return Ok(false);
        }
        if !self.passing.waits {
            return Ok(false);
        }
        match tag {
            b'd' | b'X' => Ok(false),
            b'S' | b'H' => {
                self.relay_client(total);
                Ok(true)
            }
            _ => Err(unexpected(tag)),
        }
    }

    /// Something is waited for.
    ///
    /// # Errors
    /// The server waits for data itself, and what has come instead is not data.
    pub(super) fn never_waits_in_data(&self) -> Result<(), End> {
        if !self.passing.waits {
            return Ok(());
        }
        Err(unexpected(self.io.client.input.bytes().first().copied().unwrap_or_default()))
    }
}

pub(super) fn unexpected(tag: u8) -> End {
    End::Fatal(Box::new(Failure::new(
        "08P01",
        "protocol",
        format!("unexpected message type 0x{tag:02X} during COPY from stdin"),
        "end the data by CopyDone or CopyFail first",
    )))
}
