//! As much as the engine takes: runs and events per second, and what each costs.

use crate::check::{Expected, finish};
use crate::effort::Effort;
use crate::fleet::{CpuByPart, Fleet, cpu_between};
use crate::load::{Bounds, ClosedLoop, Ids, Load, Matching, Packing};
use crate::prepared::Prepared;
use crate::storage::{Storage, StorageEach};
use crate::workload::Workload;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// A load, and what each of its runs does.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) workload: Workload,
    pub(crate) packing: Packing,
    pub(crate) ids: Ids,
    pub(crate) matching: Matching,
}

/// What was measured of the whole engine under one load.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    /// What was published, and what each run did.
    pub(crate) load: &'static str,
    /// Events of the load recorded per second, by what the processes told.
    pub(crate) events_per_second: f64,
    /// Runs finished per second, by what the processes told.
    pub(crate) runs_per_second: f64,
    /// What the figures below are divided by: `run` where every event makes one, else `event`.
    pub(crate) each: &'static str,
    /// Microseconds of CPU, by who used it.
    pub(crate) cpu_us: BTreeMap<&'static str, f64>,
    /// Their sum, without what published the load.
    pub(crate) cpu_us_total: f64,
    /// Bytes written and kept.
    pub(crate) storage: StorageEach,
    /// The most memory that each role had, in MiB.
    pub(crate) peak_memory_mib: BTreeMap<&'static str, f64>,
    /// The memory of all roles together in the end, under full load, in MiB; pages that they share count once.
    pub(crate) memory_together_mib: f64,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// Events published in all, each of which was found again.
    pub(crate) checked_events: u64,
    /// Runs that they made, each of which was found again.
    pub(crate) checked_runs: u64,
}

/// Measures one load on an engine of its own, and checks that nothing was lost or done twice.
pub(crate) async fn measure(prepared: &Prepared, setup: &Setup, effort: Effort) -> anyhow::Result<Figures> {
    measure_fleet(Fleet::start(prepared, &setup.workload).await?, setup, effort).await
}

/// The same on a fleet that runs, and stops it.
pub(crate) async fn measure_fleet(fleet: Fleet, setup: &Setup, effort: Effort) -> anyhow::Result<Figures> {
    let mut monitor = fleet.database.superuser().await?;
    let load = Load {
        packing: setup.packing,
        ids: setup.ids,
        matching: setup.matching,
        contacts: fleet.contacts,
        user: fleet.user.clone(),
        source: "shop",
    };
    let own_per_run = u64::try_from(setup.workload.traces().emitted)?;
    let bounds = Bounds { own: own_per_run, ..Bounds::SATURATED };
    let running = ClosedLoop::start(&fleet, &load, bounds);
    tokio::time::sleep(effort.warm_up).await;
    let storage_before = Storage::read(&mut monitor).await?;
    let before = Moment::read(&fleet, &mut monitor).await?;
    tokio::time::sleep(effort.measure).await;
    let after = Moment::read(&fleet, &mut monitor).await?;
    let storage_after = Storage::read(&mut monitor).await?;
    let memory_together_mib = fleet.memory_together()?;
    let events = running.stop().await?;
    let expected = Expected { events, runs: setup.matching.runs(events) };
    finish(&fleet, &mut monitor, &setup.workload, expected).await?;
    let peak_memory_mib = fleet.peak_memory()?;
    fleet.stop().await?;

    let seconds = (after.at - before.at).as_secs_f64();
    let runs = after.finished - before.finished;
    // What the engine published itself was recorded too, once for each such effect of a run.
    let recorded = (after.recorded - before.recorded).saturating_sub(runs * own_per_run);
    let (each, count) = match setup.matching {
        Matching::All => ("run", runs),
        Matching::Tenth => ("event", recorded),
    };
    let cpu_us = per_each(&before.cpu, &after.cpu, count);
    Ok(Figures {
        load: setup.name,
        events_per_second: recorded as f64 / seconds,
        runs_per_second: runs as f64 / seconds,
        each,
        cpu_us_total: cpu_us.iter().filter(|(part, _)| **part != "publisher").map(|(_, us)| us).sum(),
        cpu_us,
        storage: storage_after.each_since(storage_before, count),
        peak_memory_mib,
        memory_together_mib,
        seconds,
        checked_events: expected.events,
        checked_runs: expected.runs,
    })
}

/// What the engine had done and used at one moment.
struct Moment {
    at: Instant,
    recorded: u64,
    finished: u64,
    cpu: CpuByPart,
}

impl Moment {
    async fn read(fleet: &Fleet, monitor: &mut sqlx::PgConnection) -> anyhow::Result<Self> {
        let cpu = fleet.cpu(monitor).await?;
        let (recorded, finished) = (fleet.progress.recorded(), fleet.progress.finished());
        Ok(Self { at: Instant::now(), recorded, finished, cpu })
    }
}

fn per_each(before: &CpuByPart, after: &CpuByPart, count: u64) -> BTreeMap<&'static str, f64> {
    cpu_between(before, after).map(|(part, us)| (part, us as f64 / count.max(1) as f64)).collect()
}
