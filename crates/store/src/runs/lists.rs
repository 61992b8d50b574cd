//! Runs as people look for them: lists, one run with its history.

use crate::role::Api;
use crate::{Conn, Error, events};
use automation_domain::id::{
    ContactId, EventId, EventKey, RunId, TenantId, VersionId, WorkflowId, id_bounds, lower_bound,
};
use automation_domain::interpreter::{End, RunState, Step, StepError};
use automation_domain::priority::Priority;
use automation_domain::trace::RunTrace;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};
use uuid::Uuid;

/// Where a run stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RunStatus {
    /// Made, and not yet taken up.
    Queued,
    /// A worker holds it.
    Running,
    /// It waits for something named.
    Waiting,
    /// It is paused, or its workflow is.
    Paused,
    /// It reached an end.
    Completed,
    /// A step failed for good.
    Failed,
    /// A person or a rule ended it.
    Cancelled,
}

impl RunStatus {
    /// All of them, from the beginning of a run to its ends.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Paused,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads what [`Self::as_str`] wrote.
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == key)
    }

    /// Whether the run goes on.
    pub fn is_open(self) -> bool {
        match self {
            Self::Queued | Self::Running | Self::Waiting | Self::Paused => true,
            Self::Completed | Self::Failed | Self::Cancelled => false,
        }
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which runs are looked for. Every part that is given has to fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunFilter {
    /// Of one of these workflows.
    pub workflows: Option<Vec<WorkflowId>>,
    /// In this state.
    pub status: Option<RunStatus>,
    /// Of this contact.
    pub contact: Option<ContactId>,
    /// With one of these ids: what [`ids_of_event`] gives.
    pub ids: Option<Vec<RunId>>,
    /// Received at or after this moment: partitions before it are not looked into.
    pub since: Option<DateTime<Utc>>,
    /// Older than this run, the last one of the page before.
    pub before: Option<RunId>,
}

/// A run as a line of a list.
#[derive(Clone, PartialEq, Debug)]
pub struct RunSummary {
    /// The run.
    pub run_id: RunId,
    /// Its workflow.
    pub workflow_id: WorkflowId,
    /// That workflow's key.
    pub workflow: String,
    /// The version that it is pinned to.
    pub version_id: VersionId,
    /// That version's number.
    pub version: i32,
    /// Where it stands.
    pub status: RunStatus,
    /// Its contact.
    pub contact_id: Option<ContactId>,
    /// The contact's id in the publisher's words.
    pub contact: Option<String>,
    /// The trigger that started it.
    pub trigger: String,
    /// What it is unique by within its workflow.
    pub run_key: String,
    /// Its queue.
    pub priority: Priority,
    /// Claims so far.
    pub epoch: i32,
    /// The recorded event that started it.
    pub event_id: EventId,
    /// That event, unless its retention is over.
    pub event: Option<EventName>,
    /// When it was made.
    pub received_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The earliest moment that a waiting run goes on at.
    pub waits_until: Option<DateTime<Utc>>,
    /// Where and why it failed.
    pub failure: Option<Failure>,
}

/// What an event is called by its publisher.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventName {
    /// Who published it.
    pub source: String,
    /// The publisher's id.
    pub id: String,
    /// Its type.
    pub event_type: String,
}

/// Where and why a run failed.
#[derive(Clone, PartialEq, Debug)]
pub struct Failure {
    /// The node; `None` when it was not a step.
    pub node: Option<String>,
    /// Why.
    pub error: StepError,
}

/// A run with its history.
#[derive(Clone, PartialEq, Debug)]
pub struct RunDetail {
    /// The line of the list.
    pub summary: RunSummary,
    /// Its state; `None` before the first checkpoint.
    pub state: Option<RunState>,
    /// Its checkpoints, in order.
    pub log: Vec<LogEntry>,
    /// Its trace, when that is sampled.
    pub trace: Option<RunTrace>,
}

/// What one claim of a run came to.
#[derive(Clone, PartialEq, Debug)]
pub struct LogEntry {
    /// The epoch of the claim.
    pub seq: i32,
    /// When the checkpoint was made.
    pub logged_at: DateTime<Utc>,
    /// Which worker made it.
    pub worker: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// Lists runs, the newest first.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn list(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    filter: &RunFilter,
    limit: i64,
) -> Result<Vec<RunSummary>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(SELECT);
    query.push(" FROM (SELECT * FROM workflow_runs r WHERE r.tenant_id = ").push_bind(tenant.0);
    push_filter(&mut query, filter);
    query.push(" ORDER BY r.run_id DESC LIMIT ").push_bind(limit).push(") r").push(JOINS);
    query.push(" ORDER BY r.run_id DESC");
    let rows = query.build().fetch_all(connection.sql()).await?;
    rows.iter().map(|row| Ok(summary(row)?.0)).collect()
}

