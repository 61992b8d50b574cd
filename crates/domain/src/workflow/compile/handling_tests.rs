use super::tests::types;
use super::*;
use crate::retry::RetryPolicy;
use crate::workflow::{Delivery, Sending, json_schema};
use serde_json::json;
use std::time::Duration;

/// A request, and a note that is its error branch; `keys` go to the request, `rest` to the graph.
fn text(keys: &str, rest: &str) -> String {
    format!(
        "{{ apiVersion: automation/v1, key: test, triggers: [{{ id: go, event: form.submitted }}],
            nodes: [{{ id: call, action: http_request, with: {{ url: 'http://a.example' }}{keys} }},
                    {{ id: task, action: create_task, with: {{ title: '{{{{ steps.call.error.message }}}}' }} }}{rest}],
            edges: [[go, call]] }}"
    )
}

fn compiled(text: &str) -> Result<Workflow, String> {
    let document = text::read(&format!("# yaml\n{text}"), &Limits::default()).map_err(|p| p.to_string())?;
    let is_accepted = jsonschema::options().build(&json_schema(types())).unwrap().is_valid(&document);
    let compiled = parse_value(&document, types(), &Limits::default());
    if compiled.is_ok() {
        assert!(is_accepted, "the schema accepts what compiles: {text}");
    }
    compiled.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn sending(keys: &str) -> Sending {
    let workflow = compiled(&text(&format!(", on_error: task{keys}"), "")).unwrap();
    assert_eq!(workflow.nodes[0].on_error, Some(1));
    workflow.nodes[0].behaviour.action().unwrap().sending.clone()
}

#[test]
fn what_is_written_is_what_is_done() {
    assert_eq!(sending(""), Sending::default());
    assert_eq!(sending(", timeout: 30s").timeout, Some(Duration::from_secs(30)));
    assert_eq!(sending(", delivery: at_most_once").delivery, Delivery::AtMostOnce);
    assert_eq!(sending(", delivery: at_least_once").delivery, Delivery::AtLeastOnce);
    assert_eq!(sending(", retry: ladder").retry, RetryPolicy::Ladder);
    assert_eq!(sending(", retry: none").retry, RetryPolicy::None);
    let delays = [0, 10, 60].map(Duration::from_secs).to_vec();
    assert_eq!(sending(", retry: { delays: [0s, 10s, 1m] }").retry, RetryPolicy::Delays(delays));
}

#[test]
fn what_cannot_be_done_is_a_problem() {
    let twenty_one = vec!["0s"; 21].join(", ");
    let cases = [
        ", timeout: 500",
        ", timeout: 0s",
        ", timeout: 11m",
        ", delivery: exactly_once",
        ", retry: twice",
        ", retry: 3",
        ", retry: { delay: [0s] }",
        ", retry: { delays: [] }",
        &format!(", retry: {{ delays: [{twenty_one}] }}"),
        ", retry: { delays: [5s] }",
        ", retry: { delays: [0s, soon] }",
        ", on_error: tsak",
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|keys| {
            let end = if keys.contains("on_error") { "" } else { ", on_error: task" };
            compiled(&text(&format!("{keys}{end}"), "")).unwrap_err()
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    nodes[0].timeout: 500 is not a duration: write 30s, 15m, 1h, 7d or 1h30m, at most 3660 days [bad_duration]
    nodes[0].timeout: a timeout is from 1s to 10m [bad_value]
    nodes[0].timeout: a timeout is from 1s to 10m [bad_value]
    nodes[0].delivery: "exactly_once" is none of at_least_once, at_most_once [bad_value]
    nodes[0].retry: "twice" is no way to try again: ladder, none, or { delays: [0s, 10s, 1m] } [bad_value]
    nodes[0].retry: retry is an object [wrong_type]
    nodes[0].retry.delay: retry has no key "delay" (did you mean "delays"?) [unknown_key]
    nodes[0].retry: retry needs "delays" [missing_key]
    nodes[0].retry.delays: delays has one entry per attempt, from 1 to 20; this has 0 [bad_value]
    nodes[0].retry.delays: delays has one entry per attempt, from 1 to 20; this has 21 [bad_value]
    nodes[0].retry.delays[0]: the first attempt is made at once: its entry is 0s; to wait before it, use a delay [bad_value]
    nodes[0].retry.delays[1]: "soon" is not a duration: write 30s, 15m, 1h, 7d or 1h30m, at most 3660 days [bad_duration]
    nodes[0].on_error: there is no node "tsak" (did you mean "task"?) [unknown_node]
    "#);
}

#[test]
fn keys_are_refused_where_they_make_no_sense() {
    let rest = ", { id: wait, action: delay, with: { for: 1s }, retry: none, on_error: stop },
                  { id: stop, action: stop_workflow, on_error: task },
                  { id: tag, action: add_tag, with: { tag: x }, timeout: 5s, delivery: at_most_once }";
    let told = compiled(&text(", on_error: task", rest)).unwrap_err();
    insta::assert_snapshot!(told, @r#"
    nodes[2].retry: "retry" makes no sense here: delay sends nothing outside the engine [misplaced_key]
    nodes[3].on_error: "on_error" makes no sense here: stop_workflow cannot fail [misplaced_key]
    nodes[4].timeout: "timeout" makes no sense here: add_tag sends nothing outside the engine [misplaced_key]
    nodes[4].delivery: "delivery" makes no sense here: add_tag sends nothing outside the engine [misplaced_key]
    nodes[2]: no trigger leads to "wait" [unreachable_node]
    nodes[3]: no trigger leads to "stop" [unreachable_node]
    nodes[4]: no trigger leads to "tag" [unreachable_node]
    "#);
    let schema = json_schema(types());
    let validator = jsonschema::options().build(&schema).unwrap();
    let of = |node: Value| {
        json!({ "apiVersion": "automation/v1", "key": "a", "nodes": [node],
                "triggers": [{ "id": "go", "event": "form.submitted" }] })
    };
    let tag = json!({ "id": "tag", "action": "add_tag", "with": { "tag": "x" } });
    assert!(validator.is_valid(&of(tag.clone())));
    for (key, value) in [("timeout", "5s"), ("delivery", "at_most_once"), ("retry", "none")] {
        let mut node = tag.clone();
        node[key] = json!(value);
        assert!(!validator.is_valid(&of(node)), "{key}");
    }
}

#[test]
fn error_branches_count_as_ways_through_the_graph() {
    let circle = ", { id: note, action: create_task, with: { title: x }, on_error: call }";
    let workflow = text(", on_error: note", circle).replace("[[go, call]]", "[[go, call], [call, task]]");
    insta::assert_snapshot!(compiled(&workflow).unwrap_err(), @"nodes[0]: the nodes form a cycle: call -> note -> call [cycle]");
    let alone = compiled(&text("", "")).unwrap_err();
    insta::assert_snapshot!(alone, @r#"nodes[1]: no trigger leads to "task" [unreachable_node]"#);
    let trigger = compiled(&text(", on_error: go", "")).unwrap_err();
    insta::assert_snapshot!(trigger, @"nodes[0].on_error: \"go\" is a trigger; on_error leads to a node [bad_edge]");
}
