//! Open runs: made by ingest, claimed by executors.

use crate::Error;
use automation_domain::id::{ContactId, EventId, RunId, TenantId, VersionId, WorkflowId};
use automation_domain::interpreter::RunState;
use automation_domain::priority::Priority;
use automation_domain::trace::RunTrace;
use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

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

/// A run that a worker holds.
#[derive(Clone, PartialEq, Debug)]
pub struct ClaimedRun {
    /// Whose run.
    pub tenant_id: TenantId,
    /// Which run.
    pub run_id: RunId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The version that it is pinned to.
    pub version_id: VersionId,
    /// The trigger that started it.
    pub trigger_id: String,
    /// The event that started it.
    pub event_id: EventId,
    /// The contact.
    pub contact_id: Option<ContactId>,
    /// What the run is unique by.
    pub run_key: String,
    /// Its queue.
    pub priority: Priority,
    /// The fencing number: every write carries it.
    pub epoch: i32,
    /// Leases in a row that ran out before this claim.
    pub abandoned: i16,
    /// When the run was made.
    pub received_at: DateTime<Utc>,
    /// `None` before the first checkpoint.
    pub state: Option<RunState>,
    /// Its trace, when that is sampled.
    pub trace: Option<RunTrace>,
}

/// What was claimed.
#[derive(Clone, PartialEq, Debug)]
pub struct Claim {
    /// The moment of the transaction, in the database's clock.
    pub now: DateTime<Utc>,
    /// The runs.
    pub runs: Vec<ClaimedRun>,
    /// Those of their workflows that are paused.
    pub paused: BTreeSet<WorkflowId>,
}

/// Makes runs, and the wakeup that each is owed. A run that exists, open, stays as it is.
///
/// The receipts of their events are written in the same transaction: that, not this, keeps a run from being made twice.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert(
    connection: &mut PgConnection,
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
    .execute(connection)
    .await?;
    Ok(())
}

/// Claims those of `nudged` that are ready and free: each gets a lease and the next epoch, and its wakeups are locked. No run
/// may be named twice.
///
/// A run that another worker holds, or has claimed in a transaction that is still open, is left alone. Where the sweep would
/// look later than at the end of the lease, be it this claim's or another worker's, its next look is moved there: a takeover
/// waits for nothing else.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn claim(
    connection: &mut PgConnection,
    nudged: &[(TenantId, RunId)],
    lease: Duration,
) -> Result<Claim, Error> {
    let mut sorted = nudged.to_vec();
    sorted.sort_unstable();
    let (tenants, runs): (Vec<Uuid>, Vec<Uuid>) =
        sorted.iter().map(|(tenant, run)| (tenant.0, run.0)).unzip();
    // Here and in the other statements over hot tables, each row is looked up by its key in a LATERAL subquery and changed by
    // its place: the list can only be the outer side of the join, whatever the statistics of a table that is empty at
    // times say. What has to hold stands outside, where it is looked at again should the row have changed meanwhile.
    let rows = sqlx::query(
        "WITH claimed AS (
             UPDATE runs_open r
                SET epoch = r.epoch + 1, status = 'running', lease_until = now() + $3,
                    abandoned = r.abandoned + (r.lease_until IS NOT NULL)::int::int2
               FROM (SELECT l.place, o.due_at FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
                      CROSS JOIN LATERAL (SELECT c.ctid AS place FROM runs_open c
                                           WHERE c.tenant_id = u.t AND c.run_id = u.i FOR UPDATE SKIP LOCKED) AS l
                      CROSS JOIN LATERAL (SELECT min(k.due_at) FILTER (WHERE k.ready_at <= now()) AS due_at
                                            FROM (SELECT w.ready_at, w.due_at FROM wakeups w
                                                   WHERE w.tenant_id = u.t AND w.run_id = u.i FOR UPDATE) AS k) AS o) AS x
              WHERE r.ctid = x.place AND x.due_at IS NOT NULL
                AND r.status <> 'paused' AND (r.lease_until IS NULL OR r.lease_until < now())
          RETURNING r.tenant_id, r.run_id, r.workflow_id, r.version_id, r.trigger_id, r.event_id, r.contact_id,
                    r.run_key, r.priority, r.epoch, r.abandoned, r.received_at, r.state, r.trace,
                    x.due_at > r.lease_until AS looked_at_too_late)
         SELECT now() AS now, claimed.*,
                ARRAY(SELECT p.workflow_id FROM (SELECT DISTINCT tenant_id, workflow_id FROM claimed) AS d
                       CROSS JOIN LATERAL (SELECT w.workflow_id FROM workflows w
                                            WHERE w.tenant_id = d.tenant_id AND w.workflow_id = d.workflow_id
                                              AND w.state = 'paused' OFFSET 0) AS p) AS paused
           FROM (VALUES (true)) AS always LEFT JOIN claimed ON true",
    )
    .bind(&tenants)
    .bind(&runs)
    .bind(lease)
    .fetch_all(&mut *connection)
    .await?;
    let mut claim = Claim { now: DateTime::UNIX_EPOCH, runs: Vec::new(), paused: BTreeSet::new() };
    // There is always a row, and these are the same in all.
    if let Some(any) = rows.first() {
        claim.now = any.try_get("now")?;
        claim.paused = any.try_get::<Vec<Uuid>, _>("paused")?.into_iter().map(WorkflowId).collect();
    }
    let mut too_late = false;
    for row in &rows {
        if let Some(run) = claimed(row)? {
            claim.runs.push(run);
            too_late |= row.try_get::<bool, _>("looked_at_too_late")?;
        }
    }
    if too_late || claim.runs.len() < sorted.len() {
        look_at_the_end_of_leases(connection, &tenants, &runs).await?;
    }
    Ok(claim)
}

