//! Actions: asked for once per visit, tried as often as the node's policy says, and answered once.

use super::{Onward, Walk};
use crate::interpreter::{Command, StepError, StepOutcome, Token, Tries, Waits};
use crate::retry::{self, Next, RetryPolicy, Verdict};
use crate::workflow::{Node, NodeIndex, NodeKind};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Whom an answer is for, as the command that asked said it.
#[derive(Clone, Copy)]
pub(in crate::interpreter) struct Asked {
    pub(in crate::interpreter) token: u16,
    pub(in crate::interpreter) node: NodeIndex,
    pub(in crate::interpreter) visit: u32,
    pub(in crate::interpreter) number: u32,
}

/// Another try.
struct Again {
    delay: Duration,
    tries: Tries,
    is_deferred: bool,
}

impl Walk<'_> {
    pub(super) fn ask(&mut self, token: u16, index: NodeIndex, node: &Node, visit: u32) -> Onward {
        self.stand(token, node, visit, Waits::Action { tries: Tries::FIRST });
        self.commands.push(Command::RunAction { token, node: index, visit });
        Onward::Stays
    }

    /// Has the stored request sent once more; the attempt is the one that the token waited for.
    pub(super) fn send_again(&mut self, token: u16, index: NodeIndex, visit: u32) {
        let Some(standing) = self.state.tokens.get_mut(&token) else { return };
        if let Waits::Retry { tries, .. } = standing.waits {
            standing.waits = Waits::Action { tries };
            self.commands.push(Command::SendAgain { token, node: index, visit, number: tries.number() });
        }
    }

    pub(in crate::interpreter) fn complete_action(
        &mut self,
        asked: Asked,
        output: Value,
        vars: Map<String, Value>,
    ) {
        let Some((node, _)) = self.take_asker(asked) else { return };
        self.log(&node.id, node.action_key(), asked.visit, StepOutcome::Completed, output.clone());
        self.state.vars.extend(vars);
        let result = self.state.steps.entry(node.id.clone()).or_default();
        result.output = output;
        result.error = None;
        self.go(asked.token, node.next);
    }

    /// Another try where policy and error allow one; else the step has failed.
    pub(in crate::interpreter) fn fail_action(&mut self, asked: Asked, error: StepError, verdict: Verdict) {
        let Some((node, tries)) = self.take_asker(asked) else { return };
        match retry::next(policy(node), self.surroundings.ladder, tries.tally(), verdict) {
            Next::Attempt { delay, tally } => {
                let again = Again { delay, tries: tally.into(), is_deferred: false };
                self.try_again(asked, node, (tries.attempt, error), again);
            }
            Next::Deferred { delay, tally } => {
                let again = Again { delay, tries: tally.into(), is_deferred: true };
                self.try_again(asked, node, (tries.attempt, error), again);
            }
            Next::GiveUp => {
                let tried = (verdict != Verdict::Refused).then_some(tries);
                if let Onward::To(to) = self.fail_step(asked.token, node, asked.visit, error, tried) {
                    self.go(asked.token, to);
                }
            }
        }
    }

    /// Waits for room, at no cost.
    pub(in crate::interpreter) fn postpone_action(&mut self, asked: Asked, until: DateTime<Utc>) {
        let Some((node, mut tries)) = self.take_asker(asked) else { return };
        tries.postponed = tries.postponed.saturating_add(1);
        self.stand(asked.token, node, asked.visit, Waits::Retry { until, tries, stored: true });
    }

    fn try_again(&mut self, asked: Asked, node: &Node, (attempt, error): (u32, StepError), again: Again) {
        let Asked { token, node: index, visit, .. } = asked;
        let delay = TimeDelta::from_std(again.delay).unwrap_or(TimeDelta::MAX);
        let until = self.now.checked_add_signed(delay).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let detail = json!({
            "attempt": attempt,
            "code": error.code,
            "message": error.message,
            "deferred": again.is_deferred,
            "next_at": until.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        });
        self.log(&node.id, node.action_key(), visit, StepOutcome::Retrying, detail);
        self.stand(token, node, visit, Waits::Retry { until, tries: again.tries, stored: true });
        self.commands.push(Command::RetryAt { token, node: index, delay: again.delay, until });
    }

    fn stand(&mut self, token: u16, node: &Node, visit: u32, waits: Waits) {
        self.state.tokens.insert(token, Token { node: node.id.clone(), visit, waits });
    }
}

impl<'a> Walk<'a> {
    /// Takes the token off the node that asked; `None` when no token waits for this answer.
    fn take_asker(&mut self, asked: Asked) -> Option<(&'a Node, Tries)> {
        let workflow = self.workflow;
        let waiting = self.state.tokens.get(&asked.token)?;
        let tries = match waiting.waits {
            Waits::Action { tries } => tries,
            Waits::Timer { .. } | Waits::Retry { .. } | Waits::Turn => return None,
        };
        if workflow.node_index(&waiting.node).is_none() {
            let node = waiting.node.clone();
            self.fail_unknown(node);
            return None;
        }
        let node = workflow.nodes.get(asked.node)?;
        if waiting.node != node.id || waiting.visit != asked.visit || tries.number() != asked.number {
            return None;
        }
        self.state.tokens.remove(&asked.token);
        Some((node, tries))
    }
}

/// Actions alone are tried again.
fn policy(node: &Node) -> &RetryPolicy {
    match &node.kind {
        NodeKind::Action { sending, .. } => &sending.retry,
        NodeKind::Delay { .. } | NodeKind::Branch { .. } | NodeKind::Stop => &RetryPolicy::None,
    }
}
