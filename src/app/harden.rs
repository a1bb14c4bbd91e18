//! What the process does so that its memory stays its own.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// A panic is logged by its place only: its message may print what it was about, a literal of a statement
/// that the parser's bindings did not expect among them.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place = place.as_deref().unwrap_or("unknown"), "a thread panicked");
    }));
}

/// Turns core dumps off and locks pages where the limit allows. Returns what could not be done, for
/// the log and `/readyz`.
///
/// Pages are locked as they are touched (`MCL_ONFAULT`), and only where `RLIMIT_MEMLOCK` is unlimited:
/// under a finite limit an allocation beyond it would fail and end the process.
pub fn harden() -> Vec<String> {
    quiet_panics();
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
