//! The sweep: whatever is due is nudged. It is takeover, timers and the rescue of lost nudges in one.

use crate::Shared;
use automation_broker::nudge;
use automation_service_kit::{crash_point, ids};
use automation_store::wakeups::{self, Due};
use automation_store::{Error, Scope};
use std::sync::Arc;
use std::time::Duration;

/// Longest sleep: something may fall due that this scheduler did not know of when it fell asleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Shortest sleep: other schedulers may hold what is due.
const SHORTEST_SLEEP: Duration = Duration::from_millis(5);

pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let swept = shared.note("the sweep", take(&shared).await);
        let wait = match swept {
            None => LONGEST_SLEEP,
            Some((due, next)) => {
                publish(&shared, &due).await;
                if due.is_empty() { next.clamp(SHORTEST_SLEEP, LONGEST_SLEEP) } else { Duration::ZERO }
            }
        };
        if !shared.pause(wait).await {
            return;
        }
    }
}

/// Moves what is due ahead, and tells how long until more is.
async fn take(shared: &Shared) -> Result<(Vec<Due>, Duration), Error> {
    shared
        .db
        .tx(Scope::Unscoped, async |connection| {
            let due = wakeups::take_due(connection, shared.config.batch, shared.config.first_look).await?;
            let next = if due.is_empty() { wakeups::next_due_in(connection).await? } else { None };
            Ok((due, next.unwrap_or(LONGEST_SLEEP)))
        })
        .await
}

/// Publishes nudges after the commit. One that does not arrive falls due again.
async fn publish(shared: &Shared, due: &[Due]) {
    crash_point!("sweep.after_commit");
    let runs = due.iter().map(|due| (due.priority, due.tenant_id, due.run_id));
    let messages = nudge::messages(runs, || ids::new_id().to_string());
    match shared.publisher.publish_all(messages).await {
        Ok(()) => shared.metrics.nudged.add(due.len() as u64, &[]),
        Err(error) => {
            tracing::warn!(%error, runs = due.len(), "nudges were not published; they fall due again")
        }
    }
}
