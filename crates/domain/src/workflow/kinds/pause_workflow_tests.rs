use super::super::walked::{Walked, World, compile, problems, text};
use crate::interpreter::{Answer, End, RunEvent, RunState, Verdict};
use crate::workflow::Workflow;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

const NOON: &str = "2027-06-01T12:00:00Z";

fn pauses(with: &str) -> Workflow {
    let node = format!("{{ id: hold, action: pause_workflow, with: {with} }}");
    let after = "{ id: after, action: set_variables, with: { vars: { by: '{{ steps.hold.output.by }}' } } }";
    compile(&text(&[&node, after], "[[t, hold], [hold, after]]"))
}

fn world() -> World {
    World::at(NOON, None)
}

fn noon() -> DateTime<Utc> {
    NOON.parse().unwrap()
}

/// Somebody lets this visit of the node go on.
fn resumed(node: &str, visit: u32) -> RunEvent {
    let comment = Some("seen".to_owned());
    let answer = Answer { verdict: Verdict::GoOn, by: "ada".to_owned(), at: noon(), comment };
    RunEvent::Answered { node: node.to_owned(), visit, answer }
}

fn at_time(workflow: &Workflow, state: RunState, later: TimeDelta) -> Walked {
    let mut world = world();
    world.now += later;
    world.go_on(workflow, state, RunEvent::Claimed)
}

#[test]
fn a_run_stands_at_a_pause_until_a_person_lets_it_go_on_and_the_log_says_who() {
    let workflow = pauses("{}");
    let started = world().start(&workflow);
    assert_eq!(started.way(), ["hold"]);
    assert!(started.state.owed(noon()).iter().all(|owed| owed.token == 0), "it waits");
    let years = at_time(&workflow, started.state.clone(), TimeDelta::days(3_000));
    assert_eq!(years.state.tokens, started.state.tokens, "no time ends it");
    let walked = world().go_on(&workflow, started.state, resumed("hold", 1));
    let said = json!({ "by": "ada", "resumed_at": NOON, "comment": "seen" });
    assert_eq!(walked.detail("hold"), &json!({ "resumed": said }));
    assert_eq!(walked.state.steps["hold"].output, said);
    assert_eq!((&walked.state.vars["by"], walked.outcome().as_str()), (&json!("ada"), "completed"));
}

#[test]
fn what_is_said_of_another_visit_or_of_an_approval_lets_nothing_go_on() {
    let workflow = pauses("{}");
    let started = world().start(&workflow);
    let approved = {
        let answer = Answer { verdict: Verdict::Approved, by: "ada".to_owned(), at: noon(), comment: None };
        RunEvent::Answered { node: "hold".to_owned(), visit: 1, answer }
    };
    for late in [resumed("hold", 2), resumed("after", 1), resumed("gone", 1), approved] {
        let walked = world().go_on(&workflow, started.state.clone(), late);
        assert_eq!((walked.state, walked.steps.len()), (started.state.clone(), 0));
    }
}

#[test]
fn a_pause_ends_at_its_time_by_the_way_timeout_or_the_plain_one() {
    let until = "2027-06-01T12:01:00Z";
    for with in ["{ for: 1m }", "{ until: '2027-06-01T12:01:00Z' }", "{ until: '2027-06-01', at: '12:01' }"] {
        let workflow = pauses(with);
        let started = world().start(&workflow);
        assert_eq!(started.detail("hold")["until"], until, "{with}");
        let early = at_time(&workflow, started.state.clone(), TimeDelta::seconds(59));
        assert_eq!(early.way(), Vec::<&str>::new(), "{with}");
        let walked = at_time(&workflow, started.state, TimeDelta::seconds(60));
        assert_eq!(walked.way(), ["hold", "after"], "{with}");
        assert_eq!(walked.detail("hold"), &json!({ "case": "timeout", "until": until }));
    }
    let nodes =
        ["{ id: hold, action: pause_workflow, with: { for: 1m } }", "{ id: late, action: stop_workflow }"];
    let workflow = compile(&text(&nodes, "[[t, hold], { from: hold, case: timeout, to: late }]"));
    let started = world().start(&workflow);
    let walked = at_time(&workflow, started.state.clone(), TimeDelta::minutes(1));
    assert_eq!(walked.way(), ["hold", "late"]);
    let walked = world().go_on(&workflow, started.state, resumed("hold", 1));
    assert_eq!(
        (walked.way(), walked.state.end.clone()),
        (vec!["hold"], Some(End::Completed)),
        "the plain way has no edge"
    );
}

