//! Notes on contacts.

use super::Made;
use super::lists::{Listed, RecordFilter, listed, page};
use crate::role::{Api, Worker};
use crate::{Conn, Error};
use automation_domain::id::{ContactId, RecordId, TenantId};
use automation_domain::record::Note;
use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder, Row};

/// Writes notes. A note of a step that was written already stays as it is: its id is derived from the step.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert(
    connection: &mut Conn<Worker>,
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
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Lists notes, those of the latest runs first.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    filter: &RecordFilter,
    limit: i64,
) -> Result<Vec<Listed<Note>>, Error> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT r.*, c.subject FROM (SELECT r.* FROM notes r");
    page(&mut query, "r.note_id", tenant, filter, limit);
    let rows = query.build().fetch_all(connection.sql()).await?;
    rows.iter()
        .map(|row| {
            let note = Note {
                note_id: RecordId(row.try_get("note_id")?),
                contact_id: ContactId(row.try_get("contact_id")?),
                text: row.try_get("body")?,
            };
            listed(row, note, None)
        })
        .collect()
}
