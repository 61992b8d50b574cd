//! A run on its way: how tokens get from node to node, and what nodes may ask for.

use super::{
    Command, End, Origin, RunInput, RunState, Step, StepError, StepOutcome, StepResult, Token, Tries, Waits,
};
use crate::budget::Budget;
use crate::facts::{Facts, RunFacts};
use crate::step_code::StepCode;
use crate::workflow::{Node, NodeIndex, Workflow};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// The token that a run starts with.
const FIRST_TOKEN: u16 = 0;

/// Most branches that a run has at once.
pub const MOST_BRANCHES: usize = 1_000;

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
    origins: BTreeMap<u16, Origin>,
    /// Branches that were forked and not moved yet.
    forked: VecDeque<(u16, Option<NodeIndex>)>,
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
        let watch = self.run.watch;
        watch.take(&visit.node.id)?;
        let evaluated = evaluate(&self.facts());
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

    /// The token waits on the node until this time.
    pub fn wait_until(&mut self, visit: Visit<'_>, until: DateTime<Utc>) -> Onward {
        self.stand(visit, Waits::Timer { until });
        let detail = json!({ "until": until.to_rfc3339_opts(SecondsFormat::AutoSi, true) });
        self.log_step(visit, StepOutcome::Waiting, detail);
        self.commands.push(Command::Wake { token: visit.token, node: visit.index, until, retry: None });
        Onward::Stays
    }

    /// The token goes on as one branch for each of these ways; `None` leads out of the graph at once.
    ///
    /// Branches know the fork that made them. Each gets the smallest number that is free. A run that would have more than
    /// [`MOST_BRANCHES`] fails the step.
    pub fn fork(&mut self, visit: Visit<'_>, ways: &[Option<NodeIndex>]) -> Onward {
        if self.state.tokens.len() + ways.len() > MOST_BRANCHES {
            let message = format!("the run would have more than {MOST_BRANCHES} branches at once");
            return self.fail(visit, StepError { code: StepCode::TooManyBranches.into(), message });
        }
        let fork = visit.node.id.clone();
        for to in ways {
            let number = self.free_number(visit.token);
            let origin = Origin { parent: visit.token, fork: fork.clone(), visit: visit.number };
            self.origins.insert(number, origin.clone());
            let waits = Waits::Turn;
            let token = Token { node: fork.clone(), visit: visit.number, waits, origin: Some(origin) };
            self.state.tokens.insert(number, token);
            self.forked.push_back((number, *to));
        }
        self.end_if_over();
        Onward::Stays
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
        let origins =
            state.tokens.iter().filter_map(|(number, token)| Some((*number, token.origin.clone()?)));
        let origins = origins.collect();
        let (commands, forked) = (Vec::new(), VecDeque::new());
        Self { workflow, state, run, budget, commands, used_bytes: None, origins, forked }
    }

    /// Moves the branches that were forked.
    pub(super) fn go_forked(&mut self) {
        while let Some((token, to)) = self.forked.pop_front() {
            // The run may have ended on the way of an earlier one.
            if self.state.tokens.remove(&token).is_some() {
                self.go(token, to);
            }
        }
    }

    fn free_number(&self, forked: u16) -> u16 {
        let is_free = |number: &u16| *number != forked && !self.state.tokens.contains_key(number);
        (0..u16::MAX).find(is_free).expect("there are fewer branches than numbers")
    }

    fn origin(&self, token: u16) -> Option<Origin> {
        self.origins.get(&token).cloned()
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
                self.go(FIRST_TOKEN, Some(trigger.to));
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
    /// is so far is to be stored, and others are to have their turn.
    pub(super) fn go(&mut self, token: u16, mut to: Option<NodeIndex>) {
        while let Some(index) = to {
            if self.run.is_paused || self.budget.is_worn_out() {
                self.stand_before(token, index);
                return;
            }
            match self.enter(token, index) {
                Onward::To(next) => to = next,
                Onward::Stays => return,
            }
        }
        self.end_if_over();
    }

    /// Ends the run once no branch of it may get anywhere: as failed if one of them died.
    fn end_if_over(&mut self) {
        if self.state.is_alive() {
            return;
        }
        let first = self.state.tokens.values().find_map(|token| match &token.waits {
            Waits::Dead { error, .. } => Some((token.node.clone(), error.clone())),
            Waits::Action { .. } | Waits::Timer { .. } | Waits::Retry { .. } | Waits::Turn => None,
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
        let standing =
            Token { node: node.id.clone(), visit: 0, waits: Waits::Turn, origin: self.origin(token) };
        self.state.tokens.insert(token, standing);
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
            self.die(visit, error, false);
            return Onward::Stays;
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

    /// The facts as they are at this moment of the walk.
    pub(super) fn facts(&self) -> Facts<'_> {
        let RunInput { run_id, run_key, started_at, version, tenant, now, .. } = self.run;
        let (workflow, state) = (self.workflow.key.as_str(), &self.state);
        Facts {
            event: self.run.event,
            contact: self.run.contact.as_ref(),
            run: Some(RunFacts { run_id, run_key, started_at, workflow, version, state }),
            tenant,
            now,
            budget: &self.budget,
        }
    }

    pub(super) fn stand(&mut self, visit: Visit<'_>, waits: Waits) {
        let (node, origin) = (visit.node.id.clone(), self.origin(visit.token));
        self.state.tokens.insert(visit.token, Token { node, visit: visit.number, waits, origin });
    }

    pub(super) fn log_step(&mut self, visit: Visit<'_>, outcome: StepOutcome, detail: Value) {
        self.log(&visit.node.id, visit.node.action_key(), visit.number, outcome, detail);
    }

    fn log(&mut self, node: &str, action: &str, visit: u32, outcome: StepOutcome, detail: Value) {
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
            None => {
                self.die(visit, error, tried.is_some());
                Onward::Stays
            }
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

    /// The branch dies of its step, and the run with its last one.
    fn die(&mut self, visit: Visit<'_>, error: StepError, stored: bool) {
        self.commands.push(Command::Bury { node: visit.index, visit: visit.number, error: error.clone() });
        self.stand(visit, Waits::Dead { error, stored });
        self.end_if_over();
    }

    pub(super) fn end_failed(&mut self, node: Option<String>, error: StepError) {
        let tokens = std::mem::take(&mut self.state.tokens);
        self.end(End::Failed { node, error, tokens });
    }
}
