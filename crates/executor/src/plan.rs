//! What a held run comes to: its walk, and everything that is to be written and sent because of it.

use crate::Shared;
use crate::care::Watcher;
use crate::claim::Claimed;
use crate::inputs::{self, Ended};
use crate::outside;
use crate::rooms::wait_for_room;
use crate::under_way::{Answer, Asked, Errand};
use crate::versions::Version;
use automation_domain::budget::Spent;
use automation_domain::effect::Request;
use automation_domain::event::RecordedEvent;
use automation_domain::id::{EventId, IdempotencyKey};
use automation_domain::interpreter::{
    Advanced, Command, End, EndStatus, Owed, OwedFor, RecordedEvents, RunEvent, RunInput, RunState, Send,
    Step, StepError, StoredRequests, Waits, advance,
};
use automation_domain::past::Past;
use automation_domain::record::RecordChange;
use automation_domain::step_code::StepCode;
use automation_domain::workflow::{NodeIndex, Workflow};
use automation_store::runs::ClaimedRun;
use automation_store::runs::checkpoints::{Checkpoint, Next, WakeReason, Wakeup};
use automation_store::runs::effects::{EffectKey, Mark, NewEffect, Tried};
use automation_store::runs::inbox::Queued;
use std::collections::BTreeMap;
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
    /// What it asks for, in order, but for requests.
    pub(crate) commands: Vec<Command>,
    /// Whether the workflow has entry rules that need to know when runs end.
    pub(crate) enrolled: bool,
    pub(crate) effects: Effects,
    /// What it heard from its inbox.
    pub(crate) heard: Vec<i64>,
    /// What is sent once the checkpoint has committed.
    pub(crate) errands: Vec<Errand>,
    /// Delays that began: the run is nudged after each.
    pub(crate) delays: Vec<Duration>,
    /// What walking the run was charged.
    pub(crate) spent: Spent,
}

impl Settlement {
    /// What happened, in order.
    pub(crate) fn log(&self) -> impl Iterator<Item = &Step> {
        self.commands.iter().filter_map(Command::step)
    }

    /// The changes of records, in order.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &RecordChange> {
        self.commands.iter().filter_map(Command::change)
    }
}

/// What a checkpoint writes into the ledger of effects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    pub(crate) new: Vec<NewEffect>,
    /// Stored requests of which a try begins, and those that are not sent, or not now.
    pub(crate) marked: Vec<(EffectKey, Mark)>,
    pub(crate) tried: Vec<Tried>,
}

/// What came back to a run whose requests were on their way.
#[derive(Debug, Default)]
pub(crate) struct Back {
    pub(crate) answers: Vec<Answer>,
    /// Whether others still are.
    pub(crate) under_way: bool,
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
    let hears = claimed.inbox.get(&(run.tenant_id, run.run_id)).is_some_and(|queued| has_input(queued));
    if back.is_none() && !hears && claimed.is_paused(run) {
        return held(run);
    }
    let workflow = match &version.workflow {
        Ok(workflow) => workflow,
        Err(problems) => return failed(claimed, run, StepCode::UnreadableVersion, problems.clone()),
    };
    let watcher = shared.care.watch(run);
    let plan = Walker { shared, claimed, run, version, workflow, watcher: &watcher };
    let walking = AssertUnwindSafe(|| plan.settle(back));
    // A defect in one run's walk must not take the batch with it; nothing of the walk outlives the panic.
    match catch_unwind(walking) {
        Ok(settlement) => settlement,
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

/// A run that is paused, or whose workflow is: nothing happens to it.
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
    let checkpoint = checkpoint(run, Next::Finished { status: EndStatus::Failed });
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
        commands: Vec::new(),
        enrolled: false,
        effects: Effects::default(),
        heard: Vec::new(),
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

/// One run with what it is walked with.
struct Walker<'c> {
    shared: &'c Shared,
    claimed: &'c Claimed,
    run: &'c Arc<ClaimedRun>,
    version: &'c Version,
    workflow: &'c Workflow,
    watcher: &'c Watcher<'c>,
}

/// The requests of a run's earlier tries, as the claim read them.
#[derive(Debug)]
struct Stored<'c> {
    claimed: &'c Claimed,
    run: &'c ClaimedRun,
}

impl StoredRequests for Stored<'_> {
    fn request(&self, node: &str, visit: u32) -> Option<&Request> {
        self.claimed.effects.get(&self.run.effect_key(node, visit)).map(|stored| &stored.request)
    }
}

/// Events that a run may hear of, as the claim read them.
#[derive(Debug)]
struct Recorded<'c> {
    claimed: &'c Claimed,
    run: &'c ClaimedRun,
    /// Whether the state is the one that was claimed: for what waits since, nobody looked.
    is_as_claimed: bool,
}

