//! The conditions of an entry with both their values.

use crate::condition::{Comparison, Condition, Explained};
use crate::facts::Facts;
use crate::workflow::{Enrolment, Trigger, Workflow};
use serde::Serialize;

/// A condition of the entry, and what it comes to.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct EntryCondition {
    /// `trigger`, `enrolment` for the workflow's own, or `suppress` for whom the workflow never lets in.
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

/// The word for the condition over whom a workflow never lets in.
const SUPPRESS: &str = "suppress";

impl EntryCondition {
    /// Whether it suppresses whom the event is about.
    pub fn suppresses(&self) -> bool {
        self.of == SUPPRESS && self.holds
    }

    /// Whether it is one that has to hold, and does not.
    pub fn is_missed(&self) -> bool {
        self.of != SUPPRESS && !self.holds
    }
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
    let Enrolment { condition, suppress, .. } = &workflow.enrolment;
    [("trigger", &trigger.condition), ("enrolment", condition), (SUPPRESS, suppress)]
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
