//! The dead letter of a run that failed for good.

use automation_actions::Walked;
use automation_domain::interpreter::{End, StepOutcome};
use automation_store::dead_letters::{FailedStep, NewDeadLetter};
use automation_store::runs::ClaimedRun;

/// What is left for a person of a run that failed; `None` for every other end, and for runs that go on.
pub(crate) fn dead_letter(run: &ClaimedRun, walked: &Walked) -> Option<NewDeadLetter> {
    let End::Failed { node, error, .. } = walked.state.end.as_ref()? else { return None };
    let step = node.as_ref().map(|node| FailedStep {
        node: node.clone(),
        visit: walked.state.steps.get(node).map_or(1, |result| result.visits),
        action: walked
            .log
            .iter()
            .rfind(|step| step.node == *node && step.outcome == StepOutcome::Failed)
            .map(|step| step.action.clone()),
    });
    Some(NewDeadLetter {
        tenant_id: run.tenant_id,
        run_id: run.run_id,
        epoch: run.epoch,
        workflow_id: run.workflow_id,
        version_id: run.version_id,
        step,
        code: error.code.clone(),
        message: error.message.clone(),
        attempts: Vec::new(),
        request: None,
        response: None,
        event_id: run.event_id,
        contact_id: run.contact_id,
        run_key: run.run_key.clone(),
    })
}
