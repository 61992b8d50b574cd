//! Graphs and sums of expressions, each as large as something allows or a little larger.

use serde_json::{Value, json};

/// Nodes in a row behind a trigger.
fn row(nodes: Vec<Value>) -> Value {
    let edges: Vec<Value> = nodes
        .windows(2)
        .map(|pair| match pair[0]["action"].as_str() {
            Some("branch") => json!({ "from": pair[0]["id"], "case": "else", "to": pair[1]["id"] }),
            _ => json!([pair[0]["id"], pair[1]["id"]]),
        })
        .chain([json!(["go", nodes[0]["id"]])])
        .collect();
    definition(json!([{ "id": "go", "event": "order.created" }]), nodes, edges)
}

fn definition(triggers: Value, nodes: Vec<Value>, edges: Vec<Value>) -> Value {
    json!({ "apiVersion": "automation/v1", "key": "hostile", "triggers": triggers, "nodes": nodes, "edges": edges })
}

fn note(number: usize, text: &str) -> Value {
    json!({ "id": format!("n{number}"), "action": "add_note", "with": { "text": text } })
}

fn delay(number: usize, duration: &str) -> Value {
    json!({ "id": format!("n{number}"), "action": "delay", "with": { "for": duration } })
}

fn branch(number: usize, condition: Value) -> Value {
    let cases = [json!({ "name": "found", "where": condition })];
    json!({ "id": format!("n{number}"), "action": "branch", "with": { "cases": cases } })
}

/// Looks so many times through a text of 56 KiB: 900 steps each.
fn looks(count: usize) -> Value {
    json!({ "any": vec![json!({ "field": "event.data.words", "op": "contains", "value": "xyz" }); count] })
}

fn expression(pattern: &str) -> Value {
    json!({ "field": "event.data.bits", "op": "regex_match", "value": pattern })
}

/// A condition nested so deep.
fn nested(depth: usize) -> Value {
    let leaf = json!({ "field": "event.data.list", "op": "is_empty" });
    (1..depth).fold(leaf, |inner, _| json!({ "not": inner }))
}

/// Every node leads back to the first, by a case of its own for each.
fn circles(count: usize) -> Value {
    let case = |number: usize| json!({ "name": format!("c{number}"), "where": { "field": "event.id", "op": "is_empty" } });
    let nodes: Vec<Value> = (0..count)
        .map(|number| {
            let cases: Vec<Value> = (0..8).map(case).collect();
            json!({ "id": format!("n{number}"), "action": "branch", "with": { "cases": cases } })
        })
        .collect();
    let edges = (0..count).flat_map(|from| {
        (0..8).map(move |case| {
            let to = if case == 0 { (from + 1) % count } else { from.saturating_sub(case) };
            json!({ "from": format!("n{from}"), "case": format!("c{case}"), "to": format!("n{to}") })
        })
    });
    let edges = edges.chain([json!(["go", "n0"])]).collect();
    definition(json!([{ "id": "go", "event": "order.created" }]), nodes, edges)
}

fn with_edges(extra: impl Iterator<Item = Value>) -> Value {
    let mut made = row(vec![note(0, "a"), note(1, "b")]);
    made["edges"].as_array_mut().expect("it is a list").extend(extra);
    made
}

fn with_triggers(count: usize, condition: &Value) -> Value {
    let triggers = (0..count)
        .map(|number| json!({ "id": format!("t{number}"), "event": "order.created", "where": condition }));
    let edges = (0..count).map(|number| json!([format!("t{number}"), "n0"])).collect();
    definition(triggers.collect(), vec![note(0, "a")], edges)
}

fn with_schedules(count: usize, nodes: usize) -> Value {
    let mut made = row((0..nodes).map(|number| note(number, "{{ contact.email }}")).collect());
    let triggers =
        (0..count).map(|number| json!({ "id": format!("t{number}"), "schedule": { "every": "1h" } }));
    made["triggers"].as_array_mut().expect("it is a list").extend(triggers);
    let edges = (0..count).map(|number| json!([format!("t{number}"), "n0"]));
    made["edges"].as_array_mut().expect("it is a list").extend(edges);
    made
}

/// A body of a request that is much larger in memory than as text.
fn body(count: usize) -> Value {
    json!({ "id": "n0", "action": "http_request", "with": {
        "url": "https://example.com/", "method": "POST", "body": { "json": vec![json!([]); count] },
    } })
}

fn with_nodes(extra: Vec<Value>) -> Value {
    let mut made = row(vec![note(0, "a")]);
    made["nodes"].as_array_mut().expect("it is a list").extend(extra);
    made
}

/// Edges to names that differ from existing ones, which are as long as names may be, in the last place.
fn misspelt(count: usize) -> Value {
    let node = |number: usize| json!({ "id": format!("{number:0>40}"), "action": "stop_workflow" });
    let mut made = row((0..count).map(node).collect());
    for edge in made["edges"].as_array_mut().expect("it is a list") {
        edge[1] = json!(format!("{}x", &edge[1].as_str().expect("it is a text")[1..]));
    }
    made
}

/// A family of graphs, made one at a time: all at once they would take more memory than evaluating them.
type Family = (&'static str, &'static [usize], fn(usize) -> Value);

/// All of them, by name and size.
pub fn all() -> impl Iterator<Item = (String, Value)> {
    families().into_iter().flat_map(|(name, sizes, make)| {
        sizes.iter().map(move |size| (format!("{name}, {size}"), make(*size)))
    })
}

