//! The secrets of webhooks, encrypted: opaque here.

use crate::Error;
use automation_domain::hook::HookId;
use automation_domain::id::{HookSecretId, TenantId};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::fmt;

/// A secret as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct HookSecret {
    /// The key-encryption key that wrapped the data key.
    pub key_id: String,
    /// The data key, encrypted.
    pub wrapped_key: Vec<u8>,
    /// The secret, encrypted with the data key.
    pub ciphertext: Vec<u8>,
}

/// A secret whose data key is to be wrapped with another key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadSecret {
    /// The secret's id.
    pub secret_id: HookSecretId,
    /// Its webhook.
    pub hook_id: String,
    /// The secret.
    pub secret: HookSecret,
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookSecret").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Up to `limit` secrets of a tenant that another key than `active` wrapped, after the id `after` in order; role worker.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn wrapped_by_others(
    connection: &mut PgConnection,
    tenant: TenantId,
    active: &str,
    after: Option<HookSecretId>,
    limit: i64,
) -> Result<Vec<ReadSecret>, Error> {
    let rows = sqlx::query(
        "SELECT hook_id, secret_id, key_id, wrapped_key, ciphertext FROM hook_secrets
          WHERE tenant_id = $1 AND key_id <> $2 AND ($3::uuid IS NULL OR secret_id > $3)
          ORDER BY secret_id LIMIT $4",
    )
    .bind(tenant.0)
    .bind(active)
    .bind(after.map(|id| id.0))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let read = |row: &PgRow| {
        Ok(ReadSecret {
            secret_id: HookSecretId(row.try_get("secret_id")?),
            hook_id: row.try_get("hook_id")?,
            secret: secret(row)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Stores a data key wrapped anew; false when the secret is gone. Role worker.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn rewrap(
    connection: &mut PgConnection,
    tenant: TenantId,
    read: &ReadSecret,
    rewrapped: &HookSecret,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "UPDATE hook_secrets SET key_id = $5, wrapped_key = $6
          WHERE tenant_id = $1 AND hook_id = $2 AND secret_id = $3 AND wrapped_key = $4",
    )
    .bind(tenant.0)
    .bind(&read.hook_id)
    .bind(read.secret_id.0)
    .bind(&read.secret.wrapped_key)
    .bind(&rewrapped.key_id)
    .bind(&rewrapped.wrapped_key)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    tenant: TenantId,
    hook_id: &HookId,
    secret_id: HookSecretId,
    secret: &HookSecret,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO hook_secrets (tenant_id, hook_id, secret_id, key_id, wrapped_key, ciphertext)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant.0)
    .bind(hook_id.as_str())
    .bind(secret_id.0)
    .bind(&secret.key_id)
    .bind(&secret.wrapped_key)
    .bind(&secret.ciphertext)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn secret(row: &PgRow) -> Result<HookSecret, Error> {
    Ok(HookSecret {
        key_id: row.try_get("key_id")?,
        wrapped_key: row.try_get("wrapped_key")?,
        ciphertext: row.try_get("ciphertext")?,
    })
}
