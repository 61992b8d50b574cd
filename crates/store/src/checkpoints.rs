//! Checkpoints: what a batch of claimed runs came to. Every write carries the epoch of its claim.

use crate::Error;
use automation_domain::id::{RunId, TenantId};
use automation_domain::priority::Priority;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How a claim ends.
#[derive(Clone, PartialEq, Debug)]
pub enum Next {
    /// The run ended as `completed`, `failed` or `cancelled`.
    Finished {
        /// That word.
        status: &'static str,
    },
    /// The run waits.
    Waiting {
        /// For each token the moment from which it may go on.
        timers: Vec<(u16, DateTime<Utc>)>,
    },
    /// The run's workflow is paused: nothing wakes the run but a resume.
    Paused,
}

/// What one claimed run came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Checkpoint {
    /// Whose run.
    pub tenant_id: TenantId,
    /// Which run.
    pub run_id: RunId,
    /// The epoch of the claim.
    pub epoch: i32,
    /// Its queue.
    pub priority: Priority,
    /// How the claim ends.
    pub next: Next,
    /// The state as JSON; empty for a run that has none yet.
    pub state: Vec<u8>,
    /// The steps since the claim, as a JSON array; empty when there were none.
    pub steps: Vec<u8>,
}

/// Runs whose claim was still theirs.
pub type Held = BTreeSet<(TenantId, RunId)>;

/// Ends or parks the claims, and says which were still held. What belongs to the others must not be written.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn settle(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    checkpoints: &[Checkpoint],
) -> Result<Held, Error> {
    let mut sorted: Vec<&Checkpoint> = checkpoints.iter().collect();
    sorted.sort_unstable_by_key(|checkpoint| (checkpoint.tenant_id, checkpoint.run_id));
    lock(connection, &sorted).await?;
    let (finished, open): (Vec<&Checkpoint>, Vec<&Checkpoint>) =
        sorted.into_iter().partition(|checkpoint| matches!(checkpoint.next, Next::Finished { .. }));
    let mut held = finish(connection, now, &finished).await?;
    held.extend(hold(connection, &open).await?);
    move_wakeups(connection, &open, &held).await?;
    Ok(held)
}

