//! What workflows are for, on real servers: counted once for each run, whether that is open or has ended.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod engine;

use automation_domain::limits::Limits;
use automation_domain::workflow;
use automation_operations::workflows::{self, Conversion};
use automation_operations::{Session, runs};
use automation_test_support::builders;
use chrono::{DateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use engine::{Engine, event, note_forms};
use serde_json::{Value, json};
use std::sync::LazyLock;

fn session(engine: &Engine) -> Session {
    Session { db: engine.api.clone(), tenant: engine.tenant, key: "acme".to_owned() }
}

/// Publishes a workflow as people do, so that ingest knows what its runs are for.
async fn apply(engine: &Engine, definition: &Value) -> anyhow::Result<()> {
    let limits = Limits::default();
    let workflow = workflow::parse_value(definition, automation_actions::node_types(), &limits)
        .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    workflows::apply(&session(engine), &builders::auditor("ada"), &workflow, limits.cache_bytes).await?;
    Ok(())
}

/// A workflow of one delay, or of none, that is for an order of the same cart within a week.
fn rescue(delay: Option<&str>, ends_run: bool) -> Value {
    let first = match delay {
        Some(delay) => json!({ "id": "first", "action": "delay", "with": { "for": delay } }),
        None => json!({ "id": "first", "action": "add_note", "with": { "text": "hello" } }),
    };
    json!({
        "apiVersion": "automation/v1", "key": "rescue",
        "goal": {
            "event": "order.completed", "within": "7d", "ends_run": ends_run,
            "where": { "field": "event.data.cart", "op": "equals", "value": "{{ event.data.cart }}" },
        },
        "triggers": [{ "id": "cart", "event": "cart.abandoned" }],
        "nodes": [first, { "id": "mail", "action": "add_note", "with": { "text": "come back" } }],
        "edges": [["cart", "first"], ["first", "mail"]],
    })
}

/// The instant at which all carts are left behind: eight days ago, so that a week after it is past, and no window is long over.
fn left_at() -> DateTime<Utc> {
    static LEFT_AT: LazyLock<DateTime<Utc>> =
        LazyLock::new(|| (Utc::now() - TimeDelta::days(8)).trunc_subsecs(0));
    *LEFT_AT
}

/// What happened to a contact so long after his cart was left behind, about that cart.
fn after(kind: &str, who: &str, after: TimeDelta) -> Value {
    let id = format!("{kind}-{who}-{}", after.num_milliseconds());
    let mut happened = event(kind, &id, who, json!({ "cart": format!("cart of {who}") }));
    happened["time"] = (left_at() + after).to_rfc3339_opts(SecondsFormat::AutoSi, true).into();
    happened
}

fn cart(who: &str) -> Value {
    after("cart.abandoned", who, TimeDelta::zero())
}

fn order(who: &str, so_long_after: TimeDelta) -> Value {
    after("order.completed", who, so_long_after)
}

async fn counted(engine: &Engine) -> anyhow::Result<Vec<(i32, i64, i64)>> {
    let found = workflows::goals(&session(engine), "rescue").await?.data;
    let counts = |one: Conversion| (one.version, one.entered, one.converted);
    Ok(found.into_iter().map(counts).collect())
}

const MET: &str = "SELECT count(*) FROM run_goals WHERE met_at IS NOT NULL";
const FINISHED: &str = "SELECT count(*) FROM runs_finished WHERE status = 'completed'";

#[tokio::test]
async fn a_run_that_has_ended_meets_its_goal_within_its_window_and_once() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    apply(&engine, &rescue(None, true)).await?;
    let all = ["third-day", "last-instant", "too-late", "before", "other-cart", "twice"];
    engine.publish(all.iter().map(|who| cart(who)).collect()).await?;
    engine.until(FINISHED, 6).await?;
    let mut other = order("other-cart", TimeDelta::days(3));
    other["data"]["cart"] = "another".into();
    engine
        .publish(vec![
            order("third-day", TimeDelta::days(3)),
            order("last-instant", TimeDelta::days(7)),
            order("too-late", TimeDelta::days(7) + TimeDelta::milliseconds(1)),
            order("before", TimeDelta::seconds(-1)),
            other,
            order("twice", TimeDelta::days(1)),
            order("twice", TimeDelta::days(2)),
            order("twice", TimeDelta::days(1)),
        ])
        .await?;
    engine.until(MET, 3).await?;
    engine.until("SELECT count(*) FROM events WHERE event_type = 'order.completed'", 7).await?;
    // One more is taken in after all of them, so they have been looked at.
    engine.publish(vec![cart("last"), order("last", TimeDelta::days(1))]).await?;
    engine.until(MET, 4).await?;
    assert_eq!(counted(&engine).await?, [(1, 7, 4)]);
    let met = "SELECT count(*) FROM run_goals g JOIN contacts c USING (tenant_id, contact_id) WHERE g.met_at IS NOT NULL
                  AND c.subject IN ('third-day', 'last-instant', 'twice', 'last')";
    assert_eq!(engine.count(met).await?, 4);
    assert_eq!(engine.count("SELECT count(*) FROM runs_finished").await?, 7, "no run ended twice");
    engine.stop().await
}

