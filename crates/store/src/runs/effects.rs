//! The ledger of effects outside: what was asked of whom, and what it came to. Every write belongs to a claim that holds.
//!
//! Effects are changed by way of `ON CONFLICT`, which finds each row by its key and nothing else. A join with a partitioned
//! table would need bounds to leave partitions out, and those bounds would tempt the planner to read all that lies between.

use crate::role::{Api, OneOf, Worker};
use crate::{Conn, Error};
use automation_domain::effect::{Request, Response};
use automation_domain::id::{IdempotencyKey, RunId, TenantId};
use automation_domain::workflow::Delivery;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;

/// Most tries that are kept of an effect, the latest ones: more than any ladder with all its deferrals has.
pub const MOST_TRIES: i32 = 100;

/// Which effect.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EffectKey {
    /// Whose run.
    pub tenant_id: TenantId,
    /// Which run.
    pub run_id: RunId,
    /// Which node.
    pub node: String,
    /// Which visit of it.
    pub visit: u32,
}

/// An effect to be stored before its first try.
#[derive(Clone, PartialEq, Debug)]
pub struct NewEffect {
    /// Which one.
    pub key: EffectKey,
    /// The action's key.
    pub action: String,
    /// What the other side knows it by.
    pub idempotency_key: IdempotencyKey,
    /// How often it may arrive.
    pub delivery: Delivery,
    /// What is sent, on every try.
    pub request: Request,
    /// Whether its first try begins with this commit; else it waits for its turn.
    pub starts: bool,
}

/// How an effect stands after a try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EffectStatus {
    /// Waits for its turn: it is tried again, or there was no room for it.
    Pending,
    /// A try has begun, and nothing is known of it yet.
    Started,
    /// The other side did it.
    Done,
    /// It was given up.
    Failed,
    /// It was sent once at most, and nobody knows whether it arrived.
    Unknown,
    /// A policy did not let it leave, or its branch was given up before it left.
    Skipped,
}

impl EffectStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Started, Self::Done, Self::Failed, Self::Unknown, Self::Skipped];

    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Started => "started",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }
}

/// What becomes of a stored effect before anything is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mark {
    /// This attempt of it begins.
    Begins(u32),
    /// It waits for its turn.
    Waits,
    /// It is never sent.
    Skipped,
}

impl Mark {
    fn status(self) -> EffectStatus {
        match self {
            Self::Begins(_) => EffectStatus::Started,
            Self::Waits => EffectStatus::Pending,
            Self::Skipped => EffectStatus::Skipped,
        }
    }

    fn attempt(self) -> i32 {
        match self {
            Self::Begins(attempt) => i32::try_from(attempt).unwrap_or(i32::MAX),
            Self::Waits | Self::Skipped => 0,
        }
    }
}

/// What one try came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Try {
    /// Which sending of the step; begins again at 1 with a replay.
    pub number: u32,
    /// Which attempt of the step's policy.
    pub attempt: u32,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Stable code of its error; `None` when it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The error's sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Status of the response, if one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// What a try changes.
#[derive(Clone, PartialEq, Debug)]
pub struct Tried {
    /// Which effect.
    pub key: EffectKey,
    /// How it stands now.
    pub status: EffectStatus,
    /// What the try came to.
    pub tried: Try,
    /// What came back, if anything did.
    pub response: Option<Response>,
}

/// An effect as it is stored.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredEffect {
    /// Which one.
    pub key: EffectKey,
    /// The action's key.
    pub action: String,
    /// What the other side knows it by.
    pub idempotency_key: IdempotencyKey,
    /// How often it may arrive.
    pub delivery: Delivery,
    /// What is sent, on every try.
    pub request: Request,
    /// How it stands.
    pub status: EffectStatus,
    /// The attempt that began last; 0 before the first.
    pub attempts: u32,
    /// When that began.
    pub started_at: Option<DateTime<Utc>>,
    /// What its tries came to, the latest ones, in order.
    pub tries: Vec<Try>,
    /// What came back last.
    pub response: Option<Response>,
}

