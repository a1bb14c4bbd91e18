//! Who may do what.

use super::tokens::Role;

/// Everything that the API does for somebody with a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    SubjectShow,
    SubjectErase,
    SubjectRestrict,
    SubjectRelease,
    SubjectExport,
    SubjectRekey,
    UnsettledShow,
    ReceiptShow,
    PolicyShow,
    PolicyReload,
    CoverageShow,
    KeyShow,
    KeyRotate,
    KeyDestroy,
    KeystoreBackup,
    JobShow,
    JobResume,
    AuditShow,
}

use Action as A;
use Role::{Auditor, Operator, Privacy};

/// The whole table: the action, its name in the audit log, and the roles that may.
pub(super) const TABLE: &[(Action, &str, &[Role])] = &[
    (A::SubjectShow, "subject.show", &[Operator, Privacy, Auditor]),
    (A::SubjectErase, "subject.erase", &[Operator, Privacy]),
    (A::SubjectRestrict, "subject.restrict", &[Operator, Privacy]),
    (A::SubjectRelease, "subject.release", &[Operator, Privacy]),
    (A::SubjectRekey, "subject.rekey", &[Operator, Privacy]),
    // An operator runs the gateway, and has no business with what it holds.
    (A::SubjectExport, "subject.export", &[Privacy]),
    (A::UnsettledShow, "unsettled.show", &[Operator, Privacy, Auditor]),
    (A::ReceiptShow, "receipt.show", &[Operator, Privacy, Auditor]),
    (A::PolicyShow, "policy.show", &[Operator, Privacy, Auditor]),
    (A::PolicyReload, "policy.reload", &[Operator]),
    (A::CoverageShow, "coverage.show", &[Operator, Privacy, Auditor]),
    (A::KeyShow, "key.show", &[Operator, Privacy, Auditor]),
    (A::KeyRotate, "key.rotate", &[Operator]),
    (A::KeyDestroy, "key.destroy", &[Operator]),
    (A::KeystoreBackup, "keystore.backup", &[Operator]),
    (A::JobShow, "job.show", &[Operator, Privacy, Auditor]),
    (A::JobResume, "job.resume", &[Operator, Privacy]),
    (A::AuditShow, "audit.show", &[Privacy, Auditor]),
];

impl Action {
    fn row(self) -> Option<&'static (Action, &'static str, &'static [Role])> {
        TABLE.iter().find(|(action, ..)| *action == self)
    }

    /// As the audit log names it.
    pub(super) fn name(self) -> &'static str {
        self.row().map_or("unknown", |(_, name, _)| name)
    }

    /// Whether that role may do it: not unless the table says so.
    pub(super) fn allows(self, role: Role) -> bool {
        self.row().is_some_and(|(.., roles)| roles.contains(&role))
    }
}
