//! Rows that a statement locks (Postgres documentation, chapter 13.2.1): once it has waited for another transaction, the server looks
//! again whether they are still what was asked for. Where the gateway evaluates that, it does so too: it locks them beforehand.

use super::core::Planner;
use super::names::{Namespace, RelId};
use pg_raw_parse::raw::{LockClauseStrength, LockWaitPolicy};
use pg_raw_parse::{Node, nodes};

/// How rows are locked. The stronger is the greater, as the server takes it of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lock {
    strength: u32,
    wait: u32,
}

impl Lock {
    /// That of UPDATE and DELETE.
    pub(super) const WRITE: Self =
        Self { strength: LockClauseStrength::LCS_FORUPDATE, wait: LockWaitPolicy::LockWaitBlock };

    pub(super) fn sql(self) -> String {
        let strength = match self.strength {
            LockClauseStrength::LCS_FORKEYSHARE => "KEY SHARE",
            LockClauseStrength::LCS_FORSHARE => "SHARE",
            LockClauseStrength::LCS_FORNOKEYUPDATE => "NO KEY UPDATE",
            _ => "UPDATE",
        };
        let wait = match self.wait {
            LockWaitPolicy::LockWaitSkip => " SKIP LOCKED",
            LockWaitPolicy::LockWaitError => " NOWAIT",
            _ => "",
        };
        format!(" FOR {strength}{wait}")
    }
}

impl Planner<'_> {
    /// The rows of these relations are locked.
    pub(super) fn lock(&mut self, rel: RelId, lock: Lock) {
        match self.locks.iter_mut().find(|(of, _)| *of == rel) {
            Some((_, known)) => {
                known.strength = known.strength.max(lock.strength);
                known.wait = known.wait.max(lock.wait);
            }
            None => self.locks.push((rel, lock)),
        }
    }

    /// What the clauses behind a SELECT lock of its FROM.
    pub(super) fn locked_by(&mut self, s: &nodes::SelectStmt, ns: &Namespace) {
        for clause in s.locking_clause() {
            let lock = Lock { strength: clause.strength, wait: clause.wait_policy };
            let skips = clause.wait_policy == LockWaitPolicy::LockWaitSkip;
            if skips && !matches!(s.limit_count(), Node::None) {
                // Each takes some of the rows, and leaves the others to others: not all may be locked.
                continue;
            }
            let named = |rel: RelId| {
                let is = |n: Node<'_>| matches!(n, Node::RangeVar(v) if v.relname() == Some(&self.rels[rel].alias));
                clause.locked_rels().is_empty() || clause.locked_rels().iter().any(is)
            };
            let rels: Vec<RelId> = ns.rels.iter().copied().filter(|rel| named(*rel)).collect();
            rels.into_iter().for_each(|rel| self.lock(rel, lock));
        }
    }
}
