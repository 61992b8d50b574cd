//! What is measured, in which order. What is compared is measured in turns, because a shared machine drifts.

mod due;
mod hostile;
mod latency;
mod matching;
mod raw_broker;
mod raw_cycle;
mod requests;
mod throughput;

pub(crate) use due::Due;
pub(crate) use hostile::Held;
pub(crate) use latency::{Latency, percentile};
pub(crate) use matching::Evaluated;
pub(crate) use raw_broker::RawBroker;
pub(crate) use raw_cycle::RawCycle;
pub(crate) use requests::Requests;
pub(crate) use throughput::{Figures, measure_fleet};

use crate::effort::Effort;
use crate::load::{Ids, Matching, Packing};
use crate::prepared::Prepared;
use crate::report::{Machine, Report};
use crate::workload::Workload;
use anyhow::Context;
use clap::ValueEnum;
use throughput::Setup;

/// One of the things to measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Scenario {
    /// RabbitMQ by itself: publishing, consuming, both
    Broker,
    /// The statements of a run by themselves
    Raw,
    /// Every event starts a run that adds a note, events in batches of 50
    Packed,
    /// The same, each event in a message of its own
    Single,
    /// Every run adds a tag, whose event is published and taken in again, events in batches of 50
    Tag,
    /// One event in ten starts a run, events in batches of 50
    Tenth,
    /// The same, with random event ids
    TenthRandom,
    /// One event in ten starts a run, each event in a message of its own
    TenthSingle,
    /// From an event to its run's end, at 300 and 5,000 events/s and at half of what `packed` reached
    Latency,
    /// Ten record actions in a row, 100 events/s
    Ten,
    /// A request per run, 200 in flight
    Requests,
    /// Finding an event's triggers among 100,000
    Matching,
    /// Definitions made to hurt: how long each holds a thread
    Hostile,
    /// 10,000 runs due at once, alone and beside 1,000,000 that wait
    Due,
}

/// Measures what `only` names, or everything when it names nothing.
pub(crate) async fn measure(effort: Effort, only: &[Scenario]) -> anyhow::Result<Report> {
    let wanted = |scenario| only.is_empty() || only.contains(&scenario);
    let mut report = Report::new(Machine::read().await?);
    if wanted(Scenario::Hostile) {
        eprintln!("==> Definitions made to hurt");
        report.hostile = hostile::measure();
        report.hostile.iter().for_each(|held| eprintln!("    {}", held.line()));
        if only == [Scenario::Hostile] {
            return Ok(report.complete());
        }
    }
    if wanted(Scenario::Broker) {
        eprintln!("==> RabbitMQ by itself");
        report.broker = raw_broker::measure(effort).await?;
    }
    if wanted(Scenario::Raw) {
        eprintln!("==> Raw cycle: looking for the best batch and number of connections");
        report.raw.push(raw_cycle::best(effort).await?);
    }
    eprintln!("==> Loading {} contacts", effort.contacts);
    let prepared = Prepared::load(effort.contacts).await?;
    for (_, setup) in throughputs().into_iter().filter(|(scenario, _)| wanted(*scenario)) {
        measure_rate(&mut report, &prepared, &setup, effort).await?;
    }
    if wanted(Scenario::Latency) {
        let half = half_of_the_most(&report, &prepared, effort).await?;
        for setup in latencies(half) {
            measure_latency(&mut report, &prepared, &setup, effort).await?;
        }
    }
    if wanted(Scenario::Ten) {
        measure_latency(&mut report, &prepared, &ten_actions(), effort).await?;
    }
    if wanted(Scenario::Requests) {
        eprintln!("==> Requests");
        let figures = requests::measure(&prepared, effort).await?;
        eprintln!("    {}", figures.line());
        report.requests = Some(figures);
    }
    if wanted(Scenario::Matching) {
        eprintln!("==> Finding an event's triggers among {}", effort.triggers);
        report.matching = matching::measure(&prepared, effort).await?;
    }
    if wanted(Scenario::Due) {
        eprintln!("==> {} runs due at once, alone and beside {}", effort.at_once, effort.parked);
        report.due = due::measure(&prepared, effort).await?;
    }
    prepared.remove().await?;
    Ok(report.complete())
}

