//! What happened in a tenant since a moment, in numbers.

use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::id::{TenantId, lower_bound};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Numbers of one tenant since a moment.
#[derive(Clone, PartialEq, Debug)]
pub struct RunStats {
    /// Recorded events from outside.
    pub events: i64,
    /// Recorded events of the engine's own.
    pub engine_events: i64,
    /// Runs by workflow key and status, in that order.
    pub runs: Vec<(String, String, i64)>,
    /// Steps by action and outcome, in that order.
    pub actions: Vec<(String, String, i64)>,
    /// From receipt to end, of completed runs of versions without a delay; `None` without such runs.
    pub latency: Option<Latency>,
}

/// Percentiles of a duration.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Latency {
    /// The runs that were measured.
    pub runs: i64,
    /// The median.
    pub p50: Duration,
    /// The 95th percentile.
    pub p95: Duration,
    /// The 99th percentile.
    pub p99: Duration,
}

/// What is still to be expected of runs that began since a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unsettled {
    /// Recorded events from outside.
    pub events: i64,
    /// Open runs that are queued, running, or wait for a time that is near.
    pub runs: i64,
}

/// Counts what was received and what it came to.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn since(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    since: DateTime<Utc>,
) -> Result<RunStats, Error> {
    let from = lower_bound(since);
    let (events, engine_events) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE source <> 'automation'), count(*) FILTER (WHERE source = 'automation')
           FROM events WHERE tenant_id = $1 AND event_id >= $2",
    )
    .bind(tenant.0)
    .bind(from)
    .fetch_one(connection.sql())
    .await?;
    let runs = sqlx::query_as(
        "SELECT w.key, r.status, count(*)
           FROM workflow_runs r JOIN workflows w USING (tenant_id, workflow_id)
          WHERE r.tenant_id = $1 AND r.run_id >= $2 GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .bind(tenant.0)
    .bind(from)
    .fetch_all(connection.sql())
    .await?;
    let actions = sqlx::query_as(
        "SELECT s->>'action', s->>'outcome', count(*)
           FROM workflow_run_logs l, jsonb_array_elements(convert_from(l.steps, 'UTF8')::jsonb) AS u (s)
          WHERE l.tenant_id = $1 AND l.run_id >= $2 GROUP BY 1, 2 ORDER BY 1, 2",
    )
    .bind(tenant.0)
    .bind(from)
    .fetch_all(connection.sql())
    .await?;
    let latency = latency(connection, tenant, since).await?;
    Ok(RunStats { events, engine_events, runs, actions, latency })
}

/// Whether more is to come soon: runs that wait for longer than `patience` are not counted, nor those that are paused.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn unsettled(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    since: DateTime<Utc>,
    patience: Duration,
) -> Result<Unsettled, Error> {
    let (events, runs) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM events WHERE tenant_id = $1 AND event_id >= $2 AND source <> 'automation'),
                (SELECT count(*) FROM runs_open r
                  WHERE r.tenant_id = $1 AND r.run_id >= $2
                    AND (r.status IN ('queued', 'running')
                         OR r.status = 'waiting' AND EXISTS (
                             SELECT 1 FROM wakeups w WHERE w.tenant_id = r.tenant_id AND w.run_id = r.run_id
                                AND w.ready_at <= now() + $3)))",
    )
    .bind(tenant.0)
    .bind(lower_bound(since))
    .bind(patience)
    .fetch_one(connection.sql())
    .await?;
    Ok(Unsettled { events, runs })
}

async fn latency(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    since: DateTime<Utc>,
) -> Result<Option<Latency>, Error> {
    let (runs, seconds): (i64, Option<Vec<f64>>) = sqlx::query_as(
        "SELECT count(*), percentile_cont(ARRAY[0.5, 0.95, 0.99])
                          WITHIN GROUP (ORDER BY extract(epoch FROM r.finished_at - r.received_at)::float8)
           FROM runs_finished r
          WHERE r.tenant_id = $1 AND r.run_id >= $2 AND r.status = 'completed'
            AND NOT EXISTS (SELECT 1 FROM workflow_nodes n
                             WHERE n.tenant_id = r.tenant_id AND n.version_id = r.version_id AND n.action = 'delay')",
    )
    .bind(tenant.0)
    .bind(lower_bound(since))
    .fetch_one(connection.sql())
    .await?;
    let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
    Ok(match seconds.as_deref() {
        Some([p50, p95, p99]) => {
            Some(Latency { runs, p50: duration(*p50), p95: duration(*p95), p99: duration(*p99) })
        }
        Some(_) | None => None,
    })
}
