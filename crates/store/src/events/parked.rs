//! Parked events: what ingest refused, with its original bytes.

use crate::audit::{self, Auditor, Deed};
use crate::dead_letters::DeadLetterStatus;
use crate::role::{Api, Operator, Scheduler};
use crate::upkeep::usage;
use crate::{Conn, Error};
use automation_domain::event::admission::ON_BEHALF_OF;
use automation_domain::id::{TenantId, digest};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder, Row};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

const TABLE: &str = "parked_events";

/// What became of a parked message; the words are those of dead letters.
pub type ParkedStatus = DeadLetterStatus;

/// Which parked messages are looked for. Every part that is given has to fit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ParkedFilter {
    /// With one of these ids.
    pub ids: Option<Vec<Uuid>>,
    /// With this reason.
    pub reason: Option<String>,
    /// Of this publisher.
    pub user: Option<Publisher>,
    /// With this routing key.
    pub event_type: Option<String>,
    /// In this state.
    pub status: Option<ParkedStatus>,
    /// Last parked at or after this moment.
    pub since: Option<DateTime<Utc>>,
    /// Last parked before this moment.
    pub until: Option<DateTime<Utc>>,
}

/// Who published: a user of the broker, or somebody for whom others publish.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Publisher {
    /// The name.
    pub name: String,
    /// Users of the broker who may publish for it.
    pub speakers: Vec<String>,
}

/// A message, or a member of a batch, that was refused.
#[derive(Clone, PartialEq, Debug)]
pub struct Parked {
    /// A hash of reason and message: parking twice is one row with two occurrences.
    pub parked_id: Uuid,
    /// The tenant, when it could be told.
    pub tenant_id: Option<TenantId>,
    /// Stable code.
    pub reason: String,
    /// One sentence.
    pub detail: String,
    /// The queue it was taken from.
    pub queue: String,
    /// Its routing key.
    pub routing_key: String,
    /// Its content type.
    pub content_type: Option<String>,
    /// The broker user who published it.
    pub amqp_user: Option<String>,
    /// Its headers.
    pub headers: Map<String, Value>,
    /// The message itself.
    pub body: ParkedBody,
    /// How often it was parked.
    pub occurrences: i32,
    /// When it was first parked.
    pub first_seen_at: DateTime<Utc>,
    /// When it was last parked.
    pub last_seen_at: DateTime<Utc>,
    /// What became of it.
    pub status: ParkedStatus,
    /// Since when, if anybody did something.
    pub changed_at: Option<DateTime<Utc>>,
    /// Who did it.
    pub changed_by: Option<String>,
    /// Why.
    pub note: Option<String>,
}

/// The body of a parked message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParkedBody {
    /// The bytes as received.
    Kept(Vec<u8>),
    /// What is known of bytes that found no room in the tenant's quota; without headers either.
    Left {
        /// How many there were; of the last such message, where several are counted as one.
        bytes: usize,
        /// Their SHA-256.
        sha256: Vec<u8>,
    },
}

impl ParkedBody {
    /// The bytes, if they were kept.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Kept(bytes) => Some(bytes),
            Self::Left { .. } => None,
        }
    }

    /// How many bytes were received.
    pub fn size(&self) -> usize {
        match self {
            Self::Kept(bytes) => bytes.len(),
            Self::Left { bytes, .. } => *bytes,
        }
    }
}

/// A change of state by a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change<'a> {
    /// The state before, without which nothing is changed.
    pub from: ParkedStatus,
    /// The state after.
    pub to: ParkedStatus,
    /// Who.
    pub who: &'a Auditor,
    /// Why.
    pub note: Option<&'a str>,
}

