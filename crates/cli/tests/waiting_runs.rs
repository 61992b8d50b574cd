//! Runs that wait for events of their contact, on real servers: whatever comes first, each event is found once.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod engine;

use automation_domain::limits::Limits;
use automation_domain::workflow;
use automation_operations::{Session, runs, workflows};
use automation_test_support::builders;
use engine::{Engine, event, note_forms};
use serde_json::{Value, json};

/// Publishes a workflow as people do, so that ingest knows what its runs wait for.
async fn apply(engine: &Engine, definition: Value) -> anyhow::Result<()> {
    let limits = Limits::default();
    let workflow = workflow::parse_value(&definition, automation_actions::node_types(), &limits)
        .map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let session = Session { db: engine.api.clone(), tenant: engine.tenant, key: "acme".to_owned() };
    workflows::apply(&session, &builders::auditor("ada"), &workflow, limits.cache_bytes).await?;
    Ok(())
}

/// Tags whoever asked by what came: a click, or nothing in time.
fn asks_and_waits(timeout: &str) -> Value {
    json!({
        "apiVersion": "automation/v1", "key": "ask", "name": "ask",
        "triggers": [{ "id": "asked", "event": "form.submitted" }],
        "nodes": [
            { "id": "wait", "action": "wait_until", "with": {
                "any": [{
                    "name": "clicked", "event": "email.clicked",
                    "where": { "field": "event.data.form", "op": "equals", "value": "{{ event.data.form }}" },
                }],
                "timeout": timeout,
            } },
            { "id": "clicked", "action": "add_note", "with": { "text": "clicked {{ steps.wait.output.event.id }}" } },
            { "id": "timeout", "action": "add_note", "with": { "text": "nothing came" } },
        ],
        "edges": [
            ["asked", "wait"],
            { "from": "wait", "case": "clicked", "to": "clicked" },
            { "from": "wait", "case": "timeout", "to": "timeout" },
        ],
    })
}

fn asked(who: &str) -> Value {
    event("form.submitted", &format!("asked-{who}"), who, json!({ "form": who, "form_id": "f" }))
}

/// A second after the form.
fn clicked(who: &str, form: &str) -> Value {
    let mut clicked = event("email.clicked", &format!("clicked-{who}-{form}"), who, json!({ "form": form }));
    clicked["time"] = "2026-11-24T08:00:01Z".into();
    clicked
}

const OPEN: &str = "SELECT count(*) FROM runs_open";
const WAITS: &str = "SELECT count(*) FROM waits";
const CLICKED: &str = "SELECT count(*) FROM notes WHERE body LIKE 'clicked %'";

#[tokio::test]
async fn an_event_is_found_once_whether_it_comes_before_with_or_after_the_wait() -> anyhow::Result<()> {
    const EACH: usize = 100;
    let engine = Engine::start(2).await?;
    apply(&engine, asks_and_waits("1h")).await?;
    let who = |way: &'static str| (0..EACH).map(move |number| format!("{way}-{number}"));
    // Before: the click is taken in first.
    engine.publish(who("before").map(|who| clicked(&who, &who)).collect()).await?;
    engine.until("SELECT count(*) FROM events", EACH as i64).await?;
    // With: both in one go, in either order.
    let both = who("with").enumerate().flat_map(|(number, who)| {
        let mut both = [asked(&who), clicked(&who, &who)];
        both.rotate_left(number % 2);
        both
    });
    engine.publish(who("before").map(|who| asked(&who)).chain(both).collect()).await?;
    // After: the runs wait already. The click of another form is not theirs.
    engine.publish(who("after").map(|who| asked(&who)).collect()).await?;
    engine.until(WAITS, EACH as i64).await?;
    engine.publish(who("after").map(|who| clicked(&who, "another")).collect()).await?;
    engine.publish(who("after").map(|who| clicked(&who, &who)).collect()).await?;
    engine.until(OPEN, 0).await?;
    assert_eq!(engine.count(CLICKED).await?, 3 * EACH as i64);
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 3 * EACH as i64);
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body LIKE '%another%'").await?, 0);
    for table in ["waits", "run_inbox", "wakeups"] {
        assert_eq!(engine.count(&format!("SELECT count(*) FROM {table}")).await?, 0, "{table}");
    }
    engine.stop().await
}

#[tokio::test]
async fn a_wait_that_nothing_ends_times_out_and_leaves_nothing_behind() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    apply(&engine, asks_and_waits("1s")).await?;
    engine.publish(vec![asked("ada")]).await?;
    engine.until("SELECT count(*) FROM notes WHERE body = 'nothing came'", 1).await?;
    engine.until(OPEN, 0).await?;
    assert_eq!(engine.count(WAITS).await?, 0);
    engine.stop().await
}

#[tokio::test]
async fn an_event_whose_taker_died_before_it_told_anybody_is_told_when_it_comes_again() -> anyhow::Result<()>
{
    let engine = Engine::start(1).await?;
    apply(&engine, asks_and_waits("1h")).await?;
    engine.publish(vec![asked("ada")]).await?;
    engine.until(WAITS, 1).await?;
    // As after such a death: the event is recorded, and the run was not told.
    engine.database.execute("CREATE TABLE hidden AS SELECT * FROM waits").await?;
    engine.database.execute("DELETE FROM waits").await?;
    engine.publish(vec![clicked("ada", "ada")]).await?;
    engine.until("SELECT count(*) FROM contact_events", 1).await?;
    engine.database.execute("INSERT INTO waits SELECT * FROM hidden").await?;
    assert_eq!(engine.count(OPEN).await?, 1);
    engine.publish(vec![clicked("ada", "ada")]).await?;
    engine.until(OPEN, 0).await?;
    assert_eq!(engine.count(CLICKED).await?, 1);
    engine.stop().await
}

