//! What happens to a held run: its claim, or what came back from outside.

use crate::claim::Claimed;
use crate::under_way::{Answer, Asked};
use automation_domain::effect::{Attempt, Response};
use automation_domain::interpreter::{Asker, RunEvent, RunState, StepError, Tries, Waits, received, unknown};
use automation_domain::retry::FailureKind;
use automation_domain::workflow::{Delivery, Workflow};
use automation_store::runs::ClaimedRun;
use automation_store::runs::effects::{EffectKey, EffectStatus, Tried, Try};
use std::time::Duration;

/// A try that came to its end; what it means for the effect shows after the walk.
#[derive(Debug)]
pub(crate) struct Ended {
    token: u16,
    key: EffectKey,
    kind: Option<FailureKind>,
    tried: Try,
    response: Option<Response>,
}

impl Ended {
    /// What the ledger is told, once the run is in this state.
    pub(crate) fn after(self, state: &RunState) -> Tried {
        let tried_again = state.tokens.get(&self.token).is_some_and(|token| {
            token.node == self.key.node
                && token.visit == self.key.visit
                && matches!(token.waits, Waits::Retry { .. })
        });
        let status = match self.kind {
            None => EffectStatus::Done,
            Some(FailureKind::Unknown) => EffectStatus::Unknown,
            Some(_) if tried_again => EffectStatus::Pending,
            Some(FailureKind::Retry { .. } | FailureKind::Fail | FailureKind::Refused) => {
                EffectStatus::Failed
            }
        };
        Tried { key: self.key, status, tried: self.tried, response: self.response }
    }
}

/// The inputs of a run that was just claimed.
///
/// A request that was to be sent once at most, and whose sender vanished, is not sent again: nobody knows what it came to.
pub(crate) fn of_claim(
    claimed: &Claimed,
    run: &ClaimedRun,
    workflow: &Workflow,
) -> (Vec<RunEvent>, Vec<Ended>) {
    let state = match &run.state {
        Some(state) if !state.tokens.is_empty() || state.end.is_some() => state,
        Some(_) | None => return (vec![RunEvent::Started { trigger: run.trigger_id.clone() }], Vec::new()),
    };
    let (mut inputs, mut ended) = (vec![RunEvent::Claimed], Vec::new());
    for (number, token) in &state.tokens {
        let (Waits::Action { tries }, Some(node)) = (&token.waits, workflow.node_index(&token.node)) else {
            continue;
        };
        if workflow.nodes[node].delivery() == Delivery::AtLeastOnce {
            continue;
        }
        let error = unknown("whoever sent the request vanished before its outcome was recorded");
        let key = run.effect_key(&token.node, token.visit);
        ended.push(Ended {
            token: *number,
            key,
            kind: Some(FailureKind::Unknown),
            tried: tried(claimed, *tries, Duration::ZERO, Some(&error), None),
            response: None,
        });
        inputs.push(RunEvent::ActionFailed {
            token: *number,
            node,
            visit: token.visit,
            number: tries.number(),
            error,
            kind: FailureKind::Unknown,
        });
    }
    (inputs, ended)
}

/// The inputs of a run whose requests were on their way.
///
/// The action of the node reads what came back: success may stand in the answer.
pub(crate) fn of_answers(
    claimed: &Claimed,
    workflow: &Workflow,
    answers: Vec<Answer>,
) -> (Vec<RunEvent>, Vec<Ended>) {
    let read = |mut answer: Answer| {
        answer.attempt.outcome = received(workflow.nodes.get(answer.asked.node), answer.attempt.outcome);
        of_answer(claimed, answer)
    };
    answers.into_iter().map(read).unzip()
}

fn of_answer(claimed: &Claimed, answer: Answer) -> (RunEvent, Ended) {
    let Answer { asked, attempt: Attempt { outcome, response, took }, trying: _ } = answer;
    let Asked { token, node, tries, key, delivery } = asked;
    let status = response.as_ref().map(|response| response.status);
    let hears = Asker { token, node, visit: key.visit, tries }.hears(outcome, delivery);
    let failure = match &hears {
        RunEvent::ActionFailed { error, kind, .. } => Some((error, *kind)),
        RunEvent::Started { .. }
        | RunEvent::ActionCompleted { .. }
        | RunEvent::ActionPostponed { .. }
        | RunEvent::TimerFired
        | RunEvent::Claimed
        | RunEvent::Heard { .. }
        | RunEvent::GoalReached(_)
        | RunEvent::Answered { .. }
        | RunEvent::Cancelled { .. } => None,
    };
    let tried = tried(claimed, tries, took, failure.map(|(error, _)| error), status);
    let ended = Ended { token, key, kind: failure.map(|(_, kind)| kind), tried, response };
    (hears, ended)
}

fn tried(
    claimed: &Claimed,
    tries: Tries,
    took: Duration,
    error: Option<&StepError>,
    status: Option<u16>,
) -> Try {
    Try {
        number: tries.number(),
        attempt: tries.attempt,
        at: claimed.now,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        code: error.map(|error| error.code.clone()),
        message: error.map(|error| error.message.clone()),
        status,
    }
}