/// Changes the state of a parked message that was parked `occurrences` times, and writes the deed to the audit log of
/// its tenant; `false` when it is in another state, or was parked again meanwhile. That tenant is in scope, or the nil
/// UUID where there is none.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn change(
    connection: &mut Conn<Operator>,
    parked: &Parked,
    change: Change<'_>,
    detail: Value,
) -> Result<bool, Error> {
    let changed = sqlx::query(
        "UPDATE parked_events SET status = $4, changed_at = now(), changed_by = $5, note = coalesce($6, note)
          WHERE parked_id = $1 AND occurrences = $2 AND status = $3",
    )
    .bind(parked.parked_id)
    .bind(parked.occurrences)
    .bind(change.from.as_str())
    .bind(change.to.as_str())
    .bind(change.who.actor())
    .bind(change.note)
    .execute(connection.sql())
    .await?
    .rows_affected();
    if changed == 0 {
        return Ok(false);
    }
    let action = match change.to {
        ParkedStatus::Open => "parked_event.restore",
        ParkedStatus::Replayed => "parked_event.replay",
        ParkedStatus::Discarded => "parked_event.discard",
    };
    let deed = Deed { action, subject: format!("parked_event {}", parked.parked_id), detail };
    audit::append(connection, parked.audited_under(), change.who, &[deed]).await?;
    Ok(true)
}

impl Parked {
    /// Whose audit log has what is done about it: the tenant's, or that of no tenant.
    pub fn audited_under(&self) -> TenantId {
        self.tenant_id.unwrap_or(TenantId(Uuid::nil()))
    }
}

/// Records parked messages, each once however often it is among them.
///
/// What was replayed and comes again is open again; what was discarded stays discarded, and counts. Of a tenant whose quota of
/// parked bytes is used up, messages are kept without bytes and headers, and a tenth of the quota later only counted, together by
/// reason and user.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn record(connection: &mut Conn<Scheduler>, parked: &[Parked]) -> Result<(), Error> {
    let mut once: BTreeMap<Uuid, (&Parked, i32)> = BTreeMap::new();
    for one in parked {
        once.entry(one.parked_id)
            .and_modify(|(_, occurrences)| *occurrences += one.occurrences)
            .or_insert((one, one.occurrences));
    }
    let known = known(connection, once.keys().copied().collect()).await?;
    let mut room = Room::of(connection, once.values().map(|(one, _)| one.audited_under())).await?;
    let mut rows: BTreeMap<Uuid, (&Parked, i32, Keeping)> = BTreeMap::new();
    for (id, (one, occurrences)) in once {
        let keeping = if known.contains(&id) { Keeping::Known } else { room.take(one) };
        let id = if keeping == Keeping::Counted { counted_under(one) } else { id };
        rows.entry(id).and_modify(|(_, all, _)| *all += occurrences).or_insert((one, occurrences, keeping));
    }
    macro_rules! column {
        ($parked:ident => $value:expr) => {
            rows.values().map(|($parked, _, _)| $value).collect::<Vec<_>>()
        };
    }
    let kept = |keeping: Keeping| matches!(keeping, Keeping::Whole | Keeping::Known);
    let no_headers = Map::new();
    sqlx::query(
        "INSERT INTO parked_events AS p (parked_id, tenant_id, reason, detail, queue, routing_key, content_type,
                                         amqp_user, headers, first_seen_at, last_seen_at, occurrences, body, body_bytes,
                                         body_sha256)
         SELECT i, t, r, d, q, k, c, u, h, f, l, n, CASE WHEN keep THEN b END,
                CASE WHEN NOT keep THEN octet_length(b) END, CASE WHEN NOT keep THEN sha256(b) END
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                              $8::text[], $9::jsonb[], $10::bytea[], $11::timestamptz[], $12::timestamptz[],
                              $13::int4[], $14::bool[]) AS x (i, t, r, d, q, k, c, u, h, b, f, l, n, keep)
         ON CONFLICT (parked_id) DO UPDATE
            SET occurrences = p.occurrences + excluded.occurrences, last_seen_at = excluded.last_seen_at,
                body_bytes = CASE WHEN p.body_bytes IS NOT NULL THEN coalesce(excluded.body_bytes, p.body_bytes) END,
                body_sha256 = CASE WHEN p.body_bytes IS NOT NULL THEN coalesce(excluded.body_sha256, p.body_sha256) END,
                status = CASE p.status WHEN 'replayed' THEN 'open' ELSE p.status END",
    )
    .bind(rows.keys().copied().collect::<Vec<_>>())
    .bind(column!(parked => parked.tenant_id.map(|id| id.0)))
    .bind(column!(parked => parked.reason.as_str()))
    .bind(column!(parked => parked.detail.as_str()))
    .bind(column!(parked => parked.queue.as_str()))
    .bind(column!(parked => parked.routing_key.as_str()))
    .bind(column!(parked => parked.content_type.as_deref()))
    .bind(column!(parked => parked.amqp_user.as_deref()))
    .bind(rows.values().map(|(one, _, keeping)| Json(if kept(*keeping) { &one.headers } else { &no_headers })).collect::<Vec<_>>())
    .bind(column!(parked => parked.body.bytes().unwrap_or_default()))
    .bind(column!(parked => parked.first_seen_at))
    .bind(column!(parked => parked.last_seen_at))
    .bind(rows.values().map(|(_, occurrences, _)| *occurrences).collect::<Vec<_>>())
    .bind(rows.values().map(|(_, _, keeping)| kept(*keeping)).collect::<Vec<_>>())
    .execute(connection.sql())
    .await?;
    usage::add(connection, &room.taken()).await
}

