//! What runs are for: a row for each run of a workflow with a goal, kept for as long as an event may meet it, also when the run
//! has ended.

mod meet;

pub use meet::{meet, tell_again};

use crate::role::{Api, Scheduler, Worker};
use crate::runs::waits::Happened;
use crate::{Conn, Error};
use automation_domain::id::{ContactId, EventId, RunId, TenantId, VersionId, WorkflowId};
use automation_domain::interpreter::Reached;
use automation_domain::workflow::{RunGoal, Window};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

/// Most runs of a contact that one event is held against.
const MOST_AT_ONCE: i64 = 1_000;

/// What a run is for.
#[derive(Clone, PartialEq, Debug)]
pub struct Goal {
    /// Whose run.
    pub tenant_id: TenantId,
    /// Whose events.
    pub contact_id: ContactId,
    /// Of which type.
    pub event_type: String,
    /// The run.
    pub run_id: RunId,
    /// Its workflow.
    pub workflow_id: WorkflowId,
    /// The version that it began with.
    pub version_id: VersionId,
    /// What started it, which is no goal of it.
    pub event_id: EventId,
    /// What counts happened within this.
    pub window: Window,
    /// Whether it ends the run.
    pub ends_run: bool,
    /// What has to hold of the event.
    pub filter: RunGoal,
}

/// An event that a run is for.
#[derive(Clone, PartialEq, Debug)]
pub struct Met {
    /// What the run is for.
    pub goal: Goal,
    /// The event.
    pub event_id: EventId,
    /// What the run is told of it.
    pub reached: Reached,
}

/// How many runs a version had, and how many of them met their goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// The version.
    pub version: i32,
    /// Runs.
    pub entered: i64,
    /// Those that met their goal.
    pub converted: i64,
}

/// Keeps what these runs, which are being made, are for.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert(connection: &mut Conn<Worker>, goals: &[Goal]) -> Result<(), Error> {
    if goals.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($goal:ident => $value:expr) => {
            goals.iter().map(|$goal| $value).collect::<Vec<_>>()
        };
    }
    let filters = goals.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO run_goals (tenant_id, contact_id, event_type, run_id, workflow_id, version_id, event_id, began_at,
                                until, ends_run, filter)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::uuid[], $7::uuid[],
                              $8::timestamptz[], $9::timestamptz[], $10::bool[], $11::text[])
         ON CONFLICT DO NOTHING",
    )
    .bind(column!(goal => goal.tenant_id.0))
    .bind(column!(goal => goal.contact_id.0))
    .bind(column!(goal => goal.event_type.as_str()))
    .bind(column!(goal => goal.run_id.0))
    .bind(column!(goal => goal.workflow_id.0))
    .bind(column!(goal => goal.version_id.0))
    .bind(column!(goal => goal.event_id.0))
    .bind(column!(goal => goal.window.began_at))
    .bind(column!(goal => goal.window.until))
    .bind(column!(goal => goal.ends_run))
    .bind(filters)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// What runs are for that has not happened yet and any of these may be, each with which one that is, by its place in `happened`.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn of(
    connection: &mut Conn<Worker>,
    happened: &[Happened<'_>],
) -> Result<Vec<(usize, Goal)>, Error> {
    let rows = sqlx::query(
        "SELECT u.n, l.* FROM unnest($1::uuid[], $2::uuid[], $3::text[]) WITH ORDINALITY AS u (t, c, e, n)
          CROSS JOIN LATERAL (SELECT g.* FROM run_goals g
                               WHERE g.tenant_id = u.t AND g.contact_id = u.c AND g.event_type = u.e AND g.met_at IS NULL
                               -- Those whose time is over come last: they wait to be forgotten.
                               ORDER BY g.until DESC LIMIT $4) AS l
          ORDER BY u.n",
    )
    .bind(happened.iter().map(|one| one.tenant_id.0).collect::<Vec<_>>())
    .bind(happened.iter().map(|one| one.contact_id.0).collect::<Vec<_>>())
    .bind(happened.iter().map(|one| one.event_type).collect::<Vec<_>>())
    .bind(MOST_AT_ONCE)
    .fetch_all(connection.sql())
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let number = usize::try_from(row.try_get::<i64, _>("n")? - 1).unwrap_or_default();
        found.extend(readable(row)?.map(|goal| (number, goal)));
    }
    Ok(found)
}

