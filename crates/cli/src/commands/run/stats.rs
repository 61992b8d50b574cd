//! `automation run stats`: what happened since a moment.

use crate::exit;
use crate::moment;
use crate::output::{Output, table, time};
use crate::session::TenantArgs;
use crate::terminal::Lines;
use automation_service_kit::clock;
use automation_service_kit::config::rule;
use automation_store::runs::stats::{self, Latency, RunStats};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};
use std::time::Duration;

/// How far ahead a wait may be to be waited for.
const NEAR: Duration = Duration::from_secs(10);
/// Longest wait for runs to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments of `automation run stats`.
#[derive(Args, Debug)]
pub struct StatsArgs {
    /// Since when; an hour ago if it is left out
    #[arg(long, value_name = "TIME", value_parser = rule(moment::parse))]
    since: Option<DateTime<Utc>>,
    /// Wait until this many events are recorded and no run is about to move, a minute at most
    #[arg(long, value_name = "EVENTS", num_args = 0..=1, default_missing_value = "0")]
    wait: Option<i64>,
    #[command(flatten)]
    tenant: TenantArgs,
}

/// Runs the command.
pub(super) async fn run(args: StatsArgs, output: &Output) -> anyhow::Result<()> {
    let session = args.tenant.open().await?;
    let since = args.since.unwrap_or_else(|| clock::wall_clock() - TimeDelta::hours(1));
    if let Some(events) = args.wait {
        let begun = clock::now();
        loop {
            let unsettled = session
                .db
                .tx(session.scope(), async |connection| {
                    stats::unsettled(connection, session.tenant, since, NEAR).await
                })
                .await?;
            if unsettled.runs == 0 && unsettled.events >= events {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(exit::wrong(
                    format!(
                        "after a minute {} events are recorded and {} runs are under way",
                        unsettled.events, unsettled.runs
                    ),
                    "automation doctor",
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    let stats = session
        .db
        .tx(session.scope(), async |connection| stats::since(connection, session.tenant, since).await)
        .await?;
    output.one(&to_json(since, &stats), || text(since, &stats));
    Ok(())
}

fn to_json(since: DateTime<Utc>, stats: &RunStats) -> Value {
    json!({
        "since": time(since), "events": stats.events, "engine_events": stats.engine_events,
        "runs": runs(stats), "actions": actions(stats),
        "latency_ms": stats.latency.as_ref().map(latency),
    })
}

fn text(since: DateTime<Utc>, stats: &RunStats) -> Lines {
    let mut lines = Lines::from(format!(
        "since {}: {} events from outside, {} of the engine's own",
        time(since),
        stats.events,
        stats.engine_events,
    ));
    lines.push("");
    lines.extend(table(&["workflow", "status", "runs"], &runs(stats)));
    lines.push("");
    lines.extend(table(&["action", "outcome", "steps"], &actions(stats)));
    if let Some(measured) = &stats.latency {
        lines.extend(["", "from receipt to the end of a run without a delay:"]);
        lines.extend(table(&["p50_ms", "p95_ms", "p99_ms", "runs"], &[in_units(measured)]));
    }
    lines
}

fn runs(stats: &RunStats) -> Vec<Value> {
    let row = |(workflow, status, runs): &(String, String, i64)| json!({ "workflow": workflow, "status": status, "runs": runs });
    stats.runs.iter().map(row).collect()
}

fn actions(stats: &RunStats) -> Vec<Value> {
    let row = |(action, outcome, steps): &(String, String, i64)| json!({ "action": action, "outcome": outcome, "steps": steps });
    stats.actions.iter().map(row).collect()
}

/// The same, with the unit in the names.
fn in_units(measured: &Latency) -> Value {
    let numbers = latency(measured);
    json!({
        "p50_ms": numbers["p50"], "p95_ms": numbers["p95"], "p99_ms": numbers["p99"], "runs": numbers["runs"],
    })
}

/// In milliseconds.
fn latency(latency: &Latency) -> Value {
    let ms = |duration: Duration| duration.as_millis();
    json!({ "p50": ms(latency.p50), "p95": ms(latency.p95), "p99": ms(latency.p99), "runs": latency.runs })
}
