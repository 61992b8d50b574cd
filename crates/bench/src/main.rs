//! Measures the engine on real servers, beside what its statements cost alone.
//!
//! The servers are those of `AUTOMATION_TEST_*`; `./dev bench` sets them. Progress goes to standard error, the result to
//! standard output. What the engine did is counted in the end, and a count that is not as it must be is an exit of 1.

mod cpu;
mod engine;
mod fleet;
mod load;
mod raw;
mod report;
mod role;
mod scenario;

use clap::{Parser, Subcommand};
use std::time::Duration;

/// Measures the engine on real servers, beside what its statements cost alone
#[derive(Parser, Debug)]
#[command(name = "bench")]
struct Arguments {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Measure for seconds instead of minutes; the figures scatter more
    #[arg(long)]
    quick: bool,
    /// Measure these only; by default all
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<scenario::Scenario>,
    #[command(subcommand)]
    command: Option<Hidden>,
}

#[derive(Subcommand, Debug)]
enum Hidden {
    /// Runs one role until standard input ends; the benchmark starts itself so
    #[command(hide = true)]
    Role(role::RoleArguments),
}

/// How long each part takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Durations {
    /// Per batch size and number of connections of the raw cycle.
    pub(crate) raw_cell: Duration,
    /// Load before the engine is measured.
    pub(crate) warm_up: Duration,
    /// Measuring the engine.
    pub(crate) measure: Duration,
    /// Light load for latencies.
    pub(crate) latency: Duration,
}

impl Durations {
    fn full() -> Self {
        let seconds = Duration::from_secs;
        Self { raw_cell: seconds(4), warm_up: seconds(5), measure: seconds(30), latency: seconds(10) }
    }

    fn quick() -> Self {
        let seconds = Duration::from_secs;
        Self { raw_cell: seconds(1), warm_up: seconds(2), measure: seconds(8), latency: seconds(5) }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(Hidden::Role(role)) = arguments.command {
        return role::run(role).await;
    }
    let durations = if arguments.quick { Durations::quick() } else { Durations::full() };
    let report = scenario::measure(durations, &arguments.only).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{}", report.table());
    }
    Ok(())
}
