//! Branches: the first case that holds is taken.

use super::{Onward, Walk};
use crate::budget::Exceeded;
use crate::condition::Verdict;
use crate::interpreter::StepOutcome;
use crate::workflow::{Case, Node, NodeIndex};
use serde_json::{Value, json};

/// What a case takes in the log, beside its name and its comparisons.
const CASE_BYTES: usize = 64;

/// How a branch was decided.
struct Decided<'c> {
    /// The first case that holds.
    taken: Option<&'c Case>,
    /// What is told of those that were looked at.
    looked_at: Vec<Value>,
    /// Those for which there was no room in the log.
    left_out: usize,
}

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
        let Decided { taken, looked_at, left_out } = match decided {
            Ok(decided) => decided,
            Err(exceeded) => return self.fail_step(token, node, visit, exceeded.into(), None),
        };
        let (name, to) = taken.map_or(("else", otherwise), |case| (case.name.as_str(), case.to));
        self.state.steps.entry(node.id.clone()).or_default().case = Some(name.to_owned());
        let mut detail = json!({ "case": name, "cases": looked_at });
        if left_out > 0 {
            detail["left_out"] = left_out.into();
        }
        self.log(&node.id, "branch", visit, StepOutcome::Completed, detail);
        Onward::To(to)
    }

    /// The first case that holds, and what is told of those that were looked at.
    fn decide<'c>(&self, cases: &'c [Case]) -> Result<Decided<'c>, Exceeded> {
        let mut decided = Decided { taken: None, looked_at: Vec::new(), left_out: 0 };
        let facts = self.facts();
        for case in cases {
            let verdict = case.condition.explain(&facts)?;
            decided.taken = verdict.holds.then_some(case);
            if facts.budget.log(CASE_BYTES + case.name.len())? {
                decided.looked_at.push(told(case, verdict));
            } else {
                decided.left_out += 1;
            }
            if decided.taken.is_some() {
                break;
            }
        }
        Ok(decided)
    }
}

/// A case in the log, with its comparisons.
fn told(case: &Case, verdict: Verdict) -> Value {
    let mut told = json!({
        "case": case.name,
        "holds": verdict.holds,
        "comparisons": verdict.comparisons,
    });
    if verdict.left_out > 0 {
        told["left_out"] = verdict.left_out.into();
    }
    told
}
