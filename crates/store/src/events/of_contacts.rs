//! What happened to whom: events of watched types by contact, for runs that look back.

use crate::events::NewEvent;
use crate::role::{Scheduler, Worker};
use crate::{Conn, Error};
use automation_domain::id::{ContactId, EventId, RunId, RunKey, TenantId};
use automation_domain::interpreter::happened_at;
use automation_domain::past::Values;
use chrono::{DateTime, Utc};
use sqlx::Row;
use std::collections::BTreeMap;

/// Most events that one look gives a run: the latest.
const MOST_SEEN: i64 = 100;

/// Keeps of these events, which are of watched types, to whom they happened, and of their content what versions read.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert(connection: &mut Conn<Worker>, events: &[(&NewEvent<'_>, Values)]) -> Result<(), Error> {
    let mut sorted: Vec<_> =
        events.iter().filter_map(|(new, values)| Some((new.contact_id?, *new, values))).collect();
    if sorted.is_empty() {
        return Ok(());
    }
    sorted.sort_unstable_by_key(|(contact, new, _)| {
        (new.tenant_id, *contact, &new.recorded.event.event_type, happened_at(new.recorded))
    });
    sqlx::query(
        "INSERT INTO contact_events (tenant_id, contact_id, event_type, occurred_at, event_id, received_at, content)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::uuid[], $6::timestamptz[],
                              $7::jsonb[])
         ON CONFLICT DO NOTHING",
    )
    .bind(sorted.iter().map(|(_, new, _)| new.tenant_id.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(contact, ..)| contact.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, new, _)| new.recorded.event.event_type.as_str()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, new, _)| happened_at(new.recorded)).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, new, _)| new.recorded.event_id.0).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, new, _)| new.recorded.received_at).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(.., values)| values.to_store().map(sqlx::types::Json)).collect::<Vec<_>>())
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// What a run asks of the past of its contact.
#[derive(Clone, PartialEq, Debug)]
pub struct Look {
    /// Whose run.
    pub tenant_id: TenantId,
    /// The run.
    pub run_id: RunId,
    /// Its contact.
    pub contact_id: ContactId,
    /// Of which type.
    pub event_type: String,
    /// From when on.
    pub from: DateTime<Utc>,
}

/// What happened to the contacts of runs, by run: the latest of each look, 100 at most.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn since(
    connection: &mut Conn<Worker>,
    looks: &[Look],
) -> Result<BTreeMap<RunKey, Vec<EventId>>, Error> {
    if looks.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query(
        "SELECT u.t AS tenant_id, u.r AS run_id, l.event_id
           FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[]) AS u (t, r, c, e, f)
          CROSS JOIN LATERAL (SELECT o.event_id FROM contact_events o
                               WHERE o.tenant_id = u.t AND o.contact_id = u.c AND o.event_type = u.e
                                 AND o.occurred_at >= u.f
                               ORDER BY o.occurred_at DESC LIMIT $6) AS l",
    )
    .bind(looks.iter().map(|look| look.tenant_id.0).collect::<Vec<_>>())
    .bind(looks.iter().map(|look| look.run_id.0).collect::<Vec<_>>())
    .bind(looks.iter().map(|look| look.contact_id.0).collect::<Vec<_>>())
    .bind(looks.iter().map(|look| look.event_type.as_str()).collect::<Vec<_>>())
    .bind(looks.iter().map(|look| look.from).collect::<Vec<_>>())
    .bind(MOST_SEEN)
    .fetch_all(connection.sql())
    .await?;
    let mut seen: BTreeMap<RunKey, Vec<EventId>> = BTreeMap::new();
    for row in rows {
        let run = (TenantId(row.try_get("tenant_id")?), RunId(row.try_get("run_id")?));
        seen.entry(run).or_default().push(EventId(row.try_get("event_id")?));
    }
    Ok(seen)
}

/// Forgets up to `most` of what happened longer ago than events are kept; returns how many.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn expire(connection: &mut Conn<Scheduler>, most: i32) -> Result<i32, Error> {
    Ok(sqlx::query_scalar("SELECT contact_events_expire($1)").bind(most).fetch_one(connection.sql()).await?)
}
