//! A run on its way: how tokens get from node to node, and what nodes may ask for.

use super::{
    Command, End, Origin, RunInput, RunState, Step, StepError, StepOutcome, StepResult, Token, Tries, Waits,
};
use crate::budget::Budget;
use crate::event::RecordedEvent;
use crate::facts::{Facts, RunFacts};
use crate::id::EventId;
use crate::step_code::StepCode;
use crate::workflow::{Node, NodeIndex, Workflow};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The token that a run starts with.
pub(super) const FIRST_TOKEN: u16 = 0;

/// A run on its way from one input to the next: state and commands grow together.
#[derive(Debug)]
pub struct Walk<'a> {
    pub(super) workflow: &'a Workflow,
    pub(super) state: RunState,
    pub(super) run: RunInput<'a>,
    /// Whole again at each step.
    pub(super) budget: Budget,
    pub(super) commands: Vec<Command>,
    /// Bytes of variables and outputs; measured when they are first asked for.
    pub(super) used_bytes: Option<usize>,
    /// Where branches came from, of those that a fork made, also while they are on their way.
    pub(super) origins: BTreeMap<u16, Origin>,
    /// By which events branches were moved, also while they are on their way.
    pub(super) moved_by: BTreeMap<u16, Vec<EventId>>,
    /// Branches that had not looked back when the walk began, with the visits at which they wait: of others nobody has
    /// gathered what was before them.
    pub(super) looking: BTreeMap<u16, u32>,
    /// Branches that were forked and not moved yet.
    pub(super) forked: VecDeque<(u16, NodeIndex)>,
    /// Numbers of the branches that joins gave up.
    pub(super) given_up: BTreeSet<u16>,
}

/// A token in a node.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// Which token.
    pub token: u16,
    /// The node.
    pub node: &'a Node,
    /// Its index.
    pub index: NodeIndex,
    /// How many times the node has been entered, this time included: part of every derived id and idempotency key.
    pub number: u32,
}

/// Where a token goes after a node did its part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Onward {
    /// To the next node, or, with `None`, out of the graph.
    To(Option<NodeIndex>),
    /// Nowhere: it waits, or the run has ended.
    Stays,
}

