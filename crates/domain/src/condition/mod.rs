//! Conditions: a comparison, or `all`, `any`, `not` over others.

use crate::facts::Facts;
use crate::limits::Limits;
use crate::problem::Problem;
use serde_json::Value;

/// A parsed condition.
#[derive(Clone, Debug)]
pub struct Condition {}

/// What a condition came to, and why.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// Whether it holds.
    pub holds: bool,
    /// Each comparison that was made, in order.
    pub comparisons: Vec<Comparison>,
}

/// One comparison with both its values.
#[derive(Clone, PartialEq, Debug, serde::Serialize)]
pub struct Comparison {
    /// The field's path.
    pub field: String,
    /// Operator key.
    pub op: String,
    /// What the field held; null when missing.
    pub actual: Value,
    /// What it was compared with.
    pub expected: Value,
    /// The result.
    pub holds: bool,
}

impl Condition {
    /// Reads a condition; `at` is where it stands in the definition.
    pub fn parse(value: &Value, at: &str, limits: &Limits) -> Result<Self, Vec<Problem>> {
        let _ = (value, at, limits);
        todo!()
    }

    /// Whether it holds.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let _ = facts;
        todo!()
    }

    /// Whether it holds, with every comparison made.
    pub fn explain(&self, facts: &Facts<'_>) -> Verdict {
        let _ = facts;
        todo!()
    }

    /// Comparisons `event.<path> equals <literal>` that must hold for the whole to hold: what a trigger index uses.
    /// Each is the path (`event.data.form_id`) and the literal.
    pub fn required_equalities(&self) -> Vec<(&str, &Value)> {
        todo!()
    }

    /// Whether it reads a field below this root (`contact`, `event`, …).
    pub fn reads(&self, root: &str) -> bool {
        let _ = root;
        todo!()
    }
}
