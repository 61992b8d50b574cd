//! What can happen to a run.

use super::{Answer, StepError};
use crate::id::EventId;
use crate::retry::FailureKind;
use crate::workflow::NodeIndex;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a run is to hear from outside while it waits; kept in its inbox until then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InboxInput {
    /// The run is to end.
    Cancel {
        /// Why, in a sentence.
        reason: String,
    },
    /// What the run is for has happened, and is counted: the run is to end.
    Goal(Reached),
    /// Something happened that the run may wait for.
    Event {
        /// Which event, as recorded.
        event: EventId,
        /// Whether it said something of the contact, so that conditions are to be asked again.
        changes_contact: bool,
    },
    /// A person answered what a token asks.
    Answered {
        /// The node that asks.
        node: String,
        /// Which visit of it.
        visit: u32,
        /// The answer.
        answer: Answer,
    },
}

impl InboxInput {
    /// Whether it is to end the run, whatever that is at.
    pub fn ends_run(&self) -> bool {
        match self {
            Self::Cancel { .. } | Self::Goal(_) => true,
            Self::Event { .. } | Self::Answered { .. } => false,
        }
    }
}

/// The event that a run is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reached {
    /// Its type.
    pub event_type: String,
    /// Its publisher's id.
    pub event_id: String,
    /// When it happened.
    pub at: DateTime<Utc>,
}

impl From<InboxInput> for RunEvent {
    fn from(input: InboxInput) -> Self {
        match input {
            InboxInput::Cancel { reason } => Self::Cancelled { reason },
            InboxInput::Goal(reached) => Self::GoalReached(reached),
            InboxInput::Event { event, changes_contact } => Self::Heard { event, changes_contact },
            InboxInput::Answered { node, visit, answer } => Self::Answered { node, visit, answer },
        }
    }
}

/// Something that happened to a run.
#[derive(Clone, PartialEq, Debug)]
pub enum RunEvent {
    /// The run begins at the node its trigger leads to.
    Started {
        /// That trigger's id.
        trigger: String,
    },
    /// The action that a token waits for came back. Node, visit and number are those of the command that asked: an
    /// answer that is repeated, or late, matches no token and changes nothing.
    ActionCompleted {
        /// Which token.
        token: u16,
        /// The node that asked.
        node: NodeIndex,
        /// Which visit of it.
        visit: u32,
        /// Which sending of it.
        number: u32,
        /// What it returned.
        output: Value,
        /// Variables of the run to set.
        vars: Map<String, Value>,
    },
    /// A try of the action that a token waits for failed.
    ActionFailed {
        /// Which token.
        token: u16,
        /// The node that asked.
        node: NodeIndex,
        /// Which visit of it.
        visit: u32,
        /// Which sending of it.
        number: u32,
        /// Why.
        error: StepError,
        /// What that means for another try.
        kind: FailureKind,
    },
    /// There is no room to send the stored request of the action that a token waits for; that uses up nothing.
    ActionPostponed {
        /// Which token.
        token: u16,
        /// The node that asked.
        node: NodeIndex,
        /// Which visit of it.
        visit: u32,
        /// Which sending of it.
        number: u32,
        /// When there may be room.
        until: DateTime<Utc>,
    },
    /// The clock reached what tokens wait for: every token whose time is at or before `now` goes on.
    TimerFired,
    /// A worker has the run, and whoever had it before is gone: beside what [`TimerFired`](Self::TimerFired) does, requests
    /// that were on their way are sent again, but for those that may arrive once at most.
    Claimed,
    /// What the run is for has happened: it is to end.
    GoalReached(Reached),
    /// Something happened that tokens may wait for.
    Heard {
        /// Which event; its content is asked of [`RunInput::recorded`](super::RunInput::recorded).
        event: EventId,
        /// Whether conditions are to be asked again.
        changes_contact: bool,
    },
    /// A person answered what a token asks. Node and visit say which: an answer that is repeated, or late, matches no token and
    /// changes nothing.
    Answered {
        /// The node that asks.
        node: String,
        /// Which visit of it.
        visit: u32,
        /// The answer.
        answer: Answer,
    },
    /// The run is to end.
    Cancelled {
        /// Why, in a sentence.
        reason: String,
    },
}
