//! Finished runs per second, their CPU, and how long a run takes.

use crate::Durations;
use crate::cpu;
use crate::fleet::{CpuByPart, Effect, Fleet};
use crate::load::{self, ClosedLoop, Packing};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Events per second of the light load.
const LIGHT_LOAD: u32 = 300;
const LIGHT_SOURCE: &str = "light-load";

/// What was measured of the whole engine under one kind of load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EngineFigures {
    /// What was published, and what each run did.
    pub(crate) load: String,
    /// Runs that finished per second.
    pub(crate) runs_per_second: f64,
    /// Microseconds of CPU per finished run, by who used it.
    pub(crate) cpu_us_per_run: BTreeMap<&'static str, f64>,
    /// Their sum.
    pub(crate) cpu_us_per_run_total: f64,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// Runs that finished meanwhile.
    pub(crate) runs: i64,
    /// Events published in all, each of which was found again as event, run and effect.
    pub(crate) checked: u64,
}

/// Milliseconds from an event's time to the transaction that ended its run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) events_per_second: u32,
    pub(crate) events: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Measures one kind of load on an engine of its own, and checks that nothing was lost or done twice.
pub(crate) async fn measure(
    name: &str,
    effect: Effect,
    packing: Packing,
    durations: Durations,
) -> anyhow::Result<EngineFigures> {
    let fleet = Fleet::start(effect).await?;
    let mut monitor = fleet.database.superuser().await?;
    let load = ClosedLoop::start(&fleet, packing);
    tokio::time::sleep(durations.warm_up).await;
    let (cpu_before, before) = (fleet.cpu(&mut monitor).await?, finished(&mut monitor).await?);
    tokio::time::sleep(durations.measure).await;
    let (cpu_after, after) = (fleet.cpu(&mut monitor).await?, finished(&mut monitor).await?);
    let published = load.stop().await?;
    fleet.until_finished(published).await?;
    check(&mut monitor, effect, published).await?;
    fleet.stop().await?;

    let (runs, seconds) = (after.0 - before.0, after.1 - before.1);
    let cpu = per_run(&cpu_before, &cpu_after, runs);
    Ok(EngineFigures {
        load: name.to_owned(),
        runs_per_second: runs as f64 / seconds,
        cpu_us_per_run_total: cpu.values().sum(),
        cpu_us_per_run: cpu,
        seconds,
        runs,
        checked: published,
    })
}

/// Measures latencies under a light load, after a second of it that does not count.
pub(crate) async fn latency(durations: Durations) -> anyhow::Result<Latency> {
    let fleet = Fleet::start(Effect::Note).await?;
    let mut monitor = fleet.database.superuser().await?;
    let steady = async |source, duration| {
        load::steady(&fleet.publisher, &fleet.user, source, LIGHT_LOAD, duration).await
    };
    let warm_up = steady("warm-up", Duration::from_secs(1)).await?;
    let events = steady(LIGHT_SOURCE, durations.latency).await?;
    fleet.until_finished(warm_up + events).await?;
    check(&mut monitor, Effect::Note, warm_up + events).await?;
    let percentiles: Vec<f64> = sqlx::query_scalar(
        "SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
                    ORDER BY extract(epoch FROM r.finished_at - e.occurred_at)::float8 * 1000)
           FROM events e JOIN runs_finished r USING (tenant_id, event_id) WHERE e.source = $1",
    )
    .bind(LIGHT_SOURCE)
    .fetch_one(&mut monitor)
    .await?;
    fleet.stop().await?;
    let [p50_ms, p95_ms, p99_ms] = percentiles[..] else { anyhow::bail!("no latencies were recorded") };
    Ok(Latency { events_per_second: LIGHT_LOAD, events, p50_ms, p95_ms, p99_ms })
}

/// How many runs have finished, and the moment, in seconds.
async fn finished(monitor: &mut PgConnection) -> anyhow::Result<(i64, f64)> {
    Ok(sqlx::query_as(
        "SELECT count(*), extract(epoch FROM statement_timestamp())::float8 FROM runs_finished",
    )
    .fetch_one(monitor)
    .await?)
}

fn per_run(before: &CpuByPart, after: &CpuByPart, runs: i64) -> BTreeMap<&'static str, f64> {
    let used = |part: &'static str| {
        let (before, after) = (before.get(part).cloned().unwrap_or_default(), &after[part]);
        (part, cpu::between(&before, after) as f64 / (runs.max(1) as f64))
    };
    after.keys().copied().map(used).collect()
}

/// Every event was recorded once, made one run, which completed and had one effect; nothing is left over.
async fn check(monitor: &mut PgConnection, effect: Effect, published: u64) -> anyhow::Result<()> {
    let published = i64::try_from(published)?;
    let (effects, emitted) = match effect {
        Effect::Note => ("SELECT count(*) FROM notes", 0),
        Effect::Tag => ("SELECT coalesce(sum(cardinality(tags)), 0)::int8 FROM contacts", published),
    };
    let expected = [
        ("SELECT count(*) FROM events WHERE event_type = 'order.created'", published),
        ("SELECT count(*) FROM events WHERE source = 'automation'", emitted),
        ("SELECT count(*) FROM event_receipts", published + emitted),
        ("SELECT count(*) FROM runs_finished", published),
        ("SELECT count(*) FROM runs_finished WHERE status = 'completed'", published),
        (effects, published),
        ("SELECT count(*) FROM runs_open", 0),
        ("SELECT count(*) FROM wakeups", 0),
        ("SELECT count(*) FROM outbox", 0),
        ("SELECT count(*) FROM parked_events", 0),
    ];
    for (sql, expected) in expected {
        // Published events of the engine's own are on their way for a moment after the runs have finished.
        let begun = Instant::now();
        loop {
            let actual: i64 = sqlx::query_scalar(sql).fetch_one(&mut *monitor).await?;
            if actual == expected {
                break;
            }
            anyhow::ensure!(
                actual < expected || expected == 0,
                "{sql}: {actual}, which is more than {expected}"
            );
            anyhow::ensure!(
                begun.elapsed() < Duration::from_secs(60),
                "{sql}: {actual} after a minute, and not {expected}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}
