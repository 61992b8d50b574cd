//! Which runs an event starts.

use crate::care::Manner;
use crate::directory::KnownTenant;
use crate::goals;
use crate::trigger_index::TriggerRef;
use automation_domain::budget::{Budget, Exceeded};
use automation_domain::contact::Contact;
use automation_domain::entry::run_key_if_let_in;
use automation_domain::event::RecordedEvent;
use automation_domain::facts::Facts;
use automation_domain::id::{ContactId, RunId};
use automation_domain::part::PartRef;
use automation_domain::past::Past;
use automation_store::runs::NewRun;
use automation_store::runs::goals::Goal;
use chrono::{DateTime, Utc};

/// A run that an event asks for; entry rules over earlier runs are still to be applied.
#[derive(Debug)]
pub(crate) struct Match {
    pub(crate) trigger: TriggerRef,
    pub(crate) run: NewRun,
    /// What the run is for.
    pub(crate) goal: Option<Goal>,
}

/// Whether deciding over these candidates takes the contact.
pub(crate) fn reads_contact(candidates: &[TriggerRef]) -> bool {
    candidates.iter().any(|candidate| {
        let published = &candidate.published;
        let of_trigger = &published.triggers[candidate.trigger].condition;
        of_trigger.iter().chain(published.enrolment.conditions()).any(|condition| condition.reads("contact"))
            || published.enrolment.key.as_ref().is_some_and(|key| key.reads("contact"))
            || published.goal.as_ref().is_some_and(|goal| goal.reads_contact())
    })
}

/// An event, and what is known of whom it is about.
pub(crate) struct Asked<'a> {
    pub(crate) tenant: &'a KnownTenant,
    pub(crate) recorded: &'a RecordedEvent,
    pub(crate) contact: Option<&'a Contact>,
    pub(crate) contact_id: Option<ContactId>,
    pub(crate) past: Past<'a>,
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
    let Asked { tenant, recorded, contact, past, now, .. } = *asked;
    let facts =
        Facts { event: Some(recorded), contact, run: None, past, tenant: tenant.facts(), now, budget };
    let (mut found, mut of) = (Found::default(), None);
    for candidate in candidates {
        let workflow = candidate.published.workflow_id;
        if of.replace(workflow) != Some(workflow) {
            budget.begin_next();
        }
        let decided = if budget.is_worn_out() { None } else { decide(asked, &candidate, &facts).ok() };
        match decided {
            Some(Some(run)) => {
                let goal = goals::of_run(&candidate.published, &run, &facts);
                found.matches.push(Match { trigger: candidate, run, goal });
            }
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
    let Some(run_key) = run_key_if_let_in(&published.enrolment, trigger, event, facts, take)? else {
        return Ok(None);
    };
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
