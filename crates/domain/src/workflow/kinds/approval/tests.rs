use super::super::walked::{Walked, World, compile, problems, text};
use super::{MOST_REMINDERS, Reminder};
use crate::id::{ApprovalId, RunId};
use crate::interpreter::{Answer, Asked, End, RunEvent, RunState, Verdict, cancel};
use crate::workflow::{NodeTypes, Workflow, parse};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

const NOON: &str = "2027-06-01T12:00:00Z";

fn noon() -> DateTime<Utc> {
    NOON.parse().unwrap()
}

fn world() -> World {
    World::at(NOON, None)
}

fn later(by: TimeDelta) -> World {
    let mut world = world();
    world.now += by;
    world
}

fn asks(options: &str, edges: &str) -> Workflow {
    let nodes = [
        &format!(
            "{{ id: boss, action: approval, with: {{ question: '{{{{ event.subject }}}} for ada?', approvers: [maria]{options} }} }}"
        ),
        "{ id: yes, action: set_variables, with: { vars: { said: '{{ steps.boss.output.comment }}' } } }",
        "{ id: no, action: set_variables, with: { vars: { said: 'no' } } }",
        "{ id: late, action: set_variables, with: { vars: { said: 'nothing' } } }",
    ];
    let used = nodes.iter().filter(|node| {
        let id = node.split([' ', ',']).nth(2).unwrap();
        id == "boss" || edges.contains(&format!("to: {id}"))
    });
    compile(&text(&used.copied().collect::<Vec<_>>(), &format!("[[t, boss], {edges}]")))
}

const ALL: &str = "{ from: boss, case: approved, to: yes }, { from: boss, case: rejected, to: no }, { from: boss, case: timeout, to: late }";

fn says(verdict: Verdict, visit: u32) -> RunEvent {
    let comment = Some("fair".to_owned());
    let answer = Answer { verdict, by: "maria".to_owned(), at: noon(), comment };
    RunEvent::Answered { node: "boss".to_owned(), visit, answer }
}

#[test]
fn an_approval_goes_the_way_of_what_is_said_and_keeps_who_said_it_and_why() {
    let workflow = asks(", timeout: 1h", ALL);
    for (verdict, way) in [(Verdict::Approved, "yes"), (Verdict::Rejected, "no")] {
        let started = world().start(&workflow);
        assert_eq!(started.way(), ["boss"]);
        let told = started.detail("boss");
        assert_eq!((&told["question"], &told["approvers"]), (&json!("c-1 for ada?"), &json!(["maria"])));
        let walked = world().go_on(&workflow, started.state, says(verdict, 1));
        assert_eq!(walked.way(), ["boss", way]);
        let result = &walked.state.steps["boss"];
        assert_eq!(result.case.as_deref(), Some(verdict.as_str()));
        assert_eq!(result.output, json!({ "by": "maria", "decided_at": NOON, "comment": "fair" }));
        // The time that there was for it changes nothing any more.
        let after = later(TimeDelta::hours(2)).go_on(&workflow, walked.state.clone(), RunEvent::Claimed);
        assert_eq!(after.state, walked.state);
    }
}

#[test]
fn without_an_answer_the_timeout_is_taken_and_never_the_approved_way() {
    let workflow = asks(", timeout: 1h", ALL);
    let started = world().start(&workflow);
    let walked = later(TimeDelta::minutes(59)).go_on(&workflow, started.state.clone(), RunEvent::Claimed);
    assert_eq!(walked.way(), Vec::<&str>::new());
    let walked = later(TimeDelta::hours(1)).go_on(&workflow, started.state, RunEvent::Claimed);
    assert_eq!(walked.way(), ["boss", "late"]);
    let late = later(TimeDelta::hours(1)).go_on(&workflow, walked.state.clone(), says(Verdict::Approved, 1));
    assert_eq!(late.state, walked.state, "what is said afterwards moves nothing");
    // Without an edge for it, the branch ends as not approved.
    let workflow = asks(
        ", timeout: 1h",
        "{ from: boss, case: approved, to: yes }, { from: boss, case: rejected, to: no }",
    );
    let started = world().start(&workflow);
    let walked = later(TimeDelta::hours(1)).go_on(&workflow, started.state, RunEvent::Claimed);
    assert_eq!((walked.way(), walked.state.end.clone()), (vec!["boss"], Some(End::Completed)));
    assert_eq!(walked.state.steps["boss"].case.as_deref(), Some("timeout"));
}

