//! Whether an event starts a run by a trigger, and what that run is unique by.
//!
//! Ingest decides so while it takes events in; whoever asks afterwards why there is no run decides again.

mod explained;
mod rules;

pub use explained::{EntryCondition, explained};
pub use rules::{Enrolment, KeptOut, kept_out, known_at};

use crate::budget::Exceeded;
use crate::event::Event;
use crate::facts::Facts;
use crate::id::{self, ScheduleId, WorkflowId};
use crate::part::PartKind;
use crate::schedule::EVENT_PREFIX;
use crate::template::Template;
use crate::text;
use crate::workflow::{Enrolment as Rules, Trigger};

/// Whether a trigger listens for an event, its condition aside.
pub fn listens(workflow: WorkflowId, trigger: &Trigger, event: &Event) -> bool {
    match (schedule_of(event), &trigger.schedule) {
        (Some(slot), Some(_)) => slot == ScheduleId::derive(workflow, &trigger.id).to_string(),
        (None, None) => trigger.event == event.event_type,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The schedule whose slot an event is; only the engine publishes slots.
pub fn schedule_of(event: &Event) -> Option<&str> {
    let is_slot = event.is_from_engine() && event.event_type.starts_with(EVENT_PREFIX);
    event.data.get("schedule_id").filter(|_| is_slot)?.as_str()
}

/// What a run that the trigger starts is unique by, if it lets the event in. `take` takes in hand what is evaluated next.
///
/// # Errors
///
/// [`Exceeded`] when deciding takes more than is left of the facts' budget.
pub fn run_key_if_let_in<H>(
    enrolment: &Rules,
    trigger: &Trigger,
    event: &Event,
    facts: &Facts<'_>,
    take: impl Fn(PartKind, &str) -> H,
) -> Result<Option<String>, Exceeded> {
    if let Some(condition) = &trigger.condition {
        let _hand = take(PartKind::Trigger, &trigger.id);
        if !condition.holds(facts)? {
            return Ok(None);
        }
    }
    let has_rules = enrolment.conditions().next().is_some() || enrolment.key.is_some();
    let _hand = has_rules.then(|| take(PartKind::Enrolment, ""));
    if let Some(condition) = &enrolment.condition
        && !condition.holds(facts)?
    {
        return Ok(None);
    }
    if is_suppressed(enrolment, facts)? {
        return Ok(None);
    }
    run_key(enrolment, event, facts).map(Some)
}

/// Whether the workflow never lets in whom the event is about.
///
/// # Errors
///
/// [`Exceeded`] when deciding takes more than is left of the facts' budget.
pub fn is_suppressed(enrolment: &Rules, facts: &Facts<'_>) -> Result<bool, Exceeded> {
    enrolment.suppress.as_ref().map_or(Ok(false), |condition| condition.holds(facts))
}

/// What a run that the event starts is unique by within the workflow.
///
/// # Errors
///
/// [`Exceeded`] when working it out takes more than is left of the facts' budget.
pub fn run_key(enrolment: &Rules, event: &Event, facts: &Facts<'_>) -> Result<String, Exceeded> {
    Ok(id::run_key(
        enrolment
            .key
            .as_ref()
            .map_or(Ok(None), |key| key_of(key, facts))?
            .or_else(|| event.subject.clone())
            .or_else(|| schedule_of(event).map(str::to_owned))
            .unwrap_or_else(|| event.id.clone()),
    ))
}

/// What the workflow says its runs are unique by; a key that cannot be rendered, or is empty, falls back to the default.
fn key_of(key: &Template, facts: &Facts<'_>) -> Result<Option<String>, Exceeded> {
    match (key.render(facts), facts.budget.refused()) {
        (Ok(key), _) => Ok(Some(text::of(&key).into_owned()).filter(|key| !key.is_empty())),
        (Err(_), Some(exceeded)) => Err(exceeded),
        (Err(_), None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RecordedEvent;
    use crate::facts::TenantFacts;
    use crate::id::{EventId, EventKey};
    use crate::limits::Limits;
    use crate::past::Past;
    use chrono::DateTime;
    use serde_json::{Value, json};

    fn key(template: &str, id: Value) -> Option<String> {
        let now = DateTime::UNIX_EPOCH;
        let event = Event {
            key: EventKey::derive("test", "1"),
            id: "1".to_owned(),
            source: "test".to_owned(),
            event_type: "form.submitted".to_owned(),
            tenant: "acme".to_owned(),
            time: now,
            subject: Some("ada".to_owned()),
            correlation_id: None,
            causation_id: None,
            causation_depth: 0,
            traceparent: None,
            tracestate: None,
            data: json!({ "id": id }),
            body_hash: [0; 32],
        };
        let recorded = RecordedEvent { event_id: EventId::derive(now, event.key), received_at: now, event };
        let budget = crate::budget::Budget::default();
        let facts = Facts {
            event: Some(&recorded),
            contact: None,
            run: None,
            past: Past::Unknown,
            tenant: TenantFacts::new("acme", "UTC"),
            now,
            budget: &budget,
        };
        let template = Template::parse(template, "enrolment.key", &Limits::default()).unwrap();
        key_of(&template, &facts).unwrap()
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
