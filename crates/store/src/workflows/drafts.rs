//! Drafts: what is being written beside what is published.

use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::id::TenantId;
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;

/// A draft as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// The key of the workflow that it is of, or that it is to make.
    pub key: String,
    /// Another one with every save, and never the same twice.
    pub revision: i64,
    /// The version that was published when it was begun; `None` where none was.
    pub base_version: Option<i32>,
    /// The file, as it was written.
    pub source: String,
    /// When it was saved.
    pub saved_at: DateTime<Utc>,
    /// By whom.
    pub saved_by: String,
}

/// A draft to be saved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewDraft<'a> {
    /// The workflow's key.
    pub key: &'a str,
    /// The file, as it was written.
    pub source: &'a str,
    /// The version that is published, where this begins a draft.
    pub base_version: Option<i32>,
    /// Who saves it.
    pub saved_by: &'a str,
}

const SELECT: &str = "SELECT key, revision, base_version, source, saved_at, saved_by FROM workflow_drafts";

/// The draft of this key.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn by_key(connection: &mut Conn<Api>, tenant: TenantId, key: &str) -> Result<Option<Draft>, Error> {
    let sql = format!("{SELECT} WHERE tenant_id = $1 AND key = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(key)
        .fetch_optional(connection.sql())
        .await?;
    row.map(|row| stored(&row)).transpose()
}

/// All drafts of a tenant, by key.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(connection: &mut Conn<Api>, tenant: TenantId) -> Result<Vec<Draft>, Error> {
    let sql = format!("{SELECT} WHERE tenant_id = $1 ORDER BY key");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant.0).fetch_all(connection.sql()).await?;
    rows.iter().map(stored).collect()
}

/// Saves a draft in place of the one there was, whose base it keeps.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn save(connection: &mut Conn<Api>, tenant: TenantId, draft: NewDraft<'_>) -> Result<Draft, Error> {
    let row = sqlx::query(
        "INSERT INTO workflow_drafts (tenant_id, key, base_version, source, saved_by) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, key) DO UPDATE
            SET revision = excluded.revision, source = excluded.source, saved_at = excluded.saved_at,
                saved_by = excluded.saved_by
         RETURNING key, revision, base_version, source, saved_at, saved_by",
    )
    .bind(tenant.0)
    .bind(draft.key)
    .bind(draft.base_version)
    .bind(draft.source)
    .bind(draft.saved_by)
    .fetch_one(connection.sql())
    .await?;
    stored(&row)
}

/// Deletes a draft; `false` when there was none.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn discard(connection: &mut Conn<Api>, tenant: TenantId, key: &str) -> Result<bool, Error> {
    let deleted = sqlx::query("DELETE FROM workflow_drafts WHERE tenant_id = $1 AND key = $2")
        .bind(tenant.0)
        .bind(key)
        .execute(connection.sql())
        .await?;
    Ok(deleted.rows_affected() == 1)
}

fn stored(row: &PgRow) -> Result<Draft, Error> {
    Ok(Draft {
        key: row.try_get("key")?,
        revision: row.try_get("revision")?,
        base_version: row.try_get("base_version")?,
        source: row.try_get("source")?,
        saved_at: row.try_get("saved_at")?,
        saved_by: row.try_get("saved_by")?,
    })
}
