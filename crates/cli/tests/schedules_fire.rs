//! Slots become events, events become runs: after outages, across versions and pauses, and for their own trigger alone.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod engine;

use automation_domain::id::ScheduleId;
use automation_store::role::Operator;
use automation_store::{Scope, workflows};
use automation_test_support::builders;
use engine::{Engine, event, note_forms};
use serde_json::{Value, json};

/// A workflow that notes each of its slots.
fn timed(key: &str, schedule: Value) -> Value {
    json!({
        "apiVersion": "automation/v1", "key": key,
        "triggers": [{ "id": "slot", "schedule": schedule }],
        "nodes": [{ "id": "call", "action": "create_task", "with": { "title": format!("{key} {{{{ event.data.fire_at }}}}") } }],
        "edges": [["slot", "call"]],
    })
}

/// Moves the schedules of these workflows back in time: as if nobody had been there since.
async fn move_back(engine: &Engine, workflows: &str, by: &str) -> anyhow::Result<()> {
    engine
        .database
        .execute(&format!(
            "UPDATE workflow_schedules s
                SET anchor_at = anchor_at - interval '{by}', next_slot_at = next_slot_at - interval '{by}',
                    due_at = next_slot_at - interval '{by}'
               FROM workflows w WHERE w.workflow_id = s.workflow_id AND w.key LIKE '{workflows}'"
        ))
        .await
}

fn runs_of(key: &str) -> String {
    format!(
        "SELECT count(*) FROM runs_finished r JOIN workflows w USING (tenant_id, workflow_id)
          WHERE w.key = '{key}' AND r.status = 'completed'"
    )
}

