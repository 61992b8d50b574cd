//! The secrets of webhooks, encrypted: opaque here.

use super::hook;
use crate::role::{Api, Worker};
use crate::{Conn, Error};
use automation_domain::credential::Terms;
use automation_domain::hook::HookId;
use automation_domain::id::{HookSecretId, TenantId};
use sqlx::Row;
use sqlx::postgres::PgRow;
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

/// A secret that may have to be sealed anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedSecret {
    /// The secret's id.
    pub secret_id: HookSecretId,
    /// Its webhook.
    pub hook_id: HookId,
    /// What it is sealed for.
    pub terms: Terms,
    /// The secret.
    pub secret: HookSecret,
}

/// The data key of a secret, encrypted: says whether the webhook is as it was when the secret was sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrappedKey {
    /// The secret's id.
    pub secret_id: HookSecretId,
    /// The key-encryption key that wrapped it.
    pub key_id: String,
    /// The data key, encrypted.
    pub wrapped_key: Vec<u8>,
}

impl fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookSecret").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Up to `limit` secrets of a tenant, after the id `after` in order.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn sealed(
    connection: &mut Conn<Worker>,
    tenant: TenantId,
    after: Option<HookSecretId>,
    limit: i64,
) -> Result<Vec<SealedSecret>, Error> {
    let rows = sqlx::query(
        "SELECT h.hook_id, h.name, h.verification, h.headers, h.id_header,
                s.secret_id, s.key_id, s.wrapped_key, s.ciphertext
           FROM hook_secrets s JOIN hooks h ON h.tenant_id = s.tenant_id AND h.hook_id = s.hook_id
          WHERE s.tenant_id = $1 AND ($2::uuid IS NULL OR s.secret_id > $2)
          ORDER BY s.secret_id LIMIT $3",
    )
    .bind(tenant.0)
    .bind(after.map(|id| id.0))
    .bind(limit)
    .fetch_all(connection.sql())
    .await?;
    let read = |row: &PgRow| {
        let hook = hook(row, &row.try_get::<String, _>("hook_id")?)?;
        Ok(SealedSecret {
            secret_id: HookSecretId(row.try_get("secret_id")?),
            terms: hook.terms(),
            hook_id: hook.hook_id,
            secret: secret(row)?,
        })
    };
    rows.iter().map(read).collect()
}

/// The data keys of the secrets of a webhook that are good now.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn wrapped_keys(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    hook_id: &HookId,
) -> Result<Vec<WrappedKey>, Error> {
    let rows = sqlx::query(
        "SELECT secret_id, key_id, wrapped_key FROM hook_secrets
          WHERE tenant_id = $1 AND hook_id = $2 AND (expires_at IS NULL OR expires_at > now())",
    )
    .bind(tenant.0)
    .bind(hook_id.as_str())
    .fetch_all(connection.sql())
    .await?;
    let read = |row: &PgRow| {
        Ok(WrappedKey {
            secret_id: HookSecretId(row.try_get("secret_id")?),
            key_id: row.try_get("key_id")?,
            wrapped_key: row.try_get("wrapped_key")?,
        })
    };
    rows.iter().map(read).collect()
}

/// Stores a secret sealed anew; false when it is gone.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn rewrap(
    connection: &mut Conn<Worker>,
    tenant: TenantId,
    read: &SealedSecret,
    anew: &HookSecret,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "UPDATE hook_secrets SET key_id = $5, wrapped_key = $6, ciphertext = $7
          WHERE tenant_id = $1 AND hook_id = $2 AND secret_id = $3 AND wrapped_key = $4",
    )
    .bind(tenant.0)
    .bind(read.hook_id.as_str())
    .bind(read.secret_id.0)
    .bind(&read.secret.wrapped_key)
    .bind(&anew.key_id)
    .bind(&anew.wrapped_key)
    .bind(&anew.ciphertext)
    .execute(connection.sql())
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn insert(
    connection: &mut Conn<Api>,
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
    .execute(connection.sql())
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