/// Measures a load, and the raw cycle again.
async fn measure_rate(
    report: &mut Report,
    prepared: &Prepared,
    setup: &Setup,
    effort: Effort,
) -> anyhow::Result<()> {
    eprintln!("==> Engine: {}", setup.name);
    let figures = throughput::measure(prepared, setup, effort).await?;
    eprintln!("    {}", figures.line());
    report.engine.push(figures);
    if let Some(best) = report.raw.first().copied() {
        eprintln!("==> Raw cycle again: {} runs, {} connections", best.batch, best.connections);
        report.raw.push(raw_cycle::cell(best.batch, best.connections, effort.raw_again).await?);
    }
    Ok(())
}

async fn measure_latency(
    report: &mut Report,
    prepared: &Prepared,
    setup: &latency::Setup,
    effort: Effort,
) -> anyhow::Result<()> {
    eprintln!("==> Latency: {}", setup.name);
    let figures = latency::measure(prepared, setup, effort).await?;
    eprintln!("    {}", figures.line());
    report.latency.push(figures);
    Ok(())
}

/// Loads that the engine gets as much of as it takes.
fn throughputs() -> [(Scenario, Setup); 6] {
    let note =
        |name, packing, ids, matching| Setup { name, workload: Workload::Note, packing, ids, matching };
    let packed = Packing::FIFTY;
    [
        (Scenario::Packed, note("add_note, batches of 50", packed, Ids::Ordered, Matching::All)),
        (Scenario::Single, note("add_note, one by one", Packing::Single, Ids::Ordered, Matching::All)),
        (
            Scenario::Tag,
            Setup {
                workload: Workload::Tag,
                ..note("add_tag and its event, batches of 50", packed, Ids::Ordered, Matching::All)
            },
        ),
        (Scenario::Tenth, note("1 in 10 matches, batches of 50", packed, Ids::Ordered, Matching::Tenth)),
        (
            Scenario::TenthRandom,
            note("1 in 10 matches, batches of 50, random ids", packed, Ids::Random, Matching::Tenth),
        ),
        (
            Scenario::TenthSingle,
            note("1 in 10 matches, one by one", Packing::Single, Ids::Ordered, Matching::Tenth),
        ),
    ]
}

/// The loads that these scenarios put on the engine.
///
/// # Errors
///
/// When one of them is no such load.
pub(crate) fn rates(only: &[Scenario]) -> anyhow::Result<Vec<Setup>> {
    let setup = |wanted: &Scenario| {
        let found = throughputs().into_iter().find(|(scenario, _)| scenario == wanted);
        found.map(|(_, setup)| setup).with_context(|| {
            format!("{wanted:?} is no load: --only packed, single, tag or tenth… can be compared")
        })
    };
    only.iter().map(setup).collect()
}

/// Steady loads.
fn latencies(half: u32) -> [latency::Setup; 4] {
    let setup = |name: &str, packing, per_second| latency::Setup {
        name: format!("{name}, {per_second} events/s"),
        workload: Workload::Note,
        packing,
        per_second,
    };
    [
        setup("one by one", Packing::Single, 300),
        setup("one by one", Packing::Single, 5_000),
        setup("batches of up to 50 within 5 ms", Packing::FIFTY, 5_000),
        setup("half of the most, batches of up to 50 within 5 ms", Packing::FIFTY, half),
    ]
}

/// Ten record actions in a row.
fn ten_actions() -> latency::Setup {
    latency::Setup {
        name: "ten record actions, one by one, 100 events/s".to_owned(),
        workload: Workload::Ten,
        packing: Packing::Single,
        per_second: 100,
    }
}

/// Half of what the engine reached with `packed`, or would have if that is not among what was measured.
async fn half_of_the_most(report: &Report, prepared: &Prepared, effort: Effort) -> anyhow::Result<u32> {
    let [(_, packed), ..] = throughputs();
    let most = match report.engine.iter().find(|figures| figures.load == packed.name) {
        Some(figures) => figures.runs_per_second,
        None => most(prepared, effort).await?,
    };
    Ok((most / 2.0) as u32)
}

/// The runs per second that the engine reaches with `packed`.
pub(crate) async fn most(prepared: &Prepared, effort: Effort) -> anyhow::Result<f64> {
    let [(_, packed), ..] = throughputs();
    eprintln!("==> Engine: {}", packed.name);
    Ok(throughput::measure(prepared, &packed, effort).await?.runs_per_second)
}