fn tasks_of(key: &str) -> String {
    format!("SELECT count(DISTINCT title) FROM tasks WHERE title LIKE '{key} %'")
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_each_schedule_catches_up_by_its_rule() -> anyhow::Result<()> {
    let engine = Engine::start(2).await?;
    for rule in ["skip", "latest", "all"] {
        engine.apply(timed(rule, json!({ "every": "1h", "catch_up": rule }))).await?;
    }
    engine.apply(timed("many", json!({ "every": "1m", "catch_up": "all" }))).await?;
    // Six slots were missed: half an hour to five and a half hours ago.
    move_back(&engine, "%", "6 hours 30 minutes").await?;
    for (rule, fired, skipped) in [("skip", 0, 6), ("latest", 1, 5), ("all", 6, 0)] {
        let counted = format!(
            "SELECT count(*) FROM workflow_schedules s JOIN workflows w USING (tenant_id, workflow_id)
              WHERE w.key = '{rule}' AND s.fired = {fired} AND s.skipped = {skipped} AND s.next_slot_at > now()"
        );
        engine.until(&counted, 1).await?;
        engine.until(&runs_of(rule), fired).await?;
        assert_eq!(engine.count(&tasks_of(rule)).await?, fired, "{rule}");
    }
    // A long outage does not storm: a hundred are made up for, and the one or two that are on time.
    let many = "SELECT fired FROM workflow_schedules s JOIN workflows w USING (tenant_id, workflow_id) WHERE w.key = 'many'";
    engine.until(&format!("SELECT count(*) FROM ({many}) m WHERE fired BETWEEN 100 AND 103"), 1).await?;
    let fired = engine.count(many).await?;
    engine.until(&runs_of("many"), fired).await?;
    assert_eq!(engine.count(&tasks_of("many")).await?, fired);
    // What the events say, and how urgent their runs are.
    let facts = "SELECT count(*) FROM events e JOIN workflow_schedules s ON s.schedule_id::text = e.data->>'schedule_id'
                  WHERE e.event_type = 'schedule.interval' AND e.source = 'automation' AND e.subject IS NULL
                    AND e.contact_id IS NULL AND e.data->>'every' = s.definition->>'every'
                    AND (e.data->>'fire_at')::timestamptz = e.occurred_at";
    assert_eq!(engine.count(facts).await?, 7 + fired);
    assert_eq!(engine.count("SELECT count(*) FROM runs_finished WHERE priority = 2").await?, 7 + fired);
    assert_eq!(engine.count("SELECT count(*) FROM contacts").await?, 0);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_starts_the_trigger_it_belongs_to_and_nobody_forges_one() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    let same = json!({ "cron": "0 0 1 1 *", "timezone": "Europe/Berlin", "catch_up": "latest" });
    let mut two = timed("mine", same.clone());
    two["triggers"].as_array_mut().unwrap().push(json!({ "id": "other", "schedule": same }));
    two["edges"].as_array_mut().unwrap().push(json!(["other", "call"]));
    engine.apply(two).await?;
    engine.apply(timed("beside", same.clone())).await?;
    // Another tenant publishes the same file.
    let rival = builders::tenant(&engine.database.store::<Operator>(), "rival").await?;
    engine.apply_for(rival, timed("mine", same)).await?;
    engine
        .database
        .execute(
            "UPDATE workflow_schedules SET next_slot_at = next_slot_at - interval '1 year',
                    due_at = next_slot_at - interval '1 year'
              WHERE trigger_id = 'slot' AND tenant_key = 'acme'
                AND workflow_id = (SELECT workflow_id FROM workflows WHERE key = 'mine' AND tenant_id = workflow_schedules.tenant_id)",
        )
        .await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;

    // The shop tries to make a slot of its own, under its own name and under the engine's.
    let stored = engine
        .api
        .tx(Scope::Tenant(engine.tenant), async |connection| {
            workflows::by_key(connection, engine.tenant, "mine").await
        })
        .await?;
    let id = ScheduleId::derive(stored.unwrap().workflow_id, "slot");
    let data = json!({ "schedule_id": id, "fire_at": "2026-01-01T00:00:00Z", "expression": "0 0 1 1 *", "timezone": "UTC" });
    let mut disguised = event("schedule.cron", "forged-2", "ada", data.clone());
    disguised["source"] = json!("automation");
    // Its own events go on meanwhile.
    engine.apply(note_forms("notes")).await?;
    let form = event("form.submitted", "form-1", "ada", json!({ "form_id": "contact", "text": "hello" }));
    engine.publish(vec![event("schedule.cron", "forged-1", "ada", data), disguised, form]).await?;
    engine.until(&runs_of("notes"), 1).await?;
    engine.until("SELECT count(*) FROM parked_events WHERE reason = 'reserved_type'", 1).await?;
    engine.until("SELECT count(*) FROM parked_events WHERE reason = 'reserved_source'", 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM runs_finished").await?, 2);
    assert_eq!(engine.count("SELECT count(*) FROM runs_open").await?, 0);
    let right = "SELECT count(*) FROM runs_finished r JOIN workflows w USING (tenant_id, workflow_id)
                  WHERE w.key = 'mine' AND r.trigger_id = 'slot' AND r.tenant_id IN (SELECT tenant_id FROM tenants WHERE key = 'acme')";
    assert_eq!(engine.count(right).await?, 1);
    assert_eq!(engine.count(&format!("SELECT count(*) FROM runs_finished WHERE run_key = '{id}'")).await?, 1);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_published_in_between_loses_and_repeats_no_slot() -> anyhow::Result<()> {
    let engine = Engine::start(2).await?;
    let schedule = json!({ "every": "1h", "catch_up": "all" });
    engine.apply(timed("old", schedule.clone())).await?;
    // Each time another six slots, at other minutes: before, while and after the next version is published.
    move_back(&engine, "old", "6 hours 30 minutes").await?;
    engine.until(&runs_of("old"), 6).await?;
    let mut new = timed("new", schedule);
    new["key"] = json!("old");
    move_back(&engine, "old", "6 hours 7 minutes").await?;
    engine.apply(new).await?;
    engine.until(&runs_of("old"), 12).await?;
    move_back(&engine, "old", "6 hours 11 minutes").await?;
    engine.until(&runs_of("old"), 18).await?;
    assert_eq!(engine.count("SELECT count(DISTINCT data->>'fire_at') FROM events").await?, 18);
    assert_eq!(engine.count("SELECT count(DISTINCT version_id) FROM runs_finished").await?, 2);
    assert_eq!(
        engine.count("SELECT count(*) FROM workflow_schedules WHERE fired = 18 AND skipped = 0").await?,
        1
    );
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_workflow_does_not_fire_and_catches_up_when_it_is_resumed() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(timed("resting", json!({ "every": "1h", "catch_up": "all" }))).await?;
    engine.apply(timed("busy", json!({ "every": "1h", "catch_up": "all" }))).await?;
    let set_state = async |state: &str| {
        engine
            .api
            .tx(Scope::Tenant(engine.tenant), async |connection| {
                let stored = workflows::by_key(connection, engine.tenant, "resting").await?.unwrap();
                workflows::set_state(connection, engine.tenant, stored.workflow_id, state).await
            })
            .await
    };
    assert!(set_state("paused").await?);
    engine
        .database
        .execute(
            "UPDATE workflow_schedules SET anchor_at = anchor_at - interval '3 hours 30 minutes',
                    next_slot_at = next_slot_at - interval '3 hours 30 minutes'",
        )
        .await?;
    engine.database.execute("UPDATE workflow_schedules SET due_at = next_slot_at WHERE NOT paused").await?;
    // The other one shows that schedules fire meanwhile.
    engine.until(&runs_of("busy"), 3).await?;
    assert_eq!(engine.count("SELECT count(*) FROM runs_finished").await?, 3);
    assert!(set_state("active").await?);
    engine.until(&runs_of("resting"), 3).await?;
    assert_eq!(engine.count(&tasks_of("resting")).await?, 3);
    engine.stop().await
}
