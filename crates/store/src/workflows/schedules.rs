//! Schedules of published workflows.

use crate::role::{Api, Scheduler};
use crate::{Conn, Error};
use automation_domain::id::{ScheduleId, TenantId, VersionId, WorkflowId};
use automation_domain::workflow::Workflow;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// A schedule that this scheduler holds until its transaction ends.
#[derive(Clone, PartialEq, Debug)]
pub struct Due {
    /// Whose schedule.
    pub tenant_id: TenantId,
    /// The tenant's key.
    pub tenant: String,
    /// Which schedule.
    pub schedule_id: ScheduleId,
    /// `schedule` of the trigger.
    pub definition: Value,
    /// What an interval counts from unless it names an anchor.
    pub anchor_at: DateTime<Utc>,
    /// The first slot that is not decided on.
    pub next_slot_at: DateTime<Utc>,
}

/// Where a schedule goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advance {
    /// Whose schedule.
    pub tenant_id: TenantId,
    /// Which schedule.
    pub schedule_id: ScheduleId,
    /// The next slot, and when to look again; `None` when there is none any more.
    pub next: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// The last slot that fired, if one did.
    pub last_slot_at: Option<DateTime<Utc>>,
    /// Slots that fired.
    pub fired: i64,
    /// Slots that were missed and are not made up for.
    pub skipped: i64,
}

/// A schedule as people look at it.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredSchedule {
    /// Which schedule.
    pub schedule_id: ScheduleId,
    /// Key of its workflow.
    pub workflow: String,
    /// Its trigger.
    pub trigger: String,
    /// Number of the published version.
    pub version: i32,
    /// `schedule` of the trigger.
    pub definition: Value,
    /// What an interval counts from unless it names an anchor.
    pub anchor_at: DateTime<Utc>,
    /// Whether its workflow is paused.
    pub paused: bool,
    /// The next slot; none when it has ended.
    pub next_slot_at: Option<DateTime<Utc>>,
    /// The last slot that fired.
    pub last_slot_at: Option<DateTime<Utc>>,
    /// Slots that fired since it was published.
    pub fired: i64,
    /// Slots that were missed and not made up for since it was published.
    pub skipped: i64,
}

/// Takes up to `limit` schedules that are due, the longest due first, with the database's time.
///
/// Rows another scheduler holds are skipped. They stay locked until the transaction ends: [`advance`] them in it.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn take_due(
    connection: &mut Conn<Scheduler>,
    limit: i64,
) -> Result<(DateTime<Utc>, Vec<Due>), Error> {
    let now = crate::events::receipts::now(connection).await?;
    let rows = sqlx::query(
        "SELECT tenant_id, tenant_key, schedule_id, definition, anchor_at, next_slot_at FROM workflow_schedules
          WHERE due_at <= $1 ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED",
    )
    .bind(now)
    .bind(limit)
    .fetch_all(connection.sql())
    .await?;
    let due = rows
        .iter()
        .map(|row| {
            Ok(Due {
                tenant_id: TenantId(row.try_get("tenant_id")?),
                tenant: row.try_get("tenant_key")?,
                schedule_id: ScheduleId(row.try_get("schedule_id")?),
                definition: row.try_get("definition")?,
                anchor_at: row.try_get("anchor_at")?,
                next_slot_at: row.try_get("next_slot_at")?,
            })
        })
        .collect::<Result<_, Error>>()?;
    Ok((now, due))
}

/// Moves schedules on that [`take_due`] gave.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn advance(connection: &mut Conn<Scheduler>, steps: &[Advance]) -> Result<(), Error> {
    sqlx::query(
        "UPDATE workflow_schedules s
            SET next_slot_at = u.next, due_at = coalesce(u.due, 'infinity'),
                last_slot_at = coalesce(u.last, s.last_slot_at), fired = s.fired + u.fired, skipped = s.skipped + u.skipped
           FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::int8[], $7::int8[])
                AS u (tenant, schedule, next, due, last, fired, skipped)
          WHERE s.tenant_id = u.tenant AND s.schedule_id = u.schedule",
    )
    .bind(steps.iter().map(|step| step.tenant_id.0).collect::<Vec<_>>())
    .bind(steps.iter().map(|step| step.schedule_id.0).collect::<Vec<_>>())
    .bind(steps.iter().map(|step| step.next.map(|(slot, _)| slot)).collect::<Vec<_>>())
    .bind(steps.iter().map(|step| step.next.map(|(_, due)| due)).collect::<Vec<_>>())
    .bind(steps.iter().map(|step| step.last_slot_at).collect::<Vec<_>>())
    .bind(steps.iter().map(|step| step.fired).collect::<Vec<_>>())
    .bind(steps.iter().map(|step| step.skipped).collect::<Vec<_>>())
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// How long until the next schedule is due; zero when one is, `None` when there is none.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn next_due_in(connection: &mut Conn<Scheduler>) -> Result<Option<Duration>, Error> {
    let seconds: Option<f64> = sqlx::query_scalar(
        "SELECT extract(epoch FROM min(due_at) - now())::float8 FROM workflow_schedules WHERE due_at < 'infinity'",
    )
    .fetch_one(connection.sql())
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)))
}

