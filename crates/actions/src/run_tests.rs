//! Whole runs over real graphs.

use automation_domain::budget::Spent;
use automation_domain::contact::Contact;
use automation_domain::effect::Request;
use automation_domain::facts::TenantFacts;
use automation_domain::id::{ContactId, IdempotencyKey, RecordId, RunId};
use automation_domain::interpreter::{
    Advanced, Command, End, Need, NothingRecorded, NothingStored, Owed, OwedFor, RunEvent, RunInput,
    RunState, StepError, StoredRequests, Unwatched, advance,
};
use automation_domain::limits::Limits;
use automation_domain::record::RecordChange;
use automation_domain::retry::{FailureKind, Ladder};
use automation_domain::template::ValueTemplate;
use automation_domain::workflow::kinds::{ActionNode, Behaviour, Branch, Case, Delay, Stop};
use automation_domain::workflow::{Delivery, Enrolment, Node, Sending, Trigger, Workflow};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use uuid::Uuid;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn template(value: Value) -> ValueTemplate {
    ValueTemplate::parse(&value, "with", &Limits::default()).unwrap()
}

fn action(key: &str, config: Value) -> Arc<dyn Behaviour> {
    sent(key, config, Sending::default())
}

fn sent(key: &str, config: Value, sending: Sending) -> Arc<dyn Behaviour> {
    Arc::new(ActionNode { action: crate::catalogue::find(key).unwrap(), config: template(config), sending })
}

fn delay(duration: &str) -> Arc<dyn Behaviour> {
    Arc::new(Delay { duration: template(json!(duration)) })
}

/// The nodes in a row, named `n0`, `n1`, … behind the trigger `t`.
fn row(behaviours: Vec<Arc<dyn Behaviour>>) -> Workflow {
    let last = behaviours.len() - 1;
    let nodes = behaviours.into_iter().enumerate().map(|(index, behaviour)| Node {
        id: format!("n{index}"),
        behaviour,
        branches: Vec::new(),
        ways: BTreeMap::new(),
        next: (index < last).then_some(index + 1),
        on_error: None,
    });
    Workflow {
        key: "w".to_owned(),
        name: "w".to_owned(),
        priority: None,
        enrolment: Enrolment::default(),
        exits: Vec::new(),
        goal: None,
        triggers: vec![Trigger {
            schedule: None,
            id: "t".to_owned(),
            event: "order.created".to_owned(),
            condition: None,
            to: 0,
        }],
        nodes: nodes.collect(),
        definition: Value::Null,
        warnings: Vec::new(),
        needs: [Need::Contact].into(),
        memory_bytes: 0,
        entry_bytes: 0,
    }
}

fn started() -> [RunEvent; 1] {
    [RunEvent::Started { trigger: "t".to_owned() }]
}

fn contact() -> Contact {
    Contact::new(ContactId(Uuid::from_u128(1)), "c-1")
}

static LADDER: LazyLock<Ladder> = LazyLock::new(Ladder::default);

fn input(now: DateTime<Utc>, limits: &Limits) -> RunInput<'_> {
    RunInput {
        event: None,
        contact: Some(contact()),
        tenant: TenantFacts::new("acme", "UTC"),
        run_id: RunId(Uuid::from_u128(9)),
        run_key: "c-1",
        started_at: start(),
        version: 1,
        now,
        limits,
        ladder: &LADDER,
        is_paused: false,
        stored: &NothingStored,
        recorded: &NothingRecorded,
        watch: &Unwatched,
    }
}

/// The request of an earlier try, whichever it is.
#[derive(Debug)]
struct Stored(Request);

impl StoredRequests for Stored {
    fn request(&self, _node: &str, _visit: u32) -> Option<&Request> {
        Some(&self.0)
    }
}

fn lines(walked: &Advanced) -> Vec<String> {
    walked.log().map(|step| format!("{} {} {:?}", step.node, step.action, step.outcome)).collect()
}

fn error_of(walked: &Advanced) -> (&str, &str) {
    match walked.state.end.as_ref() {
        Some(End::Failed { node: Some(node), error, .. }) => (node, &error.code),
        Some(End::Failed { node: None, .. } | End::Completed | End::Cancelled { .. }) | None => {
            panic!("{:?}", walked.state)
        }
    }
}

