//! Taking in what came back from outside: gathered into batches, walked and committed like claims.

use crate::claim::{self, Claimed};
use crate::plan::Back;
use crate::rooms::Room;
use crate::under_way::Answer;
use crate::{Shared, settle};
use automation_domain::id::RunKey;
use automation_store::runs::ClaimedRun;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Works until `closing`, in the order of arrival: a run is in one batch at a time.
pub(crate) async fn take_in(
    shared: Arc<Shared>,
    mut receiver: mpsc::UnboundedReceiver<(Answer, Room)>,
    closing: CancellationToken,
) {
    loop {
        let mut answers = Vec::new();
        tokio::select! {
            () = closing.cancelled() => return,
            received = receiver.recv_many(&mut answers, shared.config.batch_runs) => {
                if received == 0 {
                    return;
                }
            }
        }
        let (runs, back) = by_run(&shared, answers);
        let Some(claimed) = look_again(&shared, &runs, &closing).await else { return };
        settle::settle(&shared, &claimed, back, &closing).await;
    }
}

/// The runs that answers are for; those whose claims were lost are left out.
fn by_run(shared: &Shared, answers: Vec<(Answer, Room)>) -> (Vec<ClaimedRun>, BTreeMap<RunKey, Back>) {
    let mut runs = BTreeMap::new();
    let mut back: BTreeMap<RunKey, Back> = BTreeMap::new();
    for (answer, room) in answers {
        drop(room);
        let Some((run, under_way)) = shared.under_way.take_answer(&answer) else { continue };
        let id = (run.tenant_id, run.run_id);
        runs.insert(id, run);
        let of_run = back.entry(id).or_default();
        of_run.answers.push(answer);
        of_run.under_way = under_way;
    }
    (runs.into_values().collect(), back)
}

/// Reads what the runs' next steps look at, for as long as it takes; `None` when the process closes first.
async fn look_again(shared: &Shared, runs: &[ClaimedRun], closing: &CancellationToken) -> Option<Claimed> {
    loop {
        match claim::look_again(shared, runs).await {
            Ok(claimed) => {
                shared.database.ready();
                return Some(claimed);
            }
            Err(error) => {
                shared.database.failing(error.to_string());
                tracing::warn!(%error, runs = runs.len(), "looking again");
            }
        }
        tokio::select! {
            () = closing.cancelled() => return None,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}
