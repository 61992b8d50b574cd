//! Workflows that are put away: archived, taken out again, deleted.

use super::versions::{lock_state, take_turns};
use super::{drafts, schedules};
use crate::access::tenants::touch;
use crate::role::{Api, Scheduler};
use crate::{Conn, Error};
use automation_domain::id::{TenantId, VersionId, WorkflowId};
use automation_domain::workflow::Workflow;
use uuid::Uuid;

/// Lets a workflow start no more runs; its schedules are gone. `false` when it was archived already.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn archive(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
) -> Result<bool, Error> {
    take_turns(connection, tenant).await?;
    lock_state(connection, workflow).await?;
    let archived = sqlx::query(
        "UPDATE workflows SET state = 'archived', updated_at = now()
          WHERE tenant_id = $1 AND workflow_id = $2 AND state IN ('active', 'paused')",
    )
    .bind(tenant.0)
    .bind(workflow.0)
    .execute(connection.sql())
    .await?;
    if archived.rows_affected() == 0 {
        return Ok(false);
    }
    touch(connection, tenant).await?;
    schedules::remove(connection, tenant, workflow).await?;
    Ok(true)
}

/// Lets an archived workflow start runs again; its schedules begin anew, from this moment on. `false` when it was not archived.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn unarchive(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    (workflow, version): (WorkflowId, VersionId),
    compiled: &Workflow,
) -> Result<bool, Error> {
    take_turns(connection, tenant).await?;
    let unarchived = sqlx::query(
        "UPDATE workflows SET state = 'active', updated_at = now()
          WHERE tenant_id = $1 AND workflow_id = $2 AND version_id = $3 AND state = 'archived'",
    )
    .bind(tenant.0)
    .bind(workflow.0)
    .bind(version.0)
    .execute(connection.sql())
    .await?;
    if unarchived.rows_affected() == 0 {
        return Ok(false);
    }
    touch(connection, tenant).await?;
    schedules::publish(connection, tenant, workflow, version, compiled, false).await?;
    Ok(true)
}

/// Deletes an archived workflow and its draft: its key is free, its versions stay for what is kept of its runs. `false` when it
/// is not archived.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn delete(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
) -> Result<bool, Error> {
    take_turns(connection, tenant).await?;
    let key: Option<String> = sqlx::query_scalar(
        "UPDATE workflows SET state = 'deleted', deleted_at = now(), updated_at = now()
          WHERE tenant_id = $1 AND workflow_id = $2 AND state = 'archived' RETURNING key",
    )
    .bind(tenant.0)
    .bind(workflow.0)
    .fetch_optional(connection.sql())
    .await?;
    let Some(key) = key else { return Ok(false) };
    drafts::discard(connection, tenant, &key).await?;
    Ok(true)
}

/// How many runs of a workflow are open.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn open_runs(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM runs_open WHERE tenant_id = $1 AND workflow_id = $2")
        .bind(tenant.0)
        .bind(workflow.0)
        .fetch_one(connection.sql())
        .await?)
}

/// The workflow that has a key, and those that had it and are deleted.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn of_key(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    key: &str,
) -> Result<Vec<WorkflowId>, Error> {
    let ids: Vec<Uuid> =
        sqlx::query_scalar("SELECT workflow_id FROM workflows WHERE tenant_id = $1 AND key = $2")
            .bind(tenant.0)
            .bind(key)
            .fetch_all(connection.sql())
            .await?;
    Ok(ids.into_iter().map(WorkflowId).collect())
}

/// Removes what was deleted 90 days ago and has no history any more; gives how many workflows that were.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire(connection: &mut Conn<Scheduler>) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT workflows_expire()").fetch_one(connection.sql()).await?)
}
