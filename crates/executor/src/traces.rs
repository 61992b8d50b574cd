//! The spans of executors: what sampled runs came to, told after the commit. A run's own span is known from its start, by
//! an id that is stored with it, and sent when the run ends; so its steps belong to it whoever makes them, and whenever.
//!
//! A batch holds many runs, and belongs to the trace of none: its span and those of its steps are linked.

use crate::claim::Claimed;
use crate::metrics::{action_of, outcome_of, step_outcome};
use crate::plan::Settlement;
use automation_domain::effect::{Attempt, Outcome};
use automation_domain::id::RunKey;
use automation_domain::interpreter::{End, EndStatus, Step, StepOutcome};
use automation_domain::trace::{RunTrace, SpanContext};
use automation_service_kit::clock;
use automation_service_kit::spans::{KeyValue, Span, SpanKind, spans};
use automation_store::runs::ClaimedRun;
use automation_store::runs::checkpoints::Next;
use automation_store::runs::effects::EffectKey;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The tries that came back to a batch of runs.
pub(crate) type Tries = BTreeMap<RunKey, Vec<Trying>>;

/// A try of a request of a sampled run.
#[derive(Clone, Debug)]
pub(crate) struct Trying {
    run: RunTrace,
    node: String,
    visit: u32,
    attempt: u32,
    /// Of the step's attempt, which lasts until its outcome is committed.
    attempt_span: u64,
    /// Of the request itself, whose receiver may go on with the trace.
    request_span: u64,
    start: SystemTime,
}

impl Trying {
    /// A try that begins now.
    pub(crate) fn begin(run: RunTrace, key: &EffectKey, attempt: u32) -> Self {
        let is_on = spans().is_on();
        // Without an exporter here, the receiver's spans belong to the run, which others tell of.
        let id = || if is_on { spans().new_span() } else { run.span_id };
        Self {
            run,
            node: key.node.clone(),
            visit: key.visit,
            attempt,
            attempt_span: id(),
            request_span: id(),
            start: clock::system_time(),
        }
    }

    /// What the receiver is told.
    pub(crate) fn traceparent(&self) -> String {
        self.place(self.request_span).to_traceparent()
    }

