//! Webhooks and their secrets: made by the API's role, which cannot read a secret back; looked up by their id, before
//! any tenant is known.

mod secrets;

pub use secrets::{HookSecret, SealedSecret, WrappedKey, rewrap, sealed, wrapped_keys};

use crate::access::tenants::{self, Grant};
use crate::role::{Api, Door};
use crate::{Conn, Db, Error, Scope};
use automation_domain::credential::Terms;
use automation_domain::grant::hook_publisher;
use automation_domain::hook::{EVENT_TYPE, HookId, Verification};
use automation_domain::id::{HookSecretId, TenantId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;

/// A webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// What its address ends in.
    pub hook_id: HookId,
    /// For people, and part of its publisher's name.
    pub name: String,
    /// How a caller proves who it is.
    pub verification: Verification,
    /// Headers that become part of the event, in lower case.
    pub headers: Vec<String>,
    /// Where a caller that does not sign says which delivery it is.
    pub id_header: Option<String>,
}

impl Hook {
    /// What its secrets are sealed for: all that decides which events a call with such a secret makes.
    pub fn terms(&self) -> Terms {
        let own = [self.hook_id.as_str(), &self.name, self.verification.as_str(), EVENT_TYPE];
        let id_header = self.id_header.as_deref().unwrap_or_default();
        let parts: Vec<&str> =
            own.into_iter().chain([id_header]).chain(self.headers.iter().map(String::as_str)).collect();
        Terms::of(&parts)
    }
}

/// A webhook as lists show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedHook {
    /// The webhook.
    pub hook: Hook,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last called by somebody who could prove it, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Secrets that are good now.
    pub secrets: i64,
}

/// A webhook that is being called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CalledHook {
    /// Whose it is.
    pub tenant_id: TenantId,
    /// The tenant's key, which its events carry.
    pub tenant: String,
    /// The webhook.
    pub hook: Hook,
    /// The secrets that are good now, the newest first.
    pub secrets: Vec<(HookSecretId, HookSecret)>,
    /// Whether its last use is longer ago than a minute.
    pub used_long_ago: bool,
}

/// Makes a webhook with its first secret and its grant; false when the name is in use.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn create(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    hook: &Hook,
    secret_id: HookSecretId,
    secret: &HookSecret,
) -> Result<bool, Error> {
    let made = sqlx::query(
        "INSERT INTO hooks (tenant_id, hook_id, name, verification, headers, id_header) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, name) DO NOTHING",
    )
    .bind(tenant.0)
    .bind(hook.hook_id.as_str())
    .bind(&hook.name)
    .bind(hook.verification.as_str())
    .bind(&hook.headers)
    .bind(&hook.id_header)
    .execute(connection.sql())
    .await?;
    if made.rows_affected() == 0 {
        return Ok(false);
    }
    secrets::insert(connection, tenant, &hook.hook_id, secret_id, secret).await?;
    let grant = Grant {
        tenant_id: tenant,
        amqp_user: hook_publisher(&hook.name),
        event_types: vec![EVENT_TYPE.to_owned()],
        expires_at: None,
    };
    tenants::grant(connection, &grant).await?;
    Ok(true)
}

/// A tenant's webhooks, by name.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(connection: &mut Conn<Api>, tenant: TenantId) -> Result<Vec<ListedHook>, Error> {
    let rows = sqlx::query(
        "SELECT h.hook_id, h.name, h.verification, h.headers, h.id_header, h.created_at, h.last_used_at,
                (SELECT count(*) FROM hook_secrets s WHERE s.tenant_id = h.tenant_id AND s.hook_id = h.hook_id
                    AND (s.expires_at IS NULL OR s.expires_at > now())) AS secrets
           FROM hooks h WHERE h.tenant_id = $1 ORDER BY h.name",
    )
    .bind(tenant.0)
    .fetch_all(connection.sql())
    .await?;
    let listed = |row: &PgRow| {
        Ok(ListedHook {
            hook: hook(row, &row.try_get::<String, _>("hook_id")?)?,
            created_at: row.try_get("created_at")?,
            last_used_at: row.try_get("last_used_at")?,
            secrets: row.try_get("secrets")?,
        })
    };
    rows.iter().map(listed).collect()
}

