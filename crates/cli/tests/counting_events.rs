//! Workflows that go by what happened to a contact before, on real servers.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod engine;

use automation_domain::limits::Limits;
use automation_domain::workflow;
use automation_operations::events::{self, Name};
use automation_operations::retention::{self, Retention};
use automation_operations::{Error, Refusal, Session, workflows};
use automation_store::role::Operator;
use automation_test_support::builders;
use chrono::{TimeDelta, Utc};
use engine::{Engine, event};
use serde_json::{Value, json};

fn session(engine: &Engine) -> Session {
    Session { db: engine.api.clone(), tenant: engine.tenant, key: "acme".to_owned() }
}

/// Publishes a workflow as people do, so that ingest keeps what its conditions read.
async fn apply(engine: &Engine, definition: Value) -> Result<(), Error> {
    let limits = Limits::default();
    let workflow = workflow::parse_value(&definition, automation_actions::node_types(), &limits)
        .map_err(Refusal::Definition)?;
    workflows::apply(&session(engine), &builders::auditor("ada"), &workflow, limits.cache_bytes).await?;
    Ok(())
}

/// Notes the visit that is the third to a page of prices within a week.
fn third_visit() -> Value {
    json!({
        "apiVersion": "automation/v1", "key": "keen", "name": "keen",
        "triggers": [{
            "id": "visited", "event": "page.visited",
            "where": {
                "count": {
                    "event": "page.visited", "within": "7d",
                    "where": { "field": "event.data.url", "op": "starts_with", "value": "/pricing" },
                },
                "op": "equals", "value": 3,
            },
        }],
        "nodes": [{ "id": "note", "action": "add_note", "with": { "text": "keen: {{ event.id }}" } }],
        "edges": [["visited", "note"]],
    })
}

fn happened(event_type: &str, id: &str, who: &str, ago: TimeDelta, data: Value) -> Value {
    let mut event = event(event_type, id, who, data);
    event["time"] = (Utc::now() - ago).to_rfc3339().into();
    event
}

fn visit(who: &str, number: i64) -> Value {
    let id = format!("{who}-{number}");
    happened(
        "page.visited",
        &id,
        who,
        TimeDelta::seconds(100 - number),
        json!({ "url": format!("/pricing?n={number}") }),
    )
}

const EVENTS: &str = "SELECT count(*) FROM events";
const NOTES: &str = "SELECT count(*) FROM notes";

#[tokio::test]
async fn a_run_begins_at_the_third_visit_and_at_no_other_and_the_event_tells_the_figure() -> anyhow::Result<()>
{
    let engine = Engine::start(1).await?;
    apply(&engine, third_visit()).await?;
    // Neither of these counts: another page, and one that is too long ago.
    let blog = happened("page.visited", "blog", "ada", TimeDelta::zero(), json!({ "url": "/blog" }));
    let old = happened("page.visited", "old", "ada", TimeDelta::days(8), json!({ "url": "/pricing" }));
    engine.publish(vec![blog, old]).await?;
    engine.until(EVENTS, 2).await?;
    for number in 1..=4 {
        engine.publish(vec![visit("ada", number)]).await?;
        engine.until(EVENTS, 2 + number).await?;
        // What is delivered again is not counted again.
        engine.publish(vec![visit("ada", number)]).await?;
    }
    engine.until("SELECT count(*) FROM notes WHERE body = 'keen: ada-3'", 1).await?;
    engine.until("SELECT count(*) FROM runs_open", 0).await?;
    assert_eq!(engine.count(NOTES).await?, 1);
    for (number, figure) in [(2, 2), (3, 3), (4, 4)] {
        let (id, limits) = (format!("ada-{number}"), Limits::default());
        let shown = events::show(&session(&engine), Name::Of { source: "shop", id: &id }, &limits).await?;
        let told = &shown.judged[0].entries[0].comparisons[0];
        assert_eq!((&told.actual, told.holds), (&json!(figure), figure == 3), "as of that event");
        assert_eq!(told.field, "count of page.visited within 7d");
        assert_eq!(shown.judged[0].verdict.as_str(), if figure == 3 { "started" } else { "condition_false" });
    }
    engine.stop().await
}

