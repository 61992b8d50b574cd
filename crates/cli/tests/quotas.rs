//! A tenant that keeps more than it may is told so, loses nothing, and goes on once there is room.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "other tests use the rest of it")]
mod door;
mod engine;

use door::{Door, send};
use engine::{event, note_forms};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// It starts nothing, so that it does not matter how often it is let in.
fn view() -> Value {
    json!({
        "specversion": "1.0", "id": "1", "source": "site", "type": "form.viewed", "time": "2026-11-24T08:00:00Z",
        "subject": "ada", "data": { "form_id": "contact", "text": "hello" },
    })
}

/// Sends the event until it is answered so: the door believes for some seconds what it was told of a quota.
async fn answered(door: &Door, key: &str, status: u16) -> anyhow::Result<door::Answer> {
    let begun = Instant::now();
    loop {
        let answer = send(door.event(key, view())).await?;
        if answer.status == status || begun.elapsed() > Duration::from_secs(30) {
            assert_eq!(answer.status, status, "{answer:?}");
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_its_quota_a_tenant_is_told_and_its_events_wait_for_room() -> anyhow::Result<()> {
    let door = Door::open().await?;
    let engine = &door.engine;
    engine.apply(note_forms("notes")).await?;
    let key = door.key("site", "form.*", &[])?;
    answered(&door, &key, 202).await?;
    let submitted = |id: &str| vec![event("form.submitted", id, "ada", json!({ "form_id": "contact" }))];
    engine.publish(submitted("1")).await?;
    let completed = "SELECT count(*) FROM runs_finished WHERE status = 'completed'";
    engine.until(completed, 1).await?;

    door.cli(&["tenant", "quota", "acme", "events", "1000"], &[])?;
    // As a process hands over what it wrote.
    let written = "SELECT usage_add(ARRAY[tenant_id], ARRAY['events'], ARRAY[2000::bigint]) FROM tenants WHERE key = 'acme'";
    engine.database.execute(written).await?;
    let usage = door.cli(&["tenant", "usage", "acme"], &[])?;
    let rows = usage["data"].as_array().unwrap();
    let events = rows.iter().find(|row| row["table"] == "events").unwrap();
    assert_eq!(
        (&events["over"], &events["max_bytes"], &events["quota"]),
        (&json!(true), &json!(1_000), &json!("own"))
    );

    let refused = answered(&door, &key, 429).await?;
    assert_eq!(refused.code(), "quota_exceeded");
    assert!(refused.body["detail"].as_str().unwrap().contains("events"), "{refused:?}");
    // What came in over the broker was accepted there: it waits, whole.
    engine.publish(submitted("2")).await?;
    // Beside what the door let in while it believed that there was room.
    let parked = "SELECT count(*) FROM parked_events
                   WHERE reason = 'quota_exceeded' AND body IS NOT NULL AND routing_key = 'form.submitted'";
    engine.until(parked, 1).await?;
    assert_eq!(engine.count(completed).await?, 1);

    // Events that take no more room are no reason to set nothing up, or to mend nothing.
    door.key("another", "form.*", &[])?;
    door.cli(&["tenant", "quota", "acme", "events", "default"], &[])?;
    answered(&door, &key, 202).await?;
    let amqp = [("AMQP_URL", engine.vhost.amqp_url())];
    door.cli(&["parked", "replay", "--reason", "quota_exceeded", "--yes"], &amqp)?;
    engine.until(completed, 2).await?;
    door.close().await
}
