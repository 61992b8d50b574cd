use crate::limits::Limits;
use crate::workflow::kinds::walked::{Walked, World, compile, problems, text};
use serde_json::{Value, json};

const EDGES: &str = "[[t, a], [a, b]]";

fn set(world: &World, steps: &[&str]) -> Walked {
    let names = ["a", "b", "c"];
    let nodes: Vec<String> = steps
        .iter()
        .zip(names)
        .map(|(vars, id)| format!("{{ id: {id}, action: set_variables, with: {{ vars: {{ {vars} }} }} }}"))
        .collect();
    let edges = ["[[t, a]]", EDGES, "[[t, a], [a, b], [b, c]]"][steps.len() - 1];
    world.start(&compile(&text(&nodes.iter().map(String::as_str).collect::<Vec<_>>(), edges)))
}

fn world(data: Value) -> World {
    let mut world = World::at("2027-01-01T00:00:00Z", None);
    world.event.event.data = data;
    world
}

#[test]
fn variables_keep_the_type_of_their_values_and_later_steps_see_them() {
    let world = world(json!({ "total": 80, "items": [{ "sku": "a" }] }));
    let vars = r#"total: "{{ event.data.total }}", items: "{{ event.data.items }}", text: "{{ event.data.total }} EUR", fixed: [1, { a: "{{ 2 }}" }], flag: true"#;
    let walked = set(&world, &[vars, r#"sum: "{{ vars.total + vars.fixed[1].a }}""#]);
    assert_eq!(
        Value::Object(walked.state.vars.clone()),
        json!({ "total": 80, "items": [{ "sku": "a" }], "text": "80 EUR", "fixed": [1, { "a": 2 }], "flag": true, "sum": 82 })
    );
    assert_eq!(walked.detail("b"), &json!({ "vars": { "sum": 82 } }));
    assert_eq!(walked.outcome(), "completed");
}

#[test]
fn all_values_are_rendered_before_any_is_set() {
    let walked = set(&world(json!({})), &["a: 1, b: 2", r#"a: "{{ vars.b }}", b: "{{ vars.a }}""#]);
    assert_eq!(Value::Object(walked.state.vars), json!({ "a": 2, "b": 1 }));
}

#[test]
fn null_removes_a_variable_and_so_does_a_template_that_comes_to_nothing() {
    let walked =
        set(&world(json!({})), &["a: 1, b: 2, c: 3", r#"a: null, b: "{{ event.data.none }}", z: null"#]);
    assert_eq!(Value::Object(walked.state.vars.clone()), json!({ "c": 3 }));
    assert_eq!(walked.detail("b")["vars"], json!({ "a": null, "b": null, "z": null }));
}

#[test]
fn a_value_that_fails_leaves_every_variable_as_it_was() {
    let walked = set(&world(json!({})), &["a: 1", r#"a: 2, b: "{{ 1 / 0 }}""#]);
    assert_eq!(walked.outcome(), "failed template_failed");
    assert_eq!(Value::Object(walked.state.vars), json!({ "a": 1 }));
}

#[test]
fn variables_have_bounds_together_and_what_is_replaced_or_removed_makes_room() {
    let mut world = world(json!({ "long": "x".repeat(60), "longer": "x".repeat(120) }));
    world.limits = Limits { variables_bytes: 100, output_bytes: 100, ..Limits::default() };
    let long = r#"a: "{{ event.data.long }}""#;
    assert_eq!(set(&world, &[long, long, long]).outcome(), "completed");
    assert_eq!(set(&world, &[long, "a: null", r#"b: "{{ event.data.long }}""#]).outcome(), "completed");
    let full = set(&world, &[long, r#"b: "{{ event.data.long }}""#]);
    assert_eq!(full.outcome(), "failed output_too_large");
    assert_eq!(full.state.vars.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(set(&world, &[r#"a: "{{ event.data.longer }}""#]).outcome(), "failed output_too_large");
}

#[test]
fn what_is_wrong_with_variables_is_said_where_it_stands() {
    let said: Vec<String> = [
        "",
        "vars: {}",
        r#"vars: "{{ event.data }}""#,
        "vars: { 1st: 1 }",
        r#"vars: { a: "{{ contact.frist_name }}" }"#,
        "vars: { a: 1 }, var: 2",
        r#"vars: { a: "{{ steps.zz.case }}" }"#,
    ]
    .iter()
    .map(|with| problems(&format!("{{ id: a, action: set_variables, with: {{ {with} }} }}")))
    .collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
    nodes[0].with: set_variables needs "vars" [missing_key]
    nodes[0].with.vars: must have from 1 to 100 variables; this has 0 [bad_value]
    nodes[0].with.vars: must be an object of values by name: a template can stand for a value, not for all of them [wrong_type]
    nodes[0].with.vars: "1st" is not the name of a variable: letters, digits and _, not beginning with a digit, at most 64 [bad_name]
    nodes[0].with.vars.a: "contact.frist_name" is not a field: contact has no frist_name (did you mean "first_name"?) [unknown_field]
    nodes[0].with.var: set_variables has no key "var" (did you mean "vars"?) [unknown_key]
    nodes[0].with.vars: "steps.zz.case" refers to the node "zz", which does not exist [unknown_node]
    "#);
    let many: Vec<String> = (0..101).map(|number| format!("v{number}: 1")).collect();
    let said =
        problems(&format!("{{ id: a, action: set_variables, with: {{ vars: {{ {} }} }} }}", many.join(", ")));
    assert!(said.contains("from 1 to 100 variables; this has 101"), "{said}");
}