#[test]
fn a_run_goes_to_its_delay_and_from_there_to_its_end() {
    let workflow = row(vec![
        action("add_tag", json!({"tag": "new"})),
        delay("1h"),
        action("create_task", json!({"title": "Call {{ contact.id }} about {{ steps.n0.output.tag }}"})),
        Arc::new(Stop),
    ]);
    let limits = Limits::default();
    let first = advance(&workflow, RunState::default(), started(), input(start(), &limits));
    let until = start() + TimeDelta::hours(1);
    assert_eq!(lines(&first), ["t trigger Completed", "n0 add_tag Completed", "n1 delay Waiting"]);
    let wait = Owed { token: 0, node: "n1".to_owned(), waits_for: OwedFor::Timer { until } };
    assert_eq!(first.state.owed(start()), [wait]);
    assert!(!first.finished() && first.changes().count() == 1);

    let early = advance(&workflow, first.state.clone(), [RunEvent::TimerFired], input(start(), &limits));
    assert_eq!(early.state, first.state);
    assert_eq!(early.commands, []);
    assert_eq!(
        early.state.owed(start()),
        first.state.owed(start()),
        "what is owed is told even when nothing happened"
    );

    let last = advance(&workflow, first.state, [RunEvent::TimerFired], input(until, &limits));
    assert_eq!(
        lines(&last),
        ["n1 delay Completed", "n2 create_task Completed", "n3 stop_workflow Completed"]
    );
    assert!(last.finished() && last.state.owed(until).is_empty());
    let Some(RecordChange::CreateTask(task)) = last.changes().next() else { panic!("{:?}", last.commands) };
    assert!(task.title.ends_with("about new"), "{}", task.title);
    assert_eq!(task.task_id, RecordId::derive(RunId(Uuid::from_u128(9)), "n2", 1));

    let after = advance(&workflow, last.state.clone(), [RunEvent::TimerFired], input(until, &limits));
    assert_eq!(after, Advanced { commands: vec![], spent: Spent::default(), ..last });
}

#[test]
fn later_steps_see_what_earlier_ones_did_to_the_contact() {
    let has_tag = json!({ "field": "contact.tags", "op": "contains", "value": "new" });
    let condition =
        automation_domain::condition::Condition::parse(&has_tag, "where", &Limits::default()).unwrap();
    let mut workflow = row(vec![
        action("add_tag", json!({"tag": "new"})),
        action("update_field", json!({"field": "first_name", "value": "Ada"})),
        Arc::new(Branch { cases: vec![Case { name: "tagged".to_owned(), condition }] }),
        action("add_note", json!({"text": "Hello {{ contact.first_name }}"})),
    ]);
    workflow.nodes[2].ways.insert("tagged".to_owned(), 3);
    let limits = Limits::default();
    let walked = advance(&workflow, RunState::default(), started(), input(start(), &limits));
    let Some(RecordChange::AddNote(note)) = walked.changes().nth(2) else { panic!("{:?}", walked.commands) };
    assert_eq!(note.text, "Hello Ada");
    assert_eq!((&walked.state.end, walked.finished()), (&Some(End::Completed), true));
}

#[test]
fn the_same_walk_twice_gives_the_same() {
    let workflow =
        row(vec![action("create_task", json!({"title": "a"})), action("add_note", json!({"text": "b"}))]);
    let limits = Limits::default();
    let once = advance(&workflow, RunState::default(), started(), input(start(), &limits));
    assert_eq!(advance(&workflow, RunState::default(), started(), input(start(), &limits)), once);
}

#[test]
fn a_failed_step_keeps_the_changes_before_it() {
    let workflow = row(vec![
        action("add_tag", json!({"tag": "a"})),
        action("add_tag", json!({"tag": "{{ contact.email }}"})),
        action("add_tag", json!({"tag": "never"})),
    ]);
    let limits = Limits::default();
    let walked = advance(&workflow, RunState::default(), started(), input(start(), &limits));
    assert_eq!(error_of(&walked), ("n1", "invalid_config"));
    assert_eq!(walked.changes().count(), 1);
    assert!(walked.finished());
    assert_eq!(walked.log().last().unwrap().detail["code"], "invalid_config");
}

