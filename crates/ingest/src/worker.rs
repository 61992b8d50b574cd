//! The loop of a worker: take a batch, commit it, publish what follows, acknowledge.

use crate::Shared;
use crate::batch::{self, Outcome};
use crate::bisect::{Failure, Part, bisect};
use crate::care::{self, Manner, Standing};
use crate::intake::{self, Intake};
use crate::listeners;
use crate::parking::Refused;
use crate::reading::{self, Arrival, Portion};
use crate::stopped;
use crate::traces;
use automation_broker::consumer::{Acker, Delivery};
use automation_broker::nudge;
use automation_broker::publisher::Message;
use automation_domain::priority::Priority;
use automation_service_kit::{clock, crash_point, ids};
use automation_store::Error;
use automation_store::blame::suspects::{InHand, MOST_DEATHS, UNREAD};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Most events in a transaction: beyond it each row gets dearer and the slowest waits longer.
const MOST_EVENTS: usize = 500;

/// Works until `drain` is cancelled; the batch under way is finished first.
pub(crate) async fn work(shared: Arc<Shared>, intake: Arc<Mutex<Intake>>, drain: CancellationToken) {
    loop {
        let mut turn = intake.lock().await;
        let Some(mut deliveries) = turn.next(usize::from(shared.config.batch_messages)).await else { return };
        // Only a large batch has company: at low load, what arrives meanwhile makes one batch instead of many small ones.
        let turn = (!intake::is_large(&deliveries)).then_some(turn);
        let mut again: Vec<Delivery> = deliveries.extract_if(.., |delivery| delivery.redelivered).collect();
        while !again.is_empty() {
            let later = again.split_off(again.len().min(MOST_AGAIN));
            if !take_again(&shared, again, &drain).await {
                return;
            }
            again = later;
        }
        if !take_all(&shared, deliveries, &drain).await {
            return;
        }
        drop(turn);
    }
}

/// Messages that came back and are marked at once: those among which a process dies are handled one by one then.
const MOST_AGAIN: usize = 50;

/// With what messages are taken in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    /// With what else is there: many events in a transaction.
    Others,
    /// Alone, one event after the other, each with care.
    Nobody,
}

/// Takes in messages, in portions; `false` when the process drains before it is done.
async fn take_all(shared: &Shared, mut deliveries: Vec<Delivery>, drain: &CancellationToken) -> bool {
    while !deliveries.is_empty() {
        let portion = reading::read(&deliveries, MOST_EVENTS, &shared.config.limits);
        let later = deliveries.split_off(portion.deliveries);
        if !take(shared, deliveries, portion, Company::Others, drain).await {
            return false;
        }
        deliveries = later;
    }
    true
}

/// Takes in messages that came back; `false` when the process drains before it is done.
async fn take_again(shared: &Shared, deliveries: Vec<Delivery>, drain: &CancellationToken) -> bool {
    let ids: Vec<Uuid> = deliveries.iter().map(care::message_id).collect();
    let Some((_hold, held)) = shared.care.hold(&ids, drain).await else { return false };
    // The others are with somebody who lives, over a connection that was lost: what he marked is no sign of a death.
    let mine: Vec<Uuid> = held.into_iter().collect();
    let Some(charged) = shared.care.sort(&mine, drain).await else { return false };
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for (id, delivery) in ids.iter().zip(deliveries) {
        match charged.contains(id) {
            true => alone.push((*id, delivery)),
            false => together.push(delivery),
        }
    }
    if !take_all(shared, together, drain).await {
        return false;
    }
    let fresh: Vec<Uuid> = mine.into_iter().filter(|id| !charged.contains(id)).collect();
    shared.care.acquit_messages(&fresh).await;
    for (id, delivery) in alone {
        if !take_alone(shared, id, delivery, drain).await {
            return false;
        }
    }
    true
}

/// Takes in a message that was in hand when a process died; `false` when the process drains before it is done.
async fn take_alone(shared: &Shared, id: Uuid, delivery: Delivery, drain: &CancellationToken) -> bool {
    let message = (UNREAD, id);
    let begun = shared.care.begin(&shared.metrics, message, InHand::Message, drain).await;
    let Some(standing) = begun else { return false };
    let portion = match standing {
        Standing::Marked => {
            reading::read(std::slice::from_ref(&delivery), MOST_EVENTS, &shared.config.limits)
        }
        Standing::Deadly => {
            let detail = deadly(&delivery);
            let refused = vec![Refused::new(&delivery, LOST, detail, delivery.body.clone())];
            Portion { refused, ..Portion::default() }
        }
    };
    shared.care.put_down(message).await;
    let done = take(shared, vec![delivery], portion, Company::Nobody, drain).await;
    if done {
        shared.care.acquit(message).await;
    }
    done
}

