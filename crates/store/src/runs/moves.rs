//! The ways of a run between its tables, each one statement: a run is in exactly one of them.

use super::checkpoints::{Checkpoint, Held, Locked, Next, held, run_ids};
use crate::role::{Api, OneOf, Worker};
use crate::{Conn, Error};
use automation_domain::id::RunKey;
use automation_domain::interpreter::EndStatus;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Moves ended runs, in one statement with their epoch, to the table of finished ones; their wakeups go.
pub(super) async fn finish(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    worker: &str,
    locked: Locked<'_>,
    finished: &[&Checkpoint],
) -> Result<Held, Error> {
    if finished.is_empty() {
        return Ok(Held::new());
    }
    let statuses: Vec<&str> = finished
        .iter()
        .map(|checkpoint| match &checkpoint.next {
            Next::Finished { status } => status.as_str(),
            Next::Waiting { .. } | Next::Sending { .. } | Next::Paused => EndStatus::Failed.as_str(),
        })
        .collect();
    let rows = sqlx::query(
        "WITH ended AS (
             DELETE FROM runs_open r
              USING unnest($1::text[]::tid[], $2::text[], $3::int4[], $4::text[], $5::bytea[], $6::bytea[], $10::uuid[])
                    AS x (place, wakeups, e, s, d, steps, i)
              WHERE r.ctid = x.place AND r.run_id = x.i AND r.epoch = x.e - $9 AND (r.status = 'running' OR $9 > 0)
          RETURNING r.tenant_id, r.run_id, r.workflow_id, r.version_id, r.trigger_id, r.event_id, r.contact_id,
                    r.run_key, x.s, r.priority, x.e, r.received_at, r.trace, x.d, x.steps, x.wakeups),
         gone AS (
             DELETE FROM wakeups w
              USING (SELECT run_id AS i, unnest(wakeups::tid[]) AS place FROM ended) AS x
              WHERE w.ctid = x.place AND w.run_id = x.i),
         logged AS (
             INSERT INTO workflow_run_logs (tenant_id, run_id, seq, logged_at, worker, steps)
             SELECT tenant_id, run_id, e, $7, $8, steps FROM ended WHERE steps <> '')
         INSERT INTO runs_finished (tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id,
                                    run_key, status, priority, epoch, received_at, trace, state, finished_at)
         SELECT tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id,
                run_key, s, priority, e, received_at, trace, d, $7
           FROM ended RETURNING tenant_id, run_id",
    )
    .bind(locked.runs(finished))
    .bind(locked.wakeups(finished))
    .bind(finished.iter().map(|checkpoint| checkpoint.epoch).collect::<Vec<_>>())
    .bind(statuses)
    .bind(finished.iter().map(|checkpoint| checkpoint.state.as_slice()).collect::<Vec<_>>())
    .bind(finished.iter().map(|checkpoint| checkpoint.steps.as_slice()).collect::<Vec<_>>())
    .bind(now)
    .bind(worker)
    .bind(locked.behind())
    .bind(run_ids(finished))
    .fetch_all(connection.sql())
    .await?;
    held(&rows)
}

/// Moves one open run, whose row is locked, to the table of finished ones, as it stands and with its next epoch; its
/// wakeups go, what it was to hear, and what it waited for.
pub(super) async fn finish_one(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    (tenant, run): RunKey,
    (status, epoch): (EndStatus, i32),
    state: &[u8],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    sqlx::query(
        "WITH ended AS (
             DELETE FROM runs_open WHERE tenant_id = $1 AND run_id = $2
          RETURNING tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id, run_key, priority,
                    received_at, trace),
         gone AS (DELETE FROM wakeups WHERE tenant_id = $1 AND run_id = $2),
         unheard AS (DELETE FROM run_inbox WHERE tenant_id = $1 AND run_id = $2),
         waited AS (
             DELETE FROM waits w USING ended
              WHERE w.tenant_id = $1 AND w.contact_id = ended.contact_id AND w.run_id = $2)
         INSERT INTO runs_finished (tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id,
                                    run_key, priority, received_at, trace, status, epoch, state, finished_at)
         SELECT ended.*, $3, $4, $5, $6 FROM ended",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(status.as_str())
    .bind(epoch)
    .bind(state)
    .bind(now)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Moves a run that failed at `epoch` back to the open ones, under the next epoch, pinned to `version`, with a new span that
/// belongs to the one that failed; `false` when it is not there any more. Without a state it begins anew.
pub(crate) async fn reopen(
    connection: &mut Conn<Api>,
    (tenant, run): RunKey,
    epoch: i32,
    version: Uuid,
    state: Option<Vec<u8>>,
) -> Result<bool, Error> {
    let status = if state.is_some() { "waiting" } else { "queued" };
    let moved = sqlx::query(
        "WITH back AS (
             DELETE FROM runs_finished WHERE tenant_id = $1 AND run_id = $2 AND status = 'failed' AND epoch = $3
          RETURNING tenant_id, run_id, workflow_id, $6::uuid, trigger_id, event_id, contact_id, run_key, priority,
                    received_at, substr(trace, 1, 16) || substr(trace, 25, 8) || substr(uuid_send(gen_random_uuid()), 1, 8))
         INSERT INTO runs_open (tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id, run_key,
                                priority, received_at, trace, status, epoch, state)
         SELECT back.*, $4, $3 + 1, $5 FROM back",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(epoch)
    .bind(status)
    .bind(state)
    .bind(version)
    .execute(connection.sql())
    .await?;
    Ok(moved.rows_affected() == 1)
}
