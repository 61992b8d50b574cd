//! The loop of a worker: take nudges, settle the runs they name, acknowledge. What is sent outside goes on beside it.
//!
//! Mostly a batch is one transaction (`at_once.rs`). Where that would not do, claims are committed first: then the nudges
//! are acknowledged, and the runs walked and committed in a second transaction.

use crate::claim::{self, Claimed};
use crate::settle::settle;
use crate::{Shared, at_once};
use automation_broker::consumer::{Acker, Delivery, WeightedReceiver};
use automation_broker::nudge;
use automation_domain::id::RunKey;
use automation_service_kit::crash_point;
use automation_store::runs::ClaimedRun;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Most messages taken at once; each names up to fifty runs.
pub(crate) const MOST_MESSAGES: usize = 64;

/// Another worker takes nudges beside a batch that has this part of the most runs, or more.
const COMPANY: usize = 5;

/// Claims in a row that ended with the worker's death, after which a run is no longer claimed along with others.
const ABANDONED_BEFORE_ALONE: i16 = 2;

/// Works until `drain` is cancelled; the batch under way is finished first.
pub(crate) async fn work(
    shared: Arc<Shared>,
    receiver: Arc<Mutex<WeightedReceiver>>,
    drain: CancellationToken,
) {
    loop {
        let mut turn = receiver.lock().await;
        let Some(deliveries) = turn.recv_batch(MOST_MESSAGES).await else { return };
        let nudged = runs_named(&deliveries);
        // Only a large batch has company: at low load, what arrives meanwhile makes one batch instead of many small ones.
        let turn = (nudged.len() < shared.config.batch_runs / COMPANY).then_some(turn);
        // Whoever had them before may have died of them.
        let again = deliveries.iter().any(|delivery| delivery.redelivered);
        let mut deliveries = Some(deliveries);
        let nudged: Vec<_> = nudged.into_iter().collect();
        let chunks = nudged.chunks(shared.config.batch_runs).count();
        for (number, chunk) in nudged.chunks(shared.config.batch_runs).enumerate() {
            let claimed = if again { None } else { claim_and_settle(&shared, chunk).await };
            let claimed = match claimed {
                Some(claimed) => Some(claimed),
                None => claim(&shared, chunk, &drain).await,
            };
            let Some(mut claimed) = claimed else { return };
            if number + 1 == chunks
                && let Some(done) = deliveries.take()
            {
                // From here on the database owes the runs: nothing is delivered again while they are worked on.
                Acker::ack_soon(done).await;
            }
            let suspects = set_suspects_free(&shared, &mut claimed, &drain).await;
            settle(&shared, &claimed, BTreeMap::new(), &drain).await;
            for suspect in suspects {
                let Some(alone) = claim(&shared, &[suspect], &drain).await else { return };
                settle(&shared, &alone, BTreeMap::new(), &drain).await;
            }
        }
        if let Some(empty) = deliveries {
            Acker::ack_soon(empty).await;
        }
        drop(turn);
    }
}

/// The runs that messages name, each once. A message that cannot be read is dropped: it is only a nudge.
fn runs_named(deliveries: &[Delivery]) -> BTreeSet<RunKey> {
    let mut runs = BTreeSet::new();
    for delivery in deliveries {
        match nudge::decode(&delivery.body) {
            Ok(named) => runs.extend(named),
            Err(error) => tracing::warn!(%error, queue = delivery.queue, "a work message cannot be read"),
        }
    }
    runs
}

/// Settles what it can at once; `None` when nothing came of that.
async fn claim_and_settle(shared: &Arc<Shared>, nudged: &[RunKey]) -> Option<Claimed> {
    match at_once::claim_and_settle(shared, nudged).await {
        Ok(claimed) => {
            shared.database.ready();
            shared.metrics.claimed(claimed.runs.iter());
            Some(claimed)
        }
        Err(error) => {
            tracing::debug!(%error, runs = nudged.len(), "claiming and settling apart");
            None
        }
    }
}

/// Claims, for as long as it takes; `None` when the process drains first.
async fn claim(shared: &Shared, nudged: &[RunKey], drain: &CancellationToken) -> Option<Claimed> {
    loop {
        match claim::claim(shared, nudged).await {
            Ok(claimed) => {
                crash_point!("executor.after_claim");
                shared.database.ready();
                shared.metrics.claimed(claimed.runs.iter());
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
async fn set_suspects_free(shared: &Shared, claimed: &mut Claimed, drain: &CancellationToken) -> Vec<RunKey> {
    if claimed.runs.len() < 2 {
        return Vec::new();
    }
    let suspects: Vec<Arc<ClaimedRun>> =
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
