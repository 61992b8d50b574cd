//! Dates before and after moments that move with the clock.

use super::*;
use crate::condition::Condition;
use crate::facts::sample::Sample;
use crate::limits::Limits;
use serde_json::json;

fn parse(condition: Value) -> Condition {
    Condition::parse(&condition, "where", &Limits::default())
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The sample's clock shows 23:30 of 24 November 2026 in UTC.
fn sample(renewal: Value, zone: Option<&str>) -> Sample {
    let mut sample = Sample::default();
    sample.contact.fields.insert("renewal".into(), renewal);
    sample.contact.timezone = zone.map(str::to_owned);
    sample
}

fn renewal(op: &str, key: &str, length: &str) -> Condition {
    parse(json!({ "field": "contact.fields.renewal", "op": op, key: length }))
}

#[test]
fn a_date_is_compared_with_a_moment_before_or_after_now() {
    for (renewal_at, op, key, length, holds) in [
        ("2026-12-01T23:30:00Z", "less_or_equal", "from_now", "7d", true),
        ("2026-12-01T23:30:00Z", "less_than", "from_now", "7d", false),
        ("2026-12-01T23:30:00.001Z", "less_or_equal", "from_now", "7d", false),
        ("2026-12-01T23:30:00.001Z", "greater_than", "from_now", "7d", true),
        ("2026-11-24T23:30:00Z", "greater_or_equal", "from_now", "0s", true),
        ("2026-11-24T23:29:59Z", "greater_or_equal", "from_now", "0s", false),
        ("2026-11-17T23:29:59Z", "less_than", "ago", "7d", true),
        ("2026-11-17T23:30:00Z", "less_than", "ago", "7d", false),
        ("2026-11-17T23:30:00Z", "greater_or_equal", "ago", "7d", true),
        ("2026-12-02T00:30:00+01:00", "less_or_equal", "from_now", "7d", true),
    ] {
        let decided = renewal(op, key, length).holds(&sample(json!(renewal_at), None).facts());
        assert_eq!(decided, Ok(holds), "{renewal_at} {op} {key} {length}");
    }
}

#[test]
fn a_date_without_a_zone_is_midnight_by_the_contacts_clock() {
    // Midnight of the 25th is in half an hour in UTC, was half an hour ago in Berlin, and is in 8.5 hours in Los Angeles.
    for (zone, hours, holds) in [
        (None, "1h", true),
        (None, "29m", false),
        (Some("Europe/Berlin"), "29m", true),
        (Some("America/Los_Angeles"), "8h", false),
        (Some("America/Los_Angeles"), "9h", true),
    ] {
        let decided =
            renewal("less_or_equal", "from_now", hours).holds(&sample(json!("2026-11-25"), zone).facts());
        assert_eq!(decided, Ok(holds), "{zone:?} {hours}");
    }
    assert!(renewal("less_than", "ago", "1d").reads("contact"));
    let of_event = parse(json!({ "field": "event.data.due", "op": "less_than", "ago": "1d" }));
    assert!(of_event.reads("contact"), "for whose clock counts");
}

#[test]
fn what_is_missing_or_no_date_is_neither_before_nor_after_anything() {
    for value in [json!(null), json!("soon"), json!(1_800_000_000), json!([]), json!("x".repeat(10_000))] {
        for op in ["less_than", "less_or_equal", "greater_than", "greater_or_equal"] {
            assert_eq!(
                renewal(op, "from_now", "7d").holds(&sample(value.clone(), None).facts()),
                Ok(false),
                "{op}"
            );
        }
    }
    let missing = parse(json!({ "not": { "field": "contact.fields.none", "op": "less_than", "ago": "1d" } }));
    assert_eq!(missing.holds(&sample(json!(1), None).facts()), Ok(true));
}

#[test]
fn the_explanation_tells_the_date_and_the_moment() {
    let sample = sample(json!("2026-11-30"), None);
    let explained = renewal("less_or_equal", "from_now", "7d").explain(&sample.facts()).unwrap();
    insta::assert_snapshot!(serde_json::to_string(&explained.comparisons).unwrap(), @r#"[{"field":"contact.fields.renewal","op":"less_or_equal","actual":"2026-11-30","expected":"2026-12-01T23:30:00Z","holds":true}]"#);
}

#[test]
fn it_turns_when_the_moment_passes_the_date() {
    let turns = |renewal_at: &str, key: &str, length: &str| {
        let condition = renewal("less_or_equal", key, length);
        condition.next_turn(&sample(json!(renewal_at), None).facts()).map(|at| at.to_rfc3339())
    };
    assert_eq!(turns("2026-12-10", "from_now", "7d").as_deref(), Some("2026-12-03T00:00:00+00:00"));
    assert_eq!(turns("2026-11-20", "ago", "7d").as_deref(), Some("2026-11-27T00:00:00+00:00"));
    assert_eq!(turns("2026-11-20", "from_now", "7d"), None, "it passed long ago");
    assert_eq!(turns("soon", "from_now", "7d"), None);
}

#[test]
fn everything_wrong_with_it_is_said() {
    let problems = Condition::parse(
        &json!({ "all": [
            { "field": "contact.fields.renewal", "op": "equals", "from_now": "7d" },
            { "field": "contact.fields.renewal", "op": "less_than", "from_now": "soon" },
            { "field": "contact.fields.renewal", "op": "less_than", "ago": 7 },
            { "field": "contact.fields.renewal", "op": "less_than", "ago": "7d", "value": 1 },
            { "op": "less_than", "ago": "7d" },
            { "count": { "event": "x", "within": "7d", "where": { "field": "event.data.at", "op": "less_than", "ago": "1d" } },
              "op": "equals", "value": 1 },
        ] }),
        "where",
        &Limits::default(),
    )
    .unwrap_err();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    where.all[0].op: a time is before or after from_now: use less_than, greater_than, … [unknown_operator]
    where.all[1].from_now: "soon" is not a duration: write 15m, 1h, 7d or 1h30m, at most 3660 days [bad_duration]
    where.all[2].ago: must be a text [wrong_type]
    where.all[3].value: "value" cannot stand beside ago [unknown_key]
    where.all[4]: a condition needs "field" [missing_key]
    where.all[5].count.where.ago: of past events times cannot be compared with now; use within [bad_condition]
    "#);
}
