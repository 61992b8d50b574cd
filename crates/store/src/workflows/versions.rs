//! Workflows and their versions.

use crate::access::tenants::{self, touch};
use crate::role::{Api, OneOf, Worker};
use crate::workflows::schedules;
use crate::{Conn, Error};
use automation_domain::facts::Tz;
use automation_domain::id::{RunId, TenantId, VersionId, WorkflowId};
use automation_domain::schedule::{CRON_EVENT, INTERVAL_EVENT};
use automation_domain::workflow::Workflow;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A workflow as stored.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredWorkflow {
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// Stable within the tenant.
    pub key: String,
    /// For people.
    pub name: String,
    /// `active`, `paused` or `archived`.
    pub state: String,
    /// The published version.
    pub version_id: VersionId,
    /// Its number, from 1.
    pub version: i32,
    /// Its definition.
    pub definition: Value,
    /// The version that was published from a file last, or that a file was the same as.
    pub file_version_id: Option<VersionId>,
}

/// A version that runs are pinned to.
#[derive(Clone, PartialEq, Debug)]
pub struct PinnedVersion {
    /// The version.
    pub version_id: VersionId,
    /// The key of its tenant.
    pub tenant: String,
    /// Its number.
    pub number: i32,
    /// Its definition.
    pub definition: Value,
}

/// What applying a definition did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// A new workflow, version 1.
    Created,
    /// The next version of a known workflow.
    Published {
        /// Its number.
        version: i32,
    },
    /// The published version is the same.
    Unchanged {
        /// Its number.
        version: i32,
    },
    /// The workflow is archived: nothing was published.
    Archived,
}

/// Where a definition comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A file that is kept somewhere: later ones are held against it.
    File,
    /// A draft, or an earlier version.
    Elsewhere,
}

/// What is used where rows have to be made, who makes them, and from what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Publication<'a> {
    /// The workflow, where it is a new one.
    pub workflow_id: WorkflowId,
    /// The version.
    pub version_id: VersionId,
    /// Who publishes it; nobody, when it is no person.
    pub published_by: Option<&'a str>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Publishes a compiled definition from a file, by nobody in particular; see [`publish`].
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn apply(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: &Workflow,
    workflow_id: WorkflowId,
    version_id: VersionId,
) -> Result<Applied, Error> {
    let publication = Publication { workflow_id, version_id, published_by: None, origin: Origin::File };
    publish(connection, tenant, workflow, publication).await
}

/// Publishes a compiled definition as the next version, unless it is the published one.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn publish(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: &Workflow,
    publication: Publication<'_>,
) -> Result<Applied, Error> {
    let new_version = publication.version_id;
    take_turns(connection, tenant).await?;
    let known = by_key(connection, tenant, &workflow.key).await?;
    if let Some(known) = &known {
        if known.state == "archived" {
            return Ok(Applied::Archived);
        }
        if known.definition == workflow.definition {
            if publication.origin == Origin::File && known.file_version_id != Some(known.version_id) {
                set_file_version(connection, tenant, known.workflow_id).await?;
            }
            return Ok(Applied::Unchanged { version: known.version });
        }
    }
    let workflow_id = known.as_ref().map_or(publication.workflow_id, |known| known.workflow_id);
    let number = known.as_ref().map_or(1, |known| known.version + 1);
    if known.is_none() {
        sqlx::query("INSERT INTO workflows (tenant_id, workflow_id, key, name, version_id) VALUES ($1, $2, $3, $4, $5)")
            .bind(tenant.0)
            .bind(workflow_id.0)
            .bind(&workflow.key)
            .bind(&workflow.name)
            .bind(new_version.0)
            .execute(connection.sql())
            .await?;
    }
    sqlx::query(
        "INSERT INTO workflow_versions (tenant_id, version_id, workflow_id, number, definition, entry_bytes, is_exclusive,
                                        published_by, window_days)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant.0)
    .bind(new_version.0)
    .bind(workflow_id.0)
    .bind(number)
    .bind(&workflow.definition)
    .bind(i64::try_from(workflow.entry_bytes).unwrap_or(i64::MAX))
    .bind(workflow.enrolment.is_exclusive())
    .bind(publication.published_by)
    .bind(workflow.window_days())
    .execute(connection.sql())
    .await?;
    insert_graph(connection, tenant, new_version, &workflow.definition).await?;
    let is_paused = known.as_ref().is_some_and(|known| known.state == "paused");
    schedules::publish(connection, tenant, workflow_id, new_version, workflow, is_paused).await?;
    if known.is_some() {
        sqlx::query(
            "UPDATE workflows SET version_id = $3, name = $4, updated_at = now()
              WHERE tenant_id = $1 AND workflow_id = $2",
        )
        .bind(tenant.0)
        .bind(workflow_id.0)
        .bind(new_version.0)
        .bind(&workflow.name)
        .execute(connection.sql())
        .await?;
    }
    if publication.origin == Origin::File {
        set_file_version(connection, tenant, workflow_id).await?;
    }
    touch(connection, tenant).await?;
    Ok(if known.is_none() { Applied::Created } else { Applied::Published { version: number } })
}

