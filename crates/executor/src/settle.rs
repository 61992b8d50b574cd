//! From held runs to committed checkpoints, and what is sent and published after them.

use crate::care;
use crate::claim::Claimed;
use crate::plan::{self, Back, Settlement};
use crate::traces::{self, Tries};
use crate::{Shared, checkpoint, retries};
use automation_domain::id::{RunId, TenantId};
use automation_service_kit::crash_point;
use automation_store::checkpoints::{Held, Next};
use automation_store::runs::ClaimedRun;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Walks and commits held runs, then sends their requests. `back` is what came back to those whose requests were on
/// their way.
pub(crate) async fn settle(
    shared: &Arc<Shared>,
    claimed: &Claimed,
    mut back: BTreeMap<(TenantId, RunId), Back>,
    closing: &CancellationToken,
) {
    if claimed.runs.is_empty() {
        return;
    }
    let tries = tries(&back);
    let careful = care::careful(claimed);
    care::charge(shared, &careful, closing).await;
    let mut settlements = Vec::with_capacity(claimed.runs.len());
    for run in &claimed.runs {
        let back = back.remove(&(run.tenant_id, run.run_id));
        settlements.push(plan::settlement(shared, claimed, run, back));
        if care::is_careful(run) {
            care::put_down(shared, run).await;
        }
    }
    crash_point!("executor.before_checkpoint");
    save(shared, claimed, settlements, tries, closing).await;
    care::acquit(shared, &careful).await;
}

/// The tries of sampled runs that came back; none where no traces are sent.
fn tries(back: &BTreeMap<(TenantId, RunId), Back>) -> Tries {
    let mut tries = Tries::new();
    for (id, back) in back {
        for trying in back.answers.iter().filter_map(|answer| answer.trying.as_ref()) {
            tries.entry(*id).or_default().push(trying.clone());
        }
    }
    tries
}

/// Commits, for as long as it takes or until `closing`; then the leases run out and others take over.
///
/// What the database refuses is halved until the culprit stands alone, which then fails.
async fn save(
    shared: &Arc<Shared>,
    claimed: &Claimed,
    settlements: Vec<Settlement>,
    mut tries: Tries,
    closing: &CancellationToken,
) {
    let mut parts = vec![settlements];
    while let Some(mut part) = parts.pop() {
        match checkpoint::save(shared, claimed, &part).await {
            Ok(held) => {
                shared.database.ready();
                crash_point!("executor.after_checkpoint");
                committed(shared, claimed, part, &held, &mut tries);
            }
            Err(error) if error.is_transient() => {
                shared.database.failing(error.to_string());
                tracing::warn!(%error, runs = part.len(), "committing again");
                if closing.is_cancelled() {
                    return;
                }
                parts.push(part);
                tokio::select! {
                    () = closing.cancelled() => {}
                    () = tokio::time::sleep(Duration::from_millis(200)) => {}
                }
            }
            Err(error) if part.len() > 1 => {
                tracing::warn!(%error, runs = part.len(), "looking for the run that the database refuses");
                let second = part.split_off(part.len() / 2);
                parts.push(second);
                parts.push(part);
            }
            Err(error) => {
                let Some(culprit) = part.pop() else { continue };
                let run = &culprit.run;
                tracing::error!(%error, run.id = %run.run_id, "the database refused what the run came to");
                if culprit.changes.is_empty()
                    && matches!(culprit.checkpoint.next, Next::Finished { status: "failed" })
                {
                    // Even its failure cannot be stored: its lease runs out, and it is given up after six of them.
                    shared.under_way.forget((run.tenant_id, run.run_id));
                    continue;
                }
                parts.push(vec![plan::refused(claimed, run, &error)]);
            }
        }
    }
}

/// Goes on from a commit: with those settlements whose claims held. What was on its way for the others is given up.
pub(crate) fn committed(
    shared: &Arc<Shared>,
    claimed: &Claimed,
    settlements: Vec<Settlement>,
    held: &Held,
    tries: &mut Tries,
) {
    let (kept, lost): (Vec<_>, Vec<_>) = settlements
        .into_iter()
        .partition(|settlement| held.contains(&(settlement.run.tenant_id, settlement.run.run_id)));
    shared.metrics.stale(lost.len());
    for settlement in lost {
        shared.under_way.forget((settlement.run.tenant_id, settlement.run.run_id));
    }
    traces::end(claimed, &kept, tries);
    follow_up(shared, claimed, kept);
}

/// What the commit allows: requests leave, nudges of later tries go to their wait queues.
fn follow_up(shared: &Arc<Shared>, claimed: &Claimed, committed: Vec<Settlement>) {
    shared.metrics.steps(committed.iter().flat_map(|settlement| &settlement.log));
    if committed.iter().any(|settlement| !settlement.errands.is_empty()) {
        crash_point!("executor.before_send");
    }
    let (mut delays, mut ended) = (Vec::new(), Vec::new());
    for settlement in committed {
        let Settlement { run, checkpoint, state, errands, delays: begun, .. } = settlement;
        delays.extend(begun.into_iter().map(|delay| (run.priority, delay, run.tenant_id, run.run_id)));
        match checkpoint.next {
            Next::Sending { .. } => {
                let run = ClaimedRun { epoch: run.epoch + 1, state: Some(state), ..ClaimedRun::clone(&run) };
                shared.under_way.send(shared, run, errands);
            }
            Next::Finished { status } => {
                shared.under_way.forget((run.tenant_id, run.run_id));
                let seconds = claimed.now.signed_duration_since(run.received_at).as_seconds_f64();
                ended.push((status, seconds));
            }
            Next::Waiting { .. } | Next::Paused => {
                shared.under_way.forget((run.tenant_id, run.run_id));
            }
        }
    }
    shared.metrics.finished(&ended);
    retries::publish(shared, delays);
}