/// The code of what processes die of, whatever it meets.
const LOST: &str = "worker_lost";

/// Says why an event is parked that processes die of.
fn deadly(delivery: &Delivery) -> String {
    let detail =
        format!("{MOST_DEATHS} processes died or hung while they had it in hand, and no part of a workflow");
    tracing::error!(
        message.id = delivery.message_id,
        detail,
        "an event is the cause of deaths, and is parked"
    );
    detail
}

/// Takes in what was read of these messages; `false` when the process drains before it is done. Nothing is acknowledged
/// then, and the broker delivers the messages again.
async fn take(
    shared: &Shared,
    deliveries: Vec<Delivery>,
    portion: Portion,
    company: Company,
    drain: &CancellationToken,
) -> bool {
    let (begun, start) = (clock::now(), clock::system_time());
    let mut total = Outcome { refused: portion.refused, ..Outcome::default() };
    for chunk in portion.arrivals.chunks(MOST_EVENTS) {
        let done = match company {
            Company::Others => together(shared, &deliveries, chunk, Manner::Usual, drain).await,
            Company::Nobody => one_by_one(shared, &deliveries, chunk, drain).await,
        };
        let Some(outcome) = done else { return false };
        total.add(outcome);
    }
    crash_point!("ingest.after_commit");
    shared.usage.add(std::mem::take(&mut total.kept));
    stopped::tell(shared, std::mem::take(&mut total.stopped)).await;
    let Some(told) = listeners::tell(shared, &total.watched, &total.begun, drain).await else { return false };
    total.runs.extend(told);
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

/// Commits events, those that can be; `None` when the process drains first.
async fn together(
    shared: &Shared,
    deliveries: &[Delivery],
    arrivals: &[Arrival],
    manner: Manner<'_>,
    drain: &CancellationToken,
) -> Option<Outcome> {
    let mut total = Outcome::default();
    for part in bisect(arrivals, |part| commit(shared, deliveries, part, manner, drain)).await? {
        match part {
            Part::Done(outcome) => total.add(outcome),
            Part::Culprit(culprit, failure) => total.refused.push(refuse(deliveries, culprit, &failure)),
        }
    }
    Some(total)
}

/// Commits events that came back, each by itself and with care; `None` when the process drains first.
async fn one_by_one(
    shared: &Shared,
    deliveries: &[Delivery],
    arrivals: &[Arrival],
    drain: &CancellationToken,
) -> Option<Outcome> {
    let mut total = Outcome::default();
    for arrival in arrivals {
        let alone = std::slice::from_ref(arrival);
        let tenant = batch::tenants(shared, alone).await.ok();
        let Some(tenant) = tenant.and_then(|ids| ids.get(&arrival.event.tenant).copied()) else {
            // Nobody's event meets no workflow.
            total.add(together(shared, deliveries, alone, Manner::Usual, drain).await?);
            continue;
        };
        let subject = (tenant, arrival.event.key.0);
        let standing = shared.care.begin(&shared.metrics, subject, InHand::Event, drain).await?;
        if standing == Standing::Deadly {
            let detail = deadly(&deliveries[arrival.delivery]);
            let refused = arrival.refused(deliveries, LOST, detail);
            total.refused.push(refused.of_tenant(tenant.to_string()));
        } else {
            let done = together(shared, deliveries, alone, shared.carefully(subject), drain).await;
            let Some(outcome) = done else {
                shared.care.put_down(subject).await;
                return None;
            };
            total.add(outcome);
        }
        shared.care.acquit(subject).await;
    }
    Some(total)
}

/// Commits events, for as long as it takes; `None` when the process drains first, an error when the database refuses
/// them.
async fn commit(
    shared: &Shared,
    deliveries: &[Delivery],
    part: &[Arrival],
    manner: Manner<'_>,
    drain: &CancellationToken,
) -> Option<Result<Outcome, Error>> {
    loop {
        match batch::commit(shared, deliveries, part, manner).await {
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
