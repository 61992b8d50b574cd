//! Tasks and notes.

use crate::Error;
use automation_domain::id::{RecordId, RunId, TenantId};
use automation_domain::record::{Note, Task};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A record and the run that makes it.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a, T> {
    /// Whose record.
    pub tenant_id: TenantId,
    /// The run.
    pub run_id: RunId,
    /// The record.
    pub record: &'a T,
}

/// Writes notes. A note of a step that was written already stays as it is: its id is derived from the step.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert_notes(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    notes: &[Made<'_, Note>],
) -> Result<(), Error> {
    if notes.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($made:ident => $value:expr) => {
            notes.iter().map(|$made| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "INSERT INTO notes (tenant_id, note_id, contact_id, run_id, body, created_at)
         SELECT t, n, c, r, b, $6 FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[])
                AS u (t, n, c, r, b)
         ON CONFLICT DO NOTHING",
    )
    .bind(column!(made => made.tenant_id.0))
    .bind(column!(made => made.record.note_id.0))
    .bind(column!(made => made.record.contact_id.0))
    .bind(column!(made => made.run_id.0))
    .bind(column!(made => made.record.text.as_str()))
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes tasks, like [`insert_notes`].
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert_tasks(
    connection: &mut PgConnection,
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
    .execute(connection)
    .await?;
    Ok(())
}

/// What notes and tasks with these ids say, as JSON by id; role api. Of tasks also what was done with them since.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn by_ids(
    connection: &mut PgConnection,
    tenant: TenantId,
    ids: &[RecordId],
) -> Result<BTreeMap<RecordId, Value>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let rows: Vec<(Uuid, Json<Value>)> = sqlx::query_as(
        "SELECT note_id, jsonb_build_object('text', body) FROM notes WHERE tenant_id = $1 AND note_id = ANY($2)
         UNION ALL
         SELECT task_id, jsonb_strip_nulls(jsonb_build_object('title', title, 'description', description,
                'due_at', due_at, 'assignee', assignee, 'status', status))
           FROM tasks WHERE tenant_id = $1 AND task_id = ANY($2)",
    )
    .bind(tenant.0)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(id, Json(record))| (RecordId(id), record)).collect())
}
