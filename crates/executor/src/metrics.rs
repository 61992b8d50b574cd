//! What executors count.

use automation_domain::effect::{Attempt, Outcome};
use automation_domain::interpreter::{EndStatus, Step, StepOutcome};
use automation_service_kit::metrics::{AGES, counter, counter_by, seconds};
use automation_store::runs::ClaimedRun;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The counters of an executor.
pub(crate) struct ExecutorMetrics {
    claimed: Counter<u64>,
    taken_over: Counter<u64>,
    stale: Counter<u64>,
    finished: Counter<u64>,
    steps: Counter<u64>,
    branches: Counter<u64>,
    duration: Histogram<f64>,
    requests: Counter<u64>,
    request_duration: Histogram<f64>,
    postponed: Counter<u64>,
    suspended: Counter<u64>,
}

impl ExecutorMetrics {
    pub(crate) fn new() -> Self {
        let statuses = ["completed", "failed", "cancelled"];
        Self {
            claimed: counter("runs.claimed", "Claims of runs"),
            taken_over: counter("runs.taken.over", "Claims of runs whose last worker vanished"),
            stale: counter("runs.stale", "Checkpoints that came after the claim was lost"),
            finished: counter_by("runs.finished", "Runs that ended, by status", "status", statuses),
            steps: counter_by("steps", "Steps, by action and outcome", "action", []),
            branches: counter_by(
                "branches",
                "Branches that were decided, by whether a case held",
                "taken",
                ["case", "else"],
            ),
            duration: seconds("workflow.run.duration", "From a run's event to its end", &AGES),
            requests: counter_by(
                "requests",
                "Requests to the world outside, by outcome",
                "outcome",
                ["done", "retry", "failed"],
            ),
            request_duration: seconds("request.duration", "From sending a request to its outcome", &AGES),
            postponed: counter("requests.postponed", "Requests for which there was no room"),
            suspended: counter("parts.suspended", "Parts of workflows that this process suspended"),
        }
    }

    /// Counts claims, and those among them that another worker left behind.
    pub(crate) fn claimed<'a>(&self, runs: impl Iterator<Item = &'a Arc<ClaimedRun>>) {
        let (mut all, mut left_behind) = (0, 0);
        for run in runs {
            all += 1;
            left_behind += u64::from(run.abandoned > 0);
        }
        self.claimed.add(all, &[]);
        self.taken_over.add(left_behind, &[]);
    }

    /// Counts a node that processes died of.
    pub(crate) fn suspended(&self) {
        self.suspended.add(1, &[]);
    }

    pub(crate) fn stale(&self, runs: usize) {
        self.stale.add(runs as u64, &[]);
    }

    /// Counts the runs of a batch that ended, each with how long it took in seconds.
    pub(crate) fn finished(&self, ended: &[(EndStatus, f64)]) {
        let mut counts: BTreeMap<EndStatus, u64> = BTreeMap::new();
        for (status, seconds) in ended {
            *counts.entry(*status).or_default() += 1;
            self.duration.record(*seconds, &[KeyValue::new("status", status.as_str())]);
        }
        for (status, count) in counts {
            self.finished.add(count, &[KeyValue::new("status", status.as_str())]);
        }
    }

    /// Counts a request by what it came to.
    pub(crate) fn sent(&self, attempt: &Attempt) {
        let outcome = [KeyValue::new("outcome", outcome_of(attempt))];
        self.requests.add(1, &outcome);
        self.request_duration.record(attempt.took.as_secs_f64(), &outcome);
    }

    pub(crate) fn postponed(&self, requests: usize) {
        if requests > 0 {
            self.postponed.add(requests as u64, &[]);
        }
    }

    /// Counts the steps of a batch, and how its branches were decided.
    pub(crate) fn steps<'a>(&self, steps: impl Iterator<Item = &'a Step>) {
        let mut counts: BTreeMap<(&'static str, &'static str), u64> = BTreeMap::new();
        let (mut cases, mut others) = (0, 0);
        for step in steps {
            *counts.entry((action_of(step), step_outcome(step.outcome))).or_default() += 1;
            if step.action == "branch" && step.outcome == StepOutcome::Completed {
                match step.detail["case"] == "else" {
                    true => others += 1,
                    false => cases += 1,
                }
            }
        }
        for ((action, outcome), count) in counts {
            self.steps.add(count, &[KeyValue::new("action", action), KeyValue::new("outcome", outcome)]);
        }
        for (taken, count) in [("case", cases), ("else", others)] {
            if count > 0 {
                self.branches.add(count, &[KeyValue::new("taken", taken)]);
            }
        }
    }
}

/// What a request came to, in a word.
pub(crate) fn outcome_of(attempt: &Attempt) -> &'static str {
    match &attempt.outcome {
        Outcome::Done { .. } => "done",
        Outcome::Retry { .. } => "retry",
        Outcome::Failed { .. } => "failed",
    }
}

/// How a step went, in a word.
pub(crate) fn step_outcome(outcome: StepOutcome) -> &'static str {
    match outcome {
        StepOutcome::Completed => "completed",
        StepOutcome::Failed => "failed",
        StepOutcome::Waiting => "waiting",
        StepOutcome::Retrying => "retrying",
        StepOutcome::Skipped => "skipped",
    }
}

/// The action of a step by its key in the catalogue: a label has no other values, whatever a state holds.
pub(crate) fn action_of(step: &Step) -> &'static str {
    match automation_actions::node_types().get(&step.action) {
        Some(known) => known.kind.entry().key,
        None if step.action == "trigger" => "trigger",
        None => "other",
    }
}
