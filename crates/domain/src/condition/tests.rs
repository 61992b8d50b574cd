use super::*;
use crate::budget::Budget;
use crate::facts::sample::Sample;
use proptest::prelude::*;
use serde_json::json;

fn sample() -> Sample {
    let mut sample = Sample::default();
    sample.event.event.data = json!({
        "text": "Hello", "number": 80, "digits": "80", "bool": true, "null": null, "blank": "",
        "list": ["vip", 5], "object": { "a": 1 }, "time": "2026-11-24T09:00:00+01:00", "none": [],
    });
    sample.contact.tags = vec!["vip".into()];
    sample
}

fn parse(value: Value) -> Result<Condition, Vec<Problem>> {
    Condition::parse(&value, "where", &Limits::default())
}

fn holds(field: &str, op: &str, value: Value) -> bool {
    parse(json!({ "field": format!("event.data.{field}"), "op": op, "value": value }))
        .unwrap()
        .holds(&sample().facts())
        .unwrap()
}

/// One line per operator and value: the fields for which it holds.
#[test]
fn every_operator_has_a_result_for_every_kind_of_field() {
    const FIELDS: [&str; 11] =
        ["missing", "null", "text", "number", "digits", "bool", "blank", "list", "object", "time", "none"];
    let mut lines = Vec::new();
    for op in Operator::ALL {
        let values: Vec<Option<Value>> = if !op.takes_value() {
            vec![None]
        } else if op == Operator::RegexMatch {
            vec![Some(json!("^(H|8)"))]
        } else {
            [
                json!("Hello"),
                json!(80),
                json!("80"),
                json!(true),
                json!(["vip", "5"]),
                json!("2026-11-24T08:00:00Z"),
                json!("vip"),
            ]
            .into_iter()
            .map(Some)
            .collect()
        };
        for value in values {
            let fields = FIELDS.into_iter().filter(|field| {
                let mut leaf = json!({ "field": format!("event.data.{field}"), "op": op.as_str() });
                if let Some(value) = &value {
                    leaf["value"] = value.clone();
                }
                parse(leaf).unwrap().holds(&sample().facts()).unwrap()
            });
            let fields: Vec<_> = fields.collect();
            let value = value.map_or_else(String::new, |value| value.to_string());
            let fields = if fields.is_empty() { "no field".to_owned() } else { fields.join(" ") };
            lines.push(format!("{} {value}: {fields}", op.as_str()));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    equals "Hello": text
    equals 80: number digits
    equals "80": number digits
    equals true: bool
    equals ["vip","5"]: list
    equals "2026-11-24T08:00:00Z": time
    equals "vip": no field
    not_equals "Hello": missing null number digits bool blank list object time none
    not_equals 80: missing null text bool blank list object time none
    not_equals "80": missing null text bool blank list object time none
    not_equals true: missing null text number digits blank list object time none
    not_equals ["vip","5"]: missing null text number digits bool blank object time none
    not_equals "2026-11-24T08:00:00Z": missing null text number digits bool blank list object none
    not_equals "vip": missing null text number digits bool blank list object time none
    greater_than "Hello": no field
    greater_than 80: no field
    greater_than "80": text
    greater_than true: no field
    greater_than ["vip","5"]: no field
    greater_than "2026-11-24T08:00:00Z": text digits
    greater_than "vip": no field
    less_than "Hello": digits blank time
    less_than 80: no field
    less_than "80": blank time
    less_than true: no field
    less_than ["vip","5"]: no field
    less_than "2026-11-24T08:00:00Z": blank
    less_than "vip": text digits blank time
    greater_or_equal "Hello": text
    greater_or_equal 80: number digits
    greater_or_equal "80": text number digits
    greater_or_equal true: no field
    greater_or_equal ["vip","5"]: no field
    greater_or_equal "2026-11-24T08:00:00Z": text digits time
    greater_or_equal "vip": no field
    less_or_equal "Hello": text digits blank time
    less_or_equal 80: number digits
    less_or_equal "80": number digits blank time
    less_or_equal true: no field
    less_or_equal ["vip","5"]: no field
    less_or_equal "2026-11-24T08:00:00Z": blank time
    less_or_equal "vip": text digits blank time
    contains "Hello": text
    contains 80: number digits
    contains "80": number digits
    contains true: no field
    contains ["vip","5"]: no field
    contains "2026-11-24T08:00:00Z": no field
    contains "vip": list
    not_contains "Hello": missing null number digits bool blank list object time none
    not_contains 80: missing null text bool blank list object time none
    not_contains "80": missing null text bool blank list object time none
    not_contains true: missing null text number digits bool blank list object time none
    not_contains ["vip","5"]: missing null text number digits bool blank list object time none
    not_contains "2026-11-24T08:00:00Z": missing null text number digits bool blank list object time none
    not_contains "vip": missing null text number digits bool blank object time none
    starts_with "Hello": text
    starts_with 80: number digits
    starts_with "80": number digits
    starts_with true: no field
    starts_with ["vip","5"]: no field
    starts_with "2026-11-24T08:00:00Z": no field
    starts_with "vip": no field
    ends_with "Hello": text
    ends_with 80: number digits
    ends_with "80": number digits
    ends_with true: no field
    ends_with ["vip","5"]: no field
    ends_with "2026-11-24T08:00:00Z": no field
    ends_with "vip": no field
    regex_match "^(H|8)": text number digits
    is_empty : missing null blank none
    is_not_empty : text number digits bool list object time
    "#);
}

#[test]
fn a_value_that_renders_to_nothing_counts_as_missing() {
    let value = "{{ contact.phone }}";
    for op in ["equals", "greater_than", "less_or_equal", "contains", "starts_with"] {
        assert!(!holds("text", op, json!(value)) && !holds("missing", op, json!(value)), "{op}");
    }
    assert!(holds("text", "not_equals", json!(value)));
    assert!(holds("missing", "not_contains", json!(value)));
    assert!(!holds("text", "equals", json!("{{ contact.email / 2 }}")));
}

#[test]
fn values_may_be_templates() {
    assert!(holds("number", "equals", json!("{{ event.data.digits }}")));
    assert!(holds("text", "equals", json!("Hel{{ 'lo' }}")));
}

#[test]
fn a_number_has_one_text_for_every_operator() {
    let mut sample = Sample::default();
    sample.event.event.data = json!({ "whole": 10115, "decimal": 10115.0 });
    for field in ["whole", "decimal"] {
        for (op, value, expected) in [
            ("contains", json!(".0"), false),
            ("ends_with", json!("15"), true),
            ("ends_with", json!(15.0), true),
            ("starts_with", json!("10115."), false),
            ("regex_match", json!("^[0-9]{5}$"), true),
            ("equals", json!("10115"), true),
        ] {
            let leaf = json!({ "field": format!("event.data.{field}"), "op": op, "value": value });
            assert_eq!(parse(leaf.clone()).unwrap().holds(&sample.facts()), Ok(expected), "{leaf}");
        }
    }
}

#[test]
fn conditions_are_joined_at_any_depth() {
    let leaf = |field: &str, holds: bool| json!({ "field": format!("event.data.{field}"), "op": if holds { "is_not_empty" } else { "is_empty" } });
    let (yes, no) = (leaf("text", true), leaf("text", false));
    for (condition, expected) in [
        (json!({ "all": [yes, yes] }), true),
        (json!({ "all": [yes, no] }), false),
        (json!({ "any": [no, yes] }), true),
        (json!({ "any": [no, no] }), false),
        (json!({ "not": no }), true),
        (json!({ "all": [yes, { "any": [no, { "not": { "all": [no] } }] }] }), true),
    ] {
        let condition = parse(condition).unwrap();
        assert_eq!(condition.holds(&sample().facts()).unwrap(), expected, "{condition:?}");
        assert_eq!(condition.explain(&sample().facts()).unwrap().holds, expected);
    }
}

#[test]
fn an_explanation_names_both_values_of_every_comparison() {
    let condition = json!({ "any": [
        { "field": "event.data.number", "op": "greater_than", "value": 50 },
        { "not": { "field": "contact.tags", "op": "contains", "value": "{{ event.data.text }}" } },
        { "field": "contact.phone", "op": "regex_match", "value": "^[+]" },
    ] });
    let explained = parse(condition).unwrap().explain(&sample().facts()).unwrap();
    let lines: Vec<_> =
        explained.comparisons.iter().map(|made| serde_json::to_string(made).unwrap()).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    {"field":"event.data.number","op":"greater_than","actual":80,"expected":50,"holds":true}
    {"field":"contact.tags","op":"contains","actual":["vip"],"expected":"Hello","holds":false}
    {"field":"contact.phone","op":"regex_match","actual":null,"expected":"^[+]","holds":false}
    "#);
}

#[test]
fn everything_wrong_with_a_condition_is_said() {
    let problems = parse(json!({ "all": [
        { "field": "contact.frist_name", "op": "equls", "value": 1 },
        { "field": "event.data.x", "op": "equals" },
        { "field": "event.data.x", "op": "is_empty", "value": 1 },
        { "field": "event.data.x", "op": "equals", "value": null },
        { "field": "event.data.x", "op": "regex_match", "value": "(" },
        { "field": "event.data.x", "op": "regex_match", "value": "\\w{900}{900}" },
        { "field": "event.data.x", "op": "regex_match", "value": "{{ vars.x }}" },
        { "field": "event.data.x", "op": "equals", "valeu": 1 },
        { "field": 1, "op": "equals", "value": "{{ nobody }}" },
        { "any": [], "field": "event.id" },
        { "all": {} },
        { "not": "x" },
        {},
        { "count": { "event": "page.visited" }, "op": "greater_or_equal", "value": 3 },
        { "field": "deal.amount", "op": "equals", "value": 1 },
    ] }))
    .unwrap_err();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    where.all[0].field: "contact.frist_name" is not a field: contact has no frist_name (did you mean "first_name"?) [unknown_field]
    where.all[0].op: there is no operator "equls" (did you mean "equals"?) [unknown_operator]
    where.all[1]: equals needs "value" [missing_key]
    where.all[2].value: is_empty takes no value [unknown_key]
    where.all[3].value: null equals nothing; use is_empty or is_not_empty [wrong_type]
    where.all[4].value: not a regular expression: unclosed group [bad_regex]
    where.all[5].value: the regular expression needs more than 262144 bytes [bad_regex]
    where.all[6].value: a regular expression is fixed: it cannot be a template [bad_regex]
    where.all[7].valeu: a condition has no key "valeu" (did you mean "value"?) [unknown_key]
    where.all[7]: equals needs "value" [missing_key]
    where.all[8].field: must be a text [wrong_type]
    where.all[8].value: nothing is called "nobody" here [unknown_field]
    where.all[9].field: "field" cannot stand beside any in one condition; nest them [unknown_key]
    where.all[9].any: needs at least one condition [bad_condition]
    where.all[10].all: must be a list of conditions [wrong_type]
    where.all[11].not: a condition is an object: {field, op, value}, all, any or not [bad_condition]
    where.all[12]: a condition needs "field" [missing_key]
    where.all[12]: a condition needs "op" [missing_key]
    where.all[13].count: a condition needs "within" [missing_key]
    where.all[14].field: fields of deal are not available yet [not_available]
    "#);
}

#[test]
fn nesting_is_bounded() {
    let mut condition = json!({ "field": "event.id", "op": "is_empty" });
    for _ in 0..63 {
        condition = json!({ "not": condition });
    }
    assert!(parse(condition.clone()).is_ok());
    let problems = parse(json!({ "not": condition })).unwrap_err();
    assert_eq!(problems[0].code, "too_deep");
}

#[test]
fn equalities_that_must_hold_are_found() {
    let condition = parse(json!({ "all": [
        { "field": "event.data.form_id", "op": "equals", "value": "f1" },
        { "all": [{ "field": "event.source", "op": "equals", "value": "web" }] },
        { "any": [{ "field": "event.data.a", "op": "equals", "value": 1 }] },
        { "not": { "field": "event.data.b", "op": "equals", "value": 1 } },
        { "field": "event.data.c", "op": "equals", "value": "{{ contact.id }}" },
        { "field": "event.data.d", "op": "equals", "value": [1] },
        { "field": "contact.id", "op": "equals", "value": "c" },
        { "field": "event.data.e", "op": "not_equals", "value": 1 },
    ] }))
    .unwrap();
    assert_eq!(
        condition.required_equalities(),
        [("event.data.form_id", &json!("f1")), ("event.source", &json!("web"))]
    );
    assert!(condition.reads("event") && condition.reads("contact") && !condition.reads("vars"));
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3i64..3).prop_map(|n| Value::from(n as f64 / 2.0)),
        "-?[0-3](\\.[05])?".prop_map(Value::from),
        "2026-11-24T0[89]:00:00(Z|\\+01:00)".prop_map(Value::from),
        "[ab]?".prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn what_is_missing_needs_no_comparison(value in scalar()) {
        let resolved = Resolved::Value(Cow::Borrowed(&value));
        for op in Operator::ALL {
            let holds = op.holds(None, &resolved, &Budget::default()).unwrap();
            prop_assert_eq!(op.holds_for_missing(), holds, "{:?}", op);
        }
    }

    #[test]
    fn equal_scalars_share_a_key(left in scalar(), right in scalar()) {
        if compare::equal(&left, &right, &Budget::default()).unwrap() {
            prop_assert_eq!(equality_key(&left), equality_key(&right));
        }
    }

    #[test]
    fn negations_are_exact_opposites(field in scalar(), value in scalar()) {
        let resolved = Resolved::Value(Cow::Borrowed(&value));
        for (op, opposite) in [
            (Operator::Equals, Operator::NotEquals),
            (Operator::Contains, Operator::NotContains),
            (Operator::IsEmpty, Operator::IsNotEmpty),
        ] {
            let holds = |op: Operator| op.holds(Some(&field), &resolved, &Budget::default()).unwrap();
            prop_assert_ne!(holds(op), holds(opposite));
        }
    }
}
