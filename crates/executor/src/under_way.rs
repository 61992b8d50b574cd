//! The runs whose requests are on their way: claims that are kept, and renewed until the outcomes are committed.

use crate::Shared;
use crate::rooms::Room;
use crate::traces::Trying;
use automation_domain::effect::{Attempt, Outcome, Request};
use automation_domain::id::{RunId, RunKey, TenantId};
use automation_domain::interpreter::{StepError, Tries};
use automation_domain::step_code::StepCode;
use automation_domain::trace::RunTrace;
use automation_domain::workflow::{Delivery, NodeIndex};
use automation_service_kit::{clock, crash_point};
use automation_store::runs::effects::EffectKey;
use automation_store::runs::{self, ClaimedRun};
use automation_store::{Error, Scope};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// Who waits for the outcome of a request.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) token: u16,
    pub(crate) node: NodeIndex,
    /// What the step has used up, this try included.
    pub(crate) tries: Tries,
    pub(crate) key: EffectKey,
    pub(crate) delivery: Delivery,
}

impl Asked {
    fn step(&self) -> (NodeIndex, u32) {
        (self.node, self.key.visit)
    }
}

/// A request that is to be sent as soon as the checkpoint that says so has committed.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) asked: Asked,
    pub(crate) request: Request,
    /// Kept until the outcome is there.
    pub(crate) room: Room,
}

/// What an errand came to.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) asked: Asked,
    pub(crate) attempt: Attempt,
    /// Where the run's trace is sampled.
    pub(crate) trying: Option<Trying>,
}

/// The runs whose requests are on their way.
#[derive(Debug)]
pub(crate) struct UnderWay {
    runs: Mutex<BTreeMap<RunKey, Sending>>,
    /// Each with its room, which is given back when the answer is taken: there are never more of them than rooms.
    answers: mpsc::UnboundedSender<(Answer, Room)>,
}

/// A run whose requests are on their way.
#[derive(Debug)]
struct Sending {
    run: ClaimedRun,
    /// By node and visit: the number of a token is used again while a request is on its way for which nobody waits any more.
    /// A request whose outcome is there is taken out.
    errands: BTreeMap<(NodeIndex, u32), AbortHandle>,
}

impl UnderWay {
    /// None, and where the answers come out.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<(Answer, Room)>) {
        let (answers, receiver) = mpsc::unbounded_channel();
        (Self { runs: Mutex::default(), answers }, receiver)
    }

    /// Sends the errands of a run whose checkpoint has committed; `run` is as it stands after that.
    pub(crate) fn send(&self, shared: &Arc<Shared>, run: ClaimedRun, errands: Vec<Errand>) {
        let id = (run.tenant_id, run.run_id);
        let mut runs = self.runs();
        let mut kept = runs.remove(&id).map_or_else(BTreeMap::new, |sending| sending.errands);
        for errand in errands {
            let (shared, answers, step) = (shared.clone(), self.answers.clone(), errand.asked.step());
            let trace = run.trace;
            let task = tokio::spawn(async move {
                let answer = perform(&shared, errand, trace).await;
                // Nobody listens once the process has drained: then the lease runs out.
                let _ = answers.send(answer);
            });
            kept.insert(step, task.abort_handle());
        }
        runs.insert(id, Sending { run, errands: kept });
    }

    /// The run that an answer is for, and whether other requests of it are still on their way.
    ///
    /// `None` when its claim was lost meanwhile: whoever has it now sends again, or knows better.
    pub(crate) fn take_answer(&self, answer: &Answer) -> Option<(ClaimedRun, bool)> {
        let mut runs = self.runs();
        let sending = runs.get_mut(&(answer.asked.key.tenant_id, answer.asked.key.run_id))?;
        sending.errands.remove(&answer.asked.step())?;
        Some((sending.run.clone(), !sending.errands.is_empty()))
    }

    /// Forgets a run whose claim ended, and gives up what is still on its way.
    pub(crate) fn forget(&self, id: RunKey) {
        if let Some(sending) = self.runs().remove(&id) {
            for errand in sending.errands.into_values() {
                errand.abort();
            }
        }
    }

    /// How many runs there are.
    pub(crate) fn len(&self) -> usize {
        self.runs().len()
    }

    /// Forgets all runs: others take them over when their leases are over.
    pub(crate) fn abandon(&self) {
        let ids: Vec<_> = self.runs().keys().copied().collect();
        for id in ids {
            self.forget(id);
        }
    }

    fn claims(&self) -> Vec<(TenantId, RunId, i32)> {
        self.runs()
            .values()
            .map(|sending| (sending.run.tenant_id, sending.run.run_id, sending.run.epoch))
            .collect()
    }

    /// Forgets a run that lost this claim; one that has a later claim by now is kept.
    fn lose(&self, (tenant, run, epoch): (TenantId, RunId, i32)) -> bool {
        let is_lost = self.runs().get(&(tenant, run)).is_some_and(|sending| sending.run.epoch == epoch);
        if is_lost {
            self.forget((tenant, run));
        }
        is_lost
    }

    fn runs(&self) -> MutexGuard<'_, BTreeMap<RunKey, Sending>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends one request, whatever happens on the way.