async fn look_at_the_end_of_leases(
    connection: &mut PgConnection,
    tenants: &[Uuid],
    runs: &[Uuid],
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE wakeups w SET due_at = x.lease_until, sweeps = 0
           FROM (SELECT o.place, o.due_at, l.lease_until FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
                  CROSS JOIN LATERAL (SELECT c.lease_until FROM runs_open c
                                       WHERE c.tenant_id = u.t AND c.run_id = u.i AND c.lease_until > now() OFFSET 0) AS l
                  CROSS JOIN LATERAL (SELECT k.ctid AS place, k.due_at FROM wakeups k
                                       WHERE k.tenant_id = u.t AND k.run_id = u.i AND k.ready_at <= now() OFFSET 0) AS o) AS x
          WHERE w.ctid = x.place AND x.due_at > x.lease_until",
    )
    .bind(tenants)
    .bind(runs)
    .execute(connection)
    .await?;
    Ok(())
}

/// Renews claims; says which still held.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn renew(
    connection: &mut PgConnection,
    claims: &[(TenantId, RunId, i32)],
    lease: Duration,
) -> Result<BTreeSet<(TenantId, RunId)>, Error> {
    let mut sorted = claims.to_vec();
    sorted.sort_unstable();
    let rows = sqlx::query(
        "UPDATE runs_open r SET lease_until = now() + $4
           FROM (SELECT u.e, l.place FROM unnest($1::uuid[], $2::uuid[], $3::int4[]) AS u (t, i, e)
                  CROSS JOIN LATERAL (SELECT c.ctid AS place FROM runs_open c
                                       WHERE c.tenant_id = u.t AND c.run_id = u.i OFFSET 0) AS l) AS x
          WHERE r.ctid = x.place AND r.epoch = x.e AND r.status = 'running'
      RETURNING r.tenant_id, r.run_id",
    )
    .bind(sorted.iter().map(|(tenant, _, _)| tenant.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, run, _)| run.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, _, epoch)| *epoch).collect::<Vec<_>>())
    .bind(lease)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?)))).collect()
}

