//! What happened before to the contacts of a batch, where triggers or entry rules count it.

use crate::trigger_index::TriggerRef;
use automation_domain::condition::{Aggregate, Condition};
use automation_domain::facts::FieldPath;
use automation_domain::id::{ContactId, TenantId};
use automation_domain::past::{self, Past, PastEvent};
use automation_store::events::NewEvent;
use automation_store::events::history::{self, Histories, Window};
use automation_store::role::Worker;
use automation_store::{Conn, Error};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Whose events are counted, and of which type.
type Of<'a> = (TenantId, ContactId, &'a str);

/// How far back, and what is asked of their content.
type Asked<'a> = (TimeDelta, BTreeSet<&'a FieldPath>);

/// Gathers what deciding over these candidates takes, with the batch's own events; asks the database only where some candidate
/// counts.
pub(crate) async fn gather(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    new: &[NewEvent<'_>],
    candidates: &[Vec<TriggerRef>],
) -> Result<Histories, Error> {
    let mut asked: BTreeMap<Of<'_>, Asked<'_>> = BTreeMap::new();
    for (new, candidates) in new.iter().zip(candidates) {
        let Some(contact_id) = new.contact_id else { continue };
        for one in past::together(aggregates(candidates).map(Aggregate::asks)).into_values() {
            let (within, paths) = asked.entry((new.tenant_id, contact_id, one.event)).or_default();
            *within = one.within.max(*within);
            paths.extend(one.paths);
        }
    }
    if asked.is_empty() {
        return Ok(Histories::new());
    }
    history::take_turns(connection, asked.keys().map(|(_, contact, _)| *contact)).await?;
    let window = |((tenant_id, contact_id, event), (within, _)): (&Of<'_>, &Asked<'_>)| Window {
        tenant_id: *tenant_id,
        contact_id: *contact_id,
        event_type: (*event).to_owned(),
        from: now - *within,
        until: None,
    };
    let windows: Vec<Window> = asked.iter().map(window).collect();
    let mut histories = history::read(connection, &windows).await?;
    for new in new {
        let Some(contact_id) = new.contact_id else { continue };
        let event_type = new.recorded.event.event_type.as_str();
        let Some((_, paths)) = asked.get(&(new.tenant_id, contact_id, event_type)) else { continue };
        if let Some(history) = histories.get_mut(&(new.tenant_id, contact_id)) {
            history.add(event_type, [PastEvent::of(new.recorded, paths.iter().copied())], false);
        }
    }
    Ok(histories)
}

/// What is known of whom an event is about.
pub(crate) fn past<'h>(histories: &'h Histories, new: &NewEvent<'_>) -> Past<'h> {
    match new.contact_id {
        Some(contact) => histories.get(&(new.tenant_id, contact)).map_or(Past::Unknown, Past::Of),
        None => Past::Nobody,
    }
}

/// The figures that deciding over these candidates may take.
fn aggregates(candidates: &[TriggerRef]) -> impl Iterator<Item = &Aggregate> {
    let counting = candidates.iter().filter(|candidate| candidate.published.counts);
    let conditions = counting.flat_map(|candidate| {
        let published = &candidate.published;
        let of_trigger = &published.triggers[candidate.trigger].condition;
        of_trigger.iter().chain(published.enrolment.conditions())
    });
    conditions.flat_map(Condition::aggregates)
}
