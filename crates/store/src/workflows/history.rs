//! The versions of a workflow, from the first to the one that is published.

use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::id::{TenantId, VersionId, WorkflowId};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row;

/// A version in the list of a workflow's versions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    /// The version.
    pub version_id: VersionId,
    /// Its number, from 1.
    pub number: i32,
    /// Since when it is there.
    pub published_at: DateTime<Utc>,
    /// Who published it, if that is known.
    pub published_by: Option<String>,
    /// SHA-256 of its definition as stored, in hexadecimal: alike definitions have the same.
    pub hash: String,
    /// Runs that are open and pinned to it.
    pub open_runs: i64,
}

/// Up to `limit` versions of a workflow, the latest first, older than `before` if it is given.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
    limit: i64,
    before: Option<i32>,
) -> Result<Vec<Published>, Error> {
    let rows = sqlx::query(
        "SELECT v.version_id, v.number, v.published_at, v.published_by,
                encode(sha256(convert_to(v.definition::text, 'UTF8')), 'hex') AS hash, coalesce(o.runs, 0) AS open_runs
           FROM workflow_versions v
           LEFT JOIN (SELECT r.version_id, count(*) AS runs FROM runs_open r
                       WHERE r.tenant_id = $1 AND r.workflow_id = $2 GROUP BY r.version_id) AS o USING (version_id)
          WHERE v.tenant_id = $1 AND v.workflow_id = $2 AND ($4::int4 IS NULL OR v.number < $4)
          ORDER BY v.number DESC LIMIT $3",
    )
    .bind(tenant.0)
    .bind(workflow.0)
    .bind(limit)
    .bind(before)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Published {
                version_id: VersionId(row.try_get("version_id")?),
                number: row.try_get("number")?,
                published_at: row.try_get("published_at")?,
                published_by: row.try_get("published_by")?,
                hash: row.try_get("hash")?,
                open_runs: row.try_get("open_runs")?,
            })
        })
        .collect()
}

/// The definition of the version with this number.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn definition(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
    number: i32,
) -> Result<Option<Value>, Error> {
    let found = sqlx::query_scalar(
        "SELECT definition FROM workflow_versions WHERE tenant_id = $1 AND workflow_id = $2 AND number = $3",
    )
    .bind(tenant.0)
    .bind(workflow.0)
    .bind(number)
    .fetch_optional(connection.sql())
    .await?;
    Ok(found)
}

/// The definition of a version of whatever workflow.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn definition_by_id(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    version: VersionId,
) -> Result<Option<Value>, Error> {
    let found = sqlx::query_scalar(
        "SELECT definition FROM workflow_versions WHERE tenant_id = $1 AND version_id = $2",
    )
    .bind(tenant.0)
    .bind(version.0)
    .fetch_optional(connection.sql())
    .await?;
    Ok(found)
}
