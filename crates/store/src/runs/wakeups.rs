//! The sweep over what is owed.

use crate::role::{OneOf, Scheduler, Worker};
use crate::runs::columns;
use crate::{Conn, Error};
use automation_domain::id::{RunId, RunKey, TenantId};
use automation_domain::priority::Priority;
use chrono::{DateTime, Utc};
use sqlx::Row;
use std::time::Duration;

/// A run that is owed a nudge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// Whose run.
    pub tenant_id: TenantId,
    /// Which run.
    pub run_id: RunId,
    /// Its queue.
    pub priority: Priority,
    /// Which of the run's wakeups.
    pub token: i16,
    /// When it falls due again.
    pub again_at: DateTime<Utc>,
}

/// Takes up to `limit` wakeups that are due, the longest due first.
///
/// Rows another scheduler holds are skipped. A row is only moved ahead, never deleted here: should the nudge be lost,
/// it falls due again, after `first_look` and then twice as long each time, up to 256 times as long, so that a
/// backlog does not multiply nudges.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn take_due(
    connection: &mut Conn<Scheduler>,
    limit: i64,
    first_look: Duration,
) -> Result<Vec<Due>, Error> {
    let rows = sqlx::query(
        "WITH due AS MATERIALIZED (
             SELECT ctid AS place FROM wakeups WHERE due_at <= now()
              ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
         UPDATE wakeups w
            SET due_at = now() + $2 * power(2, least(w.sweeps, 8)), sweeps = least(w.sweeps + 1, 100)
           FROM due
          WHERE w.ctid = due.place
      RETURNING w.tenant_id, w.run_id, w.priority, w.token, w.due_at",
    )
    .bind(limit)
    .bind(first_look)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            let run_id = RunId(row.try_get("run_id")?);
            let priority = crate::runs::priority(row, "wakeups", run_id)?;
            Ok(Due {
                tenant_id: TenantId(row.try_get("tenant_id")?),
                run_id,
                priority,
                token: row.try_get("token")?,
                again_at: row.try_get("due_at")?,
            })
        })
        .collect()
}

/// Makes wakeups due again that were taken for nothing, as if they had not been. One that somebody has moved meanwhile
/// stays where it is.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn give_back(connection: &mut Conn<Scheduler>, taken: &[Due]) -> Result<(), Error> {
    let mut taken = taken.to_vec();
    taken.sort_unstable_by_key(|due| (due.tenant_id, due.run_id, due.token));
    sqlx::query(
        "UPDATE wakeups w SET due_at = now(), sweeps = greatest(w.sweeps - 1, 0)
           FROM (SELECT l.place FROM unnest($1::uuid[], $2::uuid[], $3::int2[], $4::timestamptz[]) AS u (t, r, k, a)
                  CROSS JOIN LATERAL (SELECT c.ctid AS place FROM wakeups c
                                       WHERE c.tenant_id = u.t AND c.run_id = u.r AND c.token = u.k
                                         AND c.due_at = u.a FOR UPDATE) AS l) AS x
          WHERE w.ctid = x.place",
    )
    .bind(taken.iter().map(|due| due.tenant_id.0).collect::<Vec<_>>())
    .bind(taken.iter().map(|due| due.run_id.0).collect::<Vec<_>>())
    .bind(taken.iter().map(|due| due.token).collect::<Vec<_>>())
    .bind(taken.iter().map(|due| due.again_at).collect::<Vec<_>>())
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Brings the next look at these runs to this moment, or to the moment they are ready: their nudges are lost. What is due
/// before stays as it is, and what is not owed anything is left alone.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn look_now(
    connection: &mut Conn<impl OneOf<(Scheduler, Worker)>>,
    runs: &[RunKey],
) -> Result<(), Error> {
    if runs.is_empty() {
        return Ok(());
    }
    let (tenants, runs) = columns(runs);
    // Locked in the order of their keys. A row that somebody holds is being looked at.
    sqlx::query(
        "WITH lost AS MATERIALIZED (
             SELECT w.tenant_id, w.run_id, w.token FROM wakeups w
               JOIN unnest($1::uuid[], $2::uuid[]) AS u (t, i) ON w.tenant_id = u.t AND w.run_id = u.i
              WHERE w.due_at > greatest(now(), w.ready_at) AND w.ready_at < 'infinity'
              ORDER BY w.tenant_id, w.run_id, w.token FOR UPDATE OF w SKIP LOCKED)
         UPDATE wakeups w SET due_at = greatest(now(), w.ready_at), sweeps = 0 FROM lost
          WHERE w.tenant_id = lost.tenant_id AND w.run_id = lost.run_id AND w.token = lost.token",
    )
    .bind(tenants)
    .bind(runs)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// How long until the next wakeup falls due; zero when one is due already, `None` when nothing is owed.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn next_due_in(connection: &mut Conn<Scheduler>) -> Result<Option<Duration>, Error> {
    let seconds: Option<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM min(due_at) - now())::float8 FROM wakeups WHERE due_at < 'infinity'",
    )
    .fetch_one(connection.sql())
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
}

/// The moment since which the longest overdue wakeup has been due, if one is.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn oldest_due(connection: &mut Conn<Scheduler>) -> Result<Option<DateTime<Utc>>, Error> {
    Ok(sqlx::query_scalar("SELECT min(due_at) FROM wakeups WHERE due_at <= now()")
        .fetch_one(connection.sql())
        .await?)
}
