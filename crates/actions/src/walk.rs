//! Walking a run as far as it goes without waiting: what executor, dry run and simulator share.

use automation_domain::action::{Prepared, StepContext};
use automation_domain::budget::{Budget, Spent};
use automation_domain::contact::Contact;
use automation_domain::effect::Request;
use automation_domain::event::RecordedEvent;
use automation_domain::facts::{Facts, RunFacts};
use automation_domain::id::{IdempotencyKey, RecordId, RunId};
use automation_domain::interpreter::{
    Command, RunEvent, RunState, Step, StepError, Surroundings, Tries, Waits, Watch, advance,
};
use automation_domain::json;
use automation_domain::limits::Limits;
use automation_domain::record::RecordChange;
use automation_domain::record::stamps::Stamp;
use automation_domain::retry::{FailureKind, Ladder};
use automation_domain::step_code::StepCode;
use automation_domain::workflow::kinds::ActionNode;
use automation_domain::workflow::{NodeIndex, Workflow};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

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
    /// When failed steps are tried again.
    pub ladder: &'a Ladder,
    /// Whether the workflow is paused: outcomes are taken in, and nothing is begun.
    pub is_paused: bool,
    /// Who is told of each node that is evaluated.
    pub watch: &'a dyn Watch,
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
    /// Every token that waits for a time: all of them, not only those that began to wait in this walk.
    pub waits: Vec<Wait>,
    /// Every token that waits for the outcome of a request: all of them, also those whose sender vanished.
    pub asked: Vec<Asked>,
    /// Whether this walk ended the run; false when the run had ended before.
    pub finished: bool,
    /// What its steps were charged. A walk whose steps spend too much together stops before the next one, which then
    /// waits for now.
    pub spent: Spent,
}

/// A token that waits for a time.
#[derive(Clone, PartialEq, Debug)]
pub struct Wait {
    /// Which token.
    pub token: u16,
    /// The node it stands on.
    pub node: String,
    /// When it goes on.
    pub until: DateTime<Utc>,
    /// For what.
    pub reason: WaitReason,
}

/// Why a token waits for a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitReason {
    /// A delay.
    Timer,
    /// Another try.
    Retry {
        /// How long it began to wait for in this walk, if it did.
        delay: Option<Duration>,
    },
}

/// A token that waits for the outcome of a request.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    /// Which token.
    pub token: u16,
    /// The node it stands on.
    pub node: NodeIndex,
    /// Which visit of it.
    pub visit: u32,
    /// What the step has used up, this try included.
    pub tries: Tries,
    /// The request, when this walk prepared it; else it is stored already.
    pub prepared: Option<Request>,
}

/// Moves a run by these inputs, and through every step that needs no waiting.
///
/// Pure: the same arguments give the same changes and requests with the same ids. Later steps see what earlier ones did to
/// the contact.
pub fn walk(
    workflow: &Workflow,
    mut state: RunState,
    inputs: impl IntoIterator<Item = RunEvent>,
    run: RunInput<'_>,
) -> Walked {
    let now = run.now;
    let budget = Budget::new(run.limits);
    let mut walker =
        Walker { workflow, run, budget, changes: Vec::new(), prepared: BTreeMap::new(), used_bytes: None };
    let (mut log, mut delays, mut finished) = (Vec::new(), BTreeMap::new(), false);
    for input in inputs {
        let input = walker.check_answer(&state, input);
        let (next, commands) = walker.advance(state, input);
        state = next;
        let mut commands = VecDeque::from(commands);
        while let Some(command) = commands.pop_front() {
            match command {
                Command::Log(step) => log.push(step),
                // Read from the tokens below, which also know the waits of earlier walks.
                Command::WaitUntil { .. } | Command::SendAgain { .. } => {}
                Command::RetryAt { token, delay, .. } => {
                    delays.insert(token, delay);
                }
                Command::Finish => finished = true,
                Command::RunAction { token, node, visit } if state.tokens.contains_key(&token) => {
                    if let Some(outcome) = walker.perform(&state, token, node, visit) {
                        let (next, more) = walker.advance(state, outcome);
                        state = next;
                        commands.extend(more);
                    }
                }
                // Another branch ended the run before this action's turn came.
                Command::RunAction { .. } => {}
            }
        }
    }
    let (mut waits, mut asked) = (Vec::new(), Vec::new());
    for (number, token) in &state.tokens {
        let wait =
            |until: DateTime<Utc>, reason| Wait { token: *number, node: token.node.clone(), until, reason };
        match &token.waits {
            Waits::Timer { until } => waits.push(wait(*until, WaitReason::Timer)),
            Waits::Turn => waits.push(wait(now, WaitReason::Timer)),
            Waits::Retry { until, .. } => {
                waits.push(wait(*until, WaitReason::Retry { delay: delays.get(number).copied() }));
            }
            Waits::Action { tries } => asked.extend(workflow.node_index(&token.node).map(|node| Asked {
                token: *number,
                node,
                visit: token.visit,
                tries: *tries,
                prepared: walker.prepared.remove(number),
            })),
        }
    }
    let spent = walker.budget.spent_together();
    Walked { state, changes: walker.changes, log, waits, asked, finished, spent }
}

