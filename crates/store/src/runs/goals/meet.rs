//! What a run is for has happened: it is counted, and ends the run if that is what it does.

use super::Met;
use crate::role::{Api, Worker};
use crate::runs::approvals;
use crate::runs::cancel::{decode, finish_locked};
use crate::runs::enrolments::{self, EnrolmentKey};
use crate::runs::inbox;
use crate::{Conn, Error};
use automation_domain::id::{RunId, RunKey, TenantId, WorkflowId};
use automation_domain::interpreter::{EndStatus, InboxInput, Reached, reach_goal};
use automation_domain::priority::Priority;
use chrono::{DateTime, Utc};
use sqlx::Row;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Counts what has happened, of each run once, and ends those runs that it ends, in the same transaction. Those that somebody holds hear
/// of it from their inbox, and end before anything more of them begins: they are given, to be nudged after the commit.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn meet(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    met: &[Met],
) -> Result<BTreeMap<RunKey, Priority>, Error> {
    if met.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut sorted: Vec<&Met> = met.iter().collect();
    sorted.sort_unstable_by_key(|one| (one.goal.tenant_id, one.goal.run_id));
    let rows = sqlx::query(
        "UPDATE run_goals g SET met_at = u.at, met_by = u.b
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::timestamptz[], $6::uuid[]) AS u (t, c, e, r, at, b)
          WHERE g.tenant_id = u.t AND g.contact_id = u.c AND g.event_type = u.e AND g.run_id = u.r AND g.met_at IS NULL
          RETURNING g.tenant_id, g.run_id, g.ends_run",
    )
    .bind(sorted.iter().map(|one| one.goal.tenant_id.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|one| one.goal.contact_id.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|one| one.goal.event_type.as_str()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|one| one.goal.run_id.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|one| one.reached.at).collect::<Vec<_>>())
    .bind(sorted.iter().map(|one| one.event_id.0).collect::<Vec<_>>())
    .fetch_all(connection.sql())
    .await?;
    let mut to_end: BTreeMap<RunKey, Reached> = BTreeMap::new();
    for row in rows.iter() {
        let run = (TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?));
        let ends_run: bool = row.try_get("ends_run")?;
        let one = sorted.iter().find(|one| (one.goal.tenant_id, one.goal.run_id) == run).filter(|_| ends_run);
        to_end.extend(one.map(|one| (run, one.reached.clone())));
    }
    end(connection, now, to_end).await
}

/// Ends these runs, where they are open: runs first, then what the others hear, then what entry rules know, as all that change several
/// of them.
async fn end(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    to_end: BTreeMap<RunKey, Reached>,
) -> Result<BTreeMap<RunKey, Priority>, Error> {
    let (mut held, mut left) = (Vec::new(), BTreeMap::new());
    for ((tenant, run), reached) in to_end {
        let row = sqlx::query(
            "SELECT workflow_id, run_key, epoch, state FROM runs_open WHERE tenant_id = $1 AND run_id = $2
                AND (lease_until IS NULL OR lease_until < now()) FOR UPDATE SKIP LOCKED",
        )
        .bind(tenant.0)
        .bind(run.0)
        .fetch_optional(connection.sql())
        .await?;
        let stands = match &row {
            Some(row) => decode(row.try_get("state")?, run).ok().zip(Some(row)),
            None => None,
        };
        // One that this version cannot read is left to an executor that can.
        let Some((state, row)) = stands else {
            held.push((tenant, run, InboxInput::Goal(reached)));
            continue;
        };
        approvals::cancel_all(connection, now, (tenant, run), &state).await?;
        let ended = reach_goal(state, reached);
        let standing = (row.try_get("epoch")?, EndStatus::Completed);
        finish_locked(connection, now, (tenant, run), standing, ended, "ingest").await?;
        let workflow_id = WorkflowId(row.try_get("workflow_id")?);
        left.insert(EnrolmentKey { tenant_id: tenant, workflow_id, run_key: row.try_get("run_key")? }, run);
    }
    let called = if held.is_empty() { BTreeMap::new() } else { inbox::put(connection, &held).await? };
    enrolments::lock(connection, &left.keys().cloned().collect::<Vec<_>>()).await?;
    enrolments::end(connection, now, &left).await?;
    Ok(called)
}

/// Tells a run that is open again of its goal, if that was met while it had failed and ends it. Whoever counts the goal at the same time
/// waits for this, and finds the run open.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn tell_again(connection: &mut Conn<Api>, tenant: TenantId, run: RunId) -> Result<(), Error> {
    let row = sqlx::query(
        "SELECT g.event_type, g.met_at, g.met_by FROM runs_open r
           JOIN run_goals g ON g.tenant_id = r.tenant_id AND g.contact_id = r.contact_id AND g.run_id = r.run_id
          WHERE r.tenant_id = $1 AND r.run_id = $2 AND g.ends_run FOR UPDATE OF g",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_optional(connection.sql())
    .await?;
    let Some(row) = row else { return Ok(()) };
    let (at, by): (Option<DateTime<Utc>>, Option<Uuid>) = (row.try_get("met_at")?, row.try_get("met_by")?);
    let Some((at, by)) = at.zip(by) else { return Ok(()) };
    let reached = Reached { event_type: row.try_get("event_type")?, event_id: by.to_string(), at };
    inbox::put(connection, &[(tenant, run, InboxInput::Goal(reached))]).await?;
    Ok(())
}
