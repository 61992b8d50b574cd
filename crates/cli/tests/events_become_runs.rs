//! From an event on the broker to a finished, recorded run.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

mod engine;

use automation_domain::interpreter::InboxInput;
use automation_store::Scope;
use automation_store::runs::inbox;
use automation_store::runs::lists::{self, RunFilter};
use engine::{Engine, event, note_forms};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_becomes_one_finished_run_with_its_effect_and_history() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine.apply(note_forms("notes")).await?;
    let form = |id: &str, kind: &str| {
        event("form.submitted", id, "ada", json!({ "form_id": kind, "text": "hello" }))
    };
    engine.publish(vec![form("1", "contact"), form("2", "survey"), form("1", "contact")]).await?;
    engine.until("SELECT count(*) FROM events", 2).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'Wrote: hello'").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM workflow_run_logs").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM runs_open").await?, 0);
    assert_eq!(engine.count("SELECT count(*) FROM wakeups").await?, 0);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_events_of_which_thirty_come_twice_make_a_hundred_runs_with_any_number_of_replicas()
-> anyhow::Result<()> {
    for replicas in [1, 2] {
        let engine = Engine::start(replicas).await?;
        engine.apply(note_forms("notes")).await?;
        let form = |number: usize| {
            event(
                "form.submitted",
                &format!("form-{number}"),
                &format!("contact-{number}"),
                json!({ "form_id": "contact" }),
            )
        };
        let twice = (0..100).chain(0..30).map(form).collect();
        engine.publish(twice).await?;
        engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 100).await?;
        assert_eq!(engine.count("SELECT count(*) FROM notes").await?, 100);
        assert_eq!(engine.count("SELECT count(*) FROM contacts").await?, 100);
        assert_eq!(engine.count("SELECT count(*) FROM parked_events").await?, 0);
        engine.stop().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_ends_by_the_clock_and_a_tag_starts_the_next_workflow_without_being_set_twice()
-> anyhow::Result<()> {
    let engine = Engine::start(2).await?;
    engine
        .apply(json!({
            "apiVersion": "automation/v1", "key": "welcome", "name": "Welcome",
            "triggers": [{ "id": "made", "event": "contact.created" }],
            "nodes": [
                { "id": "pause", "action": "delay", "with": { "for": "1s" } },
                { "id": "tag", "action": "add_tag", "with": { "tag": "welcome" } },
            ],
            "edges": [["made", "pause"], ["pause", "tag"]],
        }))
        .await?;
    engine
        .apply(json!({
            "apiVersion": "automation/v1", "key": "tagged", "name": "Tagged",
            "triggers": [{
                "id": "tag", "event": "contact.tag_added",
                "where": { "all": [
                    { "field": "event.source", "op": "equals", "value": "automation" },
                    { "field": "contact.email", "op": "equals", "value": "ada@example.com" },
                ] },
            }],
            "nodes": [{ "id": "task", "action": "create_task", "with": { "title": "Call {{ contact.first_name }}" } }],
            "edges": [["tag", "task"]],
        }))
        .await?;
    let made = json!({ "email": "ada@example.com", "first_name": "Ada" });
    engine.publish(vec![event("contact.created", "1", "ada", made)]).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 2).await?;
    assert_eq!(engine.count("SELECT count(*) FROM tasks WHERE title = 'Call Ada'").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM contacts WHERE tags = '{welcome}'").await?, 1);
    let chained = "SELECT count(*) FROM events WHERE source = 'automation' AND causation_id = '1' AND causation_depth = 1
                   AND event_type = 'contact.tag_added'";
    assert_eq!(engine.count(chained).await?, 1);
    // The delay was one second by the database's clock.
    let waited = "SELECT count(*) FROM runs_finished WHERE finished_at - received_at >= interval '1 second'";
    assert_eq!(engine.count(waited).await?, 1);
    engine.until("SELECT count(*) FROM outbox", 0).await?;
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_about_the_contact_of_its_event_though_nothing_else_reads_it() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    let task = json!({ "title": "Call {{ event.data.name }}" });
    engine
        .apply(json!({
            "apiVersion": "automation/v1", "key": "call", "name": "Call",
            "triggers": [{ "id": "form", "event": "form.submitted" }],
            "nodes": [{ "id": "task", "action": "create_task", "with": task }],
            "edges": [["form", "task"]],
        }))
        .await?;
    engine.publish(vec![event("form.submitted", "1", "ada", json!({ "name": "Ada" }))]).await?;
    let about = "SELECT count(*) FROM tasks t JOIN contacts c USING (tenant_id, contact_id)
                 WHERE t.title = 'Call Ada' AND c.subject = 'ada'";
    engine.until(about, 1).await?;
    // What follows from the task is about the contact too.
    let made = "SELECT count(*) FROM events WHERE event_type = 'task.created' AND subject = 'ada'";
    engine.until(made, 1).await?;
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_rules_let_a_key_in_once_or_one_at_a_time() -> anyhow::Result<()> {
    let engine = Engine::start(2).await?;
    let workflow = |key: &str, event: &str, enrolment: serde_json::Value, pause: &str| {
        json!({
            "apiVersion": "automation/v1", "key": key, "name": key, "enrolment": enrolment,
            "triggers": [{ "id": "start", "event": event }],
            "nodes": [
                { "id": "pause", "action": "delay", "with": { "for": pause } },
                { "id": "note", "action": "add_note", "with": { "text": "in" } },
            ],
            "edges": [["start", "pause"], ["pause", "note"]],
        })
    };
    let once = json!({ "reentry": { "mode": "once" } });
    engine.apply(workflow("once", "order.created", once, "0s")).await?;
    let per_cart = json!({ "key": "{{ event.data.cart_id }}", "on_conflict": "ignore" });
    // Open until after the last event, so that every second event of a cart meets a run.
    engine.apply(workflow("cart", "cart.abandoned", per_cart, "1h")).await?;
    let orders = (0..10).map(|n| event("order.created", &format!("o{n}"), "ada", json!({})));
    let carts = (0..6).map(|n| {
        event("cart.abandoned", &format!("c{n}"), "ada", json!({ "cart_id": format!("cart-{}", n % 3) }))
    });
    engine.publish(orders.chain(carts).collect()).await?;
    engine.until("SELECT count(*) FROM events", 16).await?;
    let of = |key: &str| {
        format!(
            "SELECT count(*) FROM workflow_runs r JOIN workflows w USING (tenant_id, workflow_id) WHERE w.key = '{key}'"
        )
    };
    assert_eq!(engine.count(&of("once")).await?, 1);
    assert_eq!(engine.count(&of("cart")).await?, 3);
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;
    engine.until("SELECT count(*) FROM runs_open WHERE status = 'waiting'", 3).await?;
    assert_eq!(engine.count("SELECT count(*) FROM enrolments WHERE open").await?, 3);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_any_length_lets_in_once_and_takes_the_event_from_nobody() -> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    engine
        .apply(json!({
            "apiVersion": "automation/v1", "key": "pages", "name": "pages",
            "enrolment": { "key": "{{ event.data.url }}", "reentry": { "mode": "once" } },
            "triggers": [{ "id": "start", "event": "form.submitted" }],
            "nodes": [{ "id": "note", "action": "add_note", "with": { "text": "once" } }],
            "edges": [["start", "note"]],
        }))
        .await?;
    engine.apply(note_forms("notes")).await?;
    // Different hashes of digits: nothing that an index could hold compressed.
    let digits: String =
        (0..200).map(|n| uuid::Uuid::from_u128(n * 0x9e37_79b9_7f4a_7c15_f39c).to_string()).collect();
    let form = |id: &str, end: &str| {
        let data = json!({ "form_id": "contact", "url": format!("https://{digits}/{end}") });
        event("form.submitted", id, "ada", data)
    };
    engine.publish(vec![form("1", "a"), form("2", "a"), form("3", "b")]).await?;
    engine.until("SELECT count(*) FROM events", 3).await?;
    engine.until("SELECT count(*) FROM runs_open", 0).await?;
    assert_eq!(engine.count("SELECT count(*) FROM notes WHERE body = 'once'").await?, 2);
    assert_eq!(engine.count("SELECT count(*) FROM runs_finished").await?, 5);
    assert_eq!(engine.count("SELECT count(*) FROM parked_events").await?, 0);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_a_contact_counts_by_its_time_in_whatever_order_it_comes() -> anyhow::Result<()> {
    let engine = Engine::start(2).await?;
    engine
        .apply(json!({
            "apiVersion": "automation/v1", "key": "tag", "name": "Tag",
            "triggers": [{ "id": "form", "event": "form.submitted" }],
            "nodes": [
                { "id": "tag", "action": "add_tag", "with": { "tag": "by-run" } },
                { "id": "untag", "action": "remove_tag", "with": { "tag": "by-run" } },
                { "id": "again", "action": "add_tag", "with": { "tag": "by-run" } },
            ],
            "edges": [["form", "tag"], ["tag", "untag"], ["untag", "again"]],
        }))
        .await?;
    let at = |time: &str, event_type: &str, id: &str, data: Value| {
        let mut event = event(event_type, id, "ada", data);
        event["time"] = time.into();
        event
    };
    let changed = |plan: &str| json!({ "changes": { "fields": { "plan": { "to": plan } } } });
    let clock = engine.count("SELECT extract(epoch FROM now())::int8").await?;
    let after =
        |seconds| chrono::DateTime::from_timestamp(clock + seconds, 0).unwrap_or_default().to_rfc3339();
    let (now, soon) = (after(0), after(120));
    // One batch after the other: the newest comes first, what is older and what came before comes later.
    for (number, events) in [
        vec![
            at("2026-05-02T00:00:00Z", "contact.updated", "1", changed("pro")),
            at("2026-05-02T00:00:00Z", "contact.tag_removed", "2", json!({ "tag": "trial" })),
            at("2026-05-02T00:00:00Z", "contact.score_changed", "3", json!({ "to": 7 })),
            at(&now, "form.submitted", "4", json!({})),
        ],
        vec![
            at("2026-05-01T00:00:00Z", "contact.updated", "5", changed("free")),
            at("2026-05-01T00:00:00Z", "contact.tag_added", "6", json!({ "tag": "trial" })),
            at("2026-05-01T00:00:00Z", "contact.score_changed", "7", json!({ "to": 3 })),
            at(
                "2026-05-01T00:00:00Z",
                "contact.created",
                "8",
                json!({ "email": "ada@example.com", "tags": ["first"] }),
            ),
            at("2026-05-02T00:00:00Z", "contact.updated", "1", changed("pro")),
        ],
        // What is far ahead counts as received; what the run did counts at its commit.
        vec![
            at(
                "2999-01-01T00:00:00Z",
                "contact.updated",
                "9",
                json!({ "changes": { "phone": { "to": "1" } } }),
            ),
            at("2026-05-03T00:00:00Z", "contact.tag_removed", "10", json!({ "tag": "by-run" })),
        ],
        vec![at(&soon, "contact.updated", "11", json!({ "changes": { "phone": { "to": "2" } } }))],
    ]
    .into_iter()
    .enumerate()
    {
        engine.publish(events).await?;
        let recorded = [4, 8, 10, 11][number];
        engine.until("SELECT count(*) FROM events WHERE source = 'shop'", recorded).await?;
        engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;
    }
    let stands =
        "SELECT count(*) FROM contacts WHERE subject = 'ada' AND fields = '{\"plan\": \"pro\"}' AND score = 7
                   AND tags = '{by-run,first}' AND email = 'ada@example.com' AND phone = '2'";
    assert_eq!(engine.count(stands).await?, 1);
    // Each step of the run was news, though all were committed at one time.
    let told = "SELECT count(*) FROM events WHERE source = 'automation' AND event_type LIKE 'contact.tag%'";
    engine.until(told, 3).await?;
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_hears_what_comes_from_outside_also_while_its_workflow_is_paused()
-> anyhow::Result<()> {
    let engine = Engine::start(1).await?;
    for key in ["waits", "rests"] {
        engine
            .apply(json!({
                "apiVersion": "automation/v1", "key": key, "name": key,
                "triggers": [{ "id": "form", "event": "form.submitted" }],
                "nodes": [{ "id": "pause", "action": "delay", "with": { "for": "1h" } }],
                "edges": [["form", "pause"]],
            }))
            .await?;
    }
    engine.publish(vec![event("form.submitted", "1", "ada", json!({}))]).await?;
    engine.until("SELECT count(*) FROM runs_open WHERE status = 'waiting'", 2).await?;
    let rests = "workflow_id = (SELECT workflow_id FROM workflows WHERE key = 'rests')";
    engine.database.execute("UPDATE workflows SET state = 'paused' WHERE key = 'rests'").await?;
    engine.database.execute(&format!("UPDATE runs_open SET status = 'paused' WHERE {rests}")).await?;
    let (tenant, scope) = (engine.tenant, Scope::Tenant(engine.tenant));
    let runs = engine
        .api
        .tx(scope, async |connection| lists::list(connection, tenant, &RunFilter::default(), 10).await)
        .await?;
    let reason = || "she wrote herself".to_owned();
    let inputs: Vec<_> =
        runs.iter().map(|run| (tenant, run.run_id, InboxInput::Cancel { reason: reason() })).collect();
    // The sweep finds them: nobody publishes a nudge here.
    engine.api.tx(scope, async |connection| inbox::put(connection, &inputs).await).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'cancelled'", 2).await?;
    for rest in ["run_inbox", "wakeups", "runs_open"] {
        assert_eq!(engine.count(&format!("SELECT count(*) FROM {rest}")).await?, 0, "{rest}");
    }
    let told =
        "SELECT count(*) FROM workflow_run_logs WHERE convert_from(steps, 'UTF8') LIKE '%she wrote herself%'";
    assert_eq!(engine.count(told).await?, 2);
    engine.stop().await
}
