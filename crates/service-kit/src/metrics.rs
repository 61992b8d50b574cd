//! Metrics: OpenTelemetry instruments, read by Prometheus.
//!
//! Instruments come from [`meter`], after [`Metrics::install`]: one made before measures nothing. Names are dotted and
//! carry no unit (`ingest.batch.duration` with unit `s` is scraped as `ingest_batch_duration_seconds`); no label
//! holds an id.

use anyhow::Context;
use opentelemetry::metrics::Meter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, InstrumentKind, SdkMeterProvider, Stream};
use prometheus::{Registry, TextEncoder};

/// Upper bounds of every histogram whose unit is `s`: 1 ms to 10 s.
pub const SECONDS_BUCKETS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

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
            .with_view(seconds_have_fine_buckets)
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

fn seconds_have_fine_buckets(instrument: &Instrument) -> Option<Stream> {
    if instrument.kind() != InstrumentKind::Histogram || instrument.unit() != "s" {
        return None;
    }
    let buckets =
        Aggregation::ExplicitBucketHistogram { boundaries: SECONDS_BUCKETS.to_vec(), record_min_max: false };
    Stream::builder().with_aggregation(buckets).build().ok()
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