/// Gives claimed runs back as if they had not been claimed: whoever comes next may have them at once, and the claim
/// counts as no abandonment. A claim that does not hold any more is left alone.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn hand_back(
    connection: &mut PgConnection,
    claims: &[(TenantId, RunId, i32)],
) -> Result<(), Error> {
    if claims.is_empty() {
        return Ok(());
    }
    let mut sorted = claims.to_vec();
    sorted.sort_unstable();
    let free = sqlx::query(
        "UPDATE runs_open r
            SET status = CASE WHEN r.state IS NULL THEN 'queued' ELSE 'waiting' END, lease_until = NULL
           FROM (SELECT u.e, l.place FROM unnest($1::uuid[], $2::uuid[], $3::int4[]) AS u (t, i, e)
                  CROSS JOIN LATERAL (SELECT c.ctid AS place FROM runs_open c
                                       WHERE c.tenant_id = u.t AND c.run_id = u.i OFFSET 0) AS l) AS x
          WHERE r.ctid = x.place AND r.epoch = x.e AND r.status = 'running'
      RETURNING r.tenant_id, r.run_id",
    )
    .bind(sorted.iter().map(|(tenant, _, _)| tenant.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, run, _)| run.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, _, epoch)| *epoch).collect::<Vec<_>>())
    .fetch_all(&mut *connection)
    .await?;
    let column = |name: &str| free.iter().map(|row| row.try_get(name)).collect::<Result<Vec<Uuid>, _>>();
    // Tokens that are not ready keep their time: they were not what the run was claimed for.
    sqlx::query(
        "UPDATE wakeups w SET due_at = now(), sweeps = 0
           FROM (SELECT l.place FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
                  CROSS JOIN LATERAL (SELECT k.ctid AS place FROM wakeups k
                                       WHERE k.tenant_id = u.t AND k.run_id = u.i OFFSET 0) AS l) AS x
          WHERE w.ctid = x.place AND w.ready_at <= now()",
    )
    .bind(column("tenant_id")?)
    .bind(column("run_id")?)
    .execute(connection)
    .await?;
    Ok(())
}

/// The row's run; `None` in the one row that there is when nothing was claimed.
fn claimed(row: &PgRow) -> Result<Option<ClaimedRun>, Error> {
    let Some(run_id) = row.try_get::<Option<Uuid>, _>("run_id")?.map(RunId) else { return Ok(None) };
    let state: Option<Vec<u8>> = row.try_get("state")?;
    let trace: Option<Vec<u8>> = row.try_get("trace")?;
    Ok(Some(ClaimedRun {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        run_id,
        workflow_id: WorkflowId(row.try_get("workflow_id")?),
        version_id: VersionId(row.try_get("version_id")?),
        trigger_id: row.try_get("trigger_id")?,
        event_id: EventId(row.try_get("event_id")?),
        contact_id: row.try_get::<Option<Uuid>, _>("contact_id")?.map(ContactId),
        run_key: row.try_get("run_key")?,
        priority: priority(row, "runs_open", run_id)?,
        epoch: row.try_get("epoch")?,
        abandoned: row.try_get("abandoned")?,
        received_at: row.try_get("received_at")?,
        state: state.map(|bytes| decode_state(&bytes, run_id)).transpose()?,
        trace: trace.and_then(|bytes| RunTrace::from_bytes(&bytes)),
    }))
}

/// Reads a stored state.
pub(crate) fn decode_state(bytes: &[u8], run_id: RunId) -> Result<RunState, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Unreadable {
        table: "workflow_runs",
        column: "state",
        id: run_id.to_string(),
        reason: error.to_string(),
    })
}

/// Reads a stored priority.
pub(crate) fn priority(row: &PgRow, table: &'static str, run_id: RunId) -> Result<Priority, Error> {
    let number: i16 = row.try_get("priority")?;
    Priority::from_i16(number).ok_or_else(|| Error::Unreadable {
        table,
        column: "priority",
        id: run_id.to_string(),
        reason: format!("{number} is not a priority"),
    })
}
