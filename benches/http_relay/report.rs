//! The figures as Markdown.

use crate::documents::Size;
use crate::load::Measured;
use std::fmt::Write;

/// Which figure.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    pub(crate) size: Size,
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

    /// Each figure is the median of its rounds; each ratio, the median of the ratios within a round.
    pub(crate) fn markdown(&self) -> String {
        let mut out = String::from(
            "| document | | requests/s | / direct | CPU per request | CPU / nginx's |\n|---|---|---|---|---|---|\n",
        );
        for size in [Size::Small, Size::Large] {
            for target in ["direct", "nginx", "haproxy", "gateway", "four fields"] {
                self.line(&mut out, Cell { size, target });
            }
        }
        out
    }

    fn line(&self, out: &mut String, cell: Cell) {
        let own = self.of(cell);
        let direct = self.of(Cell { target: "direct", ..cell });
        let nginx = self.of(Cell { target: "nginx", ..cell });
        let rate = median(own.iter().map(|m| m.rate).collect());
        let to_direct = median(own.iter().zip(&direct).map(|(a, b)| a.rate / b.rate).collect());
        let cpu = median(own.iter().filter_map(|m| m.cpu).collect());
        let to_nginx = own.iter().zip(&nginx).filter_map(|(a, b)| Some(a.cpu? / b.cpu?)).collect();
        let shown = |value: Option<f64>, digits: usize, unit: &str| {
            value.map_or_else(|| "–".to_owned(), |v| format!("{v:.digits$}{unit}"))
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            cell.size.title(),
            cell.target,
            shown(rate, 0, ""),
            shown(to_direct, 2, ""),
            shown(cpu, 1, " µs"),
            shown(median(to_nginx), 2, ""),
        );
    }

    fn of(&self, cell: Cell) -> Vec<Measured> {
        self.runs.iter().filter(|(c, _)| *c == cell).map(|(_, m)| *m).collect()
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
