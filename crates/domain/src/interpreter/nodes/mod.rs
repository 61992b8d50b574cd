//! What each kind of node does when a token reaches it, and how tokens get from node to node.

mod action;
mod branch;
mod delay;
mod wake;

pub(super) use action::Asked;

use super::{Command, End, RunState, Step, StepError, StepOutcome, Surroundings, Token, Tries, Waits};
use crate::facts::{Facts, RunFacts};
use crate::step_code::StepCode;
use crate::workflow::{Node, NodeIndex, NodeKind, Workflow};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// The token that a run starts with.
const FIRST_TOKEN: u16 = 0;

/// A run on its way from one input to the next: state and commands grow together.
pub(super) struct Walk<'a> {
    pub(super) workflow: &'a Workflow,
    pub(super) state: RunState,
    pub(super) surroundings: Surroundings<'a>,
    pub(super) now: DateTime<Utc>,
    pub(super) commands: Vec<Command>,
}

/// Where a token goes after a node did its part.
enum Onward {
    /// To the next node, or, with `None`, out of the graph.
    To(Option<NodeIndex>),
    /// Nowhere: it waits, or the run has ended.
    Stays,
}

impl Walk<'_> {
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

    pub(super) fn cancel(&mut self, reason: String) {
        self.end(End::Cancelled { reason });
    }

    /// Moves a token from node to node until it waits, leaves the graph, or the run ends.
    ///
    /// Once the steps of the walk have spent what they may together, the token stands before the next node: what there
    /// is so far is to be stored, and others are to have their turn.
    fn go(&mut self, token: u16, mut to: Option<NodeIndex>) {
        while let Some(index) = to {
            if self.surroundings.is_paused || self.surroundings.facts.budget.is_worn_out() {
                self.stand_before(token, index);
                return;
            }
            match self.enter(token, index) {
                Onward::To(next) => to = next,
                Onward::Stays => return,
            }
        }
        if self.state.tokens.is_empty() {
            self.end(End::Completed);
        }
    }

    fn stand_before(&mut self, token: u16, index: NodeIndex) {
        let Some(node) = self.workflow.nodes.get(index) else {
            self.fail_unknown(format!("node {index}"));
            return;
        };
        self.state.tokens.insert(token, Token { node: node.id.clone(), visit: 0, waits: Waits::Turn });
    }

    fn enter(&mut self, token: u16, index: NodeIndex) -> Onward {
        let workflow = self.workflow;
        let Some(node) = workflow.nodes.get(index) else {
            self.fail_unknown(format!("node {index}"));
            return Onward::Stays;
        };
        let visit = self.count_visit(&node.id);
        self.begin(token, index, node, visit)
    }

    /// Begins a visit that is counted already.
    fn begin(&mut self, token: u16, index: NodeIndex, node: &Node, visit: u32) -> Onward {
        if self.state.step_count >= self.surroundings.max_steps {
            let message = format!("the run took all of its {} steps", self.surroundings.max_steps);
            let error = StepError { code: StepCode::TooManySteps.into(), message };
            self.log_failure(node, visit, &error, None);
            self.end_failed_at(token, node, visit, error, false);
            return Onward::Stays;
        }
        self.state.step_count += 1;
        self.surroundings.facts.budget.begin_next();
        match &node.kind {
            NodeKind::Action { .. } => self.ask(token, index, node, visit),
            NodeKind::Delay { duration } => self.delay(token, index, node, visit, duration),
            NodeKind::Branch { cases, otherwise } => self.branch(token, node, visit, (cases, *otherwise)),
            NodeKind::Stop => {
                self.log(&node.id, "stop_workflow", visit, StepOutcome::Completed, Value::Null);
                self.end(End::Completed);
                Onward::Stays
            }
        }
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
    fn facts(&self) -> Facts<'_> {
        let given = self.surroundings.facts;
        let run = given.run.map(|run| RunFacts { state: &self.state, ..run });
        Facts { run, now: self.now, ..given }
    }

    fn log(&mut self, node: &str, action: &str, visit: u32, outcome: StepOutcome, detail: Value) {
        let step = Step { node: node.to_owned(), action: action.to_owned(), visit, outcome, detail };
        self.commands.push(Command::Log(step));
    }

    /// A step that failed for good: its branch goes on where the node's `on_error` leads, else the run ends.
    ///
    /// `tried` is what a step used up whose request is stored.
    fn fail_step(
        &mut self,
        token: u16,
        node: &Node,
        visit: u32,
        error: StepError,
        tried: Option<Tries>,
    ) -> Onward {
        self.log_failure(node, visit, &error, tried);
        match node.on_error {
            Some(to) => {
                self.state.tokens.remove(&token);
                Onward::To(Some(to))
            }
            None => {
                self.end_failed_at(token, node, visit, error, tried.is_some());
                Onward::Stays
            }
        }
    }

    /// Keeps why a step failed, in the log and in the step's result.
    fn log_failure(&mut self, node: &Node, visit: u32, error: &StepError, tried: Option<Tries>) {
        let mut detail = json!({ "code": error.code, "message": error.message });
        if let Some(tries) = tried {
            detail["attempt"] = tries.attempt.into();
        }
        if let Some(to) = node.on_error.and_then(|to| self.workflow.nodes.get(to)) {
            detail["on_error"] = to.id.as_str().into();
        }
        self.log(&node.id, node.action_key(), visit, StepOutcome::Failed, detail);
        self.state.steps.entry(node.id.clone()).or_default().error = Some(error.clone());
    }

    /// A pinned version never loses a node, so only a damaged state comes here.
    fn fail_unknown(&mut self, node: String) {
        let message = format!("the run stands on \"{node}\", which its version does not have");
        self.end_failed(Some(node), StepError { code: StepCode::UnknownNode.into(), message });
    }

    /// Ends the run because of a step, with a token on it for a replay.
    fn end_failed_at(&mut self, token: u16, node: &Node, visit: u32, error: StepError, stored: bool) {
        let waits = Waits::Retry { until: self.now, tries: Tries::FIRST, stored };
        self.state.tokens.insert(token, Token { node: node.id.clone(), visit, waits });
        self.end_failed(Some(node.id.clone()), error);
    }

    fn end_failed(&mut self, node: Option<String>, error: StepError) {
        let tokens = std::mem::take(&mut self.state.tokens);
        self.end(End::Failed { node, error, tokens });
    }

    fn end(&mut self, end: End) {
        self.state.tokens.clear();
        self.state.end = Some(end);
        self.commands.push(Command::Finish);
    }
}
