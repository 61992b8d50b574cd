//! A run, as programs get it.

use automation_domain::id::RunId;
use automation_domain::interpreter::{RunState, Step};
use automation_domain::priority::Priority;
use automation_store::runs::lists::{RunDetail, RunSummary};
use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

/// A run without its steps.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Summary {
    /// Its id.
    pub id: RunId,
    /// The workflow's key.
    pub workflow: String,
    /// The version that it is pinned to.
    pub version: i32,
    /// How it stands.
    pub status: &'static str,
    /// Subject of the contact.
    pub contact: Option<String>,
    /// The trigger that started it.
    pub trigger: String,
    /// What it is unique by.
    pub key: String,
    /// Its priority.
    pub priority: Priority,
    /// The event that started it; `None` once that is not kept any more.
    pub event: Option<EventName>,
    /// The type of that.
    pub event_type: Option<String>,
    /// When the event was received.
    #[serde(serialize_with = "crate::time::one")]
    pub received_at: DateTime<Utc>,
    /// When it ended.
    #[serde(serialize_with = "crate::time::maybe")]
    pub finished_at: Option<DateTime<Utc>>,
    /// Until when it waits.
    #[serde(serialize_with = "crate::time::maybe")]
    pub waits_until: Option<DateTime<Utc>>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// The sentence of that.
    pub error_message: Option<String>,
}

/// What an event is known by.
#[derive(Serialize, Clone, PartialEq, Eq, Debug)]
pub struct EventName {
    /// Who published it.
    pub source: String,
    /// The publisher's id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
}

/// Why a run failed.
#[derive(Serialize, Clone, PartialEq, Debug)]
pub struct Failure {
    /// At which node, if a node is at fault.
    pub node: Option<String>,
    /// Stable code.
    pub code: String,
    /// Its sentence.
    pub message: String,
}

/// A run with its steps; as JSON, its summary, `steps` and `state`.
#[derive(Clone, PartialEq, Debug)]
pub struct Run(pub RunDetail);

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    summary: Summary,
    steps: Vec<ShownStep<'a>>,
    state: &'a Option<RunState>,
}

/// A step, with the checkpoint that it belongs to.
#[derive(Serialize)]
struct ShownStep<'a> {
    #[serde(flatten)]
    step: &'a Step,
    #[serde(serialize_with = "crate::time::one")]
    at: DateTime<Utc>,
    worker: &'a str,
    claim: i32,
}

impl Serialize for Run {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(detail) = self;
        let entries = detail.log.iter().flat_map(|entry| entry.steps.iter().map(move |step| (entry, step)));
        let steps = entries.map(|(entry, step)| ShownStep {
            step,
            at: entry.logged_at,
            worker: &entry.worker,
            claim: entry.seq,
        });
        let steps = steps.collect();
        Shown { summary: Summary::from(&detail.summary), steps, state: &detail.state }.serialize(serializer)
    }
}

impl From<&RunSummary> for Summary {
    fn from(run: &RunSummary) -> Self {
        let event = run.event.as_ref();
        let failure = run.failure.as_ref();
        Self {
            id: run.run_id,
            workflow: run.workflow.clone(),
            version: run.version,
            status: run.status.as_str(),
            contact: run.contact.clone(),
            trigger: run.trigger.clone(),
            key: run.run_key.clone(),
            priority: run.priority,
            event: event.map(|event| EventName {
                source: event.source.clone(),
                id: event.id.clone(),
                event_type: event.event_type.clone(),
            }),
            event_type: event.map(|event| event.event_type.clone()),
            received_at: run.received_at,
            finished_at: run.finished_at,
            waits_until: run.waits_until,
            error: failure.map(|failure| Failure {
                node: failure.node.clone(),
                code: failure.error.code.to_string(),
                message: failure.error.message.clone(),
            }),
            error_message: failure.map(|failure| failure.error.message.clone()),
        }
    }
}
