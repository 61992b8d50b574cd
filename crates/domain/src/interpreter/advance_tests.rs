//! Runs as tables: a small graph, a list of inputs, and what each of them asked for.

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

/// Reads `start -> a; a -> b; b -[100]-> c; b -[else]-> stop`.
///
/// `each=2*a` begins at `a` for every item of `event.data.items`, two at a time, and `each=2+a~item.value` for every item of that
/// field, whatever becomes of one. `again=2!a` goes to `a` twice. A node `fork` goes all its ways at once, and so does `both=any@c`, whose branches meet at `c`: `all`, `any` or how many.
/// `a -[error]-> b` is where `a` goes on when it fails. A node with other cases is a branch over `event.data.total` being
/// greater than the case's number; `nap=<duration>` is a delay of that name, `stop` stops, every other node is an action.
fn graph(text: &str) -> Workflow {
    let mut workflow = Workflow {
        key: "w".to_owned(),
        name: "w".to_owned(),
        priority: None,
        enrolment: Enrolment::default(),
        exits: Vec::new(),
        triggers: Vec::new(),
        nodes: Vec::new(),
        definition: Value::Null,
        warnings: Vec::new(),
        needs: [Need::Event].into(),
        memory_bytes: 0,
        entry_bytes: 0,
    };
    let mut named = Vec::new();
    for edge in text.split(';') {
        let (from, to) = edge.split_once("->").expect("an edge");
        named.extend([from, to].into_iter().filter_map(|end| {
            let (id, rule) = end.trim().split_once('=').filter(|(_, rule)| !rule.starts_with('{'))?;
            let named = rule.split_once(['@', '!', '*', '+'])?.1;
            Some((id, named.split_once('~').map_or(named, |(named, _)| named)))
        }));
        let to = node(&mut workflow, to.trim());
        match from.trim().trim_end_matches(']').trim_end_matches('-').split_once("-[") {
            None if from.trim() == "start" => {
                workflow.triggers.push(Trigger {
                    schedule: None,
                    id: "start".to_owned(),
                    event: "order.created".to_owned(),
                    condition: None,
                    to,
                });
            }
            None => {
                let from = node(&mut workflow, from.trim());
                if workflow.nodes[from].behaviour.ways() == Ways::Branches {
                    workflow.nodes[from].branches.push(to);
                } else {
                    workflow.nodes[from].next = Some(to);
                }
            }
            Some((from, "error")) => {
                let from = node(&mut workflow, from.trim());
                workflow.nodes[from].on_error = Some(to);
            }
            Some((from, case)) => {
                let from = node(&mut workflow, from.trim());
                add_case(&mut workflow.nodes[from], case.trim_end_matches([']', '-']), to);
            }
        }
    }
    for (id, named) in named {
        let (id, named) = (node(&mut workflow, id), node(&mut workflow, named));
        for key in workflow.nodes[id].behaviour.clone().targets().into_iter().map(|target| target.key) {
            workflow.nodes[id].ways.insert(key.to_owned(), named);
        }
    }
    workflow
}

fn node(workflow: &mut Workflow, text: &str) -> NodeIndex {
    let (id, duration) = text.split_once('=').map_or((text, None), |(id, duration)| (id, Some(duration)));
    if let Some(index) = workflow.node_index(id) {
        return index;
    }
    let behaviour: Arc<dyn Behaviour> = match duration {
        Some(each) if !each.starts_with('{') && each.contains(['*', '+']) => Arc::new(for_each(each)),
        Some(jump) if jump.contains('!') => {
            let (most, to) = jump.split_once('!').unwrap();
            Arc::new(GoTo { node: to.to_owned(), most: most.parse().unwrap() })
        }
        Some(rule) if rule.contains('@') => Arc::new(parallel(rule)),
        Some(duration) => Arc::new(Delay { duration: template(json!(duration)) }),
        None if id == "stop" => Arc::new(Stop),
        None if id == "fork" => Arc::new(Parallel { meeting: None }),
        None => action(Sending::default()),
    };
    let (branches, ways) = (Vec::new(), BTreeMap::new());
    workflow.nodes.push(Node { id: id.to_owned(), behaviour, next: None, branches, ways, on_error: None });
    workflow.nodes.len() - 1
}