async fn perform(shared: &Arc<Shared>, errand: Errand, trace: Option<RunTrace>) -> (Answer, Room) {
    let Errand { asked, request, room } = errand;
    let key = &asked.key;
    let trying = trace.map(|trace| Trying::begin(trace, key, asked.tries.attempt));
    let traceparent = trying.as_ref().map(Trying::traceparent);
    let method = trying.as_ref().map(|_| request.method().to_owned());
    let begun = clock::now();
    let (outside, tenant) = (shared.clone(), key.tenant_id);
    let task = tokio::spawn(async move {
        outside.outside.perform(&outside.db, tenant, &request, traceparent.as_deref()).await
    });
    let guard = AbortOnDrop(task.abort_handle());
    let attempt = task.await.unwrap_or_else(|_panic| {
        tracing::error!(run.id = %key.run_id, step.name = key.node, "sending a request panicked");
        let message = "the engine failed while it sent the request; its log has the details".to_owned();
        let error = StepError { code: StepCode::InternalError.into(), message };
        let outcome = Outcome::Retry { error, after: None, reached: true };
        Attempt { outcome, response: None, took: begun.elapsed() }
    });
    drop(guard);
    shared.metrics.sent(&attempt);
    if let (Some(trying), Some(method)) = (&trying, &method) {
        trying.answered(key, method, &attempt);
    }
    crash_point!("executor.after_send");
    (Answer { asked, attempt, trying }, room)
}

/// Ends a task whose owner is gone.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Renews the claims of all runs under way, three times per lease, until `closing` is cancelled.
pub(crate) async fn renew(shared: Arc<Shared>, closing: CancellationToken) {
    let mut wait = shared.config.lease / 3;
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let claims = shared.under_way.claims();
        wait = match renew_once(&shared, &claims).await {
            Ok(lost) => {
                for claim in lost {
                    if shared.under_way.lose(claim) {
                        tracing::warn!(run.id = %claim.1, "a claim was lost while its request was on its way");
                        shared.metrics.stale(1);
                    }
                }
                shared.config.lease / 3
            }
            Err(error) => {
                shared.database.failing(error.to_string());
                tracing::warn!(%error, runs = claims.len(), "renewing again");
                (shared.config.lease / 15).min(Duration::from_secs(1))
            }
        };
    }
}

/// Renews claims in one statement; gives those that no longer held.
async fn renew_once(
    shared: &Shared,
    claims: &[(TenantId, RunId, i32)],
) -> Result<Vec<(TenantId, RunId, i32)>, Error> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let tenants: BTreeSet<TenantId> = claims.iter().map(|(tenant, _, _)| *tenant).collect();
    let tenants: Vec<TenantId> = tenants.into_iter().collect();
    let lease = shared.config.lease;
    let held = shared
        .db
        .tx(Scope::Tenants(&tenants), async |connection| runs::renew(connection, claims, lease).await)
        .await?;
    Ok(claims.iter().filter(|(tenant, run, _)| !held.contains(&(*tenant, *run))).copied().collect())
}
