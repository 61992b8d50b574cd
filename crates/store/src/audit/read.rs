//! Reading the log, and verifying it.

use super::{hash, legacy, stored_head};
use crate::role::{Api, OneOf, Operator};
use crate::{Conn, Error};
use automation_domain::audit::legacy::Head as LegacyHead;
use automation_domain::audit::{Broken, Hash, Head, Keys, Link, SALT_BYTES, Seal, Walk, Walked, Words};
use automation_domain::id::TenantId;
use sqlx::Row;
use sqlx::postgres::PgRow;

/// Entries read at once while a chain is verified.
const PAGE: i64 = 1_000;

/// An entry as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// What stays of it.
    pub link: Link,
    /// Its MAC.
    pub mac: Hash,
    /// What it says of people; `None` once erased.
    pub words: Option<Words>,
}

/// A log that is as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The chain.
    pub chain: Walked,
    /// The end of the log from before there was a key.
    pub legacy: LegacyHead,
}

const ENTRIES: &str = "SELECT l.*, w.salt, w.actor, w.subject, w.detail
      FROM audit_links l LEFT JOIN audit_words w ON w.tenant_id = l.tenant_id AND w.seq = l.seq
     WHERE l.tenant_id = $1";

/// Lists a tenant's log, the latest first, from before number `before`.
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
    let sql = format!("{ENTRIES} AND ($2::int8 IS NULL OR l.seq < $2) ORDER BY l.seq DESC LIMIT $3");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.0)
        .bind(before)
        .bind(limit)
        .fetch_all(connection.sql())
        .await?;
    rows.iter().map(entry).collect()
}

/// Where a tenant's chain ends, with its seal; `None` before its first entry. What it says is not checked.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn head(
    connection: &mut Conn<impl OneOf<(Api, Operator)>>,
    tenant: TenantId,
) -> Result<Option<(Head, Seal)>, Error> {
    let row = sqlx::query("SELECT * FROM audit_heads WHERE tenant_id = $1")
        .bind(tenant.0)
        .fetch_optional(connection.sql())
        .await?;
    row.map_or(Ok(None), |row| stored_head(&row))
}

/// The MAC of the entry with this number, if there is one.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn mac_at(connection: &mut Conn<Api>, tenant: TenantId, seq: i64) -> Result<Option<Hash>, Error> {
    let row = sqlx::query("SELECT mac FROM audit_links WHERE tenant_id = $1 AND seq = $2")
        .bind(tenant.0)
        .bind(seq)
        .fetch_optional(connection.sql())
        .await?;
    row.map(|row| hash(&row, "audit_links", "mac", seq)).transpose()
}

/// Goes along a tenant's whole log, the one from before there was a key too: what it comes to, or where it breaks.
///
/// That the whole of it was put back to an earlier state does not show: compare with a head that was kept elsewhere.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn verify(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    keys: &Keys,
) -> Result<Result<Verified, Broken>, Error> {
    let chain = match chain(connection, tenant, keys).await? {
        Ok(chain) => chain,
        Err(broken) => return Ok(Err(broken)),
    };
    let legacy = match legacy::verify(connection, tenant).await? {
        Ok(legacy) => legacy,
        Err(broken) => return Ok(Err(broken.into())),
    };
    for (seq, sealed) in &chain.sealed {
        if legacy::hash_at(connection, tenant, sealed.seq).await? != Some(sealed.hash) {
            return Ok(Err(Broken::Sealed(*seq)));
        }
    }
    Ok(Ok(Verified { chain, legacy }))
}

/// Holds up nobody who writes meanwhile: where the head moved, what looked broken is looked at once more, since words may
/// have been erased that an entry after the head explains.
async fn chain(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    keys: &Keys,
) -> Result<Result<Walked, Broken>, Error> {
    loop {
        // In one statement, so that nothing comes in between.
        let row = sqlx::query(
            "SELECT h.*, (SELECT max(seq) FROM audit_links WHERE tenant_id = $1) AS last
               FROM (SELECT $1::uuid AS of) t LEFT JOIN audit_heads h ON h.tenant_id = t.of",
        )
        .bind(tenant.0)
        .fetch_one(connection.sql())
        .await?;
        let (before, last) = (stored_head(&row)?, row.try_get::<Option<i64>, _>("last")?.unwrap_or_default());
        let walked = walk(connection, tenant, keys, last, before.as_ref()).await?;
        if walked.is_ok() || head(connection, tenant).await? == before {
            return Ok(walked);
        }
    }
}

/// From the first link to the last, which the head has to name.
async fn walk(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    keys: &Keys,
    last: i64,
    end: Option<&(Head, Seal)>,
) -> Result<Result<Walked, Broken>, Error> {
    let mut walk = Walk::new(keys, tenant);
    let mut after = i64::MIN;
    let sql = format!("{ENTRIES} AND l.seq > $2 AND l.seq <= $3 ORDER BY l.seq LIMIT $4");
    loop {
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql.clone()))
            .bind(tenant.0)
            .bind(after)
            .bind(last)
            .bind(PAGE)
            .fetch_all(connection.sql())
            .await?;
        for row in &rows {
            let entry = entry(row)?;
            after = entry.link.seq;
            if let Err(broken) = walk.step(&entry.link, &entry.mac, entry.words.as_ref()) {
                return Ok(Err(broken));
            }
        }
        if rows.is_empty() {
            return Ok(walk.end(end));
        }
    }
}

fn entry(row: &PgRow) -> Result<Entry, Error> {
    let seq = row.try_get("seq")?;
    let link = Link {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        seq,
        at: row.try_get("at")?,
        action: row.try_get("action")?,
        commitment: hash(row, "audit_links", "commitment", seq)?,
        proof: row.try_get("proof")?,
        key_id: row.try_get("key_id")?,
    };
    let words = match row.try_get::<Option<Vec<u8>>, _>("salt")? {
        None => None,
        Some(salt) => Some(Words {
            salt: <[u8; SALT_BYTES]>::try_from(salt).map_err(|salt| Error::Unreadable {
                table: "audit_words",
                column: "salt",
                id: seq.to_string(),
                reason: format!("a salt has {SALT_BYTES} bytes, not {}", salt.len()),
            })?,
            actor: row.try_get("actor")?,
            subject: row.try_get("subject")?,
            detail: row.try_get("detail")?,
        }),
    };
    Ok(Entry { link, mac: hash(row, "audit_links", "mac", seq)?, words })
}
