//! What a simulation comes to: the clock that was set, what its own steps did, and where it stops.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use automation_actions::node_types;
use automation_domain::limits::Limits;
use automation_domain::workflow::parse;
use automation_simulation::{
    Answer, Ended, Failure, Happening, Run, Setting, Simulation, TooMuch, Verdict, What,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn start() -> DateTime<Utc> {
    at("2027-12-24T18:00:00Z")
}

/// Workflows, each from what stands behind `apiVersion` and `key`.
fn of(workflows: &[(&str, &str)]) -> Simulation {
    let mut simulation = Simulation::new(Setting::new("acme", start()));
    for (key, rest) in workflows {
        let text = format!("apiVersion: automation/v1\nkey: {key}\n{rest}");
        let workflow = parse(&text, node_types(), &Limits::default());
        simulation.add_workflow(workflow.unwrap_or_else(|problems| panic!("{problems:#?}")), 1, None);
    }
    simulation
}

fn after(simulation: &mut Simulation, seconds: i64, event_type: &str, data: Value) {
    let at = start() + TimeDelta::seconds(seconds);
    simulation.happens(at, Happening::event(event_type, Some("ada"), data));
}

fn way<'r>(run: &'r Run, node: &str) -> Option<&'r str> {
    run.state.steps.get(node)?.case.as_deref()
}

fn verdicts(simulation: &Simulation) -> Vec<Verdict> {
    let of = |what: &What| if let What::Decided { verdict, .. } = what { Some(*verdict) } else { None };
    simulation.story().iter().filter_map(|told| of(&told.what)).collect()
}

const CLOCK: &str = "
triggers: [ { id: asked, event: form.submitted, where: { field: now.date, op: equals, value: '2027-12-24' } } ]
nodes:
  - { id: eve, action: branch, with: { cases: [ { name: late, where: { field: now.time, op: greater_or_equal, value: '18:00' } } ] } }
  - { id: nap, action: delay, with: { for: 7h } }
  - { id: day, action: branch, with: { cases: [ { name: christmas, where: { field: now.date, op: equals, value: '2027-12-25' } } ] } }
edges: [ [asked, eve], { from: eve, case: late, to: nap }, [nap, day] ]
";

#[test]
fn the_clock_that_was_set_counts_for_conditions_delays_and_the_age_of_events() {
    let mut simulation = of(&[("clock", CLOCK)]);
    after(&mut simulation, 0, "form.submitted", json!({}));
    simulation.play(None).unwrap();
    let run = &simulation.runs()[0];
    assert_eq!((way(run, "eve"), way(run, "day")), (Some("late"), Some("christmas")));
    assert_eq!(run.ended_at.unwrap().timestamp(), at("2027-12-25T01:00:00Z").timestamp());
}

const TAGS: &str = "
triggers: [ { id: asked, event: form.submitted } ]
nodes:
  - { id: tag, action: add_tag, with: { tag: vip } }
  - { id: seen, action: branch, with: { cases: [ { name: vip, where: { field: contact.tags, op: contains, value: vip } } ] } }
edges: [ [asked, tag], [tag, seen] ]
";
const HEARS: &str = "
triggers: [ { id: tagged, event: contact.tag_added, where: { field: event.data.tag, op: equals, value: vip } } ]
nodes: [ { id: note, action: add_note, with: { text: 'a vip' } } ]
edges: [ [tagged, note] ]
";
const WAITS: &str = "
triggers: [ { id: came, event: page.visited } ]
nodes:
  - { id: wait, action: wait_until, with: { any: [ { name: vip, where: { field: contact.tags, op: contains, value: vip } } ], timeout: 2d } }
edges: [ [came, wait] ]
";

#[test]
fn what_a_step_does_is_seen_by_later_conditions_by_waits_and_by_triggers_of_the_same_simulation() {
    let mut simulation = of(&[("tags", TAGS), ("hears", HEARS), ("waits", WAITS)]);
    after(&mut simulation, 0, "page.visited", json!({}));
    after(&mut simulation, 60, "form.submitted", json!({}));
    simulation.play(None).unwrap();
    let runs = simulation.runs();
    let keys: Vec<&str> = runs.iter().map(|run| run.workflow.as_str()).collect();
    assert_eq!(keys, ["waits", "tags", "hears"]);
    assert_eq!((way(&runs[0], "wait"), way(&runs[1], "seen")), (Some("vip"), Some("vip")));
    assert_eq!(runs[0].ended_at.unwrap().timestamp(), start().timestamp() + 60);
    assert_eq!(simulation.contact("ada").unwrap().tags, ["vip"]);
}

