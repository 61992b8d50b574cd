//! What schedulers count.

use automation_service_kit::metrics::meter;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};

/// The counters of a scheduler.
pub(crate) struct SchedulerMetrics {
    pub(crate) nudged: Counter<u64>,
    pub(crate) relayed: Counter<u64>,
    pub(crate) parked: Counter<u64>,
    pub(crate) dead_nudges: Counter<u64>,
    slots: Counter<u64>,
    slot_lag: Histogram<f64>,
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
            slots: meter
                .u64_counter("schedule.slots")
                .with_description("Slots of schedules that fired, and that were missed and not made up for")
                .build(),
            slot_lag: meter
                .f64_histogram("schedule.lag")
                .with_unit("s")
                .with_description("From the moment a slot was due to its event")
                .with_boundaries(vec![0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3_600.0, 86_400.0])
                .build(),
        }
    }

    /// A slot fired this long after it was due, in seconds.
    pub(crate) fn fired(&self, lag: f64) {
        self.slots.add(1, &[KeyValue::new("outcome", "fired")]);
        self.slot_lag.record(lag, &[]);
    }

    /// Slots were missed and are not made up for.
    pub(crate) fn skipped(&self, slots: u64) {
        self.slots.add(slots, &[KeyValue::new("outcome", "skipped")]);
    }
}