struct Walker<'a> {
    workflow: &'a Workflow,
    run: RunInput<'a>,
    /// Whole again at each step.
    budget: Budget,
    changes: Vec<RecordChange>,
    /// Requests by the token that waits for their outcome.
    prepared: BTreeMap<u16, Request>,
    /// Bytes of variables and outputs; measured when the first action asks.
    used_bytes: Option<usize>,
}

impl Walker<'_> {
    fn advance(&self, state: RunState, input: RunEvent) -> (RunState, Vec<Command>) {
        let none = RunState::default();
        let surroundings = Surroundings {
            facts: self.facts(&none),
            max_steps: self.run.limits.steps,
            ladder: self.run.ladder,
            is_paused: self.run.is_paused,
            watch: self.run.watch,
        };
        advance(self.workflow, state, input, surroundings, self.run.now)
    }

    /// Prepares an action and keeps what it comes to; `None` when its outcome is the other side's.
    fn perform(&mut self, state: &RunState, token: u16, node: NodeIndex, visit: u32) -> Option<RunEvent> {
        let number = Tries::FIRST.number();
        self.budget.begin_next();
        let prepared = self.run.watch.take(&self.workflow.nodes[node].id).and_then(|()| {
            let prepared = self.prepare(state, node, visit);
            self.run.watch.put_down();
            prepared
        });
        match prepared {
            Ok(Prepared::Changes { changes, output }) => {
                let stamp = Stamp::of_run(self.run.run_id, self.run.now);
                if let Some(contact) = &mut self.run.contact {
                    changes.iter().for_each(|change| change.fold(contact, stamp));
                }
                self.changes.extend(changes);
                let vars = Map::new();
                Some(RunEvent::ActionCompleted { token, node, visit, number, output, vars })
            }
            Ok(Prepared::Request(request)) => {
                self.prepared.insert(token, request);
                None
            }
            Err(error) => {
                let kind = FailureKind::Refused;
                Some(RunEvent::ActionFailed { token, node, visit, number, error, kind })
            }
        }
    }

    fn prepare(&mut self, state: &RunState, index: NodeIndex, visit: u32) -> Result<Prepared, StepError> {
        let node = &self.workflow.nodes[index];
        let Some(ActionNode { action, config, sending }) = node.behaviour.action() else {
            unreachable!("the interpreter asks for the actions of action nodes only")
        };
        let facts = self.facts(state);
        let config =
            config.render(&facts).map_err(|error| StepError { code: error.code, message: error.message })?;
        let step = StepContext {
            facts,
            record_id: RecordId::derive(self.run.run_id, &node.id, visit),
            idempotency_key: IdempotencyKey::derive(self.run.run_id, &node.id, visit),
        };
        let mut prepared = (action.prepare)(&config, &step)?;
        match &mut prepared {
            Prepared::Changes { output, .. } => self.count_output(state, &node.id, output, &Map::new())?,
            Prepared::Request(Request::Http(request)) => {
                if let Some(timeout) = sending.timeout {
                    request.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
                }
            }
        }
        Ok(prepared)
    }

    /// What an action outside answered becomes a failure when the run has no room for it.
    fn check_answer(&mut self, state: &RunState, input: RunEvent) -> RunEvent {
        let RunEvent::ActionCompleted { token, node, visit, number, ref output, ref vars } = input else {
            return input;
        };
        let Some(id) = self.workflow.nodes.get(node).map(|node| &node.id) else { return input };
        match self.count_output(state, id, output, vars) {
            Ok(()) => input,
            Err(error) => {
                RunEvent::ActionFailed { token, node, visit, number, error, kind: FailureKind::Fail }
            }
        }
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
            budget: &self.budget,
        }
    }

    /// Keeps each output, and variables and outputs together, within the limits; an output replaces the node's last, and a
    /// variable the one of its name.
    fn count_output(
        &mut self,
        state: &RunState,
        node: &str,
        output: &Value,
        vars: &Map<String, Value>,
    ) -> Result<(), StepError> {
        let limits = self.run.limits;
        let size = json::size_bytes(output);
        if size > limits.output_bytes {
            return Err(too_large(format!(
                "the step's output has {size} bytes; at most {} are allowed",
                limits.output_bytes
            )));
        }
        let used = *self.used_bytes.get_or_insert_with(|| used_bytes(state));
        let last = state.steps.get(node).map(|result| &result.output).filter(|output| !output.is_null());
        let replaced = last.into_iter().chain(vars.keys().filter_map(|name| state.vars.get(name)));
        let replaced: usize = replaced.map(json::size_bytes).sum();
        let added = size + vars.values().map(json::size_bytes).sum::<usize>();
        let total = used - replaced.min(used) + added;
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

fn used_bytes(state: &RunState) -> usize {
    let vars: usize = state.vars.values().map(json::size_bytes).sum();
    let outputs = state.steps.values().map(|step| &step.output).filter(|output| !output.is_null());
    vars + outputs.map(json::size_bytes).sum::<usize>()
}

fn too_large(message: String) -> StepError {
    StepError { code: StepCode::OutputTooLarge.into(), message }
}

#[cfg(test)]
#[path = "walk_budget_tests.rs"]
mod budget_tests;
#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
