//! The loop of a worker: take a batch, commit it, publish what follows, acknowledge.

use crate::Shared;
use crate::batch::{self, Outcome};
use crate::bisect::{Failure, Part, bisect};
use crate::intake::{self, Intake};
use crate::parking::Refused;
use crate::reading::{self, Arrival, Portion};
use crate::traces;
use automation_broker::consumer::{Acker, Delivery};
use automation_broker::nudge;
use automation_broker::publisher::Message;
use automation_domain::priority::Priority;
use automation_service_kit::{crash_point, ids};
use automation_store::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Most events in a transaction: beyond it each row gets dearer and the slowest waits longer.
const MOST_EVENTS: usize = 500;

/// Works until `drain` is cancelled; the batch under way is finished first.
pub(crate) async fn work(shared: Arc<Shared>, intake: Arc<Mutex<Intake>>, drain: CancellationToken) {
    loop {
        let mut turn = intake.lock().await;
        let Some(mut deliveries) = turn.next(usize::from(shared.config.batch_messages)).await else { return };
        // Only a large batch has company: at low load, what arrives meanwhile makes one batch instead of many small ones.
        let turn = (!intake::is_large(&deliveries)).then_some(turn);
        while !deliveries.is_empty() {
            let portion = reading::read(&deliveries, MOST_EVENTS, &shared.config.limits);
            let later = deliveries.split_off(portion.deliveries);
            if !take(&shared, deliveries, portion, &drain).await {
                return;
            }
            deliveries = later;
        }
        drop(turn);
    }
}

/// Takes in what was read of these messages; `false` when the process drains before it is done. Nothing is acknowledged
/// then, and the broker delivers the messages again.
async fn take(
    shared: &Shared,
    deliveries: Vec<Delivery>,
    portion: Portion,
    drain: &CancellationToken,
) -> bool {
    let (begun, start) = (Instant::now(), SystemTime::now());
    let mut total = Outcome { refused: portion.refused, ..Outcome::default() };
    for chunk in portion.arrivals.chunks(MOST_EVENTS) {
        let committed = bisect(chunk, |part| commit(shared, &deliveries, part, drain)).await;
        let Some(parts) = committed else { return false };
        for part in parts {
            match part {
                Part::Done(outcome) => total.add(outcome),
                Part::Culprit(culprit, failure) => total.refused.push(refuse(&deliveries, culprit, &failure)),
            }
        }
    }
    crash_point!("ingest.after_commit");
    let parked = total.refused.len();
    if !publish(shared, total.refused, &total.runs, drain).await {
        return false;
    }
    crash_point!("ingest.before_ack");
    let messages = deliveries.len();
    Acker::ack_soon(deliveries).await;
    traces::end(total.spans, messages, start);
    shared.metrics.batch(total.recorded, total.repeated, parked, &total.tally, begun.elapsed().as_secs_f64());
    true
}

/// Commits events, for as long as it takes; `None` when the process drains first, an error when the database refuses
/// them.
async fn commit(
    shared: &Shared,
    deliveries: &[Delivery],
    part: &[Arrival],
    drain: &CancellationToken,
) -> Option<Result<Outcome, Error>> {
    loop {
        match batch::commit(shared, deliveries, part).await {
            Ok(outcome) => {
                shared.work.ready();
                return Some(Ok(outcome));
            }
            Err(error) if error.is_transient() => {
                shared.work.failing(error.to_string());
                tracing::warn!(%error, events = part.len(), "trying the batch again");
            }
            Err(error) => return Some(Err(error)),
        }
        tokio::select! {
            () = drain.cancelled() => return None,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

fn refuse(deliveries: &[Delivery], culprit: &Arrival, failure: &Failure<Error>) -> Refused {
    let (code, detail) = match failure {
        Failure::Refused(error) => ("store_refused", format!("the event could not be stored: {error}")),
        Failure::Panicked => ("internal_error", "the engine failed while it took the event in".to_owned()),
    };
    tracing::error!(event.id = culprit.event.id, code, detail, "an event cannot be taken in, and is parked");
    culprit.refused(deliveries, code, detail)
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