#[tokio::test]
async fn an_event_that_came_during_an_earlier_wait_is_found_by_the_next_one() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    apply(
        &engine,
        json!({
            "apiVersion": "automation/v1", "key": "both", "name": "both",
            "triggers": [{ "id": "asked", "event": "form.submitted" }],
            "nodes": [
                { "id": "opened", "action": "wait_until", "with": {
                    "any": [{ "name": "x", "event": "email.opened" }], "timeout": "1h" } },
                { "id": "clicked", "action": "wait_until", "with": {
                    "any": [{ "name": "x", "event": "email.clicked" }], "timeout": "1h" } },
                { "id": "note", "action": "add_note", "with": { "text": "clicked" } },
            ],
            "edges": [
                ["asked", "opened"],
                { "from": "opened", "case": "x", "to": "clicked" },
                { "from": "clicked", "case": "x", "to": "note" },
            ],
        }),
    )
    .await?;
    engine.publish(vec![asked("ada")]).await?;
    engine.until(WAITS, 1).await?;
    engine.publish(vec![clicked("ada", "ada")]).await?;
    engine.until("SELECT count(*) FROM contact_events", 1).await?;
    let mut opened = event("email.opened", "opened-ada", "ada", json!({}));
    opened["time"] = "2026-11-24T08:00:02Z".into();
    engine.publish(vec![opened]).await?;
    engine.until("SELECT count(*) FROM notes WHERE body = 'clicked'", 1).await?;
    engine.until(OPEN, 0).await?;
    engine.stop().await
}

#[tokio::test]
async fn a_run_that_is_cancelled_waits_for_nothing_any_more() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    apply(&engine, asks_and_waits("1h")).await?;
    engine.publish(vec![asked("ada")]).await?;
    engine.until(WAITS, 1).await?;
    let session = Session { db: engine.api.clone(), tenant: engine.tenant, key: "acme".to_owned() };
    let listed = runs::list(&session, &runs::Filter::default(), 10, None).await?;
    runs::cancel(&session, &builders::auditor("ada"), listed.data[0].id, "not wanted").await?;
    assert_eq!((engine.count(WAITS).await?, engine.count(OPEN).await?), (0, 0));
    engine.publish(vec![clicked("ada", "ada")]).await?;
    engine.until("SELECT count(*) FROM events WHERE event_type = 'email.clicked'", 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 0);
    engine.stop().await
}

#[tokio::test]
async fn of_types_that_no_version_waits_for_nothing_is_kept_by_contact() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(note_forms("contact")).await?;
    engine.publish(vec![clicked("ada", "ada")]).await?;
    engine.until("SELECT count(*) FROM events", 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM contact_events").await?, 0);
    // The first version that waits finds what happened within the last hour.
    apply(&engine, asks_and_waits("1h")).await?;
    assert_eq!(engine.count("SELECT count(*) FROM contact_events").await?, 1);
    engine.publish(vec![asked("ada")]).await?;
    engine.until(CLICKED, 1).await?;
    engine.stop().await
}

#[tokio::test]
async fn an_exit_ends_a_run_in_a_delay_and_one_that_begins_too_late() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    apply(
        &engine,
        json!({
            "apiVersion": "automation/v1", "key": "remind", "name": "remind",
            "exit": [{ "event": "order.created" }],
            "triggers": [{ "id": "asked", "event": "form.submitted" }],
            "nodes": [
                { "id": "first", "action": "add_note", "with": { "text": "hello" } },
                { "id": "nap", "action": "delay", "with": { "for": "30d" } },
            ],
            "edges": [["asked", "first"], ["first", "nap"]],
        }),
    )
    .await?;
    let bought = |who: &str| {
        let mut bought = event("order.created", &format!("bought-{who}"), who, json!({}));
        bought["time"] = "2026-11-24T08:00:01Z".into();
        bought
    };
    engine.publish(vec![asked("ada")]).await?;
    engine.until("SELECT count(*) FROM notes", 1).await?;
    engine.publish(vec![bought("ada")]).await?;
    engine.until(OPEN, 0).await?;
    // Whose order was recorded first does not even begin.
    engine.publish(vec![bought("bob")]).await?;
    engine.until("SELECT count(*) FROM contact_events", 2).await?;
    engine.publish(vec![asked("bob")]).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 2).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 1);
    for table in ["waits", "run_inbox", "wakeups"] {
        assert_eq!(engine.count(&format!("SELECT count(*) FROM {table}")).await?, 0, "{table}");
    }
    engine.stop().await
}

#[tokio::test]
async fn a_run_takes_the_place_of_an_earlier_one_in_the_commit_that_starts_it() -> anyhow::Result<()> {
    let engine = Engine::start(2).await?;
    let mut definition = asks_and_waits("1h");
    definition["enrolment"] = json!({ "on_conflict": "supersede" });
    apply(&engine, definition).await?;
    let asks = |number: usize| {
        let mut asked = asked("ada");
        asked["id"] = format!("asked-{number}").into();
        asked
    };
    engine.publish(vec![asks(1)]).await?;
    engine.until(WAITS, 1).await?;
    engine.publish(vec![asks(2)]).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'cancelled'", 1).await?;
    engine.until(WAITS, 1).await?;
    // Several in one batch: the last one stays.
    engine.publish((3..10).map(asks).collect()).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'cancelled'", 8).await?;
    assert_eq!(engine.count(OPEN).await?, 1);
    engine.until(WAITS, 1).await?;
    engine.publish(vec![clicked("ada", "ada")]).await?;
    engine.until(OPEN, 0).await?;
    assert_eq!(engine.count(CLICKED).await?, 1);
    engine.stop().await
}
