//! The outbox relay: lease, commit, publish with confirms, delete.

use crate::Shared;
use crate::outbox_pack::{MOST_BYTES, Packed, pack};
use automation_domain::event::encode::STRUCTURED;
use automation_domain::id::{TenantId, digest};
use automation_service_kit::crash_point;
use automation_store::events::outbox::{self, Frontier, Leased};
use automation_store::events::parked::{self, Parked, ParkedBody, ParkedStatus};
use automation_store::events::receipts;
use automation_store::role::Scheduler;
use automation_store::{Conn, Error, Scope};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::Duration;

/// How long a leased event stays this relay's: longer than publishing may take.
const LEASE: Duration = Duration::from_secs(30);
/// Sleep when there was nothing to relay.
const IDLE: Duration = Duration::from_millis(20);
/// Sleep after a failure.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Relays until the process drains.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut frontier = Frontier::default();
    loop {
        let wait = if shared.can_publish().await {
            match shared.note("leasing from the outbox", lease(&shared, &mut frontier).await) {
                None => {
                    // The database may be another one from here on, restored from a time before.
                    frontier = Frontier::default();
                    AFTER_FAILURE
                }
                Some(leased) if leased.is_empty() => IDLE,
                Some(leased) => {
                    crash_point!("outbox.after_lease");
                    if relay(&shared, leased).await { Duration::ZERO } else { AFTER_FAILURE }
                }
            }
        } else {
            Duration::ZERO
        };
        if !shared.pause(wait).await {
            return;
        }
    }
}

async fn lease(shared: &Shared, frontier: &mut Frontier) -> Result<Vec<Leased>, Error> {
    // A transaction that is not committed has seen nothing that counts.
    let mut moved = *frontier;
    let leased = shared
        .db
        .tx(Scope::Unscoped, async |connection| {
            outbox::lease(connection, &mut moved, shared.config.batch, LEASE).await
        })
        .await?;
    *frontier = moved;
    Ok(leased)
}

/// What became of leased events.
#[derive(Default)]
struct Relayed {
    confirmed: Vec<(TenantId, i64)>,
    given_back: Vec<(TenantId, i64)>,
    set_aside: Vec<SetAside>,
}

/// An event that cannot be published.
struct SetAside {
    row: (TenantId, i64),
    event_type: String,
    body: Vec<u8>,
    detail: String,
}

/// Publishes, and then deletes what was confirmed; whether all of it was, and is gone. What was not is given back, to be
/// published again under the same ids.
async fn relay(shared: &Shared, leased: Vec<Leased>) -> bool {
    let packed = pack(leased, &shared.config.amqp_user);
    let mut relayed = Relayed::default();
    let messages = packed.iter().map(|packed| packed.message.clone()).collect();
    match shared.publisher.publish_all(messages).await {
        Ok(()) => relayed.confirmed.extend(packed.into_iter().flat_map(|packed| packed.rows)),
        Err(error) if error.blames_a_message() => {
            tracing::warn!(%error, "events were not published; each message is tried by itself");
            for message in packed {
                alone(shared, message, &mut relayed).await;
            }
        }
        Err(error) => {
            tracing::warn!(%error, messages = packed.len(), "events were not published; they stay in the outbox");
            let again = error.unconfirmed(packed.len());
            for (index, message) in packed.into_iter().enumerate() {
                let rows = if again.binary_search(&index).is_ok() {
                    &mut relayed.given_back
                } else {
                    &mut relayed.confirmed
                };
                rows.extend(message.rows);
            }
        }
    }
    crash_point!("outbox.after_publish");
    let settled = shared.db.tx(Scope::Unscoped, async |connection| settle(connection, &relayed).await).await;
    shared.metrics.relayed.add(relayed.confirmed.len() as u64, &[]);
    shared.note("deleting from the outbox", settled).is_some() && relayed.given_back.is_empty()
}

/// Publishes one message by itself, so that one which cannot be published holds up no other: it is set aside.
async fn alone(shared: &Shared, packed: Packed, relayed: &mut Relayed) {
    let Err(error) = shared.publisher.publish_all(vec![packed.message.clone()]).await else {
        relayed.confirmed.extend(packed.rows);
        return;
    };
    match packed.rows[..] {
        // Only its size is the event's own fault; were it the name of the user, no event could be published.
        [row] if error.blames_a_message() && packed.message.body.len() > MOST_BYTES => {
            let (event_type, body) = (packed.message.routing_key, packed.message.body);
            relayed.set_aside.push(SetAside { row, event_type, body, detail: error.to_string() });
        }
        _ => {
            tracing::warn!(%error, events = packed.rows.len(), "events were not published; they stay in the outbox");
            relayed.given_back.extend(packed.rows);
        }
    }
}

/// Writes down what became of leased events: what is set aside is parked with its bytes.
async fn settle(connection: &mut Conn<Scheduler>, relayed: &Relayed) -> Result<(), Error> {
    let mut gone = relayed.confirmed.clone();
    if !relayed.set_aside.is_empty() {
        let now = receipts::now(connection).await?;
        for event in &relayed.set_aside {
            parked::record(connection, &[event.parked(now)]).await?;
            gone.push(event.row);
        }
    }
    if !relayed.given_back.is_empty() {
        outbox::give_back(connection, &relayed.given_back).await?;
    }
    outbox::delete(connection, &gone).await
}

impl SetAside {
    fn parked(&self, now: DateTime<Utc>) -> Parked {
        let (tenant_id, outbox_id) = self.row;
        tracing::error!(tenant.id = %tenant_id, outbox.id = outbox_id, detail = self.detail, "an event cannot be published; it is parked");
        Parked {
            parked_id: digest(&[b"outbox", tenant_id.0.as_bytes(), &outbox_id.to_be_bytes()]),
            tenant_id: Some(tenant_id),
            reason: "event_unpublishable".to_owned(),
            detail: self.detail.clone(),
            queue: String::new(),
            routing_key: self.event_type.clone(),
            content_type: Some(STRUCTURED.to_owned()),
            amqp_user: None,
            headers: serde_json::Map::new(),
            body: ParkedBody::Kept(self.body.clone()),
            occurrences: 1,
            first_seen_at: now,
            last_seen_at: now,
            status: ParkedStatus::Open,
            changed_at: None,
            changed_by: None,
            note: None,
        }
    }
}
