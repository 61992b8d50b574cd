//! What processes use: CPU time, memory and files, as Linux counts it.

use anyhow::Context;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::fs;

/// The unit of CPU times in /proc, which every Linux fixes at 100 per second for programs.
const MICROSECONDS_PER_TICK: u64 = 10_000;

/// CPU times of some processes at one moment, in microseconds by process id.
pub(crate) type CpuTimes = BTreeMap<u32, u64>;

/// User and system time of these processes so far; those that have ended are left out.
pub(crate) fn times(pids: &[u32]) -> CpuTimes {
    pids.iter().filter_map(|pid| Some((*pid, time(*pid)?))).collect()
}

/// Microseconds of CPU between two moments. A process that began in between counts from its beginning.
pub(crate) fn between(before: &CpuTimes, after: &CpuTimes) -> u64 {
    after.iter().map(|(pid, time)| time.saturating_sub(before.get(pid).copied().unwrap_or(0))).sum()
}

fn time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name is in brackets and may hold spaces; utime and stime are the 12th and 13th field behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) * MICROSECONDS_PER_TICK)
}

/// The processes that serve the database of `connection`, and those that Postgres runs for all; not the one that is
/// asked, nor those of other databases on the server.
pub(crate) async fn postgres_pids(connection: &mut PgConnection) -> anyhow::Result<Vec<u32>> {
    let pids: Vec<i32> = sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity
          WHERE pid <> pg_backend_pid()
            AND (datname = current_database()
                 OR backend_type NOT IN ('client backend', 'autovacuum worker', 'parallel worker', 'walsender'))",
    )
    .fetch_all(connection)
    .await?;
    Ok(pids.into_iter().filter_map(|pid| u32::try_from(pid).ok()).collect())
}

/// The process of the broker, as it knows it itself. It must run on this machine.
pub(crate) async fn rabbitmq_pid(management_url: &str) -> anyhow::Result<u32> {
    let url = format!("{}/api/nodes?columns=os_pid", management_url.trim_end_matches('/'));
    let body = reqwest::get(url).await?.error_for_status()?.text().await?;
    let nodes: serde_json::Value = serde_json::from_str(&body)?;
    let pid = nodes[0]["os_pid"].as_str().context("the broker does not tell its process id")?;
    Ok(pid.parse()?)
}

/// The most memory that a process had at once, in MiB: `VmHWM`. None when it has ended.
pub(crate) fn peak_memory_mib(pid: u32) -> Option<f64> {
    memory_mib(pid, "VmHWM:")
}

/// The memory that a process has, in MiB: `VmRSS`. None when it has ended.
pub(crate) fn resident_memory_mib(pid: u32) -> Option<f64> {
    memory_mib(pid, "VmRSS:")
}

/// The memory that a process has, in MiB, of which pages that it shares with others count in parts: `Pss`, so that the sum
/// over all that share them counts each page once.
pub(crate) fn proportional_memory_mib(pid: u32) -> anyhow::Result<f64> {
    read_mib(&format!("/proc/{pid}/smaps_rollup"), "Pss:").context("the memory of a role cannot be read")
}

fn memory_mib(pid: u32, name: &str) -> Option<f64> {
    read_mib(&format!("/proc/{pid}/status"), name)
}

fn read_mib(path: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1_024.0)
}

/// How many files and sockets a process has open. None when it has ended.
pub(crate) fn open_fds(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}
