//! What a try of a request came to, as the run hears it.

use super::{RunEvent, StepError, Tries};
use crate::effect::Outcome;
use crate::retry::FailureKind;
use crate::step_code::StepCode;
use crate::workflow::{Delivery, Node, NodeIndex};

/// The step that asked for a request.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// Which token.
    pub token: u16,
    /// The node.
    pub node: NodeIndex,
    /// Which visit of it.
    pub visit: u32,
    /// What the step has used up, this try included.
    pub tries: Tries,
}

impl Asker {
    /// What a run hears of what a try came to. Where the request may arrive once at most, a failure after which nobody knows
    /// whether it did is no reason to try again.
    pub fn hears(self, outcome: Outcome, delivery: Delivery) -> RunEvent {
        let Self { token, node, visit, tries } = self;
        let number = tries.number();
        let (error, kind) = match outcome {
            Outcome::Done { output, vars } => {
                return RunEvent::ActionCompleted { token, node, visit, number, output, vars };
            }
            Outcome::Retry { error, reached: true, .. } if delivery == Delivery::AtMostOnce => {
                (unknown(&format!("{} [{}]", error.message, error.code)), FailureKind::Unknown)
            }
            Outcome::Retry { error, after, .. } => (error, FailureKind::Retry { after }),
            Outcome::Failed { error } => (error, FailureKind::Fail),
        };
        RunEvent::ActionFailed { token, node, visit, number, error, kind }
    }
}

/// What the action of a node reads in what a try came to: success may stand in the answer. A node without one leaves it.
pub fn received(node: Option<&Node>, outcome: Outcome) -> Outcome {
    match node.and_then(|node| node.behaviour.action()) {
        Some(node) => (node.action.receive)(outcome),
        None => outcome,
    }
}

/// That nobody knows what became of a request, and why.
pub fn unknown(why: &str) -> StepError {
    StepError {
        code: StepCode::OutcomeUnknown.into(),
        message: format!("the request is sent once at most, and may have had its effect: {why}"),
    }
}