#[test]
fn a_run_without_a_contact_fails_where_one_is_needed() {
    let workflow =
        row(vec![action("create_task", json!({"title": "a"})), action("add_tag", json!({"tag": "b"}))]);
    let limits = Limits::default();
    let run = RunInput { contact: None, ..input(start(), &limits) };
    assert_eq!(error_of(&advance(&workflow, RunState::default(), started(), run)), ("n1", "no_contact"));
}

#[test]
fn outputs_are_limited_one_by_one_and_together() {
    let tag = |letter: &str| action("add_tag", json!({"tag": letter.repeat(100)}));
    let workflow = row(vec![tag("a"), tag("b"), tag("c")]);
    let small = Limits { output_bytes: 50, ..Limits::default() };
    let walked = advance(&workflow, RunState::default(), started(), input(start(), &small));
    assert_eq!(error_of(&walked), ("n0", "output_too_large"));
    assert!(walked.changes().next().is_none(), "a step that fails changes nothing");
    let together = Limits { variables_bytes: 250, ..Limits::default() };
    let walked = advance(&workflow, RunState::default(), started(), input(start(), &together));
    assert_eq!((error_of(&walked), walked.changes().count()), (("n2", "output_too_large"), 2));
}

#[test]
fn steps_are_limited() {
    let workflow = row(vec![action("add_tag", json!({"tag": "a"})), action("add_tag", json!({"tag": "b"}))]);
    let limits = Limits { steps: 1, ..Limits::default() };
    let walked = advance(&workflow, RunState::default(), started(), input(start(), &limits));
    assert_eq!(error_of(&walked), ("n1", "too_many_steps"));
}

/// A call, then a note of what it answered.
fn call(sending: Sending) -> Workflow {
    let config = json!({
        "method": "POST", "url": "https://crm.example.com/", "body": { "json": { "at": "{{ now.timestamp }}" } },
    });
    row(vec![
        sent("http_request", config, sending),
        action("add_note", json!({ "text": "{{ vars.answer }}" })),
    ])
}

fn answer(number: u32, output: Value, vars: Value) -> [RunEvent; 1] {
    let vars = vars.as_object().cloned().unwrap_or_default();
    [RunEvent::ActionCompleted { token: 0, node: 0, visit: 1, number, output, vars }]
}

fn flaky(number: u32) -> [RunEvent; 1] {
    let error = StepError { code: "http_503".to_owned(), message: "no".to_owned() };
    let kind = FailureKind::Retry { after: None };
    [RunEvent::ActionFailed { token: 0, node: 0, visit: 1, number, error, kind }]
}

