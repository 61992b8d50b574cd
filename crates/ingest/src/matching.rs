//! Which runs an event starts.

use crate::care::Manner;
use crate::directory::KnownTenant;
use crate::trigger_index::{TriggerRef, schedule_of};
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::event::{Event, RecordedEvent};
use automation_domain::facts::Facts;
use automation_domain::id::{self, ContactId, RunId};
use automation_domain::part::{PartKind, PartRef};
use automation_domain::template::Template;
use automation_domain::text;
use automation_domain::workflow::Workflow;
use automation_store::runs::NewRun;
use chrono::{DateTime, Utc};

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
    manner: Manner<'_>,
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
            let part = |kind, id| {
                let (workflow_id, version_id) = (published.workflow_id, published.version_id);
                let part = PartRef { workflow_id, version_id, kind, id };
                manner.take(tenant.tenant_id, part, recorded.event_id.0)
            };
            if let Some(condition) = &trigger.condition {
                let _hand = part(PartKind::Trigger, &trigger.id);
                if !condition.holds(&facts) {
                    return None;
                }
            }
            let rules = &workflow.enrolment;
            let _hand =
                (rules.condition.is_some() || rules.key.is_some()).then(|| part(PartKind::Enrolment, ""));
            if rules.condition.as_ref().is_some_and(|condition| !condition.holds(&facts)) {
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
        workflow
            .enrolment
            .key
            .as_ref()
            .and_then(|key| key_of(key, facts))
            .or_else(|| event.subject.clone())
            .or_else(|| schedule_of(event).map(str::to_owned))
            .unwrap_or_else(|| event.id.clone()),
    )
}

/// What the workflow says its runs are unique by; a key that cannot be rendered, or is empty, falls back to the default.
fn key_of(key: &Template, facts: &Facts<'_>) -> Option<String> {
    let key = key.render(facts).ok()?;
    Some(text::of(&key).into_owned()).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::id::EventId;
    use automation_domain::limits::Limits;
    use automation_test_support::builders;
    use serde_json::{Value, json};

    fn key(template: &str, id: Value) -> Option<String> {
        let mut event = builders::event("acme", "1");
        event.data = json!({ "id": id });
        let now = DateTime::UNIX_EPOCH;
        let recorded = RecordedEvent { event_id: EventId::derive(now, event.key), received_at: now, event };
        let budget = Budget::default();
        let facts =
            Facts { event: Some(&recorded), contact: None, run: None, tenant: "acme", now, budget: &budget };
        let template = Template::parse(template, "enrolment.key", &Limits::default()).unwrap();
        key_of(&template, &facts)
    }

    #[test]
    fn equal_values_come_to_one_key_however_the_template_joins_them() {
        for (id, text) in [
            (json!(17), "17"),
            (json!(17.0), "17"),
            (json!("17"), "17"),
            (json!(17.5), "17.5"),
            (json!(true), "true"),
            (json!([17.0, null]), "[17,null]"),
        ] {
            assert_eq!(key("{{ event.data.id }}", id.clone()).as_deref(), Some(text), "{id}");
            let joined = Some(format!("k-{text}"));
            for template in [
                "k-{{ event.data.id }}",
                "{{ 'k-' ~ event.data.id }}",
                "{{ ['k', event.data.id] | join('-') }}",
            ] {
                assert_eq!(key(template, id.clone()), joined, "{template} {id}");
            }
        }
        for nothing in [json!(null), json!("")] {
            assert_eq!(key("{{ event.data.id }}", nothing), None);
        }
    }
}
