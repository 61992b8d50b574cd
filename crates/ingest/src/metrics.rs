//! What ingest counts.

use automation_service_kit::metrics::meter;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

/// The counters of ingest.
pub(crate) struct IngestMetrics {
    events: Counter<u64>,
    runs: Counter<u64>,
    batch: Histogram<f64>,
}

impl IngestMetrics {
    pub(crate) fn new() -> Self {
        let meter = meter();
        Self {
            events: meter.u64_counter("events").with_description("Events taken in, by outcome").build(),
            runs: meter.u64_counter("runs.started").with_description("Runs made").build(),
            batch: meter
                .f64_histogram("ingest.batch.duration")
                .with_unit("s")
                .with_description("From the first event of a batch to its acknowledgement")
                .build(),
        }
    }

    /// Counts a batch that is done.
    pub(crate) fn batch(&self, recorded: usize, repeated: usize, parked: usize, runs: usize, seconds: f64) {
        for (outcome, count) in [("recorded", recorded), ("repeated", repeated), ("parked", parked)] {
            self.events.add(count as u64, &[KeyValue::new("outcome", outcome)]);
        }
        self.runs.add(runs as u64, &[]);
        self.batch.record(seconds, &[]);
    }
}
