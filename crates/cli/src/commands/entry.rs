//! The conditions of an entry with both their values, for people and for programs.

use automation_domain::condition::{Comparison, Condition, Verdict};
use automation_domain::facts::Facts;
use automation_domain::workflow::{Trigger, Workflow};
use serde::Serialize;
use serde_json::Value;

/// A condition of the entry, and what it comes to.
#[derive(Serialize, Debug)]
pub struct Entry {
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

/// The conditions that an event has to pass to start a run by this trigger.
pub fn of(workflow: &Workflow, trigger: &Trigger, facts: &Facts<'_>) -> Vec<Entry> {
    let entry = |of, condition: &Condition| {
        // Telling takes more than deciding, which stops at the part that decides.
        facts.budget.begin_next();
        let (verdict, over_budget) = match condition.explain(facts) {
            Ok(verdict) => (verdict, false),
            Err(_exceeded) => (Verdict::default(), true),
        };
        let Verdict { holds, comparisons, left_out } = verdict;
        Entry { of, holds, comparisons, left_out, over_budget }
    };
    [("trigger", &trigger.condition), ("enrolment", &workflow.enrolment.condition)]
        .into_iter()
        .filter_map(|(of, condition)| Some(entry(of, condition.as_ref()?)))
        .collect()
}

impl Entry {
    /// The verdict, and a line for each comparison.
    pub fn told(&self, indent: usize, remark: &str) -> Vec<String> {
        let verdict = match (self.holds, self.over_budget) {
            (true, _) => "holds",
            (false, false) => "does not hold",
            (false, true) => "takes more than its budget to tell",
        };
        let head = format!("{:indent$}{} condition {verdict}{remark}", "", self.of);
        let each = |one: &Comparison| {
            compared(indent + 2, one.holds, &one.field, &one.op, &one.actual, &one.expected)
        };
        let rest = left_out(indent + 2, self.left_out);
        std::iter::once(head).chain(self.comparisons.iter().map(each)).chain(rest).collect()
    }
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

fn is_not(flag: &bool) -> bool {
    !*flag
}

/// That there were more comparisons than there was room for.
pub fn left_out(indent: usize, comparisons: usize) -> Option<String> {
    (comparisons > 0).then(|| format!("{:indent$}and {comparisons} more, for which there was no room", ""))
}

/// A comparison in a line.
pub fn compared(
    indent: usize,
    holds: bool,
    field: &str,
    op: &str,
    actual: &Value,
    expected: &Value,
) -> String {
    let holds = if holds { "yes" } else { "no " };
    let actual = if actual.is_null() { "missing".to_owned() } else { short(actual) };
    format!("{:indent$}{holds}  {field} {op} {}, is {actual}", "", short(expected))
}

/// JSON in at most 100 characters.
pub fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Text as it is, anything else as JSON.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