fn push_filter(query: &mut QueryBuilder<Postgres>, filter: &RunFilter) {
    // Bounds as scalars: from an array alone the planner cannot tell which partitions to leave out.
    let since = filter.since.map(lower_bound);
    let window = filter.ids.as_deref().and_then(window);
    for low in [since, window.map(|(low, _)| low)].into_iter().flatten() {
        query.push(" AND r.run_id >= ").push_bind(low);
    }
    for high in [filter.before.map(|run| run.0), window.map(|(_, high)| high)].into_iter().flatten() {
        query.push(" AND r.run_id < ").push_bind(high);
    }
    if let Some(ids) = &filter.ids {
        query
            .push(" AND r.run_id = ANY(")
            .push_bind(ids.iter().map(|run| run.0).collect::<Vec<_>>())
            .push(")");
    }
    match filter.workflows.as_deref() {
        None => {}
        // So written, runs come by the index of their workflow, in order.
        Some([workflow]) => drop(query.push(" AND r.workflow_id = ").push_bind(workflow.0)),
        Some(several) => {
            let several: Vec<Uuid> = several.iter().map(|workflow| workflow.0).collect();
            query.push(" AND r.workflow_id = ANY(").push_bind(several).push(")");
        }
    }
    if let Some(contact) = filter.contact {
        query.push(" AND r.contact_id = ").push_bind(contact.0);
    }
    if let Some(status) = filter.status {
        // Written out, not bound: only so does the index of failed runs come into question.
        query.push(format_args!(" AND r.status = '{status}'"));
    }
}

/// An open run, to be done something to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenRun {
    /// The run.
    pub run_id: RunId,
    /// Where it stands.
    pub status: RunStatus,
    /// Whether a person paused it by itself.
    pub is_held: bool,
}

/// Up to `limit` open runs that fit, the oldest first.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn open(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    filter: &RunFilter,
    is_held: Option<bool>,
    limit: i64,
) -> Result<Vec<OpenRun>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT r.run_id, r.status, r.is_held FROM runs_open r WHERE r.tenant_id = ",
    );
    query.push_bind(tenant.0);
    if let Some(is_held) = is_held {
        query.push(" AND r.is_held = ").push_bind(is_held);
    }
    push_filter(&mut query, filter);
    query.push(" ORDER BY r.run_id LIMIT ").push_bind(limit);
    let rows = query.build().fetch_all(connection.sql()).await?;
    rows.iter()
        .map(|row| {
            let run_id = RunId(row.try_get("run_id")?);
            Ok(OpenRun { run_id, status: status(row, run_id)?, is_held: row.try_get("is_held")? })
        })
        .collect()
}

/// Reads a run with its history.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn by_id(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    run: RunId,
) -> Result<Option<RunDetail>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(SELECT);
    query.push(" FROM workflow_runs r").push(JOINS);
    query.push(" WHERE r.tenant_id = ").push_bind(tenant.0).push(" AND r.run_id = ").push_bind(run.0);
    let Some(row) = query.build().fetch_optional(connection.sql()).await? else {
        return Ok(None);
    };
    let (summary, state) = summary(&row)?;
    let rows = sqlx::query(
        "SELECT seq, logged_at, worker, steps FROM workflow_run_logs
          WHERE tenant_id = $1 AND run_id = $2 ORDER BY seq",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_all(connection.sql())
    .await?;
    let log = rows.iter().map(|row| entry(row, run)).collect::<Result<_, _>>()?;
    let trace: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT trace FROM runs_open WHERE tenant_id = $1 AND run_id = $2
         UNION ALL SELECT trace FROM runs_finished WHERE tenant_id = $1 AND run_id = $2",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_optional(connection.sql())
    .await?
    .flatten();
    let trace = trace.and_then(|bytes| RunTrace::from_bytes(&bytes));
    Ok(Some(RunDetail { summary, state, log, trace }))
}

/// The ids of every run that an event may have started: one for each trigger that the tenant ever published.
///
/// `None` when the event is not known. After its receipt is forgotten (7 days), recorded events are searched, which is
/// slow.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn ids_of_event(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    source: &str,
    id: &str,
) -> Result<Option<Vec<RunId>>, Error> {
    let key = EventKey::derive(source, id);
    let Some(received_at) = events::received_at(connection, tenant, key).await? else {
        return Ok(None);
    };
    let triggers: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT DISTINCT v.workflow_id, t.trigger_id
           FROM workflow_triggers t JOIN workflow_versions v USING (tenant_id, version_id)
          WHERE t.tenant_id = $1",
    )
    .bind(tenant.0)
    .fetch_all(connection.sql())
    .await?;
    let ids = triggers
        .iter()
        .map(|(workflow, trigger)| RunId::derive(received_at, WorkflowId(*workflow), trigger, key))
        .collect();
    Ok(Some(ids))
}

