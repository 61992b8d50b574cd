//! The sweep: whatever is due is nudged. It is takeover, timers and the rescue of lost nudges in one.

use crate::Shared;
use automation_broker::nudge;
use automation_domain::priority::Priority;
use automation_service_kit::{crash_point, ids};
use automation_store::runs::wakeups::{self, Due};
use automation_store::{Error, Scope};
use std::sync::Arc;
use std::time::Duration;

/// Longest sleep: something may fall due that this scheduler did not know of when it fell asleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);
/// Shortest sleep: other schedulers may hold what is due.
const SHORTEST_SLEEP: Duration = Duration::from_millis(5);

/// Sleep after a failure to publish.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        let wait = if shared.can_publish().await {
            match shared.note("the sweep", take(&shared).await) {
                None => LONGEST_SLEEP,
                Some((due, next)) if due.is_empty() => next.clamp(SHORTEST_SLEEP, LONGEST_SLEEP),
                Some((due, _)) => publish(&shared, due).await,
            }
        } else {
            Duration::ZERO
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

/// Publishes nudges after the commit, and gives back what never reached the broker; tells how long to rest. A nudge that
/// a queue refused falls due again by itself, later each time.
async fn publish(shared: &Shared, mut due: Vec<Due>) -> Duration {
    crash_point!("sweep.after_commit");
    due.sort_by_key(|due| Priority::ALL.iter().position(|priority| *priority == due.priority));
    let runs = due.iter().map(|due| (due.priority, due.tenant_id, due.run_id));
    let messages = nudge::messages(runs, || ids::new_id().to_string());
    let count = messages.len();
    let Err(error) = shared.publisher.publish_all(messages).await else {
        shared.metrics.nudged.add(due.len() as u64, &[]);
        return Duration::ZERO;
    };
    tracing::warn!(%error, runs = due.len(), "nudges were not published; they fall due again");
    let groups: Vec<&[Due]> = due
        .chunk_by(|one, next| one.priority == next.priority)
        .flat_map(|of_priority| of_priority.chunks(nudge::MAX_RUNS))
        .collect();
    let back: Vec<Due> = error
        .unanswered(count)
        .into_iter()
        .filter_map(|index| groups.get(index))
        .copied()
        .flatten()
        .copied()
        .collect();
    let given = shared.db.tx(Scope::Unscoped, async |connection| wakeups::give_back(connection, &back).await);
    shared.note("giving wakeups back", given.await);
    AFTER_FAILURE
}
