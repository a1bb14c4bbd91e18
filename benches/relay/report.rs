//! The figures as Markdown.

use crate::clients::{Measured, Protocol, Script};
use std::fmt::Write;

/// Which figure.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) protocol: Protocol,
    pub(crate) clients: u32,
    pub(crate) script: Script,
    pub(crate) target: &'static str,
}

/// All runs.
#[derive(Default)]
pub(crate) struct Report {
    runs: Vec<(Cell, Measured)>,
}

impl Report {
    pub(crate) fn add(&mut self, cell: Cell, measured: Measured) {
        self.runs.push((cell, measured));
    }

    /// One table per script. Each figure is the median of its rounds; each ratio, the median of the
    /// ratios within a round.
    pub(crate) fn markdown(&self, clients: &[u32]) -> String {
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
                        self.line(&mut out, Cell { protocol, clients: *clients, script, target });
                    }
                }
            }
            out.push('\n');
        }
        out
    }

    fn line(&self, out: &mut String, cell: Cell) {
        let own = self.of(cell);
        let direct = self.of(Cell { target: "direct", ..cell });
        let yardstick = self.of(Cell { target: "pgbouncer", ..cell });
        let tps = median(own.iter().map(|m| m.tps).collect());
        let to_direct = median(own.iter().zip(&direct).map(|(a, b)| a.tps / b.tps).collect());
        let cpu = median(own.iter().filter_map(|m| m.cpu).collect());
        let to_yardstick = own.iter().zip(&yardstick).filter_map(|(a, b)| Some(a.cpu? / b.cpu?)).collect();
        let Cell { protocol, clients, target, .. } = cell;
        let protocol = if protocol == Protocol::Simple { "simple" } else { "prepared" };
        let shown = |value: Option<f64>, digits: usize, unit: &str| {
            value.map_or_else(|| "–".to_owned(), |v| format!("{v:.digits$}{unit}"))
        };
        let _ = writeln!(
            out,
            "| {protocol} | {clients} | {target} | {} | {} | {} | {} |",
            shown(tps, 0, ""),
            shown(to_direct, 2, ""),
            shown(cpu, 1, " µs"),
            shown(median(to_yardstick), 2, ""),
        );
    }

    fn of(&self, cell: Cell) -> Vec<Measured> {
        self.runs.iter().filter(|(c, _)| *c == cell).map(|(_, m)| *m).collect()
    }
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

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
