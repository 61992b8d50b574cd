//! The types of events that versions wait for: what ingest keeps by contact, and at which it looks for runs.

use crate::access::tenants::touch;
use crate::db::INTAKE;
use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::facts::FieldPath;
use automation_domain::id::TenantId;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::BTreeMap;

/// What is known of a type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// From when on it is known to whom its events happened.
    pub since: DateTime<Utc>,
    /// What is kept of their content, each path with from when on.
    pub paths: BTreeMap<String, DateTime<Utc>>,
}

/// Watches these types from now on, and keeps of their events what stands at these paths.
///
/// A version is published after every batch of events has ended that began without knowing of them ([`all_taken_in`]): else
/// an event of such a batch would find nobody that waits for it, and not be found by who begins to.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn watch(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    types: &BTreeMap<&str, Vec<&str>>,
) -> Result<(), Error> {
    let (names, paths): (Vec<&str>, Vec<_>) =
        types.iter().map(|(event_type, paths)| (*event_type, sqlx::types::Json(paths))).unzip();
    let added = sqlx::query(
        "INSERT INTO watched_types (tenant_id, event_type, paths)
         SELECT $1, t, coalesce((SELECT jsonb_object_agg(e, now()) FROM jsonb_array_elements_text(p) AS e), '{}')
           FROM unnest($2::text[], $3::jsonb[]) AS u (t, p) ORDER BY t
         ON CONFLICT (tenant_id, event_type) DO UPDATE SET paths = excluded.paths || watched_types.paths
          WHERE NOT watched_types.paths ?& ARRAY(SELECT jsonb_object_keys(excluded.paths))",
    )
    .bind(tenant.0)
    .bind(names)
    .bind(paths)
    .execute(connection.sql())
    .await?
    .rows_affected();
    if added > 0 {
        touch(connection, tenant).await?;
    }
    Ok(())
}

/// What is known of these types; one that is not watched is left out.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn known(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    types: &[&str],
) -> Result<BTreeMap<String, Known>, Error> {
    let rows = sqlx::query(
        "SELECT event_type, since, paths FROM watched_types WHERE tenant_id = $1 AND event_type = ANY ($2)",
    )
    .bind(tenant.0)
    .bind(types)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            let sqlx::types::Json(paths) = row.try_get("paths")?;
            Ok((row.try_get("event_type")?, Known { since: row.try_get("since")?, paths }))
        })
        .collect()
}

/// For how many days the tenant keeps events.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn kept_days(connection: &mut Conn<Api>, tenant: TenantId) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT keep_days($1, 'events')")
        .bind(tenant.0)
        .fetch_one(connection.sql())
        .await?)
}

/// Keeps of the events of a type that were received from `from` until `until` to whom they happened, and what stands at these
/// paths. What is kept already stays.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn fill(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    (event_type, paths): (&str, &[&FieldPath]),
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<u64, Error> {
    let paths: Vec<Value> = paths.iter().map(|path| place(path)).collect();
    // As `happened_at` of the domain has it. The bounds of the ids leave out the other days.
    let filled = sqlx::query(
        "INSERT INTO contact_events (tenant_id, contact_id, event_type, occurred_at, event_id, received_at, content)
         SELECT tenant_id, contact_id, event_type,
                CASE WHEN occurred_at > received_at + interval '5 minutes' THEN received_at ELSE occurred_at END,
                event_id, received_at, event_content(id, source, data, $5)
           FROM events
          WHERE tenant_id = $1 AND event_type = $2 AND contact_id IS NOT NULL
            AND event_id >= lower_bound_id($3) AND event_id < lower_bound_id($4 + interval '1 second')
         ON CONFLICT (tenant_id, contact_id, event_type, occurred_at, event_id)
         DO UPDATE SET content = coalesce(contact_events.content, '{}') || excluded.content
          WHERE excluded.content IS NOT NULL AND NOT coalesce(contact_events.content, '{}') @> excluded.content",
    )
    .bind(tenant.0)
    .bind(event_type)
    .bind(from)
    .bind(until)
    .bind(sqlx::types::Json(paths))
    .execute(connection.sql())
    .await?
    .rows_affected();
    Ok(filled)
}

/// Where a path leads, for `event_content`.
fn place(path: &FieldPath) -> Value {
    let segments = path.segments();
    json!({ "path": path.as_str(), "root": segments.get(1), "below": segments.get(2..).unwrap_or_default() })
}

/// Says that it is known of a type from `since` on to whom it happened, and what stands at these paths.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn filled(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    (event_type, paths): (&str, &[&FieldPath]),
    since: DateTime<Utc>,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE watched_types w SET since = least(since, $3),
                paths = paths || coalesce((SELECT jsonb_object_agg(p, least($3, (w.paths ->> p)::timestamptz))
                                             FROM unnest($4::text[]) AS p), '{}')
          WHERE tenant_id = $1 AND event_type = $2",
    )
    .bind(tenant.0)
    .bind(event_type)
    .bind(since)
    .bind(paths.iter().map(|path| path.as_str()).collect::<Vec<_>>())
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
