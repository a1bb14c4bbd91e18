//! The figures as Markdown.

use crate::clients::{Measured, Protocol, Script};
use crate::figures::{Runs, median, ratio, shown};
use std::fmt::Write;

/// Which figure.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) protocol: Protocol,
    pub(crate) clients: u32,
    pub(crate) script: Script,
    pub(crate) target: &'static str,
}

/// One table per script. Each figure is the median of its rounds; each ratio, the median of the
/// ratios within a round.
pub(crate) fn markdown(runs: &Runs<Cell, Measured>, clients: &[u32]) -> String {
    let mut out = String::new();
    for (script, title) in [
        (Script::Accounts, "Nothing protected: `pgbench -S`"),
        (Script::Sealed, "Four encrypted fields per row (direct and pgbouncer pass the ciphertext)"),
    ] {
        let _ = writeln!(out, "### {title}\n");
        out.push_str(
            "| protocol | clients | | tps | tps / direct | CPU per statement | CPU / pgbouncer's |\n",
        );
        out.push_str("|---|---|---|---|---|---|---|\n");
        for protocol in [Protocol::Simple, Protocol::Prepared] {
            for clients in clients {
                for target in ["direct", "pgbouncer", "gateway"] {
                    line(runs, &mut out, Cell { protocol, clients: *clients, script, target });
                }
            }
        }
        out.push('\n');
    }
    out
}

fn line(runs: &Runs<Cell, Measured>, out: &mut String, cell: Cell) {
    let own = runs.of(&cell);
    let beside = |target| runs.of(&Cell { target, ..cell });
    let Cell { protocol, clients, target, .. } = cell;
    let protocol = if protocol == Protocol::Simple { "simple" } else { "prepared" };
    let _ = writeln!(
        out,
        "| {protocol} | {clients} | {target} | {} | {} | {} | {} |",
        shown(median(own.iter().map(|m| m.tps).collect()), 0, ""),
        shown(ratio(&own, &beside("direct"), |m| Some(m.tps)), 2, ""),
        shown(median(own.iter().filter_map(|m| m.cpu).collect()), 1, " µs"),
        shown(ratio(&own, &beside("pgbouncer"), |m| m.cpu), 2, ""),
    );
}

/// The memory table.
pub(crate) fn memory(marks: &[(&'static str, u64)]) -> String {
    let mut out =
        String::from("### Memory (high-water mark of the gateway's process)\n\n| after | MiB |\n|---|---|\n");
    for (what, kib) in marks {
        #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let mib = *kib as f64 / 1024.0;
        let _ = writeln!(out, "| {what} | {mib:.1} |");
    }
    out
}
