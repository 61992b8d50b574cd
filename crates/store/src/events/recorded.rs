//! Recorded events.

use crate::role::{Api, OneOf, Worker};
use crate::{Conn, Error};
use automation_domain::event::{Event, RecordedEvent};
use automation_domain::id::{ContactId, EventId, EventKey, TenantId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::BTreeMap;
use uuid::Uuid;

/// An event to record. Its receipt is written in the same transaction.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    /// Whose event.
    pub tenant_id: TenantId,
    /// The contact it is about.
    pub contact_id: Option<ContactId>,
    /// The event.
    pub recorded: &'a RecordedEvent,
}

/// Records a batch.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert(connection: &mut Conn<Worker>, events: &[NewEvent<'_>]) -> Result<(), Error> {
    let mut sorted: Vec<&NewEvent<'_>> = events.iter().collect();
    sorted.sort_unstable_by_key(|new| (new.tenant_id, new.recorded.event_id));
    macro_rules! column {
        ($new:ident => $value:expr) => {
            sorted.iter().map(|$new| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "INSERT INTO events (tenant_id, event_id, event_key, id, source, event_type, subject, contact_id, occurred_at,
                             received_at, correlation_id, causation_id, causation_depth, traceparent, tracestate, data)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[],
                              $8::uuid[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[],
                              $13::int2[], $14::text[], $15::text[], $16::jsonb[])",
    )
    .bind(column!(new => new.tenant_id.0))
    .bind(column!(new => new.recorded.event_id.0))
    .bind(column!(new => new.recorded.event.key.0))
    .bind(column!(new => new.recorded.event.id.as_str()))
    .bind(column!(new => new.recorded.event.source.as_str()))
    .bind(column!(new => new.recorded.event.event_type.as_str()))
    .bind(column!(new => new.recorded.event.subject.as_deref()))
    .bind(column!(new => new.contact_id.map(|id| id.0)))
    .bind(column!(new => new.recorded.event.time))
    .bind(column!(new => new.recorded.received_at))
    .bind(column!(new => new.recorded.event.correlation_id.as_deref()))
    .bind(column!(new => new.recorded.event.causation_id.as_deref()))
    .bind(column!(new => i16::try_from(new.recorded.event.causation_depth).unwrap_or(i16::MAX)))
    .bind(column!(new => new.recorded.event.traceparent.as_deref()))
    .bind(column!(new => new.recorded.event.tracestate.as_deref()))
    .bind(column!(new => sqlx::types::Json(&new.recorded.event.data)))
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Reads the events of a batch of runs.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn by_ids(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    ids: &[(TenantId, EventId)],
) -> Result<BTreeMap<(TenantId, EventId), RecordedEvent>, Error> {
    let (tenants, events): (Vec<Uuid>, Vec<Uuid>) =
        ids.iter().map(|(tenant, event)| (tenant.0, event.0)).unzip();
    let Some((first, last)) = events.iter().min().zip(events.iter().max()) else {
        return Ok(BTreeMap::new());
    };
    // A look-up per id, kept apart from its surroundings by OFFSET: the partition is then chosen for each, and the whole
    // key is the index condition. The bounds leave out the other days at once: preparing look-ups in forty partitions takes
    // longer than looking.
    let rows = sqlx::query(
        "SELECT e.tenant_id, e.event_id, e.event_key, e.id, e.source, e.event_type, e.subject, e.occurred_at,
                e.received_at, e.correlation_id, e.causation_id, e.causation_depth, e.traceparent, e.tracestate, e.data,
                (SELECT key FROM tenants n WHERE n.tenant_id = u.t) AS tenant_key
           FROM unnest($1::uuid[], $2::uuid[]) AS u (t, i)
          CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.tenant_id = u.t AND e.event_id = u.i
                                                        AND e.event_id BETWEEN $3 AND $4 OFFSET 0) AS e",
    )
    .bind(&tenants)
    .bind(&events)
    .bind(first)
    .bind(last)
    .fetch_all(connection.sql())
    .await?;
    rows.iter()
        .map(|row| {
            let recorded = recorded(row)?;
            Ok(((TenantId(row.try_get("tenant_id")?), recorded.event_id), recorded))
        })
        .collect()
}

/// The event that a publisher called this.
///
/// After its receipt is forgotten (7 days), recorded events are searched, which is slow.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn by_name(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    source: &str,
    id: &str,
) -> Result<Option<RecordedEvent>, Error> {
    let key = EventKey::derive(source, id);
    let Some(received_at) = received_at(connection, tenant, key).await? else {
        return Ok(None);
    };
    let event_id = EventId::derive(received_at, key);
    Ok(by_ids(connection, &[(tenant, event_id)]).await?.into_values().next())
}

/// When an event was received, by its receipt or else its record.
pub(crate) async fn received_at(
    connection: &mut Conn<Api>,
    tenant: TenantId,
    key: EventKey,
) -> Result<Option<DateTime<Utc>>, Error> {
    if let Some(at) = crate::events::receipts::received_at(connection, tenant, key).await? {
        return Ok(Some(at));
    }
    Ok(sqlx::query_scalar("SELECT received_at FROM events WHERE tenant_id = $1 AND event_key = $2 LIMIT 1")
        .bind(tenant.0)
        .bind(key.0)
        .fetch_optional(connection.sql())
        .await?)
}

fn recorded(row: &PgRow) -> Result<RecordedEvent, Error> {
    Ok(RecordedEvent {
        event_id: EventId(row.try_get("event_id")?),
        received_at: row.try_get("received_at")?,
        event: Event {
            key: EventKey(row.try_get("event_key")?),
            id: row.try_get("id")?,
            source: row.try_get("source")?,
            event_type: row.try_get("event_type")?,
            tenant: row.try_get("tenant_key")?,
            time: row.try_get("occurred_at")?,
            subject: row.try_get("subject")?,
            correlation_id: row.try_get("correlation_id")?,
            causation_id: row.try_get("causation_id")?,
            causation_depth: u16::try_from(row.try_get::<i16, _>("causation_depth")?).unwrap_or(0),
            traceparent: row.try_get("traceparent")?,
            tracestate: row.try_get("tracestate")?,
            data: row.try_get("data")?,
            // Compared at receipt only, against the receipt's.
            body_hash: [0; 32],
        },
    })
}
