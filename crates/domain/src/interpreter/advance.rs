//! Moving a run forward by one input.

use super::answers::Asked;
use super::{Command, End, RunEvent, RunState, Walk, Watch};
use crate::facts::Facts;
use crate::retry::Ladder;
use crate::workflow::Workflow;
use chrono::{DateTime, Utc};

/// What the interpreter may look at beside the run's own state.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Everything but the state: `facts.run.state` is replaced by the state being advanced.
    pub facts: Facts<'a>,
    /// Most steps a run may take.
    pub max_steps: u32,
    /// When failed steps are tried again.
    pub ladder: &'a Ladder,
    /// Whether the workflow is paused: what is under way comes to its outcome, and nothing is begun.
    pub is_paused: bool,
    /// Who is told of each node that is evaluated.
    pub watch: &'a dyn Watch,
}

/// Moves a run forward by one input.
///
/// An input that comes too late changes nothing and asks for nothing. Whatever happens, afterwards the run has ended
/// or every token waits for something named.
pub fn advance(
    workflow: &Workflow,
    state: RunState,
    input: RunEvent,
    surroundings: Surroundings<'_>,
    now: DateTime<Utc>,
) -> (RunState, Vec<Command>) {
    if state.end.is_some() {
        return (state, Vec::new());
    }
    let mut walk = Walk { workflow, state, surroundings, now, commands: Vec::new() };
    match input {
        RunEvent::Started { trigger } => walk.start(&trigger),
        RunEvent::ActionCompleted { token, node, visit, number, output, vars } => {
            walk.complete_action(Asked { token, node, visit, number }, output, vars);
        }
        RunEvent::ActionFailed { token, node, visit, number, error, kind } => {
            walk.fail_action(Asked { token, node, visit, number }, error, kind);
        }
        RunEvent::ActionPostponed { token, node, visit, number, until } => {
            walk.postpone_action(Asked { token, node, visit, number }, until);
        }
        RunEvent::TimerFired => walk.wake(),
        RunEvent::Cancelled { reason } => {
            walk.end(End::Cancelled { reason });
        }
    }
    (walk.state, walk.commands)
}

#[cfg(test)]
#[path = "advance_tests.rs"]
mod tests;
