//! What a held run comes to: its walk, and everything that is to be written and sent because of it.

use crate::Shared;
use crate::care::Watcher;
use crate::claim::Claimed;
use crate::inputs::{self, Ended};
use crate::outside;
use crate::rooms::wait_for_room;
use crate::under_way::{Answer, Errand};
use crate::versions::Version;
use automation_actions::{Asked, RunInput, Wait, WaitReason, Walked, walk};
use automation_domain::budget::Spent;
use automation_domain::id::IdempotencyKey;
use automation_domain::interpreter::{End, RunEvent, RunState, Step, StepError};
use automation_domain::record::RecordChange;
use automation_domain::step_code::StepCode;
use automation_domain::workflow::Workflow;
use automation_store::runs::ClaimedRun;
use automation_store::runs::checkpoints::{Checkpoint, Next, WakeReason, Wakeup};
use automation_store::runs::effects::{EffectKey, NewEffect, Tried};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Claims in a row that ended with the worker's death, after which a run is given up.
const ABANDONED_BEFORE_LOST: i16 = 6;

/// One run's checkpoint, and everything that goes with it.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) run: Arc<ClaimedRun>,
    pub(crate) checkpoint: Checkpoint,
    /// Its state after the checkpoint.
    pub(crate) state: RunState,
    /// What happened, in order.
    pub(crate) log: Vec<Step>,
    pub(crate) changes: Vec<RecordChange>,
    /// Whether the workflow has entry rules that need to know when runs end.
    pub(crate) enrolled: bool,
    pub(crate) effects: Effects,
    /// What is sent once the checkpoint has committed.
    pub(crate) errands: Vec<Errand>,
    /// Delays that began: the run is nudged after each.
    pub(crate) delays: Vec<Duration>,
    /// What walking the run was charged.
    pub(crate) spent: Spent,
}

/// What a checkpoint writes into the ledger of effects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    pub(crate) new: Vec<NewEffect>,
    /// Stored requests of which a try begins, with its attempt, and those that wait for room, without.
    pub(crate) marked: Vec<(EffectKey, Option<u32>)>,
    pub(crate) tried: Vec<Tried>,
}

/// What came back to a run whose requests were on their way.
#[derive(Debug, Default)]
pub(crate) struct Back {
    pub(crate) answers: Vec<Answer>,
    /// Tokens whose requests still are.
    pub(crate) under_way: BTreeSet<u16>,
}

/// How a run goes on that was just claimed, or one to which something came back.
pub(crate) fn settlement(
    shared: &Shared,
    claimed: &Claimed,
    run: &Arc<ClaimedRun>,
    back: Option<Back>,
) -> Settlement {
    if back.is_none() && run.abandoned >= ABANDONED_BEFORE_LOST {
        let message = format!("{} workers in a row died while they held the run", run.abandoned);
        return failed(claimed, run, StepCode::WorkerLost, message);
    }
    let Some(version) = claimed.versions.get(&run.version_id) else {
        return failed(
            claimed,
            run,
            StepCode::UnknownVersion,
            format!("there is no version {}", run.version_id),
        );
    };
    if back.is_none() && claimed.paused.contains(&run.workflow_id) {
        return held(run);
    }
    let workflow = match &version.workflow {
        Ok(workflow) => workflow,
        Err(problems) => return failed(claimed, run, StepCode::UnreadableVersion, problems.clone()),
    };
    let watcher = shared.care.watch(run);
    let plan = Plan { shared, claimed, run, version, workflow, watcher: &watcher };
    let walking = AssertUnwindSafe(|| plan.settle(back));
    // A defect in one run's walk must not take the batch with it; nothing of the walk outlives the panic.
    match catch_unwind(walking) {
        Ok(Ok(settlement)) => settlement,
        Ok(Err(Missing { node })) => {
            let message = format!("the request of \"{node}\" was stored and is not there any more");
            failed(claimed, run, StepCode::RequestMissing, message)
        }
        Err(_panic) => {
            tracing::error!(run.id = %run.run_id, "walking the run panicked");
            let message = "the engine failed while it walked the run; its log has the details";
            failed(claimed, run, StepCode::InternalError, message.to_owned())
        }
    }
}

/// What takes the place of a settlement that the database refuses.
pub(crate) fn refused(claimed: &Claimed, run: &Arc<ClaimedRun>, error: &impl Display) -> Settlement {
    failed(claimed, run, StepCode::StoreRefused, format!("what the run came to could not be stored: {error}"))
}