#[test]
fn an_approval_without_a_timeout_is_warned_of() {
    let (with, without) = (
        "{ id: boss, action: approval, with: { question: a, approvers: [b], timeout: 1h } }",
        "{ id: boss, action: approval, with: { question: a, approvers: [b] } }",
    );
    let codes = |node: &str| -> Vec<String> {
        let edges =
            "[[t, boss], { from: boss, case: approved, to: x }, { from: boss, case: rejected, to: x }]";
        let text = text(&[node, "{ id: x, action: stop_workflow }"], edges);
        let workflow = parse(&text, &NodeTypes::new([]), &Default::default()).unwrap();
        workflow.warnings.iter().map(|warning| format!("{} {}", warning.path, warning.code)).collect()
    };
    assert_eq!(codes(without), ["nodes[0].with no_timeout"]);
    assert_eq!(codes(with).len(), 1, "a way for timeout without an edge is told too");
}

#[test]
fn each_visit_of_an_approval_is_decided_by_itself() {
    let nodes = [
        "{ id: boss, action: approval, with: { question: a, approvers: [b], timeout: 1h } }",
        "{ id: again, action: go_to, with: { node: boss, most: 1 } }",
    ];
    let workflow = compile(&text(&nodes, "[[t, boss], { from: boss, case: rejected, to: again }]"));
    let second = {
        let started = world().start(&workflow);
        world().go_on(&workflow, started.state, says(Verdict::Rejected, 1))
    };
    assert_eq!(second.state.asks().map(|open| open.visit).collect::<Vec<_>>(), [2]);
    let old = world().go_on(&workflow, second.state.clone(), says(Verdict::Approved, 1));
    assert_eq!(old.state, second.state);
    let run = RunId(Uuid::from_u128(7));
    assert_ne!(ApprovalId::derive(run, "boss", 1), ApprovalId::derive(run, "boss", 2));
    let walked = world().go_on(&workflow, second.state, says(Verdict::Approved, 2));
    assert_eq!(walked.state.end, Some(End::Completed));
}

#[test]
fn a_cancelled_run_hears_no_answer_and_asks_nothing_any_more() {
    let workflow = asks(", timeout: 1h, reminder: { after: 1m }", ALL);
    let started = world().start(&workflow);
    let (state, _) = cancel(started.state, "enough".to_owned());
    assert_eq!(state.asks().count(), 0);
    for event in [says(Verdict::Approved, 1), RunEvent::Claimed, RunEvent::TimerFired] {
        let walked = later(TimeDelta::days(1)).go_on(&workflow, state.clone(), event);
        assert_eq!((walked.state, walked.steps.len()), (state.clone(), 0));
    }
}

#[test]
fn an_answer_to_a_branch_that_lost_its_race_moves_nothing() {
    let nodes = [
        "{ id: both, action: parallel, with: { join: any, join_at: done } }",
        "{ id: boss, action: approval, with: { question: a, approvers: [b], timeout: 1h } }",
        "{ id: nap, action: delay, with: { for: 1m } }",
        "{ id: done, action: pause_workflow }",
    ];
    let edges =
        "[[t, both], [both, boss], [both, nap], { from: boss, case: approved, to: done }, [nap, done]]";
    let workflow = compile(&text(&nodes, edges));
    let started = world().start(&workflow);
    let walked = later(TimeDelta::minutes(1)).go_on(&workflow, started.state, RunEvent::Claimed);
    assert!(walked.state.asks().all(|open| open.asked == &Asked::GoOn));
    let late = world().go_on(&workflow, walked.state.clone(), says(Verdict::Approved, 1));
    assert_eq!(late.state, walked.state);
}

fn reminders(walked: &Walked) -> Vec<u64> {
    walked.steps.iter().filter_map(|step| step.detail["reminder"].as_u64()).collect()
}