/// All schedules of a tenant, by workflow and trigger.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(connection: &mut Conn<Api>, tenant: TenantId) -> Result<Vec<StoredSchedule>, Error> {
    let rows = sqlx::query(
        "SELECT s.schedule_id, w.key, s.trigger_id, v.number, s.definition, s.anchor_at, s.paused, s.next_slot_at,
                s.last_slot_at, s.fired, s.skipped
           FROM workflow_schedules s JOIN workflows w USING (tenant_id, workflow_id)
           JOIN workflow_versions v ON v.tenant_id = s.tenant_id AND v.version_id = s.version_id
          WHERE s.tenant_id = $1 ORDER BY w.key, s.trigger_id",
    )
    .bind(tenant.0)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(stored).collect()
}

/// Makes the schedules of a workflow those of the version that is being published.
///
/// One that is as it was keeps its position; one that is new, or changed, begins after this moment.
pub(crate) async fn publish(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow_id: WorkflowId,
    version: VersionId,
    workflow: &Workflow,
    paused: bool,
) -> Result<(), Error> {
    let known: BTreeMap<String, Value> = sqlx::query_as(
        "SELECT trigger_id, definition FROM workflow_schedules WHERE tenant_id = $1 AND workflow_id = $2
          ORDER BY trigger_id FOR UPDATE",
    )
    .bind(tenant.0)
    .bind(workflow_id.0)
    .fetch_all(connection.sql())
    .await?
    .into_iter()
    .collect();
    if known.is_empty() && workflow.triggers.iter().all(|trigger| trigger.schedule.is_none()) {
        return Ok(());
    }
    let definition_of = |position: usize| &workflow.definition["triggers"][position]["schedule"];
    let kept: Vec<&str> = workflow
        .triggers
        .iter()
        .enumerate()
        .filter(|(position, trigger)| known.get(&trigger.id) == Some(definition_of(*position)))
        .map(|(_, trigger)| trigger.id.as_str())
        .collect();
    sqlx::query(
        "DELETE FROM workflow_schedules WHERE tenant_id = $1 AND workflow_id = $2 AND trigger_id <> ALL ($3)",
    )
    .bind(tenant.0)
    .bind(workflow_id.0)
    .bind(&kept)
    .execute(connection.sql())
    .await?;
    sqlx::query("UPDATE workflow_schedules SET version_id = $3 WHERE tenant_id = $1 AND workflow_id = $2")
        .bind(tenant.0)
        .bind(workflow_id.0)
        .bind(version.0)
        .execute(connection.sql())
        .await?;
    let now = crate::events::receipts::now(connection).await?;
    for (position, trigger) in workflow.triggers.iter().enumerate() {
        let Some(schedule) = trigger.schedule.clone().filter(|_| !kept.contains(&trigger.id.as_str())) else {
            continue;
        };
        let id = ScheduleId::derive(workflow_id, &trigger.id);
        let schedule = schedule.anchored(now);
        let next = schedule.next_after(now);
        let due = next.filter(|_| !paused).map(|slot| schedule.due_at(id, slot));
        sqlx::query(
            "INSERT INTO workflow_schedules (tenant_id, workflow_id, trigger_id, schedule_id, version_id, tenant_key,
                                             definition, anchor_at, paused, next_slot_at, due_at)
             SELECT tenant_id, $2, $3, $4, $5, key, $6, $7, $8, $9, coalesce($10, 'infinity'::timestamptz)
               FROM tenants WHERE tenant_id = $1",
        )
        .bind(tenant.0)
        .bind(workflow_id.0)
        .bind(&trigger.id)
        .bind(id.0)
        .bind(version.0)
        .bind(definition_of(position))
        .bind(now)
        .bind(paused)
        .bind(next)
        .bind(due)
        .execute(connection.sql())
        .await?;
    }
    Ok(())
}

/// Removes the schedules of a workflow: it fires no more.
pub(crate) async fn remove(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM workflow_schedules WHERE tenant_id = $1 AND workflow_id = $2")
        .bind(tenant.0)
        .bind(workflow.0)
        .execute(connection.sql())
        .await?;
    Ok(())
}

/// Stops the schedules of a workflow where they are, or lets them go on from there.
///
/// Slots of the time between are missed ones: the scheduler treats them as each schedule says.
pub(crate) async fn set_paused(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
    paused: bool,
) -> Result<(), Error> {
    // The scheduler looks at a slot's jitter itself: looking too early does no harm.
    sqlx::query(
        "UPDATE workflow_schedules
            SET paused = $3, due_at = CASE WHEN $3 THEN 'infinity' ELSE coalesce(next_slot_at, 'infinity') END
          WHERE tenant_id = $1 AND workflow_id = $2",
    )
    .bind(tenant.0)
    .bind(workflow.0)
    .bind(paused)
    .execute(connection.sql())
    .await?;
    Ok(())
}

fn stored(row: &PgRow) -> Result<StoredSchedule, Error> {
    Ok(StoredSchedule {
        schedule_id: ScheduleId(row.try_get::<Uuid, _>("schedule_id")?),
        workflow: row.try_get("key")?,
        trigger: row.try_get("trigger_id")?,
        version: row.try_get("number")?,
        definition: row.try_get("definition")?,
        anchor_at: row.try_get("anchor_at")?,
        paused: row.try_get("paused")?,
        next_slot_at: row.try_get("next_slot_at")?,
        last_slot_at: row.try_get("last_slot_at")?,
        fired: row.try_get("fired")?,
        skipped: row.try_get("skipped")?,
    })
}