/// For what nodes do.
impl Walk<'_> {
    /// The database's clock, read once per batch.
    pub fn now(&self) -> DateTime<Utc> {
        self.run.now
    }

    /// Key of the workflow, which is the same in all its versions.
    pub fn workflow_key(&self) -> &str {
        &self.workflow.key
    }

    /// Evaluates what the node's author wrote over the facts as they are at this moment of the walk, where whoever watches
    /// lets it.
    ///
    /// # Errors
    ///
    /// What `evaluate` returns, or why the node is not evaluated: for [`Walk::fail`].
    pub fn evaluate<T>(
        &self,
        visit: Visit<'_>,
        evaluate: impl FnOnce(&Facts<'_>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        self.evaluate_over(visit, self.run.event, evaluate)
    }

    /// The same with another event than the one that started the run.
    ///
    /// # Errors
    ///
    /// As [`Walk::evaluate`].
    pub fn evaluate_over<T>(
        &self,
        visit: Visit<'_>,
        event: Option<&RecordedEvent>,
        evaluate: impl FnOnce(&Facts<'_>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        self.evaluate_as(&visit.node.id, visit.token, event, evaluate)
    }

    /// Evaluates over the facts of a token where whoever watches lets what is called so.
    pub(super) fn evaluate_as<T>(
        &self,
        name: &str,
        token: u16,
        event: Option<&RecordedEvent>,
        evaluate: impl FnOnce(&Facts<'_>) -> Result<T, StepError>,
    ) -> Result<T, StepError> {
        let watch = self.run.watch;
        watch.take(name)?;
        let evaluated = evaluate(&Facts { event, ..self.facts(token) });
        watch.put_down();
        evaluated
    }

    /// What the run keeps of the node's latest step.
    pub fn result(&mut self, visit: Visit<'_>) -> &mut StepResult {
        self.state.steps.entry(visit.node.id.clone()).or_default()
    }

    /// The step is done.
    pub fn complete(&mut self, visit: Visit<'_>, detail: Value) {
        self.log_step(visit, StepOutcome::Completed, detail);
    }

    /// Something for the run's history that is not the end of the step.
    pub fn note(&mut self, visit: Visit<'_>, outcome: StepOutcome, detail: Value) {
        self.log_step(visit, outcome, detail);
    }

    /// The token waits on the node until this time.
    pub fn wait_until(&mut self, visit: Visit<'_>, until: DateTime<Utc>) -> Onward {
        self.wait_telling(visit, until, Map::new())
    }

    /// The same, with more to tell in the log than until when.
    pub fn wait_telling(
        &mut self,
        visit: Visit<'_>,
        until: DateTime<Utc>,
        mut detail: Map<String, Value>,
    ) -> Onward {
        self.stand(visit, Waits::Timer { until });
        detail.insert("until".to_owned(), until.to_rfc3339_opts(SecondsFormat::AutoSi, true).into());
        self.log_step(visit, StepOutcome::Waiting, Value::Object(detail));
        self.commands.push(Command::Wake { token: visit.token, node: visit.index, until, retry: None });
        Onward::Stays
    }

    /// The step is done and has this output, if the run has room for it; the token goes the way of this name.
    pub fn finish(&mut self, visit: Visit<'_>, way: &str, output: Value, detail: Value) -> Onward {
        if let Err(error) = self.make_room(&visit.node.id, &output, &Map::new()) {
            return self.fail(visit, error);
        }
        let result = self.result(visit);
        result.case = Some(way.to_owned());
        result.output = output;
        result.error = None;
        self.complete(visit, detail);
        Onward::To(visit.node.ways.get(way).copied())
    }

    /// The step failed for good, before anything was sent: its branch goes on where the node's `on_error` leads, else it dies.
    pub fn fail(&mut self, visit: Visit<'_>, error: StepError) -> Onward {
        self.fail_step(visit, error, None)
    }

    /// Ends the run.
    pub fn end(&mut self, end: End) -> Onward {
        self.state.end_as(end);
        self.commands.push(Command::Finish);
        Onward::Stays
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(workflow: &'a Workflow, state: RunState, run: RunInput<'a>) -> Self {
        let budget = Budget::new(run.limits);
        let origins = state.tokens.iter().filter_map(|(number, token)| Some((*number, token.origin?)));
        let origins = origins.collect();
        let moved = state.tokens.iter().filter(|(_, token)| !token.moved_by.is_empty());
        let moved_by = moved.map(|(number, token)| (*number, token.moved_by.clone())).collect();
        let looking = state.tokens.iter().filter(|(_, token)| token.waits.looks_back());
        let looking = looking.map(|(number, token)| (*number, token.visit)).collect();
        let (commands, forked, given_up) = (Vec::new(), VecDeque::new(), BTreeSet::new());
        Self {
            workflow,
            state,
            run,
            budget,
            commands,
            used_bytes: None,
            origins,
            moved_by,
            looking,
            forked,
            given_up,
        }
    }

    fn origin(&self, token: u16) -> Option<Origin> {
        self.origins.get(&token).copied()
    }

    /// A run that has a token was started before.
    pub(super) fn start(&mut self, trigger: &str) {
        if !self.state.tokens.is_empty() {
            return;
        }
        let workflow = self.workflow;
        match workflow.trigger(trigger) {
            Some(trigger) => {
                self.log(&trigger.id, "trigger", 1, StepOutcome::Completed, Value::Null);
                if self.has_exits() {
                    self.watch_for_exits();
                    self.stand_before(FIRST_TOKEN, trigger.to);
                } else {
                    self.go(FIRST_TOKEN, None, Some(trigger.to));
                }
            }
            None => {
                let message = format!("the workflow has no trigger \"{trigger}\"");
                self.end_failed(None, StepError { code: StepCode::UnknownTrigger.into(), message });
            }
        }
    }

    /// Moves a token from node to node until it waits, leaves the graph, or the run ends.
    ///
    /// Once the steps of the walk have spent what they may together, the token stands before the next node: what there
    /// is so far is to be stored, and others are to have their turn. Where a branch is done, the token that was forked goes
    /// on in its place, if the join fires.
    ///
    /// `last` is the node that it comes from, if it has just left one.
    pub(super) fn go(&mut self, mut token: u16, mut last: Option<NodeIndex>, mut to: Option<NodeIndex>) {
        loop {
            if let Some(how) = self.done_by(token, to) {
                match self.settle(token, last.take(), how) {
                    Some(place) => (token, to) = place,
                    None => break,
                }
                continue;
            }
            let Some(index) = to else { break };
            if self.run.is_paused || self.budget.is_worn_out() {
                self.stand_before(token, index);
                return;
            }
            match self.enter(token, index) {
                Onward::To(next) => (last, to) = (Some(index), next),
                Onward::Stays => return,
            }
        }
        self.end_if_over();
    }

    /// Ends the run once no branch of it may get anywhere: as failed if one of them died.
    pub(super) fn end_if_over(&mut self) {
        if self.state.end.is_some() || self.is_alive() {
            return;
        }
        let first = self.state.tokens.values().find_map(|token| match &token.waits {
            Waits::Dead { error, .. } => Some((token.node.clone(), error.clone())),
            Waits::Action { .. }
            | Waits::Timer { .. }
            | Waits::Retry { .. }
            | Waits::Event(_)
            | Waits::Turn => None,
        });
        match first {
            None => {
                self.end(End::Completed);
            }
            Some((node, error)) => {
                // A replay tries again where they stand.
                for token in self.state.tokens.values_mut() {
                    if let Waits::Dead { stored, .. } = token.waits {
                        token.waits = Waits::Retry { until: self.run.now, tries: Tries::FIRST, stored };
                    }
                }
                self.end_failed(Some(node), error);
            }
        }
    }

    fn stand_before(&mut self, token: u16, index: NodeIndex) {
        let Some(node) = self.workflow.nodes.get(index) else {
            self.fail_unknown(format!("node {index}"));
            return;
        };
        self.place(token, node.id.clone(), 0, Waits::Turn);
    }

    fn enter(&mut self, token: u16, index: NodeIndex) -> Onward {
        let workflow = self.workflow;
        let Some(node) = workflow.nodes.get(index) else {
            self.fail_unknown(format!("node {index}"));
            return Onward::Stays;
        };
        let number = self.count_visit(&node.id);
        self.begin(Visit { token, node, index, number })
    }

    /// Begins a visit that is counted already.
    pub(super) fn begin(&mut self, visit: Visit<'a>) -> Onward {
        if self.state.step_count >= self.run.limits.steps {
            let message = format!("the run took all of its {} steps", self.run.limits.steps);
            let error = StepError { code: StepCode::TooManySteps.into(), message };
            self.log_failure(visit, &error, None);
            return self.die(visit, error, false);
        }
        self.state.step_count += 1;
        self.budget.begin_next();
        visit.node.behaviour.enter(self, visit)
    }

    fn count_visit(&mut self, node: &str) -> u32 {
        let result = match self.state.steps.get_mut(node) {
            Some(result) => result,
            None => self.state.steps.entry(node.to_owned()).or_default(),
        };
        result.visits += 1;
        result.visits
    }

    /// The facts as they are at this moment of the walk, for this token.
    pub(super) fn facts(&self, token: u16) -> Facts<'_> {
        let RunInput { run_id, run_key, started_at, version, tenant, now, .. } = self.run;
        let (workflow, state, item) = (self.workflow.key.as_str(), &self.state, self.item(token));
        Facts {
            event: self.run.event,
            contact: self.run.contact.as_ref(),
            run: Some(RunFacts { run_id, run_key, started_at, workflow, version, state, item }),
            past: self.run.recorded.past(),
            tenant,
            now,
            budget: &self.budget,
        }
    }

    pub(super) fn stand(&mut self, visit: Visit<'_>, waits: Waits) {
        self.place(visit.token, visit.node.id.clone(), visit.number, waits);
    }

    fn place(&mut self, token: u16, node: String, visit: u32, waits: Waits) {
        let origin = self.origin(token);
        let moved_by = self.moved_by.get(&token).cloned().unwrap_or_default();
        self.state.tokens.insert(token, Token { node, visit, waits, origin, moved_by });
    }

    pub(super) fn log_step(&mut self, visit: Visit<'_>, outcome: StepOutcome, detail: Value) {
        self.log(&visit.node.id, visit.node.action_key(), visit.number, outcome, detail);
    }

    pub(super) fn log(&mut self, node: &str, action: &str, visit: u32, outcome: StepOutcome, detail: Value) {
        let step = Step { node: node.to_owned(), action: action.to_owned(), visit, outcome, detail };
        self.commands.push(Command::Log(step));
    }

    /// A step that failed for good: its branch goes on where the node's `on_error` leads, else it dies.
    ///
    /// `tried` is what a step used up whose request is stored.
    pub(super) fn fail_step(&mut self, visit: Visit<'_>, error: StepError, tried: Option<Tries>) -> Onward {
        self.log_failure(visit, &error, tried);
        match visit.node.on_error {
            Some(to) => {
                self.state.tokens.remove(&visit.token);
                Onward::To(Some(to))
            }
            None => self.die(visit, error, tried.is_some()),
        }
    }

    /// Keeps why a step failed, in the log and in the step's result.
    fn log_failure(&mut self, visit: Visit<'_>, error: &StepError, tried: Option<Tries>) {
        let mut detail = json!({ "code": error.code, "message": error.message });
        if let Some(tries) = tried {
            detail["attempt"] = tries.attempt.into();
        }
        if let Some(to) = visit.node.on_error.and_then(|to| self.workflow.nodes.get(to)) {
            detail["on_error"] = to.id.as_str().into();
        }
        self.log_step(visit, StepOutcome::Failed, detail);
        self.result(visit).error = Some(error.clone());
    }

    /// A pinned version never loses a node, so only a damaged state comes here.
    pub(super) fn fail_unknown(&mut self, node: String) {
        let message = format!("the run stands on \"{node}\", which its version does not have");
        self.end_failed(Some(node), StepError { code: StepCode::UnknownNode.into(), message });
    }

    /// The branch dies of its step, and the run with its last one. An item of a loop does not: its error is the loop's.
    fn die(&mut self, visit: Visit<'_>, error: StepError, stored: bool) -> Onward {
        if let Some(item) = self.failing_item(visit.token) {
            self.state.tokens.remove(&visit.token);
            if let Some(items) = self.state.forks.get_mut(&item.fork).and_then(|fork| fork.items.as_mut()) {
                items.errors.entry(item.branch).or_insert(error);
            }
            return Onward::To(None);
        }
        self.commands.push(Command::Bury { node: visit.index, visit: visit.number, error: error.clone() });
        let until = self.given_up_at(visit.token);
        self.stand(visit, Waits::Dead { error, stored, until });
        self.end_if_over();
        Onward::Stays
    }

    pub(super) fn end_failed(&mut self, node: Option<String>, error: StepError) {
        let tokens = std::mem::take(&mut self.state.tokens);
        self.end(End::Failed { node, error, tokens });
    }
}