/// What the interpreter sees of any action; the tables answer for it.
static ACTION: Action = Action {
    entry: ActionEntry {
        key: "http_request",
        group: "integration",
        description: "Makes an HTTP request.",
        effect: Effect::External,
        emits: &[],
    },
    schema: || json!({}),
    contact: ContactUse::None,
    check: |_| Vec::new(),
    prepare: |_, _| Ok(Prepared::Request(request())),
    gate: passes,
    ways: NamedWays::NONE,
    receive: as_answered,
};

fn request() -> Request {
    Request::Http(HttpRequest {
        method: "POST".to_owned(),
        url: "https://crm.example.com/".to_owned(),
        headers: Vec::new(),
        body: None,
        credential: None,
        timeout_ms: 1,
        redirects: 0,
        save: BTreeMap::new(),
    })
}

/// The request of every step, for whoever sends it again.
#[derive(Debug)]
struct Stored(Request);

impl StoredRequests for Stored {
    fn request(&self, _node: &str, _visit: u32) -> Option<&Request> {
        Some(&self.0)
    }
}

fn action(sending: Sending) -> Arc<dyn Behaviour> {
    Arc::new(ActionNode { action: &ACTION, config: template(json!({})), sending })
}

fn branch(limits: impl IntoIterator<Item = String>) -> Arc<dyn Behaviour> {
    let case = |name: String| Case { condition: more_than(name.parse().unwrap()), name };
    Arc::new(Branch { cases: limits.into_iter().map(case).collect() })
}

/// Reads `all@done`, `any@done`, `2@done`.
fn parallel(text: &str) -> Parallel {
    let (rule, meeting) = text.split_once('@').expect("a rule and a node");
    let rule = match rule {
        "all" => JoinRule::All,
        "any" => JoinRule::AtLeast(1),
        number => JoinRule::AtLeast(number.parse().unwrap()),
    };
    Parallel { meeting: Some((meeting.to_owned(), Join { rule, dead_after: TimeDelta::days(14) })) }
}

/// Reads `2*body` and `2+body~field`.
fn for_each(text: &str) -> ForEach {
    let (concurrency, rest) = text.split_once(['*', '+']).expect("how many at a time");
    let (body, field) = rest.split_once('~').unwrap_or((rest, "event.data.items"));
    let on_item_error = if text.contains('*') { OnItemError::Stop } else { OnItemError::GoOn };
    let each = Each { concurrency: concurrency.parse().unwrap(), on_item_error };
    let list = template(json!(format!("{{{{ {field} }}}}")));
    ForEach { list, body: body.to_owned(), most: 50, each }
}

