//! Measures the engine on real servers, beside what its statements and the broker can do alone.
//!
//! The servers are those of `AUTOMATION_TEST_*`; `./dev bench` sets them. Progress goes to standard error, the result to
//! standard output. What the engine did is counted in the end, and a count that is not as it must be is an exit of 1.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it times what it does, and says what came of it"
)]

mod against;
mod check;
mod commits;
mod effort;
mod engine;
mod fleet;
mod load;
mod prepared;
mod process;
mod progress;
mod publishing_user;
mod report;
mod role;
mod scenarios;
mod soak;
mod storage;
mod workload;

use against::Folders;
use clap::{Parser, Subcommand};
use effort::Effort;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures the engine on real servers, beside what its statements and the broker can do alone
#[derive(Parser, Debug)]
#[command(name = "bench")]
struct Arguments {
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Measure for seconds instead of minutes, on fewer rows; the figures scatter more
    #[arg(long)]
    quick: bool,
    /// Measure these only; by default all
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<scenarios::Scenario>,
    /// Instead of all that, put half of the most on the engine for so many minutes
    #[arg(long, value_name = "MINUTES", conflicts_with = "only", value_parser = clap::value_parser!(u32).range(1..))]
    soak: Option<u32>,
    /// Instead of all that, compare two binaries in turns: the folder of the first, with its roles.sql
    #[arg(long, value_name = "FOLDER", requires = "after", conflicts_with = "soak")]
    before: Option<PathBuf>,
    /// The folder of the second
    #[arg(long, value_name = "FOLDER", requires = "before")]
    after: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Hidden>,
}

#[derive(Subcommand, Debug)]
enum Hidden {
    /// Runs one role until standard input ends; the benchmark starts itself so
    #[command(hide = true)]
    Role(role::RoleArguments),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    automation_service_kit::bootstrap();
    let arguments = Arguments::parse();
    if let Some(Hidden::Role(role)) = arguments.command {
        role::run(role).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let effort = if arguments.quick { Effort::quick() } else { Effort::full() };
    if let Some(minutes) = arguments.soak {
        let soak = soak::run(minutes, effort).await?;
        println!("{}", if arguments.json { serde_json::to_string(&soak)? } else { soak.table() });
        return Ok(ExitCode::SUCCESS);
    }
    if let (Some(before), Some(after)) = (&arguments.before, &arguments.after) {
        let comparisons = against::measure(Folders { before, after }, effort, &arguments.only).await?;
        println!(
            "{}",
            if arguments.json { serde_json::to_string(&comparisons)? } else { against::tables(&comparisons) }
        );
        return Ok(if against::all_within(&comparisons) { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let report = scenarios::measure(effort, &arguments.only).await?;
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{}", report.table());
    }
    Ok(ExitCode::SUCCESS)
}
