//! Runs that take turns, and their medians as Markdown cells.

/// All runs, by what was measured.
pub(crate) struct Runs<C, M>(Vec<(C, M)>);

impl<C, M> Default for Runs<C, M> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C: PartialEq, M: Copy> Runs<C, M> {
    pub(crate) fn add(&mut self, cell: C, measured: M) {
        self.0.push((cell, measured));
    }

    /// One for each round, in order.
    pub(crate) fn of(&self, cell: &C) -> Vec<M> {
        self.0.iter().filter(|(c, _)| c == cell).map(|(_, m)| *m).collect()
    }
}

/// Median of the ratios within a round.
pub(crate) fn ratio<M>(own: &[M], other: &[M], figure: impl Fn(&M) -> Option<f64>) -> Option<f64> {
    median(own.iter().zip(other).filter_map(|(a, b)| Some(figure(a)? / figure(b)?)).collect())
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// As a cell of a table.
pub(crate) fn shown(value: Option<f64>, digits: usize, unit: &str) -> String {
    value.map_or_else(|| "–".to_owned(), |v| format!("{v:.digits$}{unit}"))
}