/// The ids that a set of ids lies between: `low <= id < high`.
fn window(ids: &[RunId]) -> Option<(Uuid, Uuid)> {
    let (low, high) = (ids.iter().min()?, ids.iter().max()?);
    Some((id_bounds(low.0).0, id_bounds(high.0).1))
}

const SELECT: &str = "SELECT r.run_id, r.workflow_id, r.version_id, r.trigger_id, r.event_id, r.contact_id, r.run_key,
        r.status, r.priority, r.epoch, r.received_at, r.finished_at, r.state, w.key AS workflow, v.number,
        c.subject AS contact, e.id AS event_name, e.source AS event_source, e.event_type,
        CASE WHEN r.status = 'waiting' THEN (
            SELECT min(k.ready_at) FROM wakeups k
             WHERE k.tenant_id = r.tenant_id AND k.run_id = r.run_id AND k.ready_at < 'infinity') END AS waits_until";

const JOINS: &str = " JOIN workflows w ON w.tenant_id = r.tenant_id AND w.workflow_id = r.workflow_id
        JOIN workflow_versions v ON v.tenant_id = r.tenant_id AND v.version_id = r.version_id
        LEFT JOIN contacts c ON c.tenant_id = r.tenant_id AND c.contact_id = r.contact_id
        LEFT JOIN events e ON e.tenant_id = r.tenant_id AND e.event_id = r.event_id";

fn summary(row: &PgRow) -> Result<(RunSummary, Option<RunState>), Error> {
    let run_id = RunId(row.try_get("run_id")?);
    let state = row
        .try_get::<Option<Vec<u8>>, _>("state")?
        .map(|bytes| crate::runs::decode_state(&bytes, run_id))
        .transpose()?;
    let status = status(row, run_id)?;
    let event = match row.try_get::<Option<String>, _>("event_name")? {
        None => None,
        Some(id) => Some(EventName {
            id,
            source: row.try_get("event_source")?,
            event_type: row.try_get("event_type")?,
        }),
    };
    let summary = RunSummary {
        run_id,
        workflow_id: WorkflowId(row.try_get("workflow_id")?),
        workflow: row.try_get("workflow")?,
        version_id: VersionId(row.try_get("version_id")?),
        version: row.try_get("number")?,
        status,
        contact_id: row.try_get::<Option<Uuid>, _>("contact_id")?.map(ContactId),
        contact: row.try_get("contact")?,
        trigger: row.try_get("trigger_id")?,
        run_key: row.try_get("run_key")?,
        priority: crate::runs::priority(row, "workflow_runs", run_id)?,
        epoch: row.try_get("epoch")?,
        event_id: EventId(row.try_get("event_id")?),
        event,
        received_at: row.try_get("received_at")?,
        finished_at: row.try_get("finished_at")?,
        waits_until: row.try_get("waits_until")?,
        failure: state.as_ref().and_then(failure),
    };
    Ok((summary, state))
}

fn status(row: &PgRow, run_id: RunId) -> Result<RunStatus, Error> {
    let word: String = row.try_get("status")?;
    RunStatus::from_key(&word).ok_or_else(|| Error::Unreadable {
        table: "workflow_runs",
        column: "status",
        id: run_id.to_string(),
        reason: format!("{word} is not a status"),
    })
}

fn failure(state: &RunState) -> Option<Failure> {
    match &state.end {
        Some(End::Failed { node, error, .. }) => Some(Failure { node: node.clone(), error: error.clone() }),
        Some(End::Completed | End::Cancelled { .. }) | None => None,
    }
}

fn entry(row: &PgRow, run_id: RunId) -> Result<LogEntry, Error> {
    let (seq, steps): (i32, Vec<u8>) = (row.try_get("seq")?, row.try_get("steps")?);
    let steps = serde_json::from_slice(&steps).map_err(|error| Error::Unreadable {
        table: "workflow_run_logs",
        column: "steps",
        id: format!("{run_id}/{seq}"),
        reason: error.to_string(),
    })?;
    Ok(LogEntry { seq, logged_at: row.try_get("logged_at")?, worker: row.try_get("worker")?, steps })
}
