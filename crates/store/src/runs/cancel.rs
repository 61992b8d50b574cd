//! Ending a run by hand.

use crate::audit::{self, Auditor, Deed};
use crate::role::{Api, OneOf, Worker};
use crate::runs::approvals;
use crate::runs::enrolments::{self, EnrolmentKey};
use crate::runs::lists::RunStatus;
use crate::runs::moves;
use crate::{Conn, Error};
use automation_domain::id::{RunId, RunKey, TenantId, WorkflowId};
use automation_domain::interpreter::{self, Command, EndStatus, RunState, Step};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::Row;
use std::collections::BTreeMap;

/// What cancelling a run came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cancelled {
    /// The run was open and is cancelled.
    Now,
    /// The run had ended before, like this.
    AlreadyEnded(RunStatus),
    /// There is no such run.
    NotFound,
}

/// Ends an open run as `cancelled`, with a line in its history.
///
/// A worker that holds the run loses it: the epoch moves on and the row is gone, so whatever it commits for this run is
/// void. `who` stands in the history as the worker.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn cancel(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    run: RunId,
    who: &Auditor,
    reason: &str,
) -> Result<Cancelled, Error> {
    let locked = sqlx::query(
        "SELECT workflow_id, run_key, epoch, state FROM runs_open WHERE tenant_id = $1 AND run_id = $2 FOR UPDATE",
    )
    .bind(tenant.0)
    .bind(run.0)
    .fetch_optional(connection.sql())
    .await?;
    let Some(row) = locked else {
        let ended = ended_as(connection, tenant, run).await?;
        return Ok(ended.map_or(Cancelled::NotFound, Cancelled::AlreadyEnded));
    };
    let workflow_id = WorkflowId(row.try_get("workflow_id")?);
    let key = EnrolmentKey { tenant_id: tenant, workflow_id, run_key: row.try_get("run_key")? };
    let standing = (row.try_get("epoch")?, row.try_get("state")?);
    let now = crate::events::receipts::now(connection).await?;
    end_locked(connection, now, (tenant, run), standing, (who.actor(), reason.to_owned())).await?;
    enrolments::end(connection, now, &BTreeMap::from([(key, run)])).await?;
    let deed =
        Deed { action: "run.cancel", subject: format!("run {run}"), detail: json!({ "reason": reason }) };
    audit::append(connection, tenant, who, &[deed]).await?;
    Ok(Cancelled::Now)
}

/// Cancels a run whose row is locked and stands at this epoch and state, with a line in its history by the name of `who`.
pub(super) async fn end_locked(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    now: DateTime<Utc>,
    (tenant, run): RunKey,
    (epoch, state): (i32, Option<Vec<u8>>),
    (who, reason): (&str, String),
) -> Result<(), Error> {
    let state = decode(state, run)?;
    approvals::cancel_all(connection, now, (tenant, run), &state).await?;
    let ended = interpreter::cancel(state, reason);
    finish_locked(connection, now, (tenant, run), (epoch, EndStatus::Cancelled), ended, who).await
}

pub(super) fn decode(state: Option<Vec<u8>>, run: RunId) -> Result<RunState, Error> {
    Ok(state.map(|bytes| crate::runs::decode_state(&bytes, run)).transpose()?.unwrap_or_default())
}

/// Ends a run whose row is locked and stands at this epoch as it was decided, with a line in its history by the name of `who`.
pub(super) async fn finish_locked(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    now: DateTime<Utc>,
    (tenant, run): RunKey,
    (epoch, status): (i32, EndStatus),
    (state, commands): (RunState, Vec<Command>),
    who: &str,
) -> Result<(), Error> {
    let steps: Vec<&Step> = commands.iter().filter_map(Command::step).collect();
    let (state, steps, epoch) = (encode(&state, run)?, encode(&steps, run)?, epoch + 1);
    moves::finish_one(connection, (tenant, run), (status, epoch), &state, now).await?;
    sqlx::query(
        "INSERT INTO workflow_run_logs (tenant_id, run_id, seq, logged_at, worker, steps)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(epoch)
    .bind(now)
    .bind(who)
    .bind(steps)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// How a run ended that is not open; `None` when there is no such run.
pub(super) async fn ended_as(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    run: RunId,
) -> Result<Option<RunStatus>, Error> {
    let status: Option<String> =
        sqlx::query_scalar("SELECT status FROM runs_finished WHERE tenant_id = $1 AND run_id = $2")
            .bind(tenant.0)
            .bind(run.0)
            .fetch_optional(connection.sql())
            .await?;
    Ok(status.as_deref().and_then(RunStatus::from_key))
}

fn encode(value: &(impl serde::Serialize + ?Sized), run: RunId) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Unreadable {
        table: "runs_open",
        column: "state",
        id: run.to_string(),
        reason: error.to_string(),
    })
}