#[tokio::test]
async fn of_visits_that_come_all_at_once_to_many_workers_one_is_the_third() -> anyhow::Result<()> {
    const PEOPLE: usize = 40;
    let engine = Engine::start(2).await?;
    apply(&engine, third_visit()).await?;
    let visits = (1..=5).flat_map(|number| (0..PEOPLE).map(move |who| visit(&format!("who-{who}"), number)));
    // One message each, so that several workers have visits of one contact at the same time.
    engine.publish(visits.collect()).await?;
    engine.until(EVENTS, 5 * PEOPLE as i64).await?;
    engine.until(NOTES, PEOPLE as i64).await?;
    engine.until("SELECT count(*) FROM runs_open", 0).await?;
    assert_eq!(engine.count("SELECT count(DISTINCT contact_id) FROM notes").await?, PEOPLE as i64);
    assert_eq!(engine.count(NOTES).await?, PEOPLE as i64);
    engine.stop().await
}

/// Notes by the sum of the orders of a month how good a customer is.
fn customers() -> Value {
    json!({
        "apiVersion": "automation/v1", "key": "customers", "name": "customers",
        "triggers": [{ "id": "asked", "event": "form.submitted" }],
        "nodes": [
            { "id": "size", "action": "branch", "with": { "cases": [{ "name": "big", "where": {
                "sum": { "event": "order.completed", "of": "event.data.total", "within": "30d" },
                "op": "greater_than", "value": 500 } }] } },
            { "id": "big", "action": "add_note", "with": { "text": "big" } },
            { "id": "small", "action": "add_note", "with": { "text": "small" } },
        ],
        "edges": [
            ["asked", "size"],
            { "from": "size", "case": "big", "to": "big" },
            { "from": "size", "case": "else", "to": "small" },
        ],
    })
}

#[tokio::test]
async fn a_branch_goes_by_the_sum_of_orders_also_of_those_from_before_it_was_published() -> anyhow::Result<()>
{
    let engine = Engine::start(1).await?;
    // A version that only counts orders: of their content nothing is kept.
    let mut counts = third_visit();
    counts["triggers"][0]["where"] =
        json!({ "count": { "event": "order.completed", "within": "30d" }, "op": "equals", "value": 1_000 });
    apply(&engine, counts).await?;
    let order = |who: &str, number: i64, days: i64, total: Value| {
        happened(
            "order.completed",
            &format!("{who}-{number}"),
            who,
            TimeDelta::days(days),
            json!({ "total": total }),
        )
    };
    let orders = vec![
        order("ada", 1, 1, json!(499.99)),
        order("ada", 2, 29, json!("0.02")),
        order("bob", 1, 1, json!(500)),
        order("bob", 2, 31, json!(1_000)),
        order("bob", 3, 2, json!("many")),
    ];
    engine.publish(orders).await?;
    engine.until("SELECT count(*) FROM contact_events WHERE content IS NULL", 5).await?;
    apply(&engine, customers()).await?;
    assert_eq!(engine.count("SELECT count(*) FROM contact_events WHERE content IS NULL").await?, 0);
    let asks = |who: &str, number: i64| {
        happened("form.submitted", &format!("asks-{who}-{number}"), who, TimeDelta::zero(), json!({}))
    };
    engine.publish(vec![asks("ada", 1), asks("bob", 1), asks("cid", 1)]).await?;
    engine.until(NOTES, 3).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'big'").await?, 1);
    // What comes from now on is kept as it is taken in.
    engine.publish(vec![order("bob", 4, 0, json!(0.01))]).await?;
    engine.until("SELECT count(*) FROM contact_events", 6).await?;
    engine.publish(vec![asks("bob", 2)]).await?;
    engine.until("SELECT count(*) FROM notes WHERE body = 'big'", 2).await?;
    engine.stop().await
}

#[tokio::test]
async fn a_wait_for_a_count_goes_on_with_the_event_that_makes_it_so_many() -> anyhow::Result<()> {
    let engine = Engine::start(2).await?;
    apply(
        &engine,
        json!({
            "apiVersion": "automation/v1", "key": "waits", "name": "waits",
            "triggers": [{ "id": "asked", "event": "form.submitted" }],
            "nodes": [
                { "id": "wait", "action": "wait_until", "with": { "timeout": "1h", "any": [{ "name": "often", "where": {
                    "count": { "event": "page.visited", "within": "1d" }, "op": "greater_or_equal", "value": 3 } }] } },
                { "id": "note", "action": "add_note", "with": { "text": "often" } },
            ],
            "edges": [["asked", "wait"], { "from": "wait", "case": "often", "to": "note" }],
        }),
    )
    .await?;
    let people: Vec<String> = (0..20).map(|number| format!("who-{number}")).collect();
    let all = |number: i64| people.iter().map(move |who| visit(who, number)).collect::<Vec<_>>();
    engine.publish(all(1)).await?;
    engine.until(EVENTS, 20).await?;
    let asks = people
        .iter()
        .map(|who| happened("form.submitted", &format!("asks-{who}"), who, TimeDelta::zero(), json!({})));
    // The second visit comes together with the beginning of the wait.
    engine.publish(asks.chain(all(2)).collect()).await?;
    engine.until("SELECT count(DISTINCT run_id) FROM waits", 20).await?;
    engine.until(EVENTS, 60).await?;
    assert_eq!(engine.count(NOTES).await?, 0);
    engine.publish(all(3)).await?;
    engine.until(NOTES, 20).await?;
    engine.until("SELECT count(*) FROM runs_open", 0).await?;
    assert_eq!(engine.count("SELECT count(*) FROM waits").await?, 0);
    engine.stop().await
}

