//! Runs that begin: made by ingest.

use crate::role::Worker;
use crate::{Conn, Error};
use automation_domain::id::{ContactId, EventId, RunId, TenantId, VersionId, WorkflowId};
use automation_domain::priority::Priority;
use automation_domain::trace::RunTrace;
use chrono::{DateTime, Utc};
use std::time::Duration;

/// A run to be made.
#[derive(Clone, PartialEq, Debug)]
pub struct NewRun {
    /// Whose run.
    pub tenant_id: TenantId,
    /// Derived from event, workflow and trigger.
    pub run_id: RunId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The version that it is pinned to.
    pub version_id: VersionId,
    /// The trigger that matched.
    pub trigger_id: String,
    /// The event.
    pub event_id: EventId,
    /// The contact.
    pub contact_id: Option<ContactId>,
    /// What the run is unique by.
    pub run_key: String,
    /// Its queue.
    pub priority: Priority,
    /// Its trace, when that is sampled.
    pub trace: Option<RunTrace>,
}

/// Makes runs, and the wakeup that each is owed. A run that exists, open, stays as it is.
///
/// The receipts of their events are written in the same transaction: that, not this, keeps a run from being made twice.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    look_again: Duration,
    runs: &[NewRun],
) -> Result<(), Error> {
    if runs.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&NewRun> = runs.iter().collect();
    sorted.sort_unstable_by_key(|run| (run.tenant_id, run.run_id));
    macro_rules! column {
        ($run:ident => $value:expr) => {
            sorted.iter().map(|$run| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "WITH made AS (
             INSERT INTO runs_open (tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id,
                                    run_key, priority, trace, status, received_at)
             SELECT t, r, w, v, g, e, c, k, p, x, 'queued', $10
               FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::uuid[],
                           $8::text[], $9::int2[], $12::bytea[]) AS u (t, r, w, v, g, e, c, k, p, x)
             ON CONFLICT DO NOTHING RETURNING tenant_id, run_id, priority)
         INSERT INTO wakeups (tenant_id, run_id, token, ready_at, due_at, priority, reason)
         SELECT tenant_id, run_id, 0, $10, $10 + $11, priority, 'start' FROM made",
    )
    .bind(column!(run => run.tenant_id.0))
    .bind(column!(run => run.run_id.0))
    .bind(column!(run => run.workflow_id.0))
    .bind(column!(run => run.version_id.0))
    .bind(column!(run => run.trigger_id.as_str()))
    .bind(column!(run => run.event_id.0))
    .bind(column!(run => run.contact_id.map(|id| id.0)))
    .bind(column!(run => run.run_key.as_str()))
    .bind(column!(run => run.priority.as_i16()))
    .bind(now)
    .bind(look_again)
    .bind(column!(run => run.trace.map(RunTrace::to_bytes)))
    .execute(connection.sql())
    .await?;
    Ok(())
}
