//! The dead letter of a run that failed: the step, every attempt of it, what was sent and what came back.

use crate::plan::Settlement;
use automation_domain::interpreter::{End, StepError, StepOutcome, Token, Waits};
use automation_store::dead_letters::{DeadAttempt, FailedStep, NewDeadLetter};
use automation_store::runs::checkpoints::Next;
use automation_store::runs::effects::{EffectKey, StoredEffect, Try};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// The effect of the step that a settlement fails at; it may not have one.
pub(crate) fn effect_key(settlement: &Settlement) -> Option<EffectKey> {
    let (_, token) = failure(settlement)?;
    let token = token?;
    Some(EffectKey {
        tenant_id: settlement.run.tenant_id,
        run_id: settlement.run.run_id,
        node: token.node.clone(),
        visit: token.visit,
    })
}

/// The dead letter of a settlement that fails; `stored` has the effect that [`effect_key`] names, as it is by now.
pub(crate) fn letter(
    settlement: &Settlement,
    stored: &BTreeMap<EffectKey, StoredEffect>,
    now: DateTime<Utc>,
) -> Option<NewDeadLetter> {
    let (error, token) = failure(settlement)?;
    let run = &settlement.run;
    let effect = effect_key(settlement).and_then(|key| stored.get(&key));
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
    Some(NewDeadLetter {
        tenant_id: run.tenant_id,
        run_id: run.run_id,
        epoch: run.epoch,
        workflow_id: run.workflow_id,
        version_id: run.version_id,
        step: token.map(|token| FailedStep {
            node: token.node.clone(),
            visit: token.visit,
            action: effect.map(|effect| effect.action.clone()).or_else(|| action(settlement, &token.node)),
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
    })
}

/// Why a settlement ends its run as failed, and the branch at fault: that of the failed step, or the one that was under
/// way when no step is at fault.
fn failure(settlement: &Settlement) -> Option<(&StepError, Option<&Token>)> {
    if !matches!(settlement.checkpoint.next, Next::Finished { status: "failed" }) {
        return None;
    }
    let Some(End::Failed { node, error, tokens }) = &settlement.state.end else { return None };
    let token = match node {
        Some(node) => tokens.values().find(|token| token.node == *node),
        None => tokens.values().find(|token| matches!(token.waits, Waits::Action { .. })),
    };
    Some((error, token))
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
