//! Which runs an event starts.

use crate::directory::KnownTenant;
use crate::trigger_index::{TriggerRef, schedule_of};
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::event::{Event, RecordedEvent};
use automation_domain::facts::Facts;
use automation_domain::id::{self, ContactId, RunId};
use automation_domain::workflow::Workflow;
use automation_store::runs::NewRun;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A run that an event asks for; entry rules over earlier runs are still to be applied.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) trigger: TriggerRef,
    pub(crate) run: NewRun,
}

/// Whether deciding over these candidates takes the contact.
pub(crate) fn reads_contact(candidates: &[TriggerRef]) -> bool {
    candidates.iter().any(|candidate| {
        let workflow = &candidate.published.workflow;
        let conditions = [&workflow.triggers[candidate.trigger].condition, &workflow.enrolment.condition];
        conditions.into_iter().flatten().any(|condition| condition.reads("contact"))
            || workflow.enrolment.key.as_ref().is_some_and(|key| key.reads("contact"))
    })
}

/// Evaluates the candidates against the event and the contact.
pub(crate) fn matches(
    tenant: &KnownTenant,
    candidates: Vec<TriggerRef>,
    recorded: &RecordedEvent,
    contact: Option<&Contact>,
    contact_id: Option<ContactId>,
    now: DateTime<Utc>,
) -> Vec<Match> {
    let budget = Budget::default();
    let facts =
        Facts { event: Some(recorded), contact, run: None, tenant: &tenant.key, now, budget: &budget };
    let event = &recorded.event;
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let published = &candidate.published;
            let (workflow, trigger) = (&published.workflow, &published.workflow.triggers[candidate.trigger]);
            let lets_in = [&trigger.condition, &workflow.enrolment.condition]
                .into_iter()
                .flatten()
                .all(|condition| condition.holds(&facts));
            if !lets_in {
                return None;
            }
            let run = NewRun {
                tenant_id: tenant.tenant_id,
                run_id: RunId::derive(recorded.received_at, published.workflow_id, &trigger.id, event.key),
                workflow_id: published.workflow_id,
                version_id: published.version_id,
                trigger_id: trigger.id.clone(),
                event_id: recorded.event_id,
                contact_id,
                run_key: run_key(workflow, event, &facts),
                priority: workflow
                    .priority
                    .unwrap_or_else(|| automation_domain::catalogue::priority_of(&event.event_type)),
                trace: None,
            };
            Some(Match { trigger: candidate, run })
        })
        .collect()
}

/// What a run that the event starts is unique by within the workflow.
pub(crate) fn run_key(workflow: &Workflow, event: &Event, facts: &Facts<'_>) -> String {
    id::run_key(
        key_of(workflow, facts)
            .or_else(|| event.subject.clone())
            .or_else(|| schedule_of(event).map(str::to_owned))
            .unwrap_or_else(|| event.id.clone()),
    )
}

/// What the workflow says its runs are unique by; a key that cannot be rendered, or is empty, falls back to the default.
fn key_of(workflow: &Workflow, facts: &Facts<'_>) -> Option<String> {
    match workflow.enrolment.key.as_ref()?.render(facts).ok()? {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text),
        Value::Null => None,
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Some(other.to_string())
        }
    }
}
