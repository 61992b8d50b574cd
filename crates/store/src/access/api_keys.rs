//! API keys: made and revoked by the API's role; looked up by their hash, before any tenant is known.

use crate::access::tenants::{self, Grant};
use crate::role::{Api, Door};
use crate::{Conn, Db, Error, Scope};
use automation_domain::grant::api_key_publisher;
use automation_domain::id::{ApiKeyId, TenantId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;

/// What may be shown of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredApiKey {
    /// The key.
    pub api_key_id: ApiKeyId,
    /// For people, and part of its publisher's name.
    pub name: String,
    /// The beginning of the key itself.
    pub prefix: String,
    /// What it may publish.
    pub event_types: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is not good any more.
    pub expires_at: Option<DateTime<Utc>>,
    /// When somebody revoked it.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A key that is to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey<'a> {
    /// Whose.
    pub tenant_id: TenantId,
    /// Its id.
    pub api_key_id: ApiKeyId,
    /// For people, and part of its publisher's name.
    pub name: &'a str,
    /// The beginning of the key itself.
    pub prefix: &'a str,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// What it may publish.
    pub event_types: &'a [String],
    /// From when on it is not good any more, by the database's clock.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Who shows a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyHolder {
    /// Whose key it is.
    pub tenant_id: TenantId,
    /// The tenant's key, which its events carry.
    pub tenant: String,
    /// The key.
    pub api_key_id: ApiKeyId,
    /// Its name.
    pub name: String,
    /// What it may publish.
    pub event_types: Vec<String>,
}

/// Makes a key, with the grant that its events are judged by; `None` when the name is in use.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn create(connection: &mut Conn<Api>, key: &NewApiKey<'_>) -> Result<Option<StoredApiKey>, Error> {
    let row = sqlx::query(
        "INSERT INTO api_keys (tenant_id, api_key_id, name, prefix, hash, event_types, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant_id, name) WHERE revoked_at IS NULL DO NOTHING
         RETURNING api_key_id, name, prefix, event_types, created_at, expires_at, revoked_at, last_used_at",
    )
    .bind(key.tenant_id.0)
    .bind(key.api_key_id.0)
    .bind(key.name)
    .bind(key.prefix)
    .bind(key.hash.as_slice())
    .bind(key.event_types)
    .bind(key.expires_at)
    .fetch_optional(connection.sql())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let grant = Grant {
        tenant_id: key.tenant_id,
        amqp_user: api_key_publisher(key.name),
        event_types: key.event_types.to_vec(),
        expires_at: None,
    };
    tenants::grant(connection, &grant).await?;
    stored(&row).map(Some)
}

/// A tenant's keys, revoked ones too, by name.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(connection: &mut Conn<Api>, tenant: TenantId) -> Result<Vec<StoredApiKey>, Error> {
    let rows = sqlx::query(
        "SELECT api_key_id, name, prefix, event_types, created_at, expires_at, revoked_at, last_used_at
           FROM api_keys WHERE tenant_id = $1 ORDER BY name, created_at",
    )
    .bind(tenant.0)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(stored).collect()
}

/// Gives the key of this name another end, or none, also when its time is over; `None` when no key that is not revoked has
/// it.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn renew(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    name: &str,
    expires_at: Option<DateTime<Utc>>,
) -> Result<Option<StoredApiKey>, Error> {
    let row = sqlx::query(
        "UPDATE api_keys SET expires_at = $3 WHERE tenant_id = $1 AND name = $2 AND revoked_at IS NULL
         RETURNING api_key_id, name, prefix, event_types, created_at, expires_at, revoked_at, last_used_at",
    )
    .bind(tenant.0)
    .bind(name)
    .bind(expires_at)
    .fetch_optional(connection.sql())
    .await?;
    row.as_ref().map(stored).transpose()
}

/// Revokes the key of this name, and takes its grant; false when no key that is good has it.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn revoke(connection: &mut Conn<Api>, tenant: TenantId, name: &str) -> Result<bool, Error> {
    let done = sqlx::query(
        "UPDATE api_keys SET revoked_at = now() WHERE tenant_id = $1 AND name = $2 AND revoked_at IS NULL",
    )
    .bind(tenant.0)
    .bind(name)
    .execute(connection.sql())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    tenants::revoke(connection, tenant, &api_key_publisher(name)).await?;
    Ok(true)
}

/// Whose key has this hash, if it is good now; notes its use, to the minute.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn holder(db: &Db<Door>, hash: [u8; 32]) -> Result<Option<KeyHolder>, Error> {
    db.tx(Scope::Unscoped, async |connection| {
        let row =
            sqlx::query("SELECT tenant_id, tenant_key, api_key_id, name, event_types FROM door_key($1)")
                .bind(hash.as_slice())
                .fetch_optional(connection.sql())
                .await?;
        row.as_ref().map(key_holder).transpose()
    })
    .await
}

fn key_holder(row: &PgRow) -> Result<KeyHolder, Error> {
    Ok(KeyHolder {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        tenant: row.try_get("tenant_key")?,
        api_key_id: ApiKeyId(row.try_get("api_key_id")?),
        name: row.try_get("name")?,
        event_types: row.try_get("event_types")?,
    })
}

fn stored(row: &PgRow) -> Result<StoredApiKey, Error> {
    Ok(StoredApiKey {
        api_key_id: ApiKeyId(row.try_get("api_key_id")?),
        name: row.try_get("name")?,
        prefix: row.try_get("prefix")?,
        event_types: row.try_get("event_types")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        revoked_at: row.try_get("revoked_at")?,
        last_used_at: row.try_get("last_used_at")?,
    })
}
