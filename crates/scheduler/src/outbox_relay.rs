//! The outbox relay: lease, commit, publish with confirms, delete.

use crate::Shared;
use automation_broker::publisher::Message;
use automation_broker::topology::EVENTS;
use automation_domain::event::encode::{BATCH, STRUCTURED};
use automation_service_kit::{crash_point, ids};
use automation_store::outbox::{self, Leased};
use automation_store::{Error, Scope};
use std::sync::Arc;
use std::time::Duration;

/// How long a leased event stays this relay's: longer than publishing may take.
const LEASE: Duration = Duration::from_secs(30);
/// Sleep when there was nothing to relay.
const IDLE: Duration = Duration::from_millis(20);
/// Sleep after a failure.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// Most events in one message, well within what ingest takes.
const MOST_IN_MESSAGE: usize = 100;

pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let wait = match shared.note("leasing from the outbox", lease(&shared).await) {
            None => AFTER_FAILURE,
            Some(leased) if leased.is_empty() => IDLE,
            Some(leased) => {
                crash_point!("outbox.after_lease");
                if relay(&shared, leased).await { Duration::ZERO } else { AFTER_FAILURE }
            }
        };
        if !shared.pause(wait).await {
            return;
        }
    }
}

async fn lease(shared: &Shared) -> Result<Vec<Leased>, Error> {
    shared
        .db
        .tx(Scope::Unscoped, async |connection| outbox::lease(connection, shared.config.batch, LEASE).await)
        .await
}

/// Publishes and then deletes; whether both succeeded. If not, the lease runs out and the events are published again,
/// under the same ids.
async fn relay(shared: &Shared, leased: Vec<Leased>) -> bool {
    let ids: Vec<_> = leased.iter().map(|event| (event.tenant_id, event.outbox_id)).collect();
    if let Err(error) = shared.publisher.publish_all(pack(leased, &shared.config.amqp_user)).await {
        tracing::warn!(%error, events = ids.len(), "events were not published; they stay in the outbox");
        return false;
    }
    crash_point!("outbox.after_publish");
    let deleted =
        shared.db.tx(Scope::Unscoped, async |connection| outbox::delete(connection, &ids).await).await;
    shared.metrics.relayed.add(ids.len() as u64, &[]);
    shared.note("deleting from the outbox", deleted).is_some()
}

/// Packs neighbours of one type into one message, so that the order stays as it is.
fn pack(leased: Vec<Leased>, user: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut packed = 0;
    let mut previous = None;
    for event in leased {
        let joins = packed > 0 && packed < MOST_IN_MESSAGE && previous.as_ref() == Some(&event.event_type);
        match messages.last_mut().filter(|_| joins) {
            Some(message) => {
                if packed == 1 {
                    message.body.insert(0, b'[');
                    message.content_type = BATCH.to_owned();
                } else {
                    message.body.pop();
                }
                message.body.push(b',');
                message.body.extend_from_slice(&event.body);
                message.body.push(b']');
                packed += 1;
            }
            None => {
                packed = 1;
                messages.push(Message {
                    exchange: EVENTS.to_owned(),
                    routing_key: event.event_type.clone(),
                    body: event.body,
                    content_type: STRUCTURED.to_owned(),
                    message_id: ids::new_id().to_string(),
                    user_id: Some(user.to_owned()),
                    ..Message::default()
                });
            }
        }
        previous = Some(event.event_type);
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use automation_domain::id::TenantId;
    use uuid::Uuid;

    fn leased(event_type: &str, body: &str) -> Leased {
        let tenant_id = TenantId(Uuid::nil());
        Leased { tenant_id, outbox_id: 0, event_type: event_type.to_owned(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn neighbours_of_one_type_share_a_message_and_order_is_kept() {
        let events =
            [leased("a", "1"), leased("a", "2"), leased("a", "3"), leased("b", "4"), leased("a", "5")];
        let messages = pack(events.to_vec(), "engine");
        let seen: Vec<_> = messages
            .iter()
            .map(|message| {
                (
                    message.routing_key.as_str(),
                    std::str::from_utf8(&message.body).unwrap(),
                    message.content_type.as_str(),
                )
            })
            .collect();
        assert_eq!(seen, [("a", "[1,2,3]", BATCH), ("b", "4", STRUCTURED), ("a", "5", STRUCTURED)]);
    }
}
