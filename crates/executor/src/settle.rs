//! From held runs to committed checkpoints, and what is sent and published after them.

use crate::care;
use crate::claim::{self, Claimed};
use crate::plan::{self, Back, Settlement};
use crate::traces::{self, Tries};
use crate::{Shared, checkpoint, kept, retries};
use automation_domain::budget::Spent;
use automation_domain::id::RunKey;
use automation_domain::interpreter::EndStatus;
use automation_service_kit::{clock, crash_point};
use automation_store::runs::ClaimedRun;
use automation_store::runs::checkpoints::{Held, Next};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the walks of one commit may spend together: what they make stays in memory until it is stored, and nothing else
/// happens on the thread while they go on.
const PORTION: Spent = Spent { steps: 2_000_000, bytes: 8 * 1024 * 1024 };
/// Longest that runs are walked for one commit, whatever they were charged.
const MOST_WALKING: Duration = Duration::from_millis(250);

/// Walks and commits held runs, then sends their requests. `back` is what came back to those whose requests were on
/// their way.
///
/// Runs whose walks take long are committed in portions. Those whose turn does not come while the lease is young are given
/// back uncounted, unless something came back to them.
pub(crate) async fn settle(
    shared: &Arc<Shared>,
    claimed: &Claimed,
    mut back: BTreeMap<RunKey, Back>,
    closing: &CancellationToken,
) {
    if claimed.runs.is_empty() {
        return;
    }
    let mut tries = tries(&back);
    let careful = care::careful(claimed);
    care::charge(shared, &careful, closing).await;
    let (begun, may_give_back) = (clock::now(), back.is_empty());
    let mut left = claimed.runs.as_slice();
    while !left.is_empty() {
        if may_give_back && begun.elapsed() > shared.config.lease / 3 {
            give_back(shared, left).await;
            break;
        }
        let settlements = portion(left, |run| {
            plan::settlement(shared, claimed, run, back.remove(&(run.tenant_id, run.run_id)))
        });
        let (walked, rest) = left.split_at(settlements.len());
        for run in walked.iter().filter(|run| care::is_careful(run)) {
            care::put_down(shared, run).await;
        }
        left = rest;
        crash_point!("executor.before_checkpoint");
        save(shared, claimed, settlements, &mut tries, closing).await;
    }
    care::acquit(shared, &careful).await;
}

/// Walks the first runs: one at least, and no more once they have spent a [`PORTION`] together or taken [`MOST_WALKING`], nor
/// after one that is handled with care: it is put down before the next is taken in hand.
pub(crate) fn portion(
    runs: &[Arc<ClaimedRun>],
    mut walk: impl FnMut(&Arc<ClaimedRun>) -> Settlement,
) -> Vec<Settlement> {
    let (begun, mut spent) = (clock::now(), Spent::default());
    let mut settlements = Vec::with_capacity(runs.len());
    for run in runs {
        let settlement = walk(run);
        spent = spent + settlement.spent;
        settlements.push(settlement);
        let is_enough = spent.steps >= PORTION.steps || spent.bytes >= PORTION.bytes || care::is_careful(run);
        if is_enough || begun.elapsed() > MOST_WALKING {
            break;
        }
    }
    settlements
}

async fn give_back(shared: &Shared, runs: &[Arc<ClaimedRun>]) {
    let claims: Vec<_> = runs.iter().map(|run| (run.tenant_id, run.run_id, run.epoch)).collect();
    tracing::warn!(runs = claims.len(), "runs are given back: those before them took long");
    if let Err(error) = claim::hand_back(shared, &claims).await {
        tracing::warn!(%error, "runs could not be given back; their leases run out");
    }
}

/// The tries of sampled runs that came back; none where no traces are sent.
fn tries(back: &BTreeMap<RunKey, Back>) -> Tries {
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
    tries: &mut Tries,
    closing: &CancellationToken,
) {
    let mut parts = vec![settlements];
    while let Some(mut part) = parts.pop() {
        match checkpoint::save(shared, claimed, &part).await {
            Ok(held) => {
                shared.database.ready();
                crash_point!("executor.after_checkpoint");
                committed(shared, claimed, part, &held, tries);
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
                if culprit.changes().next().is_none()
                    && matches!(culprit.checkpoint.next, Next::Finished { status: EndStatus::Failed })
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
    let (still_held, lost): (Vec<_>, Vec<_>) = settlements
        .into_iter()
        .partition(|settlement| held.contains(&(settlement.run.tenant_id, settlement.run.run_id)));
    shared.metrics.stale(lost.len());
    for settlement in lost {
        shared.under_way.forget((settlement.run.tenant_id, settlement.run.run_id));
    }
    shared.usage.add(kept::sums(&still_held));
    traces::end(claimed, &still_held, tries);
    follow_up(shared, claimed, still_held);
}

/// What the commit allows: requests leave, nudges of later tries go to their wait queues.
fn follow_up(shared: &Arc<Shared>, claimed: &Claimed, committed: Vec<Settlement>) {
    shared.metrics.steps(committed.iter().flat_map(Settlement::log));
    if committed.iter().any(|settlement| !settlement.errands.is_empty()) {
        crash_point!("executor.before_send");
    }
    let (mut delays, mut ended, mut looking) = (Vec::new(), Vec::new(), Vec::new());
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
            Next::Waiting { .. } => {
                shared.under_way.forget((run.tenant_id, run.run_id));
                if state.needs().is_some() {
                    looking.push((run.priority, run.tenant_id, run.run_id));
                }
            }
            Next::Paused => shared.under_way.forget((run.tenant_id, run.run_id)),
        }
    }
    shared.metrics.finished(&ended);
    retries::at_once(shared, looking);
    retries::publish(shared, delays);
}