#[tokio::test]
async fn a_window_that_is_longer_than_events_are_kept_is_refused_with_both_figures() -> anyhow::Result<()> {
    let engine = Engine::start(0).await?;
    let mut longer = customers();
    longer["nodes"][0]["with"]["cases"][0]["where"]["sum"]["within"] = "90d".into();
    let refused = apply(&engine, longer.clone()).await;
    let Err(Error::Refused(Refusal::Definition(problems))) = refused else { panic!("{refused:?}") };
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "nodes[0].with.cases[0].where.sum.within: events are kept for 30d, and this counts those within 90d [window_too_long]"
        ]
    );
    assert_eq!(engine.count("SELECT count(*) FROM watched_types").await?, 0, "and nothing is watched for it");
    engine.database.execute("UPDATE retention SET keep_days = 90 WHERE table_name = 'events'").await?;
    apply(&engine, longer).await?;
    let lower = "UPDATE retention SET keep_days = 60 WHERE table_name = 'events'";
    let refused = engine.database.execute(lower).await.unwrap_err();
    assert!(format!("{refused:#}").contains("more than 60 days: acme/customers (90d)"), "{refused:#}");
    engine
        .database
        .execute(&format!(
            "SET automation.lower_retention = 'confirmed'; {lower}; RESET automation.lower_retention"
        ))
        .await?;
    engine.stop().await
}

#[tokio::test]
async fn a_tenants_own_days_are_what_its_windows_are_held_against() -> anyhow::Result<()> {
    let engine = Engine::start(0).await?;
    let operator = engine.database.store::<Operator>();
    let keep = async |days, force| {
        let (key, subject) = ("acme".to_owned(), "events".to_owned());
        let kept = Retention { key, subject, days, force };
        retention::set(&operator, &builders::auditor("ada"), kept).await
    };
    keep(Some(100), false).await?;
    let mut longer = customers();
    longer["nodes"][0]["with"]["cases"][0]["where"]["sum"]["within"] = "90d".into();
    apply(&engine, longer).await?;
    for days in [Some(60), None] {
        let refused = keep(days, false).await;
        let Err(Error::Refused(refusal @ Refusal::RetentionCounted(_))) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(refusal.to_string(), "workflows count events of more days: customers (90d)");
    }
    // Days of all tenants are none of this one's.
    engine.database.execute("UPDATE retention SET keep_days = 20 WHERE table_name = 'events'").await?;
    keep(Some(60), true).await?;
    engine.stop().await
}

#[tokio::test]
async fn of_events_of_one_type_so_many_fields_are_kept() -> anyhow::Result<()> {
    let engine = Engine::start(0).await?;
    let counts = |key: &str, fields: std::ops::Range<usize>| {
        let all: Vec<Value> = fields
            .map(|field| json!({ "field": format!("event.data.f{field}"), "op": "is_empty" }))
            .collect();
        let mut counts = third_visit();
        counts["key"] = key.into();
        counts["triggers"][0]["where"]["count"]["where"] = json!({ "all": all });
        counts
    };
    apply(&engine, counts("a", 0..20)).await?;
    apply(&engine, counts("b", 10..32)).await?;
    let refused = apply(&engine, counts("c", 30..34)).await;
    let Err(Error::Refused(Refusal::Definition(problems))) = refused else { panic!("{refused:?}") };
    assert_eq!(problems[0].code, "too_many_fields");
    assert!(
        problems[0].message.contains("32") && problems[0].message.contains("34"),
        "{}",
        problems[0].message
    );
    engine.stop().await
}
