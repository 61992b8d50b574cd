//! Doing the action of a node: what it comes to, and whether the run has room for that.

use super::{Command, Onward, RunState, Send, StepError, StepOutcome, Tries, Visit, Waits, Walk};
use crate::action::{Decision, Outgoing, Prepared, Reason, SKIPPED, StepContext};
use crate::effect::{Directive, Request};
use crate::facts::Facts;
use crate::id::{IdempotencyKey, RecordId, RunId};
use crate::json;
use crate::record::RecordChange;
use crate::record::stamps::Stamp;
use crate::step_code::StepCode;
use crate::workflow::kinds::ActionNode;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::fmt::Debug;

/// A gate that would be asked again at once would be asked without end.
const SHORTEST_HOLD: TimeDelta = TimeDelta::seconds(1);

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
            Ok(Prepared::Changes { changes, output }) => self.do_here(visit, changes, None, output),
            Ok(Prepared::Request(request)) => self.let_send(visit, Tries::FIRST, request, false),
            Ok(Prepared::Directive { directive, output }) => self.let_publish(visit, directive, output),
            Err(error) => self.fail(visit, error),
        }
    }

    /// The step is done by what is committed with it, if the run has room for its output.
    fn do_here(
        &mut self,
        visit: Visit<'_>,
        changes: Vec<RecordChange>,
        directive: Option<Directive>,
        output: Value,
    ) -> Onward {
        if let Err(error) = self.make_room(&visit.node.id, &output, &Map::new()) {
            return self.fail(visit, error);
        }
        self.fold(&changes);
        self.commands.extend(changes.into_iter().map(Command::Change));
        self.commands.extend(directive.map(Command::Publish));
        self.succeed(visit, output, Map::new())
    }

    /// Later steps see what earlier ones did to the contact.
    fn fold(&mut self, changes: &[RecordChange]) {
        let stamp = Stamp::of_run(self.run.run_id, self.run.now);
        if let Some(contact) = &mut self.run.contact {
            changes.iter().for_each(|change| change.fold(contact, stamp));
        }
    }

    /// Has the stored request sent once more; the attempt is the one that the token waits for.
    pub(super) fn send_again(&mut self, visit: Visit<'_>, tries: Tries) -> Onward {
        match self.run.stored.request(&visit.node.id, visit.number) {
            Some(request) => self.let_send(visit, tries, request.clone(), true),
            None => {
                let node = &visit.node.id;
                let message = format!("the request of \"{node}\" was stored and is not there any more");
                self.end_failed(None, StepError { code: StepCode::RequestMissing.into(), message });
                Onward::Stays
            }
        }
    }

    /// Sends a request if the action's gate lets it.
    fn let_send(&mut self, visit: Visit<'_>, tries: Tries, request: Request, is_stored: bool) -> Onward {
        let changes = match self.ask_gate(visit, Outgoing::Request(&request)) {
            Decision::Send { changes } => changes,
            Decision::Hold { until, reason } => return self.hold(visit, (until, &reason), tries, is_stored),
            Decision::Skip { reason } => return self.skip(visit, &reason, is_stored),
        };
        self.fold(&changes);
        self.stand(visit, Waits::Action { tries });
        let Visit { token, index: node, number: visit, .. } = visit;
        self.commands.push(Command::Send(Send { token, node, visit, tries, request, is_stored, changes }));
        Onward::Stays
    }

    /// Publishes a command if the action's gate lets it.
    fn let_publish(&mut self, visit: Visit<'_>, directive: Directive, output: Value) -> Onward {
        match self.ask_gate(visit, Outgoing::Directive(&directive)) {
            Decision::Send { changes } => self.do_here(visit, changes, Some(directive), output),
            Decision::Hold { until, reason } => self.hold(visit, (until, &reason), Tries::FIRST, false),
            Decision::Skip { reason } => self.skip(visit, &reason, false),
        }
    }

    fn ask_gate(&self, visit: Visit<'_>, outgoing: Outgoing<'_>) -> Decision {
        match visit.node.behaviour.action() {
            Some(node) => {
                (node.action.gate)(outgoing, &context(self.run.run_id, visit, &self.facts(visit.token)))
            }
            None => Decision::Send { changes: Vec::new() },
        }
    }

    /// The token waits until its gate may let it. A stored request keeps what it used up; any other step is prepared anew.
    fn hold(
        &mut self,
        visit: Visit<'_>,
        (until, reason): (DateTime<Utc>, &Reason),
        tries: Tries,
        is_stored: bool,
    ) -> Onward {
        let until = until.max(self.run.now + SHORTEST_HOLD);
        let detail = json!({
            "until": until.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            "reason": reason.code,
            "message": reason.message,
        });
        self.log_step(visit, StepOutcome::Waiting, detail);
        self.stand(visit, Waits::Retry { until, tries, stored: is_stored });
        if is_stored {
            self.withhold(visit, false);
        }
        self.commands.push(Command::Wake { token: visit.token, node: visit.index, until, retry: None });
        Onward::Stays
    }

    fn skip(&mut self, visit: Visit<'_>, reason: &Reason, is_stored: bool) -> Onward {
        self.state.tokens.remove(&visit.token);
        let detail = json!({ "reason": reason.code, "message": reason.message });
        self.log_step(visit, StepOutcome::Skipped, detail);
        if is_stored {
            self.withhold(visit, true);
        }
        self.leave_by(visit, Some(SKIPPED))
    }

    /// The ledger is told of a stored request alone.
    fn withhold(&mut self, visit: Visit<'_>, is_skipped: bool) {
        self.commands.push(Command::Withhold { node: visit.index, visit: visit.number, is_skipped });
    }

    /// The action did its work.
    pub(super) fn succeed(&mut self, visit: Visit<'_>, output: Value, vars: Map<String, Value>) -> Onward {
        self.complete(visit, output.clone());
        self.state.vars.extend(vars);
        let way = visit.node.behaviour.action().and_then(|node| (node.action.ways.of_output)(&output));
        let result = self.result(visit);
        result.output = output;
        result.error = None;
        self.leave_by(visit, way)
    }

    /// By a named way where there is an edge for it, else by the plain one.
    fn leave_by(&mut self, visit: Visit<'_>, way: Option<&'static str>) -> Onward {
        self.result(visit).case = way.map(str::to_owned);
        Onward::To(way.and_then(|way| visit.node.ways.get(way).copied()).or(visit.node.next))
    }

    /// Takes so many bytes of what the run's variables and outputs may have.
    pub(super) fn reserve(&mut self, bytes: usize) -> Result<(), StepError> {
        let total = *self.used_bytes.get_or_insert_with(|| used_bytes(&self.state)) + bytes;
        let most = self.run.limits.variables_bytes;
        if total > most {
            return Err(too_large(format!(
                "the run's variables and outputs have {total} bytes; at most {most} are allowed"
            )));
        }
        self.used_bytes = Some(total);
        Ok(())
    }

    /// Keeps each output, and variables and outputs together, within the limits; an output replaces the node's last, and a
    /// variable the one of its name.
    pub(super) fn make_room(
        &mut self,
        node: &str,
        output: &Value,
        vars: &Map<String, Value>,
    ) -> Result<(), StepError> {
        let size = self.check_size("the step's output has", output)?;
        let last = self.state.steps.get(node).map(|result| &result.output).filter(|output| !output.is_null());
        let replaced = last.into_iter().chain(vars.keys().filter_map(|name| self.state.vars.get(name)));
        let replaced: usize = replaced.map(json::size_bytes).sum();
        let added = size + vars.values().map(json::size_bytes).sum::<usize>();
        self.replace(replaced, added)
    }

    /// Sets variables, and takes away those whose value is null; all of them, if the run has room for them. The log tells the
    /// values, so that together they may have as much as an output.
    pub fn set_variables(&mut self, visit: Visit<'_>, vars: Map<String, Value>) -> Result<(), StepError> {
        let detail = Value::Object(vars.clone());
        self.check_size("the step's variables have", &detail)?;
        let replaced = vars.keys().filter_map(|name| self.state.vars.get(name)).map(json::size_bytes).sum();
        let added = vars.values().filter(|value| !value.is_null()).map(json::size_bytes).sum();
        self.replace(replaced, added)?;
        for (name, value) in vars {
            if value.is_null() {
                self.state.vars.remove(&name);
            } else {
                self.state.vars.insert(name, value);
            }
        }
        self.complete(visit, json!({ "vars": detail }));
        Ok(())
    }

    /// The size of what a step comes to.
    fn check_size(&self, what: &str, value: &Value) -> Result<usize, StepError> {
        let (size, most) = (json::size_bytes(value), self.run.limits.output_bytes);
        if size > most {
            return Err(too_large(format!("{what} {size} bytes; at most {most} are allowed")));
        }
        Ok(size)
    }

    /// Keeps count of variables and outputs as so many bytes of them are replaced by others, if there is room.
    fn replace(&mut self, replaced: usize, added: usize) -> Result<(), StepError> {
        let (used, most) = (
            *self.used_bytes.get_or_insert_with(|| used_bytes(&self.state)),
            self.run.limits.variables_bytes,
        );
        let total = used - replaced.min(used) + added;
        if total > most {
            return Err(too_large(format!(
                "the run's variables and outputs have {total} bytes; at most {most} are allowed"
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
    let mut prepared = (action.prepare)(&config, &context(run_id, visit, facts))?;
    if let (Prepared::Request(request), Some(timeout)) = (&mut prepared, sending.timeout) {
        request.set_timeout(timeout);
    }
    Ok(prepared)
}

fn context<'f>(run_id: RunId, visit: Visit<'_>, facts: &Facts<'f>) -> StepContext<'f> {
    StepContext {
        facts: *facts,
        record_id: RecordId::derive(run_id, &visit.node.id, visit.number),
        idempotency_key: IdempotencyKey::derive(run_id, &visit.node.id, visit.number),
    }
}

fn used_bytes(state: &RunState) -> usize {
    let vars: usize = state.vars.values().map(json::size_bytes).sum();
    let outputs = state.steps.values().map(|step| &step.output).filter(|output| !output.is_null());
    let items = state.forks.values().filter_map(|fork| fork.items.as_ref());
    let items = items.flat_map(|items| items.list.iter().chain(items.outputs.values()));
    vars + outputs.chain(items).map(json::size_bytes).sum::<usize>()
}

fn too_large(message: String) -> StepError {
    StepError { code: StepCode::OutputTooLarge.into(), message }
}
