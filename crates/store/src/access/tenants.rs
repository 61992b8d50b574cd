//! Tenants and publisher grants.

use crate::role::{Api, OneOf, Operator, Worker};
use crate::{Conn, Error};
use automation_domain::facts::{Tz, stored_zone};
use automation_domain::id::TenantId;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tenant {
    /// Its id.
    pub tenant_id: TenantId,
    /// Its short name, which events carry.
    pub key: String,
    /// For people.
    pub name: String,
    /// Moves with every change to its workflows, its grants or its zone.
    pub catalogue_version: i64,
    /// IANA name of its time zone.
    pub timezone: String,
}

/// Who may publish which events for a tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The broker's user.
    pub amqp_user: String,
    /// Event types, each exact or with a trailing `*`.
    pub event_types: Vec<String>,
    /// From when on it is not good any more, by the database's clock.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Grant {
    /// Whether its time is over at `now`.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A publisher whose time is over, or is soon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Key of the tenant that it publishes for.
    pub tenant: String,
    /// The broker's user, or `apikey:<name>`.
    pub publisher: String,
    /// When.
    pub expires_at: DateTime<Utc>,
}

/// Creates a tenant; `None` when the key is taken.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn create(
    connection: &mut Conn<Operator>,
    tenant_id: TenantId,
    key: &str,
    name: &str,
) -> Result<Option<TenantId>, Error> {
    let created = sqlx::query_scalar(
        "INSERT INTO tenants (tenant_id, key, name) VALUES ($1, $2, $3) ON CONFLICT (key) DO NOTHING RETURNING tenant_id",
    )
    .bind(tenant_id.0)
    .bind(key)
    .bind(name)
    .fetch_optional(connection.sql())
    .await?;
    Ok(created.map(TenantId))
}

/// The tenants with these keys.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn by_keys(
    connection: &mut Conn<impl OneOf<(Operator, Worker)>>,
    keys: &[String],
) -> Result<Vec<Tenant>, Error> {
    let rows = sqlx::query(
        "SELECT tenant_id, key, name, catalogue_version, timezone FROM tenants WHERE key = ANY($1)",
    )
    .bind(keys)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(tenant).collect()
}

/// All tenants, by key.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(connection: &mut Conn<impl OneOf<(Operator, Worker)>>) -> Result<Vec<Tenant>, Error> {
    let rows =
        sqlx::query("SELECT tenant_id, key, name, catalogue_version, timezone FROM tenants ORDER BY key")
            .fetch_all(connection.sql())
            .await?;
    rows.iter().map(tenant).collect()
}

/// The tenant's time zone.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn zone(connection: &mut Conn<Api>, tenant: TenantId) -> Result<Tz, Error> {
    let name: Option<String> = sqlx::query_scalar("SELECT timezone FROM tenants WHERE tenant_id = $1")
        .bind(tenant.0)
        .fetch_optional(connection.sql())
        .await?;
    Ok(name.map_or(Tz::UTC, |name| stored_zone(&name)))
}

/// Sets a tenant's time zone, of this IANA name; false, and no ingest reads anything anew, where it is that already.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn set_zone(
    connection: &mut Conn<Operator>,
    tenant: TenantId,
    timezone: &str,
) -> Result<bool, Error> {
    let set = sqlx::query("UPDATE tenants SET timezone = $2 WHERE tenant_id = $1 AND timezone <> $2")
        .bind(tenant.0)
        .bind(timezone)
        .execute(connection.sql())
        .await?;
    if set.rows_affected() == 0 {
        return Ok(false);
    }
    touch(connection, tenant).await?;
    Ok(true)
}

/// A column `zones`: an object of zones by tenant, or null for none. One that is in UTC is left out.
pub(crate) fn zones_in(row: &PgRow) -> Result<BTreeMap<TenantId, Tz>, Error> {
    let zones: Option<Json<BTreeMap<Uuid, String>>> = row.try_get("zones")?;
    let zones = zones.map(|Json(zones)| zones).unwrap_or_default();
    Ok(zones.into_iter().map(|(tenant, zone)| (TenantId(tenant), stored_zone(&zone))).collect())
}