#[test]
fn those_who_are_asked_are_reminded_as_often_as_the_node_says_and_not_after_its_time() {
    let workflow = asks(", timeout: 1h, reminder: { after: 10m, every: 20m }", ALL);
    let mut state: RunState = world().start(&workflow).state;
    let mut seen = Vec::new();
    for minute in 0..=61 {
        let walked = later(TimeDelta::minutes(minute)).go_on(&workflow, state, RunEvent::Claimed);
        seen.extend(reminders(&walked).into_iter().map(|number| (minute, number)));
        state = walked.state;
    }
    assert_eq!(seen, [(10, 1), (30, 2), (50, 3)]);
    assert_eq!(state.steps["boss"].case.as_deref(), Some("timeout"));
}

#[test]
fn reminders_that_nobody_sent_in_time_are_one() {
    let workflow = asks(
        ", reminder: { after: 10m, every: 20m }",
        ALL.split(", { from: boss, case: timeout").next().unwrap(),
    );
    let started = world().start(&workflow);
    let walked = later(TimeDelta::minutes(75)).go_on(&workflow, started.state, RunEvent::Claimed);
    assert_eq!(reminders(&walked), [1]);
    let due = walked.state.owed(later(TimeDelta::minutes(75)).now);
    let expected = noon() + TimeDelta::minutes(90);
    assert!(format!("{due:?}").contains(&format!("{expected:?}")), "{due:?}");
}

proptest! {
    #[test]
    fn reminders_come_later_each_time_and_end(after in 60_i64..100_000, every in proptest::option::of(60_i64..100_000), delays in proptest::collection::vec(0_i64..200_000, 1..20)) {
        let reminder = Reminder { after: TimeDelta::seconds(after), every: every.map(TimeDelta::seconds) };
        let (mut now, mut sent) = (noon(), 0);
        let mut due = reminder.next(noon(), 0, now);
        for delay in delays {
            let Some(at) = due else { break };
            prop_assert!(at > now);
            now = at + TimeDelta::seconds(delay);
            sent += 1;
            due = reminder.next(noon(), sent, now);
        }
        prop_assert!(sent <= MOST_REMINDERS && (every.is_some() || sent <= 1));
    }
}

#[test]
fn what_an_approval_cannot_mean_is_refused_with_its_place() {
    for (with, expected) in [
        ("{ approvers: [a] }", "an approval needs \"question\" [missing_key]"),
        ("{ question: q }", "an approval needs \"approvers\" [missing_key]"),
        (
            "{ question: q, approvers: [] }",
            "nodes[0].with.approvers: must name from 1 to 50; this has 0 [bad_value]",
        ),
        (
            "{ question: q, approvers: [' '] }",
            "nodes[0].with.approvers[0]: is no name: a text of 1 to 200 bytes [bad_value]",
        ),
        ("{ question: q, approvers: [a], reminder: {} }", "a reminder needs \"after\" [missing_key]"),
        (
            "{ question: q, approvers: [a], reminder: { after: 30s } }",
            "nodes[0].with.reminder.after: reminders are at least a minute apart [bad_value]",
        ),
        (
            "{ question: q, approvers: [a], timeout: soon }",
            "nodes[0].with.timeout: \"soon\" is not a duration",
        ),
    ] {
        let found = problems(&format!("{{ id: a, action: approval, with: {with} }}"));
        assert!(found.contains(expected), "{with}: {found}");
    }
}

#[test]
fn a_question_that_comes_to_nothing_or_is_too_long_fails_the_step() {
    for (question, expected) in
        [("{{ event.data.nothing }}", "failed invalid_config"), ("{{ event.subject }}", "asks")]
    {
        let node = format!(
            "{{ id: boss, action: approval, with: {{ question: '{question}', approvers: [b], timeout: 1h }} }}"
        );
        let workflow = compile(&text(&[&node], "[[t, boss]]"));
        let started = world().start(&workflow);
        let outcome = if started.state.asks().count() == 1 { "asks".to_owned() } else { started.outcome() };
        assert_eq!(outcome, expected, "{question}");
    }
    let node = format!(
        "{{ id: boss, action: approval, with: {{ question: {}, approvers: [b], timeout: 1h }} }}",
        "q".repeat(4_097)
    );
    let workflow = compile(&text(&[&node], "[[t, boss]]"));
    assert_eq!(world().start(&workflow).outcome(), "failed invalid_config");
}
