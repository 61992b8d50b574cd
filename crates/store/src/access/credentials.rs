//! Credentials: set by the API's role, which cannot read a secret back; read and re-wrapped by workers.

mod secrets;

pub use secrets::{SealedCredential, UsableCredential, rewrap, sealed, usable, used};

use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::credential::{AllowedHost, Scheme, Terms};
use automation_domain::id::{CredentialId, TenantId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

/// The field of a credential that its secret is sealed for.
pub const SECRET_FIELD: &str = "secret";

/// A secret as stored: opaque here.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The key-encryption key that wrapped the data key.
    pub key_id: String,
    /// The data key, encrypted.
    pub wrapped_key: Vec<u8>,
    /// The secret, encrypted with the data key.
    pub ciphertext: Vec<u8>,
}

/// What may be shown of a credential.
#[derive(Clone, PartialEq, Debug)]
pub struct Credential {
    /// The credential.
    pub credential_id: CredentialId,
    /// What workflows name it by.
    pub key: String,
    /// How its secret is put on a request.
    pub scheme: Scheme,
    /// To whom it may be sent.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Moves with every change of the secret, from 1.
    pub version: i32,
    /// The key-encryption key that wrapped its data key.
    pub key_id: String,
    /// Its data key, encrypted: says whether the rest is as it was when the secret was sealed, and opens nothing alone.
    pub wrapped_key: Vec<u8>,
    /// When it was first set.
    pub created_at: DateTime<Utc>,
    /// When its secret was last changed.
    pub rotated_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub used_at: Option<DateTime<Utc>>,
}

impl Credential {
    /// What its secret is sealed for.
    pub fn terms(&self) -> Terms {
        Terms::of_credential(&self.scheme, &self.allowed_hosts)
    }
}

impl std::fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredSecret").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

const SHOWN: &str = "credential_id, key, kind, fields, allowed_hosts, version, key_id, wrapped_key, created_at, rotated_at, used_at";

/// All credentials of a tenant, by key.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(connection: &mut Conn<Api>, tenant: TenantId) -> Result<Vec<Credential>, Error> {
    let sql = format!("SELECT {SHOWN} FROM credentials WHERE tenant_id = $1 ORDER BY key");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant.0).fetch_all(connection.sql()).await?;
    rows.iter().map(shown).collect()
}

/// One credential.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn by_key(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    key: &str,
) -> Result<Option<Credential>, Error> {
    let sql = format!("SELECT {SHOWN} FROM credentials WHERE tenant_id = $1 AND key = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(key)
        .fetch_optional(connection.sql())
        .await?;
    row.as_ref().map(shown).transpose()
}

/// The id under which `key` is stored, locked until the end of the transaction. A secret is sealed for this id.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn lock(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    key: &str,
) -> Result<Option<CredentialId>, Error> {
    let id = sqlx::query_scalar(
        "SELECT credential_id FROM credentials WHERE tenant_id = $1 AND key = $2 FOR UPDATE",
    )
    .bind(tenant.0)
    .bind(key)
    .fetch_optional(connection.sql())
    .await?;
    Ok(id.map(CredentialId))
}

/// What a credential is to be.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// Whose.
    pub tenant_id: TenantId,
    /// The id that the secret is sealed for.
    pub credential_id: CredentialId,
    /// What workflows name it by.
    pub key: &'a str,
    /// How its secret is put on a request.
    pub scheme: &'a Scheme,
    /// To whom it may be sent.
    pub allowed_hosts: &'a [AllowedHost],
    /// The secret.
    pub secret: &'a StoredSecret,
}

/// Makes a credential, or replaces everything of it; returns its version.
///
/// # Errors
///
/// [`Error`] of the database; refused when another id has the key.
pub async fn set(connection: &mut Conn<Api>, setting: &Setting<'_>) -> Result<i32, Error> {
    let hosts: Vec<String> = setting.allowed_hosts.iter().map(ToString::to_string).collect();
    let version = sqlx::query_scalar(
        "INSERT INTO credentials AS c
                (tenant_id, credential_id, key, kind, fields, allowed_hosts, key_id, wrapped_key, ciphertext)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (tenant_id, credential_id) DO UPDATE
            SET kind = $4, fields = $5, allowed_hosts = $6, key_id = $7, wrapped_key = $8, ciphertext = $9,
                version = c.version + 1, rotated_at = now()
         RETURNING version",
    )
    .bind(setting.tenant_id.0)
    .bind(setting.credential_id.0)
    .bind(setting.key)
    .bind(setting.scheme.kind())
    .bind(Json(setting.scheme.fields()))
    .bind(hosts)
    .bind(&setting.secret.key_id)
    .bind(&setting.secret.wrapped_key)
    .bind(&setting.secret.ciphertext)
    .fetch_one(connection.sql())
    .await?;
    Ok(version)
}

/// Replaces the secret alone; returns the new version, `None` when the credential is gone.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn rotate(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    credential: CredentialId,
    secret: &StoredSecret,
) -> Result<Option<i32>, Error> {
    let version = sqlx::query_scalar(
        "UPDATE credentials
            SET key_id = $3, wrapped_key = $4, ciphertext = $5, version = version + 1, rotated_at = now()
          WHERE tenant_id = $1 AND credential_id = $2 RETURNING version",
    )
    .bind(tenant.0)
    .bind(credential.0)
    .bind(&secret.key_id)
    .bind(&secret.wrapped_key)
    .bind(&secret.ciphertext)
    .fetch_optional(connection.sql())
    .await?;
    Ok(version)
}

/// Deletes a credential; false when there was none.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn delete(connection: &mut Conn<Api>, tenant: TenantId, key: &str) -> Result<bool, Error> {
    let done = sqlx::query("DELETE FROM credentials WHERE tenant_id = $1 AND key = $2")
        .bind(tenant.0)
        .bind(key)
        .execute(connection.sql())
        .await?;
    Ok(done.rows_affected() > 0)
}

fn shown(row: &PgRow) -> Result<Credential, Error> {
    let credential_id = CredentialId(row.try_get("credential_id")?);
    let (scheme, allowed_hosts) = authorization(row, credential_id)?;
    Ok(Credential {
        credential_id,
        key: row.try_get("key")?,
        scheme,
        allowed_hosts,
        version: row.try_get("version")?,
        key_id: row.try_get("key_id")?,
        wrapped_key: row.try_get("wrapped_key")?,
        created_at: row.try_get("created_at")?,
        rotated_at: row.try_get("rotated_at")?,
        used_at: row.try_get("used_at")?,
    })
}

fn authorization(row: &PgRow, id: CredentialId) -> Result<(Scheme, Vec<AllowedHost>), Error> {
    let unreadable = |column: &'static str, reason: String| Error::Unreadable {
        table: "credentials",
        column,
        id: id.to_string(),
        reason,
    };
    let kind: String = row.try_get("kind")?;
    let Json(fields) = row.try_get::<Json<serde_json::Value>, _>("fields")?;
    let scheme = Scheme::from_parts(&kind, &fields).map_err(|reason| unreadable("fields", reason))?;
    let hosts: Vec<String> = row.try_get("allowed_hosts")?;
    let hosts: Result<Vec<AllowedHost>, String> = hosts.iter().map(|host| host.parse()).collect();
    Ok((scheme, hosts.map_err(|reason| unreadable("allowed_hosts", reason))?))
}
