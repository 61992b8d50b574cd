//! Events that the engine publishes itself: what follows from a run's steps, and the slots of schedules.

use super::{ENGINE_SOURCE, Event};
use crate::id::{EventKey, RecordId, RunId, ScheduleId};
use crate::record::EmittedEvent;
use crate::schedule::Schedule;
use chrono::{DateTime, Utc};

/// The run that causes events, and the event that caused the run.
#[derive(Clone, Copy, Debug)]
pub struct Cause<'a> {
    /// Key of the tenant.
    pub tenant: &'a str,
    /// The run.
    pub run_id: RunId,
    /// The event that started the run.
    pub event: Option<&'a Event>,
}

/// The `number`th event of what a run did at `now`. `what` tells apart what the run did at different times: with the number
/// it makes the event's id. It carries the trace of the event that started the run.
pub fn by_run(cause: Cause<'_>, what: &str, number: u32, emitted: EmittedEvent, now: DateTime<Utc>) -> Event {
    let id = RecordId::derive(cause.run_id, what, number).to_string();
    let root = cause.event;
    Event {
        subject: emitted.subject,
        correlation_id: root.map(|root| root.correlation_id.clone().unwrap_or_else(|| root.id.clone())),
        causation_id: root.map(|root| root.id.clone()),
        causation_depth: root.map_or(1, |root| root.causation_depth.saturating_add(1)),
        traceparent: root.and_then(|root| root.traceparent.clone()),
        tracestate: root.and_then(|root| root.tracestate.clone()),
        data: emitted.data,
        ..of_engine(id, &emitted.event_type, cause.tenant, now)
    }
}

/// The event of a slot: the same whenever it is made, so that it is known should it come again.
pub fn by_schedule(schedule: &Schedule, id: ScheduleId, tenant: &str, slot: DateTime<Utc>) -> Event {
    let due_at = schedule.due_at(id, slot);
    let data = schedule.event_data(id, slot);
    Event { data, ..of_engine(id.event_id(slot).to_string(), schedule.event_type(), tenant, due_at) }
}

fn of_engine(id: String, event_type: &str, tenant: &str, time: DateTime<Utc>) -> Event {
    Event {
        key: EventKey::derive(ENGINE_SOURCE, &id),
        id,
        source: ENGINE_SOURCE.to_owned(),
        event_type: event_type.to_owned(),
        tenant: tenant.to_owned(),
        time,
        subject: None,
        correlation_id: None,
        causation_id: None,
        causation_depth: 0,
        traceparent: None,
        tracestate: None,
        data: serde_json::Value::Null,
        body_hash: [0; 32],
    }
}
