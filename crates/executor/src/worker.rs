//! The loop of a worker: take nudges, claim, acknowledge, walk, commit.

use crate::Shared;
use crate::checkpoint::{self, Settlement};
use crate::claim::{self, Claimed};
use crate::death::dead_letter;
use automation_actions::{RunInput, Walked, walk};
use automation_broker::consumer::{Acker, Delivery, WeightedReceiver};
use automation_broker::nudge;
use automation_domain::id::{RunId, TenantId};
use automation_domain::interpreter::{End, RunEvent, RunState, Step, StepError};
use automation_domain::retry::Ladder;
use automation_service_kit::crash_point;
use automation_store::checkpoints::{Checkpoint, Next};
use automation_store::runs::ClaimedRun;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Most messages taken at once; each names up to fifty runs.
pub(crate) const MOST_MESSAGES: usize = 64;

/// Claims in a row that ended with the worker's death, after which a run is no longer claimed along with others.
const ABANDONED_BEFORE_ALONE: i16 = 2;
/// The same, after which the run is given up.
const ABANDONED_BEFORE_LOST: i16 = 6;

/// Works until `drain` is cancelled; the batch under way is finished first.
pub(crate) async fn work(
    shared: Arc<Shared>,
    receiver: Arc<Mutex<WeightedReceiver>>,
    drain: CancellationToken,
) {
    loop {
        let batch = receiver.lock().await.recv_batch(MOST_MESSAGES).await;
        let Some(deliveries) = batch else { return };
        let nudged = runs_named(&deliveries);
        let mut deliveries = Some(deliveries);
        let nudged: Vec<_> = nudged.into_iter().collect();
        let chunks = nudged.chunks(shared.config.batch_runs).count();
        for (number, chunk) in nudged.chunks(shared.config.batch_runs).enumerate() {
            let Some(mut claimed) = claim(&shared, chunk.iter().copied().collect(), &drain).await else {
                return;
            };
            crash_point!("executor.after_claim");
            if number + 1 == chunks
                && let Some(done) = deliveries.take()
            {
                // From here on the database owes the runs: nothing is delivered again while they are worked on.
                Acker::ack_all(done).await;
            }
            let suspects = set_suspects_free(&shared, &mut claimed, &drain).await;
            settle(&shared, &claimed, &drain).await;
            for suspect in suspects {
                let Some(alone) = claim(&shared, BTreeSet::from([suspect]), &drain).await else { return };
                settle(&shared, &alone, &drain).await;
            }
        }
        if let Some(empty) = deliveries {
            Acker::ack_all(empty).await;
        }
    }
}

/// The runs that messages name, each once. A message that cannot be read is dropped: it is only a nudge.
fn runs_named(deliveries: &[Delivery]) -> BTreeSet<(TenantId, RunId)> {
    let mut runs = BTreeSet::new();
    for delivery in deliveries {
        match nudge::decode(&delivery.body) {
            Ok(named) => runs.extend(named),
            Err(error) => tracing::warn!(%error, queue = delivery.queue, "a work message cannot be read"),
        }
    }
    runs
}

