//! Ending a run by hand.

use crate::audit::{self, Auditor, Deed};
use crate::role::Api;
use crate::runs::enrolments::{self, EnrolmentKey};
use crate::runs::lists::RunStatus;
use crate::runs::moves;
use crate::{Conn, Error};
use automation_domain::id::{RunId, TenantId, WorkflowId};
use automation_domain::interpreter::{self, Command, EndStatus, Step};
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
        return ended(connection, tenant, run).await;
    };
    let workflow_id = WorkflowId(row.try_get("workflow_id")?);
    let key = EnrolmentKey { tenant_id: tenant, workflow_id, run_key: row.try_get("run_key")? };
    let epoch = row.try_get::<i32, _>("epoch")? + 1;
    let state: Option<Vec<u8>> = row.try_get("state")?;
    let state = state.map(|bytes| crate::runs::decode_state(&bytes, run)).transpose()?.unwrap_or_default();
    let (state, commands) = interpreter::cancel(state, reason.to_owned());
    let steps: Vec<&Step> = commands.iter().filter_map(Command::step).collect();
    let now = crate::events::receipts::now(connection).await?;
    moves::finish_one(connection, (tenant, run), (EndStatus::Cancelled, epoch), &encode(&state, run)?, now)
        .await?;
    sqlx::query(
        "INSERT INTO workflow_run_logs (tenant_id, run_id, seq, logged_at, worker, steps)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant.0)
    .bind(run.0)
    .bind(epoch)
    .bind(now)
    .bind(who.actor())
    .bind(encode(&steps, run)?)
    .execute(connection.sql())
    .await?;
    enrolments::end(connection, now, &BTreeMap::from([(key, run)])).await?;
    let deed =
        Deed { action: "run.cancel", subject: format!("run {run}"), detail: json!({ "reason": reason }) };
    audit::append(connection, tenant, who, &[deed]).await?;
    Ok(Cancelled::Now)
}

async fn ended(connection: &mut Conn<Api>, tenant: TenantId, run: RunId) -> Result<Cancelled, Error> {
    let status: Option<String> =
        sqlx::query_scalar("SELECT status FROM runs_finished WHERE tenant_id = $1 AND run_id = $2")
            .bind(tenant.0)
            .bind(run.0)
            .fetch_optional(connection.sql())
            .await?;
    let status = status.as_deref().and_then(RunStatus::from_key);
    Ok(status.map_or(Cancelled::NotFound, Cancelled::AlreadyEnded))
}

fn encode(value: &(impl serde::Serialize + ?Sized), run: RunId) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Unreadable {
        table: "runs_open",
        column: "state",
        id: run.to_string(),
        reason: error.to_string(),
    })
}
