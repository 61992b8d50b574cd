//! Events and commands that wait to leave for the broker.

mod frontier;

pub use frontier::{Frontier, Seen};

use crate::role::{OneOf, Scheduler, Worker};
use crate::{Conn, Error};
use automation_domain::id::{RunId, TenantId};
use sqlx::Row;
use std::time::Duration;
use uuid::Uuid;

/// An event to be published, written in the transaction of the change it tells of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewOutboxEvent {
    /// Whose event.
    pub tenant_id: TenantId,
    /// The run, or the schedule, that caused it: order is kept within one.
    pub run_id: RunId,
    /// Its type, also the routing key.
    pub event_type: String,
    /// Whether it is a command for a module that owns a screen; else it is an event.
    pub is_command: bool,
    /// CloudEvents 1.0, structured JSON.
    pub body: Vec<u8>,
}

/// An event that this relay is to publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leased {
    /// Whose event.
    pub tenant_id: TenantId,
    /// Its place in the outbox.
    pub outbox_id: i64,
    /// Its type.
    pub event_type: String,
    /// Whether it is a command.
    pub is_command: bool,
    /// CloudEvents 1.0, structured JSON.
    pub body: Vec<u8>,
}

/// Puts events into the outbox: of runs, and of slots of schedules.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn insert(
    connection: &mut Conn<impl OneOf<(Scheduler, Worker)>>,
    events: &[NewOutboxEvent],
) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO outbox (tenant_id, run_id, event_type, body, is_command)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::bool[])",
    )
    .bind(events.iter().map(|event| event.tenant_id.0).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.run_id.0).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.event_type.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.body.as_slice()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| event.is_command).collect::<Vec<_>>())
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Leases up to `limit` events in order, for `lease`. Looks from the frontier on, and moves it.
///
/// Relays take turns (an advisory lock): with rows of a run split over two of them, the run's order would be lost. For
/// the same reason an event waits while an earlier one of its run is leased. Empty when another relay has its turn.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn lease(
    connection: &mut Conn<Scheduler>,
    frontier: &mut Frontier,
    limit: i64,
    lease: Duration,
) -> Result<Vec<Leased>, Error> {
    let turn: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtext('automation.outbox'))")
        .fetch_one(connection.sql())
        .await?;
    if !turn {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        // Whatever is leased and comes earlier is in the head as well: nothing beyond it has to be looked at.
        "WITH head AS MATERIALIZED (
             SELECT ctid AS place, tenant_id, run_id, outbox_id, leased_until >= now() AS leased FROM outbox
              WHERE outbox_id >= $3 ORDER BY outbox_id LIMIT $1 * 8),
         waiting AS MATERIALIZED (
             -- Sorted once, whatever the planner expects: as a join of the head with itself this was quadratic.
             SELECT place, outbox_id, bool_or(leased) OVER (PARTITION BY tenant_id, run_id ORDER BY outbox_id) AS held
               FROM head),
         next AS MATERIALIZED (SELECT place FROM waiting WHERE NOT held ORDER BY outbox_id LIMIT $1)
         UPDATE outbox o SET leased_until = now() + $2 FROM next WHERE o.ctid = next.place AND o.leased_until < now()
      RETURNING o.tenant_id, o.outbox_id, o.event_type, o.is_command, o.body, (SELECT min(outbox_id) FROM head) AS first,
                (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::int8) AS ended_before,
                (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8) AS begun_before",
    )
    .bind(limit)
    .bind(lease)
    .bind(frontier.from())
    .fetch_all(connection.sql())
    .await?;
    let mut leased = rows
        .iter()
        .map(|row| {
            Ok(Leased {
                tenant_id: TenantId(row.try_get("tenant_id")?),
                outbox_id: row.try_get("outbox_id")?,
                event_type: row.try_get("event_type")?,
                is_command: row.try_get("is_command")?,
                body: row.try_get("body")?,
            })
        })
        .collect::<Result<Vec<_>, Error>>()?;
    leased.sort_unstable_by_key(|event| event.outbox_id);
    if let Some(row) = rows.first() {
        frontier.saw(Seen {
            first: row.try_get("first")?,
            ended_before: row.try_get("ended_before")?,
            begun_before: row.try_get("begun_before")?,
        });
    }
    Ok(leased)
}

/// Removes events that the broker has confirmed.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn delete(connection: &mut Conn<Scheduler>, published: &[(TenantId, i64)]) -> Result<(), Error> {
    let (tenants, ids): (Vec<Uuid>, Vec<i64>) = published.iter().map(|(tenant, id)| (tenant.0, *id)).unzip();
    sqlx::query(
        "DELETE FROM outbox o
          USING (SELECT l.place FROM unnest($1::uuid[], $2::int8[]) AS u (t, i)
                  CROSS JOIN LATERAL (SELECT c.ctid AS place FROM outbox c
                                       WHERE c.tenant_id = u.t AND c.outbox_id = u.i FOR UPDATE) AS l) AS x
          WHERE o.ctid = x.place",
    )
    .bind(tenants)
    .bind(ids)
    .execute(connection.sql())
    .await?;
    Ok(())
}

/// Gives up the lease of events that could not be published.
///
/// # Errors
///
/// [`Error`] of the database.
pub async fn give_back(connection: &mut Conn<Scheduler>, leased: &[(TenantId, i64)]) -> Result<(), Error> {
    let (tenants, ids): (Vec<Uuid>, Vec<i64>) = leased.iter().map(|(tenant, id)| (tenant.0, *id)).unzip();
    sqlx::query(
        "UPDATE outbox o SET leased_until = '-infinity'
           FROM (SELECT l.place FROM unnest($1::uuid[], $2::int8[]) AS u (t, i)
                  CROSS JOIN LATERAL (SELECT c.ctid AS place FROM outbox c
                                       WHERE c.tenant_id = u.t AND c.outbox_id = u.i FOR UPDATE) AS l) AS x
          WHERE o.ctid = x.place",
    )
    .bind(tenants)
    .bind(ids)
    .execute(connection.sql())
    .await?;
    Ok(())
}