#[test]
fn a_request_is_prepared_once_and_asked_for_by_every_try() {
    let limits = Limits::default();
    let sending = Sending { timeout: Some(Duration::from_secs(7)), ..Sending::default() };
    let workflow = call(sending);
    let first = advance(&workflow, RunState::default(), started(), input(start(), &limits));
    let asked = first.sends().next().unwrap();
    let Request::Http(request) = &asked.request;
    assert!(!asked.is_stored);
    assert_eq!((request.method.as_str(), request.timeout_ms), ("POST", 7_000));
    let key = IdempotencyKey::derive(RunId(Uuid::from_u128(9)), "n0", 1).to_string();
    assert!(request.headers.contains(&("Idempotency-Key".to_owned(), key)), "{:?}", request.headers);
    assert_eq!(first.state.owed(start())[0].waits_for, OwedFor::Outcome);
    assert!(first.changes().next().is_none() && !first.finished());

    let stored = Stored(asked.request.clone());
    let claimed = |now| RunInput { stored: &stored, ..input(now, &limits) };
    let again = advance(&workflow, first.state.clone(), [RunEvent::Claimed], claimed(start()));
    let sent: Vec<_> = again.sends().map(|send| (&send.request, send.is_stored)).collect();
    assert_eq!(sent, [(&asked.request, true)], "taken over: the stored one is sent");

    let failed = advance(&workflow, first.state, flaky(1), input(start(), &limits));
    let (until, retry) = (start() + TimeDelta::minutes(1), Some(Duration::from_secs(60)));
    let wait = Owed { token: 0, node: "n0".to_owned(), waits_for: OwedFor::Retry { until } };
    assert_eq!((failed.state.owed(start()), failed.sends().count()), (vec![wait], 0));
    assert_eq!(failed.log().next().unwrap().detail["next_at"], "2027-01-15T08:01:00Z");
    assert!(failed.commands.contains(&Command::Wake { token: 0, node: 0, until, retry }));

    let second = advance(&workflow, failed.state, [RunEvent::TimerFired], claimed(until));
    let sent: Vec<_> = second.sends().map(|send| (send.tries.attempt, send.is_stored)).collect();
    assert_eq!(sent, [(2, true)]);
    let done = advance(
        &workflow,
        second.state,
        answer(2, json!({}), json!({ "answer": "yes" })),
        input(until, &limits),
    );
    let Some(RecordChange::AddNote(note)) = done.changes().next() else { panic!("{:?}", done.commands) };
    assert_eq!((note.text.as_str(), done.finished()), ("yes", true));
}

#[test]
fn a_run_whose_stored_request_is_gone_fails_and_sends_nothing() {
    let (workflow, limits) = (call(Sending::default()), Limits::default());
    let first = advance(&workflow, RunState::default(), started(), input(start(), &limits));
    let again = advance(&workflow, first.state, [RunEvent::Claimed], input(start(), &limits));
    assert!(again.sends().next().is_none() && again.finished());
    let Some(End::Failed { error, .. }) = &again.state.end else { panic!("{:?}", again.state) };
    assert_eq!(error.code, "request_missing");
}

#[test]
fn whoever_takes_a_run_over_does_not_send_again_what_may_arrive_once_at_most() {
    let workflow = call(Sending { delivery: Delivery::AtMostOnce, ..Sending::default() });
    let limits = Limits::default();
    let first = advance(&workflow, RunState::default(), started(), input(start(), &limits));
    let again = advance(&workflow, first.state.clone(), [RunEvent::Claimed], input(start(), &limits));
    assert_eq!((again.state, again.commands), (first.state, vec![]));
}

#[test]
fn an_answer_for_which_the_run_has_no_room_fails_the_step() {
    let workflow = call(Sending::default());
    let limits = Limits { output_bytes: 60, variables_bytes: 130, ..Limits::default() };
    let first = advance(&workflow, RunState::default(), started(), input(start(), &limits));
    for (output, vars, fits) in [
        (json!("x".repeat(30)), json!({ "answer": "y".repeat(20) }), true),
        (json!("x".repeat(60)), json!({}), false),
        (json!("x".repeat(30)), json!({ "answer": "y".repeat(100) }), false),
    ] {
        let walked =
            advance(&workflow, first.state.clone(), answer(1, output, vars), input(start(), &limits));
        assert_eq!(walked.changes().count(), usize::from(fits));
        if !fits {
            assert_eq!(error_of(&walked), ("n0", "output_too_large"));
        }
    }
}

#[test]
fn a_paused_workflow_takes_an_answer_in_and_stands_before_the_next_step() {
    let (workflow, limits) = (call(Sending::default()), Limits::default());
    let first = advance(&workflow, RunState::default(), started(), input(start(), &limits));
    let paused = RunInput { is_paused: true, ..input(start(), &limits) };
    let walked = advance(&workflow, first.state, answer(1, json!(1), json!({})), paused);
    assert!(walked.changes().next().is_none() && !walked.finished() && walked.sends().next().is_none());
    let wait = Owed { token: 0, node: "n1".to_owned(), waits_for: OwedFor::Timer { until: start() } };
    assert_eq!(walked.state.owed(start()), [wait]);
    let resumed = advance(&workflow, walked.state, [RunEvent::TimerFired], input(start(), &limits));
    assert!(resumed.finished());
}
