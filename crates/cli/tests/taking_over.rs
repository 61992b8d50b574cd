//! Workers vanish, workflows pause, people cancel: what is owed is done once, or not at all.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod engine;

use automation_store::runs::cancel::{self, Cancelled};
use automation_store::runs::hold;
use automation_store::runs::lists::{self, RunFilter};
use automation_store::{Scope, workflows};
use automation_test_support::builders;
use engine::{Engine, event, note_forms};
use serde_json::{Value, json};

const COMPLETED: &str = "SELECT count(*) FROM runs_finished WHERE status = 'completed'";
const WAITING: &str = "SELECT count(*) FROM runs_open WHERE status = 'waiting'";

/// A workflow that waits, and then notes the form.
fn note_later(wait: &str) -> Value {
    let mut workflow = note_forms("later");
    workflow["nodes"] = json!([
        { "id": "wait", "action": "delay", "with": { "for": wait } },
        { "id": "note", "action": "add_note", "with": { "text": "late" } },
    ]);
    workflow["edges"] = json!([["form", "wait"], ["wait", "note"]]);
    workflow
}

fn form(number: i64) -> Value {
    event(
        "form.submitted",
        &number.to_string(),
        &format!("contact-{number}"),
        json!({ "form_id": "contact" }),
    )
}

