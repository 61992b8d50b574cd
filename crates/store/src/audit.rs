//! The audit log: what people did, appended in a chain of hashes for each tenant; role api.

use crate::Error;
use automation_domain::audit::{Broken, Entry, Hash, Head};
use automation_domain::id::TenantId;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

/// Entries read at once while a chain is verified.
const PAGE: i64 = 1_000;

/// Something that a person did.
#[derive(Clone, PartialEq, Debug)]
pub struct Deed {
    /// Who.
    pub actor: String,
    /// What: `dead_letter.replay`.
    pub action: &'static str,
    /// To what: `dead_letter 0193…`.
    pub subject: String,
    /// More, as an object without secrets.
    pub detail: Value,
}

/// Appends deeds to a tenant's log, in the transaction that does them.
///
/// Writers of one tenant wait for each other: a chain has one end.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn append(connection: &mut PgConnection, tenant: TenantId, deeds: &[Deed]) -> Result<(), Error> {
    if deeds.is_empty() {
        return Ok(());
    }
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('automation.audit ' || $1::uuid::text, 0))")
        .bind(tenant.0)
        .execute(&mut *connection)
        .await?;
    let last = sqlx::query("SELECT seq, hash FROM audit_log WHERE tenant_id = $1 ORDER BY seq DESC LIMIT 1")
        .bind(tenant.0)
        .fetch_optional(&mut *connection)
        .await?;
    let mut head = match last {
        Some(row) => {
            let seq = row.try_get("seq")?;
            Head { seq, hash: hash(&row, "hash", seq)? }
        }
        None => Head::BEGINNING,
    };
    // Read under the lock, so that times ascend with the numbers.
    let at: DateTime<Utc> =
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *connection).await?;
    let (mut entries, mut hashes) = (Vec::new(), Vec::new());
    for deed in deeds {
        let entry = Entry {
            tenant_id: tenant,
            seq: head.seq + 1,
            at,
            actor: deed.actor.clone(),
            action: deed.action.to_owned(),
            subject: deed.subject.clone(),
            detail: deed.detail.to_string(),
        };
        let hash = entry.hash(&head.hash);
        hashes.push((head.hash, hash));
        head = Head { seq: entry.seq, hash };
        entries.push(entry);
    }
    sqlx::query(
        "INSERT INTO audit_log (tenant_id, at, seq, actor, action, subject, detail, previous_hash, hash)
         SELECT $1, $2, u.* FROM unnest($3::int8[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[],
                                        $9::bytea[]) AS u",
    )
    .bind(tenant.0)
    .bind(at)
    .bind(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.actor.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.subject.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.detail.as_str()).collect::<Vec<_>>())
    .bind(hashes.iter().map(|(previous, _)| previous.as_slice()).collect::<Vec<_>>())
    .bind(hashes.iter().map(|(_, hash)| hash.as_slice()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Lists a tenant's log, the latest first, from before number `before`.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(
    connection: &mut PgConnection,
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
    .fetch_all(connection)
    .await?;
    rows.iter().map(entry).collect()
}

/// Goes along a tenant's whole chain: its head, or where it breaks.
///
/// That the end was cut off does not show: compare the head with one that was kept elsewhere.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn verify(connection: &mut PgConnection, tenant: TenantId) -> Result<Result<Head, Broken>, Error> {
    let mut head = Head::BEGINNING;
    // By the last number that was read, not that of the head: an entry that is numbered twice or less is not skipped.
    let mut after = i64::MIN;
    loop {
        let rows =
            sqlx::query("SELECT * FROM audit_log WHERE tenant_id = $1 AND seq > $2 ORDER BY seq LIMIT $3")
                .bind(tenant.0)
                .bind(after)
                .bind(PAGE)
                .fetch_all(&mut *connection)
                .await?;
        for row in &rows {
            let entry = entry(row)?;
            let (previous, hash) = (hash(row, "previous_hash", entry.seq)?, hash(row, "hash", entry.seq)?);
            head = match head.follow(&entry, &previous, &hash) {
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
pub async fn hash_at(
    connection: &mut PgConnection,
    tenant: TenantId,
    seq: i64,
) -> Result<Option<Hash>, Error> {
    let row = sqlx::query("SELECT hash FROM audit_log WHERE tenant_id = $1 AND seq = $2")
        .bind(tenant.0)
        .bind(seq)
        .fetch_optional(connection)
        .await?;
    row.map(|row| hash(&row, "hash", seq)).transpose()
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

fn hash(row: &PgRow, column: &'static str, seq: i64) -> Result<Hash, Error> {
    let bytes: Vec<u8> = row.try_get(column)?;
    Hash::try_from(bytes).map_err(|bytes| Error::Unreadable {
        table: "audit_log",
        column,
        id: seq.to_string(),
        reason: format!("a hash has 32 bytes, not {}", bytes.len()),
    })
}
