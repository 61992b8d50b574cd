//! Very many runs in progress: all of them due in the same moment, alone and beside a million that wait.

use super::latency::percentile;
use crate::check::{self, Expected};
use crate::commits::Watching;
use crate::effort::Effort;
use crate::fleet::Fleet;
use crate::load::{Load, Pace, Packing, steady};
use crate::prepared::Prepared;
use crate::workload::Workload;
use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long each run waits, in seconds: by then all of them have begun.
const WAIT: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of runs that were due at once.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Due {
    /// Runs in progress, all due in the same moment.
    pub(crate) runs: u64,
    /// Runs that waited for something far away meanwhile.
    pub(crate) parked: u64,
    /// From the first of their events to the moment at which all of them waited, in milliseconds.
    pub(crate) all_waiting_ms: f64,
    /// From the moment at which they were due to the commit that finished the last of them, in milliseconds.
    pub(crate) all_finished_ms: f64,
    /// How late each was finished.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// The memory of each role afterwards, in MiB.
    pub(crate) memory_mib: BTreeMap<&'static str, f64>,
}

/// Measures without and with parked runs, on the same engine.
pub(crate) async fn measure(prepared: &Prepared, effort: Effort) -> anyhow::Result<Vec<Due>> {
    let workload = Workload::Wait(WAIT);
    let fleet = Fleet::start(prepared, &workload).await?;
    let mut monitor = fleet.database.superuser().await?;
    let alone = round(&fleet, &mut monitor, "alone", effort.at_once, 0).await?;
    eprintln!("    {}", alone.line());
    park(&mut monitor, effort.parked).await?;
    let beside = round(&fleet, &mut monitor, "beside", effort.at_once, effort.parked).await?;
    eprintln!("    {}", beside.line());
    sqlx::query("DELETE FROM wakeups WHERE due_at > now() + interval '1 day'").execute(&mut monitor).await?;
    let gone = sqlx::query("DELETE FROM runs_open").execute(&mut monitor).await?.rows_affected();
    anyhow::ensure!(gone == effort.parked, "{gone} of {} parked runs still waited", effort.parked);
    let expected = Expected { events: 2 * effort.at_once, runs: 2 * effort.at_once };
    check::check(&mut monitor, &workload, expected).await?;
    fleet.stop().await?;
    Ok(vec![alone, beside])
}

async fn round(
    fleet: &Fleet,
    monitor: &mut PgConnection,
    source: &'static str,
    runs: u64,
    parked: u64,
) -> anyhow::Result<Due> {
    let load = Load::all_matching(fleet, Packing::FIFTY, source);
    let begun = Instant::now();
    let (before, target) = (fleet.progress.recorded(), fleet.progress.finished() + runs);
    steady(fleet, &load, Pace { per_second: u32::try_from(runs)?, duration: Duration::from_secs(1) }).await?;
    fleet.until_done(before + runs, 0).await?;
    until_all_wait(monitor, i64::try_from(runs + parked)?).await?;
    let all_waiting_ms = begun.elapsed().as_secs_f64() * 1e3;
    if parked == 0 {
        // What waiting runs look like, for `park`.
        sqlx::query("CREATE TABLE waiting_runs AS SELECT DISTINCT ON (tenant_id) * FROM runs_open")
            .execute(&mut *monitor)
            .await?;
    }
    let watching = Watching::start(fleet.database.superuser().await?).await?;
    let due_at = align(monitor).await?;
    fleet.until_done(0, target).await?;
    let commits = watching.stop().await?;
    let memory_mib = fleet.memory()?;
    let written_by: Vec<i64> = sqlx::query_scalar(
        "SELECT r.xmin::text::int8
           FROM runs_finished r JOIN events e USING (tenant_id, event_id) WHERE e.source = $1",
    )
    .bind(source)
    .fetch_all(monitor)
    .await?;
    let late = |xmin| commits.latency_ms(due_at, xmin).context("a commit was not seen");
    let mut late = written_by.into_iter().map(late).collect::<anyhow::Result<Vec<f64>>>()?;
    late.sort_unstable_by(f64::total_cmp);
    Ok(Due {
        runs,
        parked,
        all_waiting_ms,
        all_finished_ms: percentile(&late, 1.0),
        p50_ms: percentile(&late, 0.5),
        p99_ms: percentile(&late, 0.99),
        memory_mib,
    })
}

async fn until_all_wait(monitor: &mut PgConnection, runs: i64) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM runs_open WHERE status = 'waiting'")
            .fetch_one(&mut *monitor)
            .await?;
        if waiting == runs {
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{waiting} of {runs} runs wait after a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes all runs that are due soon due in the moment at which the last of them is.
async fn align(monitor: &mut PgConnection) -> anyhow::Result<DateTime<Utc>> {
    let due_at: DateTime<Utc> = sqlx::query_scalar(
        "WITH moment AS (SELECT max(due_at) AS at, min(due_at) AS first FROM wakeups
                          WHERE due_at < now() + interval '1 day'),
              moved AS (UPDATE wakeups SET due_at = at, ready_at = at FROM moment
                         WHERE due_at < now() + interval '1 day' AND first > now() RETURNING 1)
         SELECT at FROM moment WHERE (SELECT count(*) FROM moved) > 0",
    )
    .fetch_optional(monitor)
    .await?
    .context("some runs were due before all of them waited")?;
    Ok(due_at)
}

/// Lets so many runs wait for a month: copies of real ones, of each tenant as many, each with its wakeup.
async fn park(monitor: &mut PgConnection, runs: u64) -> anyhow::Result<()> {
    let copies = "WITH copies AS (
            SELECT w.*, (left(w.run_id::text, 14) || substr(gen_random_uuid()::text, 15))::uuid AS copy_id
              FROM waiting_runs w, generate_series(1, $1 / (SELECT count(*) FROM waiting_runs)) AS i),
        runs AS (
            INSERT INTO runs_open (tenant_id, run_id, workflow_id, version_id, trigger_id, event_id, contact_id, run_key,
                                   status, priority, epoch, received_at, state)
            SELECT tenant_id, copy_id, workflow_id, version_id, trigger_id, event_id, contact_id, run_key,
                   status, priority, epoch, received_at, state FROM copies)
        INSERT INTO wakeups (tenant_id, run_id, token, ready_at, due_at, priority, reason)
        SELECT tenant_id, copy_id, 0, now() + interval '30 days', now() + interval '30 days', priority, 'timer'
          FROM copies";
    sqlx::query(copies).bind(i64::try_from(runs)?).execute(&mut *monitor).await?;
    // As autovacuum does after so many rows.
    for table in ["runs_open", "wakeups"] {
        let vacuum = format!("VACUUM ANALYZE {table}");
        sqlx::query(sqlx::AssertSqlSafe(vacuum)).execute(&mut *monitor).await?;
    }
    Ok(())
}
