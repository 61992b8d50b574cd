//! What conditions are charged, and that no sum of them gets away with more.

use super::*;
use crate::facts::sample::Sample;
use serde_json::json;

fn parse(condition: Value) -> Condition {
    Condition::parse(&condition, "where", &Limits::default()).unwrap()
}

/// What deciding a condition over an event with this data came to, and the steps it was charged.
fn decide(data: Value, condition: Value) -> (Result<bool, Exceeded>, u64) {
    let mut sample = Sample::default();
    sample.event.event.data = data;
    let decided = parse(condition).holds(&sample.facts());
    (decided, sample.budget.spent_steps())
}

fn leaf(op: &str, value: Value) -> Value {
    json!({ "field": "event.data.x", "op": op, "value": value })
}

#[test]
fn a_comparison_costs_what_it_looks_at() {
    let text = "x".repeat(240_000);
    let list: Value = (0..20_000).collect();
    let (whole, item, glance) = (3_700..4_500, 20_000..61_000, 1..10);
    for (value, condition, cost) in [
        (json!("a"), leaf("equals", json!("b")), &glance),
        (json!(text), leaf("equals", json!("b")), &glance),
        (json!(text), leaf("equals", json!(text)), &whole),
        (json!(text), leaf("less_than", json!(text)), &whole),
        (json!(text), leaf("contains", json!("y")), &whole),
        (json!(text), leaf("starts_with", json!("x")), &glance),
        (json!(text), leaf("regex_match", json!("y")), &whole),
        (json!(list), leaf("contains", json!(-1)), &item),
        (json!(list), leaf("equals", list.clone()), &item),
        (json!(list), leaf("equals", json!([1])), &glance),
        (json!(list), leaf("contains", json!(0)), &glance),
    ] {
        let (decided, steps) = decide(json!({ "x": value }), condition.clone());
        assert!(decided.is_ok());
        assert!(
            cost.contains(&steps),
            "{steps} steps: {} {}",
            condition["op"],
            condition["value"].to_string().len()
        );
    }
}

#[test]
fn many_comparisons_each_within_the_budget_come_to_no_more_than_it() {
    let text = "x".repeat(240_000);
    let each = leaf("contains", json!("y"));
    let (decided, steps) = decide(json!({ "x": text }), json!({ "any": vec![each.clone(); 100] }));
    assert_eq!(decided, Ok(false));
    assert!(steps > 375_000, "{steps}");
    let (decided, steps) = decide(json!({ "x": text }), json!({ "any": vec![each; 200] }));
    assert_eq!(decided, Err(Exceeded::Steps { allowed: 500_000 }));
    assert_eq!(steps, 500_000);
}

#[test]
fn nothing_is_looked_at_after_the_part_that_decides() {
    let text = "x".repeat(240_000);
    let (dear, cheap) = (leaf("contains", json!("y")), leaf("is_not_empty", Value::Null));
    let cheap = json!({ "field": cheap["field"], "op": cheap["op"] });
    let mut parts = vec![dear; 200];
    parts.insert(0, cheap);
    assert_eq!(decide(json!({ "x": text }), json!({ "any": parts })).0, Ok(true));
}

#[test]
fn a_field_that_has_to_be_made_is_charged() {
    let mut sample = Sample::default();
    sample.contact.fields.insert("notes".into(), json!("x".repeat(100_000)));
    let each = json!({ "field": "contact.fields", "op": "is_empty" });
    let decided = parse(json!({ "any": vec![each; 100] })).holds(&sample.facts());
    assert_eq!(decided, Err(Exceeded::Bytes { allowed: 4 * 1024 * 1024 }));
}

#[test]
fn an_explanation_of_large_values_stays_small_and_says_what_it_left_out() {
    let mut sample = Sample::default();
    let text = "x".repeat(240_000);
    sample.event.event.data = json!({ "x": text, "list": vec![0; 100_000] });
    let large = json!({ "field": "event.data.x", "op": "equals", "value": text });
    let list = json!({ "field": "event.data.list", "op": "contains", "value": 1 });
    let mut parts = vec![large; 9];
    parts.push(list);
    parts.extend(vec![json!({ "field": "event.type", "op": "is_empty" }); 800]);
    let explained = parse(json!({ "all": parts })).explain(&sample.facts()).unwrap();
    let logged = serde_json::to_vec(&explained.comparisons).unwrap().len();
    assert!(logged <= crate::budget::LOG_BYTES, "{logged}");
    assert!(explained.left_out > 0);
    assert_eq!(explained.comparisons.len() + explained.left_out, 810);
    let first = &explained.comparisons[0];
    assert_eq!((first.actual_bytes, first.expected_bytes), (Some(240_000), Some(240_000)));
    assert_eq!(explained.comparisons[9].actual_bytes, Some(200_001));
    assert_eq!(explained.comparisons[9].expected, json!(1));
    assert!(sample.budget.spent_bytes() >= logged as u64);
}