/// The webhook of this name.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn by_name(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    name: &str,
) -> Result<Option<Hook>, Error> {
    let row = sqlx::query(
        "SELECT hook_id, name, verification, headers, id_header FROM hooks WHERE tenant_id = $1 AND name = $2",
    )
    .bind(tenant.0)
    .bind(name)
    .fetch_optional(connection.sql())
    .await?;
    row.map(|row| hook(&row, &row.try_get::<String, _>("hook_id")?)).transpose()
}

/// Adds a secret; those there were before are good for `overlap_seconds` more, or less if they end sooner.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn rotate(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    hook_id: &HookId,
    secret_id: HookSecretId,
    secret: &HookSecret,
    overlap_seconds: i64,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM hook_secrets WHERE tenant_id = $1 AND hook_id = $2 AND expires_at < now()")
        .bind(tenant.0)
        .bind(hook_id.as_str())
        .execute(connection.sql())
        .await?;
    sqlx::query(
        "UPDATE hook_secrets
            SET expires_at = least(coalesce(expires_at, 'infinity'), now() + make_interval(secs => $3))
          WHERE tenant_id = $1 AND hook_id = $2",
    )
    .bind(tenant.0)
    .bind(hook_id.as_str())
    .bind(overlap_seconds as f64)
    .execute(connection.sql())
    .await?;
    secrets::insert(connection, tenant, hook_id, secret_id, secret).await
}

/// Deletes a webhook with its secrets and its grant; false when there is none.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn delete(connection: &mut Conn<Api>, tenant: TenantId, name: &str) -> Result<bool, Error> {
    let Some(hook) = by_name(connection, tenant, name).await? else { return Ok(false) };
    for statement in [
        "DELETE FROM hook_secrets WHERE tenant_id = $1 AND hook_id = $2",
        "DELETE FROM hooks WHERE tenant_id = $1 AND hook_id = $2",
    ] {
        sqlx::query(statement).bind(tenant.0).bind(hook.hook_id.as_str()).execute(connection.sql()).await?;
    }
    tenants::revoke(connection, tenant, &hook_publisher(name)).await?;
    Ok(true)
}

/// The webhook with this id and its secrets, whosever it is.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn called(db: &Db<Door>, hook_id: &HookId) -> Result<Option<CalledHook>, Error> {
    db.tx(Scope::Unscoped, async |connection| {
        let rows = sqlx::query(
            "SELECT tenant_id, tenant_key, name, verification, headers, id_header, used_long_ago,
                    secret_id, key_id, wrapped_key, ciphertext
               FROM door_hook($1)",
        )
        .bind(hook_id.as_str())
        .fetch_all(connection.sql())
        .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        Ok(Some(CalledHook {
            tenant_id: TenantId(first.try_get("tenant_id")?),
            tenant: first.try_get("tenant_key")?,
            hook: hook(first, hook_id.as_str())?,
            used_long_ago: first.try_get("used_long_ago")?,
            secrets: rows
                .iter()
                .map(|row| Ok((HookSecretId(row.try_get("secret_id")?), secrets::secret(row)?)))
                .collect::<Result<_, Error>>()?,
        }))
    })
    .await
}

/// Notes that a webhook was called by somebody who could prove it.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn used(db: &Db<Door>, hook_id: &HookId) -> Result<(), Error> {
    db.tx(Scope::Unscoped, async |connection| {
        sqlx::query("SELECT door_hook_used($1)").bind(hook_id.as_str()).execute(connection.sql()).await?;
        Ok(())
    })
    .await
}

fn hook(row: &PgRow, hook_id: &str) -> Result<Hook, Error> {
    let unreadable = |column: &'static str, reason: String| Error::Unreadable {
        table: "hooks",
        column,
        id: hook_id.to_owned(),
        reason,
    };
    let verification: String = row.try_get("verification")?;
    Ok(Hook {
        hook_id: HookId::parse(hook_id)
            .ok_or_else(|| unreadable("hook_id", "is no id of a webhook".to_owned()))?,
        name: row.try_get("name")?,
        verification: verification.parse().map_err(|reason| unreadable("verification", reason))?,
        headers: row.try_get("headers")?,
        id_header: row.try_get("id_header")?,
    })
}
