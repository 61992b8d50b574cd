//! The records that events and steps change: a module for each.

pub mod contacts;
mod lists;
pub mod notes;
pub mod tasks;

pub use lists::{Listed, RecordFilter};

use crate::role::{Api, Worker};
use crate::upkeep::usage::Metered;
use crate::{Conn, Error};
use automation_domain::id::{RecordId, RunId, TenantId};
use automation_domain::record::{EmittedEvent, Record, RecordChange};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A record, or a change of one, and the run that makes it.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a, T> {
    /// Whose record.
    pub tenant_id: TenantId,
    /// The run.
    pub run_id: RunId,
    /// The record.
    pub record: &'a T,
}

/// Writes the changes of a checkpoint, record by record and each in the order given, and gives the events that they cause, each
/// with the index of its change, in that order.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn write(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    changes: &[Made<'_, RecordChange>],
) -> Result<Vec<(usize, EmittedEvent)>, Error> {
    let mut events = contacts::apply(connection, now, changes).await?;
    let (mut notes, mut tasks) = (Vec::new(), Vec::new());
    for (index, &Made { tenant_id, run_id, record }) in changes.iter().enumerate() {
        match record {
            RecordChange::Contact { .. } => {}
            RecordChange::AddNote(record) => notes.push(Made { tenant_id, run_id, record }),
            RecordChange::CreateTask(record) => {
                tasks.push(Made { tenant_id, run_id, record });
                events.push((index, record.created()));
            }
        }
    }
    notes::insert(connection, now, &notes).await?;
    tasks::insert(connection, now, &tasks).await?;
    events.sort_by_key(|(index, _)| *index);
    Ok(events)
}

/// The table that a kind of record counts to.
pub fn metered(record: Record) -> Metered {
    match record {
        Record::Contact => Metered::Contacts,
        Record::Task => Metered::Tasks,
        Record::Note => Metered::Notes,
    }
}

/// What notes and tasks with these ids say, as JSON by id. Of tasks also what was done with them since.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn by_ids(
    connection: &mut Conn<Api>,
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
    .fetch_all(connection.sql())
    .await?;
    Ok(rows.into_iter().map(|(id, Json(record))| (RecordId(id), record)).collect())
}