/// A run whose workflow is paused: nothing happens to it.
fn held(run: &Arc<ClaimedRun>) -> Settlement {
    let encoded = run.state.as_ref().map_or_else(Vec::new, encode);
    let state = run.state.clone().unwrap_or_default();
    bare(run, state, Checkpoint { state: encoded, ..checkpoint(run, Next::Paused) })
}

/// A run that ends without a step of its own at fault; a replay finds its branches as they stood.
fn failed(claimed: &Claimed, run: &Arc<ClaimedRun>, code: StepCode, message: String) -> Settlement {
    let mut state = run.state.clone().unwrap_or_default();
    let tokens = std::mem::take(&mut state.tokens);
    let error = StepError { code: code.into(), message };
    state.end = Some(End::Failed { node: None, error, tokens });
    let checkpoint = checkpoint(run, Next::Finished { status: "failed" });
    let version = claimed.versions.get(&run.version_id);
    let workflow = version.and_then(|version| version.workflow.as_ref().ok());
    Settlement {
        enrolled: workflow.is_some_and(|workflow| workflow.enrolment.needs_record()),
        ..bare(run, state.clone(), Checkpoint { state: encode(&state), ..checkpoint })
    }
}

fn bare(run: &Arc<ClaimedRun>, state: RunState, checkpoint: Checkpoint) -> Settlement {
    Settlement {
        run: run.clone(),
        checkpoint,
        state,
        log: Vec::new(),
        changes: Vec::new(),
        enrolled: false,
        effects: Effects::default(),
        errands: Vec::new(),
        delays: Vec::new(),
        spent: Spent::default(),
    }
}

/// Without state and steps.
fn checkpoint(run: &ClaimedRun, next: Next) -> Checkpoint {
    Checkpoint {
        tenant_id: run.tenant_id,
        run_id: run.run_id,
        epoch: run.epoch,
        priority: run.priority,
        next,
        state: Vec::new(),
        steps: Vec::new(),
    }
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("states and steps hold strings for keys and finite numbers")
}

/// A stored request that cannot be found.
struct Missing {
    node: String,
}

/// One run with what it is walked with.
struct Plan<'c> {
    shared: &'c Shared,
    claimed: &'c Claimed,
    run: &'c Arc<ClaimedRun>,
    version: &'c Version,
    workflow: &'c Workflow,
    watcher: &'c Watcher<'c>,
}

