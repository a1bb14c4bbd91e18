//! What the process does so that its memory stays its own.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// Turns core dumps off and locks pages where the limit allows. Returns what could not be done, for
/// the log and `/readyz`.
///
/// Pages are locked as they are touched (`MCL_ONFAULT`), and only where `RLIMIT_MEMLOCK` is unlimited:
/// under a finite limit an allocation beyond it would fail and end the process.
pub fn harden() -> Vec<String> {
    let mut warnings = Vec::new();
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        warnings.push(format!("core dumps could not be limited: {error}"));
    }
    // Covers core_pattern pipes too, which the limit doesn't, and ptrace by others than root.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        warnings.push(format!("the process stays dumpable: {error}"));
    }
    if getrlimit(Resource::Memlock).current.is_some() {
        warnings.push("pages are not locked: RLIMIT_MEMLOCK is finite (set LimitMEMLOCK=infinity), so that secrets may reach swap".into());
    } else if let Err(error) =
        mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
    {
        warnings.push(format!("pages are not locked, so that secrets may reach swap: {error}"));
    }
    warnings
}
