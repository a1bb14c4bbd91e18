//! The figures as Markdown.

use crate::documents::Size;
use crate::figures::{Runs, median, ratio, shown};
use crate::load::Measured;
use std::fmt::Write;

/// Which figure.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) size: Size,
    pub(crate) target: &'static str,
}

/// Each figure is the median of its rounds; each ratio, the median of the ratios within a round.
pub(crate) fn markdown(runs: &Runs<Cell, Measured>) -> String {
    let mut out = String::from(
        "| document | | requests/s | / direct | CPU per request | CPU / nginx's |\n|---|---|---|---|---|---|\n",
    );
    for size in [Size::Small, Size::Large] {
        for target in ["direct", "nginx", "haproxy", "hyper alone", "gateway", "four fields"] {
            line(runs, &mut out, Cell { size, target });
        }
    }
    out
}

fn line(runs: &Runs<Cell, Measured>, out: &mut String, cell: Cell) {
    let own = runs.of(&cell);
    let beside = |target| runs.of(&Cell { target, ..cell });
    let _ = writeln!(
        out,
        "| {} | {} | {} | {} | {} | {} |",
        cell.size.title(),
        cell.target,
        shown(median(own.iter().map(|m| m.rate).collect()), 0, ""),
        shown(ratio(&own, &beside("direct"), |m| Some(m.rate)), 2, ""),
        shown(median(own.iter().filter_map(|m| m.cpu).collect()), 1, " µs"),
        shown(ratio(&own, &beside("nginx"), |m| m.cpu), 2, ""),
    );
}
