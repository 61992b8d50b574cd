//! Parts of workflows that are evaluated no more, because processes died or hung over them.

use crate::access::tenants::touch;
use crate::audit::{self, Auditor, Deed};
use crate::blame::suspects::Suspect;
use crate::notices::{self, NewNotice};
use crate::role::{Api, OneOf, Operator, Scheduler, Worker};
use crate::{Conn, Error};
use automation_domain::id::{TenantId, VersionId, WorkflowId};
use automation_domain::notice::Notice;
use automation_domain::part::{Part, PartKind};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A suspended part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Suspended {
    /// Whose workflow.
    pub tenant_id: TenantId,
    /// The part.
    pub part: Part,
    /// The event or run over which the last process died.
    pub subject: Uuid,
    /// How many processes died of it.
    pub deaths: i32,
    /// Since when.
    pub suspended_at: DateTime<Utc>,
}

/// Nodes that are suspended, by version.
pub type Nodes = BTreeMap<VersionId, Arc<BTreeSet<String>>>;

/// Suspends the part of a suspect, and moves the tenant's catalogue version; whether it was not suspended before. The
/// tenant is in scope.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn suspend(connection: &mut Conn<Worker>, suspect: &Suspect) -> Result<bool, Error> {
    let Some(part) = &suspect.part else { return Ok(false) };
    let (tenant, subject) = suspect.subject;
    Ok(sqlx::query_scalar("SELECT suspend_part($1, $2, $3, $4, $5)")
        .bind(tenant.0)
        .bind(subject)
        .bind(part.kind.as_str())
        .bind(part.version_id.0)
        .bind(&part.id)
        .fetch_one(connection.sql())
        .await?)
}

/// Suspends the parts that [`MOST_DEATHS`](crate::blame::suspects::MOST_DEATHS) processes died of, tells of it ([`notices`]), and gives those suspects whose parts were not suspended before.
/// The tenants are in scope.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn suspend_deadly(
    connection: &mut Conn<Worker>,
    suspects: &[Suspect],
) -> Result<Vec<Suspect>, Error> {
    let mut fresh = Vec::new();
    for suspect in suspects.iter().filter(|suspect| suspect.is_deadly()) {
        if suspend(connection, suspect).await? {
            fresh.push(suspect.clone());
        }
    }
    let mut told = Vec::new();
    for suspect in &fresh {
        told.extend(notice(connection, suspect).await?);
    }
    notices::raise(connection, &told).await?;
    Ok(fresh)
}

/// What the workflow's owner is told; `None` where nobody knows the version.
async fn notice(connection: &mut Conn<Worker>, suspect: &Suspect) -> Result<Option<NewNotice>, Error> {
    let Some(part) = &suspect.part else { return Ok(None) };
    let (tenant_id, _) = suspect.subject;
    let row: Option<(String, i32)> = sqlx::query_as(
        "SELECT w.key, v.number FROM workflow_versions v
           JOIN workflows w ON w.tenant_id = v.tenant_id AND w.workflow_id = v.workflow_id
          WHERE v.tenant_id = $1 AND v.version_id = $2",
    )
    .bind(tenant_id.0)
    .bind(part.version_id.0)
    .fetch_optional(connection.sql())
    .await?;
    Ok(row.map(|(workflow, version)| NewNotice {
        tenant_id,
        notice: Notice::PartSuspended {
            workflow,
            version,
            part: part.kind.as_str().to_owned(),
            id: part.id.clone(),
            deaths: suspect.deaths,
        },
        times: 1,
    }))
}

/// The suspended parts of the tenants in scope.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn list(connection: &mut Conn<impl OneOf<(Api, Worker)>>) -> Result<Vec<Suspended>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM suspended_parts ORDER BY tenant_id, workflow_id, version_id, kind, part_id",
    )
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(suspended).collect()
}

/// The suspended nodes of all tenants.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn nodes(connection: &mut Conn<Worker>) -> Result<Nodes, Error> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as("SELECT version_id, node_id FROM suspended_nodes()")
        .fetch_all(connection.sql())
        .await?;
    let mut nodes: BTreeMap<VersionId, BTreeSet<String>> = BTreeMap::new();
    for (version, node) in rows {
        nodes.entry(VersionId(version)).or_default().insert(node);
    }
    Ok(nodes.into_iter().map(|(version, nodes)| (version, Arc::new(nodes))).collect())
}

/// How many parts of published versions are suspended in the whole fleet, and for how long the first has been.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn of_fleet(
    connection: &mut Conn<impl OneOf<(Operator, Scheduler)>>,
) -> Result<(i64, Duration), Error> {
    let (count, since, now): (i64, Option<DateTime<Utc>>, DateTime<Utc>) =
        sqlx::query_as("SELECT s.count, s.since, now() FROM fleet_suspended() AS s")
            .fetch_one(connection.sql())
            .await?;
    let age = since.and_then(|since| now.signed_duration_since(since).to_std().ok()).unwrap_or_default();
    Ok((count, age))
}

/// Lifts the suspension of a part and forgets what is held against it, so that it is evaluated again; `false` when it was
/// not suspended. The deed goes to the audit log.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn lift(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    part: &Part,
    who: &Auditor,
) -> Result<bool, Error> {
    let lifted = sqlx::query(
        "DELETE FROM suspended_parts WHERE tenant_id = $1 AND version_id = $2 AND kind = $3 AND part_id = $4",
    )
    .bind(tenant.0)
    .bind(part.version_id.0)
    .bind(part.kind.as_str())
    .bind(&part.id)
    .execute(connection.sql())
    .await?
    .rows_affected();
    if lifted == 0 {
        return Ok(false);
    }
    sqlx::query(
        "DELETE FROM suspects WHERE tenant_id = $1 AND version_id = $2 AND kind = $3 AND part_id = $4",
    )
    .bind(tenant.0)
    .bind(part.version_id.0)
    .bind(part.kind.as_str())
    .bind(&part.id)
    .execute(connection.sql())
    .await?;
    touch(connection, tenant).await?;
    let deed = Deed {
        action: "workflow.resume_part",
        subject: format!("workflow {}", part.workflow_id),
        detail: json!({ "version_id": part.version_id, "kind": part.kind.as_str(), "id": part.id }),
    };
    audit::append(connection, tenant, who, &[deed]).await?;
    Ok(true)
}

fn suspended(row: &PgRow) -> Result<Suspended, Error> {
    let (kind, version): (String, Uuid) = (row.try_get("kind")?, row.try_get("version_id")?);
    let kind = PartKind::parse(&kind).ok_or_else(|| Error::Unreadable {
        table: "suspended_parts",
        column: "kind",
        id: version.to_string(),
        reason: format!("{kind} is not a kind of part"),
    })?;
    Ok(Suspended {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        part: Part {
            workflow_id: WorkflowId(row.try_get("workflow_id")?),
            version_id: VersionId(version),
            kind,
            id: row.try_get("part_id")?,
        },
        subject: row.try_get("subject")?,
        deaths: row.try_get("deaths")?,
        suspended_at: row.try_get("suspended_at")?,
    })
}