#[test]
fn an_event_and_a_time_out_at_one_time_are_decided_for_the_event() {
    const WAITS: &str = "
triggers: [ { id: came, event: page.visited } ]
nodes: [ { id: wait, action: wait_until, with: { any: [ { name: x, event: email.clicked } ], timeout: 1h } } ]
edges: [ [came, wait] ]
";
    for (seconds, expected) in [(3_600, "x"), (3_601, "timeout")] {
        let mut simulation = of(&[("waits", WAITS)]);
        after(&mut simulation, 0, "page.visited", json!({}));
        after(&mut simulation, seconds, "email.clicked", json!({}));
        simulation.play(None).unwrap();
        assert_eq!(way(&simulation.runs()[0], "wait"), Some(expected), "{seconds}");
    }
}

#[test]
fn the_same_simulation_twice_tells_the_same() {
    let played = || {
        let mut simulation = of(&[("tags", TAGS), ("hears", HEARS), ("waits", WAITS)]);
        after(&mut simulation, 0, "page.visited", json!({}));
        after(&mut simulation, 0, "form.submitted", json!({}));
        simulation.play(None).unwrap();
        json!(simulation.story())
    };
    assert_eq!(played(), played());
}

const CALLS: &str = "
triggers: [ { id: asked, event: form.submitted } ]
nodes: [ { id: call, action: http_request, with: { url: 'https://example.com/' } } ]
edges: [ [asked, call] ]
";

#[test]
fn a_request_is_tried_by_the_ladder_and_what_fails_for_good_is_told_as_a_dead_letter() {
    let mut simulation = of(&[("calls", CALLS)]);
    simulation.answer("calls", "call", vec![Answer::Failure(Failure::TimedOut)]);
    after(&mut simulation, 0, "form.submitted", json!({}));
    simulation.play(None).unwrap();
    let tries = simulation.story().iter().filter(|told| matches!(told.what, What::Answered { .. }));
    let tries: Vec<i64> = tries.map(|told| (told.at - start()).num_seconds()).collect();
    assert_eq!(tries, [0, 60, 360, 1_260, 4_860, 26_460]);
    assert_eq!(simulation.runs()[0].ended(), Ended::Failed);
    assert!(simulation.story().iter().any(|told| matches!(told.what, What::Buried { .. })));
}

#[test]
fn workflows_that_start_each_other_stop_at_the_depth_that_the_engine_allows() {
    const TURNS: &str = "
triggers: [ { id: any, event: contact.updated } ]
nodes: [ { id: turn, action: update_field, with: { field: fields.turn, value: '{{ event.id }}' } } ]
edges: [ [any, turn] ]
";
    let mut simulation = of(&[("turns", TURNS)]);
    after(&mut simulation, 0, "contact.updated", json!({ "changes": { "turn": { "to": "first" } } }));
    simulation.play(None).unwrap();
    assert_eq!(simulation.runs().len(), 6);
    let refused = simulation
        .story()
        .iter()
        .any(|told| matches!(&told.what, What::Refused { code, .. } if *code == "causation_depth_exceeded"));
    assert!(refused);
}

#[test]
fn entry_rules_hold_within_a_simulation() {
    let rules = |rules: &str| format!("enrolment: {{ {rules} }}\n{WAITS}");
    for (enrolment, expected) in [
        ("reentry: { mode: once }", [Verdict::Started, Verdict::Once, Verdict::Once]),
        ("on_conflict: ignore", [Verdict::Started, Verdict::StillIn, Verdict::Started]),
        ("on_conflict: supersede", [Verdict::Started, Verdict::Started, Verdict::Started]),
        ("reentry: { mode: after_exit, gap: 3d }", [Verdict::Started, Verdict::StillIn, Verdict::Gap]),
    ] {
        let mut simulation = of(&[("waits", &rules(enrolment))]);
        for hours in [0, 1, 72] {
            after(&mut simulation, hours * 3_600, "page.visited", json!({}));
        }
        simulation.play(None).unwrap();
        assert_eq!(verdicts(&simulation), expected, "{enrolment}");
        let cancelled = simulation.runs().iter().filter(|run| run.ended() == Ended::Cancelled).count();
        assert_eq!(cancelled, usize::from(enrolment.contains("supersede")), "{enrolment}");
    }
}

