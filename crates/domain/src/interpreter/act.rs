//! Doing the action of a node: what it comes to, and whether the run has room for that.

use super::{Command, Onward, RunState, Send, StepError, Tries, Visit, Waits, Walk};
use crate::action::{Prepared, StepContext};
use crate::effect::Request;
use crate::facts::Facts;
use crate::id::{IdempotencyKey, RecordId, RunId};
use crate::json;
use crate::record::RecordChange;
use crate::record::stamps::Stamp;
use crate::step_code::StepCode;
use crate::workflow::kinds::ActionNode;
use serde_json::{Map, Value};
use std::fmt::Debug;

/// The requests of earlier tries, which later tries send as they are.
pub trait StoredRequests: Debug {
    /// That of this visit of a node; `None` where there is none.
    fn request(&self, node: &str, visit: u32) -> Option<&Request>;
}

/// No request was stored.
#[derive(Clone, Copy, Debug)]
pub struct NothingStored;

impl StoredRequests for NothingStored {
    fn request(&self, _node: &str, _visit: u32) -> Option<&Request> {
        None
    }
}

impl Walk<'_> {
    /// Does the action of the node: a change of records is done with the step, a request is asked for and the token waits for
    /// its outcome.
    pub fn act(&mut self, visit: Visit<'_>, node: &ActionNode) -> Onward {
        let run_id = self.run.run_id;
        let prepared = self.evaluate(visit, |facts| prepare(run_id, visit, node, facts));
        match prepared {
            Ok(Prepared::Changes { changes, output }) => self.change(visit, changes, output),
            Ok(Prepared::Request(request)) => self.send(visit, Tries::FIRST, request, false),
            Err(error) => self.fail(visit, error),
        }
    }

    fn change(&mut self, visit: Visit<'_>, changes: Vec<RecordChange>, output: Value) -> Onward {
        if let Err(error) = self.make_room(&visit.node.id, &output, &Map::new()) {
            return self.fail(visit, error);
        }
        let stamp = Stamp::of_run(self.run.run_id, self.run.now);
        if let Some(contact) = &mut self.run.contact {
            changes.iter().for_each(|change| change.fold(contact, stamp));
        }
        self.commands.extend(changes.into_iter().map(Command::Change));
        self.succeed(visit, output, Map::new());
        Onward::To(visit.node.next)
    }

    /// Has the stored request sent once more; the attempt is the one that the token waits for.
    pub(super) fn send_again(&mut self, visit: Visit<'_>, tries: Tries) -> Onward {
        match self.run.stored.request(&visit.node.id, visit.number) {
            Some(request) => self.send(visit, tries, request.clone(), true),
            None => {
                let node = &visit.node.id;
                let message = format!("the request of \"{node}\" was stored and is not there any more");
                self.end_failed(None, StepError { code: StepCode::RequestMissing.into(), message });
                Onward::Stays
            }
        }
    }

    fn send(&mut self, visit: Visit<'_>, tries: Tries, request: Request, is_stored: bool) -> Onward {
        self.stand(visit, Waits::Action { tries });
        let Visit { token, index: node, number: visit, .. } = visit;
        self.commands.push(Command::Send(Send { token, node, visit, tries, request, is_stored }));
        Onward::Stays
    }

    /// The action did its work.
    pub(super) fn succeed(&mut self, visit: Visit<'_>, output: Value, vars: Map<String, Value>) {
        self.complete(visit, output.clone());
        self.state.vars.extend(vars);
        let result = self.result(visit);
        result.output = output;
        result.error = None;
    }

    /// Keeps each output, and variables and outputs together, within the limits; an output replaces the node's last, and a
    /// variable the one of its name.
    pub(super) fn make_room(
        &mut self,
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
        let used = *self.used_bytes.get_or_insert_with(|| used_bytes(&self.state));
        let last = self.state.steps.get(node).map(|result| &result.output).filter(|output| !output.is_null());
        let replaced = last.into_iter().chain(vars.keys().filter_map(|name| self.state.vars.get(name)));
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

/// What the action comes to, over the facts as they are.
fn prepare(
    run_id: RunId,
    visit: Visit<'_>,
    node: &ActionNode,
    facts: &Facts<'_>,
) -> Result<Prepared, StepError> {
    let ActionNode { action, config, sending } = node;
    let config =
        config.render(facts).map_err(|error| StepError { code: error.code, message: error.message })?;
    let step = StepContext {
        facts: *facts,
        record_id: RecordId::derive(run_id, &visit.node.id, visit.number),
        idempotency_key: IdempotencyKey::derive(run_id, &visit.node.id, visit.number),
    };
    let mut prepared = (action.prepare)(&config, &step)?;
    if let (Prepared::Request(Request::Http(request)), Some(timeout)) = (&mut prepared, sending.timeout) {
        request.timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    }
    Ok(prepared)
}

fn used_bytes(state: &RunState) -> usize {
    let vars: usize = state.vars.values().map(json::size_bytes).sum();
    let outputs = state.steps.values().map(|step| &step.output).filter(|output| !output.is_null());
    vars + outputs.map(json::size_bytes).sum::<usize>()
}

fn too_large(message: String) -> StepError {
    StepError { code: StepCode::OutputTooLarge.into(), message }
}
