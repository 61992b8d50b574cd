//! The log from before there was a key: read, and never written.

use super::hash;
use crate::role::Api;
use crate::{Conn, Error};
use automation_domain::audit::Hash;
use automation_domain::audit::legacy::{Broken, Entry, Head};
use automation_domain::id::TenantId;
use sqlx::Row;
use sqlx::postgres::PgRow;

/// Entries read at once while a chain is verified.
const PAGE: i64 = 1_000;

/// Lists it, the latest first, from before number `before`.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM audit_log WHERE tenant_id = $1 AND ($2::int8 IS NULL OR seq < $2) ORDER BY seq DESC LIMIT $3",
    )
    .bind(tenant.0)
    .bind(before)
    .bind(limit)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(entry).collect()
}

/// Goes along the whole of it: its head, or where it breaks.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn verify(connection: &mut Conn<Api>, tenant: TenantId) -> Result<Result<Head, Broken>, Error> {
    let mut head = Head::BEGINNING;
    // By the last number that was read, not that of the head: an entry that is numbered twice or less is not skipped.
    let mut after = i64::MIN;
    loop {
        let rows =
            sqlx::query("SELECT * FROM audit_log WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3")
                .bind(tenant.0)
                .bind(after)
                .bind(PAGE)
                .fetch_all(connection.sql())
                .await?;
        for row in &rows {
            let entry = entry(row)?;
            let of = |column| hash(row, "audit_log", column, entry.seq);
            let (previous, stored) = (of("previous_hash")?, of("hash")?);
            head = match head.follow(&entry, &previous, &stored) {
                Ok(head) => head,
                Err(broken) => return Ok(Err(broken)),
            };
            after = entry.seq;
        }
        if rows.is_empty() {
            return Ok(Ok(head));
        }
    }
}

/// The hash of the entry with this number, if there is one.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn hash_at(connection: &mut Conn<Api>, tenant: TenantId, seq: i64) -> Result<Option<Hash>, Error> {
    let row = sqlx::query("SELECT hash FROM audit_log WHERE tenant_id = $1 AND seq = $2")
        .bind(tenant.0)
        .bind(seq)
        .fetch_optional(connection.sql())
        .await?;
    row.map(|row| hash(&row, "audit_log", "hash", seq)).transpose()
}

fn entry(row: &PgRow) -> Result<Entry, Error> {
    Ok(Entry {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        seq: row.try_get("seq")?,
        at: row.try_get("at")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        subject: row.try_get("subject")?,
        detail: row.try_get("detail")?,
    })
}
