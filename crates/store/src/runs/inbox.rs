//! What waiting runs are to hear from outside.
//!
//! An input brings a wakeup of its own ([`TOKEN`]), by which the sweep finds the run and a claim knows that there is
//! something to read. Only a checkpoint that read an input takes it out, and with it exactly what it took in: what came
//! meanwhile keeps the wakeup. A nudge that finds no open run removes both.

use crate::role::{Api, OneOf, Worker};
use crate::runs::{columns, priority};
use crate::{Conn, Error};
use automation_domain::id::{RunId, RunKey, TenantId};
use automation_domain::interpreter::InboxInput;
use automation_domain::priority::Priority;
use sqlx::Row;
use std::collections::BTreeMap;

/// The token of the wakeup that inputs bring: no branch has it.
pub const TOKEN: i16 = -1;

/// Most inputs that wait for one run.
pub const MOST_INPUTS: i64 = 1_000;

/// Most inputs that a run is given at once; the others keep its wakeup.
pub const MOST_AT_ONCE: i64 = 100;

/// What a run has not heard yet.
#[derive(Clone, PartialEq, Debug)]
pub struct Queued {
    /// Its place in the order of arrival.
    pub sequence: i64,
    /// The input; `None` for one that this version cannot read, which is left to those that can.
    pub input: Option<InboxInput>,
}

/// Puts inputs into the inboxes of runs, in their order, and wakes those runs. Gives the runs that are open and had room
/// ([`MOST_INPUTS`]; there is always room for its end, and for what people answer), with their queues: to be nudged after the commit. What is for others is not kept.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn put(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    inputs: &[(TenantId, RunId, InboxInput)],
) -> Result<BTreeMap<RunKey, Priority>, Error> {
    let bodies = inputs.iter().map(|(_, run, input)| encode(input, *run)).collect::<Result<Vec<_>, _>>()?;
    // Locked in the order of their keys.
    let rows = sqlx::query(
        "WITH wanted AS MATERIALIZED (
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $6::bool[]) WITH ORDINALITY AS u (t, i, b, c, n)),
         open AS MATERIALIZED (
             SELECT k.t, k.i, r.priority FROM (SELECT t, i, bool_or(c) AS c FROM wanted GROUP BY t, i) AS k
              CROSS JOIN LATERAL (SELECT o.priority FROM runs_open o
                                   WHERE o.tenant_id = k.t AND o.run_id = k.i OFFSET 0) AS r
              WHERE k.c OR (SELECT count(*) FROM run_inbox q WHERE q.tenant_id = k.t AND q.run_id = k.i) < $4
              ORDER BY k.t, k.i),
         put AS (
             INSERT INTO run_inbox (tenant_id, run_id, input)
             SELECT w.t, w.i, w.b FROM wanted w JOIN open o ON o.t = w.t AND o.i = w.i ORDER BY w.n),
         woken AS (
             INSERT INTO wakeups (tenant_id, run_id, token, ready_at, due_at, priority, reason)
             SELECT t, i, $5, now(), now(), priority, 'inbox' FROM open
             ON CONFLICT (tenant_id, run_id, token) DO UPDATE SET ready_at = now(), due_at = now(), sweeps = 0)
         SELECT t AS tenant_id, i AS run_id, priority FROM open",
    )
    .bind(inputs.iter().map(|(tenant, _, _)| tenant.0).collect::<Vec<_>>())
    .bind(inputs.iter().map(|(_, run, _)| run.0).collect::<Vec<_>>())
    .bind(bodies)
    .bind(MOST_INPUTS)
    .bind(TOKEN)
    .bind(inputs.iter().map(|(_, _, input)| is_always_kept(input)).collect::<Vec<_>>())
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            let run = RunId(row.try_get("run_id")?);
            Ok(((TenantId(row.try_get("tenant_id")?), run), priority(row, "runs_open", run)?))
        })
        .collect()
}

