//! The loop of a worker: take a batch, commit it, publish what follows, acknowledge.

use crate::Shared;
use crate::batch::{self, Outcome};
use crate::parking::Refused;
use crate::reading::{self, Arrival, original_bytes};
use automation_broker::consumer::{Acker, Delivery, WeightedReceiver};
use automation_broker::nudge;
use automation_broker::publisher::Message;
use automation_domain::priority::Priority;
use automation_service_kit::{crash_point, ids};
use automation_store::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Most events in a transaction: beyond it each row gets dearer and the slowest waits longer.
const MOST_EVENTS: usize = 500;

/// Works until `drain` is cancelled; the batch under way is finished first.
pub(crate) async fn work(
    shared: Arc<Shared>,
    receiver: Arc<Mutex<WeightedReceiver>>,
    drain: CancellationToken,
) {
    loop {
        let batch = receiver.lock().await.recv_batch(usize::from(shared.config.batch_messages)).await;
        let Some(deliveries) = batch else { return };
        take(&shared, deliveries, &drain).await;
    }
}

/// Takes in one batch of messages. When the process drains before it is done, nothing is acknowledged, and the broker
/// delivers the batch again.
async fn take(shared: &Shared, deliveries: Vec<Delivery>, drain: &CancellationToken) {
    let begun = Instant::now();
    let (arrivals, refused) = reading::read(&deliveries, &shared.config.limits);
    let mut total = Outcome { refused, ..Outcome::default() };
    for chunk in arrivals.chunks(MOST_EVENTS) {
        let Some(outcome) = commit_all(shared, &deliveries, chunk, drain).await else { return };
        total.runs.extend(outcome.runs);
        total.refused.extend(outcome.refused);
        total.recorded += outcome.recorded;
        total.repeated += outcome.repeated;
    }
    crash_point!("ingest.after_commit");
    let (parked, runs) = (total.refused.len(), total.runs.len());
    if !publish(shared, total.refused, &total.runs, drain).await {
        return;
    }
    crash_point!("ingest.before_ack");
    Acker::ack_all(deliveries).await;
    shared.metrics.batch(total.recorded, total.repeated, parked, runs, begun.elapsed().as_secs_f64());
}

/// Commits a chunk, for as long as it takes; `None` when the process drains first.
///
/// What the database refuses is halved until the culprit stands alone, which is then parked.
async fn commit_all(
    shared: &Shared,
    deliveries: &[Delivery],
    chunk: &[Arrival],
    drain: &CancellationToken,
) -> Option<Outcome> {
    let mut total = Outcome::default();
    let mut parts = vec![chunk];
    while let Some(part) = parts.pop() {
        match batch::commit(shared, deliveries, part).await {
            Ok(outcome) => {
                shared.database.ready();
                total.runs.extend(outcome.runs);
                total.refused.extend(outcome.refused);
                total.recorded += outcome.recorded;
                total.repeated += outcome.repeated;
            }
            Err(error) if error.is_transient() => {
                shared.database.failing(error.to_string());
                tracing::warn!(%error, events = part.len(), "trying the batch again");
                parts.push(part);
                tokio::select! {
                    () = drain.cancelled() => return None,
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
            Err(error) => match part {
                [] => {}
                [culprit] => total.refused.push(refuse(shared, deliveries, culprit, &error)),
                _ => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push(second);
                    parts.push(first);
                }
            },
        }
    }
    Some(total)
}

fn refuse(shared: &Shared, deliveries: &[Delivery], culprit: &Arrival, error: &Error) -> Refused {
    tracing::error!(%error, event.id = culprit.event.id, "the database refused an event, which is parked");
    let bytes = original_bytes(deliveries, culprit, &shared.config.limits);
    let detail = format!("the event could not be stored: {error}");
    Refused::new(&deliveries[culprit.delivery], "store_refused", detail, bytes)
}

/// Publishes parked messages, for as long as it takes, and nudges; `false` when the process drains before it could
/// park. A nudge that could not be published is made up for by the sweep.
async fn publish(
    shared: &Shared,
    refused: Vec<Refused>,
    runs: &[(Priority, automation_domain::id::TenantId, automation_domain::id::RunId)],
    drain: &CancellationToken,
) -> bool {
    let mut messages: Vec<Message> =
        refused.into_iter().map(|refused| refused.into_message(ids::new_id().to_string())).collect();
    let parks = messages.len();
    messages.extend(nudge::messages(runs.iter().copied(), || ids::new_id().to_string()));
    while let Err(error) = shared.publisher.publish_all(messages.clone()).await {
        tracing::warn!(%error, messages = messages.len(), "publishing again");
        if parks == 0 {
            return true;
        }
        messages.truncate(parks);
        tokio::select! {
            () = drain.cancelled() => return false,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
    true
}