/// What the runs are for that these events started, where it has not happened yet.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn started_by(
    connection: &mut Conn<Worker>,
    events: &[(TenantId, ContactId, EventId)],
) -> Result<Vec<Goal>, Error> {
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "SELECT l.* FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS u (t, c, e)
          CROSS JOIN LATERAL (SELECT g.* FROM run_goals g
                               WHERE g.tenant_id = u.t AND g.contact_id = u.c AND g.event_id = u.e AND g.met_at IS NULL
                               LIMIT $4) AS l",
    )
    .bind(events.iter().map(|(tenant, ..)| tenant.0).collect::<Vec<_>>())
    .bind(events.iter().map(|(_, contact, _)| contact.0).collect::<Vec<_>>())
    .bind(events.iter().map(|(.., event)| event.0).collect::<Vec<_>>())
    .bind(MOST_AT_ONCE)
    .fetch_all(connection.sql())
    .await?;
    let goals = rows.iter().map(readable).collect::<Result<Vec<_>, _>>()?;
    Ok(goals.into_iter().flatten().collect())
}

/// One that cannot be read keeps no other event from being taken in: it is never met.
fn readable(row: &PgRow) -> Result<Option<Goal>, Error> {
    match goal(row) {
        Ok(goal) => Ok(Some(goal)),
        Err(error @ Error::Unreadable { .. }) => {
            tracing::error!(%error, "what a run is for cannot be read");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// How many runs each version of a workflow had since it has a goal, and how many met it; the latest version first.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn counts(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    workflow: WorkflowId,
) -> Result<Vec<Counts>, Error> {
    let rows = sqlx::query(
        "SELECT v.number, sum(x.entered)::int8 AS entered, sum(x.converted)::int8 AS converted
           FROM workflow_versions v
          CROSS JOIN LATERAL (
                SELECT count(*) AS entered, count(met_at) AS converted FROM run_goals g
                 WHERE g.tenant_id = v.tenant_id AND g.version_id = v.version_id
                UNION ALL
                SELECT c.entered, c.converted FROM goal_counts c
                 WHERE c.tenant_id = v.tenant_id AND c.workflow_id = v.workflow_id AND c.version_id = v.version_id) AS x
          WHERE v.tenant_id = $1 AND v.workflow_id = $2
          GROUP BY v.number HAVING sum(x.entered) > 0 ORDER BY v.number DESC",
    )
    .bind(tenant.0)
    .bind(workflow.0)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Counts {
                version: row.try_get("number")?,
                entered: row.try_get("entered")?,
                converted: row.try_get("converted")?,
            })
        })
        .collect()
}

/// Counts up to `most` goals that no event can meet any more, and forgets them; returns how many.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire(connection: &mut Conn<Scheduler>, most: i32) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT goals_expire($1)").bind(most).fetch_one(connection.sql()).await?)
}

fn encode(goal: &Goal) -> Result<String, Error> {
    serde_json::to_string(&goal.filter).map_err(|error| unreadable(goal.run_id, error.to_string()))
}

fn goal(row: &PgRow) -> Result<Goal, Error> {
    let run_id = RunId(row.try_get("run_id")?);
    let filter: String = row.try_get("filter")?;
    Ok(Goal {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        contact_id: ContactId(row.try_get("contact_id")?),
        event_type: row.try_get("event_type")?,
        run_id,
        workflow_id: WorkflowId(row.try_get("workflow_id")?),
        version_id: VersionId(row.try_get::<Uuid, _>("version_id")?),
        event_id: EventId(row.try_get("event_id")?),
        window: Window { began_at: row.try_get("began_at")?, until: row.try_get("until")? },
        ends_run: row.try_get("ends_run")?,
        filter: serde_json::from_str(&filter).map_err(|error| unreadable(run_id, error.to_string()))?,
    })
}

fn unreadable(run: RunId, reason: String) -> Error {
    Error::Unreadable { table: "run_goals", column: "filter", id: run.to_string(), reason }
}
