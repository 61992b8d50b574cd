//! Why a run was started, what each step did and why, and what it waits for.

use super::{Run, show};
use crate::counting::{self, Before};
use crate::dead_letters::Line;
use crate::{Error, Session, events};
use automation_domain::budget::Budget;
use automation_domain::contact::Contact;
use automation_domain::entry::{self, EntryCondition};
use automation_domain::event::RecordedEvent;
use automation_domain::facts::{Facts, TenantFacts};
use automation_domain::id::{RecordId, RunId};
use automation_domain::limits::Limits;
use automation_domain::past::Past;
use automation_domain::workflow::{Workflow, parse_value};
use automation_store::access::tenants;
use automation_store::dead_letters::{self, DeadLetter, DeadLetterFilter};
use automation_store::records::contacts;
use automation_store::runs::effects::{self, StoredEffect};
use automation_store::runs::lists::RunDetail;
use automation_store::{records, workflows};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A run's whole story. As JSON, the run with `contact_record`, `event_data`, `conditions`, an `input` for each step,
/// `trace_id`, `span_id`, `requests` and `dead_letters`.
#[derive(Clone, PartialEq, Debug)]
pub struct Story {
    /// The run with its steps.
    pub run: Run,
    /// The event that started it, while it is kept.
    pub event: Option<RecordedEvent>,
    /// The contact as it is today.
    pub contact: Option<Contact>,
    /// The conditions that let the event in, over the event as recorded and the contact as it is today.
    pub entries: Vec<EntryCondition>,
    /// What was asked of the world outside.
    pub effects: Vec<StoredEffect>,
    /// What was given up, the earliest first.
    pub letters: Vec<DeadLetter>,
    /// Notes and tasks that steps made.
    records: BTreeMap<RecordId, Value>,
}

/// The trace that a run is told of in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trace {
    /// Its own.
    Run(String),
    /// That of its event; the run is not recorded in it.
    Event(String),
}

/// Most dead letters of one run that are told of: it has one for each time that it failed.
const LETTERS: i64 = 100;

/// Tells a run's whole story.
///
/// # Errors
///
/// [`crate::Refusal::NoRun`]; [`Error::Store`].
pub async fn explain(session: &Session, id: RunId, limits: &Limits) -> Result<Story, Error> {
    let run = show(session, id).await?;
    let Run(detail) = &run;
    let (tenant, summary) = (session.tenant, &detail.summary);
    let made: Vec<RecordId> =
        detail.log.iter().flat_map(|entry| &entry.steps).filter_map(|step| record_of(&step.detail)).collect();
    let (event, contact, definition, effects, letters, records, zone) = session
        .read(async |connection| {
            let found = automation_store::events::by_ids(connection, &[(tenant, summary.event_id)]).await?;
            let event = found.into_values().next();
            let contact = match summary.contact_id {
                Some(id) => contacts::read(connection, &[(tenant, id)]).await?.into_values().next(),
                None => None,
            };
            let mut versions = workflows::versions(connection, &[(tenant, summary.version_id)]).await?;
            let definition = versions.remove(&summary.version_id).map(|version| version.definition);
            let effects = effects::of_run(connection, tenant, summary.run_id).await?;
            let filter = DeadLetterFilter { run: Some(summary.run_id), ..DeadLetterFilter::default() };
            let mut letters = dead_letters::list(connection, tenant, &filter, None, LETTERS).await?;
            letters.reverse();
            let records = records::by_ids(connection, tenant, &made).await?;
            let zone = tenants::zone(connection, tenant).await?;
            Ok((event, contact, definition, effects, letters, records, zone))
        })
        .await?;
    // `None` when this version of the engine cannot read the definition.
    let workflow = definition
        .and_then(|definition| parse_value(&definition, automation_actions::node_types(), limits).ok());
    let mut past = None;
    if let (Some(workflow), Some(event)) = (&workflow, &event) {
        let counted = workflow.entry_aggregates();
        if !counted.is_empty() {
            let before = async |connection: &mut _| {
                counting::before(connection, tenant, event, counted.iter().copied()).await
            };
            past = Some(session.read(before).await?);
        }
    }
    let entries = workflow.map_or_else(Vec::new, |workflow| {
        let tenant = TenantFacts { key: &session.key, zone };
        entries(&workflow, (event.as_ref(), contact.as_ref(), past.as_ref()), detail, tenant, limits)
    });
    Ok(Story { run, event, contact, entries, effects, letters, records })
}

impl Story {
    /// What a step was given, once rendered, where its own line does not hold it.
    pub fn input(&self, detail: &Value) -> Option<&Value> {
        self.records.get(&record_of(detail)?)
    }

    /// The run's trace, or else its event's.
    pub fn trace(&self) -> Option<Trace> {
        let own = self.run.0.trace.map(|trace| Trace::Run(format!("{:032x}", trace.trace_id)));
        own.or_else(|| events::trace_id(self.event.as_ref()?).map(Trace::Event))
    }
}

impl Trace {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Self::Run(id) | Self::Event(id) => id,
        }
    }
}

impl Serialize for Story {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(&self.run).map_err(serde::ser::Error::custom)?;
        value["contact_record"] = json!(self.contact);
        value["event_data"] = json!(self.event.as_ref().map(|recorded| &recorded.event.data));
        value["conditions"] = json!(self.entries);
        for step in value["steps"].as_array_mut().into_iter().flatten() {
            step["input"] = json!(self.input(&step["detail"]));
        }
        value["trace_id"] = json!(self.trace().as_ref().map(Trace::id));
        value["span_id"] = json!(self.run.0.trace.map(|trace| format!("{:016x}", trace.span_id)));
        value["requests"] = self.effects.iter().map(request).collect();
        value["dead_letters"] = json!(self.letters.iter().map(Line::from).collect::<Vec<_>>());
        value.serialize(serializer)
    }
}

/// The note or task that a step says it made.
fn record_of(detail: &Value) -> Option<RecordId> {
    let id = detail.get("note_id").or_else(|| detail.get("task_id"))?;
    id.as_str()?.parse().ok().map(RecordId)
}

fn entries(
    workflow: &Workflow,
    (event, contact, past): (Option<&RecordedEvent>, Option<&Contact>, Option<&Before>),
    detail: &RunDetail,
    tenant: TenantFacts<'_>,
    limits: &Limits,
) -> Vec<EntryCondition> {
    let budget = Budget::new(limits);
    let now = detail.summary.received_at;
    let past = past.map_or(Past::Unknown, Before::as_ref);
    let facts = Facts { event, contact, run: None, past, tenant, now, budget: &budget };
    match workflow.trigger(&detail.summary.trigger) {
        Some(trigger) => entry::explained(workflow, trigger, &facts),
        None => Vec::new(),
    }
}

/// Everything that is stored. It names credentials and never holds their values.
fn request(effect: &StoredEffect) -> Value {
    json!({
        "node": effect.key.node, "visit": effect.key.visit, "action": effect.action,
        "idempotency_key": effect.idempotency_key, "delivery": effect.delivery.as_str(),
        "status": effect.status.as_str(), "attempts": effect.attempts,
        "started_at": effect.started_at.map(crate::time),
        "request": effect.request, "tries": effect.tries, "response": effect.response,
    })
}
