//! What is measured, in which order. What is compared is measured in turns, because a shared machine drifts.

use crate::Durations;
use crate::engine::{self, EngineFigures, Latency};
use crate::fleet::Effect;
use crate::load::Packing;
use crate::raw::{self, RawFigures};
use crate::report::{Machine, Report};
use clap::ValueEnum;

/// Events per message of publishers that pack.
const PACKED: usize = 50;

/// One of the things to measure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Scenario {
    /// The statements of a run by themselves
    Raw,
    /// The engine, events in batches of 50
    Packed,
    /// The engine, each event in a message of its own
    Single,
    /// The engine with an action whose event is published and taken in again, events in batches of 50
    Tag,
    /// How long a run takes under a light load
    Latency,
}

/// Measures what `only` names, or everything when it names nothing.
pub(crate) async fn measure(durations: Durations, only: &[Scenario]) -> anyhow::Result<Report> {
    let wanted = |scenario| only.is_empty() || only.contains(&scenario);
    let mut raw: Vec<RawFigures> = Vec::new();
    let mut engine: Vec<EngineFigures> = Vec::new();
    let mut latency: Option<Latency> = None;
    let machine = Machine::read().await?;
    if wanted(Scenario::Raw) {
        eprintln!("==> Raw cycle: looking for the best batch and number of connections");
        raw.push(raw::best(durations).await?);
    }
    let loads = [
        (Scenario::Packed, "add_note, events in batches of 50", Effect::Note, Packing::Batches(PACKED)),
        (Scenario::Single, "add_note, events one by one", Effect::Note, Packing::Single),
        (Scenario::Tag, "add_tag and its event, batches of 50", Effect::Tag, Packing::Batches(PACKED)),
    ];
    for (scenario, name, effect, packing) in loads {
        if !wanted(scenario) {
            continue;
        }
        eprintln!("==> Engine: {name}");
        let figures = engine::measure(name, effect, packing, durations).await?;
        eprintln!("    {:.0} runs/s, {:.0} µs", figures.runs_per_second, figures.cpu_us_per_run_total);
        engine.push(figures);
        if let Some(best) = raw.first().copied() {
            eprintln!("==> Raw cycle again: {} runs, {} connections", best.batch, best.connections);
            raw.push(raw::cell(best.batch, best.connections, durations.raw_cell).await?);
        }
    }
    if wanted(Scenario::Latency) {
        eprintln!("==> Latency under a light load");
        latency = Some(engine::latency(durations).await?);
    }
    Ok(Report::new(machine, raw, engine, latency))
}
