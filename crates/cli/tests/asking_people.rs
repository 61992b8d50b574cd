//! Runs that ask people, on real servers: whatever a person was told is what happens.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod engine;

use automation_domain::limits::Limits;
use automation_domain::workflow;
use automation_operations::approvals::{self, Approval, Filter};
use automation_operations::{Error, Session, runs, workflows};
use automation_test_support::builders::ada;
use engine::{Engine, event};
use serde_json::{Value, json};

fn session(engine: &Engine) -> Session {
    Session { db: engine.api.clone(), tenant: engine.tenant, key: "acme".to_owned() }
}

async fn apply(engine: &Engine, definition: Value) -> anyhow::Result<()> {
    let limits = Limits::default();
    let workflow = workflow::parse_value(&definition, automation_actions::node_types(), &limits)
        .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    workflows::apply(&session(engine), ada(), &workflow, limits.cache_bytes).await?;
    Ok(())
}

/// Notes on whoever asked what was said of it.
fn discount(timeout: &str) -> Value {
    json!({
        "apiVersion": "automation/v1", "key": "discount", "name": "discount",
        "triggers": [{ "id": "asked", "event": "form.submitted" }],
        "nodes": [
            { "id": "boss", "action": "approval", "with": {
                "question": "20 % off for {{ event.subject }}?", "approvers": ["maria"], "timeout": timeout } },
            { "id": "approved", "action": "add_note", "with": { "text": "approved {{ steps.boss.output.comment }}" } },
            { "id": "rejected", "action": "add_note", "with": { "text": "rejected {{ steps.boss.output.comment }}" } },
            { "id": "timeout", "action": "add_note", "with": { "text": "timeout" } },
        ],
        "edges": [
            ["asked", "boss"],
            { "from": "boss", "case": "approved", "to": "approved" },
            { "from": "boss", "case": "rejected", "to": "rejected" },
            { "from": "boss", "case": "timeout", "to": "timeout" },
        ],
    })
}

async fn ask(engine: &Engine, count: usize) -> anyhow::Result<()> {
    let events = (0..count).map(|number| {
        let who = format!("who-{number}");
        event("form.submitted", &format!("asked-{number}"), &who, json!({ "form_id": "f" }))
    });
    engine.publish(events.collect()).await?;
    engine.until("SELECT count(*) FROM approvals", count as i64).await
}

async fn all(engine: &Engine) -> anyhow::Result<Vec<Approval>> {
    Ok(approvals::list(&session(engine), &Filter::default(), 1_000).await?.data)
}

const OPEN: &str = "SELECT count(*) FROM runs_open";

#[tokio::test]
async fn a_run_goes_the_way_that_a_person_chose_and_keeps_the_comment() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    apply(&engine, discount("1h")).await?;
    ask(&engine, 2).await?;
    let asked = all(&engine).await?;
    let session = session(&engine);
    approvals::approve(&session, ada(), asked[0].id, Some("fair")).await?;
    approvals::reject(&session, ada(), asked[1].id, Some("too much")).await?;
    engine.until(OPEN, 0).await?;
    for body in ["approved fair", "rejected too much"] {
        assert_eq!(
            engine.count(&format!("SELECT count(*) FROM notes WHERE body = '{body}'")).await?,
            1,
            "{body}"
        );
    }
    for table in ["run_inbox", "wakeups"] {
        assert_eq!(engine.count(&format!("SELECT count(*) FROM {table}")).await?, 0, "{table}");
    }
    // The engine tells of what it asks, as of what it does.
    engine.until("SELECT count(*) FROM event_receipts", 4).await?;
    engine.stop().await
}

/// They are decided one after the other while their time runs out: some before, some after, some in that instant.
#[tokio::test(flavor = "multi_thread")]
async fn of_an_answer_and_a_timeout_in_one_instant_one_happens_and_it_is_the_one_that_was_told()
-> anyhow::Result<()> {
    const RUNS: usize = 60;
    let engine = Engine::start(2).await?;
    apply(&engine, discount("2s")).await?;
    ask(&engine, RUNS).await?;
    let (mut accepted, mut late) = (0, 0);
    let asked = all(&engine).await?;
    // Answers begin while there is time for some of them.
    let nearly = "SELECT count(*) FROM (SELECT FROM approvals HAVING min(due_at) <= clock_timestamp() + interval '300 ms') a";
    engine.until(nearly, 1).await?;
    let session = session(&engine);
    for approval in asked {
        match approvals::approve(&session, ada(), approval.id, Some("told")).await {
            Ok(_) => accepted += 1,
            Err(Error::Refused(refusal))
                if ["approval_too_late", "approval_closed"].contains(&refusal.code()) =>
            {
                late += 1
            }
            Err(error) => return Err(error.into()),
        }
    }
    engine.until(OPEN, 0).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'approved told'").await?, accepted);
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'timeout'").await?, late);
    assert_eq!(engine.count("SELECT count(*) FROM approvals WHERE state = 'approved'").await?, accepted);
    assert_eq!(engine.count("SELECT count(*) FROM approvals WHERE state = 'timed_out'").await?, late);
    assert_eq!(accepted + late, RUNS as i64);
    engine.stop().await
}

#[tokio::test]
async fn a_run_that_stands_at_a_pause_goes_on_when_a_person_says_so() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    apply(
        &engine,
        json!({
            "apiVersion": "automation/v1", "key": "held", "name": "held",
            "triggers": [{ "id": "asked", "event": "form.submitted" }],
            "nodes": [
                { "id": "hold", "action": "pause_workflow" },
                { "id": "note", "action": "add_note", "with": { "text": "{{ steps.hold.output.comment }}" } },
            ],
            "edges": [["asked", "hold"], ["hold", "note"]],
        }),
    )
    .await?;
    engine.publish(vec![event("form.submitted", "asked", "ada", json!({ "form_id": "f" }))]).await?;
    engine.until("SELECT count(*) FROM runs_open WHERE status = 'waiting'", 1).await?;
    let open = runs::list(&session(&engine), &runs::Filter::default(), 1, None).await?.data;
    let id = serde_json::to_value(&open[0])?["id"].as_str().unwrap_or_default().parse()?;
    runs::go_on(&session(&engine), ada(), id, None, Some("seen")).await?;
    engine.until("SELECT count(*) FROM notes WHERE body = 'seen'", 1).await?;
    engine.until(OPEN, 0).await?;
    engine.stop().await
}
