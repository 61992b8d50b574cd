//! What executors count.

use automation_domain::effect::{Attempt, Outcome};
use automation_domain::interpreter::{Step, StepOutcome};
use automation_service_kit::metrics::meter;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use std::collections::BTreeMap;

/// The counters of an executor.
pub(crate) struct ExecutorMetrics {
    claimed: Counter<u64>,
    stale: Counter<u64>,
    finished: Counter<u64>,
    steps: Counter<u64>,
    duration: Histogram<f64>,
    requests: Counter<u64>,
    request_duration: Histogram<f64>,
    postponed: Counter<u64>,
}

impl ExecutorMetrics {
    pub(crate) fn new() -> Self {
        let meter = meter();
        Self {
            claimed: meter.u64_counter("runs.claimed").with_description("Claims of runs").build(),
            stale: meter
                .u64_counter("runs.stale")
                .with_description("Checkpoints that came after the claim was lost")
                .build(),
            finished: meter
                .u64_counter("runs.finished")
                .with_description("Runs that ended, by status")
                .build(),
            steps: meter.u64_counter("steps").with_description("Steps, by action and outcome").build(),
            duration: meter
                .f64_histogram("workflow.run.duration")
                .with_unit("s")
                .with_description("From a run's event to its end")
                .build(),
            requests: meter
                .u64_counter("requests")
                .with_description("Requests to the world outside, by outcome")
                .build(),
            request_duration: meter
                .f64_histogram("request.duration")
                .with_unit("s")
                .with_description("From sending a request to its outcome")
                .build(),
            postponed: meter
                .u64_counter("requests.postponed")
                .with_description("Requests for which there was no room")
                .build(),
        }
    }

    pub(crate) fn claimed(&self, runs: usize) {
        self.claimed.add(runs as u64, &[]);
    }

    pub(crate) fn stale(&self, runs: usize) {
        self.stale.add(runs as u64, &[]);
    }

    pub(crate) fn finished(&self, status: &'static str, seconds: f64) {
        self.finished.add(1, &[KeyValue::new("status", status)]);
        self.duration.record(seconds, &[KeyValue::new("status", status)]);
    }

    /// Counts a request by what it came to.
    pub(crate) fn sent(&self, attempt: &Attempt) {
        let outcome = match &attempt.outcome {
            Outcome::Done { .. } => "done",
            Outcome::Retry { .. } => "retry",
            Outcome::Failed { .. } => "failed",
        };
        self.requests.add(1, &[KeyValue::new("outcome", outcome)]);
        self.request_duration.record(attempt.took.as_secs_f64(), &[KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn postponed(&self, requests: usize) {
        if requests > 0 {
            self.postponed.add(requests as u64, &[]);
        }
    }

    /// Counts the steps of a batch.
    pub(crate) fn steps<'a>(&self, steps: impl Iterator<Item = &'a Step>) {
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for step in steps {
            let outcome = match step.outcome {
                StepOutcome::Completed => "completed",
                StepOutcome::Failed => "failed",
                StepOutcome::Waiting => "waiting",
                StepOutcome::Retrying => "retrying",
            };
            *counts.entry((step.action.as_str(), outcome)).or_default() += 1;
        }
        for ((action, outcome), count) in counts {
            let labels = [KeyValue::new("action", action.to_owned()), KeyValue::new("outcome", outcome)];
            self.steps.add(count, &labels);
        }
    }
}
