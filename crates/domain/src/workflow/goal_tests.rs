use super::*;
use crate::facts::sample::Sample;
use crate::problem::Problem;
use crate::workflow::{NodeTypes, Workflow, parse_value};
use chrono::DateTime;
use serde_json::json;

fn compiled(goal: &Value) -> Result<Workflow, Vec<Problem>> {
    let definition = json!({
        "apiVersion": "automation/v1", "key": "rescue", "goal": goal,
        "triggers": [{ "id": "cart", "event": "cart.abandoned" }],
        "nodes": [{ "id": "wait", "action": "delay", "with": { "for": "1h" } }], "edges": [["cart", "wait"]],
    });
    parse_value(&definition, &NodeTypes::new([]), &Limits::default())
}

fn goal(goal: &Value) -> Goal {
    compiled(goal).unwrap().goal.unwrap()
}

#[test]
fn a_goal_ends_its_run_unless_told_and_its_type_is_watched_for_goals_too() {
    let workflow = compiled(&json!({ "event": "order.completed", "within": "7d" })).unwrap();
    let types: Vec<_> = workflow.awaited_types().into_keys().collect();
    assert_eq!(types, ["goal/order.completed", "order.completed"]);
    let read = workflow.goal.unwrap();
    assert!(read.ends_run && read.within == TimeDelta::days(7));
    assert!(!goal(&json!({ "event": "order.completed", "within": "90d", "ends_run": false })).ends_run);
}

#[test]
fn a_window_that_is_too_long_is_refused_and_what_a_run_alone_knows_too() {
    let field = |field: &str| json!({ "field": field, "op": "equals", "value": "x" });
    for (goal, expected) in [
        (json!({ "event": "order.completed", "within": "91d" }), "goal.within"),
        (json!({ "event": "order.completed", "within": "0s" }), "goal.within"),
        (json!({ "event": "order.completed" }), "goal"),
        (json!({ "within": "1d" }), "goal"),
        (json!({ "event": "a", "within": "1d", "ends": true }), "goal.ends"),
        (json!({ "event": "a", "within": "1d", "where": field("vars.x") }), "goal.where"),
        (json!({ "event": "a", "within": "1d", "where": field("steps.wait.output") }), "goal.where"),
        (json!({ "event": "a", "within": "1d", "where": field("run.version") }), "goal.where"),
    ] {
        let problems = compiled(&goal).unwrap_err();
        assert_eq!(
            problems.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(),
            [expected],
            "{goal}"
        );
    }
    assert!(compiled(&json!({ "event": "a", "within": "1d", "where": field("run.key") })).is_ok());
}

#[test]
fn what_happens_at_the_last_instant_counts_and_what_is_not_after_the_beginning_does_not() {
    let began_at: DateTime<Utc> = "2026-11-24T10:00:00Z".parse().unwrap();
    let goal = goal(&json!({ "event": "order.completed", "within": "7d" }));
    let window = Window { began_at, until: goal.until(began_at) };
    let millisecond = TimeDelta::milliseconds(1);
    for (at, counts) in [
        (began_at - millisecond, false),
        (began_at, false),
        (began_at + millisecond, true),
        (began_at + TimeDelta::days(3), true),
        (began_at + TimeDelta::days(7), true),
        (began_at + TimeDelta::days(7) + millisecond, false),
    ] {
        assert_eq!(window.has(at), counts, "{at}");
    }
}

#[test]
fn a_goal_keeps_what_its_templates_came_to_and_is_asked_of_the_event_that_comes() {
    let cart = json!({ "all": [
        { "field": "event.data.cart_id", "op": "equals", "value": "{{ event.data.cart_id }}" },
        { "field": "event.data.total", "op": "greater_than", "value": 10 },
        { "field": "run.key", "op": "equals", "value": "c-1" },
    ] });
    let goal = goal(&json!({ "event": "order.completed", "within": "7d", "where": cart }));
    let mut sample = Sample::default();
    sample.event.event.data = json!({ "cart_id": "c-17" });
    let kept = goal.of_run(&sample.facts());
    let kept: RunGoal = serde_json::from_value(serde_json::to_value(&kept).unwrap()).unwrap();
    assert_eq!(kept.run_key.as_deref(), Some("c-1"));
    for (data, is_met) in [
        (json!({ "cart_id": "c-17", "total": 11 }), true),
        (json!({ "cart_id": "c-17", "total": 10 }), false),
        (json!({ "cart_id": "c-18", "total": 11 }), false),
    ] {
        sample.event.event.data = data;
        assert_eq!(
            kept.is_met_by(&sample.facts(), &Limits::default()),
            Ok(is_met),
            "{}",
            sample.event.event.data
        );
    }
    assert!(!kept.reads_contact(&Limits::default()));
}

#[test]
fn a_goal_without_a_condition_is_met_by_any_event_of_its_type() {
    let kept =
        goal(&json!({ "event": "order.completed", "within": "7d" })).of_run(&Sample::default().facts());
    assert_eq!(serde_json::to_value(&kept).unwrap(), json!({}));
    assert_eq!(kept.is_met_by(&Sample::default().facts(), &Limits::default()), Ok(true));
}