/// Claims, for as long as it takes; `None` when the process drains first.
async fn claim(
    shared: &Shared,
    nudged: BTreeSet<(TenantId, RunId)>,
    drain: &CancellationToken,
) -> Option<Claimed> {
    loop {
        match claim::claim(shared, &nudged).await {
            Ok(claimed) => {
                shared.database.ready();
                shared.metrics.claimed(claimed.runs.len());
                return Some(claimed);
            }
            Err(error) => {
                shared.database.failing(error.to_string());
                tracing::warn!(%error, runs = nudged.len(), "claiming again");
            }
        }
        tokio::select! {
            () = drain.cancelled() => return None,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

/// Takes the runs whose workers died out of a batch, and gives them back uncounted: each is to be claimed by itself, so
/// that one which kills its worker charges no other.
async fn set_suspects_free(
    shared: &Shared,
    claimed: &mut Claimed,
    drain: &CancellationToken,
) -> Vec<(TenantId, RunId)> {
    if claimed.runs.len() < 2 {
        return Vec::new();
    }
    let suspects: Vec<ClaimedRun> =
        claimed.runs.extract_if(.., |run| run.abandoned >= ABANDONED_BEFORE_ALONE).collect();
    let claims: Vec<_> = suspects.iter().map(|run| (run.tenant_id, run.run_id, run.epoch)).collect();
    while let Err(error) = claim::hand_back(shared, &claims).await {
        shared.database.failing(error.to_string());
        tracing::warn!(%error, runs = claims.len(), "handing back again");
        tokio::select! {
            () = drain.cancelled() => return Vec::new(),
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
    claims.into_iter().map(|(tenant, run, _epoch)| (tenant, run)).collect()
}

/// Walks and commits claimed runs.
async fn settle(shared: &Shared, claimed: &Claimed, drain: &CancellationToken) {
    if claimed.runs.is_empty() {
        return;
    }
    let settled: Vec<(Settlement<'_>, Vec<Step>)> = claimed
        .runs
        .iter()
        .map(|run| {
            let outcome = advance(shared, claimed, run);
            (settlement(claimed, run, &outcome), outcome.map_or_else(Vec::new, |walked| walked.log))
        })
        .collect();
    let (settlements, logs): (Vec<_>, Vec<_>) = settled.into_iter().unzip();
    crash_point!("executor.before_checkpoint");
    save(shared, claimed, settlements, drain).await;
    crash_point!("executor.after_checkpoint");
    shared.metrics.steps(logs.iter().flatten());
}

/// How far the run went, or `None` when its workflow is paused.
fn advance(shared: &Shared, claimed: &Claimed, run: &ClaimedRun) -> Option<Walked> {
    if run.abandoned >= ABANDONED_BEFORE_LOST {
        let message = format!("{} workers in a row died while they held the run", run.abandoned);
        return Some(failed(run, "worker_lost", message));
    }
    let Some(version) = claimed.versions.get(&run.version_id) else {
        return Some(failed(run, "unknown_version", format!("there is no version {}", run.version_id)));
    };
    if claimed.paused.contains(&run.workflow_id) {
        return None;
    }
    let workflow = match &version.workflow {
        Ok(workflow) => workflow,
        Err(problems) => return Some(failed(run, "unreadable_version", problems.clone())),
    };
    let input = match &run.state {
        Some(state) if !state.tokens.is_empty() => RunEvent::TimerFired,
        // A run that failed before it began begins anew when it is replayed.
        Some(_) | None => RunEvent::Started { trigger: run.trigger_id.clone() },
    };
    let ladder = Ladder::default();
    let surroundings = RunInput {
        event: claimed.events.get(&(run.tenant_id, run.event_id)),
        contact: run.contact_id.and_then(|id| claimed.contacts.get(&(run.tenant_id, id))).cloned(),
        tenant: &version.tenant,
        run_id: run.run_id,
        run_key: &run.run_key,
        started_at: run.received_at,
        version: version.number,
        now: claimed.now,
        limits: &shared.config.limits,
        ladder: &ladder,
        is_paused: false,
    };
    let state = run.state.clone().unwrap_or_default();
    // A defect in one run's walk must not take the batch with it; nothing of the walk outlives the panic.
    let walked = catch_unwind(AssertUnwindSafe(|| walk(workflow, state, [input], surroundings)));
    Some(walked.unwrap_or_else(|_panic| {
        tracing::error!(run.id = %run.run_id, "walking the run panicked");
        failed(
            run,
            "internal_error",
            "the engine failed while it walked the run; its log has the details".to_owned(),
        )
    }))
}

/// A run that ends without a step of its own at fault.
fn failed(run: &ClaimedRun, code: &str, message: String) -> Walked {
    let mut state: RunState = run.state.clone().unwrap_or_default();
    let tokens = std::mem::take(&mut state.tokens);
    state.end = Some(End::Failed { node: None, error: StepError { code: code.to_owned(), message }, tokens });
    Walked {
        state,
        changes: Vec::new(),
        log: Vec::new(),
        waits: Vec::new(),
        asked: Vec::new(),
        finished: true,
    }
}

fn settlement<'a>(claimed: &Claimed, run: &'a ClaimedRun, outcome: &Option<Walked>) -> Settlement<'a> {
    let checkpoint = |next, state, steps| Checkpoint {
        tenant_id: run.tenant_id,
        run_id: run.run_id,
        epoch: run.epoch,
        priority: run.priority,
        next,
        state,
        steps,
    };
    let Some(walked) = outcome else {
        let state = run.state.as_ref().map_or_else(Vec::new, encode);
        return Settlement {
            run,
            checkpoint: checkpoint(Next::Paused, state, Vec::new()),
            changes: Vec::new(),
            enrolled: false,
            dead_letter: None,
        };
    };
    let next = match &walked.state.end {
        Some(End::Completed) => Next::Finished { status: "completed" },
        Some(End::Failed { .. }) => Next::Finished { status: "failed" },
        Some(End::Cancelled { .. }) => Next::Finished { status: "cancelled" },
        None => Next::Waiting { timers: walked.waits.iter().map(|wait| (wait.token, wait.until)).collect() },
    };
    let enrolled = claimed
        .versions
        .get(&run.version_id)
        .and_then(|version| version.workflow.as_ref().ok())
        .is_some_and(|workflow| workflow.enrolment.needs_record());
    let steps = if walked.log.is_empty() { Vec::new() } else { encode(&walked.log) };
    Settlement {
        run,
        checkpoint: checkpoint(next, encode(&walked.state), steps),
        changes: walked.changes.clone(),
        enrolled,
        dead_letter: dead_letter(run, walked),
    }
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("states and steps hold strings for keys and finite numbers")
}

/// Commits, for as long as it takes or until the process drains; then the leases run out and others take over.
///
/// What the database refuses is halved until the culprit stands alone, which then fails.
async fn save(
    shared: &Shared,
    claimed: &Claimed,
    settlements: Vec<Settlement<'_>>,
    drain: &CancellationToken,
) {
    let mut parts = vec![settlements];
    while let Some(mut part) = parts.pop() {
        match checkpoint::save(shared, claimed, &part).await {
            Ok(held) => {
                shared.database.ready();
                shared.metrics.stale(part.len().saturating_sub(held.len()));
                for settlement in &part {
                    let run = settlement.run;
                    if let (Next::Finished { status }, true) =
                        (&settlement.checkpoint.next, held.contains(&(run.tenant_id, run.run_id)))
                    {
                        let seconds = claimed.now.signed_duration_since(run.received_at).as_seconds_f64();
                        shared.metrics.finished(status, seconds);
                    }
                }
            }
            Err(error) if error.is_transient() => {
                shared.database.failing(error.to_string());
                tracing::warn!(%error, runs = part.len(), "committing again");
                if drain.is_cancelled() {
                    return;
                }
                parts.push(part);
                tokio::select! {
                    () = drain.cancelled() => {}
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
                let run = culprit.run;
                tracing::error!(%error, run.id = %run.run_id, "the database refused what the run came to");
                if culprit.changes.is_empty()
                    && matches!(culprit.checkpoint.next, Next::Finished { status: "failed" })
                {
                    // Even its failure cannot be stored: its lease runs out, and it is given up after six of them.
                    continue;
                }
                let walked = failed(
                    run,
                    "store_refused",
                    format!("what the run came to could not be stored: {error}"),
                );
                parts.push(vec![settlement(claimed, run, &Some(walked))]);
            }
        }
    }
}
