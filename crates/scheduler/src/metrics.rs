//! What schedulers count.

use automation_service_kit::metrics::meter;
use opentelemetry::metrics::Counter;

/// The counters of a scheduler.
pub(crate) struct SchedulerMetrics {
    pub(crate) nudged: Counter<u64>,
    pub(crate) relayed: Counter<u64>,
    pub(crate) parked: Counter<u64>,
    pub(crate) dead_nudges: Counter<u64>,
}

impl SchedulerMetrics {
    pub(crate) fn new() -> Self {
        let meter = meter();
        Self {
            nudged: meter.u64_counter("sweep.nudges").with_description("Runs nudged by the sweep").build(),
            relayed: meter
                .u64_counter("outbox.relayed")
                .with_description("Events published from the outbox")
                .build(),
            parked: meter.u64_counter("parked").with_description("Parked messages recorded").build(),
            dead_nudges: meter
                .u64_counter("work.dead")
                .with_description("Work messages that the broker gave up on; the sweep makes up for them")
                .build(),
        }
    }
}
