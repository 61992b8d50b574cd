//! Parked events: what ingest refused, with its original bytes.

use crate::Error;
use automation_domain::id::TenantId;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// A message, or a member of a batch, that was refused.
#[derive(Clone, PartialEq, Debug)]
pub struct Parked {
    /// A hash of reason and message: parking twice is one row with two occurrences.
    pub parked_id: Uuid,
    /// The tenant, when it could be told.
    pub tenant_id: Option<TenantId>,
    /// Stable code.
    pub reason: String,
    /// One sentence.
    pub detail: String,
    /// The queue it was taken from.
    pub queue: String,
    /// Its routing key.
    pub routing_key: String,
    /// Its content type.
    pub content_type: Option<String>,
    /// The broker user who published it.
    pub amqp_user: Option<String>,
    /// Its headers.
    pub headers: Map<String, Value>,
    /// The bytes as received.
    pub body: Vec<u8>,
    /// How often it was parked.
    pub occurrences: i32,
    /// When it was first parked.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last parked.
    pub last_seen_at: DateTime<Utc>,
}

/// Records a parked message; role scheduler.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn record(connection: &mut PgConnection, parked: &Parked) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO parked_events (parked_id, tenant_id, reason, detail, queue, routing_key, content_type, amqp_user,
                                    headers, body, first_seen_at, last_seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (parked_id) DO UPDATE SET occurrences = parked_events.occurrences + 1, last_seen_at = $12",
    )
    .bind(parked.parked_id)
    .bind(parked.tenant_id.map(|id| id.0))
    .bind(&parked.reason)
    .bind(&parked.detail)
    .bind(&parked.queue)
    .bind(&parked.routing_key)
    .bind(&parked.content_type)
    .bind(&parked.amqp_user)
    .bind(Json(&parked.headers))
    .bind(&parked.body)
    .bind(parked.first_seen_at)
    .bind(parked.last_seen_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// Lists parked messages, the latest first, from before `cursor`; roles operator (all) and api (one tenant's).
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(
    connection: &mut PgConnection,
    reason: Option<&str>,
    cursor: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Parked>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM parked_events
          WHERE ($1::text IS NULL OR reason = $1)
            AND ($2::timestamptz IS NULL OR (last_seen_at, parked_id) < ($2, $3))
          ORDER BY last_seen_at DESC, parked_id DESC LIMIT $4",
    )
    .bind(reason)
    .bind(cursor.map(|(at, _)| at))
    .bind(cursor.map(|(_, id)| id))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(parked).collect()
}

/// Reads one parked message.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn by_id(connection: &mut PgConnection, parked_id: Uuid) -> Result<Option<Parked>, Error> {
    let row = sqlx::query("SELECT * FROM parked_events WHERE parked_id = $1")
        .bind(parked_id)
        .fetch_optional(connection)
        .await?;
    row.map(|row| parked(&row)).transpose()
}

fn parked(row: &PgRow) -> Result<Parked, Error> {
    Ok(Parked {
        parked_id: row.try_get("parked_id")?,
        tenant_id: row.try_get::<Option<Uuid>, _>("tenant_id")?.map(TenantId),
        reason: row.try_get("reason")?,
        detail: row.try_get("detail")?,
        queue: row.try_get("queue")?,
        routing_key: row.try_get("routing_key")?,
        content_type: row.try_get("content_type")?,
        amqp_user: row.try_get("amqp_user")?,
        headers: row.try_get::<Json<Map<String, Value>>, _>("headers")?.0,
        body: row.try_get("body")?,
        occurrences: row.try_get("occurrences")?,
        first_seen_at: row.try_get("first_seen_at")?,
        last_seen_at: row.try_get("last_seen_at")?,
    })
}
