//! What a minute of the soak looks like.

use crate::commits::{Commits, Watching};
use crate::fleet::Fleet;
use crate::process;
use crate::scenarios::percentile;
use crate::storage::Storage;
use automation_domain::id::lower_bound;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// The tables whose rows change most.
const HOT: [&str; 4] = ["runs_open", "wakeups", "outbox", "contacts"];

/// Runs that took longer than this from receipt to end are not looked at.
const MOST_BEHIND: TimeDelta = TimeDelta::minutes(10);
/// A row's `finished_at` is the beginning of its transaction, which ends later by as much as this.
const LONGEST_COMMIT: TimeDelta = TimeDelta::minutes(1);

/// What was seen in one minute.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Minute {
    number: u32,
    runs_per_second: f64,
    /// Of the runs of one tenant in fifty; not a number when none of them ended.
    p50_ms: f64,
    p99_ms: f64,
    /// Of each role, in MiB.
    memory_mib: BTreeMap<&'static str, f64>,
    open_fds: BTreeMap<&'static str, usize>,
    dead_rows: BTreeMap<String, i64>,
    wal_mib_per_second: f64,
}

/// What changed, as a multiple.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Change {
    runs_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    wal_mib_per_second: f64,
    memory_mib: BTreeMap<&'static str, f64>,
    open_fds: BTreeMap<&'static str, f64>,
}

/// Looks at the engine minute by minute.
pub(crate) struct Observer {
    monitor: PgConnection,
    begun: Instant,
    finished: u64,
    storage: Storage,
    since: DateTime<Utc>,
    watching: Watching,
    /// Whose runs are looked at.
    tenant: Uuid,
}

impl Observer {
    /// Begins.
    pub(crate) async fn start(fleet: &Fleet) -> anyhow::Result<Self> {
        let mut monitor = fleet.database.superuser().await?;
        let tenant = sqlx::query_scalar("SELECT tenant_id FROM tenants WHERE key = 'tenant-0'")
            .fetch_one(&mut monitor)
            .await?;
        let watching = Watching::start(fleet.database.superuser().await?).await?;
        let storage = Storage::read(&mut monitor).await?;
        let since = now(&mut monitor).await?;
        let (begun, finished) = (Instant::now(), fleet.progress.finished());
        Ok(Self { monitor, begun, finished, storage, since, watching, tenant })
    }

    /// Waits for the end of a minute, and tells of it.
    pub(crate) async fn minute(&mut self, fleet: &Fleet, number: u32) -> anyhow::Result<Minute> {
        tokio::time::sleep_until(self.begun + Duration::from_secs(60 * u64::from(number))).await;
        let commits = self.watching.cut().await?;
        let storage = Storage::read(&mut self.monitor).await?;
        let until = now(&mut self.monitor).await?;
        let finished = fleet.progress.finished();
        let seconds = (until - self.since).as_seconds_f64();
        let mut latencies = self.latencies(&commits).await?;
        latencies.sort_unstable_by(f64::total_cmp);
        let pids = fleet.pids()?;
        let fds = |(name, pid): (&&'static str, &u32)| Some((*name, process::open_fds(*pid)?));
        let minute = Minute {
            number,
            runs_per_second: (finished - self.finished) as f64 / seconds,
            p50_ms: percentile(&latencies, 0.5),
            p99_ms: percentile(&latencies, 0.99),
            memory_mib: fleet.memory()?,
            open_fds: pids.iter().filter_map(fds).collect(),
            dead_rows: self.dead_rows().await?,
            wal_mib_per_second: storage.wal_since(self.storage) as f64 / 1_048_576.0 / seconds,
        };
        (self.finished, self.storage, self.since) = (finished, storage, until);
        Ok(minute)
    }

    /// In milliseconds, of the runs whose end these commits show.
    async fn latencies(&mut self, commits: &Commits) -> anyhow::Result<Vec<f64>> {
        let rows: Vec<(DateTime<Utc>, i64)> = sqlx::query_as(
            "WITH ended AS MATERIALIZED (
                 SELECT tenant_id, event_id, xmin::text::int8 AS written_by
                   FROM runs_finished WHERE tenant_id = $1 AND run_id >= $2 AND finished_at >= $3)
             SELECT e.occurred_at, r.written_by FROM ended r JOIN events e USING (tenant_id, event_id)",
        )
        .bind(self.tenant)
        .bind(lower_bound(self.since - MOST_BEHIND))
        .bind(self.since - LONGEST_COMMIT)
        .fetch_all(&mut self.monitor)
        .await?;
        Ok(rows.into_iter().filter_map(|(occurred_at, xmin)| commits.latency_ms(occurred_at, xmin)).collect())
    }

