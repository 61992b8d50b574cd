//! Tasks for people.

use super::Made;
use super::lists::{Listed, RecordFilter, listed, page};
use crate::role::{Api, Worker};
use crate::{Conn, Error};
use automation_domain::id::{ContactId, RecordId, TenantId};
use automation_domain::record::Task;
use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder, Row};
use uuid::Uuid;

/// Writes tasks. A task of a step that was written already stays as it is: its id is derived from the step.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    tasks: &[Made<'_, Task>],
) -> Result<(), Error> {
    if tasks.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($made:ident => $value:expr) => {
            tasks.iter().map(|$made| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "INSERT INTO tasks (tenant_id, task_id, contact_id, run_id, title, description, due_at, assignee, created_at)
         SELECT t, k, c, r, i, d, a, s, $9
           FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[],
                       $8::text[]) AS u (t, k, c, r, i, d, a, s)
         ON CONFLICT DO NOTHING",
    )
    .bind(column!(made => made.tenant_id.0))
    .bind(column!(made => made.record.task_id.0))
    .bind(column!(made => made.record.contact_id.map(|id| id.0)))
    .bind(column!(made => made.run_id.0))
    .bind(column!(made => made.record.title.as_str()))
    .bind(column!(made => made.record.description.as_deref()))
    .bind(column!(made => made.record.due_at))
    .bind(column!(made => made.record.assignee.as_deref()))
    .bind(now)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Lists tasks, those of the latest runs first.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    filter: &RecordFilter,
    limit: i64,
) -> Result<Vec<Listed<Task>>, Error> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT r.*, c.subject FROM (SELECT r.* FROM tasks r");
    page(&mut query, "r.task_id", tenant, filter, limit);
    let rows = query.build().fetch_all(connection.sql()).await?;
    rows.iter()
        .map(|row| {
            let task = Task {
                task_id: RecordId(row.try_get("task_id")?),
                contact_id: row.try_get::<Option<Uuid>, _>("contact_id")?.map(ContactId),
                subject: row.try_get("subject")?,
                title: row.try_get("title")?,
                description: row.try_get("description")?,
                due_at: row.try_get("due_at")?,
                assignee: row.try_get("assignee")?,
            };
            listed(row, task, row.try_get("status")?)
        })
        .collect()
}
