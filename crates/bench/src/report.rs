//! The result, for people and for machines.

use crate::scenarios::{Due, Evaluated, Figures, Held, Latency, RawBroker, RawCycle, Requests};
use automation_test_support::database::DATABASE_URL;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use sqlx::Connection;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::{env, fs, thread};

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    /// RabbitMQ by itself.
    pub(crate) broker: Vec<RawBroker>,
    /// The raw cycle: at first, and again after each load on the engine.
    pub(crate) raw: Vec<RawCycle>,
    pub(crate) engine: Vec<Figures>,
    /// The engine's first load against the mean of the raw cycles around it.
    engine_to_raw: Option<Ratio>,
    pub(crate) latency: Vec<Latency>,
    pub(crate) requests: Option<Requests>,
    pub(crate) matching: Vec<Evaluated>,
    /// How long definitions made to hurt hold a thread.
    pub(crate) hostile: Vec<Held>,
    pub(crate) due: Vec<Due>,
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
    /// MiB of huge pages that are in use or promised: shared buffers in them make Postgres faster.
    huge_pages_mib: u64,
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
        let count = |name| field("/proc/meminfo", name).parse::<u64>().unwrap_or_default();
        let huge_pages =
            (count("HugePages_Total:") + count("HugePages_Rsvd:")).saturating_sub(count("HugePages_Free:"));
        let huge_page_kib = field("/proc/meminfo", "Hugepagesize:").trim_end_matches(" kB").parse::<u64>();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Ok(Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_gib: kibibytes.trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1_048_576.0,
            huge_pages_mib: huge_pages * huge_page_kib.unwrap_or_default() / 1_024,
            load_average: load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default(),
            postgres,
        })
    }
}

impl Machine {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}, {} cores, {:.0} GiB, Postgres {}, {} MiB in huge pages, load average at the start {}",
            self.processor,
            self.cores,
            self.memory_gib,
            self.postgres,
            self.huge_pages_mib,
            self.load_average
        )
    }
}

impl Report {
    /// A report without any figures.
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine,
            broker: Vec::new(),
            raw: Vec::new(),
            engine: Vec::new(),
            engine_to_raw: None,
            latency: Vec::new(),
            requests: None,
            matching: Vec::new(),
            hostile: Vec::new(),
            due: Vec::new(),
        }
    }

    /// Works out what takes more than one figure.
    pub(crate) fn complete(mut self) -> Self {
        self.engine_to_raw = match (self.engine.first(), &self.raw[..]) {
            (Some(engine), [before, after, ..]) => Some(Ratio {
                runs_per_second: engine.runs_per_second
                    / f64::midpoint(before.runs_per_second, after.runs_per_second),
                cpu_us_per_run: engine.cpu_us_total / f64::midpoint(before.cpu_us(), after.cpu_us()),
            }),
            _ => None,
        };
        self
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{}\n", self.machine.line());
        if !(self.raw.is_empty() && self.engine.is_empty()) {
            let _ = writeln!(text, "{}", self.rates());
        }
        if let Some(ratio) = self.engine_to_raw {
            let _ = writeln!(
                text,
                "Engine to raw cycle: {:.2} times the runs/s, {:.1} times the CPU per run.",
                ratio.runs_per_second, ratio.cpu_us_per_run
            );
        }
        let lines = [
            ("RabbitMQ by itself", self.broker.iter().map(RawBroker::line).collect()),
            ("Event to finished run", self.latency.iter().map(Latency::line).collect()),
            ("Requests", self.requests.iter().map(Requests::line).collect()),
            ("Finding an event's triggers", self.matching.iter().map(Evaluated::line).collect()),
            ("Definitions made to hurt", self.hostile.iter().map(Held::line).collect()),
            ("Due in the same moment", self.due.iter().map(Due::line).collect()),
            ("Bytes and memory", self.engine.iter().map(Figures::storage_line).collect()),
            (
                "Found again, each exactly once",
                self.engine.iter().map(Figures::checked_line).collect::<Vec<_>>(),
            ),
        ];
        for (title, lines) in lines {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n{title}\n  {}", lines.join("\n  "));
            }
        }
        text
    }

    fn rates(&self) -> Table {
        let parts = ["postgres", "rabbitmq", "ingest", "executor", "scheduler", "publisher"];
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_header(["", "events/s", "runs/s", "CPU µs each"].into_iter().chain(parts));
        for raw in &self.raw {
            let mut cells = vec![String::new(); 10];
            cells[0] = format!("raw cycle, {} runs, {} connections", raw.batch, raw.connections);
            cells[2] = number(raw.runs_per_second);
            cells[3] = format!("{} /run", number(raw.cpu_us()));
            cells[4] = number(raw.postgres_us_per_run);
            cells[9] = number(raw.client_us_per_run);
            table.add_row(cells);
        }
        for engine in &self.engine {
            let mut cells = vec![
                engine.load.to_owned(),
                number(engine.events_per_second),
                number(engine.runs_per_second),
                format!("{} /{}", number(engine.cpu_us_total), engine.each),
            ];
            cells.extend(parts.map(|part| number(engine.cpu_us.get(part).copied().unwrap_or(0.0))));
            table.add_row(cells);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

impl RawBroker {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}: published {} events/s, consumed {}, through {} at {:.1} µs of the broker and {:.1} of the client",
            self.load,
            number(self.published_per_second),
            number(self.consumed_per_second),
            number(self.through_per_second),
            self.broker_us_per_event,
            self.client_us_per_event
        )
    }
}

