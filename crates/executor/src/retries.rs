//! Nudges for later tries: they wait in the broker, in the queue of their rung.

use crate::Shared;
use automation_broker::retry;
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
    if messages.is_empty() {
        return;
    }
    if shared.background.len() >= MOST_BATCHES {
        tracing::warn!(
            runs = runs.len(),
            "the broker is slow; the sweep will wake runs that are tried again"
        );
        return;
    }
    let publisher = shared.publisher.clone();
    shared.background.spawn(async move {
        if let Err(error) = publisher.publish_all(messages).await {
            tracing::warn!(%error, runs = runs.len(), "nudges of later tries were not published; they fall due");
        }
    });
}
