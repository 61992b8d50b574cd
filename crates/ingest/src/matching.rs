//! Which runs an event starts.

use crate::care::Manner;
use crate::directory::KnownTenant;
use crate::trigger_index::{TriggerRef, schedule_of};
use automation_domain::budget::{Budget, Exceeded};
use automation_domain::contact::Contact;
use automation_domain::event::{Event, RecordedEvent};
use automation_domain::facts::Facts;
use automation_domain::id::{self, ContactId, RunId};
use automation_domain::part::{PartKind, PartRef};
use automation_domain::template::Template;
use automation_domain::text;
use automation_domain::workflow::{Enrolment, Trigger};
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
        let published = &candidate.published;
        let conditions = [&published.triggers[candidate.trigger].condition, &published.enrolment.condition];
        conditions.into_iter().flatten().any(|condition| condition.reads("contact"))
            || published.enrolment.key.as_ref().is_some_and(|key| key.reads("contact"))
    })
}

/// An event, and what is known of whom it is about.
pub(crate) struct Asked<'a> {
    pub(crate) tenant: &'a KnownTenant,
    pub(crate) recorded: &'a RecordedEvent,
    pub(crate) contact: Option<&'a Contact>,
    pub(crate) contact_id: Option<ContactId>,
    pub(crate) now: DateTime<Utc>,
    pub(crate) manner: Manner<'a>,
}

/// What the candidates of an event came to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Those that let the event in.
    pub(crate) matches: Vec<Match>,
    /// Those that could not be decided within the budget, and so do not.
    pub(crate) over_budget: Vec<TriggerRef>,
}

/// Evaluates the candidates against the event and the contact.
///
/// The triggers of a workflow, which follow each other, have one budget; together workflows have a few.
pub(crate) fn matches(asked: &Asked<'_>, candidates: Vec<TriggerRef>, budget: &Budget) -> Found {
    let Asked { tenant, recorded, contact, now, .. } = *asked;
    let facts = Facts { event: Some(recorded), contact, run: None, tenant: &tenant.key, now, budget };
    let (mut found, mut of) = (Found::default(), None);
    for candidate in candidates {
        let workflow = candidate.published.workflow_id;
        if of.replace(workflow) != Some(workflow) {
            budget.begin_next();
        }
        let decided = if budget.is_worn_out() { None } else { decide(asked, &candidate, &facts).ok() };
        match decided {
            Some(Some(run)) => found.matches.push(Match { trigger: candidate, run }),
            Some(None) => {}
            None => found.over_budget.push(candidate),
        }
    }
    found
}

/// The run that a trigger starts, if it lets the event in.
fn decide(asked: &Asked<'_>, candidate: &TriggerRef, facts: &Facts<'_>) -> Result<Option<NewRun>, Exceeded> {
    let Asked { tenant, recorded, contact_id, manner, .. } = *asked;
    let (published, event) = (&candidate.published, &recorded.event);
    let trigger = &published.triggers[candidate.trigger];
    let take = |kind, id: &str| {
        let (workflow_id, version_id) = (published.workflow_id, published.version_id);
        manner.take(tenant.tenant_id, PartRef { workflow_id, version_id, kind, id }, recorded.event_id.0)
    };
    let Some(run_key) = entry(&published.enrolment, trigger, event, facts, take)? else { return Ok(None) };
    Ok(Some(NewRun {
        tenant_id: tenant.tenant_id,
        run_id: RunId::derive(recorded.received_at, published.workflow_id, &trigger.id, event.key),
        workflow_id: published.workflow_id,
        version_id: published.version_id,
        trigger_id: trigger.id.clone(),
        event_id: recorded.event_id,
        contact_id,
        run_key,
        priority: published
            .priority
            .unwrap_or_else(|| automation_domain::catalogue::priority_of(&event.event_type)),
        trace: None,
    }))
}

/// What a run that the trigger starts is unique by, if it lets the event in. `take` takes in hand what is evaluated next.
///
/// # Errors
///
/// [`Exceeded`] when deciding takes more than is left of the facts' budget.
pub(crate) fn entry<H>(
    enrolment: &Enrolment,
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
    let has_rules = enrolment.condition.is_some() || enrolment.key.is_some();
    let _hand = has_rules.then(|| take(PartKind::Enrolment, ""));
    if let Some(condition) = &enrolment.condition
        && !condition.holds(facts)?
    {
        return Ok(None);
    }
    run_key(enrolment, event, facts).map(Some)
}

/// What a run that the event starts is unique by within the workflow.
///
/// # Errors
///
/// [`Exceeded`] when working it out takes more than is left of the facts' budget.
pub(crate) fn run_key(enrolment: &Enrolment, event: &Event, facts: &Facts<'_>) -> Result<String, Exceeded> {
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