/// Stores effects before their first try.
///
/// # Errors
///
/// [`Error`] of the database; an effect that is stored already is refused.
pub async fn insert(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    now: DateTime<Utc>,
    effects: &[&NewEffect],
) -> Result<(), Error> {
    if effects.is_empty() {
        return Ok(());
    }
    let mut sorted = effects.to_vec();
    sorted.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let requests =
        sorted.iter().map(|effect| encode(&effect.request, &effect.key)).collect::<Result<Vec<_>, _>>()?;
    macro_rules! column {
        ($effect:ident => $value:expr) => {
            sorted.iter().map(|$effect| $value).collect::<Vec<_>>()
        };
    }
    let status =
        |effect: &NewEffect| if effect.starts { EffectStatus::Started } else { EffectStatus::Pending };
    sqlx::query(
        "INSERT INTO effects (tenant_id, run_id, node, visit, action, idempotency_key, delivery, request, status,
                              attempts, started_at)
         SELECT t, r, n, v, a, k, d, q, s, (s = 'started')::int, CASE WHEN s = 'started' THEN $10 END
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int4[], $5::text[], $6::uuid[], $7::text[], $8::bytea[],
                       $9::text[]) AS u (t, r, n, v, a, k, d, q, s)",
    )
    .bind(column!(effect => effect.key.tenant_id.0))
    .bind(column!(effect => effect.key.run_id.0))
    .bind(column!(effect => effect.key.node.as_str()))
    .bind(column!(effect => visit(&effect.key)))
    .bind(column!(effect => effect.action.as_str()))
    .bind(column!(effect => effect.idempotency_key.0))
    .bind(column!(effect => effect.delivery.as_str()))
    .bind(requests)
    .bind(column!(effect => status(effect).as_str()))
    .bind(now)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Notes what becomes of stored effects before anything is sent.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn mark(
    connection: &mut Conn<Worker>,
    now: DateTime<Utc>,
    effects: &[(&EffectKey, Mark)],
) -> Result<(), Error> {
    if effects.is_empty() {
        return Ok(());
    }
    let mut sorted = effects.to_vec();
    sorted.sort_unstable();
    let keys = Keys::of(sorted.iter().map(|(key, _)| *key));
    let statuses: Vec<&str> = sorted.iter().map(|(_, mark)| mark.status().as_str()).collect();
    let attempts: Vec<i32> = sorted.iter().map(|(_, mark)| mark.attempt()).collect();
    let rows = sqlx::query(
        "INSERT INTO effects AS e (tenant_id, run_id, node, visit, action, idempotency_key, delivery, request, status,
                                   attempts, started_at)
         SELECT t, r, n, v, '', t, 'at_least_once', '', s, a, $6
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int4[], $5::int4[], $7::text[]) AS u (t, r, n, v, a, s)
         ON CONFLICT (tenant_id, run_id, node, visit) DO UPDATE
            SET status = excluded.status,
                attempts = CASE excluded.status WHEN 'started' THEN excluded.attempts ELSE e.attempts END,
                started_at = CASE excluded.status WHEN 'started' THEN excluded.started_at ELSE e.started_at END
      RETURNING e.run_id, e.node, e.action",
    )
    .bind(keys.tenants)
    .bind(keys.runs)
    .bind(keys.nodes)
    .bind(keys.visits)
    .bind(attempts)
    .bind(now)
    .bind(statuses)
    .fetch_all(connection.sql())
    .await?;
    all_were_there(&rows)
}

/// Records what tries came to.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn record(connection: &mut Conn<Worker>, tries: &[&Tried]) -> Result<(), Error> {
    if tries.is_empty() {
        return Ok(());
    }
    let mut sorted = tries.to_vec();
    sorted.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    let keys = Keys::of(sorted.iter().map(|tried| &tried.key));
    let outcomes =
        sorted.iter().map(|tried| encode(&tried.tried, &tried.key)).collect::<Result<Vec<_>, _>>()?;
    let responses = sorted
        .iter()
        .map(|tried| tried.response.as_ref().map(|response| encode(response, &tried.key)).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    let rows = sqlx::query(
        "INSERT INTO effects AS e (tenant_id, run_id, node, visit, action, idempotency_key, delivery, request, status,
                                   started_at, tries, response)
         SELECT t, r, n, v, '', t, 'at_least_once', '', s, now(), ARRAY[o], c
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int4[], $5::text[], $6::bytea[], $7::bytea[])
                AS u (t, r, n, v, s, o, c)
         ON CONFLICT (tenant_id, run_id, node, visit) DO UPDATE
            SET status = excluded.status,
                tries = (e.tries || excluded.tries)[greatest(1, cardinality(e.tries) + 2 - $8):],
                response = coalesce(excluded.response, e.response)
      RETURNING e.run_id, e.node, e.action",
    )
    .bind(keys.tenants)
    .bind(keys.runs)
    .bind(keys.nodes)
    .bind(keys.visits)
    .bind(sorted.iter().map(|tried| tried.status.as_str()).collect::<Vec<_>>())
    .bind(outcomes)
    .bind(responses)
    .bind(MOST_TRIES)
    .fetch_all(connection.sql())
    .await?;
    all_were_there(&rows)
}

