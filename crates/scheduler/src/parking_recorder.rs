//! The recorder: what the broker holds for people goes into the database, where people can find it.

use crate::Shared;
use automation_broker::consumer::{Acker, Batch, Deliveries, Delivery};
use automation_domain::id::TenantId;
use automation_store::events::parked::{self, Parked, ParkedBody, ParkedStatus};
use automation_store::events::receipts;
use automation_store::{Error, Scope};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Most messages in a transaction.
const MOST_MESSAGES: usize = 50;
/// Most bytes in a transaction, unless one message alone has more.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Records one queue until the process drains: commit, then acknowledge.
pub(crate) async fn run(shared: Arc<Shared>, mut input: Deliveries) {
    while let Some(mut deliveries) = Batch::collect(&mut input, MOST_MESSAGES, Duration::ZERO).await {
        while !deliveries.is_empty() {
            let rest = deliveries.split_off(fitting(&deliveries));
            while shared.note("recording parked messages", record(&shared, &deliveries).await).is_none() {
                if !shared.pause(Duration::from_millis(500)).await {
                    return;
                }
            }
            shared.metrics.parked.add(deliveries.len() as u64, &[]);
            Acker::ack_all(deliveries).await;
            deliveries = rest;
        }
    }
}

/// How many of the first deliveries go into one transaction; at least one.
fn fitting(deliveries: &[Delivery]) -> usize {
    let mut bytes = 0;
    let fitting = deliveries.iter().take_while(|delivery| {
        bytes += delivery.body.len();
        bytes <= MOST_BYTES
    });
    fitting.count().max(1)
}

async fn record(shared: &Shared, deliveries: &[Delivery]) -> Result<(), Error> {
    shared
        .db
        .tx(Scope::Unscoped, async |connection| {
            let now = receipts::now(connection).await?;
            let rows: Vec<Parked> = deliveries.iter().map(|delivery| row(delivery, None, now)).collect();
            parked::record(connection, &rows).await
        })
        .await
}

/// What ingest parked carries its reason; what the broker parked by itself says so in its `x-death`. `why` has a reason
/// and a sentence that are known better.
pub(crate) fn row(delivery: &Delivery, why: Option<(&str, &str)>, now: DateTime<Utc>) -> Parked {
    let header = |name: &str| delivery.headers.get(name).cloned();
    let death = delivery.deaths.first();
    let by_broker = || death.map_or("unknown", |death| death.reason.as_str());
    let (reason, detail) = match why {
        Some((reason, detail)) => (reason.to_owned(), detail.to_owned()),
        None => (
            header("automation-reason").unwrap_or_else(|| format!("broker_{}", by_broker())),
            header("automation-detail")
                .unwrap_or_else(|| format!("the broker took the message out of its queue: {}", by_broker())),
        ),
    };
    let headers: Map<String, Value> = match header("automation-headers") {
        Some(original) => serde_json::from_str(&original).unwrap_or_default(),
        None => {
            delivery.headers.iter().map(|(name, value)| (storable(name), storable(value).into())).collect()
        }
    };
    let routing_key = header("automation-routing-key")
        .or_else(|| death.and_then(|death| death.routing_keys.first().cloned()))
        .unwrap_or_else(|| delivery.routing_key.clone());
    let headers: Map<String, Value> =
        headers.into_iter().map(|(name, value)| (storable(&name), clean(value))).collect();
    let tenant = header("automation-tenant-id");
    let user = header("automation-user").or_else(|| delivery.user_id.clone());
    Parked {
        parked_id: id(&[
            reason.as_bytes(),
            routing_key.as_bytes(),
            tenant.as_deref().unwrap_or_default().as_bytes(),
            user.as_deref().unwrap_or_default().as_bytes(),
            Value::Object(headers.clone()).to_string().as_bytes(),
            &delivery.body,
        ]),
        tenant_id: tenant.and_then(|id| id.parse().ok()).map(TenantId),
        reason: storable(&reason),
        detail: storable(&detail),
        queue: header("automation-queue")
            .or_else(|| death.map(|death| death.queue.clone()))
            .unwrap_or_default(),
        routing_key: storable(&routing_key),
        content_type: header("automation-content-type")
            .or_else(|| delivery.content_type.clone())
            .map(|text| storable(&text)),
        amqp_user: user.map(|text| storable(&text)),
        headers,
        body: ParkedBody::Kept(delivery.body.clone()),
        occurrences: 1,
        first_seen_at: now,
        last_seen_at: now,
        status: ParkedStatus::Open,
        changed_at: None,
        changed_by: None,
        note: None,
    }
}

/// The same message parked twice for one reason is one row. Whose it is and its headers are part of it: in binary mode,
/// they say which event it is.
fn id(parts: &[&[u8]]) -> Uuid {
    automation_domain::id::digest(&[&[b"parked".as_slice()], parts].concat())
}

/// Postgres cannot hold U+0000 in text.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => storable(&text).into(),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
        other @ (Value::Array(_) | Value::Object(_)) => storable(&other.to_string()).into(),
    }
}
