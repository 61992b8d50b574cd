//! The examples for publishers, in three languages, against a real broker: each starts while the broker is away, tries
//! again, publishes one event twice, and makes one run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]
#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[path = "../engine/mod.rs"]
#[expect(dead_code, reason = "what publishes for other tests")]
mod engine;
#[path = "../door/gate.rs"]
mod gate;
#[path = "../languages/mod.rs"]
mod languages;

mod examples;

use engine::Engine;
use gate::Gate;
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that a program may take, its retries included.
const PATIENCE: Duration = Duration::from_secs(120);

async fn publishes(language: &str, program: Option<Command>) -> anyhow::Result<()> {
    let Some(mut program) = program else { return Ok(()) };
    let engine = Engine::start(1).await?;
    engine
        .apply(json!({
            "apiVersion": "automation/v1", "key": "orders", "name": "Orders",
            "triggers": [{ "id": "order", "event": "order.created" }],
            "nodes": [{ "id": "task", "action": "create_task", "with": { "title": "Ship {{ event.data.order_id }}" } }],
            "edges": [["order", "task"]],
        }))
        .await?;
    let direct = engine.vhost.amqp_url_as(&engine.publisher_user, "secret")?;
    let url = reqwest::Url::parse(&direct)?;
    let gate = Gate::to(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap())).await?;
    gate.shut();
    program.env("AMQP_URL", gate.url(&direct)?).env("AUTOMATION_TENANT", "acme");
    let child = program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
    let begun = Instant::now();
    while gate.refused() == 0 && !ended.is_finished() {
        assert!(begun.elapsed() < PATIENCE, "the example in {language} does not connect");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    gate.open();
    let output = tokio::time::timeout(PATIENCE, ended).await???;
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{language}: {out}{error}");
    assert_eq!(out.trim(), "published 21 events, one of them twice", "{language}: {error}");
    assert!(error.contains("trying again"), "{language} found the broker at once: {error}");

    let of = |event_type: &str| {
        format!(
            "SELECT count(*) FROM events WHERE source = 'example-{language}' AND event_type = '{event_type}'"
        )
    };
    engine.until(&of("page.visited"), 20).await?;
    engine.until("SELECT count(*) FROM runs_finished WHERE status = 'completed'", 1).await?;
    engine.until("SELECT count(*) FROM runs_open", 0).await?;
    assert_eq!(engine.count(&of("order.created")).await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM tasks WHERE title = 'Ship A-1001'").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM contacts WHERE subject = 'customer-17'").await?, 1);
    assert_eq!(engine.count("SELECT count(*) FROM parked_events").await?, 0);
    engine.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_rust_publishes() -> anyhow::Result<()> {
    publishes("rust", Some(examples::rust()?)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_python_publishes() -> anyhow::Result<()> {
    publishes("python", examples::python()?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_node_publishes() -> anyhow::Result<()> {
    publishes("node", examples::node()?).await
}
