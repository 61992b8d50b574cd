//! Runs by themselves: a small graph, a list of inputs, and what each of them asked for.

mod branches;
mod go_to;
mod graphs;
mod joins;
mod loops;
mod played;
mod properties;
mod race;
mod tables;

use super::*;
use crate::action::{Action, ContactUse, NamedWays, Prepared, as_answered, passes};
use crate::catalogue::{ActionEntry, Effect};
use crate::condition::Condition;
use crate::effect::{HttpRequest, Request};
use crate::event::{Event, RecordedEvent};
use crate::id::{EventId, EventKey, RunId};
use crate::interpreter::{
    BODY, BranchState, Each, End, JOIN_AT, Join, JoinRule, MOST_BRANCHES, Need, NothingRecorded, OnItemError,
    Origin, OwedFor, ReplayKey, Send, Step, StepError, StepOutcome, Token, Tries, Unwatched, Waits,
};
use crate::limits::Limits;
use crate::retry::{FailureKind, RetryPolicy};
use crate::template::ValueTemplate;
use crate::workflow::kinds::{
    ActionNode, Behaviour, Branch, Case, Delay, ForEach, GoTo, Parallel, Stop, Ways,
};
use crate::workflow::{Enrolment, Node, NodeIndex, Sending, Trigger};
use chrono::TimeDelta;
use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use uuid::Uuid;

use graphs::*;
use played::*;

/// Something that happens to a run in a table; actions are named by node and always answered for their first visit.
#[derive(Clone)]
enum Input {
    Started,
    Done(&'static str, Value),
    Failed(&'static str),
    /// May work later; the other side may say when, in seconds.
    Flaky(&'static str, Option<u64>),
    /// There is no room for it before this second.
    Full(&'static str, i64),
    Clock(i64),
    Cancelled,
}

use Input::{Cancelled, Clock, Done, Failed, Flaky, Full, Started};

fn done(node: &'static str) -> Input {
    Done(node, Value::Null)
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn event(data: Value) -> RecordedEvent {
    let key = EventKey::derive("shop", "1");
    RecordedEvent {
        event_id: EventId::derive(start(), key),
        received_at: start(),
        event: Event {
            key,
            id: "1".to_owned(),
            source: "shop".to_owned(),
            event_type: "order.created".to_owned(),
            tenant: "acme".to_owned(),
            time: start(),
            subject: None,
            correlation_id: None,
            causation_id: None,
            causation_depth: 0,
            traceparent: None,
            tracestate: None,
            data,
            body_hash: [0; 32],
        },
    }
}

fn step(
    workflow: &Workflow,
    state: RunState,
    input: RunEvent,
    event: &RecordedEvent,
    now: DateTime<Utc>,
) -> (RunState, Vec<Command>) {
    let Advanced { state, commands, .. } = advance(workflow, state, [input], run(event, now));
    (state, commands)
}

fn run(event: &RecordedEvent, now: DateTime<Utc>) -> RunInput<'_> {
    static LIMITS: LazyLock<Limits> = LazyLock::new(|| Limits { steps: 20, ..Limits::default() });
    static LADDER: LazyLock<Ladder> = LazyLock::new(ladder);
    static STORED: LazyLock<Stored> = LazyLock::new(|| Stored(request()));
    RunInput {
        event: Some(event),
        contact: None,
        tenant: TenantFacts::new("acme", "UTC"),
        run_id: RunId(Uuid::nil()),
        run_key: "1",
        started_at: start(),
        version: 1,
        now,
        limits: &LIMITS,
        ladder: &LADDER,
        is_paused: false,
        stored: &*STORED,
        recorded: &NothingRecorded,
        watch: &Unwatched,
    }
}

/// Three attempts, and at most two deferrals or a hundred seconds of them.
fn ladder() -> Ladder {
    Ladder { rungs: "1m,5m".parse().unwrap(), max_deferrals: 2, max_deferred: Duration::from_secs(100) }
}