    /// Tells of the request, once its outcome is there.
    pub(crate) fn answered(&self, key: &EffectKey, method: &str, attempt: &Attempt) {
        if !spans().is_on() {
            return;
        }
        let mut attributes = vec![
            KeyValue::new("http.request.method", method.to_owned()),
            KeyValue::new("run.id", key.run_id.to_string()),
            KeyValue::new("node.id", key.node.clone()),
            KeyValue::new("attempt", i64::from(self.attempt)),
            KeyValue::new("outcome", outcome_of(attempt)),
        ];
        let status = attempt.response.as_ref().map(|response| response.status);
        attributes.extend(status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
        spans().end(Span {
            context: self.place(self.request_span),
            parent: Some(self.attempt_span),
            kind: SpanKind::Client,
            name: method.to_owned().into(),
            start: self.start,
            end: clock::system_time(),
            attributes,
            links: Vec::new(),
            error: match &attempt.outcome {
                Outcome::Done { .. } => None,
                Outcome::Retry { error, .. } | Outcome::Failed { error } => Some(error.code.clone()),
            },
        });
    }

    fn place(&self, span_id: u64) -> SpanContext {
        SpanContext { trace_id: self.run.trace_id, span_id }
    }
}

/// Tells of what a batch of runs came to, once that is committed.
pub(crate) fn end(claimed: &Claimed, committed: &[Settlement], tries: &mut Tries) {
    if !spans().is_on() || committed.iter().all(|settlement| settlement.run.trace.is_none()) {
        return;
    }
    let (batch, end) = (spans().root(), clock::system_time());
    let mut links = Vec::new();
    for settlement in committed {
        let Some(trace) = settlement.run.trace else { continue };
        links.push(trace.context());
        let run = Run { trace, settlement, known: known(claimed, &settlement.run), batch, end };
        let mut of_run = tries.remove(&(settlement.run.tenant_id, settlement.run.run_id)).unwrap_or_default();
        for step in settlement.log() {
            let is_answer = |trying: &Trying| {
                step.outcome != StepOutcome::Waiting
                    && (trying.node == step.node && trying.visit == step.visit)
            };
            let trying = of_run.iter().position(is_answer).map(|index| of_run.remove(index));
            run.step(claimed.began, step, trying);
        }
        if let Next::Finished { status } = settlement.checkpoint.next {
            run.finished(status);
        }
    }
    spans().end(Span {
        context: batch,
        parent: None,
        kind: SpanKind::Internal,
        name: "executor batch".into(),
        start: claimed.began,
        end,
        attributes: vec![KeyValue::new("runs", i64::try_from(committed.len()).unwrap_or(i64::MAX))],
        links,
        error: None,
    });
}

/// What all spans of a run say.
fn known(claimed: &Claimed, run: &ClaimedRun) -> Vec<KeyValue> {
    let mut known = vec![
        KeyValue::new("run.id", run.run_id.to_string()),
        KeyValue::new("workflow.id", run.workflow_id.to_string()),
    ];
    if let Some(version) = claimed.versions.get(&run.version_id) {
        known.push(KeyValue::new("tenant", version.tenant.clone()));
        known.push(KeyValue::new("workflow.version", i64::from(version.number)));
        if let Ok(workflow) = &version.workflow {
            known.push(KeyValue::new("workflow.key", workflow.key.clone()));
        }
    }
    known
}

/// A sampled run of a batch.
struct Run<'a> {
    trace: RunTrace,
    settlement: &'a Settlement,
    known: Vec<KeyValue>,
    batch: SpanContext,
    end: SystemTime,
}

impl Run<'_> {
    fn step(&self, began: SystemTime, step: &Step, trying: Option<Trying>) {
        let mut attributes = self.known.clone();
        attributes.extend([
            KeyValue::new("node.id", step.node.clone()),
            KeyValue::new("action", action_of(step)),
            KeyValue::new("outcome", step_outcome(step.outcome)),
        ]);
        let (what, span_id, start) = match &trying {
            Some(trying) => ("attempt", trying.attempt_span, trying.start),
            None => ("step", spans().new_span(), began),
        };
        attributes.extend(trying.map(|trying| KeyValue::new("attempt", i64::from(trying.attempt))));
        let went_wrong = matches!(step.outcome, StepOutcome::Failed | StepOutcome::Retrying);
        spans().end(Span {
            context: SpanContext { trace_id: self.trace.trace_id, span_id },
            parent: Some(self.trace.span_id),
            kind: SpanKind::Internal,
            name: format!("{what} {}", action_of(step)).into(),
            start,
            end: self.end,
            attributes,
            links: vec![self.batch],
            error: went_wrong.then(|| step.detail["code"].as_str().unwrap_or("failed").to_owned()),
        });
    }

    fn finished(&self, status: EndStatus) {
        let run = &self.settlement.run;
        let mut attributes = self.known.clone();
        attributes.push(KeyValue::new("trigger.id", run.trigger_id.clone()));
        attributes.push(KeyValue::new("run.status", status.as_str()));
        let key = self.known.iter().find(|known| known.key.as_str() == "workflow.key");
        spans().end(Span {
            context: self.trace.context(),
            parent: Some(self.trace.started_by),
            kind: SpanKind::Internal,
            name: key.map_or("run".into(), |key| format!("run {}", key.value.as_str()).into()),
            start: run.received_at.into(),
            end: self.end,
            attributes,
            links: vec![self.batch],
            error: match &self.settlement.state.end {
                Some(End::Failed { error, .. }) => Some(error.code.clone()),
                Some(End::Completed | End::Cancelled { .. }) | None => None,
            },
        });
    }
}