fn families() -> Vec<Family> {
    vec![
        ("notes in a row", &[1, 10, 1_000, 1_001, 5_000], |n| row((0..n).map(|i| note(i, "x")).collect())),
        ("delays of nothing in a row", &[1, 1_000], |n| row((0..n).map(|i| delay(i, "0s")).collect())),
        ("delays that fail one after the other", &[1, 999], |n| {
            let mut made = row((0..n).map(|i| delay(i, "{{ event.type }}")).collect());
            for number in 1..n {
                made["nodes"][number - 1]["on_error"] = json!(format!("n{number}"));
            }
            made
        }),
        ("branches that look through texts", &[1, 10, 100, 1_000], |n| {
            row((0..n).map(|i| branch(i, looks(4))).collect())
        }),
        ("a branch that looks through a text", &[100, 500, 600, 3_999, 4_001], |n| {
            row(vec![branch(0, looks(n))])
        }),
        ("dear branches in a row", &[2, 4, 8], |n| row((0..n).map(|i| branch(i, looks(500))).collect())),
        ("a trigger that looks through a text", &[100, 600], |n| with_triggers(1, &looks(n))),
        ("triggers that look through a text", &[10, 40, 100], |n| with_triggers(n, &looks(10))),
        ("triggers", &[100, 101, 1_000], |n| {
            with_triggers(n, &json!({ "field": "event.id", "op": "is_empty" }))
        }),
        ("schedules over notes about nobody", &[1, 99, 100], |n| with_schedules(n, 500)),
        ("conditions nested", &[1, 10, 63, 64, 65, 200], |n| row(vec![branch(0, nested(n))])),
        ("expressions in one definition", &[1, 50, 100, 101, 500], |n| {
            row(vec![branch(
                0,
                json!({ "any": (0..n).map(|i| expression(&format!("x{i}"))).collect::<Vec<_>>() }),
            )])
        }),
        ("large expressions in one definition", &[1, 20, 100], |n| {
            row(vec![branch(0, json!({ "any": vec![expression(r"\w{8}"); n] }))])
        }),
        ("expressions that need many states", &[1, 10, 100], |n| {
            row(vec![branch(0, json!({ "any": vec![expression("1[01]{60}2"); n] }))])
        }),
        ("templates in one definition", &[100, 1_000, 4_000, 4_001, 20_000], |n| {
            let lines: Vec<Value> = (0..n).map(|_| json!("{{ event.id }}")).collect();
            row(vec![json!({ "id": "n0", "action": "http_request", "with": {
                "url": "https://example.com/", "method": "POST", "body": { "json": lines } } })])
        }),
        ("long templates", &[1, 2, 4, 8], |n| {
            row((0..n).map(|i| note(i, &format!("{{{{ event.id }}}}{}", "x".repeat(60_000)))).collect())
        }),
        ("notes of 60,000 bytes", &[1, 100, 1_000], |n| {
            row((0..n).map(|i| note(i, "{{ event.data.same }}")).collect())
        }),
        ("lists of nothing in a request", &[100, 10_000, 100_000, 300_000], |n| row(vec![body(n)])),
        ("circles", &[2, 10, 100, 450], circles),
        ("edges to nowhere", &[1, 100, 9_000, 20_000], |n| {
            with_edges((0..n).map(|i| json!(["n0", format!("n0{i}")])))
        }),
        ("edges to long names", &[1, 10, 100], |n| {
            with_edges((0..n).map(|_| json!(["n0", "n".repeat(8_000)])))
        }),
        ("the same edge", &[2, 9_000], |n| with_edges((0..n).map(|_| json!(["n0", "n1"])))),
        ("edges that are none", &[1, 1_000, 100_000], |n| with_edges((0..n).map(|_| json!(1)))),
        ("nodes that are none", &[1, 1_000, 100_000], |n| with_nodes(vec![json!(1); n])),
        ("names that differ in the last place", &[100, 1_000], misspelt),
        ("keys that nobody knows", &[1, 1_000, 50_000], |n| {
            let mut made = row(vec![note(0, "a")]);
            for number in 0..n {
                made["nodes"][0][format!("key{number}")] = json!(1);
            }
            made
        }),
        ("options that nobody knows", &[1, 1_000, 50_000], |n| {
            let mut made = row(vec![note(0, "a")]);
            for number in 0..n {
                made["nodes"][0]["with"][format!("key{number}")] = json!(1);
            }
            made
        }),
        ("cases", &[1, 1_000, 3_999, 4_001], |n| {
            let case = |i: usize| json!({ "name": format!("c{i}"), "where": { "field": "event.id", "op": "is_empty" } });
            let cases: Vec<Value> = (0..n).map(case).collect();
            row(vec![json!({ "id": "n0", "action": "branch", "with": { "cases": cases } })])
        }),
        ("a field of many names", &[10, 1_000, 100_000], |n| {
            let field = format!("event.data{}", ".a".repeat(n));
            row(vec![branch(0, json!({ "field": field, "op": "is_empty" }))])
        }),
        ("conditions that are none", &[1, 1_000, 100_000], |n| {
            row(vec![branch(0, json!({ "all": vec![1; n] }))])
        }),
        ("a text to compare with, in KiB", &[1, 100, 900], |n| {
            row(vec![branch(
                0,
                json!({ "field": "event.data.words", "op": "equals", "value": "x".repeat(n * 1024) }),
            )])
        }),
        ("a key, in bytes of what it says", &[10, 100_000], |n| {
            let mut made = row(vec![note(0, "a")]);
            made["enrolment"] = json!({ "key": format!("{{{{ event.data.same[:{n}] }}}}") });
            made
        }),
    ]
}