#[test]
fn an_event_that_comes_twice_acts_once() {
    let mut simulation = of(&[("waits", WAITS)]);
    for seconds in [0, 5] {
        let event = Happening::Event {
            event_type: "page.visited".to_owned(),
            subject: Some("ada".to_owned()),
            data: json!({}),
            source: Some("shop".to_owned()),
            id: Some("1".to_owned()),
            time: None,
        };
        simulation.happens(start() + TimeDelta::seconds(seconds), event);
    }
    simulation.play(None).unwrap();
    assert_eq!(simulation.runs().len(), 1);
}

#[test]
fn a_simulation_that_starts_too_many_runs_is_stopped_and_says_so() {
    let mut simulation = of(&[("waits", WAITS)]);
    for number in 0..1_100 {
        after(&mut simulation, number, "page.visited", json!({}));
    }
    assert_eq!(simulation.play(None), Err(TooMuch::Runs));
    assert_eq!(simulation.runs().len(), 1_000);
}

#[test]
fn playing_until_a_time_leaves_runs_waiting_and_can_go_on() {
    let mut simulation = of(&[("waits", WAITS)]);
    after(&mut simulation, 0, "page.visited", json!({}));
    simulation.play(Some(start() + TimeDelta::days(1))).unwrap();
    assert_eq!(simulation.runs()[0].ended(), Ended::Waiting);
    assert_eq!(simulation.now(), start() + TimeDelta::days(1));
    simulation.play(None).unwrap();
    assert_eq!(way(&simulation.runs()[0], "wait"), Some("timeout"));
}

#[test]
fn conditions_count_what_happened_within_the_simulation_and_the_event_at_hand() {
    const KEEN: &str = "
triggers:
  - { id: visited, event: page.visited, where: { count: { event: page.visited, within: 7d }, op: equals, value: 3 } }
nodes:
  - id: spent
    action: branch
    with: { cases: [ { name: much, where: { sum: { event: order.created, of: event.data.total, within: 2d }, op: greater_than, value: 50 } } ] }
edges: [ [visited, spent] ]
";
    for (paid_at, expected) in [(0, "else"), (100_000, "much")] {
        let mut simulation = of(&[("keen", KEEN)]);
        after(&mut simulation, paid_at, "order.created", json!({ "total": 60 }));
        for day in [1, 2, 3, 4] {
            after(&mut simulation, day * 86_400, "page.visited", json!({}));
        }
        simulation.play(None).unwrap();
        let runs = simulation.runs();
        assert_eq!(runs.len(), 1, "at the third visit and at no other");
        assert_eq!(runs[0].started_at.timestamp(), start().timestamp() + 3 * 86_400);
        assert_eq!(way(&runs[0], "spent"), Some(expected), "an order of {paid_at}");
    }
}

#[test]
fn a_goal_ends_a_simulated_run_counts_once_and_also_after_its_end() {
    const GOAL: &str = "
goal: { event: order.completed, within: 7d, where: { field: event.data.total, op: greater_than, value: 10 } }
triggers: [ { id: left, event: cart.abandoned } ]
nodes: [ { id: nap, action: delay, with: { for: 2d } } ]
edges: [ [left, nap] ]
";
    let day = 86_400;
    for (orders, ended, reached) in [
        (&[(day, 5), (day + 60, 20), (day + 90, 30)][..], day + 60, 1),
        (&[(3 * day, 20)][..], 2 * day, 1),
        (&[(7 * day, 20)][..], 2 * day, 1),
        (&[(7 * day + 1, 20)][..], 2 * day, 0),
    ] {
        let mut simulation = of(&[("rescue", GOAL)]);
        after(&mut simulation, 0, "cart.abandoned", json!({}));
        for (at, total) in orders {
            after(&mut simulation, *at, "order.completed", json!({ "total": total }));
        }
        simulation.play(None).unwrap();
        let run = &simulation.runs()[0];
        let seconds = run.ended_at.unwrap().timestamp() - start().timestamp();
        assert_eq!((run.ended(), seconds), (Ended::Completed, ended), "{orders:?}");
        let goals = simulation.story().iter().filter(|told| matches!(told.what, What::Goal { .. }));
        assert_eq!(goals.count(), reached, "{orders:?}");
    }
}
