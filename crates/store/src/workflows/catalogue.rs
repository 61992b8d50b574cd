//! What ingest keeps in memory of each tenant: its active workflows and who may publish for it.

use crate::access::tenants::{Grant, grants};
use crate::role::Worker;
use crate::{Conn, Error};
use automation_domain::facts::{FieldPath, Tz, stored_zone};
use automation_domain::id::{TenantId, VersionId, WorkflowId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A workflow that new runs may start.
#[derive(Clone, PartialEq, Debug)]
pub struct ActiveWorkflow {
    /// Whose workflow.
    pub tenant_id: TenantId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// Its published version.
    pub version_id: VersionId,
}

/// What a batch asks of a tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Current {
    /// Moves with every change of its workflows, its grants and its zone.
    pub catalogue_version: i64,
    /// The tables of which it keeps more than it may.
    pub over_quota: Vec<String>,
    /// Its time zone.
    pub zone: Tz,
}

/// The moment of the transaction, in the database's clock, and what these tenants are at.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn versions(
    connection: &mut Conn<Worker>,
    tenants: &[TenantId],
) -> Result<(DateTime<Utc>, BTreeMap<TenantId, Current>), Error> {
    let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.0).collect();
    let (now, found, versions, over, zones): (_, Vec<Uuid>, Vec<i64>, Vec<String>, Vec<String>) = sqlx::query_as(
        "SELECT now(), coalesce(array_agg(n.tenant_id), '{}'), coalesce(array_agg(n.catalogue_version), '{}'),
                coalesce(array_agg(array_to_string(n.over_quota, ',')), '{}'), coalesce(array_agg(n.timezone), '{}')
           FROM unnest($1::uuid[]) AS u (t) JOIN tenants n ON n.tenant_id = u.t",
    )
    .bind(ids)
    .fetch_one(connection.sql())
    .await?;
    let current =
        versions.into_iter().zip(over).zip(zones).map(|((catalogue_version, over), zone)| Current {
            catalogue_version,
            zone: stored_zone(&zone),
            over_quota: over.split(',').filter(|table| !table.is_empty()).map(str::to_owned).collect(),
        });
    Ok((now, found.into_iter().map(TenantId).zip(current).collect()))
}

/// What ingest keeps of events of watched types: to whom they happened, and what stands at these paths.
pub type WatchedTypes = BTreeMap<String, Vec<FieldPath>>;

/// The types of events that some version of the tenants in the transaction's scope waits for or reads of the past.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn watched_types(connection: &mut Conn<Worker>) -> Result<BTreeMap<TenantId, WatchedTypes>, Error> {
    let rows = sqlx::query(
        "SELECT tenant_id, event_type, ARRAY(SELECT jsonb_object_keys(paths)) AS paths FROM watched_types",
    )
    .fetch_all(connection.sql())
    .await?;
    let mut watched: BTreeMap<TenantId, WatchedTypes> = BTreeMap::new();
    for row in rows {
        let paths: Vec<String> = row.try_get("paths")?;
        // One that this version does not know was asked for by a newer one, which keeps it.
        let paths = paths.iter().filter_map(|path| FieldPath::parse(path, "").ok()).collect();
        watched
            .entry(TenantId(row.try_get("tenant_id")?))
            .or_default()
            .insert(row.try_get("event_type")?, paths);
    }
    Ok(watched)
}

/// Which workflows are active, without their definitions, and the grants of the tenants in the transaction's scope.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn load(connection: &mut Conn<Worker>) -> Result<(Vec<ActiveWorkflow>, Vec<Grant>), Error> {
    let rows = sqlx::query(
        "SELECT w.tenant_id, w.workflow_id, w.version_id FROM workflows w
          WHERE w.state = 'active' AND w.version_id IS NOT NULL ORDER BY w.tenant_id, w.key",
    )
    .fetch_all(connection.sql())
    .await?;
    let workflows = rows
        .iter()
        .map(|row| {
            Ok(ActiveWorkflow {
                tenant_id: TenantId(row.try_get("tenant_id")?),
                workflow_id: WorkflowId(row.try_get("workflow_id")?),
                version_id: VersionId(row.try_get("version_id")?),
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok((workflows, grants(connection).await?))
}