/// What these runs have not heard yet, in the order of arrival, the first 100 of each.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn read(
    connection: &mut Conn<Worker>,
    runs: &[RunKey],
) -> Result<BTreeMap<RunKey, Vec<Queued>>, Error> {
    if runs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (tenants, ids) = columns(runs);
    let rows = sqlx::query(
        "SELECT q.* FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          CROSS JOIN LATERAL (SELECT * FROM run_inbox r WHERE r.tenant_id = u.t AND r.run_id = u.i
                               ORDER BY r.sequence LIMIT $3) AS q",
    )
    .bind(tenants)
    .bind(ids)
    .bind(MOST_AT_ONCE)
    .fetch_all(connection.sql())
    .await?;
    let mut queued: BTreeMap<_, Vec<Queued>> = BTreeMap::new();
    for row in rows {
        let run = (TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?));
        let input = serde_json::from_slice(&row.try_get::<Vec<u8>, _>("input")?).ok();
        queued.entry(run).or_default().push(Queued { sequence: row.try_get("sequence")?, input });
    }
    Ok(queued)
}

/// Takes out what checkpoints took in, in their transaction. The wakeup goes with the last input of a run; of a run that has
/// ended, all goes.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn take_out(
    connection: &mut Conn<Worker>,
    taken_in: &[(TenantId, RunId, i64)],
    ended: &[RunKey],
) -> Result<(), Error> {
    if taken_in.is_empty() && ended.is_empty() {
        return Ok(());
    }
    let mut sorted = taken_in.to_vec();
    sorted.sort_unstable();
    sqlx::query(
        "DELETE FROM run_inbox q USING unnest($1::uuid[], $2::uuid[], $3::int8[]) AS u (t, i, s)
          WHERE q.tenant_id = u.t AND q.run_id = u.i AND q.sequence = u.s",
    )
    .bind(sorted.iter().map(|(tenant, _, _)| tenant.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, run, _)| run.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, _, sequence)| *sequence).collect::<Vec<_>>())
    .execute(connection.sql())
    .await?;
    let (tenants, ids) = columns(ended);
    sqlx::query(
        "DELETE FROM run_inbox q USING unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          WHERE q.tenant_id = u.t AND q.run_id = u.i",
    )
    .bind(tenants)
    .bind(ids)
    .execute(connection.sql())
    .await?;
    // Whoever puts an input in beside this either holds the wakeup, which is waited for, or makes it anew afterwards.
    let runs: Vec<_> =
        taken_in.iter().map(|(tenant, run, _)| (*tenant, *run)).chain(ended.iter().copied()).collect();
    let (tenants, ids) = columns(&runs);
    sqlx::query(
        "SELECT 1 FROM wakeups w JOIN unnest($1::uuid[], $2::uuid[]) AS u (t, i) ON w.tenant_id = u.t AND w.run_id = u.i
          WHERE w.token = $3 ORDER BY w.tenant_id, w.run_id FOR UPDATE OF w",
    )
    .bind(&tenants)
    .bind(&ids)
    .bind(TOKEN)
    .execute(connection.sql())
    .await?;
    sqlx::query(
        "DELETE FROM wakeups w USING unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          WHERE w.tenant_id = u.t AND w.run_id = u.i AND w.token = $3
            AND NOT EXISTS (SELECT 1 FROM run_inbox q WHERE q.tenant_id = u.t AND q.run_id = u.i)",
    )
    .bind(&tenants)
    .bind(&ids)
    .bind(TOKEN)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Has the sweep look at once at what came to these runs while somebody held them.
pub(super) async fn look_now(connection: &mut Conn<Worker>, runs: &[RunKey]) -> Result<(), Error> {
    if runs.is_empty() {
        return Ok(());
    }
    let (tenants, ids) = columns(runs);
    sqlx::query(
        "UPDATE wakeups w SET due_at = now(), sweeps = 0 FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          WHERE w.tenant_id = u.t AND w.run_id = u.i AND w.token = $3 AND w.due_at > now()",
    )
    .bind(tenants)
    .bind(ids)
    .bind(TOKEN)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// What people were told that it happens.
fn is_always_kept(input: &InboxInput) -> bool {
    input.ends_run() || matches!(input, InboxInput::Answered { .. })
}

fn encode(input: &InboxInput, run: RunId) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(input).map_err(|error| Error::Unreadable {
        table: "run_inbox",
        column: "input",
        id: run.to_string(),
        reason: error.to_string(),
    })
}