    async fn dead_rows(&mut self) -> anyhow::Result<BTreeMap<String, i64>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT relname::text, n_dead_tup FROM pg_stat_user_tables WHERE relname = ANY($1)",
        )
        .bind(HOT.map(str::to_owned).to_vec())
        .fetch_all(&mut self.monitor)
        .await?;
        Ok(rows.into_iter().collect())
    }
}

async fn now(connection: &mut PgConnection) -> anyhow::Result<DateTime<Utc>> {
    Ok(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(connection).await?)
}

impl Minute {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        let memory: Vec<String> = self
            .memory_mib
            .iter()
            .map(|(role, mib)| format!("{role} {mib:.0} MiB {} fds", self.open_fds.get(role).unwrap_or(&0)))
            .collect();
        let dead: Vec<String> =
            self.dead_rows.iter().map(|(table, rows)| format!("{table} {rows}")).collect();
        format!(
            "minute {}: {:.0} runs/s, p50 {:.1} ms, p99 {:.1}; {}; dead rows: {}; {:.1} MiB of log per second",
            self.number,
            self.runs_per_second,
            self.p50_ms,
            self.p99_ms,
            memory.join(", "),
            dead.join(", "),
            self.wal_mib_per_second
        )
    }
}

impl Change {
    /// Of the last third of the minutes against the first; at least one minute each.
    pub(crate) fn of(minutes: &[Minute]) -> Self {
        let third = (minutes.len() / 3).max(1).min(minutes.len());
        let (first, last) = (&minutes[..third], &minutes[minutes.len() - third..]);
        let ratio = |value: &dyn Fn(&Minute) -> f64| {
            let sum = |some: &[Minute]| some.iter().map(value).sum::<f64>();
            sum(last) / sum(first)
        };
        let roles: Vec<&'static str> =
            minutes.first().map(|minute| minute.memory_mib.keys().copied().collect()).unwrap_or_default();
        let memory = |minute: &Minute, role| minute.memory_mib.get(role).copied().unwrap_or_default();
        let fds = |minute: &Minute, role| minute.open_fds.get(role).copied().unwrap_or_default() as f64;
        Self {
            runs_per_second: ratio(&|minute| minute.runs_per_second),
            p50_ms: ratio(&|minute| minute.p50_ms),
            p99_ms: ratio(&|minute| minute.p99_ms),
            wal_mib_per_second: ratio(&|minute| minute.wal_mib_per_second),
            memory_mib: roles.iter().map(|role| (*role, ratio(&|minute| memory(minute, role)))).collect(),
            open_fds: roles.iter().map(|role| (*role, ratio(&|minute| fds(minute, role)))).collect(),
        }
    }

    /// In one line.
    pub(crate) fn line(&self) -> String {
        let memory: Vec<String> = self
            .memory_mib
            .iter()
            .map(|(role, change)| {
                let fds = self.open_fds.get(role).copied().unwrap_or_default();
                format!("{role} memory x{change:.2} fds x{fds:.2}")
            })
            .collect();
        format!(
            "runs/s x{:.2}, p50 x{:.2}, p99 x{:.2}, log x{:.2}, {}",
            self.runs_per_second,
            self.p50_ms,
            self.p99_ms,
            self.wal_mib_per_second,
            memory.join(", ")
        )
    }
}
