//! Where a text was changed, so that the server's positions can be told as the client's.

/// Where a text was changed, in characters, to turn positions in errors back (Postgres counts
/// characters, from 1).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Splices(pub Vec<Splice>);

/// One change of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Splice {
    /// Where it begins in the new text.
    pub at: u32,
    /// Length in the new text.
    pub new: u32,
    /// Where it began in the client's text.
    pub was_at: u32,
    /// Length in the client's text.
    pub was: u32,
}

impl Splices {
    /// The position in the client's text for one in the text sent upstream (both from 1).
    pub fn original(&self, position: u32) -> u32 {
        let at = position.saturating_sub(1);
        let mut shift: i64 = 0;
        for s in &self.0 {
            if at < s.at {
                break;
            }
            if at < s.at + s.new {
                return s.was_at + 1;
            }
            shift = i64::from(s.was_at + s.was) - i64::from(s.at + s.new);
        }
        u32::try_from(i64::from(at) + shift + 1).unwrap_or(position)
    }
}
