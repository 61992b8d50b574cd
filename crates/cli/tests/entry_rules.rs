//! What entry rules know of a key: longer than the history of its runs, and whatever ended them.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod engine;

use automation_domain::limits::Limits;
use automation_domain::workflow;
use automation_operations::events::{self, Name, Verdict};
use automation_operations::{Session, runs, workflows};
use automation_test_support::builders;
use chrono::TimeDelta;
use engine::{Engine, event};
use serde_json::{Value, json};

fn session(engine: &Engine) -> Session {
    Session { db: engine.api.clone(), tenant: engine.tenant, key: "acme".to_owned() }
}

fn ruled(reentry: &Value, node: &str) -> Value {
    json!({
        "apiVersion": "automation/v1", "key": "ruled", "enrolment": { "reentry": reentry },
        "exit": [{ "event": "order.created" }],
        "triggers": [{ "id": "form", "event": "form.submitted" }],
        "nodes": [
            { "id": "size", "action": "branch", "with": { "cases": [{
                "name": "done", "where": { "field": "event.data.how", "op": "equals", "value": "completes" },
            }] } },
            { "id": node, "action": "delay", "with": { "for": "30d" } },
        ],
        "edges": [["form", "size"], { "from": "size", "case": "else", "to": node }],
    })
}

/// Publishes a workflow as people do, so that ingest knows of its exits.
async fn apply(engine: &Engine, definition: &Value) -> anyhow::Result<()> {
    let limits = Limits::default();
    let workflow = workflow::parse_value(definition, automation_actions::node_types(), &limits)
        .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    workflows::apply(&session(engine), builders::ada(), &workflow, limits.cache_bytes).await?;
    Ok(())
}

/// The form of this number, a second after the one before.
fn form(id: &str, how: &str) -> Value {
    let mut form = event("form.submitted", id, "ada", json!({ "how": how }));
    form["time"] = format!("2026-11-24T08:00:0{id}Z").into();
    form
}

async fn verdict(engine: &Engine, id: &str) -> anyhow::Result<Verdict> {
    let name = Name::Of { source: "shop", id };
    let shown = events::show(&session(engine), name, &Limits::default()).await?;
    Ok(shown.judged.into_iter().map(|one| one.verdict).next().expect("one trigger listens"))
}

const OPEN: &str = "SELECT count(*) FROM runs_open WHERE status = 'waiting'";
const ENDED: &str = "SELECT count(*) FROM runs_finished";
const EVENTS: &str = "SELECT count(*) FROM events WHERE event_type = 'form.submitted'";

#[tokio::test]
async fn a_key_that_may_enter_once_does_not_when_its_history_is_gone_and_every_node_is_new()
-> anyhow::Result<()> {
    let once = json!({ "mode": "once" });
    let yearly = json!({ "mode": "always", "max": { "runs": 1, "per": "365d" } });
    for reentry in [once, yearly] {
        let engine = Engine::start(1).await?;
        engine.apply(ruled(&reentry, "nap")).await?;
        engine.publish(vec![form("1", "completes")]).await?;
        engine.until(ENDED, 1).await?;
        let began =
            engine.count("SELECT floor(extract(epoch FROM last_started_at))::bigint FROM enrolments").await?;
        // As retention leaves it, 60 days later.
        for table in ["runs_finished", "workflow_run_logs"] {
            engine.database.execute(&format!("DELETE FROM {table}")).await?;
        }
        engine.database.execute("UPDATE enrolments SET last_ended_at = now()").await?;
        engine.apply(ruled(&reentry, "sleep")).await?;
        engine.publish(vec![form("2", "completes")]).await?;
        engine.until(EVENTS, 2).await?;
        let verdict = verdict(&engine, "2").await?;
        assert!(["once", "max"].contains(&verdict.as_str()), "{verdict:?}");
        let first = verdict.since().or_else(|| Some(verdict.until()? - TimeDelta::days(365)));
        assert_eq!(first.map(|first| first.timestamp()), Some(began));
        assert_eq!(engine.count(ENDED).await? + engine.count(OPEN).await?, 0);
        engine.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_next_event_gets_in_after_a_run_that_was_completed_cancelled_or_ended_by_an_exit()
-> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    apply(&engine, &ruled(&json!({ "mode": "after_exit" }), "nap")).await?;
    engine.publish(vec![form("1", "completes")]).await?;
    engine.until(ENDED, 1).await?;
    engine.publish(vec![form("2", "waits")]).await?;
    engine.until(OPEN, 1).await?;
    engine.publish(vec![form("3", "waits")]).await?;
    engine.until(EVENTS, 3).await?;
    assert_eq!(verdict(&engine, "3").await?, Verdict::StillIn);
    let open = runs::list(&session(&engine), &runs::Filter::default(), 1, None).await?.data;
    runs::cancel(&session(&engine), builders::ada(), open[0].id, "enough").await?;
    engine.publish(vec![form("4", "waits")]).await?;
    engine.until(OPEN, 1).await?;
    let mut bought = event("order.created", "bought", "ada", json!({}));
    bought["time"] = "2026-11-24T08:00:04.5Z".into();
    engine.publish(vec![bought]).await?;
    engine.until(ENDED, 3).await?;
    engine.publish(vec![form("5", "waits")]).await?;
    engine.until(OPEN, 1).await?;
    engine.stop().await
}
