//! `automation run stats`: what happened since a moment.

use crate::moment;
use crate::output::{Output, table, time, to_json};
use crate::session::TenantArgs;
use crate::terminal::Lines;
use automation_operations::runs::{self, Percentiles, Stats};
use automation_service_kit::clock;
use automation_service_kit::config::rule;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};

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
        runs::settled(&session, since, events).await?;
    }
    let stats = runs::stats(&session, since).await?;
    output.one(&stats, || text(&stats));
    Ok(())
}

fn text(stats: &Stats) -> Lines {
    let mut lines = Lines::from(format!(
        "since {}: {} events from outside, {} of the engine's own",
        time(stats.since),
        stats.events,
        stats.engine_events,
    ));
    let rows = |rows: Value| rows.as_array().cloned().unwrap_or_default();
    lines.push("");
    lines.extend(table(&["workflow", "status", "runs"], &rows(to_json(&stats.runs))));
    lines.push("");
    lines.extend(table(&["action", "outcome", "steps"], &rows(to_json(&stats.actions))));
    if let Some(measured) = &stats.latency_ms {
        let Percentiles { p50, p95, p99, runs } = measured;
        let row = json!({ "p50_ms": p50, "p95_ms": p95, "p99_ms": p99, "runs": runs });
        lines.extend(["", "from receipt to the end of a run without a delay:"]);
        lines.extend(table(&["p50_ms", "p95_ms", "p99_ms", "runs"], &[row]));
    }
    lines
}
