//! Receipts: the one place that decides whether an event was seen before.

use crate::role::{Api, Role, Worker};
use crate::{Conn, Error};
use automation_domain::id::{EventKey, TenantId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// An event that asks to be let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Whose event.
    pub tenant_id: TenantId,
    /// Its key.
    pub event_key: EventKey,
    /// Hash over type, subject and data.
    pub body_hash: [u8; 32],
}

/// What the receipts say of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    /// Never before: this transaction holds the receipt.
    New,
    /// Before, with the same body: it changes nothing.
    Before {
        /// When; `None` when its receipt expired this moment.
        received_at: Option<DateTime<Utc>>,
    },
    /// Before, with another body.
    Conflict,
}

/// The moment of the transaction, in the database's clock.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn now(connection: &mut Conn<impl Role>) -> Result<DateTime<Utc>, Error> {
    Ok(sqlx::query_scalar("SELECT now()").fetch_one(connection.sql()).await?)
}

/// Writes the receipts of a batch and says which events are new. No key may stand in `claims` twice.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn accept(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    claims: &[Claim],
) -> Result<BTreeMap<(TenantId, EventKey), Seen>, Error> {
    let mut sorted: Vec<&Claim> = claims.iter().collect();
    sorted.sort_unstable_by_key(|claim| (claim.tenant_id, claim.event_key));
    let (tenants, keys): (Vec<Uuid>, Vec<Uuid>) =
        sorted.iter().map(|claim| (claim.tenant_id.0, claim.event_key.0)).unzip();
    let hashes: Vec<Uuid> = sorted.iter().map(|claim| short(&claim.body_hash)).collect();
    let inserted: BTreeSet<(Uuid, Uuid)> = sqlx::query_as(
        "INSERT INTO event_receipts (tenant_id, event_key, received_at, body_hash)
         SELECT t, k, $4, h FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS u (t, k, h)
         ON CONFLICT DO NOTHING RETURNING tenant_id, event_key",
    )
    .bind(&tenants)
    .bind(&keys)
    .bind(&hashes)
    .bind(now)
    .fetch_all(connection.sql())
    .await?
    .into_iter()
    .collect();

    let known: Vec<&Claim> = sorted
        .into_iter()
        .filter(|claim| !inserted.contains(&(claim.tenant_id.0, claim.event_key.0)))
        .collect();
    // A statement of its own: the one that met the conflict has a snapshot from before the other's commit.
    let stored = if known.is_empty() { BTreeMap::new() } else { stored(connection, &known).await? };
    Ok(claims
        .iter()
        .map(|claim| {
            let key = (claim.tenant_id, claim.event_key);
            let seen = if inserted.contains(&(key.0.0, key.1.0)) {
                Seen::New
            } else {
                match stored.get(&key) {
                    // A receipt that expired between the two statements counts as seen: the event comes again or never.
                    None => Seen::Before { received_at: None },
                    Some((hash, at)) if *hash == short(&claim.body_hash) => {
                        Seen::Before { received_at: Some(*at) }
                    }
                    Some(_) => Seen::Conflict,
                }
            };
            (key, seen)
        })
        .collect())
}

/// When an event was received, if its receipt is still there.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn received_at(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    key: EventKey,
) -> Result<Option<DateTime<Utc>>, Error> {
    Ok(sqlx::query_scalar("SELECT received_at FROM event_receipts WHERE tenant_id = $1 AND event_key = $2")
        .bind(tenant.0)
        .bind(key.0)
        .fetch_optional(connection.sql())
        .await?)
}

/// The hashes of bodies, and when they were received.
async fn stored(
    connection: &mut Conn<Worker>,
    claims: &[&Claim],
) -> Result<BTreeMap<(TenantId, EventKey), (Uuid, DateTime<Utc>)>, Error> {
    let (tenants, keys): (Vec<Uuid>, Vec<Uuid>) =
        claims.iter().map(|claim| (claim.tenant_id.0, claim.event_key.0)).unzip();
    let rows = sqlx::query(
        "SELECT r.tenant_id, r.event_key, r.body_hash, r.received_at
           FROM unnest($1::uuid[], $2::uuid[]) AS u (t, k)
           JOIN event_receipts r ON r.tenant_id = u.t AND r.event_key = u.k",
    )
    .bind(&tenants)
    .bind(&keys)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            Ok((
                (TenantId(row.try_get("tenant_id")?), EventKey(row.try_get("event_key")?)),
                (row.try_get("body_hash")?, row.try_get("received_at")?),
            ))
        })
        .collect()
}

/// The first 128 bits: enough to tell bodies apart, and a fixed-width column.
fn short(hash: &[u8; 32]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(bytes)
}