/// How a message is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keeping {
    /// It has its row already.
    Known,
    /// With its bytes.
    Whole,
    /// In a row of its own, without bytes and headers.
    Hash,
    /// In a row with others.
    Counted,
}

/// Bytes of a row beside body and headers.
const ROW_BYTES: usize = 500;

/// What is left of the quotas, and what was taken of them.
struct Room {
    left: BTreeMap<TenantId, usage::Room>,
    taken: BTreeMap<TenantId, i64>,
}

impl Room {
    async fn of(
        connection: &mut Conn<Scheduler>,
        tenants: impl Iterator<Item = TenantId>,
    ) -> Result<Self, Error> {
        let tenants: BTreeSet<TenantId> = tenants.collect();
        let left = usage::room(connection, &tenants.into_iter().collect::<Vec<_>>(), TABLE).await?;
        Ok(Self { left, taken: BTreeMap::new() })
    }

    fn take(&mut self, one: &Parked) -> Keeping {
        let tenant = one.audited_under();
        let Some(room) = self.left.get_mut(&tenant) else { return Keeping::Whole };
        let size = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        let whole = size(ROW_BYTES + one.body.size() + Value::Object(one.headers.clone()).to_string().len());
        let (keeping, bytes) = if whole <= room.left {
            (Keeping::Whole, whole)
        } else if size(ROW_BYTES) <= room.left.saturating_add(room.max_bytes / 10) {
            (Keeping::Hash, size(ROW_BYTES))
        } else {
            return Keeping::Counted;
        };
        room.left -= bytes;
        *self.taken.entry(tenant).or_default() += bytes;
        keeping
    }

    fn taken(&self) -> Vec<(TenantId, &'static str, i64)> {
        self.taken.iter().map(|(tenant, bytes)| (*tenant, TABLE, *bytes)).collect()
    }
}

/// Those of these ids that have a row.
async fn known(connection: &mut Conn<Scheduler>, ids: Vec<Uuid>) -> Result<BTreeSet<Uuid>, Error> {
    let found: Vec<Uuid> =
        sqlx::query_scalar("SELECT parked_id FROM parked_events WHERE parked_id = ANY($1)")
            .bind(ids)
            .fetch_all(connection.sql())
            .await?;
    Ok(found.into_iter().collect())
}

/// The row in which messages are counted that find no room: one for each reason and user of a tenant.
fn counted_under(one: &Parked) -> Uuid {
    let tenant = one.audited_under().0;
    let user = one.amqp_user.as_deref().unwrap_or_default();
    digest(&[b"parked beyond the quota", tenant.as_bytes(), one.reason.as_bytes(), user.as_bytes()])
}

/// Lists parked messages, the latest first, from before `cursor`.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn list(
    connection: &mut Conn<Operator>,
    filter: &ParkedFilter,
    cursor: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Vec<Parked>, Error> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT p.* FROM parked_events p");
    push_filter(&mut query, filter);
    if let Some((at, id)) = cursor {
        query.push(" AND (p.last_seen_at, p.parked_id) < (").push_bind(at).push(", ").push_bind(id).push(")");
    }
    query.push(" ORDER BY p.last_seen_at DESC, p.parked_id DESC LIMIT ").push_bind(limit);
    query.build().fetch_all(connection.sql()).await?.iter().map(parked).collect()
}

