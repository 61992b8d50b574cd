//! What a run is between two inputs.

mod end;
mod tries;

pub use end::{End, EndStatus};
pub use tries::Tries;

use super::Awaited;
use crate::budget::Exceeded;
use crate::id::EventId;
use crate::step_code::StepCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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
    /// Whether it is what the workflow is for; else it is an exit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_goal: bool,
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