/// An engine without roles, and runs that vanished workers hold: one for each number of abandonments before.
async fn with_vanished_workers(abandoned: &[i16]) -> anyhow::Result<Engine> {
    let mut engine = Engine::start(1).await?;
    engine.apply(note_later("4s")).await?;
    let count = i64::try_from(abandoned.len())?;
    engine.publish((0..count).map(form).collect()).await?;
    engine.until(WAITING, count).await?;
    engine.drain().await?;
    engine.until("SELECT count(*) FROM wakeups WHERE ready_at < now()", count).await?;
    engine
        .database
        .execute(
            "UPDATE runs_open SET status = 'running', lease_until = now() - interval '1 second';
             UPDATE wakeups SET due_at = now()",
        )
        .await?;
    for (number, abandoned) in abandoned.iter().enumerate() {
        let contact = format!("(SELECT contact_id FROM contacts WHERE subject = 'contact-{number}')");
        let sql = format!("UPDATE runs_open SET abandoned = {abandoned} WHERE contact_id = {contact}");
        engine.database.execute(&sql).await?;
    }
    Ok(engine)
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_of_vanished_workers_are_taken_over_and_a_suspect_is_claimed_alone() -> anyhow::Result<()> {
    let mut engine = with_vanished_workers(&[0, 0, 0, 1, 2, 3, 4, 4, 4]).await?;
    let before = engine.count("SELECT max(epoch)::int8 FROM runs_open").await?;
    engine.start_roles();
    engine.start_roles();
    engine.until(COMPLETED, 9).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'late'").await?, 9);
    assert_eq!(engine.count("SELECT count(DISTINCT contact_id) FROM notes").await?, 9);
    assert_eq!(engine.count("SELECT count(*) FROM wakeups").await?, 0);
    // A suspect that came with others was handed back and claimed once more; those that nobody suspects were not.
    let once = format!("SELECT count(*) FROM runs_finished WHERE epoch = {before} + 1");
    assert!(engine.count(&once).await? >= 3);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_six_workers_in_a_row_did_not_survive_is_given_up_alone() -> anyhow::Result<()> {
    let mut engine = with_vanished_workers(&[0, 5, 2]).await?;
    engine.start_roles();
    engine.until(COMPLETED, 2).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'failed'", 1).await?;
    let lost = "SELECT count(*) FROM runs_finished r JOIN contacts c USING (tenant_id, contact_id)
                 WHERE c.subject = 'contact-1' AND convert_from(r.state, 'UTF8') LIKE '%worker_lost%'";
    assert_eq!(engine.count(lost).await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM runs_open").await?, 0);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_workflow_starts_nothing_and_holds_its_runs_until_it_is_resumed() -> anyhow::Result<()> {
    let engine = Engine::start(2).await?;
    engine.apply(note_later("4s")).await?;
    engine.publish(vec![form(1)]).await?;
    engine.until(WAITING, 1).await?;
    set_state(&engine, "paused").await?;
    engine.publish(vec![form(2)]).await?;
    engine.until("SELECT count(*) FROM runs_open WHERE status = 'paused'", 1).await?;
    engine.until("SELECT count(*) FROM events", 2).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 0);
    set_state(&engine, "active").await?;
    engine.until(COMPLETED, 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 1);
    engine.publish(vec![form(3)]).await?;
    engine.until(COMPLETED, 2).await?;
    assert_eq!(engine.count("SELECT count(*) FROM runs_open").await?, 0);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pausing_and_resuming_under_way_leaves_no_run_behind() -> anyhow::Result<()> {
    let engine = Engine::start(2).await?;
    engine.apply(note_later("1s")).await?;
    for number in 0..200 {
        engine.publish(vec![form(number)]).await?;
        set_state(&engine, if number % 2 == 0 { "paused" } else { "active" }).await?;
    }
    engine.until("SELECT count(*) FROM events", 200).await?;
    for _ in 0..50 {
        set_state(&engine, "paused").await?;
        set_state(&engine, "active").await?;
    }
    engine.until("SELECT count(*) FROM runs_open", 0).await?;
    let runs = engine.count("SELECT count(*) FROM runs_finished").await?;
    assert!(runs > 0);
    assert_eq!(engine.count(COMPLETED).await?, runs);
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, runs);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cancelled_while_it_waits_does_nothing_more() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(note_later("4s")).await?;
    engine.publish(vec![form(1), form(2)]).await?;
    engine.until(WAITING, 2).await?;
    let cancelled = engine
        .api
        .tx(Scope::Tenant(engine.tenant), async |connection| {
            let runs = lists::list(connection, engine.tenant, &RunFilter::default(), 10).await?;
            let run = runs.iter().find(|run| run.run_key == "contact-1").map(|run| run.run_id);
            cancel::cancel(
                connection,
                engine.tenant,
                run.expect("it waits"),
                builders::ada(),
                "changed her mind",
            )
            .await
        })
        .await?;
    assert_eq!(cancelled, Cancelled::Now);
    engine.until(COMPLETED, 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM runs_finished WHERE status = 'cancelled'").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM wakeups").await?, 0);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_paused_in_its_delay_is_not_woken_and_goes_on_late_when_it_is_resumed()
-> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(note_later("4s")).await?;
    engine.publish(vec![form(1), form(2)]).await?;
    engine.until(WAITING, 2).await?;
    let tenant = engine.tenant;
    let run = engine
        .api
        .tx(Scope::Tenant(tenant), async |connection| {
            let open = lists::open(connection, tenant, &RunFilter::default(), None, 10).await?;
            hold::pause(connection, (tenant, open[0].run_id), builders::ada(), "wait").await?;
            Ok::<_, automation_store::Error>(open[0].run_id)
        })
        .await?;
    engine.until(COMPLETED, 1).await?;
    engine.until("SELECT count(*) FROM wakeups WHERE ready_at < now()", 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM runs_open WHERE status = 'paused'").await?, 1);
    engine
        .api
        .tx(Scope::Tenant(tenant), async |connection| {
            hold::resume(connection, (tenant, run), builders::ada(), "go on").await
        })
        .await?;
    engine.until(COMPLETED, 2).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 2);
    engine.stop().await
}

async fn set_state(engine: &Engine, state: &str) -> anyhow::Result<()> {
    engine
        .api
        .tx(Scope::Tenant(engine.tenant), async |connection| {
            let workflow =
                workflows::by_key(connection, engine.tenant, "later").await?.expect("it was applied");
            workflows::set_state(connection, engine.tenant, workflow.workflow_id, state).await?;
            workflows::release_held(connection, engine.tenant, workflow.workflow_id, None, 1_000).await
        })
        .await?;
    Ok(())
}
