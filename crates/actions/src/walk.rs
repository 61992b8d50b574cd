//! Walking a run as far as it goes without waiting: what executor, dry run and simulator share.

use crate::{Prepared, StepContext, prepare};
use automation_domain::contact::Contact;
use automation_domain::event::RecordedEvent;
use automation_domain::facts::{Facts, RunFacts};
use automation_domain::id::{RecordId, RunId};
use automation_domain::interpreter::{
    Command, RunEvent, RunState, Step, StepError, Surroundings, Waits, advance,
};
use automation_domain::json;
use automation_domain::limits::Limits;
use automation_domain::record::RecordChange;
use automation_domain::workflow::{NodeIndex, NodeKind, Workflow};
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::collections::VecDeque;

/// What is known about a run beside its state.
#[derive(Clone, Debug)]
pub struct RunInput<'a> {
    /// The event that started it; may be left out when [`Workflow::reads_event`] is false.
    pub event: Option<&'a RecordedEvent>,
    /// Its contact as recorded; the walk works on this copy.
    pub contact: Option<Contact>,
    /// The tenant's key.
    pub tenant: &'a str,
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
}

/// How far a run went.
#[derive(Clone, PartialEq, Debug)]
pub struct Walked {
    /// Its state now; [`RunState::end`] says how it ended, if it did.
    pub state: RunState,
    /// What its steps change, in order; none of a failed step.
    pub changes: Vec<RecordChange>,
    /// What happened, in order.
    pub log: Vec<Step>,
    /// Every token that waits for a time, with its node: all of them, not only those that began to wait in this walk.
    pub wait_until: Vec<(u16, String, DateTime<Utc>)>,
    /// Whether this walk ended the run; false when the run had ended before.
    pub finished: bool,
}

/// Moves a run by one input and through every step that needs no waiting.
///
/// Pure: the same arguments give the same changes with the same ids. Later steps see what earlier ones did to the contact.
pub fn walk(workflow: &Workflow, state: RunState, input: RunEvent, run: RunInput<'_>) -> Walked {
    let mut walker = Walker { workflow, run, changes: Vec::new(), used_bytes: None };
    let (mut state, commands) = walker.advance(state, input);
    let mut commands = VecDeque::from(commands);
    let (mut log, mut finished) = (Vec::with_capacity(commands.len()), false);
    while let Some(command) = commands.pop_front() {
        match command {
            Command::Log(step) => log.push(step),
            // Read from the tokens below, which also know the waits of earlier walks.
            Command::WaitUntil { .. } => {}
            Command::Finish => finished = true,
            Command::RunAction { token, node, visit } if state.tokens.contains_key(&token) => {
                let outcome = walker.perform(&state, token, node, visit);
                let (next, more) = walker.advance(state, outcome);
                state = next;
                commands.extend(more);
            }
            // Another branch ended the run before this action's turn came.
            Command::RunAction { .. } => {}
        }
    }
    let wait_until = state.tokens.iter().filter_map(|(number, token)| match &token.waits {
        Waits::Timer { until } => Some((*number, token.node.clone(), *until)),
        Waits::Action => None,
    });
    Walked { wait_until: wait_until.collect(), state, changes: walker.changes, log, finished }
}

struct Walker<'a> {
    workflow: &'a Workflow,
    run: RunInput<'a>,
    changes: Vec<RecordChange>,
    /// Bytes of variables and outputs; measured when the first action asks.
    used_bytes: Option<usize>,
}

impl Walker<'_> {
    fn advance(&self, state: RunState, input: RunEvent) -> (RunState, Vec<Command>) {
        let none = RunState::default();
        let surroundings = Surroundings { facts: self.facts(&none), max_steps: self.run.limits.steps };
        advance(self.workflow, state, input, surroundings, self.run.now)
    }

    /// Prepares an action and keeps its changes.
    fn perform(&mut self, state: &RunState, token: u16, node: NodeIndex, visit: u32) -> RunEvent {
        match self.prepare(state, node, visit) {
            Ok(Prepared { changes, output }) => {
                if let Some(contact) = &mut self.run.contact {
                    fold(&changes, contact);
                }
                self.changes.extend(changes);
                RunEvent::ActionCompleted { token, node, visit, output }
            }
            Err(error) => RunEvent::ActionFailed { token, node, visit, error },
        }
    }

    fn prepare(&mut self, state: &RunState, index: NodeIndex, visit: u32) -> Result<Prepared, StepError> {
        let node = &self.workflow.nodes[index];
        let (action, config) = match &node.kind {
            NodeKind::Action { action, config } => (action, config),
            NodeKind::Delay { .. } | NodeKind::Branch { .. } | NodeKind::Stop => {
                unreachable!("the interpreter asks for the actions of action nodes only")
            }
        };
        let facts = self.facts(state);
        let config =
            config.render(&facts).map_err(|error| StepError { code: error.code, message: error.message })?;
        let record_id = RecordId::derive(self.run.run_id, &node.id, visit);
        let prepared = prepare(action, &config, StepContext { facts, record_id })?;
        self.count_output(state, &node.id, &prepared.output)?;
        Ok(prepared)
    }

    fn facts<'f>(&'f self, state: &'f RunState) -> Facts<'f> {
        let run = RunFacts {
            run_id: self.run.run_id,
            run_key: self.run.run_key,
            started_at: self.run.started_at,
            workflow: &self.workflow.key,
            version: self.run.version,
            state,
        };
        Facts {
            event: self.run.event,
            contact: self.run.contact.as_ref(),
            run: Some(run),
            tenant: self.run.tenant,
            now: self.run.now,
        }
    }

    /// Keeps each output, and variables and outputs together, within the limits; an output replaces the node's last.
    fn count_output(&mut self, state: &RunState, node: &str, output: &Value) -> Result<(), StepError> {
        let limits = self.run.limits;
        let size = json::size_bytes(output);
        if size > limits.output_bytes {
            return Err(too_large(format!(
                "the step's output has {size} bytes; at most {} are allowed",
                limits.output_bytes
            )));
        }
        let used = *self.used_bytes.get_or_insert_with(|| used_bytes(state));
        let replaced = state
            .steps
            .get(node)
            .filter(|result| !result.output.is_null())
            .map_or(0, |r| json::size_bytes(&r.output));
        let total = used - replaced.min(used) + size;
        if total > limits.variables_bytes {
            return Err(too_large(format!(
                "the run's variables and outputs have {total} bytes; at most {} are allowed",
                limits.variables_bytes
            )));
        }
        self.used_bytes = Some(total);
        Ok(())
    }
}

/// Lets later steps see what a step did to the contact; the events that follow are the checkpoint's business.
fn fold(changes: &[RecordChange], contact: &mut Contact) {
    for change in changes {
        match change {
            RecordChange::Contact { contact_id, change } if *contact_id == contact.contact_id => {
                change.apply(contact);
            }
            RecordChange::Contact { .. } | RecordChange::CreateTask(_) | RecordChange::AddNote(_) => {}
        }
    }
}

fn used_bytes(state: &RunState) -> usize {
    let vars: usize = state.vars.values().map(json::size_bytes).sum();
    let outputs = state.steps.values().map(|step| &step.output).filter(|output| !output.is_null());
    vars + outputs.map(json::size_bytes).sum::<usize>()
}

fn too_large(message: String) -> StepError {
    StepError { code: "output_too_large".to_owned(), message }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
