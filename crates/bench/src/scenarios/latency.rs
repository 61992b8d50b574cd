//! How long it takes from an event to its run's end, as others can see it.

use crate::check::{Expected, finish};
use crate::commits::{Commits, Watching};
use crate::effort::Effort;
use crate::fleet::{Fleet, cpu_between};
use crate::load::{Load, Pace, Packing, steady};
use crate::prepared::Prepared;
use crate::workload::Workload;
use anyhow::Context;
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const MEASURED: &str = "measured";
const WARM_UP: Duration = Duration::from_secs(2);

/// A steady load.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) name: String,
    pub(crate) workload: Workload,
    pub(crate) packing: Packing,
    pub(crate) per_second: u32,
}

/// Milliseconds from the time of an event, which is when it was due, to the moment when the commit that finished its run
/// became visible to others.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) load: String,
    pub(crate) events_per_second: u32,
    pub(crate) events: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// How busy each part was in the meantime, in percent of one core; `publisher` also dates the commits.
    pub(crate) busy_percent: BTreeMap<&'static str, f64>,
}

/// Measures latencies at a steady rate, after two seconds of it that do not count.
pub(crate) async fn measure(prepared: &Prepared, setup: &Setup, effort: Effort) -> anyhow::Result<Latency> {
    let fleet = Fleet::start(prepared, &setup.workload).await?;
    let mut monitor = fleet.database.superuser().await?;
    let load = |source| Load::all_matching(&fleet, setup.packing, source);
    let pace = |duration| Pace { per_second: setup.per_second, duration };
    let warm_up = steady(&fleet, &load("warm-up"), pace(WARM_UP)).await?;
    let watching = Watching::start(fleet.database.superuser().await?).await?;
    let (begun, before) = (Instant::now(), fleet.cpu(&mut monitor).await?);
    let events = steady(&fleet, &load(MEASURED), pace(effort.latency)).await?;
    let (took, after) = (begun.elapsed(), fleet.cpu(&mut monitor).await?);
    fleet.until_done(warm_up + events, warm_up + events).await?;
    let commits = watching.stop().await?;
    let expected = Expected { events: warm_up + events, runs: warm_up + events };
    finish(&fleet, &mut monitor, &setup.workload, expected).await?;
    let mut latencies = read(&mut monitor, MEASURED, &commits).await?;
    anyhow::ensure!(latencies.len() as u64 == events, "{} of {events} latencies", latencies.len());
    fleet.stop().await?;
    latencies.sort_unstable_by(f64::total_cmp);
    Ok(Latency {
        load: setup.name.clone(),
        events_per_second: setup.per_second,
        events,
        p50_ms: percentile(&latencies, 0.5),
        p95_ms: percentile(&latencies, 0.95),
        p99_ms: percentile(&latencies, 0.99),
        max_ms: percentile(&latencies, 1.0),
        busy_percent: cpu_between(&before, &after)
            .map(|(part, us)| (part, 100.0 * us as f64 / took.as_micros() as f64))
            .collect(),
    })
}

/// The latencies of all finished runs that events of this source started, in milliseconds.
pub(super) async fn read(
    connection: &mut PgConnection,
    source: &str,
    commits: &Commits,
) -> anyhow::Result<Vec<f64>> {
    let rows: Vec<(chrono::DateTime<chrono::Utc>, i64)> = sqlx::query_as(
        "SELECT e.occurred_at, r.xmin::text::int8
           FROM events e JOIN runs_finished r USING (tenant_id, event_id) WHERE e.source = $1",
    )
    .bind(source)
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(occurred_at, xmin)| commits.latency_ms(occurred_at, xmin).context("a commit was not seen"))
        .collect()
}

/// The value below which this part of the sorted `values` lies; not a number when there are none.
pub(crate) fn percentile(values: &[f64], part: f64) -> f64 {
    let last = values.len().saturating_sub(1) as f64;
    values.get((last * part).round() as usize).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=101).map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|part| percentile(&values, part)), [1.0, 51.0, 100.0, 101.0]);
        assert!(percentile(&[], 0.5).is_nan());
    }
}
