//! What happened to contacts within a time, with what conditions read of it.

use crate::role::{Api, OneOf, Worker};
use crate::{Conn, Error};
use automation_domain::id::{ContactId, EventId, TenantId};
use automation_domain::past::{History, MOST_EVENTS, PastEvent, Values};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::postgres::PgRow;
use std::collections::{BTreeMap, BTreeSet};

/// Turns that contacts share: as many transactions as that may decide by what happened to contacts at once.
const TURNS: u64 = 256;

/// Bytes of memory that all events of a batch may take together: each tenant in it has the same part.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// About what an event takes beside what is kept of its content.
const EVENT_BYTES: usize = 128;

/// What is asked of the past of a contact: events of a type, the latest [`MOST_EVENTS`] of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Window {
    /// Whose contact.
    pub tenant_id: TenantId,
    /// The contact.
    pub contact_id: ContactId,
    /// Of which type.
    pub event_type: String,
    /// From when on.
    pub from: DateTime<Utc>,
    /// Until when; `None` for all that is recorded.
    pub until: Option<DateTime<Utc>>,
}

/// Histories by contact.
pub type Histories = BTreeMap<(TenantId, ContactId), History>;

/// Lets no other transaction decide by what happened to one of these contacts before this one has ended: of two events that come
/// at once, one sees the other.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn take_turns(
    connection: &mut Conn<Worker>,
    contacts: impl IntoIterator<Item = ContactId>,
) -> Result<(), Error> {
    // In one order, so that nobody waits for another who waits for them. The key says "past" before the turn.
    let turns: BTreeSet<i64> = contacts
        .into_iter()
        .map(|contact| 0x7061_7374_0000 + (contact.0.as_u64_pair().1 % TURNS) as i64)
        .collect();
    sqlx::query("SELECT pg_advisory_xact_lock(t) FROM (SELECT unnest($1::int8[]) AS t ORDER BY 1) AS u")
        .bind(turns.into_iter().collect::<Vec<_>>())
        .execute(connection.sql())
        .await?;
    Ok(())
}

/// What happened to contacts, in one statement for all.
///
/// # Errors
///
/// [`Error`] of the database, or an unreadable row.
pub async fn read(
    connection: &mut Conn<impl OneOf<(Api, Worker)>>,
    windows: &[Window],
) -> Result<Histories, Error> {
    let mut histories = Histories::new();
    if windows.is_empty() {
        return Ok(histories);
    }
    let tenants: BTreeSet<TenantId> = windows.iter().map(|window| window.tenant_id).collect();
    let mut room: BTreeMap<TenantId, usize> =
        tenants.iter().map(|tenant| (*tenant, MOST_BYTES / tenants.len())).collect();
    let mut seen: Vec<usize> = vec![0; windows.len()];
    // One row at least for each window. The clock is read after the snapshot: whatever is seen was received before it.
    let mut rows = sqlx::query(
        "SELECT u.n, clock_timestamp() AS known_at, l.event_id, l.occurred_at, l.received_at, l.content
           FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[])
                WITH ORDINALITY AS u (t, c, e, f, b, n)
           LEFT JOIN LATERAL (SELECT o.event_id, o.occurred_at, o.received_at, o.content::text FROM contact_events o
                               WHERE o.tenant_id = u.t AND o.contact_id = u.c AND o.event_type = u.e
                                 AND o.occurred_at >= u.f AND o.occurred_at <= coalesce(u.b, 'infinity')
                               ORDER BY o.occurred_at DESC LIMIT $6) AS l ON true",
    )
    .bind(windows.iter().map(|window| window.tenant_id.0).collect::<Vec<_>>())
    .bind(windows.iter().map(|window| window.contact_id.0).collect::<Vec<_>>())
    .bind(windows.iter().map(|window| window.event_type.as_str()).collect::<Vec<_>>())
    .bind(windows.iter().map(|window| window.from).collect::<Vec<_>>())
    .bind(windows.iter().map(|window| window.until).collect::<Vec<_>>())
    .bind(MOST_EVENTS as i64 + 1)
    .fetch(connection.sql());
    while let Some(row) = rows.try_next().await? {
        let number = usize::try_from(row.try_get::<i64, _>("n")? - 1).unwrap_or_default();
        let Some(window) = windows.get(number) else { continue };
        let history = histories
            .entry((window.tenant_id, window.contact_id))
            .or_insert(History::new(row.try_get("known_at")?));
        let Some(event_id) = row.try_get::<Option<_>, _>("event_id")? else {
            history.add(&window.event_type, [], false);
            continue;
        };
        seen[number] += 1;
        let content: Option<&str> = row.try_get("content")?;
        let bytes = EVENT_BYTES + 2 * content.map_or(0, str::len);
        let left = room.entry(window.tenant_id).or_default();
        if seen[number] > MOST_EVENTS || *left < bytes {
            history.add(&window.event_type, [], true);
            continue;
        }
        *left -= bytes;
        let event = event(&row, EventId(event_id), content)?;
        history.add(&window.event_type, [event], false);
    }
    Ok(histories)
}

fn event(row: &PgRow, event_id: EventId, content: Option<&str>) -> Result<PastEvent, Error> {
    let values = content.map(serde_json::from_str).transpose().map_err(|error| Error::Unreadable {
        table: "contact_events",
        column: "content",
        id: event_id.to_string(),
        reason: error.to_string(),
    })?;
    Ok(PastEvent {
        event_id,
        at: row.try_get("occurred_at")?,
        received_at: row.try_get("received_at")?,
        values: values.map_or_else(Values::default, Values::stored),
    })
}
