//! Holding a run by hand, and letting it go on. Its workflow may be paused beside: a run goes on when neither holds it.

use super::cancel::ended_as;
use super::columns;
use crate::audit::{self, Auditor, Deed};
use crate::role::{Api, Worker};
use crate::runs::lists::RunStatus;
use crate::{Conn, Error};
use automation_domain::id::{RunId, RunKey, TenantId};
use serde_json::json;
use sqlx::Row;
use std::collections::BTreeSet;

/// What holding a run, or letting it go on, came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Changed {
    /// It is as it was asked to be.
    Now,
    /// It was so already.
    Already,
    /// The run had ended before, like this.
    Ended(RunStatus),
    /// There is no such run.
    NotFound,
}

/// Holds an open run: nothing wakes it, and nothing of it begins. What a worker is doing with it comes to its end.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn pause(
    connection: &mut Conn<Api>,
    (tenant, run): RunKey,
    who: &Auditor,
    reason: &str,
) -> Result<Changed, Error> {
    let changed = lock(connection, (tenant, run), Before::Free).await?;
    if changed != Changed::Now {
        return Ok(changed);
    }
    sqlx::query(
        "UPDATE runs_open SET is_held = true, status = CASE WHEN status = 'running' THEN status ELSE 'paused' END
          WHERE tenant_id = $1 AND run_id = $2",
    )
    .bind(tenant.0)
    .bind(run.0)
    .execute(connection.sql())
    .await?;
    // Those of a run that a worker holds are its worker's: it parks the run with the claim's end.
    sqlx::query(
        "UPDATE wakeups SET due_at = 'infinity'
          WHERE tenant_id = $1 AND run_id = $2 AND token >= 0
            AND EXISTS (SELECT 1 FROM runs_open WHERE tenant_id = $1 AND run_id = $2 AND status = 'paused')",
    )
    .bind(tenant.0)
    .bind(run.0)
    .execute(connection.sql())
    .await?;
    note(connection, (tenant, run), who, "run.pause", reason).await?;
    Ok(Changed::Now)
}

/// Lets a run go on that was held by hand: at once, where its time came meanwhile, and else when it comes.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn resume(
    connection: &mut Conn<Api>,
    (tenant, run): RunKey,
    who: &Auditor,
    reason: &str,
) -> Result<Changed, Error> {
    let changed = lock(connection, (tenant, run), Before::Held).await?;
    if changed != Changed::Now {
        return Ok(changed);
    }
    // Should its workflow be paused, whoever takes the run up holds it for that.
    let parked: bool = sqlx::query_scalar(
        "UPDATE runs_open r SET is_held = false,
                status = CASE WHEN r.status <> 'paused' THEN r.status WHEN r.state IS NULL THEN 'queued' ELSE 'waiting' END
           FROM (SELECT status = 'paused' AS parked FROM runs_open WHERE tenant_id = $1 AND run_id = $2) AS before
          WHERE r.tenant_id = $1 AND r.run_id = $2 RETURNING before.parked",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_one(connection.sql())
    .await?;
    if parked {
        sqlx::query(
            "UPDATE wakeups
                SET ready_at = CASE WHEN ready_at = 'infinity' THEN now() ELSE ready_at END,
                    due_at = greatest(now(), CASE WHEN ready_at = 'infinity' THEN now() ELSE ready_at END), sweeps = 0
              WHERE tenant_id = $1 AND run_id = $2 AND token >= 0",
        )
        .bind(tenant.0)
        .bind(run.0)
        .execute(connection.sql())
        .await?;
    }
    note(connection, (tenant, run), who, "run.resume", reason).await?;
    Ok(Changed::Now)
}

/// What was asked of runs while a worker has them in hand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// Those that are held by hand.
    pub held: BTreeSet<RunKey>,
    /// Those that have something in their inboxes.
    pub called: BTreeSet<RunKey>,
}

/// What was asked of these runs.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn asked(connection: &mut Conn<Worker>, runs: &[RunKey]) -> Result<Asked, Error> {
    let (tenants, runs) = columns(runs);
    let rows = sqlx::query(
        "SELECT u.t AS tenant_id, u.i AS run_id, r.is_held, w.is_called
           FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          CROSS JOIN LATERAL (SELECT bool_or(c.is_held) AS is_held FROM runs_open c
                               WHERE c.tenant_id = u.t AND c.run_id = u.i OFFSET 0) AS r
          CROSS JOIN LATERAL (SELECT count(*) > 0 AS is_called FROM wakeups k
                               WHERE k.tenant_id = u.t AND k.run_id = u.i AND k.token = -1 OFFSET 0) AS w
          WHERE r.is_held OR w.is_called",
    )
    .bind(tenants)
    .bind(runs)
    .fetch_all(connection.sql())
    .await?;
    let mut asked = Asked::default();
    for row in rows {
        let run = (TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?));
        if row.try_get::<Option<bool>, _>("is_held")?.unwrap_or_default() {
            asked.held.insert(run);
        }
        if row.try_get("is_called")? {
            asked.called.insert(run);
        }
    }
    Ok(asked)
}

/// Those of these runs that are held by hand, and that stay so until the transaction ends.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn keep_held(connection: &mut Conn<Worker>, runs: &[RunKey]) -> Result<BTreeSet<RunKey>, Error> {
    if runs.is_empty() {
        return Ok(BTreeSet::new());
    }
    let (tenants, runs) = columns(runs);
    let rows = sqlx::query(
        "SELECT r.tenant_id, r.run_id FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          CROSS JOIN LATERAL (SELECT c.tenant_id, c.run_id, c.is_held FROM runs_open c
                               WHERE c.tenant_id = u.t AND c.run_id = u.i FOR UPDATE) AS r
          WHERE r.is_held",
    )
    .bind(tenants)
    .bind(runs)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(|row| Ok((TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?)))).collect()
}

/// Whether a run was held before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Free,
    Held,
}

/// Locks the run's row before its wakeups, as claims do; [`Changed::Now`] when it is as it has to be for a change.
async fn lock(connection: &mut Conn<Api>, (tenant, run): RunKey, before: Before) -> Result<Changed, Error> {
    let known: Option<bool> =
        sqlx::query_scalar("SELECT is_held FROM runs_open WHERE tenant_id = $1 AND run_id = $2 FOR UPDATE")
            .bind(tenant.0)
            .bind(run.0)
            .fetch_optional(connection.sql())
            .await?;
    match known {
        Some(known) if known == (before == Before::Held) => Ok(Changed::Now),
        Some(_) => Ok(Changed::Already),
        None => Ok(ended_as(connection, tenant, run).await?.map_or(Changed::NotFound, Changed::Ended)),
    }
}

async fn note(
    connection: &mut Conn<Api>,
    (tenant, run): RunKey,
    who: &Auditor,
    action: &'static str,
    reason: &str,
) -> Result<(), Error> {
    let deed = Deed { action, subject: format!("run {run}"), detail: json!({ "reason": reason }) };
    audit::append(connection, tenant, who, &[deed]).await
}
