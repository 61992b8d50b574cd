//! Publishing as another service would.

use crate::fleet::{CONTACTS, Fleet, TENANTS, subject, tenant_key};
use automation_broker::publisher::{Message, Publisher};
use automation_broker::topology::EVENTS;
use automation_domain::event::encode::BATCH;
use automation_service_kit::ids::{new_id, wall_clock};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Most events published and not yet finished.
const IN_FLIGHT: u64 = 10_000;
/// Events that are published and confirmed together.
const CHUNK: u64 = 500;
const PUBLISHERS: usize = 2;
const EVENT_TYPE: &str = "order.created";

/// How events are put into messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packing {
    /// This many in each, of many tenants.
    Batches(usize),
    /// Each in a message of its own.
    Single,
}

/// A load that goes on until it is stopped.
pub(crate) struct ClosedLoop {
    stop: CancellationToken,
    publishers: JoinSet<anyhow::Result<()>>,
    published: Arc<AtomicU64>,
}

impl ClosedLoop {
    /// Keeps ten thousand events in flight.
    pub(crate) fn start(fleet: &Fleet, packing: Packing) -> Self {
        let (stop, published) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let already = fleet.finished.load(Ordering::Relaxed);
        let mut publishers = JoinSet::new();
        for _ in 0..PUBLISHERS {
            let (stop, published, finished) = (stop.clone(), published.clone(), fleet.finished.clone());
            let (publisher, user) = (fleet.publisher.clone(), fleet.user.clone());
            publishers.spawn(async move {
                while !stop.is_cancelled() {
                    let done = finished.load(Ordering::Relaxed).saturating_sub(already);
                    let reserved = published.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                        (count + CHUNK <= done + IN_FLIGHT).then_some(count + CHUNK)
                    });
                    match reserved {
                        Ok(first) => publisher.publish_all(chunk(&user, packing, first)).await?,
                        Err(_full) => tokio::time::sleep(Duration::from_millis(1)).await,
                    }
                }
                Ok(())
            });
        }
        Self { stop, publishers, published }
    }

    /// Stops, and says how many events were published and confirmed.
    pub(crate) async fn stop(mut self) -> anyhow::Result<u64> {
        self.stop.cancel();
        while let Some(ended) = self.publishers.join_next().await {
            ended??;
        }
        Ok(self.published.load(Ordering::Relaxed))
    }
}

/// Publishes events one by one at a steady rate, however fast they finish; says how many.
pub(crate) async fn steady(
    publisher: &Publisher,
    user: &str,
    source: &str,
    per_second: u32,
    duration: Duration,
) -> anyhow::Result<u64> {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let count = u64::from(per_second) * duration.as_secs();
    let mut publishing = JoinSet::new();
    for number in 0..count {
        tick.tick().await;
        let message = single(user, event(source, number));
        let publisher = publisher.clone();
        publishing.spawn(async move { publisher.publish_all(vec![message]).await });
        while let Some(ended) = publishing.try_join_next() {
            ended??;
        }
    }
    while let Some(ended) = publishing.join_next().await {
        ended??;
    }
    Ok(count)
}

fn chunk(user: &str, packing: Packing, first: u64) -> Vec<Message> {
    let events: Vec<Value> = (first..first + CHUNK).map(|number| event("shop", number)).collect();
    match packing {
        Packing::Single => events.into_iter().map(|event| single(user, event)).collect(),
        Packing::Batches(size) => events
            .chunks(size)
            .map(|members| message(user, BATCH, Value::from(members.to_vec()).to_string()))
            .collect(),
    }
}

fn single(user: &str, event: Value) -> Message {
    message(user, "application/cloudevents+json", event.to_string())
}

fn message(user: &str, content_type: &str, body: String) -> Message {
    Message {
        exchange: EVENTS.to_owned(),
        routing_key: EVENT_TYPE.to_owned(),
        body: body.into_bytes(),
        content_type: content_type.to_owned(),
        message_id: new_id().to_string(),
        user_id: Some(user.to_owned()),
        ..Message::default()
    }
}

/// An event of the load: tenants take turns, and so do the contacts of each.
fn event(source: &str, number: u64) -> Value {
    let number = usize::try_from(number).unwrap_or(0);
    json!({
        "specversion": "1.0",
        "id": new_id(),
        "source": source,
        "type": EVENT_TYPE,
        "time": wall_clock(),
        "tenantid": tenant_key(number % TENANTS),
        "subject": subject(number / TENANTS % (CONTACTS / TENANTS)),
        "data": {
            "order_id": format!("order-{number}"),
            "total": 51 + number % 1_000,
            "currency": "EUR",
            "items": [{ "sku": format!("sku-{}", number % 97), "quantity": 1 + number % 3 }],
        },
    })
}
