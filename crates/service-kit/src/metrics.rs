//! Metrics: OpenTelemetry instruments, read by Prometheus.
//!
//! Instruments come from [`meter`], after [`Metrics::install`]: one made before measures nothing. Names are dotted and
//! carry no unit (`ingest.batch.duration` with unit `s` is scraped as `ingest_batch_duration_seconds`); no label
//! holds an id. `docs/observability.md` lists them all.

use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Registry, TextEncoder};

/// Upper bounds, in seconds, for what takes milliseconds: 1 ms to 10 s.
pub const MOMENTS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds, in seconds, for what may wait for hours and days: 10 ms to 30 days, finest below a minute.
pub const AGES: [f64; 18] = [
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    15.0,
    60.0,
    300.0,
    900.0,
    3_600.0,
    21_600.0,
    86_400.0,
    604_800.0,
    2_592_000.0,
];

/// The process's metrics, as scraped.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    // Dropping the last copy of the provider shuts its readers down.
    _provider: SdkMeterProvider,
}

/// The meter that the engine's instruments are made with.
pub fn meter() -> Meter {
    opentelemetry::global::meter("automation")
}

/// A counter that is scraped as 0 from the start: a rate over a series that begins with its first event misses that event.
pub fn counter(name: &'static str, description: &'static str) -> Counter<u64> {
    let counter = meter().u64_counter(name).with_description(description).build();
    counter.add(0, &[]);
    counter
}

/// The same with a label, for each of its values.
pub fn counter_by(
    name: &'static str,
    description: &'static str,
    label: &'static str,
    values: impl IntoIterator<Item = &'static str>,
) -> Counter<u64> {
    let counter = meter().u64_counter(name).with_description(description).build();
    for value in values {
        counter.add(0, &[KeyValue::new(label, value)]);
    }
    counter
}

/// A histogram of seconds with these upper bounds.
pub fn seconds(name: &'static str, description: &'static str, bounds: &[f64]) -> Histogram<f64> {
    let meter = meter();
    let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
    histogram.with_boundaries(bounds.to_vec()).build()
}

/// Lets a pool of database connections be seen; `usage` says how many are in use, and how many idle.
pub fn observe_connections(pool: &'static str, usage: impl Fn() -> (u64, u64) + Send + Sync + 'static) {
    let used = [KeyValue::new("pool", pool), KeyValue::new("state", "used")];
    let free = [KeyValue::new("pool", pool), KeyValue::new("state", "idle")];
    meter()
        .u64_observable_gauge("db.connections")
        .with_description("Open connections to the database, by pool and state")
        .with_callback(move |observer| {
            let (in_use, idle) = usage();
            observer.observe(in_use, &used);
            observer.observe(idle, &free);
        })
        .build();
}

/// Lets the size of a cache be seen; `bytes` says about how much memory it takes.
pub fn observe_cache(cache: &'static str, bytes: impl Fn() -> u64 + Send + Sync + 'static) {
    let label = [KeyValue::new("cache", cache)];
    meter()
        .u64_observable_gauge("cache.bytes")
        .with_description("Memory that compiled workflows take, by cache")
        .with_callback(move |observer| observer.observe(bytes(), &label))
        .build();
}

impl Metrics {
    /// Installs the process's meter and the metrics about the process itself.
    ///
    /// # Errors
    ///
    /// When the exporter cannot be built.
    pub fn install() -> anyhow::Result<Self> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .context("building the Prometheus exporter")?;
        let provider = SdkMeterProvider::builder()
            .with_resource(Resource::builder().with_service_name("automation").build())
            .with_reader(exporter)
            .build();
        opentelemetry::global::set_meter_provider(provider.clone());
        process::observe(&meter());
        Ok(Self { registry, _provider: provider })
    }

    /// All metrics in Prometheus's text format.
    ///
    /// # Errors
    ///
    /// When a metric breaks the format's rules.
    pub fn encode(&self) -> anyhow::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather()).context("encoding the metrics")
    }
}

/// What Linux tells about the process; elsewhere nothing is observed.
mod process {
    use opentelemetry::metrics::Meter;
    use std::fs;

    /// The unit of CPU times in /proc, which every Linux fixes at 100 per second for programs.
    const TICKS_PER_SECOND: f64 = 100.0;

    pub(super) fn observe(meter: &Meter) {
        meter
            .u64_observable_gauge("process.resident_memory")
            .with_unit("By")
            .with_description("Resident memory of the process")
            .with_callback(|observer| {
                if let Some(bytes) = resident_bytes() {
                    observer.observe(bytes, &[]);
                }
            })
            .build();
        meter
            .f64_observable_counter("process.cpu")
            .with_unit("s")
            .with_description("User and system CPU time of the process")
            .with_callback(|observer| {
                if let Some(seconds) = cpu_seconds() {
                    observer.observe(seconds, &[]);
                }
            })
            .build();
        meter
            .u64_observable_gauge("process.open_fds")
            .with_description("Open file descriptors of the process")
            .with_callback(|observer| {
                if let Some(count) = open_fds() {
                    observer.observe(count, &[]);
                }
            })
            .build();
    }

    fn resident_bytes() -> Option<u64> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024)
    }

    fn cpu_seconds() -> Option<f64> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The program's name is in brackets and may hold spaces; fields are counted from behind it. utime and stime
        // are fields 14 and 15 of the line, 12 and 13 from there.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: f64 = fields.next()?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        Some((user + system) / TICKS_PER_SECOND)
    }

    fn open_fds() -> Option<u64> {
        u64::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()
    }
}
