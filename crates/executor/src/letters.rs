//! The dead letters of what failed for good: the step, every attempt of it, what was sent and what came back.

use crate::plan::Settlement;
use automation_domain::interpreter::{Command, End, EndStatus, StepError, StepOutcome, Waits};
use automation_domain::workflow::Workflow;
use automation_store::dead_letters::{DeadAttempt, FailedStep, NewDeadLetter};
use automation_store::runs::ClaimedRun;
use automation_store::runs::checkpoints::Next;
use automation_store::runs::effects::{EffectKey, StoredEffect, Try};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// What failed for good: a step, or a run without one at fault.
struct Death<'a> {
    error: &'a StepError,
    step: Option<(&'a str, u32)>,
}

impl Death<'_> {
    fn effect_key(&self, run: &ClaimedRun) -> Option<EffectKey> {
        let (node, visit) = self.step?;
        Some(run.effect_key(node, visit))
    }
}

/// The effects of the steps that failed for good; not every step has one.
pub(crate) fn effect_keys(settlement: &Settlement, workflow: Option<&Workflow>) -> Vec<EffectKey> {
    let deaths = deaths(settlement, workflow);
    deaths.iter().filter_map(|death| death.effect_key(&settlement.run)).collect()
}

/// The dead letters of a settlement; `stored` has the effects that [`effect_keys`] names, as they are by now.
pub(crate) fn letters(
    settlement: &Settlement,
    workflow: Option<&Workflow>,
    stored: &BTreeMap<EffectKey, StoredEffect>,
    now: DateTime<Utc>,
) -> Vec<NewDeadLetter> {
    let deaths = deaths(settlement, workflow);
    deaths.iter().map(|death| letter(settlement, death, stored, now)).collect()
}

fn letter(
    settlement: &Settlement,
    death: &Death<'_>,
    stored: &BTreeMap<EffectKey, StoredEffect>,
    now: DateTime<Utc>,
) -> NewDeadLetter {
    let (run, error) = (&settlement.run, death.error);
    let effect = death.effect_key(run).and_then(|key| stored.get(&key));
    let mut attempts: Vec<DeadAttempt> = effect.map_or_else(Vec::new, |effect| attempts(&effect.tries));
    if attempts.last().is_none_or(|last| last.code != error.code) {
        let status = None;
        attempts.push(DeadAttempt {
            at: now,
            code: error.code.clone(),
            message: error.message.clone(),
            status,
        });
    }
    let json = |value: Result<serde_json::Value, serde_json::Error>| value.ok();
    NewDeadLetter {
        tenant_id: run.tenant_id,
        run_id: run.run_id,
        epoch: run.epoch,
        workflow_id: run.workflow_id,
        version_id: run.version_id,
        step: death.step.map(|(node, visit)| FailedStep {
            node: node.to_owned(),
            visit,
            action: effect.map(|effect| effect.action.clone()).or_else(|| action(settlement, node)),
        }),
        code: error.code.clone(),
        message: error.message.clone(),
        attempts,
        request: effect.and_then(|effect| json(serde_json::to_value(&effect.request))),
        response: effect
            .and_then(|effect| effect.response.as_ref())
            .and_then(|response| json(serde_json::to_value(response))),
        event_id: run.event_id,
        contact_id: run.contact_id,
        run_key: run.run_key.clone(),
    }
}

/// The branches that died in this settlement. A run that fails without one of its own at fault is one death too, at the step
/// that was under way.
fn deaths<'a>(settlement: &'a Settlement, workflow: Option<&'a Workflow>) -> Vec<Death<'a>> {
    let mut deaths: Vec<Death<'a>> = Vec::new();
    for command in &settlement.commands {
        if let Command::Bury { node, visit, error } = command {
            let node = workflow.and_then(|workflow| workflow.nodes.get(*node));
            deaths.push(Death { error, step: node.map(|node| (node.id.as_str(), *visit)) });
        }
    }
    let before = settlement.run.state.iter().flat_map(|state| state.tokens.values());
    let was_buried = before.into_iter().any(|token| matches!(token.waits, Waits::Dead { .. }));
    if deaths.is_empty()
        && !was_buried
        && matches!(settlement.checkpoint.next, Next::Finished { status: EndStatus::Failed })
        && let Some(End::Failed { node, error, tokens }) = &settlement.state.end
    {
        let token = match node {
            Some(node) => tokens.values().find(|token| token.node == *node),
            None => tokens.values().find(|token| matches!(token.waits, Waits::Action { .. })),
        };
        deaths.push(Death { error, step: token.map(|token| (token.node.as_str(), token.visit)) });
    }
    deaths
}

/// The attempts since the step was begun, or begun again by a replay.
fn attempts(tries: &[Try]) -> Vec<DeadAttempt> {
    let since = tries.iter().rposition(|one| one.number == 1).unwrap_or(0);
    let failed = |one: &Try| {
        Some(DeadAttempt {
            at: one.at,
            code: one.code.clone()?,
            message: one.message.clone().unwrap_or_default(),
            status: one.status,
        })
    };
    tries[since..].iter().filter_map(failed).collect()
}

/// The action of a step that failed without an effect.
fn action(settlement: &Settlement, node: &str) -> Option<String> {
    let failed = |step: &&automation_domain::interpreter::Step| {
        step.node == node && step.outcome == StepOutcome::Failed
    };
    settlement.log().filter(failed).last().map(|step| step.action.clone())
}
