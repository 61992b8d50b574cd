//! The result, for people and for machines.

use crate::engine::{EngineFigures, Latency};
use crate::raw::RawFigures;
use automation_test_support::database::DATABASE_URL;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use sqlx::Connection;
use std::fmt::Write as _;
use std::{env, fs, thread};

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    /// The raw cycle: at first, and again after each load on the engine.
    raw: Vec<RawFigures>,
    engine: Vec<EngineFigures>,
    /// The engine's first load against the mean of the raw cycles around it.
    engine_to_raw: Option<Ratio>,
    latency: Option<Latency>,
}

/// The engine as a multiple of the raw cycle.
#[derive(Clone, Copy, Debug, Serialize)]
struct Ratio {
    runs_per_second: f64,
    cpu_us_per_run: f64,
}

/// Where it was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory_gib: f64,
    /// Processes ready to run in the minute before: above the number of cores, others were at work too.
    load_average: f64,
    postgres: String,
}

impl Machine {
    /// Reads what Linux and the server tell of themselves.
    pub(crate) async fn read() -> anyhow::Result<Self> {
        let mut connection = sqlx::PgConnection::connect(&env::var(DATABASE_URL)?).await?;
        let postgres = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
        connection.close().await?;
        let field = |file, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim_start_matches([' ', '\t', ':']).to_owned()
        };
        let kibibytes = field("/proc/meminfo", "MemTotal");
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kibibytes.trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1_048_576.0,
            load_average: load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default(),
            postgres,
        })
    }
}

impl Report {
    pub(crate) fn new(
        machine: Machine,
        raw: Vec<RawFigures>,
        engine: Vec<EngineFigures>,
        latency: Option<Latency>,
    ) -> Self {
        let engine_to_raw = match (engine.first(), &raw[..]) {
            (Some(engine), [before, after, ..]) => Some(Ratio {
                runs_per_second: engine.runs_per_second / mean(before.runs_per_second, after.runs_per_second),
                cpu_us_per_run: engine.cpu_us_per_run_total / mean(before.cpu_us(), after.cpu_us()),
            }),
            _ => None,
        };
        Self { machine, raw, engine, engine_to_raw, latency }
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let parts = ["postgres", "rabbitmq", "ingest", "executor", "scheduler", "publisher"];
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        let header = ["", "runs/s", "CPU µs/run"].into_iter().chain(parts);
        table.set_header(header);
        for raw in &self.raw {
            let name = format!("raw cycle, {} runs, {} connections", raw.batch, raw.connections);
            let client = [number(raw.postgres_us_per_run)].into_iter().chain((0..4).map(|_| String::new()));
            let cells = [name, number(raw.runs_per_second), number(raw.cpu_us())]
                .into_iter()
                .chain(client)
                .chain([number(raw.client_us_per_run)]);
            table.add_row(cells);
        }
        for engine in &self.engine {
            let cells =
                [engine.load.clone(), number(engine.runs_per_second), number(engine.cpu_us_per_run_total)]
                    .into_iter()
                    .chain(
                        parts
                            .iter()
                            .map(|part| number(engine.cpu_us_per_run.get(part).copied().unwrap_or(0.0))),
                    );
            table.add_row(cells);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let machine = &self.machine;
        let mut text = format!(
            "{}, {} cores, {:.0} GiB, Postgres {}, load average at the start {}\n{table}\n",
            machine.processor, machine.cores, machine.memory_gib, machine.postgres, machine.load_average
        );
        if let Some(ratio) = self.engine_to_raw {
            let _ = writeln!(
                text,
                "Engine to raw cycle: {:.2} times the runs/s, {:.1} times the CPU per run.",
                ratio.runs_per_second, ratio.cpu_us_per_run
            );
        }
        if let Some(latency) = &self.latency {
            let _ = writeln!(
                text,
                "Event to finished run at {} events/s: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms.",
                latency.events_per_second, latency.p50_ms, latency.p95_ms, latency.p99_ms
            );
        }
        for engine in &self.engine {
            let _ = writeln!(
                text,
                "{}: {} events published, and each was found once as event, run and effect.",
                engine.load, engine.checked
            );
        }
        text
    }
}

impl RawFigures {
    fn cpu_us(&self) -> f64 {
        self.postgres_us_per_run + self.client_us_per_run
    }
}

fn mean(one: f64, other: f64) -> f64 {
    f64::midpoint(one, other)
}

fn number(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