/// Notes that a file says what is published.
async fn set_file_version(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE workflows SET file_version_id = version_id WHERE tenant_id = $1 AND workflow_id = $2",
    )
    .bind(tenant.0)
    .bind(workflow.0)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Whoever changes a tenant's workflows waits here for others who do, until the transaction ends.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn take_turns(connection: &mut Conn<Api>, tenant: TenantId) -> Result<(), Error> {
    sqlx::query("SELECT 1 FROM tenants WHERE tenant_id = $1 FOR UPDATE")
        .bind(tenant.0)
        .execute(connection.sql())
        .await?;
    Ok(())
}

/// Checks that what ingest keeps in memory of all published workflows of a tenant stays within `most_bytes`: beyond them,
/// ingest would leave workflows out. In the transaction that published one.
///
/// # Errors
///
/// [`Error::EntryTooLarge`]; [`Error`] of the database.
pub async fn check_entry_bytes(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    most_bytes: usize,
) -> Result<(), Error> {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT coalesce(sum(v.entry_bytes), 0)::int8
           FROM workflows w JOIN workflow_versions v USING (tenant_id, version_id)
          WHERE w.tenant_id = $1 AND w.state IN ('active', 'paused')",
    )
    .bind(tenant.0)
    .fetch_one(connection.sql())
    .await?;
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes <= most_bytes { Ok(()) } else { Err(Error::EntryTooLarge { bytes, most_bytes }) }
}

/// Writes nodes, edges and triggers as rows of their own: what lists and searches read.
async fn insert_graph(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    version: VersionId,
    definition: &Value,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO workflow_nodes (tenant_id, version_id, node_id, position, action, config)
         SELECT $1, $2, n->>'id', o, n->>'action', coalesce(n->'with', '{}')
           FROM jsonb_array_elements($3->'nodes') WITH ORDINALITY AS u (n, o)",
    )
    .bind(tenant.0)
    .bind(version.0)
    .bind(definition)
    .execute(connection.sql())
    .await?;
    sqlx::query(
        "INSERT INTO workflow_edges (tenant_id, version_id, position, from_id, case_name, to_id)
         SELECT $1, $2, o, coalesce(e->>'from', e->>0), e->>'case', coalesce(e->>'to', e->>1)
           FROM jsonb_array_elements($3->'edges') WITH ORDINALITY AS u (e, o)",
    )
    .bind(tenant.0)
    .bind(version.0)
    .bind(definition)
    .execute(connection.sql())
    .await?;
    sqlx::query(
        "INSERT INTO workflow_triggers (tenant_id, version_id, trigger_id, event_type, condition)
         SELECT $1, $2, t->>'id',
                coalesce(t->>'event', CASE WHEN t->'schedule' ? 'cron' THEN $4 ELSE $5 END), t->'where'
           FROM jsonb_array_elements($3->'triggers') AS u (t)",
    )
    .bind(tenant.0)
    .bind(version.0)
    .bind(definition)
    .bind(CRON_EVENT)
    .bind(INTERVAL_EVENT)
    .execute(connection.sql())
    .await?;
    Ok(())
}

