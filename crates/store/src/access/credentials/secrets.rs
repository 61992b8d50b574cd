//! What workers do with secrets: use them, say when, and store them sealed anew.

use super::{StoredSecret, authorization};
use crate::role::Worker;
use crate::{Conn, Error};
use automation_domain::credential::{AllowedHost, Scheme, Terms};
use automation_domain::id::{CredentialId, TenantId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A credential that a worker is about to use.
#[derive(Clone, PartialEq, Debug)]
pub struct UsableCredential {
    /// The credential.
    pub credential_id: CredentialId,
    /// How its secret is put on a request.
    pub scheme: Scheme,
    /// To whom it may be sent.
    pub allowed_hosts: Vec<AllowedHost>,
    /// The secret.
    pub secret: StoredSecret,
}

impl UsableCredential {
    /// What its secret is sealed for.
    pub fn terms(&self) -> Terms {
        Terms::of_credential(&self.scheme, &self.allowed_hosts)
    }
}

/// A secret that may have to be sealed anew.
#[derive(Clone, PartialEq, Debug)]
pub struct SealedCredential {
    /// The credential.
    pub credential_id: CredentialId,
    /// What workflows name it by.
    pub key: String,
    /// What it is sealed for.
    pub terms: Terms,
    /// The secret.
    pub secret: StoredSecret,
}

/// The credentials of these tenants and keys, with their secrets; those that do not exist are left out.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn usable(
    connection: &mut Conn<Worker>,
    wanted: &[(TenantId, String)],
) -> Result<BTreeMap<(TenantId, String), UsableCredential>, Error> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (tenants, keys): (Vec<Uuid>, Vec<&str>) =
        wanted.iter().map(|(tenant, key)| (tenant.0, key.as_str())).unzip();
    let rows = sqlx::query(
        "SELECT c.tenant_id, c.credential_id, c.key, c.kind, c.fields, c.allowed_hosts,
                c.key_id, c.wrapped_key, c.ciphertext
           FROM unnest($1::uuid[], $2::text[]) AS u (t, k)
           JOIN credentials c ON c.tenant_id = u.t AND c.key = u.k",
    )
    .bind(&tenants)
    .bind(&keys)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            let credential_id = CredentialId(row.try_get("credential_id")?);
            let (scheme, allowed_hosts) = authorization(row, credential_id)?;
            let usable = UsableCredential { credential_id, scheme, allowed_hosts, secret: secret(row)? };
            Ok(((TenantId(row.try_get("tenant_id")?), row.try_get("key")?), usable))
        })
        .collect()
}

/// Notes that these were used; at most once a minute each, so that a busy credential is not written all the time.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn used(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    credentials: &[(TenantId, CredentialId)],
) -> Result<(), Error> {
    if credentials.is_empty() {
        return Ok(());
    }
    let (tenants, ids): (Vec<Uuid>, Vec<Uuid>) =
        credentials.iter().map(|(tenant, id)| (tenant.0, id.0)).unzip();
    // Whoever is writing one of them already writes the same minute: nobody waits for a note.
    sqlx::query(
        "UPDATE credentials c SET used_at = $3
           FROM (SELECT w.tenant_id, w.credential_id
                   FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
                   JOIN credentials w ON w.tenant_id = u.t AND w.credential_id = u.i
                  WHERE w.used_at IS NULL OR w.used_at < $3 - interval '1 minute'
                    FOR UPDATE OF w SKIP LOCKED) due
          WHERE c.tenant_id = due.tenant_id AND c.credential_id = due.credential_id",
    )
    .bind(&tenants)
    .bind(&ids)
    .bind(now)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Up to `limit` secrets of a tenant, after the key `after` in order.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn sealed(
    connection: &mut Conn<Worker>,
    tenant: TenantId,
    after: &str,
    limit: i64,
) -> Result<Vec<SealedCredential>, Error> {
    let rows = sqlx::query(
        "SELECT credential_id, key, kind, fields, allowed_hosts, key_id, wrapped_key, ciphertext FROM credentials
          WHERE tenant_id = $1 AND key > $2 ORDER BY key LIMIT $3",
    )
    .bind(tenant.0)
    .bind(after)
    .bind(limit)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            let credential_id = CredentialId(row.try_get("credential_id")?);
            let (scheme, allowed_hosts) = authorization(row, credential_id)?;
            let terms = Terms::of_credential(&scheme, &allowed_hosts);
            Ok(SealedCredential { credential_id, key: row.try_get("key")?, terms, secret: secret(row)? })
        })
        .collect()
}

/// Stores a secret sealed anew, unless it was changed since it was read.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn rewrap(
    connection: &mut Conn<Worker>,
    tenant: TenantId,
    read: &SealedCredential,
    anew: &StoredSecret,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "UPDATE credentials SET key_id = $4, wrapped_key = $5, ciphertext = $6
          WHERE tenant_id = $1 AND credential_id = $2 AND wrapped_key = $3",
    )
    .bind(tenant.0)
    .bind(read.credential_id.0)
    .bind(&read.secret.wrapped_key)
    .bind(&anew.key_id)
    .bind(&anew.wrapped_key)
    .bind(&anew.ciphertext)
    .execute(connection.sql())
    .await?;
    Ok(done.rows_affected() > 0)
}

fn secret(row: &PgRow) -> Result<StoredSecret, Error> {
    Ok(StoredSecret {
        key_id: row.try_get("key_id")?,
        wrapped_key: row.try_get("wrapped_key")?,
        ciphertext: row.try_get("ciphertext")?,
    })
}