fn add_case(node: &mut Node, name: &str, to: NodeIndex) {
    match node.behaviour.ways() {
        Ways::Branches => return node.branches.push(to),
        Ways::Optional(_) => {
            node.ways.insert(name.to_owned(), to);
            return;
        }
        Ways::Named(_) | Ways::One | Ways::OneOr(_) | Ways::OneAnd(_) | Ways::None => {}
    }
    let mut limits: Vec<String> = match node.behaviour.ways() {
        Ways::Named(names) => names.into_iter().map(str::to_owned).collect(),
        Ways::One | Ways::OneOr(_) | Ways::OneAnd(_) | Ways::Optional(_) | Ways::Branches | Ways::None => {
            Vec::new()
        }
    };
    limits.retain(|limit| limit != "else");
    limits.extend((name != "else").then(|| name.to_owned()));
    node.behaviour = branch(limits);
    node.ways.insert(name.to_owned(), to);
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
        let number = match state.tokens.get(&token).map(|token| &token.waits) {
            Some(Waits::Action { tries }) => tries.number(),
            Some(
                Waits::Timer { .. }
                | Waits::Retry { .. }
                | Waits::Event(_)
                | Waits::Turn
                | Waits::Dead { .. },
            )
            | None => 1,
        };
        let failed = |name: &str, kind: FailureKind| RunEvent::ActionFailed {
            token,
            node: index(name),
            visit: 1,
            number,
            error: failure(),
            kind,
        };
        let (label, input) = match input {
            Started => ("started".to_owned(), RunEvent::Started { trigger: "start".to_owned() }),
            Done(name, output) => (
                format!("{name} done"),
                RunEvent::ActionCompleted {
                    token,
                    node: index(name),
                    visit: 1,
                    number,
                    output,
                    vars: Map::new(),
                },
            ),
            Failed(name) => (format!("{name} failed"), failed(name, FailureKind::Fail)),
            Flaky(name, after) => {
                let after = after.map(Duration::from_secs);
                (format!("{name} flaky"), failed(name, FailureKind::Retry { after }))
            }
            Full(name, seconds) => {
                let until = start() + TimeDelta::seconds(seconds);
                (
                    format!("{name} full"),
                    RunEvent::ActionPostponed { token, node: index(name), visit: 1, number, until },
                )
            }
            Clock(seconds) => {
                now = start() + TimeDelta::seconds(seconds);
                (format!("+{seconds}s"), RunEvent::TimerFired)
            }
            Cancelled => ("cancelled".to_owned(), RunEvent::Cancelled { reason: "asked".to_owned() }),
        };
        let (next, commands) = step(&workflow, state, input, &event, now);
        state = next;
        // What is buried, and that it was cancelled, stands beside a line that says so.
        let told = commands.iter().filter(|command| {
            !matches!(command, Command::Bury { .. })
                && command.step().is_none_or(|step| step.action != "cancel")
        });
        let told: Vec<_> = told.map(|command| tell(&workflow, &state, command)).collect();
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
        Command::Bury { node, visit, .. } => format!("bury {}#{visit}", workflow.nodes[*node].id),
        Command::Withhold { node, visit, is_skipped: true } => {
            format!("never send {}#{visit}", workflow.nodes[*node].id)
        }
        Command::Change(_) | Command::Withhold { .. } | Command::Publish(_) => {
            panic!("the action of the tables does not ask for this: {command:?}")
        }
        Command::Send(Send { node, visit, is_stored: false, .. }) => {
            format!("run {}#{visit}", workflow.nodes[*node].id)
        }
        Command::Send(Send { node, visit, tries, .. }) => {
            format!("send {}#{visit}, the {}.", workflow.nodes[*node].id, tries.number())
        }
        Command::Wake { node, until, retry: Some(delay), .. } => {
            let at = (*until - start()).num_seconds();
            format!("retry {} after {}s at +{at}s", workflow.nodes[*node].id, delay.as_secs())
        }
        Command::Wake { node, until, retry: None, .. } => {
            format!("wake {} at +{}s", workflow.nodes[*node].id, (*until - start()).num_seconds())
        }
        Command::Finish => match state.end.as_ref().unwrap() {
            End::Completed => "finish completed".to_owned(),
            End::Failed { error, .. } => format!("finish failed {}", error.code),
            End::Cancelled { reason } => format!("finish cancelled {reason}"),
        },
        Command::Log(Step { node, action, .. }) if action == "discard" => format!("discard {node}"),
        Command::Log(Step { node, outcome, detail, .. }) => {
            let outcome = match outcome {
                StepOutcome::Completed => "ok",
                StepOutcome::Failed => "failed",
                StepOutcome::Waiting => "waits",
                StepOutcome::Retrying => "retries",
                StepOutcome::Skipped => "skipped",
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
    let Some(End::Failed { node, error, tokens }) = state.end else { panic!("{state:?}") };
    assert_eq!((node.as_deref(), error), (Some("a"), failure()));
    let waits = Waits::Retry { until: start(), tries: Tries::FIRST, stored: true };
    assert_eq!((tokens[&0].node.as_str(), tokens[&0].visit, &tokens[&0].waits), ("a", 1, &waits));
    assert_eq!(state.steps["a"].error, Some(failure()));
}

#[test]
fn flaky_action_climbs_the_ladder_and_then_fails() {
    let inputs =
        [Started, Flaky("a", None), Clock(59), Clock(60), Flaky("a", None), Clock(360), Flaky("a", None)];
    assert_snapshot!(play("start -> a; a -> b", json!({}), inputs), @r"
    started    | log start ok, run a#1
    a flaky    | log a retries, retry a after 60s at +60s
    +59s       | -
    +60s       | send a#1, the 2.
    a flaky    | log a retries, retry a after 300s at +360s
    +360s      | send a#1, the 3.
    a flaky    | log a failed, finish failed refused
    ");
}

#[test]
fn named_delay_and_a_full_house_use_up_no_attempt() {
    let inputs = [
        Started,
        Flaky("a", Some(7)),
        Clock(7),
        Full("a", 8),
        Clock(8),
        Flaky("a", None),
        Clock(68),
        done("a"),
        done("b"),
    ];
    assert_snapshot!(play("start -> a; a -> b", json!({}), inputs), @r"
    started    | log start ok, run a#1
    a flaky    | log a retries, retry a after 7s at +7s
    +7s        | send a#1, the 2.
    a full     | -
    +8s        | send a#1, the 2.
    a flaky    | log a retries, retry a after 60s at +68s
    +68s       | send a#1, the 3.
    a done     | log a ok, run b#1
    b done     | log b ok, finish completed
    ");
}

#[test]
fn failed_step_with_an_error_branch_goes_on_there() {
    let text = "start -> a; a -> b; a -[error]-> nap={{ steps.a.error.code }}; nap -[error]-> note";
    let (trace, state) = play_to_end(text, json!({}), [Started, Failed("a"), done("note")]);
    assert_snapshot!(trace, @r"
    started    | log start ok, run a#1
    a failed   | log a failed, log nap failed, run note#1
    note done  | log note ok, finish completed
    ");
    let nap = state.steps["nap"].error.as_ref().unwrap();
    assert!(nap.message.contains("refused"), "the code of the first error was what it rendered: {nap:?}");
}

#[test]
fn paused_workflow_takes_an_answer_and_begins_nothing() {
    let workflow = graph("start -> a; a -> b");
    let event = event(json!({}));
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let (state, _) = step(&workflow, RunState::default(), started, &event, start());
    let paused = RunInput { is_paused: true, ..run(&event, start()) };
    let (output, vars) = (json!(7), Map::new());
    let answer = RunEvent::ActionCompleted { token: 0, node: 0, visit: 1, number: 1, output, vars };
    let Advanced { state, commands, .. } = advance(&workflow, state, [answer], paused.clone());
    assert!(matches!(&commands[..], [Command::Log(step)] if step.node == "a"), "{commands:?}");
    assert_eq!((state.tokens[&0].node.as_str(), &state.tokens[&0].waits), ("b", &Waits::Turn));
    let Advanced { state, .. } = advance(&workflow, state, [RunEvent::TimerFired], paused);
    assert_eq!((state.steps["a"].output.clone(), state.steps.get("b")), (json!(7), None));
    let (state, commands) = step(&workflow, state, RunEvent::TimerFired, &event, start());
    assert_eq!(tell(&workflow, &state, &commands[0]), "run b#1");
}

#[test]
fn answer_sets_variables() {
    let workflow = graph("start -> a; a -> nap={{ vars.pause }}");
    let event = event(json!({}));
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let (state, _) = step(&workflow, RunState::default(), started, &event, start());
    let vars = Map::from_iter([("pause".to_owned(), json!("40s"))]);
    let answer =
        RunEvent::ActionCompleted { token: 0, node: 0, visit: 1, number: 1, output: Value::Null, vars };
    let (state, _) = step(&workflow, state, answer, &event, start());
    let until = start() + TimeDelta::seconds(40);
    assert_eq!(state.tokens[&0].waits, Waits::Timer { until });
}

#[test]
fn replayed_run_goes_on_where_it_failed() {
    let workflow = graph("start -> a; a -> b");
    let event = event(json!({}));
    let replay = |key: ReplayKey, kind: FailureKind| {
        let started = RunEvent::Started { trigger: "start".to_owned() };
        let (state, _) = step(&workflow, RunState::default(), started, &event, start());
        let error = failure();
        let answer = RunEvent::ActionFailed { token: 0, node: 0, visit: 1, number: 1, error, kind };
        let (mut state, _) = step(&workflow, state, answer, &event, start());
        state.revive(key, start()).unwrap();
        let (state, commands) = step(&workflow, state, RunEvent::TimerFired, &event, start());
        commands.iter().map(|command| tell(&workflow, &state, command)).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(replay(ReplayKey::Same, FailureKind::Fail), "send a#1, the 1.");
    assert_eq!(replay(ReplayKey::New, FailureKind::Fail), "run a#2");
    assert_eq!(
        replay(ReplayKey::Same, FailureKind::Refused),
        "run a#1",
        "nothing is stored to be sent again"
    );
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

/// What a run with branches asks for, input by input.
fn branches(
    text: &str,
    inputs: impl IntoIterator<Item = RunEvent>,
    now: DateTime<Utc>,
) -> (String, RunState) {
    let (workflow, event) = (graph(text), event(json!({})));
    let (mut state, mut lines) = (RunState::default(), Vec::new());
    for input in inputs {
        let (next, commands) = step(&workflow, state, input, &event, now);
        state = next;
        let told: Vec<_> = commands.iter().map(|command| tell(&workflow, &state, command)).collect();
        lines.push(told.join(", "));
    }
    (lines.join("\n"), state)
}

#[test]
fn a_run_with_a_dead_branch_stays_open_while_others_live_and_fails_with_the_last() {
    let text = "start -> fork; fork -[1]-> a; fork -[2]-> b; fork -[3]-> nap=1h";
    let workflow = graph(text);
    let index = |name: &str| workflow.node_index(name).unwrap();
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let failed = |token: u16, name: &str| {
        let (error, kind) = (failure(), FailureKind::Fail);
        RunEvent::ActionFailed { token, node: index(name), visit: 1, number: 1, error, kind }
    };
    let done = |token: u16, name: &str| {
        let (output, vars) = (Value::Null, Map::new());
        RunEvent::ActionCompleted { token, node: index(name), visit: 1, number: 1, output, vars }
    };
    let (told, state) = branches(text, [started.clone(), failed(1, "a"), done(2, "b")], start());
    assert_snapshot!(told, @r"
    log start ok, log fork ok, run a#1, run b#1, log nap waits, wake nap at +3600s
    log a failed, bury a#1
    log b ok
    ");
    let origins: Vec<_> = state.tokens.values().map(|token| token.origin).collect();
    assert_eq!(origins, [Some(Origin { fork: 0, branch: 0 }), Some(Origin { fork: 0, branch: 2 })]);
    let dead = Waits::Dead { error: failure(), stored: true, until: None };
    assert_eq!(state.tokens[&1].waits, dead);
    assert_eq!(state.owed(start()).iter().map(|owed| owed.token).collect::<Vec<_>>(), [3]);
    let text_of_state = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<RunState>(&text_of_state).unwrap(), state);

    let later = start() + TimeDelta::hours(1);
    let (state, commands) = step(&workflow, state, RunEvent::TimerFired, &event(json!({})), later);
    let told: Vec<_> = commands.iter().map(|command| tell(&workflow, &state, command)).collect();
    assert_eq!(told, ["log nap ok", "finish failed refused"], "buried once, when it died");
    let mut revived = state.clone();
    revived.revive(ReplayKey::Same, later).unwrap();
    let retry = Waits::Retry { until: later, tries: Tries::FIRST, stored: true };
    assert_eq!(
        revived.tokens.iter().map(|(token, it)| (*token, &it.waits)).collect::<Vec<_>>(),
        [(1, &retry)]
    );

    let inputs =
        [started, failed(1, "a"), failed(2, "b"), RunEvent::Cancelled { reason: "asked".to_owned() }];
    let (told, state) = branches(text, inputs, start());
    assert!(told.ends_with("log b failed, bury b#1\nlog  ok, finish cancelled asked"), "{told}");
    assert!(state.tokens.is_empty());
}

#[test]
fn branches_that_all_end_complete_the_run_and_their_numbers_are_used_again() {
    let text = "start -> fork; fork -[1]-> check; fork -[2]-> check; check -[else]-> a; a -> fork";
    let started = RunEvent::Started { trigger: "start".to_owned() };
    let (told, state) = branches(text, [started], start());
    assert_snapshot!(told, @"log start ok, log fork ok, log check ok [else], run a#1, log check ok [else], run a#2");
    assert_eq!(state.tokens.keys().copied().collect::<Vec<_>>(), [1, 2]);
    let answer = |token: u16, visit: u32, output: Value| RunEvent::ActionCompleted {
        token,
        node: graph(text).node_index("a").unwrap(),
        visit,
        number: 1,
        output,
        vars: Map::new(),
    };
    let (state, _) = step(&graph(text), state, answer(1, 1, Value::Null), &event(json!({})), start());
    assert_eq!(state.tokens.keys().copied().collect::<Vec<_>>(), [0, 2, 3], "0 was free, 1 was forked");
    let ways: Vec<String> = (0..=MOST_BRANCHES).map(|way| format!("fork -[{way}]-> a")).collect();
    let (told, _) = branches(
        &format!("start -> fork; {}", ways.join("; ")),
        [RunEvent::Started { trigger: "start".to_owned() }],
        start(),
    );
    assert!(told.ends_with("log fork failed, bury fork#1, finish failed too_many_branches"), "{told}");
    let text = "start -> fork; fork -[1]-> stop; fork -[2]-> a";
    let (told, _) = branches(text, [RunEvent::Started { trigger: "start".to_owned() }], start());
    assert_snapshot!(told, @"log start ok, log fork ok, log stop ok, finish completed");
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
    state.tokens.get_mut(&0).unwrap().waits = Waits::Action { tries: Tries::FIRST };
    let (output, vars) = (Value::Null, Map::new());
    let answer = RunEvent::ActionCompleted { token: 0, node: 0, visit: 1, number: 1, output, vars };
    assert_eq!(fails(state, answer, start()), "unknown_node");
}

/// A random graph without circles: edges lead to later nodes only. What meets where is as it comes.
fn any_graph() -> impl Strategy<Value = Workflow> {
    prop::collection::vec((0..12_u8, 0..6_usize, 0..6_usize, 0..4_i64), 1..14).prop_map(|boxes| {
        let mut workflow = graph("start -> n0");
        workflow.nodes.clear();
        let count = boxes.len();
        for (index, (kind, a, b, number)) in boxes.into_iter().enumerate() {
            let later = |skip: usize| Some(index + 1 + skip).filter(|next| *next < count);
            let (mut branches, mut ways) = (Vec::new(), BTreeMap::new());
            let behaviour: Arc<dyn Behaviour> = match kind {
                0 | 1 => action(Sending::default()),
                5 => {
                    let delays = (0..number.unsigned_abs()).map(Duration::from_secs).collect();
                    action(Sending { retry: RetryPolicy::Delays(delays), ..Sending::default() })
                }
                2 => Arc::new(Delay { duration: template(json!(format!("{number}m"))) }),
                3 => {
                    ways.extend(later(b).map(|to| (number.to_string(), to)));
                    ways.extend(later(a).map(|to| ("else".to_owned(), to)));
                    branch([number.to_string()])
                }
                6..=8 => {
                    branches.extend(BTreeSet::from([later(0), later(a), later(b)]).into_iter().flatten());
                    ways.extend(later(a.max(b) + 1).map(|to| (JOIN_AT.to_owned(), to)));
                    match ways.is_empty() {
                        true => Arc::new(Parallel { meeting: None }),
                        false => Arc::new(parallel(["all@", "any@", "2@", "all@"][number as usize])),
                    }
                }
                9 => {
                    ways.insert("node".to_owned(), (a + b) % count);
                    ways.extend(later(a).filter(|_| number > 1).map(|to| ("exhausted".to_owned(), to)));
                    Arc::new(GoTo { node: String::new(), most: number as u32 % 3 + 1 })
                }
                10 | 11 if later(b).is_some() => {
                    ways.extend(later(b).map(|to| (BODY.to_owned(), to)));
                    let text = ["1*", "2*", "2+", "3+"][number as usize];
                    Arc::new(ForEach { list: template(json!([1, 2, 3])), ..for_each(text) })
                }
                _ => Arc::new(Stop),
            };
            let on_error = if number == 3 { later(b) } else { None };
            let next = later(a).filter(|_| matches!(behaviour.ways(), Ways::One | Ways::OneOr(_)));
            workflow.nodes.push(Node { id: format!("n{index}"), behaviour, next, branches, ways, on_error });
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

/// What a try of an action comes to.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Done,
    Failed,
    Flaky,
    Deferred,
    Full,
}

fn any_answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = prop_oneof![
        6 => Just(Answer::Done),
        1 => Just(Answer::Failed),
        4 => Just(Answer::Flaky),
        2 => Just(Answer::Deferred),
        1 => Just(Answer::Full),
    ];
    prop::collection::vec(answer, 1..40)
}

/// What decides how a run goes: what each try comes to, and what happens next of all that may.
#[derive(Clone, Debug)]
struct Fate {
    answers: Vec<Answer>,
    order: Vec<u8>,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    (any_answers(), prop::collection::vec(any::<u8>(), 1..40))
        .prop_map(|(answers, order)| Fate { answers, order })
}

/// Drives a run to its end: what is on its way is answered in any order, and the clock moves to the next thing that is due.
fn drive(workflow: &Workflow, fate: &Fate, treatment: Treatment) -> (RunState, Vec<Command>) {
    let event = event(json!({ "total": 2 }));
    let (mut state, mut now, mut history) = (RunState::default(), start(), Vec::new());
    let (mut answers, mut order) = (fate.answers.iter().cycle(), fate.order.iter().cycle());
    let (mut inputs, mut postponed): (Vec<RunEvent>, _) = (Vec::new(), 0);
    let mut input = RunEvent::Started { trigger: "start".to_owned() };
    loop {
        if treatment.reload {
            state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        }
        let (after, commands) = step(workflow, state, input.clone(), &event, now);
        state = after;
        // A postponement gives the try back under its number, so a repeated one is not told from another.
        if !matches!(input, RunEvent::ActionPostponed { .. }) {
            inputs.push(input.clone());
        }
        if treatment.repeat {
            for late in &inputs {
                let (after, nothing) = step(workflow, state.clone(), late.clone(), &event, now);
                assert_eq!(nothing, [], "{late:?}");
                assert_eq!(after, state, "{late:?}");
            }
        }
        history.extend(commands);
        assert!(state.end.is_some() != state.tokens.values().next().is_some(), "{state:?}");
        assert!(state.tokens.values().all(|token| workflow.node_index(&token.node).is_some()));
        if state.end.is_some() {
            return (state, history);
        }
        branches_belong(&state);
        let asked: Vec<(u16, &Token)> = state
            .tokens
            .iter()
            .filter(|(_, token)| matches!(token.waits, Waits::Action { .. }))
            .map(|(number, token)| (*number, token))
            .collect();
        let times = state.owed(now).into_iter().filter_map(|owed| match owed.waits_for {
            OwedFor::Timer { until } | OwedFor::Retry { until } => Some(until),
            OwedFor::Outcome | OwedFor::Others => None,
        });
        let next_time = times.min();
        let choices = asked.len() + usize::from(next_time.is_some());
        assert!(choices > 0, "it waits for nothing: {state:?}");
        let chosen = usize::from(*order.next().unwrap()) % choices;
        let Some((token, standing)) = asked.get(chosen) else {
            now = now.max(next_time.unwrap());
            input = RunEvent::TimerFired;
            continue;
        };
        let Waits::Action { tries } = standing.waits else { panic!("{standing:?}") };
        let (token, visit, number) = (*token, standing.visit, tries.number());
        let node = workflow.node_index(&standing.node).unwrap();
        let failed = |kind| RunEvent::ActionFailed { token, node, visit, number, error: failure(), kind };
        input = match answers.next().unwrap() {
            Answer::Done => RunEvent::ActionCompleted {
                token,
                node,
                visit,
                number,
                output: json!({ "node": node }),
                vars: Map::new(),
            },
            Answer::Failed => failed(FailureKind::Fail),
            Answer::Flaky => failed(FailureKind::Retry { after: None }),
            Answer::Deferred => failed(FailureKind::Retry { after: Some(Duration::from_secs(20)) }),
            // A house that is full for ever is another property's.
            Answer::Full if postponed < 50 => {
                postponed += 1;
                let until = now + TimeDelta::seconds(1);
                RunEvent::ActionPostponed { token, node, visit, number, until }
            }
            Answer::Full => failed(FailureKind::Fail),
        };
    }
}

/// Every branch belongs to a fork that still has it open, and every fork still has a branch that somebody walks.
fn branches_belong(state: &RunState) {
    let tokens = state.tokens.values().filter_map(|token| token.origin);
    let within: Vec<Origin> = tokens.chain(state.forks.values().filter_map(|fork| fork.origin)).collect();
    for origin in &within {
        let branch = state.forks.get(&origin.fork).map(|fork| fork.branches[usize::from(origin.branch)]);
        assert_eq!(branch, Some(BranchState::Open), "{origin:?} of {state:?}");
    }
    for (number, fork) in &state.forks {
        let open = (0..).zip(&fork.branches).filter(|(_, branch)| **branch == BranchState::Open);
        let open: Vec<Origin> = open.map(|(branch, _)| Origin { fork: *number, branch }).collect();
        assert!(
            !open.is_empty() && open.iter().all(|origin| within.contains(origin)),
            "{number} of {state:?}"
        );
    }
}

/// Most attempts of a node.
fn most_attempts(node: &Node) -> usize {
    match node.behaviour.action().map(|action| &action.sending.retry) {
        Some(RetryPolicy::Delays(delays)) => delays.len().max(1),
        Some(RetryPolicy::Ladder | RetryPolicy::None) => ladder().rungs.delays().len() + 1,
        None => 0,
    }
}

/// As many seeds as `AUTOMATION_INTERPRETER_SEEDS` says.
fn seeds() -> ProptestConfig {
    let seeds = std::env::var("AUTOMATION_INTERPRETER_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    ProptestConfig { cases: seeds.unwrap_or(500), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(seeds())]

    #[test]
    fn every_run_ends_and_no_attempt_starts_twice(workflow in any_graph(), fate in any_fate()) {
        let plain = drive(&workflow, &fate, Treatment { reload: false, repeat: false });
        let (state, history) = &plain;
        prop_assert!(state.end.is_some() && state.tokens.is_empty());
        prop_assert_eq!(history.last(), Some(&Command::Finish));
        prop_assert_eq!(history.iter().filter(|command| **command == Command::Finish).count(), 1);
        let (mut asked, mut logged) = (BTreeSet::new(), BTreeSet::new());
        let mut retries = std::collections::BTreeMap::<(&str, u32), (usize, usize)>::new();
        for command in history {
            match command {
                Command::Send(Send { node, visit, is_stored: false, .. }) => {
                    prop_assert!(asked.insert((*node, *visit)));
                }
                Command::Log(step) if step.outcome == StepOutcome::Retrying => {
                    let (attempts, deferrals) = retries.entry((&step.node, step.visit)).or_default();
                    if step.detail["deferred"] == true { *deferrals += 1 } else { *attempts += 1 }
                }
                // That a join fired stands in the history once for each visit of its fork.
                Command::Log(step) => {
                    let waits = step.outcome == StepOutcome::Waiting;
                    let line = (step.node.clone(), step.action.clone(), step.visit, waits);
                    prop_assert!(logged.insert(line), "{:?} twice", step);
                }
                Command::Change(_)
                | Command::Send(_)
                | Command::Withhold { .. }
                | Command::Publish(_)
                | Command::Bury { .. }
                | Command::Wake { .. }
                | Command::Finish => {}
            }
        }
        for ((node, _), (attempts, deferrals)) in retries {
            let node = &workflow.nodes[workflow.node_index(node).unwrap()];
            prop_assert!(attempts < most_attempts(node) && deferrals <= 2, "{node:?}: {attempts}, {deferrals}");
        }
        for (reload, repeat) in [(true, false), (false, true), (true, true)] {
            prop_assert_eq!(&drive(&workflow, &fate, Treatment { reload, repeat }), &plain);
        }
    }

    #[test]
    fn every_failed_run_can_be_replayed_to_its_end(workflow in any_graph(), fate in any_fate()) {
        let (state, _) = drive(&workflow, &fate, Treatment { reload: true, repeat: false });
        if let Some(End::Failed { node: Some(failed), tokens, .. }) = &state.end {
            let (number, stood) = tokens.iter().find(|(_, token)| token.node == *failed).unwrap();
            for key in [ReplayKey::Same, ReplayKey::New] {
                let mut revived: RunState =
                    serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
                prop_assert_eq!(&revived, &state);
                revived.revive(key, start()).unwrap();
                branches_belong(&revived);
                let visit = revived.tokens[number].visit;
                let is_expected = match key {
                    ReplayKey::Same => visit == stood.visit,
                    ReplayKey::New => visit > stood.visit,
                };
                prop_assert!(is_expected, "{key:?}: {visit} after {}", stood.visit);
                let event = event(json!({ "total": 2 }));
                let (state, commands) = step(&workflow, revived, RunEvent::TimerFired, &event, start());
                prop_assert!(state.end.is_some() || !state.tokens.is_empty());
                prop_assert!(!commands.is_empty());
            }
        }
    }
}

#[path = "join_tests.rs"]
mod joins;

#[path = "each_tests.rs"]
mod loops;