impl Plan<'_> {
    fn settle(self, back: Option<Back>) -> Result<Settlement, Missing> {
        let (under_way, (events, ended)) = match back {
            Some(Back { answers, under_way }) => {
                (under_way, inputs::of_answers(self.claimed, self.workflow, answers))
            }
            None => (BTreeSet::new(), inputs::of_claim(self.claimed, self.run, self.workflow)),
        };
        let state = self.run.state.clone().unwrap_or_default();
        let mut walked = walk(self.workflow, state, events, self.input());
        let (mut effects, mut errands, mut postponed) = (Effects::default(), Vec::new(), Vec::new());
        for asked in std::mem::take(&mut walked.asked) {
            if under_way.contains(&asked.token) {
                continue;
            }
            match self.errand(asked, &mut effects)? {
                Ok(errand) => errands.push(errand),
                Err(no_room) => postponed.push(no_room),
            }
        }
        self.postpone(&mut walked, postponed);
        effects.tried = ended.into_iter().map(|ended: Ended| ended.after(&walked.state)).collect();
        let delays = walked.waits.iter().filter_map(|wait| match wait.reason {
            WaitReason::Retry { delay } => delay,
            WaitReason::Timer => None,
        });
        let on_their_way: Vec<u16> =
            errands.iter().map(|errand: &Errand| errand.asked.token).chain(under_way).collect();
        Ok(Settlement {
            run: self.run.clone(),
            delays: delays.collect(),
            checkpoint: Checkpoint {
                state: encode(&walked.state),
                steps: if walked.log.is_empty() { Vec::new() } else { encode(&walked.log) },
                ..checkpoint(self.run, self.next(&walked, &on_their_way))
            },
            enrolled: self.workflow.enrolment.needs_record(),
            changes: walked.changes,
            state: walked.state,
            log: walked.log,
            effects,
            errands,
            spent: walked.spent,
        })
    }

    fn input(&self) -> RunInput<'_> {
        let (claimed, run) = (self.claimed, self.run);
        RunInput {
            event: claimed.events.get(&(run.tenant_id, run.event_id)),
            contact: run.contact_id.and_then(|id| claimed.contacts.get(&(run.tenant_id, id))).cloned(),
            tenant: &self.version.tenant,
            run_id: run.run_id,
            run_key: &run.run_key,
            started_at: run.received_at,
            version: self.version.number,
            now: claimed.now,
            limits: &self.shared.config.limits,
            ladder: &self.shared.config.ladder,
            is_paused: self.is_paused(),
            watch: self.watcher,
        }
    }

    fn is_paused(&self) -> bool {
        self.claimed.paused.contains(&self.run.workflow_id)
    }

    /// What is to be sent, if there is room for it; the ledger is told either way.
    fn errand(&self, asked: Asked, effects: &mut Effects) -> Result<Result<Errand, RunEvent>, Missing> {
        let Asked { token, node: index, visit, tries, prepared } = asked;
        let (run, node) = (self.run, &self.workflow.nodes[index]);
        let key = EffectKey { tenant_id: run.tenant_id, run_id: run.run_id, node: node.id.clone(), visit };
        let delivery = inputs::delivery(node);
        let request = match (&prepared, self.claimed.effects.get(&key)) {
            (Some(request), _) => request.clone(),
            (None, Some(stored)) => stored.request.clone(),
            (None, None) => return Err(Missing { node: key.node }),
        };
        let room = self.shared.rooms.take(run.tenant_id, &outside::destination(&request));
        match prepared {
            Some(request) => effects.new.push(NewEffect {
                key: key.clone(),
                action: node.action_key().to_owned(),
                idempotency_key: IdempotencyKey::derive(run.run_id, &node.id, visit),
                delivery,
                request,
                starts: room.is_some(),
            }),
            None => effects.marked.push((key.clone(), room.as_ref().map(|_| tries.attempt))),
        }
        let asked = Asked { token, node: index, visit, tries, prepared: None };
        Ok(match room {
            Some(room) => Ok(Errand { asked, key, delivery, request, room }),
            None => {
                let until = self.claimed.now + wait_for_room(tries.postponed, run.run_id.0);
                Err(RunEvent::ActionPostponed { token, node: index, visit, number: tries.number(), until })
            }
        })
    }

    /// Lets steps wait for which there is no room.
    fn postpone(&self, walked: &mut Walked, postponed: Vec<RunEvent>) {
        self.shared.metrics.postponed(postponed.len());
        if postponed.is_empty() {
            return;
        }
        let Walked { state, waits, .. } =
            walk(self.workflow, std::mem::take(&mut walked.state), postponed, self.input());
        let before = std::mem::replace(&mut walked.waits, waits);
        walked.state = state;
        // Only the first walk knows which delays it began.
        for wait in &mut walked.waits {
            let same = |known: &&Wait| known.token == wait.token && known.until == wait.until;
            if let Some(known) = before.iter().find(same) {
                wait.reason = known.reason;
            }
        }
    }

    fn next(&self, walked: &Walked, on_their_way: &[u16]) -> Next {
        match &walked.state.end {
            Some(End::Completed) => return Next::Finished { status: "completed" },
            Some(End::Failed { .. }) => return Next::Finished { status: "failed" },
            Some(End::Cancelled { .. }) => return Next::Finished { status: "cancelled" },
            None => {}
        }
        let mut wakeups: Vec<Wakeup> = walked.waits.iter().map(|wait| self.wakeup(wait)).collect();
        if on_their_way.is_empty() {
            return if self.is_paused() { Next::Paused } else { Next::Waiting { wakeups } };
        }
        let (now, lease) = (self.claimed.now, self.shared.config.lease);
        // Looked at when the lease is over: until then it is renewed.
        wakeups.extend(on_their_way.iter().map(|token| Wakeup {
            token: *token,
            ready_at: Some(now),
            due_at: Some(now + lease),
            reason: WakeReason::Retry,
        }));
        Next::Sending { lease, progress: !walked.log.is_empty(), wakeups }
    }

    fn wakeup(&self, wait: &Wait) -> Wakeup {
        let reason = match wait.reason {
            WaitReason::Timer => return Wakeup::timer(wait.token, wait.until),
            WaitReason::Retry { delay } => delay,
        };
        // What a wait queue brings back is looked for a little later; all else is the sweep's.
        let has_queue = reason.is_some_and(|delay| self.shared.config.has_queue(delay));
        let grace = if has_queue { self.shared.config.first_look } else { Duration::ZERO };
        let (ready_at, due_at) = (Some(wait.until), Some(wait.until + grace));
        Wakeup { token: wait.token, ready_at, due_at, reason: WakeReason::Retry }
    }
}
