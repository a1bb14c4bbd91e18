//! A planned statement as it runs: one allocation, shared by every answer that is due for it and kept
//! for the next Bind that asks for the same formats.

use super::rows::format_at;
use crate::pg::plan::{Action, Plan, Source};
use crate::pg::value::Format;
use crate::pg::wire::bind::Formats;
use std::sync::Arc;

/// A plan with the result formats that the client asked for.
pub(super) struct Running {
    /// What was planned.
    pub plan: Arc<Plan>,
    /// Parameter types that the client declared.
    pub declared: Arc<[u32]>,
    /// The client's result format codes as they stood in its Bind.
    asked: Box<[u8]>,
    /// Result format codes for the server, those of hidden columns included.
    pub formats: Vec<Format>,
    /// A Bind of the client's is what the server is to get, byte for byte.
    pub binds_as_sent: bool,
}

impl Running {
    /// With these result formats; none where one of them is no format code.
    pub(super) fn new(plan: &Arc<Plan>, declared: &Arc<[u32]>, results: Formats<'_>) -> Option<Arc<Self>> {
        let asked: Vec<Format> = (0..results.len()).map(|i| results.at(i).ok()).collect::<Option<_>>()?;
        // Of rows that the client's statement doesn't give, it may say anything.
        let formats = if plan.swallow_rows { Vec::new() } else { for_server(plan, &asked) };
        let binds_as_sent = formats.len() == asked.len() && takes_parameters_as_sent(plan);
        Some(Arc::new(Self {
            plan: Arc::clone(plan),
            declared: Arc::clone(declared),
            asked: results.raw().into(),
            formats,
            binds_as_sent,
        }))
    }

    /// With all columns as text.
    pub(super) fn text(plan: &Arc<Plan>, declared: &Arc<[u32]>) -> Arc<Self> {
        Arc::new(Self {
            plan: Arc::clone(plan),
            declared: Arc::clone(declared),
            asked: Box::default(),
            formats: Vec::new(),
            binds_as_sent: takes_parameters_as_sent(plan),
        })
    }

    /// Its rows are held until what they bind is durable.
    pub(super) fn holds_rows(&self) -> bool {
        self.plan.write.as_ref().is_some_and(|write| write.bind.is_some() || !write.within.is_empty())
    }

    /// Whether it serves a Bind with these result formats as well.
    pub(super) fn serves(&self, results: Formats<'_>) -> bool {
        *self.asked == *results.raw()
    }
}

/// Every upstream parameter is the client's own, unchanged, and nothing is written.
fn takes_parameters_as_sent(plan: &Plan) -> bool {
    plan.write.is_none()
        && plan.constants.as_ref().is_none_or(|constants| constants.values.is_empty())
        && plan.params.len() == plan.client_params.len()
        && plan.params.iter().enumerate().all(|(at, param)| {
            param.action == Action::Relay && matches!(param.source, Source::Client(i) if usize::from(i) == at)
        })
}

/// Result formats for the server: hidden columns need codes of their own only where the client's don't
/// stand for all columns, or would ask for them in binary.
fn for_server(plan: &Plan, asked: &[Format]) -> Vec<Format> {
    let mut all = asked.to_vec();
    match (asked, plan.visible) {
        (_, _) if plan.hidden.is_empty() => {}
        ([] | [Format::Text], _) => {}
        ([Format::Binary], Some(visible)) => {
            all = (0..usize::from(visible)).map(|i| format_at(asked, i)).collect();
            all.extend(std::iter::repeat_n(Format::Text, plan.hidden.len()));
        }
        _ if asked.len() > 1 => all.extend(std::iter::repeat_n(Format::Text, plan.hidden.len())),
        _ => {}
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use Format::{Binary, Text};

    fn plan(visible: u16, hidden: usize) -> Plan {
        Plan { visible: Some(visible), hidden: vec![23; hidden], ..Plan::default() }
    }

    #[test]
    fn hidden_columns_come_as_text() {
        for (visible, hidden, asked, sent) in [
            (2, 1, &[][..], &[][..]),
            (2, 1, &[Text], &[Text]),
            (2, 1, &[Binary], &[Binary, Binary, Text]),
            (2, 1, &[Binary, Text], &[Binary, Text, Text]),
            (0, 2, &[Binary], &[Text, Text]),
            (2, 0, &[Binary], &[Binary]),
        ] {
            assert_eq!(for_server(&plan(visible, hidden), asked), sent, "{visible} {hidden} {asked:?}");
        }
    }
}
