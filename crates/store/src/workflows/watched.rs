//! The types of events that versions wait for: what ingest keeps by contact, and at which it looks for runs.

use crate::access::tenants::touch;
use crate::db::INTAKE;
use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::id::TenantId;
use chrono::{DateTime, Utc};
use sqlx::Row;
use std::collections::BTreeMap;

/// Watches these types from now on.
///
/// A version is published after every batch of events has ended that began without knowing of them ([`all_taken_in`]): else
/// an event of such a batch would find nobody that waits for it, and not be found by who begins to.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn watch(connection: &mut Conn<Api>, tenant: TenantId, types: &[&str]) -> Result<(), Error> {
    let added = sqlx::query(
        "INSERT INTO watched_types (tenant_id, event_type)
         SELECT $1, t FROM unnest($2::text[]) AS u (t) ORDER BY t ON CONFLICT DO NOTHING",
    )
    .bind(tenant.0)
    .bind(types)
    .execute(connection.sql())
    .await?
    .rows_affected();
    if added > 0 {
        touch(connection, tenant).await?;
    }
    Ok(())
}

/// From when on it is known of these types to whom they happened.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn known_since(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    types: &[&str],
) -> Result<BTreeMap<String, DateTime<Utc>>, Error> {
    let rows = sqlx::query(
        "SELECT event_type, since FROM watched_types WHERE tenant_id = $1 AND event_type = ANY ($2)",
    )
    .bind(tenant.0)
    .bind(types)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(|row| Ok((row.try_get("event_type")?, row.try_get("since")?))).collect()
}

/// Keeps of the events of a type that were received from `from` until `until` to whom they happened. What is kept already stays.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn fill(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    event_type: &str,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<u64, Error> {
    // As `happened_at` of the domain has it. The bounds of the ids leave out the other days.
    let filled = sqlx::query(
        "INSERT INTO contact_events (tenant_id, contact_id, event_type, occurred_at, event_id, received_at)
         SELECT tenant_id, contact_id, event_type,
                CASE WHEN occurred_at > received_at + interval '5 minutes' THEN received_at ELSE occurred_at END,
                event_id, received_at
           FROM events
          WHERE tenant_id = $1 AND event_type = $2 AND contact_id IS NOT NULL
            AND event_id >= lower_bound_id($3) AND event_id < lower_bound_id($4 + interval '1 second')
         ON CONFLICT DO NOTHING",
    )
    .bind(tenant.0)
    .bind(event_type)
    .bind(from)
    .bind(until)
    .execute(connection.sql())
    .await?
    .rows_affected();
    Ok(filled)
}

/// Says that it is known of a type from `since` on to whom it happened.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn filled(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    event_type: &str,
    since: DateTime<Utc>,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE watched_types SET since = $3 WHERE tenant_id = $1 AND event_type = $2 AND since > $3",
    )
    .bind(tenant.0)
    .bind(event_type)
    .bind(since)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Waits until every batch of events has ended that began before this: those that begin later know what was committed before.
///
/// # Errors
///
/// [`Error`] of the database, a transient one where that takes longer than ten seconds.
pub async fn all_taken_in(connection: &mut Conn<Api>) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(INTAKE).execute(connection.sql()).await?;
    Ok(())
}