impl Figures {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} events/s, {} runs/s, {} µs per {}",
            number(self.events_per_second),
            number(self.runs_per_second),
            number(self.cpu_us_total),
            self.each
        )
    }

    fn storage_line(&self) -> String {
        format!(
            "{}: {:.0} bytes of log and {:.0} of tables per {}; at most {} MiB, all together {:.0} in the end",
            self.load,
            self.storage.wal_bytes,
            self.storage.table_bytes,
            self.each,
            mebibytes(&self.peak_memory_mib),
            self.memory_together_mib
        )
    }

    fn checked_line(&self) -> String {
        format!(
            "{}: {} events, {} runs with their effects",
            self.load, self.checked_events, self.checked_runs
        )
    }
}

impl Latency {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}: p50 {:.1} ms, p95 {:.1}, p99 {:.1}, at most {:.1}; busy {:.0} % of a core, publisher included ({})",
            self.load,
            self.p50_ms,
            self.p95_ms,
            self.p99_ms,
            self.max_ms,
            self.busy_percent.values().sum::<f64>(),
            self.busy_percent
                .iter()
                .map(|(part, percent)| format!("{part} {percent:.0}"))
                .collect::<Vec<_>>()
                .join(", ")
        )
    }
}

impl Requests {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} in flight, answered after {} ms: {} requests/s; event to finished run p50 {:.1} ms, p95 {:.1}, p99 {:.1}",
            self.in_flight,
            self.service_ms,
            number(self.requests_per_second),
            self.p50_ms,
            self.p95_ms,
            self.p99_ms
        )
    }
}

impl Evaluated {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} triggers, {}: loaded in {:.1} s; {:.1} match an event, found in p50 {:.1} µs, p99 {:.1}",
            self.active, self.triggers, self.load_seconds, self.matches_per_event, self.p50_us, self.p99_us
        )
    }
}

impl Due {
    /// In one line.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} runs beside {} parked: all waiting after {:.0} ms; all finished {:.0} ms after they were due, p50 {:.0}, \
             p99 {:.0}; {} MiB",
            self.runs,
            self.parked,
            self.all_waiting_ms,
            self.all_finished_ms,
            self.p50_ms,
            self.p99_ms,
            mebibytes(&self.memory_mib)
        )
    }
}

/// The memory of each role.
fn mebibytes(by_role: &BTreeMap<&'static str, f64>) -> String {
    by_role.iter().map(|(role, mib)| format!("{role} {mib:.0}")).collect::<Vec<_>>().join(", ")
}

fn number(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}
