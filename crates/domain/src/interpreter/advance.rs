//! Moving a run forward by what happened to it.

use super::answers::Asked;
use super::goal::reach_goal;
use super::happened_at;
use super::{
    Command, End, RecordedEvents, RunEvent, RunState, Send, Step, StepOutcome, StoredRequests, Walk, Watch,
};
use crate::budget::Spent;
use crate::contact::Contact;
use crate::event::RecordedEvent;
use crate::facts::TenantFacts;
use crate::id::RunId;
use crate::limits::Limits;
use crate::record::RecordChange;
use crate::retry::Ladder;
use crate::workflow::Workflow;
use chrono::{DateTime, Utc};
use serde_json::json;

/// What is known about a run beside its state.
#[derive(Clone, Debug)]
pub struct RunInput<'a> {
    /// The event that started it; may be left out when [`Workflow::needs`] does not have it.
    pub event: Option<&'a RecordedEvent>,
    /// Its contact as recorded; the run works on this copy.
    pub contact: Option<Contact>,
    /// The tenant.
    pub tenant: TenantFacts<'a>,
    /// The run.
    pub run_id: RunId,
    /// What the run is unique by within its workflow.
    pub run_key: &'a str,
    /// When the run was made.
    pub started_at: DateTime<Utc>,
    /// Number of the pinned version.
    pub version: i32,
    /// The database's clock, read once per batch.
    pub now: DateTime<Utc>,
    /// What steps may use up.
    pub limits: &'a Limits,
    /// When failed steps are tried again.
    pub ladder: &'a Ladder,
    /// Whether the workflow is paused: outcomes are taken in, and nothing is begun.
    pub is_paused: bool,
    /// The requests of earlier tries.
    pub stored: &'a dyn StoredRequests,
    /// Events that it may hear of.
    pub recorded: &'a dyn RecordedEvents,
    /// Who is told of each node that is evaluated.
    pub watch: &'a dyn Watch,
}

/// How far a run went.
#[derive(Clone, PartialEq, Debug)]
pub struct Advanced {
    /// Its state now; [`RunState::end`] says how it ended, if it did.
    pub state: RunState,
    /// What it asks for, in order; nothing of a failed step, but that it failed.
    pub commands: Vec<Command>,
    /// What its steps were charged. Where steps spend too much together the run stops before the next one, which then
    /// waits for its turn.
    pub spent: Spent,
}

impl Advanced {
    /// Whether this ended the run; false when the run had ended before.
    pub fn finished(&self) -> bool {
        self.commands.contains(&Command::Finish)
    }

    /// What its steps change, in order.
    pub fn changes(&self) -> impl Iterator<Item = &RecordChange> {
        self.commands.iter().filter_map(Command::change)
    }

    /// What happened, in order.
    pub fn log(&self) -> impl Iterator<Item = &Step> {
        self.commands.iter().filter_map(Command::step)
    }

    /// The requests that are to be sent, in order.
    pub fn sends(&self) -> impl Iterator<Item = &Send> {
        self.commands.iter().filter_map(Command::send)
    }
}

/// Moves a run by these inputs, and through every step that needs no waiting.
///
/// Pure: the same arguments give the same commands with the same ids. An input that comes too late changes nothing and asks
/// for nothing. Whatever happens, afterwards the run has ended or every token waits for something named. Later steps see what
/// earlier ones did to the contact.
pub fn advance(
    workflow: &Workflow,
    state: RunState,
    inputs: impl IntoIterator<Item = RunEvent>,
    run: RunInput<'_>,
) -> Advanced {
    let recorded = run.recorded;
    let mut walk = Walk::new(workflow, state, run);
    walk.look_back();
    walk.go_forked();
    for input in in_order(inputs.into_iter().collect(), recorded) {
        if walk.state.end.is_none() {
            take(&mut walk, input);
            walk.go_forked();
        }
    }
    walk.settle_conditions();
    let spent = walk.budget.spent_together();
    Advanced { state: walk.state, commands: walk.commands, spent }
}

/// The inputs with what happened in the order in which it happened, each in the place of another.
fn in_order(mut inputs: Vec<RunEvent>, recorded: &dyn RecordedEvents) -> Vec<RunEvent> {
    let at = |input: &RunEvent| match input {
        RunEvent::Heard { event, .. } => {
            recorded.event(*event).map(|recorded| (happened_at(recorded), recorded.event.key))
        }
        RunEvent::Started { .. }
        | RunEvent::ActionCompleted { .. }
        | RunEvent::ActionFailed { .. }
        | RunEvent::ActionPostponed { .. }
        | RunEvent::TimerFired
        | RunEvent::Claimed
        | RunEvent::GoalReached(_)
        | RunEvent::Answered { .. }
        | RunEvent::Cancelled { .. } => None,
    };
    let places: Vec<usize> = (0..inputs.len()).filter(|place| at(&inputs[*place]).is_some()).collect();
    let mut heard: Vec<RunEvent> = places.iter().map(|place| inputs[*place].clone()).collect();
    heard.sort_by_key(at);
    for (place, input) in places.into_iter().zip(heard) {
        inputs[place] = input;
    }
    inputs
}

/// Ends a run for a person or a rule, and says so in its history; a run that has ended stays as it is. What the run is a version
/// of does not matter to that.
pub fn cancel(mut state: RunState, reason: String) -> (RunState, Vec<Command>) {
    if state.end.is_some() {
        return (state, Vec::new());
    }
    let step = Step {
        node: String::new(),
        action: "cancel".to_owned(),
        visit: 1,
        outcome: StepOutcome::Completed,
        detail: json!({ "reason": reason }),
    };
    state.end_as(End::Cancelled { reason });
    (state, vec![Command::Log(step), Command::Finish])
}

fn take(walk: &mut Walk<'_>, input: RunEvent) {
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
        RunEvent::Heard { event, changes_contact } => {
            walk.hear_event(event);
            if changes_contact {
                walk.hear_change();
            }
        }
        RunEvent::Answered { node, visit, answer } => walk.hear_answer(&node, visit, &answer),
        RunEvent::TimerFired => walk.wake(),
        RunEvent::Claimed => walk.take_over(),
        RunEvent::GoalReached(reached) => {
            let (state, commands) = reach_goal(std::mem::take(&mut walk.state), reached);
            walk.state = state;
            walk.commands.extend(commands);
        }
        RunEvent::Cancelled { reason } => {
            let (state, commands) = cancel(std::mem::take(&mut walk.state), reason);
            walk.state = state;
            walk.commands.extend(commands);
        }
    }
}

#[cfg(test)]
mod tests;