const SELECT: &str = "SELECT w.workflow_id, w.key, w.name, w.state, w.version_id, v.number, v.definition,
        w.file_version_id FROM workflows w JOIN workflow_versions v USING (tenant_id, version_id)";

/// The workflow with this key.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn by_key(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    key: &str,
) -> Result<Option<StoredWorkflow>, Error> {
    let sql = format!("{SELECT} WHERE w.tenant_id = $1 AND w.key = $2 AND w.state <> 'deleted'");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(key)
        .fetch_optional(connection.sql())
        .await?;
    row.map(|row| stored(&row)).transpose()
}

/// All workflows of a tenant, archived ones too, by key.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(connection: &mut Conn<Api>, tenant: TenantId) -> Result<Vec<StoredWorkflow>, Error> {
    let sql = format!("{SELECT} WHERE w.tenant_id = $1 AND w.state <> 'deleted' ORDER BY w.key");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant.0).fetch_all(connection.sql()).await?;
    rows.iter().map(stored).collect()
}

/// Pauses (`paused`) or resumes (`active`) a workflow; `false` when it was so already, or is archived.
///
/// Schedules stop with it, and go on where they were. After resuming, [`release_held`] wakes the runs that were held.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn set_state(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
    state: &str,
) -> Result<bool, Error> {
    // First the tenant's row, as in `publish`: both take the same locks in the same order.
    take_turns(connection, tenant).await?;
    lock_state(connection, workflow).await?;
    let changed = sqlx::query(
        "UPDATE workflows SET state = $3, updated_at = now()
          WHERE tenant_id = $1 AND workflow_id = $2 AND state <> $3 AND state IN ('active', 'paused')",
    )
    .bind(tenant.0)
    .bind(workflow.0)
    .bind(state)
    .execute(connection.sql())
    .await?
    .rows_affected();
    if changed == 0 {
        return Ok(false);
    }
    touch(connection, tenant).await?;
    schedules::set_paused(connection, tenant, workflow, state == "paused").await?;
    Ok(true)
}

/// Wakes up to `limit` runs that were held while their workflow was paused, those after `after`, but for those that a person paused. Returns the last
/// of them, to go on from in the next transaction, or `None` when no more are held or the workflow is paused again.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn release_held(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
    after: Option<RunId>,
    limit: i64,
) -> Result<Option<RunId>, Error> {
    lock_state(connection, workflow).await?;
    let last: Option<Uuid> = sqlx::query_scalar(
        "WITH held AS (
             UPDATE runs_open SET status = CASE WHEN state IS NULL THEN 'queued' ELSE 'waiting' END
              WHERE tenant_id = $1 AND run_id = ANY (ARRAY(
                    SELECT run_id FROM runs_open
                     WHERE tenant_id = $1 AND run_id > $3 AND workflow_id = $2 AND status = 'paused'
                       AND NOT is_held ORDER BY run_id LIMIT $4))
                AND status = 'paused' AND NOT is_held
                AND EXISTS (SELECT 1 FROM workflows WHERE tenant_id = $1 AND workflow_id = $2 AND state <> 'paused')
          RETURNING tenant_id, run_id),
         woken AS (
             UPDATE wakeups w SET ready_at = now(), due_at = now(), sweeps = 0, reason = 'resume' FROM held
              WHERE w.tenant_id = held.tenant_id AND w.run_id = held.run_id AND w.ready_at = 'infinity')
         SELECT run_id FROM held ORDER BY run_id DESC LIMIT 1",
    )
    .bind(tenant.0)
    .bind(workflow.0)
    .bind(after.map_or(Uuid::nil(), |run| run.0))
    .bind(limit)
    .fetch_optional(connection.sql())
    .await?;
    Ok(last.map(RunId))
}

/// Whoever holds a run because its workflow is paused does so before this, and is seen after it, or sees what follows it.
pub(super) async fn lock_state(connection: &mut Conn<Api>, workflow: WorkflowId) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))")
        .bind(workflow.0)
        .execute(connection.sql())
        .await?;
    Ok(())
}

