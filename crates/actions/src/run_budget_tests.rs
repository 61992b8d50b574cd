//! What a run may spend at once: each step by itself, and all of them together.

use automation_domain::budget::BUDGETS_TOGETHER;
use automation_domain::contact::Contact;
use automation_domain::event::RecordedEvent;
use automation_domain::event::envelope::{self, Envelope};
use automation_domain::facts::TenantFacts;
use automation_domain::id::{ContactId, EventId, RunId};
use automation_domain::interpreter::{
    Advanced, End, NothingRecorded, NothingStored, OwedFor, RunEvent, RunInput, RunState, StepOutcome,
    Unwatched, advance,
};
use automation_domain::limits::Limits;
use automation_domain::record::RecordChange;
use automation_domain::retry::Ladder;
use automation_domain::workflow::{self, Workflow};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::sync::LazyLock;
use uuid::Uuid;

static LADDER: LazyLock<Ladder> = LazyLock::new(Ladder::default);
static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

/// An event whose `text` takes 3,750 steps to look through.
fn event() -> RecordedEvent {
    let body = json!({
        "specversion": "1.0", "id": "1", "source": "shop", "type": "order.created", "tenantid": "acme",
        "subject": "c-1", "time": "2026-11-24T08:00:00Z", "data": { "text": "x".repeat(240_000) },
    });
    let body = body.to_string().into_bytes();
    let envelope = Envelope { body: &body, ..Envelope::default() };
    let event = envelope::read_unrouted(&envelope, &LIMITS).unwrap().remove(0).outcome.unwrap();
    RecordedEvent { event_id: EventId::derive(now(), event.key), received_at: now(), event }
}

/// A branch that looks through the text so many times and takes `else`.
fn branch(id: &str, looks: usize) -> Value {
    let look = json!({ "field": "event.data.text", "op": "contains", "value": "y" });
    let case = json!({ "name": "found", "where": { "any": vec![look; looks] } });
    json!({ "id": id, "action": "branch", "with": { "cases": [case] } })
}

fn compile(nodes: Vec<Value>) -> Workflow {
    let edges: Vec<Value> = nodes
        .windows(2)
        .map(|pair| match pair[0]["action"].as_str() {
            Some("branch") => json!({ "from": pair[0]["id"], "case": "else", "to": pair[1]["id"] }),
            _ => json!([pair[0]["id"], pair[1]["id"]]),
        })
        .chain([json!(["go", nodes[0]["id"]])])
        .collect();
    let definition = json!({
        "apiVersion": "automation/v1", "key": "w", "triggers": [{ "id": "go", "event": "order.created" }],
        "nodes": nodes, "edges": edges,
    });
    workflow::parse_value(&definition, crate::node_types(), &LIMITS).unwrap()
}

fn go(workflow: &Workflow, state: RunState, input: RunEvent, event: &RecordedEvent) -> Advanced {
    let input_of = RunInput {
        event: Some(event),
        contact: Some(Contact::new(ContactId(Uuid::from_u128(1)), "c-1")),
        tenant: TenantFacts::new("acme", "UTC"),
        run_id: RunId(Uuid::from_u128(9)),
        run_key: "c-1",
        started_at: now(),
        version: 1,
        now: now(),
        limits: &LIMITS,
        ladder: &LADDER,
        is_paused: false,
        stored: &NothingStored,
        recorded: &NothingRecorded,
        watch: &Unwatched,
    };
    advance(workflow, state, [input], input_of)
}

fn started() -> RunEvent {
    RunEvent::Started { trigger: "go".to_owned() }
}

#[test]
fn a_branch_that_needs_more_than_its_budget_fails_its_step() {
    let workflow = compile(vec![branch("b", 150)]);
    let walked = go(&workflow, RunState::default(), started(), &event());
    let Some(End::Failed { node, error, .. }) = &walked.state.end else { panic!("{:?}", walked.state.end) };
    assert_eq!((node.as_deref(), error.code.as_str()), (Some("b"), "over_budget"));
    assert_eq!(error.message, "evaluating the step takes more than 500000 steps");
    assert_eq!(walked.spent.steps, LIMITS.evaluation_steps);
}

#[test]
fn a_step_over_its_budget_goes_on_where_its_error_leads() {
    let mut hostile = branch("b", 150);
    hostile["on_error"] = json!("sorry");
    let sorry =
        json!({ "id": "sorry", "action": "add_note", "with": { "text": "{{ steps.b.error.code }}" } });
    let walked = go(&compile(vec![hostile, sorry]), RunState::default(), started(), &event());
    assert_eq!(walked.state.end, Some(End::Completed));
    let changes: Vec<_> = walked.changes().collect();
    let [RecordChange::AddNote(note)] = changes[..] else { panic!("{changes:?}") };
    assert_eq!(note.text, "over_budget");
}

#[test]
fn a_walk_of_many_dear_steps_stops_in_between_and_goes_on_to_its_end() {
    let workflow = compile((0..40).map(|number| branch(&format!("b{number}"), 100)).collect());
    let event = event();
    let (mut state, mut input, mut walks, mut steps) = (RunState::default(), started(), 0, 0);
    while state.end.is_none() {
        let walked = go(&workflow, state, input, &event);
        assert!(walked.spent.steps <= (BUDGETS_TOGETHER + 1) * LIMITS.evaluation_steps);
        steps += walked.log().filter(|step| step.action == "branch").count();
        if walked.state.end.is_none() {
            let owed = walked.state.owed(now());
            assert_eq!(owed.len(), 1, "it is owed its turn");
            assert_eq!(owed[0].waits_for, OwedFor::Timer { until: now() });
        }
        (state, input, walks) = (walked.state, RunEvent::TimerFired, walks + 1);
    }
    assert_eq!((state.end, steps), (Some(End::Completed), 40));
    assert_eq!(walks, 7, "six of 375,000 steps each to a walk");
}

#[test]
fn what_a_walk_makes_before_it_is_stored_is_bounded() {
    let output = "{{ event.data.text[:60000] }}";
    let note =
        |number| json!({ "id": format!("n{number}"), "action": "add_note", "with": { "text": output } });
    let workflow = compile((0..500).map(note).collect());
    let walked = go(&workflow, RunState::default(), started(), &event());
    assert!(walked.state.end.is_none(), "500 notes of 60,000 bytes are too much for one transaction");
    let bytes: usize = walked
        .changes()
        .map(|change| match change {
            RecordChange::AddNote(note) => note.text.len(),
            RecordChange::Contact { .. } | RecordChange::CreateTask(_) => 0,
        })
        .sum();
    assert!(bytes as u64 <= 2 * LIMITS.evaluation_bytes, "{bytes}");
}

#[test]
fn a_thousand_steps_that_fail_one_after_the_other_need_no_stack() {
    let node = |number: usize| {
        let mut node =
            json!({ "id": format!("d{number}"), "action": "delay", "with": { "for": "{{ event.type }}" } });
        if number < 999 {
            node["on_error"] = json!(format!("d{}", number + 1));
        }
        node
    };
    let workflow = compile((0..1_000).map(node).collect());
    let event = event();
    let walked = std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(move || go(&workflow, RunState::default(), started(), &event))
        .unwrap()
        .join()
        .unwrap();
    let failed = walked.log().filter(|step| step.outcome == StepOutcome::Failed).count();
    assert_eq!(failed, 1_000);
    assert!(matches!(walked.state.end, Some(End::Failed { .. })));
}