#[test]
fn of_a_person_and_a_time_in_one_instant_the_person_is_heard() {
    let workflow = pauses("{ for: 1m }");
    let started = world().start(&workflow);
    let mut world = world();
    world.now += TimeDelta::minutes(1);
    let walked = world.go_on(&workflow, started.state, resumed("hold", 1));
    assert_eq!(walked.state.steps["hold"].case, None);
    assert_eq!(walked.state.steps["hold"].output["by"], "ada");
    let again = world.go_on(&workflow, walked.state.clone(), resumed("hold", 1));
    assert_eq!((again.state, again.steps.len()), (walked.state, 0), "and once");
}

#[test]
fn a_pause_whose_time_is_past_goes_on_at_once_and_one_without_a_date_waits_for_a_person() {
    let workflow = pauses("{ until: '2027-05-31' }");
    assert_eq!(world().start(&workflow).way(), ["hold", "after"]);
    let workflow = pauses("{ until: '{{ event.data.nothing }}' }");
    let started = world().start(&workflow);
    assert_eq!(started.detail("hold"), &json!({ "for": "a person" }));
    assert_eq!(at_time(&workflow, started.state, TimeDelta::days(400)).way(), Vec::<&str>::new());
}

#[test]
fn a_go_to_back_to_a_pause_is_another_visit_of_it() {
    let nodes = [
        "{ id: hold, action: pause_workflow }",
        "{ id: again, action: go_to, with: { node: hold, most: 1 } }",
    ];
    let workflow = compile(&text(&nodes, "[[t, hold], [hold, again]]"));
    let started = world().start(&workflow);
    let second = world().go_on(&workflow, started.state, resumed("hold", 1));
    assert_eq!(second.state.tokens[&0].visit, 2);
    let repeated = world().go_on(&workflow, second.state.clone(), resumed("hold", 1));
    assert_eq!(repeated.state, second.state, "what was said of the first is not said of the second");
}

#[test]
fn a_paused_branch_holds_that_branch_alone_and_goes_with_its_race() {
    let nodes = [
        "{ id: both, action: parallel, with: { join: any, join_at: done } }",
        "{ id: hold, action: pause_workflow }",
        "{ id: nap, action: delay, with: { for: 1m } }",
        "{ id: done, action: set_variables, with: { vars: { done: true } } }",
    ];
    let edges = "[[t, both], [both, hold], [both, nap], [hold, done], [nap, done]]";
    let workflow = compile(&text(&nodes, edges));
    let started = world().start(&workflow);
    let walked = at_time(&workflow, started.state, TimeDelta::minutes(1));
    assert_eq!((walked.way().last(), walked.state.end.clone()), (Some(&"done"), Some(End::Completed)));
    let late = world().go_on(&workflow, walked.state.clone(), resumed("hold", 1));
    assert_eq!(late.state, walked.state);
}

#[test]
fn what_a_pause_cannot_mean_is_refused_with_its_place() {
    for (with, expected) in [
        (
            "{ for: soon }",
            "nodes[0].with.for: \"soon\" is not a duration: write 30s, 15m, 1h, 7d or 1h30m, at most 3660 days [bad_duration]",
        ),
        (
            "{ for: 1h, until: '2027-01-01' }",
            "nodes[0].with.until: a pause has \"for\" or \"until\", not both [bad_value]",
        ),
        ("{ at: '09:00' }", "nodes[0].with.at: at belongs to \"until\" [misplaced_key]"),
        (
            "{ where: { field: event.data.x, op: is_empty } }",
            "nodes[0].with.where: where says what has to hold of an event, and there is none [misplaced_key]",
        ),
        ("{ till: 1h }", "nodes[0].with.till: pause_workflow has no key \"till\""),
    ] {
        let found = problems(&format!("{{ id: a, action: pause_workflow, with: {with} }}"));
        assert!(found.contains(expected), "{with}: {found}");
    }
}