/// The ids of parked messages, the oldest first, `limit` at most: what comes later never joins them.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn snapshot(
    connection: &mut Conn<Operator>,
    filter: &ParkedFilter,
    limit: i64,
) -> Result<Vec<Uuid>, Error> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT p.parked_id FROM parked_events p");
    push_filter(&mut query, filter);
    query.push(" ORDER BY p.last_seen_at, p.parked_id LIMIT ").push_bind(limit);
    Ok(query.build_query_scalar().fetch_all(connection.sql()).await?)
}

fn push_filter(query: &mut QueryBuilder<Postgres>, filter: &ParkedFilter) {
    query.push(" WHERE true");
    if let Some(ids) = &filter.ids {
        query.push(" AND p.parked_id = ANY(").push_bind(ids.clone()).push(")");
    }
    let status = filter.status.map(|status| status.as_str().to_owned());
    for (column, value) in
        [("reason", &filter.reason), ("routing_key", &filter.event_type), ("status", &status)]
    {
        if let Some(value) = value {
            query.push(format_args!(" AND p.{column} = ")).push_bind(value.clone());
        }
    }
    if let Some(Publisher { name, speakers }) = &filter.user {
        query.push(" AND (p.amqp_user = ").push_bind(name.clone());
        query.push(" OR (p.amqp_user = ANY(").push_bind(speakers.clone());
        query.push(") AND p.headers ->> ").push_bind(ON_BEHALF_OF);
        query.push(" = ").push_bind(name.clone()).push("))");
    }
    if let Some(since) = filter.since {
        query.push(" AND p.last_seen_at >= ").push_bind(since);
    }
    if let Some(until) = filter.until {
        query.push(" AND p.last_seen_at < ").push_bind(until);
    }
}

/// Reads one parked message.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn by_id(connection: &mut Conn<Operator>, parked_id: Uuid) -> Result<Option<Parked>, Error> {
    let row = sqlx::query("SELECT * FROM parked_events WHERE parked_id = $1")
        .bind(parked_id)
        .fetch_optional(connection.sql())
        .await?;
    row.map(|row| parked(&row)).transpose()
}

/// Refused messages of the scope that hold this text, in the body or a header, the latest first.
///
/// All of them are searched.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn mentioning(connection: &mut Conn<Api>, text: &str, limit: i64) -> Result<Vec<Parked>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM parked_events
          WHERE position(convert_to($1, 'UTF8') IN body) > 0 OR position($1 IN headers::text) > 0
          ORDER BY last_seen_at DESC, parked_id DESC LIMIT $2",
    )
    .bind(text)
    .bind(limit)
    .fetch_all(connection.sql())
    .await?;
    rows.iter().map(parked).collect()
}

fn parked(row: &PgRow) -> Result<Parked, Error> {
    let parked_id: Uuid = row.try_get("parked_id")?;
    let word: String = row.try_get("status")?;
    let status = ParkedStatus::from_key(&word).ok_or_else(|| Error::Unreadable {
        table: "parked_events",
        column: "status",
        id: parked_id.to_string(),
        reason: format!("{word} is not a state"),
    })?;
    Ok(Parked {
        parked_id,
        tenant_id: row.try_get::<Option<Uuid>, _>("tenant_id")?.map(TenantId),
        reason: row.try_get("reason")?,
        detail: row.try_get("detail")?,
        queue: row.try_get("queue")?,
        routing_key: row.try_get("routing_key")?,
        content_type: row.try_get("content_type")?,
        amqp_user: row.try_get("amqp_user")?,
        headers: row.try_get::<Json<Map<String, Value>>, _>("headers")?.0,
        body: body(row)?,
        occurrences: row.try_get("occurrences")?,
        first_seen_at: row.try_get("first_seen_at")?,
        last_seen_at: row.try_get("last_seen_at")?,
        status,
        changed_at: row.try_get("changed_at")?,
        changed_by: row.try_get("changed_by")?,
        note: row.try_get("note")?,
    })
}

fn body(row: &PgRow) -> Result<ParkedBody, Error> {
    if let Some(bytes) = row.try_get("body")? {
        return Ok(ParkedBody::Kept(bytes));
    }
    let bytes: i32 = row.try_get("body_bytes")?;
    Ok(ParkedBody::Left { bytes: usize::try_from(bytes).unwrap_or(0), sha256: row.try_get("body_sha256")? })
}
