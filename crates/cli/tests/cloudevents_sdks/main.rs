//! CloudEvents' own libraries against a fleet: every way to publish that each of them knows makes the same event.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[path = "../door/mod.rs"]
#[expect(dead_code, reason = "what other tests of the door need")]
mod door;
#[path = "../engine/mod.rs"]
#[expect(dead_code, reason = "what publishes for other tests")]
mod engine;
#[path = "../languages/mod.rs"]
mod languages;

use door::Door;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The longest that a program may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What every event says, whichever way it came; a time in seconds has lost its half.
const AS_SENT: &str =
    "event_type = 'order.created' AND subject = 'customer 17 / 100%' AND causation_depth = 2
    AND occurred_at BETWEEN '2026-01-31T12:00:00Z' AND '2026-01-31T12:00:00.5Z'
    AND data = '{\"order_id\": \"A-1001\", \"total\": 19.99, \"name\": \"Jürgen\"}'";

/// Runs a program that publishes, and compares what it says with what the engine recorded.
async fn publishes(language: &str, ways: usize, program: Option<Command>) -> anyhow::Result<()> {
    let Some(mut program) = program else { return Ok(()) };
    let door = Door::open().await?;
    let key = door.key("sdk", "*", &[])?;
    let engine = &door.engine;
    program
        .env("AMQP_URL", engine.vhost.amqp_url_as(&engine.publisher_user, "secret")?)
        .env("EVENTS_URL", format!("{}/v1/events", door.url))
        .env("API_KEY", key);
    let child = program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let output = tokio::time::timeout(PATIENCE, ended).await???;
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{language}: {out}{error}");
    let ids: Vec<&str> = out.lines().collect();
    assert_eq!(ids.len(), ways, "{out}");

    let all = i64::try_from(ways)?;
    let arrived = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM parked_events)";
    engine.until(arrived, all).await?;
    for id in ids {
        let one = format!(
            "SELECT count(*) FROM events WHERE id = '{id}' AND source = 'sdk-{language}' AND {AS_SENT}"
        );
        assert_eq!(engine.count(&one).await?, 1, "{id}");
    }
    assert_eq!(engine.count("SELECT count(*) FROM parked_events").await?, 0);
    door.close().await
}

fn program(path: &str) -> PathBuf {
    languages::root().join("crates/cli/tests/cloudevents_sdks").join(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_the_library_for_python_makes_the_same_event() -> anyhow::Result<()> {
    publishes("python", 9, languages::python("sdk-python", &program("python/publish.py"))?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_of_the_library_for_javascript_makes_the_same_event() -> anyhow::Result<()> {
    publishes("node", 9, languages::node("sdk-node", &program("node/publish.mjs"))?).await
}