/// The versions with these ids, and which workflows are paused.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn versions(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    ids: &[(TenantId, VersionId)],
) -> Result<BTreeMap<VersionId, PinnedVersion>, Error> {
    let (tenants, versions): (Vec<Uuid>, Vec<Uuid>) = ids.iter().map(|(tenant, id)| (tenant.0, id.0)).unzip();
    let rows = sqlx::query(
        "SELECT v.version_id, n.key AS tenant, v.number, v.definition FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
           JOIN workflow_versions v ON v.tenant_id = u.t AND v.version_id = u.i
           JOIN tenants n ON n.tenant_id = u.t",
    )
    .bind(tenants)
    .bind(versions)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            let version_id = VersionId(row.try_get("version_id")?);
            let version = PinnedVersion {
                version_id,
                tenant: row.try_get("tenant")?,
                number: row.try_get("number")?,
                definition: row.try_get("definition")?,
            };
            Ok((version_id, version))
        })
        .collect()
}

/// The number of the version of each workflow that was published at some moment; none for one that came later.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn published_at(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    at: DateTime<Utc>,
) -> Result<BTreeMap<WorkflowId, i32>, Error> {
    let rows: Vec<(Uuid, i32)> = sqlx::query_as(
        "SELECT workflow_id, max(number) FROM workflow_versions
          WHERE tenant_id = $1 AND published_at <= $2 GROUP BY workflow_id",
    )
    .bind(tenant.0)
    .bind(at)
    .fetch_all(connection.sql())
    .await?;
    Ok(rows.into_iter().map(|(workflow, number)| (WorkflowId(workflow), number)).collect())
}

/// Those of these workflows that are paused, and that stay so until the transaction ends.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn keep_paused(
    connection: &mut Conn<Worker>,
    workflows: &[(TenantId, WorkflowId)],
) -> Result<Vec<WorkflowId>, Error> {
    let mut ids: Vec<Uuid> = workflows.iter().map(|(_, id)| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    sqlx::query(
        "SELECT pg_advisory_xact_lock_shared(hashtextextended(i::text, 0))
           FROM unnest($1::uuid[]) WITH ORDINALITY AS u (i, n) ORDER BY n",
    )
    .bind(ids)
    .execute(connection.sql())
    .await?;
    Ok(standing(connection, workflows).await?.paused)
}

/// What is so for runs of some workflows at a moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Standing {
    /// The moment of the transaction, in the database's clock.
    pub now: DateTime<Utc>,
    /// Those of the workflows that are paused.
    pub paused: Vec<WorkflowId>,
    /// The time zones of their tenants; one that is not here is in UTC.
    pub zones: BTreeMap<TenantId, Tz>,
}

/// What is so for runs of these workflows now.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn standing(
    connection: &mut Conn<Worker>,
    workflows: &[(TenantId, WorkflowId)],
) -> Result<Standing, Error> {
    let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) =
        workflows.iter().map(|(tenant, id)| (tenant.0, id.0)).unzip();
    let row = sqlx::query(
        "SELECT now() AS now,
                ARRAY(SELECT w.workflow_id FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
                        JOIN workflows w ON w.tenant_id = u.t AND w.workflow_id = u.i WHERE w.state = 'paused') AS paused,
                (SELECT jsonb_object_agg(n.tenant_id, n.timezone) FROM tenants n
                  WHERE n.tenant_id = ANY($1) AND n.timezone <> 'UTC') AS zones",
    )
    .bind(tenants)
    .bind(ids)
    .fetch_one(connection.sql())
    .await?;
    let paused: Vec<Uuid> = row.try_get("paused")?;
    Ok(Standing {
        now: row.try_get("now")?,
        paused: paused.into_iter().map(WorkflowId).collect(),
        zones: tenants::zones_in(&row)?,
    })
}

fn stored(row: &PgRow) -> Result<StoredWorkflow, Error> {
    Ok(StoredWorkflow {
        workflow_id: WorkflowId(row.try_get("workflow_id")?),
        key: row.try_get("key")?,
        name: row.try_get("name")?,
        state: row.try_get("state")?,
        version_id: VersionId(row.try_get("version_id")?),
        version: row.try_get("number")?,
        definition: row.try_get("definition")?,
        file_version_id: row.try_get::<Option<Uuid>, _>("file_version_id")?.map(VersionId),
    })
}
