//! Branches: the first case that holds is taken.

use super::{Onward, Walk};
use crate::interpreter::{StepError, StepOutcome};
use crate::workflow::{Case, Node, NodeIndex};
use serde_json::{Value, json};

impl Walk<'_> {
    /// The log tells the case taken and, for every case that was looked at, each comparison with both its values.
    pub(super) fn branch(
        &mut self,
        node: &Node,
        visit: u32,
        cases: &[Case],
        otherwise: Option<NodeIndex>,
    ) -> Result<Onward, StepError> {
        self.surroundings.watch.take(&node.id)?;
        let mut looked_at = Vec::with_capacity(cases.len());
        let mut taken = ("else", otherwise);
        let facts = self.facts();
        for case in cases {
            let verdict = case.condition.explain(&facts);
            looked_at.push(json!({
                "case": case.name,
                "holds": verdict.holds,
                "comparisons": verdict.comparisons,
            }));
            if verdict.holds {
                taken = (&case.name, case.to);
                break;
            }
        }
        self.surroundings.watch.put_down();
        let (name, to) = taken;
        self.state.steps.entry(node.id.clone()).or_default().case = Some(name.to_owned());
        let detail = json!({ "case": name, "cases": Value::Array(looked_at) });
        self.log(&node.id, "branch", visit, StepOutcome::Completed, detail);
        Ok(Onward::To(to))
    }
}
