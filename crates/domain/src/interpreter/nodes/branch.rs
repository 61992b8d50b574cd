//! Branches: the first case that holds is taken.

use super::{Onward, Walk};
use crate::budget::Exceeded;
use crate::interpreter::StepOutcome;
use crate::workflow::{Case, Node, NodeIndex};
use serde_json::{Value, json};

impl Walk<'_> {
    /// The log tells the case taken and, for every case that was looked at, each comparison with both its values.
    pub(super) fn branch(
        &mut self,
        token: u16,
        node: &Node,
        visit: u32,
        (cases, otherwise): (&[Case], Option<NodeIndex>),
    ) -> Onward {
        let watch = self.surroundings.watch;
        if let Err(error) = watch.take(&node.id) {
            return self.fail_step(token, node, visit, error, None);
        }
        let decided = self.decide(cases);
        watch.put_down();
        let (taken, looked_at) = match decided {
            Ok(decided) => decided,
            Err(exceeded) => return self.fail_step(token, node, visit, exceeded.into(), None),
        };
        let (name, to) = taken.map_or(("else", otherwise), |case| (case.name.as_str(), case.to));
        self.state.steps.entry(node.id.clone()).or_default().case = Some(name.to_owned());
        let detail = json!({ "case": name, "cases": looked_at });
        self.log(&node.id, "branch", visit, StepOutcome::Completed, detail);
        Onward::To(to)
    }

    /// The first case that holds, and what is told of those that were looked at.
    fn decide<'c>(&self, cases: &'c [Case]) -> Result<(Option<&'c Case>, Vec<Value>), Exceeded> {
        let mut looked_at = Vec::with_capacity(cases.len());
        let facts = self.facts();
        for case in cases {
            let verdict = case.condition.explain(&facts)?;
            let mut told = json!({
                "case": case.name,
                "holds": verdict.holds,
                "comparisons": verdict.comparisons,
            });
            if verdict.left_out > 0 {
                told["left_out"] = verdict.left_out.into();
            }
            looked_at.push(told);
            if verdict.holds {
                return Ok((Some(case), looked_at));
            }
        }
        Ok((None, looked_at))
    }
}
