//! Figures by tables, and against a naive count of everything.

use super::*;
use crate::facts::sample::Sample;
use crate::id::EventId;
use crate::limits::Limits;
use crate::past::History;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

const TYPE: &str = "order.completed";

fn parse(condition: Value) -> Condition {
    Condition::parse(&condition, "where", &Limits::default())
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn problems(condition: Value) -> String {
    let problems = Condition::parse(&condition, "where", &Limits::default()).unwrap_err();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// An event that happened so long before now.
fn past(sample: &Sample, number: u128, age: TimeDelta, data: Value) -> PastEvent {
    let mut event = sample.event.clone();
    event.event.data = data;
    event.event.event_type = TYPE.to_owned();
    event.event.time = sample.now - age;
    event.received_at = event.event.time;
    event.event_id = EventId(Uuid::from_u128(number));
    PastEvent::of(&event, &paths())
}

fn paths() -> Vec<FieldPath> {
    ["event.data.total", "event.data.kind"].map(|path| FieldPath::parse(path, "").unwrap()).to_vec()
}

/// A contact to whom this happened, each so many seconds before now.
fn sample(events: &[(i64, Value)]) -> Sample {
    let mut sample = Sample::default();
    let mut history = History::new(sample.now);
    let events = events.iter().enumerate();
    let events: Vec<PastEvent> = events
        .map(|(number, (age, data))| {
            past(&sample, number as u128 + 1, TimeDelta::seconds(*age), data.clone())
        })
        .collect();
    history.add(TYPE, events, false);
    sample.past = Some(history);
    sample
}

fn figure(sample: &Sample, aggregate: &str, inner: Value) -> Option<Value> {
    let mut events = json!({ "event": TYPE, "within": "1h" });
    events.as_object_mut().unwrap().extend(inner.as_object().unwrap().clone());
    let condition = parse(json!({ aggregate: events, "op": "is_not_empty" }));
    let explained = condition.explain(&sample.facts()).unwrap();
    Some(explained.comparisons[0].actual.clone()).filter(|figure| !figure.is_null())
}

fn of_total() -> Value {
    json!({ "of": "event.data.total" })
}

#[test]
fn figures_are_worked_out_of_numbers_and_texts_that_are_numbers_and_skip_the_rest() {
    let totals =
        [json!(19.99), json!("0.01"), json!(null), json!("many"), json!([5]), json!(-5), json!(true)];
    let events: Vec<_> = totals.into_iter().map(|total| (60, json!({ "total": total }))).collect();
    let sample = sample(&events);
    for (aggregate, expected) in
        [("sum", json!(15)), ("average", json!(5)), ("min", json!(-5)), ("max", json!(19.99))]
    {
        assert_eq!(figure(&sample, aggregate, of_total()), Some(expected), "{aggregate}");
    }
    assert_eq!(figure(&sample, "count", json!({})), Some(json!(7)));
    let sum = parse(
        json!({ "sum": { "event": TYPE, "of": "event.data.total", "within": "1h" }, "op": "less_than", "value": 20 }),
    );
    let explained = sum.explain(&sample.facts()).unwrap();
    insta::assert_snapshot!(serde_json::to_string(&explained.comparisons).unwrap(), @r#"[{"field":"sum of event.data.total over order.completed within 1h","op":"less_than","actual":15,"expected":20,"holds":true,"counted":{"from":"2026-11-24T22:30:00Z","until":"2026-11-24T23:30:00Z","events":7,"skipped":4}}]"#);
}

#[test]
fn of_no_events_count_and_sum_are_0_and_the_others_are_missing() {
    let empty = sample(&[(7_200, json!({ "total": 1 }))]);
    for (aggregate, inner, expected) in [
        ("count", json!({}), Some(json!(0))),
        ("sum", of_total(), Some(json!(0))),
        ("average", of_total(), None),
        ("min", of_total(), None),
        ("max", of_total(), None),
    ] {
        assert_eq!(figure(&empty, aggregate, inner.clone()), expected, "{aggregate}");
    }
    for (op, holds) in [("less_than", false), ("greater_than", false), ("not_equals", true)] {
        let average = json!({ "event": TYPE, "of": "event.data.total", "within": "1h" });
        let condition = parse(json!({ "average": average, "op": op, "value": 1 }));
        assert_eq!(condition.holds(&empty.facts()), Ok(holds), "{op}: as a missing field");
    }
    let mut nobody = sample(&[]);
    nobody.past = None;
    let facts = Facts { past: Past::Nobody, ..nobody.facts() };
    let count = parse(json!({ "count": { "event": TYPE, "within": "1h" }, "op": "equals", "value": 0 }));
    assert_eq!(count.holds(&facts), Ok(true), "nothing happens to nobody");
}

fn at_least(count: u64) -> Condition {
    parse(json!({ "count": { "event": TYPE, "within": "7d" }, "op": "greater_or_equal", "value": count }))
}

#[test]
fn an_event_exactly_as_old_as_the_window_counts_and_one_a_millisecond_older_does_not() {
    for (age, counts) in [
        (TimeDelta::days(7), true),
        (TimeDelta::days(7) + TimeDelta::milliseconds(1), false),
        (TimeDelta::zero(), true),
        (TimeDelta::milliseconds(-1), false),
        (TimeDelta::days(-365), false),
    ] {
        let mut sample = Sample::default();
        let mut history = History::new(sample.now);
        let event =
            PastEvent { received_at: sample.now - TimeDelta::days(8), ..past(&sample, 1, age, json!({})) };
        history.add(TYPE, [event], false);
        sample.past = Some(history);
        assert_eq!(at_least(1).holds(&sample.facts()), Ok(counts), "{age}");
    }
}

/// The sample with an event of the type at hand that happened so long before its receipt, which is now.
fn at_hand(mut sample: Sample, age: TimeDelta) -> Sample {
    sample.event.event.event_type = TYPE.to_owned();
    sample.event.event.time = sample.now - age;
    sample.event.received_at = sample.now;
    sample
}

#[test]
fn the_event_at_hand_is_included_once_whether_it_is_recorded_or_not() {
    let third = at_hand(sample(&[(60, json!({})), (120, json!({}))]), TimeDelta::zero());
    let entry = |sample: &Sample, count| at_least(count).holds(&Facts { run: None, ..sample.facts() });
    assert_eq!((entry(&third, 3), entry(&third, 4)), (Ok(true), Ok(false)));
    assert_eq!(at_least(3).holds(&third.facts()), Ok(true), "in a run too");
    let mut recorded = third;
    let own =
        PastEvent { event_id: recorded.event.event_id, ..past(&recorded, 9, TimeDelta::zero(), json!({})) };
    recorded.past.as_mut().unwrap().add(TYPE, [own], false);
    assert_eq!((entry(&recorded, 3), entry(&recorded, 4)), (Ok(true), Ok(false)));
    assert_eq!(at_least(4).holds(&recorded.facts()), Ok(false));
}

#[test]
fn the_event_at_hand_counts_from_its_receipt_where_it_is_dated_ahead_and_by_its_time_where_it_is_late() {
    for (age, counts) in [
        (TimeDelta::minutes(-4), true),
        (TimeDelta::days(-9), true),
        (TimeDelta::days(6), true),
        (TimeDelta::days(8), false),
    ] {
        assert_eq!(at_least(1).holds(&at_hand(sample(&[]), age).facts()), Ok(counts), "{age}");
    }
}

#[test]
fn of_events_that_were_received_together_each_counts_those_that_happened_before_it() {
    let mut sample = Sample::default();
    let ages = [30_i64, 10, 20];
    let batch: Vec<PastEvent> = ages
        .iter()
        .enumerate()
        .map(|(number, age)| PastEvent {
            received_at: sample.now,
            ..past(&sample, number as u128 + 1, TimeDelta::seconds(*age), json!({}))
        })
        .collect();
    let mut history = History::new(sample.now);
    history.add(TYPE, batch.clone(), false);
    sample.past = Some(history);
    let counts: Vec<u64> = batch
        .iter()
        .map(|event| {
            let mut sample = Sample { past: sample.past.clone(), ..Sample::default() };
            sample = at_hand(sample, TimeDelta::zero());
            sample.event.event_id = event.event_id;
            sample.event.event.time = event.at;
            let facts = Facts { run: None, ..sample.facts() };
            (1..=3).filter(|count| at_least(*count).holds(&facts).unwrap()).max().unwrap_or_default()
        })
        .collect();
    assert_eq!(counts, [1, 3, 2], "so that the third is one of them");
}

#[test]
fn the_condition_of_past_events_is_asked_of_them_and_its_templates_of_the_event_at_hand() {
    let mut sample = sample(&[
        (60, json!({ "kind": "big", "total": 10 })),
        (60, json!({ "kind": "small", "total": 1 })),
        (60, json!({ "total": 100 })),
    ]);
    sample.event.event.data = json!({ "kind": "big" });
    for (filter, expected) in [
        (json!({ "field": "event.data.kind", "op": "equals", "value": "{{ event.data.kind }}" }), 10),
        (json!({ "not": { "field": "event.data.kind", "op": "equals", "value": "big" } }), 101),
        (json!({ "field": "event.data.kind", "op": "is_empty" }), 100),
        (
            json!({ "any": [
            { "field": "event.data.kind", "op": "regex_match", "value": "^sm" },
            { "all": [{ "field": "event.data.total", "op": "greater_than", "value": 50 }] },
        ] }),
            101,
        ),
    ] {
        let inner = json!({ "of": "event.data.total", "where": filter });
        assert_eq!(figure(&sample, "sum", inner.clone()), Some(json!(expected)), "{inner}");
    }
    let condition = parse(json!({ "count": {
        "event": TYPE, "within": "1h", "where": { "field": "event.data.kind", "op": "equals", "value": "{{ event.data.kind }}" } },
        "op": "equals", "value": "{{ vars.wanted }}" }));
    sample.state.vars.insert("wanted".into(), json!(1));
    let values = condition.render(&sample.facts()).unwrap();
    assert_eq!(values, [json!("big"), json!(1)]);
    sample.event.event.data = json!({ "kind": "small" });
    sample.state.vars.insert("wanted".into(), json!(7));
    assert_eq!(condition.with_values(&values).holds(&sample.facts()), Ok(true), "as worked out before");
    assert!(condition.reads("event") && condition.reads("vars") && !condition.reads("contact"));
}

#[test]
fn what_is_too_long_to_be_kept_counts_as_missing_and_is_told() {
    let sample = sample(&[(60, json!({ "kind": "x".repeat(600) })), (60, json!({ "kind": "a" }))]);
    let count =
        json!({ "event": TYPE, "within": "1h", "where": { "field": "event.data.kind", "op": "is_empty" } });
    let explained =
        parse(json!({ "count": count, "op": "equals", "value": 1 })).explain(&sample.facts()).unwrap();
    assert!(explained.holds);
    assert_eq!(explained.comparisons[0].counted.as_ref().unwrap().not_kept, 1);
}

#[test]
fn more_events_than_are_looked_at_have_a_figure_only_where_they_decide() {
    let mut sample = sample(&[(60, json!({})), (30, json!({})), (10, json!({}))]);
    sample.past.as_mut().unwrap().add(TYPE, [], true);
    for (op, value, expected) in [
        ("greater_or_equal", 3, Ok(true)),
        ("less_than", 3, Ok(false)),
        ("greater_than", 2, Ok(true)),
        ("equals", 2, Ok(false)),
        ("greater_than", 3, Err(())),
        ("equals", 3, Err(())),
        ("less_or_equal", 5, Err(())),
    ] {
        let count = json!({ "count": { "event": TYPE, "within": "7d" }, "op": op, "value": value });
        assert_eq!(parse(count).holds(&sample.facts()).map_err(|_| ()), expected, "{op} {value}");
    }
    let sum = json!({ "sum": { "event": TYPE, "of": "event.data.total", "within": "7d" }, "op": "equals", "value": 0 });
    assert_eq!(parse(sum).holds(&sample.facts()), Err(Exceeded::Events { allowed: MOST_EVENTS }));
    // A shorter window than was looked at is whole.
    let mut sample = super::tests::sample(&[(7_200, json!({})), (10, json!({}))]);
    sample.past.as_mut().unwrap().add(TYPE, [], true);
    assert_eq!(figure(&sample, "count", json!({})), Some(json!(1)));
}

#[test]
fn what_nobody_gathered_has_no_figure() {
    let mut sample = sample(&[]);
    let other = json!({ "count": { "event": "page.visited", "within": "1h" }, "op": "equals", "value": 0 });
    assert_eq!(parse(other).holds(&sample.facts()), Err(Exceeded::Unknown));
    sample.past = None;
    assert_eq!(at_least(1).holds(&sample.facts()), Err(Exceeded::Unknown));
    assert_eq!(sample.budget.refused(), Some(Exceeded::Unknown), "so that whoever asks notices");
}

#[test]
fn a_figure_is_charged_for_what_it_looks_at() {
    let events: Vec<_> = (0..1_000).map(|_| (60, json!({ "total": 1 }))).collect();
    let sample = sample(&events);
    assert_eq!(figure(&sample, "sum", of_total()), Some(json!(1_000)));
    let spent = sample.budget.spent_steps();
    assert!((2_000..3_000).contains(&spent), "{spent}");
}

#[test]
fn a_figure_turns_when_an_event_leaves_its_window_if_that_may_change_the_result() {
    let sample = sample(&[(3_000, json!({})), (600, json!({}))]);
    let leaves = sample.now + TimeDelta::seconds(600) + TimeDelta::microseconds(1);
    let count = |op: &str, value: u64| {
        let count = json!({ "count": { "event": TYPE, "within": "1h" }, "op": op, "value": value });
        parse(count).next_turn(&sample.facts())
    };
    assert_eq!(count("less_than", 2), Some(leaves), "it comes true as events leave");
    assert_eq!(count("greater_or_equal", 2), Some(leaves), "it comes false, which matters within not");
    assert_eq!(count("greater_or_equal", 3), None, "only an event makes it true");
    assert_eq!(count("less_than", 5), None, "only an event makes it false");
    assert_eq!(count("equals", 1), Some(leaves));
    let mut ahead = super::tests::sample(&[]);
    let event = PastEvent { received_at: ahead.now, ..past(&ahead, 1, TimeDelta::minutes(-2), json!({})) };
    ahead.past.as_mut().unwrap().add(TYPE, [event], false);
    assert_eq!(at_least(1).next_turn(&ahead.facts()), Some(ahead.now + TimeDelta::minutes(2)));
}

#[test]
fn everything_wrong_with_a_figure_is_said() {
    let count = |inner: Value| json!({ "count": inner, "op": "greater_or_equal", "value": 3 });
    let all = json!({ "all": [
        count(json!({ "event": "page.visited" })),
        count(json!({ "event": "Page Visited", "within": "7d" })),
        count(json!({ "event": "page.visited", "within": "30s" })),
        count(json!({ "event": "page.visited", "within": "91d" })),
        count(json!({ "event": "page.visited", "within": "a week" })),
        count(json!({ "event": "page.visited", "within": "7d", "of": "event.data.x" })),
        count(json!({ "event": "page.visited", "within": "7d", "wehre": {} })),
        count(json!({ "event": "page.visited", "within": "7d", "where": { "field": "contact.email", "op": "is_empty" } })),
        count(json!({ "event": "page.visited", "within": "7d", "where": { "field": "event.time", "op": "is_empty" } })),
        count(json!({ "event": "page.visited", "within": "7d", "where": count(json!({ "event": "x", "within": "7d" })) })),
        count(json!([])),
        { "sum": { "event": "order.completed", "within": "7d" }, "op": "equals", "value": 1 },
        { "sum": { "event": "order.completed", "within": "7d", "of": "contact.score" }, "op": "equals", "value": 1 },
        { "max": { "event": "order.completed", "within": "7d", "of": "event.data.total" }, "op": "contains", "value": 1 },
        { "max": { "event": "order.completed", "within": "7d", "of": "event.data.total" }, "op": "equals", "value": "many" },
        { "max": { "event": "order.completed", "within": "7d", "of": "event.data.total" }, "op": "equals" },
        { "count": { "event": "page.visited", "within": "7d" }, "op": "equals", "value": 1, "field": "event.id" },
    ] });
    insta::assert_snapshot!(problems(all), @r#"
    where.all[0].count: a condition needs "within" [missing_key]
    where.all[1].count.event: an event type is words of a-z, 0-9, _ and - with single dots between them, at most 128 bytes [bad_name]
    where.all[2].count.within: events are looked at from 1m to 90d back [bad_value]
    where.all[3].count.within: events are looked at from 1m to 90d back [bad_value]
    where.all[4].count.within: "a week" is not a duration: write 15m, 1h, 7d or 1h30m [bad_duration]
    where.all[5].count.of: count counts events, not a field of theirs [unknown_key]
    where.all[6].count.wehre: count has no key "wehre" (did you mean "where"?) [unknown_key]
    where.all[7].count.where.field: "contact.email" is not known of past events: ask for event.data.…, event.source or event.id [unknown_field]
    where.all[8].count.where.field: "event.time" is not known of past events: ask for event.data.…, event.source or event.id [unknown_field]
    where.all[9].count.where.count: past events cannot be asked for what happened before them [bad_condition]
    where.all[10].count: count is an object: {event, where, within} [wrong_type]
    where.all[11].sum: sum needs "of": the field of the events [missing_key]
    where.all[12].sum.of: "contact.score" is no number of an event: write event.data.total [unknown_field]
    where.all[13].op: contains is for texts and lists; a figure is a number [unknown_operator]
    where.all[14].value: a figure is compared with a number [wrong_type]
    where.all[15]: equals needs "value" [missing_key]
    where.all[16].field: "field" cannot stand beside count [unknown_key]
    "#);
}

#[test]
fn a_workflow_may_have_so_many_figures() {
    let one = json!({ "count": { "event": "page.visited", "within": "7d" }, "op": "equals", "value": 1 });
    let many = |count: usize| json!({ "all": vec![one.clone(); count] });
    parse(many(20));
    assert_eq!(
        problems(many(22)),
        "where.all[20]: a workflow may have at most 20 figures over past events [too_many_aggregates]"
    );
}

proptest! {
    #[test]
    fn any_figure_is_that_of_a_naive_count(
        events in prop::collection::vec((-120_i64..7_300, -500_i64..500, prop::bool::ANY), 0..40),
        window in 1_u32..=120,
    ) {
        let data = |total: i64, big: bool| json!({ "total": total as f64 / 100.0, "kind": if big { "big" } else { "small" } });
        let given: Vec<_> = events.iter().map(|(age, total, big)| (*age, data(*total, *big))).collect();
        let mut sample = sample(&given);
        // All of it was known long ago, however it is dated.
        let mut history = History::new(sample.now);
        let known = sample.past.take().unwrap().of_type(TYPE).unwrap().events.clone();
        let received_at = sample.now - TimeDelta::days(1);
        history.add(TYPE, known.into_iter().map(|event| PastEvent { received_at, ..event }), false);
        sample.past = Some(history);
        let counted: Vec<i64> = events
            .iter()
            .filter(|(age, _, big)| *age >= 0 && *age <= i64::from(window) * 60 && *big)
            .map(|(_, total, _)| *total)
            .collect();
        let is_big = json!({ "field": "event.data.kind", "op": "equals", "value": "big" });
        let within = format!("{window}m");
        let figure = |aggregate: &str| {
            let mut inner = json!({ "within": within, "where": is_big });
            if aggregate != "count" {
                inner["of"] = json!("event.data.total");
            }
            figure(&sample, aggregate, inner).and_then(|figure| figure.as_f64())
        };
        let cents = |cents: i64| cents as f64 / 100.0;
        prop_assert_eq!(figure("count"), Some(counted.len() as f64));
        prop_assert_eq!(figure("sum"), Some(cents(counted.iter().sum())));
        prop_assert_eq!(figure("min"), counted.iter().min().map(|least| cents(*least)));
        prop_assert_eq!(figure("max"), counted.iter().max().map(|most| cents(*most)));
        let mean = figure("average");
        prop_assert_eq!(mean.is_some(), !counted.is_empty());
        if let Some(mean) = mean {
            let expected = cents(counted.iter().sum()) / counted.len() as f64;
            prop_assert!((mean - expected).abs() < 1e-9, "{} {}", mean, expected);
        }
    }
}