#[tokio::test]
async fn a_goal_ends_an_open_run_in_the_commit_that_counts_it_and_only_if_it_ends_runs() -> anyhow::Result<()>
{
    let engine = Engine::start(1).await?;
    apply(&engine, &rescue(Some("30d"), true)).await?;
    engine.publish(vec![cart("ada"), cart("bob")]).await?;
    engine.until("SELECT count(*) FROM runs_open WHERE status = 'waiting'", 2).await?;
    engine.publish(vec![order("ada", TimeDelta::days(1))]).await?;
    engine.until(FINISHED, 1).await?;
    assert_eq!(engine.count(MET).await?, 1, "counted and ended in one commit");
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 0);
    for table in ["wakeups", "runs_open"] {
        assert_eq!(engine.count(&format!("SELECT count(*) FROM {table}")).await?, 1, "that of bob: {table}");
    }
    let found = runs::list(&session(&engine), &runs::Filter::default(), 10, None).await?.data;
    let ada = found.iter().find(|run| run.contact.as_deref() == Some("ada")).map(|run| run.id);
    let explained = runs::explain(&session(&engine), ada.expect("ada has a run"), &Limits::default()).await?;
    let shown = serde_json::to_value(&explained)?.to_string();
    assert!(shown.contains("\"goal\"") && shown.contains("order.completed-ada-86400000"), "{shown}");

    // A version whose goal only measures: its runs stay where they are. Those of before stay with the version they began with.
    apply(&engine, &rescue(Some("30d"), false)).await?;
    engine.publish(vec![cart("cleo")]).await?;
    engine.until("SELECT count(*) FROM runs_open WHERE status = 'waiting'", 2).await?;
    engine.publish(vec![order("cleo", TimeDelta::days(1))]).await?;
    engine.until(MET, 2).await?;
    assert_eq!(engine.count("SELECT count(*) FROM runs_open WHERE status = 'waiting'").await?, 2);
    engine.publish(vec![order("bob", TimeDelta::days(1))]).await?;
    engine.until(FINISHED, 2).await?;
    assert_eq!(counted(&engine).await?, [(2, 1, 1), (1, 2, 2)]);
    engine.stop().await
}

#[tokio::test]
async fn a_goal_that_arrived_before_its_trigger_counts_and_ends_the_run_before_its_first_step()
-> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    apply(&engine, &rescue(Some("1s"), true)).await?;
    engine.publish(vec![order("ada", TimeDelta::days(1)), order("bob", TimeDelta::hours(-1))]).await?;
    engine.until("SELECT count(*) FROM contact_events", 2).await?;
    engine.publish(vec![cart("ada"), cart("bob")]).await?;
    engine.until(FINISHED, 2).await?;
    assert_eq!(counted(&engine).await?, [(1, 2, 1)]);
    assert_eq!(
        engine.count("SELECT count(*) FROM notes").await?,
        1,
        "the order of bob is older than his cart"
    );
    engine.stop().await
}

#[tokio::test]
async fn a_workflow_without_a_goal_keeps_nothing_of_goals() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(note_forms("forms")).await?;
    engine
        .publish(vec![event("form.submitted", "1", "ada", json!({ "form_id": "contact", "text": "hi" }))])
        .await?;
    engine.until(FINISHED, 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM run_goals").await?, 0);
    assert_eq!(workflows::goals(&session(&engine), "forms").await?.data, []);
    engine.stop().await
}
