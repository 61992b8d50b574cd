//! The conditions of an entry with both their values.

use crate::condition::{Comparison, Condition, Explained};
use crate::facts::Facts;
use crate::workflow::{Trigger, Workflow};
use serde::Serialize;

/// A condition of the entry, and what it comes to.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct EntryCondition {
    /// `trigger`, or `enrolment` for the workflow's own.
    pub of: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Its comparisons, in order.
    pub comparisons: Vec<Comparison>,
    /// Comparisons for which there was no room.
    #[serde(skip_serializing_if = "is_none")]
    pub left_out: usize,
    /// Whether telling all of it takes more than a budget: then nothing is told.
    #[serde(skip_serializing_if = "is_not")]
    pub over_budget: bool,
}

/// The conditions that an event has to pass to start a run by this trigger, each with both values of its comparisons. Each
/// has what is left of the facts' budget, anew.
pub fn explained(workflow: &Workflow, trigger: &Trigger, facts: &Facts<'_>) -> Vec<EntryCondition> {
    let entry = |of, condition: &Condition| {
        // Telling takes more than deciding, which stops at the part that decides.
        facts.budget.begin_next();
        let (explained, over_budget) = match condition.explain(facts) {
            Ok(explained) => (explained, false),
            Err(_exceeded) => (Explained::default(), true),
        };
        let Explained { holds, comparisons, left_out } = explained;
        EntryCondition { of, holds, comparisons, left_out, over_budget }
    };
    [("trigger", &trigger.condition), ("enrolment", &workflow.enrolment.condition)]
        .into_iter()
        .filter_map(|(of, condition)| Some(entry(of, condition.as_ref()?)))
        .collect()
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

fn is_not(flag: &bool) -> bool {
    !*flag
}
