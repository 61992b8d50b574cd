//! What happened, in order, and why.

use crate::effect::Effect;
use automation_domain::condition::COMPARED_BYTES;
use automation_domain::entry::EntryCondition;
use automation_domain::id::RunId;
use automation_domain::interpreter::{Step, StepError};
use automation_domain::json;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Told {
    /// When.
    #[serde(serialize_with = "time")]
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// An event was recorded.
    Event {
        /// The publisher's id.
        id: String,
        /// Who published it.
        source: String,
        /// Its type.
        #[serde(rename = "type")]
        event_type: String,
        /// Whom it is about.
        subject: Option<String>,
        /// Its payload.
        data: Value,
        /// Events that led to it, one by one; 0 from outside.
        causation_depth: u16,
        /// The run that caused it.
        caused_by: Option<RunId>,
        /// Whether it says something of its contact that was not known.
        changed_contact: bool,
    },
    /// An event was refused.
    Refused {
        /// The publisher's id.
        id: String,
        /// Its type.
        #[serde(rename = "type")]
        event_type: String,
        /// Why: a code of `docs/errors.md`.
        code: &'static str,
        /// The same in a sentence.
        detail: String,
    },
    /// A trigger that listens for an event was decided.
    Decided {
        /// Key of the workflow.
        workflow: String,
        /// Its trigger.
        trigger: String,
        /// What came of it.
        verdict: Verdict,
        /// What a run is unique by, where it was asked.
        key: Option<String>,
        /// The run that was started.
        run: Option<RunId>,
        /// When the key might enter again.
        #[serde(serialize_with = "maybe_time", skip_serializing_if = "Option::is_none")]
        until: Option<DateTime<Utc>>,
        /// The conditions, with both values of each comparison.
        conditions: Vec<EntryCondition>,
    },
    /// A line of a run's history.
    Step {
        /// The run.
        run: RunId,
        /// Key of its workflow.
        workflow: String,
        /// The line.
        #[serde(flatten)]
        step: Step,
    },
    /// A change, a request or a command that would have left the run.
    Effect {
        /// The run.
        run: RunId,
        /// The node.
        node: String,
        /// What.
        #[serde(flatten)]
        effect: Effect,
    },
    /// A request would have been sent, and was answered as the test says.
    Answered {
        /// The run.
        run: RunId,
        /// The node.
        node: String,
        /// Which attempt.
        attempt: u32,
        /// A status, or a word for what kept it from coming.
        answer: String,
        /// Why that is a failure, if it is one.
        error: Option<StepError>,
    },
    /// A branch failed for good: a dead letter.
    Buried {
        /// The run.
        run: RunId,
        /// The node.
        node: String,
        /// Why.
        error: StepError,
    },
    /// What a run is for happened.
    Goal {
        /// The run.
        run: RunId,
        /// Key of its workflow.
        workflow: String,
        /// The type of the event.
        #[serde(rename = "type")]
        event_type: String,
        /// Its publisher's id.
        id: String,
    },
    /// A run ended.
    Ended {
        /// The run.
        run: RunId,
        /// Key of its workflow.
        workflow: String,
        /// `completed`, `failed`, `cancelled`, or `exited` where an event ended it.
        end: &'static str,
        /// Why, where somebody or something ended it.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

impl What {
    /// About how many bytes it takes to keep it.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Told>()
            + match self {
                Self::Event { data, .. } => json::size_bytes(data),
                Self::Step { step, .. } => json::size_bytes(&step.detail),
                Self::Effect { effect, .. } => effect.bytes(),
                Self::Decided { conditions, .. } => {
                    conditions.iter().map(|one| one.comparisons.len() * MOST_OF_COMPARISON).sum()
                }
                Self::Refused { .. }
                | Self::Answered { .. }
                | Self::Buried { .. }
                | Self::Goal { .. }
                | Self::Ended { .. } => 0,
            }
    }
}

/// Bytes of a comparison with both its values, which are cut.
const MOST_OF_COMPARISON: usize = 2 * COMPARED_BYTES;

/// What came of an event by a trigger.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A run.
    Started,
    /// None: a condition is false.
    ConditionFalse,
    /// None: the workflow never lets in whom the event is about.
    Suppressed,
    /// None: deciding takes more than its budget.
    OverBudget,
    /// None: its key was in before.
    Once,
    /// None: a run of its key is open.
    StillIn,
    /// None: a run of its key ended too short a while ago.
    Gap,
    /// None: as many runs of its key began within a time as may.
    Max,
}

/// A time, to the second unless it has more to say: what a simulation does takes a moment that nobody wants to read.
pub(crate) fn time<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}

pub(crate) fn maybe_time<S: Serializer>(
    at: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => time(at, serializer),
        None => serializer.serialize_none(),
    }
}