impl RecordedEvents for Recorded<'_> {
    fn event(&self, id: EventId) -> Option<&RecordedEvent> {
        self.claimed.events.get(&(self.run.tenant_id, id))
    }

    fn before(&self) -> Option<Vec<&RecordedEvent>> {
        let seen =
            self.claimed.before.get(&(self.run.tenant_id, self.run.run_id)).filter(|_| self.is_as_claimed)?;
        Some(seen.iter().filter_map(|id| self.event(*id)).collect())
    }

    fn past(&self) -> Past<'_> {
        match self.run.contact_id {
            Some(contact) => {
                self.claimed.past.get(&(self.run.tenant_id, contact)).map_or(Past::Unknown, Past::Of)
            }
            None => Past::Nobody,
        }
    }
}

impl Walker<'_> {
    fn settle(self, back: Option<Back>) -> Settlement {
        let (heard, mut events) = self.heard();
        let (under_way, (others, ended)) = match back {
            Some(Back { answers, under_way }) => {
                (under_way, inputs::of_answers(self.claimed, self.workflow, answers))
            }
            // What is under way stays so while the workflow is paused: it was claimed for what it is to hear.
            None if self.is_paused() || self.hears_first() => Default::default(),
            None => (false, inputs::of_claim(self.claimed, self.run, self.workflow)),
        };
        events.extend(others);
        let state = self.run.state.clone().unwrap_or_default();
        let Advanced { state, mut commands, spent } = self.advance(state, events, true);
        let (mut effects, mut errands, mut postponed) = (Effects::default(), Vec::new(), Vec::new());
        let mut started = Vec::new();
        for command in commands.extract_if(.., |command| is_about_requests(command)) {
            if let Command::Withhold { node, visit, is_skipped } = command {
                let mark = if is_skipped { Mark::Skipped } else { Mark::Waits };
                effects.marked.push((self.effect_key(node, visit), mark));
            } else if let Command::Send(send) = command {
                match self.errand(send, &mut effects) {
                    Ok((errand, changes)) => {
                        errands.push(errand);
                        started.extend(changes.into_iter().map(Command::Change));
                    }
                    Err(no_room) => postponed.push(no_room),
                }
            }
        }
        commands.extend(started);
        let state = self.postpone(state, postponed);
        effects.tried = ended.into_iter().map(|ended: Ended| ended.after(&state)).collect();
        let retries = retries(&state, &commands);
        let on_their_way = errands.len() + usize::from(under_way);
        let log: Vec<&Step> = commands.iter().filter_map(Command::step).collect();
        Settlement {
            run: self.run.clone(),
            checkpoint: Checkpoint {
                state: encode(&state),
                steps: if log.is_empty() { Vec::new() } else { encode(&log) },
                ..checkpoint(self.run, self.next(&state, &retries, on_their_way, !log.is_empty()))
            },
            delays: retries.into_values().collect(),
            enrolled: self.workflow.enrolment.needs_record(),
            state,
            commands,
            effects,
            heard,
            errands,
            spent,
        }
    }

    /// What the run hears from its inbox.
    fn heard(&self) -> (Vec<i64>, Vec<RunEvent>) {
        let queued = self.claimed.inbox.get(&(self.run.tenant_id, self.run.run_id));
        let readable = |one: &Queued| Some((one.sequence, RunEvent::from(one.input.clone()?)));
        queued.into_iter().flatten().filter_map(readable).unzip()
    }

    fn advance(&self, state: RunState, inputs: Vec<RunEvent>, is_as_claimed: bool) -> Advanced {
        let (claimed, run) = (self.claimed, self.run);
        let input = RunInput {
            event: claimed.events.get(&(run.tenant_id, run.event_id)),
            contact: run.contact_id.and_then(|id| claimed.contacts.get(&(run.tenant_id, id))).cloned(),
            tenant: claimed.tenant(run, self.version),
            run_id: run.run_id,
            run_key: &run.run_key,
            started_at: run.received_at,
            version: self.version.number,
            now: claimed.now,
            limits: &self.shared.config.limits,
            ladder: &self.shared.config.ladder,
            is_paused: self.is_paused(),
            stored: &Stored { claimed, run },
            recorded: &Recorded { claimed, run, is_as_claimed },
            watch: self.watcher,
        };
        advance(self.workflow, state, inputs, input)
    }

    /// Whether there is more to hear before the clock has its say: what a person was told to be decided is not decided by time.
    fn hears_first(&self) -> bool {
        let asks = |state: &RunState| state.tokens.values().any(|token| token.waits.asks());
        self.claimed.unheard.contains(&(self.run.tenant_id, self.run.run_id))
            && self.run.state.as_ref().is_some_and(asks)
    }

    fn is_paused(&self) -> bool {
        self.claimed.is_paused(self.run)
    }

    fn effect_key(&self, node: NodeIndex, visit: u32) -> EffectKey {
        self.run.effect_key(&self.workflow.nodes[node].id, visit)
    }

    /// What is to be sent, with the changes that come with its start, if there is room for it; the ledger is told either way.
    fn errand(&self, send: Send, effects: &mut Effects) -> Result<(Errand, Vec<RecordChange>), RunEvent> {
        let Send { token, node: index, visit, tries, request, is_stored, changes } = send;
        let (run, node) = (self.run, &self.workflow.nodes[index]);
        let key = self.effect_key(index, visit);
        let room = self.shared.rooms.take(run.tenant_id, &outside::destination(&request));
        if is_stored {
            let mark = if room.is_some() { Mark::Begins(tries.attempt) } else { Mark::Waits };
            effects.marked.push((key.clone(), mark));
        } else {
            effects.new.push(NewEffect {
                key: key.clone(),
                action: node.action_key().to_owned(),
                idempotency_key: IdempotencyKey::derive(run.run_id, &node.id, visit),
                delivery: node.delivery(),
                request: request.clone(),
                starts: room.is_some(),
            });
        }
        match room {
            Some(room) => {
                let asked = Asked { token, node: index, tries, key, delivery: node.delivery() };
                Ok((Errand { asked, request, room }, changes))
            }
            None => {
                let until = self.claimed.now + wait_for_room(tries.postponed, run.run_id.0);
                Err(RunEvent::ActionPostponed { token, node: index, visit, number: tries.number(), until })
            }
        }
    }

    /// Lets steps wait for which there is no room.
    fn postpone(&self, state: RunState, postponed: Vec<RunEvent>) -> RunState {
        self.shared.metrics.postponed(postponed.len());
        if postponed.is_empty() { state } else { self.advance(state, postponed, false).state }
    }

    fn next(
        &self,
        state: &RunState,
        retries: &BTreeMap<u16, Duration>,
        on_their_way: usize,
        progress: bool,
    ) -> Next {
        if let Some(end) = &state.end {
            return Next::Finished { status: end.status() };
        }
        if on_their_way == 0 && self.is_paused() {
            return Next::Paused;
        }
        let owed = state.owed(self.claimed.now);
        let wakeups = owed.iter().map(|owed| self.wakeup(owed, retries.get(&owed.token))).collect();
        if on_their_way == 0 {
            return Next::Waiting { wakeups };
        }
        Next::Sending { lease: self.shared.config.lease, progress, wakeups }
    }

    fn wakeup(&self, owed: &Owed, retry: Option<&Duration>) -> Wakeup {
        let config = &self.shared.config;
        let (ready_at, due_at) = match owed.waits_for {
            OwedFor::Timer { until } => return Wakeup::timer(owed.token, until),
            OwedFor::Retry { until } => {
                // What a wait queue brings back is looked for a little later; all else is the sweep's.
                let has_queue = retry.is_some_and(|delay| config.has_queue(*delay));
                (until, until + if has_queue { config.first_look } else { Duration::ZERO })
            }
            OwedFor::Others => {
                return Wakeup {
                    ready_at: None,
                    due_at: None,
                    ..Wakeup::timer(owed.token, self.claimed.now)
                };
            }
            // Looked at when the lease is over: until then it is renewed.
            OwedFor::Outcome => (self.claimed.now, self.claimed.now + config.lease),
        };
        let (ready_at, due_at) = (Some(ready_at), Some(due_at));
        Wakeup { token: owed.token, ready_at, due_at, reason: WakeReason::Retry }
    }
}

/// Whether there is something that this version can read.
fn has_input(queued: &[Queued]) -> bool {
    queued.iter().any(|one| one.input.is_some())
}

fn is_about_requests(command: &Command) -> bool {
    matches!(command, Command::Send(_) | Command::Withhold { .. })
}

/// How long those tokens wait that began to wait for another try, and still do.
fn retries(state: &RunState, commands: &[Command]) -> BTreeMap<u16, Duration> {
    let waits = |token: &u16| {
        state.tokens.get(token).is_some_and(|standing| matches!(standing.waits, Waits::Retry { .. }))
    };
    let begun = commands.iter().filter_map(|command| {
        if let Command::Wake { token, retry: Some(delay), .. } = command {
            Some((*token, *delay))
        } else {
            None
        }
    });
    begun.filter(|(token, _)| waits(token)).collect()
}