/// Locks runs, then their wakeups, each in order of their keys. The statements that follow find rows by their place and
/// would pass over one that somebody else is just changing.
async fn lock(connection: &mut PgConnection, sorted: &[&Checkpoint]) -> Result<(), Error> {
    let tenants: Vec<Uuid> = sorted.iter().map(|checkpoint| checkpoint.tenant_id.0).collect();
    let runs: Vec<Uuid> = sorted.iter().map(|checkpoint| checkpoint.run_id.0).collect();
    for lock in [
        "SELECT count(*) FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          CROSS JOIN LATERAL (SELECT 1 FROM runs_open c WHERE c.tenant_id = u.t AND c.run_id = u.i FOR UPDATE) AS l",
        "SELECT count(*) FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          CROSS JOIN LATERAL (SELECT 1 FROM wakeups k WHERE k.tenant_id = u.t AND k.run_id = u.i FOR UPDATE) AS l",
    ] {
        sqlx::query(lock).bind(&tenants).bind(&runs).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Moves ended runs, in one statement with their epoch, to the table of finished ones.
async fn finish(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    finished: &[&Checkpoint],
) -> Result<Held, Error> {
    if finished.is_empty() {
        return Ok(Held::new());
    }
    let statuses: Vec<&str> = finished
        .iter()
        .map(|checkpoint| match &checkpoint.next {
            Next::Finished { status } => *status,
            Next::Waiting { .. } | Next::Paused => "failed",
        })
        .collect();
    let rows = sqlx::query(
        "WITH ended AS (
             DELETE FROM runs_open r
              USING (SELECT u.*, l.place
                       FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::text[], $5::bytea[]) AS u (t, i, e, s, d)
                      CROSS JOIN LATERAL (SELECT c.ctid AS place FROM runs_open c
                                           WHERE c.tenant_id = u.t AND c.run_id = u.i OFFSET 0) AS l) AS x
              WHERE r.ctid = x.place AND r.epoch = x.e AND r.status = 'running'
          RETURNING r.tenant_id, r.run_id, r.workflow_id, r.version_id, r.trigger_id, r.event_id, r.contact_id,
                    r.run_key, x.s, r.priority, r.epoch, r.received_at, x.d)
         INSERT INTO runs_finished (tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id,
                                    run_key, status, priority, epoch, received_at, state, finished_at)
         SELECT ended.*, $6 FROM ended RETURNING tenant_id, run_id",
    )
    .bind(finished.iter().map(|checkpoint| checkpoint.tenant_id.0).collect::<Vec<_>>())
    .bind(finished.iter().map(|checkpoint| checkpoint.run_id.0).collect::<Vec<_>>())
    .bind(finished.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>())
    .bind(statuses)
    .bind(finished.iter().map(|checkpoint| checkpoint.state.as_slice()).collect::<Vec<_>>())
    .bind(now)
    .fetch_all(&mut *connection)
    .await?;
    let held = held(&rows)?;
    sqlx::query(
        "DELETE FROM wakeups w
          USING (SELECT l.place FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
                  CROSS JOIN LATERAL (SELECT k.ctid AS place FROM wakeups k
                                       WHERE k.tenant_id = u.t AND k.run_id = u.i OFFSET 0) AS l) AS x
          WHERE w.ctid = x.place",
    )
    .bind(held.iter().map(|(tenant, _)| tenant.0).collect::<Vec<_>>())
    .bind(held.iter().map(|(_, run)| run.0).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(held)
}

/// Gives the lease back and saves the state of runs that go on later.
async fn hold(connection: &mut PgConnection, open: &[&Checkpoint]) -> Result<Held, Error> {
    if open.is_empty() {
        return Ok(Held::new());
    }
    let statuses: Vec<&str> = open
        .iter()
        .map(|checkpoint| match checkpoint.next {
            Next::Paused => "paused",
            Next::Waiting { .. } | Next::Finished { .. } => "waiting",
        })
        .collect();
    let rows = sqlx::query(
        "UPDATE runs_open r SET status = x.s, state = nullif(x.d, ''), lease_until = NULL, abandoned = 0
           FROM (SELECT u.*, l.place
                   FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::text[], $5::bytea[]) AS u (t, i, e, s, d)
                  CROSS JOIN LATERAL (SELECT c.ctid AS place FROM runs_open c
                                       WHERE c.tenant_id = u.t AND c.run_id = u.i OFFSET 0) AS l) AS x
          WHERE r.ctid = x.place AND r.epoch = x.e AND r.status = 'running'
      RETURNING r.tenant_id, r.run_id",
    )
    .bind(open.iter().map(|checkpoint| checkpoint.tenant_id.0).collect::<Vec<_>>())
    .bind(open.iter().map(|checkpoint| checkpoint.run_id.0).collect::<Vec<_>>())
    .bind(open.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>())
    .bind(statuses)
    .bind(open.iter().map(|checkpoint| checkpoint.state.as_slice()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    held(&rows)
}

/// Replaces the wakeups of open runs by one per token that waits. A paused run keeps one that is never due.
async fn move_wakeups(connection: &mut PgConnection, open: &[&Checkpoint], held: &Held) -> Result<(), Error> {
    let (mut tenants, mut runs, mut tokens, mut ready) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut priorities, mut kept) = (Vec::new(), Vec::new());
    for checkpoint in open {
        if !held.contains(&(checkpoint.tenant_id, checkpoint.run_id)) {
            continue;
        }
        let timers = match &checkpoint.next {
            Next::Waiting { timers } => timers.iter().map(|(token, at)| (*token, Some(*at))).collect(),
            Next::Paused => vec![(0, None)],
            Next::Finished { .. } => Vec::new(),
        };
        kept.push((
            checkpoint,
            timers.iter().map(|(token, _)| token.to_string()).collect::<Vec<_>>().join(","),
        ));
        for (token, at) in timers {
            tenants.push(checkpoint.tenant_id.0);
            runs.push(checkpoint.run_id.0);
            tokens.push(i16::try_from(token).unwrap_or(i16::MAX));
            ready.push(at);
            priorities.push(checkpoint.priority.as_i16());
        }
    }
    if tenants.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM wakeups w
          USING (SELECT l.place FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS u (t, i, kept)
                  CROSS JOIN LATERAL (SELECT k.ctid AS place FROM wakeups k
                                       WHERE k.tenant_id = u.t AND k.run_id = u.i
                                         AND k.token <> ALL (string_to_array(u.kept, ',')::int2[]) OFFSET 0) AS l) AS x
          WHERE w.ctid = x.place",
    )
    .bind(kept.iter().map(|(checkpoint, _)| checkpoint.tenant_id.0).collect::<Vec<_>>())
    .bind(kept.iter().map(|(checkpoint, _)| checkpoint.run_id.0).collect::<Vec<_>>())
    .bind(kept.iter().map(|(_, tokens)| tokens.as_str()).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO wakeups (tenant_id, run_id, token, ready_at, due_at, priority, reason)
         SELECT u.t, u.i, u.k, coalesce(u.a, 'infinity'), coalesce(u.a, 'infinity'), u.p, 'timer'
           FROM unnest($1::uuid[], $2::uuid[], $3::int2[], $4::timestamptz[], $5::int2[]) AS u (t, i, k, a, p)
         ON CONFLICT (tenant_id, run_id, token) DO UPDATE
            SET ready_at = excluded.ready_at, due_at = excluded.due_at, sweeps = 0, reason = excluded.reason",
    )
    .bind(&tenants)
    .bind(&runs)
    .bind(&tokens)
    .bind(&ready)
    .bind(&priorities)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes one log row per checkpoint that made steps.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn log(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    worker: &str,
    checkpoints: &[&Checkpoint],
) -> Result<(), Error> {
    let rows: Vec<&&Checkpoint> =
        checkpoints.iter().filter(|checkpoint| !checkpoint.steps.is_empty()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO workflow_run_logs (tenant_id, run_id, seq, logged_at, worker, steps)
         SELECT t, i, e, $5, $6, s FROM unnest($1::uuid[], $2::uuid[], $3::int4[], $4::bytea[]) AS u (t, i, e, s)",
    )
    .bind(rows.iter().map(|checkpoint| checkpoint.tenant_id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|checkpoint| checkpoint.run_id.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>())
    .bind(rows.iter().map(|checkpoint| checkpoint.steps.as_slice()).collect::<Vec<_>>())
    .bind(now)
    .bind(worker)
    .execute(connection)
    .await?;
    Ok(())
}

fn held(rows: &[sqlx::postgres::PgRow]) -> Result<Held, Error> {
    rows.iter().map(|row| Ok((TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?)))).collect()
}
