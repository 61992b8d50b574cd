//! What a run is between two inputs.

use super::Awaited;
use crate::budget::Exceeded;
use crate::id::EventId;
use crate::retry::Tally;
use crate::step_code::StepCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// A run between two inputs: a small document, saved by every checkpoint.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RunState {
    /// One token per active branch, by token number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<u16, Token>,
    /// The forks whose branches are on their way, by a number of their own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub forks: BTreeMap<u16, Fork>,
    /// Variables of the run.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
    /// The latest result of each node, by node id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<String, StepResult>,
    /// Steps taken so far; bounded by `limits.steps`.
    #[serde(default)]
    pub step_count: u32,
    /// What ends it before its way is over, of a workflow with exits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exits: Option<Box<Awaited>>,
    /// What ended it before its way was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    /// How the run ended, once it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

impl RunState {
    pub(super) fn end_as(&mut self, end: End) {
        self.tokens.clear();
        // What a replay of a failed run brings back are its branches, and where they belong.
        if end.status() != EndStatus::Failed {
            self.forks.clear();
        }
        self.end = Some(end);
    }
}

/// An event that ended a run before its way was over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndedBy {
    /// Its type.
    pub event_type: String,
    /// Its publisher's id.
    pub event_id: String,
}

/// Where a branch stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Token {
    /// The node it stands on, by id: ids are stable, indexes are not.
    pub node: String,
    /// How many times this node has been entered, this time included; 1 is the first.
    pub visit: u32,
    /// What it waits for.
    pub waits: Waits,
    /// Where it came from, of a branch that a fork made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The events that moved it, the latest last: none of them moves it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved_by: Vec<EventId>,
}

/// Which branch of which fork a token walks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The number of the fork.
    pub fork: u16,
    /// Which of its branches; 0 is the first.
    pub branch: u16,
}

/// A visit of a node at which a token became several. It is there as long as one of its branches is on its way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fork {
    /// The node.
    pub node: String,
    /// Which visit of it.
    pub visit: u32,
    /// The number of the token that was forked, and that goes on once its branches are joined.
    pub token: u16,
    /// Where that token came from, if it is a branch itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The events that moved it: none of them moves a branch again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved_by: Vec<EventId>,
    /// How each branch stands. A join goes by these, not by how often something arrived.
    pub branches: Vec<BranchState>,
    /// The items that its branches are about, of a loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<Items>,
}

/// The items of a loop. Each that has begun is a branch.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Items {
    /// The list as it was when the loop began.
    pub list: Vec<Value>,
    /// What the items returned that are done, by their place in the list.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<u16, Value>,
    /// Why those failed that did.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<u16, StepError>,
}

impl Fork {
    /// How many of its branches stand like this.
    pub fn count(&self, state: BranchState) -> usize {
        self.branches.iter().filter(|branch| **branch == state).count()
    }
}

/// How a branch stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchState {
    /// On its way, or dead: it may still arrive.
    Open,
    /// It came to the node where the branches meet.
    Arrived,
    /// It ended elsewhere, or was given up: it does not come.
    Ended,
}

/// What a token waits for; always something named.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum Waits {
    /// The outcome of the action that was asked for. In a saved state: its request is stored, and this try of it has
    /// begun.
    Action {
        /// What the step has used up, this try included.
        #[serde(flatten)]
        tries: Tries,
    },
    /// A time.
    Timer {
        /// When it goes on.
        until: DateTime<Utc>,
    },
    /// The time of the next try.
    Retry {
        /// When it is tried.
        until: DateTime<Utc>,
        /// What the step has used up, the next try included.
        #[serde(flatten)]
        tries: Tries,
        /// Whether its request is stored, and is sent as it is; else the step is begun anew.
        stored: bool,
    },
    /// What others bring: an event of the contact, or a change of it.
    Event(Box<Awaited>),
    /// Nothing more: its step failed for good, while other branches go on.
    Dead {
        /// Why.
        error: StepError,
        /// Whether the step's request is stored.
        stored: bool,
        /// When a join that waits for it gives it up; `None` where no join does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<DateTime<Utc>>,
    },
    /// Its turn at a node that it has not entered: the workflow was paused while the step before it was under way, or
    /// the steps before it took all that those of one walk may take.
    Turn,
}

/// What a step has used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tries {
    /// Which attempt; 1 is the first.
    #[serde(default = "first")]
    pub attempt: u32,
    /// Times it was put off because the other side asked for it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deferrals: u32,
    /// How long it was put off so far, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deferred_ms: u64,
    /// Times in a row that there was no room to send it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub postponed: u32,
}

impl Tries {
    /// Of a step that was not tried yet.
    pub const FIRST: Self = Self { attempt: 1, deferrals: 0, deferred_ms: 0, postponed: 0 };

    /// Which sending this is: each has a number of its own within a visit.
    pub fn number(self) -> u32 {
        self.attempt.saturating_add(self.deferrals)
    }

    /// What counts for the next try.
    pub fn tally(self) -> Tally {
        Tally {
            attempt: self.attempt,
            deferrals: self.deferrals,
            deferred: Duration::from_millis(self.deferred_ms),
        }
    }
}

impl From<Tally> for Tries {
    fn from(tally: Tally) -> Self {
        let deferred_ms = u64::try_from(tally.deferred.as_millis()).unwrap_or(u64::MAX);
        Self { attempt: tally.attempt, deferrals: tally.deferrals, deferred_ms, postponed: 0 }
    }
}

fn first() -> u32 {
    1
}

fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

/// The latest result of a node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct StepResult {
    /// Times the node was entered.
    pub visits: u32,
    /// What the action returned.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// What went wrong, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// The case a branch took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
}

/// Why a step failed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StepError {
    /// Stable code, made from [`StepCode`]; text, so that those of other versions can be read.
    pub code: String,
    /// One sentence for a person.
    pub message: String,
}

impl From<Exceeded> for StepError {
    fn from(exceeded: Exceeded) -> Self {
        Self { code: StepCode::OverBudget.into(), message: format!("evaluating the step {exceeded}") }
    }
}

/// How a run ended, in a word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EndStatus {
    /// It reached an end.
    Completed,
    /// A step failed for good.
    Failed,
    /// A person or a rule ended it.
    Cancelled,
}

impl EndStatus {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl End {
    /// How, in a word.
    pub fn status(&self) -> EndStatus {
        match self {
            Self::Completed => EndStatus::Completed,
            Self::Failed { .. } => EndStatus::Failed,
            Self::Cancelled { .. } => EndStatus::Cancelled,
        }
    }
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum End {
    /// It reached an end.
    Completed,
    /// A step failed for good.
    Failed {
        /// Where; `None` when it was not a step.
        node: Option<String>,
        /// Why.
        error: StepError,
        /// The branches as they stood, the failed one among them: what a replay brings back.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "pairs")]
        tokens: BTreeMap<u16, Token>,
    },
    /// A person or a rule ended it.
    Cancelled {
        /// Why, in a sentence.
        reason: String,
    },
}

/// Tokens as a list of pairs: inside a tagged enum, serde does not read numbers back from the keys of an object.
mod pairs {
    use super::Token;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(
        tokens: &BTreeMap<u16, Token>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(tokens)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u16, Token>, D::Error> {
        Vec::<(u16, Token)>::deserialize(deserializer).map(|tokens| tokens.into_iter().collect())
    }
}