/// Refuses changes of effects that are not stored.
fn all_were_there(rows: &[PgRow]) -> Result<(), Error> {
    for row in rows {
        if row.try_get::<&str, _>("action")?.is_empty() {
            let id = format!("{}/{}", RunId(row.try_get("run_id")?), row.try_get::<&str, _>("node")?);
            let reason = "it is not stored".to_owned();
            return Err(Error::Unreadable { table: "effects", column: "request", id, reason });
        }
    }
    Ok(())
}

/// Reads stored effects; those that do not exist are left out.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn read(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    effects: &[EffectKey],
) -> Result<BTreeMap<EffectKey, StoredEffect>, Error> {
    if effects.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys = Keys::of(effects);
    // A look-up per key, kept apart from its surroundings by OFFSET: the partition is then chosen for each.
    let rows = sqlx::query(
        "SELECT e.*
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int4[]) AS u (t, r, n, v)
          CROSS JOIN LATERAL (
                SELECT * FROM effects e
                 WHERE e.tenant_id = u.t AND e.run_id = u.r AND e.node = u.n AND e.visit = u.v OFFSET 0) AS e",
    )
    .bind(keys.tenants)
    .bind(keys.runs)
    .bind(keys.nodes)
    .bind(keys.visits)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(|row| stored(row).map(|effect| (effect.key.clone(), effect))).collect()
}

/// The effects of one run, in the order of their nodes.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn of_run(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    run: RunId,
) -> Result<Vec<StoredEffect>, Error> {
    let rows = sqlx::query("SELECT * FROM effects WHERE tenant_id = $1 AND run_id = $2 ORDER BY node, visit")
        .bind(tenant.0)
        .bind(run.0)
        .fetch_all(connection.sql())
        .await?;
    rows.iter().map(stored).collect()
}

/// Keys as columns.
struct Keys {
    tenants: Vec<uuid::Uuid>,
    runs: Vec<uuid::Uuid>,
    nodes: Vec<String>,
    visits: Vec<i32>,
}

impl Keys {
    fn of<'k>(keys: impl IntoIterator<Item = &'k EffectKey>) -> Self {
        let mut columns =
            Self { tenants: Vec::new(), runs: Vec::new(), nodes: Vec::new(), visits: Vec::new() };
        for key in keys {
            columns.tenants.push(key.tenant_id.0);
            columns.runs.push(key.run_id.0);
            columns.nodes.push(key.node.clone());
            columns.visits.push(visit(key));
        }
        columns
    }
}

fn visit(key: &EffectKey) -> i32 {
    i32::try_from(key.visit).unwrap_or(i32::MAX)
}

fn stored(row: &PgRow) -> Result<StoredEffect, Error> {
    let key = EffectKey {
        tenant_id: TenantId(row.try_get("tenant_id")?),
        run_id: RunId(row.try_get("run_id")?),
        node: row.try_get("node")?,
        visit: unsigned(row.try_get("visit")?),
    };
    let word = |column: &'static str| -> Result<String, Error> { Ok(row.try_get(column)?) };
    let (delivery, status) = (word("delivery")?, word("status")?);
    let delivery = Delivery::ALL.into_iter().find(|known| known.as_str() == delivery);
    let status = EffectStatus::ALL.into_iter().find(|known| known.as_str() == status);
    let tries: Vec<Vec<u8>> = row.try_get("tries")?;
    let response: Option<Vec<u8>> = row.try_get("response")?;
    Ok(StoredEffect {
        action: row.try_get("action")?,
        idempotency_key: IdempotencyKey(row.try_get("idempotency_key")?),
        delivery: delivery.ok_or_else(|| unreadable("delivery", &key, "not a word of the format"))?,
        request: decode(&row.try_get::<Vec<u8>, _>("request")?, "request", &key)?,
        status: status.ok_or_else(|| unreadable("status", &key, "not a state"))?,
        attempts: unsigned(row.try_get("attempts")?),
        started_at: row.try_get("started_at")?,
        tries: tries.iter().map(|bytes| decode(bytes, "tries", &key)).collect::<Result<_, _>>()?,
        response: response.map(|bytes| decode(&bytes, "response", &key)).transpose()?,
        key,
    })
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn encode(value: &impl Serialize, key: &EffectKey) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| unreadable("request", key, error))
}

fn decode<T: serde::de::DeserializeOwned>(
    bytes: &[u8],
    column: &'static str,
    key: &EffectKey,
) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| unreadable(column, key, error))
}

fn unreadable(column: &'static str, key: &EffectKey, reason: impl ToString) -> Error {
    let id = format!("{}/{}#{}", key.run_id, key.node, key.visit);
    Error::Unreadable { table: "effects", column, id, reason: reason.to_string() }
}
