//! Runs as tables: a small graph, a list of inputs, and what each of them asked for.

use super::*;
use crate::condition::Condition;
use crate::event::{Event, RecordedEvent};
use crate::facts::RunFacts;
use crate::id::{EventId, EventKey, RunId};
use crate::interpreter::{End, Step, StepError, StepOutcome, Waits};
use crate::limits::Limits;
use crate::template::ValueTemplate;
use crate::workflow::{Case, Enrolment, Node, NodeIndex, NodeKind, Trigger};
use chrono::TimeDelta;
use insta::assert_snapshot;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Something that happens to a run in a table; actions are named by node and always answered for their first visit.
#[derive(Clone)]
enum Input {
    Started,
    Done(&'static str, Value),
    Failed(&'static str),
    Clock(i64),
    Cancelled,
}

use Input::{Cancelled, Clock, Done, Failed, Started};

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

/// Reads `start -> a; a -> b; b -[100]-> c; b -[else]-> stop`.
///
/// A node with cases is a branch over `event.data.total` being greater than the case's number; `nap=<duration>` is a delay
/// of that name, `stop` stops, every other node is an action.
fn graph(text: &str) -> Workflow {
    let mut workflow = Workflow {
        key: "w".to_owned(),
        name: "w".to_owned(),
        priority: None,
        enrolment: Enrolment::default(),
        triggers: Vec::new(),
        nodes: Vec::new(),
        definition: Value::Null,
        warnings: Vec::new(),
        reads_event: true,
        reads_contact: false,
    };
    for edge in text.split(';') {
        let (from, to) = edge.split_once("->").expect("an edge");
        let to = node(&mut workflow, to.trim());
        match from.trim().trim_end_matches(']').trim_end_matches('-').split_once("-[") {
            None if from.trim() == "start" => {
                workflow.triggers.push(Trigger {
                    id: "start".to_owned(),
                    event: "order.created".to_owned(),
                    condition: None,
                    to,
                });
            }
            None => {
                let from = node(&mut workflow, from.trim());
                workflow.nodes[from].next = Some(to);
            }
            Some((from, case)) => {
                let from = node(&mut workflow, from.trim());
                add_case(&mut workflow.nodes[from].kind, case.trim_end_matches([']', '-']), to);
            }
        }
    }
    workflow
}

fn node(workflow: &mut Workflow, text: &str) -> NodeIndex {
    let (id, duration) = text.split_once('=').map_or((text, None), |(id, duration)| (id, Some(duration)));
    if let Some(index) = workflow.node_index(id) {
        return index;
    }
    let kind = match duration {
        Some(duration) => NodeKind::Delay { duration: template(json!(duration)) },
        None if id == "stop" => NodeKind::Stop,
        None => NodeKind::Action { action: "add_tag".to_owned(), config: template(json!({})) },
    };
    workflow.nodes.push(Node { id: id.to_owned(), kind, next: None });
    workflow.nodes.len() - 1
}

fn add_case(kind: &mut NodeKind, name: &str, to: NodeIndex) {
    if !matches!(kind, NodeKind::Branch { .. }) {
        *kind = NodeKind::Branch { cases: Vec::new(), otherwise: None };
    }
    let NodeKind::Branch { cases, otherwise } = kind else { unreachable!("made one above") };
    match name {
        "else" => *otherwise = Some(to),
        limit => cases.push(Case {
            name: limit.to_owned(),
            condition: more_than(limit.parse().unwrap()),
            to: Some(to),
        }),
    }
}

fn more_than(limit: i64) -> Condition {
    let condition = json!({ "field": "event.data.total", "op": "greater_than", "value": limit });
    Condition::parse(&condition, "where", &Limits::default()).unwrap()
}

fn template(value: Value) -> ValueTemplate {
    ValueTemplate::parse(&value, "with", &Limits::default()).unwrap()
}

fn step(
    workflow: &Workflow,
    state: RunState,
    input: RunEvent,
    event: &RecordedEvent,
    now: DateTime<Utc>,
) -> (RunState, Vec<Command>) {
    let none = RunState::default();
    let run = RunFacts {
        run_id: RunId(Uuid::nil()),
        run_key: "1",
        started_at: start(),
        workflow: "w",
        version: 1,
        state: &none,
    };
    let facts = Facts { event: Some(event), contact: None, run: Some(run), tenant: "acme", now: start() };
    advance(workflow, state, input, Surroundings { facts, max_steps: 20 }, now)
}

fn play(text: &str, data: Value, inputs: impl IntoIterator<Item = Input>) -> String {
    play_to_end(text, data, inputs).0
}

fn play_to_end(text: &str, data: Value, inputs: impl IntoIterator<Item = Input>) -> (String, RunState) {
    let workflow = graph(text);
    let event = event(data);
    let (mut state, mut now, mut lines) = (RunState::default(), start(), Vec::new());
    for input in inputs {
        let token = state.tokens.keys().next().copied().unwrap_or_default();
        let index = |name: &str| workflow.node_index(name).unwrap();
        let (label, input) = match input {
            Started => ("started".to_owned(), RunEvent::Started { trigger: "start".to_owned() }),
            Done(name, output) => (
                format!("{name} done"),
                RunEvent::ActionCompleted { token, node: index(name), visit: 1, output },
            ),
            Failed(name) => (
                format!("{name} failed"),
                RunEvent::ActionFailed { token, node: index(name), visit: 1, error: failure() },
            ),
            Clock(seconds) => {
                now = start() + TimeDelta::seconds(seconds);
                (format!("+{seconds}s"), RunEvent::TimerFired)
            }
            Cancelled => ("cancelled".to_owned(), RunEvent::Cancelled { reason: "asked".to_owned() }),
        };
        let (next, commands) = step(&workflow, state, input, &event, now);
        state = next;
        let told: Vec<_> = commands.iter().map(|command| tell(&workflow, &state, command)).collect();
        let told = if told.is_empty() { "-".to_owned() } else { told.join(", ") };
        lines.push(format!("{label:<10} | {told}"));
    }
    (lines.join("\n"), state)
}

fn failure() -> StepError {
    StepError { code: "refused".to_owned(), message: "no".to_owned() }
}

fn tell(workflow: &Workflow, state: &RunState, command: &Command) -> String {
    match command {
        Command::RunAction { node, visit, .. } => format!("run {}#{visit}", workflow.nodes[*node].id),
        Command::WaitUntil { node, until, .. } => {
            format!("wake {} at +{}s", workflow.nodes[*node].id, (*until - start()).num_seconds())
        }
        Command::Finish => match state.end.as_ref().unwrap() {
            End::Completed => "finish completed".to_owned(),
            End::Failed { error, .. } => format!("finish failed {}", error.code),
            End::Cancelled { reason } => format!("finish cancelled {reason}"),
        },
        Command::Log(Step { node, outcome, detail, .. }) => {
            let outcome = match outcome {
                StepOutcome::Completed => "ok",
                StepOutcome::Failed => "failed",
                StepOutcome::Waiting => "waits",
            };
            match detail["case"].as_str() {
                Some(case) => format!("log {node} {outcome} [{case}]"),
                None => format!("log {node} {outcome}"),
            }
        }
    }
}

#[test]
fn small_order_skips_the_approval() {
    let text = "start -> check; check -[100]-> approve; check -[else]-> ship; approve -> ship";
    assert_snapshot!(play(text, json!({ "total": 20 }), [Started, done("ship"), done("ship")]), @r"
    started    | log start ok, log check ok [else], run ship#1
    ship done  | log ship ok, finish completed
    ship done  | -
    ");
    assert_snapshot!(play(text, json!({ "total": 200 }), [Started, done("approve"), done("ship")]), @r"
    started    | log start ok, log check ok [100], run approve#1
    approve done | log approve ok, run ship#1
    ship done  | log ship ok, finish completed
    ");
}

#[test]
fn first_case_that_holds_is_taken_and_explained() {
    let text = "start -> check; check -[500]-> a; check -[100]-> b; check -[50]-> c";
    let (_, state) = play_to_end(text, json!({ "total": 200 }), [Started]);
    assert_eq!(state.steps["check"].case.as_deref(), Some("100"));
    let (_, commands) = step(
        &graph(text),
        RunState::default(),
        RunEvent::Started { trigger: "start".to_owned() },
        &event(json!({ "total": 200 })),
        start(),
    );
    let Command::Log(check) = &commands[1] else { panic!("{commands:?}") };
    assert_eq!(
        check.detail["cases"].as_array().unwrap().len(),
        2,
        "cases after the one taken are not looked at"
    );
    let first = &check.detail["cases"][0];
    assert_eq!((&first["case"], &first["holds"]), (&json!("500"), &json!(false)));
    assert_eq!(first["comparisons"][0]["field"], "event.data.total");
    assert_eq!(first["comparisons"][0]["actual"], 200);
    assert_eq!(first["comparisons"][0]["expected"], 500);
}

#[test]
fn case_without_an_edge_ends_the_run() {
    let text = "start -> check; check -[100]-> a";
    assert_snapshot!(play(text, json!({}), [Started]), @"started    | log start ok, log check ok [else], finish completed");
}

#[test]
fn delay_waits_until_its_time_and_no_longer() {
    let text = "start -> nap=1h; nap -> a";
    assert_snapshot!(play(text, json!({}), [Started, Started, Clock(3599), Clock(3600), Clock(3600), done("a")]), @r"
    started    | log start ok, log nap waits, wake nap at +3600s
    started    | -
    +3599s     | -
    +3600s     | log nap ok, run a#1
    +3600s     | -
    a done     | log a ok, finish completed
    ");
}

#[test]
fn delays_in_a_row_start_when_the_one_before_ended() {
    let text = "start -> nap=10s; nap -> doze=90; doze -> stop";
    assert_snapshot!(play(text, json!({}), [Started, Clock(25), Clock(100), Clock(115), Clock(200)]), @r"
    started    | log start ok, log nap waits, wake nap at +10s
    +25s       | log nap ok, log doze waits, wake doze at +115s
    +100s      | -
    +115s      | log doze ok, log stop ok, finish completed
    +200s      | -
    ");
}

#[test]
fn delay_of_nothing_goes_on_at_once() {
    for duration in ["0s", "{{ 0 }}", "{{ event.data.wait }}"] {
        let text = format!("start -> nap={duration}; nap -> a");
        let trace = play(&text, json!({ "wait": -5 }), [Started]);
        assert_eq!(trace, "started    | log start ok, log nap ok, run a#1", "{duration}");
    }
}

#[test]
fn delay_can_come_from_the_event() {
    for (wait, seconds) in [(json!("2m"), 120), (json!(90), 90), (json!("45"), 45), (json!(0.5), 0)] {
        let trace = play("start -> nap={{ event.data.wait }}", json!({ "wait": wait }), [Started]);
        assert_eq!(trace, format!("started    | log start ok, log nap waits, wake nap at +{seconds}s"));
    }
}

#[test]
fn delay_that_is_no_duration_fails_the_run() {
    for wait in [json!("soon"), Value::Null, json!([1]), json!(true), json!("4000d"), json!(1e300)] {
        let (trace, state) =
            play_to_end("start -> nap={{ event.data.wait }}", json!({ "wait": wait }), [Started, Clock(9)]);
        let expected =
            "started    | log start ok, log nap failed, finish failed invalid_duration\n+9s        | -";
        assert_eq!(trace, expected, "{wait}");
        assert_eq!(state.steps["nap"].error.as_ref().unwrap().code, "invalid_duration");
    }
}

#[test]
fn delay_sees_what_steps_returned() {
    let text = "start -> a; a -> nap={{ steps.a.output.pause }}; nap -> stop";
    let pause = Done("a", json!({ "pause": "30s" }));
    assert_snapshot!(play(text, json!({}), [Started, pause]), @r"
    started    | log start ok, run a#1
    a done     | log a ok, log nap waits, wake nap at +30s
    ");
}

#[test]
fn failed_action_ends_the_run_where_it_failed() {
    let (trace, state) = play_to_end("start -> a; a -> b", json!({}), [Started, Failed("a"), done("a")]);
    assert_snapshot!(trace, @r"
    started    | log start ok, run a#1
    a failed   | log a failed, finish failed refused
    a done     | -
    ");
    assert_eq!(state.end, Some(End::Failed { node: Some("a".to_owned()), error: failure() }));
    assert_eq!(state.steps["a"].error, Some(failure()));
}

#[test]
fn repeated_answer_does_not_complete_the_next_action() {
    assert_snapshot!(play("start -> a; a -> b", json!({}), [Started, done("a"), done("a"), Failed("a"), done("b")]), @r"
    started    | log start ok, run a#1
    a done     | log a ok, run b#1
    a done     | -
    a failed   | -
    b done     | log b ok, finish completed
    ");
}

#[test]
fn late_timer_for_cancelled_run_changes_nothing() {
    assert_snapshot!(play("start -> nap=1h; nap -> a", json!({}), [Started, Cancelled, Clock(3600), Cancelled, Started]), @r"
    started    | log start ok, log nap waits, wake nap at +3600s
    cancelled  | finish cancelled asked
    +3600s     | -
    cancelled  | -
    started    | -
    ");
}

#[test]
fn circle_ends_at_the_limit_of_steps() {
    let (trace, state) =
        play_to_end("start -> check; check -[100]-> a; check -[else]-> check", json!({}), [Started]);
    assert!(trace.ends_with("log check failed, finish failed too_many_steps"), "{trace}");
    assert_eq!((state.step_count, state.steps["check"].visits), (20, 21));
}

#[test]
fn damaged_state_or_unknown_trigger_fails_the_run() {
    let workflow = graph("start -> nap=1h");
    let event = event(json!({}));
    let fails = |state: RunState, input: RunEvent, now: DateTime<Utc>| {
        let (state, commands) = step(&workflow, state, input, &event, now);
        assert_eq!(commands, [Command::Finish]);
        match state.end {
            Some(End::Failed { error, .. }) => error.code,
            Some(End::Completed | End::Cancelled { .. }) | None => panic!("{state:?}"),
        }
    };
    let unknown = RunEvent::Started { trigger: "other".to_owned() };
    assert_eq!(fails(RunState::default(), unknown, start()), "unknown_trigger");
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let (mut state, _) = step(&workflow, RunState::default(), started, &event, start());
    state.tokens.get_mut(&0).unwrap().node = "gone".to_owned();
    let wake = start() + TimeDelta::hours(1);
    assert_eq!(fails(state.clone(), RunEvent::TimerFired, wake), "unknown_node");
    state.tokens.get_mut(&0).unwrap().waits = Waits::Action;
    let answer = RunEvent::ActionCompleted { token: 0, node: 0, visit: 1, output: Value::Null };
    assert_eq!(fails(state, answer, start()), "unknown_node");
}

/// A random graph without circles: edges lead to later nodes only.
fn any_graph() -> impl Strategy<Value = Workflow> {
    prop::collection::vec((0..5_u8, 0..6_usize, 0..6_usize, 0..4_i64), 1..10).prop_map(|boxes| {
        let mut workflow = graph("start -> n0");
        workflow.nodes.clear();
        let count = boxes.len();
        for (index, (kind, a, b, number)) in boxes.into_iter().enumerate() {
            let later = |skip: usize| Some(index + 1 + skip).filter(|next| *next < count);
            let kind = match kind {
                0 | 1 => NodeKind::Action { action: "add_tag".to_owned(), config: template(json!({})) },
                2 => NodeKind::Delay { duration: template(json!(format!("{number}m"))) },
                3 => NodeKind::Branch {
                    cases: vec![Case { name: "more".to_owned(), condition: more_than(number), to: later(b) }],
                    otherwise: later(a),
                },
                _ => NodeKind::Stop,
            };
            workflow.nodes.push(Node { id: format!("n{index}"), kind, next: later(a) });
        }
        workflow
    })
}

/// How a run is treated on its way.
#[derive(Clone, Copy)]
struct Treatment {
    /// Saves and reloads the state before every input.
    reload: bool,
    /// Delivers every input again, at once and once more after every later one.
    repeat: bool,
}

/// Drives a run to its end: actions fail where `failing` says so, the clock moves to each wake-up.
fn drive(workflow: &Workflow, failing: &[bool], treatment: Treatment) -> (RunState, Vec<Command>) {
    let event = event(json!({ "total": 2 }));
    let (mut state, mut now, mut history) = (RunState::default(), start(), Vec::new());
    let mut next = Some(RunEvent::Started { trigger: "start".to_owned() });
    let mut inputs: Vec<RunEvent> = Vec::new();
    while let Some(input) = next.take() {
        if treatment.reload {
            state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        }
        let (after, commands) = step(workflow, state, input.clone(), &event, now);
        state = after;
        inputs.push(input);
        if treatment.repeat {
            for late in &inputs {
                let (after, nothing) = step(workflow, state.clone(), late.clone(), &event, now);
                assert_eq!(nothing, [], "{late:?}");
                assert_eq!(after, state, "{late:?}");
            }
        }
        assert!(state.end.is_some() != state.tokens.values().next().is_some(), "{state:?}");
        assert!(state.tokens.values().all(|token| workflow.node_index(&token.node).is_some()));
        for command in &commands {
            match command {
                Command::RunAction { token, node, visit } => {
                    let (token, node, visit) = (*token, *node, *visit);
                    next = Some(if failing[node % failing.len()] {
                        RunEvent::ActionFailed { token, node, visit, error: failure() }
                    } else {
                        RunEvent::ActionCompleted { token, node, visit, output: json!({ "node": node }) }
                    });
                }
                Command::WaitUntil { until, .. } => {
                    now = *until;
                    next = Some(RunEvent::TimerFired);
                }
                Command::Log(_) | Command::Finish => {}
            }
        }
        history.extend(commands);
    }
    (state, history)
}

proptest! {
    #[test]
    fn every_run_ends_and_asks_for_each_visit_once(
        workflow in any_graph(),
        failing in prop::collection::vec(prop::bool::weighted(0.1), 1..10),
    ) {
        let plain = drive(&workflow, &failing, Treatment { reload: false, repeat: false });
        let (state, history) = &plain;
        prop_assert!(state.end.is_some() && state.tokens.is_empty());
        prop_assert_eq!(history.last(), Some(&Command::Finish));
        prop_assert_eq!(history.iter().filter(|command| **command == Command::Finish).count(), 1);
        let (mut asked, mut logged) = (BTreeSet::new(), BTreeSet::new());
        for command in history {
            match command {
                Command::RunAction { node, visit, .. } => prop_assert!(asked.insert((*node, *visit))),
                Command::Log(step) => {
                    let waits = step.outcome == StepOutcome::Waiting;
                    prop_assert!(logged.insert((step.node.clone(), step.visit, waits)), "{:?} twice", step);
                }
                Command::WaitUntil { .. } | Command::Finish => {}
            }
        }
        for (reload, repeat) in [(true, false), (false, true), (true, true)] {
            prop_assert_eq!(&drive(&workflow, &failing, Treatment { reload, repeat }), &plain);
        }
    }
}
