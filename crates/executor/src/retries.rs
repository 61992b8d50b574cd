//! Nudges after a commit: for later tries, which wait in the broker in the queue of their rung, and for runs that go on at once.

use crate::Shared;
use automation_broker::publisher::Message;
use automation_broker::{nudge, retry};
use automation_domain::id::{RunId, TenantId};
use automation_domain::priority::Priority;
use automation_service_kit::{crash_point, ids};
use std::sync::Arc;
use std::time::Duration;

/// Batches on their way to the broker at once. The sweep wakes the runs of what is left out.
const MOST_BATCHES: usize = 16;

/// Publishes nudges after the commit, without waiting for the broker: one that does not arrive falls due in the database.
pub(crate) fn publish(shared: &Arc<Shared>, runs: Vec<(Priority, Duration, TenantId, RunId)>) {
    if runs.is_empty() {
        return;
    }
    crash_point!("executor.before_retry_publish");
    let messages = retry::messages(&shared.config.ladder.rungs, &runs, || ids::new_id().to_string());
    send(shared, messages, runs.len());
}

/// Publishes nudges of runs that are to be looked at again now: they began to wait, and look at what happened before.
pub(crate) fn at_once(shared: &Arc<Shared>, runs: Vec<(Priority, TenantId, RunId)>) {
    let count = runs.len();
    send(shared, nudge::messages(runs, || ids::new_id().to_string()), count);
}

fn send(shared: &Arc<Shared>, messages: Vec<Message>, runs: usize) {
    if messages.is_empty() {
        return;
    }
    if shared.background.len() >= MOST_BATCHES {
        tracing::warn!(runs, "the broker is slow; the sweep will wake runs that go on later");
        return;
    }
    let publisher = shared.publisher.clone();
    shared.background.spawn(async move {
        if let Err(error) = publisher.publish_all(messages).await {
            tracing::warn!(%error, runs, "nudges were not published; the runs fall due");
        }
    });
}