/// Lets a broker user publish these event types for a tenant, until then if there is an end, in place of what it was let
/// before. Nothing changes, and no ingest reads anything anew, where that is the same.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn grant(connection: &mut Conn<impl OneOf<(Api, Operator)>>, grant: &Grant) -> Result<(), Error> {
    let granted = sqlx::query(
        "INSERT INTO publisher_grants (tenant_id, amqp_user, event_types, expires_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, amqp_user)
            DO UPDATE SET event_types = excluded.event_types, expires_at = excluded.expires_at, granted_at = now()
         WHERE (publisher_grants.event_types, publisher_grants.expires_at)
               IS DISTINCT FROM (excluded.event_types, excluded.expires_at)",
    )
    .bind(grant.tenant_id.0)
    .bind(&grant.amqp_user)
    .bind(&grant.event_types)
    .bind(grant.expires_at)
    .execute(connection.sql())
    .await?;
    if granted.rows_affected() > 0 {
        touch(connection, grant.tenant_id).await?;
    }
    Ok(())
}

/// Takes a publisher's grant; false when it had none.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn revoke(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
    publisher: &str,
) -> Result<bool, Error> {
    let done = sqlx::query("DELETE FROM publisher_grants WHERE tenant_id = $1 AND amqp_user = $2")
        .bind(tenant.0)
        .bind(publisher)
        .execute(connection.sql())
        .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    touch(connection, tenant).await?;
    Ok(true)
}

/// The grants that the transaction's scope shows.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn grants(connection: &mut Conn<impl OneOf<(Operator, Worker)>>) -> Result<Vec<Grant>, Error> {
    Ok(dated_grants(connection).await?.into_iter().map(|(grant, _)| grant).collect())
}

/// The same, with the time at which each was given or last changed.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn dated_grants(
    connection: &mut Conn<impl OneOf<(Operator, Worker)>>,
) -> Result<Vec<(Grant, DateTime<Utc>)>, Error> {
    let rows = sqlx::query(
        "SELECT tenant_id, amqp_user, event_types, expires_at, granted_at FROM publisher_grants ORDER BY tenant_id, amqp_user",
    )
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            let grant = Grant {
                tenant_id: TenantId(row.try_get("tenant_id")?),
                amqp_user: row.try_get("amqp_user")?,
                event_types: row.try_get("event_types")?,
                expires_at: row.try_get("expires_at")?,
            };
            Ok((grant, row.try_get("granted_at")?))
        })
        .collect()
}

/// Grants and keys that end before this time or have ended, the first to end first, at most this many.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn ending(
    connection: &mut Conn<Operator>,
    before: DateTime<Utc>,
    most: i64,
) -> Result<Vec<Ending>, Error> {
    let rows = sqlx::query("SELECT tenant_key, publisher, expires_at FROM ending_publishers($1, $2)")
        .bind(before)
        .bind(most)
        .fetch_all(connection.sql())
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Ending {
                tenant: row.try_get("tenant_key")?,
                publisher: row.try_get("publisher")?,
                expires_at: row.try_get("expires_at")?,
            })
        })
        .collect()
}

/// Tells every ingest that the tenant's workflows, grants or zone changed.
pub(crate) async fn touch(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
) -> Result<(), Error> {
    sqlx::query("UPDATE tenants SET catalogue_version = catalogue_version + 1 WHERE tenant_id = $1")
        .bind(tenant.0)
        .execute(connection.sql())
        .await?;
    Ok(())
}

fn tenant(row: &PgRow) -> Result<Tenant, Error> {
    Ok(Tenant {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        key: row.try_get("key")?,
        name: row.try_get("name")?,
        catalogue_version: row.try_get("catalogue_version")?,
        timezone: row.try_get("timezone")?,
    })
}
