//! Counts everything in the end: nothing was lost, nothing was done twice.

use crate::engine::Engine;
use crate::fleet::Fleet;
use crate::workload::Workload;
use sqlx::PgConnection;
use std::time::{Duration, Instant};

/// How long what the engine itself published may be on its way after the last run has finished.
const PATIENCE: Duration = Duration::from_secs(60);

/// What must be found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Events published.
    pub(crate) events: u64,
    /// Those of them that match, each of which makes a run that completes.
    pub(crate) runs: u64,
}

/// Every event was recorded once with its receipt, each that matches made one run, which completed with a whole history
/// and had its effects once; nothing is left over.
pub(crate) async fn check(
    connection: &mut PgConnection,
    workload: &Workload,
    expected: Expected,
) -> anyhow::Result<()> {
    nothing_lost(connection, workload, expected).await?;
    let runs = i64::try_from(expected.runs)?;
    let each = workload.traces();
    let counts = [
        ("SELECT count(*) FROM workflow_run_logs", runs * each.checkpoints),
        ("SELECT count(*) FROM notes", runs * each.notes),
        ("SELECT coalesce(sum(cardinality(tags)), 0)::int8 FROM contacts", runs * each.tags),
        ("SELECT count(*) FROM tasks", runs * each.tasks),
        ("SELECT count(*) FROM effects WHERE status = 'done'", runs * each.requests),
    ];
    for (sql, expected) in counts {
        until(connection, sql, expected).await?;
    }
    Ok(())
}

/// The part of it that tables tell which every commit has: each event was recorded once, each that matches made one run,
/// which completed, and nothing is left over.
async fn nothing_lost(
    connection: &mut PgConnection,
    workload: &Workload,
    expected: Expected,
) -> anyhow::Result<()> {
    let (events, runs) = (i64::try_from(expected.events)?, i64::try_from(expected.runs)?);
    let emitted = runs * workload.traces().emitted;
    let counts = [
        ("SELECT count(*) FROM events WHERE event_type = 'order.created'", events),
        ("SELECT count(*) FROM events WHERE source = 'automation'", emitted),
        ("SELECT count(*) FROM event_receipts", events + emitted),
        ("SELECT count(*) FROM runs_finished", runs),
        ("SELECT count(*) FROM runs_finished WHERE status = 'completed'", runs),
        ("SELECT count(*) FROM runs_open", 0),
        ("SELECT count(*) FROM wakeups", 0),
        ("SELECT count(*) FROM outbox", 0),
        ("SELECT count(*) FROM parked_events", 0),
        ("SELECT count(*) FROM dead_letters", 0),
    ];
    for (sql, expected) in counts {
        until(connection, sql, expected).await?;
    }
    Ok(())
}

/// Waits until the load is recorded and its runs have finished, and counts.
pub(crate) async fn finish(
    fleet: &Fleet,
    connection: &mut PgConnection,
    workload: &Workload,
    expected: Expected,
) -> anyhow::Result<()> {
    fleet.until_done(expected.events, expected.runs).await?;
    match fleet.engine {
        Engine::Linked { .. } => check(connection, workload, expected).await,
        Engine::Binary(_) => nothing_lost(connection, workload, expected).await,
    }
}

async fn until(connection: &mut PgConnection, sql: &'static str, expected: i64) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let actual: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await?;
        if actual == expected {
            return Ok(());
        }
        anyhow::ensure!(actual < expected || expected == 0, "{sql}: {actual}, which is more than {expected}");
        anyhow::ensure!(begun.elapsed() < PATIENCE, "{sql}: {actual} after a minute, and not {expected}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
