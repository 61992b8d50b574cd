//! What ingest counts.

use automation_domain::catalogue;
use automation_service_kit::metrics::{MOMENTS, counter, counter_by, seconds};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use std::collections::BTreeMap;
use std::time::Duration;

/// The label of all event types that the catalogue does not know: anybody may invent those.
const CUSTOM: &str = "custom";

/// The counters of ingest.
pub(crate) struct IngestMetrics {
    events: Counter<u64>,
    recorded: Counter<u64>,
    runs: Counter<u64>,
    triggers: Counter<u64>,
    evaluation: Histogram<f64>,
    batch: Histogram<f64>,
    suspended: Counter<u64>,
}

/// What the events of a batch came to, by type, and how their triggers were decided.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    by_type: BTreeMap<&'static str, OfType>,
    /// Triggers that listened for an event.
    pub(crate) listening: u64,
    /// Those of them whose filter let the event through.
    pub(crate) matched: u64,
    /// Those that could not be decided within their budget.
    pub(crate) over_budget: u64,
    /// Those of the ones that matched that entry rules kept from starting a run.
    pub(crate) kept_out: u64,
    /// How long finding and evaluating triggers took.
    pub(crate) evaluation: Duration,
}

#[derive(Debug, Default)]
struct OfType {
    events: u64,
    runs: u64,
}

impl Tally {
    /// A new event of this type.
    pub(crate) fn event(&mut self, event_type: &str) {
        self.by_type.entry(label(event_type)).or_default().events += 1;
    }

    /// A run that an event of this type started.
    pub(crate) fn run(&mut self, event_type: &str) {
        self.by_type.entry(label(event_type)).or_default().runs += 1;
    }

    /// Adds what another part of the batch came to.
    pub(crate) fn add(&mut self, other: Self) {
        for (label, of_type) in other.by_type {
            let sum = self.by_type.entry(label).or_default();
            sum.events += of_type.events;
            sum.runs += of_type.runs;
        }
        self.listening += other.listening;
        self.matched += other.matched;
        self.over_budget += other.over_budget;
        self.kept_out += other.kept_out;
        self.evaluation += other.evaluation;
    }
}

/// The type by its name in the catalogue, else [`CUSTOM`].
fn label(event_type: &str) -> &'static str {
    catalogue::trigger(event_type).map_or(CUSTOM, |entry| entry.key)
}

impl IngestMetrics {
    pub(crate) fn new() -> Self {
        Self {
            events: counter_by(
                "events",
                "Events taken in, by outcome",
                "outcome",
                ["recorded", "repeated", "parked"],
            ),
            recorded: counter_by("events.recorded", "New events, by type", "type", [CUSTOM]),
            runs: counter_by("runs.started", "Runs made, by the type of their event", "type", [CUSTOM]),
            triggers: counter_by(
                "triggers",
                "Triggers that listened for an event, by what became of it",
                "outcome",
                ["started", "kept_out", "not_matched", "over_budget"],
            ),
            evaluation: seconds(
                "trigger.evaluation.duration",
                "Finding and evaluating the triggers of a batch of events",
                &MOMENTS,
            ),
            batch: seconds(
                "ingest.batch.duration",
                "From the first event of a batch to its acknowledgement",
                &MOMENTS,
            ),
            suspended: counter("parts.suspended", "Parts of workflows that this process suspended"),
        }
    }

    /// Counts a part that processes died of.
    pub(crate) fn suspended(&self) {
        self.suspended.add(1, &[]);
    }

    /// Counts a batch that is done.
    pub(crate) fn batch(&self, recorded: usize, repeated: usize, parked: usize, tally: &Tally, seconds: f64) {
        for (outcome, count) in [("recorded", recorded), ("repeated", repeated), ("parked", parked)] {
            self.events.add(count as u64, &[KeyValue::new("outcome", outcome)]);
        }
        for (label, of_type) in &tally.by_type {
            let label = [KeyValue::new("type", *label)];
            self.recorded.add(of_type.events, &label);
            self.runs.add(of_type.runs, &label);
        }
        if recorded > 0 {
            let started = tally.matched.saturating_sub(tally.kept_out);
            let not_matched = tally.listening.saturating_sub(tally.matched + tally.over_budget);
            for (outcome, count) in [
                ("started", started),
                ("kept_out", tally.kept_out),
                ("not_matched", not_matched),
                ("over_budget", tally.over_budget),
            ] {
                self.triggers.add(count, &[KeyValue::new("outcome", outcome)]);
            }
            self.evaluation.record(tally.evaluation.as_secs_f64(), &[]);
        }
        self.batch.record(seconds, &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_that_anybody_may_invent_share_a_label() {
        assert_eq!(
            ["form.submitted", "acme.rocket.launched", "custom.event"].map(label),
            ["form.submitted", CUSTOM, "custom.event"]
        );
    }
}
