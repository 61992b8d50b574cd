//! What a comparison says, and that it says the same from both sides.

use super::*;
use proptest::prelude::*;

fn definition() -> Value {
    json!({
        "apiVersion": "automation/v1", "key": "hot", "name": "Hot leads", "priority": "high",
        "enrolment": { "reentry": { "mode": "once" } },
        "triggers": [{ "id": "asked", "event": "form.submitted" }],
        "nodes": [
            { "id": "size", "action": "branch", "with": { "cases": [
                { "name": "huge", "where": { "field": "event.data.total", "op": "greater_than", "value": 50 } },
            ] } },
            { "id": "tag", "action": "add_tag", "with": { "tag": "hot" } },
        ],
        "edges": [["asked", "size"], { "from": "size", "case": "huge", "to": "tag" }],
    })
}

/// Each change as a line.
fn told(before: &Value, after: &Value) -> Vec<String> {
    compare(before, after)
        .into_iter()
        .map(|change| {
            let how = match &change.difference {
                Difference::Added { .. } => "added".to_owned(),
                Difference::Removed { .. } => "removed".to_owned(),
                Difference::Changed { places } => {
                    let place = |place: &Place| {
                        let text =
                            |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
                        format!("{} {} > {}", place.path, text(&place.before), text(&place.after))
                    };
                    places.iter().map(place).collect::<Vec<_>>().join(", ")
                }
            };
            format!("{}: {how}{}", change.element, if change.for_people { " (for people)" } else { "" })
        })
        .collect()
}

#[test]
fn every_element_that_differs_is_told_with_the_places_that_do() {
    let mut after = definition();
    after["priority"] = json!("low");
    after["enrolment"]["reentry"] = json!({ "mode": "after_exit", "gap": "7d" });
    after["triggers"][0]["where"] = json!({ "field": "event.data.total", "op": "is_not_empty" });
    after["nodes"][0]["with"]["cases"][0]["where"]["value"] = json!(60);
    after["nodes"][1] = json!({ "id": "note", "action": "add_note", "with": { "text": "hot" } });
    after["edges"][1]["to"] = json!("note");
    assert_eq!(
        told(&definition(), &after),
        [
            r#"priority:  "high" > "low""#,
            r#"enrolment: reentry.gap - > "7d", reentry.mode "once" > "after_exit""#,
            r#"trigger asked: where - > {"field":"event.data.total","op":"is_not_empty"}"#,
            "node note: added",
            "node size: with.cases[0].where.value 50 > 60",
            "node tag: removed",
            "edge size (huge) -> note: added",
            "edge size (huge) -> tag: removed",
        ]
    );
}

#[test]
fn the_order_of_nodes_and_the_way_an_edge_is_written_are_no_difference() {
    let mut after = definition();
    after["nodes"] = json!([definition()["nodes"][1], definition()["nodes"][0]]);
    after["edges"] =
        json!([{ "from": "size", "case": "huge", "to": "tag" }, { "from": "asked", "to": "size" }]);
    assert_eq!(compare(&definition(), &after), []);
}

#[test]
fn the_order_of_cases_is_a_difference() {
    let case = |name: &str| json!({ "name": name, "where": { "field": "event.type", "op": "is_not_empty" } });
    let (mut before, mut after) = (definition(), definition());
    before["nodes"][0]["with"]["cases"] = json!([case("a"), case("b")]);
    after["nodes"][0]["with"]["cases"] = json!([case("b"), case("a")]);
    assert_eq!(compare(&before, &after).len(), 1);
}

#[test]
fn what_is_for_people_is_told_apart_from_what_runs() {
    let mut after = definition();
    after["name"] = json!("Hot");
    after["description"] = json!("for sales");
    after["layout"] = json!({ "tag": [1, 2] });
    after["nodes"][1]["description"] = json!("marks");
    let lines = told(&definition(), &after);
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line.ends_with(" (for people)")), "{lines:?}");
    after["nodes"][1]["with"]["tag"] = json!("cold");
    assert_eq!(compare(&definition(), &after).iter().filter(|change| !change.for_people).count(), 1);
}

#[test]
fn a_definition_with_problems_is_compared_as_it_is() {
    let mut after = definition();
    after["nodes"] = json!([{ "id": "tag", "action": "a" }, { "id": "tag", "action": "b" }, 3]);
    after["edges"] = json!("none");
    let changed: Vec<String> = told(&definition(), &after);
    let begin = |start: &str| changed.iter().any(|line| line.starts_with(start));
    assert!(begin("nodes[1]: added") && begin("nodes[2]: added") && begin("edges: added"), "{changed:?}");
    assert_eq!(told(&json!(1), &json!(1)), Vec::<String>::new());
    assert_eq!(told(&json!(1), &json!(2)), [":  1 > 2"]);
}

/// The same change, seen from the other side.
fn reversed(change: Change) -> Change {
    let difference = match change.difference {
        Difference::Added { after } => Difference::Removed { before: after },
        Difference::Removed { before } => Difference::Added { after: before },
        Difference::Changed { places } => Difference::Changed {
            places: places
                .into_iter()
                .map(|Place { path, before, after }| Place { path, before: after, after: before })
                .collect(),
        },
    };
    Change { difference, ..change }
}

/// Definitions that have ids in common, and faults.
fn any_definition() -> impl Strategy<Value = Value> {
    let id = || prop::sample::select(vec!["a", "b", "c"]);
    let value = || {
        prop_oneof![
            Just(json!(null)),
            Just(json!(1)),
            Just(json!([1, 2])),
            Just(json!([2])),
            Just(json!({ "x": 1 })),
            Just(json!({ "x": { "y z": [] } })),
        ]
    };
    let node = (id(), value(), value()).prop_map(
        |(id, with, text)| json!({ "id": id, "action": "add_tag", "with": with, "description": text }),
    );
    let edge = prop_oneof![
        (id(), id()).prop_map(|(from, to)| json!([from, to])),
        (id(), id(), id()).prop_map(|(from, case, to)| json!({ "from": from, "case": case, "to": to })),
        value(),
    ];
    let nodes = prop::collection::vec(node, 0..4);
    (nodes, prop::collection::vec(edge, 0..4), value(), value()).prop_map(|(nodes, edges, enrolment, name)| {
        json!({ "nodes": nodes, "edges": edges, "enrolment": enrolment, "name": name })
    })
}

proptest! {
    #[test]
    fn nothing_differs_from_itself(definition in any_definition()) {
        prop_assert_eq!(compare(&definition, &definition), vec![]);
    }

    #[test]
    fn seen_from_the_other_side_every_change_is_the_other_way_round(a in any_definition(), b in any_definition()) {
        let back: Vec<Change> = compare(&b, &a).into_iter().map(reversed).collect();
        prop_assert_eq!(compare(&a, &b), back);
    }
}
