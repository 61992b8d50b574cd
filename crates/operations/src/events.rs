//! Recorded events, and what each trigger that listens for one made of it.

mod verdicts;

pub use verdicts::{Judged, Verdict};

use crate::runs::Summary;
use crate::{Error, Refusal, Session, time};
use automation_domain::contact::from_event::passed_over;
use automation_domain::event::RecordedEvent;
use automation_domain::id::EventId;
use automation_domain::limits::Limits;
use automation_domain::trace::TraceParent;
use automation_store::events::parked::{self, Parked};
use automation_store::role::Api;
use automation_store::runs::lists::RunSummary;
use automation_store::{Conn, events};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// What an event is asked for by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Name<'a> {
    /// Who published it, and the publisher's id.
    Of {
        /// Who published it.
        source: &'a str,
        /// The publisher's id.
        id: &'a str,
    },
    /// The id under which the engine recorded it, or `<source>/<id>`.
    Whole(&'a str),
}

/// A recorded event, and what became of it. As JSON, the event with `passed_over`, `triggers`, `other_runs` and
/// `unreadable_workflows`.
#[derive(Debug)]
pub struct Shown {
    /// The event.
    pub recorded: RecordedEvent,
    /// What came of it by each trigger that listens for it.
    pub judged: Vec<Judged>,
    /// Runs by triggers that the published versions do not have.
    pub others: Vec<RunSummary>,
    /// Keys of workflows that this version of the engine cannot read.
    pub unreadable: Vec<String>,
}

/// Shows a recorded event, and why each trigger that listens for it started a run, or none.
///
/// # Errors
///
/// [`Refusal::EventName`], [`Refusal::NoEvent`]; [`Error::Store`].
pub async fn show(session: &Session, name: Name<'_>, limits: &Limits) -> Result<Shown, Error> {
    if let Name::Whole(name) = name
        && !name.contains('/')
        && name.parse::<EventId>().is_err()
    {
        return Err(Refusal::EventName(name.to_owned()).into());
    }
    let found = session
        .read(async |connection| {
            let Some(recorded) = find(connection, session, name).await? else {
                return Ok(Err(parked::mentioning(connection, publishers_id(name), 1).await?));
            };
            let found = verdicts::judge(connection, session.tenant, &session.key, &recorded, limits).await?;
            let verdicts::Found { judged, others, unreadable } = found;
            Ok(Ok(Shown { recorded, judged, others, unreadable }))
        })
        .await?;
    Ok(found.map_err(|refused| not_recorded(name, refused.first()))?)
}

async fn find(
    connection: &mut Conn<Api>,
    session: &Session,
    name: Name<'_>,
) -> Result<Option<RecordedEvent>, automation_store::Error> {
    let tenant = session.tenant;
    let name = match name {
        Name::Of { source, id } => return events::by_name(connection, tenant, source, id).await,
        Name::Whole(name) => name,
    };
    if let Ok(event) = name.parse::<EventId>() {
        return Ok(events::by_ids(connection, &[(tenant, event)]).await?.into_values().next());
    }
    for (source, id) in names(name) {
        let found = events::by_name(connection, tenant, source, id).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// What `<source>/<id>` may mean: both parts may hold slashes; a source is more likely to, so the last one is tried first.
pub(crate) fn names(name: &str) -> impl Iterator<Item = (&str, &str)> {
    name.rmatch_indices('/').map(|(at, _)| (&name[..at], &name[at + 1..]))
}

/// The publisher's id, as far as it can be told.
fn publishers_id(name: Name<'_>) -> &str {
    match name {
        Name::Of { id, .. } => id,
        Name::Whole(name) => name.rsplit_once('/').map_or(name, |(_, id)| id),
    }
}

fn not_recorded(name: Name<'_>, refused: Option<&Parked>) -> Refusal {
    let what = match name {
        Name::Of { source, id } => format!("{id} of source {source}"),
        Name::Whole(name) => name.to_owned(),
    };
    match refused {
        Some(Parked { parked_id, reason, detail, .. }) => {
            Refusal::EventParked { what, parked: *parked_id, why: format!("{detail} [{reason}]") }
        }
        None => Refusal::NoEvent(what),
    }
}

/// The trace in which an event was published.
pub fn trace_id(recorded: &RecordedEvent) -> Option<String> {
    let parent = TraceParent::parse(recorded.event.traceparent.as_deref()?)?;
    Some(format!("{:032x}", parent.context.trace_id))
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { recorded, judged, others, unreadable } = self;
        let event = &recorded.event;
        json!({
            "event_id": recorded.event_id, "id": event.id, "source": event.source, "type": event.event_type,
            "subject": event.subject, "time": time(event.time), "received_at": time(recorded.received_at),
            "correlation_id": event.correlation_id, "causation_id": event.causation_id,
            "causation_depth": event.causation_depth, "trace_id": trace_id(recorded),
            "traceparent": event.traceparent, "tracestate": event.tracestate, "data": event.data,
            "passed_over": passed_over(event), "triggers": judged.iter().map(judged_json).collect::<Vec<_>>(),
            "other_runs": others.iter().map(Summary::from).collect::<Vec<_>>(), "unreadable_workflows": unreadable,
        })
        .serialize(serializer)
    }
}

fn judged_json(one: &Judged) -> Value {
    json!({
        "workflow": one.workflow, "trigger": one.trigger, "version": one.version, "version_then": one.version_then,
        "verdict": one.verdict.as_str(), "until": one.verdict.until().map(time),
        "since": one.verdict.since().map(time),
        "run": one.verdict.run().map(Summary::from), "worked_out_anew": one.verdict.run().is_none(),
        "conditions": one.entries, "key": one.key, "earlier_run": one.earlier_run,
    })
}
