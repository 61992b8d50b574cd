//! What schedulers count.

use automation_service_kit::metrics::{AGES, counter, counter_by, seconds};
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
        Self {
            nudged: counter("sweep.nudges", "Runs nudged by the sweep"),
            relayed: counter("outbox.relayed", "Events published from the outbox"),
            parked: counter("parked", "Parked messages recorded"),
            dead_nudges: counter(
                "work.dead",
                "Work messages that the broker gave up on; the sweep makes up for them",
            ),
            slots: counter_by(
                "schedule.slots",
                "Slots of schedules that fired, and that were missed and not made up for",
                "outcome",
                ["fired", "skipped"],
            ),
            slot_lag: seconds("schedule.lag", "From the moment a slot was due to its event", &AGES),
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
