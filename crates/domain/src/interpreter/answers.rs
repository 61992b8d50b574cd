//! What comes back from actions: another try where policy and error allow one, else the step is done or has failed.

use super::{Command, Onward, StepError, StepOutcome, Tries, Visit, Waits, Walk};
use crate::retry::{self, FailureKind, Next, RetryPolicy};
use crate::workflow::{Node, NodeIndex};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Whom an answer is for, as the command that asked said it.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) token: u16,
    pub(super) node: NodeIndex,
    pub(super) visit: u32,
    pub(super) number: u32,
}

/// Another try.
struct Again {
    delay: Duration,
    tries: Tries,
    is_deferred: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn complete_action(&mut self, asked: Asked, output: Value, vars: Map<String, Value>) {
        let Some((visit, tries)) = self.take_asker(asked) else { return };
        if let Err(error) = self.make_room(&visit.node.id, &output, &vars) {
            return self.fail_try(visit, tries, error, FailureKind::Fail);
        }
        if let Onward::To(to) = self.succeed(visit, output, vars) {
            self.go(visit.token, Some(visit.index), to);
        }
    }

    pub(super) fn fail_action(&mut self, asked: Asked, error: StepError, kind: FailureKind) {
        if let Some((visit, tries)) = self.take_asker(asked) {
            self.fail_try(visit, tries, error, kind);
        }
    }

    /// Another try where policy and error allow one; else the step has failed.
    fn fail_try(&mut self, visit: Visit<'a>, tries: Tries, error: StepError, kind: FailureKind) {
        match retry::next(policy(visit.node), self.run.ladder, tries.tally(), kind) {
            Next::Attempt { delay, tally } => {
                let again = Again { delay, tries: tally.into(), is_deferred: false };
                self.try_again(visit, (tries.attempt, error), again);
            }
            Next::Deferred { delay, tally } => {
                let again = Again { delay, tries: tally.into(), is_deferred: true };
                self.try_again(visit, (tries.attempt, error), again);
            }
            Next::GiveUp => {
                let tried = (kind != FailureKind::Refused).then_some(tries);
                if let Onward::To(to) = self.fail_step(visit, error, tried) {
                    self.go(visit.token, Some(visit.index), to);
                }
            }
        }
    }

    /// Waits for room, at no cost.
    pub(super) fn postpone_action(&mut self, asked: Asked, until: DateTime<Utc>) {
        let Some((visit, mut tries)) = self.take_asker(asked) else { return };
        tries.postponed = tries.postponed.saturating_add(1);
        self.stand(visit, Waits::Retry { until, tries, stored: true });
    }

    fn try_again(&mut self, visit: Visit<'_>, (attempt, error): (u32, StepError), again: Again) {
        let delay = TimeDelta::from_std(again.delay).unwrap_or(TimeDelta::MAX);
        let until = self.run.now.checked_add_signed(delay).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let detail = json!({
            "attempt": attempt,
            "code": error.code,
            "message": error.message,
            "deferred": again.is_deferred,
            "next_at": until.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        });
        self.log_step(visit, StepOutcome::Retrying, detail);
        self.stand(visit, Waits::Retry { until, tries: again.tries, stored: true });
        let Visit { token, index: node, .. } = visit;
        self.commands.push(Command::Wake { token, node, until, retry: Some(again.delay) });
    }

    /// Takes the token off the node that asked; `None` when no token waits for this answer.
    fn take_asker(&mut self, asked: Asked) -> Option<(Visit<'a>, Tries)> {
        let workflow = self.workflow;
        let waiting = self.state.tokens.get(&asked.token)?;
        let tries = match waiting.waits {
            Waits::Action { tries } => tries,
            Waits::Timer { .. }
            | Waits::Retry { .. }
            | Waits::Event(_)
            | Waits::Turn
            | Waits::Dead { .. } => return None,
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
        Some((Visit { token: asked.token, node, index: asked.node, number: asked.visit }, tries))
    }
}

/// Actions alone are tried again.
fn policy(node: &Node) -> &RetryPolicy {
    node.behaviour.action().map_or(&RetryPolicy::None, |action| &action.sending.retry)
}
