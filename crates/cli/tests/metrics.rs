//! The metrics of a running engine, beside the table in `docs/observability.md`.

#![expect(clippy::disallowed_methods, reason = "tests wait by the clock and draw names of their own")]

#[expect(dead_code, reason = "this engine's roles are in a process of their own")]
mod engine;
#[expect(dead_code, reason = "the tests of requests use the rest of it")]
mod recorder;

use anyhow::Context;
use automation_domain::retry::Ladder;
use automation_executor::Requests;
use automation_test_support::ports::free_port;
use engine::{Engine, event, note_forms};
use recorder::{Recorder, Reply};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const DOC: &str = include_str!("../../../docs/observability.md");
const RUNGS: &str = "200ms";

/// All roles in one process.
fn serve(engine: &Engine, recorder: &Recorder, admin: SocketAddr, door: SocketAddr) -> anyhow::Result<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_automation"));
    command
        .arg("serve")
        .env("DATABASE_URL", engine.database.url())
        .env("AUTOMATION_AUDIT_KEYS", automation_test_support::builders::AUDIT_KEYS)
        .env("AMQP_URL", engine.vhost.amqp_url())
        .env("AUTOMATION_ENGINE_USERS", engine.engine_user())
        .env("AUTOMATION_ADMIN_ADDR", admin.to_string())
        .env("AUTOMATION_HTTP_ADDR", door.to_string())
        .env("AUTOMATION_RETRY_RUNGS", RUNGS)
        .env("AUTOMATION_OUTBOUND_ALLOW", recorder.authority())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command.spawn().context("starting the engine")
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok((Ipv4Addr::LOCALHOST, free_port()?).into())
}

/// The names in the first cells of the document's table of metrics.
fn documented() -> BTreeSet<&'static str> {
    let table = DOC.split("## Metrics").nth(1).unwrap_or_default().split("\n## ").next().unwrap_or_default();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.map(|cell| cell.split('{').next().unwrap_or(cell)).collect()
}

/// The names that Prometheus is told, without the one about the exporter itself.
fn exposed(scraped: &str) -> BTreeSet<&str> {
    let types = scraped.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    types.filter(|name| *name != "target_info").collect()
}

/// The labels that a metric has in the document, and in what was scraped.
fn labels_of(line: &str) -> BTreeSet<&str> {
    let inside =
        line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
    let names = inside.split(',').map(|label| label.split('=').next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty() && *name != "le").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_and_every_documented_metric_is_there_after_work() -> anyhow::Result<()> {
    let recorder = Recorder::start(|_, number| Reply::Status(if number == 1 { 503 } else { 200 })).await?;
    let ladder = Ladder { rungs: RUNGS.parse()?, ..Ladder::default() };
    let engine = Engine::prepare(ladder, Requests::default()).await?;
    let (admin, door) = (free_address()?, free_address()?);
    let mut process = serve(&engine, &recorder, admin, door)?;

    engine.apply(note_forms("noted")).await?;
    let mut custom = note_forms("custom");
    custom["triggers"] = json!([
        { "id": "own", "event": "acme.rocket.launched" },
        { "id": "slot", "schedule": { "every": "1s" } },
    ]);
    custom["nodes"] = json!([
        { "id": "high", "action": "branch", "with": { "cases": [{
            "name": "yes", "where": { "field": "event.data.height", "op": "greater_than", "value": 100 },
        }] } },
        { "id": "stop", "action": "stop_workflow" },
        { "id": "call", "action": "http_request", "with": { "method": "POST", "url": recorder.url("/") } },
    ]);
    custom["edges"] = json!([
        ["own", "high"], ["slot", "high"],
        { "from": "high", "case": "yes", "to": "call" }, { "from": "high", "case": "else", "to": "stop" },
    ]);
    engine.apply(custom).await?;
    engine
        .publish(vec![
            event("form.submitted", "1", "ada", json!({ "form_id": "contact", "text": "hello" })),
            event("form.submitted", "2", "ada", json!({ "form_id": "other" })),
            event("acme.rocket.launched", "3", "ada", json!({ "height": 400 })),
            event("acme.rocket.launched", "4", "ada", json!({ "height": 4 })),
        ])
        .await?;
    let done = "SELECT least(count(*) FILTER (WHERE trigger_id <> 'slot'), 3) + least(count(*) FILTER (WHERE trigger_id = 'slot'), 1)
                  FROM runs_finished WHERE status = 'completed'";
    engine.until(done, 4).await?;
    let client = reqwest::Client::new();
    client.post(format!("http://{door}/v1/events")).body("{}").send().await?;

    // Gauges of the backlog are read every 15 seconds, at the start first; counters move a moment after the commit.
    let wanted = [
        "steps_total{action=\"http_request\",outcome=\"completed\"} 1",
        "branches_total{taken=\"case\"} 1",
        "events_total{outcome=\"recorded\"} ",
        "events_recorded_total{type=\"form.submitted\"} 2",
        "events_recorded_total{type=\"custom\"} 2",
        "runs_started_total{type=\"custom\"} 2",
        "runs_finished_total{status=\"completed\"} ",
        "runs_finished_total{status=\"failed\"} 0",
        "workflow_run_duration_seconds_bucket{status=\"completed\",le=\"604800\"} ",
        "queue_messages_ready{queue=\"automation.work.high\"} ",
        "backlog_oldest_age_seconds{kind=\"dead_letters\"} 0",
        "db_connections{pool=\"ingest\",state=\"idle\"} ",
        "triggers_total{outcome=\"not_matched\"} 1",
        "http_requests_total",
    ];
    let begun = Instant::now();
    let scraped = loop {
        let scraped = client.get(format!("http://{admin}/metrics")).send().await?.text().await?;
        let missing: Vec<_> = wanted.iter().filter(|line| !scraped.contains(**line)).collect();
        if missing.is_empty() {
            break scraped;
        }
        anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "{missing:?} are not in\n{scraped}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(exposed(&scraped), documented(), "left: scraped, right: docs/observability.md");
    for row in DOC.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split('`').nth(1).unwrap_or_default();
        let name = cell.split('{').next().unwrap_or(cell);
        let series = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                || line.starts_with(&format!("{name}_bucket{{"))
        };
        if let Some(line) = scraped.lines().find(series) {
            assert_eq!(labels_of(line), labels_of(cell), "{line}");
        }
    }
    for line in scraped.lines() {
        assert!(
            !line.contains("acme") && !line.contains("ada\""),
            "no label holds what tenants make up: {line}"
        );
    }
    let pid = process.id().context("it runs")?;
    Command::new("kill").arg(pid.to_string()).status().await?;
    let status = process.wait().await?;
    assert!(status.success(), "{status}");
    engine.stop().await
}
