//! How long everything takes, and how large it is.

use std::time::Duration;

/// Durations and sizes of a run of the benchmark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Contacts of all tenants together.
    pub(crate) contacts: usize,
    /// Per batch size and number of connections, when the best is looked for; of RabbitMQ alone, per direction.
    pub(crate) raw_search: Duration,
    /// Each time the best is measured again between two measurements of the engine.
    pub(crate) raw_again: Duration,
    /// Load before the engine is measured.
    pub(crate) warm_up: Duration,
    /// Measuring the engine.
    pub(crate) measure: Duration,
    /// A steady load for latencies.
    pub(crate) latency: Duration,
    /// Runs in progress at once.
    pub(crate) at_once: u64,
    /// Runs that wait for something far away.
    pub(crate) parked: u64,
    /// Active triggers.
    pub(crate) triggers: usize,
    /// How often each of two binaries is measured.
    pub(crate) turns: usize,
    /// Measuring a binary, each time.
    pub(crate) turn: Duration,
}

impl Effort {
    /// Rates over a minute each.
    pub(crate) fn full() -> Self {
        let seconds = Duration::from_secs;
        Self {
            contacts: 1_000_000,
            raw_search: seconds(4),
            raw_again: seconds(10),
            warm_up: seconds(5),
            measure: seconds(60),
            latency: seconds(30),
            at_once: 10_000,
            parked: 1_000_000,
            triggers: 100_000,
            turns: 8,
            turn: seconds(30),
        }
    }

    /// For one turn of two binaries.
    pub(crate) fn of_turn(self) -> Self {
        Self { measure: self.turn, ..self }
    }

    /// A few seconds each, on a tenth of the rows: shows that everything works, and little more.
    pub(crate) fn quick() -> Self {
        let seconds = Duration::from_secs;
        Self {
            contacts: 100_000,
            raw_search: seconds(1),
            raw_again: seconds(1),
            warm_up: seconds(1),
            measure: seconds(4),
            latency: seconds(3),
            at_once: 2_000,
            parked: 100_000,
            triggers: 10_000,
            turns: 2,
            turn: seconds(4),
        }
    }
}
